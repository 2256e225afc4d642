#pragma once

#include "wire/answer_parts.hpp"
#include "wire/json_reader.hpp"

#include <modelforge/messages/completion.hpp>

#include <optional>
#include <string>
#include <string_view>

/// What a chunk of a streamed Chat Completions answer holds, as views of its text. Of names that repeat the last
/// counts.

namespace modelforge::wire {

struct chunk {
  raw_json id, model, choices, usage, error;
  raw_json groq_error; ///< Inside of `x_groq`.
};

/// False where the text is no JSON; `problem` says why.
bool read_chunk(std::string_view data, chunk& x, std::string& problem);

struct chunk_choice {
  raw_json index, delta, message, finish_reason, error;
};

/// Takes a choice if one comes now.
bool take_choice(json_reader& in, chunk_choice& x);

/// What a choice adds to a message.
struct chunk_delta {
  raw_json content, refusal, reasoning, reasoning_content, tool_calls, function_call;
};

chunk_delta read_delta(raw_json x);

/// One of the typed parts that Mistral's content comes in.
struct content_piece {
  raw_json type, text, thinking, refusal;
};

content_piece take_content_piece(json_reader& in);

/// A part of a tool call.
struct call_fragment {
  raw_json index, id, name, arguments;
  bool takes_text = false; ///< Of a tool that takes free text.
};

/// Takes a part of a call if one comes now.
bool take_fragment(json_reader& in, call_fragment& x);

/// Reads the old form, of which an answer has only one.
call_fragment read_function_call(raw_json x);

told_usage read_usage(raw_json x);

/// Whether it is a text that holds something.
bool says_something(raw_json x);

/// Whether an `error` member tells of one.
bool tells_error(raw_json x);

} // namespace modelforge::wire
