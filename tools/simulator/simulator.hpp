#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>

/// A stand-in for an LLM provider, on a socket of this machine: it speaks the provider's wire format, answers from a
/// seed and the prompt alone, and reports afterwards what it saw.
namespace modelforge::simulator {

using clock = std::chrono::steady_clock;

constexpr uint64_t max_per_minute = 100'000'000'000; ///< Of a limit: times a day in milliseconds it fits 64 bits.
constexpr uint32_t answer_tokens_bound = 10'000'000;
constexpr uint32_t max_pieces_per_packet = 10'000;
constexpr uint32_t min_send_buffer = 4'096; ///< Bytes, as the next; 0 is allowed, too.
constexpr uint32_t max_send_buffer = 1u << 30;

/// Which tokens of an admitted request count, against the limit and in the statistics, and when.
enum class token_accounting : uint8_t {
  arrival,  ///< The prompt's or `max_tokens`, whichever is more, on arrival: OpenAI.
  produced, ///< The prompt's on arrival, the answer's as they are sent: Anthropic.
  input,    ///< The prompt's on arrival: Gemini.
};

/// How to listen and how to behave.
struct options {
  std::string host = "127.0.0.1"; ///< Address or name to listen on.
  uint16_t port = 0;              ///< 0: the system chooses one.
  uint64_t seed = 1;              ///< Same seed, same model, same messages: same answer.

  /// From the whole request to the first byte of the answer, or with `keep_alive` to a stream's first token. A unary
  /// answer takes `tokens_per_second` on top.
  std::chrono::milliseconds latency{0};
  /// Each prompt's own latency lies within this share of `latency`, above or below; 0 to 1.
  double latency_jitter = 0;
  double tokens_per_second = 0;     ///< Of each answer; 0: all at once.
  uint32_t min_answer_tokens = 20;  ///< Least length of a text answer, unless the request ends it earlier.
  uint32_t max_answer_tokens = 120; ///< At least the former; both up to `answer_tokens_bound`.

  double token_jitter = 0; ///< Times between a stream's tokens differ by up to this share, 0 to 1; their mean does not.
  /// After so long without a byte a stream sends a comment; its head then comes at once. 0: never; at most an hour.
  std::chrono::milliseconds keep_alive{0};
  bool crlf = false;              ///< Lines of streams end in CR LF.
  bool split_packets = false;     ///< Each event goes out in two or more packets, cut inside a character if it has any.
  uint32_t pieces_per_packet = 1; ///< So many tokens are gathered before they are sent, in one chunk.
  uint32_t send_buffer = 0;       ///< SO_SNDBUF of new connections, in bytes; 0: the system's.

  /// When set, a request with another bearer token is answered with 401.
  std::string api_key;

  /// In every interval [t, t + window) at most `requests_per_minute` * window / 60 s requests are admitted, rounded
  /// down but at least 1, and likewise tokens of `tokens_per_minute`. 0: any number; else up to `max_per_minute`.
  uint64_t requests_per_minute = 0;
  uint64_t tokens_per_minute = 0;
  token_accounting accounting = token_accounting::arrival;
  std::chrono::milliseconds window{60'000}; ///< 1 ms to a day.
  bool limit_headers = true;                ///< Report the state of the limits in `x-ratelimit-*`.
  uint32_t slots = 0; ///< Answers generated at once; further requests wait in order. 0: any number.

  /// How long a prefix of a prompt that nobody reads stays cached, where the provider keeps it for minutes; what it
  /// keeps for an hour lasts twelve times as long. 0: nothing is cached; at most a day.
  std::chrono::milliseconds cache_ttl{300'000};
  uint32_t cache_min_tokens = 0; ///< Least length of a cached prefix; 0: the provider's own.
  /// OpenAI's machines, each with a cache of its own: a request with a `prompt_cache_key` comes to that of its key,
  /// others come to each in turn. At least 1.
  uint32_t cache_machines = 1;

  std::map<std::string, double> faults;                 ///< Share of requests by name (README.md); at most 1 in all.
  std::chrono::milliseconds retry_after{1'000};         ///< What the fault "429_retry_after" asks for; at most a day.
  std::chrono::milliseconds fault_from{0};              ///< From when on faults happen, after the start.
  std::optional<std::chrono::milliseconds> fault_until; ///< Until when; unset: for ever.

  /// From a batch job's creation to its end. It expires after `batch_window` if it is not over by then: what was not
  /// run by then never is. Both up to a year.
  std::chrono::milliseconds batch_time{2'000};
  std::chrono::milliseconds batch_window{86'400'000};
  double batch_errors = 0;         ///< Share of a job's items that the provider fails to run.
  double batch_cut = 0;            ///< Share of jobs that are created, but in place of the answer comes a TCP RST.
  double batch_silence = 0;        ///< The same, but no answer comes until the client gives up. Both at most 1 in all.
  uint32_t batch_items = 0;        ///< Most items of a job; 0: as many as the provider takes.
  uint64_t batch_queue_tokens = 0; ///< Most tokens of a model's jobs that are not over (OpenAI); 0: any number.

  std::size_t max_body = 64u << 20;   ///< Bytes; a larger request is answered with 413.
  std::size_t max_header = 64u << 10; ///< Bytes of request line and headers; beyond it 431.
  uint32_t context_tokens = 128'000;  ///< A longer prompt is answered with 400 `context_length_exceeded`.
};

/// Returns what is wrong with `settings`, naming the option or fault; empty when nothing is.
std::string problem_of(const options& settings);

/// Returns the names that `options::faults` may have, with commas between.
std::string known_faults();

/// Adds a fault given as "NAME=SHARE" to `settings`; returns what is wrong with it, naming the fault; empty when
/// nothing is.
std::string add_fault(options& settings, std::string_view text);

/// What the simulator saw since it started or was reset. Its own `/__simulator/` endpoints do not count.
struct stats {
  uint64_t requests = 0;            ///< Whole requests received, refused ones included.
  uint64_t streams = 0;             ///< Of these, answered by a stream.
  uint64_t answered = 0;            ///< Answers handed to the network in full.
  uint64_t aborted = 0;             ///< The peer went away between its whole request and the end of the answer.
  uint64_t aborted_streams = 0;     ///< Of these, those that were to be answered by a stream.
  std::map<int, uint64_t> statuses; ///< How often each HTTP status was chosen, aborted answers included; 0: no answer.

  uint64_t rejected = 0;                  ///< Refused with 429 by a limit; faults are not among them.
  uint64_t rejected_requests = 0;         ///< Of these, by the limit of requests.
  uint64_t rejected_tokens = 0;           ///< Of these, by the limit of tokens.
  std::map<std::string, uint64_t> faults; ///< How often each fault was injected, by name.

  uint64_t concurrency = 0; ///< Requests being answered now.
  uint64_t concurrency_peak = 0;
  uint64_t open_streams = 0; ///< Streams whose first byte was sent, and not their last.
  uint64_t open_streams_peak = 0;
  uint64_t stream_bytes = 0; ///< Of streams, given to the system so far: heads and framing included.
  uint64_t connections = 0;  ///< TCP connections open now.
  uint64_t connections_peak = 0;
  uint64_t connections_accepted = 0;

  uint64_t prompt_tokens = 0; ///< As `usage` reports them; of accepted requests.
  uint64_t cached_tokens = 0; ///< Of these, read from the cache.
  uint64_t cache_written_tokens = 0;
  uint64_t completion_tokens = 0; ///< Likewise, counted when the request is accepted.
  /// Most requests and tokens admitted in any interval [t, t + `options::window`), the tokens by `options::accounting`.
  /// Admitted is a valid request for an answer that neither a limit nor a fault of 429 refused.
  uint64_t window_requests = 0;
  uint64_t window_tokens = 0;
  uint64_t admitted = 0;       ///< Admitted requests.
  uint64_t charged_tokens = 0; ///< Their tokens by `options::accounting`.

  /// From the headers `x-modelforge-request` (32 hex digits) and `x-modelforge-attempt` of requests that carry both.
  uint64_t attempts = 0;
  uint64_t first_attempts = 0;         ///< Of these, with number 1.
  uint64_t retries = 0;                ///< Of these, with a number above 1.
  uint64_t attempt_requests = 0;       ///< Different request ids; an id unseen for 131,072 others counts as new.
  uint64_t attempts_per_request = 0;   ///< Most requests received with the same id.
  uint64_t highest_attempt_number = 0; ///< Largest number a client gave.

  uint64_t batch_jobs = 0;  ///< Created ones, whatever became of them and of the answer.
  uint64_t batch_asked = 0; ///< Items of these.
  uint64_t batch_items = 0; ///< Items of jobs that were run, counted when somebody next looks at their job.
  uint64_t files = 0;       ///< Uploaded ones.

  clock::time_point started;                   ///< The server.
  clock::time_point taken;                     ///< This snapshot.
  std::optional<clock::time_point> last_abort; ///< When the last of `aborted` was noticed.
};

/// Returns `snapshot` as one JSON object; the keys are the names of the fields. In place of points in time it has
/// `uptime_ms` and `last_abort_ms` (null: none yet), both since the start.
std::string to_json(const stats& snapshot);

/// Serves from construction to `stop`, on one thread of its own. All members may be called from any thread.
class server {
public:
  /// Throws std::invalid_argument with `problem_of(settings)`, and std::system_error, its text naming host and port,
  /// when it cannot listen.
  explicit server(options settings);

  /// Stops.
  ~server();

  server(const server&) = delete;
  server& operator=(const server&) = delete;

  /// E.g. "http://127.0.0.1:40321".
  std::string url() const;

  /// The port that it listens on, also where `options::port` left the choice to the system.
  uint16_t port() const;

  /// Returns a consistent copy of the counts so far.
  stats snapshot() const;

  /// Takes over `settings` for what arrives from now on, all but host, port and window; does nothing after `stop`.
  /// Throws std::invalid_argument with `problem_of(settings)`.
  void configure(const options& settings);

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
