#include "tools/simulator/embedding.hpp"

#include "tools/simulator/body_reader.hpp"
#include "tools/simulator/openai/openai.hpp"

#include <algorithm>

namespace modelforge::simulator::openai {

namespace {

constexpr std::size_t max_inputs = 2'048;
constexpr uint32_t max_input_tokens = 8'192;
constexpr uint32_t max_request_tokens = 300'000;
constexpr uint32_t usual_dimensions = 1'536;
constexpr uint32_t max_dimensions = 3'072;

/// A checked request.
struct embedding_request {
  std::string model;
  std::vector<std::string> inputs; ///< A list of tokens as its JSON.
  uint32_t dimensions = usual_dimensions;
  uint32_t prompt_tokens = 0;
  std::optional<uint32_t> max_tokens = {};
  bool is_stream = false;
  bool is_base64 = false;
};

/// Returns whether a client sent tokens in place of a text.
bool is_token_list(const json& list) {
  return list.is_array() && !list.empty()
         && std::all_of(list.begin(), list.end(), [](const auto& element) { return element.is_number_unsigned(); });
}

/// Adds one text or list of tokens.
std::optional<api_error> add_input(embedding_request& result, const json& input) {
  if (!input.is_string() && !is_token_list(input))
    return api_error{400, "'$.input' is invalid. Please check the API reference: "
                          "https://platform.openai.com/docs/api-reference."};
  if (input == "")
    return api_error{400, "Invalid 'input': input cannot be an empty string.", "input"};
  auto text = input.is_string() ? input.get<std::string>() : input.dump();
  auto tokens = input.is_string() ? count_tokens(text) : static_cast<uint32_t>(input.size());
  if (tokens > max_input_tokens)
    return api_error{400, "This model's maximum context length is 8192 tokens, however you requested "
                            + std::to_string(tokens) + " tokens. Please reduce your prompt."};
  result.prompt_tokens += tokens;
  result.inputs.push_back(std::move(text));
  return std::nullopt;
}

/// Reads the member `input`: one text or a list of them.
std::optional<api_error> read_inputs(embedding_request& result, const json& body) {
  auto input = member(body, "input");
  if (!input)
    return api_error{400, "Missing required parameter: 'input'.", "input", "missing_required_parameter"};
  if (!input->is_array() || is_token_list(*input))
    return add_input(result, *input);
  if (input->empty() || input->size() > max_inputs)
    return api_error{400,
                     "Invalid 'input': expected an array with length 1 to 2048, but got an array with length "
                       + std::to_string(input->size()) + " instead.",
                     "input"};
  for (const auto& each : *input)
    if (auto error = add_input(result, each))
      return error;
  if (result.prompt_tokens > max_request_tokens)
    return api_error{400, "Invalid 'input': maximum request size is 300000 tokens per request.", "input",
                     "max_tokens_per_request"};
  return std::nullopt;
}

/// Reads the body; unknown members are errors.
std::variant<embedding_request, api_error> read_request(const exchange& incoming) {
  static constexpr std::string_view known[] = {"model", "input", "encoding_format", "dimensions", "user"};
  auto parsed = parse_object(incoming.body);
  if (auto problem = std::get_if<std::string>(&parsed))
    return api_error{400, *problem};
  const auto& body = std::get<json>(parsed);
  for (const auto& [name, value] : body.items())
    if (std::find(std::begin(known), std::end(known), name) == std::end(known))
      return api_error{400, "Unrecognized request argument supplied: " + name};
  auto model = member(body, "model");
  if (!model || !model->is_string() || *model == "")
    return api_error{400, "you must provide a model parameter"};
  if (model->get_ref<const std::string&>().starts_with("missing"))
    return api_error{404,
                     "The model `" + model->get<std::string>() + "` does not exist or you do not have access to it.",
                     "", "model_not_found"};
  embedding_request result{model->get<std::string>(), {}};
  auto format = member(body, "encoding_format");
  result.is_base64 = format && *format == "base64";
  if (format && !result.is_base64 && *format != "float")
    return api_error{400, "Invalid value: " + format->dump() + ". Supported values are: 'float' and 'base64'.",
                     "encoding_format", "invalid_value"};
  if (auto dimensions = member(body, "dimensions")) {
    if (!dimensions->is_number_unsigned() || *dimensions < 1 || *dimensions > max_dimensions)
      return api_error{400, "Invalid 'dimensions': expected an integer from 1 to 3072.", "dimensions"};
    result.dimensions = dimensions->get<uint32_t>();
  }
  if (auto error = read_inputs(result, body))
    return *error;
  return result;
}

/// Answers with the vectors, in the order of the inputs.
reply answer_embeddings(const exchange& incoming, const embedding_request& request) {
  auto answer = speech().new_reply(incoming);
  answer.is_paced = true;
  answer.prompt_tokens = request.prompt_tokens;
  auto& text = answer.body = R"({"object":"list","data":[)";
  for (std::size_t i = 0; i < request.inputs.size(); ++i) {
    auto vector = embedding_of(request.inputs[i], hash(request.model, incoming.settings.seed), request.dimensions);
    text += i == 0 ? "" : ",";
    text += R"({"object":"embedding","index":)" + std::to_string(i) + R"(,"embedding":)";
    if (request.is_base64)
      append_json(text, base64_of(vector));
    else
      append_json(text, vector);
    text += '}';
  }
  append_json(text += R"(],"model":)", request.model);
  auto count = std::to_string(request.prompt_tokens);
  text += R"(,"usage":{"prompt_tokens":)" + count + R"(,"total_tokens":)" + count + "}}";
  return answer;
}

} // namespace

reply embeddings(const exchange& incoming) {
  return judge(
    incoming, speech(), [&] { return read_request(incoming); },
    [&](const auto& request) { return answer_embeddings(incoming, request); });
}

} // namespace modelforge::simulator::openai
