#include "tools/simulator/body_reader.hpp"
#include "tools/simulator/embedding.hpp"
#include "tools/simulator/ollama/chat_request.hpp"
#include "tools/simulator/ollama/ollama.hpp"

namespace modelforge::simulator::ollama {

namespace {

constexpr uint32_t usual_dimensions = 768;
constexpr uint32_t max_dimensions = 8'192;

/// A checked request; the last three members are what `judge` asks of every request.
struct embed_request {
  std::string model;
  std::vector<std::string> inputs;
  uint32_t dimensions = usual_dimensions;
  uint32_t prompt_tokens = 0;
  std::optional<uint32_t> max_tokens = {};
  bool is_stream = false;
};

/// Adds one text; `truncates`: one of more than `max_tokens` is cut, not refused.
std::optional<api_error> add_input(embed_request& result, const json& input, bool truncates, uint32_t max_tokens) {
  if (!input.is_string())
    return api_error{400, "invalid input type"};
  auto text = input.get<std::string>();
  auto tokens = count_tokens(text);
  if (tokens > max_tokens && !truncates)
    return api_error{400, "the input length exceeds the context length"};
  result.prompt_tokens += std::min(tokens, max_tokens);
  result.inputs.push_back(std::move(text));
  return std::nullopt;
}

/// Reads the body; the input is one text or a list, in the member of that name.
std::variant<embed_request, api_error> read_request(const exchange& incoming, std::string_view name) {
  auto parsed = read_body(incoming);
  if (auto error = std::get_if<api_error>(&parsed))
    return *error;
  const auto& body = std::get<json>(parsed);
  if (auto problem = problem_with_keep_alive(body))
    return *problem;
  embed_request result{body.at("model").get<std::string>(), {}};
  auto truncates = member(body, "truncate");
  if (auto dimensions = member(body, "dimensions")) {
    if (!dimensions->is_number_unsigned() || *dimensions < 1 || *dimensions > max_dimensions)
      return api_error{400, "dimensions must be from 1 to 8192"};
    result.dimensions = dimensions->get<uint32_t>();
  }
  auto input = member(body, name);
  auto list = input && input->is_array() ? *input : json::array();
  if (input && !input->is_array())
    list.push_back(*input);
  for (const auto& each : list)
    if (auto error = add_input(result, each, !truncates || *truncates != false, incoming.settings.context_tokens))
      return *error;
  return result;
}

/// Answers with the vectors, in the order of the inputs; the durations are made up.
reply answer_embeddings(const exchange& incoming, const embed_request& request) {
  auto answer = speech().new_reply(incoming);
  answer.is_paced = true;
  answer.prompt_tokens = request.prompt_tokens;
  append_json(answer.body = R"({"model":)", request.model);
  answer.body += R"(,"embeddings":[)";
  for (const auto& each : request.inputs) {
    answer.body += &each == &request.inputs.front() ? "" : ",";
    append_json(answer.body, embedding_of(each, hash(request.model, incoming.settings.seed), request.dimensions));
  }
  answer.body += R"(],"total_duration":14000000,"load_duration":1000000,"prompt_eval_count":)";
  answer.body += std::to_string(request.prompt_tokens) + "}";
  return answer;
}

/// Answers with one vector; without a text it is empty.
reply answer_embedding(const exchange& incoming, const embed_request& request) {
  auto answer = speech().new_reply(incoming);
  answer.is_paced = true;
  answer.prompt_tokens = request.prompt_tokens;
  std::vector<float> vector;
  if (!request.inputs.empty() && !request.inputs.front().empty())
    vector = embedding_of(request.inputs.front(), hash(request.model, incoming.settings.seed), usual_dimensions);
  append_json(answer.body = R"({"embedding":)", vector);
  answer.body += '}';
  return answer;
}

} // namespace

reply embed(const exchange& incoming) {
  return judge(
    incoming, speech(), [&] { return read_request(incoming, "input"); },
    [&](const auto& request) { return answer_embeddings(incoming, request); });
}

reply embed_one(const exchange& incoming) {
  return judge(
    incoming, speech(), [&] { return read_request(incoming, "prompt"); },
    [&](const auto& request) { return answer_embedding(incoming, request); });
}

} // namespace modelforge::simulator::ollama
