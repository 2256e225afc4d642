#pragma once

#include "stream/log.hpp"
#include "wire/stream.hpp"

#include <modelforge/messages/stream.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <variant>

namespace modelforge::stream {

using time_point = std::chrono::steady_clock::time_point;
using duration = std::chrono::nanoseconds;

/// Times of 0 are never.
struct broadcast_settings {
  request_id id;
  std::size_t window = 64u << 10; ///< Bytes of the body that may be on their way to the slowest reader; at least 1.
  std::size_t chunk_bytes = 16u << 10; ///< Of a chunk, in memory.
  std::size_t log_limit = 1u << 20;    ///< Of the past that is kept.
  duration first_token{0};             ///< From an attempt's beginning to its first piece.
  duration idle{0}; ///< Between events, from the first piece on; does not run while the reader holds the transfer back.
  duration sure_end{std::chrono::milliseconds{100}}; ///< That the body may go on behind a sure end of the answer.
  duration likely_end{std::chrono::seconds{2}};      ///< That it may be silent where the answer seems whole.
  uint64_t min_bytes_per_second = 0;                 ///< Of the body, over `rate_time` in which nothing held it back.
  duration rate_time = std::chrono::seconds{10};
  duration reader_idle{0}; ///< Ends a reader that has something to take and no demand for so long.
  disconnect_policy on_disconnect = disconnect_policy::cancel;
  duration drain_time{0};             ///< With `drain_for`.
  std::optional<time_point> deadline; ///< For readers, once the answer has ended. Until then its owner sees to it.
  bool whole_text = false;
};

/// Hands one streamed answer on to its readers: each gets every piece from where it joined, in order, as far as it has
/// demand, and then exactly one end. Says how much of the body may come, and when it has waited long enough.
///
/// Memory is bounded by `log_limit` and `window`: credit is given only as far as the slowest reader that is waited for
/// has taken what came, and what all have taken is forgotten beyond the limit. While nobody has a piece of an attempt,
/// another may take its place (`rewind`); from then on (`handed_over`) its failure is the stream's. Driven by the
/// session's actor (`actors/stream_session.cpp`).
///
/// A plain class: holds no clock, sends nothing. `now` never goes back. After every call that may have changed
/// something, the owner takes `next` until it is empty, and sees to it that it comes back at `wake_at`.
class broadcast final : public wire::piece_sink {
public:
  using reader_id = uint32_t; ///< Never used twice.

  explicit broadcast(const broadcast_settings& settings) : settings_(settings) {}

  // -- readers ----------------------------------------------------------------------

  /// Lets a reader in, from the piece it names on. Refuses (`invalid_request`) one that begins behind the newest piece,
  /// and (`too_large`) one that begins before what is kept.
  std::variant<reader_id, failure> join(const subscription& wanted, time_point now);

  /// The reader takes so many more chunks.
  void grant(reader_id id, uint64_t chunks, time_point now);

  /// The reader is gone and gets nothing more.
  void leave(reader_id id, time_point now);

  // -- the attempt ------------------------------------------------------------------

  /// An attempt is under way; its body may bring `window` bytes before more credit is given.
  void begin(time_point now);

  /// `bytes` of the body have come, and have been read; they held `events` and the answer has so many `tokens` now.
  void received(std::size_t bytes, std::size_t events, uint64_t tokens, time_point now);

  /// What is known of the answer's end now; behind each `received`.
  void note_end(wire::stream_end seen, time_point now);

  void text(std::string_view piece) override { log_.append(piece_kind::text, piece); }
  void reasoning(std::string_view piece) override { log_.append(piece_kind::reasoning, piece); }
  void refusal(std::string_view piece) override { log_.append(piece_kind::refusal, piece); }
  void seal(std::string_view signature) override { log_.append_seal(signature); }
  void tool_call(uint32_t call, std::string_view id, std::string_view name, std::string_view signature) override {
    log_.append_call(call, id, name, signature);
  }
  void tool_arguments(uint32_t call, std::string_view fragment) override { log_.append_arguments(call, fragment); }

  /// The body has ended, or the attempt was given up: nothing more comes. While nothing is handed over, what it brought
  /// is kept back from now on: until `finish`, or for ever by `rewind`.
  void attempt_ended();

  /// No other attempt will be made: what has come may be handed over.
  void settle() { handed_over_ = true; }

  /// Somebody has a piece of this answer, or begins behind one: another attempt would give him another answer.
  bool handed_over() const { return handed_over_; }

  /// Forgets what an attempt brought; only while nothing is handed over.
  void rewind();

  // -- the end ----------------------------------------------------------------------

  /// The answer has ended: readers get what is left of it, then this. The first one counts.
  void finish(std::variant<completion, failure> outcome);

  /// Every reader is ended at once.
  void cut(const failure& problem);

  // -- what to do -------------------------------------------------------------------

  struct deliver {
    reader_id to = 0;
    stream_chunk chunk;
  };

  /// The reader's end.
  struct conclude {
    reader_id to = 0;
    std::variant<stream_done, stream_failed> how;
  };

  /// The transfer may bring so many more bytes.
  struct credit {
    std::size_t bytes = 0;
  };

  /// The attempt has taken too long: it is over, and has failed so. Told once.
  struct give_up {
    failure why;
  };

  /// The answer's end has come, or nothing behind what may be its end: the attempt is over, whatever its body still
  /// brings. Told once.
  struct enough {
    bool is_sure = false;
  };

  /// Nobody listens: cut the answer off. Told once.
  struct abandon {};

  using step = std::variant<deliver, conclude, credit, give_up, enough, abandon>;

  std::optional<step> next(time_point now);

  /// When `next` has something to tell, if nothing happens until then; empty: never.
  std::optional<time_point> wake_at() const;

  /// The answer has ended and no reader is left.
  bool over() const { return end_ && readers_.empty(); }

  // -- status -----------------------------------------------------------------------

  stream_status status() const;
  const log& pieces() const { return log_; }
  std::size_t readers() const { return readers_.size(); }
  std::optional<duration> first_token() const { return attempt_.first_token; }

private:
  struct reader {
    slow_policy when_slow = slow_policy::wait;
    log::position position;
    uint64_t past = 0; ///< End of what had come when it joined: to be behind that is not to be slow.
    uint64_t demand = 0;
    std::optional<time_point> stuck_since; ///< It has something to take and does not want it.
    std::optional<failure> ended_by;
  };

  /// The attempt under way, or the last one.
  struct attempt {
    bool live = false;
    uint32_t number = 0;   ///< From 1; 0: none has begun.
    uint64_t granted = 0;  ///< Bytes of the body that it may bring,
    uint64_t received = 0; ///< and has brought.
    bool paused = false;   ///< A reader holds the transfer back: there was no more credit to give.
    bool any_event = false;
    time_point begun{};
    wire::stream_end end = wire::stream_end::open;
    time_point end_seen{};               ///< Of a sure end, when it came; else when the body brought something last.
    time_point last_event{};             ///< Or when the transfer was let go on.
    time_point rate_from{};              ///< Since then nothing has held it back,
    uint64_t rate_bytes = 0;             ///< and so much has come.
    std::optional<duration> first_token; ///< From its beginning to the first piece.
  };

  using reader_map = std::map<reader_id, reader>;

  uint64_t behind(const reader& reader) const { return log_.end().bytes - reader.position.bytes; }
  bool held_back() const { return attempt_.live && attempt_.granted <= attempt_.received; }

  /// Between attempts: what a failed one brought may have to be forgotten yet, so nobody gets it.
  bool undecided() const { return !attempt_.live && !end_ && !handed_over_; }

  void note(reader& reader, time_point now);
  std::optional<step> serve(reader_map::iterator i, time_point now);
  std::optional<failure> too_slow(const reader& reader, time_point now) const;
  std::optional<failure> too_late(const reader& reader, time_point now) const;
  step end_of(reader_map::iterator i, std::variant<stream_done, stream_failed> outcome);
  std::variant<stream_done, stream_failed> ending() const;
  stream_failed failed(const failure& problem) const;
  std::optional<step> give_credit(time_point now);
  std::optional<step> overdue(time_point now);
  std::optional<time_point> attempt_due() const;
  std::optional<time_point> end_due() const;
  failure timeout(time_point now) const;
  void nobody_left(time_point now);
  void trim();

  broadcast_settings settings_;
  log log_;
  reader_map readers_;
  reader_id last_reader_ = 0;
  reader_id serve_from_ = 0; ///< Readers before it have been served in this round of `next`.
  bool handed_over_ = false;
  bool abandoned_ = false;
  std::optional<std::variant<completion, failure>> end_;
  std::optional<time_point> drain_until_;
  attempt attempt_;
};

} // namespace modelforge::stream
