#pragma once

#include "wire/piece_growth.hpp"
#include "wire/stream.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace modelforge::wire::openai {

/// Text that was said, known by its length and a hash: enough to tell whether another text is the same, or goes on with
/// it.
class said_text {
public:
  void add(std::string_view more);

  /// As if all that `next` has were added.
  void add(const said_text& next);

  bool is_empty() const { return size_ == 0; }

  /// Returns what of a whole text was not said yet; nothing where what was said is no beginning of it. Of two texts of
  /// one length nobody looks at the letters.
  std::optional<std::string_view> rest_of(std::string_view whole) const;

private:
  uint64_t size_ = 0;
  uint64_t hash_ = 0;
};

/// What an item of a Responses answer is.
enum class item_kind : uint8_t { unknown, message, reasoning, call };

/// A part of an item: one of its texts.
struct item_part {
  void (piece_sink::*kind)(std::string_view) = nullptr;
  std::optional<uint64_t> index; ///< As the server counts.
  said_text said;
  bool is_whole = false;                  ///< Its end was told.
  std::unique_ptr<piece_growth> growth{}; ///< Null once it is known that its pieces are new.
};

/// What an item has said so far.
struct item_state {
  item_kind kind = item_kind::unknown;
  std::string id, call_id;              ///< Empty where none was told.
  std::optional<int64_t> index;         ///< As the server counts.
  std::optional<std::size_t> call = {}; ///< Its place among the calls, where it is one.
  std::vector<item_part> parts = {};
  bool has_arguments = false; ///< Some were said.
  bool is_begun = false;      ///< Its beginning was told.
  bool is_whole = false;      ///< Its end was told.
  bool is_listed = false;     ///< It was met in the list of all items.

  /// The latest part of that kind, and of that index where it has one; null where there is none.
  item_part* find_part(void (piece_sink::*kind)(std::string_view), std::optional<uint64_t> at);

  /// All that was said of that kind.
  said_text said(void (piece_sink::*kind)(std::string_view)) const;
};

/// The items of a Responses answer, and which of them an event is about.
///
/// As published, `output_index` tells it; some proxies give each event another `item_id`. Servers leave the index out
/// or say 0 in all events, and then the ids are right, or nothing tells but the kind of the event and the order. Ids
/// win over indices, indices over order. A part of a call that may belong to several calls belongs to none.
class response_items {
public:
  /// What an event says of its item.
  struct clue {
    item_kind kind = item_kind::unknown;
    std::string_view id, call_id;
    std::optional<int64_t> index;
  };

  /// No answer has more; a stream that invents items must not fill the memory.
  static constexpr std::size_t max_items = 10'000;

  /// The item that a piece belongs to, perhaps a new one. Null: it cannot be told, or there are too many.
  item_state* of_piece(const clue& what);

  /// The item that begins here.
  item_state* of_beginning(const clue& what);

  /// The item that is whole here.
  item_state* of_end(const clue& what);

  /// The item that stands here in the list of all. Each is found once.
  item_state* of_list(const clue& what);

  /// Begins an item. Null: there are too many.
  item_state* begin(const clue& what);

  bool is_full() const { return items_.size() >= max_items; }

  std::vector<item_state>& all() { return items_; }

private:
  template <class F>
  item_state* latest(F&& fits);
  template <class F>
  item_state* only(F&& fits);
  item_state* named(const clue& what);
  item_state* of_arguments(const clue& what);

  std::vector<item_state> items_;
};

} // namespace modelforge::wire::openai
