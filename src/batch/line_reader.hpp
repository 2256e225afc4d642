#pragma once

#include "batch/file.hpp"

#include <poll.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <utility>

namespace modelforge::batch {

/// The longest line, or row of a table, that is read.
inline constexpr std::size_t max_line = 16u << 20;

/// Cuts a file into lines, a block at a time. Used by one thread.
class line_reader {
public:
  explicit line_reader(file input) : input_(std::move(input)), buffer_(block, '\0') {}

  enum class result : uint8_t { line, too_long, end, failed };

  /// Reads the next line into `line`, without its end (LF or CRLF). Of one that is too long only the beginning is
  /// held; the rest is skipped. `failed` leaves the reason in errno.
  result next(std::string& line) {
    line.clear();
    bool too_long = false;
    for (;;) {
      if (begin_ == end_ && !fill())
        return failed_ ? result::failed : begun_ ? finish(line, too_long) : result::end;
      begun_ = true;
      auto* start = buffer_.data() + begin_;
      auto* stop = static_cast<const char*>(std::memchr(start, '\n', end_ - begin_));
      auto length = stop != nullptr ? static_cast<std::size_t>(stop - start) : end_ - begin_;
      too_long = too_long || line.size() + length > max_line;
      if (!too_long)
        line.append(start, length);
      begin_ += length + (stop != nullptr);
      if (stop != nullptr)
        return finish(line, too_long);
    }
  }

private:
  static constexpr std::size_t block = 64u << 10;

  result finish(std::string& line, bool too_long) {
    begun_ = false;
    if (line.ends_with('\r'))
      line.pop_back();
    return too_long ? result::too_long : result::line;
  }

  bool fill() {
    for (;;) {
      auto n = ::read(input_.get(), buffer_.data(), buffer_.size());
      if (n >= 0) {
        begin_ = 0;
        end_ = static_cast<std::size_t>(n);
        return n > 0;
      }
      if (!try_again(input_.get(), POLLIN)) {
        failed_ = true;
        return false;
      }
    }
  }

  file input_;
  std::string buffer_;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
  bool begun_ = false; ///< Whether some of the line has been read.
  bool failed_ = false;
};

} // namespace modelforge::batch
