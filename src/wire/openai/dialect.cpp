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

/// OpenAI itself.
constexpr quirks plain{.name = "openai",
                       .base_url = public_address("openai"),
                       .max_tokens = "max_completion_tokens",
                       .top_k = support::no,
                       .cache_key = true,
                       .batches = true,
                       .obfuscation = true,
                       .is_strict = true,
                       .output = limits::output_rule::larger};

/// A server that is not known: the defaults, and a lenient reading of its answers.
constexpr quirks compatible{.name = "openai_compatible"};

/// The place of a flavour behind the one that has none.
std::size_t place_of(std::string_view flavor) {
  auto* quirks = quirks_of(flavor);
  return quirks == nullptr ? 0 : static_cast<std::size_t>(quirks - known_quirks().data()) + 1;
}

} // namespace

// A limit for a day would be taken for one of a minute: the name does not tell them apart.
answer_hints chat_dialect::hints(const http::response_head& head, const failure* why) const {
  auto result = dialect::hints(head, why);
  if (quirks_.requests_by_day)
    result.limits[static_cast<std::size_t>(limits::dimension::requests)].limit.reset();
  return result;
}

http::header chat_dialect::authorize(std::string_view key) const {
  return {"authorization", "Bearer " + std::string{key}};
}

std::variant<encoded_request, failure> chat_dialect::encode(const chat_request& request, bool stream) const {
  return write_request(quirks_, request, stream);
}

std::variant<completion, failure> chat_dialect::decode(const http::response_head& head, std::string_view body) const {
  return read_whole([&] { return make_answer(head, quirks_.is_strict); }, body);
}

std::unique_ptr<stream_reader> chat_dialect::read_stream(const http::response_head& head) const {
  return read_objects(make_answer(head, quirks_.is_strict));
}

std::variant<encoded_request, failure> chat_dialect::encode_embedding(const embedding_request& request) const {
  return quirks_.embeddings ? write_embedding(quirks_, request) : dialect::encode_embedding(request);
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
  static const chat_dialect the_dialect{plain};
  return the_dialect;
}

const dialect& responses_api() {
  static const responses_dialect the_dialect{"openai_responses", plain};
  return the_dialect;
}

const dialect& compatible_chat_api(std::string_view flavor) {
  static const auto all = [] {
    std::vector<chat_dialect> result{chat_dialect{compatible}};
    for (auto& quirks : known_quirks())
      result.emplace_back(quirks);
    return result;
  }();
  return all[place_of(flavor)];
}

const dialect& compatible_responses_api(std::string_view flavor) {
  static const auto all = [] {
    std::vector<responses_dialect> result{{"openai_compatible_responses", compatible}};
    for (auto& quirks : known_quirks())
      result.emplace_back(std::string{quirks.name} + "_responses", quirks);
    return result;
  }();
  return all[place_of(flavor)];
}

const dialect* choose(const dialect_choice& choice) {
  return choice.wants_responses() ? &responses_api() : &chat_api();
}

const dialect* choose_compatible(const dialect_choice& choice) {
  auto* server = choice.flavor == "automatic" ? quirks_at(choice.base_url) : quirks_of(choice.flavor);
  auto flavor = server != nullptr ? server->name : std::string_view{};
  return choice.wants_responses() ? &compatible_responses_api(flavor) : &compatible_chat_api(flavor);
}

} // namespace modelforge::wire::openai
