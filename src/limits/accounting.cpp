#include "limits/accounting.hpp"

#include <algorithm>

namespace modelforge::limits {

namespace {

constexpr auto tokens = dimension::tokens;
constexpr auto input_tokens = dimension::input_tokens;
constexpr auto output_tokens = dimension::output_tokens;

} // namespace

// Whatever counts on arrival is known at dispatch; what is produced is a reservation, kept apart so that `end` can
// correct it.
charge charge_for(const accounting& rules, uint64_t input, uint64_t output) {
  charge result;
  switch (rules.tokens) {
    case token_accounting::arrival:
      at(result.arriving, tokens) = rules.output == output_rule::larger ? std::max(input, output) : input + output;
      at(result.arriving, input_tokens) = input;
      at(result.arriving, output_tokens) = output;
      break;
    case token_accounting::produced:
      at(result.arriving, tokens) = at(result.arriving, input_tokens) = input;
      at(result.produced, tokens) = at(result.produced, output_tokens) = output;
      break;
    case token_accounting::input:
      at(result.arriving, tokens) = at(result.arriving, input_tokens) = input;
      break;
    case token_accounting::none:
      break;
  }
  return result;
}

// Under `arrival` the output allowance stays as it was charged: the provider does not give unused tokens back either.
charge corrected(const accounting& rules, const charge& reserved, uint64_t input, uint64_t output) {
  switch (rules.tokens) {
    case token_accounting::arrival:
      return charge_for(rules, std::max(input, at(reserved.arriving, input_tokens)),
                        at(reserved.arriving, output_tokens));
    case token_accounting::produced:
      return charge_for(rules, input, output);
    case token_accounting::input:
      return charge_for(rules, input, 0);
    case token_accounting::none:
      break;
  }
  return reserved;
}

} // namespace modelforge::limits
