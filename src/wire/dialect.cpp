#include "wire/dialect.hpp"

#include "wire/answer_parts.hpp"
#include "wire/batch_api.hpp"
#include "wire/provider_error.hpp"
#include "wire/rate_limit_headers.hpp"
#include "wire/retry_after.hpp"

#include <chrono>

namespace modelforge::wire {

// The defaults below suit vendors that have no such thing, or do it as OpenAI does; each may be overridden.
answer_hints dialect::hints(const http::response_head& head, const failure* why) const {
  answer_hints result{limits_in(head, std::chrono::system_clock::now()), wire::should_retry(head),
                      why != nullptr && grew_too_fast(*why)};
  if (!result.should_retry && why != nullptr && will_come_again(*why))
    result.should_retry = false;
  return result;
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

} // namespace modelforge::wire
