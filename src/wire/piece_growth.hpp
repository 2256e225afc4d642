#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace modelforge::wire {

/// Finds out what the pieces of one streamed text are: what is new in each, or in each all so far, as some servers send
/// it. Pieces that each begin with the one before are held back until a further one, or the end, decides: one that does
/// not begin so was new, and so were they all; several that grow are repetitions, if they repeat more than chance does.
/// Pieces that are the first one over and over ("ha", "haha") fit both, and are new as far as nothing else is usual.
class piece_growth {
public:
  /// The next piece is of another object than the one before it; several in one object are always new.
  void begin_object() { is_fresh_ = true; }

  /// Takes the next piece, which is not empty. Returns what of it, and of what was held back, is to be said now; a view
  /// of the piece or of this object.
  std::string_view take(std::string_view piece);

  /// The stream has ended: decides by what there was. Returns what was held back and is to be said.
  std::string_view settle();

  /// Decides by the whole text, which was told by itself. Returns what was held back and is to be said.
  std::string_view decide_by(std::string_view whole);

  /// Pieces of either kind are usual here; else each is taken for new where little speaks against it.
  void expect_either() { expects_either_ = true; }
  bool expects_either() const { return expects_either_; }

  /// Each piece was new. Returns what was held back.
  std::string_view decide_news() { return decide_news({}); }

  /// The latest piece came with the finish reason.
  void note_end() { is_last_ = true; }

  /// Another text of the same stream was found to be so.
  void assume_all();

  bool is_news() const { return kind_ == kind::news; }
  bool is_all() const { return kind_ == kind::all; }

  /// Nothing decides, or pieces grew and then did not.
  bool is_doubtful() const { return kind_ == kind::doubtful; }

private:
  enum class kind : uint8_t { undecided, news, all, doubtful };

  static constexpr std::size_t max_held = 64 << 10; ///< Bytes; nobody waits for more.

  std::string_view take_growing(std::string_view piece);
  std::string_view decide_news(std::string_view piece);
  std::string_view decide_all();

  std::string all_;          ///< The longest piece.
  std::string held_;         ///< What is to be said if each piece was new.
  std::size_t first_ = 0;    ///< Bytes of the first piece, which was said.
  std::size_t repeated_ = 0; ///< Bytes that are no spaces, of all that longer pieces repeated.
  uint32_t pieces_ = 0, growths_ = 0;
  kind kind_ = kind::undecided;
  bool expects_either_ = false, is_last_ = false, is_fresh_ = true;
};

/// Said of an answer that was told so, where it is not usual.
inline constexpr auto growth_warning = "each piece of the stream repeated all before it; that is given once";

} // namespace modelforge::wire
