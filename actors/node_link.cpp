#include "actors/node_link.hpp"

#include <set>

namespace modelforge {

node_hello hello_of(const node_settings& settings) {
  node_hello result;
  result.program = MODELFORGE_VERSION;
  result.cluster = settings.cluster;
  result.node = settings.name;
  return result;
}

peer_status status_of(const node_link& link, node::time_point now) {
  peer_status result;
  result.name = link.name;
  result.address = node::to_string(link.address);
  result.up = link.machine.current() == node::peer_link::state::up;
  result.problem = link.machine.problem();
  result.since = now - link.machine.since();
  return result;
}

node_status status_of(const node_settings& settings, const std::string& listening, const node_links& links,
                      const std::vector<std::pair<std::string, node::time_point>>& peers, node::time_point now) {
  node_status result;
  result.name = settings.name;
  result.cluster = settings.cluster;
  result.listening = listening;
  result.tls = !settings.tls.certificate.empty();
  std::set<std::string> told;
  for (auto& one : links) {
    told.insert(one->name);
    result.peers.push_back(status_of(*one, now));
  }
  for (auto& [name, since] : peers)
    if (told.count(name) == 0)
      result.peers.push_back({name, "", true, "", now - since});
  return result;
}

std::string why_not(const node_links& links, const std::string& owner) {
  std::string result;
  for (auto& link : links)
    if ((link->name == owner || link->name.empty()) && !link->machine.problem().empty())
      result += (result.empty() ? "" : "; ") + node::to_string(link->address) + ": " + link->machine.problem();
  return result;
}

std::string unused_files(const node::credentials* tls) {
  auto problem = tls != nullptr ? tls->problem() : "";
  return problem.empty() ? "" : " (this node's own files have changed and cannot be used: " + problem + ")";
}

std::string link_problem(const caf::error& why, const node::credentials* tls) {
  return std::string{"something listens there, but no link came about ("} + to_string(why) + "); "
         + (tls != nullptr
              ? "it must be a node with a certificate of the same authority (`ca` in [node.tls])" + unused_files(tls)
              : "it must be a node without [node.tls], as this one, of the same version of ModelForge");
}

} // namespace modelforge
