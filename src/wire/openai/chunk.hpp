#pragma once

#include "wire/answer_parts.hpp"
#include "wire/call_part.hpp"
#include "wire/error_beside.hpp"
#include "wire/json.hpp"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

/// What an object of Chat Completions holds, a whole answer or a chunk of a streamed one, as views of its text. Of
/// names that repeat the last counts.

namespace modelforge::wire::openai {

/// The members of a chunk, or of a whole answer. Views: valid as long as the text they were read from.
struct chunk {
  json::raw id, model, choices, usage, error;
  json::raw reason;                       ///< Why it ended, where some tell it; the usual place is the choice.
  json::raw choice_usage;                 ///< Of the choice that is read.
  json::raw groq, groq_error, groq_usage; ///< `x_groq`, and what is inside of it.
  json::raw base_resp;                    ///< MiniMax's, beside every answer.
  json::raw output_sensitive;             ///< MiniMax's filter stepped in.
  error_marks marks;                      ///< Of errors in other forms.
  json::raw data;                         ///< Some have the chunk in here.
  json::raw text;                         ///< What may be a text, where there are no choices.
};

/// False where the text is not JSON; `problem` says why.
bool read_chunk(std::string_view data, chunk& chunk, std::string& problem);

/// One of the answers that a chunk adds to.
struct chunk_choice {
  json::raw index, delta, message, finish_reason, error, logprobs;
  json::raw usage;                     ///< Some tell it here.
  json::raw text;                      ///< Of the older API for completions, which some speak here, too.
  json::raw tool_calls, function_call; ///< Some tell them beside the message.
  json::raw other_reason;              ///< The finish reason under the names that others have for it,
  json::raw odd;                       ///< What stands in a choice's place and is none.
  json::raw native_reason;             ///< and OpenRouter's: as the model's own provider told it.
};

/// Takes a choice if one comes now.
bool take_choice(json::reader& in, chunk_choice& choice);

/// Which of several choices it is; servers need not count.
int64_t place_of(const chunk_choice& choice);

/// What a choice of a whole answer says, under the names that servers have for it; empty where there is none.
json::raw message_in(const chunk_choice& choice);

/// Whether these are choices of a whole answer: those of chunks hold what they add to it.
bool holds_message(json::raw choices);

/// A message, or what a choice adds to one.
struct chunk_delta {
  json::raw content, text, refusal, reasoning, reasoning_content, reasoning_details, tool_calls, function_call;
  json::raw reason;                    ///< As the chunk's.
  json::raw error, usage;              ///< Some tell them here.
  json::raw all;                       ///< The whole of it.
  json::raw other_thought, other_text; ///< Under names that others have for them,
  std::string_view left_out;           ///< and the name of what is none.
  bool has_calls_elsewhere = false;

  /// Whether it has a text as its content, and nothing else.
  bool is_only_text() const;
};

/// Reads a delta or a message, of which a text alone is the content; all empty where the value is neither.
chunk_delta read_delta(json::raw value);

/// As above, with the calls that stand beside it in its choice.
chunk_delta read_delta(json::raw value, const chunk_choice& choice);

/// Some gateways (GitHub Copilot's) split one choice of a whole answer in two: its text, and its calls. Joins them
/// where the first one says that it ended with calls and has none, and one other of the same place has some and no
/// text.
void join_split_choice(std::vector<chunk_choice>& choices);

/// One of the typed parts that content may come in: those of the Responses API, Mistral's, or such as requests have.
struct content_piece {
  json::raw type, text, thinking, refusal, logprobs;
  call_part call;

  /// Whether it calls a tool, as other dialects have it here.
  bool is_call() const { return call.is_wrapped || is_call_type(type.between_quotes()); }

  /// Whether it has a member that we understand, if only as null.
  bool is_known() const;
};

/// Whether a part of that type holds a text, under whatever name.
bool may_hold_text(json::raw type);

/// Takes the next part of such a list, of which a text alone is the text; all empty where it is neither.
content_piece take_content_piece(json::reader& in);

/// The text of a message's content, whatever its form.
std::string text_in(json::raw content);

/// Reads usage in OpenAI's names and those of its speakers; what is missing is not told.
told_usage read_usage(json::raw value);

} // namespace modelforge::wire::openai
