#include "wire/vendors.hpp"

#include "wire/anthropic/anthropic.hpp"
#include "wire/azure/azure.hpp"
#include "wire/gemini/gemini.hpp"
#include "wire/ollama/ollama.hpp"
#include "wire/openai/openai.hpp"

#include <algorithm>
#include <array>
#include <vector>

namespace modelforge::wire {

namespace {

/// A line of the list: all that wire, and with it the rest of the program, knows of a vendor.
struct vendor {
  std::string_view kind;                                  ///< In TOML.
  const dialect* (*choose)(const dialect_choice& choice); ///< Null where it has not got that API.
  bool has_own_responses = true;                          ///< Else that API of it is in all things another vendor's.
};

constexpr auto vendors = std::to_array<vendor>({
  {"openai", openai::choose},
  {"openai_compatible", openai::choose_compatible, false},
  {"azure", azure::choose},
  {"anthropic", anthropic::choose},
  {"gemini", gemini::choose},
  {"ollama", ollama::choose},
});

} // namespace

const dialect* find_dialect(const dialect_choice& choice) {
  auto found = std::find_if(vendors.begin(), vendors.end(), [&](auto& y) { return y.kind == choice.kind; });
  return found == vendors.end() ? nullptr : found->choose(choice);
}

// Each vendor is asked with a plausible base URL, since Azure's dialects depend on it. The list is made once; dialects
// live as long as the program.
std::span<const dialect* const> dialects() {
  static const auto all = [] {
    std::vector<const dialect*> result;
    for (auto& vendor : vendors)
      for (dialect_choice choice{.kind = vendor.kind, .base_url = "/v1"}; auto api : {"chat", "responses"}) {
        choice.api = api;
        auto* found = choice.wants_responses() && !vendor.has_own_responses ? nullptr : vendor.choose(choice);
        if (found != nullptr)
          result.push_back(found);
      }
    return result;
  }();
  return all;
}

const dialect* find_dialect(std::string_view name) {
  auto all = dialects();
  auto found = std::find_if(all.begin(), all.end(), [&](auto* x) { return x->name() == name; });
  return found == all.end() ? nullptr : *found;
}

} // namespace modelforge::wire
