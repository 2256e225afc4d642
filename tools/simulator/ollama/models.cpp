#include "tools/simulator/ollama/chat_request.hpp"
#include "tools/simulator/ollama/ollama.hpp"
#include "tools/simulator/random.hpp"

namespace modelforge::simulator::ollama {

namespace {

constexpr std::string_view models[] = {"sim-mini:8b", "sim-thinking:32b", "sim-embed:latest"}; ///< What the list shows.
constexpr auto modified = "2026-05-01T00:00:00Z";

json details() {
  return {{"parent_model", ""},       {"format", "gguf"},
          {"family", "sim"},          {"families", json::array({"sim"})},
          {"parameter_size", "8.0B"}, {"quantization_level", "Q4_K_M"}};
}

json entry(std::string_view name) {
  auto number = hash(name, 0);
  return {{"name", name},
          {"model", name},
          {"size", 4'900'000'000},
          {"digest", hex(number) + hex(mix(number)) + hex(~number) + hex(mix(~number))},
          {"details", details()}};
}

reply json_reply(const exchange& x, const json& body) {
  if (auto error = speech().check_key(x))
    return error_reply(speech(), x, *error);
  auto answer = speech().new_reply(x);
  answer.body = body.dump();
  return answer;
}

} // namespace

reply list_models(const exchange& x) {
  auto list = json::array();
  for (auto name : models) {
    list.push_back(entry(name));
    list.back()["modified_at"] = modified;
  }
  return json_reply(x, {{"models", list}});
}

reply list_running(const exchange& x) {
  auto one = entry(models[0]);
  one["expires_at"] = "2318-09-01T00:00:00Z"; // it stays loaded
  one["size_vram"] = one["size"];
  one["context_length"] = x.settings.context_tokens;
  return json_reply(x, {{"models", json::array({one})}});
}

reply show_model(const exchange& x) {
  auto body = read_body(x);
  if (auto error = std::get_if<api_error>(&body))
    return error_reply(speech(), x, *error);
  json info = {{"general.architecture", "sim"}, {"sim.context_length", x.settings.context_tokens}};
  return json_reply(x, {{"modelfile", ""},
                        {"parameters", ""},
                        {"template", "{{ .Prompt }}"},
                        {"details", details()},
                        {"model_info", info},
                        {"capabilities", {"completion", "tools", "thinking", "vision", "embedding"}},
                        {"modified_at", modified}});
}

reply show_version(const exchange& x) {
  return json_reply(x, {{"version", "0.30.0"}});
}

} // namespace modelforge::simulator::ollama
