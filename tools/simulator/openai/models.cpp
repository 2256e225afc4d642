#include "tools/simulator/openai/openai.hpp"

#include "tools/simulator/text.hpp"

namespace modelforge::simulator::openai {

namespace {

constexpr int64_t models_created = 1'750'000'000;
constexpr std::string_view models[] = {"sim-mini", "sim-large", "sim-reasoning",
                                       "sim-embedding"}; ///< What the list shows.

/// Appends a model's description.
void append_model(std::string& out, std::string_view id) {
  out += R"({"id":)";
  append_json(out, id);
  out += R"(,"object":"model","created":)";
  append_number(out, models_created);
  out += R"(,"owned_by":"modelforge-simulator"})";
}

} // namespace

reply list_models(const exchange& incoming) {
  if (auto error = speech().check_key(incoming))
    return error_reply(speech(), incoming, *error);
  auto answer = speech().new_reply(incoming);
  for (auto model : models) {
    answer.body += answer.body.empty() ? R"({"object":"list","data":[)" : ",";
    append_model(answer.body, model);
  }
  answer.body += "]}";
  return answer;
}

reply show_model(const exchange& incoming) {
  if (auto error = speech().check_key(incoming))
    return error_reply(speech(), incoming, *error);
  auto id = incoming.path.substr(incoming.path.rfind('/') + 1);
  if (id.starts_with("missing"))
    return error_reply(speech(), incoming,
                       {404, "The model '" + std::string(id) + "' does not exist", "model", "model_not_found"});
  auto answer = speech().new_reply(incoming);
  append_model(answer.body, id);
  return answer;
}

} // namespace modelforge::simulator::openai
