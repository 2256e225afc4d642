#include "wire/anthropic/anthropic.hpp"

#include <catch2/catch_test_macros.hpp>
#include <nlohmann/json.hpp>

#include <algorithm>

namespace modelforge::anthropic_models_test {

using namespace modelforge::wire;

namespace {

chat_request ask(std::string_view model) {
  chat_request x;
  x.model = model;
  x.messages = {text_message(role::user, "Hi")};
  return x;
}

/// What is sent as `thinking` and as the effort; of a refusal the field, in brackets.
std::string thinking_of(const chat_request& x) {
  auto result = anthropic::messages_api().encode(x, false);
  if (auto* problem = std::get_if<failure>(&result)) {
    CHECK(problem->code == errc::unsupported);
    return "[" + problem->message.substr(0, problem->message.find(' ')) + "]";
  }
  auto body = nlohmann::json::parse(std::get<encoded_request>(result).body);
  auto effort = body.value("/output_config/effort"_json_pointer, "");
  if (!body.contains("thinking"))
    return effort;
  auto& thinking = body["thinking"];
  auto text = thinking["type"].get<std::string>();
  if (thinking.contains("budget_tokens"))
    text += " " + thinking["budget_tokens"].dump();
  if (thinking.contains("display"))
    text += " " + thinking["display"].get<std::string>();
  return text + (effort.empty() ? "" : " " + effort);
}

const std::string_view models[] = {"claude-3-haiku-20240307",
                                   "claude-3-5-haiku-latest",
                                   "claude-3-7-sonnet-latest",
                                   "claude-opus-4-20250514",
                                   "claude-sonnet-4-0",
                                   "claude-opus-4-1",
                                   "claude-haiku-4-5",
                                   "claude-sonnet-4-5-20250929",
                                   "claude-opus-4-5-20251101",
                                   "claude-sonnet-4-6",
                                   "claude-opus-4-7",
                                   "claude-opus-4-8",
                                   "claude-opus-5",
                                   "claude-sonnet-5",
                                   "claude-fable-5",
                                   "claude-mythos-5",
                                   "claude-brand-new-9"};

bool is_among(std::string_view model, std::initializer_list<std::string_view> parts) {
  return std::any_of(parts.begin(), parts.end(), [&](auto part) { return model.find(part) != model.npos; });
}

bool has_no_thinking(std::string_view model) {
  return is_among(model, {"claude-3-haiku", "claude-3-5"});
}

bool has_budgets(std::string_view model) {
  return is_among(model, {"claude-3-7", "-4-2025", "-4-0", "-4-1", "-4-5"});
}

} // namespace

TEST_CASE("each anthropic model is asked to think in its own way", "[wire][anthropic]") {
  for (auto model : models) {
    CAPTURE(model);
    auto takes_both = is_among(model, {"-4-6"});
    auto cannot_stop = is_among(model, {"fable", "mythos"});
    auto x = ask(model);
    CHECK(thinking_of(x).empty());
    x.sampling.reasoning_effort = "high";
    CHECK(thinking_of(x)
          == (has_no_thinking(model) ? "[sampling.reasoning_effort]"
              : has_budgets(model)   ? "enabled 16384"
              : takes_both           ? "adaptive high"
                                     : "adaptive summarized high"));
    x.sampling.reasoning_effort = "xhigh";
    CHECK(thinking_of(x)
          == (has_no_thinking(model) || has_budgets(model) || takes_both ? "[sampling.reasoning_effort]"
                                                                         : "adaptive summarized xhigh"));
    x.sampling.reasoning_effort = "none";
    CHECK(thinking_of(x) == (has_no_thinking(model) ? "" : cannot_stop ? "[sampling.reasoning_effort]" : "disabled"));
    x.sampling.reasoning_effort.clear();
    x.sampling.reasoning_budget = 2000;
    CHECK(thinking_of(x) == (has_budgets(model) || takes_both ? "enabled 2000" : "[sampling.reasoning_budget]"));
  }
}

TEST_CASE("no default for max_tokens is more than an anthropic model writes", "[wire][anthropic]") {
  for (auto model : models)
    for (auto* effort : {"", "low", "medium", "high", "max"}) {
      auto x = ask(model);
      x.sampling.reasoning_effort = effort;
      auto result = anthropic::messages_api().encode(x, false);
      if (std::holds_alternative<failure>(result))
        continue;
      CAPTURE(model, effort);
      auto most = nlohmann::json::parse(std::get<encoded_request>(result).body)["max_tokens"].get<uint32_t>();
      auto written = is_among(model, {"claude-3-haiku"})                        ? 4096u
                     : is_among(model, {"claude-3-5"})                          ? 8192u
                     : is_among(model, {"opus-4-2025", "opus-4-0", "opus-4-1"}) ? 32000u
                                                                                : 64000u;
      CHECK(most <= written);
      CHECK(most >= 4096);
    }
}

TEST_CASE("only a whole anthropic answer may have no tokens", "[wire][anthropic]") {
  auto x = ask("claude-demo-5");
  x.sampling.max_tokens = 0;
  CHECK(std::holds_alternative<encoded_request>(anthropic::messages_api().encode(x, false)));
  auto result = anthropic::messages_api().encode(x, true);
  REQUIRE(std::holds_alternative<failure>(result));
  CHECK(std::get<failure>(result).message.starts_with("sampling.max_tokens "));
}

TEST_CASE("anthropic models without sampling refuse what is not the default", "[wire][anthropic]") {
  struct {
    std::string_view field;
    void (*change)(sampling&);
    bool is_default = false;
  } table[] = {
    {"temperature", [](sampling& x) { x.temperature = 0; }},
    {"temperature", [](sampling& x) { x.temperature = 1; }, true},
    {"top_p", [](sampling& x) { x.top_p = 0.5; }},
    {"top_p", [](sampling& x) { x.top_p = 1; }, true},
    {"top_k", [](sampling& x) { x.top_k = 5; }},
  };
  for (auto model : models)
    for (auto& row : table) {
      auto has_none = is_among(model, {"-4-7", "-4-8", "opus-5", "sonnet-5", "fable", "mythos"});
      auto x = ask(model);
      row.change(x.sampling);
      auto result = anthropic::messages_api().encode(x, false);
      CAPTURE(model, row.field, row.is_default);
      auto* problem = std::get_if<failure>(&result);
      CHECK((problem != nullptr) == (has_none && !row.is_default));
      if (problem != nullptr)
        CHECK(problem->message.starts_with("sampling." + std::string{row.field} + " "));
      else
        CHECK(nlohmann::json::parse(std::get<encoded_request>(result).body).contains(row.field) != has_none);
    }
}

TEST_CASE("an anthropic model with a budget does not think on behind another's calls", "[wire][anthropic]") {
  struct {
    std::string_view model, signature;
    std::vector<chat_message> behind;
    bool thinks;
  } table[] = {
    {"claude-sonnet-4-5", "anthropic:c2ln", {}, true},
    {"claude-sonnet-4-5", "anthropic:redacted:c2ln", {}, true},
    {"claude-sonnet-4-5", "gemini:c2ln", {}, false},
    {"claude-sonnet-4-5", "", {}, false},
    {"claude-sonnet-4-5", "", {text_message(role::system, "S")}, false},
    {"claude-sonnet-4-5", "", {text_message(role::user, "So?")}, true},
    {"claude-sonnet-4-6", "", {}, true},
  };
  for (auto& row : table) {
    CAPTURE(row.model, row.signature, row.behind.size());
    auto x = ask(row.model);
    x.sampling.max_tokens = 9000;
    x.sampling.reasoning_effort = "medium";
    x.messages.push_back(
      {role::assistant, {reasoning_part{"hm", std::string{row.signature}}, tool_call{"c", "f", "{}"}}, ""});
    x.messages.push_back({role::tool, {tool_result{"c", "r"}}, ""});
    x.messages.insert(x.messages.end(), row.behind.begin(), row.behind.end());
    auto result = std::get<encoded_request>(anthropic::messages_api().encode(x, false));
    CHECK(nlohmann::json::parse(result.body).contains("thinking") == row.thinks);
    CHECK(
      std::any_of(result.warnings.begin(), result.warnings.end(), [](auto& y) { return y.starts_with("messages: "); })
      != row.thinks);
  }
}

} // namespace modelforge::anthropic_models_test
