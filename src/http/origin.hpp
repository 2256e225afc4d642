#pragma once

#include "http/client.hpp"
#include "http/proxy.hpp"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace modelforge::http {

using steady = std::chrono::steady_clock;

struct transfer;

/// Connections to one origin in one multi handle.
///
/// A transfer that wants a kept connection claims one of the idle ones before libcurl looks for it, so that no two
/// transfers count on the same. Without a claim it is told not to look at all.
struct connection_pool {
  uint32_t idle = 0;   ///< HTTP/1.1 connections that no transfer uses.
  uint32_t claims = 0; ///< Transfers begun with one of these in mind that have not taken it yet.
  uint32_t http2 = 0;  ///< HTTP/2 connections, used or not.
};

/// What is known of one scheme, host and port.
///
/// Names are resolved per origin, because libcurl caches addresses so: one transfer resolves, as part of its
/// connecting, while others wait for it (each that resolves is a thread of libcurl's). An address is good for a while;
/// then the next transfer has libcurl forget it and resolves again.
struct origin {
  std::string name;   ///< "host:port", for messages.
  std::string forget; ///< "-host:port": CURLOPT_RESOLVE's way to drop the cached address.
  bool secure = false;
  std::string proxy;                  ///< Its URL; empty: the host is asked directly.
  std::string proxy_name;             ///< For messages.
  std::string proxy_flaw;             ///< Why it can be none; see `flaw_of_proxy`.
  bool literal = false;               ///< The host is an address; there is nothing to resolve.
  std::optional<bool> speaks_http2;   ///< Empty until the first answer over TLS.
  steady::time_point fresh_until{};   ///< Until then the cached address is good.
  transfer* resolver = nullptr;       ///< The one transfer that may resolve the host now.
  std::deque<transfer_id> waiting;    ///< For `resolver`, in order; some may have ended.
  std::vector<connection_pool> pools; ///< By the index of the multi handle.
  std::size_t users = 0;              ///< Transfers, sockets and multi handles that point here.

  /// Sharing transfers in one multi handle at a time, so that they need one connection only. Most servers allow 100 or
  /// 128, and libcurl, too, stops at 100. Lowered where a server turns out to allow less.
  std::size_t max_sharing = 80;

  /// Requests that one HTTP/2 connection carries before no more are sent there. Servers close a connection after so
  /// many (nginx: 1000), and refuse what comes behind. Learned where a server takes fewer.
  static constexpr std::size_t usual_max_requests = 900;
  std::size_t max_requests = usual_max_requests;

  /// The server ended a connection that had carried so many, and refused what was sent behind.
  void note_refusal(std::size_t carried) {
    if (carried > 0) // 0: it takes none just now, which says nothing of a connection's length
      max_requests = std::min(max_requests, carried);
  }

  /// A connection carried as many as it was to, and the server had no word against it: it may take more.
  void note_full_connection() { max_requests = std::min(usual_max_requests, 2 * max_requests); }

  /// One handle with so many sharing transfers had to open a second connection: its server allows less.
  void lower_max_sharing(std::size_t active) {
    if (active <= max_sharing) // else they are from before, and say nothing about what holds now
      max_sharing = std::max<std::size_t>(8, std::min(max_sharing / 2, active - 1));
  }

  connection_pool& pool(std::size_t multi) {
    if (multi >= pools.size())
      pools.resize(multi + 1);
    return pools[multi];
  }
};

/// All origins that transfers have asked for, and whose waiting transfers may go on.
class origin_table {
public:
  explicit origin_table(proxy_rules proxies) : proxies_(std::move(proxies)) {}

  /// The origin of a URL; null where that is not an http or https URL. Valid as long as somebody counts in its `users`.
  origin* find(const std::string& url);

  /// The transfer knows the address or has ended: where it was the resolver, another may be, or all go on.
  void give_up_resolving(transfer& transfer);

  /// Takes the next transfer out of the waiting ones that may go on now. 0: none. Each may become the resolver, so that
  /// the others go on waiting.
  transfer_id take_resumed();

  /// Whether `take_resumed` may have something.
  bool has_resumed() const { return !to_resume_.empty(); }

private:
  proxy_rules proxies_;
  std::map<std::string, origin, std::less<>> origins_; ///< By `origin_part`.
  std::vector<origin*> to_resume_;                     ///< May have transfers that need not wait any longer.
};

/// Returns the part of a URL that names its origin: all before path, query and fragment.
std::string_view origin_part(std::string_view url);

/// Reads an `origin_part`, and says by which proxy it is asked. Empty if it is not an http or https URL.
std::optional<origin> parse_origin(std::string_view text, const proxy_rules& proxies = {});

/// Says what is wrong with a request's method and headers, for people; empty if nothing is. HTTP libraries would pass
/// line breaks in them on, as further headers.
std::string refuse_reason(const request& request);

} // namespace modelforge::http
