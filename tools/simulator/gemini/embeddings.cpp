#include "tools/simulator/embedding.hpp"
#include "tools/simulator/gemini/fields.hpp"
#include "tools/simulator/gemini/gemini.hpp"

// Two methods share one reader: the batch has a list of the requests that the other one is.

namespace modelforge::simulator::gemini {

namespace {

constexpr std::size_t max_requests = 100;
constexpr uint32_t usual_dimensions = 3072;
constexpr std::string_view embedding_fields[] = {"model", "content", "taskType", "title", "outputDimensionality"};
constexpr std::string_view batch_fields[] = {"requests"};

/// One text to be embedded.
struct input {
  std::string text;
  uint32_t dimensions = usual_dimensions;
};

/// A checked request; the last three members are what `judge` asks of every request.
struct embed_request {
  std::string_view model;
  std::vector<input> inputs;
  uint32_t prompt_tokens = 0;
  std::optional<uint32_t> max_tokens = {};
  bool is_stream = false;
};

/// Reads one request into `result`; `path` is its place in a batch, empty outside of one.
std::optional<api_error> read_input(const json& request, const std::string& path, embed_request& result) {
  auto where = path.empty() ? path : path + ".";
  if (!request.is_object())
    return wrong_type(path, "type.googleapis.com/google.ai.generativelanguage.v1beta.EmbedContentRequest", request);
  if (auto error = unknown_field(request, path, embedding_fields))
    return error;
  auto model = field(request, "model");
  if (!path.empty() && (!model || *model != "models/" + std::string(result.model)))
    return api_error{400, "* BatchEmbedContentsRequest." + where + "model: must be \"models/"
                            + std::string(result.model) + "\", as in the path\n"};
  auto content = field(request, "content");
  auto parts = content && content->is_object() ? field(*content, "parts") : nullptr;
  input parsed_input;
  if (parts && !parts->is_array())
    return wrong_type(where + "content.parts", "a list", *parts);
  for (std::size_t i = 0; parts && i < parts->size(); ++i) {
    auto text = (*parts)[i].is_object() ? member((*parts)[i], "text") : nullptr;
    if (!text || !text->is_string())
      return api_error{400, "* EmbedContentRequest." + where + "content." + index_path("parts", i)
                              + ": only text can be embedded\n"};
    parsed_input.text += text->get_ref<const std::string&>();
  }
  if (parsed_input.text.empty())
    return api_error{400, "* EmbedContentRequest." + where + "content: content is empty\n"};
  if (auto dimensions = field(request, "outputDimensionality")) {
    if (!dimensions->is_number_unsigned() || *dimensions < 1 || *dimensions > usual_dimensions)
      return api_error{400, "* EmbedContentRequest." + where + "output_dimensionality: must be from 1 to 3072\n"};
    parsed_input.dimensions = dimensions->get<uint32_t>();
  }
  result.prompt_tokens += simulator::count_tokens(parsed_input.text);
  result.inputs.push_back(std::move(parsed_input));
  return std::nullopt;
}

/// Reads the body of either method.
std::variant<embed_request, api_error> read_request(const exchange& incoming, std::string_view model, bool is_batch) {
  if (model.starts_with("missing"))
    return missing_model(model, is_batch ? "batchEmbedContents" : "embedContent");
  auto parsed = parse_object(incoming.body);
  if (auto problem = std::get_if<std::string>(&parsed))
    return api_error{400, "Invalid JSON payload received. " + *problem};
  const auto& body = std::get<json>(parsed);
  embed_request result{model, {}};
  if (!is_batch) {
    if (auto error = read_input(body, "", result))
      return *error;
    return result;
  }
  if (auto error = unknown_field(body, "", batch_fields))
    return *error;
  auto requests = field(body, "requests");
  if (!requests || !requests->is_array() || requests->empty())
    return api_error{400, "* BatchEmbedContentsRequest.requests: requests is not specified\n"};
  if (requests->size() > max_requests)
    return api_error{400, "* BatchEmbedContentsRequest.requests: at most 100 requests can be in one batch\n"};
  for (std::size_t i = 0; i < requests->size(); ++i)
    if (auto error = read_input((*requests)[i], index_path("requests", i), result))
      return *error;
  return result;
}

/// Answers with the vectors, in the order of the inputs.
reply answer_embeddings(const exchange& incoming, const embed_request& request, bool is_batch) {
  auto answer = speech().new_reply(incoming);
  answer.is_paced = true;
  answer.prompt_tokens = request.prompt_tokens;
  answer.body = is_batch ? R"({"embeddings":[)" : R"({"embedding":)";
  for (const auto& each : request.inputs) {
    answer.body += &each == &request.inputs.front() ? R"({"values":)" : R"(,{"values":)";
    append_json(answer.body, embedding_of(each.text, hash(request.model, incoming.settings.seed), each.dimensions));
    answer.body += '}';
  }
  answer.body += is_batch ? "]" : "";
  answer.body += R"(,"usageMetadata":{"promptTokenCount":)" + std::to_string(request.prompt_tokens) + "}}";
  return answer;
}

} // namespace

reply embed_contents(const exchange& incoming, std::string_view model, bool is_batch) {
  return judge(
    incoming, speech(), [&] { return read_request(incoming, model, is_batch); },
    [&](const auto& request) { return answer_embeddings(incoming, request, is_batch); });
}

} // namespace modelforge::simulator::gemini
