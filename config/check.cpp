#include "config/check.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <set>

namespace modelforge {

namespace {

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

bool is_lower(char c) {
  return c >= 'a' && c <= 'z';
}

bool is_letter(char c) {
  return is_lower(c) || (c >= 'A' && c <= 'Z');
}

std::string lower(std::string_view text) {
  std::string result{text};
  for (auto& c : result)
    if (c >= 'A' && c <= 'Z')
      c = static_cast<char>(c - 'A' + 'a');
  return result;
}

template <class Predicate>
bool all(std::string_view text, Predicate holds) {
  return std::all_of(text.begin(), text.end(), holds);
}

std::string seconds(duration x) {
  std::array<char, 32> text{};
  auto end = std::to_chars(text.data(), text.data() + text.size(), std::chrono::duration<double>{x}.count()).ptr;
  return std::string{text.data(), end} + " s";
}

// -- addresses ------------------------------------------------------------------

struct host_port {
  std::string host;
  std::string port; ///< Digits, or empty.
};

/// Takes HOST, HOST:PORT or [IPV6]:PORT apart.
std::optional<host_port> split_host(std::string_view text) {
  host_port result;
  auto ipv6 = text.starts_with('[');
  auto end = ipv6 ? text.find(']') : text.find(':');
  if (ipv6 && end == std::string_view::npos)
    return std::nullopt;
  result.host = ipv6 ? text.substr(1, end - 1) : text.substr(0, end);
  auto rest = text.substr(std::min(text.size(), ipv6 ? end + 1 : end));
  auto valid = [ipv6](char c) {
    return is_letter(c) || is_digit(c) || c == '.' || (ipv6 ? c == ':' || c == '%' : c == '-' || c == '_');
  };
  if (result.host.empty() || !all(result.host, valid))
    return std::nullopt;
  if (rest.empty())
    return result;
  uint32_t port = 0;
  auto [last, failed] = std::from_chars(rest.data() + 1, rest.data() + rest.size(), port);
  if (rest[0] != ':' || failed != std::errc{} || last != rest.data() + rest.size() || port > 65535)
    return std::nullopt;
  result.port = rest.substr(1);
  return result;
}

bool is_loopback(std::string_view host) {
  return host == "localhost" || host == "::1"
         || (host.starts_with("127.") && all(host, [](char c) { return is_digit(c) || c == '.'; }));
}

/// What a URL begins with, "://" included, in small letters: the case of a scheme means nothing (RFC 3986, 3.1).
std::string scheme_of(std::string_view text) {
  auto end = text.find("://");
  return end == std::string_view::npos ? std::string{} : lower(text.substr(0, end + 3));
}

struct url {
  bool encrypted = false;
  host_port where;
};

/// Why a text is no base_url, or the parts that matter.
std::variant<url, std::string> parse_base_url(std::string_view text) {
  url result;
  auto scheme = scheme_of(text);
  if (scheme != "https://" && scheme != "http://")
    return "does not start with http:// or https://";
  result.encrypted = scheme == "https://";
  auto rest = text.substr(scheme.size());
  auto authority = rest.substr(0, rest.find_first_of("/?#"));
  if (authority.find('@') != std::string_view::npos)
    return "holds a user name or password";
  if (rest.find_first_of("?#") != std::string_view::npos)
    return redact(std::string{text}) != text ? "carries a key in its query"
                                             : "has a query or fragment; paths are appended to it";
  if (!all(text, [](char c) { return c > 0x20 && c < 0x7f && c != '"' && c != '\\' && c != '<' && c != '>'; }))
    return "has blanks or other characters that no URL has";
  auto where = split_host(authority);
  if (!where || where->port == "0")
    return "has no valid host and port";
  result.where = *where;
  return result;
}

std::string_view public_host(provider_kind kind) {
  switch (kind) {
    case provider_kind::openai:
      return "api.openai.com";
    case provider_kind::anthropic:
      return "api.anthropic.com";
    case provider_kind::gemini:
      return "generativelanguage.googleapis.com";
    case provider_kind::ollama:
      return "127.0.0.1:11434";
    case provider_kind::azure:
    case provider_kind::openai_compatible:
      return {};
  }
  return {};
}

/// Host and port that requests go to, or "" if unknown.
std::string destination(const provider_settings& x) {
  if (x.base_url.empty())
    return std::string{public_host(x.kind)};
  auto parsed = parse_base_url(x.base_url);
  auto* parts = std::get_if<url>(&parsed);
  if (!parts)
    return {};
  auto standard = parts->where.port.empty() || parts->where.port == (parts->encrypted ? "443" : "80");
  return lower(parts->where.host) + (standard ? "" : ':' + parts->where.port);
}

// -- names ----------------------------------------------------------------------

bool is_name(std::string_view text) {
  return !text.empty() && text.size() <= 64 && is_letter(text.front())
         && all(text, [](char c) { return is_letter(c) || is_digit(c) || c == '-' || c == '_'; });
}

/// A node's name without what commands beside it have behind theirs: `.` and digits.
std::string_view without_number(std::string_view text) {
  auto dot = text.rfind('.');
  auto has_one = dot != text.npos && dot + 1 < text.size() && all(text.substr(dot + 1), is_digit);
  return has_one && text.size() <= 64 ? text.substr(0, dot) : text;
}

bool is_variable(std::string_view text) {
  return !text.empty() && !is_digit(text.front())
         && all(text, [](char c) { return is_letter(c) || is_digit(c) || c == '_'; });
}

/// A token of RFC 9110, 5.6.2.
bool is_header_name(std::string_view text) {
  return !text.empty() && all(text, [](char c) {
    return is_letter(c) || is_digit(c) || std::string_view{"!#$%&'*+-.^_`|~"}.find(c) != std::string_view::npos;
  });
}

/// Headers that describe a message's frame or body: a wrong one breaks the connection, not just the request.
bool is_framing_header(std::string_view lower_case) {
  constexpr auto names =
    std::to_array<std::string_view>({"content-length", "content-type", "content-encoding", "transfer-encoding",
                                     "connection", "te", "trailer", "upgrade", "expect"});
  return std::find(names.begin(), names.end(), lower_case) != names.end();
}

/// The name of a variable that suits a provider's key: "MY_GROQ_API_KEY" for "my-groq".
std::string variable_for(std::string_view provider) {
  std::string result;
  for (char c : provider)
    result += is_lower(c) ? static_cast<char>(c - 'a' + 'A') : is_letter(c) || is_digit(c) ? c : '_';
  return result + "_API_KEY";
}

// -- the checks -----------------------------------------------------------------

class checker {
public:
  checker(const settings& all, const environment& env) : all_{all}, env_{env} {}

  std::vector<finding> run() {
    if (all_.providers.empty())
      warn({"providers"}, "no provider is configured", "a provider is a table: [providers.NAME]");
    for (const auto& x : all_.providers)
      check_provider(x);
    check_shared_keys();
    check_metrics();
    check_node();
    if (all_.log.sink.empty())
      error({"log.sink"}, "`sink` is empty", "allowed: `stderr`, `none`, or a file's path");
    return std::move(found_);
  }

private:
  using paths = std::vector<std::string>;

  void error(paths where, std::string message, std::string hint = "") {
    found_.push_back({severity::error, std::move(where), std::move(message), std::move(hint)});
  }

  void warn(paths where, std::string message, std::string hint = "") {
    found_.push_back({severity::warning, std::move(where), std::move(message), std::move(hint)});
  }

  void check_provider(const provider_settings& x) {
    auto path = "providers." + schema::quoted_key(x.name);
    if (!is_name(x.name))
      error({path}, "a provider cannot have this name",
            "allowed: up to 64 letters, digits, `-` and `_`, the first one a letter");
    if (std::count_if(all_.providers.begin(), all_.providers.end(), [&](auto& y) { return y.name == x.name; }) > 1)
      error({path}, "two providers have the name " + code(x.name));
    check_base_url(x, path);
    check_api(x, path);
    check_keys(x, path);
    check_headers(x, path + ".headers.");
    if (x.interactive_slots >= x.max_concurrent)
      error({path + ".interactive_slots", path + ".max_concurrent"},
            "`interactive_slots` leaves batches nothing of the " + std::to_string(x.max_concurrent)
              + " requests that `max_concurrent` allows",
            "allowed: less than `max_concurrent`");
    check_timeouts(x.timeouts, path + ".timeouts.");
    if (x.retry.base_wait > x.retry.max_wait)
      error({path + ".retry.base_wait", path + ".retry.max_wait"}, "`base_wait` (" + seconds(x.retry.base_wait)
                                                                     + ") is longer than `max_wait` ("
                                                                     + seconds(x.retry.max_wait) + ')');
    check_rate_limit(x.rate_limit, path + ".rate_limit.");
    check_models(x, path + ".models.");
    check_owners(x, path + ".nodes");
  }

  void check_base_url(const provider_settings& x, const std::string& path) {
    auto where = path + ".base_url";
    if (x.base_url.empty()) {
      if (public_host(x.kind).empty())
        error({path, where, path + ".kind"},
              "a provider of kind " + code(name_of(x.kind)) + " needs a `base_url`: there is no public address",
              x.kind == provider_kind::azure ? "base_url = \"https://RESOURCE.openai.azure.com/openai/v1\""
                                             : "base_url = \"https://HOST/v1\"");
      return;
    }
    auto parsed = parse_base_url(x.base_url);
    if (auto* reason = std::get_if<std::string>(&parsed))
      return error({where}, "`base_url` " + *reason,
                   "allowed: http(s)://HOST[:PORT][/PATH]; keys go into `api_key_env`");
    const auto& parts = std::get<url>(parsed);
    auto has_key =
      !x.keys.empty() || std::any_of(x.headers.begin(), x.headers.end(), [](auto& y) { return !y.env.empty(); });
    if (!parts.encrypted && has_key && !is_loopback(parts.where.host))
      warn({where}, "the key is sent to " + parts.where.host + " in clear: http:// is not encrypted", "use https://");
    for (std::string_view end : {"/chat/completions", "/messages", "/api/chat", "/responses"})
      if (x.base_url.ends_with(end))
        warn({where}, "`base_url` ends in " + code(end) + ", which is appended to it", "end it before that");
    auto has_v1 = x.base_url.ends_with("/v1") || x.base_url.ends_with("/v1/");
    if (has_v1 && (x.kind == provider_kind::anthropic || x.kind == provider_kind::ollama))
      warn({where}, "`base_url` of kind " + code(name_of(x.kind)) + " ends in `/v1`", "end it before that");
  }

  void check_api(const provider_settings& x, const std::string& path) {
    auto has_both =
      x.kind == provider_kind::openai || x.kind == provider_kind::azure || x.kind == provider_kind::openai_compatible;
    auto refuse = [&](const std::string& where) {
      error({where}, "kind " + code(name_of(x.kind)) + " has no Responses API",
            "`responses` is for the kinds `openai`, `azure` and `openai_compatible`");
    };
    if (x.api == provider_api::responses && !has_both)
      refuse(path + ".api");
    for (auto& model : x.models)
      if (model.api == model_api::responses && !has_both)
        refuse(path + ".models." + schema::quoted_key(model.pattern) + ".api");
    if (x.flavor != server_flavor::automatic && x.kind != provider_kind::openai_compatible)
      warn({path + ".flavor"}, "`flavor` means nothing to kind " + code(name_of(x.kind)),
           "it is for the kind `openai_compatible`");
    if (!x.api_version.empty() && x.kind != provider_kind::azure)
      warn({path + ".api_version"}, "`api_version` means nothing to kind " + code(name_of(x.kind)),
           "it is for the kind `azure`");
    if (x.kind == provider_kind::azure && x.base_url.ends_with("/v1") && !x.api_version.empty()
        && is_digit(x.api_version.front()))
      warn({path + ".api_version"}, "the API below `/v1` has no dated versions",
           "end `base_url` before /v1 for the older API, or leave `api_version` out");
    if (!all(x.api_version, [](char c) { return is_letter(c) || is_digit(c) || c == '-' || c == '.'; }))
      error({path + ".api_version"}, "`api_version` is no version", "allowed: e.g. \"2024-10-21\" or \"preview\"");
  }

  void check_keys(const provider_settings& x, const std::string& path) {
    if (x.keys.empty() && x.base_url.empty() && !public_host(x.kind).empty() && x.kind != provider_kind::ollama)
      warn({path, path + ".keys", path + ".api_key_env", path + ".api_key_file"},
           "no key is named, so none is sent to " + std::string{public_host(x.kind)},
           "api_key_env = \"" + variable_for(x.name) + "\"");
    std::set<std::string> names;
    for (std::size_t i = 0; i < x.keys.size(); ++i) {
      const auto& key = x.keys[i];
      auto where = path + ".keys." + std::to_string(i);
      if (!names.insert(key.name).second)
        error({where + ".name", where}, "two keys have the name " + code(key.name));
      if (key.api_key_env.empty() == key.api_key_file.empty())
        error({where, where + ".api_key_env", where + ".api_key_file"}, "a key comes from either a variable or a file",
              "set one of `api_key_env` and `api_key_file`");
      else if (!key.api_key_env.empty() && !check_variable(key.api_key_env, where + ".api_key_env"))
        continue;
      else if (auto result = resolve(key, env_); auto* reason = std::get_if<std::string>(&result))
        warn({where + (key.api_key_env.empty() ? ".api_key_file" : ".api_key_env"), where}, *reason);
    }
  }

  /// Judges the name of a variable that should hold a credential.
  bool check_variable(const std::string& name, const std::string& where) {
    constexpr auto hint = "allowed: the name of an environment variable, e.g. \"OPENAI_API_KEY\"";
    if (looks_like_key(name))
      error({where}, "this is a key, not the name of a variable; keys are not written into the file", hint);
    else if (name.starts_with('$'))
      error({where}, "the name of a variable is written without `$`", hint);
    else if (!is_variable(name))
      error({where}, "this is not the name of an environment variable", hint);
    else
      return true;
    return false;
  }

  void check_headers(const provider_settings& x, const std::string& path) {
    std::set<std::string> names;
    for (const auto& header : x.headers) {
      auto where = path + schema::quoted_key(header.name);
      auto name = lower(header.name);
      if (!is_header_name(header.name))
        error({where}, "a header cannot have this name", "allowed: letters, digits and !#$%&'*+-.^_`|~");
      else if (is_framing_header(name))
        error({where}, "header " + code(header.name) + " is not yours to set: it follows from the request");
      if (!names.insert(name).second)
        error({where}, "header " + code(header.name) + " stands here twice (case does not matter)");
      if (!header.env.empty()) {
        if (check_variable(header.env, where) && env_(header.env).value_or("").empty())
          warn({where}, "environment variable " + header.env + " is not set or empty");
      } else if (names_credential(name) || redact(header.value) != header.value) {
        error({where}, "a key stands in the file, as the value of header " + code(header.name),
              schema::quoted_key(header.name) + " = { env = \"NAME\" }");
      } else if (header.value.empty()) {
        error({where}, "header " + code(header.name) + " has no value");
      } else if (!all(header.value, [](unsigned char c) { return c >= 0x20 && c != 0x7f; })) {
        error({where}, "header " + code(header.name) + " has line breaks or other control characters in its value");
      }
    }
  }

  void check_timeouts(const timeout_settings& x, const std::string& path) {
    auto compare = [&](duration part, const char* name) {
      if (x.total > duration::zero() && part > x.total)
        warn({path + name, path + "total"},
             code(name) + " (" + seconds(part) + ") never applies: `total` (" + seconds(x.total) + ") is shorter");
    };
    compare(x.connect, "connect");
    compare(x.first_token, "first_token");
    compare(x.idle, "idle");
  }

  void check_rate_limit(const rate_limit_settings& x, const std::string& path) {
    if (x.window_guard >= x.window)
      error({path + "window_guard", path + "window"}, "`window_guard` is not shorter than `window`");
    if (x.requests_per_minute) {
      auto per_window =
        static_cast<double>(*x.requests_per_minute) * std::chrono::duration<double>{x.window}.count() / 60;
      if (per_window < 1)
        error({path + "requests_per_minute", path + "window"},
              "less than one request in a `window` of " + seconds(x.window) + ": nothing would ever be sent",
              "make `window` longer");
    }
    auto compare = [&](const std::optional<uint64_t>& part, const char* name) {
      if (x.tokens_per_minute && part && *part > *x.tokens_per_minute)
        warn({path + name, path + "tokens_per_minute"}, code(name) + " never applies: `tokens_per_minute` ("
                                                          + std::to_string(*x.tokens_per_minute)
                                                          + ") counts them too and is less");
    };
    compare(x.input_tokens_per_minute, "input_tokens_per_minute");
    compare(x.output_tokens_per_minute, "output_tokens_per_minute");
  }

  void check_models(const provider_settings& x, const std::string& path) {
    const std::string* all_before = nullptr;
    for (const auto& model : x.models) {
      auto where = path + schema::quoted_key(model.pattern);
      if (model.pattern.empty())
        error({where}, "a pattern for models is empty", "`*` matches all");
      if (all_before)
        warn({where}, "this pattern is never used: " + code(*all_before) + " above it matches every model",
             "the first match counts: put the more particular pattern first");
      else if (!model.pattern.empty() && all(model.pattern, [](char c) { return c == '*'; }))
        all_before = &model.pattern;
      check_rate_limit(model.rate_limit, where + ".rate_limit.");
    }
  }

  /// Two lanes that pace themselves to the same limit pass it together.
  void check_shared_keys() {
    std::vector<std::pair<std::string, const provider_settings*>> seen; // "HOST KEY"
    for (const auto& x : all_.providers)
      for (std::size_t i = 0; i < x.keys.size(); ++i) {
        const auto& source = x.keys[i].api_key_env.empty() ? x.keys[i].api_key_file : x.keys[i].api_key_env;
        auto id = destination(x) + ' ' + source;
        auto other = std::find_if(seen.begin(), seen.end(), [&](const auto& y) { return y.first == id; });
        auto where = "providers." + schema::quoted_key(x.name) + ".keys." + std::to_string(i);
        if (source.empty() || id.starts_with(' ') || looks_like_key(source))
          continue;
        if (other == seen.end())
          seen.emplace_back(id, &x);
        else if (other->second == &x)
          error({where}, "the same key is listed twice, which would double its limits");
        else
          warn({where},
               "providers " + code(other->second->name) + " and " + code(x.name) + " send the same key (" + source
                 + ") to " + destination(x) + ": their limits would add up",
               "use one provider, or give each a part of the limits");
      }
  }

  void check_address(const std::string& text, const char* key) {
    auto where = std::string{"node."} + key;
    auto address = split_host(text);
    if (!address || address->port.empty())
      return error({where}, code(key) + " has " + (address ? "no port" : "no valid host and port"),
                   "allowed: HOST:PORT, e.g. \"127.0.0.1:4711\"");
    if (all_.node.tls.certificate.empty() && !is_loopback(address->host))
      error({where, "node.tls", "node.tls.certificate"},
            "links to other machines must be encrypted: " + address->host + " needs [node.tls]",
            "without certificates only 127.0.0.1, [::1] and localhost are allowed");
  }

  void check_metrics() {
    if (all_.metrics.listen.empty())
      return;
    auto address = split_host(all_.metrics.listen);
    if (!address || address->port.empty())
      error({"metrics.listen"}, std::string{"`listen` has "} + (address ? "no port" : "no valid host and port"),
            "allowed: HOST:PORT, e.g. \"127.0.0.1:9464\"");
    else if (!is_loopback(address->host))
      warn({"metrics.listen"}, "everybody who reaches " + address->host + " can read the numbers",
           "127.0.0.1 is seen on this machine only");
  }

  void check_node() {
    const auto& x = all_.node;
    if (!x.listen.empty())
      check_address(x.listen, "listen");
    for (const auto& peer : x.peers)
      check_address(peer, "peers");
    if (!x.name.empty() && !is_name(without_number(x.name)))
      error({"node.name"}, "a node cannot have this name",
            "allowed: up to 64 letters, digits, `-` and `_`, the first one a letter");
    auto has_others = !x.listen.empty() || !x.peers.empty();
    if (x.name.empty() && has_others)
      error({"node", "node.name"}, "a node that others connect to, or that connects to others, needs a `name`");
    if (x.cluster.empty())
      error({"node.cluster"}, "`cluster` is empty");
    if (x.timeout < 2 * x.heartbeat)
      error({"node.timeout", "node.heartbeat"},
            "`timeout` (" + seconds(x.timeout) + ") is less than two heartbeats (" + seconds(x.heartbeat) + " each)");
    const auto& tls = x.tls;
    auto files = !tls.certificate.empty() + !tls.key.empty() + !tls.ca.empty();
    if (files != 0 && files != 3)
      error({"node.tls", "node.tls.certificate", "node.tls.key", "node.tls.ca"}, "[node.tls] is incomplete",
            "set all of `certificate`, `key` and `ca`, or none");
    if (tls.key.find("PRIVATE KEY-----") != std::string::npos)
      error({"node.tls.key"}, "a key stands in the file", "`key` is the path of a PEM file");
  }

  void check_owners(const provider_settings& x, const std::string& where) {
    const auto& node = all_.node;
    if (x.nodes.empty())
      return;
    if (std::set<std::string>{x.nodes.begin(), x.nodes.end()}.size() != x.nodes.size())
      error({where}, "a node is named twice");
    if (!std::all_of(x.nodes.begin(), x.nodes.end(), is_name))
      error({where}, "there is no valid name of a node in `nodes`",
            "allowed: up to 64 letters, digits, `-` and `_`, the first one a letter");
    if (node.name.empty())
      return error({where, "node.name"}, "`nodes` is set but this node has no name", "set `name` in [node]");
    if (x.nodes.front() != node.name && node.listen.empty() && node.peers.empty())
      error({where, "node.name", "node.peers", "node.listen"},
            "another node, " + x.nodes.front() + ", runs " + code(x.name) + ", and this one reaches none",
            "set `peers` in [node]");
    if (x.nodes.size() > 1)
      warn({where}, "only the first one, " + x.nodes.front() + ", runs the provider in this version");
  }

  const settings& all_;
  const environment& env_;
  std::vector<finding> found_;
};

/// A value as its range sees it.
struct as_number {
  template <class T>
  requires std::is_arithmetic_v<T>
  double operator()(T* x) const { return static_cast<double>(*x); }
  double operator()(duration* x) const { return std::chrono::duration<double>{*x}.count(); }
  double operator()(std::optional<uint64_t>* x) const { return static_cast<double>(x->value_or(1)); }
  double operator()(const auto&) const { return 0; } // has no range
};

} // namespace

std::vector<finding> cross_check(const settings& x, const environment& env) {
  return checker{x, env}.run();
}

void normalize(settings& x) {
  for (auto& provider : x.providers) {
    auto scheme = scheme_of(provider.base_url);
    provider.base_url.replace(0, scheme.size(), scheme);
    while (provider.base_url.ends_with('/') && !provider.base_url.ends_with("://"))
      provider.base_url.pop_back();
    for (std::size_t i = 0; i < provider.keys.size(); ++i)
      if (provider.keys[i].name.empty())
        provider.keys[i].name = "key" + std::to_string(i + 1);
  }
}

std::optional<finding> check_range(const std::string& path, const schema::key_rule& key, const schema::slot& value,
                                   double number) {
  if (number >= key.least && number <= key.most) // false for NaN
    return std::nullopt;
  auto hint = "allowed: " + schema::allowed(key, value) + ". " + std::string{key.doc};
  return finding{severity::error, {path}, code(key.name) + " is out of range", std::move(hint)};
}

std::vector<diagnostic> check(const settings& x, const std::string& origin, const environment& env) {
  auto copy = x;
  std::vector<finding> found;
  schema::for_each_value(copy, [&](const std::string& path, const schema::key_rule& key, const schema::slot& value) {
    if (auto fault = check_range(path, key, value, std::visit(as_number{}, value)))
      found.push_back(*fault);
    else if (auto* choice = std::get_if<schema::enum_slot>(&value); choice && *choice->value >= choice->names.size())
      found.push_back({severity::error, {path}, code(key.name) + " has no valid value", ""});
  });
  auto more = cross_check(copy, env);
  found.insert(found.end(), more.begin(), more.end());
  std::vector<diagnostic> result;
  for (auto& fault : found) {
    diagnostic out;
    out.level = fault.level;
    out.file = origin;
    out.message = printable(fault.paths.front() + ": " + fault.message);
    out.hint = printable(fault.hint);
    result.push_back(std::move(out));
  }
  return result;
}

bool looks_like_key(std::string_view text) {
  if (redact(std::string{text}) != text)
    return true;
  return text.size() >= 20 && all(text, [](char c) { return is_letter(c) || is_digit(c) || c == '-'; })
         && std::any_of(text.begin(), text.end(), is_digit) && std::any_of(text.begin(), text.end(), is_lower);
}

bool names_credential(std::string_view name) {
  auto text = lower(name);
  std::replace(text.begin(), text.end(), '-', '_');
  for (std::string_view end : {"api_key", "apikey", "token", "secret", "password", "authorization", "cookie", "bearer",
                               "credential", "credentials", "private_key", "access_key"})
    if (text == end || text.ends_with('_' + std::string{end}))
      return text != "first_token";
  return text == "key" || text == "auth" || text == "x_goog_api_key";
}

} // namespace modelforge
