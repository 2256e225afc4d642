#pragma once

#include "batch/clock.hpp"
#include "batch/job_book.hpp"
#include "batch/job_builder.hpp"
#include "batch/outcomes.hpp"
#include "batch/provider_pool.hpp"

#include <modelforge/messages/batch.hpp>
#include <modelforge/messages/batch_job.hpp>
#include <modelforge/messages/batch_options.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <random>
#include <string>
#include <vector>

namespace modelforge::batch {

/// What a batch's jobs are made by.
struct job_rules {
  bool used = false;          ///< Items go into jobs.
  bool expired_live = true;   ///< What a job did not come to is sent live; else in another job.
  bool cancel = false;        ///< Jobs of earlier runs are cancelled.
  std::size_t max_items = 0;  ///< Of a job, and of all that are being made.
  std::size_t max_bytes = 0;  ///< Of the texts in one that is being made.
  std::vector<double> prices; ///< Of an item in each provider's batch API, beside a live one.
};

/// All that a batch decides about jobs: it makes them, takes what comes of them, and judges by their ends who gets
/// more.
///
/// A job is asked for when the ledger's word of it is safe, and the next results are taken when the former ones are:
/// whatever crashes when, a job that may exist is in the ledger, with its items. Of a job that is over, each item has a
/// result, or comes back to be sent again: never if the provider may have run it. Used by `schedule`.
class job_control {
public:
  job_control(job_rules rules, provider_pool& pool, outcomes& outcomes, std::mt19937_64& random)
    : rules_(std::move(rules)), pool_(pool), outcomes_(outcomes), random_(random),
      builder_(rules_.max_items, rules_.max_bytes) {}

  // -- jobs of earlier runs -----------------------------------------------------------

  void load(const ledger& known) { book_.load(known); }

  /// Finds their providers. Returns why one cannot be gone on with.
  std::optional<failure> find_providers();

  /// Adds an item without a result to the job that has it. `request`: null where its line is none.
  void recover(uint64_t index, std::string custom_id, const chat_request* request, uint32_t estimated);

  /// Their items are known: asks for them.
  void resume();

  // -- making jobs --------------------------------------------------------------------

  /// Puts an item into a job. Returns false, with the request left alone, if it goes out by itself.
  bool add(uint64_t index, const std::string& custom_id, chat_request& request, uint32_t estimated, time_point now);

  /// Whether nothing more can be added now.
  bool is_blocked(time_point now) const { return builder_.is_blocked(pool_, now); }

  /// Begins what may be a job now; with `rest`, which is for the end of the input, also what is not full.
  void begin(time_point now, uint64_t unix_now, bool rest);

  /// Drops a job whose intent is safe, but which is not to be asked for any more.
  void drop(const std::string& nonce);

  // -- what comes of them -------------------------------------------------------------

  void on_status(batch_job_status status, time_point now);

  /// Returns the receipt that is confirmed later; nothing: they are of no job of ours, or cannot be kept.
  std::optional<uint64_t> on_results(batch_job_results results);

  /// Returns why the batch cannot go on, where that is so.
  std::optional<failure> on_end(const batch_job_end& end, time_point now);
  std::optional<failure> on_no_job(const std::string& nonce, failure why, time_point now);
  std::optional<failure> on_lost(const std::string& nonce, time_point now);

  // -- how they stand -----------------------------------------------------------------

  bool has_jobs() const { return !book_.empty(); }

  /// Whether items go into jobs where they can.
  bool are_used() const { return rules_.used; }
  bool is_making() const { return !builder_.empty(); }
  std::size_t items_in_making() const { return builder_.items(); }

  /// Jobs that go on at providers.
  std::size_t open() const { return book_.open(); }
  void describe(batch_progress& to, time_point now) const;

private:
  std::shared_ptr<const wire::json_demand> demand_of(const chat_request& request);
  item_origin origin_of(const known_job& job, const job_item& item) const;
  void learn_id(known_job& job, const std::string& id);
  void give_up_rest(known_job& job, const std::string& reason);
  void judge_provider(const known_job& job, const batch_job_end& end, const std::string& reason, time_point now);
  void release(const std::string& nonce, bool keep_live);

  job_rules rules_;
  provider_pool& pool_;
  outcomes& outcomes_;
  std::mt19937_64& random_;
  job_builder builder_;
  job_book book_;
  uint64_t receipts_ = 0;
  std::optional<response_format> last_format_;           ///< Most items of a batch share one,
  std::shared_ptr<const wire::json_demand> last_demand_; ///< and so they share what is checked by it.
};

} // namespace modelforge::batch
