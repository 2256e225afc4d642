#include "actors/provider_parts.hpp"

#include "wire/vendors.hpp"

#include <modelforge/config/secret.hpp>

#include <algorithm>
#include <cstdlib>

namespace modelforge {

namespace {

failure wrong(std::string message, std::string suggestion = {}) {
  return make_failure(errc::configuration, std::move(message), std::move(suggestion));
}

/// `secrets` gets those values that come from the environment: others stand in the settings for all to read.
std::optional<failure> add_headers(const provider_settings& x, std::vector<http::header>& headers,
                                   secret_mask& secrets) {
  for (auto& header : x.headers) {
    auto value = header.value;
    if (!header.env.empty()) {
      auto* text = std::getenv(header.env.c_str());
      if (text == nullptr)
        return wrong("the environment variable " + header.env + " is not set",
                     "it holds the value of header " + header.name);
      value = text;
      secrets.add(value);
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
             .max_batch_server_wait = x.retry.max_batch_server_wait,
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

/// Finds how to speak with the models of each group, and how their tokens count.
std::optional<failure> find_dialects(provider_parts& parts) {
  auto& x = parts.settings;
  auto find = [&](std::string_view api, const rate_limit_settings& limits) {
    auto* found = wire::find_dialect({.kind = name_of(x.kind),
                                      .api = api,
                                      .flavor = name_of(x.flavor),
                                      .base_url = x.base_url,
                                      .api_version = x.api_version});
    if (found == nullptr)
      return false;
    parts.dialects.push_back(found);
    parts.accounting.push_back(accounting_of(*found, limits));
    return true;
  };
  auto is_found = find(name_of(x.api), x.rate_limit);
  for (auto& model : x.models) {
    auto shares = model.rate_limit == rate_limit_settings{};
    is_found = is_found
               && find(model.api == model_api::inherit ? name_of(x.api) : name_of(model.api),
                       shares ? x.rate_limit : model.rate_limit);
  }
  if (is_found)
    return {};
  return wrong("kind \"" + to_string(x.kind) + "\" has no Responses API", "leave out api = \"responses\"");
}

/// A folder that the settings name must be usable; the usual one is used where it can be.
/// In the order in which they act: ours, by what the group's API has, then the host's.
std::optional<failure> add_optimizers(provider_parts& to) {
  auto& x = to.settings.optimizations;
  if (!to.runtime.enable_optimizations)
    return {};
  for (auto* dialect : to.dialects) {
    auto& list = to.optimizers.emplace_back(optimize::make_optimizers(
      dialect->optimizations(), {.enable_seed = x.enable_seed,
                                 .seed = x.seed,
                                 .json_mode_auto = x.json_mode_auto,
                                 .prompt_cache_key = x.prompt_cache_key,
                                 .cache_prompt_structure = x.cache_prompt_structure,
                                 .min_cache_length = x.min_cache_length,
                                 .min_cache_tokens = x.min_cache_tokens,
                                 .keep_alive = std::chrono::ceil<std::chrono::seconds>(x.keep_alive)}));
    for (auto& name : x.custom) {
      auto made = optimize::make_registered(name);
      if (auto* problem = std::get_if<std::string>(&made))
        return wrong("optimizations.custom: " + *problem, "the host program calls register_optimizer before it spawns "
                                                          "the provider; `custom = []` does without");
      list.push_back(std::get<0>(std::move(made)));
    }
  }
  return {};
}

} // namespace

std::variant<provider_parts, failure> prepare_provider(const provider_settings& x, const runtime_settings& runtime) {
  provider_parts parts;
  if (x.interactive_slots >= x.max_concurrent) // batch items would wait for ever
    return wrong("interactive_slots must be less than max_concurrent");
  parts.settings = x;
  parts.runtime = runtime;
  if (auto problem = find_dialects(parts))
    return std::move(*problem);
  auto& dialect = *parts.dialects.front(); // what follows is the same for all groups
  parts.base_url = x.base_url.empty() ? std::string{dialect.default_base_url()} : x.base_url;
  if (parts.base_url.empty())
    return wrong("base_url is not set", "this kind has no public address of its own");
  auto secrets = std::make_shared<secret_mask>();
  for (auto& source : x.keys) {
    auto key = resolve(source);
    if (auto* problem = std::get_if<std::string>(&key))
      return wrong(*problem);
    auto& is = std::get<secret>(key);
    secrets->add(is.reveal());
    parts.keys.push_back({source.name.empty() ? "default" : source.name, is, {dialect.authorize(is.reveal())}});
  }
  if (parts.keys.empty())
    parts.keys.push_back({"default", {}, {}});
  if (auto problem = add_headers(x, parts.headers, *secrets))
    return std::move(*problem);
  parts.secrets = std::move(secrets);
  for (auto& header : dialect.headers())
    if (std::none_of(x.headers.begin(), x.headers.end(), [&](auto& own) { return same_name(own.name, header.name); }))
      parts.headers.push_back(header);
  parts.dispatch = dispatch_of(x, runtime, static_cast<uint32_t>(parts.keys.size()));
  if (auto problem = add_optimizers(parts))
    return std::move(*problem);
  return parts;
}

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

bool can_become(const provider_settings& from, const provider_settings& to) {
  return from.name == to.name
         && (from.kind == to.kind || (from.base_url == to.base_url && !to.base_url.empty() && from.keys == to.keys));
}

namespace {

/// The group of the same models with limits of its own, or none of its own.
std::optional<uint32_t> find_group(const provider_settings& in, const provider_settings& of, uint32_t group) {
  if (group == 0)
    return 0;
  if (limited_as(of, group) != group)
    return {};
  auto& all = in.models;
  auto i = std::find_if(all.begin(), all.end(), [&](auto& x) { return x.pattern == of.models[group - 1].pattern; });
  auto found = static_cast<uint32_t>(i - all.begin()) + 1;
  return i != all.end() && limited_as(in, found) == found ? std::optional{found} : std::nullopt;
}

} // namespace

bool same_lanes(const provider_parts& x, const provider_parts& y) {
  auto same_group = [&](const model_settings& a, const model_settings& b) {
    auto shares = [](const model_settings& z) { return z.rate_limit == rate_limit_settings{}; };
    return a.pattern == b.pattern && shares(a) == shares(b);
  };
  auto& a = x.settings.models;
  auto& b = y.settings.models;
  return x.base_url == y.base_url && std::equal(a.begin(), a.end(), b.begin(), b.end(), same_group)
         && std::equal(x.keys.begin(), x.keys.end(), y.keys.begin(), y.keys.end(),
                       [](auto& k, auto& l) { return k.is == l.is; });
}

dispatcher::heritage heritage_of(const provider_parts& from, const provider_parts& to, std::vector<secret>& known) {
  dispatcher::heritage result;
  result.same_server = from.base_url == to.base_url;
  for (uint32_t group = 0; group <= to.settings.models.size(); ++group)
    result.groups.push_back(find_group(from.settings, to.settings, group));
  for (auto& key : to.keys) {
    uint32_t i = 0;
    while (i < known.size()
           && (!(known[i] == key.is) || std::count(result.keys.begin(), result.keys.end(), i) > 0)) // given twice
      ++i;
    if (i == known.size())
      known.push_back(key.is);
    result.keys.push_back(i);
  }
  result.group_of = [settings = to.settings](const std::string& model) {
    return limited_as(settings, group_of(settings, model));
  };
  return result;
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

uint32_t limited_as(const provider_settings& x, uint32_t group) {
  return group > 0 && x.models[group - 1].rate_limit == rate_limit_settings{} ? 0 : group;
}

const price_settings& price_of(const provider_settings& x, uint32_t group) {
  return group == 0 || x.models[group - 1].price == price_settings{} ? x.price : x.models[group - 1].price;
}

std::optional<double> cost_of(const provider_settings& x, uint32_t group, const token_usage& usage) {
  auto& price = price_of(x, group);
  if (price == price_settings{})
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
