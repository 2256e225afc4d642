#include "wire/azure/azure.hpp"

#include "wire/openai/batch.hpp"
#include "wire/openai/dialect.hpp"
#include "wire/openai/responses.hpp"
#include "wire/request_writer.hpp"

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <tuple>
#include <utility>

namespace modelforge::wire::azure {

namespace {

constexpr openai::quirks new_quirks{.name = "azure",
                                    .max_tokens = "max_completion_tokens",
                                    .top_k = openai::support::no,
                                    .cache_key = true,
                                    .is_strict = true};

constexpr openai::quirks old_quirks{
  .name = "azure", .max_tokens = "max_completion_tokens", .top_k = openai::support::no, .is_strict = true};

/// Where the operations are, behind the base URL.
struct surface {
  std::string prefix;
  std::string query;
  bool is_old = false; ///< The deployment stands in the path.
};

/// Tells the two surfaces apart: the new one ends in /v1 and needs no api_version; the older one has a version in the
/// query and the deployment in the path. A base URL without /openai gets it.
surface surface_of(std::string_view base_url, std::string_view api_version) {
  surface result;
  result.is_old = !api_version.empty() && !base_url.ends_with("/v1");
  if (!api_version.empty())
    result.query = "?api-version=" + path_segment(api_version);
  if (base_url.ends_with("/v1"))
    return result;
  result.prefix = base_url.ends_with("/openai") ? "" : "/openai";
  if (!result.is_old)
    result.prefix += "/v1";
  return result;
}

/// What sets Azure apart, beside `quirks`: paths and the key's header.
template <class Base>
class azure_dialect final : public Base {
public:
  template <class... Ts>
  explicit azure_dialect(surface where, Ts&&... xs)
    : Base(std::forward<Ts>(xs)...), where_(std::move(where)), models_(where_.prefix + "/models" + where_.query) {}

  std::string_view default_base_url() const override { return {}; }

  /// Microsoft's own tokens (Entra ID) are JSON Web Tokens, which all begin alike.
  http::header authorize(std::string_view key) const override {
    return key.starts_with("eyJ") ? Base::authorize(key) : http::header{"api-key", std::string{key}};
  }

  std::variant<encoded_request, failure> encode(const chat_request& request, bool stream) const override {
    return placed(Base::encode(request, stream), request.model);
  }

  std::variant<completion, failure> decode(const http::response_head& head, std::string_view body) const override {
    return explained(Base::decode(head, body));
  }

  std::variant<encoded_request, failure> encode_embedding(const embedding_request& request) const override {
    return placed(Base::encode_embedding(request), request.model);
  }

  std::variant<embedding, failure> decode_embedding(const http::response_head& head, std::string_view body,
                                                    std::size_t inputs) const override {
    return explained(Base::decode_embedding(head, body, inputs));
  }

  /// The deployment must be one for batches; it stands in the body, as the model.
  std::unique_ptr<batch_api> batches() const override {
    auto endpoint = (where_.is_old ? "" : "/v1") + std::string{this->endpoint()};
    return openai::make_batches(*this, {std::move(endpoint), where_.prefix, where_.query});
  }

  std::string_view models_path() const override { return models_; }

private:
  std::variant<encoded_request, failure> placed(std::variant<encoded_request, failure> encoded,
                                                std::string_view model) const {
    if (auto* good = std::get_if<encoded_request>(&encoded)) {
      auto in_deployment = where_.is_old && good->path != "/responses";
      good->path =
        where_.prefix + (in_deployment ? "/deployments/" + path_segment(model) : "") + good->path + where_.query;
    }
    return encoded;
  }

  template <class Answer>
  static std::variant<Answer, failure> explained(std::variant<Answer, failure> answer) {
    if (auto* bad = std::get_if<failure>(&answer); bad != nullptr && bad->code == errc::not_found)
      bad->suggestion =
        "is the model the name of a deployment, and base_url https://RESOURCE.openai.azure.com/openai/v1 "
        "(without /v1, and with api_version, for the older API)?";
    return answer;
  }

  surface where_;
  std::string models_;
};

} // namespace

// Dialects live as long as the program, since requests under way refer to them; there are as many as different
// settings, which a reload may bring at any time and from any thread.
const dialect& api(bool responses, std::string_view base_url, std::string_view api_version) {
  static std::mutex guard;
  static std::map<std::tuple<bool, bool, std::string, std::string>, std::unique_ptr<dialect>> known;
  auto where = surface_of(base_url, api_version);
  std::lock_guard lock{guard};
  auto& known_one = known[{responses, where.is_old, where.prefix, where.query}];
  if (known_one != nullptr)
    return *known_one;
  auto& quirks = where.is_old ? old_quirks : new_quirks;
  if (responses)
    known_one = std::make_unique<azure_dialect<openai::responses_dialect>>(std::move(where), "azure_responses", quirks);
  else
    known_one = std::make_unique<azure_dialect<openai::chat_dialect>>(std::move(where), quirks);
  return *known_one;
}

const dialect* choose(const dialect_choice& choice) {
  return &api(choice.wants_responses(), choice.base_url, choice.api_version);
}

} // namespace modelforge::wire::azure
