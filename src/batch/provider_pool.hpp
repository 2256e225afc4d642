#pragma once

#include "batch/clock.hpp"
#include "batch/spread.hpp"

#include <modelforge/messages/errc.hpp>
#include <modelforge/messages/status.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace modelforge::batch {

/// What a batch's owner says of one of its providers.
struct provider_terms {
  double weight = 0;      ///< Its share beside the others'; 0: by what it has to do.
  double job_price = 0.5; ///< What an item costs in its batch API, beside a live one.
};

/// What bounds the jobs of a batch's providers.
struct job_limits {
  std::chrono::nanoseconds busy_pause = std::chrono::seconds{30}; ///< The first one of a provider with a full queue.
  std::size_t max_jobs = 10;                                      ///< At a time, of all providers together.
};

/// Whether another provider may do better at what failed so. False for what may have been carried out: that is not sent
/// again.
bool is_provider_failure(errc code);

/// A batch's providers: who gets the next item or job, who is left alone for a while, and how much each one takes.
///
/// Live items go by `spread` to those that have not failed lately; where all have, to one of these rather than to none.
/// A provider takes jobs until it refuses one. One whose queue of jobs is full is left alone for a pause that doubles
/// each time; if nothing of ours was in that queue, its jobs are made half as large, one at a time from then on.
/// Used by `schedule`, which tells it of all that is sent and of how it ends.
class provider_pool {
public:
  provider_pool(const std::vector<provider_terms>& terms, job_limits limits);

  std::size_t size() const { return providers_.size(); }
  const std::string& name(std::size_t provider) const { return providers_[provider].name; }
  std::optional<std::size_t> find(const std::string& name) const;

  // -- how they are ---------------------------------------------------------------

  /// Whether it is time to ask all of them how they are, which the caller then does: each one answers once.
  bool start_asking(time_point now);
  void on_status(std::size_t provider, const provider_status& status);
  void on_no_status() { --awaited_; }
  bool all_answered() const { return awaited_ == 0; }

  /// Whether any has said how it is yet.
  bool any_is_known() const;

  /// Items that all of them together send at a time.
  uint64_t slots() const;

  /// Items in flight that only wait to be repeated, as far as these need not count.
  uint64_t waiting() const;

  // -- live items -----------------------------------------------------------------

  /// Chooses a provider for an item, not one that it was `tried` at. Nothing: none is left.
  std::optional<std::size_t> choose(const std::vector<bool>& tried, time_point now);

  void on_sent(std::size_t provider) { ++providers_[provider].in_flight; }
  void on_returned(std::size_t provider) { --providers_[provider].in_flight; }

  /// A failure of the provider's own: one that lasts keeps new items away from it. Returns whether it does.
  bool on_failure(std::size_t provider, errc code, time_point now);

  // -- jobs -----------------------------------------------------------------------

  /// Chooses a provider for a new job. Nothing: none takes jobs.
  std::optional<std::size_t> choose_for_job(time_point now);

  bool any_takes_jobs() const;
  bool may_begin_job(std::size_t provider, time_point now) const;

  /// Whether what came back may be read again: some provider would get it now, live or in a job.
  bool may_begin_any(time_point now) const;

  /// The most items of a job, as far as the provider's queue has shown.
  std::size_t max_job_items(std::size_t provider) const { return providers_[provider].max_job_items; }

  /// Jobs of ours at the provider.
  std::size_t jobs(std::size_t provider) const { return providers_[provider].jobs; }

  /// When the next provider is offered jobs again that is left alone now.
  std::optional<time_point> next_offer(time_point now) const;

  void on_job_begun(std::size_t provider) { ++providers_[provider].jobs; }
  void on_job_gone(std::size_t provider) { --providers_[provider].jobs; }

  /// The queue has room again.
  void on_job_done(std::size_t provider);

  /// The provider gets no more jobs: it has no batch API, or that refuses, or saves nothing.
  void refuse_jobs(std::size_t provider) { providers_[provider].takes_jobs = false; }

  /// The queue was full for a job of so many items. Returns false if the smallest job does not fit in an empty queue.
  bool on_job_busy(std::size_t provider, std::size_t items, time_point now);

private:
  struct provider {
    double weight = 0;
    std::string name;
    uint64_t in_flight = 0;
    uint64_t slots = 1;
    uint64_t waiting = 0; ///< Retries that wait for their time, ours and others'.
    std::chrono::nanoseconds predicted_wait{0};
    time_point out_until{};
    std::size_t jobs = 0;
    bool takes_jobs = true;
    time_point no_job_before{};
    std::size_t max_job_items = SIZE_MAX;
    std::chrono::nanoseconds busy_pause{0};
  };

  std::vector<provider_load> loads() const;

  std::vector<provider> providers_;
  job_limits limits_;
  spread spread_;
  std::size_t awaited_ = 0; ///< Answers to the last question.
  std::optional<time_point> asked_at_;
};

} // namespace modelforge::batch
