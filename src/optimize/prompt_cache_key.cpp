#include "base/hex.hpp"
#include "optimize/extra.hpp"
#include "optimize/markers.hpp"
#include "optimize/prefix.hpp"
#include "optimize/strategies.hpp"

#include <array>
#include <variant>

/// `prompt_cache_key`: OpenAI spreads requests over machines, each of which has a prompt cache of its own; requests of
/// one key go to one machine. So the key is a hash of what requests have in common.

namespace modelforge::optimize {

namespace {

/// FNV-1a (Fowler, Noll, Vo), 64 bits: the same on every machine, and no secret depends on it.
class hash {
public:
  /// The length goes in too, so that pieces cut elsewhere make another hash.
  void add(std::string_view text) {
    for (auto size = text.size(); size > 0; size >>= 8)
      add(static_cast<unsigned char>(size));
    add(static_cast<unsigned char>(0));
    for (char c : text)
      add(static_cast<unsigned char>(c));
  }

  std::string text() const { return hex::digits_of(value_); }

private:
  void add(unsigned char byte) { value_ = (value_ ^ byte) * 0x100000001b3; }

  uint64_t value_ = 0xcbf29ce484222325;
};

/// What requests that begin alike have in common: tools, instructions, and the static part of a marked message, as a
/// hash and a size. It ends where the first difference may be.
class stable_prefix {
public:
  explicit stable_prefix(const chat_request& request) {
    for (auto& tool : request.tools)
      add(tool);
    for (auto& message : request.messages) {
      auto kind = marking_of(message);
      if (!is_instruction(message) && (message.role != role::user || kind != marking::good))
        return;
      hash_.add(name_of(message.role));
      if (kind == marking::good) {
        for (auto& part : sections_of(message).stable)
          add(part);
        return; // what follows is not the same
      }
      for (auto& part : message.content)
        add(part);
    }
  }

  const extent& size() const { return size_; }
  std::string key() const { return "mf-" + hash_.text(); }

private:
  void add(const tool_definition& tool) {
    size_.add(tool);
    for (auto* text : {&tool.name, &tool.description, &tool.parameters})
      hash_.add(*text);
  }

  void add(const content_part& part) {
    size_.add(part);
    if (auto* text = std::get_if<text_part>(&part))
      hash_.add(text->text);
    else if (auto* image = std::get_if<image_part>(&part))
      hash_.add(image->url.empty() ? image->data : image->url);
  }

  hash hash_;
  extent size_;
};

class prompt_cache_key_optimizer : public optimizer {
public:
  prompt_cache_key_optimizer(uint32_t min_length, uint32_t min_tokens)
    : min_length_(min_length), min_tokens_(min_tokens > 0 ? min_tokens : 1024) {}

  std::string_view name() const override { return "prompt_cache_key"; }

  std::optional<std::string> apply(chat_request& request) const override {
    if (!request.cache_key.empty() || has_extra(request, "prompt_cache_key"))
      return {};
    stable_prefix prefix{request};
    if (prefix.size().characters < min_length_ || prefix.size().tokens < min_tokens_)
      return {};
    request.cache_key = prefix.key();
    return request.cache_key + " for a prefix of about " + std::to_string(prefix.size().tokens) + " tokens";
  }

private:
  uint32_t min_length_;
  uint32_t min_tokens_;
};

} // namespace

std::shared_ptr<const optimizer> prompt_cache_key(uint32_t min_length, uint32_t min_tokens) {
  return std::make_shared<prompt_cache_key_optimizer>(min_length, min_tokens);
}

} // namespace modelforge::optimize
