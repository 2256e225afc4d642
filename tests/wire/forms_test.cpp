#include "tests/wire/meaning.hpp"
#include "wire/anthropic/anthropic.hpp"
#include "wire/gemini/gemini.hpp"
#include "wire/ollama/ollama.hpp"

#include <catch2/catch_test_macros.hpp>

// One answer in every form that is understood must be read as the same answer: here by hand, in forms_random_test.cpp
// by chance.

namespace modelforge::test::forms {

TEST_CASE("content means the same in every form", "[wire][forms]") {
  auto anthropic = [](std::string content) {
    return R"({"id":"m","type":"message","content":)" + content + R"(,"stop_reason":"end_turn"})";
  };
  auto gemini = [](std::string content) {
    return R"({"candidates":[{"content":)" + content + R"(,"finishReason":"STOP"}]})";
  };
  auto ollama = [](std::string content) {
    return R"({"message":{"content":)" + content + R"(},"done":true,"done_reason":"stop"})" + "\n";
  };
  auto chat = [](std::string message) { return whole_chat(R"("finish_reason":"stop","message":)" + message); };
  struct {
    std::string_view what;
    const dialect& by;
    bool is_stream;
    std::string body, text = "Hello", thoughts = "";
  } table[] = {
    {"a text", openai::chat_api(), false, chat(R"({"content":"Hello"})")},
    {"parts", openai::chat_api(), false,
     chat(R"({"content":[{"type":"text","text":"Hel"},{"type":"text","text":"lo"}]})")},
    {"one part", openai::chat_api(), false, chat(R"({"content":{"type":"text","text":"Hello"}})")},
    {"texts", openai::chat_api(), false, chat(R"({"content":["Hel","lo"]})")},
    {"a text in an object", openai::chat_api(), false,
     chat(R"({"content":[{"type":"text","text":{"value":"Hello"}}]})")},
    {"a message that is a text", openai::compatible_chat_api(), false, chat(R"("Hello")")},
    {"a delta in a whole answer", openai::compatible_chat_api(), false,
     whole_chat(R"("delta":{"content":"Hello"},"finish_reason":"stop")")},
    {"the older API's text", openai::compatible_chat_api(), false,
     whole_chat(R"("text":"Hello","finish_reason":"stop")")},
    {"one choice without a list", openai::compatible_chat_api(), false,
     R"({"choices":{"message":{"content":"Hello"},"finish_reason":"stop"}})"},
    {"choice 1 alone", openai::compatible_chat_api(), false,
     R"({"choices":[{"index":1,"message":{"content":"Hello"},"finish_reason":"stop"}]})"},
    {"thoughts: parts", openai::compatible_chat_api(), false,
     chat(R"({"content":"Hello","reasoning":[{"type":"text","text":"h"},{"text":"m"}]})"), "Hello", "hm"},
    {"thoughts: texts", openai::compatible_chat_api(), false,
     chat(R"({"content":"Hello","reasoning_content":["h","m"]})"), "Hello", "hm"},
    {"thoughts: details", openai::compatible_chat_api(), false,
     chat(R"({"content":"Hello","reasoning_details":[{"type":"reasoning.text","text":"h"},)"
          R"({"type":"reasoning.summary","summary":"m"},{"type":"reasoning.encrypted","data":"x"}]})"),
     "Hello", "hm"},
    {"thoughts: in two places", openai::compatible_chat_api(), false,
     chat(R"({"content":"Hello","reasoning":"hm","reasoning_content":"hm","reasoning_details":[{"text":"hm"}]})"),
     "Hello", "hm"},
    {"parts in a stream", openai::chat_api(), true,
     chat_chunk(R"("delta":{"content":[{"type":"text","text":"Hel"}]})") + chat_chunk(R"("delta":{"content":"lo"})")
       + stop + done},
    {"a part in a stream", openai::chat_api(), true,
     chat_chunk(R"("delta":{"content":{"type":"text","text":"Hel"}})") + chat_chunk(R"("delta":"lo")") + stop + done},
    {"choice 1 alone in a stream", openai::chat_api(), true,
     chat_chunk(R"("index":1,"delta":{"content":"Hel"})") + chat_chunk(R"("index":1,"delta":{"content":"lo"})")
       + chat_chunk(R"("index":1,"delta":{},"finish_reason":"stop")") + done},
    {"indices as texts", openai::chat_api(), true,
     chat_chunk(R"("index":"0","delta":{"content":"Hello"})") + chat_chunk(R"("index":"1","delta":{"content":"no"})")
       + stop + done},
    {"messages instead of deltas", openai::compatible_chat_api(), true,
     chat_chunk(R"("message":{"content":"Hel"})") + chat_chunk(R"("message":{"content":"lo"})")
       + chat_chunk(R"("message":{"content":""},"finish_reason":"stop")") + done},
    {"messages that hold all so far", openai::compatible_chat_api(), true,
     chat_chunk(R"("message":{"content":"Hel"})") + chat_chunk(R"("message":{"content":"Hello"})")
       + chat_chunk(R"("message":{"content":"Hello"},"finish_reason":"stop")") + done},
    {"a message beside the deltas", openai::compatible_chat_api(), true,
     chat_chunk(R"("delta":{"content":"Hello"})")
       + chat_chunk(R"("delta":{},"message":{"content":"Hello"},"finish_reason":"stop")") + done},
    {"a message behind thoughts", openai::compatible_chat_api(), true,
     chat_chunk(R"("delta":{"reasoning":"hm"})") + chat_chunk(R"("message":{"content":"Hello"},"finish_reason":"stop")")
       + done,
     "Hello", "hm"},
    {"a character in halves", openai::chat_api(), true,
     chat_chunk(R"("delta":{"content":"a\ud83d"})") + chat_chunk(R"("delta":{"content":"\ude00b"})") + stop + done,
     "a😀b"},
    {"half a character", openai::chat_api(), true,
     chat_chunk(R"("delta":{"content":"a\ud83d"})") + chat_chunk(R"("delta":{"content":"b"})") + stop + done,
     "a\xEF\xBF\xBD"
     "b"},
    {"half a character at the end", openai::chat_api(), true,
     chat_chunk(R"("delta":{"content":"a\ud83d"})") + stop + done, "a\xEF\xBF\xBD"},
    {"halves of thoughts", openai::chat_api(), true,
     chat_chunk(R"("delta":{"reasoning":"\ud83d"})") + chat_chunk(R"("delta":{"reasoning":"\ude00"})")
       + chat_chunk(R"("delta":{"content":"Hello"})") + stop + done,
     "Hello", "😀"},
    {"a backslash before what looks like half", openai::chat_api(), true,
     chat_chunk(R"("delta":{"content":"\\ud83d"})") + chat_chunk(R"("delta":{"content":"\\ude00"})") + stop + done,
     R"(\ud83d\ude00)"},
    {"NaN and infinity", openai::chat_api(), false,
     whole_chat(R"("message":{"content":"Hello"},"finish_reason":"stop","logprobs":{"content":[{"logprob":NaN},)"
                R"({"logprob":-Infinity,"x": Infinity}]})")},
    {"NaN in a stream", openai::chat_api(), true,
     chat_chunk(R"("delta":{"content":"Hel"},"logprobs":[NaN])")
       + chat_chunk(R"("delta":{"content":"lo"},"logprobs":[NaN, 1])") + stop + done},
    {"NaN that is text", openai::chat_api(), false,
     whole_chat(R"("message":{"content":"a: NaN, [Infinity"},"finish_reason":"stop","logprobs":NaN)"),
     "a: NaN, [Infinity"},
    {"a text", anthropic::messages_api(), false, anthropic(R"("Hello")")},
    {"a part", anthropic::messages_api(), false, anthropic(R"({"type":"text","text":"Hello"})")},
    {"texts", anthropic::messages_api(), false, anthropic(R"(["Hel","lo"])")},
    {"a text in a stream", anthropic::messages_api(), true, anthropic(R"("Hello")")},
    {"content at the beginning alone", anthropic::messages_api(), true,
     event(R"({"type":"message_start","message":{"content":[{"type":"text","text":"Hello"}]}})")
       + event(R"({"type":"message_delta","delta":{"stop_reason":"end_turn"}})") + event(R"({"type":"message_stop"})")},
    {"content at the beginning, and again", anthropic::messages_api(), true,
     event(R"({"type":"message_start","message":{"content":[{"type":"text","text":"Hello"}]}})")
       + event(R"({"type":"content_block_start","index":0,"content_block":{"type":"text","text":"Hel"}})")
       + event(R"({"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"lo"}})")
       + event(R"({"type":"message_delta","delta":{"stop_reason":"end_turn"}})") + event(R"({"type":"message_stop"})")},
    {"halves", anthropic::messages_api(), true,
     event(R"({"type":"message_start","message":{"content":[]}})")
       + event(R"({"type":"content_block_start","index":0,"content_block":{"type":"text","text":"\ud83d"}})")
       + event(R"({"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"\ude00"}})")
       + event(R"({"type":"message_delta","delta":{"stop_reason":"end_turn"},"x":NaN})")
       + event(R"({"type":"message_stop"})"),
     "😀"},
    {"parts", gemini::content_api(), false, gemini(R"({"parts":[{"text":"Hel"},{"text":"lo"}]})")},
    {"one part", gemini::content_api(), false, gemini(R"({"parts":{"text":"Hello"}})")},
    {"a text", gemini::content_api(), false, gemini(R"("Hello")")},
    {"a text for parts", gemini::content_api(), false, gemini(R"({"parts":"Hello"})")},
    {"NaN", gemini::content_api(), false, "[" + gemini(R"({"parts":[{"text":"Hello"}],"avgLogprobs":NaN})") + "]"},
    {"one candidate without a list", gemini::content_api(), false,
     R"({"candidates":{"content":{"parts":[{"text":"Hello"}]},"finishReason":"STOP"}})"},
    {"candidate 1 alone", gemini::content_api(), true,
     event(R"({"candidates":[{"index":1,"content":{"parts":[{"text":"Hel"}]}}]})")
       + event(R"({"candidates":[{"index":1,"content":{"parts":[{"text":"lo"}]},"finishReason":"STOP"}]})")},
    {"halves", gemini::content_api(), true,
     event(R"({"candidates":[{"content":{"parts":[{"text":"\ud83d"}]}}]})")
       + event(R"({"candidates":[{"content":{"parts":[{"text":"\ude00"}]},"finishReason":"STOP"}]})"),
     "😀"},
    {"a text", ollama::chat_api(), true, ollama(R"("Hello")")},
    {"parts", ollama::chat_api(), true, ollama(R"([{"type":"text","text":"Hel"},"lo"])")},
    {"one part", ollama::chat_api(), false, ollama(R"({"type":"text","text":"Hello"})")},
    {"halves", ollama::chat_api(), true,
     R"({"message":{"content":"\ud83d"}})"
     "\n"
       + ollama(R"("\ude00")"),
     "😀"},
  };
  for (auto& row : table) {
    CAPTURE(row.by.name(), row.what, row.body);
    auto x = read(row.body, row.by, row.is_stream);
    if (auto* problem = std::get_if<failure>(&x))
      FAIL_CHECK(problem->message);
    else
      CHECK((std::get<meaning>(x) == meaning{row.thoughts, row.text, {}, {}, finish_reason::stop}));
    if (row.is_stream)
      check_cuts(row.body, row.by);
  }
}

TEST_CASE("parts of an answer that are left out are named", "[wire][forms]") {
  auto x = hear(chat_chunk(R"("delta":{"content":[{"type":"text","text":"a"},{"type":"image_url","image_url":{}}]})")
                + stop + done);
  REQUIRE(x.good().warnings.size() == 1);
  CHECK((x.good().warnings[0].find("image_url") != std::string::npos));
}

TEST_CASE("usage is found wherever servers tell it, and the last one counts", "[wire][forms][usage]") {
  const std::string usage = R"("usage":{"prompt_tokens":3,"completion_tokens":2})";
  const auto text = R"("delta":{"content":"a"})", end = R"("delta":{},"finish_reason":"stop")";
  for (auto& body : strings{
         chat_chunk(text) + stop + event("{\"choices\":[]," + usage + "}") + done,
         chat_chunk(text) + chat_chunk(end, "," + usage) + done,
         chat_chunk(text) + chat_chunk(std::string{end} + "," + usage) + done,
         chat_chunk(text) + chat_chunk(end, ",\"x_groq\":{\"id\":\"r\"," + usage + "}") + done,
         chat_chunk(text, R"(,"usage":{"prompt_tokens":3,"completion_tokens":1})") + chat_chunk(end, "," + usage)
           + done,
         chat_chunk(std::string{text} + R"(,"usage":{"prompt_tokens":3,"completion_tokens":1})")
           + chat_chunk(std::string{end} + "," + usage) + done,
         chat_chunk(text) + chat_chunk(end, R"(,"usage":{"input_tokens":3,"output_tokens":2})") + done,
         chat_chunk(text) + chat_chunk(end, R"(,"usage":{"promptTokens":3,"completionTokens":2,"cost":NaN})") + done,
         chat_chunk(text, "," + usage) + chat_chunk(end, R"(,"usage":null)") + done,
       }) {
    CAPTURE(body);
    CHECK(hear(body, openai::chat_api()).good().usage == token_usage{3, 2, 0, 0, 0});
  }
  for (auto& body : {whole_chat(R"("message":{"content":"a"},)" + usage),
                     whole_chat(R"("message":{"content":"a"})", ",\"x_groq\":{" + usage + "}")}) {
    auto x = read(body, openai::chat_api(), false);
    CHECK(std::get<meaning>(x).usage == token_usage{3, 2, 0, 0, 0});
  }
}

} // namespace modelforge::test::forms
