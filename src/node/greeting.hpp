#pragma once

#include <modelforge/messages/node_hello.hpp>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace modelforge::node {

/// Why two nodes must not talk, in words that name both sides; empty: they may.
std::optional<std::string> misfit(const node_hello& mine, const node_hello& theirs);

/// Why `name` is refused at the node `here`: another program that is linked with it is called so.
std::string taken(std::string_view name, std::string_view here);

/// Why `name` is refused at the node `here`: the peer's certificate is for `names`.
std::string impostor(std::string_view name, const std::vector<std::string>& names, std::string_view here);

struct address {
  std::string host; ///< A name or a number, without brackets.
  uint16_t port = 0;
};

/// Reads HOST:PORT, where an IPv6 address stands in brackets. Empty: it is none.
std::optional<address> parse_address(std::string_view text);

/// HOST:PORT.
std::string to_string(const address& target);

} // namespace modelforge::node
