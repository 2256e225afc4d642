#include "base/public_servers.hpp"
#include "wire/gemini/gemini.hpp"

namespace modelforge::wire::gemini {

namespace {

/// Google's Gemini API. Only the prompt counts against token limits; model names in its list begin with "models/",
/// which requests do not need.
class content_dialect : public dialect {
public:
  std::string_view name() const override { return "gemini"; }

  std::string_view default_base_url() const override { return public_address(name()); }

  http::header authorize(std::string_view key) const override { return {"x-goog-api-key", std::string{key}}; }

  std::variant<encoded_request, failure> encode(const chat_request& request, bool stream) const override {
    return write_request(request, stream);
  }

  std::variant<completion, failure> decode(const http::response_head& head, std::string_view body) const override {
    return read_whole([&] { return make_answer(head); }, body);
  }

  std::unique_ptr<stream_reader> read_stream(const http::response_head& head) const override {
    return read_objects(make_answer(head));
  }

  limits::token_accounting accounting() const override { return limits::token_accounting::input; }

  std::size_t max_inputs() const override { return 100; }

  std::variant<encoded_request, failure> encode_embedding(const embedding_request& request) const override {
    return write_embedding(request);
  }

  std::variant<embedding, failure> decode_embedding(const http::response_head& head, std::string_view body,
                                                    std::size_t inputs) const override {
    return read_embedding(head, body, inputs);
  }

  std::string_view models_path() const override { return "/models?pageSize=1000"; }

  std::variant<model_list, failure> decode_models(const http::response_head& head,
                                                  std::string_view body) const override {
    auto result = read_names(head, body, "models", "name");
    if (auto* bad = std::get_if<failure>(&result))
      return make_answer(head)->fitted(std::move(*bad));
    if (auto* good = std::get_if<model_list>(&result))
      for (auto& name : good->models)
        if (name.starts_with("models/"))
          name.erase(0, 7);
    return result;
  }
};

} // namespace

const dialect& content_api() {
  static const content_dialect the_dialect;
  return the_dialect;
}

const dialect* choose(const dialect_choice& choice) {
  return choice.wants_responses() ? nullptr : &content_api();
}

} // namespace modelforge::wire::gemini
