#include "tests/actors/live_provider.hpp"
#include "tools/simulator/simulator.hpp"

#include <modelforge/actors/text_stream.hpp>

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <nlohmann/json.hpp>

#include <string>
#include <variant>
#include <vector>

namespace modelforge::cross_provider_test {

// One conversation through every provider's language and back: what comes back must be the same thing in our words.

namespace {

struct speaker {
  std::string name;
  provider_settings settings;
};

std::vector<speaker> speakers(const std::string& url) {
  struct {
    std::string name;
    provider_kind kind;
    std::string path;
    std::string model;
    provider_api api = provider_api::chat;
    std::string version{};
  } table[] = {
    {"openai", provider_kind::openai, "/v1", "sim-large"},
    {"openai, Responses", provider_kind::openai, "/v1", "sim-large", provider_api::responses},
    {"openai_compatible", provider_kind::openai_compatible, "/v1", "sim-large"},
    {"azure", provider_kind::azure, "", "sim-large"},
    {"azure, Responses", provider_kind::azure, "", "sim-large", provider_api::responses},
    {"azure, older API", provider_kind::azure, "", "sim-large", provider_api::chat, "2024-10-21"},
    {"anthropic", provider_kind::anthropic, "", "claude-sim-large"},
    {"gemini", provider_kind::gemini, "/v1beta", "gemini-sim-large"},
    {"ollama", provider_kind::ollama, "", "sim-large"},
  };
  std::vector<speaker> result;
  for (auto& row : table) {
    auto x = test::live_provider::settings_for(url);
    x.name = "main";
    x.kind = row.kind;
    x.api = row.api;
    x.base_url = url + row.path;
    x.api_version = row.version;
    x.default_model = row.model;
    result.push_back({row.name, std::move(x)});
  }
  return result;
}

using ending = std::variant<completion, failure>;

ending chat(test::live_provider& to, const chat_request& x) {
  caf::scoped_actor self{to.system()};
  ending result;
  self->request(*to, std::chrono::seconds{20}, x)
    .receive([&](completion& y) { result = std::move(y); }, [&](const caf::error& y) { result = failure_of(y); });
  return result;
}

ending stream(test::live_provider& to, const chat_request& x) {
  stream_options options;
  options.whole_text = true;
  auto running = stream_text(to.system(), *to, x, std::move(options));
  auto how = running.wait();
  if (auto* bad = std::get_if<stream_failed>(&how))
    return std::move(bad->why);
  return std::get<stream_done>(how).result;
}

const completion& good(const ending& x) {
  if (auto* bad = std::get_if<failure>(&x))
    FAIL(to_string(*bad) << " " << bad->provider_message);
  return std::get<completion>(x);
}

/// What must be the same whoever was asked: calls without their names, the end, whether anything was counted or
/// thought.
struct neutral {
  std::vector<std::string> calls;
  finish_reason end;
  bool counted;
  bool has_sum;
  std::vector<std::string> warnings;

  friend bool operator==(const neutral&, const neutral&) = default;
};

std::ostream& operator<<(std::ostream& to, const neutral& x) {
  for (auto& call : x.calls)
    to << call << "; ";
  for (auto& warning : x.warnings)
    to << "warning: " << warning << "; ";
  return to << to_string(x.end) << (x.counted ? ", counted" : "") << (x.has_sum ? ", has the sum" : "");
}

neutral in_our_words(const completion& x) {
  neutral result{{}, x.finish_reason, x.usage && x.usage->input > 0 && x.usage->output > 0, false, x.warnings};
  for (auto& call : x.tool_calls)
    result.calls.push_back(call.name + nlohmann::json::parse(call.arguments).dump());
  result.has_sum = x.text.find("42") != std::string::npos;
  return result;
}

/// A picture of one white point, as PNG.
constexpr auto picture =
  "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8/5+hHgAHggJ/PchI7wAAAABJRU5ErkJggg==";

chat_request question() {
  chat_request x;
  x.messages.push_back(text_message(role::system, "You help travellers."));
  x.messages.push_back({role::user, {text_part{"What is the weather in Oslo, as in this picture?"}, {}}, {}});
  x.messages.back().content[1] = image_part{{}, "image/png", picture, {}};
  x.tools.push_back({"get_weather", "Tells the weather of a city.",
                     R"({"type":"object","properties":{"city":{"type":"string"}},"required":["city"]})"});
  x.tools.push_back({"get_time", "Tells the time.", R"({"type":"object","properties":{}})"});
  x.tool_choice = {tool_mode::automatic, {}, {}};
  x.sampling.max_tokens = 2'000;
  return x;
}

/// The results of the calls, and a question whose answer can be told from all others.
void answer_calls(chat_request& x, const completion& to) {
  x.messages.push_back(turn_of(to));
  chat_message results{role::tool, {}, {}};
  for (auto& call : to.tool_calls)
    results.content.push_back(tool_result{call.id, R"({"sky":"clear"})"});
  x.messages.push_back(std::move(results));
  x.messages.push_back(text_message(role::user, "Good. What is 12 + 30?"));
}

} // namespace

TEST_CASE("a conversation with tools and an image is the same with every provider", "[actors][providers]") {
  simulator::server server{simulator::options{}};
  auto effort = GENERATE("", "medium"); // what was thought goes back as the provider sealed it, or it is refused
  CAPTURE(effort);
  std::vector<neutral> calls, answers;
  for (auto& each : speakers(server.url())) {
    INFO(each.name);
    test::live_provider provider{each.settings};
    auto request = question();
    request.sampling.reasoning_effort = effort;
    auto first = good(chat(provider, request));
    CHECK(in_our_words(good(stream(provider, request))) == in_our_words(first));
    calls.push_back(in_our_words(first));
    CHECK(calls.back() == calls.front());
    REQUIRE_FALSE(first.tool_calls.empty());
    answer_calls(request, first);
    request.tool_choice.mode = tool_mode::none;
    auto second = good(chat(provider, request));
    auto streamed = good(stream(provider, request));
    CHECK(streamed.text == second.text);
    CHECK(streamed.reasoning.size() == second.reasoning.size());
    answers.push_back(in_our_words(second));
    CHECK(answers.back() == answers.front());
  }
  CHECK(calls.front() == neutral{{R"(get_weather{"city":"Oslo"})"}, finish_reason::tool_calls, true, false, {}});
  CHECK(answers.front() == neutral{{}, finish_reason::stop, true, true, {}});
}

} // namespace modelforge::cross_provider_test
