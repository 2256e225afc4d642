#include "stream/log.hpp"

#include "base/utf8.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

namespace modelforge::stream {

namespace {

/// Text of a block that is full; what is forgotten is forgotten by the block.
constexpr std::size_t block_bytes = 16u << 10;

/// Of a block: as many marks as make the text's size in memory.
constexpr std::size_t block_marks = 2048;

/// Of a seal.
constexpr std::size_t max_seal_bytes = 1u << 20;

using utf8::cut;

std::string packed(uint32_t number) {
  std::string result(sizeof number, '\0');
  std::memcpy(result.data(), &number, sizeof number);
  return result;
}

uint32_t unpacked(std::string_view bytes) {
  uint32_t result = 0;
  std::memcpy(&result, bytes.data(), sizeof result);
  return result;
}

} // namespace

void log::append(piece_kind kind, std::string_view text) {
  add_parts(kind == piece_kind::text        ? sort::text
            : kind == piece_kind::reasoning ? sort::reasoning
                                            : sort::refusal,
            {}, text);
}

void log::append_seal(std::string_view signature) {
  if (signature.empty() || signature.size() > max_seal_bytes)
    return;
  add(sort::seal, {}, signature);
  blocks_.back().marks.back().tokens = static_cast<uint32_t>(--tokens_);
}

void log::append_call(uint32_t call, std::string_view id, std::string_view name, std::string_view signature) {
  id = cut(id, max_piece_bytes);
  name = cut(name, max_piece_bytes);
  if (signature.size() > max_seal_bytes)
    signature = {};
  auto prefix = packed(call) + packed(static_cast<uint32_t>(id.size())) + packed(static_cast<uint32_t>(name.size()));
  (prefix += id) += name;
  add(sort::call, prefix, signature);
}

void log::append_arguments(uint32_t call, std::string_view fragment) {
  add_parts(sort::arguments, packed(call), fragment);
}

void log::add_parts(sort kind, std::string_view prefix, std::string_view text) {
  while (!text.empty()) {
    auto part = cut(text, max_piece_bytes);
    if (part.empty())
      part = text.substr(0, max_piece_bytes); // no UTF-8 at all
    add(kind, prefix, part);
    text.remove_prefix(part.size());
  }
}

// Pieces lie in blocks of 16 KiB of text with a mark of eight bytes each, so that a stream of many small pieces takes
// little more than its text. A block is never moved once there is another behind it, and is forgotten as a whole.
void log::add(sort kind, std::string_view prefix, std::string_view text) {
  auto size = prefix.size() + text.size();
  if (blocks_.empty() || blocks_.back().marks.size() >= block_marks
      || (!blocks_.back().text.empty() && blocks_.back().text.size() + size > block_bytes)) {
    blocks_.push_back({end_, {}, {}});
    if (blocks_.size() > 1) { // a long answer: no growing by doubling any more
      blocks_.back().text.reserve(std::max(block_bytes, size));
      blocks_.back().marks.reserve(blocks_[blocks_.size() - 2].marks.size());
    }
  }
  auto& last = blocks_.back();
  (last.text += prefix) += text;
  ++tokens_;
  last.marks.push_back({static_cast<uint32_t>(size), static_cast<uint32_t>(kind), static_cast<uint32_t>(tokens_)});
  ++end_.piece;
  end_.bytes += size + piece_overhead;
}

void log::set_tokens(uint64_t tokens) {
  if (tokens <= tokens_)
    return;
  tokens_ = tokens;
  if (!blocks_.empty() && !blocks_.back().marks.empty())
    blocks_.back().marks.back().tokens = static_cast<uint32_t>(tokens);
}

log::position log::begin() const {
  return blocks_.empty() ? end_ : blocks_.front().first;
}

std::size_t log::block_of(uint64_t piece) const {
  auto after = std::upper_bound(blocks_.begin(), blocks_.end(), piece,
                                [](uint64_t wanted, const block& x) { return wanted < x.first.piece; });
  return static_cast<std::size_t>(after - blocks_.begin()) - 1;
}

log::position log::find(uint64_t piece) const {
  if (piece >= end_.piece || piece < begin().piece)
    return end_;
  auto& block = blocks_[block_of(piece)];
  auto result = block.first;
  while (result.piece < piece)
    result.bytes += block.marks[result.piece++ - block.first.piece].size + piece_overhead;
  return result;
}

// `start` counts bytes with the pieces' overhead, texts lie without; the offset in the block's text is the difference.
log::position log::read(position start, std::size_t max_bytes, bool join, stream_chunk& chunk) const {
  chunk.next = start.piece;
  std::size_t taken = 0;
  for (auto index = block_of(start.piece); start.piece < end_.piece; ++index) {
    auto& block = blocks_[index];
    auto i = start.piece - block.first.piece;
    auto offset = static_cast<std::size_t>(start.bytes - block.first.bytes - i * piece_overhead);
    for (; i < block.marks.size(); ++i) {
      auto& m = block.marks[i];
      auto bytes = std::string_view{block.text}.substr(offset, m.size);
      auto joined = join && joins(m, bytes, chunk.pieces);
      auto size = m.size + (joined ? 0 : sizeof(stream_piece));
      if (taken > 0 && taken + size > max_bytes)
        return start;
      copy(m, bytes, joined, chunk.pieces);
      taken += size;
      offset += m.size;
      start.bytes += m.size + piece_overhead;
      chunk.next = ++start.piece;
      chunk.tokens = m.tokens;
    }
  }
  return start;
}

/// Whether a piece may become a part of the last one.
bool log::joins(const mark& m, std::string_view bytes, const std::vector<stream_piece>& pieces) {
  auto kind = static_cast<sort>(m.kind);
  if (pieces.empty() || kind == sort::call || kind == sort::seal)
    return false;
  if (kind == sort::arguments)
    return pieces.back().kind == piece_kind::tool_call && pieces.back().call == unpacked(bytes);
  return pieces.back().kind == static_cast<piece_kind>(m.kind) && pieces.back().signature.empty();
}

// Calls and arguments carry numbers ahead of their bytes (`packed`), which are taken off here.
void log::copy(const mark& m, std::string_view bytes, bool join, std::vector<stream_piece>& pieces) {
  auto kind = static_cast<sort>(m.kind);
  stream_piece piece;
  if (kind == sort::call || kind == sort::arguments) {
    piece.kind = piece_kind::tool_call;
    piece.call = unpacked(bytes);
    bytes.remove_prefix(sizeof(uint32_t));
  } else {
    piece.kind = kind == sort::seal ? piece_kind::reasoning : static_cast<piece_kind>(m.kind);
  }
  if (kind == sort::call) {
    auto id_size = unpacked(bytes);
    auto name_size = unpacked(bytes.substr(sizeof(uint32_t)));
    bytes.remove_prefix(2 * sizeof(uint32_t));
    piece.call_id = bytes.substr(0, id_size);
    piece.call_name = bytes.substr(id_size, name_size);
    bytes.remove_prefix(id_size + name_size);
  }
  if (kind == sort::call || kind == sort::seal)
    piece.signature = std::exchange(bytes, {});
  if (join) {
    pieces.back().text += bytes;
    return;
  }
  piece.text = bytes;
  pieces.push_back(std::move(piece));
}

// A seal belongs to the thinking before it, and closes it: what follows is another part.
void log::collect(completion& answer) const {
  for (auto& block : blocks_) {
    std::string_view left = block.text;
    for (auto& m : block.marks) {
      auto piece = left.substr(0, m.size);
      left.remove_prefix(m.size);
      switch (static_cast<sort>(m.kind)) {
        case sort::text:
          answer.text += piece;
          break;
        case sort::reasoning:
          open_reasoning(answer.reasoning).text += piece;
          break;
        case sort::seal:
          open_reasoning(answer.reasoning).signature = piece;
          break;
        case sort::refusal:
          answer.refusal += piece;
          break;
        case sort::call:
        case sort::arguments:
          break; // the completion has the calls
      }
    }
  }
}

void log::forget(position until, std::size_t keep) {
  auto gone = blocks_.begin();
  while (blocks_.end() - gone > 1 && (gone + 1)->first.piece <= until.piece && end_.bytes - gone->first.bytes > keep)
    ++gone;
  blocks_.erase(blocks_.begin(), gone);
}

void log::clear() {
  *this = {};
}

} // namespace modelforge::stream
