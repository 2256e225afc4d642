#include "tools/simulator/openai/openai.hpp"

#include "tools/simulator/text.hpp"

namespace modelforge::simulator::openai {

namespace {

constexpr int64_t models_created = 1'750'000'000;
constexpr std::string_view models[] = {"sim-mini", "sim-large", "sim-reasoning",
                                       "sim-embedding"}; ///< What the list shows.

void append_model(std::string& out, std::string_view id) {
  out += R"({"id":)";
  append_json(out, id);
  out += R"(,"object":"model","created":)";
  append_number(out, models_created);
  out += R"(,"owned_by":"modelforge-simulator"})";
}

} // namespace

reply list_models(const exchange& x) {
  if (auto error = speech().check_key(x))
    return error_reply(speech(), x, *error);
  auto answer = speech().new_reply(x);
  for (auto model : models) {
    answer.body += answer.body.empty() ? R"({"object":"list","data":[)" : ",";
    append_model(answer.body, model);
  }
  answer.body += "]}";
  return answer;
}

reply show_model(const exchange& x) {
  if (auto error = speech().check_key(x))
    return error_reply(speech(), x, *error);
  auto id = x.path.substr(x.path.rfind('/') + 1);
  if (id.starts_with("missing"))
    return error_reply(speech(), x,
                       {404, "The model '" + std::string(id) + "' does not exist", "model", "model_not_found"});
  auto answer = speech().new_reply(x);
  append_model(answer.body, id);
  return answer;
}

} // namespace modelforge::simulator::openai
