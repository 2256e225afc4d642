#pragma once

#include "tools/simulator/gatekeeper.hpp"
#include "tools/simulator/prompt_cache.hpp"
#include "tools/simulator/simulator.hpp"

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

/// What lies between the HTTP server and the dialects: a request as a dialect sees it, and its answer.
namespace modelforge::simulator {

/// One whole request. Views live until the dialect has returned its reply.
struct exchange {
  const options& settings;
  gatekeeper& gate;
  prompt_cache& cache;
  clock::time_point arrived;           ///< When all of it was read.
  uint64_t number;                     ///< From 1, in order of arrival.
  int64_t created;                     ///< Seconds since 1970.
  std::string_view method = {};        ///< Upper case.
  std::string_view path = {};          ///< Without the query.
  std::string_view query = {};         ///< Without the question mark.
  std::string_view authorization = {}; ///< The header's value, here and below.
  std::string_view api_key = {};       ///< Azure's.
  std::string_view x_api_key = {};
  std::string_view x_goog_api_key = {};
  std::string_view anthropic_version = {};
  std::string_view content_type = {};
  std::string_view host = {};
  std::string_view request_id = {}; ///< `x-modelforge-request`.
  std::string_view attempt = {};    ///< `x-modelforge-attempt`.
  std::string_view body = {};
};

/// How the events of a stream are told apart.
struct stream_form {
  std::string_view event_end = "\n\n";
  std::string_view keep_alive = ": keep-alive\n\n"; ///< Empty: the protocol has nothing of the kind.
  bool is_crlf = false;                             ///< The provider itself ends lines by CR LF.
};

/// The rest of a streamed answer, written out token by token, so that a waiting stream stays small.
class token_stream {
public:
  virtual ~token_stream() = default;

  /// Appends what the next token puts on the wire: its event, together with whatever opens or ends the stream; nothing
  /// while it belongs to something that is sent whole. Returns whether more is to come.
  virtual bool next(std::string& out) = 0;

  /// Completion tokens written so far.
  virtual uint64_t tokens() const = 0;

  /// How many events all of the stream has, its end mark included. Each ends as the form says.
  virtual uint64_t events() const = 0;

  /// Appends an error as an event, and whatever comes after it.
  virtual void fail(std::string& out) const = 0;

  /// How the stream's events are told apart; the same from its beginning to its end.
  virtual stream_form form() const { return {}; }
};

/// An answer. The server adds the framing headers, and waits as the settings say.
struct reply {
  int status = 200; ///< 0: none is sent.
  std::string_view content_type = "application/json";
  std::string headers;                  ///< Further ones, each "name: value\r\n".
  std::string_view timing_header = {};  ///< Name of a header for the milliseconds until the first byte, if any.
  std::string body;                     ///< Unless `stream` is set.
  std::unique_ptr<token_stream> stream; ///< Sent with chunked framing.
  bool is_paced = false;                ///< Generated text: takes latency and time per token. Errors come at once.
  uint64_t jitter_seed = 0;             ///< Decides this prompt's part of `latency_jitter`.
  uint32_t steps = 0;                   ///< Tokens of the longest choice: what `tokens_per_second` counts.
  uint32_t prompt_tokens = 0;           ///< As in `usage`, cached ones included.
  cache_use cached;                     ///< Of these.
  std::vector<kept_prefix> keep;        ///< To be cached once the answer begins.
  uint32_t completion_tokens = 0;       ///< As in `usage`: over all choices.
  decision decided;                     ///< The gatekeeper's, if it was asked.
};

} // namespace modelforge::simulator
