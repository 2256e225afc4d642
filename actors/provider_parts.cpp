#include "actors/provider_parts.hpp"

#include <modelforge/config/secret.hpp>

#include <algorithm>
#include <cstdlib>

namespace modelforge {

namespace {

failure wrong(std::string message, std::string suggestion = {}) {
  return make_failure(errc::configuration, std::move(message), std::move(suggestion));
}

std::optional<failure> add_headers(const provider_settings& x, std::vector<http::header>& headers) {
  for (auto& header : x.headers) {
    auto value = header.value;
    if (!header.env.empty()) {
      auto* text = std::getenv(header.env.c_str());
      if (text == nullptr)
        return wrong("the environment variable " + header.env + " is not set",
                     "it holds the value of header " + header.name);
      value = text;
    }
    headers.push_back({header.name, value});
  }
  return {};
}

limits::rate_limits limits_of(const rate_limit_settings& x) {
  return {
    .per_minute = {x.requests_per_minute, x.tokens_per_minute, x.input_tokens_per_minute, x.output_tokens_per_minute},
    .burst = x.burst,
    .window = x.window,
    .guard = x.window_guard};
}

limits::accounting accounting_of(const wire::dialect& dialect, const rate_limit_settings& x) {
  limits::accounting result{dialect.accounting(), dialect.output_rule()};
  switch (x.token_accounting) {
    case counted_tokens::automatic:
      break;
    case counted_tokens::arrival:
      result.tokens = limits::token_accounting::arrival;
      break;
    case counted_tokens::produced:
      result.tokens = limits::token_accounting::produced;
      break;
    case counted_tokens::input:
      result.tokens = limits::token_accounting::input;
      break;
    case counted_tokens::none:
      result.tokens = limits::token_accounting::none;
      break;
  }
  return result;
}

limits::breaker_settings breaker_of(const circuit_breaker_settings& x) {
  return {.enabled = x.enabled,
          .consecutive_failures = x.consecutive_failures,
          .failure_share = x.failure_share,
          .min_samples = x.min_samples,
          .sample_window = x.sample_window,
          .slow_after = x.slow_after,
          .open_for = x.open_for,
          .probes = x.probes};
}

/// Whether to wait, by priority; `automatic` lets batch items wait.
template <class E>
std::array<bool, 2> waits(E x) {
  return {x == E::wait, x != E::fail};
}

dispatcher_settings dispatch_of(const provider_settings& x, const runtime_settings& runtime, uint32_t keys) {
  dispatcher_settings y;
  y.groups.clear();
  auto add = [&](const rate_limit_settings& limits) {
    y.groups.push_back({.limits = limits_of(limits),
                        .breaker = breaker_of(x.circuit_breaker),
                        .max_concurrent = x.max_concurrent,
                        .interactive_slots = x.interactive_slots,
                        .adaptive = x.adaptive});
  };
  add(x.rate_limit);
  for (auto& model : x.models)
    add(model.rate_limit);
  y.keys = keys;
  y.retry = {.max_attempts = x.retry.max_attempts,
             .backoff_factor = x.retry.backoff_factor,
             .base_wait = x.retry.base_wait,
             .max_wait = x.retry.max_wait,
             .max_server_wait = x.retry.max_server_wait,
             .respect_retry_after = x.retry.respect_retry_after,
             .retry_uncertain = x.retry.retry_uncertain};
  y.wait_on_empty_budget = waits(x.retry.on_empty_budget);
  y.wait_when_open = waits(x.circuit_breaker.when);
  y.max_queued = runtime.max_queued;
  y.max_queued_bytes = runtime.max_queued_bytes;
  return y;
}

/// Names of headers are the same in any case.
bool same_name(std::string_view x, std::string_view y) {
  auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; };
  return std::equal(x.begin(), x.end(), y.begin(), y.end(), [&](char a, char b) { return lower(a) == lower(b); });
}

bool has_limits(const dispatcher_settings& x) {
  return std::any_of(x.groups.begin(), x.groups.end(), [](auto& group) {
    auto& limits = group.limits.per_minute;
    return std::any_of(limits.begin(), limits.end(), [](auto& limit) { return limit.has_value(); });
  });
}

/// A folder that the settings name must be usable; the usual one is used where it can be.
std::optional<failure> open_journal(provider_parts& x) {
  auto named = !x.runtime.state_folder.empty();
  auto folder = named ? x.runtime.state_folder : default_state_folder();
  if (folder.empty() || folder == "none" || x.settings.rate_limit.on_start == window_start::empty
      || !has_limits(x.dispatch))
    return {};
  auto opened = journal::open(folder, x.settings.name);
  if (auto* problem = std::get_if<std::string>(&opened)) {
    if (named)
      return wrong(*problem, "runtime.state_folder must be a folder that can be written; \"none\" does without");
    x.problem = *problem;
    return {};
  }
  auto& journal = std::get<0>(opened);
  if (journal.is_taken())
    x.problem = "another process uses this provider too: together they may exceed its limits";
  x.limits_journal.emplace(std::move(journal));
  return {};
}

} // namespace

std::variant<provider_parts, failure> prepare_provider(const provider_settings& x, const runtime_settings& runtime) {
  provider_parts parts;
  if (x.interactive_slots >= x.max_concurrent) // batch items would wait for ever
    return wrong("interactive_slots must be less than max_concurrent");
  parts.settings = x;
  parts.runtime = runtime;
  parts.dialect = wire::find_dialect(name_of(x.kind));
  if (parts.dialect == nullptr) {
    std::string spoken;
    for (auto* dialect : wire::dialects())
      spoken += (spoken.empty() ? "" : ", ") + std::string{dialect->name()};
    return wrong("kind \"" + to_string(x.kind) + "\" is not spoken yet", "this version speaks " + spoken);
  }
  parts.accounting.push_back(accounting_of(*parts.dialect, x.rate_limit));
  for (auto& model : x.models)
    parts.accounting.push_back(accounting_of(*parts.dialect, model.rate_limit));
  parts.base_url = x.base_url.empty() ? std::string{parts.dialect->default_base_url()} : x.base_url;
  if (parts.base_url.empty())
    return wrong("base_url is not set", "this kind has no public address of its own");
  for (auto& source : x.keys) {
    auto key = resolve(source);
    if (auto* problem = std::get_if<std::string>(&key))
      return wrong(*problem);
    parts.keys.push_back(
      {source.name.empty() ? "default" : source.name, {parts.dialect->authorize(std::get<secret>(key).reveal())}});
  }
  if (parts.keys.empty())
    parts.keys.push_back({"default", {}});
  if (auto problem = add_headers(x, parts.headers))
    return std::move(*problem);
  for (auto& header : parts.dialect->headers())
    if (std::none_of(x.headers.begin(), x.headers.end(), [&](auto& own) { return same_name(own.name, header.name); }))
      parts.headers.push_back(header);
  parts.dispatch = dispatch_of(x, runtime, static_cast<uint32_t>(parts.keys.size()));
  if (auto problem = open_journal(parts))
    return std::move(*problem);
  return parts;
}

bool matches(std::string_view pattern, std::string_view name) {
  std::size_t p = 0, n = 0, star = pattern.npos, from = 0;
  while (n < name.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      from = n;
    } else if (p < pattern.size() && (pattern[p] == '?' || pattern[p] == name[n])) {
      ++p;
      ++n;
    } else if (star != pattern.npos) { // let the last star take one character more
      p = star + 1;
      n = ++from;
    } else {
      return false;
    }
  }
  return pattern.find_first_not_of('*', p) == pattern.npos;
}

uint32_t group_of(const provider_settings& x, std::string_view model) {
  for (uint32_t i = 0; i < x.models.size(); ++i)
    if (matches(x.models[i].pattern, model))
      return i + 1;
  return 0;
}

std::optional<double> cost_of(const provider_settings& x, uint32_t group, const token_usage& usage) {
  constexpr price_settings none;
  auto& own = group == 0 ? x.price : x.models[group - 1].price;
  auto& price = own == none ? x.price : own;
  if (price == none)
    return {};
  auto plain = usage.input - std::min(usage.input, usage.cached_read + usage.cache_written);
  auto or_input = [&](double special) { return special > 0 ? special : price.input; };
  auto sum = static_cast<double>(plain) * price.input + static_cast<double>(usage.output) * price.output
             + static_cast<double>(usage.cached_read) * or_input(price.cached_read)
             + static_cast<double>(usage.cache_written) * or_input(price.cache_written);
  return sum / 1e6;
}

std::string lane_name(const provider_parts& x, uint32_t group, uint32_t key) {
  auto name = x.keys[key].name;
  return group == 0 ? name : name + "/" + x.settings.models[group - 1].pattern;
}

} // namespace modelforge
