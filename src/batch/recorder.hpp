#pragma once

#include "batch/ledger.hpp"
#include "batch/writer.hpp"

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <variant>
#include <vector>

namespace modelforge::batch {

/// How one item ended.
struct record {
  uint64_t item = 0; ///< Counts from 0.
  std::string custom_id;
  std::variant<completion, failure> outcome;
  uint32_t input_sum = 0; ///< Of its line in the input; 0: not known.
  std::string body{};     ///< Of an answer that is no chat completion, as JSON; empty: it is one.
};

/// What is safe now.
struct recorder_news {
  uint64_t kept = 0; ///< Of the things given to the recorder, how many are.
  uint64_t ok = 0;   ///< Items with a completion, those of earlier runs included.
  uint64_t failed = 0;
  flaw_counts flawed;             ///< Of `ok`.
  std::optional<failure> problem; ///< Why nothing more will be kept.
  bool finished = false;          ///< The last news.
  std::string place;              ///< Where the output is, with `finished`; empty: it was not written.
};

/// Keeps a batch's results, on a thread of its own: in a ledger, from which the output is written at the end; or, for
/// outputs that are no files, in the output itself, where they count when they have been handed to the system.
///
/// What comes during a sync shares the next one: a slow disk makes these groups larger, not the batch slower. Called by
/// one thread.
class recorder {
public:
  /// `book` may be null: then `out` gets the lines as they come or, without `by_arrival`, in the order of the input. An
  /// item that waits there for an earlier one does not count as kept. `tell` is called on the recorder's thread; it
  /// must not block, and is not called after the destructor.
  recorder(std::unique_ptr<ledger> book, std::unique_ptr<sink> out, bool by_arrival,
           std::function<void(const recorder_news&)> tell);

  /// Keeps what was given before; does not write the output.
  ~recorder();

  recorder(const recorder&) = delete;
  recorder& operator=(const recorder&) = delete;

  /// Takes a result.
  void add(record result);

  /// Takes an event for the ledger, soon kept; without a ledger it is kept at once.
  void note(ledger_event event);

  /// Writes the output, under its final name if the batch is `complete`; then comes the last news.
  void finish(bool complete);

private:
  using task = std::variant<record, ledger_event>;

  void run();
  bool keep(std::vector<task>& group);
  std::optional<failure> take(task& given);
  std::optional<failure> write(const record& result);
  std::optional<failure> write_output(bool complete);
  void report(bool finished);

  std::unique_ptr<ledger> book_;
  std::unique_ptr<sink> out_;
  bool by_arrival_;
  std::function<void(const recorder_news&)> tell_;
  recorder_news news_;
  std::map<uint64_t, record> waiting_; ///< For earlier items, without a ledger.
  uint64_t next_ = 0;                  ///< The item whose turn it is there.

  std::mutex mutex_;
  std::condition_variable wake_;
  std::vector<task> inbox_;      ///< Guarded by `mutex_`, as are the next two.
  bool closing_ = false;         ///< The owner leaves.
  std::optional<bool> complete_; ///< `finish` was called.
  std::thread thread_;
};

} // namespace modelforge::batch
