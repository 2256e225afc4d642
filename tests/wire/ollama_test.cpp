#include "tests/sse/allocations.hpp"
#include "tests/wire/hear.hpp"
#include "wire/ollama/ollama.hpp"
#include "wire/vendors.hpp"

#include <functional>
#include <limits>

namespace modelforge::ollama_test {

using namespace modelforge::test;

namespace {

chat_request hello() {
  chat_request x;
  x.model = "demo:8b";
  x.messages = {text_message(role::user, "Hi")};
  return x;
}

encoded_request encoded(const chat_request& x, bool stream = false) {
  auto result = ollama::chat_api().encode(x, stream);
  if (auto* problem = std::get_if<failure>(&result))
    FAIL(problem->message);
  return std::get<encoded_request>(result);
}

nlohmann::json body_of(const chat_request& x) {
  return nlohmann::json::parse(encoded(x).body);
}

completion good(std::string_view body) {
  auto result = ollama::chat_api().decode({200, {}}, body);
  if (auto* problem = std::get_if<failure>(&result))
    FAIL(problem->message);
  return std::get<completion>(result);
}

failure bad(uint16_t status, std::string_view body) {
  auto result = ollama::chat_api().decode({status, {{"x-request-id", "req_1"}}}, body);
  REQUIRE(std::holds_alternative<failure>(result));
  return std::get<failure>(result);
}

bool has(std::string_view text, std::string_view part) {
  return text.find(part) != text.npos;
}

/// A line of a stream whose message has these fields.
std::string line(std::string_view message, std::string_view more = R"("done":false)") {
  return R"({"model":"demo:8b","created_at":"2026-09-01T10:00:00.1Z","message":{"role":"assistant",)"
         + std::string{message} + "}," + std::string{more} + "}\n";
}

std::string text(std::string_view x) {
  return line(R"("content":")" + std::string{x} + "\"");
}

const std::string done = line(R"("content":"")", R"("done":true,"done_reason":"stop","prompt_eval_count":12)");

const std::string sample =
  R"({"model":"demo:8b","created_at":"2026-09-01T10:00:00.1Z","message":{"role":"assistant","content":"","thinking":"Hmm"},"done":false}
{"model":"demo:8b","created_at":"2026-09-01T10:00:00.2Z","message":{"role":"assistant","content":"Mild"},"done":false}
{"model":"demo:8b","created_at":"2026-09-01T10:00:00.3Z","message":{"role":"assistant","content":"","tool_calls":[{"id":"call_o1","function":{"index":0,"name":"get_weather","arguments":{"city":"Oslo"}}}]},"done":false}
{"model":"demo:8b","created_at":"2026-09-01T10:00:00.4Z","message":{"role":"assistant","content":""},"done":true,"done_reason":"stop","total_duration":900000000,"load_duration":100000000,"prompt_eval_count":12,"prompt_eval_duration":50000000,"eval_count":9,"eval_duration":300000000}
)";

const std::string failing =
  text("Gr\\u00fc } \\\" \\\\ ü") + R"({"error":"an error was encountered while running the model"})" + "\n";

} // namespace

TEST_CASE("ollama is found by its name", "[wire][ollama]") {
  CHECK(find_dialect("ollama") == &ollama::chat_api());
  CHECK(ollama::chat_api().default_base_url() == "http://127.0.0.1:11434");
  CHECK(ollama::chat_api().authorize("k") == http::header{"authorization", "Bearer k"});
  CHECK(ollama::chat_api().accounting() == limits::token_accounting::none);
}

TEST_CASE("a request that sets nothing tells ollama whether to stream", "[wire][ollama]") {
  auto unary = encoded(hello());
  CHECK(unary.path == "/api/chat");
  CHECK(unary.body == R"({"model":"demo:8b","messages":[{"role":"user","content":"Hi"}],"stream":false})");
  auto streamed = encoded(hello(), true);
  CHECK(streamed.body == R"({"model":"demo:8b","messages":[{"role":"user","content":"Hi"}],"stream":true})");
  CHECK(streamed.headers
        == std::vector<http::header>{{"content-type", "application/json"}, {"accept", "application/x-ndjson"}});
}

TEST_CASE("an ollama request is written field by field", "[wire][ollama]") {
  auto x = hello();
  x.messages = {
    text_message(role::system, "Be \"brief\"."),
    text_message(role::developer, "Täglich."),
    {role::user, {text_part{"What"}, image_part{"", "image/png", "iVBORw0KGgo=", "low"}, text_part{"is it?"}}, "ada"},
    {role::assistant,
     {reasoning_part{"hm", ""}, text_part{"Let me look."}, tool_call{"c1", "look", R"({"at":"it"})"},
      tool_call{"", "wait", ""}},
     ""},
    {role::tool, {tool_result{"c1", "a cat", false}, tool_result{"c9", "no", true}}, ""}};
  x.sampling = {100, 0.5, 0.25, 40, -1.5, 2.0, -7, {"END", "\n"}, "low", {}};
  x.response_format = {response_kind::json_schema, "weather", R"({"type": "object"})", true};
  x.tools = {{"look", "Looks", R"({"type":"object"})", false}, {"wait", "", "", true}};
  x.tool_choice.parallel = true;
  auto result = encoded(x);
  CHECK(result.warnings.size() == 4); // name, detail, strict, is_error
  CHECK(nlohmann::json::parse(result.body) == nlohmann::json::parse(R"({
    "model":"demo:8b",
    "messages":[
      {"role":"system","content":"Be \"brief\"."},
      {"role":"system","content":"Täglich."},
      {"role":"user","content":"What\nis it?","images":["iVBORw0KGgo="]},
      {"role":"assistant","content":"Let me look.","thinking":"hm","tool_calls":[
        {"id":"c1","function":{"name":"look","arguments":{"at":"it"}}},
        {"function":{"name":"wait","arguments":{}}}]},
      {"role":"tool","content":"a cat","tool_name":"look","tool_call_id":"c1"},
      {"role":"tool","content":"no","tool_call_id":"c9"}],
    "tools":[{"type":"function","function":{"name":"look","description":"Looks","parameters":{"type":"object"}}},
      {"type":"function","function":{"name":"wait"}}],
    "format":{"type":"object"},"think":"low","stream":false,
    "options":{"num_predict":100,"temperature":0.5,"top_p":0.25,"top_k":40,"frequency_penalty":-1.5,
      "presence_penalty":2.0,"seed":-7,"stop":["END","\n"]}})"));
}

TEST_CASE("extra reaches ollama, and the inside of its options", "[wire][ollama]") {
  auto x = hello();
  x.sampling.temperature = 0.5;
  x.sampling.seed = 7;
  x.extra = R"({"keep_alive":"10m","truncate":false,"options":{"temperature":1,"num_ctx":8192}})";
  auto result = encoded(x);
  CHECK(nlohmann::json::parse(result.body) == nlohmann::json::parse(R"({"model":"demo:8b",
    "messages":[{"role":"user","content":"Hi"}],"stream":false,"keep_alive":"10m","truncate":false,
    "options":{"seed":7,"temperature":1,"num_ctx":8192}})"));
  CHECK(result.warnings == std::vector<std::string>{"extra replaces the request's own temperature"});
}

TEST_CASE("thinking, JSON mode and the choice of no tools have ollama's words", "[wire][ollama]") {
  auto x = hello();
  x.sampling.reasoning_effort = "none";
  CHECK(body_of(x)["think"] == false);
  x.sampling.reasoning_effort = "max";
  CHECK(body_of(x)["think"] == "max");
  x.sampling.reasoning_budget = 0;
  CHECK(body_of(x)["think"] == false);
  x.response_format.kind = response_kind::json_object;
  CHECK(body_of(x)["format"] == "json");
  x.tools = {{"look", "", "", false}};
  CHECK(body_of(x).contains("tools"));
  x.tool_choice.mode = tool_mode::none;
  CHECK_FALSE(body_of(x).contains("tools"));
}

TEST_CASE("what cannot be sent to ollama is refused by the field's name", "[wire][ollama]") {
  const std::string bad_text = "a\xFFz";
  auto with = [](role who, content_part part) { return [=](chat_request& x) { x.messages[0] = {who, {part}, ""}; }; };
  struct {
    std::string field;
    std::function<void(chat_request&)> change;
    errc code = errc::invalid_request;
  } table[] = {
    {"model ", [](auto& x) { x.model.clear(); }},
    {"messages ", [](auto& x) { x.messages.clear(); }},
    {"messages[0].content ", [](auto& x) { x.messages[0].content.clear(); }},
    {"messages[0].content[0].text ", with(role::user, text_part{bad_text})},
    {"messages[0].content[0] ", with(role::user, image_part{})},
    {"messages[0].content[0].url ", with(role::user, image_part{"http://a", "", "", ""}), errc::unsupported},
    {"messages[0].content[0].data ", with(role::user, image_part{"", "a/b", bad_text, ""})},
    {"messages[0].content[0] ", with(role::system, image_part{"", "a/b", "AAAA", ""}), errc::unsupported},
    {"messages[0].content[0] ", with(role::user, tool_call{"a", "b", "{}"})},
    {"messages[0].content[0] ", with(role::user, tool_result{"a", "b"})},
    {"messages[0].content[0] ", with(role::user, reasoning_part{"a", "b"})},
    {"messages[0].content[0] ", with(role::tool, text_part{"a"})},
    {"messages[0].content[0].name ", with(role::assistant, tool_call{"a", "", "{}"})},
    {"messages[0].content[0].arguments ", with(role::assistant, tool_call{"a", "f", "7"})},
    {"sampling.top_p ", [](auto& x) { x.sampling.top_p = std::numeric_limits<double>::infinity(); }},
    {"sampling.reasoning_budget ", [](auto& x) { x.sampling.reasoning_budget = 5; }, errc::unsupported},
    {"sampling.reasoning_effort ", [](auto& x) { x.sampling.reasoning_effort = "xhigh"; }, errc::unsupported},
    {"response_format.schema ",
     [](auto& x) {
       x.response_format = {response_kind::json_schema, "a", "", true};
     }},
    {"tools[0].parameters ",
     [](auto& x) {
       x.tools = {{"b", "", "{]", false}};
     }},
    {"tool_choice ", [](auto& x) { x.tool_choice.mode = tool_mode::required; }, errc::unsupported},
    {"tool_choice ", [](auto& x) { x.tool_choice.mode = tool_mode::named; }, errc::unsupported},
    {"tool_choice.parallel ", [](auto& x) { x.tool_choice.parallel = false; }, errc::unsupported},
    {"extra.stream ", [](auto& x) { x.extra = R"({"stream":false})"; }},
  };
  for (auto& [field, change, code] : table) {
    auto x = hello();
    change(x);
    auto result = ollama::chat_api().encode(x);
    REQUIRE(std::holds_alternative<failure>(result));
    auto& problem = std::get<failure>(result);
    CAPTURE(problem.message);
    CHECK(problem.message.starts_with(field));
    CHECK(problem.code == code);
  }
}

TEST_CASE("a typical ollama answer is read whole", "[wire][ollama]") {
  auto x = good(R"({"model":"demo:8b","created_at":"2026-09-01T10:00:00.4Z","message":{"role":"assistant",
    "content":"Mild","thinking":"Hmm","tool_calls":[{"id":"call_o1","function":{"name":"get_weather",
    "arguments":{"city":"Oslo"}}},{"function":{"name":"now","arguments":null}}]},"done":true,"done_reason":"stop",
    "total_duration":900000000,"prompt_eval_count":12,"eval_count":9})");
  completion expected;
  expected.text = "Mild";
  expected.reasoning = {{"Hmm", ""}};
  expected.tool_calls = {{"call_o1", "get_weather", R"({"city":"Oslo"})"}, {"call_20260901T1000004Z_1", "now", "{}"}};
  expected.finish_reason = finish_reason::tool_calls;
  expected.raw_finish_reason = "stop";
  expected.usage = token_usage{12, 9, 0, 0, 0};
  expected.model = "demo:8b";
  CHECK(x == expected);
}

TEST_CASE("ollama's ends are understood", "[wire][ollama]") {
  struct {
    std::string_view end;
    finish_reason reason;
    std::optional<token_usage> usage;
  } table[] = {
    {R"("done_reason":"stop","prompt_eval_count":3,"eval_count":2)", finish_reason::stop, token_usage{3, 2, 0, 0, 0}},
    {R"("done_reason":"length","eval_count":2)", finish_reason::length, token_usage{0, 2, 0, 0, 0}}, // cached prompt
    {R"("done_reason":"stop")", finish_reason::stop, {}},
    {R"("done_reason":"load")", finish_reason::unknown, {}},
    {R"("done_reason":null)", finish_reason::unknown, {}},
  };
  for (auto& row : table)
    for (auto& x :
         {good(line(R"("content":"a")", R"("done":true,)" + std::string{row.end})),
          hear(line(R"("content":"a")", R"("done":true,)" + std::string{row.end}), ollama::chat_api()).good()}) {
      CAPTURE(row.end);
      CHECK(x.finish_reason == row.reason);
      CHECK(x.usage == row.usage);
      CHECK(x.warnings.size() == (x.raw_finish_reason.empty() ? 1 : 0));
    }
}

TEST_CASE("arguments that are no object fail an ollama answer, unless it was cut", "[wire][ollama]") {
  auto call = [](const char* reason) {
    return line(R"("content":"","tool_calls":[{"function":{"name":"look","arguments":"{\"at"}}])",
                R"("done":true,"done_reason":")" + std::string{reason} + "\"");
  };
  CHECK(bad(200, call("stop")).code == errc::invalid_response);
  CHECK(has(bad(200, call("stop")).message, "tool look"));
  CHECK(has(good(call("length")).warnings.at(0), "tool look"));
}

TEST_CASE("ollama's errors mean what the provider says they mean", "[wire][ollama]") {
  struct {
    uint16_t status;
    std::string_view body;
    errc code;
    std::string_view words, suggestion = "";
  } table[] = {
    {400, R"({"error":"\"demo\" does not support tools"})", errc::unsupported, "does not support tools"},
    {400, R"({"error":"prompt too long; exceeded max context length by 12 tokens"})", errc::context_length, "12 tokens",
     "shorten"},
    {400, R"({"error":"the input length exceeds the context length"})", errc::context_length, "", "shorten"},
    {401, R"({"error":"unauthorized","signin_url":"https://ollama.com/connect"})", errc::authentication, "unauthorized",
     "api_key_env"},
    {404, R"({"error":"model \"demo:8b\" not found, try pulling it first"})", errc::not_found, "pulling",
     "the model demo:8b?; `ollama pull`"},
    {404, "404 page not found", errc::not_found, "", "http://127.0.0.1:11434"},
    {429, R"({"error":"you've reached your hourly usage limit"})", errc::rate_limited, "hourly"},
    {499, R"({"error":"cancelled"})", errc::invalid_request, "cancelled"},
    {500, R"({"error":"llama runner process has terminated"})", errc::server_error, "terminated"},
    {502, R"({"error":"upstream"})", errc::server_error, "upstream"},
    {503, R"({"error":"server busy, please try again.  maximum pending requests exceeded"})", errc::overloaded, "busy",
     "later"},
    {200, R"({"error":"boom"})", errc::server_error, "boom"},
    {200, R"({"error":"the input length exceeds the context length"})", errc::context_length, "exceeds", "shorten"},
  };
  for (auto& row : table) {
    auto x = bad(row.status, row.body);
    CAPTURE(row.status, row.body, x.message, x.suggestion);
    CHECK(name_of(x.code) == name_of(row.code));
    CHECK(x.http_status == row.status);
    CHECK(has(x.provider_message, row.words));
    CHECK(has(x.suggestion, row.suggestion));
    CHECK(x.provider_request_id == "req_1");
    CHECK_FALSE(x.message.empty());
  }
}

TEST_CASE("what is no ollama answer is told apart", "[wire][ollama]") {
  for (auto& [body, said] : {std::pair{"", "an empty body"},
                             {"Ollama is running", "begins Ollama is running"},
                             {"{}", "no finished answer"},
                             {R"({"message":{"content":"a"},"done":false})", "no finished answer"},
                             {R"({"message":{"content":"a"},"done":"perhaps"})", "no finished answer"},
                             {R"({"message":{"content":)", "broken JSON"}}) {
    auto x = bad(200, body);
    CAPTURE(body, x.message);
    CHECK(x.code == errc::invalid_response);
    CHECK(has(x.message, said));
    CHECK(has(x.suggestion, "http://127.0.0.1:11434") == (std::string_view{said} != "broken JSON"));
  }
}

TEST_CASE("an ollama stream is handed on piece by piece and ends in a completion", "[wire][ollama][stream]") {
  auto x = hear(sample, ollama::chat_api());
  CHECK(x.said
        == std::vector<std::string>{"reasoning: Hmm", "text: Mild", "call 0: call_o1 get_weather",
                                    R"(arguments 0: {"city":"Oslo"})"});
  CHECK(x.ended);
  CHECK(x.tokens == 9);
  CHECK(x.news == 4);
  CHECK(x.good().finish_reason == finish_reason::tool_calls);
  CHECK(x.good().tool_calls == std::vector<tool_call>{{"call_o1", "get_weather", R"({"city":"Oslo"})"}});
  CHECK(x.good().usage == token_usage{12, 9, 0, 0, 0});
  CHECK(x.good().model == "demo:8b");
  CHECK(x.good().warnings.empty());
  auto y = hear(text("a") + done + text("b"), ollama::chat_api());
  CHECK(y.words == "ab");
  CHECK(y.bad().code == errc::stream_interrupted);
  CHECK(hear(text("a") + done + text("b") + done, ollama::chat_api()).good().finish_reason == finish_reason::stop);
}

TEST_CASE("an ollama stream that fails or breaks off is a failure", "[wire][ollama][stream]") {
  struct {
    std::string body;
    errc code;
    std::string_view said;
  } table[] = {
    {failing + done, errc::server_error, "failed while it answered"},
    {R"({"error":"the input length exceeds the context length"})", errc::context_length, "context"},
    {"", errc::invalid_response, "an empty body"},
    {"<html></html>", errc::invalid_response, "an HTML page"},
    {R"({"response":"a","done":false})", errc::invalid_response,
     R"(all of it is unknown, and it begins {"response":"a")"},
    {R"({"response":"","done":true,"done_reason":"stop"})", errc::invalid_response, "no finished answer"},
    {text(""), errc::invalid_response, "before its first piece"},
    {text("a") + text("b"), errc::stream_interrupted, "after 2 pieces, before its end mark"},
    {text("a") + "oops\n" + done, errc::invalid_response, "a line that is no JSON object"},
    {text("a") + "{\"message\":{]}\n" + done, errc::invalid_response, "broken JSON"},
    {"{" + std::string(2 << 20, ' '), errc::response_too_large, "1048576 bytes"},
  };
  for (auto& [body, code, said] : table) {
    auto x = hear(body, ollama::chat_api());
    CAPTURE(body.substr(0, 200), x.bad().message);
    CHECK(x.bad().code == code);
    CHECK(has(x.bad().message, said));
    CHECK(x.bad().provider_request_id == "req_1");
  }
}

TEST_CASE("any cutting of an ollama stream gives the same pieces and end", "[wire][ollama][stream]") {
  for (auto& body : {sample, failing, text("a\xFF") + done, text("a") + "oops\n" + done, std::string{"<html>"},
                     "\r\n" + text("a") + "\r\n\r\n" + done})
    check_cuts(body, ollama::chat_api());
}

TEST_CASE("an ollama stream that is cut anywhere before its end mark is a failure", "[wire][ollama][stream]") {
  check_beginnings(sample, ollama::chat_api(), sample.size() - 1); // without the last line's end
  check_beginnings(failing, ollama::chat_api(), failing.size() + 1);
}

TEST_CASE("reading objects costs no allocation for one that comes whole", "[wire][ollama][stream]") {
  struct : listener {
    void text(std::string_view x) override { bytes += x.size(); }
    std::size_t bytes = 0;
  } to;
  std::string body;
  for (int i = 0; i < 1000; ++i)
    body += i % 2 == 0 ? text(" word") : text(" an \\\"escaped\\\" word\\n");
  auto reader = ollama::chat_api().read_stream(ok);
  reader->take(body, to);
  auto before = allocations();
  reader->take(body, to);
  auto allocated = allocations() - before;
  CHECK(allocated == 0);
  CHECK(to.bytes > 10'000);
}

} // namespace modelforge::ollama_test
