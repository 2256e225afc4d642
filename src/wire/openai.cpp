#include "wire/openai.hpp"

#include "wire/openai_batch.hpp"
#include "wire/openai_dialect.hpp"
#include "wire/openai_parts.hpp"
#include "wire/responses/responses.hpp"

#include <string>
#include <vector>

namespace modelforge::wire {

namespace {

constexpr quirks plain{.name = "openai",
                       .base_url = "https://api.openai.com/v1",
                       .max_tokens = "max_completion_tokens",
                       .top_k = support::no,
                       .cache_key = true,
                       .obfuscation = true,
                       .is_strict = true,
                       .output = limits::output_rule::larger};

constexpr quirks compatible{.name = "openai_compatible"};

/// The place of a flavour behind the one that has none.
std::size_t place_of(std::string_view flavor) {
  auto* x = quirks_of(flavor);
  return x == nullptr ? 0 : static_cast<std::size_t>(x - known_quirks().data()) + 1;
}

} // namespace

answer_hints openai_dialect::hints(const http::response_head& head, const failure* why) const {
  auto x = dialect::hints(head, why);
  if (is_.requests_by_day)
    x.limits[static_cast<std::size_t>(limits::dimension::requests)].limit.reset();
  return x;
}

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
  return is_.embeddings ? write_openai_embedding(is_, x) : dialect::encode_embedding(x);
}

std::variant<embedding, failure> openai_dialect::decode_embedding(const http::response_head& head,
                                                                  std::string_view body, std::size_t inputs) const {
  return read_openai_embedding(head, body, inputs);
}

std::unique_ptr<batch_api> openai_dialect::batches() const {
  if (is_.name != plain.name)
    return nullptr;
  return openai_batches(*this, {.endpoint = "/v1" + std::string{endpoint()}});
}

const dialect& openai() {
  static const openai_dialect x{plain};
  return x;
}

const dialect& openai_responses() {
  static const responses_dialect x{"openai_responses", plain};
  return x;
}

const dialect& openai_compatible(std::string_view flavor) {
  static const auto all = [] {
    std::vector<openai_dialect> result{openai_dialect{compatible}};
    for (auto& x : known_quirks())
      result.emplace_back(x);
    return result;
  }();
  return all[place_of(flavor)];
}

const dialect& compatible_responses(std::string_view flavor) {
  static const auto all = [] {
    std::vector<responses_dialect> result{{"openai_compatible_responses", compatible}};
    for (auto& x : known_quirks())
      result.emplace_back(std::string{x.name} + "_responses", x);
    return result;
  }();
  return all[place_of(flavor)];
}

} // namespace modelforge::wire
