#include "tools/simulator/gemini/gemini.hpp"
#include "tools/simulator/text.hpp"

namespace modelforge::simulator::gemini {

namespace {

constexpr std::string_view models[] = {"gemini-sim-pro", "gemini-sim-flash",
                                       "gemini-sim-embedding"}; ///< What the list shows.

/// Appends a model's description; the methods follow from its name.
void append_model(std::string& out, std::string_view id, const options& settings) {
  out += R"({"name":)";
  append_json(out, "models/" + std::string(id));
  out += R"(,"version":"1","displayName":)";
  append_json(out, id);
  out += R"(,"inputTokenLimit":)";
  append_number(out, settings.context_tokens);
  out += R"(,"outputTokenLimit":65536,"supportedGenerationMethods":[)";
  out += id.ends_with("embedding") ? R"("embedContent","batchEmbedContents"]})"
                                   : R"("generateContent","streamGenerateContent","countTokens"]})";
}

} // namespace

reply list_models(const exchange& incoming) {
  if (auto error = speech().check_key(incoming))
    return error_reply(speech(), incoming, *error);
  auto answer = speech().new_reply(incoming);
  for (auto model : models) {
    answer.body += answer.body.empty() ? R"({"models":[)" : ",";
    append_model(answer.body, model, incoming.settings);
  }
  answer.body += "]}";
  return answer;
}

reply show_model(const exchange& incoming) {
  if (auto error = speech().check_key(incoming))
    return error_reply(speech(), incoming, *error);
  auto id = incoming.path.substr(incoming.path.rfind('/') + 1);
  if (id.starts_with("missing"))
    return error_reply(speech(), incoming, missing_model(id, "GetModel"));
  auto answer = speech().new_reply(incoming);
  append_model(answer.body, id, incoming.settings);
  return answer;
}

} // namespace modelforge::simulator::gemini
