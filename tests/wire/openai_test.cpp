#include "wire/json.hpp"
#include "wire/openai/openai.hpp"
#include "wire/vendors.hpp"

#include <catch2/catch_test_macros.hpp>

#include <functional>
#include <limits>

namespace modelforge::openai_test {

using namespace modelforge::wire;
using json = modelforge::json::value;
using namespace std::chrono_literals;

namespace {

chat_request hello() {
  chat_request x;
  x.model = "demo-mini";
  x.messages = {text_message(role::user, "Hi")};
  return x;
}

json body_of(const chat_request& x, const dialect& to = openai::chat_api()) {
  auto result = to.encode(x);
  if (auto* problem = std::get_if<failure>(&result))
    FAIL(problem->message);
  return json::parse(std::get<encoded_request>(result).body);
}

failure refusal_of(const chat_request& x, const dialect& to = openai::chat_api()) {
  auto result = to.encode(x);
  REQUIRE(std::holds_alternative<failure>(result));
  return std::get<failure>(result);
}

using answer = std::variant<completion, failure>;

answer decode(uint16_t status, std::string_view body, std::vector<http::header> headers = {}) {
  return openai::chat_api().decode({status, std::move(headers)}, body);
}

completion good(std::string_view body) {
  auto result = decode(200, body);
  if (auto* problem = std::get_if<failure>(&result))
    FAIL(problem->message);
  return std::get<completion>(result);
}

failure bad(uint16_t status, std::string_view body, std::vector<http::header> headers = {}) {
  auto result = decode(status, body, std::move(headers));
  REQUIRE(std::holds_alternative<failure>(result));
  return std::get<failure>(result);
}

/// An answer whose one choice has this message and these other fields.
std::string with_message(std::string_view message, std::string_view more = R"("finish_reason":"stop")") {
  return R"({"id":"chatcmpl-1","model":"demo","choices":[{"index":0,"message":)" + std::string{message} + ","
         + std::string{more} + "}]}";
}

bool has(std::string_view text, std::string_view part) {
  return text.find(part) != text.npos;
}

} // namespace

TEST_CASE("dialects are found by their kind's name", "[wire][openai]") {
  CHECK(find_dialect("openai") == &openai::chat_api());
  CHECK(find_dialect("openai_compatible") == &openai::compatible_chat_api());
  for (auto* kind : {"", "OpenAI"})
    CHECK(find_dialect(kind) == nullptr);
  CHECK(openai::chat_api().default_base_url() == "https://api.openai.com/v1");
  CHECK(openai::compatible_chat_api().default_base_url().empty());
  CHECK(openai::chat_api().authorize("k") == http::header{"authorization", "Bearer k"});
}

TEST_CASE("a request is written field by field", "[wire][openai]") {
  auto x = hello();
  x.messages = {text_message(role::system, "Be \"brief\"."),
                text_message(role::developer, "Täglich."),
                {role::user,
                 {text_part{"What is it?"}, image_part{"https://example.com/a.png", "", "", "low"},
                  image_part{"", "image/png", "iVBORw0KGgo=", ""}},
                 "ada"},
                {role::assistant,
                 {reasoning_part{"hm", ""}, text_part{"Let me look."}, tool_call{"call_1", "look", R"({"at":"it"})"},
                  tool_call{"call_2", "wait", ""}},
                 ""},
                {role::tool, {tool_result{"call_1", "a cat", false}, tool_result{"call_2", "no", true}}, ""}};
  x.sampling = {100, 0.5, 0.25, {}, -1.5, 2.0, -7, {"END", "\n"}, "low", {}};
  x.response_format = {response_kind::json_schema, "", R"({"type": "object"})", true};
  x.tools = {{"look", "Looks", R"({"type":"object"})", true}, {"wait", "", "", false}};
  x.tool_choice = {tool_mode::named, "look", false};
  x.trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
  auto result = std::get<encoded_request>(openai::chat_api().encode(x));
  CHECK(result.path == "/chat/completions");
  CHECK(result.headers == std::vector<http::header>{{"content-type", "application/json"}, {"traceparent", x.trace}});
  CHECK(result.warnings.size() == 2); // the reasoning, and is_error
  CHECK(json::parse(result.body) == json::parse(R"({
    "model":"demo-mini",
    "messages":[
      {"role":"system","content":"Be \"brief\"."},
      {"role":"developer","content":"Täglich."},
      {"role":"user","content":[{"type":"text","text":"What is it?"},
        {"type":"image_url","image_url":{"url":"https://example.com/a.png","detail":"low"}},
        {"type":"image_url","image_url":{"url":"data:image/png;base64,iVBORw0KGgo="}}],"name":"ada"},
      {"role":"assistant","content":"Let me look.","tool_calls":[
        {"id":"call_1","type":"function","function":{"name":"look","arguments":"{\"at\":\"it\"}"}},
        {"id":"call_2","type":"function","function":{"name":"wait","arguments":"{}"}}]},
      {"role":"tool","tool_call_id":"call_1","content":"a cat"},
      {"role":"tool","tool_call_id":"call_2","content":"no"}],
    "max_completion_tokens":100,"temperature":0.5,"top_p":0.25,"frequency_penalty":-1.5,"presence_penalty":2.0,
    "seed":-7,"stop":["END","\n"],"reasoning_effort":"low",
    "response_format":{"type":"json_schema","json_schema":{"name":"answer","schema":{"type":"object"},"strict":true}},
    "tools":[{"type":"function","function":{"name":"look","description":"Looks","parameters":{"type":"object"},
      "strict":true}},{"type":"function","function":{"name":"wait"}}],
    "tool_choice":{"type":"function","function":{"name":"look"}},"parallel_tool_calls":false})"));
}

TEST_CASE("a trace's state goes with the trace, unless it is too long", "[wire]") {
  auto headers_of = [](const std::string& trace, const std::string& state) {
    chat_request x;
    x.model = "m";
    x.messages = {text_message(role::user, "Hi")};
    x.trace = trace;
    x.trace_state = state;
    auto result = std::get<encoded_request>(openai::chat_api().encode(x)).headers;
    result.erase(result.begin());
    return result;
  };
  using headers = std::vector<http::header>;
  CHECK(headers_of("00-1", "a=1") == headers{{"traceparent", "00-1"}, {"tracestate", "a=1"}});
  CHECK(headers_of("00-1", std::string(512, 'a')).size() == 2);
  CHECK(headers_of("00-1", std::string(513, 'a')) == headers{{"traceparent", "00-1"}});
  CHECK(headers_of("", "a=1") == headers{});
}

TEST_CASE("a request that sets nothing sends nothing but model and messages", "[wire][openai]") {
  CHECK(body_of(hello()).dump() == R"({"model":"demo-mini","messages":[{"role":"user","content":"Hi"}]})");
}

TEST_CASE("what is private to us is never sent", "[wire][openai]") {
  auto x = hello();
  auto plain = body_of(x);
  x.id = {1, 2};
  x.tenant = "acme";
  x.labels = {{"team", "a"}};
  x.priority = priority::batch;
  x.deadline = 5s;
  CHECK(body_of(x) == plain);
}

TEST_CASE("compatible servers get max_tokens and top_k", "[wire][openai]") {
  auto x = hello();
  x.sampling.max_tokens = 5;
  x.sampling.top_k = 40;
  auto body = body_of(x, openai::compatible_chat_api());
  CHECK(body["max_tokens"] == 5);
  CHECK(body["top_k"] == 40);
  CHECK_FALSE(body.contains("max_completion_tokens"));
}

TEST_CASE("extra adds fields, replaces ours with a warning, and cannot switch streaming on", "[wire][openai]") {
  auto x = hello();
  x.sampling.temperature = 0.5;
  x.extra = R"({"user":"a","temperature":1,"logit_bias":{"5":-1.5},"user":"b","we\"ird":null})";
  auto result = std::get<encoded_request>(openai::chat_api().encode(x));
  CHECK(json::parse(result.body) == json::parse(R"({"model":"demo-mini","messages":[{"role":"user","content":"Hi"}],
    "temperature":1,"logit_bias":{"5":-1.5},"user":"b","we\"ird":null})"));
  CHECK(result.warnings == std::vector<std::string>{"extra replaces the request's own temperature"});
  for (auto* stream : {R"({"stream":true})", R"({"stream":false})"}) {
    x.extra = stream;
    CHECK(has(refusal_of(x).message, "extra.stream"));
  }
}

TEST_CASE("a request that cannot be sent is refused by the field's name", "[wire][openai]") {
  const std::string bad_text = "a\xFFz";
  auto user = [](content_part part) { return chat_message{role::user, {std::move(part)}, ""}; };
  struct {
    std::string field;
    std::function<void(chat_request&)> change;
    errc code = errc::invalid_request;
  } table[] = {
    {"model ", [](auto& x) { x.model.clear(); }},
    {"model ", [&](auto& x) { x.model = bad_text; }},
    {"messages ", [](auto& x) { x.messages.clear(); }},
    {"messages[1].content ",
     [](auto& x) {
       x.messages.push_back({role::user, {}, ""});
     }},
    {"messages[0].content ",
     [](auto& x) {
       x.messages[0] = {role::assistant, {reasoning_part{"hm", ""}}, ""};
     }},
    {"messages[0].content[0].text ", [&](auto& x) { x.messages[0] = user(text_part{bad_text}); }},
    {"messages[0].name ", [&](auto& x) { x.messages[0].name = bad_text; }},
    {"messages[0].content[0] ", [&](auto& x) { x.messages[0] = user(image_part{}); }},
    {"messages[0].content[0] ",
     [&](auto& x) {
       x.messages[0] = user(image_part{"http://a", "image/png", "AA", ""});
     }},
    {"messages[0].content[0].media_type ",
     [&](auto& x) {
       x.messages[0] = user(image_part{"", "", "AAAA", ""});
     }},
    {"messages[0].content[0].url ",
     [&](auto& x) {
       x.messages[0] = user(image_part{bad_text, "", "", ""});
     }},
    {"messages[0].content[0].data ",
     [&](auto& x) {
       x.messages[0] = user(image_part{"", "a/b", bad_text, ""});
     }},
    {"messages[0].content[0] ",
     [](auto& x) {
       x.messages[0] = {role::system, {image_part{"http://a", "", "", ""}}, ""};
     },
     errc::unsupported},
    {"messages[0].content[0] ",
     [&](auto& x) {
       x.messages[0] = user(tool_call{"a", "b", "{}"});
     }},
    {"messages[0].content[0] ",
     [&](auto& x) {
       x.messages[0] = user(tool_result{"a", "b"});
     }},
    {"messages[0].content[0] ", [](auto& x) { x.messages[0] = text_message(role::tool, "a"); }},
    {"messages[0].content[0].call_id ",
     [](auto& x) {
       x.messages[0] = {role::tool, {tool_result{"", "b"}}, ""};
     }},
    {"messages[0].content[1].id ",
     [](auto& x) {
       x.messages[0] = {role::assistant, {text_part{"t"}, tool_call{"", "b", "{}"}}, ""};
     }},
    {"messages[0].content[0].name ",
     [](auto& x) {
       x.messages[0] = {role::assistant, {tool_call{"a", "", "{}"}}, ""};
     }},
    {"sampling.temperature ", [](auto& x) { x.sampling.temperature = std::numeric_limits<double>::quiet_NaN(); }},
    {"sampling.top_p ", [](auto& x) { x.sampling.top_p = std::numeric_limits<double>::infinity(); }},
    {"sampling.top_k ", [](auto& x) { x.sampling.top_k = 5; }, errc::unsupported},
    {"sampling.reasoning_budget ", [](auto& x) { x.sampling.reasoning_budget = 5; }, errc::unsupported},
    {"sampling.stop ", [&](auto& x) { x.sampling.stop = {bad_text}; }},
    {"sampling.reasoning_effort ", [&](auto& x) { x.sampling.reasoning_effort = bad_text; }},
    {"response_format.schema ",
     [](auto& x) {
       x.response_format = {response_kind::json_schema, "a", "{", true};
     }},
    {"response_format.schema ",
     [](auto& x) {
       x.response_format = {response_kind::json_schema, "a", "[]", true};
     }},
    {"tools[0].name ",
     [](auto& x) {
       x.tools = {{"", "d", "", false}};
     }},
    {"tools[1].parameters ",
     [](auto& x) {
       x.tools = {{"a", "", "", false}, {"b", "", "{]", false}};
     }},
    {"tools[0].description ",
     [&](auto& x) {
       x.tools = {{"a", bad_text, "", false}};
     }},
    {"tool_choice.name ", [](auto& x) { x.tool_choice.mode = tool_mode::named; }},
    {"extra ", [](auto& x) { x.extra = "{"; }},
    {"extra ", [](auto& x) { x.extra = "[1]"; }},
    {"trace ", [](auto& x) { x.trace = "00-1\r\nx-evil: 1"; }},
    {"trace_state ",
     [](auto& x) {
       x.trace = "00-1";
       x.trace_state = "a=1\r\nx-evil: 1";
     }},
  };
  for (auto& [field, change, code] : table) {
    auto x = hello();
    change(x);
    auto problem = refusal_of(x);
    CAPTURE(problem.message);
    CHECK(problem.message.starts_with(field));
    CHECK(problem.code == code);
    CHECK(problem.http_status == 0);
  }
}

TEST_CASE("a typical answer is read whole", "[wire][openai]") {
  auto result = decode(200, R"({"id":"chatcmpl-demo1","object":"chat.completion","created":1790000000,
    "model":"demo-mini-2026-05-01","choices":[{"index":0,"message":{"role":"assistant","content":null,"refusal":null,
    "tool_calls":[{"id":"call_a1","type":"function",
      "function":{"name":"get_weather","arguments":"{\"city\":\"Oslo\"}"}}]},
    "logprobs":null,"finish_reason":"tool_calls"}],"usage":{"prompt_tokens":1320,"completion_tokens":58,
    "total_tokens":1378,"prompt_tokens_details":{"cached_tokens":1152,"cache_write_tokens":7,"audio_tokens":0},
    "completion_tokens_details":{"reasoning_tokens":40}},"service_tier":"default"})",
                       {{"x-request-id", "req_1"}});
  auto& x = std::get<completion>(result);
  completion expected;
  expected.tool_calls = {{"call_a1", "get_weather", R"({"city":"Oslo"})"}};
  expected.finish_reason = finish_reason::tool_calls;
  expected.raw_finish_reason = "tool_calls";
  expected.usage = token_usage{1320, 58, 1152, 7, 40};
  expected.model = "demo-mini-2026-05-01";
  expected.provider_request_id = "req_1";
  CHECK(x == expected);
}

TEST_CASE("answers of many servers give the same parts", "[wire][openai]") {
  struct {
    std::string_view message;
    std::string_view text, reasoning, refusal;
  } table[] = {
    {R"({"content":"Hi"})", "Hi", "", ""},
    {R"({"content":"","reasoning_content":"hm"})", "", "hm", ""},
    {R"({"content":"Hi","reasoning":"hm","reasoning_content":"other"})", "Hi", "hm", ""},
    {R"({"content":"Hi","reasoning":{"effort":1},"reasoning_content":"hm"})", "Hi", "hm", ""},
    {R"({"content":null,"refusal":"No."})", "", "", "No."},
    {R"({"content":[{"type":"thinking","thinking":[{"type":"text","text":"h"},{"type":"text","text":"m"}]},
        {"type":"text","text":"H"},{"type":"text","text":"i"},{"type":"reference","reference_ids":[1]},7]})",
     "Hi", "hm", ""},
    {R"({"content":[{"type":"thinking","thinking":"hm"},{"type":"refusal","refusal":"No."}]})", "", "hm", "No."},
    {R"({"content":7,"role":9,"tool_calls":"none","refusal":false})", "", "", ""},
    {R"({})", "", "", ""},
  };
  for (auto& row : table) {
    CAPTURE(row.message);
    auto x = good(with_message(row.message));
    CHECK(x.text == row.text);
    CHECK(reasoning_of(x) == row.reasoning);
    CHECK(x.refusal == row.refusal);
    CHECK(x.finish_reason == (row.refusal.empty() ? finish_reason::stop : finish_reason::refusal));
    CHECK(x.provider_request_id == "chatcmpl-1");
    CHECK_FALSE(x.usage);
  }
}

TEST_CASE("tool calls are read in every form", "[wire][openai]") {
  struct {
    std::string_view message;
    tool_call expected;
  } table[] = {
    {R"({"tool_calls":[{"id":"a","function":{"name":"f","arguments":"{\"x\": 1}"}}]})", {"a", "f", R"({"x": 1})"}},
    {R"({"tool_calls":[{"id":"a","function":{"name":"f","arguments":{"y":1,"x":[2]}}}]})",
     {"a", "f", R"({"y":1,"x":[2]})"}},
    {R"({"tool_calls":[{"id":"a","function":{"name":"f"}}]})", {"a", "f", "{}"}},
    {R"({"tool_calls":[null,{"function":{"name":"f","arguments":""}}]})", {"call_chatcmpl-1_0", "f", "{}"}},
    {R"({"function_call":{"name":"f","arguments":"{}"}})", {"call_chatcmpl-1_0", "f", "{}"}},
    {R"({"tool_calls":[{"id":"a","type":"custom","custom":{"name":"f","input":"free text"}}]})",
     {"a", "f", "free text"}},
  };
  for (auto& [message, expected] : table) {
    CAPTURE(message);
    auto x = good(with_message(message));
    CHECK(x.tool_calls == std::vector{expected});
    CHECK(x.finish_reason == finish_reason::tool_calls); // although the answer says "stop"
    CHECK(x.raw_finish_reason == "stop");
  }
}

TEST_CASE("arguments that are no object fail, unless the answer was cut", "[wire][openai]") {
  auto answer = [](const char* arguments, const char* reason) {
    auto call =
      R"({"tool_calls":[{"id":"a","function":{"name":"look","arguments":")" + std::string{arguments} + "\"}}]}";
    return with_message(call, R"("finish_reason":")" + std::string{reason} + "\"");
  };
  for (auto* arguments : {R"({\"cut)", "[]", "7", "Oslo", R"({} {})", " "}) {
    CAPTURE(arguments);
    for (auto* reason : {"stop", "tool_calls"}) {
      auto x = bad(200, answer(arguments, reason));
      CHECK(x.code == errc::invalid_response);
      CHECK(has(x.message, "tool look"));
    }
    for (auto* reason : {"length", "content_filter"}) {
      auto x = good(answer(arguments, reason));
      CHECK(x.tool_calls.size() == 1);
      CHECK(has(x.warnings.at(0), "tool look"));
    }
  }
}

TEST_CASE("finish reasons are mapped, tool calls by their presence", "[wire][openai]") {
  constexpr auto plain = R"({"content":"Hi"})";
  constexpr auto call = R"({"tool_calls":[{"id":"a","function":{"name":"f","arguments":"{}"}}]})";
  struct {
    std::string_view word;
    finish_reason without, with;
  } table[] = {
    {R"("stop")", finish_reason::stop, finish_reason::tool_calls},
    {R"("length")", finish_reason::length, finish_reason::length},
    {R"("tool_calls")", finish_reason::unknown, finish_reason::tool_calls},
    {R"("function_call")", finish_reason::unknown, finish_reason::tool_calls},
    {R"("content_filter")", finish_reason::content_filter, finish_reason::content_filter},
    {R"("model_length")", finish_reason::length, finish_reason::length},
    {R"("brand_new")", finish_reason::unknown, finish_reason::tool_calls},
    {"null", finish_reason::unknown, finish_reason::tool_calls},
    {"7", finish_reason::unknown, finish_reason::tool_calls},
  };
  for (auto& row : table) {
    CAPTURE(row.word);
    auto more = R"("finish_reason":)" + std::string{row.word};
    CHECK(good(with_message(plain, more)).finish_reason == row.without);
    CHECK(good(with_message(call, more)).finish_reason == row.with);
  }
}

TEST_CASE("usage is read as far as it makes sense", "[wire][openai]") {
  struct {
    std::string_view usage;
    std::optional<token_usage> expected;
  } table[] = {
    {R"({"prompt_tokens":5,"completion_tokens":2,"total_tokens":7})", token_usage{5, 2, 0, 0, 0}},
    {R"({"prompt_tokens":5,"completion_tokens":2,"prompt_cache_hit_tokens":3,"prompt_cache_miss_tokens":2})",
     token_usage{5, 2, 3, 0, 0}},
    {R"({"prompt_tokens":5,"completion_tokens":2,"prompt_tokens_details":null})", token_usage{5, 2, 0, 0, 0}},
    {R"({"prompt_tokens":5,"completion_tokens":2,"prompt_tokens_details":{"cached_tokens":9}})",
     token_usage{5, 2, 5, 0, 0}},
    {R"({"prompt_tokens":5.0,"completion_tokens":2})", token_usage{5, 2, 0, 0, 0}},
    {R"({"prompt_tokens":-5,"completion_tokens":2})", token_usage{0, 2, 0, 0, 0}},
    {R"({"prompt_tokens":5,"completion_tokens":99999999999999999999999})", token_usage{5, 0, 0, 0, 0}},
    {R"({"prompt_tokens":"5","completion_tokens":[2]})", token_usage{5, 0, 0, 0, 0}},
    {R"({"prompt_tokens":"five","completion_tokens":[2]})", {}},
    {R"({})", {}},
    {R"(null)", {}},
    {R"([1])", {}},
  };
  for (auto& [usage, expected] : table) {
    CAPTURE(usage);
    auto body = R"({"choices":[{"message":{"content":"Hi"}}],"usage":)" + std::string{usage} + "}";
    CHECK(good(body).usage == expected);
  }
}

TEST_CASE("white space before an answer and broken UTF-8 in it do no harm", "[wire][openai]") {
  CHECK(good("\n\n\r\n \t" + with_message(R"({"content":"Hi"})")).text == "Hi");
  auto x = good(with_message("{\"content\":\"a\xFFz\"}"));
  CHECK(x.text == "a\xEF\xBF\xBDz");
  CHECK(x.warnings.size() == 1);
}

TEST_CASE("what is no answer is told apart", "[wire][openai]") {
  struct {
    std::string body;
    std::string_view said;
  } table[] = {
    {"", "an empty body"},
    {" \r\n", "an empty body"},
    {"\n<!DOCTYPE html><html></html>", "an HTML page"},
    {"<HTML>", "an HTML page"},
    {"data: {}\n\n", "without any choices; all of it is unknown, and it begins data: {}"},
    {"It works!", "begins It works!"},
    {with_message(R"({"content":"Hi"})").substr(0, 60), "broken JSON"},
    {std::string(300, '['), "broken JSON (nested deeper"},
    {"{}", "without any choices"},
    {R"({"choices":[]})", "without any choices"},
    {R"({"choices":"none"})", "without any choices"},
    {R"({"choices":{"index":0}})", "no message"},
    {R"({"choices":[{"index":0}]})", "no message"},
    {R"({"choices":[7]})", "no message"},
    {"[]", "no object"},
    {"\"Hi\"", "begins"},
  };
  for (auto& [body, said] : table) {
    auto x = bad(200, body, {{"x-request-id", "req_1"}});
    CAPTURE(body, x.message);
    CHECK(x.code == errc::invalid_response);
    CHECK(x.http_status == 200);
    CHECK(x.provider_request_id == "req_1");
    CHECK(has(x.suggestion, "base_url") == !said.starts_with("broken JSON"));
    if (body != "\"Hi\"")
      CHECK(has(x.message, said));
  }
  CHECK(bad(200, std::string(1'000'000, 'x')).message.size() < 200);
}

TEST_CASE("errors are classified by status and by the provider's words", "[wire][openai]") {
  struct {
    uint16_t status;
    std::string_view body;
    errc code;
    std::string_view provider_code;
    std::string_view suggestion = "";
  } table[] = {
    {400,
     R"({"error":{"message":"Bad","type":"invalid_request_error","param":"max_tokens",
         "code":"unsupported_parameter"}})",
     errc::invalid_request, "unsupported_parameter", "max_tokens"},
    {400, R"({"error":{"message":"long","code":"context_length_exceeded"}})", errc::context_length,
     "context_length_exceeded", "shorten"},
    {400, R"({"error":{"code":400,"message":"long","type":"exceed_context_size_error","n_ctx":8192}})",
     errc::context_length, "exceed_context_size_error"},
    {400, R"({"error":{"message":"This model's Maximum Context Length is 8192","type":"BadRequestError","code":400}})",
     errc::context_length, "BadRequestError"},
    {400, R"({"error":{"message":"Prompt was filtered","type":null,"code":"content_filter","status":400}})",
     errc::content_filtered, "content_filter"},
    {400, R"({"error":{"message":"x","code":null,"innererror":{"code":"ResponsibleAIPolicyViolation"}}})",
     errc::content_filtered, "ResponsibleAIPolicyViolation"},
    {401, R"({"error":{"message":"Incorrect API key","code":"invalid_api_key"}})", errc::authentication,
     "invalid_api_key", "api_key_env"},
    {402, R"({"error":{"message":"Insufficient Balance"}})", errc::quota_exhausted, ""},
    {403, R"({"error":{"message":"no"}})", errc::permission, ""},
    {403, R"({"error":{"code":403,"message":"flagged","metadata":{"reasons":["violence"],"flagged_input":"x"}}})",
     errc::content_filtered, "403"},
    {404, R"({"error":{"message":"The model `demo-9` does not exist","code":"model_not_found"}})", errc::not_found,
     "model_not_found", "the model demo-9?"},
    {404, R"({"detail":"Not Found"})", errc::not_found, "", "/v1"},
    {404, "<html>nothing here</html>", errc::not_found, "", "/v1"},
    {408, "", errc::server_error, ""},
    {409, "", errc::server_error, ""},
    {410, "", errc::not_found, "", "retired"},
    {413, R"({"error":{"message":"TPM","code":"rate_limit_exceeded"}})", errc::too_large, "rate_limit_exceeded"},
    {418, "", errc::invalid_request, ""},
    {422, R"({"detail":[{"loc":["body","messages",0,"role"],"msg":"bad role","type":"enum"}]})", errc::invalid_request,
     "", "messages.0.role"},
    {429, R"({"error":{"message":"slow","type":"tokens","code":"rate_limit_exceeded"}})", errc::rate_limited,
     "rate_limit_exceeded"},
    {429, R"({"error":{"message":"slow","code":"slow_down"}})", errc::rate_limited, "slow_down", "more slowly"},
    {429, R"({"error":{"message":"no","type":"insufficient_quota","code":"credit_balance_exhausted"}})",
     errc::quota_exhausted, "credit_balance_exhausted", "waiting does not help"},
    {429, R"({"error":{"message":"no","code":"insufficient_quota"}})", errc::quota_exhausted, "insufficient_quota"},
    {429, R"({"error":{"message":"no","code":"organization_spend_limit_exceeded"}})", errc::quota_exhausted,
     "organization_spend_limit_exceeded"},
    {429, R"({"error":{"message":"no","code":"project_spend_limit_exceeded"}})", errc::quota_exhausted,
     "project_spend_limit_exceeded"},
    {429, R"({"error":{"message":"no","code":"organization_usage_limit_exceeded"}})", errc::quota_exhausted,
     "organization_usage_limit_exceeded"},
    {429, R"({"object":"error","message":"Requests rate limit exceeded","type":"rate_limited","code":"1300"})",
     errc::rate_limited, "1300"},
    {498, R"({"error":{"code":"capacity_exceeded"}})", errc::overloaded, "capacity_exceeded"},
    {500, R"({"error":"boom"})", errc::server_error, ""},
    {502, "<html>Bad Gateway</html>", errc::server_error, ""},
    {503, R"({"error":{"code":503,"message":"Loading model","type":"unavailable_error"}})", errc::overloaded,
     "unavailable_error"},
    {504, "", errc::server_error, "", "shorter"},
    {529, R"({"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}})", errc::overloaded,
     "overloaded_error"},
    {599, "[[[", errc::server_error, ""},
    {200, R"({"error":{"message":"Upstream closed","code":502}})", errc::server_error, "502"},
    {200, R"({"error":{"message":"slow","code":429},"choices":[]})", errc::rate_limited, "429"},
    {200, R"({"error":"boom"})", errc::server_error, ""},
    {200, R"({"error":{"message":"no","type":"insufficient_quota"}})", errc::quota_exhausted, "insufficient_quota"},
    {200, R"({"error":{"message":"no","type":"overloaded_error"}})", errc::overloaded, "overloaded_error"},
    {200, R"({"object":"error","message":"Invalid model","type":"invalid_request_error"})", errc::invalid_request,
     "invalid_request_error"},
    {200, R"({"choices":[{"error":{"code":502,"message":"x"},"finish_reason":"error","message":{"content":"par"}}]})",
     errc::server_error, "502"},
    {400, R"([{"error":{"code":400,"message":"API key not valid","status":"INVALID_ARGUMENT"}}])",
     errc::invalid_request, "INVALID_ARGUMENT"},
  };
  for (auto& row : table) {
    auto x = bad(row.status, row.body, {{"retry-after", "7"}});
    CAPTURE(row.status, row.body, x.message, x.suggestion);
    CHECK(x.code == row.code);
    CHECK(x.http_status == row.status);
    CHECK(x.provider_code == row.provider_code);
    CHECK(has(x.suggestion, row.suggestion));
    CHECK(x.retry_after == 7s);
    CHECK_FALSE(x.message.empty());
  }
}

TEST_CASE("an error that is null or empty beside choices is none", "[wire][openai]") {
  for (auto* error : {"null", "\"\"", "false"})
    CHECK(good(R"({"error":)" + std::string{error} + R"(,"choices":[{"message":{"content":"Hi"}}]})").text == "Hi");
}

TEST_CASE("a body that is no JSON is named beside the status", "[wire][openai]") {
  CHECK(has(bad(502, "<html>").message, "HTTP 502, with an HTML page"));
  CHECK(has(bad(503, "").message, "an empty body"));
  CHECK(bad(500, "upstream connect error").provider_message == "upstream connect error");
}

TEST_CASE("redirects are not followed but told", "[wire][openai]") {
  auto x = bad(307, "", {{"location", "https://user:secret@api.example.com:8443/v1?key=1"}});
  CHECK(x.code == errc::invalid_response);
  CHECK(has(x.message, "redirects are not followed"));
  CHECK(has(x.suggestion, "api.example.com:8443:"));
  CHECK_FALSE(has(x.suggestion, "secret"));
  CHECK(has(bad(301, "", {{"location", "/login"}}).suggestion, "base_url"));
}

TEST_CASE("request ids are taken from the headers of every vendor", "[wire][openai]") {
  for (auto* name : {"x-request-id", "request-id", "apim-request-id"})
    CHECK(bad(500, "", {{name, "req_7"}}).provider_request_id == "req_7");
  CHECK(bad(500, R"({"error":{"message":"x"},"request_id":"req_8"})").provider_request_id == "req_8");
}

TEST_CASE("the provider's words are cut, cleaned and hold no keys", "[wire][openai]") {
  auto words = [](const std::string& message) {
    return bad(401, json{{"error", {{"message", message}}}}.dump()).provider_message;
  };
  CHECK(words("a\x01\n\tb\x7F") == "a  b");
  auto cut = words(std::string(999, 'x') + "üüü");
  CHECK(cut == std::string(999, 'x'));
  CHECK(words(std::string(100'000, 'y')).size() == 1000);
  CHECK(words("Incorrect API key provided: sk-proj-abcdefgh12345678. See")
        == "Incorrect API key provided: sk-***. See");
  CHECK(words("key AIzaSyA1234567890abcdef") == "key AIza***");
  CHECK(words("the task-force and risk-assessment-department agree")
        == "the task-force and risk-assessment-department agree");
}

TEST_CASE("garbage of any kind fails fast and without an exception", "[wire][openai]") {
  std::string whole = with_message(R"({"content":"Grüße","tool_calls":[{"id":"a","function":{"name":"f"}}]})");
  for (std::size_t cut = 0; cut < whole.size(); ++cut) { // every beginning, and every byte broken
    auto result = decode(200, std::string_view{whole}.substr(0, cut));
    REQUIRE(std::holds_alternative<failure>(result));
    for (char c : {'\0', '"', '{', ']', '\\', '\xFF', '9'}) {
      auto broken = whole;
      broken[cut] = c;
      (void)decode(200, broken);
      (void)decode(500, broken);
    }
  }
  for (char c : {'[', '{', '"', '\0', '\xFF', ' ', '1'}) {
    // Linear: 0.1 s at most, 2 s under sanitizers on a busy machine. What is quadratic would take hours.
    auto start = std::chrono::steady_clock::now();
    CHECK(bad(200, std::string(4u << 20, c)).code == errc::invalid_response);
    CHECK(std::chrono::steady_clock::now() - start < 10s);
  }
}

} // namespace modelforge::openai_test
