#pragma once

#include <modelforge/messages/chat_request.hpp>
#include <modelforge/messages/error.hpp>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <variant>

namespace modelforge::batch {

/// One line of a batch's input.
struct item {
  uint64_t index = 0;    ///< From 0, without gaps: blank lines are no items.
  uint64_t line = 0;     ///< In the file, from 1.
  std::string custom_id; ///< As given; "line-N" where the line has none, or none that can be read.
  std::variant<chat_request, failure> request; ///< A failure: this line cannot be read; the rest can.
  uint32_t sum = 0;                            ///< Of the line, to tell it from others; 0: it is too long.
};

/// Where a batch's items come from. Used by one thread.
class source {
public:
  virtual ~source() = default;

  /// Returns the next item, empty at the end, or why the input cannot be read any further (`io_failed`).
  virtual std::variant<std::optional<item>, failure> next() = 0;
};

/// Opens an input file; "-" is standard input. Reads it line by line as items are asked for: memory grows with the
/// number of lines by a hash of each custom_id (11 to 22 bytes), not with the file's size. Forms, told apart by
/// the first line that is not blank (reading it may block, where the input is a pipe): JSON lines when it starts with
/// `{`, each either an OpenAI batch line (`custom_id`, `body`; `method` and `url`, where given, must be POST and
/// /v1/chat/completions) or a short one (`id`, `prompt`, optionally `system`, `model`, `max_tokens`, `temperature`);
/// otherwise plain text, one prompt a line. A first line that starts with `[` is taken for a JSON array, which would
/// have to be held as a whole, and is refused at once (`invalid_request`), as is a file in UTF-16 or UTF-32. Ids may be
/// texts or whole numbers.
///
/// A line that is no valid JSON, lacks a field, has an unknown one, is longer than 16 MiB, is not UTF-8, repeats a
/// `custom_id`, or is a JSON line among plain text becomes an item with a failure that names FILE:LINE. A missing,
/// unreadable or empty file, or a folder, is a failure at once.
std::variant<std::unique_ptr<source>, failure> open_source(const std::string& path);

} // namespace modelforge::batch
