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

/// Takes one vector with its index; without an index vectors come in the order of the inputs.
void read_item(json::reader& in, vector_answer& answer) {
  json::raw index;
  auto is_item = in.members([&](std::string_view name) {
    if (name == "embedding")
      answer.take_vector(in);
    else if (name == "index")
      index = in.value();
  });
  if (is_item)
    answer.put(index);
}

json::raw read_input_tokens(json::reader& in) {
  json::raw count;
  in.fields({{"prompt_tokens", &count}});
  return count;
}

void read_member(std::string_view name, json::reader& in, vector_answer& answer) {
  if (name == "data")
    in.elements([&] { read_item(in, answer); });
  else if (name == "model")
    answer.model = in.value();
  else if (name == "id")
    answer.id = in.value();
  else if (name == "usage")
    answer.usage.input = read_input_tokens(in);
}

} // namespace

std::variant<encoded_request, failure> write_embedding(const quirks& server, const embedding_request& request) {
  return writer{server, request}.run();
}

std::variant<embedding, failure> read_embedding(const http::response_head& head, std::string_view body,
                                                std::size_t inputs) {
  return read_vectors(head, body, inputs, read_member);
}

} // namespace modelforge::wire::openai
