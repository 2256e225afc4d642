#pragma once

#include "batch/clock.hpp"
#include "batch/job_results.hpp"
#include "batch/job_search.hpp"
#include "wire/batch_api.hpp"

#include <modelforge/messages/batch_job.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace modelforge::batch {

/// The times of a job. Waits before a repetition are drawn between half of what is said here and all of it.
struct job_timing {
  std::chrono::nanoseconds first_poll = std::chrono::seconds{5}; ///< After the creation; each later one 1.5 times.
  std::chrono::nanoseconds last_poll = std::chrono::seconds{60};
  std::chrono::nanoseconds first_retry = std::chrono::seconds{1}; ///< Of a call that failed; each later one twice.
  std::chrono::nanoseconds last_retry = std::chrono::seconds{60};
  uint32_t max_tries = 8; ///< Of an upload, a creation or a cancellation in a row.
  /// Between the two looks that show that a job does not exist: a creation may still be under way at the provider.
  std::chrono::nanoseconds settle = std::chrono::seconds{10};
  std::chrono::seconds clock_difference = std::chrono::minutes{10};  ///< Between our clock and the provider's, at most.
  std::chrono::nanoseconds max_outage = std::chrono::hours{1};       ///< How long other calls may all fail.
  std::chrono::nanoseconds max_told_wait = std::chrono::minutes{15}; ///< A wait that the provider names is cut to it.
};

/// How a call failed that got no whole answer.
struct call_failure {
  failure why;
  bool written = false; ///< The request may have arrived.
};

/// Decides what is sent next for one job of a provider's batch API, and what its answers come to: one call at a time,
/// in steps from the upload to the download of its results. Each call that fails in passing is made again, ever later.
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
  std::optional<exchange> next(time_point now);
  time_point due() const { return call_.due; }

  /// Takes the whole answer to a call; of results only where the status is none of success.
  void take_answer(time_point now, const http::response_head& head, std::string_view body);

  /// Takes one line of results. Returns what it tells, as far as that is news and ours: one result, but several where a
  /// server writes a JSON array in place of lines.
  std::vector<batch_job_result> take_line(std::string_view line);

  /// Returns one of the results that came in lines and were kept back, once the job is over; nothing where none is
  /// left. They are failures: a good result of the same item may have stood behind each.
  std::optional<batch_job_result> take_kept();

  /// Whether no more lines are wanted of the results that come: what they are is known.
  bool has_seen_enough() const { return call_.what == step::probe && search_.has_probed(); }

  /// The results' end, after all lines.
  void end_lines(time_point now);

  void take_failure(time_point now, call_failure failed);

  /// Has the provider cancel the job, as soon as it is known.
  void cancel(time_point now);

  bool over() const { return end_.has_value(); }

  /// The last word; only when `over`.
  const batch_job_end& end() const { return *end_; }

  /// `elapsed` is left to the caller.
  batch_job_status status(time_point now) const;

private:
  enum class step : uint8_t { upload, create, list, probe, poll, cancel, download };
  enum class cancellation : uint8_t { unwanted, wanted, sent };

  /// The call that is due, or under way.
  struct pending_call {
    step what = step::upload;
    time_point due{};
    bool is_out = false;        ///< It is under way.
    uint32_t tries = 0;         ///< That failed, in a row.
    time_point failing_since{}; ///< Where `tries` is not 0.
  };

  /// Creations of ours, in this life, that may have arrived.
  struct lost_creations {
    std::vector<failure> all;
    bool looked_last = false; ///< It was looked for once more, before it is given up.
  };

  void go(step to, time_point when);
  void take_upload(time_point now, const http::response_head& head, std::string_view body);
  void take_job(time_point now, wire::batch_status status);
  void take_list(time_point now, const http::response_head& head, std::string_view body);
  void refuse_or_retry(time_point now, const http::response_head* head, failure why, bool written);
  void retry(time_point now, std::chrono::nanoseconds least);
  void fail(failure why);
  void look_for_it(time_point now);
  void go_on_looking(time_point now, job_search::finding found);
  void go_without(time_point now);
  void take_result(std::string_view text, std::vector<batch_job_result>& to);
  void follow(time_point now, wire::batch_status status);
  void lengthen_poll_interval();
  void fetch_next(time_point now);
  void finish(batch_job_outcome outcome, std::optional<failure> problem = {});
  std::chrono::nanoseconds jittered(std::chrono::nanoseconds wait);

  const wire::batch_api& api_;
  batch_job_request asked_;
  std::vector<std::string> lines_;
  job_timing timing_;
  std::mt19937_64 random_;
  pending_call call_;
  std::chrono::nanoseconds poll_interval_;
  cancellation cancellation_;
  std::string input_; ///< What was uploaded.
  lost_creations lost_;
  job_search search_;
  wire::batch_status job_;  ///< Where it is known.
  uint32_t looks_over_ = 0; ///< At it when it was over, but had no outputs.
  job_results results_;
  std::optional<batch_job_end> end_;
};

} // namespace modelforge::batch
