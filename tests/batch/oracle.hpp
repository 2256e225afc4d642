#pragma once

#include <modelforge/messages/batch_job.hpp>

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace modelforge::test {

/// Judges a batch by what can be seen of it from outside: what is asked of providers, what they answer, what is
/// recorded and what a crash leaves of the ledger's text. It shares no code with the classes that decide, the ledger's
/// included.
///
/// Its rules: an item is in one place at a time; it is sent again only if nothing counts that came of it, or where that
/// is asked for; a job is asked for when the ledger's text has it, once; each result is recorded at once and once; a
/// batch that is whole has a result for each line, and nothing is left at a provider.
class batch_oracle {
public:
  enum class verdict : uint8_t { ok, failed };

  /// What one run is asked to do.
  struct run {
    bool has_ledger = true;
    bool retry_failed = false;
    bool cancel_jobs = false;
    std::size_t job_items = 0;
    std::size_t max_jobs = 0;
    std::size_t providers = 1;
    std::size_t doubts = 0; ///< Failures that may be kept back, since it is not known whether they are the items' own.
  };

  /// A line without a request that can be read has no model.
  explicit batch_oracle(std::vector<std::optional<std::string>> models);

  const std::string& wrong() const { return wrong_; }
  void fail(const std::string& what);

  /// A run begins, with what is left of the ledger.
  void begin(const run& x, std::string_view ledger);

  /// The run has ended, or crashed.
  void end();

  // What is asked of providers.
  void on_read(uint64_t in_flight, uint64_t bound, uint64_t unsafe, uint64_t max_unsafe);
  void on_sent(uint64_t item, std::size_t provider);
  void on_job_asked(const batch_job_request& request, const std::string& provider, std::string_view synced);
  void on_withdrawn() { withdrawn_ = true; }

  // What they answer. Nothing: it comes to no result.
  void on_live_end(uint64_t item, std::optional<verdict> result);

  /// A provider failed at it for reasons of its own: another one is to try, if there is one.
  void on_provider_failure(uint64_t item, std::size_t provider);

  /// A provider could not be reached: another one is to try, or all once more, later.
  void on_outage(uint64_t item, std::size_t provider);
  void on_job_named(const std::string& nonce, const std::string& id);
  void on_job_result(const std::string& nonce, uint64_t item, std::optional<verdict> result);

  /// `lost`: items that the provider may have run, and of which nothing more can be had.
  void on_job_over(const std::string& nonce, const std::set<uint64_t>& lost);

  // What is kept.
  void on_recorded(uint64_t item, const std::string& custom_id, verdict result);
  void on_noted() { ++given_; }
  void on_safe(uint64_t item);
  void on_confirmed(const std::vector<uint64_t>& items);
  uint64_t given() const { return given_; }

  /// Nothing more is decided before something happens.
  void on_quiet(bool can_keep);
  void on_finish(bool complete);
  void check_whole(std::string_view ledger, uint64_t answered, uint64_t failed);

private:
  struct line {
    std::optional<std::string> model;
    bool in_flight = false;
    std::set<std::size_t> failed_at; ///< Providers, since it was sent first in this run.
    bool met_outage = false;         ///< One of these could not be reached: then it may wait, and go to all again.
    std::string job;                 ///< The nonce of the one that has it.
    std::optional<verdict> safe;
    std::string came_of;             ///< The job whose result `due`, then `given` is.
    bool again = false;              ///< A job has it that was made to replace its failure.
    std::optional<verdict> due;      ///< Has come, and is to be recorded.
    std::optional<verdict> given;    ///< In this run.
    std::optional<verdict> at_start; ///< What was safe when this run began.
  };

  struct job {
    std::string provider;
    std::string id;
    std::vector<uint64_t> items;
    bool asked = false; ///< In this run.
  };

  /// What a ledger's text has, each with the number of its line.
  struct text {
    struct intent {
      std::string provider;
      std::vector<uint64_t> items;
      std::size_t line = 0;
    };

    std::map<uint64_t, std::pair<verdict, std::size_t>> results;
    std::map<std::string, intent> intents; ///< Those that are not over.
  };

  static text read(std::string_view ledger);
  void check_free(uint64_t item, const std::string& what);
  std::string name(uint64_t item) const;

  std::vector<line> lines_;
  std::map<std::string, job> jobs_;
  std::set<std::string> open_; ///< Jobs that are asked for, and not over.
  run run_;
  bool withdrawn_ = false; ///< Nothing may be sent any more in this run.
  std::size_t in_flight_ = 0;
  uint64_t given_ = 0; ///< To the recorder, in this run.
  std::set<uint64_t> due_;
  std::set<uint64_t> failed_; ///< At a provider just now.
  std::string wrong_;
};

} // namespace modelforge::test
