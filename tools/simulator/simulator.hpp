#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <stop_token>
#include <string>

/// A stand-in for an LLM provider, on a socket of this machine: it speaks the provider's wire format, answers from a
/// seed and the prompt alone, and tells afterwards what it saw.
namespace modelforge::simulator {

/// How to listen and how to behave.
struct options {
  std::string host = "127.0.0.1"; ///< Address or name to listen on.
  uint16_t port = 0;              ///< 0: the system chooses one.
  uint64_t seed = 1;              ///< Same seed, same model, same messages: same answer.

  /// From the whole request to the first byte of the answer. A unary answer takes `tokens_per_second` on top.
  std::chrono::milliseconds latency{0};
  /// Each prompt's own latency lies within this share of `latency`, above or below; 0 to 1.
  double latency_jitter = 0;
  double tokens_per_second = 0;    ///< Of each answer; 0: all at once.
  uint32_t min_answer_tokens = 20; ///< Least length of a text answer, unless the request ends it earlier.
  uint32_t max_answer_tokens = 120;

  /// When set, a request with another bearer token is answered with 401.
  std::string api_key;
  /// Length of the window of `stats::window_requests` and `stats::window_tokens`.
  std::chrono::milliseconds window{60'000};

  std::size_t max_body = 64u << 20;   ///< Bytes; a larger request is answered with 413.
  std::size_t max_header = 64u << 10; ///< Bytes of request line and headers; beyond it 431.
  uint32_t context_tokens = 128'000;  ///< A longer prompt is answered with 400 `context_length_exceeded`.
};

/// What the simulator saw since it started or was reset. Its own `/__simulator/` endpoints do not count.
struct stats {
  uint64_t requests = 0;            ///< Whole requests received, refused ones included.
  uint64_t streams = 0;             ///< Of these, answered by a stream.
  uint64_t answered = 0;            ///< Answers handed to the network in full.
  uint64_t aborted = 0;             ///< The peer went away between its whole request and the end of the answer.
  std::map<int, uint64_t> statuses; ///< How often each HTTP status was chosen, aborted answers included.

  uint64_t concurrency = 0; ///< Requests being answered now.
  uint64_t concurrency_peak = 0;
  uint64_t open_streams = 0; ///< Streams whose first byte was sent, and not their last.
  uint64_t open_streams_peak = 0;
  uint64_t connections = 0; ///< TCP connections open now.
  uint64_t connections_peak = 0;
  uint64_t connections_accepted = 0;

  uint64_t prompt_tokens = 0;     ///< As `usage` tells them; of accepted requests.
  uint64_t completion_tokens = 0; ///< Likewise, counted when the request is accepted.
  uint64_t window_requests = 0;   ///< Most requests in any interval of length `options::window`, by arrival.
  uint64_t window_tokens = 0;     ///< Most prompt and completion tokens in any such interval, by the request's arrival.

  /// From the headers `x-modelforge-request` (32 hex digits) and `x-modelforge-attempt` of requests that carry both.
  uint64_t attempts = 0;
  uint64_t attempt_requests = 0;       ///< Different request ids; an id unseen for 131,072 others counts as new.
  uint64_t attempts_per_request = 0;   ///< Most requests received with the same id.
  uint64_t highest_attempt_number = 0; ///< Largest number a client gave.
};

/// Returns `x` as one JSON object; the keys are the names of the fields.
std::string to_json(const stats& x);

/// Serves from construction to `stop`, on one thread of its own. All members may be called from any thread.
class server {
public:
  /// Throws std::system_error, its text naming host and port, when it cannot listen.
  explicit server(options settings);

  /// Stops.
  ~server();

  server(const server&) = delete;
  server& operator=(const server&) = delete;

  /// E.g. "http://127.0.0.1:40321".
  std::string url() const;

  uint16_t port() const;

  stats snapshot() const;

  /// Clears the counts; what is open now stays counted, and the peaks begin from it.
  void reset();

  /// Closes the port and every connection, unfinished answers too, and returns once all are gone. May be repeated.
  void stop();

private:
  class state;
  std::unique_ptr<state> state_;
};

/// What `modelforge simulate` does: prints "listening URL" on standard output, serves until SIGINT, SIGTERM or `stop`,
/// prints a summary on standard error and returns 0. Raises the process's soft limit of open files to its hard one.
/// Throws as `server` does.
int run(const options& settings, std::stop_token stop = {});

} // namespace modelforge::simulator
