#include "tools/simulator/router.hpp"

#include "tools/simulator/anthropic/anthropic.hpp"
#include "tools/simulator/anthropic/batches.hpp"
#include "tools/simulator/control.hpp"
#include "tools/simulator/gemini/gemini.hpp"
#include "tools/simulator/ollama/ollama.hpp"
#include "tools/simulator/openai/batches.hpp"
#include "tools/simulator/openai/openai.hpp"

#include <algorithm>

namespace modelforge::simulator {

namespace {

/// One row of the table of endpoints.
struct endpoint {
  std::string_view method;
  std::string_view path; ///< A final '/' stands for everything below.
  reply (*answer)(const exchange& incoming, hub& shared);
};

/// Turns a function of the exchange alone into an endpoint's.
template <reply (*Answer)(const exchange&)>
reply plain(const exchange& incoming, hub&) {
  return Answer(incoming);
}

/// All but Ollama list their models at the same place; the headers show which one is meant.
template <reply (*Openai)(const exchange&), reply (*Anthropic)(const exchange&), reply (*Gemini)(const exchange&)>
reply by_headers(const exchange& incoming, hub&) {
  return !incoming.anthropic_version.empty() ? Anthropic(incoming)
         : !incoming.x_goog_api_key.empty()  ? Gemini(incoming)
                                             : Openai(incoming);
}

/// The first row of that path and method answers; those of the path alone name the allowed methods.
constexpr endpoint endpoints[] = {
  {"POST", "/v1/chat/completions", plain<openai::chat_completions>},
  {"POST", "/v1/responses", plain<openai::responses>},
  {"POST", "/v1/responses/input_tokens", plain<openai::count_input>},
  {"POST", "/v1/embeddings", plain<openai::embeddings>},
  {"POST", "/v1/files", openai::upload_file},
  {"GET", "/v1/files", openai::list_files},
  {"GET", "/v1/files/", openai::show_file},
  {"DELETE", "/v1/files/", openai::delete_file},
  {"POST", "/v1/batches", openai::create_batch},
  {"GET", "/v1/batches", openai::list_batches},
  {"GET", "/v1/batches/", openai::show_batch},
  {"POST", "/v1/batches/", openai::cancel_batch},
  {"GET", "/v1/models", by_headers<openai::list_models, anthropic::list_models, gemini::list_models>},
  {"GET", "/v1/models/", by_headers<openai::show_model, anthropic::show_model, gemini::show_model>},
  {"POST", "/v1/models/", plain<gemini::call_method>},
  {"POST", "/v1/messages", plain<anthropic::messages>},
  {"POST", "/v1/messages/count_tokens", plain<anthropic::count_prompt>},
  {"POST", "/v1/messages/batches", anthropic::create_batch},
  {"GET", "/v1/messages/batches", anthropic::list_batches},
  {"GET", "/v1/messages/batches/", anthropic::show_batch},
  {"POST", "/v1/messages/batches/", anthropic::cancel_batch},
  {"DELETE", "/v1/messages/batches/", anthropic::delete_batch},
  {"GET", "/v1beta/models", plain<gemini::list_models>},
  {"GET", "/v1beta/models/", plain<gemini::show_model>},
  {"POST", "/v1beta/models/", plain<gemini::call_method>},
  {"POST", "/api/chat", plain<ollama::chat>},
  {"POST", "/api/embed", plain<ollama::embed>},
  {"POST", "/api/embeddings", plain<ollama::embed_one>},
  {"POST", "/api/show", plain<ollama::show_model>},
  {"GET", "/api/tags", plain<ollama::list_models>},
  {"GET", "/api/ps", plain<ollama::list_running>},
  {"GET", "/api/version", plain<ollama::show_version>},
  {"GET", "/__simulator/stats", control::show_stats},
  {"POST", "/__simulator/reset", control::reset_stats},
  {"POST", "/__simulator/configure", control::configure},
  {"GET", "/__simulator/faults/", control::show_attempts},
};

/// Returns whether `path` is the endpoint's, or lies below it where the pattern ends in '/'.
bool matches(std::string_view pattern, std::string_view path) {
  return pattern.back() == '/' ? path.size() > pattern.size() && path.starts_with(pattern) : path == pattern;
}

/// By the path; where that says nothing, or several have it, by the headers.
const language& language_of(const exchange& incoming) {
  if (incoming.path.starts_with("/v1/messages") || !incoming.anthropic_version.empty())
    return anthropic::speech();
  if (incoming.path.starts_with("/v1beta/") || !incoming.x_goog_api_key.empty())
    return gemini::speech();
  return incoming.path.starts_with("/api/") ? ollama::speech() : openai::speech();
}

/// Returns the 404 of the provider that the path or the headers belong to, in OpenAI's words.
reply unknown_path(const exchange& incoming) {
  return error_reply(language_of(incoming), incoming,
                     {404,
                      "Unknown request URL: " + std::string(incoming.method) + " " + std::string(incoming.path)
                        + ". Please check the URL for typos.",
                      "", "unknown_url"});
}

/// Returns a 405 with the header Allow; `allowed` lists the methods with commas between.
reply wrong_method(const exchange& incoming, const std::string& allowed) {
  auto answer = error_reply(language_of(incoming), incoming,
                            {405,
                             "Not allowed to " + std::string(incoming.method) + " on " + std::string(incoming.path)
                               + " (HINT: Perhaps you meant to make your HTTP request using " + allowed + "?)",
                             "", "method_not_supported"});
  append_header(answer.headers, "allow", allowed);
  return answer;
}

/// The model that an Azure path names by its deployment; empty where it names none.
std::string_view deployment_in(std::string_view path) {
  constexpr std::string_view before = "/openai/deployments/";
  return path.starts_with(before) ? path.substr(before.size(), path.find('/', before.size()) - before.size())
                                  : std::string_view{};
}

/// Azure's clients name the deployment in the path, and need no model in the body: returns a body that has one. What is
/// no object stays as it is.
std::string with_model(std::string_view body, std::string_view model) {
  auto parsed = json::parse(body, nullptr, false);
  if (!parsed.is_object() || (parsed.contains("model") && !parsed["model"].is_null()))
    return std::string{body};
  parsed["model"] = model;
  return parsed.dump(-1, ' ', false, json::error_handler_t::replace);
}

/// Azure has OpenAI's API at other paths: /openai/v1/..., or the older /openai/... and /openai/deployments/MODEL/...
/// with a version. Returns OpenAI's; empty where Azure has none.
std::string_view without_azure(const exchange& incoming) {
  auto path = incoming.path.substr(std::string_view{"/openai"}.size());
  if (path.starts_with("/v1/"))
    return path;
  if (!incoming.query.starts_with("api-version=") && incoming.query.find("&api-version=") == incoming.query.npos)
    return {};
  constexpr std::string_view deployments = "/deployments/";
  auto in_deployment = path.starts_with(deployments);
  if (in_deployment)
    path = path.substr(std::min(path.find('/', deployments.size()), path.size()));
  constexpr std::string_view old[] = {"/v1/chat/completions", "/v1/embeddings", "/v1/responses", "/v1/models"};
  for (auto each : old)
    if (path == each.substr(3) && in_deployment == (each == old[0] || each == old[1]))
      return each;
  return {};
}

} // namespace

reply route(const exchange& asked, hub& shared) {
  auto incoming = asked;
  std::string body;
  if (incoming.path.starts_with("/openai/")) {
    incoming.path = without_azure(incoming);
    if (auto model = deployment_in(asked.path); !model.empty() && !incoming.path.empty())
      incoming.body = body = with_model(asked.body, model);
  }
  std::string allowed;
  for (const auto& e : endpoints) {
    if (!matches(e.path, incoming.path))
      continue;
    if (e.method == incoming.method)
      return e.answer(incoming, shared);
    allowed.append(allowed.empty() ? "" : ", ").append(e.method);
  }
  return allowed.empty() || incoming.method == "HEAD" ? unknown_path(asked) : wrong_method(asked, allowed);
}

reply refuse(const exchange& incoming, int status, std::string message) {
  return error_reply(language_of(incoming), incoming, {status, std::move(message)});
}

} // namespace modelforge::simulator
