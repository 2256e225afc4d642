#pragma once

#include "http/compressed_end.hpp"
#include "http/origin.hpp"

#include <curl/curl.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace modelforge::http {

struct multi;

struct free_easy {
  void operator()(CURL* handle) const { curl_easy_cleanup(handle); }
};

/// Header lines in the form that libcurl reads, in memory that is used again.
class header_lines {
public:
  void clear();
  void add(std::string_view name, std::string_view value);

  /// Adds a line as libcurl wants it, e.g. "Expect:" to leave that header out.
  void add_raw(std::string_view line);

  /// Valid until the next change.
  curl_slist* list();

private:
  std::string text_; ///< The lines, each with a NUL at its end.
  std::vector<std::size_t> starts_;
  std::vector<curl_slist> nodes_;
};

/// What libcurl is to do with the bytes it brought.
enum class verdict : uint8_t { taken, pause, abort };

/// How far one use of a transfer has come.
///
/// The times come in this order, each set once: `started`, `connected` (with `begun`), `sent`, `first_byte`. A transfer
/// whose `ending` is set belongs to `loop::finish` alone; nothing may be begun for it any more.
struct transfer_state {
  transfer_id id = 0;
  std::shared_ptr<http::receiver> receiver;
  steady::time_point started;
  steady::time_point connected;  ///< Ready to send.
  steady::time_point sent;       ///< The request's last byte.
  steady::time_point first_byte; ///< Of the final answer.
  steady::time_point last_byte;
  steady::time_point armed; ///< Its place in `deadlines`; the epoch: none.
  http::origin* origin = nullptr;
  http::multi* multi = nullptr; ///< Set while libcurl has it.
  int socket = -1;              ///< The one it uses or used last; several may share it (HTTP/2).
  uint64_t credit = 0;
  bool may_pause = false;            ///< It has credit, which may run out.
  uint64_t received = 0;             ///< Decoded bytes handed on.
  std::size_t delivered_of_held = 0; ///< Of the piece that libcurl holds back for us, so many are handed on already.
  std::size_t head_bytes = 0;        ///< Of the answer's heads, interim ones included.
  std::size_t trailer_bytes = 0;     ///< Of what comes behind the body.
  response_head head;
  http::compressed_end compressed; ///< Begun with the body.
  errc stop = errc::none;          ///< Why our own callback ended it.
  bool waiting = false;            ///< For another transfer to resolve the host.
  bool claimed = false;            ///< Counted in its pool's `claims`.
  bool opened_socket = false;
  bool begun = false;      ///< `connected` is set: the request is being sent.
  bool repeated = false;   ///< libcurl tried to send it a second time.
  bool refused = false;    ///< The server has said that it did not process it.
  uint64_t connection = 0; ///< Distinguishes the HTTP/2 connections of one multi handle, once it has begun.
  uint32_t stream = 0;     ///< Its number there; 0: none yet.
  bool out_of_files = false;
  bool paused = false;
  bool ending = false;
  bool in_head = false; ///< Between a status line and the empty line behind its headers.
  bool head_given = false;
  bool any_byte = false;
};

/// One transfer, and the easy handle that does it: both are used again for the next one. It knows what its request may
/// take, how far it has come, and what the bytes mean that libcurl brings; `loop` decides when it starts and ends.
///
/// Belongs to the transport's thread or its deputy.
struct transfer {
  http::request request;
  transfer_state state;
  header_lines lines;
  curl_slist forget{}; ///< A list of one: see `origin::forget`.
  std::unique_ptr<CURL, free_easy> easy;
  char error_text[CURL_ERROR_SIZE] = {};

  /// It may use a connection together with others (HTTP/2), for all that is known.
  bool may_share() const;

  /// The whole request was handed to the system; in doubt true.
  bool request_written() const;

  /// Its body may take a while to send, so that `transfer_state::sent` is known only later.
  bool follows_sending() const;

  /// The last byte of the request goes out at this time.
  void note_sent(steady::time_point time);

  /// How far it has come.
  http::phase phase() const;

  /// When the next of its timeouts falls due; `time_point::max()` if none runs.
  steady::time_point deadline() const;

  /// Takes a line of the answer's head (status line, header, empty line) or a trailer.
  verdict take_line(std::string_view line);

  /// Takes a line of libcurl's notes on its doings: that it took a stream of HTTP/2, or that the server refused it.
  /// Returns the last stream that the server will process, if it has just said so (GOAWAY).
  std::optional<uint32_t> take_note(std::string_view line);

  /// The server processes no stream behind this one.
  void note_last_stream(uint32_t last_stream);

  /// Takes a piece of the body, as far as credit goes; the rest is asked for again after a pause.
  verdict take_data(std::string_view piece);

  /// Leaves in the head how its request went, where that matters.
  void note_route();

  /// Sets what differs from one request to the next, except connection reuse.
  void configure();
};

/// Builds the error for a transfer as it stands.
transfer_error error_of(const transfer& transfer, errc code, std::string message);

/// Builds the error for what libcurl reported.
transfer_error error_of(const transfer& transfer, CURLcode code);

/// Builds the error for a transfer that the server said it has not processed.
transfer_error refused_error(const transfer& transfer);

/// Builds the error for a transfer whose `deadline()` has passed.
transfer_error timeout_error(const transfer& transfer, steady::time_point now);

} // namespace modelforge::http
