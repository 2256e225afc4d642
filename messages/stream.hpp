#pragma once

#include <modelforge/messages/chat_request.hpp>
#include <modelforge/messages/completion.hpp>
#include <modelforge/messages/error.hpp>

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

/// Streamed answers: what is asked, what a subscriber gets, and how it stands.
///
/// An answer is a sequence of pieces, numbered from 0. The session keeps them and hands them to each subscriber in
/// chunks, in order, no more chunks than it has granted (demand), then exactly one end: `stream_done` or
/// `stream_failed`. Several subscribers may share a stream, late ones included. A stream that failed before anybody got
/// a piece is tried again by itself; after that, never: another attempt would give another answer. docs/streams.md has
/// all of the rules.

namespace modelforge {

/// What a piece of a stream belongs to.
enum class piece_kind : uint8_t { text, reasoning, refusal, tool_call };

template <>
inline constexpr auto enum_names<piece_kind> = std::to_array<std::string_view>({"text", "reasoning", "refusal",
                                                                                "tool_call"});

/// One delta of a streamed answer: as the provider cut it, unless it was longer than a chunk may be.
struct stream_piece {
  piece_kind kind = piece_kind::text;
  std::string text;  ///< UTF-8, whole characters. `tool_call`: a fragment of the arguments, which are JSON when joined.
  uint32_t call = 0; ///< `tool_call`: which of the answer's calls, from 0.
  std::string call_id;   ///< `tool_call`: set in the call's first piece only, as is `call_name`.
  std::string call_name; ///< The tool.
  /// `reasoning`: the seal of the thinking that came since the last one (see `reasoning_part`), in a piece of its own,
  /// whole, whatever its size. `tool_call`: that of the call, in its first piece.
  std::string signature{};

  friend bool operator==(const stream_piece&, const stream_piece&) = default;
};

/// The next pieces of a stream: as many as there were when the subscriber could take them, up to 16 KiB of text.
struct stream_chunk {
  request_id stream;
  uint64_t sequence = 0; ///< Number of its first piece; the stream's first one is 0.
  uint64_t next = 0;     ///< Number of the piece behind its last one: the `sequence` of the chunk that follows.
  /// In order. `next` - `sequence` of them; fewer for a subscriber that has them joined (`slow_policy::coalesce`).
  std::vector<stream_piece> pieces;
  uint64_t tokens = 0; ///< Of the answer up to `next`: one a piece, more where the provider tells more.

  friend bool operator==(const stream_chunk&, const stream_chunk&) = default;
};

/// The stream has ended well, and all of it was handed over.
struct stream_done {
  request_id stream;
  /// Its attempts, usage and finish reason are complete, whatever the subscriber missed.
  /// Its texts are empty unless `stream_request::whole_text` asked for them; but of an answer that was checked to be
  /// JSON (`json_check`) the text is there, without a code fence, should the pieces have had one.
  completion result;
  uint64_t pieces = 0; ///< Of the whole stream.
  /// From the last attempt's dispatch to its first piece.
  std::chrono::nanoseconds first_token{0};

  friend bool operator==(const stream_done&, const stream_done&) = default;
};

/// The stream has failed, or this subscriber was ended. What had arrived was handed over as far as demand allowed.
struct stream_failed {
  request_id stream;
  failure why;
  uint64_t pieces = 0; ///< That had arrived from the provider.
  uint64_t tokens = 0; ///< Of these.

  friend bool operator==(const stream_failed&, const stream_failed&) = default;
};

/// What happens to the others, or to itself, while a subscriber grants no demand. It must not cost the others, or the
/// process, without bound; each policy bounds it in another way.
enum class slow_policy : uint8_t {
  wait,     ///< The stream waits for it, and so does the provider.
  coalesce, ///< The stream goes on; what it missed comes in few large pieces, as long as that stays within `log_limit`.
  drop_subscriber, ///< The stream goes on; beyond 64 KiB behind, this subscriber is ended as `slow_reader`.
};

template <>
inline constexpr auto enum_names<slow_policy> = std::to_array<std::string_view>({"wait", "coalesce",
                                                                                 "drop_subscriber"});

/// How an actor takes part in a stream. Demand is counted in chunks, not bytes: with a demand of 1 a subscriber has at
/// most one chunk in its mailbox, and what comes meanwhile makes the next one larger.
struct subscription {
  slow_policy when_slow = slow_policy::wait;
  uint64_t from = 0;    ///< The first piece it wants; the past is there within `log_limit`.
  uint32_t demand = 16; ///< Chunks it takes before it grants more.

  friend bool operator==(const subscription&, const subscription&) = default;
};

/// What becomes of the provider's answer when nobody listens any more. Tokens that nobody reads are paid for all the
/// same, unless the provider is stopped.
enum class disconnect_policy : uint8_t {
  cancel,    ///< It is cut off at once.
  drain,     ///< It is read to its end, for the exact usage.
  drain_for, ///< It is read for `drain_time`, then cut off.
};

template <>
inline constexpr auto enum_names<disconnect_policy> = std::to_array<std::string_view>({"cancel", "drain", "drain_for"});

/// Asks for an answer as a stream. The provider answers with the stream's session, or an error before anything is sent.
/// What is not set here is as the provider's `[stream]` settings say.
struct stream_request {
  chat_request chat; ///< Its deadline covers the whole stream, waits for slow readers included.
  subscription as;   ///< The first subscriber's.
  std::optional<disconnect_policy> on_disconnect;
  std::optional<std::chrono::nanoseconds> drain_time;  ///< With `drain_for`.
  std::optional<std::chrono::nanoseconds> reader_idle; ///< Ends a subscriber that has something to take but does not
                                                       ///< want it for so long; 0: never.
  std::optional<uint64_t> log_limit; ///< Bytes of the past that are kept for late subscribers and whole texts.
  bool whole_text = false;           ///< The completion at the end repeats the texts.

  friend bool operator==(const stream_request&, const stream_request&) = default;
};

/// How a stream stands. It goes from `waiting` to `open` and back, once for each attempt, and on to the last two.
enum class stream_stage : uint8_t {
  waiting, ///< For its turn, or to be tried again.
  open,    ///< The provider has been asked; it may have begun to answer.
  paused,  ///< The provider is held back, because a subscriber wants no more for now.
  handing, ///< The answer has ended; subscribers have not taken all of it.
  ended,
};

template <>
inline constexpr auto enum_names<stream_stage> = std::to_array<std::string_view>({"waiting", "open", "paused",
                                                                                  "handing", "ended"});

/// What a session answers to `status_atom`.
struct stream_status {
  request_id stream;
  stream_stage stage = stream_stage::waiting;
  uint32_t attempts = 0; ///< Begun.
  uint64_t pieces = 0;   ///< That have arrived.
  uint64_t tokens = 0;
  /// Rises as the past beyond `log_limit` is forgotten.
  uint64_t kept_from = 0; ///< The first piece that a late subscriber could have.
  uint64_t kept_bytes = 0;
  /// Those that have not had their end.
  uint32_t subscribers = 0;

  friend bool operator==(const stream_status&, const stream_status&) = default;
};

/// Returns the visible text of a chunk.
inline std::string text_of(const stream_chunk& x) {
  std::string result;
  for (auto& piece : x.pieces)
    if (piece.kind == piece_kind::text)
      result += piece.text;
  return result;
}

// What CAF sends: the fields in this order, without names. Whoever changes it raises `wire_version` (node_hello.hpp).
template <class Inspector>
bool inspect(Inspector& f, stream_piece& x) {
  return f.object(x).fields(f.field("kind", x.kind), f.field("text", x.text), f.field("call", x.call),
                            f.field("call_id", x.call_id), f.field("call_name", x.call_name),
                            f.field("signature", x.signature));
}

template <class Inspector>
bool inspect(Inspector& f, stream_chunk& x) {
  return f.object(x).fields(f.field("stream", x.stream), f.field("sequence", x.sequence), f.field("next", x.next),
                            f.field("pieces", x.pieces), f.field("tokens", x.tokens));
}

template <class Inspector>
bool inspect(Inspector& f, stream_done& x) {
  return f.object(x).fields(f.field("stream", x.stream), f.field("result", x.result), f.field("pieces", x.pieces),
                            f.field("first_token", x.first_token));
}

template <class Inspector>
bool inspect(Inspector& f, stream_failed& x) {
  return f.object(x).fields(f.field("stream", x.stream), f.field("why", x.why), f.field("pieces", x.pieces),
                            f.field("tokens", x.tokens));
}

template <class Inspector>
bool inspect(Inspector& f, subscription& x) {
  return f.object(x).fields(f.field("when_slow", x.when_slow), f.field("from", x.from), f.field("demand", x.demand));
}

template <class Inspector>
bool inspect(Inspector& f, stream_request& x) {
  return f.object(x).fields(f.field("chat", x.chat), f.field("as", x.as), f.field("on_disconnect", x.on_disconnect),
                            f.field("drain_time", x.drain_time), f.field("reader_idle", x.reader_idle),
                            f.field("log_limit", x.log_limit), f.field("whole_text", x.whole_text));
}

template <class Inspector>
bool inspect(Inspector& f, stream_status& x) {
  return f.object(x).fields(f.field("stream", x.stream), f.field("stage", x.stage), f.field("attempts", x.attempts),
                            f.field("pieces", x.pieces), f.field("tokens", x.tokens), f.field("kept_from", x.kept_from),
                            f.field("kept_bytes", x.kept_bytes), f.field("subscribers", x.subscribers));
}

} // namespace modelforge
