#include "tests/wire/hear.hpp"
#include "wire/anthropic/anthropic.hpp"

#include <functional>

namespace modelforge::anthropic_test {

using namespace modelforge::test;
using namespace std::chrono_literals;

namespace {

chat_request hello() {
  chat_request x;
  x.model = "claude-demo-5";
  x.messages = {text_message(role::user, "Hi")};
  x.sampling.max_tokens = 4000;
  return x;
}

encoded_request encoded(const chat_request& x, bool stream = false) {
  auto result = anthropic::messages_api().encode(x, stream);
  if (auto* problem = std::get_if<failure>(&result))
    FAIL(problem->message);
  return std::get<encoded_request>(result);
}

nlohmann::json body_of(const chat_request& x, bool stream = false) {
  return nlohmann::json::parse(encoded(x, stream).body);
}

completion good(std::string_view body) {
  auto result = anthropic::messages_api().decode({200, {}}, body);
  if (auto* problem = std::get_if<failure>(&result))
    FAIL(problem->message);
  return std::get<completion>(result);
}

std::string message(std::string_view content, std::string_view more) {
  return R"({"id":"msg_1","type":"message","role":"assistant","model":"claude-demo-5","content":[)"
         + std::string{content} + "]," + std::string{more} + "}";
}

} // namespace

TEST_CASE("anthropic requests have the form that the provider documents", "[wire][anthropic]") {
  auto x = hello();
  x.messages = {text_message(role::system, "Be \"brief\"."),
                {role::user,
                 {text_part{"What is it?"}, image_part{"https://example.com/a.png", "", "", ""},
                  image_part{"", "image/png", "iVBORw0KGgo=", ""}},
                 ""},
                {role::assistant,
                 {reasoning_part{"hm", "anthropic:c2ln"}, reasoning_part{"", "anthropic:redacted:ZGF0YQ=="},
                  text_part{"Let me look."}, tool_call{"c1", "look", R"({"at":"it"})"}, tool_call{"c2", "wait", ""}},
                 ""},
                {role::tool, {tool_result{"c1", "a cat"}}, ""},
                {role::tool, {tool_result{"c2", "no", true}}, ""},
                text_message(role::user, "So?")};
  x.tools = {{"look", "Looks", R"({"type":"object","additionalProperties":false})", true}, {"wait", "", "", false}};
  x.tool_choice = {tool_mode::automatic, "", false};
  x.sampling.stop = {"END"};
  x.response_format = {response_kind::json_schema, "reply", R"({"type":"object"})", true};
  x.extra = R"({"metadata":{"user_id":"u"},"output_config":{"more":1}})";
  auto result = encoded(x, true);
  CHECK(result.path == "/v1/messages");
  CHECK(result.warnings.empty());
  CHECK(nlohmann::json::parse(result.body) == nlohmann::json::parse(R"({
    "model":"claude-demo-5","max_tokens":4000,"stream":true,
    "system":[{"type":"text","text":"Be \"brief\"."}],
    "messages":[
      {"role":"user","content":[{"type":"text","text":"What is it?"},
        {"type":"image","source":{"type":"url","url":"https://example.com/a.png"}},
        {"type":"image","source":{"type":"base64","media_type":"image/png","data":"iVBORw0KGgo="}}]},
      {"role":"assistant","content":[{"type":"thinking","thinking":"hm","signature":"c2ln"},
        {"type":"redacted_thinking","data":"ZGF0YQ=="},{"type":"text","text":"Let me look."},
        {"type":"tool_use","id":"c1","name":"look","input":{"at":"it"}},
        {"type":"tool_use","id":"c2","name":"wait","input":{}}]},
      {"role":"user","content":[{"type":"tool_result","tool_use_id":"c1","content":"a cat"},
        {"type":"tool_result","tool_use_id":"c2","content":"no","is_error":true}]},
      {"role":"user","content":[{"type":"text","text":"So?"}]}],
    "tools":[{"name":"look","description":"Looks","input_schema":{"type":"object","additionalProperties":false},"strict":true},
      {"name":"wait","input_schema":{"type":"object"}}],
    "tool_choice":{"type":"auto","disable_parallel_tool_use":true},
    "stop_sequences":["END"],
    "output_config":{"format":{"type":"json_schema","schema":{"type":"object"}},"more":1},
    "metadata":{"user_id":"u"}})"));
  CHECK(anthropic::messages_api().headers() == std::vector<http::header>{{"anthropic-version", "2023-06-01"}});
  CHECK(anthropic::messages_api().authorize("k") == http::header{"x-api-key", "k"});
}

TEST_CASE("each field of a request has its place in anthropic's", "[wire][anthropic]") {
  struct {
    std::function<void(chat_request&)> change;
    std::string_view where, expected;
  } table[] = {
    {[](auto& x) { x.sampling.temperature = 0.5; }, "/temperature", "0.5"},
    {[](auto& x) { x.sampling.top_p = 0.5; }, "/top_p", "0.5"},
    {[](auto& x) { x.sampling.top_k = 7; }, "/top_k", "7"},
    {[](auto& x) { x.sampling.reasoning_effort = "low"; }, "/thinking",
     R"({"type":"adaptive","display":"summarized"})"},
    {[](auto& x) { x.sampling.reasoning_effort = "max"; }, "/output_config", R"({"effort":"max"})"},
    {[](auto& x) { x.sampling.reasoning_effort = "none"; }, "/thinking", R"({"type":"disabled"})"},
    {[](auto& x) { x.sampling.reasoning_budget = 0; }, "/thinking", R"({"type":"disabled"})"},
    {[](auto& x) {
       x.model = "claude-sonnet-4-5";
       x.sampling.reasoning_effort = "low";
     },
     "/thinking", R"({"type":"enabled","budget_tokens":1024})"},
    {[](auto& x) {
       x.model = "claude-opus-4-6";
       x.sampling.reasoning_budget = 2000;
     },
     "/thinking", R"({"type":"enabled","budget_tokens":2000})"},
    {[](auto& x) {
       x.model = "claude-opus-4-6";
       x.sampling.reasoning_effort = "high";
     },
     "/output_config/effort", R"("high")"},
    {[](auto& x) { x.sampling.max_tokens.reset(); }, "/max_tokens", "8192"},
    {[](auto& x) {
       x.model = "claude-3-haiku-20240307";
       x.sampling.max_tokens.reset();
     },
     "/max_tokens", "4096"},
    {[](auto& x) {
       x.model = "claude-sonnet-4-5";
       x.sampling.max_tokens.reset();
       x.sampling.reasoning_budget = 2000;
     },
     "/max_tokens", "10192"},
    {[](auto& x) {
       x.tools = {{"f", "", "", false}};
       x.tool_choice.mode = tool_mode::none;
     },
     "/tool_choice", R"({"type":"none"})"},
    {[](auto& x) {
       x.tools = {{"f", "", "", false}};
       x.tool_choice = {tool_mode::required, "", false};
     },
     "/tool_choice", R"({"type":"any","disable_parallel_tool_use":true})"},
    {[](auto& x) {
       x.tools = {{"f", "", "", false}};
       x.tool_choice = {tool_mode::named, "f", {}};
     },
     "/tool_choice", R"({"type":"tool","name":"f"})"},
    {[](auto& x) { x.messages.insert(x.messages.begin(), text_message(role::developer, "D")); }, "/system",
     R"([{"type":"text","text":"D"}])"},
    {[](auto& x) { x.messages[0].content.insert(x.messages[0].content.begin(), text_part{""}); }, "/messages/0/content",
     R"([{"type":"text","text":"Hi"}])"},
    {[](auto& x) { x.messages[0].content.push_back(text_part{" \n"}); }, "/messages/0/content",
     R"([{"type":"text","text":"Hi"}])"},
    {[](auto& x) {
       x.messages.push_back({role::assistant, {tool_call{"functions.f:0", "f", ""}}, ""});
     },
     "/messages/1/content/0/id", R"("functions_46f_580")"},
    {[](auto& x) {
       x.messages.push_back({role::tool, {tool_result{"functions.f:0", "r"}}, ""});
     },
     "/messages/1/content/0/tool_use_id", R"("functions_46f_580")"},
    {[](auto& x) { x.extra = R"({"max_tokens":5})"; }, "/max_tokens", "5"},
  };
  for (auto& row : table) {
    auto x = hello();
    row.change(x);
    auto body = body_of(x);
    CAPTURE(row.expected, body.dump());
    CHECK(body.at(nlohmann::json::json_pointer{std::string{row.where}}) == nlohmann::json::parse(row.expected));
  }
}

TEST_CASE("what anthropic ignores is told", "[wire][anthropic]") {
  struct {
    std::function<void(chat_request&)> change;
    std::string_view warning;
  } table[] = {
    {[](auto& x) { x.sampling.max_tokens.reset(); }, "sampling.max_tokens: anthropic needs one; 8192"},
    {[](auto& x) { x.messages[0].name = "ada"; }, "messages[0].name"},
    {[](auto& x) { x.tool_choice.mode = tool_mode::none; }, "tool_choice: "},
    {[](auto& x) { x.tool_choice.parallel = false; }, "tool_choice: "},
    {[](auto& x) { x.messages.push_back(text_message(role::system, "late")); }, "messages[1].role"},
    {[](auto& x) {
       x.messages[0].content.push_back(image_part{"https://x.test/a.png", "", "", "low"});
     },
     "messages[0].content[1].detail"},
    {[](auto& x) {
       x.messages.push_back({role::assistant, {reasoning_part{"hm", "gemini:c2ln"}, text_part{"a"}}, ""});
     },
     "messages[1].content[0].text"},
    {[](auto& x) {
       x.model = "claude-sonnet-4-5";
       x.sampling.reasoning_budget = 1024;
       x.sampling.reasoning_effort = "low";
     },
     "sampling.reasoning_effort"},
  };
  for (auto& row : table) {
    auto x = hello();
    row.change(x);
    auto result = encoded(x);
    CAPTURE(row.warning);
    REQUIRE(result.warnings.size() == 1);
    CHECK(result.warnings[0].starts_with(row.warning));
    CHECK(result.body.find("c2ln") == std::string::npos);
  }
}

TEST_CASE("what cannot be sent to anthropic is refused by the field's name", "[wire][anthropic]") {
  const std::string bad_text = "a\xFFz";
  struct {
    std::function<void(chat_request&)> change;
    std::string_view field;
    errc code = errc::invalid_request;
  } table[] = {
    {[](auto& x) { x.model.clear(); }, "model "},
    {[](auto& x) { x.messages.clear(); }, "messages "},
    {[](auto& x) { x.messages[0].role = role::system; }, "messages "},
    {[](auto& x) { x.messages[0].content.clear(); }, "messages[0].content "},
    {[&](auto& x) { x.messages[0] = text_message(role::user, bad_text); }, "messages[0].content[0].text "},
    {[](auto& x) {
       x.messages[0].content = {tool_call{"a", "f", "{}"}};
     },
     "messages[0].content[0] "},
    {[](auto& x) {
       x.messages[0] = {role::assistant, {tool_call{"", "f", "{}"}}, ""};
     },
     "messages[0].content[0].id "},
    {[](auto& x) {
       x.messages[0] = {role::assistant, {tool_call{"a", "", "{}"}}, ""};
     },
     "messages[0].content[0].name "},
    {[](auto& x) {
       x.messages[0] = {role::assistant, {tool_call{"a", "f", "[]"}}, ""};
     },
     "messages[0].content[0].arguments "},
    {[](auto& x) {
       x.messages[0].content = {tool_result{"a", "b"}};
     },
     "messages[0].content[0] "},
    {[](auto& x) {
       x.messages[0] = {role::tool, {tool_result{"", "b"}}, ""};
     },
     "messages[0].content[0].call_id "},
    {[](auto& x) {
       x.messages[0] = {role::tool, {text_part{"b"}}, ""};
     },
     "messages[0].content[0] "},
    {[](auto& x) {
       x.messages[0] = {role::assistant, {reasoning_part{"hm", ""}}, ""};
     },
     "messages[0].content "},
    {[](auto& x) { x.messages[0].content = {image_part{}}; }, "messages[0].content[0] "},
    {[](auto& x) {
       x.messages[0].content = {image_part{"", "", "AAAA", ""}};
     },
     "messages[0].content[0].media_type "},
    {[](auto& x) { x.sampling.temperature = 1.5; }, "sampling.temperature "},
    {[](auto& x) { x.sampling.temperature = x.sampling.top_p = 0.5; }, "sampling.top_p "},
    {[](auto& x) { x.sampling.seed = 1; }, "sampling.seed ", errc::unsupported},
    {[](auto& x) { x.sampling.frequency_penalty = 1; }, "sampling.frequency_penalty ", errc::unsupported},
    {[](auto& x) { x.sampling.presence_penalty = 1; }, "sampling.presence_penalty ", errc::unsupported},
    {[](auto& x) { x.sampling.reasoning_budget = 2000; }, "sampling.reasoning_budget ", errc::unsupported},
    {[](auto& x) {
       x.model = "claude-sonnet-4-5";
       x.sampling.reasoning_budget = 1023;
     },
     "sampling.reasoning_budget "},
    {[](auto& x) {
       x.model = "claude-sonnet-4-5";
       x.sampling.reasoning_budget = 4000;
     },
     "sampling.max_tokens "},
    {[](auto& x) {
       x.model = "claude-sonnet-4-5";
       x.sampling.reasoning_effort = "max";
     },
     "sampling.reasoning_effort ", errc::unsupported},
    {[](auto& x) { x.sampling.reasoning_effort = "minimal"; }, "sampling.reasoning_effort ", errc::unsupported},
    {[](auto& x) {
       x.sampling.reasoning_effort = "low";
       x.sampling.temperature = 0.5;
     },
     "sampling.temperature "},
    {[](auto& x) {
       x.sampling.reasoning_effort = "low";
       x.sampling.top_k = 5;
     },
     "sampling.top_k "},
    {[](auto& x) {
       x.sampling.reasoning_effort = "low";
       x.sampling.top_p = 0.9;
     },
     "sampling.top_p "},
    {[](auto& x) {
       x.model = "claude-sonnet-4-5";
       x.sampling.reasoning_effort = "low";
       x.tool_choice.mode = tool_mode::required;
     },
     "tool_choice.mode "},
    {[](auto& x) {
       x.tools = {{"f", "", "", false}};
       x.sampling.reasoning_effort = "low";
       x.tool_choice = {tool_mode::named, "f", {}};
     },
     "tool_choice.mode "},
    {[](auto& x) { x.tool_choice.mode = tool_mode::required; }, "tool_choice.mode "},
    {[](auto& x) {
       x.sampling.stop = {"a", "\n"};
     },
     "sampling.stop "},
    {[](auto& x) { x.messages[0] = text_message(role::user, " \n"); }, "messages[0].content "},
    {[](auto& x) { x.response_format.kind = response_kind::json_object; }, "response_format.kind ", errc::unsupported},
    {[](auto& x) {
       x.response_format = {response_kind::json_schema, "", "{", true};
     },
     "response_format.schema "},
    {[](auto& x) {
       x.tools = {{"", "", "", false}};
     },
     "tools[0].name "},
    {[](auto& x) {
       x.tools = {{"f", "", "7", false}};
     },
     "tools[0].parameters "},
    {[](auto& x) {
       x.tools = {{"f", "", "", false}};
       x.tool_choice.mode = tool_mode::named;
     },
     "tool_choice.name "},
    {[](auto& x) { x.extra = "[]"; }, "extra "},
  };
  for (auto& row : table) {
    auto x = hello();
    row.change(x);
    auto result = anthropic::messages_api().encode(x, false);
    CAPTURE(row.field);
    REQUIRE(std::holds_alternative<failure>(result));
    auto& problem = std::get<failure>(result);
    CAPTURE(problem.message);
    CHECK(problem.message.starts_with(row.field));
    CHECK(problem.code == row.code);
  }
}

TEST_CASE("marks for anthropic's cache go where they are, the last four of them", "[wire][anthropic]") {
  auto x = hello();
  x.tools = {{"f", "", "", false, true}};
  x.messages = {{role::system, {text_part{"S", true}}, ""},
                {role::user, {text_part{"", true}, text_part{"U", true}}, ""},
                {role::assistant, {tool_call{"c", "f", "{}"}}, ""},
                {role::tool, {tool_result{"c", "r", false, true}}, ""}};
  auto marks = [](const nlohmann::json& body) {
    std::string found;
    for (auto* where : {"/tools/0", "/system/0", "/messages/0/content/0", "/messages/2/content/0"})
      found += body.at(nlohmann::json::json_pointer{where}).contains("cache_control") ? 'x' : '-';
    return found;
  };
  CHECK(marks(body_of(x)) == "xxxx");
  CHECK(body_of(x)["tools"][0]["cache_control"] == nlohmann::json{{"type", "ephemeral"}});
  CHECK(encoded(x).warnings.empty());
  x.cache_ttl = 5min;
  CHECK(body_of(x)["system"][0]["cache_control"] == nlohmann::json{{"type", "ephemeral"}});
  x.cache_ttl = 301s;
  CHECK(body_of(x)["system"][0]["cache_control"] == nlohmann::json{{"type", "ephemeral"}, {"ttl", "1h"}});
  x.messages.push_back({role::user, {image_part{"https://x.test/a", "", "", "", true}}, ""});
  CHECK(marks(body_of(x)) == "-xxx");
  CHECK(body_of(x)["messages"][3]["content"][0].contains("cache_control"));
  REQUIRE(encoded(x).warnings.size() == 1);
  CHECK(encoded(x).warnings[0].find("of 5 the last four") != std::string::npos);
}

TEST_CASE("a typical anthropic answer is read whole, and goes back as it came", "[wire][anthropic]") {
  auto x = good(message(
    R"({"type":"thinking","thinking":"Short check.","signature":"c2ln"},{"type":"text","text":"Let me look."},
       {"type":"tool_use","id":"toolu_demo1","name":"get_weather","input":{"city": "Oslo"}})",
    R"("stop_reason":"tool_use","stop_sequence":null,"usage":{"input_tokens":21,"cache_creation_input_tokens":0,
       "cache_read_input_tokens":2048,"cache_creation":{"ephemeral_5m_input_tokens":0,"ephemeral_1h_input_tokens":0},
       "output_tokens":64,"output_tokens_details":{"thinking_tokens":18},"service_tier":"standard"})"));
  completion expected;
  expected.text = "Let me look.";
  expected.reasoning = {{"Short check.", "anthropic:c2ln"}};
  expected.tool_calls = {{"toolu_demo1", "get_weather", R"({"city": "Oslo"})"}};
  expected.finish_reason = finish_reason::tool_calls;
  expected.raw_finish_reason = "tool_use";
  expected.usage = token_usage{2069, 64, 2048, 0, 18};
  expected.model = "claude-demo-5";
  expected.provider_request_id = "msg_1";
  CHECK(x == expected);
  auto next = hello();
  next.messages.push_back(turn_of(x));
  CHECK(body_of(next)["messages"][1]["content"]
        == nlohmann::json::parse(
          R"([{"type":"thinking","thinking":"Short check.","signature":"c2ln"},{"type":"text","text":"Let me look."},
              {"type":"tool_use","id":"toolu_demo1","name":"get_weather","input":{"city":"Oslo"}}])"));
}

} // namespace modelforge::anthropic_test
