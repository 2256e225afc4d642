#include "wire/openai/format.hpp"

#include "wire/json.hpp"
#include "wire/openai/openai.hpp"

#include <catch2/catch_test_macros.hpp>

#include <functional>

namespace modelforge::openai_format_test {

using namespace modelforge::wire;
using json = modelforge::json::value;

namespace {

chat_request read(std::string_view text) {
  auto result = openai::read_request(text);
  if (auto* problem = std::get_if<failure>(&result))
    FAIL(problem->message);
  return std::get<chat_request>(result);
}

std::string why_not(std::string_view text) {
  auto result = openai::read_request(text);
  auto* problem = std::get_if<failure>(&result);
  REQUIRE(problem != nullptr);
  CHECK(problem->code == errc::invalid_request);
  return problem->message;
}

std::string with_message(std::string_view message) {
  return R"({"messages":[)" + std::string{message} + "]}";
}

std::string with_field(std::string_view field) {
  return R"({"messages":[{"role":"user","content":"Hi"}],)" + std::string{field} + "}";
}

} // namespace

TEST_CASE("reading what was written gives the same request", "[wire][openai_format]") {
  std::function<void(chat_request&)> table[] = {
    [](auto&) {},
    [](auto& x) { x.model.assign("vendor/demo:free"); },
    [](auto& x) {
      x.messages = {text_message(role::system, "Täglich \"kurz\"\n\\ \x01"), text_message(role::developer, ""),
                    text_message(role::assistant, "世界 🌍"), text_message(role::user, "Hi")};
      x.messages[3].name = "ada";
    },
    [](auto& x) {
      x.messages = {{role::user,
                     {text_part{"a"}, image_part{"https://example.com/a?b=c", "", "", "high"}, text_part{"b"},
                      image_part{"", "image/jpeg", "/9j/4AAQ+A==", ""}},
                     ""}};
    },
    [](auto& x) {
      x.messages = {{role::user, {image_part{"", "image/png", "iVBORw0KGgo=", "auto"}}, ""}};
    },
    [](auto& x) {
      x.messages.push_back({role::assistant, {text_part{"ok"}, tool_call{"call_1", "f", R"({"a": "b"})"}}, ""});
      x.messages.push_back({role::tool, {tool_result{"call_1", R"({"c":1})", false}}, ""});
      x.messages.push_back({role::assistant, {tool_call{"1", "f", "{}"}, tool_call{"2", "g", "{\"cut"}}, ""});
    },
    [](auto& x) {
      x.sampling = {100, 0.1, 1.0, {}, -2.0, 1e-7, INT64_MIN, {"a", "", "\n"}, "minimal", {}};
    },
    [](auto& x) { x.sampling.max_tokens = UINT32_MAX; },
    [](auto& x) { x.response_format.kind = response_kind::json_object; },
    [](auto& x) {
      x.response_format = {response_kind::json_schema, "n", R"({"type":"object","properties":{"z":{},"a":{}}})", false};
    },
    [](auto& x) {
      x.response_format = {response_kind::json_schema, "n", "{}", true};
    },
    [](auto& x) {
      x.tools = {{"f", "does", R"({"type":"object","properties":{"z":{"type":"number"},"a":{}}})", true},
                 {"g", "", "", false}};
      x.tool_choice = {tool_mode::named, "f", true};
    },
    [](auto& x) {
      x.tool_choice = {tool_mode::none, "", false};
    },
    [](auto& x) { x.tool_choice.mode = tool_mode::required; },
    [](auto& x) { x.extra = R"({"user":"u","logit_bias":{"50256":-100},"metadata":{"b":"1","a":[true,null,1.5]}})"; },
  };
  for (auto& change : table) {
    chat_request x;
    x.model = "demo";
    x.messages = {text_message(role::user, "Hi")};
    change(x);
    for (auto* to : {&openai::chat_api(), &openai::compatible_chat_api()}) {
      auto body = std::get<encoded_request>(to->encode(x)).body;
      CAPTURE(body);
      CHECK(read(body) == x);
    }
  }
}

TEST_CASE("what other writers write is read too", "[wire][openai_format]") {
  CHECK(read(with_field(R"("max_tokens":5)")).sampling.max_tokens == 5);
  CHECK(read(with_field(R"("max_tokens":5,"max_completion_tokens":7)")).sampling.max_tokens == 7);
  CHECK(read(with_field(R"("stop":"x")")).sampling.stop == std::vector<std::string>{"x"});
  CHECK(read(with_field(R"("temperature":1)")).sampling.temperature == 1.0);
  CHECK(read(with_field(R"("top_k":5)")).sampling.top_k == 5);
  CHECK(
    read(with_field(R"("temperature":null,"stop":null,"tools":null,"seed":null,"stream":null,"response_format":null)"))
    == read(with_field(R"("stream":false)")));
  CHECK(read(with_field(R"("tool_choice":"auto")")).tool_choice.mode == tool_mode::automatic);
  CHECK(read(with_field(R"("n":2,"n":3)")).extra == R"({"n":2,"n":3})");
  auto parts = [](std::string_view message) { return read(with_message(message)).messages[0].content; };
  using content = std::vector<content_part>;
  CHECK(parts(R"({"role":"assistant","content":null,"refusal":"No.","annotations":[],"audio":null})")
        == content{text_part{"No."}});
  CHECK(parts(R"({"role":"assistant","reasoning_content":"hm","content":"Hi"})")
        == content{reasoning_part{"hm", ""}, text_part{"Hi"}});
  CHECK(parts(R"({"role":"assistant","content":[{"type":"refusal","refusal":"No."}]})") == content{text_part{"No."}});
  CHECK(parts(R"({"role":"tool","tool_call_id":"1","content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]})")
        == content{tool_result{"1", "ab", false}});
}

TEST_CASE("what cannot be read is named by its field", "[wire][openai_format]") {
  auto user = [](std::string_view content) {
    return with_message(R"({"role":"user","content":"a"},{"role":"user","content":)" + std::string{content} + "}");
  };
  struct {
    std::string text;
    std::string_view why;
  } table[] = {
    {"", "the request is no JSON: "},
    {"{", "the request is no JSON: "},
    {"[]", "the request is no JSON object"},
    {"{}", "messages is missing"},
    {R"({"messages":[]})", "messages is empty"},
    {R"({"messages":{}})", "messages is no array but object"},
    {R"({"model":5,"messages":[]})", "model is no string but number"},
    {with_message("7"), "messages[0] is no object but number"},
    {with_message(R"({"content":"a"})"), "messages[0].role is missing"},
    {with_message(R"({"role":"bot","content":"a"})"), "messages[0].role is none of"},
    {with_message(R"({"role":"user"})"), "messages[0].content is missing"},
    {with_message(R"({"role":"user","content":"a","cache_control":{}})"), "messages[0].cache_control is not known"},
    {with_message(R"({"role":"user","content":"a","name":1})"), "messages[0].name is no string but number"},
    {with_message(R"({"role":"tool","content":"a"})"), "messages[0].tool_call_id is missing"},
    {with_message(R"({"role":"tool","tool_call_id":"a"})"), "messages[0].content is missing"},
    {with_message(R"({"role":"user","content":"a","tool_calls":[]})"), "messages[0].tool_calls needs the role"},
    {with_message(R"({"role":"user","content":"a","tool_call_id":"b"})"), "messages[0].tool_call_id needs the role"},
    {with_message(R"({"role":"assistant","tool_calls":[{"id":"a"}]})"), "messages[0].tool_calls[0].type is not"},
    {with_message(
       R"({"role":"assistant","tool_calls":[{"id":"a","type":"function","function":{"name":"f","arguments":{}}}]})"),
     "messages[0].tool_calls[0].function.arguments is no string but object"},
    {user("5"), "messages[1].content is no string or array but number"},
    {user("[]"), "messages[1].content is missing"},
    {user("[null]"), "messages[1].content[0].type is missing"},
    {user(R"([{"type":"text"}])"), "messages[1].content[0].text is missing"},
    {user(R"([{"type":"input_audio"}])"), "messages[1].content[0].type is neither"},
    {user(R"([{"type":"image_url","image_url":"http://a"}])"), "messages[1].content[0].image_url is no object"},
    {user(R"([{"type":"image_url","image_url":{"url":7}}])"), "messages[1].content[0].image_url.url is no string"},
    {user(R"([{"type":"image_url","image_url":{"url":"data:,x"}}])"),
     "messages[1].content[0].image_url.url is a data:"},
    {with_field(R"("max_tokens":-1)"), "max_tokens is out of range"},
    {with_field(R"("max_tokens":4294967296)"), "max_tokens is out of range"},
    {with_field(R"("max_tokens":1.5)"), "max_tokens is no whole number but number"},
    {with_field(R"("temperature":"hot")"), "temperature is no number but string"},
    {with_field(R"("seed":9223372036854775808)"), "seed is out of range"},
    {with_field(R"("stop":[1])"), "stop[0] is no string but number"},
    {with_field(R"("stop":5)"), "stop is no array but number"},
    {with_field(R"("stream":true)"), "stream is true"},
    {with_field(R"("stream":"yes")"), "stream is no boolean but string"},
    {with_field(R"("response_format":{"type":"xml"})"), "response_format.type is none of"},
    {with_field(R"("response_format":{"type":"json_schema"})"), "response_format.json_schema is missing"},
    {with_field(R"("response_format":{"type":"json_schema","json_schema":{"name":"a"}})"),
     "response_format.json_schema.schema is missing"},
    {with_field(R"("tools":[{"type":"custom"}])"), "tools[0].type is not"},
    {with_field(R"("tools":[{"type":"function","function":{"name":"f","parameters":"{}"}}])"),
     "tools[0].function.parameters is no object but string"},
    {with_field(R"("tool_choice":"maybe")"), "tool_choice is none of"},
    {with_field(R"("tool_choice":{"type":"function","function":{}})"), "tool_choice.function.name is missing"},
    {with_field(R"("parallel_tool_calls":1)"), "parallel_tool_calls is no boolean but number"},
  };
  for (auto& [text, why] : table) {
    auto message = why_not(text);
    CAPTURE(text, message);
    CHECK(message.starts_with(why));
  }
}

TEST_CASE("a completion is written so that the dialect reads the same back", "[wire][openai_format]") {
  completion x;
  x.id = {1, 2};
  x.text = "Grüße \"an\" alle\n";
  x.reasoning = {{"hm", ""}};
  x.tool_calls = {{"call_1", "f", R"({"a":1})", ""}};
  x.finish_reason = finish_reason::tool_calls;
  x.raw_finish_reason = "tool_calls";
  x.usage = token_usage{10, 5, 4, 3, 2};
  x.model = "demo";
  x.provider_request_id = "chatcmpl-" + to_string(x.id);
  auto text = openai::write_completion(x);
  CHECK(text.find('\n') == text.npos);
  auto result = openai::chat_api().decode({200, {}}, text);
  auto& back = std::get<completion>(result);
  back.id = x.id;
  CHECK(back == x);
  auto tree = json::parse(text);
  CHECK(tree["object"] == "chat.completion");
  CHECK(tree["usage"]["total_tokens"] == 15);
  CHECK(tree["created"].get<int64_t>() > 1'700'000'000);
}

TEST_CASE("a written completion has OpenAI's words and nulls", "[wire][openai_format]") {
  auto written = [](auto change) {
    completion x;
    x.text = "a\xFF";
    x.finish_reason = finish_reason::stop;
    change(x);
    auto tree = json::parse(openai::write_completion(x));
    CHECK(tree.contains("usage") == x.usage.has_value());
    return tree["choices"][0];
  };
  CHECK(written([](auto&) {})["message"]["content"] == "a\xEF\xBF\xBD");
  auto refused = written([](auto& x) {
    x.text.clear();
    x.refusal = "No.";
    x.finish_reason = finish_reason::refusal;
  });
  CHECK(refused["finish_reason"] == "stop");
  CHECK(refused["message"]["content"].is_null());
  CHECK(refused["message"]["refusal"] == "No.");
  CHECK(written([](auto& x) { x.finish_reason = finish_reason::length; })["finish_reason"] == "length");
  CHECK(written([](auto& x) { x.finish_reason = finish_reason::refusal; })["finish_reason"] == "content_filter");
  CHECK(written([](auto& x) {
          x.finish_reason = finish_reason::unknown;
          x.raw_finish_reason = "brand_new";
        })["finish_reason"]
        == "brand_new");
}

TEST_CASE("a failure is written in both of OpenAI's shapes", "[wire][openai_format]") {
  failure x;
  x.code = errc::rate_limited;
  x.message = "the limit was \"reached\"";
  CHECK(json::parse(openai::write_error(x)) == json{{"code", "rate_limited"}, {"message", x.message}});
  x.text = "Half";
  CHECK(json::parse(openai::write_error(x))["text"] == "Half");
  x.text.clear();
  x.provider_code = "slow_down";
  x.provider_message = "Too fast";
  auto message = x.message + ": Too fast";
  CHECK(json::parse(openai::write_error(x)) == json{{"code", "slow_down"}, {"message", message}});
  CHECK(
    json::parse(openai::write_error_body(x))
    == json{{"error", {{"message", message}, {"type", "rate_limited"}, {"param", nullptr}, {"code", "slow_down"}}}});
}

} // namespace modelforge::openai_format_test
