#include "tests/sse/allocations.hpp"
#include "tests/wire/hear.hpp"
#include "wire/vendors.hpp"

namespace modelforge::openai_stream_test {

using namespace modelforge::test;
using namespace modelforge::wire;
using json = modelforge::json::value;
using namespace std::chrono_literals;

namespace {

std::string event(std::string_view data) {
  return "data: " + std::string{data} + "\n\n";
}

/// A chunk with this delta.
std::string delta(std::string_view x, std::string_view reason = "null") {
  return event(
    R"({"id":"chatcmpl-7","object":"chat.completion.chunk","model":"demo-mini","choices":[{"index":0,"delta":)"
    + std::string{x} + R"(,"logprobs":null,"finish_reason":)" + std::string{reason}
    + R"(}],"usage":null,"obfuscation":"k3J"})");
}

std::string text(std::string_view x) {
  return delta(R"({"content":")" + std::string{x} + "\"}");
}

const std::string opening = delta(R"({"role":"assistant","content":"","refusal":null})");
const std::string stop = delta("{}", R"("stop")");
const std::string done = "data: [DONE]\n\n";
const std::string usage = event(
  R"({"id":"chatcmpl-7","model":"demo-mini","choices":[],"usage":{"prompt_tokens":12,"completion_tokens":3,
)"
  R"(data: "total_tokens":15,"prompt_tokens_details":{"cached_tokens":8}}})");

const std::string plain = opening + text("Grüß") + text(" dich, \\\"世界\\\" \\ud83c\\udf0d\\n") + stop + usage + done;

const std::string calls =
  delta(R"({"role":"assistant","content":null,"tool_calls":[{"index":0,"id":"call_b7","type":"function",)"
        R"("function":{"name":"get_weather","arguments":""}}]})")
  + delta(R"({"tool_calls":[{"index":0,"function":{"arguments":"{\"ci"}}]})")
  + delta(R"({"tool_calls":[{"index":0,"function":{"arguments":"ty\":\"Oslo\"}"}},)"
          R"({"index":1,"id":"call_b8","function":{"name":"now","arguments":""}}]})")
  + delta("{}", R"("tool_calls")") + done;

const std::string thinking = ": OPENROUTER PROCESSING\r\n\r\n"
                             "data: {\"choices\":[{\"delta\":{\"reasoning_content\":\"Hm\",\"content\":null}}]}\r\n\r\n"
                             "data: {\"choices\":[{\"delta\":{\"content\":\"Yes\"},\"finish_reason\":\"stop\"}],"
                             "\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":9}}\r\n\r\ndata: [DONE]\r\n\r\n";

const std::string failing =
  opening + text("Hal") + event(R"({"error":{"message":"backend failed","type":"server_error","code":null}})") + done;

const std::string whole_answer =
  R"( {"id":"chatcmpl-9","model":"demo","choices":[{"index":0,"message":{"content":"A } \" \\"},"finish_reason":"stop"}]} )";

bool has(std::string_view text, std::string_view part) {
  return text.find(part) != text.npos;
}

} // namespace

TEST_CASE("a stream is handed on piece by piece and ends in a completion", "[wire][stream]") {
  for (auto* by : {&openai::chat_api(), &openai::compatible_chat_api()}) {
    auto x = hear(plain, *by);
    CHECK(x.said == std::vector<std::string>{"text: Grüß", "text:  dich, \"世界\" 🌍\n"});
    CHECK(x.ended);
    CHECK(x.tokens == 3);
    CHECK(x.news == 6);
    auto& end = x.good();
    CHECK(end.finish_reason == finish_reason::stop);
    CHECK(end.raw_finish_reason == "stop");
    CHECK(end.usage == token_usage{12, 3, 8, 0, 0});
    CHECK(end.model == "demo-mini");
    CHECK(end.provider_request_id == "req_1");
    CHECK(end.text.empty());
    CHECK(end.warnings.empty());
  }
}

TEST_CASE("tool calls come as they are told, and joined at the end", "[wire][stream]") {
  auto x = hear(calls);
  CHECK(x.said
        == std::vector<std::string>{"call 0: call_b7 get_weather", "arguments 0: {\"ci", "arguments 0: ty\":\"Oslo\"}",
                                    "call 1: call_b8 now"});
  CHECK(x.good().tool_calls
        == std::vector<tool_call>{{"call_b7", "get_weather", R"({"city":"Oslo"})"}, {"call_b8", "now", "{}"}});
  CHECK(x.good().finish_reason == finish_reason::tool_calls);
}

TEST_CASE("tool calls of every server's form are joined", "[wire][stream]") {
  const std::vector<tool_call> two = {{"a", "f", R"({"x":1})"}, {"b", "g", R"({"y":2})"}};
  struct {
    std::vector<std::string> deltas;
    std::vector<tool_call> expected;
  } table[] = {
    // whole calls in one delta, with and without an index
    {{R"([{"index":0,"id":"a","function":{"name":"f","arguments":"{\"x\":1}"}},
)"
      R"(data: {"index":1,"id":"b","function":{"name":"g","arguments":"{\"y\":2}"}}])"},
     two},
    {{R"([{"id":"a","function":{"name":"f","arguments":"{\"x\":1}"}},)"
      R"({"id":"b","function":{"name":"g","arguments":"{\"y\":2}"}}])"},
     two},
    // no index: the id, or else the last call
    {{R"([{"id":"a","function":{"name":"f","arguments":"{\"x"}}])", R"([{"function":{"arguments":"\":1}"}}])",
      R"([{"id":"b","function":{"name":"g","arguments":"{\"y\":"}}])", R"([{"id":"b","function":{"arguments":"2}"}}])"},
     two},
    // the same index for all
    {{R"([{"index":0,"id":"a","function":{"name":"f","arguments":"{\"x\":1}"}}])",
      R"([{"index":0,"id":"b","function":{"name":"g","arguments":"{\"y\":2}"}}])"},
     two},
    // interleaved
    {{R"([{"index":3,"id":"a","function":{"name":"f","arguments":"{\"x"}}])",
      R"([{"index":5,"id":"b","function":{"name":"g","arguments":"{\"y"}}])",
      R"([{"index":5,"function":{"arguments":"\":2}"}},{"index":3,"function":{"arguments":"\":1}"}}])"},
     two},
    // a repeated id, an empty name later, arguments as an object
    {{R"([{"index":0,"id":"a","function":{"name":"f","arguments":"{"}}])",
      R"([{"index":0,"id":"a","function":{"name":"","arguments":"\"x\":1}"}}])",
      R"([{"index":1,"id":"b","function":{"name":"g","arguments":{"y":2}}}])"},
     two},
    // the id alone at first
    {{R"([{"index":0,"id":"a"}])", R"([{"index":0,"function":{"name":"f"}}])",
      R"([{"index":0,"function":{"arguments":"{\"x\":1}"}}])"},
     {two[0]}},
    // an id without anything at the end is none
    {{R"([{"index":0,"id":"a","function":{"name":"f","arguments":"{\"x\":1}"}},{"index":1,"id":"b"}])"}, {two[0]}},
    // no ids at all
    {{R"([{"function":{"name":"f","arguments":"{}"}},{"function":{"name":"g","arguments":null}}])"},
     {{"call_chatcmpl-7_0", "f", "{}"}, {"call_chatcmpl-7_1", "g", "{}"}}},
    // an escape that is cut in two
    {{R"([{"index":0,"id":"a","function":{"name":"f","arguments":"{\"x\":\"\\u00"}}])",
      R"([{"index":0,"function":{"arguments":"e9\"}"}}])"},
     {{"a", "f", R"({"x":"\u00e9"})"}}},
    // free text
    {{R"([{"index":0,"id":"a","type":"custom","custom":{"name":"f","input":"free"}}])",
      R"([{"index":0,"custom":{"input":" text"}}])"},
     {{"a", "f", "free text"}}},
  };
  for (auto& [deltas, expected] : table) {
    CAPTURE(deltas);
    std::string body;
    for (auto& x : deltas)
      body += delta(R"({"tool_calls":)" + x + "}");
    auto x = hear(body + stop + done, openai::chat_api());
    CHECK(x.good().tool_calls == expected);
    std::size_t told = 0;
    for (auto& line : x.said)
      if (line.starts_with("call "))
        CHECK(line.starts_with("call " + std::to_string(told++) + ":"));
    CHECK(told == expected.size());
  }
  auto old = hear(delta(R"({"function_call":{"name":"f","arguments":"{"}})")
                  + delta(R"({"function_call":{"arguments":"}"}})") + delta("{}", R"("function_call")") + done);
  CHECK(old.good().tool_calls == std::vector<tool_call>{{"call_chatcmpl-7_0", "f", "{}"}});
}

TEST_CASE("arguments that are no object end a stream as they end an answer", "[wire][stream]") {
  auto call = [](const char* reason) {
    return delta(R"({"tool_calls":[{"index":0,"id":"a","function":{"name":"look","arguments":"{\"at"}}]})")
           + delta("{}", reason) + done;
  };
  auto bad = hear(call(R"("tool_calls")"), openai::chat_api()).bad();
  CHECK(bad.code == errc::invalid_response);
  CHECK(has(bad.message, "tool look"));
  auto cut = hear(call(R"("length")"), openai::chat_api()).good();
  CHECK(cut.tool_calls.at(0).arguments == R"({"at)");
  CHECK(cut.finish_reason == finish_reason::length);
  CHECK(has(cut.warnings.at(0), "tool look"));
}

TEST_CASE("every server's chunks are understood", "[wire][stream]") {
  using lines = std::vector<std::string>;
  struct {
    std::string body;
    lines said;
    finish_reason reason = finish_reason::stop;
    uint64_t output = 0; ///< 0: no usage.
  } table[] = {
    {thinking, {"reasoning: Hm", "text: Yes"}, finish_reason::stop, 9},
    // Azure: an empty first chunk with filter results
    {event(R"({"choices":[],"id":"","model":"","prompt_filter_results":[{"prompt_index":0}]})") + text("a") + stop
       + done,
     {"text: a"}},
    // OpenRouter and newer vLLM; both fields, of which one counts
    {delta(R"({"reasoning":"Hm","reasoning_content":"Hm"})") + text("a") + stop + done, {"reasoning: Hm", "text: a"}},
    {delta(R"({"reasoning":"","reasoning_content":"Hm"})") + stop + done, {"reasoning: Hm"}},
    // vLLM: usage in every chunk; the last one counts
    {event(R"({"choices":[{"index":0,"delta":{"content":"a"}}],"usage":{"prompt_tokens":1,"completion_tokens":1}})")
       + event(R"({"choices":[{"index":0,"delta":{"content":"b"},"finish_reason":"stop"}],)"
               R"("usage":{"prompt_tokens":1,"completion_tokens":2}})")
       + done,
     {"text: a", "text: b"},
     finish_reason::stop,
     2},
    // Groq: usage in a place of its own as well
    {event(R"({"choices":[{"index":0,"delta":{"content":"a"}}],"x_groq":{"id":"req"}})")
       + event(R"({"choices":[{"index":0,"delta":{},"finish_reason":"length"}],"usage":{"completion_tokens":7},)"
               R"("x_groq":{"usage":{"completion_tokens":7}}})")
       + done,
     {"text: a"},
     finish_reason::length,
     7},
    // Mistral: parts
    {delta(R"({"content":[{"type":"thinking","thinking":[{"type":"text","text":"Hm"}]},{"type":"text","text":"a"}]})")
       + stop + done,
     {"reasoning: Hm", "text: a"}},
    // the second of two choices is not for us
    {event(R"({"choices":[{"index":1,"delta":{"content":"x"}},{"index":0,"delta":{"content":"a"}}]})")
       + event(R"({"choices":[{"index":1,"delta":{},"finish_reason":"length"}]})") + stop + done,
     {"text: a"}},
    // no index, no role; several answers
    {event(R"({"choices":[{"delta":{"content":"a"}},{"delta":{"content":"b"}}]})") + stop + done, {"text: a"}},
    // a refusal
    {delta(R"({"refusal":"I can"})") + delta(R"({"refusal":"not"})") + stop + done,
     {"refusal: I can", "refusal: not"},
     finish_reason::refusal},
    // events that are none of ours
    {event("1") + event("null") + event("[]") + "event: ping\ndata: alive\n\n"
       + "event: status\ndata: {\"message\":\"loading\"}\n\nid: 7\n\n" + text("a") + "data:\n\n" + stop + done,
     {"text: a"}},
    {"event: message\n" + text("a") + "event: chunk\n" + stop + done, {"text: a"}},
    // names with escapes, names that repeat
    {event(R"({"ch\u006fices":[{"delta":{"content":"x","content":"a"}}],"usage":{"completion_tokens":1},"usage":null})")
       + stop + done,
     {"text: a"}},
    {event(R"({"error":null,"choices":[{"delta":{"content":"a"}}]})") + event(R"({"error":"","choices":[]})") + stop
       + done,
     {"text: a"}},
    // a whole answer as the only event
    {event(R"({"choices":[{"index":0,"message":{"role":"assistant","content":"a"},"finish_reason":"stop"}]})") + done,
     {"text: a"}},
    // a message beside deltas repeats them
    {text("a") + event(R"({"choices":[{"index":0,"message":{"content":"a"},"finish_reason":"stop"}]})") + done,
     {"text: a"}},
    {delta("{}", R"("")") + text("a") + delta("null", R"("content_filter")") + "data: [DONE] \n\n",
     {"text: a"},
     finish_reason::content_filter},
    {"\n\n\r\n" + text("a") + stop + "data:[DONE]", {"text: a"}}, // no line end at all
    {whole_answer, {"text: A } \" \\"}},
  };
  for (auto& row : table) {
    CAPTURE(row.body);
    auto x = hear(row.body);
    CHECK(x.good().finish_reason == row.reason);
    CHECK(x.said == row.said);
    CHECK((x.good().usage ? x.good().usage->output : 0) == row.output);
  }
}

TEST_CASE("errors inside a stream are failures, whatever comes behind them", "[wire][stream]") {
  struct {
    std::string body;
    errc code;
    std::string_view provider_code;
    std::string_view words;
  } table[] = {
    {event(R"({"error":{"message":"failed","type":"server_error","param":null,"code":null}})"), errc::server_error,
     "server_error", "failed"},
    {event(R"({"error":{"message":"long","type":"BadRequestError","param":null,"code":400}})"), errc::invalid_request,
     "BadRequestError", "long"},
    {event(R"({"error":{"message":"slow","code":"rate_limit_exceeded"}})"), errc::rate_limited, "rate_limit_exceeded",
     "slow"},
    {event(R"({"error":{"message":"slow","code":429}})"), errc::rate_limited, "429", "slow"},
    {event(R"({"error":{"message":"no money","type":"insufficient_quota","code":"insufficient_quota"}})"),
     errc::quota_exhausted, "insufficient_quota", "no money"},
    {event(R"({"error":"boom"})"), errc::server_error, "", "boom"},
    {event(R"({"error":{}})"), errc::server_error, "", ""},
    {event(R"({"object":"error","message":"flat","type":"invalid_request_error","code":"1500"})"),
     errc::invalid_request, "1500", "flat"},
    {"event: error\ndata: {\"type\":\"error\",\"code\":\"server_error\",\"message\":\"named\"}\n\n", errc::server_error,
     "server_error", "named"},
    {"event: error\ndata: just words\n\n", errc::server_error, "", "just words"},
    {"event: error\ndata: \"quoted\"\n\n", errc::server_error, "", "quoted"},
    {"event: error\ndata: {\"what\":1}\n\n", errc::server_error, "", "{\"what\":1}"},
    {"event: error\ndata:\n\n", errc::server_error, "", ""},
    {event(R"({"error":{"code":502,"message":"closed"},"choices":[{"index":0,"delta":{},"finish_reason":"error"}]})"),
     errc::server_error, "502", "closed"},
    {event(R"({"choices":[{"index":0,"delta":{"content":""},"error":{"code":502,"message":"in it"}}]})"),
     errc::server_error, "502", "in it"},
    {event(R"({"choices":[{"index":0,"delta":{}}],"x_groq":{"error":"over capacity"}})"), errc::server_error, "",
     "over capacity"},
    {event(R"([{"error":{"code":503,"message":"listed"}}])"), errc::overloaded, "503", "listed"},
  };
  for (auto& row : table)
    for (auto* by : {&openai::chat_api(), &openai::compatible_chat_api()})
      for (auto& before : {std::string{}, opening + text("a"), opening + text("a") + stop}) {
        CAPTURE(row.body, before);
        auto x = hear(before + row.body + stop + done, *by);
        CHECK(x.ended);
        CHECK(x.words == (before.empty() ? "" : "a"));
        CHECK(x.bad().code == row.code);
        CHECK(x.bad().provider_code == row.provider_code);
        CHECK(x.bad().provider_message == row.words);
        CHECK(x.bad().http_status == 200);
        CHECK(x.bad().provider_request_id == "req_1");
        CHECK_FALSE(x.bad().message.empty());
      }
}

TEST_CASE("a date to wait for is measured by the provider's clock, in streams as in whole answers", "[wire][stream]") {
  constexpr auto error = R"({"error":{"message":"slow","code":"rate_limit_exceeded"}})";
  const http::response_head head{200,
                                 {{"date", "Sun, 06 Nov 1994 08:49:37 GMT"}, // ours is another
                                  {"retry-after", "Sun, 06 Nov 1994 08:50:07 GMT"}}};
  for (auto* by : dialects()) {
    CAPTURE(by->name());
    auto whole = by->decode(head, error);
    CHECK(std::get<failure>(whole).retry_after == 30s);
    auto reader = by->read_stream(head);
    listener to;
    reader->take(by->name() == "ollama" ? error + std::string{"\n"} : event(error), to);
    auto streamed = reader->end(to);
    CHECK(std::get<failure>(streamed).retry_after == 30s);
  }
}

TEST_CASE("what is no stream is told apart", "[wire][stream]") {
  struct {
    std::string body;
    errc code;
    std::string_view said;
  } table[] = {
    {"", errc::invalid_response, "an empty body"},
    {" \n", errc::invalid_response, "an empty body"},
    {"<!DOCTYPE html><html></html>", errc::invalid_response, "an HTML page"},
    {"upstream connect error" + std::string(100'000, '!'), errc::invalid_response, "begins upstream connect"},
    {R"({"error":{"message":"Invalid key","code":"invalid_api_key"}})", errc::authentication, "key"},
    {R"([{"error":{"code":429,"message":"slow"}}])", errc::rate_limited, "rate limit"},
    {"{\"model\":\"demo\",\"done\":false}\n{\"done\":true}\n", errc::invalid_response, "without any choices"},
    {whole_answer.substr(0, 70), errc::invalid_response, "broken JSON"},
    {"{" + std::string(2 << 20, ' '), errc::response_too_large, "1048576"},
    {done, errc::invalid_response, "holds no answer"},
    {": keep-alive\n\n", errc::invalid_response, "before its first piece"},
    {opening, errc::invalid_response, "before its first piece"},
    {opening + done, errc::invalid_response, "before its first piece"},
    {event("{\"choices\":[{]}"), errc::invalid_response, "broken JSON (no name of a member at byte 13)"},
    {text("a") + event("{\"choices\":"), errc::invalid_response, "broken JSON"},
    {text("a") + event("{} x") + stop + done, errc::invalid_response, "broken JSON"},
    {"data: " + std::string(2 << 20, 'x'), errc::response_too_large, "1048576 bytes"},
    {text("a") + stop + text("b"), errc::stream_interrupted, "after 2 pieces and a finish reason with more behind it"},
    {text("a") + text("b"), errc::stream_interrupted, "after 2 pieces, before a finish reason"},
    {text("a") + done, errc::stream_interrupted, "before a finish reason"},
  };
  for (auto& [body, code, said] : table) {
    CAPTURE(body.substr(0, 200));
    auto x = hear(body, openai::chat_api());
    CAPTURE(x.bad().message);
    CHECK(x.bad().code == code);
    CHECK(has(x.bad().message, said));
    CHECK(x.bad().provider_request_id == "req_1");
  }
}

TEST_CASE("the end mark may be missing behind a reason, of clones the reason too, and it is told", "[wire][stream]") {
  CHECK(has(hear(text("a") + stop, openai::chat_api()).good().warnings.at(0), "end mark"));
  CHECK(has(hear(text("a") + stop).good().warnings.at(0), "end mark"));
  CHECK(has(hear(text("a") + done).good().warnings.at(0), "finish reason"));
  CHECK(hear(text("a") + done, openai::chat_api()).bad().code == errc::stream_interrupted);
  auto whole = delta(R"({"content":"b"})", R"("stop")"); // the body ends in the middle of its line's end
  for (std::size_t ends = 0; ends <= 2; ++ends)
    CHECK(hear(text("a") + whole.substr(0, whole.size() - ends)).words == "ab");
  CHECK(hear(text("a") + whole.substr(0, whole.size() - 3)).bad().code == errc::stream_interrupted);
  auto always = delta(R"({"content":"b"})", R"("stop")") + delta(R"({"content":"c"})", R"("stop")"); // says nothing
  CHECK(hear(always).bad().code == errc::stream_interrupted);
  CHECK(hear(always + done).words == "bc");
}

TEST_CASE("tool calls and bodies are bounded", "[wire][stream]") {
  auto first = delta(R"({"tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":")"
                     + std::string(900'000, 'x') + R"("}}]})");
  CHECK(hear(first + stop + done).bad().code == errc::invalid_response); // no object, but not too large
  CHECK(hear(first + first).bad().code == errc::response_too_large);
  std::string many;
  for (int i = 0; i < 20'000; ++i)
    many += delta(R"({"tool_calls":[{"index":)" + std::to_string(i) + R"(,"id":"a)" + std::to_string(i) + R"("}]})");
  CHECK(hear(many).bad().code == errc::response_too_large);
}

TEST_CASE("bytes that are no UTF-8 are replaced, with a warning", "[wire][stream]") {
  auto x = hear(text("a\xFFz") + stop + done);
  CHECK(x.words == "a\xEF\xBF\xBDz");
  CHECK(x.good().warnings.size() == 1);
  CHECK(hear(text("\\ud83c") + stop + done).words == "\xEF\xBF\xBD");
}

TEST_CASE("any cutting of a stream gives the same pieces and the same end", "[wire][stream]") {
  for (auto& body : {plain, calls, thinking, failing, whole_answer, text("a") + stop, opening, std::string{"<html>"},
                     text("a\xFF") + stop + done})
    for (auto* by : {&openai::chat_api(), &openai::compatible_chat_api()})
      check_cuts(body, *by);
}

TEST_CASE("a stream that is cut anywhere before its end mark is a failure, with the pieces so far", "[wire][stream]") {
  struct {
    std::string body;
    const dialect* by;
    std::string_view mark; ///< From here on the end is told.
  } table[] = {
    {failing, &openai::chat_api(), ""},
    {failing, &openai::compatible_chat_api(), ""},
    {plain, &openai::chat_api(), R"("finish_reason":"stop"}],"usage":null,"obfuscation":"k3J"})"},
    {plain, &openai::compatible_chat_api(), R"("finish_reason":"stop"}],"usage":null,"obfuscation":"k3J"})"},
    {calls, &openai::chat_api(), R"("finish_reason":"tool_calls"}],"usage":null,"obfuscation":"k3J"})"},
    {thinking, &openai::compatible_chat_api(), "\"completion_tokens\":9}}"},
    {whole_answer, &openai::chat_api(), "}]}"},
  };
  for (auto& [body, by, mark] : table) {
    auto whole = hear(body, *by);
    auto end = mark.empty() ? body.size() + 1 : body.find(mark) + mark.size();
    REQUIRE(std::holds_alternative<completion>(whole.end) == !mark.empty());
    check_beginnings(body, *by, end);
  }
}

TEST_CASE("only events that bring something new are counted", "[wire][stream]") {
  auto reader = openai::compatible_chat_api().read_stream(ok);
  listener to;
  CHECK(reader->take(": keep-alive\n\n", to) == 0);
  CHECK(reader->take(opening, to) == 1);
  CHECK(reader->take(opening + delta("{}") + "event: ping\ndata: {}\n\n", to) == 0);
  CHECK(reader->take(text("a") + text("b") + text(""), to) == 2);
  CHECK(reader->tokens() == 2);
  CHECK(reader->take(stop, to) == 1);
  CHECK(reader->take(usage, to) == 1);
  CHECK(reader->tokens() == 3); // as the provider tells
  CHECK(reader->take(usage, to) == 0);
  CHECK_FALSE(reader->has_end());
  CHECK(reader->take(done, to) == 1);
  CHECK(reader->has_end());
  CHECK(reader->take(text("c"), to) == 0);
  CHECK(to.words == "ab");
}

TEST_CASE("chunks that differ in their text alone read as each would by itself", "[wire][stream]") {
  constexpr std::string_view texts[] = {
    R"("a")",
    R"("b")",
    R"("Grüße 😀")",
    R"("")",
    R"("a\"b")",
    R"("\u00e4\n")",
    R"("tab	")",
    "\"bad \xFF\"",
    R"(null)",
    R"("c"})",
    R"("x"},"index":0,"delta":{"content":"y")",
    R"("d","refusal":"No")",
    R"("e","tool_calls":[{"index":0,"id":"k","function":{"name":"f","arguments":"{}"}}])",
    R"("f","content":"g")",
    R"("h","reasoning":"hm")",
    R"(["i"])",
    R"("end")"};
  constexpr std::string_view frames[][2] = {
    {R"({"id":"1","model":"m","choices":[{"index":0,"delta":{"content":)", R"(},"finish_reason":null}]})"},
    {R"({"id":"1","model":"m","choices":[{"index":0,"delta":{"content":)",
     R"(},"finish_reason":null}],"usage":{"prompt_tokens":3,"completion_tokens":40}})"},
    {R"({"choices":[{"delta":{"role":"assistant","content":)", R"(},"finish_reason":"stop"}]})"},
    {R"({"choices":[{"message":{"content":)", R"(}}]})"}};
  for (auto& frame : frames)
    for (unsigned seed = 0; seed < 200; ++seed) {
      std::mt19937 random{seed};
      std::string body;
      std::vector<std::string> expected;
      uint64_t alone = 0;
      for (int i = 0; i < 12; ++i) {
        auto event = "data: " + std::string{frame[0]} + std::string{texts[random() % std::size(texts)]}
                     + std::string{frame[1]} + "\n\n";
        auto reader = openai::compatible_chat_api().read_stream(ok); // reads the second of two unlike chunks
        listener to;
        reader->take("data: {\"choices\":[{\"delta\":{\"content\":\"-\"}}]}\n\n", to);
        to.said.clear();
        alone += reader->take(event, to);
        expected.insert(expected.end(), to.said.begin(), to.said.end());
        body += event;
        if (reader->ended()) // broken JSON
          break;
      }
      CAPTURE(body);
      auto reader = openai::compatible_chat_api().read_stream(ok);
      listener to;
      reader->take("data: {\"choices\":[{\"delta\":{\"content\":\"-\"}}]}\n\n", to);
      to.said.clear();
      CHECK(reader->take(body, to) <= alone);
      auto is_joined = [&](const std::string& x) {
        return x.starts_with("call") || x.starts_with("arguments")
               || (x.starts_with("refusal") && frame[0].find("message") != frame[0].npos);
      };
      std::erase_if(to.said, is_joined); // calls of one stream are numbered, messages beside deltas repeat refusals
      std::erase_if(expected, is_joined);
      CHECK(to.said == expected);
    }
}

TEST_CASE("reading costs no allocation for an event, and little memory for a stream", "[wire][stream]") {
  struct : piece_sink {
    std::size_t bytes = 0;
    void text(std::string_view x) override { bytes += x.size(); }
    void reasoning(std::string_view) override {}
    void refusal(std::string_view) override {}
    void seal(std::string_view) override {}
    void tool_call(uint32_t, std::string_view, std::string_view, std::string_view) override {}
    void tool_arguments(uint32_t, std::string_view) override {}
  } to;
  std::string body;
  for (int i = 0; i < 1000; ++i)
    body += i % 2 == 0 ? text(" word") : text(" an \\\"escaped\\\" word\\n");
  auto half = body.size() / 2 - 100; // in the middle of an event
  auto first = body.substr(0, half), second = body.substr(half, 150), rest = body.substr(half + 150);
  auto bytes = test::allocated_bytes();
  auto reader = openai::chat_api().read_stream(ok);
  reader->take(first, to);
  auto used = test::allocated_bytes() - bytes;
  CHECK(used < 1408);
  INFO("an open stream takes " << used << " bytes");
  reader->take(second, to);
  reader->take(rest, to);
  auto before = test::allocations();
  reader->take(body, to);
  auto allocated = test::allocations() - before;
  CHECK(allocated == 0);
  CHECK_FALSE(reader->ended());
  CHECK(to.bytes > 10'000);
}

TEST_CASE("a request for a stream says so", "[wire][stream]") {
  chat_request x;
  x.model = "demo";
  x.messages = {text_message(role::user, "Hi")};
  auto encoded = std::get<encoded_request>(openai::chat_api().encode(x, true));
  CHECK(json::parse(encoded.body) == json::parse(R"({"model":"demo","messages":[{"role":"user","content":"Hi"}],
    "stream":true,"stream_options":{"include_usage":true,"include_obfuscation":false}})"));
  CHECK(encoded.headers
        == std::vector<http::header>{{"content-type", "application/json"}, {"accept", "text/event-stream"}});
  auto clone = json::parse(std::get<encoded_request>(openai::compatible_chat_api().encode(x, true)).body);
  CHECK(clone["stream_options"].dump() == R"({"include_usage":true})");
  x.extra = R"({"stream_options":{"include_usage":false}})";
  auto replaced = std::get<encoded_request>(openai::chat_api().encode(x, true));
  CHECK(json::parse(replaced.body)["stream_options"].dump() == R"({"include_usage":false})");
  CHECK(replaced.warnings.size() == 1);
  x.extra = R"({"stream":false})";
  CHECK(std::get<failure>(openai::chat_api().encode(x, true)).code == errc::invalid_request);
}

} // namespace modelforge::openai_stream_test
