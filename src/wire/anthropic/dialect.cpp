#include "base/public_servers.hpp"
#include "wire/anthropic/anthropic.hpp"

namespace modelforge::wire::anthropic {

namespace {

/// Anthropic's Messages API. Tokens count as they are produced; the API's version is fixed by a header.
class messages_dialect : public dialect {
public:
  std::string_view name() const override { return "anthropic"; }

  std::string_view default_base_url() const override { return public_address(name()); }

  http::header authorize(std::string_view key) const override { return {"x-api-key", std::string{key}}; }

  std::vector<http::header> headers() const override { return {{"anthropic-version", "2023-06-01"}}; }

  std::variant<encoded_request, failure> encode(const chat_request& request, bool stream) const override {
    return write_request(request, stream);
  }

  std::variant<completion, failure> decode(const http::response_head& head, std::string_view body) const override {
    return read_whole([&] { return make_answer(head); }, body);
  }

  std::unique_ptr<stream_reader> read_stream(const http::response_head& head) const override {
    return read_objects(make_answer(head));
  }

  limits::token_accounting accounting() const override { return limits::token_accounting::produced; }

  optimizable optimizations() const override { return {.cache_marks = true}; }

  std::variant<model_list, failure> decode_models(const http::response_head& head,
                                                  std::string_view body) const override {
    auto result = dialect::decode_models(head, body);
    if (auto* bad = std::get_if<failure>(&result))
      return make_answer(head)->fitted(std::move(*bad));
    return result;
  }

  std::unique_ptr<batch_api> batches() const override { return make_batches(*this); }

  std::string_view models_path() const override { return "/v1/models?limit=1000"; }

private:
  std::string_view after_parameter() const override { return "after_id"; }
};

} // namespace

const dialect& messages_api() {
  static const messages_dialect the_dialect;
  return the_dialect;
}

const dialect* choose(const dialect_choice& choice) {
  return choice.wants_responses() ? nullptr : &messages_api();
}

} // namespace modelforge::wire::anthropic
