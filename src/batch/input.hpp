#pragma once

#include "batch/feed.hpp"
#include "batch/reader.hpp"

#include <modelforge/messages/error.hpp>

#include <sys/types.h>

#include <ctime>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <variant>

namespace modelforge::batch {

/// Whether a read of a path can be relied on to return at once, if there is a file at all.
bool is_regular_file(const std::string& path);

/// A batch's input, item by item: a file, as often as it is needed, or what may keep its reader waiting (standard
/// input, a pipe), once. Used by one thread.
class input {
public:
  /// Opens a file at once. What is no file is opened when it is started, and what is wrong with it is its first entry.
  static std::variant<input, failure> open(const std::string& path, input_form form = {});

  /// Whether it can be read again.
  bool is_file() const { return source_ != nullptr; }

  /// To be called once, ahead of `next`. `on_ready`: see `feed`; not called for a file.
  void start(std::function<void()> on_ready);

  /// Returns what `source::next` would, or nothing if that would have to wait for `on_ready`.
  std::optional<feed::entry> next();

  /// Begins again with the first item; refused where the file has changed since it was opened.
  std::optional<failure> rewind();

  /// Reads no more: from now on `on_ready` is not called.
  void close() { feed_.reset(); }

private:
  /// Tells one content of a file from another.
  struct fingerprint {
    dev_t device = 0;
    ino_t inode = 0;
    off_t size = 0;
    time_t seconds = 0;
    long nanoseconds = 0;

    friend bool operator==(const fingerprint&, const fingerprint&) = default;
  };

  input(std::string path, input_form form) : path_(std::move(path)), form_(std::move(form)) {}

  static fingerprint fingerprint_of(const std::string& path);

  std::string path_;
  input_form form_;
  fingerprint opened_; ///< Ahead of the first reading.
  std::unique_ptr<source> source_;
  std::unique_ptr<feed> feed_; ///< For what is no file.
};

} // namespace modelforge::batch
