#include "wire/dialect.hpp"

#include "wire/answer_parts.hpp"
#include "wire/anthropic/anthropic.hpp"
#include "wire/azure/azure.hpp"
#include "wire/batch_api.hpp"
#include "wire/gemini/gemini.hpp"
#include "wire/ollama/ollama.hpp"
#include "wire/openai.hpp"
#include "wire/openai_quirks.hpp"
#include "wire/provider_error.hpp"
#include "wire/rate_limit_headers.hpp"
#include "wire/retry_after.hpp"

#include <array>
#include <chrono>

namespace modelforge::wire {

answer_hints dialect::hints(const http::response_head& head, const failure* why) const {
  return {limits_in(head, std::chrono::system_clock::now()), wire::should_retry(head),
          why != nullptr && grew_too_fast(*why)};
}

std::variant<encoded_request, failure> dialect::encode_embedding(const embedding_request&) const {
  return make_failure(errc::unsupported, std::string{name()} + " makes no embeddings", "use another provider for them");
}

std::variant<embedding, failure> dialect::decode_embedding(const http::response_head& head, std::string_view,
                                                           std::size_t) const {
  return invalid_answer(head, "an answer to what was never asked");
}

std::unique_ptr<batch_api> dialect::batches() const {
  return nullptr;
}

std::variant<model_list, failure> dialect::decode_models(const http::response_head& head, std::string_view body) const {
  return read_names(head, body, "data", "id");
}

std::span<const dialect* const> dialects() {
  static const std::array all{
    &openai(), &openai_responses(), &openai_compatible(), &azure(), &azure(true), &anthropic(), &gemini(), &ollama()};
  return all;
}

const dialect* find_dialect(std::string_view name) {
  for (auto* x : dialects())
    if (x->name() == name)
      return x;
  return nullptr;
}

const dialect* find_dialect(const dialect_choice& x) {
  auto responses = x.api == "responses";
  if (x.kind == "azure")
    return &azure(responses, x.base_url, x.api_version);
  if (x.kind == "openai")
    return responses ? &openai_responses() : &openai();
  if (x.kind == "openai_compatible") {
    auto* server = x.flavor == "automatic" ? quirks_at(x.base_url) : quirks_of(x.flavor);
    auto flavor = server != nullptr ? server->name : std::string_view{};
    return responses ? &compatible_responses(flavor) : &openai_compatible(flavor);
  }
  return responses ? nullptr : find_dialect(x.kind);
}

} // namespace modelforge::wire
