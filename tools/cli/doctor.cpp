#include "tools/cli/doctor.hpp"
#include "tools/cli/commands.hpp"
#include "tools/cli/output.hpp"
#include "tools/doctor/checks.hpp"
#include "tools/doctor/look.hpp"

#include "actors/node_port.hpp"
#include "base/ip_address.hpp"
#include "base/public_servers.hpp"
#include "batch/ledger.hpp"
#include "config/address.hpp"
#include "config/check.hpp"
#include "config/diagnostic.hpp"
#include "config/read_file.hpp"
#include "config/state_folder.hpp"
#include "dispatch/journal.hpp"
#include "http/authorities.hpp"
#include "http/proxy.hpp"
#include "provider/model_groups.hpp"

#include <modelforge/actors/batch_coordinator.hpp>
#include <modelforge/config/secret.hpp>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <map>
#include <memory>
#include <set>
#include <unistd.h>

/// `modelforge doctor`: what would stop this configuration, or this machine, from working. Facts are gathered here and
/// judged in tools/doctor.

namespace modelforge::cli {

namespace {

using doctor::finding;
using doctor::verdict;

constexpr auto patience_for_hosts = std::chrono::seconds{5};

struct doctor_options {
  std::string config;
  std::vector<std::string> batches; ///< Outputs, or ledgers.
  bool ask = false;
  bool json = false;
};

/// The address that requests go to; nothing where the settings have none that could be used.
std::optional<base_url> server_of(const provider_settings& provider) {
  auto url = provider.base_url.empty() ? std::string{public_address(name_of(provider.kind))} : provider.base_url;
  auto parsed = parse_base_url(url);
  auto* parts = std::get_if<base_url>(&parsed);
  if (parts == nullptr)
    return {};
  if (parts->address.port.empty())
    parts->address.port = parts->encrypted ? "443" : "80";
  return *parts;
}

// -- facts: the configuration ------------------------------------------------------------

std::string remedy_for(const key_source& source) {
  return source.api_key_env.empty() ? "write the key, and nothing else, into " + source.api_key_file
                                    : "export " + source.api_key_env + "=..., or set api_key_env to another variable";
}

std::vector<doctor::key_facts> keys_of(const provider_settings& provider) {
  std::vector<doctor::key_facts> result;
  for (auto& key : provider.keys) {
    auto is_file = key.api_key_env.empty();
    doctor::key_facts facts{provider.name, is_file ? key.api_key_file : key.api_key_env, {}, remedy_for(key), {}};
    if (auto found = resolve(key); auto* problem = std::get_if<std::string>(&found))
      facts.problem = *problem;
    if (is_file)
      facts.file = doctor::look_at(key.api_key_file);
    result.push_back(std::move(facts));
  }
  for (auto& header : provider.headers)
    if (auto* value = header.env.empty() ? "" : std::getenv(header.env.c_str()); !header.env.empty())
      result.push_back(
        {provider.name,
         header.env,
         value == nullptr || *value == '\0' ? "environment variable " + header.env + " is not set or empty" : "",
         "it holds the value of header " + header.name + ": export " + header.env + "=...",
         {}});
  return result;
}

// -- facts: the network --------------------------------------------------------------------

struct way {
  doctor::proxy_facts facts;
  host_port proxy{};        ///< Empty: there is none.
  std::string first_host{}; ///< Who is connected to: the proxy, or the provider.
};

way way_to(const provider_settings& provider, const base_url& address, const http::proxy_rules& rules) {
  auto& [host, port] = address.address;
  way result{{provider.name, host + ':' + port}, {}, host};
  auto& facts = result.facts;
  facts.is_loopback = is_loopback(host);
  facts.has_any = rules.any();
  auto url = std::string{rules.find(address.encrypted, host, port)};
  auto* capital = std::getenv("HTTP_PROXY");
  facts.is_capital = url.empty() && !address.encrypted && !facts.is_loopback && capital != nullptr && *capital != '\0'
                     && std::getenv("http_proxy") == nullptr;
  if (url.empty())
    return result;
  facts.flaw = http::flaw_of_proxy(url);
  if (!facts.flaw.empty()) {
    result.first_host.clear();
    return result;
  }
  facts.name = http::proxy_name(url);
  result.proxy = split_host(facts.name).value_or(host_port{});
  result.first_host = result.proxy.host;
  return result;
}

doctor::trust_facts trust_of(const http::named_authorities& named) {
  constexpr std::size_t largest = 16u << 20;
  doctor::trust_facts result{named.variable, named.path, {}};
  auto content = read_file(named.path, largest);
  if (auto* problem = std::get_if<std::string>(&content))
    result.problem = *problem;
  else if (std::get<file_text>(content).text.find("-----BEGIN CERTIFICATE-----") == std::string::npos)
    result.problem = "it is not a PEM file with certificates";
  return result;
}

/// Adds a host to be resolved, unless it is there already, or needs no resolver.
void add_host(std::vector<doctor::host_facts>& hosts, const std::string& subject, const std::string& host) {
  auto is_known = std::any_of(hosts.begin(), hosts.end(), [&](auto& known) { return known.host == host; });
  if (!host.empty() && !is_known && !is_loopback(host) && ip_bytes(host).empty())
    hosts.push_back({subject, host});
}

// -- facts: the machine ----------------------------------------------------------------------

/// Connections that may be open at a time: those of every lane.
uint64_t connections_of(const settings& all) {
  uint64_t sum = 0;
  for (auto& provider : all.providers) {
    uint64_t lanes = 0;
    for (uint32_t group = 0; group <= provider.models.size(); ++group)
      lanes += provider::limited_as(provider, group) == group ? std::max<std::size_t>(provider.keys.size(), 1) : 0;
    sum += is_ours(provider, all.node) ? lanes * provider.max_concurrent : 0;
  }
  return sum;
}

doctor::port_facts port_at(const std::string& setting, const std::string& address) {
  doctor::port_facts result{setting, address};
  auto parts = split_host(address);
  if (!parts || parts->port.empty())
    return result; // which the configuration's check has told
  result.error = doctor::listen_error(parts->host, parts->port);
  uint16_t port = 0;
  std::from_chars(parts->port.data(), parts->port.data() + parts->port.size(), port);
  auto holder = result.error == EADDRINUSE ? doctor::holder_of(port) : doctor::port_holder{};
  result.holder = std::move(holder.name);
  result.is_modelforge = holder.is_modelforge;
  return result;
}

/// Where the use of limits is kept; empty: nowhere, by the settings.
std::string limits_folder(const settings& all) {
  if (std::none_of(all.providers.begin(), all.providers.end(), keeps_limits) || all.runtime.state_folder == "none")
    return {};
  return all.runtime.state_folder.empty() ? default_state_folder() : all.runtime.state_folder;
}

doctor::folder_facts folder_at(const std::string& folder, const std::string& use, bool is_needed) {
  return {doctor::look_at(folder), use, state_folder_problem(folder), is_needed, doctor::free_bytes_at(folder)};
}

doctor::ledger_facts ledger_of(const std::string& name) {
  std::error_code ignored;
  auto path = ledger_path(name);
  if (!std::filesystem::exists(path, ignored) && name.ends_with(".ledger"))
    path = name;
  doctor::ledger_facts result;
  result.place = doctor::look_at(path);
  result.is_in_use = doctor::is_locked(path);
  auto seen = batch::ledger::look(path);
  if (auto* problem = std::get_if<failure>(&seen))
    result.problem = *problem;
  else {
    auto& summary = std::get<batch::ledger_summary>(seen);
    result.done = summary.ok + summary.failed;
    result.total = summary.total;
  }
  return result;
}

// -- the examination -----------------------------------------------------------------------

/// Goes through everything once, and gathers what was found.
class examination {
public:
  explicit examination(const doctor_options& options) : options_(options), loaded_(discover(options.config)) {}

  std::vector<finding> run() {
    look_at_configuration();
    if (loaded_.value) {
      look_at_network();
      look_at_trust();
      look_at_state();
      look_at_machine();
      ask();
    }
    for (auto& name : options_.batches)
      add(doctor::judge_ledger(ledger_of(name), geteuid()));
    clock_.ended = std::chrono::system_clock::now();
    clock_.passed = std::chrono::steady_clock::now() - begun_;
    add(doctor::judge_clock(clock_));
    return std::move(found_);
  }

  /// Whether there are providers that were not asked, for want of consent.
  bool is_left_out() const { return is_left_out_; }

private:
  const settings& all() const { return *loaded_.value; }

  void add(finding found) { found_.push_back(std::move(found)); }

  void add(std::vector<finding> more) {
    for (auto& found : more)
      found_.push_back(std::move(found));
  }

  void look_at_configuration() {
    std::vector<doctor::key_facts> keys;
    for (auto& provider : loaded_.value ? all().providers : std::vector<provider_settings>{})
      if (is_ours(provider, all().node))
        for (auto& key : keys_of(provider))
          keys.push_back(std::move(key));
    std::vector<std::string> told{"no provider is configured"};
    for (auto& key : keys)
      told.push_back(key.problem);
    add(doctor::judge_configuration(loaded_, told));
    if (!loaded_.value)
      return;
    add(doctor::judge_settings(all()));
    for (auto& key : keys)
      add(doctor::judge_key(key, geteuid()));
    for (auto& provider : all().providers)
      if (!is_ours(provider, all().node))
        add({verdict::ok, "provider", provider.name,
             "runs on the node " + provider.nodes.front() + ": its key and its host are looked at there", ""});
  }

  /// The authorities that the environment names in place of the system's.
  void look_at_trust() {
    auto is_encrypted = [&](auto& provider) {
      auto address = server_of(provider);
      return address && address->encrypted && is_ours(provider, all().node);
    };
    if (std::none_of(all().providers.begin(), all().providers.end(), is_encrypted))
      return;
    if (auto named = http::authorities_of_environment())
      add(doctor::judge_trust(trust_of(*named)));
  }

  /// Names, and the way out. A proxy resolves the names of those who are asked through it.
  void look_at_network() {
    auto rules = http::proxy_rules_of_environment();
    std::vector<doctor::host_facts> hosts;
    std::vector<way> ways;
    for (auto& provider : all().providers)
      if (auto address = server_of(provider); address && is_ours(provider, all().node)) {
        ways.push_back(way_to(provider, *address, rules));
        auto& first = ways.back().first_host;
        add_host(hosts, ways.back().facts.name.empty() ? provider.name : "the proxy", first);
      }
    for (auto& peer : all().node.peers)
      add_host(hosts, "peer", split_host(peer).value_or(host_port{}).host);
    doctor::resolve(hosts, patience_for_hosts);
    std::map<std::string, std::string> lost; // and why
    for (auto& host : hosts) {
      add(doctor::judge_host(host));
      if (!host.problem.empty())
        lost[host.host] = host.problem;
    }
    for (auto& each : ways)
      look_at_way(each, lost[each.first_host]);
  }

  /// `why_lost`: why whoever is connected to first has no address; empty: it has one.
  void look_at_way(way& way, const std::string& why_lost) {
    auto& facts = way.facts;
    if (!way.proxy.host.empty())
      facts.trouble = why_lost.empty() ? doctor::connect_problem(way.proxy.host, way.proxy.port, patience_for_hosts)
                                       : "its name cannot be resolved: " + why_lost;
    if (!why_lost.empty() || !facts.trouble.empty() || !facts.flaw.empty())
      unreachable_.insert(facts.provider);
    add(doctor::judge_proxy(facts));
  }

  void look_at_state() {
    auto limits = limits_folder(all());
    if (!limits.empty())
      add(doctor::judge_folder(folder_at(limits, "the use of limits", !all().runtime.state_folder.empty()), geteuid()));
    for (auto& provider : all().providers)
      if (!limits.empty() && keeps_limits(provider) && is_ours(provider, all().node)) {
        auto seen = journal::look_at(limits, provider.name);
        add(doctor::judge_limits_file(
          {provider.name, doctor::look_at(seen.path), seen.is_readable, seen.is_whole, doctor::is_locked(seen.lock)},
          geteuid()));
      }
    if (auto own = default_state_folder(); all().history.keep && own != limits)
      add(doctor::judge_folder(folder_at(own, "conversations", false), geteuid()));
  }

  void look_at_machine() {
    add(doctor::judge_descriptors({doctor::descriptor_limit(), connections_of(all())}));
    if (!all().node.listen.empty())
      add(doctor::judge_port(port_at("node.listen", all().node.listen)));
    if (!all().metrics.listen.empty())
      add(doctor::judge_port(port_at("metrics.listen", all().metrics.listen)));
    auto& tls = all().node.tls;
    if (tls.certificate.empty())
      return;
    doctor::certificate_facts facts{tls.certificate, {}, doctor::look_at(tls.key)};
    auto read = read_credentials(all().node);
    if (auto* problem = std::get_if<failure>(&read))
      facts.valid = *problem;
    else
      facts.valid = std::get<0>(read)->valid_for();
    add(doctor::judge_certificate(facts, geteuid()));
  }

  /// Those that run here, with the keys that can be had; who has none of its keys, or cannot be reached, is left out.
  std::vector<provider_settings> askable() const {
    std::vector<provider_settings> result;
    for (auto provider : all().providers) {
      auto wants_key = !provider.keys.empty();
      std::erase_if(provider.keys, [](auto& key) { return std::holds_alternative<std::string>(resolve(key)); });
      if (!is_ours(provider, all().node) || (wants_key && provider.keys.empty())
          || unreachable_.count(provider.name) != 0)
        continue;
      provider.nodes.clear();
      result.push_back(std::move(provider));
    }
    return result;
  }

  /// Whether the user agrees, by --ask or at the terminal.
  bool may_ask(const std::vector<provider_settings>& whom) {
    if (whom.empty() || options_.ask)
      return options_.ask;
    std::string names;
    for (auto& provider : whom)
      names += (names.empty() ? "" : ", ") + provider.name + " (" + destination(provider) + ')';
    is_left_out_ = true;
    if (options_.json || isatty(STDIN_FILENO) == 0 || isatty(STDERR_FILENO) == 0)
      return false;
    std::cerr << "May " << printable(names)
              << " be asked for a list of models? It shows whether keys are accepted; no model is called. [y/N] "
              << std::flush;
    std::string answer;
    std::getline(std::cin, answer);
    is_left_out_ = !answer.starts_with('y') && !answer.starts_with('Y');
    return !is_left_out_;
  }

  void ask() {
    auto whom = askable();
    if (!may_ask(whom))
      return;
    auto asked = ask_for_models(whom, all().runtime);
    for (auto& answer : asked.answers)
      add(doctor::judge_answer(answer));
    clock_.servers = std::move(asked.times);
  }

  const doctor_options& options_;
  std::chrono::steady_clock::time_point begun_ = std::chrono::steady_clock::now();
  doctor::clock_facts clock_{std::chrono::system_clock::now(), {}, {}, {}};
  load_result loaded_;
  std::vector<finding> found_;
  std::set<std::string> unreachable_; ///< Providers whose host, or proxy, is a problem already.
  bool is_left_out_ = false;
};

/// What `modelforge doctor` does.
int examine(const doctor_options& options) {
  examination examination{options};
  auto found = examination.run();
  auto text = options.json ? doctor::to_json(found) : doctor::to_text(found);
  if (examination.is_left_out() && !options.json)
    text += "Whether providers answer and take their keys was not asked: --ask does.\n";
  if (!print(text))
    return exit_failed;
  return doctor::has_problem(found) ? exit_failed : exit_ok;
}

} // namespace

void add_doctor(command_line& line) {
  auto options = std::make_shared<doctor_options>();
  auto doctor = line.add("doctor", "Find what would stop this machine or configuration from working");
  doctor.text("-c,--config", options->config, "Configuration file; default: MODELFORGE_CONFIG", "FILE");
  doctor.text("FILE", options->config, "The same, without -c");
  doctor.flag("--ask", options->ask, "Ask each provider for its models, with each of its keys");
  doctor.texts("--batch", options->batches, "Look at the ledger of a batch as well, by its output's name", "OUTPUT");
  doctor.flag("--json", options->json, "Print JSON: [{\"verdict\",\"check\",\"subject\",\"message\",\"remedy\"}, ...]");
  doctor.footer(
    "Examples:\n  modelforge doctor\n  modelforge doctor --ask node.toml\n"
    "  modelforge doctor --json | jq '.[] | select(.verdict == \"problem\")'\n\n"
    "Looks at the configuration, keys, hosts, proxies, clocks, folders, ports, certificates and limits of "
    "open files,\nand says what to do about what is wrong. Keys are never printed. Nothing is sent to a "
    "provider without --ask,\nor a yes at the terminal: names are looked up, proxies connected to, and the "
    "configured ports opened for a moment.\n"
    "Exit codes: 0 nothing stops it, though there may be warnings, 1 there is a problem, 2 wrong arguments.");
  doctor.run_by([options] { return examine(*options); });
}

} // namespace modelforge::cli
