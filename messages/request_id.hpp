#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <random>
#include <string>
#include <string_view>

namespace modelforge {

/// Identifies a request from its first acceptance to its one answer, over queues, attempts and nodes.
///
/// 128 bits at random, so that nobody has to hand them out. In texts it is 32 hexadecimal digits, which is also how it
/// goes to the provider, in the header `x-modelforge-request`.
struct request_id {
  /// Two halves of one number; nothing is read out of either.
  uint64_t high = 0;
  uint64_t low = 0;

  /// False for the default value: "not given yet"; who accepts the request first gives it one.
  explicit operator bool() const noexcept { return (high | low) != 0; }

  friend auto operator<=>(const request_id&, const request_id&) = default;
};

// What CAF sends: the fields in this order, without names. Whoever changes it raises `wire_version` (node_hello.hpp).
template <class Inspector>
bool inspect(Inspector& f, request_id& x) {
  return f.object(x).fields(f.field("high", x.high), f.field("low", x.low));
}

/// Draws a new id; never the empty one.
request_id make_request_id(std::mt19937_64& random);

/// Returns 32 lower-case hexadecimal digits.
std::string to_string(const request_id& x);

/// Reads 32 hexadecimal digits. Returns false, and leaves `x` alone, on anything else.
bool from_string(std::string_view text, request_id& x);

} // namespace modelforge

template <>
struct std::hash<modelforge::request_id> {
  std::size_t operator()(const modelforge::request_id& x) const noexcept {
    return x.high ^ (x.low * 0x9E3779B97F4A7C15ull); // ids are random already
  }
};
