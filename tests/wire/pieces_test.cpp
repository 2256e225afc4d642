#include "tests/wire/hear.hpp"
#include "wire/anthropic/anthropic.hpp"
#include "wire/gemini/gemini.hpp"
#include "wire/ollama/ollama.hpp"

#include <catch2/catch_test_macros.hpp>

#include <algorithm>

// Texts that stand where texts are not usual, or come twice: they are understood, or told of; none is lost in silence.

namespace modelforge::pieces_test {

using namespace modelforge::test;

namespace {

std::string event(std::string_view data) {
  return "data: " + std::string{data} + "\n\n";
}

std::string chunk(std::string_view choice) {
  return event(R"({"id":"c","choices":[{"index":0,)" + std::string{choice} + "}]}");
}

const std::string done = "data: [DONE]\n\n";
const std::string stop = chunk(R"("delta":{},"finish_reason":"stop")") + done;

/// What an answer is to say.
struct expected {
  std::string text;
  std::string_view warning = {}; ///< A part of one; with it the answer is unclear. Empty: there is none.
};

void check(const completion& x, const std::string& text, const expected& right) {
  CHECK(text == right.text);
  CHECK(x.flaw == (right.warning.empty() ? answer_flaw::none : answer_flaw::unclear));
  CHECK(flaw_text(x) == (right.warning.empty() ? "" : "the answer may not be whole: see the warnings"));
  if (right.warning.empty())
    CHECK(x.warnings.empty());
  else
    CHECK(std::any_of(x.warnings.begin(), x.warnings.end(), [&](auto& y) { return y.find(right.warning) != y.npos; }));
}

void check_stream(const std::string& body, const dialect& by, const expected& right) {
  auto heard = hear(body, by);
  check(heard.good(), heard.words, right);
}

void check_whole(const std::string& body, const dialect& by, const expected& right) {
  auto result = by.decode({200, {}}, body);
  if (auto* bad = std::get_if<failure>(&result))
    FAIL_CHECK(bad->message);
  else
    check(std::get<completion>(result), std::get<completion>(result).text, right);
}

} // namespace

TEST_CASE("a text that is told again at the end is told once, with what it has more", "[wire][pieces]") {
  auto say = [](std::string_view text) { return chunk(R"("delta":{"content":")" + std::string{text} + "\"}"); };
  auto all = [](std::string_view content) {
    return chunk(R"("message":{"content":)" + std::string{content} + R"(},"finish_reason":"stop")") + done;
  };
  constexpr auto versions = "two versions";
  struct {
    std::string body;
    expected right;
  } chat[] = {
    {say("Hel") + all(R"("Hello")"), {"Hello"}},
    {say("H") + say("el") + all(R"("Hello")"), {"Hello"}},
    {say("Hello, wor") + say("ld and all") + all(R"("Hello, world and all of it")"), {"Hello, world and all of it"}},
    {say("Hel") + all(R"([{"type":"text","text":"Hel"},{"type":"text","text":"lo"}])"), {"Hello"}},
    {say("Hello") + all(R"("Hello")"), {"Hello"}},
    {say("Hello") + all(R"("")"), {"Hello"}},
    {say("Hello") + all("null"), {"Hello"}},
    {say(R"(a\ud83d)") + all(R"("a\ud83d\ude00b")"), {"a😀b"}},
    {say("ha") + say("haha") + all(R"("hahaha")"), {"hahaha"}},
    {say("Hel") + say("Hello") + all(R"("HelHello you")"), {"HelHello you"}},
    {say("Hel") + all(R"("lo")"), {"Hel", versions}},
    {say("Hel") + all(R"("Bye")"), {"Hel", versions}},
    {say("Hello, wor") + say("ld and all") + all(R"("Hello, words and much of it")"),
     {"Hello, world and all", versions}},
    {say("Hello, wor") + say("ld and all") + all(R"("Hello")"), {"Hello, world and all", versions}},
    {chunk(R"("delta":{"content":"Hel"},"message":{"content":"Hel"})")
       + chunk(R"("delta":{"content":"lo"},"message":{"content":"lo"})") + stop,
     {"Hello"}},
    {chunk(R"("delta":{"content":"Hel"},"message":{"content":"Hel"})")
       + chunk(R"("delta":{"content":"lo"},"message":{"content":"Hello"})") + stop,
     {"Hello"}},
  };
  for (auto& row : chat)
    for (auto* by : {&openai::chat_api(), &openai::compatible_chat_api()}) {
      CAPTURE(row.body);
      check_stream(row.body, *by, row.right);
      check_whole(row.body, *by, row.right);
    }
  auto with_call = say("Hel")
                   + chunk(R"("message":{"content":"Hello","tool_calls":[{"id":"k","function":{"name":"f",)"
                           R"("arguments":"{}"}}]},"finish_reason":"tool_calls")")
                   + done;
  auto heard = hear(with_call);
  CHECK(heard.words == "Hello");
  CHECK(heard.good().tool_calls.size() == 1);

  auto begin = event(R"({"type":"message_start","message":{"id":"m","content":[]}})")
               + event(R"({"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}})");
  auto delta = [](std::string_view text) {
    return event(R"({"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":")" + std::string{text}
                 + "\"}}");
  };
  auto block = [](std::string_view text) {
    return event(R"({"type":"content_block_stop","index":0,"content_block":{"type":"text","text":")" + std::string{text}
                 + "\"}}");
  };
  auto next = event(R"({"type":"content_block_start","index":1,"content_block":{"type":"text","text":"A"}})")
              + event(R"({"type":"content_block_delta","index":1,"delta":{"type":"text_delta","text":"b"}})")
              + event(R"({"type":"content_block_stop","index":1,"content_block":{"type":"text","text":"Abc"}})");
  auto reason = event(R"({"type":"message_delta","delta":{"stop_reason":"end_turn"}})");
  auto mark = event(R"({"type":"message_stop"})");
  auto message = [](std::string_view content) {
    return event(R"({"type":"message_stop","message":{"content":)" + std::string{content} + "}}");
  };
  struct {
    std::string body;
    expected right;
  } anthropic[] = {
    {begin + delta("Hel") + block("Hello") + reason + mark, {"Hello"}},
    {begin + delta("Hello") + block("Hello") + reason + mark, {"Hello"}},
    {begin + delta("Hel") + block("Hello") + next + reason + mark, {"HelloAbc"}},
    {begin + delta("Hel") + block("Bye") + reason + mark, {"Hel", versions}},
    {begin + delta("Hel") + reason + message(R"([{"type":"text","text":"Hello"}])"), {"Hello"}},
    {begin + delta("Hel") + reason + message(R"("Hello")"), {"Hello"}},
    {begin + delta("Hel") + block("Hello") + next + reason
       + message(R"([{"type":"text","text":"Hello"},{"type":"text","text":"Abc"}])"),
     {"HelloAbc"}},
    {begin + reason + message(R"([{"type":"text","text":"Hello"}])"), {"Hello"}},
    {begin + delta("Hel") + reason + message(R"([{"type":"text","text":"Bye"}])"), {"Hel", versions}},
    {begin + delta("Hel") + reason + message("[]"), {"Hel"}},
  };
  for (auto& row : anthropic) {
    CAPTURE(row.body);
    check_stream(row.body, anthropic::messages_api(), row.right);
    check_whole(row.body, anthropic::messages_api(), row.right);
  }
  auto late = begin + delta("Hel") + reason
              + message(R"([{"type":"text","text":"Hel"},{"type":"tool_use","id":"k","name":"f","input":{"x":1}}])");
  CHECK(hear(late, anthropic::messages_api()).bad().message.find("did not tell it before") != std::string::npos);
}

TEST_CASE("what stands in a text's place is understood, or named, and never lost in silence", "[wire][pieces]") {
  constexpr auto left_out = "left out";
  struct row {
    std::string piece;
    expected right;
  };
  auto run = [](const std::vector<row>& rows, std::initializer_list<const dialect*> dialects, const auto& body_of) {
    for (auto& each : rows)
      for (auto* by : dialects) {
        auto body = body_of(each.piece);
        CAPTURE(by->name(), body);
        check_stream(body, *by, each.right);
        check_whole(body, *by, each.right);
      }
  };
  // between two good pieces
  auto a = chunk(R"("delta":{"content":"A"})"), z = chunk(R"("delta":{"content":"Z"})");
  run(
    {
      {R"({"choices":[{"delta":[{"content":"x"}]}]})", {"AxZ"}},
      {R"({"choices":[{"delta":{"text":"x"}}]})", {"AxZ"}},
      {R"({"choices":[{"delta":{"content":null,"text":"x"}}]})", {"AxZ"}},
      {R"({"data":{"choices":[{"delta":{"content":"x"}}]}})", {"AxZ"}},
      {R"({"choices":["x"]})", {"AxZ"}},
      {R"({"choices":[null]})", {"AZ"}},
      {R"({"choices":[]})", {"AZ"}},
      {R"({"choices":[7]})", {"AZ", left_out}},
      {R"({"choices":"x"})", {"AZ", left_out}},
      {R"({"choices":[{"delta":[{"content":"x"},{"content":"y"}]}]})", {"AZ", left_out}},
      {R"({"choices":[{"delta":{"content":5}}]})", {"AZ", left_out}},
      {R"({"choices":[{"delta":{"content":false}}]})", {"AZ"}},
      {R"({"choices":[{"delta":{"content":{"value":"x"}}}]})", {"AxZ"}},
      {R"({"choices":[{"delta":{"content":[{"type":"text","text":["x","y"]}]}}]})", {"AxyZ"}},
      {R"({"choices":[{"delta":{"content":[{"type":"text","text":5}]}}]})", {"AZ", left_out}},
      {R"({"choices":[{"delta":{"content":["x",5]}}]})", {"AxZ", left_out}},
      {R"({"choices":{"index":0,"delta":{"content":"x"}}})", {"AxZ"}},
      {R"({"choices":{"delta":{"content":"x"}}})", {"AxZ"}},
      {R"({"data":{"choices":{"delta":{"content":"x"}}}})", {"AxZ"}},
      {R"({"choices":[{"delta":{"content":[{"type":"text","content":"x"}]}}]})", {"AxZ"}},
      // under names that no message has
      {R"({"choices":[{"delta":{"answer":"x"}}]})", {"AZ", left_out}},
      {R"({"choices":[{"delta":{"output_text":"x"}}]})", {"AZ", left_out}},
      {R"({"choices":[{"delta":{"message":{"content":"x"}}}]})", {"AZ", left_out}},
      {R"({"choices":[{"delta":{"parts":[{"text":"x"}]}}]})", {"AZ", left_out}},
      {R"({"choices":[{"delta":{"content":"x","response":"y"}}]})", {"AxZ", left_out}},
      {R"({"choices":[{"delta":{"content":"x","response":"x","result":null,"value":"","output":[]}}]})", {"AxZ"}},
      {R"({"choices":[{"delta":{"content":"x","name":"y","id":"z","phase":"w"}}]})", {"AxZ"}},
      {R"({"content":"x"})", {"AZ", left_out}},
      {R"({"delta":{"content":"x"}})", {"AZ", left_out}},
      {R"({"content":"","output":null})", {"AZ"}},
      {R"({"choices":[],"content":"x"})", {"AZ"}},
      // what is no object
      {"null", {"AZ"}},
      {"[]", {"AZ"}},
      {"[[]]", {"AZ"}},
      {R"("")", {"AZ"}},
      {R"("x")", {"AZ", left_out}},
      {R"(["x"])", {"AZ", left_out}},
      {"5", {"AZ", left_out}},
    },
    {&openai::chat_api(), &openai::compatible_chat_api()},
    [&](const std::string& piece) { return a + event(piece) + z + stop; });
  auto gemini = [](std::string_view content, std::string_view more = "") {
    return event(R"({"candidates":[{"content":)" + std::string{content} + std::string{more} + "}]}");
  };
  run(
    {
      {R"({"candidates":[{"content":{"parts":[{"text":"x"},"y"]}}]})", {"AxyZ"}},
      {R"({"candidates":[{"content":{"parts":[{"text":"x"},null]}}]})", {"AxZ"}},
      {R"({"candidates":[{"content":{"parts":[{"text":"x"},5]}}]})", {"AxZ", left_out}},
      {R"({"response":{"candidates":[{"content":{"parts":[{"text":"x"}]}}]}})", {"AxZ"}},
      {R"({"candidates":[{"content":{"parts":[{"text":5}]}}]})", {"AZ", left_out}},
      {R"({"candidates":[{"content":{"parts":[{"text":["x"]}]}}]})", {"AxZ"}},
      {R"({"candidates":[{"content":5}]})", {"AZ", left_out}},
    },
    {&gemini::content_api()}, [&](const std::string& piece) {
      return gemini(R"({"parts":[{"text":"A"}]})") + event(piece)
             + gemini(R"({"parts":[{"text":"Z"}]})", R"(,"finishReason":"STOP")");
    });
  run(
    {
      {R"({"message":{"content":5},"done":false})", {"AZ", left_out}},
      {R"({"message":{"content":["x",5]},"done":false})", {"AxZ", left_out}},
      {R"({"message":{"content":[{"text":["x"]}]},"done":false})", {"AxZ"}},
      {R"({"response":"x","done":false})", {"AZ", left_out}},
      {R"({"message":null,"done":false})", {"AZ"}},
    },
    {&ollama::chat_api()}, [](const std::string& piece) {
      return R"({"message":{"content":"A"},"done":false})"
             "\n"
             + piece
             + "\n"
               R"({"message":{"content":"Z"},"done":false})"
               "\n"
               R"({"message":{"content":""},"done":true,"done_reason":"stop"})"
               "\n";
    });
  // Anthropic's, as an event of a stream and as a part of a whole message
  run(
    {
      {R"({"type":"content_block_delta","index":0,"delta":"x"})", {"AxZ"}},
      {R"({"type":"content_block_delta","index":0,"delta":5})", {"AZ", left_out}},
      {R"({"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":["x"]}})", {"AxZ"}},
      {R"({"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":5}})", {"AZ", left_out}},
    },
    {&anthropic::messages_api()}, [](const std::string& piece) {
      auto delta = [](std::string_view text) {
        return event(R"({"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":")"
                     + std::string{text} + "\"}}");
      };
      return event(R"({"type":"message_start","message":{"id":"m","content":[]}})")
             + event(R"({"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}})")
             + delta("A") + event(piece) + delta("Z")
             + event(R"({"type":"message_delta","delta":{"stop_reason":"end_turn"}})")
             + event(R"({"type":"message_stop"})");
    });
  run(
    {
      {R"({"type":"text","text":["x"]})", {"AxZ"}},
      {R"({"type":"text","value":"x"})", {"AxZ"}},
      {R"({"type":"text","text":{"value":"x"}})", {"AxZ"}},
      {R"({"type":"text","content":"x"})", {"AxZ"}},
      {R"("x")", {"AxZ"}},
      {R"({"type":"text","text":5})", {"AZ", left_out}},
      {"5", {"AZ", left_out}},
      {"null", {"AZ"}},
    },
    {&anthropic::messages_api()}, [](const std::string& piece) {
      return R"({"id":"m","type":"message","content":[{"type":"text","text":"A"},)" + piece
             + R"(,{"type":"text","text":"Z"}],"stop_reason":"end_turn"})";
    });
  std::vector<row> parts = {
    {R"({"type":"output_text","text":["x","y"]})", {"AxyZ"}},
    {R"({"type":"output_text","text":{"value":"x"}})", {"AxZ"}},
    {R"({"type":"output_text","value":"x"})", {"AxZ"}},
    {R"({"type":"output_text","content":"x"})", {"AxZ"}},
    {R"({"type":"output_text","text":5})", {"AZ", left_out}},
    {R"("x")", {"AxZ"}},
    {"5", {"AZ", left_out}},
  };
  auto response = [](const std::string& piece) {
    return R"({"id":"r","status":"completed","output":[{"type":"message","content":[{"type":"output_text","text":"A"},)"
           + piece + R"(,{"type":"output_text","text":"Z"}]}]})";
  };
  run(parts, {&openai::responses_api()}, response);
  run(parts, {&openai::responses_api()}, [&](const std::string& piece) {
    return event(R"({"type":"response.completed","response":)" + response(piece) + "}");
  });
  auto all = std::string{R"({"id":"r","status":"completed","output":["A",{"type":"message","content":"Z"}]})"};
  check_whole(all, openai::responses_api(), {"AZ"});
  check_stream(event(R"({"type":"response.completed","response":)" + all + "}"), openai::responses_api(), {"AZ"});
  check_stream(event(R"({"type":"response.output_text.delta","output_index":0,"delta":"A"})")
                 + event(R"({"type":"response.output_text.delta","output_index":0,"delta":5})")
                 + event(R"({"type":"response.completed","response":{"status":"completed","output":[]}})"),
               openai::responses_api(), {"A", left_out});
}

TEST_CASE("an event that is no object, and holds something, is named in every dialect", "[wire][pieces]") {
  struct {
    const dialect& by;
    std::string first, last;
  } streams[] = {
    {openai::responses_api(), event(R"({"type":"response.output_text.delta","output_index":0,"delta":"A"})"),
     event(R"({"type":"response.completed","response":{"status":"completed","output":[]}})")},
    {gemini::content_api(), event(R"({"candidates":[{"content":{"parts":[{"text":"A"}]}}]})"),
     event(R"({"candidates":[{"finishReason":"STOP"}]})")},
    {anthropic::messages_api(),
     event(R"({"type":"content_block_start","index":0,"content_block":{"type":"text","text":"A"}})"),
     event(R"({"type":"message_delta","delta":{"stop_reason":"end_turn"}})") + event(R"({"type":"message_stop"})")},
    {ollama::chat_api(), event(R"({"message":{"content":"A"},"done":false})"),
     event(R"({"message":{"content":""},"done":true,"done_reason":"stop"})")},
  };
  for (auto& each : streams)
    for (auto& [data, warning] : {std::pair{"null", ""},
                                  {"[]", ""},
                                  {R"("")", ""},
                                  {"{}", ""},
                                  {R"("x")", "left out"},
                                  {R"(["x"])", "left out"}}) {
      auto body = each.first + event(data) + each.last;
      CAPTURE(each.by.name(), body);
      check_stream(body, each.by, {"A", warning});
      check_whole(body, each.by, {"A", warning});
    }
}

TEST_CASE("a choice that holds its content itself is understood", "[wire][pieces]") {
  check_stream(chunk(R"("content":"A")") + chunk(R"("content":"B")") + stop, openai::compatible_chat_api(), {"AB"});
  check_whole(R"({"choices":[{"index":0,"content":"A","finish_reason":"stop"}]})", openai::chat_api(), {"A"});
  check_whole(R"({"choices":{"index":0,"message":{"content":"A"},"finish_reason":"stop"}})", openai::chat_api(), {"A"});
}

TEST_CASE("thoughts and media under names of others are told of", "[wire][pieces]") {
  for (auto* name : {"reasoning", "reasoning_content", "reasoning_text", "thinking", "thought"}) {
    auto member = "\"" + std::string{name} + R"(":"hm")";
    auto x = hear(chunk(R"("delta":{)" + member + "}") + chunk(R"("delta":{"content":"A"})") + stop);
    CHECK(x.said == std::vector<std::string>{"reasoning: hm", "text: A"});
    auto whole = openai::chat_api().decode({200, {}}, R"({"choices":[{"message":{"content":"A",)" + member
                                                        + R"(},"finish_reason":"stop"}]})");
    CHECK(std::get<completion>(whole).reasoning == std::vector<reasoning_part>{{"hm", ""}});
  }
  for (auto* media : {R"("audio":{"data":"QQ==","transcript":"x"})", R"("images":[{"type":"image_url"}])"}) {
    auto x = hear(chunk(R"("delta":{"content":"A"})") + chunk(R"("delta":{)" + std::string{media} + "}") + stop).good();
    CHECK(x.flaw == answer_flaw::none);
    REQUIRE(x.warnings.size() == 1);
    CHECK(x.warnings[0].starts_with("the answer held a part that was left out"));
  }
  CHECK(hear(chunk(R"("delta":{"content":"A","audio":null,"images":[]})") + stop).good().warnings.empty());
}

TEST_CASE("a line between events that is no field is named where it may tell something", "[wire][pieces]") {
  struct dialect_stream {
    const dialect& by;
    std::string first, last;
  } streams[] = {
    {openai::chat_api(), chunk(R"("delta":{"content":"A"})"), stop},
    {openai::compatible_chat_api(), chunk(R"("delta":{"content":"A"})"), stop},
    {gemini::content_api(), event(R"({"candidates":[{"content":{"parts":[{"text":"A"}]}}]})"),
     event(R"({"candidates":[{"finishReason":"STOP"}]})")},
    {anthropic::messages_api(),
     event(R"({"type":"content_block_start","index":0,"content_block":{"type":"text","text":"A"}})"),
     event(R"({"type":"message_delta","delta":{"stop_reason":"end_turn"}})") + event(R"({"type":"message_stop"})")},
    {openai::responses_api(), event(R"({"type":"response.output_text.delta","output_index":0,"delta":"A"})"),
     event(R"({"type":"response.completed","response":{"status":"completed","output":[]}})")},
  };
  struct {
    std::string_view line, warning;
  } lines[] = {
    {"Internal Server Error", "Internal Server Error"},
    {"<html><title>502 Bad Gateway</title></html>", "502 Bad Gateway"},
    {R"(data : {"x":"y"})", "data : {"},
    {R"(Data: {"x":"y"})", "Data: {"},
    {R"(data={"x":"y"})", "data={"},
    {R"(chunk: {"x":"y"})", "chunk: {"},
    {": an Error in a comment", ""},
    {"retry: 3", ""},
    {"x-field: 1", ""},
  };
  for (auto& each : streams)
    for (auto& [line, warning] : lines) {
      auto body = each.first + std::string{line} + "\n\n" + each.last;
      CAPTURE(each.by.name(), body);
      check_stream(body, each.by, {"A", warning});
      check_whole(body, each.by, {"A", warning});
    }
}

} // namespace modelforge::pieces_test
