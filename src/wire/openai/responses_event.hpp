#pragma once

#include "wire/json.hpp"
#include "wire/openai/responses_items.hpp"

#include <string_view>

/// What an object of the Responses API holds, as views of its text. Of names that repeat the last counts.

namespace modelforge::wire::openai {

/// What an item is, whole or as its beginning.
struct response_item {
  json::raw type, id, call_id, name, arguments, input, content, summary, seal;
};

/// An event of a stream, or a whole answer: their members do not clash, so one reading serves both.
struct response_event {
  json::raw type, delta, text, arguments, input, refusal, output_index, part_index, item_id, item, part, name, response,
    error, code, message, param;
  json::raw id, model, status, output, output_text, usage, details; ///< Of a whole answer.
};

/// Takes an event, or a whole answer; all empty where none comes.
response_event take_event_fields(json::reader& in);

/// Takes an item; all empty where none comes.
response_item take_item(json::reader& in);
response_item read_item(json::raw raw);

/// Whether an item of that type calls a tool of ours.
bool is_call(std::string_view type);

/// Whether a call's input is free text.
bool is_free(const response_item& entry);

item_kind kind_of(const response_item& entry);

} // namespace modelforge::wire::openai
