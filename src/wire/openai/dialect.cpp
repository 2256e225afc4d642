#include "wire/openai/dialect.hpp"

#include "base/public_servers.hpp"
#include "wire/openai/batch.hpp"
#include "wire/openai/openai.hpp"
#include "wire/openai/parts.hpp"
#include "wire/openai/responses.hpp"

#include <string>
#include <vector>

namespace modelforge::wire::openai {

namespace {

constexpr quirks plain{.name = "openai",
                       .base_url = public_address("openai"),
                       .max_tokens = "max_completion_tokens",
                       .top_k = support::no,
                       .cache_key = true,
                       .batches = true,
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

answer_hints chat_dialect::hints(const http::response_head& head, const failure* why) const {
  auto x = dialect::hints(head, why);
  if (quirks_.requests_by_day)
    x.limits[static_cast<std::size_t>(limits::dimension::requests)].limit.reset();
  return x;
}

http::header chat_dialect::authorize(std::string_view key) const {
  return {"authorization", "Bearer " + std::string{key}};
}

std::variant<encoded_request, failure> chat_dialect::encode(const chat_request& x, bool stream) const {
  return write_request(quirks_, x, stream);
}

std::variant<completion, failure> chat_dialect::decode(const http::response_head& head, std::string_view body) const {
  return read_whole(*make_answer(head, quirks_.is_strict), body);
}

std::unique_ptr<stream_reader> chat_dialect::read_stream(const http::response_head& head) const {
  return read_objects(make_answer(head, quirks_.is_strict), framing::events);
}

std::variant<encoded_request, failure> chat_dialect::encode_embedding(const embedding_request& x) const {
  return quirks_.embeddings ? write_embedding(quirks_, x) : dialect::encode_embedding(x);
}

std::variant<embedding, failure> chat_dialect::decode_embedding(const http::response_head& head, std::string_view body,
                                                                std::size_t inputs) const {
  return read_embedding(head, body, inputs);
}

std::unique_ptr<batch_api> chat_dialect::batches() const {
  if (!quirks_.batches)
    return nullptr;
  return make_batches(*this, {.endpoint = "/v1" + std::string{endpoint()}});
}

const dialect& chat_api() {
  static const chat_dialect x{plain};
  return x;
}

const dialect& responses_api() {
  static const responses_dialect x{"openai_responses", plain};
  return x;
}

const dialect& compatible_chat_api(std::string_view flavor) {
  static const auto all = [] {
    std::vector<chat_dialect> result{chat_dialect{compatible}};
    for (auto& x : known_quirks())
      result.emplace_back(x);
    return result;
  }();
  return all[place_of(flavor)];
}

const dialect& compatible_responses_api(std::string_view flavor) {
  static const auto all = [] {
    std::vector<responses_dialect> result{{"openai_compatible_responses", compatible}};
    for (auto& x : known_quirks())
      result.emplace_back(std::string{x.name} + "_responses", x);
    return result;
  }();
  return all[place_of(flavor)];
}

const dialect* choose(const dialect_choice& x) {
  return x.wants_responses() ? &responses_api() : &chat_api();
}

const dialect* choose_compatible(const dialect_choice& choice) {
  auto* server = choice.flavor == "automatic" ? quirks_at(choice.base_url) : quirks_of(choice.flavor);
  auto flavor = server != nullptr ? server->name : std::string_view{};
  return choice.wants_responses() ? &compatible_responses_api(flavor) : &compatible_chat_api(flavor);
}

} // namespace modelforge::wire::openai
