#pragma once

#include "wire/answer_parts.hpp"

namespace modelforge::wire::anthropic {

/// The usage of one message, which its events tell bit by bit: what a later one tells replaces what an earlier one
/// told, number by number.
class message_usage {
public:
  /// Takes the `usage` of an event, in Anthropic's names, Bedrock's or those of gateways. What is none changes nothing.
  void take(json::raw value);

  /// All so far; the input with what of it was cached.
  const told_usage& told() const { return told_; }

private:
  told_tokens plain_input_; ///< The part of the prompt behind the last mark for the cache.
  told_usage told_;
};

} // namespace modelforge::wire::anthropic
