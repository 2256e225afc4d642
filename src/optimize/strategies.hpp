#pragma once

#include <modelforge/optimize/optimizer.hpp>

#include <chrono>
#include <cstdint>
#include <memory>

/// Our own optimizers. docs/optimization.md says when each helps, when it hurts and what it costs.

namespace modelforge::optimize {

/// `enable_seed`: sets a seed unless there is one.
std::shared_ptr<const optimizer> fixed_seed(int64_t seed);

/// `json_mode_auto`: asks for a JSON object where the prompt wants nothing but JSON, and sees to it that the prompt has
/// the word JSON, without which OpenAI refuses such requests; `behind_instructions`: elsewhere than in instructions.
std::shared_ptr<const optimizer> json_mode(bool behind_instructions = false);

/// `prompt_cache_key`: names the stable prefix (tools, system prompt, static part) by a hash of it, unless it is named,
/// too short (characters) or too small (tokens; 0: 1,024).
std::shared_ptr<const optimizer> prompt_cache_key(uint32_t min_length, uint32_t min_tokens);

/// `cache_prompt_structure` for providers that find equal prefixes themselves: static parts first.
std::shared_ptr<const optimizer> plain_structure();

/// `cache_prompt_structure` for providers that want the prefix marked: static parts first and marked; without markers
/// up to four marks. `min_tokens`: 0: by the model.
std::shared_ptr<const optimizer> marked_structure(uint32_t min_length, uint32_t min_tokens);

/// `keep_alive`: asks for the model to be kept in memory so long after the answer, unless `extra` says how long.
std::shared_ptr<const optimizer> keep_alive(std::chrono::seconds how_long);

} // namespace modelforge::optimize
