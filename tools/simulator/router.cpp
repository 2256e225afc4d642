#include "tools/simulator/router.hpp"

#include "tools/simulator/control.hpp"
#include "tools/simulator/openai.hpp"

namespace modelforge::simulator {

namespace {

struct endpoint {
  std::string_view method;
  std::string_view path; ///< A final '/' stands for everything below.
  reply (*answer)(const exchange& x, hub& shared);
};

constexpr endpoint endpoints[] = {
  {"POST", "/v1/chat/completions", [](const exchange& x, hub&) { return openai::chat_completions(x); }},
  {"GET", "/v1/models", [](const exchange& x, hub&) { return openai::list_models(x); }},
  {"GET", "/v1/models/", [](const exchange& x, hub&) { return openai::show_model(x); }},
  {"GET", "/__simulator/stats", control::show_stats},
  {"POST", "/__simulator/reset", control::reset_stats},
  {"POST", "/__simulator/configure", control::configure},
  {"GET", "/__simulator/faults/", control::show_attempts},
};

bool matches(std::string_view pattern, std::string_view path) {
  return pattern.back() == '/' ? path.size() > pattern.size() && path.starts_with(pattern) : path == pattern;
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
  if (allowed.empty() || x.method == "HEAD")
    return openai::unknown_path(x);
  return openai::wrong_method(x, allowed);
}

reply refuse(const exchange& x, int status, std::string message) {
  return openai::error_reply(x, {status, std::move(message)});
}

} // namespace modelforge::simulator
