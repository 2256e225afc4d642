#include "tools/simulator/body_reader.hpp"
#include "tools/simulator/embedding.hpp"
#include "tools/simulator/ollama/chat_request.hpp"
#include "tools/simulator/ollama/ollama.hpp"

namespace modelforge::simulator::ollama {

namespace {

constexpr uint32_t usual_dimensions = 768;
constexpr uint32_t most_dimensions = 8'192;

struct embed_request {
  std::string model;
  std::vector<std::string> inputs;
  uint32_t dimensions = usual_dimensions;
  uint32_t prompt_tokens = 0;
  std::optional<uint32_t> max_tokens = {};
  bool is_stream = false;
};

std::optional<api_error> add_input(embed_request& to, const json& x, bool truncates, uint32_t most) {
  if (!x.is_string())
    return api_error{400, "invalid input type"};
  auto text = x.get<std::string>();
  auto tokens = count_tokens(text);
  if (tokens > most && !truncates)
    return api_error{400, "the input length exceeds the context length"};
  to.prompt_tokens += std::min(tokens, most);
  to.inputs.push_back(std::move(text));
  return std::nullopt;
}

std::variant<embed_request, api_error> read_request(const exchange& x) {
  auto parsed = read_body(x);
  if (auto error = std::get_if<api_error>(&parsed))
    return *error;
  const auto& body = std::get<json>(parsed);
  if (auto problem = problem_with_keep_alive(body))
    return *problem;
  embed_request result{body.at("model").get<std::string>(), {}};
  auto truncates = member(body, "truncate");
  if (auto dimensions = member(body, "dimensions")) {
    if (!dimensions->is_number_unsigned() || *dimensions < 1 || *dimensions > most_dimensions)
      return api_error{400, "dimensions must be from 1 to 8192"};
    result.dimensions = dimensions->get<uint32_t>();
  }
  auto input = member(body, "input");
  auto list = input && input->is_array() ? *input : json::array();
  if (input && !input->is_array())
    list.push_back(*input);
  for (const auto& each : list)
    if (auto error = add_input(result, each, !truncates || *truncates != false, x.settings.context_tokens))
      return *error;
  return result;
}

reply answer_embeddings(const exchange& x, const embed_request& request) {
  auto answer = speech().new_reply(x);
  answer.is_paced = true;
  answer.prompt_tokens = request.prompt_tokens;
  append_json(answer.body = R"({"model":)", request.model);
  answer.body += R"(,"embeddings":[)";
  for (const auto& each : request.inputs) {
    answer.body += &each == &request.inputs.front() ? "" : ",";
    append_json(answer.body, embedding_of(each, hash(request.model, x.settings.seed), request.dimensions));
  }
  answer.body += R"(],"total_duration":14000000,"load_duration":1000000,"prompt_eval_count":)";
  answer.body += std::to_string(request.prompt_tokens) + "}";
  return answer;
}

} // namespace

reply embed(const exchange& x) {
  return judge(
    x, speech(), [&] { return read_request(x); }, [&](const auto& request) { return answer_embeddings(x, request); });
}

} // namespace modelforge::simulator::ollama
