#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

/// What is counted against a provider's limits: shared by those who count, those who estimate and those who read what
/// the provider tells.

namespace modelforge::limits {

using clock = std::chrono::steady_clock;
using time_point = clock::time_point;
using duration = std::chrono::nanoseconds;

/// The limits a provider may have, each of its own.
enum class dimension : uint8_t { requests, tokens, input_tokens, output_tokens };

inline constexpr std::array<std::string_view, 4> dimension_names = {"requests", "tokens", "input tokens",
                                                                    "output tokens"};

/// An amount in each dimension.
using amounts = std::array<uint64_t, 4>;

constexpr uint64_t& at(amounts& values, dimension d) {
  return values[static_cast<std::size_t>(d)];
}

constexpr uint64_t at(const amounts& values, dimension d) {
  return values[static_cast<std::size_t>(d)];
}

inline constexpr std::size_t dimensions = dimension_names.size();

constexpr void add(amounts& sum, const amounts& added) {
  for (std::size_t i = 0; i < added.size(); ++i)
    sum[i] += added[i];
}

/// `part` must be part of `sum`.
constexpr void subtract(amounts& sum, const amounts& part) {
  for (std::size_t i = 0; i < part.size(); ++i)
    sum[i] -= part[i];
}

/// No attempt takes more, whatever an estimate or a provider's usage says: a trillion, far beyond any model's context,
/// so that no sum over a window overflows.
inline constexpr uint64_t max_amount = uint64_t{1} << 40;

/// `values`, each of it at most `max_amount`.
constexpr amounts bounded(amounts values) {
  for (auto& amount : values)
    amount = amount < max_amount ? amount : max_amount;
  return values;
}

/// When, and which, tokens a provider counts.
enum class token_accounting : uint8_t {
  arrival,  ///< Prompt and output allowance when the request arrives; nothing comes back (OpenAI, most clones).
  produced, ///< The prompt without what its cache gave; the answer as it is produced (Anthropic).
  input,    ///< The prompt only (Gemini).
  none,     ///< Tokens are not counted.
};

/// How an output allowance joins the prompt under `arrival`.
enum class output_rule : uint8_t {
  sum,    ///< prompt + max_tokens: Azure, and the cautious choice for clones.
  larger, ///< max(prompt, max_tokens): OpenAI.
};

/// What a provider's answer tells of one of its limits.
struct server_limit {
  std::optional<uint64_t> limit;     ///< Per window, usually a minute.
  std::optional<uint64_t> remaining; ///< Left after the request that was answered.
  std::optional<duration> reset;     ///< From the answer's sending until the limit is whole again; an upper bound.

  bool empty() const { return !limit && !remaining && !reset; }

  friend bool operator==(const server_limit&, const server_limit&) = default;
};

/// What an answer tells of them all, by `dimension`.
using server_limits = std::array<server_limit, 4>;

} // namespace modelforge::limits
