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

constexpr bool is_over(batch_phase x) {
  return x == batch_phase::failed || x == batch_phase::completed || x == batch_phase::expired
         || x == batch_phase::cancelled;
}

/// When a job does what. A tenth of its time goes to checking, eight tenths to its items, the last to the results; who
/// cancels it waits a tenth.
struct batch_schedule {
  clock::time_point created;
  std::chrono::milliseconds takes{0};         ///< From its creation to its end.
  std::chrono::milliseconds window{0};        ///< From its creation until it expires, if it is not over by then.
  bool is_invalid = false;                    ///< It fails once it was checked.
  std::optional<clock::time_point> cancelled; ///< When that was asked.

  batch_phase phase(clock::time_point now) const;

  /// Returns how many of `items` were run by then.
  std::size_t run_by(clock::time_point now, std::size_t items) const;

  /// Returns when the job is over if nothing else comes.
  clock::time_point end() const;
};

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
  json told; ///< What its creator said, or will be told, in the provider's words.
};

/// What a provider makes of items. Has no state.
class batch_clerk {
public:
  virtual ~batch_clerk() = default;

  /// Answers an item as if it had come alone.
  virtual reply answer(const batch_job& job, const exchange& item) const = 0;

  /// Writes the result line of an item that was run; `answer` may be an error, and `is_lost`: the provider failed so
  /// early that there is no answer.
  virtual void write(batch_job& job, const batch_item& item, const exchange& x, const reply& answer,
                     bool is_lost) const = 0;

  /// Writes the line of an item that was never run because the job is `over`: expired or cancelled.
  virtual void write_unrun(batch_job& job, const batch_item& item, const exchange& x, batch_phase over) const = 0;

  /// The job is over, and every item has its line.
  virtual void close(batch_job& job, const exchange& x, hub& shared) const = 0;
};

/// One provider's jobs.
class batch_list {
public:
  /// Takes a new job: numbers it, shuffles its items by the simulator's seed and gives it its time.
  batch_job& add(batch_job job, const exchange& x, std::string_view id_prefix);

  /// Null where there is none.
  batch_job* find(std::string_view id);

  void remove(const batch_job& job);

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

/// Runs what of a job is due when `x` arrives, by the simulator's own handlers, without its limits and faults.
void advance(batch_job& job, const exchange& x, hub& shared, const batch_clerk& by);

/// Returns the answer to the creation of the job, or what `options::batch_cut` and `batch_silence` make of it. Counts
/// the job.
reply after_creation(reply answer, const batch_job& job, const exchange& x, hub& shared);

/// What a path names below `prefix`, which ends in '/': "ID" or "ID/VERB".
struct named_job {
  std::string_view id, verb;
};

named_job name_in(std::string_view path, std::string_view prefix);

/// Returns the value of `name` in a query; empty where it is missing.
std::string_view query_value(std::string_view query, std::string_view name);

/// Returns the query's `limit`, 20 where there is none; nothing where it is not from 1 to `most`.
std::optional<std::size_t> limit_in(std::string_view query, std::size_t most);

} // namespace modelforge::simulator
