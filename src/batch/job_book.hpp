#pragma once

#include "batch/clock.hpp"
#include "batch/item_ranges.hpp"
#include "batch/job_builder.hpp"
#include "batch/ledger.hpp"

#include <modelforge/messages/batch_job.hpp>

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace modelforge::batch {

/// A job of ours at a provider, or one about to be created there.
struct known_job {
  ledger_job entry;
  std::size_t provider = 0;
  std::map<uint64_t, job_item> items; ///< Those that have no result yet.
  std::vector<uint64_t> not_run;      ///< Those that the provider says it did not come to.
  batch_job_status status;
  std::optional<time_point> next_look; ///< When the provider is asked again.
};

/// The jobs of a batch that are not over, by nonce, and which items each one has.
///
/// An earlier run's jobs come from the ledger, which knows ranges of items only: a pass over the input brings the ids
/// of those items (`recover`), since results name them. Used by `schedule`.
class job_book {
public:
  /// Takes in what an earlier run left.
  void load(const ledger& known);

  bool empty() const { return jobs_.empty(); }

  /// Null: there is none of that nonce, or it is over.
  known_job* find(const std::string& nonce);

  /// Calls `f` with each job.
  template <class F>
  void for_each(F f) {
    for (auto& [nonce, job] : jobs_)
      f(job);
  }
  template <class F>
  void for_each(F f) const {
    for (auto& [nonce, job] : jobs_)
      f(job);
  }

  /// Adds an item without a result to the jobs of an earlier run that have it.
  void recover(uint64_t index, const job_item& item);
  void end_recovery() { ranges_.clear(); }

  /// Adds a job that is to be created. Returns what the provider is to be asked, once the intent is safe.
  batch_job_request begin(const std::string& nonce, job_draft draft, const std::string& provider, uint64_t unix_now);

  /// What the provider is to be asked for a job of an earlier run.
  batch_job_request resume(const known_job& job) const;

  /// Learns the provider's id of a job. Returns whether it is news.
  bool learn_id(known_job& job, const std::string& id);

  /// Takes out a job that is over.
  known_job end(const std::string& nonce);

  /// Takes out a job of which nothing more is known; it may be there.
  void forget(const std::string& nonce) { jobs_.erase(nonce); }

  /// Jobs that go on at providers.
  std::size_t open() const;

private:
  std::vector<std::string> others(const std::string& nonce) const;

  std::map<std::string, known_job> jobs_;
  item_ranges<known_job*> ranges_; ///< Of earlier runs' jobs, while these are recovered.
  std::vector<std::string> ended_; ///< Ids of jobs that are over.
};

} // namespace modelforge::batch
