#include "provider/setup.hpp"

#include "base/ascii.hpp"
#include "base/public_servers.hpp"
#include "provider/model_groups.hpp"
#include "wire/vendors.hpp"

#include <algorithm>
#include <cstdlib>
#include <utility>

namespace modelforge::provider {

namespace {

/// A failure of the settings; the provider does not start, or a reload changes nothing.
failure misconfigured(std::string message, std::string suggestion = {}) {
  return make_failure(errc::configuration, std::move(message), std::move(suggestion));
}

// Where settings become another struct all fields are named, so that one that is added does not compile until somebody
// has decided here what becomes of it.

limits::rate_limits limits_of(const rate_limit_settings& settings) {
  auto& [requests, tokens, input_tokens, output_tokens, burst, window, guard, on_start, accounting] = settings;
  static_cast<void>(on_start);   // `kept_limits` heeds it
  static_cast<void>(accounting); // `accounting_of` does
  return {{requests, tokens, input_tokens, output_tokens}, burst, window, guard};
}

optimize::options options_of(const optimization_settings& settings) {
  auto& [enable_batch_api, enable_seed, seed, json_mode_auto, cache_prompt_structure, prompt_cache_key,
         min_cache_length, min_cache_tokens, keep_alive, custom] = settings;
  static_cast<void>(enable_batch_api); // batches heed it
  static_cast<void>(custom);           // `add_optimizers` does
  return {enable_seed,
          seed,
          json_mode_auto,
          prompt_cache_key,
          cache_prompt_structure,
          min_cache_length,
          min_cache_tokens,
          std::chrono::ceil<std::chrono::seconds>(keep_alive)};
}

/// How tokens count: as the provider documents it, unless the settings say otherwise.
limits::accounting accounting_of(const wire::dialect& dialect, counted_tokens wanted) {
  limits::accounting result{dialect.accounting(), dialect.output_rule()};
  switch (wanted) {
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

/// Whether to wait, by priority; `automatic` lets batch items wait.
template <class E>
std::array<bool, 2> waits(E wanted) {
  return {wanted == E::wait, wanted != E::fail};
}

/// What the dispatcher needs of the settings. Group 0 is for all models without one of their own; each entry of
/// `models` adds a group, in its order.
dispatcher_settings dispatch_of(const provider_settings& settings, const runtime_settings& runtime, uint32_t keys) {
  dispatcher_settings result;
  result.groups.clear();
  auto add = [&](const rate_limit_settings& limits) {
    auto& group = result.groups.emplace_back();
    static_cast<slot_settings&>(group) = settings;
    group.limits = limits_of(limits);
    group.breaker = settings.circuit_breaker;
  };
  add(settings.rate_limit);
  for (auto& model : settings.models)
    add(model.rate_limit);
  result.keys = keys;
  result.retry = settings.retry;
  result.wait_on_empty_budget = waits(settings.retry.on_empty_budget);
  result.wait_when_open = waits(settings.circuit_breaker.when);
  static_cast<queue_settings&>(result) = runtime;
  return result;
}

/// The names of OpenTelemetry's conventions (`gen_ai.provider.name`), where these have one; else our own.
std::string_view vendor_of(const provider_settings& settings) {
  if (settings.kind == provider_kind::gemini)
    return "gcp.gemini";
  if (settings.kind == provider_kind::azure)
    return "azure.ai.openai";
  if (settings.kind != provider_kind::openai_compatible)
    return name_of(settings.kind);
  auto flavor = name_of(settings.flavor);
  if (settings.flavor == server_flavor::automatic)
    for (auto& known : public_servers)
      if (host_of(known.base_url) == host_of(settings.base_url))
        flavor = known.name;
  if (flavor == "mistral")
    return "mistral_ai";
  return flavor == "groq" || flavor == "deepseek" ? flavor : name_of(settings.kind);
}

/// Finds how to speak with the models of each group, and how their tokens count.
std::optional<failure> find_dialects(setup& result) {
  auto& settings = result.settings;
  auto find = [&](std::string_view api, const rate_limit_settings& limits) {
    auto* found = wire::find_dialect({.kind = name_of(settings.kind),
                                      .api = api,
                                      .flavor = name_of(settings.flavor),
                                      .base_url = settings.base_url,
                                      .api_version = settings.api_version});
    if (found != nullptr)
      result.groups.push_back({found, accounting_of(*found, limits.token_accounting)});
    return found != nullptr;
  };
  auto is_found = find(name_of(settings.api), settings.rate_limit);
  for (uint32_t i = 0; i < settings.models.size() && is_found; ++i) {
    auto& model = settings.models[i];
    is_found = find(model.api == model_api::inherit ? name_of(settings.api) : name_of(model.api),
                    limited_as(settings, i + 1) == 0 ? settings.rate_limit : model.rate_limit);
  }
  if (is_found)
    return {};
  return misconfigured("kind \"" + to_string(settings.kind) + "\" has no Responses API",
                       "leave out api = \"responses\"");
}

std::optional<failure> add_defaults(setup& result) {
  for (uint32_t group = 0; group < result.groups.size(); ++group) {
    auto made = request_defaults::make(result.settings, group);
    if (auto* problem = std::get_if<failure>(&made))
      return std::move(*problem);
    result.groups[group].defaults = std::move(std::get<request_defaults>(made));
  }
  return {};
}

/// In the order in which they act: ours, by what the group's API has, then the host's.
std::optional<failure> add_optimizers(setup& result) {
  if (!result.runtime.enable_optimizations)
    return {};
  auto& wanted = result.settings.optimizations;
  for (auto& group : result.groups) {
    auto& all = group.optimizers.emplace(optimize::make_optimizers(group.dialect->optimizations(), options_of(wanted)));
    for (auto& name : wanted.custom) {
      auto made = optimize::make_registered(name);
      if (auto* problem = std::get_if<std::string>(&made))
        return misconfigured("optimizations.custom: " + *problem,
                             "the host program calls register_optimizer before it spawns "
                             "the provider; `custom = []` does without");
      all.push_back(std::get<0>(std::move(made)));
    }
  }
  return {};
}

/// Reads the credentials, which `secrets` gets, too.
std::optional<failure> read_keys(setup& result, secret_mask& secrets) {
  for (auto& source : result.settings.keys) {
    auto resolved = resolve(source);
    if (auto* problem = std::get_if<std::string>(&resolved))
      return misconfigured(*problem);
    auto& credential = std::get<secret>(resolved);
    secrets.add(credential.reveal());
    result.keys.push_back(
      {source.name.empty() ? "default" : source.name, credential, {result.dialect().authorize(credential.reveal())}});
  }
  if (result.keys.empty())
    result.keys.push_back({"default", {}, {}});
  return {};
}

} // namespace

// A group without limits of its own has no lanes: its models use those of group 0.
std::vector<lane_place> setup::lanes() const {
  std::vector<lane_place> result;
  for (uint32_t group = 0; group < groups.size(); ++group)
    for (uint32_t i = 0; i < keys.size() && limited_as(settings, group) == group; ++i)
      result.push_back({group, i});
  return result;
}

std::string setup::lane_name(lane_place where) const {
  auto& name = keys[where.key].name;
  return where.group == 0 ? name : name + "/" + settings.models[where.group - 1].pattern;
}

void setup::add_headers(uint32_t with_key, std::vector<http::header>& headers_of_request) const {
  for (auto* more : {&keys[with_key].headers, &headers})
    headers_of_request.insert(headers_of_request.end(), more->begin(), more->end());
}

// Values that stand in the settings are no secrets: all may read them there.
std::optional<failure> read_headers(const std::vector<header_setting>& settings, std::vector<http::header>& headers,
                                    secret_mask& secrets) {
  for (auto& header : settings) {
    auto value = header.value;
    if (!header.env.empty()) {
      auto* text = std::getenv(header.env.c_str());
      if (text == nullptr)
        return misconfigured("the environment variable " + header.env + " is not set",
                             "it holds the value of header " + header.name);
      value = text;
      secrets.add(value);
    }
    headers.push_back({header.name, value});
  }
  return {};
}

// Everything that can be wrong with a provider's settings is found here, before an actor or a connection exists. A
// configured header replaces the dialect's of the same name.
std::variant<setup, failure> prepare(const provider_settings& settings, const runtime_settings& runtime) {
  if (settings.interactive_slots >= settings.max_concurrent) // batch items would wait for ever
    return misconfigured("interactive_slots must be less than max_concurrent");
  setup result;
  result.settings = settings;
  result.runtime = runtime;
  if (auto problem = find_dialects(result))
    return std::move(*problem);
  auto& dialect = result.dialect();
  result.base_url = settings.base_url.empty() ? std::string{dialect.default_base_url()} : settings.base_url;
  if (result.base_url.empty())
    return misconfigured("base_url is not set", "this kind has no public address of its own");
  result.vendor = vendor_of(settings);
  auto secrets = std::make_shared<secret_mask>();
  if (auto problem = read_keys(result, *secrets))
    return std::move(*problem);
  if (auto problem = read_headers(settings.headers, result.headers, *secrets))
    return std::move(*problem);
  result.secrets = std::move(secrets);
  for (auto& header : dialect.headers())
    if (std::none_of(settings.headers.begin(), settings.headers.end(),
                     [&](auto& own) { return ascii::iequals(own.name, header.name); }))
      result.headers.push_back(header);
  result.dispatch = dispatch_of(settings, runtime, static_cast<uint32_t>(result.keys.size()));
  if (auto problem = add_defaults(result))
    return std::move(*problem);
  if (auto problem = add_optimizers(result))
    return std::move(*problem);
  return result;
}

} // namespace modelforge::provider
