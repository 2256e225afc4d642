#include "tests/wire/framings.hpp"
#include "tests/wire/hear.hpp"
#include "wire/anthropic/anthropic.hpp"
#include "wire/gemini/gemini.hpp"
#include "wire/ollama/ollama.hpp"
#include "wire/provider_error.hpp"
#include "wire/vendors.hpp"

#include <algorithm>

// What comes behind an answer's end, and what is known of an end while the body goes on.

namespace modelforge::behind_end_test {

using namespace modelforge::test;

namespace {

using text = std::string;

text event(std::string_view data) {
  return "data: " + text{data} + "\n\n";
}

text line(std::string_view data) {
  return text{data} + "\n";
}

const text anthropic_begin =
  event(R"({"type":"message_start","message":{"id":"m","content":[],"usage":{"input_tokens":3,"output_tokens":1}}})")
  + event(R"({"type":"content_block_start","index":0,"content_block":{"type":"text","text":"a"}})")
  + event(R"({"type":"content_block_stop","index":0})");
const text anthropic_reason =
  event(R"({"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":7}})");
const text anthropic_stop = event(R"({"type":"message_stop"})");
const text gemini_end = event(R"({"candidates":[{"content":{"parts":[{"text":"a"}]},"finishReason":"STOP"}]})");
const text ollama_end = line(R"({"message":{"content":"a"},"done":false})")
                        + line(R"({"message":{"content":""},"done":true,"done_reason":"stop","eval_count":7})");

stream_end end_seen(std::string_view body, const dialect& by) {
  auto reader = by.read_stream(ok);
  listener to;
  reader->take(body, to);
  return reader->end_so_far();
}

} // namespace

TEST_CASE("what comes behind an answer's end is never lost in silence", "[wire][ends]") {
  const text call_block =
    R"({"type":"content_block_start","index":1,"content_block":{"type":"tool_use","id":"a","name":"f","input":{"x":1}}})";
  const text gemini_call = R"({"functionCall":{"name":"f","args":{"x":1}}})";
  const text ollama_call = R"({"tool_calls":[{"function":{"name":"f","arguments":{"x":1}}}]})";
  struct {
    std::string_view dialect;
    text end, more;
    std::string_view words; ///< All text; empty: a failure.
    std::size_t calls = 0;
  } table[] = {
    {"anthropic", anthropic_begin + anthropic_reason + anthropic_stop, "", "a"},
    {"anthropic", anthropic_begin + anthropic_reason + anthropic_stop, anthropic_stop, "a"},
    {"anthropic", anthropic_begin + anthropic_reason + anthropic_stop, event(R"({"type":"ping"})"), "a"},
    {"anthropic", anthropic_begin + anthropic_reason + anthropic_stop, event("[DONE]"), "a"},
    {"anthropic", anthropic_begin + anthropic_reason + anthropic_stop, ": comment\n\n<!-- x -->\n", "a"},
    {"anthropic", anthropic_begin + anthropic_reason + anthropic_stop,
     event(R"({"type":"message_start","message":{"id":"n","content":[],"usage":{"output_tokens":1}}})"), "a"},
    {"anthropic", anthropic_begin + anthropic_reason + anthropic_stop,
     event(R"({"type":"message_start","message":{"id":"n","content":[{"type":"text","text":"b"}]}})"), ""},
    {"anthropic", anthropic_begin + anthropic_reason + anthropic_stop,
     anthropic_begin + anthropic_reason + anthropic_stop, ""},
    {"anthropic", anthropic_begin + anthropic_reason + anthropic_stop,
     event(R"({"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"b"}})"), ""},
    {"anthropic", anthropic_begin + anthropic_reason + anthropic_stop,
     event(R"({"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"b"}})"), ""},
    {"anthropic", anthropic_begin + anthropic_reason + anthropic_stop, event(call_block), ""},
    {"anthropic", anthropic_begin + anthropic_reason + anthropic_stop,
     event(R"({"type":"message","content":[{"type":"text","text":"b"}],"stop_reason":"end_turn"})"), ""},
    {"anthropic", anthropic_begin + anthropic_reason + anthropic_stop,
     event(R"({"type":"error","error":{"message":"boom"}})"), ""},
    {"anthropic", anthropic_begin + anthropic_reason, event(call_block) + anthropic_stop, "a", 1},
    {"gemini", gemini_end, event(R"({"usageMetadata":{"promptTokenCount":3}})"), "a"},
    {"gemini", gemini_end, event(R"({"candidates":[{"content":{"parts":[{"text":"b"}]}}]})"), ""},
    {"gemini", gemini_end, event(R"({"candidates":[{"content":{"parts":[{"text":"b","thought":true}]}}]})"), ""},
    {"gemini", gemini_end, event(R"({"candidates":[{"content":{"parts":[)" + gemini_call + "]}}]}"), ""},
    {"gemini", gemini_end, event(R"({"candidates":[)" + gemini_call + "]}"), ""},
    {"gemini", gemini_end, event(gemini_call), ""},
    {"gemini", gemini_end, gemini_end, "aa"},
    {"gemini", gemini_end,
     event(R"({"candidates":[{"content":{"parts":[)" + gemini_call + R"(]},"finishReason":"STOP"}]})"), "a", 1},
    {"gemini", gemini_end, event(R"({"error":{"message":"boom"}})"), ""},
    {"ollama", ollama_end, line(R"({"message":{"content":""},"done":true})"), "a"},
    {"ollama", ollama_end, line(R"({"message":{"content":"b"},"done":false})"), ""},
    {"ollama", ollama_end, line(R"({"message":{"content":"","thinking":"b"},"done":false})"), ""},
    {"ollama", ollama_end, line(R"({"message":)" + ollama_call + "}"), ""},
    {"ollama", ollama_end, line(ollama_call), ""},
    {"ollama", ollama_end, line(R"({"message":{"content":"b"},"done":true})"), "ab"},
    {"ollama", ollama_end, line(R"({"message":)" + ollama_call + R"(,"done":true})"), "a", 1},
    {"ollama", ollama_end, line(R"({"error":"boom"})"), ""},
  };
  for (auto& row : table) {
    auto& by = *find_dialect(row.dialect);
    CAPTURE(row.dialect, row.end, row.more);
    auto x = hear(row.end + row.more, by);
    CHECK(hear(row.end + row.more, by, std::vector<std::size_t>(row.end.size() + row.more.size(), 1)) == x);
    auto y = by.decode({200, {}}, row.end + row.more);
    REQUIRE(std::holds_alternative<failure>(x.end) == row.words.empty());
    REQUIRE(std::holds_alternative<failure>(y) == row.words.empty());
    if (row.words.empty())
      continue;
    CHECK(x.words == row.words);
    CHECK(x.good().tool_calls.size() == row.calls);
    CHECK(std::get<completion>(y).text == row.words);
    CHECK(std::get<completion>(y).tool_calls.size() == row.calls);
    if (row.dialect == "anthropic" && row.more.find("output_tokens") != text::npos)
      CHECK(x.good().usage == token_usage{3, 7, 0, 0, 0}); // not of what began behind it
  }
}

TEST_CASE("an answer's end is known while its body goes on", "[wire][ends]") {
  auto chat = [](const char* reason) {
    return event(R"({"choices":[{"index":0,"delta":{"content":"a"},"finish_reason":)" + text{reason} + "}]}");
  };
  const text response = R"({"id":"r","status":"completed","output":[{"type":"message","content":"a"}]})";
  struct {
    std::string_view dialect;
    text body;
    stream_end expected;
  } table[] = {
    {"anthropic", anthropic_begin, stream_end::open},
    {"anthropic", anthropic_begin + anthropic_reason, stream_end::likely},
    {"anthropic", anthropic_begin + anthropic_reason + "data: {", stream_end::open},
    {"anthropic", anthropic_begin + anthropic_reason + anthropic_stop, stream_end::sure},
    {"anthropic", R"({"type":"message","content":[{"type":"text","text":"b"}],"stop_reason":"end_turn"})",
     stream_end::sure},
    {"gemini", event(R"({"candidates":[{"content":{"parts":[{"text":"a"}]}}]})"), stream_end::open},
    {"gemini", gemini_end, stream_end::likely},
    {"gemini", "[" + gemini_end.substr(6), stream_end::open},
    {"gemini", gemini_end + "data: {\"candi", stream_end::open},
    {"ollama", line(R"({"message":{"content":"a"},"done":false})"), stream_end::open},
    {"ollama", ollama_end, stream_end::sure},
    {"ollama", line(R"({"message":{"content":"a"},"done":true})"), stream_end::likely}, // some say so in each
    {"ollama", line(R"({"message":{"content":"a"},"done":true,"total_duration":5})"), stream_end::sure},
    {"ollama", ollama_end + line(R"({"message":{"content":"a"},"done":false})"), stream_end::open},
    {"openai", chat("null"), stream_end::open},
    {"openai", chat("\"stop\""), stream_end::likely},
    {"openai", chat("\"stop\"") + chat("null"), stream_end::open},
    {"openai", chat("\"stop\"") + event("[DONE]"), stream_end::sure},
    {"openai_compatible", R"({"choices":[{"message":{"content":"a"},"finish_reason":"stop"}]})", stream_end::sure},
    {"openai_responses", event(R"({"type":"response.completed","response":)" + response + "}"), stream_end::sure},
  };
  for (auto& row : table) {
    CAPTURE(row.dialect, row.body);
    CHECK(static_cast<int>(end_seen(row.body, *find_dialect(row.dialect))) == static_cast<int>(row.expected));
  }
}

TEST_CASE("more behind a stream's end is seen, though it comes later", "[wire][ends]") {
  const text chunk = R"({"choices":[{"index":0,"delta":{"content":"a"},"finish_reason":"stop"}]})";
  const text response = R"({"id":"r","status":"completed","output":[{"type":"message","content":"a"}]})";
  struct {
    std::string_view dialect;
    text end, more;
    bool is_clear;
  } table[] = {
    {"openai", event(chunk) + event("[DONE]"), event(R"({"choices":[{"index":0,"delta":{"content":"b"}}]})"), false},
    {"openai", event(chunk) + event("[DONE]"), event("[DONE]"), true},
    {"openai", event(chunk) + event("[DONE]"), event(chunk), true},
    {"openai_compatible", event(chunk) + event("[DONE]"), event(R"({"choices":[{"delta":{"content":"b"}}]})"), false},
    {"openai_responses", event(R"({"type":"response.completed","response":)" + response + "}"),
     event(R"({"type":"response.output_text.delta","output_index":0,"delta":"b"})"), false},
    {"openai_responses", event(R"({"type":"response.completed","response":)" + response + "}"), event("[DONE]"), true},
  };
  for (auto& row : table) {
    CAPTURE(row.dialect, row.more);
    auto reader = find_dialect(row.dialect)->read_stream(ok);
    listener to;
    reader->take(row.end, to);
    CHECK(reader->has_end());
    CHECK(reader->end_so_far() == stream_end::sure);
    REQUIRE_FALSE(reader->ended()); // a session waits a little for what follows
    reader->take(row.more, to);
    CHECK(reader->ended() == !row.is_clear);
    auto result = std::get<completion>(reader->end(to));
    CHECK(to.words == "a");
    CHECK((result.flaw == answer_flaw::none) == row.is_clear);
    CHECK(result.warnings.empty() == row.is_clear);
  }
}

TEST_CASE("signs of life before the first piece leave an answer clear", "[wire][ends]") {
  for (std::string_view sign :
       {"null", "false", "\"\"", "ping", "heartbeat", "Ping", R"({"type":"ping"})", R"({"event":"keep-alive"})"})
    for (auto& x : sample_streams()) {
      CAPTURE(sign, x.by->name());
      auto body = framed(x.objects, {.done = 1});
      CHECK(hear(event(sign) + body, *x.by).good().flaw == hear(body, *x.by).good().flaw);
      CHECK(hear(event(sign) + body, *x.by).good().warnings == hear(body, *x.by).good().warnings);
    }
  auto foreign = hear(event(R"({"text":"shopping"})"), *find_dialect("gemini")).bad(); // holds no ping
  CHECK(will_come_again(foreign));
}

TEST_CASE("what is another API's, whole, is asked for once, with its beginning and what to do", "[wire][ends]") {
  struct {
    text body;
    bool comes_again; ///< Asking again cannot help.
    std::string_view shown;
  } table[] = {
    {"OK", true, "OK"},
    {"hello, this is a health check\n", true, "hello"},
    {"\"OK\"", true, "OK"},
    {"{}", true, "{}"},
    {"[]", true, "[]"},
    {"null", true, "null"},
    {event("{}"), true, "{}"},
    {event("OK"), true, "OK"},
    {event("hello") + event("world"), true, "hello"},
    {event(R"({"foo":"bar"})"), true, "foo"},
    {event(R"({"foo":"bar"})") + event("[DONE]"), true, "foo"},
    {"event: token\n" + event("hello") + "event: end\n" + event("{}"), true, "hello"},
    {event(R"({"generated_text":"Hi"})"), true, "generated_text"},
    {"<html><title>Welcome</title></html>", true, "HTML"},
    {event(R"({"foo":"bar"})") + "data: {\"foo\":", false, ""},
    {"{\"foo\":\"b", false, ""},
    {event(R"({"type":"ping"})"), false, ""},
    {"event: ping\n" + event("{}"), false, ""},
    {": keep-alive\n\n", false, ""},
    {event("[DONE]"), false, ""},
    {"", false, ""},
    {"\n\n", false, ""},
  };
  for (auto* name : {"openai", "openai_compatible", "openai_responses", "anthropic", "gemini", "ollama"})
    for (auto& row : table) {
      CAPTURE(name, row.body);
      auto& by = *find_dialect(name);
      auto heard = hear(row.body, by).end;
      auto bytewise = hear(row.body, by, std::vector<std::size_t>(row.body.size(), 1)).end;
      CHECK(heard == bytewise);
      for (auto& end : {heard, by.decode({200, {}}, row.body)}) {
        auto* bad = std::get_if<failure>(&end);
        REQUIRE(bad != nullptr);
        CAPTURE(bad->message);
        CHECK(will_come_again(*bad) == row.comes_again);
        CHECK(bad->message.find(row.shown) != text::npos);
        if (row.comes_again)
          CHECK(bad->suggestion.find("base_url") != text::npos);
      }
    }
  auto& foreign = gemini_end; // another API's stream
  for (auto* name : {"openai", "openai_compatible", "openai_responses", "anthropic", "ollama"}) {
    CAPTURE(name);
    auto heard = hear(foreign, *find_dialect(name)).bad();
    CHECK(will_come_again(heard));
    CHECK(heard.message.find("candidates") != text::npos);
    CHECK(heard.suggestion.find("kind") != text::npos);
  }
}

} // namespace modelforge::behind_end_test
