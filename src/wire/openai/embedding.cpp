#include "wire/embedding_answer.hpp"
#include "wire/embedding_writer.hpp"
#include "wire/openai/parts.hpp"

namespace modelforge::wire::openai {

namespace {

/// Writes a request for vectors. Floats are asked for by name: some servers default to base64.
class writer : embedding_writer {
public:
  writer(const quirks& server, const embedding_request& request)
    : embedding_writer(server.name, request), quirks_(server) {}

  std::variant<encoded_request, failure> run() {
    result_.path = "/embeddings";
    start();
    write_model();
    if (begin("input"))
      write_inputs([this](const std::string& input) {
        if (input.empty() && quirks_.is_strict)
          fail("", "is empty");
        text(input, "");
      });
    number(quirks_.dimensions, request_.dimensions, "dimensions");
    if (begin("encoding_format"))
      out_.word("float");
    return finish();
  }

private:
  const quirks& quirks_;
};

} // namespace

std::variant<encoded_request, failure> write_embedding(const quirks& server, const embedding_request& request) {
  return writer{server, request}.run();
}

std::variant<embedding, failure> read_embedding(const http::response_head& head, std::string_view body,
                                                std::size_t inputs) {
  return read_vectors(head, body, inputs);
}

} // namespace modelforge::wire::openai
