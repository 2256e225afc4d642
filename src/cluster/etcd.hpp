#pragma once

#include "cluster/store.hpp"
#include "http/client.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

/// The JSON gateway of etcd's API, version 3 (etcd 3.4 and later: paths begin with /v3/): questions to requests, bodies
/// to answers. Pure functions; what comes from outside is bounded and checked. Numbers of 64 bits are strings there,
/// keys and values base64, and what is zero, false or empty is left out.

namespace modelforge::cluster::etcd {

/// Where a provider's records are in the store. Names are those of settings: letters, digits, `-`, `_`, `.`.
struct place {
  std::string prefix = "modelforge/"; ///< Of all keys of ours.
  std::string provider;
  std::string node; ///< That asks.

  /// All records of the ownership: `owner`, `placed`, `claims/NODE` behind it.
  std::string records() const { return prefix + "providers/" + provider + "/"; }

  std::string window() const { return prefix + "windows/" + provider; }
};

/// What is posted.
struct call {
  std::string path;
  std::string body;
};

/// As a request to the server at `endpoint` ("https://HOST:PORT"). `token`: of `read_token`; empty: without.
http::request to_request(call what, std::string_view endpoint, std::string_view token,
                         std::chrono::nanoseconds timeout);

/// Bodies beyond it are refused: the largest is the window's, in base64.
inline constexpr std::size_t max_body = 1u << 20;

/// More records of one provider than these are refused: it has an owner, a place, and a claim for each candidate.
inline constexpr std::size_t max_records = 200;

// -- ownership --------------------------------------------------------------------

call to_call(const question& asked, const place& where);

/// An answer with what the store says about itself.
struct told {
  answer is;
  uint64_t cluster = 0;     ///< Names the store; 0: it did not say.
  bool needs_token = false; ///< Of a failure: a (new) token may help.
};

told read_answer(const question& asked, const place& where, uint16_t status, std::string_view body);

// -- the window -------------------------------------------------------------------

/// Replace the window's snapshot, if this node is the owner of that epoch and the snapshot is what it was.
struct save_window {
  revision epoch = 0;
  revision base = 0; ///< The revision of the snapshot that is replaced; 0: there is none.
  std::string bytes;
};

/// The snapshot that the store has.
struct window_view {
  revision at = 0; ///< The revision that wrote it; 0: there is none.
  std::string bytes;
};

struct window_saved {
  revision at = 0;
};

/// Nothing was changed.
struct window_not_saved {
  bool is_owner = false; ///< Whether the epoch still holds: then the snapshot is another one than was thought.
  window_view has;
};

using save_answer = std::variant<window_saved, window_not_saved, no_answer>;
using window_answer = std::variant<window_view, no_answer>;

call to_call(const save_window& asked, const place& where);
save_answer read_saved(const save_window& asked, const place& where, uint16_t status, std::string_view body);

call read_window(const place& where);
window_answer read_window(const place& where, uint16_t status, std::string_view body);

// -- access -----------------------------------------------------------------------

/// Holds the password: to be sent, and wiped.
call authenticate(std::string_view user, std::string_view password);

/// The token, which goes into the header `authorization` as it is.
std::variant<std::string, no_answer> read_token(uint16_t status, std::string_view body);

// -- a watch ----------------------------------------------------------------------

/// Its answer is a stream without end: see `watch_reader`.
call watch(const std::string& prefix);

struct watch_began {};

struct watch_change {
  std::string key;
  std::string value;
  revision at = 0;
  bool is_gone = false; ///< It was removed, or its lease has ended.
};

/// Nothing more comes.
struct watch_over {
  no_answer why;
  bool needs_token = false;
};

using watch_event = std::variant<watch_began, watch_change, watch_over>;

/// Reads a watch's answer, however it is cut.
class watch_reader {
public:
  /// Behind a `watch_over` there is nothing.
  std::vector<watch_event> feed(std::string_view bytes);

private:
  void read_line(std::string_view line, std::vector<watch_event>& to);
  void end(std::vector<watch_event>& to, watch_over why);

  std::string rest_;
  bool is_over_ = false;
};

} // namespace modelforge::cluster::etcd
