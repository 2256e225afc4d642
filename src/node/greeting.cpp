#include "node/greeting.hpp"

#include "node/certificate.hpp"

#include <charconv>

namespace modelforge::node {

namespace {

std::string describe(const node_hello& hello) {
  return "node \"" + hello.node + "\" (ModelForge " + hello.program + ", wire version " + std::to_string(hello.wire)
         + ", cluster \"" + hello.cluster + "\")";
}

} // namespace

// Both sides decide by the same rules and see the same words, so it does not matter who refuses.
std::optional<std::string> misfit(const node_hello& mine, const node_hello& theirs) {
  auto both = describe(mine) + " and " + describe(theirs);
  if (mine.wire != theirs.wire)
    return both + " speak different versions; update the older one";
  if (mine.cluster != theirs.cluster)
    return both + " are of different clusters; set the same `cluster` in [node] if they belong together";
  if (theirs.node.empty())
    return describe(theirs) + " has no name";
  if (mine.node == theirs.node)
    return both + " have the same name; give each node of a cluster its own `name`";
  return {};
}

std::string taken(std::string_view name, std::string_view here) {
  return "the name \"" + std::string{name} + "\" is taken: another program of that name is linked with node \""
         + std::string{here} + "\"; give each node of a cluster its own `name`";
}

std::string impostor(std::string_view name, const std::vector<std::string>& names, std::string_view here) {
  return "node \"" + std::string{here} + "\" refuses a node that calls itself \"" + std::string{name}
         + "\": its certificate is that of " + list_of(names)
         + "; make one with its name, or set `verify_names = false` in [node.tls] of all nodes";
}

// The last colon parts host and port; a host with further ones must stand in brackets, or they would be mixed up.
std::optional<address> parse_address(std::string_view text) {
  auto colon = text.rfind(':');
  if (colon == text.npos || colon == 0)
    return {};
  address result;
  auto host = text.substr(0, colon);
  auto port = text.substr(colon + 1);
  auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), result.port);
  if (error != std::errc{} || end != port.data() + port.size())
    return {};
  if (host.front() == '[') {
    if (host.size() < 3 || host.back() != ']')
      return {};
    host = host.substr(1, host.size() - 2);
  } else if (host.find(':') != host.npos) {
    return {};
  }
  result.host = host;
  return result;
}

std::string to_string(const address& target) {
  auto bracketed = target.host.find(':') != target.host.npos;
  return (bracketed ? "[" + target.host + "]" : target.host) + ":" + std::to_string(target.port);
}

} // namespace modelforge::node
