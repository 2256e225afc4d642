#include "wire/embedding_answer.hpp"
#include "wire/embedding_writer.hpp"
#include "wire/ollama/ollama.hpp"

namespace modelforge::wire::ollama {

namespace {

class writer : embedding_writer {
public:
  explicit writer(const embedding_request& request) : embedding_writer("ollama", request) {}

  std::variant<encoded_request, failure> run() {
    result_.path = "/api/embed";
    start();
    write_model();
    if (begin("input"))
      write_inputs([this](const std::string& input) { text(input, ""); });
    number("dimensions", request_.dimensions, "dimensions");
    if (begin("truncate")) // else the end of a long input would not count, and nobody would know
      out_.boolean(false);
    return finish();
  }
};

} // namespace

std::variant<encoded_request, failure> write_embedding(const embedding_request& request) {
  return writer{request}.run();
}

std::variant<embedding, failure> read_embedding(const http::response_head& head, std::string_view body,
                                                std::size_t inputs) {
  auto result = read_vectors(head, body, inputs);
  if (auto* bad = std::get_if<failure>(&result))
    return with_pull_hint(make_answer(head)->fitted(std::move(*bad)));
  return result;
}

} // namespace modelforge::wire::ollama
