#include "provider/model_groups.hpp"

#include <algorithm>
#include <cstddef>

namespace modelforge::provider {

// Greedy with one step back: on a mismatch the last star takes one character more. Linear for usual patterns, and at
// worst pattern x name, without recursion.
bool matches(std::string_view pattern, std::string_view name) {
  std::size_t p = 0, n = 0, star = pattern.npos, retry = 0;
  while (n < name.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      retry = n;
    } else if (p < pattern.size() && (pattern[p] == '?' || pattern[p] == name[n])) {
      ++p;
      ++n;
    } else if (star != pattern.npos) { // let the last star take one character more
      p = star + 1;
      n = ++retry;
    } else {
      return false;
    }
  }
  return pattern.find_first_not_of('*', p) == pattern.npos;
}

uint32_t group_of(const provider_settings& settings, std::string_view model) {
  for (uint32_t i = 0; i < settings.models.size(); ++i)
    if (matches(settings.models[i].pattern, model))
      return i + 1;
  return 0;
}

uint32_t limited_as(const provider_settings& settings, uint32_t group) {
  return group > 0 && settings.models[group - 1].rate_limit == rate_limit_settings{} ? 0 : group;
}

const price_settings& price_of(const provider_settings& settings, uint32_t group) {
  return group == 0 || settings.models[group - 1].price == price_settings{} ? settings.price
                                                                            : settings.models[group - 1].price;
}

// Prices are for a million tokens. The cache has prices of its own where they are set; else its tokens cost what others
// do.
std::optional<double> cost_of(const provider_settings& settings, uint32_t group, const token_usage& usage) {
  auto& price = price_of(settings, group);
  if (price == price_settings{})
    return {};
  auto plain = usage.input - std::min(usage.input, usage.cached_read + usage.cache_written);
  auto or_input = [&](double special) { return special > 0 ? special : price.input; };
  auto sum = static_cast<double>(plain) * price.input + static_cast<double>(usage.output) * price.output
             + static_cast<double>(usage.cached_read) * or_input(price.cached_read)
             + static_cast<double>(usage.cache_written) * or_input(price.cache_written);
  return sum / 1e6;
}

} // namespace modelforge::provider
