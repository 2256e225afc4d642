#pragma once

#include <modelforge/messages/chat_request.hpp>
#include <modelforge/messages/completion.hpp>
#include <modelforge/messages/enums.hpp>
#include <modelforge/messages/error.hpp>

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

/// What a batch and a provider say to each other of a job of the provider's own batch API.

namespace modelforge {

/// Where a job stands, whichever the provider.
enum class batch_job_state : uint8_t { checking, running, ending, cancelling, completed, failed, expired, cancelled };

template <>
inline constexpr auto enum_names<batch_job_state> = std::to_array<std::string_view>({"checking", "running", "ending",
                                                                                     "cancelling", "completed",
                                                                                     "failed", "expired", "cancelled"});

/// What is known of a job before it is asked for.
enum class batch_job_start : uint8_t {
  create, ///< It does not exist.
  find,   ///< A creation was meant to be sent; whether it was, and arrived, is not known. It is never created.
  attach, ///< It exists, and its id is known.
};

template <>
inline constexpr auto enum_names<batch_job_start> = std::to_array<std::string_view>({"create", "find", "attach"});

/// One request of a job.
struct batch_job_item {
  uint64_t number = 0; ///< Any, used once in a job; comes back with the result.
  chat_request request;

  friend bool operator==(const batch_job_item&, const batch_job_item&) = default;
};

/// Asks a provider to see a job through.
struct batch_job_request {
  std::string nonce; ///< Names the job: up to 32 letters and digits, never used for another one.
  batch_job_start start = batch_job_start::create;
  std::string model;                 ///< Of its items; empty: the provider's `default_model`.
  std::vector<batch_job_item> items; ///< To `create`: at least one, all for that model.
  std::string job;                   ///< To `attach`: the provider's id.
  uint64_t not_before = 0;           ///< To `find`: when it was meant to be created, seconds since 1970.
  std::vector<std::string> others;   ///< To `find`: ids of jobs that are known to be others.
  bool cancel = false;               ///< Cancel it as soon as it is known; what it has done still comes.

  friend bool operator==(const batch_job_request&, const batch_job_request&) = default;
};

/// How a job stands.
struct batch_job_status {
  std::string nonce;
  std::string job; ///< The provider's id; empty while there is none.
  batch_job_state state = batch_job_state::checking;
  std::string raw_state;  ///< The provider's own word; empty before its first answer.
  uint64_t total = 0;     ///< Items; 0 while the provider does not know.
  uint64_t succeeded = 0; ///< Of these. Some providers tell it only when the job is over.
  uint64_t failed = 0;
  std::chrono::nanoseconds elapsed{0};                 ///< Since it was asked for.
  std::optional<std::chrono::nanoseconds> next_look{}; ///< Until the provider is asked again.

  friend bool operator==(const batch_job_status&, const batch_job_status&) = default;
};

/// How one item of a job ended.
struct batch_job_result {
  uint64_t number = 0;
  bool run = true; ///< False: the provider did not come to it (expired, cancelled), and charges nothing.
  std::variant<completion, failure> outcome;

  friend bool operator==(const batch_job_result&, const batch_job_result&) = default;
};

/// Some results, in any order; each comes once in a job's life at a listener.
struct batch_job_results {
  std::string nonce;
  std::vector<batch_job_result> results;

  friend bool operator==(const batch_job_results&, const batch_job_results&) = default;
};

/// What became of a job.
enum class batch_job_outcome : uint8_t {
  finished,  ///< Over, and all its results have been told. Items without one were not run.
  absent,    ///< To `find`: it was never created.
  refused,   ///< It was not created, or failed as a whole: none of its items was run. See `problem`.
  busy,      ///< The same, but the provider may take it later: its queue of batch tokens is full.
  undecided, ///< It may exist, or its results cannot be had now. See `problem`; ask again later, with `find` or
             ///< `attach`.
};

template <>
inline constexpr auto enum_names<batch_job_outcome> = std::to_array<std::string_view>({"finished", "absent", "refused",
                                                                                       "busy", "undecided"});

/// The last thing told of a job.
struct batch_job_end {
  std::string nonce;
  std::string job; ///< Empty: none is known.
  batch_job_outcome outcome = batch_job_outcome::finished;
  std::optional<failure> problem; ///< Why it did not finish, or not all of it.
  /// `finished`: items without a result may have been run, but what came of them cannot be had.
  bool unreadable = false;

  friend bool operator==(const batch_job_end&, const batch_job_end&) = default;
};

template <class Inspector>
bool inspect(Inspector& f, batch_job_item& x) {
  return f.object(x).fields(f.field("number", x.number), f.field("request", x.request));
}

template <class Inspector>
bool inspect(Inspector& f, batch_job_request& x) {
  return f.object(x).fields(f.field("nonce", x.nonce), f.field("start", x.start), f.field("model", x.model),
                            f.field("items", x.items), f.field("job", x.job), f.field("not_before", x.not_before),
                            f.field("others", x.others), f.field("cancel", x.cancel));
}

template <class Inspector>
bool inspect(Inspector& f, batch_job_status& x) {
  return f.object(x).fields(f.field("nonce", x.nonce), f.field("job", x.job), f.field("state", x.state),
                            f.field("raw_state", x.raw_state), f.field("total", x.total),
                            f.field("succeeded", x.succeeded), f.field("failed", x.failed),
                            f.field("elapsed", x.elapsed), f.field("next_look", x.next_look));
}

template <class Inspector>
bool inspect(Inspector& f, batch_job_result& x) {
  return f.object(x).fields(f.field("number", x.number), f.field("run", x.run), f.field("outcome", x.outcome));
}

template <class Inspector>
bool inspect(Inspector& f, batch_job_results& x) {
  return f.object(x).fields(f.field("nonce", x.nonce), f.field("results", x.results));
}

template <class Inspector>
bool inspect(Inspector& f, batch_job_end& x) {
  return f.object(x).fields(f.field("nonce", x.nonce), f.field("job", x.job), f.field("outcome", x.outcome),
                            f.field("problem", x.problem), f.field("unreadable", x.unreadable));
}

} // namespace modelforge
