#pragma once

#include <modelforge/messages/stream.hpp>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace modelforge::stream {

/// The pieces of one answer, numbered from 0, in about the memory of their text: readers copy out what they need, and
/// the oldest can be forgotten. A position in it stays good while more is appended; what was forgotten cannot be read.
/// Part of `broadcast`; not thread-safe.
class log {
public:
  /// Between two pieces.
  struct position {
    uint64_t piece = 0; ///< Number of the piece behind it.
    uint64_t bytes = 0; ///< What all pieces before it take.

    friend bool operator==(const position&, const position&) = default;
  };

  /// What a piece takes beside its text.
  static constexpr std::size_t piece_overhead = 8;

  /// A longer piece is cut, between characters, into several.
  static constexpr std::size_t max_piece_bytes = 16u << 10;

  /// Appends to the text, the reasoning or the refusal. Each piece counts as one token. Empty pieces are none.
  void append(piece_kind kind, std::string_view text);

  /// Appends the seal of the reasoning before it, as a piece of its own, whole, that is not a token. At most 1 MiB: a
  /// longer one is left out, since a part of it is worth nothing.
  void append_seal(std::string_view signature);

  /// Appends the beginning of a tool call: id and name are cut at `max_piece_bytes`, which none comes near; the seal is
  /// treated as in `append_seal`.
  void append_call(uint32_t call, std::string_view id, std::string_view name, std::string_view signature = {});

  /// Appends to the arguments of a tool call.
  void append_arguments(uint32_t call, std::string_view fragment);

  /// The answer has so many tokens up to here; only ever more than the pieces tell.
  void set_tokens(uint64_t tokens);

  position begin() const;
  position end() const { return end_; }
  uint64_t tokens() const { return tokens_; }

  /// Where a piece begins that is kept; `end()` for the next one to come.
  position find(uint64_t piece) const;

  /// Copies pieces from `start` on to the chunk's `pieces`, as many as take `max_bytes` of memory (text and
  /// `stream_piece` itself) but at least one, and sets its `next` and `tokens`. With `join` neighbours of one kind
  /// become one piece. Returns where it stopped.
  position read(position start, std::size_t max_bytes, bool join, stream_chunk& chunk) const;

  /// Appends the visible text, the reasoning and the refusal of all that is kept.
  void collect(completion& answer) const;

  /// Forgets what is before `until`, in large steps, as long as more than `keep` bytes are left.
  void forget(position until, std::size_t keep);

  /// Forgets everything and begins again at 0.
  void clear();

  /// What is kept takes so many bytes.
  std::size_t bytes() const { return end_.bytes - begin().bytes; }

private:
  enum class sort : uint8_t { text, reasoning, refusal, call, arguments, seal };

  struct mark {
    uint32_t size : 24;
    uint32_t kind : 8;
    uint32_t tokens; ///< Of the answer, up to the piece's end.
  };

  struct block {
    position first;
    std::string text;
    std::vector<mark> marks;
  };

  void add(sort kind, std::string_view prefix, std::string_view text);
  void add_parts(sort kind, std::string_view prefix, std::string_view text);
  std::size_t block_of(uint64_t piece) const;
  static bool joins(const mark& m, std::string_view bytes, const std::vector<stream_piece>& pieces);
  static void copy(const mark& m, std::string_view bytes, bool join, std::vector<stream_piece>& pieces);

  std::vector<block> blocks_;
  position end_;
  uint64_t tokens_ = 0;
};

} // namespace modelforge::stream
