#include "config/check.hpp"

#include "config/address.hpp"
#include "config/diagnostic.hpp"
#include "config/names.hpp"

#include <algorithm>
#include <set>

namespace modelforge {

namespace {

std::string path_of(const provider_settings& provider) {
  return "providers." + schema::quoted_key(provider.name);
}

/// Checks how all settings fit together; one provider's own are `check_provider`'s. Nothing is changed and nothing
/// stops it: all that is wrong is found at once, and each finding has the paths of the keys that do not go together.
/// Run once by `cross_check`, when types and ranges are known to be right.
class checker {
public:
  checker(const settings& all, const environment& env, findings& found) : all_{all}, env_{env}, found_{found} {}

  void run() {
    if (all_.providers.empty())
      found_.warn({"providers"}, "no provider is configured", "a provider is a table: [providers.NAME]");
    for (const auto& provider : all_.providers) {
      check_name(provider);
      check_provider(provider, env_, found_);
      check_owners(provider);
    }
    check_shared_keys();
    check_metrics();
    check_node();
    check_log();
    check_telemetry();
  }

private:
  void check_log() {
    auto& log = all_.log;
    if (log.sink.empty())
      found_.error({"log.sink"}, "`sink` is empty", "allowed: `stderr`, `none`, `automatic`, or a file's path");
    if (log.access.empty() || log.access == "automatic")
      found_.error({"log.access"}, log.access.empty() ? "`access` is empty" : "`access` cannot be `automatic`",
                   "allowed: `stderr`, `none`, or a file's path");
    else if (log.names_access_file() && log.access == log.sink)
      found_.error({"log.access"}, "the log and the access log have the same file", "give each a file of its own");
  }

  void check_name(const provider_settings& provider) {
    auto has_this_name = [&](auto& other) { return other.name == provider.name; };
    if (std::count_if(all_.providers.begin(), all_.providers.end(), has_this_name) > 1)
      found_.error({path_of(provider)}, "two providers have the name " + code(provider.name));
  }

  /// Two lanes that pace themselves to the same limit pass it together.
  void check_shared_keys() {
    std::vector<std::pair<std::string, const provider_settings*>> seen; // "HOST KEY"
    for (const auto& provider : all_.providers)
      for (std::size_t i = 0; i < provider.keys.size(); ++i) {
        const auto& source =
          provider.keys[i].api_key_env.empty() ? provider.keys[i].api_key_file : provider.keys[i].api_key_env;
        auto id = destination(provider) + ' ' + source;
        auto other = std::find_if(seen.begin(), seen.end(), [&](const auto& entry) { return entry.first == id; });
        auto where = path_of(provider) + ".keys." + std::to_string(i);
        if (source.empty() || id.starts_with(' ') || looks_like_key(source))
          continue;
        if (other == seen.end())
          seen.emplace_back(id, &provider);
        else if (other->second == &provider)
          found_.error({where}, "the same key is listed twice, which would double its limits");
        else
          found_.warn({where},
                      "providers " + code(other->second->name) + " and " + code(provider.name) + " send the same key ("
                        + source + ") to " + destination(provider) + ": their limits would add up",
                      "use one provider, or give each a part of the limits");
      }
  }

  /// An address of this node or of a peer, both of which carry everything that providers are asked.
  void check_address(const std::string& text, const char* key) {
    auto where = std::string{"node."} + key;
    auto address = split_host(text);
    if (!address || address->port.empty())
      return found_.error({where}, code(key) + " has " + (address ? "no port" : "no valid host and port"),
                          "allowed: HOST:PORT, e.g. \"127.0.0.1:4711\"");
    if (all_.node.tls.certificate.empty() && !is_loopback(address->host))
      found_.error({where, "node.tls", "node.tls.certificate"},
                   "links to other machines must be encrypted: " + address->host + " needs [node.tls]",
                   "without certificates only 127.0.0.1, [::1] and localhost are allowed");
  }

  /// The port of metrics has neither keys nor TLS: numbers and names are all it shows, but whoever reaches it sees
  /// them.
  void check_metrics() {
    if (all_.metrics.listen.empty())
      return;
    auto address = split_host(all_.metrics.listen);
    if (!address || address->port.empty())
      found_.error({"metrics.listen"}, std::string{"`listen` has "} + (address ? "no port" : "no valid host and port"),
                   "allowed: HOST:PORT, e.g. \"127.0.0.1:9464\"");
    else if (!is_loopback(address->host))
      found_.warn({"metrics.listen"}, "everybody who can reach " + address->host + " can read the metrics",
                  "127.0.0.1 can be reached from this machine only");
  }

  /// Where traces go. The most frequent slip is the path that is appended.
  void check_telemetry() {
    const auto& telemetry = all_.telemetry;
    check_headers(telemetry.headers, "telemetry", env_, found_);
    if (telemetry.service_name.empty())
      found_.error({"telemetry.service_name"}, "`service_name` is empty");
    if (telemetry.otlp.empty())
      return;
    auto parsed = parse_base_url(telemetry.otlp);
    if (auto* reason = std::get_if<std::string>(&parsed))
      return found_.error({"telemetry.otlp"}, "`otlp` " + *reason,
                          "allowed: http(s)://HOST[:PORT][/PATH]; keys go into [telemetry.headers]");
    const auto& parts = std::get<base_url>(parsed);
    if (telemetry.otlp.ends_with("/v1/traces"))
      found_.error({"telemetry.otlp"}, "`otlp` ends in `/v1/traces`, which is appended to it", "end it before that");
    if (parts.address.port == "4317")
      found_.warn({"telemetry.otlp"}, "port 4317 is usually that of OTLP over gRPC, which is not spoken",
                  "OTLP over HTTP is usually at 4318");
    auto has_key =
      std::any_of(telemetry.headers.begin(), telemetry.headers.end(), [](auto& x) { return !x.env.empty(); });
    if (!parts.encrypted && has_key && !is_loopback(parts.address.host))
      found_.warn({"telemetry.otlp"},
                  "a secret header is sent to " + parts.address.host + " in the clear: http:// is not encrypted",
                  "use https://");
  }

  /// This program among others: the addresses, the names and the certificates have to fit each other.
  void check_node() {
    const auto& node = all_.node;
    if (!node.listen.empty())
      check_address(node.listen, "listen");
    for (const auto& peer : node.peers)
      check_address(peer, "peers");
    if (!node.name.empty() && !is_name(without_number(node.name)))
      found_.error({"node.name"}, "a node cannot have this name",
                   "allowed: up to 64 letters, digits, `-` and `_`, the first one a letter");
    auto has_others = !node.listen.empty() || !node.peers.empty();
    if (node.name.empty() && has_others)
      found_.error({"node", "node.name"}, "a node that others connect to, or that connects to others, needs a `name`");
    if (node.cluster.empty())
      found_.error({"node.cluster"}, "`cluster` is empty");
    if (node.timeout < 2 * node.heartbeat)
      found_.error({"node.timeout", "node.heartbeat"}, "`timeout` (" + seconds_text(node.timeout)
                                                         + ") is less than two heartbeats ("
                                                         + seconds_text(node.heartbeat) + " each)");
    const auto& tls = node.tls;
    auto files = !tls.certificate.empty() + !tls.key.empty() + !tls.ca.empty();
    if (files != 0 && files != 3)
      found_.error({"node.tls", "node.tls.certificate", "node.tls.key", "node.tls.ca"}, "[node.tls] is incomplete",
                   "set all of `certificate`, `key` and `ca`, or none");
    if (tls.key.find("PRIVATE KEY-----") != std::string::npos)
      found_.error({"node.tls.key"}, "the file contains a key", "`key` is the path of a PEM file");
  }

  /// Which node runs a provider. Whether the others agree is only seen when they meet.
  void check_owners(const provider_settings& provider) {
    auto where = path_of(provider) + ".nodes";
    const auto& node = all_.node;
    if (provider.nodes.empty())
      return;
    if (std::set<std::string>{provider.nodes.begin(), provider.nodes.end()}.size() != provider.nodes.size())
      found_.error({where}, "a node is named twice");
    if (!std::all_of(provider.nodes.begin(), provider.nodes.end(), is_name))
      found_.error({where}, "`nodes` has a name that no node can have",
                   "allowed: up to 64 letters, digits, `-` and `_`, the first one a letter");
    if (node.name.empty())
      return found_.error({where, "node.name"}, "`nodes` is set but this node has no name", "set `name` in [node]");
    if (!is_ours(provider, node) && node.listen.empty() && node.peers.empty())
      found_.error({where, "node.name", "node.peers", "node.listen"},
                   "another node, " + provider.nodes.front() + ", runs " + code(provider.name)
                     + ", and this one reaches none",
                   "set `peers` in [node]");
    if (provider.nodes.size() > 1)
      found_.warn({where}, "only the first one, " + provider.nodes.front() + ", runs the provider in this version");
  }

  const settings& all_;
  const environment& env_;
  findings& found_;
};

/// A value as its range sees it.
struct as_number {
  template <class T>
  requires std::is_arithmetic_v<T>
  double operator()(T* value) const { return static_cast<double>(*value); }
  double operator()(duration* value) const { return std::chrono::duration<double>{*value}.count(); }
  double operator()(std::optional<uint64_t>* value) const { return static_cast<double>(value->value_or(1)); }
  double operator()(std::optional<int64_t>* value) const { return static_cast<double>(value->value_or(1)); }
  double operator()(std::optional<double>* value) const { return value->value_or(1); }
  double operator()(const auto&) const { return 0; } // has no range
};

} // namespace

std::vector<finding> cross_check(const settings& all, const environment& env) {
  findings found;
  checker{all, env, found}.run();
  return std::move(found.list);
}

// Runs before the checks, so that they, and all who use the settings, need to know one form only.
void normalize(settings& all) {
  auto tidy = [](std::string& url) {
    auto scheme = scheme_of(url);
    url.replace(0, scheme.size(), scheme);
    while (url.ends_with('/') && !url.ends_with("://"))
      url.pop_back();
  };
  tidy(all.telemetry.otlp);
  for (auto& provider : all.providers) {
    tidy(provider.base_url);
    for (std::size_t i = 0; i < provider.keys.size(); ++i)
      if (provider.keys[i].name.empty())
        provider.keys[i].name = "key" + std::to_string(i + 1);
  }
}

std::optional<finding> check_range(const std::string& path, const schema::key_rule& key, const schema::slot& value,
                                   double number) {
  if (number >= key.min && number <= key.max) // false for NaN
    return std::nullopt;
  auto hint = "allowed: " + schema::allowed(key, value) + ". " + std::string{key.doc};
  return finding{severity::error, {path}, code(key.name) + " is out of range", std::move(hint)};
}

// What a program has put together itself has passed no reader: ranges and enums are checked here, too, and paths stand
// in the messages in place of lines.
std::vector<diagnostic> check(const settings& all, const std::string& origin, const environment& env) {
  auto copy = all; // `for_each_value` hands out what could be changed
  std::vector<finding> found;
  schema::for_each_value(copy, [&](const std::string& path, const schema::key_rule& key, const schema::slot& value) {
    if (auto out_of_range = check_range(path, key, value, std::visit(as_number{}, value)))
      found.push_back(*out_of_range);
    else if (auto* choice = std::get_if<schema::enum_slot>(&value); choice && *choice->value >= choice->names.size())
      found.push_back({severity::error, {path}, code(key.name) + " has no valid value", ""});
  });
  auto more = cross_check(copy, env);
  found.insert(found.end(), more.begin(), more.end());
  std::vector<diagnostic> result;
  for (auto& one : found) {
    diagnostic out;
    out.level = one.level;
    out.file = origin;
    out.message = printable(one.paths.front() + ": " + one.message);
    out.hint = printable(one.hint);
    result.push_back(std::move(out));
  }
  return result;
}

} // namespace modelforge
