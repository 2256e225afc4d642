#include "tests/wire/hear.hpp"
#include "wire/gemini/gemini.hpp"
#include "wire/vendors.hpp"

#include <functional>
#include <limits>

namespace modelforge::gemini_test {

using namespace modelforge::test;
using json = modelforge::json::value;
using namespace std::chrono_literals;

namespace {

chat_request hello() {
  chat_request x;
  x.model = "gemini-demo";
  x.messages = {text_message(role::user, "Hi")};
  return x;
}

encoded_request encoded(const chat_request& x, bool stream = false) {
  auto result = gemini::content_api().encode(x, stream);
  if (auto* problem = std::get_if<failure>(&result))
    FAIL(problem->message);
  return std::get<encoded_request>(result);
}

nlohmann::json body_of(const chat_request& x) {
  return nlohmann::json::parse(encoded(x).body);
}

answer decode(uint16_t status, std::string_view body, std::vector<http::header> headers = {}) {
  return gemini::content_api().decode({status, std::move(headers)}, body);
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

bool has(std::string_view text, std::string_view part) {
  return text.find(part) != text.npos;
}

std::string event(std::string_view data) {
  return "data: " + std::string{data} + "\r\n\r\n";
}

/// A chunk whose candidate has these parts and these other fields.
std::string parts(std::string_view x, std::string_view more = "") {
  return event(
    R"({"candidates":[{"content":{"parts":[)" + std::string{x} + R"(],"role":"model"},"index":0)" + std::string{more}
    + R"(}],"usageMetadata":{"promptTokenCount":5,"totalTokenCount":5},"modelVersion":"gemini-demo","responseId":"r2"})");
}

std::string text(std::string_view x, std::string_view more = "") {
  return parts(R"({"text":")" + std::string{x} + "\"}", more);
}

constexpr auto stop = R"(,"finishReason":"STOP")";

const std::string plain =
  event(R"({"candidates":[{"content":{"parts":[{"text":"Mil"}],"role":"model"},"index":0}],)"
        R"("usageMetadata":{"promptTokenCount":5,"totalTokenCount":5},"modelVersion":"gemini-demo","responseId":"r2"})")
  + event(R"({"candidates":[{"content":{"parts":[{"text":"d."}],"role":"model"},"finishReason":"STOP","index":0}],)"
          R"("usageMetadata":{"promptTokenCount":5,"candidatesTokenCount":3,"totalTokenCount":8},)"
          R"("modelVersion":"gemini-demo","responseId":"r2"})");

const std::string thinking =
  parts(R"({"text":"Need \"dä\u0074a\".","thought":true})") + text("Let me look.")
  + parts(R"({"functionCall":{"id":"fn1","name":"get_weather","args":{"city":"Oslo"}},"thoughtSignature":"c2ln"},)"
          R"({"functionCall":{"name":"now","args":{}}})")
  + parts(R"({"text":"","thoughtSignature":"c2ln"})", stop);

const std::string blocked =
  event(R"({"promptFeedback":{"blockReason":"SAFETY"},"usageMetadata":{"promptTokenCount":7}})");

const std::string quota =
  R"({"error":{"code":429,"message":"Quota exceeded","status":"RESOURCE_EXHAUSTED","details":[
 {"@type":"type.googleapis.com/google.rpc.QuotaFailure","violations":[{"quotaMetric":"generativelanguage.googleapis.com/demo_requests","quotaId":"GenerateRequestsPerMinutePerProjectPerModel","quotaValue":"10"}]},
 {"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"34.4s"}]}})";

const std::string failing = text("Hal") + quota + "\r\n";
const std::string failing_list = text("Hal") + "[" + quota + "\r\n]\r\n";

/// Without alt=sse.
const std::string list = R"([{"candidates":[{"content":{"parts":[{"text":"a } \" \\"}]}}]}
,
{"candidates":[{"content":{"parts":[{"text":"b"}]},"finishReason":"STOP"}]}
])";

} // namespace

TEST_CASE("gemini is found by its name", "[wire][gemini]") {
  CHECK(find_dialect("gemini") == &gemini::content_api());
  CHECK(gemini::content_api().default_base_url() == "https://generativelanguage.googleapis.com/v1beta");
  CHECK(gemini::content_api().authorize("k") == http::header{"x-goog-api-key", "k"});
  CHECK(gemini::content_api().accounting() == limits::token_accounting::input);
}

TEST_CASE("the model stands in the path, escaped", "[wire][gemini]") {
  for (auto& [model, path] : {std::pair{"gemini-2.5-flash", "/models/gemini-2.5-flash"},
                              {"models/gemini-x", "/models/gemini-x"},
                              {"tunedModels/a b", "/tunedModels/a%20b"},
                              {"../x?key=1#:\xC3\xBC", "/models/..%2Fx%3Fkey%3D1%23%3A%C3%BC"}}) {
    auto x = hello();
    x.model = model;
    CHECK(encoded(x).path == std::string{path} + ":generateContent");
    CHECK(encoded(x, true).path == std::string{path} + ":streamGenerateContent?alt=sse");
  }
  CHECK(encoded(hello(), true).headers
        == std::vector<http::header>{{"content-type", "application/json"}, {"accept", "text/event-stream"}});
}

TEST_CASE("a request that sets nothing sends only the contents to gemini", "[wire][gemini]") {
  for (auto stream : {false, true})
    CHECK(encoded(hello(), stream).body == R"({"contents":[{"role":"user","parts":[{"text":"Hi"}]}]})");
}

TEST_CASE("a gemini request is written field by field", "[wire][gemini]") {
  auto x = hello();
  x.messages = {text_message(role::system, "Be \"brief\"."),
                text_message(role::developer, "Täglich."),
                {role::user,
                 {text_part{"What is it?"}, image_part{"https://example.com/a.png", "image/png", "", ""},
                  image_part{"", "image/png", "iVBORw0KGgo=", "low"}},
                 "ada"},
                {role::assistant,
                 {text_part{"Let me look."}, reasoning_part{"hm", "gemini:c2ln"},
                  tool_call{"c1", "look", R"({"at":"it"})", ""}, tool_call{"c2", "wait", ""}},
                 ""},
                {role::tool, {tool_result{"c1", "a cat", false}}, ""},
                {role::tool, {tool_result{"c2", R"({"done":false})", false}, tool_result{"c2", "no", true}}, ""},
                text_message(role::user, "So?")};
  x.sampling = {100, 0.5, 0.25, 40, -1.5, 2.0, -7, {"END", "\n"}, "low", {}};
  x.response_format = {response_kind::json_schema, "weather", R"({"type": "object"})", true};
  x.tools = {{"look", "Looks", R"({"type":"object","additionalProperties":false})", false}, {"wait", "", "", true}};
  x.tool_choice = {tool_mode::named, "look", true};
  x.trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
  auto result = encoded(x);
  CHECK(result.headers == std::vector<http::header>{{"content-type", "application/json"}, {"traceparent", x.trace}});
  CHECK(result.warnings.size() == 3); // name, detail, strict
  CHECK(nlohmann::json::parse(result.body) == nlohmann::json::parse(R"({
    "systemInstruction":{"parts":[{"text":"Be \"brief\"."},{"text":"Täglich."}]},
    "contents":[
      {"role":"user","parts":[{"text":"What is it?"},
        {"fileData":{"mimeType":"image/png","fileUri":"https://example.com/a.png"}},
        {"inlineData":{"mimeType":"image/png","data":"iVBORw0KGgo="}}]},
      {"role":"model","parts":[{"text":"Let me look."},
        {"functionCall":{"id":"c1","name":"look","args":{"at":"it"}},"thoughtSignature":"c2ln"},
        {"functionCall":{"id":"c2","name":"wait","args":{}}}]},
      {"role":"user","parts":[
        {"functionResponse":{"id":"c1","name":"look","response":{"output":"a cat"}}},
        {"functionResponse":{"id":"c2","name":"wait","response":{"done":false}}},
        {"functionResponse":{"id":"c2","name":"wait","response":{"error":"no"}}}]},
      {"role":"user","parts":[{"text":"So?"}]}],
    "tools":[{"functionDeclarations":[
      {"name":"look","description":"Looks","parametersJsonSchema":{"type":"object","additionalProperties":false}},
      {"name":"wait"}]}],
    "toolConfig":{"functionCallingConfig":{"mode":"ANY","allowedFunctionNames":["look"]}},
    "generationConfig":{"maxOutputTokens":100,"temperature":0.5,"topP":0.25,"topK":40,"frequencyPenalty":-1.5,
      "presencePenalty":2.0,"seed":-7,"stopSequences":["END","\n"],
      "thinkingConfig":{"includeThoughts":true,"thinkingLevel":"low"},
      "responseMimeType":"application/json","responseJsonSchema":{"type":"object"}}})"));
}

TEST_CASE("choices of tools, JSON mode and thinking have gemini's words", "[wire][gemini]") {
  struct {
    std::function<void(chat_request&)> change;
    std::string_view where, expected;
  } table[] = {
    {[](auto& x) { x.tool_choice.mode = tool_mode::none; }, "/toolConfig",
     R"({"functionCallingConfig":{"mode":"NONE"}})"},
    {[](auto& x) { x.tool_choice.mode = tool_mode::required; }, "/toolConfig",
     R"({"functionCallingConfig":{"mode":"ANY"}})"},
    {[](auto& x) { x.response_format.kind = response_kind::json_object; }, "/generationConfig",
     R"({"responseMimeType":"application/json"})"},
    {[](auto& x) { x.sampling.reasoning_budget = 0; }, "/generationConfig/thinkingConfig", R"({"thinkingBudget":0})"},
    {[](auto& x) { x.sampling.reasoning_budget = 9; }, "/generationConfig/thinkingConfig",
     R"({"includeThoughts":true,"thinkingBudget":9})"},
    {[](auto& x) {
       x.sampling.reasoning_effort = "none";
       x.model = "gemini-2.5-flash";
     },
     "/generationConfig/thinkingConfig", R"({"thinkingBudget":0})"},
    {[](auto& x) {
       x.sampling.reasoning_effort = "medium";
       x.model = "gemini-2.5-flash";
     },
     "/generationConfig/thinkingConfig", R"({"includeThoughts":true,"thinkingBudget":8192})"},
    {[](auto& x) { x.extra = R"({"generationConfig":{"topK":7}})"; }, "/generationConfig", R"({"topK":7})"},
  };
  for (auto& row : table) {
    auto x = hello();
    row.change(x);
    auto body = body_of(x);
    CAPTURE(row.expected, body.dump());
    CHECK(body.at(nlohmann::json::json_pointer{std::string{row.where}}) == nlohmann::json::parse(row.expected));
  }
}

TEST_CASE("extra is added to a gemini request, and inside its generationConfig", "[wire][gemini]") {
  auto x = hello();
  x.sampling.temperature = 0.5;
  x.sampling.max_tokens = 9;
  x.extra = R"({"safetySettings":[{"category":"C"}],"generationConfig":{"temperature":1,"mediaResolution":"LOW"}})";
  auto result = encoded(x);
  CHECK(nlohmann::json::parse(result.body)
        == nlohmann::json::parse(R"({"contents":[{"role":"user","parts":[{"text":"Hi"}]}],
    "generationConfig":{"maxOutputTokens":9,"temperature":1,"mediaResolution":"LOW"},
    "safetySettings":[{"category":"C"}]})"));
  CHECK(result.warnings == std::vector<std::string>{"extra replaces the request's own temperature"});
  for (auto* extra : {R"({"contents":[]})", R"({"contents":[],"generationConfig":{}})"}) {
    auto replaced = hello();
    replaced.extra = extra;
    CHECK(encoded(replaced).body == R"({"contents":[]})");
  }
  x.extra = R"({"generationConfig":7})";
  CHECK(body_of(x)["generationConfig"] == 7);
}

TEST_CASE("what gemini has no place for is told", "[wire][gemini]") {
  struct {
    std::vector<chat_message> more;
    std::string_view warning;
  } table[] = {
    {{text_message(role::system, "Late.")}, "messages[1].role"},
    {{{role::assistant, {reasoning_part{"hm", "anthropic:c2ln"}, text_part{"Yes"}}, ""}},
     "messages[1].content[0].text"},
    {{{role::assistant, {tool_call{"a", "f", "{}"}, tool_call{"b", "f", "{}"}}, ""}}, "messages[1].content[0].id"},
  };
  for (auto& [more, warning] : table) {
    auto x = hello();
    x.messages.insert(x.messages.end(), more.begin(), more.end());
    auto result = encoded(x);
    REQUIRE(result.warnings.size() == 1);
    CHECK(result.warnings[0].starts_with(warning));
    CHECK(has(result.body, "skip_thought_signature_validator") == (more[0].content[0].index() == 2));
  }
  auto x = hello();
  x.messages.push_back({role::assistant, {text_part{"Yes"}, reasoning_part{"", "gemini:c2ln"}}, ""});
  CHECK(body_of(x)["contents"][1]["parts"][1] == nlohmann::json{{"text", ""}, {"thoughtSignature", "c2ln"}});
  x.messages[1] = {role::assistant, {tool_call{"a", "f", "{}"}}, ""};
  x.model = "gemini-2.5-flash";
  CHECK(encoded(x).warnings.empty()); // it asks for no signatures
}

TEST_CASE("what cannot be sent to gemini is refused by the field's name", "[wire][gemini]") {
  const std::string bad_text = "a\xFFz";
  auto with = [](role who, content_part part) { return [=](chat_request& x) { x.messages[0] = {who, {part}, ""}; }; };
  struct {
    std::string field;
    std::function<void(chat_request&)> change;
    errc code = errc::invalid_request;
  } table[] = {
    {"model ", [](auto& x) { x.model.clear(); }},
    {"model ", [&](auto& x) { x.model = bad_text; }},
    {"messages ", [](auto& x) { x.messages.clear(); }},
    {"messages ", with(role::system, text_part{"a"})},
    {"messages[0].content ", [](auto& x) { x.messages[0].content.clear(); }},
    {"messages[0].content ", with(role::assistant, reasoning_part{"hm", ""})},
    {"messages[0].content[0].text ", with(role::user, text_part{bad_text})},
    {"messages[0].content[0] ", with(role::user, image_part{})},
    {"messages[0].content[0].media_type ", with(role::user, image_part{"", "", "AAAA", ""})},
    {"messages[0].content[0].data ", with(role::user, image_part{"", "a/b", bad_text, ""})},
    {"messages[0].content[0] ", with(role::assistant, image_part{"http://a", "", "", ""}), errc::unsupported},
    {"messages[0].content[0] ", with(role::user, tool_call{"a", "b", "{}"})},
    {"messages[0].content[0] ", with(role::user, reasoning_part{"hm", ""})},
    {"messages[0].content[0] ", with(role::user, tool_result{"a", "b"})},
    {"messages[0].content[0] ", with(role::tool, text_part{"a"})},
    {"messages[0].content[0].call_id ", with(role::tool, tool_result{"a", "b"})},
    {"messages[0].content[0].name ", with(role::assistant, tool_call{"a", "", "{}"})},
    {"messages[0].content[0].arguments ", with(role::assistant, tool_call{"a", "f", "[]"})},
    {"sampling.temperature ", [](auto& x) { x.sampling.temperature = std::numeric_limits<double>::quiet_NaN(); }},
    {"sampling.seed ", [](auto& x) { x.sampling.seed = int64_t{1} << 31; }, errc::unsupported},
    {"sampling.stop ", [](auto& x) { x.sampling.stop.resize(6, "a"); }, errc::unsupported},
    {"sampling.reasoning_effort ", [](auto& x) { x.sampling.reasoning_effort = "none"; }, errc::unsupported},
    {"sampling.reasoning_effort ",
     [](auto& x) {
       x.sampling.reasoning_effort = "xhigh";
       x.model = "gemini-2.5-pro";
     },
     errc::unsupported},
    {"response_format.schema ",
     [](auto& x) {
       x.response_format = {response_kind::json_schema, "a", "[]", true};
     }},
    {"tools[0].name ",
     [](auto& x) {
       x.tools = {{"", "d", "", false}};
     }},
    {"tools[0].parameters ",
     [](auto& x) {
       x.tools = {{"b", "", "{]", false}};
     }},
    {"tool_choice.name ", [](auto& x) { x.tool_choice.mode = tool_mode::named; }},
    {"tool_choice.parallel ", [](auto& x) { x.tool_choice.parallel = false; }, errc::unsupported},
    {"extra ", [](auto& x) { x.extra = "{"; }},
    {"extra.stream ", [](auto& x) { x.extra = R"({"stream":true})"; }},
    {"trace ", [](auto& x) { x.trace = "00-1\r\nx-evil: 1"; }},
  };
  for (auto& [field, change, code] : table) {
    auto x = hello();
    change(x);
    auto result = gemini::content_api().encode(x);
    REQUIRE(std::holds_alternative<failure>(result));
    auto& problem = std::get<failure>(result);
    CAPTURE(problem.message);
    CHECK(problem.message.starts_with(field));
    CHECK(problem.code == code);
  }
}

TEST_CASE("a typical gemini answer is read whole", "[wire][gemini]") {
  auto x = good(R"({"candidates":[{"index":0,"content":{"role":"model","parts":[{"text":"Need data.","thought":true},
   {"functionCall":{"id":"fn1","name":"get_weather","args":{"city":  "Oslo"}},"thoughtSignature":"c2ln"}]},
   "finishReason":"STOP","safetyRatings":[]}],
 "usageMetadata":{"promptTokenCount":50,"cachedContentTokenCount":20,"candidatesTokenCount":12,"thoughtsTokenCount":30,"totalTokenCount":92},
 "modelVersion":"gemini-demo","responseId":"r1"})");
  completion expected;
  expected.reasoning = {{"Need data.", ""}};
  expected.tool_calls = {{"fn1", "get_weather", R"({"city":  "Oslo"})", "gemini:c2ln"}};
  expected.finish_reason = finish_reason::tool_calls;
  expected.raw_finish_reason = "STOP";
  expected.usage = token_usage{50, 42, 20, 0, 30};
  expected.model = "gemini-demo";
  expected.provider_request_id = "r1";
  CHECK(x == expected);
}

TEST_CASE("gemini's finish reasons are mapped", "[wire][gemini]") {
  struct {
    std::string_view word;
    finish_reason without, with;
  } table[] = {
    {"STOP", finish_reason::stop, finish_reason::tool_calls},
    {"MAX_TOKENS", finish_reason::length, finish_reason::length},
    {"SAFETY", finish_reason::content_filter, finish_reason::content_filter},
    {"RECITATION", finish_reason::content_filter, finish_reason::content_filter},
    {"BLOCKLIST", finish_reason::content_filter, finish_reason::content_filter},
    {"PROHIBITED_CONTENT", finish_reason::content_filter, finish_reason::content_filter},
    {"SPII", finish_reason::content_filter, finish_reason::content_filter},
    {"LANGUAGE", finish_reason::content_filter, finish_reason::content_filter},
    {"IMAGE_SAFETY", finish_reason::content_filter, finish_reason::content_filter},
    {"OTHER", finish_reason::unknown, finish_reason::tool_calls},
    {"BRAND_NEW", finish_reason::unknown, finish_reason::tool_calls},
  };
  for (auto& row : table)
    for (auto called : {false, true}) {
      auto body = text("a", R"(,"finishReason":")" + std::string{row.word} + "\"");
      if (called)
        body = parts(R"({"functionCall":{"name":"f"}})") + body;
      auto x = hear(body, gemini::content_api());
      CAPTURE(row.word, called);
      CHECK(x.good().finish_reason == (called ? row.with : row.without));
      CHECK(x.good().raw_finish_reason == row.word);
      auto expected = called ? std::vector<tool_call>{{"call_r2_0", "f", "{}"}} : std::vector<tool_call>{};
      CHECK(x.good().tool_calls == expected);
    }
}

TEST_CASE("gemini answers of every kind are read", "[wire][gemini]") {
  struct {
    std::string_view body;
    finish_reason reason;
    std::string_view text, warning;
    std::optional<token_usage> usage;
  } table[] = {
    {R"({"promptFeedback":{"blockReason":"SAFETY"}})",
     finish_reason::content_filter,
     "",
     "blocked the prompt: SAFETY",
     {}},
    {R"({"promptFeedback":{"blockReason":"OTHER","blockReasonMessage":"No."},"usageMetadata":{"promptTokenCount":4}})",
     finish_reason::content_filter, "", "blocked the prompt: OTHER", token_usage{4, 0, 0, 0, 0}},
    {R"({"candidates":[{"finishReason":"SAFETY","finishMessage":"Not that."}]})",
     finish_reason::content_filter,
     "",
     "Not that.",
     {}},
    {R"({"candidates":[{"content":{"role":"model"},"finishReason":"MAX_TOKENS"}],
         "usageMetadata":{"promptTokenCount":4,"thoughtsTokenCount":9}})",
     finish_reason::length, "", "", token_usage{4, 9, 0, 0, 9}},
    {R"({"candidates":[{"content":{"parts":[{"text":"a"},{"text":"b"}]},"finishReason":"STOP"}],
         "usageMetadata":{"promptTokenCount":4,"toolUsePromptTokenCount":3,"candidatesTokenCount":2,
           "cachedContentTokenCount":99}})",
     finish_reason::stop, "ab", "", token_usage{7, 2, 7, 0, 0}},
    {R"({"candidates":[{"content":{"parts":[{"text":"a"},{"executableCode":{"code":"1"}},{"inlineData":{}}]},
         "finishReason":"STOP"}]})",
     finish_reason::stop,
     "a",
     "executableCode",
     {}},
    {R"({"candidates":[{"content":{"parts":[{"text":"a"}]}}],"usageMetadata":{"promptTokenCount":-1},"brandNew":[{}]})",
     finish_reason::unknown,
     "a",
     "no finish reason",
     {}},
    {"\r\n {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"a\xFFz\"}]},\"finishReason\":\"STOP\"}]}\n",
     finish_reason::stop,
     "a\xEF\xBF\xBDz",
     "not UTF-8",
     {}},
    {list, finish_reason::stop, "a } \" \\b", "", {}},
  };
  for (auto& row : table) {
    CAPTURE(row.body);
    auto x = good(row.body);
    CHECK(x.finish_reason == row.reason);
    CHECK(x.text == row.text);
    CHECK(x.usage == row.usage);
    CHECK(x.warnings.empty() == row.warning.empty());
    if (!row.warning.empty())
      CHECK(has(x.warnings.at(0), row.warning));
  }
}

TEST_CASE("arguments that are no object fail a gemini answer, unless it was cut", "[wire][gemini]") {
  for (auto* args : {"[1]", "7", "\"x\"", "true"}) {
    auto body = [&](const char* reason) {
      return R"({"candidates":[{"content":{"parts":[{"functionCall":{"name":"look","args":)" + std::string{args}
             + R"(}}]},"finishReason":")" + reason + "\"}]}";
    };
    CHECK(bad(200, body("STOP")).code == errc::invalid_response);
    CHECK(has(bad(200, body("STOP")).message, "tool look"));
    CHECK(has(good(body("MAX_TOKENS")).warnings.at(0), "tool look"));
  }
  auto x = good(R"({"candidates":[{"content":{"parts":[{"functionCall":{"name":"f","args":null}}]}}]})");
  CHECK(x.tool_calls == std::vector<tool_call>{{"call__0", "f", "{}"}});
}

TEST_CASE("gemini's errors mean what the provider says they mean", "[wire][gemini]") {
  auto error = [](int code, std::string_view status, std::string_view message = "made up",
                  std::string_view details = "") {
    return R"({"error":{"code":)" + std::to_string(code) + R"(,"message":")" + std::string{message} + R"(","status":")"
           + std::string{status} + R"(","details":[)" + std::string{details} + "]}}";
  };
  constexpr auto bad_key = R"({"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"API_KEY_INVALID",
                               "domain":"googleapis.com"})";
  constexpr auto by_day = R"({"@type":"type.googleapis.com/google.rpc.QuotaFailure","violations":[
    {"quotaId":"GenerateRequestsPerMinutePerProjectPerModel"},
    {"quotaId":"GenerateRequestsPerDayPerProjectPerModel-FreeTier","quotaValue":"50"}]},
    {"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"34s"})";
  constexpr auto wait = R"({"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"2s"})";
  struct {
    uint16_t status;
    std::string body;
    errc code;
    std::string_view provider_code;
    std::string_view suggestion = "";
    std::optional<std::chrono::nanoseconds> wait = {};
  } table[] = {
    {400, error(400, "INVALID_ARGUMENT"), errc::invalid_request, "INVALID_ARGUMENT"},
    {400, error(400, "INVALID_ARGUMENT", "API key not valid.", bad_key), errc::authentication, "API_KEY_INVALID",
     "api_key_env"},
    {400, "[" + error(400, "INVALID_ARGUMENT", "API key not valid.", bad_key) + "]", errc::authentication,
     "API_KEY_INVALID", "api_key_env"},
    {400,
     error(400, "INVALID_ARGUMENT", "The input token count (12) exceeds the maximum number of tokens allowed (8)."),
     errc::context_length, "INVALID_ARGUMENT", "shorten"},
    {400, error(400, "FAILED_PRECONDITION", "User location is not supported."), errc::permission, "FAILED_PRECONDITION",
     "country"},
    {400,
     error(400, "FAILED_PRECONDITION", "Billing is not enabled.",
           R"({"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"BILLING_DISABLED"})"),
     errc::permission, "BILLING_DISABLED"},
    {403, error(403, "PERMISSION_DENIED"), errc::permission, "PERMISSION_DENIED"},
    {404, error(404, "NOT_FOUND", "models/demo is not found"), errc::not_found, "NOT_FOUND", "usually ends in /v1beta"},
    {409, error(409, "ABORTED"), errc::server_error, "ABORTED"},
    {413, "<html>too large</html>", errc::too_large, ""},
    {429, quota, errc::rate_limited, "RESOURCE_EXHAUSTED", "requests_per_minute", 34400ms},
    {429, error(429, "RESOURCE_EXHAUSTED"), errc::rate_limited, "RESOURCE_EXHAUSTED"},
    {429, error(429, "RESOURCE_EXHAUSTED", "made up", by_day), errc::quota_exhausted, "RESOURCE_EXHAUSTED", "midnight"},
    {499, error(499, "CANCELLED"), errc::invalid_request, "CANCELLED"},
    {500, error(500, "INTERNAL"), errc::server_error, "INTERNAL"},
    {502, "<html>Bad Gateway</html>", errc::server_error, ""},
    {503, error(503, "UNAVAILABLE", "made up", wait), errc::overloaded, "UNAVAILABLE", "later", 2s},
    {504, error(504, "DEADLINE_EXCEEDED"), errc::server_error, "DEADLINE_EXCEEDED", "shorter"},
    {200, quota, errc::rate_limited, "RESOURCE_EXHAUSTED", "", 34400ms},
    {200, "[" + error(503, "UNAVAILABLE") + "]", errc::overloaded, "UNAVAILABLE"},
    {500, R"({"error":{"details":[7,{"@type":7},{"@type":"google.rpc.QuotaFailure","violations":[7,{}]},
        {"@type":"google.rpc.RetryInfo","retryDelay":"soon"}]}})",
     errc::server_error, ""},
  };
  for (auto& row : table) {
    auto x = bad(row.status, row.body);
    CAPTURE(row.status, row.body, x.message, x.suggestion);
    CHECK(name_of(x.code) == name_of(row.code));
    CHECK(x.http_status == row.status);
    CHECK(x.provider_code == row.provider_code);
    CHECK(has(x.suggestion, row.suggestion));
    CHECK(x.retry_after == row.wait);
    CHECK_FALSE(x.message.empty());
  }
  CHECK(bad(429, error(429, "RESOURCE_EXHAUSTED"), {{"retry-after", "7"}}).retry_after == 7s);
  CHECK(has(bad(307, "", {{"location", "https://other.example/v1"}}).suggestion, "other.example"));
}

TEST_CASE("what is no gemini answer is told apart", "[wire][gemini]") {
  for (auto& [body, said] : {std::pair{"", "an empty body"},
                             {"<html>", "an HTML page"},
                             {"{}", "without any candidates"},
                             {"[]", "without any candidates"},
                             {R"({"candidates":[]})", "without any candidates"},
                             {R"({"candidates":[7]})", "without any candidates"},
                             {R"({"promptFeedback":{"safetyRatings":[]}})", "without any candidates"},
                             {R"({"candidates":)", "broken JSON"},
                             {R"([{"candidates":[{}]},)", "broken JSON"}}) {
    auto x = bad(200, body);
    CAPTURE(body, x.message);
    CHECK(x.code == errc::invalid_response);
    CHECK(has(x.message, said));
    CHECK(has(x.suggestion, "v1beta") == (std::string_view{said} != "broken JSON"));
  }
}

TEST_CASE("a gemini stream is handed on piece by piece and ends in a completion", "[wire][gemini][stream]") {
  auto x = hear(plain, gemini::content_api());
  CHECK(x.said == std::vector<std::string>{"text: Mil", "text: d."});
  CHECK(x.tokens == 3);
  CHECK(x.news == 2);
  CHECK(x.good().finish_reason == finish_reason::stop);
  CHECK(x.good().usage == token_usage{5, 3, 0, 0, 0});
  CHECK(x.good().model == "gemini-demo");
  CHECK(x.good().provider_request_id == "req_1");
  CHECK(x.good().warnings.empty());
  auto y = hear(thinking, gemini::content_api());
  CHECK(y.said
        == std::vector<std::string>{"reasoning: Need \"däta\".", "text: Let me look.", "call 0: fn1 get_weather",
                                    "seal of call 0: gemini:c2ln", R"(arguments 0: {"city":"Oslo"})",
                                    "call 1: call_r2_1 now", "arguments 1: {}", "seal: gemini:c2ln"});
  CHECK(y.good().finish_reason == finish_reason::tool_calls);
  CHECK(
    y.good().tool_calls
    == std::vector<tool_call>{{"fn1", "get_weather", R"({"city":"Oslo"})", "gemini:c2ln"}, {"call_r2_1", "now", "{}"}});
  auto z = hear(blocked, gemini::content_api());
  CHECK(z.said.empty());
  CHECK(z.good().finish_reason == finish_reason::content_filter);
  CHECK(z.good().usage == token_usage{7, 0, 0, 0, 0});
  CHECK(hear(list, gemini::content_api()).words == "a } \" \\b");
  CHECK(hear(list, gemini::content_api()).good().finish_reason == finish_reason::stop);
}

TEST_CASE("errors inside a gemini stream are failures, however they come", "[wire][gemini][stream]") {
  for (auto& body : {failing, failing_list, text("Hal") + event("[" + json::parse(quota).dump() + "]"),
                     "[" + list.substr(1, list.find('\n')) + "," + quota}) {
    auto x = hear(body + text("!", stop), gemini::content_api());
    CAPTURE(body);
    CHECK(x.ended);
    CHECK(x.said.size() == 1);
    CHECK(x.bad().code == errc::rate_limited);
    CHECK(x.bad().provider_message == "Quota exceeded");
  }
  CHECK(hear(failing, gemini::content_api()).bad().retry_after == 34400ms);
}

TEST_CASE("what is no gemini stream, or none that ended, is told apart", "[wire][gemini][stream]") {
  struct {
    std::string body;
    errc code;
    std::string_view said;
  } table[] = {
    {"", errc::invalid_response, "an empty body"},
    {"<html></html>", errc::invalid_response, "an HTML page"},
    {"upstream" + std::string(100'000, '!'), errc::invalid_response, "begins upstream"},
    {quota, errc::rate_limited, "rate limit"},
    {": keep-alive\r\n\r\n", errc::invalid_response, "before its first piece"},
    {event("{}"), errc::invalid_response, "without any candidates; all of it is unknown, and it begins data: {}"},
    {event("{\"candidates\":["), errc::invalid_response, "broken JSON"},
    {text("a") + event("[DONE]"), errc::stream_interrupted, "after 1 piece, before its end mark"},
    {text("a", stop) + text("b"), errc::stream_interrupted, "after 2 pieces"}, // the first was not the last one
    {"data: " + std::string(2 << 20, 'x'), errc::response_too_large, "1048576 bytes"},
    {"{" + std::string(2 << 20, ' ') + "}", errc::response_too_large, "1048576 bytes"},
    {parts(R"({"functionCall":{"name":"f","args":{"a":")" + std::string(600'000, 'x') + "\"}}}")
       + parts(R"({"functionCall":{"name":"f","args":{"a":")" + std::string(600'000, 'x') + "\"}}}"),
     errc::response_too_large, "tool calls exceed"},
  };
  for (auto& [body, code, said] : table) {
    auto x = hear(body, gemini::content_api());
    CAPTURE(body.substr(0, 200), x.bad().message);
    CHECK(x.bad().code == code);
    CHECK(has(x.bad().message, said));
  }
  auto x = hear(text("a", stop) + event(R"({"usageMetadata":{"promptTokenCount":5,"candidatesTokenCount":9}})")
                  + "event: ping\r\ndata: {\"candidates\":7}\r\n\r\n",
                gemini::content_api());
  CHECK(x.good().usage == token_usage{5, 9, 0, 0, 0}); // behind the finish reason
  CHECK(x.news == 2);
}

TEST_CASE("any cutting of a gemini stream gives the same pieces and end", "[wire][gemini][stream]") {
  for (auto& body : {plain, thinking, blocked, failing, failing_list, list, std::string{"<html>"}, text("a\xFF", stop),
                     "\xEF\xBB\xBF" + plain, ": c\n" + text("a", stop)})
    check_cuts(body, gemini::content_api());
}

TEST_CASE("a gemini stream that is cut anywhere before its finish reason is a failure", "[wire][gemini][stream]") {
  check_beginnings(plain, gemini::content_api(), plain.size() - 4); // without the last line's end
  check_beginnings(thinking, gemini::content_api(), thinking.size() - 4);
  check_beginnings(blocked, gemini::content_api(), blocked.find("\r\n"));
  check_beginnings(list, gemini::content_api(), list.rfind(']') + 1);
  check_beginnings(failing, gemini::content_api(), failing.size() + 1);
}

} // namespace modelforge::gemini_test
