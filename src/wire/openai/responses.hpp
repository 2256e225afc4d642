#pragma once

#include "wire/openai/dialect.hpp"

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

namespace modelforge::wire::openai {

/// OpenAI's Responses API: other requests and answers, all else as with Chat Completions. Nothing is stored at the
/// provider: what the model thought comes encrypted, and goes back with the conversation.
class responses_dialect : public chat_dialect {
public:
  responses_dialect(std::string name, const quirks& server) : chat_dialect(server), name_(std::move(name)) {}

  std::string_view name() const override { return name_; }

  std::variant<encoded_request, failure> encode(const chat_request& request, bool stream) const override;
  std::variant<completion, failure> decode(const http::response_head& head, std::string_view body) const override;
  std::unique_ptr<stream_reader> read_stream(const http::response_head& head) const override;

  optimizable optimizations() const override {
    return {.json_object = true, .json_word_in_input = true, .cache_key = quirks_.cache_key};
  }

protected:
  std::string_view endpoint() const override { return "/responses"; }

private:
  std::string name_;
};

} // namespace modelforge::wire::openai
