#pragma once

#include "wire/anthropic/model_family.hpp"

#include <modelforge/messages/chat_request.hpp>
#include <modelforge/messages/error.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace modelforge::wire::anthropic {

/// How a model is asked to think, as the request wants it and the model takes it.
struct thinking_plan {
  /// What cannot be sent.
  struct fault {
    std::string_view field;
    std::string why;
    errc code = errc::invalid_request;
    std::string suggestion;
  };

  std::optional<uint32_t> budget;    ///< In tokens.
  bool is_adaptive = false;          ///< As it sees fit, led by the request's effort.
  bool is_off = false;               ///< Not at all.
  uint32_t room = 0;                 ///< Tokens to allow for it where the request sets no max_tokens.
  std::vector<std::string> warnings; ///< What of the request was left out.
  std::optional<fault> problem;
};

/// Plans the thinking for a request to a model of that family, and checks what else in the request does not go with it.
/// Empty where the request asks for nothing.
thinking_plan plan_thinking(const chat_request& request, const model_family& family);

} // namespace modelforge::wire::anthropic
