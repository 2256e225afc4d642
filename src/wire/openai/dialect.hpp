#pragma once

#include "wire/dialect.hpp"
#include "wire/openai/quirks.hpp"

namespace modelforge::wire::openai {

/// Chat Completions, and what else all speakers of OpenAI's format have in common.
class chat_dialect : public dialect {
public:
  explicit chat_dialect(const quirks& server) : quirks_(server) {}

  std::string_view name() const override { return quirks_.name; }
  std::string_view default_base_url() const override { return quirks_.base_url; }
  answer_hints hints(const http::response_head& head, const failure* why) const override;
  http::header authorize(std::string_view key) const override;

  std::variant<encoded_request, failure> encode(const chat_request& request, bool stream) const override;
  std::variant<completion, failure> decode(const http::response_head& head, std::string_view body) const override;
  std::unique_ptr<stream_reader> read_stream(const http::response_head& head) const override;

  limits::token_accounting accounting() const override { return limits::token_accounting::arrival; }
  limits::output_rule output_rule() const override { return quirks_.output; }

  optimizable optimizations() const override {
    return {.seed = quirks_.seeds == support::yes, .json_object = true, .cache_key = quirks_.cache_key};
  }

  std::size_t max_inputs() const override { return quirks_.embeddings ? 2048 : 0; }
  std::variant<encoded_request, failure> encode_embedding(const embedding_request& request) const override;
  std::variant<embedding, failure> decode_embedding(const http::response_head& head, std::string_view body,
                                                    std::size_t inputs) const override;
  /// OpenAI's own; of its clones we are not sure.
  std::unique_ptr<batch_api> batches() const override;

protected:
  /// Where requests go, behind the version.
  virtual std::string_view endpoint() const { return "/chat/completions"; }

  quirks quirks_;
};

} // namespace modelforge::wire::openai
