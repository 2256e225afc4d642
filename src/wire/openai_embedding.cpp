#include "wire/embedding_answer.hpp"
#include "wire/embedding_writer.hpp"
#include "wire/openai_parts.hpp"

namespace modelforge::wire {

namespace {

class writer : embedding_writer {
public:
  writer(const quirks& is, const embedding_request& x) : embedding_writer(is.name, x), is_(is) {}

  std::variant<encoded_request, failure> run() {
    result_.path = "/embeddings";
    start();
    write_model();
    if (begin("input"))
      write_inputs([this](const std::string& input) {
        if (input.empty() && is_.is_strict)
          fail("", "is empty");
        text(input, "");
      });
    number(is_.dimensions, x_.dimensions, "dimensions");
    if (begin("encoding_format"))
      out_.raw(R"("float")");
    return finish();
  }

private:
  const quirks& is_;
};

void read_item(json::reader& in, vector_answer& to) {
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

void read_member(std::string_view name, json::reader& in, vector_answer& to) {
  if (name == "data")
    in.elements([&] { read_item(in, to); });
  else if (name == "model")
    to.model = in.value();
  else if (name == "id")
    to.id = in.value();
  else if (name == "usage")
    in.members([&](std::string_view inner) {
      if (inner == "prompt_tokens")
        to.usage.input = in.value();
    });
}

} // namespace

std::variant<encoded_request, failure> write_openai_embedding(const quirks& is, const embedding_request& x) {
  return writer{is, x}.run();
}

std::variant<embedding, failure> read_openai_embedding(const http::response_head& head, std::string_view body,
                                                       std::size_t inputs) {
  return read_vectors(head, body, inputs, read_member);
}

} // namespace modelforge::wire
