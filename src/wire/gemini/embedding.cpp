#include "wire/embedding_answer.hpp"
#include "wire/embedding_writer.hpp"
#include "wire/gemini/gemini.hpp"

namespace modelforge::wire::gemini {

namespace {

/// Google's word for what the vectors are for; empty: it decides.
std::string_view task_of(embedding_purpose purpose) {
  switch (purpose) {
    case embedding_purpose::unspecified:
      break;
    case embedding_purpose::query:
      return "RETRIEVAL_QUERY";
    case embedding_purpose::document:
      return "RETRIEVAL_DOCUMENT";
    case embedding_purpose::similarity:
      return "SEMANTIC_SIMILARITY";
    case embedding_purpose::classification:
      return "CLASSIFICATION";
    case embedding_purpose::clustering:
      return "CLUSTERING";
  }
  return {};
}

/// Writes a request for several vectors, which is a list of whole requests, one for each input.
class writer : embedding_writer {
public:
  explicit writer(const embedding_request& request)
    : embedding_writer("gemini", request), path_(model_path(request.model)) {}

  std::variant<encoded_request, failure> run() {
    if (request_.model.empty())
      fail("model", "is empty", errc::invalid_request, "name a model, or set a default");
    if (!utf8::is_valid(request_.model))
      fail("model", "is not UTF-8");
    result_.path = path_ + ":batchEmbedContents";
    start(128 + path_.size() + request_.extra.size());
    out_.key("requests");
    write_inputs([this](const std::string& input) { write_one(input); });
    return hand_out();
  }

private:
  /// A request for one input; `extra` is for each of them, since there is no other place.
  void write_one(const std::string& input) {
    if (input.empty())
      fail("", "is empty");
    out_.open('{');
    out_.key("model"); // each names the same one as the path
    text(std::string_view{path_}.substr(1), "model");
    out_.key("content");
    out_.open('{');
    out_.key("parts");
    out_.open('[');
    out_.open('{');
    member_text("text", input, "");
    out_.close('}');
    out_.close(']');
    out_.close('}');
    if (auto task = task_of(request_.purpose); !task.empty() && begin("taskType"))
      text(task, "purpose");
    number("outputDimensionality", request_.dimensions, "dimensions");
    write_extra();
    out_.close('}');
  }

  std::string path_; ///< Of the model.
};

} // namespace

std::variant<encoded_request, failure> write_embedding(const embedding_request& request) {
  return writer{request}.run();
}

std::variant<embedding, failure> read_embedding(const http::response_head& head, std::string_view body,
                                                std::size_t inputs) {
  auto result = read_vectors(head, body, inputs);
  if (auto* bad = std::get_if<failure>(&result))
    return make_answer(head)->fitted(std::move(*bad));
  return result;
}

} // namespace modelforge::wire::gemini
