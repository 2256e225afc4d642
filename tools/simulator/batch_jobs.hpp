#pragma once

#include "tools/simulator/exchange.hpp"
#include "tools/simulator/generation.hpp"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

/// Batch jobs, in no provider's form yet.
///
/// A job has no timer. Whenever a request looks at it, `advance` works out from its schedule how many of its items are
/// due by now, runs them through the provider's ordinary endpoints and lets the provider's `batch_clerk` write their
/// results. Until then nothing happens, so a thousand waiting jobs cost no processor time.
namespace modelforge::simulator {

struct hub;

/// One request of a job.
struct batch_item {
  std::string custom_id;
  std::string body; ///< JSON; empty once it was run.
};

/// Where a job stands.
enum class batch_phase : uint8_t {
  validating,
  failed, ///< Its input was found wrong: nothing was run.
  in_progress,
  finalizing,
  completed,
  expired,
  cancelling,
  cancelled,
};

/// Returns whether nothing more will happen to a job in that phase.
constexpr bool is_over(batch_phase phase) {
  return phase == batch_phase::failed || phase == batch_phase::completed || phase == batch_phase::expired
         || phase == batch_phase::cancelled;
}

/// When a job does what. A tenth of its time goes to checking, eight tenths to its items, the last to the results; who
/// cancels it waits a tenth.
struct batch_schedule {
  clock::time_point created;
  std::chrono::milliseconds takes{0};         ///< From its creation to its end.
  std::chrono::milliseconds window{0};        ///< From its creation until it expires, if it is not over by then.
  bool is_invalid = false;                    ///< It fails once it was checked.
  std::optional<clock::time_point> cancelled; ///< When that was asked.

  /// Returns where the job stands at that time, which is never before `created`.
  batch_phase phase(clock::time_point now) const;

  /// Returns how many of `items` were run by then.
  std::size_t run_by(clock::time_point now, std::size_t items) const;

  /// Returns when the job is over if nothing else comes.
  clock::time_point end() const;
};

/// One job: what was asked for, how far it has come and the results so far. The members up to `model` are filled by
/// `batch_list::add` and the provider's reader, the others by `advance` and the clerk.
struct batch_job {
  std::string id;
  uint64_t number = 0; ///< From 1: its dialect's jobs.
  batch_schedule schedule;
  int64_t created = 0;           ///< Seconds since 1970.
  std::vector<batch_item> items; ///< In the order in which they are run.
  std::size_t done = 0;          ///< So many of them were run.
  std::size_t succeeded = 0;     ///< Of these.
  std::string model;
  uint64_t tokens = 0; ///< Of all its items' bodies.
  std::string output;  ///< Result lines.
  std::string errors;  ///< Those of errors, where the provider has them apart.
  bool is_closed = false;
  json record; ///< What its creator sent and what is reported back, in the provider's words.
};

/// What a provider makes of items. Has no state.
class batch_clerk {
public:
  virtual ~batch_clerk() = default;

  /// Answers an item as if it had come alone.
  virtual reply answer(const batch_job& job, const exchange& item) const = 0;

  /// Writes the result line of an item that was run; `answer` may be an error, and `is_lost`: the provider failed so
  /// early that there is no answer.
  virtual void write(batch_job& job, const batch_item& item, const exchange& incoming, const reply& answer,
                     bool is_lost) const = 0;

  /// Writes the line of an item that was never run because the job is `over`: expired or cancelled.
  virtual void write_unrun(batch_job& job, const batch_item& item, const exchange& incoming,
                           batch_phase final_phase) const = 0;

  /// The job is over, and every item has its line.
  virtual void close(batch_job& job, const exchange& incoming, hub& shared) const = 0;
};

/// One provider's jobs.
class batch_list {
public:
  /// Takes a new job: numbers it, shuffles its items by the simulator's seed and gives it its time.
  batch_job& add(batch_job job, const exchange& incoming, std::string_view id_prefix);

  /// Null where there is none.
  batch_job* find(std::string_view id);

  /// Forgets the job, which must be one of this list; references to it are invalid afterwards.
  void remove(const batch_job& job);

  /// A part of the list, as the providers' endpoints page through it.
  struct page {
    std::vector<batch_job*> jobs;
    bool has_more = false;
  };

  /// Returns the newest jobs first: those that were created before the job `after`, or all if that is empty.
  page list(std::string_view after, std::size_t limit);

  /// Returns the tokens of the jobs for `model` that are not over yet.
  uint64_t queued_tokens(std::string_view model, clock::time_point now) const;

private:
  std::vector<std::unique_ptr<batch_job>> jobs_; ///< In the order of their creation.
  uint64_t count_ = 0;                           ///< Ever added.
};

/// Runs what of a job is due when `incoming` arrives, by the simulator's own handlers, without its limits and faults.
void advance(batch_job& job, const exchange& incoming, hub& shared, const batch_clerk& clerk);

/// Returns the answer to the creation of the job, or what `options::batch_cut` and `batch_silence` make of it. Counts
/// the job.
reply after_creation(reply answer, const batch_job& job, const exchange& incoming, hub& shared);

/// What a path names below `prefix`, which ends in '/': "ID" or "ID/VERB".
struct named_job {
  std::string_view id, verb;
};

/// Splits `path` at the first slash after `prefix`; both parts are views of `path`.
named_job name_in(std::string_view path, std::string_view prefix);

/// Returns the value of `name` in a query; empty where it is missing.
std::string_view query_value(std::string_view query, std::string_view name);

/// Returns the query's `limit`, 20 where there is none; nothing where it is not from 1 to `max`.
std::optional<std::size_t> limit_in(std::string_view query, std::size_t max);

} // namespace modelforge::simulator
