#pragma once

#include "tools/simulator/random.hpp"
#include "tools/simulator/text.hpp"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

/// Believable answers, made from nothing but a random sequence and the prompt.
namespace modelforge::simulator {

/// Returns up to `limit` telling words of `prompt`, in their order: its longest ones without repeats, or for Chinese
/// and its like the first runs of characters. Reads the first 4,000 bytes only.
std::vector<std::string> key_words(std::string_view prompt, std::size_t limit);

/// Returns a few sentences in the prompt's language that name some of its words, of about `min_tokens` to `max_tokens`
/// tokens by `count_tokens`. A prompt that asks for a sum, difference, product or quotient of two numbers gets it.
std::string answer_text(random_source source, std::string_view prompt, uint32_t min_tokens, uint32_t max_tokens);

/// Like `answer_text`, of any length: beyond 2,000 tokens it repeats its first thousand, up to the exact length drawn.
looped_text long_answer(random_source source, std::string_view prompt, uint32_t min_tokens, uint32_t max_tokens);

} // namespace modelforge::simulator
