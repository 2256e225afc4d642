#pragma once

#include <modelforge/config/settings.hpp>

#include <array>

/// The variables that hold keys of public providers: the one list of them.

namespace modelforge {

/// A provider that a variable with a key in it is enough to set up.
struct known_provider {
  const char* name;
  provider_kind kind;
  std::array<const char*, 2> keys; ///< The first that is set counts.
  const char* url_variable;        ///< Where the address may stand; null: nowhere. Else it is the public one.
};

inline constexpr auto known_providers = std::to_array<known_provider>({
  {"openai", provider_kind::openai, {"OPENAI_API_KEY"}, "OPENAI_BASE_URL"},
  {"anthropic", provider_kind::anthropic, {"ANTHROPIC_API_KEY"}, "ANTHROPIC_BASE_URL"},
  {"gemini", provider_kind::gemini, {"GOOGLE_API_KEY", "GEMINI_API_KEY"}, nullptr},
  {"azure", provider_kind::azure, {"AZURE_OPENAI_API_KEY"}, "AZURE_OPENAI_ENDPOINT"},
  {"groq", provider_kind::openai_compatible, {"GROQ_API_KEY"}, nullptr},
  {"mistral", provider_kind::openai_compatible, {"MISTRAL_API_KEY"}, nullptr},
  {"deepseek", provider_kind::openai_compatible, {"DEEPSEEK_API_KEY"}, nullptr},
  {"openrouter", provider_kind::openai_compatible, {"OPENROUTER_API_KEY"}, nullptr},
});

} // namespace modelforge
