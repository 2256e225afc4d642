#pragma once

#include <modelforge/messages/batch_options.hpp>
#include <modelforge/messages/chat_request.hpp>
#include <modelforge/messages/embedding.hpp>
#include <modelforge/messages/error.hpp>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <variant>

namespace modelforge::batch {

/// What a line is written for, and so the form of its answer.
enum class item_endpoint : uint8_t { chat, responses, embeddings };

/// One line of a batch's input.
struct item {
  uint64_t index = 0;    ///< From 0, without gaps: blank lines are no items.
  uint64_t line = 0;     ///< In the file, from 1.
  std::string custom_id; ///< As given; "line-N" where the line has none, or none that can be read.
  std::variant<chat_request, failure> request; ///< A failure: this line cannot be read; the rest can.
  uint32_t sum = 0;                            ///< Of the line, to tell it from others; 0: it is too long.
  item_endpoint endpoint = item_endpoint::chat;
  /// With `embeddings`, what is asked for; then `request` has its model alone. Shared, since a full queue gives it
  /// back.
  std::shared_ptr<const embedding_request> vectors{};
};

/// How a batch's input is to be read (`batch_options`).
struct input_form {
  batch_format format = batch_format::automatic;
  std::string prompt;
};

inline input_form form_of(const batch_options& options) {
  return {options.format, options.prompt};
}

/// What an input is, where nobody says: with a prompt, what its name says; else lines. A table is not taken for lines
/// unasked, since its header would be sent as a prompt, and a folder not for anything: these are refused.
std::variant<batch_format, failure> find_format(const std::string& path, const input_form& form);

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
/// `{`, each either an OpenAI batch line (`custom_id`, `body`; `method`, where given, must be POST, and `url`
/// /v1/chat/completions, /v1/responses or /v1/embeddings) or a short one (`id`, `prompt`, optionally `system`, `model`,
/// `max_tokens`, `temperature`); otherwise plain text, one prompt a line. A first line that starts with `[` is taken
/// for a JSON array, which would have to be held as a whole, and is refused at once (`invalid_request`), as is a file
/// in UTF-16 or UTF-32. Ids may be texts or whole numbers.
///
/// A line that is no valid JSON, lacks a field, has an unknown one, is longer than 16 MiB, is not UTF-8, repeats a
/// `custom_id`, or is a JSON line among plain text becomes an item with a failure that names FILE:LINE. A missing,
/// unreadable or empty file, or a folder, is a failure at once.
///
/// Tables and folders (`form`) are read as `open_table` and `open_folder` say. A name that ends in .csv or .tsv, and a
/// folder, is refused where neither a format nor a prompt says what is meant.
std::variant<std::unique_ptr<source>, failure> open_source(const std::string& path, const input_form& form = {});

} // namespace modelforge::batch
