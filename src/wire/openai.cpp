#include "wire/openai.hpp"

#include "wire/openai_dialect.hpp"
#include "wire/openai_parts.hpp"
#include "wire/responses/responses.hpp"

namespace modelforge::wire {

namespace {

constexpr quirks plain{.name = "openai",
                       .base_url = "https://api.openai.com/v1",
                       .max_tokens = "max_completion_tokens",
                       .top_k = false,
                       .cache_key = true,
                       .obfuscation = true,
                       .is_strict = true,
                       .output = limits::output_rule::larger};

constexpr quirks compatible{.name = "openai_compatible"};

} // namespace

http::header openai_dialect::authorize(std::string_view key) const {
  return {"authorization", "Bearer " + std::string{key}};
}

std::variant<encoded_request, failure> openai_dialect::encode(const chat_request& x, bool stream) const {
  return write_openai_request(is_, x, stream);
}

std::variant<completion, failure> openai_dialect::decode(const http::response_head& head, std::string_view body) const {
  return read_openai_answer(head, body);
}

std::unique_ptr<stream_reader> openai_dialect::read_stream(const http::response_head& head) const {
  return read_openai_stream(head, is_.is_strict);
}

std::variant<encoded_request, failure> openai_dialect::encode_embedding(const embedding_request& x) const {
  return write_openai_embedding(is_, x);
}

std::variant<embedding, failure> openai_dialect::decode_embedding(const http::response_head& head,
                                                                  std::string_view body, std::size_t inputs) const {
  return read_openai_embedding(head, body, inputs);
}

const dialect& openai() {
  static const openai_dialect x{plain};
  return x;
}

const dialect& openai_compatible() {
  static const openai_dialect x{compatible};
  return x;
}

const dialect& openai_responses() {
  static const responses_dialect x{"openai_responses", plain};
  return x;
}

} // namespace modelforge::wire
