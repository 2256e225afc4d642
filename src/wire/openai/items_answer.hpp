#pragma once

#include "wire/object_answer.hpp"
#include "wire/openai/responses_event.hpp"
#include "wire/openai/responses_items.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace modelforge::wire::openai {

/// Says what the items of a Responses answer hold, each thing once: as it comes in pieces, at a part's or an item's
/// end, or in the list of all items. Which event tells what is for the class behind it to know.
class items_answer : public object_answer {
protected:
  /// `name`: the dialect's; lives as long as the program.
  items_answer(std::string_view name, const http::response_head& head, const wording& words)
    : object_answer(head, words), name_(name) {}

  using finder = item_state* (response_items::*)(const response_items::clue&);

  /// Finds the item that an event, or an item of the list, is about; null, and the answer has failed, where it cannot
  /// be told.
  item_state* find(finder by, item_kind kind, json::raw id, json::raw call_id, std::optional<int64_t> index);

  item_state* find(item_kind kind, const response_event& event);
  void say_piece(said kind, json::raw text, bool is_end, const response_event& event, piece_sink& sink);

  /// A part of a message or of thoughts, whole.
  void say_whole_part(const response_event& event, piece_sink& sink);

  void end_growths(piece_sink& sink);
  void say_call_piece(json::raw text, bool is_free, bool is_whole, const response_event& event, piece_sink& sink);

  /// What texts it holds are said again in pieces; arguments may be so.
  void begin_item(const response_item& entry, const response_event& event, piece_sink& sink);

  void end_item(const response_item& entry, const response_event& event, piece_sink& sink);

  /// Says of a whole item what was not said yet.
  void say_item(const response_item& entry, item_state& state, piece_sink& sink);

  std::string_view name_;
  bool is_cut_ = false;      ///< An item is said to be incomplete.
  bool is_streamed_ = false; ///< It comes as events, which may say a thing again.

private:
  /// Says a piece of a part or, `is_whole`, what of it was not said yet. A part that has ended and goes on is another
  /// one whose index is wrong. Of two versions the one that was said first stays.
  void say_part(said kind, json::raw raw, std::optional<uint64_t> index, bool is_whole, item_state& item,
                piece_sink& sink);

  void say_rest_of(said kind, std::string_view rest, item_part& part, piece_sink& sink);

  /// Says a piece; what of it is new, where it may be all so far.
  void say_in_part(json::raw raw, item_part& part, piece_sink& sink);

  void say_grown(std::string_view more, item_part& part, piece_sink& sink);

  /// No more pieces come of the part, or none that count. `whole`: its text, empty where nothing tells it.
  void end_growth(item_part& part, std::string_view whole, piece_sink& sink);

  /// Parts of one thought are put apart by an empty line.
  item_part* begin_part(said kind, std::optional<uint64_t> index, bool has_text, item_state& item, piece_sink& sink);

  std::size_t call_of(item_state& item, bool is_free);
  void say_arguments(const call_part& part, bool is_whole, item_state& item, piece_sink& sink);

  /// JSON that is told again is known for what it is; free text is compared.
  void say_arguments(json::raw text, bool is_whole, item_state& item, piece_sink& sink);

  void note_item(const response_item& entry, item_state& state);

  /// Says that a call is made, once; the beginning of an item or its end, whichever comes first, tells it.
  void begin_call(const response_item& entry, item_state& state, piece_sink& sink);

  /// Says a call that stands in a message, as other dialects have it.
  void say_call_inside(const call_part& part, piece_sink& sink);

  /// Says of a whole message what was not said as it came.
  void say_message(const response_item& entry, bool is_again, item_state& state, piece_sink& sink);

  void say_unsaid(std::string_view text, std::string_view refusal, bool is_again, item_state& state, piece_sink& sink);

  /// A summary of thoughts, or these themselves where a server tells them. Nothing of them is said that may have been.
  void say_thoughts(const response_item& entry, item_state& state, piece_sink& sink);

  response_items items_;
  bool are_news_ = false; ///< The pieces of a text are known to be new.
};

} // namespace modelforge::wire::openai
