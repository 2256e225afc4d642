#include "wire/openai/field_reader.hpp"
#include "wire/openai/format.hpp"

#include <charconv>
#include <cmath>
#include <utility>

namespace modelforge::wire::openai {

namespace {

/// Reads one request for embeddings into the neutral form.
class vectors_reader : field_reader {
public:
  std::variant<embedding_request, failure> read(std::string_view body) {
    if (!read_root(body, [this](const field& root) { read_request(root); }))
      return take_problem();
    return std::move(request_);
  }

private:
  void read_request(const field& root) {
    text(root["model"], request_.model);
    auto input = root["input"];
    if (input.value.is_string())
      request_.inputs.emplace_back(string_in(input.value));
    else if (input.missing() || input.value.empty())
      wrong(input, input.missing() ? "is missing" : "is empty");
    else
      each(input, [this](const field& x) { required_text(x, request_.inputs.emplace_back()); });
    whole(root["dimensions"], request_.dimensions);
    std::string encoding = "float";
    text(root["encoding_format"], encoding);
    if (encoding != "float")
      wrong(root["encoding_format"], "is not \"float\": vectors are written as numbers");
    request_.extra = rest_of(root, {"model", "input", "dimensions", "encoding_format"});
  }

  embedding_request request_;
};

/// The fewest digits that tell a float from its neighbours; null where it is no number.
std::string shortest(float x) {
  char digits[32];
  auto [end, error] = std::to_chars(digits, digits + sizeof digits, x);
  return error == std::errc{} && std::isfinite(x) ? std::string{digits, end} : "null";
}

} // namespace

std::variant<embedding_request, failure> read_embedding_request(std::string_view text) {
  return vectors_reader{}.read(text);
}

std::string write_vectors(const embedding& answer) {
  std::string text;
  json::writer out{text};
  out.open('{');
  out.key("object");
  out.word("list");
  out.key("data");
  out.open('[');
  for (std::size_t i = 0; i < answer.vectors.size(); ++i) {
    out.open('{');
    out.key("object");
    out.word("embedding");
    out.key("index");
    out.number(i);
    out.key("embedding");
    out.open('[');
    for (auto x : answer.vectors[i])
      out.raw(shortest(x));
    out.close(']');
    out.close('}');
  }
  out.close(']');
  out.key("model");
  out.repaired(answer.model);
  if (answer.usage) {
    out.key("usage");
    out.open('{');
    out.key("prompt_tokens");
    out.number(answer.usage->input);
    out.key("total_tokens");
    out.number(answer.usage->input);
    out.close('}');
  }
  if (answer.cost) { // not OpenAI's: absent, never 0, where it is not known
    out.key("cost");
    out.number(*answer.cost);
  }
  out.close('}');
  return text;
}

} // namespace modelforge::wire::openai
