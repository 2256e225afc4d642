#pragma once

#include "wire/batch_api.hpp"

#include <modelforge/messages/batch_job.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <unordered_set>
#include <utility>
#include <variant>
#include <vector>

namespace modelforge::batch {

using job_time = std::chrono::steady_clock::time_point;

/// The times of a job. Waits before a repetition are drawn between half of what is said here and all of it.
struct job_timing {
  std::chrono::nanoseconds first_poll = std::chrono::seconds{5}; ///< After the creation; each later one 1.5 times.
  std::chrono::nanoseconds last_poll = std::chrono::seconds{60};
  std::chrono::nanoseconds first_retry = std::chrono::seconds{1}; ///< Of a call that failed; each later one twice.
  std::chrono::nanoseconds last_retry = std::chrono::seconds{60};
  uint32_t most_tries = 8; ///< Of an upload, a creation or a cancellation in a row.
  /// Between the two looks that show that a job does not exist: a creation may still be under way at the provider.
  std::chrono::nanoseconds settle = std::chrono::seconds{10};
  std::chrono::seconds clock_difference = std::chrono::minutes{10}; ///< Between our clock and the provider's, at most.
  std::chrono::nanoseconds most_outage = std::chrono::hours{1};     ///< How long other calls may all fail.
  std::chrono::nanoseconds most_told_wait = std::chrono::minutes{15}; ///< A wait that the provider names is cut to it.
};

/// How a call failed that got no whole answer.
struct call_failure {
  failure why;
  bool written = false; ///< The request may have arrived.
};

/// Decides what is sent next for one job of a provider's batch API, and what its answers come to.
///
/// A creation is never repeated where an earlier one may have arrived: then the job is looked for. All else may be
/// repeated. A plain class: time and randomness by argument; not synchronized. After each call of a method that takes
/// one look at `over`, then at `next`.
class job {
public:
  /// `lines`: the items of a creation, encoded. `api` must outlive it.
  job(const wire::batch_api& api, batch_job_request asked, std::vector<std::string> lines, job_timing timing,
      uint64_t seed);

  /// One call to make now.
  struct exchange {
    wire::batch_call call;
    bool results = false; ///< Its answer goes line by line to `take_line`, if its status is one of success.
  };

  /// Returns the call that is due, once: then comes `take_answer` or `take_failure`. Nothing: ask again at `due`.
  std::optional<exchange> next(job_time now);
  job_time due() const { return due_; }

  /// Takes the whole answer to a call; of results only where the status is none of success.
  void take_answer(job_time now, const http::response_head& head, std::string_view body);

  /// Takes one line of results. Returns what it tells, if that is news and ours.
  std::optional<batch_job_result> take_line(std::string_view line);

  /// Whether no more lines are wanted of the results that come: what they are is known.
  bool has_seen_enough() const { return step_ == step::probe && probed_; }

  /// The results' end, after all lines.
  void end_lines(job_time now);

  void take_failure(job_time now, call_failure x);

  /// Has the provider cancel the job, as soon as it is known.
  void cancel(job_time now);

  bool over() const { return end_.has_value(); }

  /// The last word; only when `over`.
  const batch_job_end& end() const { return *end_; }

  /// `elapsed` is left to the caller.
  batch_job_status status(job_time now) const;

private:
  enum class step : uint8_t { upload, create, list, probe, poll, cancel, download };

  void go(step to, job_time when) {
    step_ = to;
    due_ = when;
    tries_ = 0;
  }

  void take_upload(job_time now, const http::response_head& head, std::string_view body);
  void take_job(job_time now, wire::batch_status x);
  void take_list(job_time now, const http::response_head& head, std::string_view body);
  void refuse_or_retry(job_time now, const http::response_head* head, failure why, bool written);
  void retry(job_time now, std::chrono::nanoseconds least);
  void fail(failure why);
  void look_for_it(job_time now);
  void judge_candidates(job_time now);
  void follow(job_time now, wire::batch_status x);
  void fetch_next(job_time now);
  void finish(batch_job_outcome outcome, std::optional<failure> problem = {});
  std::chrono::nanoseconds jittered(std::chrono::nanoseconds x);

  const wire::batch_api& api_;
  batch_job_request asked_;
  std::vector<std::string> lines_;
  job_timing timing_;
  std::mt19937_64 random_;

  step step_ = step::upload;
  job_time due_{};
  uint32_t tries_ = 0;
  job_time failing_since_{}; ///< Where `tries_` is not 0.
  bool out_ = false;         ///< A call is under way.
  std::chrono::nanoseconds poll_interval_;
  bool wants_cancel_ = false;
  bool cancel_sent_ = false;

  std::string input_; ///< What was uploaded.
  wire::batch_status job_;
  std::size_t output_ = 0;  ///< The next of its outputs.
  uint32_t looks_over_ = 0; ///< At a job that was over, but had no outputs.
  std::unordered_set<uint64_t> told_;
  uint64_t told_succeeded_ = 0; ///< Of the good results that the provider tells of, those that have come.
  uint64_t broken_lines_ = 0;
  uint64_t broken_before_ = 0; ///< Of the outputs that have been read to their end.

  // Looking for it.
  std::vector<failure> lost_creations_; ///< Creations of ours, in this life, that may have arrived.
  std::string page_;
  uint32_t pages_ = 0;
  uint32_t looks_without_ = 0;
  bool looks_last_ = false;
  std::optional<job_time> first_look_;
  bool knows_all_ = false;                     ///< What is listed from now on was created later than ours.
  std::unordered_set<std::string> may_be_it_;  ///< Ids of jobs that were there by then.
  std::vector<wire::batch_status> candidates_; ///< Jobs without a nonce that may be ours.
  bool probed_ = false;
  bool probe_is_ours_ = false;

  std::optional<batch_job_end> end_;
};

} // namespace modelforge::batch
