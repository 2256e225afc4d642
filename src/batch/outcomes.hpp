#pragma once

#include "batch/commits.hpp"
#include "batch/figures.hpp"
#include "batch/item_states.hpp"
#include "batch/reader.hpp"
#include "batch/steps.hpp"

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <utility>
#include <variant>

namespace modelforge::batch {

/// What becomes of a batch's items: where each one stands, what is recorded of it, what that comes to, and the steps
/// that follow, in order.
///
/// Everything that is recorded goes through here, so that the recorder gets things in the order of their numbers
/// (`commits`), and an item that has a result gets no other. The ground on which `live_window` and `job_control` stand.
class outcomes {
public:
  explicit outcomes(std::size_t providers) : figures_(providers) {}

  /// Learns what earlier runs did. With `retry_failed` what they saw fail is missing again.
  void load(const ledger& known, const std::string& ledger_path, bool retry_failed);

  item_states& states() { return states_; }
  const item_states& states() const { return states_; }
  batch::figures& figures() { return figures_; }
  const batch::figures& figures() const { return figures_; }

  // -- steps ------------------------------------------------------------------------

  void push(step next) { steps_.push_back(std::move(next)); }
  bool has_steps() const { return !steps_.empty(); }
  std::optional<step> next_step();

  // -- recording --------------------------------------------------------------------

  /// An item's line has been read, with this sum (`item::sum`): its result will be one of that line.
  void note_line(uint64_t index, uint32_t sum, item_endpoint endpoint = item_endpoint::chat) {
    if (endpoint == item_endpoint::responses)
      states_.mark_response(index);
    if (index >= sums_.size())
      sums_.resize(index + 1);
    sums_[index] = sum;
  }

  /// Records an item's result; nothing more happens to the item in this run. `body`: as in `batch::record`; empty: it
  /// is written in the form that the item's line asks for.
  void record(uint64_t index, std::string custom_id, std::variant<completion, failure> outcome,
              const item_origin& origin, std::string body = {});

  /// An item has come back without a result: the next pass takes it, live if it must not go into a job again.
  void give_back(uint64_t index, bool keep_live = false);

  /// Tells the ledger of something else.
  void note(ledger_event event);

  /// Has a step done when all that was recorded until now is safe.
  void when_safe(safe_step step) { commits_.when_safe(std::move(step)); }

  /// What has become safe to do.
  std::optional<safe_step> next_safe() { return commits_.next(); }
  bool has_waiting() const { return commits_.has_waiting(); }

  /// Things that are not safe yet.
  uint64_t unsafe() const { return commits_.unsafe(); }

  /// Whether nothing can be kept any more.
  bool is_closed() const { return commits_.closed(); }

  void on_kept(const recorder_news& news);

private:
  item_states states_;
  commits commits_;
  batch::figures figures_;
  std::deque<uint32_t> sums_; ///< Of the lines, by item; a deque, which grows without a copy.
  std::deque<step> steps_;    ///< Decided, and not returned yet.
};

} // namespace modelforge::batch
