#include "base/ascii.hpp"
#include "config/address.hpp"
#include "config/check.hpp"
#include "config/diagnostic.hpp"
#include "config/names.hpp"

#include <algorithm>
#include <set>

namespace modelforge {

namespace {

/// Checks one provider's settings, which stand below `path_` in the file. Values are within their ranges. What cannot
/// work is an error; what works, but hardly as it was meant, is a warning. Each check stands alone, so that all that is
/// wrong is told at once. Run once for each provider by `cross_check`.
class provider_checker {
public:
  provider_checker(const provider_settings& provider, const environment& env, findings& found)
    : provider_{provider}, env_{env}, found_{found}, path_{"providers." + schema::quoted_key(provider.name)} {}

  void run() {
    if (!is_name(provider_.name))
      found_.error({path_}, "a provider cannot have this name",
                   "allowed: up to 64 letters, digits, `-` and `_`, the first one a letter");
    check_base_url();
    check_api();
    check_keys();
    check_headers(provider_.headers, path_, env_, found_);
    if (provider_.interactive_slots >= provider_.max_concurrent)
      found_.error({path_ + ".interactive_slots", path_ + ".max_concurrent"},
                   "`interactive_slots` leaves batches nothing of the " + std::to_string(provider_.max_concurrent)
                     + " requests that `max_concurrent` allows",
                   "allowed: less than `max_concurrent`");
    check_timeouts();
    if (provider_.retry.base_wait > provider_.retry.max_wait)
      found_.error({path_ + ".retry.base_wait", path_ + ".retry.max_wait"},
                   "`base_wait` (" + seconds_text(provider_.retry.base_wait) + ") is longer than `max_wait` ("
                     + seconds_text(provider_.retry.max_wait) + ')');
    check_rate_limit(provider_.rate_limit, path_ + ".rate_limit.");
    check_defaults(provider_.defaults, path_ + ".defaults.");
    check_models();
  }

private:
  /// Where the provider is. The most frequent slips are paths that the dialect appends itself, and plain HTTP.
  void check_base_url() {
    auto where = path_ + ".base_url";
    if (provider_.base_url.empty()) {
      if (public_host(provider_.kind).empty())
        found_.error(
          {path_, where, path_ + ".kind"},
          "a provider of kind " + code(name_of(provider_.kind)) + " needs a `base_url`: there is no public address",
          provider_.kind == provider_kind::azure ? "base_url = \"https://RESOURCE.openai.azure.com/openai/v1\""
                                                 : "base_url = \"https://HOST/v1\"");
      return;
    }
    auto parsed = parse_base_url(provider_.base_url);
    if (auto* reason = std::get_if<std::string>(&parsed))
      return found_.error({where}, "`base_url` " + *reason,
                          "allowed: http(s)://HOST[:PORT][/PATH]; keys go into `api_key_env`");
    const auto& parts = std::get<base_url>(parsed);
    auto has_key = !provider_.keys.empty()
                   || std::any_of(provider_.headers.begin(), provider_.headers.end(),
                                  [](auto& header) { return !header.env.empty(); });
    if (!parts.encrypted && has_key && !is_loopback(parts.address.host))
      found_.warn({where}, "the key is sent to " + parts.address.host + " in the clear: http:// is not encrypted",
                  "use https://");
    for (std::string_view end : {"/chat/completions", "/messages", "/api/chat", "/responses"})
      if (provider_.base_url.ends_with(end))
        found_.warn({where}, "`base_url` ends in " + code(end) + ", which is appended to it", "end it before that");
    auto has_v1 = provider_.base_url.ends_with("/v1") || provider_.base_url.ends_with("/v1/");
    if (has_v1 && (provider_.kind == provider_kind::anthropic || provider_.kind == provider_kind::ollama))
      found_.warn({where}, "`base_url` of kind " + code(name_of(provider_.kind)) + " ends in `/v1`",
                  "end it before that");
  }

  /// Settings that mean something to some kinds only: refused where they would break requests, else a warning.
  void check_api() {
    auto has_responses_api = provider_.kind == provider_kind::openai || provider_.kind == provider_kind::azure
                             || provider_.kind == provider_kind::openai_compatible;
    auto refuse = [&](const std::string& where) {
      found_.error({where}, "kind " + code(name_of(provider_.kind)) + " has no Responses API",
                   "`responses` is for the kinds `openai`, `azure` and `openai_compatible`");
    };
    if (provider_.api == provider_api::responses && !has_responses_api)
      refuse(path_ + ".api");
    for (auto& model : provider_.models)
      if (model.api == model_api::responses && !has_responses_api)
        refuse(path_ + ".models." + schema::quoted_key(model.pattern) + ".api");
    if (provider_.flavor != server_flavor::automatic && provider_.kind != provider_kind::openai_compatible)
      found_.warn({path_ + ".flavor"}, "`flavor` means nothing to kind " + code(name_of(provider_.kind)),
                  "it is for the kind `openai_compatible`");
    if (!provider_.api_version.empty() && provider_.kind != provider_kind::azure)
      found_.warn({path_ + ".api_version"}, "`api_version` means nothing to kind " + code(name_of(provider_.kind)),
                  "it is for the kind `azure`");
    if (provider_.kind == provider_kind::azure && provider_.base_url.ends_with("/v1") && !provider_.api_version.empty()
        && ascii::is_digit(provider_.api_version.front()))
      found_.warn({path_ + ".api_version"}, "the API below `/v1` has no dated versions",
                  "end `base_url` before /v1 for the older API, or leave `api_version` out");
    if (!ascii::all(provider_.api_version,
                    [](char c) { return ascii::is_letter(c) || ascii::is_digit(c) || c == '-' || c == '.'; }))
      found_.error({path_ + ".api_version"}, "`api_version` is not a version",
                   "allowed: e.g. \"2024-10-21\" or \"preview\"");
  }

  /// A key that cannot be had now is a warning: the file may be checked on another machine than the one that runs it.
  void check_keys() {
    if (provider_.keys.empty() && provider_.base_url.empty() && !public_host(provider_.kind).empty()
        && provider_.kind != provider_kind::ollama)
      found_.warn({path_, path_ + ".keys", path_ + ".api_key_env", path_ + ".api_key_file"},
                  "no key is named, so none is sent to " + std::string{public_host(provider_.kind)},
                  "api_key_env = \"" + variable_for(provider_.name) + "\"");
    std::set<std::string> names;
    for (std::size_t i = 0; i < provider_.keys.size(); ++i) {
      const auto& key = provider_.keys[i];
      auto where = path_ + ".keys." + std::to_string(i);
      if (!names.insert(key.name).second)
        found_.error({where + ".name", where}, "two keys have the name " + code(key.name));
      if (key.api_key_env.empty() == key.api_key_file.empty())
        found_.error({where, where + ".api_key_env", where + ".api_key_file"},
                     "a key comes from either a variable or a file", "set one of `api_key_env` and `api_key_file`");
      else if (!key.api_key_env.empty() && !check_variable(key.api_key_env, where + ".api_key_env", found_))
        continue;
      else if (auto result = resolve(key, env_); auto* reason = std::get_if<std::string>(&result))
        found_.warn({where + (key.api_key_env.empty() ? ".api_key_file" : ".api_key_env"), where}, *reason);
    }
  }

  /// A part that is longer than the whole has no effect, which nobody can have meant.
  void check_timeouts() {
    auto path = path_ + ".timeouts.";
    const auto& timeouts = provider_.timeouts;
    auto compare = [&](duration part, const char* name) {
      if (timeouts.total > duration::zero() && part > timeouts.total)
        found_.warn({path + name, path + "total"}, code(name) + " (" + seconds_text(part) + ") never applies: `total` ("
                                                     + seconds_text(timeouts.total) + ") is shorter");
    };
    compare(timeouts.connect, "connect");
    compare(timeouts.first_token, "first_token");
    compare(timeouts.idle, "idle");
  }

  /// Limits of the provider, or of some of its models.
  void check_rate_limit(const rate_limit_settings& limits, const std::string& path) {
    if (limits.window_guard >= limits.window)
      found_.error({path + "window_guard", path + "window"}, "`window_guard` is not shorter than `window`");
    if (limits.requests_per_minute) {
      auto per_window =
        static_cast<double>(*limits.requests_per_minute) * std::chrono::duration<double>{limits.window}.count() / 60;
      if (per_window < 1)
        found_.error({path + "requests_per_minute", path + "window"},
                     "less than one request in a `window` of " + seconds_text(limits.window)
                       + ": nothing would ever be sent",
                     "make `window` longer");
    }
    auto compare = [&](const std::optional<uint64_t>& part, const char* name) {
      if (limits.tokens_per_minute && part && *part > *limits.tokens_per_minute)
        found_.warn({path + name, path + "tokens_per_minute"}, code(name) + " never applies: `tokens_per_minute` ("
                                                                 + std::to_string(*limits.tokens_per_minute)
                                                                 + ") counts them too and is less");
    };
    compare(limits.input_tokens_per_minute, "input_tokens_per_minute");
    compare(limits.output_tokens_per_minute, "output_tokens_per_minute");
  }

  /// Most values are judged by the provider, which knows its models.
  void check_defaults(const default_settings& defaults, const std::string& path) {
    if (defaults.top_p == 0.0)
      found_.error({path + "top_p"}, "`top_p = 0` leaves no word to choose from",
                   "`temperature = 0` takes the most probable word each time");
    if (std::find(defaults.stop.begin(), defaults.stop.end(), "") != defaults.stop.end())
      found_.error({path + "stop"}, "a text in `stop` is empty");
    for (std::size_t i = 0; i < defaults.options.size(); ++i)
      if (auto name_end = defaults.options[i].find('='); name_end == std::string::npos || name_end == 0)
        found_.error({path + "options"}, code(defaults.options[i]) + " in `options` is not NAME=VALUE",
                     "e.g. \"top_k=40\", or \"user=me\"");
      else if (defaults.options[i].starts_with("stream="))
        found_.error({path + "options"}, "`stream` cannot be set in `options`",
                     "whether an answer is streamed is decided by how it is asked for");
  }

  /// The first pattern that matches counts, so nothing behind one that matches all is ever used.
  void check_models() {
    const std::string* catch_all = nullptr;
    for (const auto& model : provider_.models) {
      auto where = path_ + ".models." + schema::quoted_key(model.pattern);
      if (model.pattern.empty())
        found_.error({where}, "a pattern for models is empty", "`*` matches all");
      if (catch_all)
        found_.warn({where}, "this pattern is never used: " + code(*catch_all) + " above it matches every model",
                    "the first match counts: put the more particular pattern first");
      else if (!model.pattern.empty() && ascii::all(model.pattern, [](char c) { return c == '*'; }))
        catch_all = &model.pattern;
      check_rate_limit(model.rate_limit, where + ".rate_limit.");
      if (model.rate_limit != rate_limit_settings{} && has_limit(provider_.rate_limit) && !has_limit(model.rate_limit))
        found_.warn({where + ".rate_limit", where},
                    "`rate_limit` of these models sets no limit, and those of [" + path_
                      + ".rate_limit] do not hold for them",
                    "set one here, or leave `rate_limit` out: then they share the provider's");
      check_defaults(model.defaults, where + ".defaults.");
      auto on_start = model.rate_limit.on_start;
      if (on_start != rate_limit_settings{}.on_start && on_start != provider_.rate_limit.on_start)
        found_.error({where + ".rate_limit.on_start", where}, "`on_start` holds for a provider with all its models",
                     "set it in [" + path_ + ".rate_limit]");
    }
  }

  const provider_settings& provider_;
  const environment& env_;
  findings& found_;
  std::string path_;
};

} // namespace

bool is_ours(const provider_settings& provider, const node_settings& node) {
  return provider.nodes.empty() || provider.nodes.front() == node.name;
}

bool has_limit(const rate_limit_settings& limits) {
  return limits.requests_per_minute || limits.tokens_per_minute || limits.input_tokens_per_minute
         || limits.output_tokens_per_minute;
}

bool keeps_limits(const provider_settings& provider) {
  auto of_model = [](const model_settings& model) { return has_limit(model.rate_limit); };
  return provider.rate_limit.on_start != window_start::empty
         && (has_limit(provider.rate_limit) || std::any_of(provider.models.begin(), provider.models.end(), of_model));
}

void check_provider(const provider_settings& provider, const environment& env, findings& found) {
  provider_checker{provider, env, found}.run();
}

} // namespace modelforge
