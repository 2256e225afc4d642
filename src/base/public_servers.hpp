#pragma once

#include "base/url.hpp"

#include <algorithm>
#include <array>
#include <string_view>

/// Where providers are, by their names in TOML: the one list of public addresses.

namespace modelforge {

struct public_server {
  std::string_view name;     ///< A `kind`, or a `flavor` of the kind openai_compatible.
  std::string_view base_url; ///< Without a trailing slash.
};

inline constexpr auto public_servers = std::to_array<public_server>({
  {"openai", "https://api.openai.com/v1"},
  {"anthropic", "https://api.anthropic.com"},
  {"gemini", "https://generativelanguage.googleapis.com/v1beta"},
  {"ollama", "http://127.0.0.1:11434"},
  {"groq", "https://api.groq.com/openai/v1"},
  {"mistral", "https://api.mistral.ai/v1"},
  {"deepseek", "https://api.deepseek.com"},
  {"openrouter", "https://openrouter.ai/api/v1"},
});

/// Returns the public address of a kind or flavour; empty where it has none.
constexpr std::string_view public_address(std::string_view name) {
  auto found = std::find_if(public_servers.begin(), public_servers.end(), [&](auto& x) { return x.name == name; });
  return found == public_servers.end() ? std::string_view{} : found->base_url;
}

} // namespace modelforge
