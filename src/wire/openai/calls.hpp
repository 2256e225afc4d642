#pragma once

#include "wire/call_list.hpp"
#include "wire/call_part.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace modelforge::wire::openai {

/// Knows which call of a streamed answer a part belongs to.
///
/// As published, the first part of a call has its id and name, and the others the same index. Servers leave out indices
/// or ids, give all calls one index or each part another, repeat ids and names in each part or make up new ids, and cut
/// names in pieces. What a part can only mean in one way is understood: a name begins a call unless it goes on with one
/// that has begun, a call whose arguments are whole takes no more of them, and calls without indices of their own come
/// one behind the other. Where a part may belong to several calls, or to none, nobody may guess: arguments in the wrong
/// call are carried out.
class call_joiner {
public:
  /// `calls`: to which the parts are added; lives as long as this does.
  explicit call_joiner(call_list& calls) : calls_(calls) {}

  /// The parts that come now stand in one chunk: what of them have names are calls of their own.
  void begin_chunk() { ++chunk_; }

  /// Adds a part, and hands on what is known by it. False where it cannot be told which call it belongs to. `pieces` is
  /// raised by how many were handed on; the other arguments are as in `call_list::add`.
  bool add(const call_part& part, std::string_view answer_id, std::string& scratch, piece_sink& sink, uint64_t& pieces);

  /// Calls were added otherwise, which are whole.
  void skip_whole() { origins_.resize(calls_.size()); }

  /// Whether two calls may be one that was told twice, as they have one place, one name and the same arguments, and no
  /// ids of their own; or one lacks arguments that another call seems to repeat. Known at the end.
  bool is_doubtful() const;

private:
  /// What a part says of its call.
  struct clue {
    std::optional<int64_t> index; ///< As the server counts.
    std::string id, name;
    bool has_arguments = false;
    bool is_blank = true;       ///< Of them: white space alone.
    bool begins_object = false; ///< What it has of them may be their beginning.
  };

  /// What is known of a call but what `call_list` keeps.
  struct origin {
    std::optional<int64_t> index;
    uint64_t chunk = 0;                   ///< In which it began.
    std::optional<std::size_t> resembles; ///< A call that may be the same.
    bool has_id = false;                  ///< The server gave it one.
    bool may_lack = false;                ///< Its arguments may have been taken for another call's, said again.
  };

  using place = std::optional<std::size_t>; ///< Nothing: it cannot be told.

  place place_of(const clue& part);
  place by_id(const clue& part, std::size_t call);
  place by_new_id(const clue& part);
  place by_name(const clue& part);
  place by_index(const clue& part);
  place only_open() const;
  place latest(const std::optional<int64_t>& index, const clue& part) const;

  std::size_t begin(const clue& part, place resembles = {});
  place last_at(const std::optional<int64_t>& index) const;
  place last_of(std::string_view id, const std::optional<int64_t>& index) const;
  void add_name(std::size_t call, const std::string& piece);

  bool is_whole(std::size_t call) const { return calls_[call].arguments.is_whole(); }
  bool is_untouched(std::size_t call) const { return calls_[call].arguments.is_empty(); }
  bool is_cut(std::size_t call) const { return !is_whole(call) && !is_untouched(call); }
  bool has_name(std::size_t call, std::string_view name) const { return calls_[call].call.name == name; }

  call_list& calls_;
  std::vector<origin> origins_; ///< Of each call.
  uint64_t chunk_ = 0;
};

} // namespace modelforge::wire::openai
