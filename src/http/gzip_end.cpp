#include "http/gzip_end.hpp"

#include <algorithm>

namespace modelforge::http {

namespace {

constexpr uint64_t smallest_gzip = 18; ///< Its head and its end.

/// The value of a digit of a chunk's size, which is hexadecimal; 16 for all else.
constexpr unsigned digit_of(char c) {
  return c >= '0' && c <= '9'   ? static_cast<unsigned>(c - '0')
         : c >= 'a' && c <= 'f' ? static_cast<unsigned>(c - 'a' + 10)
         : c >= 'A' && c <= 'F' ? static_cast<unsigned>(c - 'A' + 10)
                                : 16;
}

} // namespace

void gzip_end::begin(bool is_chunked) {
  *this = {};
  has_begun_ = true;
  is_chunked_ = is_chunked;
}

// Newer versions of libcurl show a chunked body without its chunks: gzip begins with a byte that no chunk's size does.
void gzip_end::take(std::string_view bytes) {
  if (count_ == 0 && part_ == part::size && chunk_ == 0 && bytes.starts_with('\x1F'))
    is_chunked_ = false;
  if (is_chunked_)
    take_chunks(bytes);
  else
    keep(bytes);
}

void gzip_end::keep(std::string_view bytes) {
  count_ += bytes.size();
  for (auto c : bytes.substr(bytes.size() - std::min<std::size_t>(bytes.size(), sizeof last_)))
    last_ = last_ >> 8 | static_cast<uint64_t>(static_cast<unsigned char>(c)) << 56;
}

// Follows the frames of chunked coding (RFC 9112, 7.1), wherever the bytes are cut, to have only what is in the chunks.
// What does not look like it makes the whole odd, and then nothing is said of its end.
void gzip_end::take_chunks(std::string_view bytes) {
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
    } else if (part_ == part::size && digit_of(c) < 16) {
      is_odd_ = chunk_ >> 56 != 0;
      chunk_ = chunk_ << 4 | digit_of(c);
    } else {
      part_ = part::extension;
    }
  }
}

// What is padded with zeros behind its end tells nothing.
bool gzip_end::is_cut(uint64_t decompressed) const {
  if (!has_begun_ || is_odd_ || count_ == 0)
    return false;
  auto size = last_ >> 32;
  return count_ < smallest_gzip || (last_ != 0 && size != (decompressed & UINT32_MAX));
}

} // namespace modelforge::http
