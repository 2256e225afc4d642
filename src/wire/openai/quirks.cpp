#include "wire/openai/quirks.hpp"

#include "base/ascii.hpp"
#include "base/public_servers.hpp"

#include <algorithm>
#include <array>

namespace modelforge::wire::openai {

namespace {

constexpr auto known = std::to_array<quirks>({
  // takes nearly all, ignores what it does not know
  {.name = "vllm", .reasoning = "reasoning"},
  // an object as tool_choice means "auto" to it; roles are what the model's template knows
  {.name = "llama_cpp", .reasoning = "reasoning_content", .named_tool = false, .developer = false},
  // refuses what it does not know
  {.name = "groq",
   .host = host_of(public_address("groq")),
   .max_tokens = "max_completion_tokens",
   .top_k = support::no,
   .names = false,
   .developer = false,
   .embeddings = false,
   .requests_by_day = true},
  // so does Mistral
  {.name = "mistral",
   .host = host_of(public_address("mistral")),
   .seed = "random_seed",
   .dimensions = "output_dimension",
   .required = "any",
   .top_k = support::no,
   .names = false,
   .developer = false,
   .stream_options = false,
   .cache_key = true},
  // in a loop of tool calls it wants its thoughts back
  {.name = "deepseek",
   .host = host_of(public_address("deepseek")),
   .reasoning = "reasoning_content",
   .top_k = support::ignored,
   .seeds = support::ignored,
   .parallel = support::ignored,
   .json_schema = false,
   .developer = false,
   .embeddings = false},
  {.name = "openrouter",
   .host = host_of(public_address("openrouter")),
   .reasoning = "reasoning",
   .reasoning_object = true},
  // its /v1 ignores tool_choice
  {.name = "ollama",
   .reasoning = "reasoning",
   .required = {},
   .top_k = support::ignored,
   .parallel = support::ignored,
   .named_tool = false,
   .names = false,
   .developer = false},
});

const quirks* find(auto holds) {
  auto found = std::find_if(known.begin(), known.end(), holds);
  return found == known.end() ? nullptr : &*found;
}

} // namespace

std::span<const quirks> known_quirks() {
  return known;
}

const quirks* quirks_of(std::string_view name) {
  return find([&](auto& x) { return x.name == name; });
}

const quirks* quirks_at(std::string_view base_url) {
  auto host = host_of(base_url);
  host = host.substr(0, host.find(':'));
  return find([&](auto& x) { return !host.empty() && ascii::iequals(x.host, host); });
}

} // namespace modelforge::wire::openai
