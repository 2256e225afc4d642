#include "stream/log.hpp"

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
constexpr std::size_t most_seal_bytes = 1u << 20;

/// The longest beginning of at most `most` bytes that cuts no character.
std::string_view cut(std::string_view text, std::size_t most) {
  if (text.size() <= most)
    return text;
  while (most > 0 && (static_cast<unsigned char>(text[most]) & 0xC0) == 0x80)
    --most;
  return text.substr(0, most);
}

std::string packed(uint32_t x) {
  std::string result(sizeof x, '\0');
  std::memcpy(result.data(), &x, sizeof x);
  return result;
}

uint32_t unpacked(std::string_view x) {
  uint32_t result = 0;
  std::memcpy(&result, x.data(), sizeof result);
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
  if (signature.empty() || signature.size() > most_seal_bytes)
    return;
  add(sort::seal, {}, signature);
  blocks_.back().marks.back().tokens = static_cast<uint32_t>(--tokens_);
}

void log::append_call(uint32_t call, std::string_view id, std::string_view name, std::string_view signature) {
  id = cut(id, most_piece_bytes);
  name = cut(name, most_piece_bytes);
  if (signature.size() > most_seal_bytes)
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
    auto part = cut(text, most_piece_bytes);
    if (part.empty())
      part = text.substr(0, most_piece_bytes); // no UTF-8 at all
    add(kind, prefix, part);
    text.remove_prefix(part.size());
  }
}

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
  auto& to = blocks_.back();
  (to.text += prefix) += text;
  ++tokens_;
  to.marks.push_back({static_cast<uint32_t>(size), static_cast<uint32_t>(kind), static_cast<uint32_t>(tokens_)});
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
  auto& in = blocks_[block_of(piece)];
  auto result = in.first;
  while (result.piece < piece)
    result.bytes += in.marks[result.piece++ - in.first.piece].size + piece_overhead;
  return result;
}

log::position log::read(position from, std::size_t most, bool join, stream_chunk& to) const {
  to.next = from.piece;
  std::size_t taken = 0;
  for (auto b = block_of(from.piece); from.piece < end_.piece; ++b) {
    auto& in = blocks_[b];
    auto i = from.piece - in.first.piece;
    auto at = static_cast<std::size_t>(from.bytes - in.first.bytes - i * piece_overhead);
    for (; i < in.marks.size(); ++i) {
      auto& m = in.marks[i];
      auto bytes = std::string_view{in.text}.substr(at, m.size);
      auto joined = join && joins(m, bytes, to.pieces);
      auto size = m.size + (joined ? 0 : sizeof(stream_piece));
      if (taken > 0 && taken + size > most)
        return from;
      copy(m, bytes, joined, to.pieces);
      taken += size;
      at += m.size;
      from.bytes += m.size + piece_overhead;
      to.next = ++from.piece;
      to.tokens = m.tokens;
    }
  }
  return from;
}

/// Whether a piece may become a part of the last one.
bool log::joins(const mark& m, std::string_view bytes, const std::vector<stream_piece>& to) {
  auto kind = static_cast<sort>(m.kind);
  if (to.empty() || kind == sort::call || kind == sort::seal)
    return false;
  if (kind == sort::arguments)
    return to.back().kind == piece_kind::tool_call && to.back().call == unpacked(bytes);
  return to.back().kind == static_cast<piece_kind>(m.kind) && to.back().signature.empty();
}

void log::copy(const mark& m, std::string_view bytes, bool join, std::vector<stream_piece>& to) {
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
    to.back().text += bytes;
    return;
  }
  piece.text = bytes;
  to.push_back(std::move(piece));
}

void log::collect(completion& to) const {
  for (auto& in : blocks_) {
    std::string_view left = in.text;
    for (auto& m : in.marks) {
      auto piece = left.substr(0, m.size);
      left.remove_prefix(m.size);
      switch (static_cast<sort>(m.kind)) {
        case sort::text:
          to.text += piece;
          break;
        case sort::reasoning:
          open_reasoning(to.reasoning).text += piece;
          break;
        case sort::seal:
          open_reasoning(to.reasoning).signature = piece;
          break;
        case sort::refusal:
          to.refusal += piece;
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
