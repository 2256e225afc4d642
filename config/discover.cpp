#include "base/public_servers.hpp"
#include "config/check.hpp"
#include "config/known_providers.hpp"
#include "config/state_folder.hpp"
#include "config/trust.hpp"

#include <algorithm>
#include <filesystem>
#include <utility>

namespace modelforge {

namespace {

/// A variable's value; one that is empty or blank counts as not set.
std::string value_of(const environment& env, const char* name) {
  auto value = name ? env(name).value_or("") : "";
  return value.find_first_not_of(" \t\r\n") == std::string::npos ? "" : value;
}

/// The provider of a well-known variable, by the variables that the vendor's own clients read; nothing if it is not
/// set.
std::optional<provider_settings> make_provider(const known_provider& known, const environment& env) {
  auto key = std::find_if(known.keys.begin(), known.keys.end(), [&](auto* name) { return value_of(env, name) != ""; });
  if (key == known.keys.end())
    return std::nullopt;
  provider_settings result;
  result.name = known.name;
  result.kind = known.kind;
  result.keys.push_back({"", *key, ""});
  result.base_url = value_of(env, known.url_variable);
  if (result.base_url.empty() && known.kind == provider_kind::openai_compatible) // which has no address of its own
    result.base_url = public_address(known.name);
  if (known.kind == provider_kind::azure) {
    if (result.base_url.empty())
      return std::nullopt;
    while (result.base_url.ends_with('/'))
      result.base_url.pop_back();
    if (result.base_url.find("/openai") == std::string::npos)
      result.base_url += "/openai/v1";
  }
  return result;
}

/// Where Ollama's own client would connect for this OLLAMA_HOST: a host, HOST:PORT or a URL. An address that stands for
/// "all interfaces" is good for listening only and becomes the loopback one.
std::string ollama_url(std::string text) {
  auto scheme = text.substr(0, text.find("://") == std::string::npos ? 0 : text.find("://") + 3);
  auto rest = text.substr(scheme.size());
  auto path = rest.find('/') == std::string::npos ? "" : rest.substr(rest.find('/'));
  auto host = rest.substr(0, rest.find('/'));
  auto is_ipv6 = std::count(host.begin(), host.end(), ':') > 1;
  auto colon = is_ipv6 && !host.starts_with('[') ? std::string::npos : host.find(':', is_ipv6 ? host.find(']') : 0);
  auto port = colon == std::string::npos ? (scheme.empty() ? ":11434" : "") : host.substr(colon);
  host = host.substr(0, colon);
  if (host.empty() || host == "0.0.0.0")
    host = "127.0.0.1";
  else if (host == "[::]" || host == "::")
    host = "[::1]";
  else if (host.find(':') != std::string::npos && !host.starts_with('['))
    host = '[' + host + ']';
  return (scheme.empty() ? "http://" : scheme) + host + port + path;
}

/// Settings from keys in the environment. The origin lists the variables, never their values.
load_result from_environment(const environment& env) {
  load_result result;
  result.value = settings_from_environment(env);
  if (!result.value)
    return result;
  for (const auto& provider : result.value->providers) {
    result.origin += result.origin.empty() ? "the environment (" : ", ";
    result.origin += provider.keys.empty() ? "OLLAMA_HOST" : provider.keys.front().api_key_env;
  }
  result.origin += ')';
  result.diagnostics = check(*result.value, "environment", env);
  auto is_error = [](const diagnostic& shown) { return shown.level == severity::error; };
  if (std::any_of(result.diagnostics.begin(), result.diagnostics.end(), is_error))
    result.value.reset();
  return result;
}

/// The user's own file; empty: there is no place for one. (A path that is not whole would lead into the working folder,
/// whose file nobody has confirmed.)
std::string file_of_user(const environment& env) {
  if (auto config = folder_of_variable(env, "XDG_CONFIG_HOME"); !config.empty())
    return config + "/modelforge/modelforge.toml";
  auto home = folder_of_variable(env, "HOME");
  return home.empty() ? home : home + "/.config/modelforge/modelforge.toml";
}

file_check both(file_check first, file_check second) {
  if (!second)
    return first;
  return [first = std::move(first), second = std::move(second)](const settings& all, std::string_view text) {
    auto found = first(all, text);
    for (auto& more : second(all, text))
      found.push_back(std::move(more));
    return found;
  };
}

} // namespace

// Every known variable makes a provider, in the order of the list; the first is what commands ask.
std::optional<settings> settings_from_environment(const environment& env) {
  settings result;
  for (const auto& known : known_providers)
    if (auto provider = make_provider(known, env))
      result.providers.push_back(std::move(*provider));
  if (auto host = value_of(env, "OLLAMA_HOST"); !host.empty()) {
    auto& provider = result.providers.emplace_back();
    provider.name = "ollama";
    provider.kind = provider_kind::ollama;
    provider.base_url = ollama_url(std::move(host));
  }
  if (result.providers.empty())
    return std::nullopt;
  normalize(result);
  return result;
}

// A file that is there but broken ends the search: falling back to another one would hide that it is not used. The one
// in the working folder may have come with the folder, from anybody, so it alone has to be confirmed before keys go
// where it wants them.
load_result discover(const std::string& explicit_path, const environment& env) {
  return discover(explicit_path, env, nullptr);
}

load_result discover(const std::string& explicit_path, const environment& env, const file_check& more) {
  if (auto named = explicit_path.empty() ? value_of(env, "MODELFORGE_CONFIG") : explicit_path; !named.empty())
    return load_file(named, env, more);
  std::error_code ignored; // what may not even be looked for is not there
  if (std::filesystem::exists(file_of_folder, ignored)) {
    auto result = load_file(file_of_folder, env, both(check_found(file_of_folder, env), more));
    result.is_found_here = true;
    return result;
  }
  auto path = file_of_user(env);
  return !path.empty() && std::filesystem::exists(path, ignored) ? load_file(path, env, more) : from_environment(env);
}

} // namespace modelforge
