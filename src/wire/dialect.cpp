#include "wire/dialect.hpp"

#include "base/ascii.hpp"
#include "wire/answer_parts.hpp"
#include "wire/batch_api.hpp"
#include "wire/provider_error.hpp"
#include "wire/rate_limit_headers.hpp"
#include "wire/request_writer.hpp"
#include "wire/retry_after.hpp"

#include <algorithm>
#include <chrono>
#include <iterator>

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

// Google's pages have a token of their own, as have Cohere's. Of the others the last entry's id is one, where they say
// that more follow.
std::string dialect::next_models_path(std::string_view body) const {
  json::raw google, cohere, has_more, last;
  json::reader in{body};
  in.fields({{"nextPageToken", &google}, {"next_page_token", &cohere}, {"has_more", &has_more}, {"last_id", &last}});
  if (has_more.text != "true")
    last = {};
  struct {
    std::string_view parameter;
    json::raw value;
  } const cursors[] = {{"pageToken", google}, {"page_token", cohere}, {after_parameter(), last}};
  auto found = std::find_if(std::begin(cursors), std::end(cursors), [](auto& x) { return x.value.has_text(); });
  if (found == std::end(cursors))
    return {};
  std::string path{models_path()}, scratch;
  path.append(path.find('?') == path.npos ? "?" : "&").append(found->parameter).append("=");
  return path.append(path_segment(string_in(found->value, scratch)));
}

} // namespace modelforge::wire
