#include "tools/simulator/anthropic/anthropic.hpp"

#include "tools/simulator/text.hpp"

namespace modelforge::simulator::anthropic {

namespace {

constexpr std::string_view models[] = {"claude-sim-large", "claude-sim-mini"}; ///< What the list shows.

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

reply list_models(const exchange& x) {
  if (auto error = speech().check_key(x))
    return error_reply(speech(), x, *error);
  auto answer = speech().new_reply(x);
  for (auto model : models) {
    answer.body += answer.body.empty() ? R"({"data":[)" : ",";
    append_model(answer.body, model, x.settings);
  }
  answer.body.append(R"(],"has_more":false,"first_id":")").append(std::begin(models)[0]);
  answer.body.append(R"(","last_id":")").append(*std::rbegin(models)).append("\"}");
  return answer;
}

reply show_model(const exchange& x) {
  if (auto error = speech().check_key(x))
    return error_reply(speech(), x, *error);
  auto id = x.path.substr(x.path.rfind('/') + 1);
  if (id.starts_with("missing"))
    return error_reply(speech(), x, {404, "model: " + std::string(id)});
  auto answer = speech().new_reply(x);
  append_model(answer.body, id, x.settings);
  return answer;
}

} // namespace modelforge::simulator::anthropic
