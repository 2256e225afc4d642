#pragma once

#include <modelforge/config/settings.hpp>

#include <optional>
#include <string>
#include <string_view>
#include <variant>

/// Hosts and URLs as settings name them.

namespace modelforge {

struct host_port {
  std::string host; ///< Without the brackets of an IPv6 address.
  std::string port; ///< Digits, or empty.
};

/// Takes HOST, HOST:PORT or [IPV6]:PORT apart; nothing if it is none of them.
std::optional<host_port> split_host(std::string_view text);

/// Whether what is sent to this host stays on this machine.
bool is_loopback(std::string_view host);

/// What a URL begins with, "://" included, in small letters: the case of a scheme means nothing (RFC 3986, 3.1). Empty
/// if there is none.
std::string scheme_of(std::string_view text);

struct base_url {
  bool encrypted = false;
  host_port address;
};

/// The parts of a `base_url` that matter, or why it is none, as the end of a sentence.
std::variant<base_url, std::string> parse_base_url(std::string_view text);

/// The host of a kind's public API, with its port where that is not the scheme's; empty if there is none.
std::string_view public_host(provider_kind kind);

/// Host and port that a provider's requests go to; empty if unknown.
std::string destination(const provider_settings& provider);

} // namespace modelforge
