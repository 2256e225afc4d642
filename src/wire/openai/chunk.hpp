#pragma once

#include "wire/answer_parts.hpp"
#include "wire/json.hpp"

#include <string>
#include <string_view>

/// What an object of Chat Completions holds, a whole answer or a chunk of a streamed one, as views of its text. Of
/// names that repeat the last counts.

namespace modelforge::wire::openai {

/// The members of a chunk, or of a whole answer. Views: valid as long as the text they were read from.
struct chunk {
  json::raw id, model, choices, usage, error;
  json::raw groq_error, groq_usage; ///< Inside of `x_groq`.
};

/// False where the text is not JSON; `problem` says why.
bool read_chunk(std::string_view data, chunk& chunk, std::string& problem);

/// One of the answers that a chunk adds to.
struct chunk_choice {
  json::raw index, delta, message, finish_reason, error, logprobs;
  json::raw usage; ///< Some tell it here.
  json::raw text;  ///< Of the older API for completions, which some speak here, too.
};

/// Takes a choice if one comes now.
bool take_choice(json::reader& in, chunk_choice& choice);

/// A message, or what a choice adds to one.
struct chunk_delta {
  json::raw content, refusal, reasoning, reasoning_content, reasoning_details, tool_calls, function_call;

  /// Whether it has a text as its content, and nothing else.
  bool is_only_text() const;
};

/// Reads a delta or a message, of which a text alone is the content; all empty where the value is neither.
chunk_delta read_delta(json::raw value);

/// One of the typed parts that content may come in: Mistral's, or such as requests have.
struct content_piece {
  json::raw type, text, thinking, refusal;

  /// Whether it has a member that we understand, if only as null.
  bool is_known() const;
};

/// Takes the next part of such a list, of which a text alone is the text; all empty where it is neither.
content_piece take_content_piece(json::reader& in);

/// A tool call, or a part of one.
struct call_fragment {
  json::raw index, id, name, arguments;
  bool takes_text = false; ///< Of a tool that takes free text.
};

/// Takes a part of a call if one comes now.
bool take_fragment(json::reader& in, call_fragment& part);

/// Reads the old form, of which an answer has only one.
call_fragment read_function_call(json::raw value);

/// Reads usage in OpenAI's names and those of its speakers; what is missing is not told.
told_usage read_usage(json::raw value);

/// Whether an `error` member tells of one.
bool tells_error(json::raw value);

} // namespace modelforge::wire::openai
