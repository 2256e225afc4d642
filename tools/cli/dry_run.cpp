#include "tools/cli/commands.hpp"
#include "tools/cli/output.hpp"

#include "batch/reader.hpp"
#include "limits/token_estimator.hpp"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <optional>
#include <string>

/// `modelforge batch --dry-run`

namespace modelforge::cli {

namespace {

/// What a batch would ask for.
struct plan {
  uint64_t items = 0;
  uint64_t broken = 0; ///< Lines that no request can be made of.
  uint64_t input_tokens = 0;
  uint64_t output_tokens = 0; ///< The most, of items that bound it.
  uint64_t unbounded = 0;     ///< Items that do not.
  std::optional<failure> first_problem;
};

std::variant<plan, failure> read_plan(const std::string& path) {
  auto opened = batch::open_source(path);
  if (auto* problem = std::get_if<failure>(&opened))
    return std::move(*problem);
  plan x;
  for (;;) {
    auto next = std::get<0>(opened)->next();
    if (auto* problem = std::get_if<failure>(&next))
      return std::move(*problem);
    auto& item = std::get<std::optional<batch::item>>(next);
    if (!item)
      return x;
    ++x.items;
    if (auto* problem = std::get_if<failure>(&item->request)) {
      if (++x.broken == 1)
        x.first_problem = std::move(*problem);
      continue;
    }
    auto& request = std::get<chat_request>(item->request);
    x.input_tokens += limits::token_estimator::raw(request);
    if (request.sampling.max_tokens)
      x.output_tokens += *request.sampling.max_tokens;
    else
      ++x.unbounded;
  }
}

/// The least time that a provider's limits allow; empty where it has none.
std::optional<std::chrono::nanoseconds> least_time(const plan& x, const rate_limit_settings& limits) {
  std::optional<double> minutes;
  auto bound = [&](uint64_t amount, const std::optional<uint64_t>& limit) {
    if (limit && *limit > 0)
      minutes = std::max(minutes.value_or(0), static_cast<double>(amount) / static_cast<double>(*limit));
  };
  bound(x.items - x.broken, limits.requests_per_minute);
  bound(x.input_tokens + x.output_tokens, limits.tokens_per_minute);
  bound(x.input_tokens, limits.input_tokens_per_minute);
  bound(x.output_tokens, limits.output_tokens_per_minute);
  if (!minutes)
    return {};
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::duration<double, std::ratio<60>>(*minutes));
}

} // namespace

int batch_dry_run(const batch_command_options& x) {
  std::optional<provider_settings> provider;
  if (!x.target.simulate) {
    auto all = load_settings(x.target.config);
    if (!all)
      return exit_usage;
    auto name = x.target.provider.substr(0, x.target.provider.find_first_of("=,"));
    auto found = std::find_if(all->providers.begin(), all->providers.end(),
                              [&](auto& y) { return name.empty() || y.name == name; });
    if (found == all->providers.end()) {
      complain("there is no provider \"" + name + "\"");
      return exit_usage;
    }
    provider = std::move(*found);
  }
  auto made = read_plan(x.input);
  if (auto* problem = std::get_if<failure>(&made)) {
    complain(to_string(*problem));
    return exit_usage;
  }
  auto& is = std::get<plan>(made);
  auto count = [](uint64_t n) { return static_cast<unsigned long long>(n); };
  std::printf("items: %llu", count(is.items));
  if (is.broken > 0)
    std::printf(", of which %llu cannot be read; the first: %s", count(is.broken),
                to_string(*is.first_problem).c_str());
  std::printf("\ntokens: about %llu in; ", count(is.input_tokens));
  if (is.unbounded == 0)
    std::printf("at most %llu out\n", count(is.output_tokens));
  else
    std::printf("at most %llu out of %llu items, and what %llu items without max_tokens take\n",
                count(is.output_tokens), count(is.items - is.broken - is.unbounded), count(is.unbounded));
  if (!provider)
    return exit_ok;
  if (auto& price = provider->price; price == price_settings{}) {
    std::printf("cost: not known; %s has no prices\n", provider->name.c_str());
  } else {
    auto input = static_cast<double>(is.input_tokens) * price.input / 1e6;
    auto output = static_cast<double>(is.output_tokens) * price.output / 1e6;
    std::printf("cost: about %.4f for the prompts, at most %.4f for those answers\n", input, output);
  }
  if (auto least = least_time(is, provider->rate_limit))
    std::printf("time: at least %s by the limits of %s\n", duration_text(*least).c_str(), provider->name.c_str());
  else
    std::printf("time: not bounded by limits; %s has none\n", provider->name.c_str());
  return std::fflush(stdout) == 0 ? exit_ok : exit_failed;
}

} // namespace modelforge::cli
