#include "tests/wire/hear.hpp"

#include <functional>

namespace modelforge::responses_test {

using namespace modelforge::test;
using json = modelforge::json::value;
using namespace std::chrono_literals;

namespace {

chat_request hello() {
  chat_request x;
  x.model = "demo-mini";
  x.messages = {text_message(role::user, "Hi")};
  return x;
}

encoded_request encoded(const chat_request& x, bool stream = false) {
  auto result = openai::responses_api().encode(x, stream);
  if (auto* problem = std::get_if<failure>(&result))
    FAIL(problem->message);
  return std::get<encoded_request>(result);
}

json body_of(const chat_request& x) {
  return json::parse(encoded(x).body);
}

completion good(std::string_view body) {
  auto result = openai::responses_api().decode({200, {{"x-request-id", "req_1"}}}, body);
  if (auto* problem = std::get_if<failure>(&result))
    FAIL(problem->message);
  return std::get<completion>(result);
}

failure bad(uint16_t status, std::string_view body) {
  auto result = openai::responses_api().decode({status, {}}, body);
  REQUIRE(std::holds_alternative<failure>(result));
  return std::get<failure>(result);
}

bool has(std::string_view text, std::string_view part) {
  return text.find(part) != text.npos;
}

/// A whole answer of this status with this output and these other fields.
std::string response(std::string_view output, std::string_view more = "", std::string_view status = "completed") {
  return R"({"id":"resp_1","object":"response","created_at":1790000010,"status":")" + std::string{status}
         + R"(","model":"demo-large","output":[)" + std::string{output} + "]" + std::string{more} + "}";
}

std::string message(std::string_view text) {
  return R"({"type":"message","id":"msg_1","role":"assistant","status":"completed",)"
         R"("content":[{"type":"output_text","text":")"
         + std::string{text} + R"(","annotations":[]}]})";
}

const std::string usage =
  R"(,"usage":{"input_tokens":90,"input_tokens_details":{"cached_tokens":64,"cache_write_tokens":7},)"
  R"("output_tokens":31,"output_tokens_details":{"reasoning_tokens":20},"total_tokens":121})";

/// An event of that type with these fields.
std::string event(const std::string& type, std::string_view fields) {
  return "event: " + type + "\ndata: {\"type\":\"" + type + "\",\"sequence_number\":7" + (fields.empty() ? "" : ",")
         + std::string{fields} + "}\n\n";
}

std::string delta(const std::string& kind, int index, std::string_view text, std::string_view more = "") {
  return event("response." + kind + ".delta", R"("item_id":"it_1","output_index":)" + std::to_string(index)
                                                + R"(,"content_index":0,"delta":")" + std::string{text} + "\""
                                                + std::string{more});
}

std::string item(const std::string& kind, int index, std::string_view x) {
  return event("response.output_item." + kind,
               "\"output_index\":" + std::to_string(index) + ",\"item\":" + std::string{x});
}

std::string ended(const std::string& type, const std::string& whole) {
  return event("response." + type, "\"response\":" + whole);
}

const std::string created = ended("created", response("", "", "in_progress"));
const std::string nothing_new = ended("in_progress", response("", "", "in_progress"));

const std::string plain = created + nothing_new
                          + item("added", 0, R"({"type":"message","id":"msg_1","status":"in_progress","content":[]})")
                          + delta("output_text", 0, "Grüß") + delta("output_text", 0, " \\\"dich\\\"")
                          + event("response.output_text.done", R"("output_index":0,"text":"Grüß \"dich\"")")
                          + item("done", 0, message("Grüß \\\"dich\\\"")) + ended("completed", response("", usage));

const std::string thinking_item = R"({"type":"reasoning","id":"rs_1","summary":[{"type":"summary_text","text":"One."},
data: {"type":"summary_text","text":"Two."}],"encrypted_content":"c2:ln"})";

const std::string call_item =
  R"({"type":"function_call","id":"fc_1","call_id":"call_q1","name":"get_weather","arguments":"{\"city\":\"Oslo\"}"})";

const std::string thinking =
  created + item("added", 0, R"({"type":"reasoning","id":"rs_1","summary":[]})")
  + delta("reasoning_summary_text", 0, "One", R"(,"summary_index":0)")
  + delta("reasoning_summary_text", 0, ".", R"(,"summary_index":0)")
  + delta("reasoning_summary_text", 0, "Two.", R"(,"summary_index":1)") + item("done", 0, thinking_item)
  + item("added", 1, R"({"type":"function_call","id":"fc_1","call_id":"call_q1","name":"get_weather","arguments":""})")
  + item("added", 2, R"({"type":"function_call","id":"fc_2","call_id":"call_q2","name":"now","arguments":""})")
  + delta("function_call_arguments", 1, R"({\"city\":)") + delta("function_call_arguments", 2, "{")
  + delta("function_call_arguments", 1, R"(\"Oslo\"})") + delta("function_call_arguments", 2, "}")
  + event("response.function_call_arguments.done", R"("output_index":1,"arguments":"{\"city\":\"Oslo\"}")")
  + item("done", 1, call_item) + ended("completed", response(thinking_item + "," + call_item, usage));

const std::string failing = created + delta("output_text", 0, "Hal")
                            + event("error", R"("code":"server_error","message":"Something broke","param":null)");

} // namespace

TEST_CASE("a Responses request is written field by field", "[wire][responses]") {
  auto x = hello();
  x.messages = {text_message(role::system, "Be \"brief\"."),
                {role::developer, {text_part{"Täglich."}, text_part{"Ja."}}, ""},
                {role::user,
                 {text_part{"What is it?"}, image_part{"https://example.com/a.png", "", "", "low"},
                  image_part{"", "image/png", "iVBORw0KGgo=", ""}},
                 ""},
                {role::assistant,
                 {reasoning_part{"hm", "openai_responses:rs_1:c2:ln"}, reasoning_part{"", "openai_responses:rs_2:eA"},
                  text_part{"Let me"}, text_part{"look."}, tool_call{"call_1", "look", R"({"at":"it"})"},
                  tool_call{"call_2", "wait", ""}, text_part{"So."}},
                 ""},
                {role::tool, {tool_result{"call_1", "a cat", false}, tool_result{"call_2", "no", true}}, ""},
                text_message(role::developer, "Late.")};
  x.sampling.max_tokens = 100;
  x.sampling.temperature = 0.5;
  x.sampling.top_p = 0.25;
  x.sampling.reasoning_effort = "low";
  x.response_format = {response_kind::json_schema, "", R"({"type": "object"})", true};
  x.tools = {{"look", "Looks", R"({"type":"object"})", true}, {"wait", "", "", false}};
  x.tool_choice = {tool_mode::named, "look", false};
  x.cache_key = "team-a";
  x.trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
  x.extra = R"({"reasoning":{"summary":"auto"},"text":{"verbosity":"low"},"user":"a"})";
  auto result = encoded(x);
  CHECK(result.path == "/responses");
  CHECK(result.headers == std::vector<http::header>{{"content-type", "application/json"}, {"traceparent", x.trace}});
  CHECK(result.warnings.size() == 1); // is_error
  CHECK(json::parse(result.body) == json::parse(R"({
    "model":"demo-mini","instructions":"Be \"brief\".\n\nTäglich.\n\nJa.",
    "input":[
      {"role":"user","content":[{"type":"input_text","text":"What is it?"},
        {"type":"input_image","image_url":"https://example.com/a.png","detail":"low"},
        {"type":"input_image","image_url":"data:image/png;base64,iVBORw0KGgo=","detail":"auto"}]},
      {"type":"reasoning","id":"rs_1","summary":[{"type":"summary_text","text":"hm"}],"encrypted_content":"c2:ln"},
      {"type":"reasoning","id":"rs_2","summary":[],"encrypted_content":"eA"},
      {"role":"assistant","content":[{"type":"output_text","text":"Let me"},{"type":"output_text","text":"look."}]},
      {"type":"function_call","call_id":"call_1","name":"look","arguments":"{\"at\":\"it\"}"},
      {"type":"function_call","call_id":"call_2","name":"wait","arguments":"{}"},
      {"role":"assistant","content":"So."},
      {"type":"function_call_output","call_id":"call_1","output":"a cat"},
      {"type":"function_call_output","call_id":"call_2","output":"no"},
      {"role":"developer","content":"Late."}],
    "max_output_tokens":100,"temperature":0.5,"top_p":0.25,
    "reasoning":{"effort":"low","summary":"auto"},
    "text":{"format":{"type":"json_schema","name":"answer","schema":{"type":"object"},"strict":true},"verbosity":"low"},
    "tools":[
      {"type":"function","name":"look","description":"Looks","parameters":{"type":"object"},"strict":true},
      {"type":"function","name":"wait","parameters":{"type":"object","properties":{},"additionalProperties":false},
       "strict":false}],
    "tool_choice":{"type":"function","name":"look"},"parallel_tool_calls":false,
    "store":false,"include":["reasoning.encrypted_content"],"prompt_cache_key":"team-a","user":"a"})"));
}

TEST_CASE("a Responses request that sets nothing asks for nothing to be stored", "[wire][responses]") {
  CHECK(encoded(hello()).body == R"({"model":"demo-mini","input":[{"role":"user","content":"Hi"}],"store":false})");
  auto streamed = encoded(hello(), true);
  CHECK(streamed.headers.back() == http::header{"accept", "text/event-stream"});
  CHECK(has(streamed.body, R"("store":false,"stream":true,"stream_options":{"include_obfuscation":false})"));
  auto x = hello();
  x.messages = {text_message(role::system, "Only this.")};
  CHECK(body_of(x)["input"].dump() == R"([{"role":"system","content":"Only this."}])");
}

TEST_CASE("thoughts are asked for where a model is known to seal them", "[wire][responses]") {
  for (auto& [model, seals] : {std::pair{"gpt-4o", false},
                               {"gpt-4.1-mini", false},
                               {"gpt-5-mini", true},
                               {"gpt-5-chat-latest", false},
                               {"gpt-10", true},
                               {"openai/gpt-5.6", true},
                               {"ft:gpt-5-mini:acme", true},
                               {"o3", true},
                               {"o4-mini", true},
                               {"omni-large", false},
                               {"codex-mini-latest", true},
                               {"my-deployment", false},
                               {"", false}}) {
    auto x = hello();
    x.model = model[0] == '\0' ? "gpt-" : model;
    CAPTURE(model);
    CHECK(body_of(x).contains("include") == seals);
  }
  auto x = hello();
  x.sampling.reasoning_effort = "high";
  CHECK(body_of(x).contains("include"));
  x.extra = R"({"include":[],"store":true})";
  auto replaced = encoded(x);
  CHECK(json::parse(replaced.body)["include"] == json::array());
  CHECK(json::parse(replaced.body)["store"] == true);
  CHECK(replaced.warnings.size() == 2);
}

TEST_CASE("choices of tools and formats have the Responses API's words", "[wire][responses]") {
  auto x = hello();
  x.response_format.kind = response_kind::json_object;
  x.tool_choice.mode = tool_mode::required;
  auto body = body_of(x);
  CHECK(body["text"].dump() == R"({"format":{"type":"json_object"}})");
  CHECK(body["tool_choice"] == "required");
}

TEST_CASE("what the Responses API cannot do is refused by the field's name", "[wire][responses]") {
  auto with = [](role who, content_part part) { return [=](chat_request& x) { x.messages[0] = {who, {part}, ""}; }; };
  struct {
    std::string field;
    std::function<void(chat_request&)> change;
    errc code = errc::invalid_request;
  } table[] = {
    {"model ", [](auto& x) { x.model.clear(); }},
    {"messages ", [](auto& x) { x.messages.clear(); }},
    {"messages[0].content ", [](auto& x) { x.messages[0].content.clear(); }},
    {"messages[0].content[0].text ", with(role::user, text_part{"a\xFFz"})},
    {"messages[0].content ", with(role::assistant, reasoning_part{"hm", ""})},
    {"messages[0].content ",
     [](auto& x) {
       x.messages[0].content.push_back(reasoning_part{"hm", ""});
     }},
    {"messages[0].content[0] ", with(role::user, tool_call{"a", "b", "{}"})},
    {"messages[0].content[0] ", with(role::user, tool_result{"a", "b"})},
    {"messages[0].content[0] ", with(role::user, image_part{})},
    {"messages[0].content[0] ", with(role::assistant, image_part{"http://a", "", "", ""}), errc::unsupported},
    {"messages[0].content[0] ", with(role::tool, text_part{"a"})},
    {"messages[0].content[0].call_id ", with(role::tool, tool_result{"", "b"})},
    {"messages[0].content[0].id ", with(role::assistant, tool_call{"", "b", "{}"})},
    {"messages[0].content[0].name ", with(role::assistant, tool_call{"a", "", "{}"})},
    {"messages[0].content[0].text ",
     [](auto& x) { x.messages.insert(x.messages.begin(), text_message(role::system, "\xFF")); }},
    {"sampling.max_tokens ", [](auto& x) { x.sampling.max_tokens = 15; }, errc::unsupported},
    {"sampling.top_k ", [](auto& x) { x.sampling.top_k = 5; }, errc::unsupported},
    {"sampling.seed ", [](auto& x) { x.sampling.seed = 5; }, errc::unsupported},
    {"sampling.stop ", [](auto& x) { x.sampling.stop = {"a"}; }, errc::unsupported},
    {"sampling.frequency_penalty ", [](auto& x) { x.sampling.frequency_penalty = 1; }, errc::unsupported},
    {"sampling.presence_penalty ", [](auto& x) { x.sampling.presence_penalty = 1; }, errc::unsupported},
    {"sampling.reasoning_budget ", [](auto& x) { x.sampling.reasoning_budget = 1; }, errc::unsupported},
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
    {"extra ", [](auto& x) { x.extra = "{"; }},
  };
  for (auto& row : table) {
    auto x = hello();
    row.change(x);
    auto result = openai::responses_api().encode(x);
    REQUIRE(std::holds_alternative<failure>(result));
    auto& problem = std::get<failure>(result);
    CAPTURE(row.field, problem.message);
    CHECK(problem.message.starts_with(row.field));
    CHECK(problem.code == row.code);
  }
}

TEST_CASE("what the Responses API leaves out is told", "[wire][responses]") {
  for (auto* signature : {"", "gemini:c2ln", "openai_responses:rs_1"}) {
    auto x = hello();
    x.messages[0].name = "ada";
    x.messages.push_back({role::assistant, {reasoning_part{"hm", signature}, text_part{"Yes"}}, ""});
    auto result = encoded(x);
    CHECK(result.warnings.size() == 2);
    CHECK(result.warnings.front().starts_with("messages[0].name"));
    CHECK(result.warnings.back().starts_with("messages[1].content[0].text"));
    CHECK_FALSE(has(result.body, "hm"));
  }
}

TEST_CASE("a whole response gives its parts", "[wire][responses]") {
  auto one_line = thinking_item;
  one_line.erase(one_line.find("\ndata: "), 7);
  auto x = good(response(one_line + "," + message("Mil") + "," + message("d.") + "," + call_item, usage));
  completion expected;
  expected.text = "Mild.";
  expected.reasoning = {{"One.\n\nTwo.", "openai_responses:rs_1:c2:ln"}};
  expected.tool_calls = {{"call_q1", "get_weather", R"({"city":"Oslo"})"}};
  expected.finish_reason = finish_reason::tool_calls;
  expected.raw_finish_reason = "completed";
  expected.usage = token_usage{90, 31, 64, 7, 20};
  expected.model = "demo-large";
  expected.provider_request_id = "req_1";
  CHECK(x == expected);
  auto next = hello();
  next.messages.push_back(turn_of(x));
  auto input = body_of(next)["input"];
  CHECK(input[1]["encrypted_content"] == "c2:ln");
  CHECK(input[3]["call_id"] == "call_q1");
}

TEST_CASE("each way a response ends has its finish reason", "[wire][responses]") {
  auto incomplete = [](std::string_view why, std::string_view status = "incomplete") {
    return response(message("a"), R"(,"error":null,"incomplete_details":)" + std::string{why}, status);
  };
  struct {
    std::string body;
    finish_reason reason;
    std::string_view raw, text, refusal = "", warning = "";
  } table[] = {
    {incomplete("null", "completed"), finish_reason::stop, "completed", "a"},
    {incomplete(R"({"reason":"max_output_tokens"})"), finish_reason::length, "max_output_tokens", "a"},
    {incomplete(R"({"reason":"content_filter"})"), finish_reason::content_filter, "content_filter", "a"},
    {incomplete(R"({"reason":"brand_new"})"), finish_reason::unknown, "brand_new", "a"},
    {incomplete("null"), finish_reason::unknown, "incomplete", "a"},
    {response(R"({"type":"message","content":[{"type":"refusal","refusal":"I cannot."}]})"), finish_reason::refusal,
     "completed", "", "I cannot."},
    {response(""), finish_reason::stop, "completed", ""},
    {response(R"({"type":"reasoning","summary":[],"content":[{"type":"reasoning_text","text":"hm"}]},7,)"
              + message("a")),
     finish_reason::stop, "completed", "a"},
    {response(R"({"type":"web_search_call","id":"ws_1","status":"completed"},)" + message("a")), finish_reason::stop,
     "completed", "a", "", "web_search_call"},
    {"\r\n" + response(message("a\xFF")), finish_reason::stop, "completed", "a\xEF\xBF\xBD", "", "not UTF-8"},
  };
  for (auto& row : table) {
    auto x = good(row.body);
    CAPTURE(row.body);
    CHECK(x.finish_reason == row.reason);
    CHECK(x.raw_finish_reason == row.raw);
    CHECK(x.text == row.text);
    CHECK(x.refusal == row.refusal);
    CHECK(x.warnings.empty() == row.warning.empty());
    if (!row.warning.empty())
      CHECK(has(x.warnings.at(0), row.warning));
  }
  auto custom = good(response(R"({"type":"custom_tool_call","call_id":"c","name":"f","input":"free text"})"));
  CHECK(custom.tool_calls == std::vector<tool_call>{{"c", "f", "free text"}});
}

TEST_CASE("what is no finished response is told apart", "[wire][responses]") {
  auto failed = [](std::string_view error) { return response("", ",\"error\":" + std::string{error}, "failed"); };
  struct {
    uint16_t status;
    std::string body;
    errc code;
    std::string_view said = "", provider_code = "", suggestion = "";
  } table[] = {
    {200, "", errc::invalid_response, "an empty body"},
    {200, "<html>", errc::invalid_response, "an HTML page"},
    {200, "{}", errc::invalid_response, "no finished response"},
    {200, "[]", errc::invalid_response, "no finished response"},
    {200, response("", "", "queued"), errc::invalid_response, "no finished response"},
    {200, R"({"status":"completed",)", errc::invalid_response, "broken JSON"},
    {200, failed("null"), errc::server_error, "does not say why"},
    {200, response("", "", "cancelled"), errc::server_error, "cancelled"},
    {200, failed(R"({"code":"server_error","message":"broke"})"), errc::server_error, "", "server_error"},
    {200, failed(R"({"code":"rate_limit_exceeded","message":"Quota used up"})"), errc::rate_limited, "",
     "rate_limit_exceeded"},
    {200, failed(R"({"code":"invalid_prompt","message":"no"})"), errc::invalid_request, "", "invalid_prompt"},
    {200, failed(R"({"code":"data_residency_mismatch","message":"no"})"), errc::invalid_request},
    {200, failed(R"({"code":"bio_policy","message":"no"})"), errc::content_filtered, "", "bio_policy"},
    {200, failed(R"({"code":"image_content_policy_violation","message":"no"})"), errc::content_filtered},
    {200, failed(R"({"code":"image_too_large","message":"no"})"), errc::invalid_request},
    {200, failed(R"({"code":"failed_to_download_image","message":"no"})"), errc::invalid_request},
    {200, failed(R"({"code":"vector_store_timeout","message":"no"})"), errc::server_error},
    {400, R"({"error":{"message":"Encrypted content is not supported","param":"include"}})", errc::invalid_request, "",
     "", "include"},
    {404, R"({"error":{"message":"no such path"}})", errc::not_found, "", "", "api = \"chat\""},
    {429, R"({"error":{"type":"insufficient_quota","code":"insufficient_quota"}})", errc::quota_exhausted},
    {503, "", errc::overloaded},
  };
  for (auto& row : table) {
    auto x = bad(row.status, row.body);
    CAPTURE(row.body, x.message, x.suggestion);
    CHECK(name_of(x.code) == name_of(row.code));
    CHECK(has(x.message, row.said));
    CHECK((row.provider_code.empty() || x.provider_code == row.provider_code));
    CHECK(has(x.suggestion, row.suggestion));
  }
  auto broken = R"({"type":"function_call","call_id":"c","name":"look","arguments":"{\"at"})";
  CHECK(has(bad(200, response(broken)).message, "tool look"));
  auto cut = good(response(broken, R"(,"incomplete_details":{"reason":"max_output_tokens"})", "incomplete"));
  CHECK(cut.tool_calls.at(0).arguments == R"({"at)");
  CHECK(cut.warnings.size() == 1);
}

TEST_CASE("a Responses stream is handed on piece by piece and ends in a completion", "[wire][responses][stream]") {
  auto x = hear(plain, openai::responses_api());
  CHECK(x.said == std::vector<std::string>{"text: Grüß", "text:  \"dich\""});
  CHECK(x.ended);
  CHECK(x.news == 3); // neither the beginning nor what is repeated
  CHECK(x.tokens == 31);
  CHECK(x.good().finish_reason == finish_reason::stop);
  CHECK(x.good().usage == token_usage{90, 31, 64, 7, 20});
  CHECK(x.good().model == "demo-large");
  CHECK(x.good().warnings.empty());
  auto y = hear(thinking, openai::responses_api());
  CHECK(y.said
        == std::vector<std::string>{"reasoning: One", "reasoning: .", "reasoning: \n\n", "reasoning: Two.",
                                    "seal: openai_responses:rs_1:c2:ln", "call 0: call_q1 get_weather",
                                    "call 1: call_q2 now", "arguments 0: {\"city\":", "arguments 1: {",
                                    "arguments 0: \"Oslo\"}", "arguments 1: }"});
  CHECK(y.good().finish_reason == finish_reason::tool_calls);
  CHECK(y.good().tool_calls
        == std::vector<tool_call>{{"call_q1", "get_weather", R"({"city":"Oslo"})"}, {"call_q2", "now", "{}"}});
}

TEST_CASE("every server's form of a Responses stream is understood", "[wire][responses][stream]") {
  using lines = std::vector<std::string>;
  auto done = ended("completed", response(""));
  struct {
    std::string body;
    lines said;
    finish_reason reason = finish_reason::stop;
  } table[] = {
    // the sample of the fact sheet: the last event has no output
    {created + delta("output_text", 0, "Mild.") + done, {"text: Mild."}},
    // nothing but items, nothing but the last event, a whole answer instead of a stream
    {created + item("done", 0, message("Mild.")) + done, {"text: Mild."}},
    {created + ended("completed", response(message("Mild."))), {"text: Mild."}},
    {response(message("Mild.")), {"text: Mild."}},
    // the status is told by the event alone; the name of the event is missing
    {event("response.incomplete", R"("response":{"incomplete_details":{"reason":"max_output_tokens"}})"),
     {},
     finish_reason::length},
    {"data: {\"type\":\"response.output_text.delta\",\"output_index\":0,\"delta\":\"a\"}\n\n" + done, {"text: a"}},
    // a refusal; thoughts as they are; several items
    {delta("refusal", 0, "I can") + delta("refusal", 0, "not") + done,
     {"refusal: I can", "refusal: not"},
     finish_reason::refusal},
    {delta("reasoning_text", 0, "hm") + delta("output_text", 1, "a") + delta("output_text", 2, "b") + done,
     {"reasoning: hm", "text: a", "text: b"}},
    // ids that change with each event; no index at all
    {event("response.output_item.added",
           R"("output_index":0,"item":{"type":"function_call","id":"x1","call_id":"c","name":"f","arguments":""})")
       + event("response.function_call_arguments.delta", R"("item_id":"x2","output_index":0,"delta":"{}")")
       + event(
         "response.output_item.done",
         R"("output_index":0,"item":{"type":"function_call","id":"x3","call_id":"c","name":"f","arguments":"{}"})")
       + done,
     {"call 0: c f", "arguments 0: {}"},
     finish_reason::tool_calls},
    {event("response.output_text.delta", R"("delta":"a")") + event("response.output_text.delta", R"("delta":"b")")
       + done,
     {"text: a", "text: b"}},
    // free text; arguments that come with the whole item only
    {item("added", 0, R"({"type":"custom_tool_call","call_id":"c","name":"f","input":""})")
       + delta("custom_tool_call_input", 0, "free") + done,
     {"call 0: c f", "arguments 0: free"},
     finish_reason::tool_calls},
    {item("added", 0, R"({"type":"function_call","call_id":"c","name":"get_weather","arguments":""})")
       + item("done", 0, call_item) + done,
     {"call 0: c get_weather", R"(arguments 0: {"city":"Oslo"})"},
     finish_reason::tool_calls},
    // events that are none of ours, and what follows the end
    {": keep-alive\n\nevent: ping\ndata: alive\n\n" + event("keepalive", "")
       + event("response.brand.new", R"("delta":"x")") + delta("output_text", 0, "a") + done + "data: [DONE]\n\n"
       + delta("output_text", 0, "b"),
     {"text: a"}},
  };
  for (auto& row : table) {
    CAPTURE(row.body);
    auto x = hear(row.body, openai::responses_api());
    CHECK(x.good().finish_reason == row.reason);
    CHECK(x.said == row.said);
  }
}

TEST_CASE("errors inside a Responses stream are failures, in both shapes", "[wire][responses][stream]") {
  auto failed = ended("failed", R"({"id":"resp_e","object":"response","status":"failed",
data: "error":{"code":"rate_limit_exceeded","message":"Quota used up"},"output":[]})");
  struct {
    std::string body;
    errc code;
    std::string_view provider_code, words;
  } table[] = {
    {event("error", R"("code":"server_error","message":"Something broke","param":null)"), errc::server_error,
     "server_error", "Something broke"},
    {event(
       "error",
       R"("error":{"type":"insufficient_quota","code":"insufficient_quota","message":"Quota used up","param":null})")
       + failed,
     errc::quota_exhausted, "insufficient_quota", "Quota used up"},
    {failed, errc::rate_limited, "rate_limit_exceeded", "Quota used up"},
    {event("response.failed", ""), errc::server_error, "", ""},
    {event("response.failed", R"("response":{"status":"failed","error":null})"), errc::server_error, "", ""},
    {event("error", ""), errc::server_error, "", ""},
    {event("error", R"("code":null,"message":"bare")"), errc::server_error, "", "bare"},
    {event("error", R"("code":"server_is_overloaded","message":"full")"), errc::overloaded, "server_is_overloaded",
     "full"},
    {"data: {\"error\":{\"message\":\"plain\",\"code\":429}}\n\n", errc::rate_limited, "429", "plain"},
  };
  for (auto& row : table)
    for (auto& before : {std::string{}, created + delta("output_text", 0, "a")}) {
      CAPTURE(row.body, before);
      auto x = hear(before + row.body + ended("completed", response("")), openai::responses_api());
      CHECK(x.ended);
      CHECK(x.words == (before.empty() ? "" : "a"));
      CHECK(name_of(x.bad().code) == name_of(row.code));
      CHECK(x.bad().provider_code == row.provider_code);
      CHECK(x.bad().provider_message == row.words);
      CHECK(x.bad().provider_request_id == "req_1");
      CHECK_FALSE(x.bad().message.empty());
    }
}

TEST_CASE("what is no Responses stream, or none that ended, is told apart", "[wire][responses][stream]") {
  std::string items;
  for (int i = 0; i < 10'002; ++i)
    items += item("added", i, "{}");
  struct {
    std::string body;
    errc code;
    std::string_view said;
  } table[] = {
    {"", errc::invalid_response, "an empty body"},
    {"<html></html>", errc::invalid_response, "an HTML page"},
    {created, errc::invalid_response, "before its first piece"},
    {created + "data: [DONE]\n\n", errc::invalid_response, "before its first piece"},
    {created + delta("output_text", 0, "a") + "data: [DONE]\n\n", errc::stream_interrupted, "after 1 piece"},
    {"event: response.created\ndata: {\"type\":\n\n", errc::invalid_response, "broken JSON"},
    {items, errc::response_too_large, "10000 items"},
    {delta("function_call_arguments", 0, std::string(1 << 20, 'x')), errc::response_too_large, "tool calls exceed"},
    {"data: " + std::string(17 << 20, 'x'), errc::response_too_large, "16777216 bytes"},
  };
  for (auto& [body, code, said] : table) {
    auto x = hear(body, openai::responses_api());
    CAPTURE(body.substr(0, 200), x.bad().message);
    CHECK(x.bad().code == code);
    CHECK(has(x.bad().message, said));
  }
  auto large = std::string(2 << 20, 'x'); // the last event repeats what may be long
  CHECK(hear(delta("output_text", 0, "a") + ended("completed", response(message(large))), openai::responses_api())
          .good()
          .finish_reason
        == finish_reason::stop);
}

TEST_CASE("any cutting of a Responses stream gives the same pieces and end", "[wire][responses][stream]") {
  for (auto& body : {plain, thinking, failing, response(message("a } \\\" \\\\"), usage),
                     delta("output_text", 0, "a\xFF") + ended("completed", response(""))})
    check_cuts(body, openai::responses_api());
}

TEST_CASE("a Responses stream that is cut anywhere before its last event is a failure", "[wire][responses][stream]") {
  check_beginnings(plain, openai::responses_api(), plain.size() - 2);
  check_beginnings(thinking, openai::responses_api(), thinking.size() - 2);
  check_beginnings(failing, openai::responses_api(), failing.size() + 1);
}

} // namespace modelforge::responses_test
