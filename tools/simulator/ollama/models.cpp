#include "tools/simulator/ollama/chat_request.hpp"
#include "tools/simulator/ollama/ollama.hpp"
#include "tools/simulator/random.hpp"

namespace modelforge::simulator::ollama {

namespace {

constexpr std::string_view models[] = {"sim-mini:8b", "sim-thinking:32b", "sim-embed:latest"}; ///< What the list shows.
constexpr auto modified = "2026-05-01T00:00:00Z";

/// Returns what is alike in all models.
json details() {
  return {{"parent_model", ""},       {"format", "gguf"},
          {"family", "sim"},          {"families", json::array({"sim"})},
          {"parameter_size", "8.0B"}, {"quantization_level", "Q4_K_M"}};
}

/// Returns a model as the lists have it; the digest follows from the name.
json entry(std::string_view name) {
  auto number = hash(name, 0);
  return {{"name", name},
          {"model", name},
          {"size", 4'900'000'000},
          {"digest", hex(number) + hex(mix(number)) + hex(~number) + hex(mix(~number))},
          {"details", details()}};
}

/// Answers with that object, if the key is right.
reply json_reply(const exchange& incoming, const json& body) {
  if (auto error = speech().check_key(incoming))
    return error_reply(speech(), incoming, *error);
  auto answer = speech().new_reply(incoming);
  answer.body = body.dump();
  return answer;
}

} // namespace

reply list_models(const exchange& incoming) {
  auto list = json::array();
  for (auto name : models) {
    list.push_back(entry(name));
    list.back()["modified_at"] = modified;
  }
  return json_reply(incoming, {{"models", list}});
}

reply list_running(const exchange& incoming) {
  auto one = entry(models[0]);
  one["expires_at"] = "2318-09-01T00:00:00Z"; // it stays loaded
  one["size_vram"] = one["size"];
  one["context_length"] = incoming.settings.context_tokens;
  return json_reply(incoming, {{"models", json::array({one})}});
}

reply show_model(const exchange& incoming) {
  auto body = read_body(incoming);
  if (auto error = std::get_if<api_error>(&body))
    return error_reply(speech(), incoming, *error);
  json info = {{"general.architecture", "sim"}, {"sim.context_length", incoming.settings.context_tokens}};
  return json_reply(incoming, {{"modelfile", ""},
                               {"parameters", ""},
                               {"template", "{{ .Prompt }}"},
                               {"details", details()},
                               {"model_info", info},
                               {"capabilities", {"completion", "tools", "thinking", "vision", "embedding"}},
                               {"modified_at", modified}});
}

reply show_version(const exchange& incoming) {
  return json_reply(incoming, {{"version", "0.30.0"}});
}

} // namespace modelforge::simulator::ollama
