#pragma once

#include <modelforge/messages/chat_request.hpp>

#include <cstdint>

namespace modelforge::optimize {

/// The size of a prompt's beginning.
struct extent {
  uint64_t characters = 0;
  uint64_t tokens = 0; ///< As `limits::token_estimator::raw` has them.

  void add(std::string_view text);
  void add(const tool_definition& tool);
  void add(const content_part& part);
};

inline bool is_instruction(const chat_message& message) {
  return message.role == role::system || message.role == role::developer;
}

} // namespace modelforge::optimize
