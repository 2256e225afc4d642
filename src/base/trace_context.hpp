#pragma once

#include "base/hex.hpp"

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

/// W3C Trace Context, level 2: how programs tell each other which trace a request belongs to.

namespace modelforge {

/// Where a span stands: in which trace, under which id, and whether it is recorded.
struct trace_context {
  static constexpr uint8_t sampled = 1;
  static constexpr uint8_t random = 2; ///< The trace's id was drawn at random.

  uint64_t trace_high = 0; ///< With `trace_low` the trace's id, which is not 0.
  uint64_t trace_low = 0;
  uint64_t span = 0; ///< Not 0.
  uint8_t flags = 0;

  bool is_sampled() const { return (flags & sampled) != 0; }

  friend bool operator==(const trace_context&, const trace_context&) = default;
};

inline std::string trace_id_text(const trace_context& of) {
  return hex::digits_of(of.trace_high) + hex::digits_of(of.trace_low);
}

/// Returns the id of a span's child, by its number: as if drawn at random, always the same, and another for each
/// number. So whoever knows the parent's knows the child's id without having been told. Never 0.
constexpr uint64_t child_span(uint64_t parent, uint64_t number) {
  auto x = parent + number * 0x9e3779b97f4a7c15; // as SplitMix64 does: a bijection of all 64 bits
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
  x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
  x ^= x >> 31;
  return x != 0 ? x : 1;
}

namespace detail {

/// A number in as many small hexadecimal digits as it has room for; nothing where one is none.
template <std::unsigned_integral T>
constexpr std::optional<T> small_hex(std::string_view digits) {
  T result = 0;
  for (auto c : digits) {
    auto value = hex::value_of(c);
    if (!value || (c >= 'A' && c <= 'F'))
      return {};
    result = static_cast<T>(result << 4 | *value);
  }
  return result;
}

} // namespace detail

/// Bytes of a header `tracestate` that are passed on; a longer one is left out, as the specification allows.
inline constexpr std::size_t max_trace_state = 512;

/// Reads the header `traceparent`. Later versions are read as far as they are like the present one; flags that have no
/// meaning yet are dropped. Nothing where it is none: then a trace begins anew.
constexpr std::optional<trace_context> read_traceparent(std::string_view text) {
  constexpr std::size_t size = 55; // "00-" 32 "-" 16 "-01"
  if (text.size() < size || text[2] != '-' || text[35] != '-' || text[52] != '-')
    return {};
  auto version = detail::small_hex<uint8_t>(text.substr(0, 2));
  if (!version || *version == 0xff || (text.size() > size && (*version == 0 || text[size] != '-')))
    return {};
  auto high = detail::small_hex<uint64_t>(text.substr(3, 16));
  auto low = detail::small_hex<uint64_t>(text.substr(19, 16));
  auto span = detail::small_hex<uint64_t>(text.substr(36, 16));
  auto flags = detail::small_hex<uint8_t>(text.substr(53, 2));
  if (!high || !low || !span || !flags || (*high | *low) == 0 || *span == 0)
    return {};
  return trace_context{*high, *low, *span,
                       static_cast<uint8_t>(*flags & (trace_context::sampled | trace_context::random))};
}

/// The header `traceparent` of this version.
inline std::string to_traceparent(const trace_context& of) {
  return "00-" + trace_id_text(of) + '-' + hex::digits_of(of.span) + '-' + hex::digits_of(of.flags);
}

} // namespace modelforge
