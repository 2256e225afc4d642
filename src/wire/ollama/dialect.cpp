#include "base/public_servers.hpp"
#include "wire/ollama/ollama.hpp"

namespace modelforge::wire::ollama {

namespace {

/// Ollama, local or its cloud. It counts no tokens against limits. A 404 nearly always means a model that was not
/// pulled, so failures say so.
class chat_dialect : public dialect {
public:
  std::string_view name() const override { return "ollama"; }

  std::string_view default_base_url() const override { return public_address(name()); }

  /// Only its cloud asks for one.
  http::header authorize(std::string_view key) const override {
    return {"authorization", "Bearer " + std::string{key}};
  }

  std::variant<encoded_request, failure> encode(const chat_request& request, bool stream) const override {
    return write_request(request, stream);
  }

  std::variant<completion, failure> decode(const http::response_head& head, std::string_view body) const override {
    auto result = read_whole([&] { return make_answer(head); }, body);
    if (auto* bad = std::get_if<failure>(&result))
      return with_pull_hint(std::move(*bad));
    return result;
  }

  std::unique_ptr<stream_reader> read_stream(const http::response_head& head) const override {
    return read_objects(make_answer(head));
  }

  limits::token_accounting accounting() const override { return limits::token_accounting::none; }

  optimizable optimizations() const override { return {.keep_alive = true}; }

  std::size_t max_inputs() const override { return 256; } // it has no limit; one request must end in its time

  std::variant<encoded_request, failure> encode_embedding(const embedding_request& request) const override {
    return write_embedding(request);
  }

  std::variant<embedding, failure> decode_embedding(const http::response_head& head, std::string_view body,
                                                    std::size_t inputs) const override {
    return read_embedding(head, body, inputs);
  }

  std::string_view models_path() const override { return "/api/tags"; }

  std::variant<model_list, failure> decode_models(const http::response_head& head,
                                                  std::string_view body) const override {
    auto result = read_names(head, body, "models", "name");
    if (auto* bad = std::get_if<failure>(&result))
      return make_answer(head)->fitted(std::move(*bad));
    return result;
  }
};

} // namespace

failure with_pull_hint(failure problem) {
  if (problem.code == errc::not_found)
    problem.suggestion += "; `ollama pull` fetches models";
  return problem;
}

const dialect& chat_api() {
  static const chat_dialect the_dialect;
  return the_dialect;
}

const dialect* choose(const dialect_choice& choice) {
  return choice.wants_responses() ? nullptr : &chat_api();
}

} // namespace modelforge::wire::ollama
