#include "tools/simulator/anthropic/anthropic.hpp"

#include "tools/simulator/text.hpp"

namespace modelforge::simulator::anthropic {

namespace {

constexpr std::string_view models[] = {"claude-sim-large", "claude-sim-mini"}; ///< What the list shows.

/// Appends a model's description; all models are alike.
void append_model(std::string& out, std::string_view id, const options& settings) {
  out += R"({"type":"model","id":)";
  append_json(out, id);
  out += R"(,"display_name":)";
  append_json(out, id);
  out += R"(,"created_at":"2026-05-01T00:00:00Z","max_input_tokens":)";
  append_number(out, settings.context_tokens);
  out += R"(,"max_tokens":64000,"capabilities":null})";
}

} // namespace

reply list_models(const exchange& incoming) {
  if (auto error = speech().check_key(incoming))
    return error_reply(speech(), incoming, *error);
  auto answer = speech().new_reply(incoming);
  for (auto model : models) {
    answer.body += answer.body.empty() ? R"({"data":[)" : ",";
    append_model(answer.body, model, incoming.settings);
  }
  answer.body.append(R"(],"has_more":false,"first_id":")").append(std::begin(models)[0]);
  answer.body.append(R"(","last_id":")").append(*std::rbegin(models)).append("\"}");
  return answer;
}

reply show_model(const exchange& incoming) {
  if (auto error = speech().check_key(incoming))
    return error_reply(speech(), incoming, *error);
  auto id = incoming.path.substr(incoming.path.rfind('/') + 1);
  if (id.starts_with("missing"))
    return error_reply(speech(), incoming, {404, "model: " + std::string(id)});
  auto answer = speech().new_reply(incoming);
  append_model(answer.body, id, incoming.settings);
  return answer;
}

} // namespace modelforge::simulator::anthropic
