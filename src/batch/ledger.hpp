#pragma once

#include "batch/ledger_file.hpp"

#include <modelforge/messages/batch.hpp>
#include <modelforge/messages/completion.hpp>

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace modelforge::batch {

/// What decides whether a ledger belongs to a batch.
struct ledger_input {
  uint64_t size = 0; ///< Bytes.
  uint64_t hash = 0; ///< Of all of them: FNV-1a, 64 bits.
  std::string path;  ///< For people.
};

/// Reads a regular file for its size and hash.
std::variant<ledger_input, failure> read_ledger_input(const std::string& path);

/// The result of one item, as the ledger keeps it.
struct ledger_result {
  uint64_t item = 0; ///< Counts from 0; less than the input's size in bytes.
  bool ok = false;
  uint64_t attempts = 0;
  token_usage usage;
  std::optional<double> cost;
  std::string provider;                 ///< That answered; empty: none.
  std::string line;                     ///< The output's line: a JSON object without the line's end.
  uint32_t input_sum = 0;               ///< Of its line in the input (`item::sum`); 0: not known.
  answer_flaw flaw = answer_flaw::none; ///< Of an answer.
};

/// A job of a provider's batch API that has been begun. Its items are whole ranges, first and last of each.
struct ledger_job {
  std::string nonce;
  std::string provider;
  std::string model;
  uint64_t at = 0; ///< When it was meant to be created, seconds since 1970.
  std::vector<std::pair<uint64_t, uint64_t>> items;
  std::string id;      ///< The provider's; empty: whether it was created is not known.
  uint64_t offset = 0; ///< Where the ledger has its intent; not for those that are noted.
};

/// A job has got an id at its provider.
struct job_named {
  std::string nonce;
  std::string id;
};

/// Nothing more comes of a job.
struct job_ended {
  std::string nonce;
  std::string outcome; ///< For people.
};

/// The input has been read to its end.
struct input_total {
  uint64_t items = 0;
};

/// What a ledger is told beside results; a `ledger_job` without an id: it is about to be created.
using ledger_event = std::variant<ledger_job, job_named, job_ended, input_total>;

/// What a ledger holds, but for the results themselves.
struct ledger_summary {
  ledger_input input;
  uint64_t ok = 0;
  uint64_t failed = 0;
  flaw_counts flawed; ///< Of `ok`.
  uint64_t attempts = 0;
  token_usage usage;
  std::optional<double> cost;
  std::optional<uint64_t> total;          ///< Items of the input, once it has been read to its end.
  std::map<std::string, ledger_job> jobs; ///< Those that have not ended, by nonce.
  std::vector<std::string> ids_of_ended_jobs;
  std::map<std::string, std::string> made_with; ///< What the last run that said it was made with, by name.
};

/// Keeps the results of a batch so that none that counts is lost, whatever crashes when. docs/batches.md describes the
/// file. Lines are only ever appended, and count when a sync covers them: until then they wait in `unsynced_`, and what
/// is asked here knows nothing of them. Each line says how much was synced before it, which tells a tail that a crash
/// has torn (it is cut off) from damage (it is refused). Holds 8 bytes an item, whatever the results' size. Used by one
/// thread at a time; `sync` may block for long.
class ledger {
public:
  enum class state : uint8_t { missing, ok, failed };

  /// Takes up what an earlier run left in `file`, or begins; with `fresh`, what is there is dropped. A torn tail is cut
  /// off. Refused, with the file left as it was: damage in front of what is known to have been synced, another input,
  /// another version; with `fresh`, only what cannot have been a ledger (`io_failed`). `path` is for messages.
  /// `any_input`: one of another input is opened as it is; then `check` tells.
  static std::variant<std::unique_ptr<ledger>, failure> open(std::unique_ptr<ledger_file> file, std::string path,
                                                             ledger_input input, bool fresh = false,
                                                             bool any_input = false);

  /// Returns why it does not belong to an input, if it does not.
  std::optional<failure> check(const ledger_input& wanted) const;

  /// Looks at a ledger that may be in use; changes nothing, and what is being written may be missing.
  static std::variant<ledger_summary, failure> look(const std::string& path);

  /// Appends a result, in place of an earlier one of its item. Like all that follow, it does not count before `sync`,
  /// and a failure is final: every later call returns it, too.
  std::optional<failure> add(const ledger_result& result);

  /// Appends that a job is about to be created.
  std::optional<failure> intend(const ledger_job& job);

  /// Appends what id a job has got.
  std::optional<failure> name_job(const std::string& nonce, const std::string& id);

  /// Appends that nothing more comes of a job; `outcome` is for people.
  std::optional<failure> end_job(const std::string& nonce, std::string_view outcome);

  /// Appends how many items the input has.
  std::optional<failure> note_total(uint64_t items);

  /// Appends what the run that begins is made with (`batch_options::made_with`).
  std::optional<failure> note_run(const std::map<std::string, std::string>& made_with);

  /// Appends that it belongs to another input from now on, of which it has no results of the items in `again`: ranges,
  /// first and last of each.
  std::optional<failure> change_input(const ledger_input& now, const std::vector<std::pair<uint64_t, uint64_t>>& again);

  /// Appends an event of a batch that runs.
  std::optional<failure> note(const ledger_event& event);

  /// Makes all that was added count.
  std::optional<failure> sync();

  /// Has the last line say how much was synced before it, so that damage in front of it is noticed for what it is. At
  /// the end of a run.
  std::optional<failure> seal();

  state of(uint64_t item) const {
    return item < places_.size() ? static_cast<state>(places_[item] & state_mask) : state::missing;
  }

  /// Returns the items of a job, in ranges, that have had no result since it was about to be created: those of which
  /// something may come. (What has had one since has had it of this job.)
  std::vector<std::pair<uint64_t, uint64_t>> unanswered(const ledger_job& job) const;

  /// One more than the last item that has a result.
  uint64_t known() const { return places_.size(); }

  /// Whether it has nothing but its header.
  bool is_new() const { return places_.empty() && summary_.jobs.empty() && !summary_.total; }

  const ledger_summary& summary() const { return summary_; }

  /// Returns by item the sum of the line that its result is of; 0: not known, or there is none.
  std::variant<std::vector<uint32_t>, failure> input_sums();

  /// Returns the output's line of an item that is not missing.
  std::variant<std::string, failure> line(uint64_t item);

  /// Calls `each` with the output's line of every item, in the order of the input or, `by_arrival`, of their results'
  /// ends, until it returns a failure.
  std::optional<failure> for_each_line(bool by_arrival,
                                       const std::function<std::optional<failure>(std::string_view)>& each);

private:
  /// What an appended line will change once it counts.
  struct change {
    uint64_t offset;
    std::string event; ///< Its members; empty: it is `result`.
    ledger_result result;
  };

  /// A place: an offset in front, then the flaw, then the state.
  static constexpr uint64_t state_mask = 3;
  static constexpr int flaw_shift = 2;
  static constexpr int offset_shift = 5;

  /// Where the item's line begins.
  uint64_t offset_of(uint64_t item) const { return places_[item] >> offset_shift; }

  answer_flaw flaw_of(uint64_t item) const {
    return static_cast<answer_flaw>((places_[item] & ((1u << offset_shift) - 1)) >> flaw_shift);
  }

  ledger(std::unique_ptr<ledger_file> file, std::string path) : file_(std::move(file)), path_(std::move(path)) {}

  /// Reads the file. `torn_at`: where its torn tail begins, if there is one.
  std::optional<failure> drop();
  std::optional<failure> load(std::optional<uint64_t>& torn_at);
  std::optional<failure> take(std::string_view line, uint64_t offset);
  std::optional<failure> take_header(std::string_view line);
  std::optional<failure> begin();
  std::optional<failure> append(std::string_view body);
  std::optional<failure> write();
  std::optional<failure> append_event(const std::string& body);
  void count(const ledger_result& result, uint64_t offset);
  void count_event(std::string_view body, uint64_t offset);
  void forget(uint64_t item);

  std::unique_ptr<ledger_file> file_;
  std::string path_;
  ledger_summary summary_;
  uint64_t size_ = 0;
  uint64_t sealed_at_ = 0;      ///< Its size behind the last seal.
  uint64_t synced_ = 0;         ///< Bytes of the file that are known to outlive a crash.
  std::deque<uint64_t> places_; ///< By item.
  std::vector<change> unsynced_;
  std::string buffer_;   ///< Appended, and not written yet.
  std::string read_;     ///< A piece of the file, for `line`.
  uint64_t read_at_ = 0; ///< Where it begins.
  std::optional<failure> problem_;
};

} // namespace modelforge::batch
