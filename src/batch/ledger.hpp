#pragma once

#include "batch/ledger_entry.hpp"
#include "batch/ledger_file.hpp"

#include <modelforge/messages/batch.hpp>
#include <modelforge/messages/completion.hpp>

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace modelforge::batch {

/// A line of the input that has a result.
struct known_line {
  uint32_t sum = 0; ///< Of the line that the result is of; 0: not known.
  uint64_t id = 0;  ///< `hash_of` its custom_id; 0: there is no result, or it names none.

  static uint64_t hash_of(std::string_view custom_id);
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

  /// Appends what else has happened.
  std::optional<failure> note(const ledger_event& event);

  /// Makes all that was added count.
  std::optional<failure> sync();

  /// Has the last line say how much was synced before it, so that damage in front of it is noticed for what it is. At
  /// the end of a run.
  std::optional<failure> seal();

  state of(uint64_t item) const { return item < places_.size() ? state_in(places_[item]) : state::missing; }

  /// Returns the items of a job, in ranges, that have had no result since it was about to be created: those of which
  /// something may come. (What has had one since has had it of this job.)
  item_list unanswered(const ledger_job& job) const;

  /// One more than the last item that has a result.
  uint64_t known() const { return places_.size(); }

  /// Whether it has nothing but its header.
  bool is_new() const { return places_.empty() && summary_.jobs.empty() && !summary_.total; }

  const ledger_summary& summary() const { return summary_; }

  /// Returns by item what is known of the line that its result is of. Reads the whole file.
  std::variant<std::vector<known_line>, failure> known_lines();

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
    std::variant<ledger_result, ledger_event> what; ///< A result without its line.
  };

  /// Where an item's result is and how it stands, in 8 bytes: an offset in front, then the flaw, then the state.
  static constexpr uint64_t state_mask = 3;
  static constexpr int flaw_shift = 2;
  static constexpr int unpriced_shift = 5;
  static constexpr int offset_shift = 6;

  /// Where the item's line begins.
  uint64_t offset_of(uint64_t item) const { return places_[item] >> offset_shift; }

  static state state_in(uint64_t place) { return static_cast<state>(place & state_mask); }

  ledger(std::unique_ptr<ledger_file> file, std::string path) : file_(std::move(file)), path_(std::move(path)) {}

  /// Reads the file. `torn_at`: where its torn tail begins, if there is one.
  std::optional<failure> load(std::optional<uint64_t>& torn_at);
  std::optional<failure> drop();
  std::optional<failure> take(std::string_view line, uint64_t offset);
  std::optional<failure> take_header(std::string_view line);
  std::optional<failure> begin();
  std::optional<failure> append(std::string_view body);
  std::optional<failure> append(std::string_view body, std::variant<ledger_result, ledger_event> what);
  std::optional<failure> write();
  void count(const ledger_result& result, uint64_t offset);
  void count(const ledger_event& event, uint64_t offset);
  void change_input(const input_change& change);
  void set_place(uint64_t item, uint64_t place);
  void count_place(uint64_t place, bool is_there);
  std::vector<uint64_t> items_by_arrival() const;

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
