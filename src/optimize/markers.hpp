#pragma once

#include <modelforge/messages/chat_request.hpp>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

/// `<<STATIC>>` and `<<DYNAMIC>>` in the texts of a message, where optimizations are on: what stands behind the one is
/// the same in many requests, what stands behind the other, or ahead of the first, is not. With `<<DYNAMIC>>` alone,
/// what stands ahead is static. Each may appear once in a message, in this order. A marker that is alone on its line
/// takes the line with it. In tools, calls and their results the words are data.

namespace modelforge::optimize {

inline constexpr std::string_view static_marker = "<<STATIC>>";
inline constexpr std::string_view dynamic_marker = "<<DYNAMIC>>";

enum class marking : uint8_t { none, good, bad };

marking marking_of(const chat_message& message);

/// A message's content by its markers, in its order and without them; blank texts beside a marker are gone.
struct sections {
  std::vector<content_part> ahead; ///< Of `<<STATIC>>`.
  std::vector<content_part> stable;
  std::vector<content_part> varying;
};

/// Takes a message with good marking apart.
sections sections_of(const chat_message& message);

/// Takes all markers out and leaves the rest in its order. Returns a warning for each message with bad marking.
std::vector<std::string> remove_markers(chat_request& request);

/// Whether there is nothing but white space.
bool is_blank(std::string_view text);

} // namespace modelforge::optimize
