#include "wire/anthropic/model_family.hpp"

#include <algorithm>
#include <array>

namespace modelforge::wire::anthropic {

namespace {

using enum thinking_kind;

/// The first one that fits counts. Source: the provider's pages on thinking, effort and sampling, August 2026.
constexpr auto families = std::to_array<model_family>({
  {"claude-3-7", budget},
  {"claude-3-5", none},
  {"claude-3", none, true, 4096},
  {"-4-0", budget},
  {"-4-2025", budget}, // claude-opus-4-20250514
  {"-4-1", budget},
  {"-4-5", budget},
  {"-4-6", either},
  {"-4-7", adaptive, false},
  {"-4-8", adaptive, false},
  {"opus-5", adaptive, false, 32768}, // these think unless told not to
  {"sonnet-5", adaptive, false, 32768},
  {"fable", always, false, 32768},
  {"mythos", always, false, 32768},
  {""},
});

} // namespace

const model_family& family_of(std::string_view model) {
  return *std::find_if(families.begin(), families.end(), [&](auto& x) { return model.find(x.part) != model.npos; });
}

} // namespace modelforge::wire::anthropic
