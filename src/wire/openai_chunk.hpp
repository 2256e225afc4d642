#pragma once

#include "wire/answer_parts.hpp"
#include "wire/json.hpp"

#include <modelforge/messages/completion.hpp>

#include <optional>
#include <string>
#include <string_view>

/// What a chunk of a streamed Chat Completions answer holds, as views of its text. Of names that repeat the last
/// counts.

namespace modelforge::wire {

struct chunk {
  json::raw id, model, choices, usage, error;
  json::raw groq_error; ///< Inside of `x_groq`.
};

/// False where the text is no JSON; `problem` says why.
bool read_chunk(std::string_view data, chunk& x, std::string& problem);

struct chunk_choice {
  json::raw index, delta, message, finish_reason, error;
};

/// Takes a choice if one comes now.
bool take_choice(json::reader& in, chunk_choice& x);

/// What a choice adds to a message.
struct chunk_delta {
  json::raw content, refusal, reasoning, reasoning_content, tool_calls, function_call;
};

chunk_delta read_delta(json::raw x);

/// One of the typed parts that Mistral's content comes in.
struct content_piece {
  json::raw type, text, thinking, refusal;
};

content_piece take_content_piece(json::reader& in);

/// A part of a tool call.
struct call_fragment {
  json::raw index, id, name, arguments;
  bool takes_text = false; ///< Of a tool that takes free text.
};

/// Takes a part of a call if one comes now.
bool take_fragment(json::reader& in, call_fragment& x);

/// Reads the old form, of which an answer has only one.
call_fragment read_function_call(json::raw x);

told_usage read_usage(json::raw x);

/// Whether it is a text that holds something.
bool says_something(json::raw x);

/// Whether an `error` member tells of one.
bool tells_error(json::raw x);

} // namespace modelforge::wire
