#include "tests/wire/hear.hpp"
#include "wire/anthropic/anthropic.hpp"

#include <functional>

using namespace modelforge;
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
  auto result = anthropic().encode(x, stream);
  if (auto* problem = std::get_if<failure>(&result))
    FAIL(problem->message);
  return std::get<encoded_request>(result);
}

nlohmann::json body_of(const chat_request& x, bool stream = false) {
  return nlohmann::json::parse(encoded(x, stream).body);
}

answer decode(uint16_t status, std::string_view body, std::vector<http::header> headers = {}) {
  return anthropic().decode({status, std::move(headers)}, body);
}

completion good(std::string_view body) {
  auto result = decode(200, body);
  if (auto* problem = std::get_if<failure>(&result))
    FAIL(problem->message);
  return std::get<completion>(result);
}

std::string message(std::string_view content, std::string_view more) {
  return R"({"id":"msg_1","type":"message","role":"assistant","model":"claude-demo-5","content":[)"
         + std::string{content} + "]," + std::string{more} + "}";
}

std::string event(std::string_view type, std::string_view more) {
  return "event: " + std::string{type} + "\ndata: {\"type\":\"" + std::string{type} + "\"" + std::string{more}
         + "}\n\n";
}

std::string message_start(
  std::string_view usage =
    R"({"input_tokens":21,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"output_tokens":2})") {
  return event(
    "message_start",
    R"(,"message":{"id":"msg_d1","type":"message","role":"assistant","model":"claude-demo-5","content":[],"stop_reason":null,"stop_sequence":null,"usage":)"
      + std::string{usage} + "}");
}

std::string begin(int index, std::string_view block) {
  return event("content_block_start",
               R"(,"index":)" + std::to_string(index) + R"(,"content_block":)" + std::string{block});
}

std::string delta(int index, std::string_view x) {
  return event("content_block_delta", R"(,"index":)" + std::to_string(index) + R"(,"delta":)" + std::string{x});
}

std::string stop(int index) {
  return event("content_block_stop", R"(,"index":)" + std::to_string(index));
}

std::string message_delta(std::string_view reason,
                          std::string_view usage = R"({"input_tokens":21,"output_tokens":64})") {
  return event("message_delta", R"(,"delta":{"stop_reason":")" + std::string{reason}
                                  + R"(","stop_sequence":null},"usage":)" + std::string{usage});
}

const auto ping = event("ping", "");
const auto message_stop = event("message_stop", "");

std::string text_block(int index, std::string_view text) {
  return begin(index, R"({"type":"text","text":""})")
         + delta(index, R"({"type":"text_delta","text":")" + std::string{text} + "\"}") + stop(index);
}

/// The stream of the fact sheet: thinking, text, a call.
const auto thinking = message_start() + begin(0, R"({"type":"thinking","thinking":"","signature":""})") + ping
                      + delta(0, R"({"type":"thinking_delta","thinking":"Short check."})")
                      + delta(0, R"({"type":"signature_delta","signature":"c2ln"})") + stop(0)
                      + text_block(1, "Let me look.")
                      + begin(2, R"({"type":"tool_use","id":"toolu_d1","name":"get_weather","input":{}})")
                      + delta(2, R"({"type":"input_json_delta","partial_json":""})")
                      + delta(2, R"({"type":"input_json_delta","partial_json":"{\"city\": \"Os"})")
                      + delta(2, R"({"type":"input_json_delta","partial_json":"lo\"}"})") + stop(2)
                      + message_delta("tool_use") + message_stop;

const auto hidden = message_start() + begin(0, R"({"type":"redacted_thinking","data":"ZGF0YQ=="})") + stop(0)
                    + begin(1, R"({"type":"thinking","thinking":"","signature":""})")
                    + delta(1, R"({"type":"signature_delta","signature":"c2ln"})") + stop(1)
                    + begin(2, R"({"type":"tool_use","id":"toolu_1","name":"now","input":{}})") + stop(2)
                    + begin(3, R"({"type":"tool_use","id":"toolu_2","name":"f","input":{"a":1}})") + stop(3)
                    + message_delta("tool_use") + message_stop;

const auto refused = message_start() + message_delta("refusal", R"({"output_tokens":0})") + message_stop;

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
  CHECK(anthropic().headers() == std::vector<http::header>{{"anthropic-version", "2023-06-01"}});
  CHECK(anthropic().authorize("k") == http::header{"x-api-key", "k"});
}

TEST_CASE("each field of a request has its place in anthropic's", "[wire][anthropic]") {
  struct {
    std::function<void(chat_request&)> change;
    std::string_view where, expected;
  } table[] = {
    {[](auto& x) { x.sampling.temperature = 0.5; }, "/temperature", "0.5"},
    {[](auto& x) { x.sampling.top_p = 0.5; }, "/top_p", "0.5"},
    {[](auto& x) { x.sampling.top_k = 7; }, "/top_k", "7"},
    {[](auto& x) { x.sampling.reasoning_effort = "low"; }, "/thinking", R"({"type":"adaptive"})"},
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
    {[](auto& x) { x.tool_choice.mode = tool_mode::none; }, "/tool_choice", R"({"type":"none"})"},
    {[](auto& x) {
       x.tool_choice = {tool_mode::required, "", false};
     },
     "/tool_choice", R"({"type":"any","disable_parallel_tool_use":true})"},
    {[](auto& x) {
       x.tool_choice = {tool_mode::named, "f", {}};
     },
     "/tool_choice", R"({"type":"tool","name":"f"})"},
    {[](auto& x) { x.messages.insert(x.messages.begin(), text_message(role::developer, "D")); }, "/system",
     R"([{"type":"text","text":"D"}])"},
    {[](auto& x) { x.messages[0].content.insert(x.messages[0].content.begin(), text_part{""}); }, "/messages/0/content",
     R"([{"type":"text","text":"Hi"}])"},
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
       x.model = "claude-sonnet-4-5";
       x.sampling.reasoning_effort = "low";
       x.tool_choice.mode = tool_mode::required;
     },
     "tool_choice.mode "},
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
    {[](auto& x) { x.tool_choice.mode = tool_mode::named; }, "tool_choice.name "},
    {[](auto& x) { x.extra = "[]"; }, "extra "},
  };
  for (auto& row : table) {
    auto x = hello();
    row.change(x);
    auto result = anthropic().encode(x, false);
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

TEST_CASE("anthropic answers of every kind are read", "[wire][anthropic]") {
  struct {
    std::string_view content, more;
    finish_reason reason;
    std::string_view text, warning;
    std::optional<token_usage> usage;
  } table[] = {
    {R"({"type":"text","text":"a"})", R"("stop_reason":"end_turn")", finish_reason::stop, "a", "", {}},
    {R"({"type":"text","text":"a"})", R"("stop_reason":"stop_sequence")", finish_reason::stop, "a", "", {}},
    {R"({"type":"text","text":"a"})", R"("stop_reason":"max_tokens")", finish_reason::length, "a", "", {}},
    {R"({"type":"text","text":"a"})",
     R"("stop_reason":"model_context_window_exceeded")",
     finish_reason::length,
     "a",
     "",
     {}},
    {R"({"type":"text","text":"a"})", R"("stop_reason":"pause_turn")", finish_reason::paused, "a", "", {}},
    {"", R"("stop_reason":"refusal")", finish_reason::refusal, "", "", {}},
    {"",
     R"("stop_reason":"refusal","stop_details":{"explanation":"Not that."})",
     finish_reason::refusal,
     "",
     "Not that.",
     {}},
    {R"({"type":"text","text":"a"})", R"("stop_reason":"brand_new")", finish_reason::unknown, "a", "", {}},
    {R"({"type":"text","text":"a"})", R"("stop_reason":null)", finish_reason::unknown, "a", "no finish reason", {}},
    {R"({"type":"text","text":"a"},{"type":"web_search_tool_result","content":[]},{"type":"text","text":"b"})",
     R"("stop_reason":"end_turn")",
     finish_reason::stop,
     "ab",
     "web_search_tool_result",
     {}},
    {"",
     R"("stop_reason":"max_tokens","usage":{"input_tokens":0,"cache_creation_input_tokens":1500,"output_tokens":0})",
     finish_reason::length, "", "", token_usage{1500, 0, 0, 1500, 0}},
    {R"({"type":"text","text":"a"})",
     R"("stop_reason":"end_turn","usage":{"input_tokens":"many","output_tokens":null})",
     finish_reason::stop,
     "a",
     "",
     {}},
  };
  for (auto& row : table) {
    CAPTURE(row.content, row.more);
    auto x = good(message(row.content, row.more));
    CHECK(x.finish_reason == row.reason);
    CHECK(x.text == row.text);
    CHECK(x.usage == row.usage);
    CHECK(x.warnings.empty() == row.warning.empty());
    if (!row.warning.empty())
      CHECK(x.warnings.at(0).find(row.warning) != std::string::npos);
  }
}

TEST_CASE("an anthropic stream is read piece by piece", "[wire][anthropic]") {
  auto x = hear(thinking, anthropic());
  CHECK(x.said
        == std::vector<std::string>{"reasoning: Short check.", "seal: anthropic:c2ln", "text: Let me look.",
                                    "call 0: toolu_d1 get_weather", R"(arguments 0: {"city": "Os)",
                                    R"(arguments 0: lo"})"});
  CHECK(x.ended);
  CHECK(x.tokens == 64);
  CHECK(x.good().finish_reason == finish_reason::tool_calls);
  CHECK(x.good().usage == token_usage{21, 64, 0, 0, 0});
  CHECK(x.good().model == "claude-demo-5");
  CHECK(x.good().provider_request_id == "req_1");
  CHECK(x.good().tool_calls == std::vector<tool_call>{{"toolu_d1", "get_weather", R"({"city": "Oslo"})"}});
  CHECK(x.good().warnings.empty());
  auto y = hear(hidden, anthropic());
  CHECK(y.said
        == std::vector<std::string>{"seal: anthropic:redacted:ZGF0YQ==", "seal: anthropic:c2ln", "call 0: toolu_1 now",
                                    "arguments 0: {}", "call 1: toolu_2 f", R"(arguments 1: {"a":1})"});
  auto z = hear(refused, anthropic());
  CHECK(z.said.empty());
  CHECK(z.good().finish_reason == finish_reason::refusal);
}

TEST_CASE("pings are no news of an anthropic stream, and what is new does not harm it", "[wire][anthropic]") {
  auto reader = anthropic().read_stream(ok);
  listener to;
  CHECK(reader->take(message_start(), to) == 1);
  CHECK(reader->take(ping + ping + ": comment\n\n", to) == 0);
  CHECK(reader->take(begin(0, R"({"type":"brand_new"})") + delta(0, R"({"type":"brand_new_delta","x":[1]})") + stop(0)
                       + event("brand_new", R"(,"x":{})") + text_block(1, "a"),
                     to)
        > 0);
  CHECK(to.words == "a");
  // a second beginning, as some proxies send it, and numbers that later ones correct
  reader->take(message_start(R"({"input_tokens":99})") + text_block(0, "b")
                 + message_delta("end_turn", R"({"output_tokens":7,"cache_read_input_tokens":10,"input_tokens":20})")
                 + message_delta("end_turn", R"({"output_tokens":9,"input_tokens":null})") + message_stop,
               to);
  CHECK(to.words == "ab");
  auto end = reader->end();
  auto& x = std::get<completion>(end);
  CHECK(x.usage == token_usage{30, 9, 10, 0, 0});
  REQUIRE(x.warnings.size() == 1);
  CHECK(x.warnings[0].find("brand_new") != std::string::npos);
}

TEST_CASE("a whole anthropic message counts where a stream was asked for", "[wire][anthropic]") {
  auto body = message(R"({"type":"text","text":"a"})", R"("stop_reason":"end_turn")");
  CHECK(hear(body, anthropic()).good().finish_reason == finish_reason::stop);
  CHECK(hear(body, anthropic()).words == "a");
  CHECK(hear(body.substr(0, body.size() - 1), anthropic()).bad().code == errc::invalid_response);
}

TEST_CASE("any cutting of an anthropic stream gives the same pieces and end", "[wire][anthropic]") {
  for (auto* body : {&thinking, &hidden, &refused})
    check_cuts(*body, anthropic());
}

TEST_CASE("an anthropic stream without its end mark is a failure", "[wire][anthropic]") {
  for (auto* body : {&thinking, &hidden, &refused})
    check_beginnings(*body, anthropic(), body->size() - 2); // the blank line may be missing
}

TEST_CASE("an error in an anthropic stream is one, whatever comes behind it", "[wire][anthropic]") {
  struct {
    std::string_view error;
    errc code;
  } table[] = {
    {R"({"type":"overloaded_error","message":"Overloaded"})", errc::overloaded},
    {R"({"type":"api_error","message":"Broken"})", errc::server_error},
    {R"({"type":"rate_limit_error","message":"Slower"})", errc::rate_limited},
    {R"({"type":"invalid_request_error","message":"prompt is too long: 2 > 1"})", errc::context_length},
  };
  for (auto& row : table)
    for (auto* before : {&ping, &thinking}) {
      auto begun = before == &thinking ? thinking.substr(0, thinking.find("event: message_delta")) : *before;
      auto body = begun + "event: error\ndata: {\"type\":\"error\",\"error\":" + std::string{row.error}
                  + ",\"request_id\":\"req_demo\"}\n\n" + message_stop;
      CAPTURE(body);
      auto x = hear(body, anthropic());
      CHECK(x.ended);
      CHECK(x.bad().code == row.code);
    }
}

TEST_CASE("anthropic's errors mean what the provider says they mean", "[wire][anthropic]") {
  struct {
    uint16_t status;
    std::string_view type, message;
    errc code;
    std::vector<http::header> headers = {};
    std::optional<std::chrono::nanoseconds> wait = {};
  } table[] = {
    {400, "invalid_request_error", "messages: at least one message is required", errc::invalid_request},
    {400, "invalid_request_error", "prompt is too long: 210000 tokens > 200000 maximum", errc::context_length},
    {400, "invalid_request_error", "You have reached your specified API usage limits.", errc::quota_exhausted},
    {401, "authentication_error", "invalid x-api-key", errc::authentication},
    {402, "billing_error", "no credit", errc::quota_exhausted},
    {403, "permission_error", "not allowed", errc::permission},
    {404, "not_found_error", "model: claude-x", errc::not_found},
    {409, "conflict_error", "again", errc::server_error},
    {413, "request_too_large", "too large", errc::too_large},
    {429,
     "rate_limit_error",
     "This request would exceed your input tokens per minute",
     errc::rate_limited,
     {{"retry-after", "7"}},
     7s},
    {500, "api_error", "Internal server error", errc::server_error},
    {504, "timeout_error", "took too long", errc::server_error},
    {529, "overloaded_error", "Overloaded", errc::overloaded},
  };
  for (auto& row : table) {
    auto body = R"({"type":"error","error":{"type":")" + std::string{row.type} + R"(","message":")"
                + std::string{row.message} + R"(","details":null},"request_id":"req_demo"})";
    CAPTURE(row.status, body);
    auto result = decode(row.status, body, row.headers);
    REQUIRE(std::holds_alternative<failure>(result));
    auto& x = std::get<failure>(result);
    CHECK(x.code == row.code);
    CHECK(x.retry_after == row.wait);
    CHECK(x.provider_message.find(row.message) != std::string::npos);
    CHECK_FALSE(to_string(x).empty());
  }
  auto spent = decode(429, R"({"type":"error","error":{"type":"rate_limit_error","message":"cap",
    "details":{"error_code":"enforced_spend_limit_reached"}}})");
  CHECK(std::get<failure>(spent).code == errc::quota_exhausted);
}

TEST_CASE("anthropic's limits are read from its headers, its models from their list", "[wire][anthropic]") {
  http::response_head head{200,
                           {{"anthropic-ratelimit-requests-limit", "50"},
                            {"anthropic-ratelimit-requests-remaining", "49"},
                            {"anthropic-ratelimit-input-tokens-limit", "30000"},
                            {"anthropic-ratelimit-output-tokens-remaining", "7000"}}};
  auto limits = anthropic().hints(head, nullptr).limits;
  CHECK(limits[0].limit == 50);
  CHECK(limits[0].remaining == 49);
  CHECK(limits[2].limit == 30000);
  CHECK(limits[3].remaining == 7000);
  CHECK(anthropic().accounting() == limits::token_accounting::produced);
  auto models =
    anthropic().decode_models({200, {}}, R"({"data":[{"type":"model","id":"claude-a"},{"id":"claude-b"}]})");
  CHECK(std::get<model_list>(models).models == std::vector<std::string>{"claude-a", "claude-b"});
  CHECK(std::holds_alternative<failure>(anthropic().decode_models({401, {}}, R"({"error":{"message":"no"}})")));
  CHECK(std::holds_alternative<failure>(anthropic().decode_models({200, {}}, "<html>")));
}
