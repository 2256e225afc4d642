/// A model that calls functions of this program: it asks for the weather, is told, and goes on until it needs no more.
///
/// Runs without a key: a simulated provider is started inside this program.

#include <modelforge/actors/runtime.hpp>

#include "tools/simulator/simulator.hpp"

#include <cstdio>
#include <string>
#include <utility>

using namespace modelforge;

namespace {

/// What the model may call. The schema says what the arguments look like.
tool_definition weather_tool() {
  tool_definition x;
  x.name = "get_weather";
  x.description = "Tells the weather in a city now.";
  x.parameters = R"({"type":"object","properties":{"city":{"type":"string"}},"required":["city"]})";
  return x;
}

/// The host's own function. An error is an answer too: the model can try something else.
tool_result call(const tool_call& x) {
  if (x.name != "get_weather")
    return {x.id, "there is no function " + x.name, true};
  return {x.id, R"({"temperature_celsius":17,"sky":"clear"})"};
}

/// Each round is a request; a model that never stops calling is stopped.
expected<completion> converse(runtime& ai, chat_request x) {
  constexpr auto max_rounds = 5;
  for (auto round = 1; round <= max_rounds; ++round) {
    auto answer = ai.chat(x);
    if (!answer || answer->tool_calls.empty())
      return answer;
    x.messages.push_back(turn_of(*answer)); // what it thought, said and called
    chat_message results;
    results.role = role::tool;
    for (auto& each : answer->tool_calls) {
      auto result = call(each);
      std::printf("%s(%s) -> %s\n", each.name.c_str(), each.arguments.c_str(), result.content.c_str());
      results.content.emplace_back(std::move(result));
    }
    x.messages.push_back(std::move(results));
  }
  return make_failure(errc::invalid_request, "the model still calls functions after 5 rounds");
}

} // namespace

int main() {
  simulator::server simulator{{}};
  settings settings;
  auto& demo = settings.providers.emplace_back();
  demo.name = "demo";
  demo.kind = provider_kind::openai_compatible;
  demo.base_url = simulator.url() + "/v1";
  demo.default_model = "simulated-mini";
  runtime ai{settings};

  chat_request request;
  request.messages.push_back(text_message(role::user, "What is the weather in Oslo?"));
  request.tools.push_back(weather_tool());
  auto answer = converse(ai, std::move(request));
  if (!answer) {
    std::fprintf(stderr, "%s\n", to_string(answer.error()).c_str());
    return 1;
  }
  std::printf("%s\n", answer->text.c_str());
  return 0;
}
