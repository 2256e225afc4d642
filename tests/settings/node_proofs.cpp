#include "actors/node_port.hpp"
#include "tests/cli/cli_fixture.hpp"
#include "tests/settings/proof.hpp"
#include "tests/settings/virtual_provider.hpp"
#include "tests/support/authority.hpp"

#include <modelforge/actors/runtime.hpp>
#include <modelforge/actors/system.hpp>

#include <caf/actor_system_config.hpp>
#include <caf/timespan.hpp>

#include <thread>

namespace modelforge::settings_test {

namespace {

using namespace test;

settings at_server(settings all, const misbehaving_server& server) {
  all.providers.front().base_url = server.url("/v1");
  all.providers.front().keys.clear();
  return all;
}

/// Where it listens and whom it knows.
std::string as_node(const settings& all) {
  auto is = runtime{all}.node();
  auto text = is.listening.empty() ? "alone" : "listens at " + is.listening;
  for (auto& peer : is.peers)
    text += " peer " + peer.address;
  return text;
}

std::string times_of_links(const settings& all) {
  caf::actor_system_config config;
  apply(all, config);
  auto get = [&](const char* name) { return duration_text(caf::get_or(config, name, caf::timespan{0})); };
  return "heartbeat " + get("caf.middleman.heartbeat-interval") + " timeout " + get("caf.middleman.connection-timeout");
}

/// The owner of the provider and a guest, both on this machine; what the guest says of the link, once it is decided.
struct two_nodes {
  two_nodes(settings of_owner, settings of_guest) : owner(named(of_owner, of_owner.node.name)) {
    of_guest.node.peers = {owner.node().listening};
    of_guest.node.listen.clear();
    of_guest.node.name = "guest";
    guest.emplace(of_guest);
  }

  static settings named(settings all, const std::string& name) {
    all.node.name = name.empty() ? "owner" : name;
    all.node.listen = "127.0.0.1:0";
    return all;
  }

  std::string link() {
    auto until = std::chrono::steady_clock::now() + std::chrono::seconds{20};
    for (;;) {
      auto peer = guest->node().peers.at(0);
      auto is_refused = peer.problem.find("cluster") != peer.problem.npos; // others may pass
      if (peer.up || is_refused || std::chrono::steady_clock::now() > until)
        return (peer.up ? "linked with " : "no link: ") + peer.name + ' ' + peer.problem;
      std::this_thread::yield();
    }
  }

  runtime owner;
  std::optional<runtime> guest;
};

std::string link_to(const settings& owner) {
  auto guest = owner;
  return two_nodes{owner, guest}.link();
}

std::string link_of(const settings& guest) {
  auto owner = guest;
  owner.node.cluster = "modelforge";
  return two_nodes{owner, guest}.link();
}

/// What comes of a prompt of 8 KiB that another node's provider is to answer.
std::string large_prompt(const settings& all) {
  misbehaving_server server{test::always(whole_answer(200, good_answer))};
  auto here = at_server(all, server);
  here.providers.front().nodes = {"owner"};
  auto owner = here;
  owner.node.max_message_bytes = 1u << 20;
  two_nodes nodes{owner, here};
  auto got = nodes.guest->chat(question(1, std::string(8'192, 'x')));
  return got ? got->text : to_string(got.error().code);
}

/// What is wrong with a provider, in the eyes of a node that could run it.
std::string trouble(const settings& all) {
  runtime ai{all};
  auto status = ai.status();
  return '[' + (status ? status->problem : to_string(status.error())) + ']';
}

std::string certificates(const settings& all) {
  auto read = read_credentials(all.node);
  auto* problem = std::get_if<failure>(&read);
  return problem != nullptr ? problem->message : std::get<0>(read) != nullptr ? "encrypted" : "in the clear";
}

void add_certificates(std::vector<proof>& to) {
  static const temporary_folder folder;
  static authority ours, others;
  auto write = [&](const std::string& name, const std::string& text) { return '"' + folder.write(name, text) + '"'; };
  static const auto own = ours.certify("a");
  auto set = "node.name = \"a\"\nnode.tls.certificate = " + write("a.pem", own.certificate)
             + "\nnode.tls.key = " + write("a.key", own.key) + "\nnode.tls.ca = " + write("ca.pem", ours.certificate());
  auto old = ours.certify("a", -48, -1);
  auto tls = std::string{"node.tls."};
  to.insert(
    to.end(),
    {{tls + "certificate", write("b.pem", old.certificate), certificates, "encrypted", "is not the key", set},
     {tls + "key", write("b.key", old.key), certificates, "encrypted", "is not the key", set},
     {tls + "ca", write("other.pem", others.certificate()), certificates, "encrypted", "has not signed it", set},
     {tls + "verify_names", "false", certificates, "this node is called \"b\"", "encrypted",
      set + "\nnode.name = \"b\""}});
}

} // namespace

std::vector<proof> node_proofs() {
  const std::string name = "node.name = \"here\"";
  const std::string listens = name + "\nnode.listen = \"127.0.0.1:0\"";
  std::vector<proof> result{
    {"node.name", "\"another\"", link_to, "linked with owner", "linked with another"},
    {"node.cluster", "\"others\"", link_of, "linked with owner", "no link", "node.name = \"owner\""},
    {"node.listen", "\"127.0.0.1:0\"", as_node, "alone", "listens at 127.0.0.1:", name},
    {"node.peers", "[\"127.0.0.1:1\"]", as_node, "", "peer 127.0.0.1:1", name},
    {"node.heartbeat", "0.5", times_of_links, "heartbeat 1 s", "heartbeat 500 ms", listens},
    {"node.timeout", "9", times_of_links, "timeout 4 s", "timeout 9 s", listens},
    {"node.max_message_bytes", "4096", large_prompt, "fine", "too_large", "node.name = \"owner\""},
    {"providers.main.nodes", "[\"another\"]", trouble, "[]", "another", listens},
  };
  add_certificates(result);
  return result;
}

} // namespace modelforge::settings_test
