#include "tools/cli/question.hpp"

#include "tools/cli/output.hpp"
#include "tools/cli/standard_input.hpp"

#include "base/ascii.hpp"
#include "base/text_encoding.hpp"
#include "base/utf8.hpp"
#include "config/read_file.hpp"

#include <algorithm>
#include <utility>

namespace modelforge::cli {

namespace {

/// By its first bytes; empty for what no provider takes.
std::string image_type(std::string_view bytes) {
  if (bytes.starts_with("\x89PNG"))
    return "image/png";
  if (bytes.starts_with("\xFF\xD8\xFF"))
    return "image/jpeg";
  if (bytes.starts_with("GIF8"))
    return "image/gif";
  return bytes.starts_with("RIFF") && bytes.substr(0, 12).ends_with("WEBP") ? "image/webp" : "";
}

/// As `image_part` wants it: with padding, without line breaks.
std::string base64(std::string_view bytes) {
  constexpr char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  text.reserve((bytes.size() + 2) / 3 * 4);
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    auto at = [&](std::size_t k) { return i + k < bytes.size() ? static_cast<uint8_t>(bytes[i + k]) : 0u; };
    auto group = at(0) << 16 | at(1) << 8 | at(2);
    for (int k = 0; k < 4; ++k)
      text += i + static_cast<std::size_t>(k) > bytes.size() ? '=' : digits[group >> (18 - 6 * k) & 63];
  }
  return text;
}

std::string mebibytes(std::size_t bytes) {
  return std::to_string(bytes >> 20) + " MiB";
}

/// Puts the parts together in their order: the prompt, standard input, files, then images. What a part is (text, an
/// image, nothing of use) its bytes say, not its name. Where one is of no use, prints why, and there is no question.
/// All of them together are bounded by `max_question`. Used once for each question.
class question_builder {
public:
  explicit question_builder(const question_sources& given) : given_(given) {}

  std::optional<chat_message> build() {
    if (!given_.prompt.empty() && (given_.prompt != "-" || given_.is_typed))
      add_text(given_.prompt);
    if (!given_.is_typed && !add_standard_input())
      return {};
    for (auto& path : given_.files)
      if (path != "-" && !add_file(path))
        return {};
    for (auto& image : given_.images)
      if (!add_image(image))
        return {};
    return finish();
  }

private:
  bool names_input_as_file() const {
    return std::find(given_.files.begin(), given_.files.end(), "-") != given_.files.end();
  }

  /// Reads standard input where it is asked for, or where something may stand in it.
  bool add_standard_input() {
    auto kind = standard_input_kind();
    auto is_named = given_.prompt == "-" || names_input_as_file();
    auto has_question = !given_.prompt.empty() || !given_.files.empty() || !given_.images.empty();
    if (!is_named && (kind == input_kind::terminal || (kind == input_kind::nothing && has_question)))
      return true;
    auto got = read_standard_input(max_file, {given_.timeout, !is_named && has_question});
    if (auto* problem = std::get_if<std::string>(&got)) {
      complain("standard input " + *problem);
      return false;
    }
    auto& text = std::get<input_text>(got).text;
    while (!text.empty() && (text.back() == '\n' || text.back() == '\r') && image_type(text).empty())
      text.pop_back();
    return text.empty() ? !is_named || refuse_empty_input() : add_bytes("standard input", std::move(text), "");
  }

  static bool refuse_empty_input() {
    complain("standard input holds no prompt");
    return false;
  }

  bool add_file(const std::string& path) {
    auto bytes = content_of(path, max_file);
    return bytes && add_bytes(path, std::move(*bytes), path);
  }

  /// Addresses stay what they are, for the provider to fetch; files count by their content.
  bool add_image(const std::string& image) {
    if (image.starts_with("http://") || image.starts_with("https://")) {
      images_.push_back(image_part{image, "", "", ""});
      return true;
    }
    auto bytes = content_of(image, max_file);
    if (!bytes)
      return false;
    if (image_type(*bytes).empty()) {
      complain(image + " is not a PNG, JPEG, GIF or WebP image");
      return false;
    }
    return add_bytes(image, std::move(*bytes), "");
  }

  /// Adds a part by what its bytes are; text gets a heading where it has a `title`.
  bool add_bytes(const std::string& name, std::string bytes, const std::string& title) {
    size_ += bytes.size();
    auto part = part_of(std::move(bytes));
    if (auto* problem = std::get_if<std::string>(&part)) {
      complain(name + " " + *problem);
      return false;
    }
    auto& good = std::get<question_part>(part);
    if (auto* image = std::get_if<image_part>(&good))
      images_.push_back(std::move(*image));
    else if (auto& text = std::get<text_part>(good).text; title.empty())
      add_text(text);
    else
      add_text("<file name=\"" + title + "\">\n" + text + (text.ends_with('\n') ? "" : "\n") + "</file>");
    return true;
  }

  void add_text(const std::string& text) { text_ += (text_.empty() ? "" : "\n\n") + text; }

  std::optional<chat_message> finish() {
    if (size_ > max_question) {
      complain("the question is larger than " + mebibytes(max_question) + " with its files; nothing was sent");
      return {};
    }
    if (ascii::trim(text_).empty() && images_.empty()) {
      complain(!text_.empty() ? "the prompt is empty: write what to ask"
               : standard_input_kind() == input_kind::terminal
                 ? "no prompt: give one, as in `modelforge chat \"Why is the sky blue?\"`, or pipe one in"
                 : "standard input holds no prompt");
      return {};
    }
    chat_message result;
    if (!text_.empty())
      result.content.push_back(text_part{std::move(text_)});
    for (auto& image : images_)
      result.content.push_back(std::move(image));
    return result;
  }

  const question_sources& given_;
  std::string text_;
  std::vector<image_part> images_;
  std::size_t size_ = 0; ///< Bytes of what was read.
};

} // namespace

std::variant<question_part, std::string> part_of(std::string bytes) {
  if (auto type = image_type(bytes); !type.empty())
    return question_part{image_part{"", type, base64(bytes), ""}};
  if (bytes.starts_with("%PDF-"))
    return "is a PDF, which cannot be sent; send its text: `pdftotext FILE - | modelforge chat ...`";
  if (auto encoding = foreign_encoding(bytes); !encoding.empty())
    return "is " + std::string{encoding} + ", not UTF-8; convert it: `iconv -f " + std::string{encoding} + " -t UTF-8`";
  bytes.erase(0, bytes.size() - without_mark(bytes).size());
  if (auto line = line_of_nul(bytes); line > 0)
    return "is neither text nor a PNG, JPEG, GIF or WebP image: it holds a NUL (a byte 0) in line "
           + std::to_string(line);
  if (auto good = utf8::valid_length(bytes); good < bytes.size())
    return "is not UTF-8 in line "
           + std::to_string(1 + std::count(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(good), '\n'))
           + "; convert it, e.g. `iconv -f ISO-8859-1 -t UTF-8`";
  return question_part{text_part{std::move(bytes)}};
}

std::optional<chat_message> read_question(const question_sources& given) {
  return question_builder{given}.build();
}

std::optional<std::string> content_of(const std::string& path, std::size_t limit) {
  auto content = read_file(path, limit);
  if (auto* text = std::get_if<file_text>(&content))
    return std::move(text->text);
  complain(path + " cannot be read: " + std::get<std::string>(content));
  return {};
}

} // namespace modelforge::cli
