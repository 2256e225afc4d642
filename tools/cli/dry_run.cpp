#include "tools/cli/batch.hpp"
#include "tools/cli/output.hpp"
#include "tools/cli/session.hpp"

#include "batch/reader.hpp"
#include "limits/token_estimator.hpp"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <optional>
#include <string>
#include <vector>

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
};

/// Reads the whole input as a batch would, and adds up what it asks for. Names each line that no request can be made
/// of, as it is found: there may be millions. Estimates are those by which limits are kept.
std::variant<plan, failure> read_plan(const std::string& path) {
  auto opened = batch::open_source(path);
  if (auto* problem = std::get_if<failure>(&opened))
    return std::move(*problem);
  plan result;
  for (;;) {
    auto next = std::get<0>(opened)->next();
    if (auto* problem = std::get_if<failure>(&next))
      return std::move(*problem);
    auto& item = std::get<std::optional<batch::item>>(next);
    if (!item)
      return result;
    ++result.items;
    if (auto* problem = std::get_if<failure>(&item->request)) {
      ++result.broken;
      std::printf("%s\n", to_string(*problem).c_str());
      continue;
    }
    auto& request = std::get<chat_request>(item->request);
    result.input_tokens += limits::token_estimator::raw(request);
    if (request.sampling.max_tokens)
      result.output_tokens += *request.sampling.max_tokens;
    else
      ++result.unbounded;
  }
}

/// The least time that a provider's limits allow; empty where it has none.
std::optional<std::chrono::nanoseconds> min_time(const plan& batch, const rate_limit_settings& limits) {
  std::optional<double> minutes;
  auto bound = [&](uint64_t amount, const std::optional<uint64_t>& limit) {
    if (limit && *limit > 0)
      minutes = std::max(minutes.value_or(0), static_cast<double>(amount) / static_cast<double>(*limit));
  };
  bound(batch.items - batch.broken, limits.requests_per_minute);
  bound(batch.input_tokens + batch.output_tokens, limits.tokens_per_minute);
  bound(batch.input_tokens, limits.input_tokens_per_minute);
  bound(batch.output_tokens, limits.output_tokens_per_minute);
  if (!minutes)
    return {};
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::duration<double, std::ratio<60>>(*minutes));
}

/// Prints what the whole batch would take at one provider.
void print_estimate(const plan& batch, const provider_settings& provider, bool by_jobs) {
  auto& price = provider.price;
  if (price == price_settings{}) {
    std::printf("cost: not known; %s has no prices\n", provider.name.c_str());
  } else {
    auto share = by_jobs ? price.batch : 1;
    std::printf("cost at %s%s: about %.4f for the prompts, at most %.4f for those answers\n", provider.name.c_str(),
                by_jobs ? ", by its batch API" : "",
                static_cast<double>(batch.input_tokens) * price.input * share / 1e6,
                static_cast<double>(batch.output_tokens) * price.output * share / 1e6);
  }
  if (by_jobs)
    std::printf("time: up to a day, as the batch API of %s has room\n", provider.name.c_str());
  else if (auto time = min_time(batch, provider.rate_limit))
    std::printf("time: at least %s by the limits of %s\n", duration_text(*time).c_str(), provider.name.c_str());
  else
    std::printf("time: not bounded by limits; %s has none\n", provider.name.c_str());
}

/// Whether the items would go through the provider's batch API, as far as the options say.
bool uses_jobs(const batch_command_options& options, const provider_settings& first,
               const provider_settings& provider) {
  auto automatic = options.mode == "auto" || (options.mode.empty() && first.optimizations.enable_batch_api);
  auto has_a_day = !options.deadline || *options.deadline >= 24 * 3600;
  return options.mode == "provider" || (automatic && has_a_day && provider.price.batch < 1);
}

} // namespace

// Needs neither keys nor a provider that can be reached: nothing is sent, and with --simulate not even settings are
// read.
int batch_dry_run(const batch_command_options& options) {
  std::vector<session_provider> providers;
  if (!options.target.simulate) {
    auto all = load_settings(options.target.config);
    if (!all)
      return exit_usage;
    auto chosen = choose_providers(*all, options.target.provider, true);
    if (!chosen)
      return exit_usage;
    providers = std::move(*chosen);
  }
  auto made = read_plan(options.input);
  if (auto* problem = std::get_if<failure>(&made)) {
    complain(to_string(*problem));
    return problem->code == errc::io_failed ? exit_usage : exit_failed; // what it holds is what this was to find out
  }
  auto& batch = std::get<plan>(made);
  auto count = [](uint64_t n) { return static_cast<unsigned long long>(n); };
  std::printf("items: %llu", count(batch.items));
  if (batch.broken > 0)
    std::printf(", of which %llu cannot be read", count(batch.broken));
  std::printf("\ntokens: about %llu in; ", count(batch.input_tokens));
  if (batch.unbounded == 0)
    std::printf("at most %llu out\n", count(batch.output_tokens));
  else
    std::printf("at most %llu out of %llu items, and what %llu items without max_tokens take\n",
                count(batch.output_tokens), count(batch.items - batch.broken - batch.unbounded),
                count(batch.unbounded));
  if (providers.size() > 1)
    std::puts("if all of it went to one of these:");
  for (auto& one : providers)
    print_estimate(batch, one.settings, uses_jobs(options, providers.front().settings, one.settings));
  return std::fflush(stdout) == 0 && batch.broken == 0 ? exit_ok : exit_failed;
}

} // namespace modelforge::cli
