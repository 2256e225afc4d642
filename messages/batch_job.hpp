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

///
/// A job is created once, and money is spent when it is: so its name (`nonce`) is written to the ledger before it is
/// asked for, and a creation of which no answer came is looked for (`find`) and never repeated. The listener gets
/// `batch_job_status` whenever it changes, `batch_job_results` in pieces which it has to keep before it gets more, and
/// exactly one `batch_job_end`. What a provider's states mean is decided by its dialect (`wire/batch_api.hpp`).

namespace modelforge {

/// Where a job stands, whichever the provider. The first four are on the way (`checking`: the provider validates the
/// input; `ending`: items are done, results are being written), the other four are final.
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

/// Asks a provider to see a job through: to create, find or attach to it, look how it stands, fetch its results. Which
/// fields count depends on `start`, as they say; the others are ignored.
struct batch_job_request {
  /// The one name of a job that exists before the job does: it is in the ledger, in the provider's metadata or in the
  /// items' ids, and in every message below.
  std::string nonce; ///< Names the job: up to 32 letters and digits, never used for another one.
  batch_job_start start = batch_job_start::create;
  std::string model;                 ///< Of its items; empty: the provider's `default_model`.
  std::vector<batch_job_item> items; ///< To `create`: at least one, all for that model.
  std::string job;                   ///< To `attach`: the provider's id.
  uint64_t not_before = 0;           ///< To `find`: when it was meant to be created, seconds since 1970.
  /// They keep `find` from taking an older job for the lost one, where a provider keeps no nonce.
  std::vector<std::string> others; ///< To `find`: ids of jobs that are known to be others.
  bool cancel = false;             ///< Cancel it as soon as it is known; what it has done still comes.

  friend bool operator==(const batch_job_request&, const batch_job_request&) = default;
};

/// How a job stands. Figures are the provider's, and may jump: some report them at the end only.
struct batch_job_status {
  std::string nonce;
  std::string job; ///< The provider's id; empty while there is none.
  batch_job_state state = batch_job_state::checking;
  /// May be a word that we do not know; then `state` is `running`, since it is no known end.
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

/// Some results, in any order; each comes once in a job's life at a listener. The listener answers when it has kept
/// them, which is what bounds how many are in memory.
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

/// The last message about a job; what follows from it is the batch's to decide: send the rest again, look later, or
/// stop.
struct batch_job_end {
  std::string nonce;
  std::string job; ///< Empty: none is known.
  batch_job_outcome outcome = batch_job_outcome::finished;
  std::optional<failure> problem; ///< Why it did not finish, or not all of it.
  /// `finished`: items without a result may have been run, but what came of them cannot be had.
  bool unreadable = false;

  friend bool operator==(const batch_job_end&, const batch_job_end&) = default;
};

// What CAF sends: the fields in this order, without names. Whoever changes it raises `wire_version` (node_hello.hpp).
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
