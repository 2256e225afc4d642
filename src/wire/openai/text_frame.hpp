#pragma once

#include "base/utf8.hpp"
#include "json/lexer.hpp"

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace modelforge::wire::openai {

/// Most chunks of a stream differ in nothing but their text, and what repeats says nothing new. This is the last chunk
/// that brought a text and nothing else, without that text; the next one is compared with it before it is parsed.
class text_frame {
public:
  /// Returns the text of a chunk that is the kept one with another text which holds no escapes: there is nothing else
  /// to read in it. Nothing for all other chunks.
  std::optional<std::string_view> text_in(std::string_view chunk) const {
    std::string_view front{kept_.data(), front_}, back{kept_.data() + front_, kept_.size() - front_};
    if (kept_.empty() || chunk.size() <= kept_.size() || !chunk.ends_with(back) || !chunk.starts_with(front))
      return {};
    auto* text = chunk.data() + front.size();
    auto* end = chunk.data() + chunk.size();
    auto* quote = end - back.size(); // the back begins with it
    return skip_text(text, end) == quote ? std::optional{std::string_view{text, quote}} : std::nullopt;
  }

  /// Keeps a chunk; `text`, with its quotes, is its part that brought something.
  void keep(std::string_view chunk, std::string_view text) {
    if (text.size() < 2 || chunk.size() - text.size() > max_size)
      return;
    front_ = static_cast<std::size_t>(text.data() - chunk.data()) + 1; // the text's quotes belong to the frame
    kept_.assign(chunk, 0, front_);
    kept_ += chunk.substr(front_ + text.size() - 2);
  }

private:
  static constexpr std::size_t max_size = 1 << 10; ///< Bytes around the text.

  /// Steps to the first quote, escape, control character, or byte that is not UTF-8.
  static const char* skip_text(const char* p, const char* end) {
    while ((p = json::skip_plain(p, end)) != end) {
      auto length = static_cast<unsigned char>(*p) < 0x80 ? 0 : utf8::character_length(p, end);
      if (length == 0)
        break;
      p += length;
    }
    return p;
  }

  std::string kept_;      ///< What stood before and behind the text,
  std::size_t front_ = 0; ///< so many bytes of it before.
};

} // namespace modelforge::wire::openai
