#include "tools/simulator/router.hpp"

#include "tools/simulator/anthropic/anthropic.hpp"
#include "tools/simulator/control.hpp"
#include "tools/simulator/gemini/gemini.hpp"
#include "tools/simulator/ollama/ollama.hpp"
#include "tools/simulator/openai/openai.hpp"

namespace modelforge::simulator {

namespace {

struct endpoint {
  std::string_view method;
  std::string_view path; ///< A final '/' stands for everything below.
  reply (*answer)(const exchange& x, hub& shared);
};

/// Turns a function of the exchange alone into an endpoint's.
template <reply (*Answer)(const exchange&)>
reply plain(const exchange& x, hub&) {
  return Answer(x);
}

/// All but Ollama list their models at the same place; the headers tell who is asked.
template <reply (*Openai)(const exchange&), reply (*Anthropic)(const exchange&), reply (*Gemini)(const exchange&)>
reply by_headers(const exchange& x, hub&) {
  return !x.anthropic_version.empty() ? Anthropic(x) : !x.x_goog_api_key.empty() ? Gemini(x) : Openai(x);
}

constexpr endpoint endpoints[] = {
  {"POST", "/v1/chat/completions", plain<openai::chat_completions>},
  {"POST", "/v1/responses", plain<openai::responses>},
  {"POST", "/v1/responses/input_tokens", plain<openai::count_input>},
  {"POST", "/v1/embeddings", plain<openai::embeddings>},
  {"GET", "/v1/models", by_headers<openai::list_models, anthropic::list_models, gemini::list_models>},
  {"GET", "/v1/models/", by_headers<openai::show_model, anthropic::show_model, gemini::show_model>},
  {"POST", "/v1/models/", plain<gemini::call_method>},
  {"POST", "/v1/messages", plain<anthropic::messages>},
  {"POST", "/v1/messages/count_tokens", plain<anthropic::count_prompt>},
  {"GET", "/v1beta/models", plain<gemini::list_models>},
  {"GET", "/v1beta/models/", plain<gemini::show_model>},
  {"POST", "/v1beta/models/", plain<gemini::call_method>},
  {"POST", "/api/chat", plain<ollama::chat>},
  {"POST", "/api/embed", plain<ollama::embed>},
  {"POST", "/api/show", plain<ollama::show_model>},
  {"GET", "/api/tags", plain<ollama::list_models>},
  {"GET", "/api/ps", plain<ollama::list_running>},
  {"GET", "/api/version", plain<ollama::show_version>},
  {"GET", "/__simulator/stats", control::show_stats},
  {"POST", "/__simulator/reset", control::reset_stats},
  {"POST", "/__simulator/configure", control::configure},
  {"GET", "/__simulator/faults/", control::show_attempts},
};

bool matches(std::string_view pattern, std::string_view path) {
  return pattern.back() == '/' ? path.size() > pattern.size() && path.starts_with(pattern) : path == pattern;
}

const language& language_of(const exchange& x) {
  auto is_shared = x.path.starts_with("/v1/models");
  if (x.path.starts_with("/v1/messages") || (is_shared && !x.anthropic_version.empty()))
    return anthropic::speech();
  if (x.path.starts_with("/v1beta/") || (is_shared && (!x.x_goog_api_key.empty() || x.method == "POST")))
    return gemini::speech();
  return x.path.starts_with("/api/") ? ollama::speech() : openai::speech();
}

reply unknown_path(const exchange& x) {
  return error_reply(
    language_of(x), x,
    {404,
     "Unknown request URL: " + std::string(x.method) + " " + std::string(x.path) + ". Please check the URL for typos.",
     "", "unknown_url"});
}

reply wrong_method(const exchange& x, const std::string& allowed) {
  auto answer = error_reply(language_of(x), x,
                            {405,
                             "Not allowed to " + std::string(x.method) + " on " + std::string(x.path)
                               + " (HINT: Perhaps you meant to make your HTTP request using " + allowed + "?)",
                             "", "method_not_supported"});
  append_header(answer.headers, "allow", allowed);
  return answer;
}

} // namespace

reply route(const exchange& x, hub& shared) {
  std::string allowed;
  for (const auto& e : endpoints) {
    if (!matches(e.path, x.path))
      continue;
    if (e.method == x.method)
      return e.answer(x, shared);
    allowed.append(allowed.empty() ? "" : ", ").append(e.method);
  }
  return allowed.empty() || x.method == "HEAD" ? unknown_path(x) : wrong_method(x, allowed);
}

reply refuse(const exchange& x, int status, std::string message) {
  return error_reply(language_of(x), x, {status, std::move(message)});
}

} // namespace modelforge::simulator
