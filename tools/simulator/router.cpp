#include "tools/simulator/router.hpp"

#include "tools/simulator/openai.hpp"
#include "tools/simulator/stats.hpp"

namespace modelforge::simulator {

namespace {

struct endpoint {
  std::string_view method;
  std::string_view path; ///< A final '/' stands for everything below.
  reply (*answer)(const exchange& x, stats_book& book);
};

constexpr endpoint endpoints[] = {
  {"POST", "/v1/chat/completions", [](const exchange& x, stats_book&) { return openai::chat_completions(x); }},
  {"GET", "/v1/models", [](const exchange& x, stats_book&) { return openai::list_models(x); }},
  {"GET", "/v1/models/", [](const exchange& x, stats_book&) { return openai::show_model(x); }},
  {"GET", "/__simulator/stats",
   [](const exchange&, stats_book& book) {
     reply answer;
     answer.body = to_json(book.snapshot());
     return answer;
   }},
  {"POST", "/__simulator/reset",
   [](const exchange&, stats_book& book) {
     book.reset();
     reply answer;
     answer.body = "{}";
     return answer;
   }},
};

bool matches(std::string_view pattern, std::string_view path) {
  return pattern.back() == '/' ? path.size() > pattern.size() && path.starts_with(pattern) : path == pattern;
}

} // namespace

reply route(const exchange& x, stats_book& book) {
  std::string allowed;
  for (const auto& e : endpoints) {
    if (!matches(e.path, x.path))
      continue;
    if (e.method == x.method)
      return e.answer(x, book);
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
