#pragma once

#include "batch/clock.hpp"
#include "batch/ledger.hpp"
#include "batch/recorder.hpp"
#include "batch/tally.hpp"

#include <modelforge/messages/batch.hpp>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <variant>

namespace modelforge::batch {

/// How an item came to its result.
struct item_origin {
  std::optional<std::size_t> provider; ///< Empty: it reached none.
  uint32_t estimated = 0;              ///< Tokens of its prompt.
  bool by_job = false;
  double live_factor = 1; ///< What a live request costs for each unit that this one did.
};

/// What a batch has come to: the figures of its progress and of its report.
///
/// A result counts when it is safe. A failure of an earlier run that is sent again does not count from then on: the
/// recorder still counts it until its new result is safe. Used by `schedule`.
class figures {
public:
  explicit figures(std::size_t providers) : costs_(providers) {}

  void begin(time_point now) { begin_ = now; }

  /// Takes in what an earlier run did: of its failures, `retried` are sent again.
  void load(const ledger_summary& known, const std::string& ledger_path, uint64_t retried);

  /// One more failure of an earlier run is sent again.
  void retry() {
    ++retried_;
    --report_.resumed;
    --report_.failed;
  }

  void name(std::size_t provider, const std::string& name) { costs_.name(provider, name); }
  void warn(std::string text);

  /// Notes an item's result, whether or not it is kept.
  void on_result(const std::variant<completion, failure>& outcome);

  /// Notes one that will be safe as the `number`th thing; `retried`: in place of an earlier run's failure.
  void on_recorded(uint64_t number, const std::variant<completion, failure>& outcome, const item_origin& origin,
                   bool retried);

  void on_kept(const recorder_news& news);

  std::optional<uint64_t> total() const { return total_; }
  void set_total(uint64_t items) { total_ = items; }

  /// What is known here of the progress; the rest is the caller's.
  batch_progress progress(time_point now) const;
  batch_report report(time_point now) const;

private:
  void note_unclear(const completion& answer);

  batch_report report_;
  tally costs_;
  uint64_t retried_ = 0;          ///< Failures of an earlier run that are sent again and have no safe result yet.
  std::deque<uint64_t> replaced_; ///< Numbers of the results that took their place and are not safe yet.
  std::optional<uint64_t> total_; ///< Items of the input, once it has been read to its end.
  time_point begin_{};
};

} // namespace modelforge::batch
