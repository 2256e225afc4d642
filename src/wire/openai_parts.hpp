#pragma once

#include "http/message.hpp"
#include "wire/stream.hpp"

#include <modelforge/messages/completion.hpp>
#include <modelforge/messages/error.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

/// What whole and streamed answers of Chat Completions have in common.

namespace modelforge::wire {

struct called_tool {
  tool_call call;
  bool takes_text = false; ///< Its input is free text, no JSON ("custom" tools).
};

/// Names the call at that place of an answer which gave it no id: its result must be able to name it.
std::string made_up_id(std::string_view answer_id, std::size_t place);

/// Puts the calls into `x` and judges its finish reason by them, by `x.raw_finish_reason` and by whether the model
/// `refused`. Arguments must be JSON objects, else it is a failure that names the tool; but where the answer was cut,
/// as its finish reason says, cut arguments stay as they are, with a warning.
std::optional<failure> add_calls(const http::response_head& head, std::vector<called_tool> calls,
                                 std::string_view answer_id, bool refused, completion& x);

/// Numbers as an answer tells them.
struct told_usage {
  std::optional<uint64_t> input, output, cached, cache_written, reasoning;
};

/// Empty where neither input nor output was told; parts are never more than their whole.
std::optional<token_usage> usage_of(const told_usage& x);

/// Says that only the first choice of several is given.
std::string choices_warning(std::string_view how_many);

/// Said of an answer of which bytes were replaced.
inline constexpr auto repaired_warning = "the answer held bytes that are not UTF-8; they were replaced";

/// Makes the reader of a streamed answer. `is_strict`: a whole answer has both a finish reason and `[DONE]`, as OpenAI
/// sends them; otherwise either will do, with a warning, if the body ended well.
std::unique_ptr<stream_reader> read_openai_stream(const http::response_head& head, bool is_strict);

} // namespace modelforge::wire
