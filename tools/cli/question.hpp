#pragma once

#include <modelforge/messages/content.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

/// What `modelforge chat` asks: the prompt, what is piped in, files and images, put together and checked before
/// anything is sent.

namespace modelforge::cli {

/// Where the parts of a question come from.
struct question_sources {
  std::string prompt;              ///< "-": standard input alone; empty: what else there is.
  std::vector<std::string> files;  ///< Paths; "-": standard input.
  std::vector<std::string> images; ///< Files or http(s) addresses.
  std::optional<double> timeout;   ///< Seconds to wait for standard input; empty: as long as it takes.
  bool is_typed = false;           ///< The prompt was typed into a session: it is what it is, and nothing is piped in.
};

inline constexpr std::size_t max_file = 20u << 20;     ///< Bytes of one file, and of standard input.
inline constexpr std::size_t max_question = 32u << 20; ///< Bytes of all of them.

/// A piece of a question, by what its bytes are.
using question_part = std::variant<text_part, image_part>;

/// Returns what providers take of some bytes: text in UTF-8, without a byte order mark, or a PNG, JPEG, GIF or WebP
/// image. A string says what they are instead, as the end of a sentence that begins with their name.
std::variant<question_part, std::string> part_of(std::string bytes);

/// Puts a question together: the prompt, a blank line, what was piped in, then each text file under its name; images
/// come last. Prints why and returns nothing where a part cannot be used, is too large, or there is none.
///
/// Standard input is read where it is a pipe, a socket or a file, beside a prompt as well (see `input_patience`).
std::optional<chat_message> read_question(const question_sources& given);

/// The content of a file that an option names, or a complaint.
std::optional<std::string> content_of(const std::string& path, std::size_t limit);

} // namespace modelforge::cli
