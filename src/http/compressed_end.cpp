#include "http/compressed_end.hpp"

#include "base/ascii.hpp"
#include "base/hex.hpp"

#include <algorithm>

namespace modelforge::http {

namespace {

constexpr uint64_t smallest_gzip = 18; ///< Its head and its end.
constexpr uint64_t smallest_zlib = 6;

/// Adler-32, RFC 1950.
uint32_t adler_of(uint32_t before, std::string_view bytes) {
  constexpr uint32_t base = 65521;
  constexpr std::size_t run = 5552; // so many bytes do not overflow
  uint32_t low = before & 0xFFFF, high = before >> 16;
  while (!bytes.empty()) {
    auto piece = bytes.substr(0, run);
    bytes.remove_prefix(piece.size());
    for (auto c : piece)
      high += low += static_cast<unsigned char>(c);
    low %= base;
    high %= base;
  }
  return high << 16 | low;
}

constexpr uint32_t swapped(uint32_t x) {
  return x << 24 | (x & 0xFF00) << 8 | (x >> 8 & 0xFF00) | x >> 24;
}

} // namespace

// -- zstd, RFC 8878 -----------------------------------------------------------------------

void zstd_frames::take(std::string_view bytes) {
  while (!bytes.empty() && !is_odd_) {
    if (skip_ > 0) {
      auto size = std::min<uint64_t>(skip_, bytes.size());
      skip_ -= size;
      bytes.remove_prefix(static_cast<std::size_t>(size));
      if (skip_ == 0)
        end_block();
      continue;
    }
    take_byte(bytes.front());
    bytes.remove_prefix(1);
  }
}

/// Keeps a byte; true once there are as many as are wanted.
bool zstd_frames::keep(char c, std::size_t wanted) {
  bytes_[kept_++] = static_cast<unsigned char>(c);
  return kept_ == wanted;
}

void zstd_frames::go(place to) {
  at_ = to;
  kept_ = 0;
}

void zstd_frames::take_byte(char c) {
  auto number = [this] { return uint32_t{bytes_[0]} | bytes_[1] << 8 | bytes_[2] << 16 | uint32_t{bytes_[3]} << 24; };
  switch (at_) {
    case place::magic:
      if (!keep(c, 4))
        return;
      is_odd_ = number() != 0xFD2FB528 && (number() & 0xFFFFFFF0) != 0x184D2A50;
      return go(number() == 0xFD2FB528 ? place::descriptor : place::skipped_size);
    case place::skipped_size:
      if (!keep(c, 4))
        return;
      skip_ = number();
      is_skipped_frame_ = skip_ > 0;
      return go(is_skipped_frame_ ? place::content : place::magic);
    case place::descriptor: {
      auto bits = static_cast<unsigned char>(c);
      auto is_single = (bits >> 5 & 1) != 0;
      constexpr unsigned dictionary[] = {0, 1, 2, 4}, size[] = {0, 2, 4, 8};
      has_checksum_ = (bits >> 2 & 1) != 0;
      skip_ = (is_single ? 0u : 1u) + dictionary[bits & 3] + (bits >> 6 == 0 && is_single ? 1u : size[bits >> 6]);
      return go(place::header); // at least one byte: either a window or a size
    }
    case place::block: {
      if (!keep(c, 3))
        return;
      bytes_[3] = 0;
      auto head = number();
      is_last_ = (head & 1) != 0;
      is_odd_ = (head >> 1 & 3) == 3;
      skip_ = (head >> 1 & 3) == 1 ? 1 : head >> 3; // one byte over and over
      go(place::content);
      return skip_ == 0 ? end_block() : void();
    }
    default:
      is_odd_ = true;
  }
}

/// What was skipped has come to its end.
void zstd_frames::end_block() {
  if (at_ == place::header)
    return go(place::block);
  if (at_ == place::checksum || is_skipped_frame_) {
    is_skipped_frame_ = false;
    return go(place::magic);
  }
  if (!is_last_)
    return go(place::block);
  skip_ = has_checksum_ ? 4 : 0;
  go(has_checksum_ ? place::checksum : place::magic);
}

// -- all ----------------------------------------------------------------------------------

void compressed_end::begin(std::string_view coding, bool is_chunked) {
  *this = {};
  format_ = ascii::iequals(coding, "gzip") || ascii::iequals(coding, "x-gzip") ? format::gzip
            : ascii::iequals(coding, "deflate")                                ? format::zlib
            : ascii::iequals(coding, "zstd")                                   ? format::zstd
                                                                               : format::unwatched;
  is_chunked_ = is_chunked;
}

// Newer versions of libcurl show a chunked body without its chunks: no format begins with what a chunk's size does, but
// for windows of zlib that nobody uses.
void compressed_end::take(std::string_view bytes) {
  if (count_ == 0 && part_ == part::size && chunk_ == 0 && !bytes.empty() && !hex::value_of(bytes.front()))
    is_chunked_ = false;
  if (is_chunked_)
    take_chunks(bytes);
  else
    keep(bytes);
}

void compressed_end::take_decompressed(std::string_view bytes) {
  decompressed_ += bytes.size();
  if (format_ == format::zlib)
    adler_ = adler_of(adler_, bytes);
}

// Raw deflate, which some servers send, has no frame, and so no end that could be seen.
void compressed_end::keep(std::string_view bytes) {
  if (format_ == format::zstd)
    frames_.take(bytes);
  for (auto c : bytes) {
    last_ = last_ >> 8 | static_cast<uint64_t>(static_cast<unsigned char>(c)) << 56;
    ++count_;
    if (format_ == format::gzip && last_ >> 40 == 0x088B1F && count_ > smallest_gzip)
      note_member();
    if (format_ == format::zlib && count_ == 2)
      is_odd_ = (last_ >> 48 & 0x0F) != 8 || ((last_ >> 48 & 0xFF) << 8 | last_ >> 56) % 31 != 0;
  }
}

/// A member of gzip seems to begin: in front of it stands the size of the one before.
void compressed_end::note_member() {
  if (size_count_ < max_members)
    sizes_[size_count_++] = static_cast<uint32_t>(last_ >> 8);
}

// Follows the frames of chunked coding (RFC 9112, 7.1), wherever the bytes are cut, to have only what is in the chunks.
// What does not look like it makes the whole odd, and then nothing is said of its end.
void compressed_end::take_chunks(std::string_view bytes) {
  while (!bytes.empty() && !is_odd_) {
    if (part_ == part::data) {
      auto piece = bytes.substr(0, chunk_);
      keep(piece);
      chunk_ -= piece.size();
      bytes.remove_prefix(piece.size());
      part_ = chunk_ == 0 ? part::data_end : part::data;
      continue;
    }
    auto c = bytes.front();
    bytes.remove_prefix(1);
    if (part_ == part::trailer)
      return;
    if (part_ == part::data_end) {
      is_odd_ = c != '\r' && c != '\n';
      part_ = c == '\n' ? part::size : part::data_end;
    } else if (c == '\n') {
      part_ = chunk_ == 0 ? part::trailer : part::data;
    } else if (auto digit = hex::value_of(c); part_ == part::size && digit) {
      is_odd_ = chunk_ >> 56 != 0;
      chunk_ = chunk_ << 4 | *digit;
    } else {
      part_ = part::extension;
    }
  }
}

// What is padded with zeros behind its end tells nothing.
bool compressed_end::is_cut() const {
  if (is_odd_ || count_ == 0)
    return false;
  auto end = static_cast<uint32_t>(last_ >> 32);
  switch (format_) {
    case format::gzip:
      return count_ < smallest_gzip || (last_ != 0 && end != static_cast<uint32_t>(decompressed_));
    case format::zlib:
      return count_ < smallest_zlib || (last_ != 0 && swapped(end) != adler_);
    case format::zstd:
      return !frames_.is_odd() && !frames_.is_at_end();
    default:
      return false;
  }
}

// That a size stands there by chance, in front of what looks like a beginning, is as good as impossible.
bool compressed_end::has_more_members() const {
  auto* end = sizes_.data() + size_count_;
  return std::find(sizes_.data(), end, static_cast<uint32_t>(decompressed_)) != end;
}

} // namespace modelforge::http
