#include "limits/accounting.hpp"

#include <algorithm>

namespace modelforge::limits {

namespace {

constexpr auto tokens = dimension::tokens;
constexpr auto input_tokens = dimension::input_tokens;
constexpr auto output_tokens = dimension::output_tokens;

} // namespace

charge charge_for(const accounting& by, uint64_t input, uint64_t output) {
  charge x;
  switch (by.tokens) {
    case token_accounting::arrival:
      at(x.arriving, tokens) = by.output == output_rule::larger ? std::max(input, output) : input + output;
      at(x.arriving, input_tokens) = input;
      at(x.arriving, output_tokens) = output;
      break;
    case token_accounting::produced:
      at(x.arriving, tokens) = at(x.arriving, input_tokens) = input;
      at(x.produced, tokens) = at(x.produced, output_tokens) = output;
      break;
    case token_accounting::input:
      at(x.arriving, tokens) = at(x.arriving, input_tokens) = input;
      break;
    case token_accounting::none:
      break;
  }
  return x;
}

charge corrected(const accounting& by, const charge& reserved, uint64_t input, uint64_t output) {
  switch (by.tokens) {
    case token_accounting::arrival:
      return charge_for(by, std::max(input, at(reserved.arriving, input_tokens)), at(reserved.arriving, output_tokens));
    case token_accounting::produced:
      return charge_for(by, input, output);
    case token_accounting::input:
      return charge_for(by, input, 0);
    case token_accounting::none:
      break;
  }
  return reserved;
}

} // namespace modelforge::limits
