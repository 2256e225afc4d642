#pragma once

#include "wire/call_part.hpp"
#include "wire/error_beside.hpp"
#include "wire/json.hpp"

#include <cstdint>
#include <optional>
#include <string>

/// What an object of the Messages API holds, as views of its text. Of names that repeat the last counts.

namespace modelforge::wire::anthropic {

/// A part of an answer's content, whole or at its beginning.
struct content_block {
  json::raw type, text, citations, thinking, signature, data;
  json::raw other; ///< A text under another name.
  call_part call;

  /// Whether it calls a tool of ours, as any dialect says it.
  bool is_call() const { return type.text.empty() ? call.name.has_text() : is_call_type(type.between_quotes()); }
};

/// Takes a part if one comes now.
bool take_block(json::reader& in, content_block& content);

/// A message, or an event about one.
struct event {
  json::raw type, error, message, index, block, delta, usage, id, model, content, reason, other_reason, details, input,
    calls;
  json::raw metrics; ///< Usage, as Bedrock tells it.
  error_marks marks; ///< Of errors in forms that others have.
  bool has_calls_elsewhere = false;

  /// Whether there may be calls beside the content.
  bool may_hold_calls() const { return has_calls_elsewhere || !calls.text.empty(); }

  /// The index of the part that it is about; nothing where the server does not count.
  std::optional<int64_t> place() const;
};

/// Takes an event, or a whole message; all empty where none comes.
event take_event_fields(json::reader& in);

/// Whether a message tells of calls beside its content, in whatever form.
bool tells_calls_beside(json::raw message);

/// The texts of a content, joined.
std::string text_of_parts(json::raw content);

/// Whether a delta says anything but its type.
bool has_more_than_type(json::raw delta);

} // namespace modelforge::wire::anthropic
