#include "config/trust.hpp"

#include "base/ascii.hpp"
#include "base/public_servers.hpp"
#include "base/url.hpp"
#include "config/address.hpp"
#include "config/diagnostic.hpp"
#include "config/known_providers.hpp"
#include "config/names.hpp"
#include "config/trusted_files.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

namespace modelforge {

namespace {

/// Where requests go: by TLS or not, to which host and port, and whether that is this machine.
struct target_of_keys {
  bool encrypted = false;
  bool is_here = false;
  std::string host; ///< As `destination` writes it; empty if unknown.

  friend bool operator==(const target_of_keys&, const target_of_keys&) = default;
};

target_of_keys target_of(const provider_settings& provider) {
  auto url = provider.base_url.empty() ? std::string{public_address(name_of(provider.kind))} : provider.base_url;
  auto parsed = parse_base_url(url);
  auto* parts = std::get_if<base_url>(&parsed);
  return parts ? target_of_keys{parts->encrypted, is_loopback(parts->address.host), destination(provider)}
               : target_of_keys{};
}

target_of_keys target_of(const std::string& url) {
  provider_settings provider;
  provider.base_url = url;
  return target_of(provider);
}

/// The first header by which what stands in front of a provider may hand a request to another host than the address
/// names: networks that serve many do so ("domain fronting"). Null: there is none, or it says the same.
const header_setting* rerouting_header(const provider_settings& provider, const target_of_keys& target) {
  auto reroutes = [&](const header_setting& header) {
    auto name = ascii::lower(header.name);
    return (name == "host" || name == "forwarded" || name.ends_with("-host"))
           && ascii::lower(header.value) != target.host;
  };
  auto found = std::find_if(provider.headers.begin(), provider.headers.end(), reroutes);
  return found != provider.headers.end() ? &*found : nullptr;
}

/// Names below a public host are its owner's, too: regions have them ("eu.api.openai.com").
bool is_at(const target_of_keys& target, std::string_view host) {
  return target.encrypted && !host.empty() && (target.host == host || target.host.ends_with('.' + std::string{host}));
}

bool is_at_azure(const target_of_keys& target) {
  return is_at(target, "openai.azure.com") || is_at(target, "services.ai.azure.com")
         || is_at(target, "cognitiveservices.azure.com");
}

bool is_at_home(const target_of_keys& target, const known_provider& known) {
  return known.kind == provider_kind::azure ? is_at_azure(target) : is_at(target, host_of(public_address(known.name)));
}

/// The public provider that a variable belongs to; null for all other variables.
const known_provider* owner_of(std::string_view variable) {
  for (auto& known : known_providers)
    for (auto* name : known.keys)
      if (name != nullptr && name == variable)
        return &known;
  return nullptr;
}

/// Finds where secrets would go: looks at one provider after the other, at the host that it names and at each key and
/// header that would be sent there, then at the node. A known vendor's variable may go to that vendor's hosts, and to
/// the address in the vendor's own variable; any other secret to known vendors' hosts, and within this machine unless
/// the file belongs to others. Nothing is sent to find out. Run once for a file that nobody has confirmed.
class outflow_search {
public:
  outflow_search(const environment& env, bool of_others) : env_{env}, of_others_{of_others} {}

  std::vector<outflow> run(const settings& all) {
    for (const auto& provider : all.providers)
      look_at(provider);
    for (const auto& peer : all.node.peers)
      look_at_node(peer, "node.peers");
    if (!all.node.listen.empty())
      look_at_node(all.node.listen, "node.listen");
    if (all.log.names_file()) // what others say stands in its lines, and any file may be at its end
      found_.push_back({{"log.sink", "log"}, "the log", "the end of the file " + code(all.log.sink)});
    if (all.log.names_access_file())
      found_.push_back({{"log.access", "log"}, "the access log", "the end of the file " + code(all.log.access)});
    look_at(all.telemetry);
    return std::move(found_);
  }

private:
  void look_at(const provider_settings& provider) {
    auto path = "providers." + schema::quoted_key(provider.name);
    for (std::size_t i = 0; i < provider.keys.size(); ++i) {
      const auto& key = provider.keys[i];
      auto where = path + ".keys." + std::to_string(i);
      if (is_variable(key.api_key_env)) // what is none may be a key, and is an error anyway
        judge(provider, key.api_key_env, owner_of(key.api_key_env), {where + ".api_key_env", where, path});
      else if (!key.api_key_file.empty())
        judge(provider, redact(key.api_key_file), nullptr, {where + ".api_key_file", where, path});
    }
    for (const auto& header : provider.headers)
      if (is_variable(header.env))
        judge(provider, header.env, owner_of(header.env), {path + ".headers." + schema::quoted_key(header.name), path});
  }

  /// Traces tell who asks what model how often, for whom, and under which labels; and a secret in a header goes along.
  void look_at(const telemetry_settings& telemetry) {
    if (telemetry.otlp.empty())
      return;
    auto target = target_of(telemetry.otlp);
    if (target.host.empty()) // nothing is sent there
      return;
    auto may_be_told = target.is_here && !of_others_;
    auto find = [&](const header_setting& x) { return is_variable(x.env) && (owner_of(x.env) || !may_be_told); };
    auto secret = std::find_if(telemetry.headers.begin(), telemetry.headers.end(), find);
    if (secret == telemetry.headers.end() && may_be_told)
      return;
    found_.push_back({{"telemetry.otlp", "telemetry"},
                      secret != telemetry.headers.end() ? secret->env : "what is told of each request",
                      target.host + ", the collector of traces"});
  }

  void judge(const provider_settings& provider, const std::string& secret, const known_provider* owner,
             std::vector<std::string> where) {
    if (secret_.empty())
      secret_ = secret;
    auto target = target_of(provider);
    auto* header = target.is_here ? nullptr : rerouting_header(provider, target);
    auto may_be_sent = owner ? may_go(*owner, target) : may_go(target);
    if (target.host.empty() || (may_be_sent && header == nullptr)) // without a host, nothing is sent
      return;
    auto path = "providers." + schema::quoted_key(provider.name);
    where.insert(where.begin(), path + (header ? ".headers." + schema::quoted_key(header->name) : ".base_url"));
    auto by =
      header ? " or another host, which header " + code(header->name) + " chooses, by provider " : ", by provider ";
    found_.push_back({std::move(where), secret, target.host + by + code(provider.name)});
  }

  bool may_go(const known_provider& owner, const target_of_keys& target) const {
    auto own = owner.url_variable ? env_(owner.url_variable).value_or("") : "";
    return is_at_home(target, owner) || (!own.empty() && target == target_of(own));
  }

  bool may_go(const target_of_keys& target) const {
    auto is_public = [&](const known_provider& known) { return is_at_home(target, known); };
    return (target.is_here && !of_others_) || std::any_of(known_providers.begin(), known_providers.end(), is_public);
  }

  /// Other nodes never see a key, but they can use it.
  void look_at_node(const std::string& address, const char* where) {
    auto parts = split_host(address);
    auto is_here = parts && is_loopback(parts->host) && !of_others_;
    if (!secret_.empty() && !is_here)
      found_.push_back({{where, "node"}, secret_, "the nodes at " + address + ", which could use it"});
  }

  const environment& env_;
  bool of_others_;
  std::string secret_; ///< The first that is named.
  std::vector<outflow> found_;
};

} // namespace

std::vector<outflow> find_outflows(const settings& all, const environment& env, bool of_others) {
  return outflow_search{env, of_others}.run(all);
}

bool belongs_to_others(const std::string& path) {
  struct stat info {};
  return ::stat(path.c_str(), &info) != 0 || (info.st_uid != ::geteuid() && info.st_uid != 0);
}

file_check check_found(std::string path, environment env) {
  return [path = std::move(path), env = std::move(env)](const settings& all, std::string_view text) {
    auto outflows = find_outflows(all, env, belongs_to_others(path));
    findings found;
    if (outflows.empty() || trusted_files{env}.contains(path, text))
      return found.list;
    for (auto& one : outflows)
      found.error(one.paths,
                  one.secret + " would go to " + one.target
                    + ": this file was only found in the working folder, and nobody has confirmed it",
                  "if that is meant: `modelforge config trust` once, or name the file with -c or MODELFORGE_CONFIG");
    return found.list;
  };
}

std::optional<std::string> refuse_found(const std::string& path, std::string_view text, const environment& env) {
  auto read = parse(text, path, env);
  if (!read.value)
    return {}; // whoever takes it over says why
  auto found = check_found(path, env)(*read.value, text);
  if (found.empty())
    return {};
  return path + ": " + found.front().message + "\n  " + found.front().hint;
}

} // namespace modelforge
