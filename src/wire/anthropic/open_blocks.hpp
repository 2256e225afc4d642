#pragma once

#include "wire/anthropic/event.hpp"
#include "wire/call_list.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace modelforge::wire::anthropic {

/// A part of an answer's content that has begun and not ended.
struct open_block {
  std::optional<int64_t> index;    ///< Nothing: the server does not count.
  std::optional<std::size_t> call; ///< Its place, where it is one.
  uint64_t text_from = 0;          ///< Where in the answer's text its own begins, in bytes.
  bool is_left_out = false;
  bool is_fresh = true; ///< Nothing came behind its beginning.
};

/// The parts of an answer's content that are open, and which of them an event is about.
///
/// As published, `index` tells it. Some servers do not count, or count otherwise in each event; then only what can be
/// meant for but one part has one. Pointers are valid until a part begins or ends.
class open_blocks {
public:
  /// `calls`: those of the answer, among which parts that are calls have their places.
  explicit open_blocks(const call_list& calls) : calls_(calls) {}

  const std::vector<open_block>& all() const { return open_; }

  /// Begins a part. Only calls may be open side by side, so all others end here.
  open_block& begin(std::optional<int64_t> index, uint64_t text_from);

  void end(open_block& block);
  void end_all() { open_.clear(); }

  /// The latest part that began, while it is open.
  open_block* latest() { return &open_.back(); }

  /// The part of that index; null where none is open.
  open_block* find(std::optional<int64_t> index);

  /// The part that ends here: without an index, the only one. Null: none, or any of several.
  open_block* of_end(std::optional<int64_t> index);

  /// The one part that takes more arguments of a call, of our tools or of the provider's own; null: none, or any of
  /// several.
  open_block* of_arguments();

  /// Whether a call that begins again is the one of that part.
  bool is_again(const open_block* block, const content_block& content) const;

  /// Whether content told at the end of a part is that part's; `block` may be null.
  bool is_of(const open_block* block, const content_block& content) const;

  /// Whether nothing of such content was told before.
  bool is_new(const content_block& content, std::optional<int64_t> index) const;

private:
  const call_list& calls_;
  std::vector<open_block> open_;
  std::optional<int64_t> begun_; ///< The highest index of a part.
};

} // namespace modelforge::wire::anthropic
