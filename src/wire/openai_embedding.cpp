#include "wire/embedding_answer.hpp"
#include "wire/embedding_writer.hpp"
#include "wire/openai_parts.hpp"

namespace modelforge::wire {

namespace {

class writer : embedding_writer {
public:
  writer(std::string_view provider, const embedding_request& x) : embedding_writer(provider, x) {}

  std::variant<encoded_request, failure> run(bool takes_empty) {
    result_.path = "/embeddings";
    start();
    write_model();
    if (begin("input"))
      write_inputs([&](const std::string& input) {
        if (input.empty() && !takes_empty)
          fail("", "is empty");
        text(input, "");
      });
    number("dimensions", x_.dimensions, "dimensions");
    if (begin("encoding_format"))
      out_.raw(R"("float")");
    return finish();
  }
};

void read_item(json_reader& in, vector_answer& to) {
  std::optional<uint64_t> index;
  auto is_item = in.members([&](std::string_view name) {
    if (name == "embedding")
      to.take_vector(in);
    else if (name == "index")
      index = count_in(in.value());
  });
  if (is_item)
    to.put(index);
}

void read_member(std::string_view name, json_reader& in, vector_answer& to) {
  if (name == "data")
    in.elements([&] { read_item(in, to); });
  else if (name == "model")
    to.model = in.value();
  else if (name == "id")
    to.id = in.value();
  else if (name == "usage")
    in.members([&](std::string_view inner) {
      if (inner == "prompt_tokens")
        to.usage.input = count_in(in.value());
    });
}

} // namespace

std::variant<encoded_request, failure> write_openai_embedding(std::string_view provider, const embedding_request& x,
                                                              bool takes_empty) {
  return writer{provider, x}.run(takes_empty);
}

std::variant<embedding, failure> read_openai_embedding(const http::response_head& head, std::string_view body,
                                                       std::size_t inputs) {
  return read_vectors(head, body, inputs, read_member);
}

} // namespace modelforge::wire
