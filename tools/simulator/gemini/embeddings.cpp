#include "tools/simulator/embedding.hpp"
#include "tools/simulator/gemini/fields.hpp"
#include "tools/simulator/gemini/gemini.hpp"

namespace modelforge::simulator::gemini {

namespace {

constexpr std::size_t most_requests = 100;
constexpr uint32_t usual_dimensions = 3072;
constexpr std::string_view embedding_fields[] = {"model", "content", "taskType", "title", "outputDimensionality"};
constexpr std::string_view batch_fields[] = {"requests"};

struct input {
  std::string text;
  uint32_t dimensions = usual_dimensions;
};

struct embed_request {
  std::string_view model;
  std::vector<input> inputs;
  uint32_t prompt_tokens = 0;
  std::optional<uint32_t> max_tokens = {};
  bool is_stream = false;
};

std::optional<api_error> read_input(const json& x, const std::string& path, embed_request& to) {
  auto where = path.empty() ? path : path + ".";
  if (!x.is_object())
    return wrong_type(path, "type.googleapis.com/google.ai.generativelanguage.v1beta.EmbedContentRequest", x);
  if (auto error = unknown_field(x, path, embedding_fields))
    return error;
  auto model = field(x, "model");
  if (!path.empty() && (!model || *model != "models/" + std::string(to.model)))
    return api_error{400, "* BatchEmbedContentsRequest." + where + "model: must be \"models/" + std::string(to.model)
                            + "\", as in the path\n"};
  auto content = field(x, "content");
  auto parts = content && content->is_object() ? field(*content, "parts") : nullptr;
  input made;
  if (parts && !parts->is_array())
    return wrong_type(where + "content.parts", "a list", *parts);
  for (std::size_t i = 0; parts && i < parts->size(); ++i) {
    auto text = (*parts)[i].is_object() ? member((*parts)[i], "text") : nullptr;
    if (!text || !text->is_string())
      return api_error{400, "* EmbedContentRequest." + where + "content." + at("parts", i)
                              + ": only text can be embedded\n"};
    made.text += text->get_ref<const std::string&>();
  }
  if (made.text.empty())
    return api_error{400, "* EmbedContentRequest." + where + "content: content is empty\n"};
  if (auto dimensions = field(x, "outputDimensionality")) {
    if (!dimensions->is_number_unsigned() || *dimensions < 1 || *dimensions > usual_dimensions)
      return api_error{400, "* EmbedContentRequest." + where + "output_dimensionality: must be from 1 to 3072\n"};
    made.dimensions = dimensions->get<uint32_t>();
  }
  to.prompt_tokens += simulator::count_tokens(made.text);
  to.inputs.push_back(std::move(made));
  return std::nullopt;
}

std::variant<embed_request, api_error> read_request(const exchange& x, std::string_view model, bool is_batch) {
  if (model.starts_with("missing"))
    return missing_model(model, is_batch ? "batchEmbedContents" : "embedContent");
  auto parsed = parse_object(x.body);
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
  if (requests->size() > most_requests)
    return api_error{400, "* BatchEmbedContentsRequest.requests: at most 100 requests can be in one batch\n"};
  for (std::size_t i = 0; i < requests->size(); ++i)
    if (auto error = read_input((*requests)[i], at("requests", i), result))
      return *error;
  return result;
}

reply answer_embeddings(const exchange& x, const embed_request& request, bool is_batch) {
  auto answer = speech().new_reply(x);
  answer.is_paced = true;
  answer.prompt_tokens = request.prompt_tokens;
  answer.body = is_batch ? R"({"embeddings":[)" : R"({"embedding":)";
  for (const auto& each : request.inputs) {
    answer.body += &each == &request.inputs.front() ? R"({"values":)" : R"(,{"values":)";
    append_json(answer.body, embedding_of(each.text, hash(request.model, x.settings.seed), each.dimensions));
    answer.body += '}';
  }
  answer.body += is_batch ? "]" : "";
  answer.body += R"(,"usageMetadata":{"promptTokenCount":)" + std::to_string(request.prompt_tokens) + "}}";
  return answer;
}

} // namespace

reply embed_contents(const exchange& x, std::string_view model, bool is_batch) {
  return judge(
    x, speech(), [&] { return read_request(x, model, is_batch); },
    [&](const auto& request) { return answer_embeddings(x, request, is_batch); });
}

} // namespace modelforge::simulator::gemini
