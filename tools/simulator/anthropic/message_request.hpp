#pragma once

#include "tools/simulator/generation.hpp"
#include "tools/simulator/language.hpp"

#include <variant>

namespace modelforge::simulator::anthropic {

/// A checked request for a message.
struct message_request : generation {
  bool is_warm_up = false;     ///< `max_tokens` 0: nothing is generated.
  bool is_refused = false;     ///< By the documented test string.
  bool hides_thinking = false; ///< `display` "omitted": the block comes without its text.
  bool is_redacted = false;    ///< Thinking comes encrypted, by the documented test string.

  bool has_content() const { return !is_warm_up && !is_refused; }
};

/// Checks the body as Anthropic would: the first fault found is the answer. `is_count`: for the endpoint that only
/// counts, which has fewer fields.
std::variant<message_request, api_error> read_message_request(const exchange& incoming, bool is_count = false);

/// Returns what vouches for thinking that is sent back.
std::string signature_of(std::string_view thinking, uint64_t seed);

} // namespace modelforge::simulator::anthropic
