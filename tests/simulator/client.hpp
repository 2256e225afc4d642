#pragma once

#include "tests/support/eventually.hpp"
#include "tools/simulator/simulator.hpp"

#include <nlohmann/json.hpp>

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

namespace modelforge::test {

using json = nlohmann::json;

/// An answer as it came over the wire.
struct http_answer {
  int status = 0;
  std::map<std::string, std::string> headers; ///< Names in lower case.
  std::string body;                           ///< Without chunked framing.

  json parsed() const { return json::parse(body, nullptr, false); }
};

/// Takes one answer from the front of `received`; nothing until all of it is there. `is_closed`: no more will come.
std::optional<http_answer> take_answer(std::string& received, bool is_closed = false, bool is_head = false);

/// A TCP connection to this machine that shares no code with the simulator; any wait ends after half a minute.
class connection {
public:
  explicit connection(uint16_t port);
  ~connection();

  connection(connection&& x) noexcept;
  connection(const connection&) = delete;
  connection& operator=(const connection&) = delete;

  void send(std::string_view bytes);

  /// Returns the next whole answer; status 0 when the peer closed before its end.
  http_answer receive(bool is_head = false);

  /// Returns whatever comes next, or nothing once the peer has closed.
  std::string receive_some();

  /// Reads until `text` has come; returns whether it has.
  bool receive_until(std::string_view text);

  /// Returns whether the peer ended the connection by a reset; known once nothing comes any more.
  bool was_reset() const { return was_reset_; }

  void close();

  int descriptor() const { return fd_; }

private:
  int fd_ = -1;
  bool was_reset_ = false;
  std::string received_;
};

/// Returns the bytes of a request; adds content-length, and `headers`, each ending in CRLF.
std::string http_request(std::string_view method, std::string_view path, std::string_view body = {},
                         std::string_view headers = {});

/// Makes one request on a connection of its own.
http_answer fetch(uint16_t port, std::string_view method, std::string_view path, std::string_view body = {},
                  std::string_view headers = {});

/// Posts `body` to the chat endpoint.
http_answer chat(uint16_t port, std::string_view body, std::string_view headers = {});

/// Returns a request, as JSON text, whose only message is `prompt`; the members of the JSON object `more` go on top.
std::string ask(std::string_view prompt, std::string_view more = "{}");

/// An event of a stream; `data` is discarded JSON when it is none.
struct event {
  std::string name; ///< Empty: it has none.
  json data;
};

/// Returns the server-sent events of `body`, comments left out; what follows the last whole event is another one.
std::vector<event> events_of(std::string_view body);

/// Returns a provider's simulator that lets every request go wrong in that way.
simulator::options always_with(std::string fault);

/// Returns the JSON object `x` with the members of `more` on top, both as text.
std::string merged(std::string_view x, std::string_view more);

/// Returns the content of choice 0 of an answer in one piece; empty when it is null.
std::string content_of(const json& answer);

/// What a stream said.
struct stream_content {
  std::vector<json> chunks; ///< In order, without [DONE].
  std::string text;         ///< Of choice 0.
  std::string arguments;    ///< Of choice 0's first tool call.
  std::string finish_reason;
  std::size_t deltas = 0; ///< Pieces of text or arguments of choice 0.
  json usage;
  bool is_done = false; ///< [DONE] came last.
};

stream_content read_stream(std::string_view body);

} // namespace modelforge::test
