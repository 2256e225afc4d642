#pragma once

#include "wire/call_part.hpp"
#include "wire/error_beside.hpp"
#include "wire/json.hpp"
#include "wire/openai/responses_items.hpp"

#include <string_view>

/// What an object of the Responses API holds, as views of its text. Of names that repeat the last counts.

namespace modelforge::wire::openai {

/// What an item is, whole or as its beginning.
struct response_item {
  json::raw type, status, content, summary, seal;
  json::raw calls; ///< A list beside a message's content, as chat has it.
  call_part call;  ///< Whose id is the item's.
  json::raw all;   ///< The whole of it.
  bool has_calls_elsewhere = false;

  /// Whether it calls a tool of ours. One without a type does by its name.
  bool is_call() const { return type.text.empty() ? call.name.has_text() : is_call_type(type.between_quotes()); }
};

/// An event of a stream, or a whole answer: their members do not clash, so one reading serves both.
struct response_event {
  json::raw type, delta, text, arguments, input, refusal, output_index, part_index, item_id, item, part, name, response,
    error, code, message, param;
  json::raw id, model, status, output, output_text, usage, details, reason; ///< Of a whole answer.
  error_marks marks;                                                        ///< But for code and status.
  bool has_calls_elsewhere = false;
};

/// Takes an event, or a whole answer; all empty where none comes.
response_event take_event_fields(json::reader& in);

/// Takes an item; all empty where none comes.
response_item take_item(json::reader& in);
response_item read_item(json::raw raw);

item_kind kind_of(const response_item& entry);

} // namespace modelforge::wire::openai
