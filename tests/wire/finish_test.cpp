#include "tests/wire/hear.hpp"
#include "wire/anthropic/anthropic.hpp"
#include "wire/batch_api.hpp"
#include "wire/gemini/gemini.hpp"
#include "wire/ollama/ollama.hpp"
#include "wire/vendors.hpp"

#include <catch2/catch_test_macros.hpp>

#include <functional>

namespace modelforge::finish_test {

// How answers end is decided once for all dialects: here the same words are said in each of them, whole and streamed.

using namespace modelforge::test;

namespace {

using text = std::string;

text quoted(std::string_view x) {
  return x.empty() ? "null" : '"' + text{x} + '"';
}

text event(const text& json) {
  return "data: " + json + "\n\n";
}

/// A dialect's way to say an answer: a text, which may be empty, and the word for its end; none is null.
struct speaker {
  const char* name;
  const dialect& by;
  std::function<text(const text&words, const text&reason)> whole, streamed;
};

text openai_whole(const text& words, const text& reason) {
  return R"({"id":"c","choices":[{"index":0,"message":{"role":"assistant","content":")" + words
         + R"("},"finish_reason":)" + reason + "}]}";
}

text openai_stream(const text& words, const text& reason) {
  return event(R"({"id":"c","choices":[{"index":0,"delta":{"content":")" + words + R"("},"finish_reason":null}]})")
         + event(R"({"id":"c","choices":[{"index":0,"delta":{},"finish_reason":)" + reason + "}]}") + event("[DONE]");
}

text anthropic_whole(const text& words, const text& reason) {
  return R"({"type":"message","id":"m","role":"assistant","content":[{"type":"text","text":")" + words
         + R"("}],"stop_reason":)" + reason + "}";
}

text anthropic_stream(const text& words, const text& reason) {
  return event(R"({"type":"message_start","message":{"type":"message","id":"m","content":[],"stop_reason":null}})")
         + event(R"({"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}})")
         + event(R"({"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":")" + words + R"("}})")
         + event(R"({"type":"content_block_stop","index":0})")
         + event(R"({"type":"message_delta","delta":{"stop_reason":)" + reason + "}}")
         + event(R"({"type":"message_stop"})");
}

text gemini_whole(const text& words, const text& reason) {
  return R"({"candidates":[{"content":{"parts":[{"text":")" + words + R"("}]},"finishReason":)" + reason + "}]}";
}

text ollama_whole(const text& words, const text& reason) {
  return R"({"model":"m","message":{"role":"assistant","content":")" + words + R"("},"done":true,"done_reason":)"
         + reason + "}\n";
}

text ollama_stream(const text& words, const text& reason) {
  return R"({"model":"m","message":{"role":"assistant","content":")" + words + R"("},"done":false})" + "\n"
         + ollama_whole("", reason);
}

text response(const text& words, const text& reason) {
  auto end = reason == "null" || reason == "\"completed\""
               ? text{R"("status":"completed")"}
               : R"("status":"incomplete","incomplete_details":{"reason":)" + reason + "}";
  return R"({"id":"r","object":"response",)" + end
         + R"(,"output":[{"type":"message","id":"i","content":[{"type":"output_text","text":")" + words + R"("}]}]})";
}

text response_stream(const text& words, const text& reason) {
  auto whole = response(words, reason);
  auto type = whole.find("incomplete") == whole.npos ? text{"completed"} : text{"incomplete"};
  return event(R"({"type":"response.created","response":{"id":"r","status":"in_progress","output":[]}})")
         + event(R"({"type":"response.output_text.delta","output_index":0,"delta":")" + words + R"("})")
         + event(R"({"type":"response.)" + type + R"(","response":)" + whole + "}");
}

const std::vector<speaker>& speakers() {
  static const std::vector<speaker> all{
    {"openai", openai::chat_api(), openai_whole, openai_stream},
    {"openai_compatible", openai::compatible_chat_api(), openai_whole, openai_stream},
    {"openai_responses", *find_dialect("openai_responses"), response, response_stream},
    {"anthropic", anthropic::messages_api(), anthropic_whole, anthropic_stream},
    {"gemini", gemini::content_api(), gemini_whole,
     [](const text& words, const text& reason) { return event(gemini_whole(words, reason)); }},
    {"ollama", ollama::chat_api(), ollama_whole, ollama_stream}};
  return all;
}

/// Calls `check(end, streamed)` with the answer as each dialect gives it, whole and streamed.
void in_each_dialect(const text& words, std::string_view reason,
                     const std::function<void(const answer&, bool streamed)>& check) {
  for (auto& speaker : speakers()) {
    CAPTURE(speaker.name, words, reason);
    {
      INFO("whole");
      check(speaker.by.decode({200, {}}, speaker.whole(words, quoted(reason))), false);
    }
    INFO("streamed");
    auto body = speaker.streamed(words, quoted(reason));
    auto heard = hear(body, speaker.by);
    CHECK(heard.words == words);
    check(heard.end, true);
  }
}

} // namespace

TEST_CASE("cut, blocked and unknown ends leave an answer with a flaw, in every dialect", "[wire][finish]") {
  struct {
    std::string_view word;
    finish_reason reason;
    answer_flaw flaw;
  } table[] = {
    {"stop", finish_reason::stop, answer_flaw::none},
    {"STOP", finish_reason::stop, answer_flaw::none},
    {"end_turn", finish_reason::stop, answer_flaw::none},
    {"eos", finish_reason::stop, answer_flaw::none},
    {"COMPLETE", finish_reason::stop, answer_flaw::none},
    {"length", finish_reason::length, answer_flaw::cut},
    {"max_tokens", finish_reason::length, answer_flaw::cut},
    {"MAX_TOKENS", finish_reason::length, answer_flaw::cut},
    {"max_output_tokens", finish_reason::length, answer_flaw::cut},
    {"model_length", finish_reason::length, answer_flaw::cut},
    {"model_context_window_exceeded", finish_reason::length, answer_flaw::cut},
    {"pause_turn", finish_reason::paused, answer_flaw::cut},
    {"content_filter", finish_reason::content_filter, answer_flaw::blocked},
    {"SAFETY", finish_reason::content_filter, answer_flaw::blocked},
    {"RECITATION", finish_reason::content_filter, answer_flaw::blocked},
    {"LANGUAGE", finish_reason::content_filter, answer_flaw::blocked},
    {"BLOCKLIST", finish_reason::content_filter, answer_flaw::blocked},
    {"PROHIBITED_CONTENT", finish_reason::content_filter, answer_flaw::blocked},
    {"SPII", finish_reason::content_filter, answer_flaw::blocked},
    {"IMAGE_SAFETY", finish_reason::content_filter, answer_flaw::blocked},
    {"sensitive", finish_reason::content_filter, answer_flaw::blocked},
    {"refusal", finish_reason::refusal, answer_flaw::blocked},
    {"brand_new", finish_reason::unknown, answer_flaw::unclear},
    {"OTHER", finish_reason::unknown, answer_flaw::unclear},
    {"unload", finish_reason::unknown, answer_flaw::unclear},
  };
  for (auto& row : table)
    for (auto* words : {"Half", ""}) {
      if (*words == '\0' && (row.word == "OTHER" || row.word == "unload"))
        continue; // failures, below
      in_each_dialect(words, row.word, [&](const answer& end, bool) {
        REQUIRE(std::holds_alternative<completion>(end));
        auto& x = std::get<completion>(end);
        auto is_silent = *words == '\0' && row.flaw == answer_flaw::none;
        CHECK(x.finish_reason == row.reason);
        CHECK(x.flaw == (is_silent ? answer_flaw::empty : row.flaw));
        CHECK(x.raw_finish_reason == row.word);
        CHECK(flaw_text(x).empty() == (x.flaw == answer_flaw::none));
        if (x.flaw != answer_flaw::none)
          CHECK(flaw_text(x).find('"' + text{row.word} + '"') != text::npos);
        CHECK(x.warnings.empty());
      });
    }
}

TEST_CASE("a milder word behind a bad end undoes nothing, in any dialect", "[wire][finish]") {
  auto chat = [](const text& reason) {
    return event(R"({"id":"c","choices":[{"index":0,"delta":{"content":"a"},"finish_reason":null}]})")
           + event(R"({"id":"c","choices":[{"index":0,"delta":{},"finish_reason":")" + reason + "\"}]}")
           + event(R"({"id":"c","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]})") + event("[DONE]");
  };
  auto message = [](const text& reason) {
    auto whole = anthropic_stream("a", quoted(std::string_view{reason}));
    auto end = whole.rfind("data: ");
    return whole.substr(0, end) + event(R"({"type":"message_delta","delta":{"stop_reason":"end_turn"}})")
           + whole.substr(end);
  };
  auto content = [](const text& reason) {
    return event(gemini_whole("a", quoted(std::string_view{reason})))
           + event(R"({"candidates":[{"finishReason":"STOP"}]})");
  };
  auto line = [](const text& reason) {
    return R"({"message":{"content":"a"},"done":false,"done_reason":")" + reason + "\"}\n"
           + ollama_whole("", "\"stop\"");
  };
  auto responded = [](const text& reason) {
    return R"({"id":"r","status":"completed","incomplete_details":{"reason":")" + reason
           + R"("},"output":[{"type":"message","content":[{"type":"output_text","text":"a"}]}]})";
  };
  const std::initializer_list<std::pair<const char*, std::function<text(const text&)>>> rows{
    {"openai", chat}, {"openai_compatible", chat},    {"anthropic", message}, {"gemini", content},
    {"ollama", line}, {"openai_responses", responded}};
  for (auto& [name, say] : rows) {
    auto& by = *find_dialect(name);
    CAPTURE(name);
    for (auto [reason, flaw] :
         {std::pair{"length", answer_flaw::cut}, {"content_filter", answer_flaw::blocked}, {"brand_new", {}}}) {
      CAPTURE(reason);
      auto body = say(reason);
      auto whole = by.decode({200, {}}, body);
      auto& read = std::get<completion>(whole);
      CHECK(read.text == "a");
      if (std::string_view{name} != "openai_responses" || flaw != answer_flaw::none)
        CHECK(read.flaw == flaw);
      if (std::string_view{name} != "openai_responses")
        CHECK(hear(body, by).good().flaw == flaw);
    }
    if (std::string_view{name} != "openai_responses")
      CHECK(std::get<failure>(by.decode({200, {}}, say("error"))).code == errc::server_error);
  }
}

TEST_CASE("words for an end are known as programs print them", "[wire][finish]") {
  for (auto* word : {"max_tokens", "MAX-TOKENS", "maxTokens", "MaxTokens", " length ", "FinishReason.MAX_TOKENS",
                     "FINISH_REASON_MAX_TOKENS", "finish_reason_length", "StopReason.max_tokens"})
    in_each_dialect("Hi", word, [](const answer& end, bool) {
      CHECK(std::get<completion>(end).finish_reason == finish_reason::length);
    });
  for (auto* word : {"FINISH_REASON_UNSPECIFIED", "finish_reason", "stop.", "sto"})
    in_each_dialect("Hi", word,
                    [](const answer& end, bool) { CHECK(std::get<completion>(end).flaw == answer_flaw::unclear); });
}

TEST_CASE("a finish reason in an odd form is understood or unclear, never a good end in silence", "[wire][finish]") {
  struct {
    const char* raw;
    answer_flaw flaw;
  } table[] = {
    {R"({"type":"length"})", answer_flaw::cut},
    {R"({"reason":"max_tokens"})", answer_flaw::cut},
    {R"({"type":"stop","stop":"<|end|>"})", answer_flaw::none},
    {R"(["stop"])", answer_flaw::none},
    {R"(["length"])", answer_flaw::cut},
    {R"([{"type":"content_filter"}])", answer_flaw::blocked},
    {R"({"foo":"length"})", answer_flaw::unclear},
    {R"([[[[["length"]]]]])", answer_flaw::unclear},
    {"7", answer_flaw::unclear},
    {"true", answer_flaw::unclear},
  };
  for (auto& speaker : speakers()) {
    if (speaker.name == std::string_view{"openai_responses"})
      continue; // its status is the word
    for (auto& row : table) {
      CAPTURE(speaker.name, row.raw);
      CHECK(std::get<completion>(speaker.by.decode({200, {}}, speaker.whole("Hi", row.raw))).flaw == row.flaw);
      CHECK(hear(speaker.streamed("Hi", row.raw), speaker.by).good().flaw == row.flaw);
    }
    for (auto* none : {"false", "0", "{}", "[]", "\" \""}) {
      CAPTURE(speaker.name, none);
      auto x = std::get<completion>(speaker.by.decode({200, {}}, speaker.whole("Hi", none)));
      CHECK(x.flaw == answer_flaw::none);
      CHECK(x.warnings == std::vector<text>{"the provider named no finish reason"});
    }
  }
}

TEST_CASE("a finish reason is found where servers put it", "[wire][finish]") {
  auto chat = [](text choice, text top = "") { return R"({"choices":[{"index":0,)" + choice + "}]" + top + "}"; };
  struct {
    const char* dialect;
    text whole, streamed; ///< The last one's objects.
  } table[] = {
    {"openai_compatible", chat(R"("message":{"content":"Hi"},"finishReason":"length")"),
     chat(R"("delta":{},"finishReason":"length")")},
    {"openai_compatible", chat(R"("message":{"content":"Hi"},"finish_reason":null,"stop_reason":"max_tokens")"),
     chat(R"("delta":{},"stop_reason":"max_tokens")")},
    {"openai_compatible", chat(R"("message":{"content":"Hi"},"finish_details":{"type":"max_tokens"})"),
     chat(R"("delta":{},"finish_details":{"type":"max_tokens"})")},
    {"openai_compatible", chat(R"("message":{"content":"Hi","finish_reason":"length"})"),
     chat(R"("delta":{"finish_reason":"length"})")},
    {"openai_compatible", chat(R"("message":{"content":"Hi"})", R"(,"finish_reason":"length")"),
     chat(R"("delta":{})", R"(,"finish_reason":"length")")},
    {"openai_compatible",
     chat(R"("message":{"content":"Hi"},"finish_reason":"stop","native_finish_reason":"MAX_TOKENS")"),
     chat(R"("delta":{},"finish_reason":"stop","native_finish_reason":"MAX_TOKENS")")},
    {"openai_compatible", chat(R"("finish_reason":"length","stop_reason":128009,"message":"Hi")"),
     R"({"choices":[],"finish_reason":"length"})"},
    {"anthropic", R"({"type":"message","content":"Hi","stop_reason":null,"finish_reason":"length"})",
     R"({"type":"message_delta","stop_reason":"max_tokens"})"},
    {"anthropic", R"({"type":"message","content":"Hi","stopReason":"max_tokens"})",
     R"({"type":"message_delta","delta":{"finish_reason":"length"}})"},
    {"anthropic", R"({"type":"message","content":"Hi","stop_reason":["max_tokens"]})",
     R"({"type":"message_stop","message":{"stop_reason":"max_tokens"}})"},
    {"gemini", R"({"candidates":[{"content":{"parts":[{"text":"Hi"}]},"finish_reason":"MAX_TOKENS"}]})",
     R"({"candidates":[{"finish_reason":"MAX_TOKENS"}]})"},
    {"gemini", R"({"candidates":[{"content":{"parts":[{"text":"Hi"}]},"finish_reason":2}]})",
     R"({"candidates":[{"finishReason":2}],"usage_metadata":{"prompt_token_count":3}})"},
    {"gemini", R"({"candidates":[{"content":{"parts":[{"text":"Hi"}]}}],"finishReason":"MAX_TOKENS"})",
     R"({"candidates":[],"finishReason":"MAX_TOKENS"})"},
    {"ollama", R"({"message":{"content":"Hi","done_reason":"length"},"done":true})",
     R"({"message":{"content":"","done_reason":"length"},"done":true})"},
    {"ollama", R"({"message":{"content":"Hi"},"done":true,"finish_reason":"length"})",
     R"({"message":{"content":""},"done":true,"finish_reason":"length"})"},
  };
  const std::initializer_list<std::pair<std::string_view, text>> beginnings{
    {"openai_compatible", chat(R"("delta":{"content":"Hi"},"finish_reason":null)")},
    {"anthropic", R"({"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Hi"}})"},
    {"gemini", R"({"candidates":[{"content":{"parts":[{"text":"Hi"}]}}]})"},
    {"ollama", R"({"message":{"content":"Hi"},"done":false})"}};
  for (auto& x : table) {
    auto& by = *find_dialect(x.dialect);
    CAPTURE(x.dialect, x.whole, x.streamed);
    auto result = by.decode({200, {}}, x.whole);
    auto& read = std::get<completion>(result);
    CHECK(read.text == "Hi");
    CHECK(read.flaw == answer_flaw::cut);
    for (auto& [dialect, first] : beginnings)
      if (dialect == x.dialect) {
        auto heard = hear(event(first) + event(x.streamed), by);
        CHECK(heard.words == "Hi");
        CHECK(heard.good().flaw == answer_flaw::cut);
      }
  }
}

TEST_CASE("an answer that the provider broke off is a failure, in every dialect", "[wire][finish]") {
  struct {
    std::string_view word;
    errc code;
  } table[] = {
    {"error", errc::server_error},
    {"ERROR", errc::server_error},
    {"abort", errc::server_error},
    {"cancelled", errc::server_error},
    {"timeout", errc::server_error},
    {"network_error", errc::server_error},
    {"insufficient_system_resource", errc::overloaded},
    {"overloaded", errc::overloaded},
    {"MALFORMED_FUNCTION_CALL", errc::invalid_response},
    {"MALFORMED_RESPONSE", errc::invalid_response},
    {"UNEXPECTED_TOOL_CALL", errc::invalid_response},
    {"TOO_MANY_TOOL_CALLS", errc::invalid_response},
    {"MISSING_THOUGHT_SIGNATURE", errc::invalid_request},
  };
  for (auto& row : table)
    for (auto* words : {"Half", ""})
      in_each_dialect(words, row.word, [&](const answer& end, bool streamed) {
        REQUIRE(std::holds_alternative<failure>(end));
        auto& x = std::get<failure>(end);
        CHECK(x.code == row.code);
        CHECK(x.provider_code == row.word);
        CHECK(x.message.find('"' + text{row.word} + '"') != text::npos);
        CHECK(x.text == (streamed ? "" : words));
        CHECK(x.suggestion.find("base_url") == text::npos);
      });
}

TEST_CASE("words for nothing in particular fail an answer that holds nothing", "[wire][finish]") {
  for (auto* word : {"OTHER", "load", "unload", "IMAGE_OTHER", "NO_IMAGE"})
    in_each_dialect("", word, [&](const answer& end, bool) {
      REQUIRE(std::holds_alternative<failure>(end));
      CHECK(std::get<failure>(end).code == errc::server_error);
      CHECK(std::get<failure>(end).provider_code == word);
    });
}

TEST_CASE("an end without a word counts, with a warning", "[wire][finish]") {
  for (auto* word : {"", "null", "None"})
    for (auto& speaker : speakers()) {
      if (speaker.name == std::string_view{"openai_responses"})
        continue; // its status is the word
      CAPTURE(speaker.name, word);
      auto whole = speaker.by.decode({200, {}}, speaker.whole("Hi", quoted(word)));
      REQUIRE(std::holds_alternative<completion>(whole));
      auto& x = std::get<completion>(whole);
      CHECK(x.flaw == answer_flaw::none);
      CHECK(x.finish_reason == finish_reason::unknown);
      CHECK(x.warnings == std::vector<text>{"the provider named no finish reason"});
    }
}

TEST_CASE("thoughts alone are no answer", "[wire][finish]") {
  auto thoughts = R"({"choices":[{"message":{"content":"","reasoning_content":"Hm"},"finish_reason":"stop"}]})";
  auto x = std::get<completion>(openai::chat_api().decode({200, {}}, thoughts));
  CHECK(x.flaw == answer_flaw::empty);
  auto called = R"({"choices":[{"message":{"tool_calls":[{"id":"a","function":{"name":"f","arguments":"{}"}}]},)"
                R"("finish_reason":"stop"}]})";
  CHECK(std::get<completion>(openai::chat_api().decode({200, {}}, called)).flaw == answer_flaw::none);
}

TEST_CASE("a finish reason that tells of tool calls which are not there is warned of", "[wire][finish]") {
  in_each_dialect("Hi", "tool_calls", [](const answer& end, bool) {
    auto& x = std::get<completion>(end);
    CHECK(x.finish_reason == finish_reason::unknown);
    CHECK(x.flaw == answer_flaw::unclear);
    CHECK(x.warnings == std::vector<text>{"the finish reason tells of tool calls, and there is none"});
  });
}

TEST_CASE("a choice without a message is an answer if it has a finish reason", "[wire][finish]") {
  auto choice = [](const text& word) {
    return R"({"id":"c","choices":[{"index":0,"finish_reason":")" + word + "\"}]}";
  };
  auto decode = [&](const text& word) { return openai::compatible_chat_api().decode({200, {}}, choice(word)); };
  CHECK(std::get<completion>(decode("length")).flaw == answer_flaw::cut);
  CHECK(std::get<completion>(decode("content_filter")).flaw == answer_flaw::blocked);
  CHECK(std::get<failure>(decode("error")).code == errc::server_error);
  CHECK(std::get<completion>(decode("stop")).flaw == answer_flaw::empty);
}

TEST_CASE("a prompt that was blocked is a blocked answer, whatever the reason", "[wire][finish]") {
  for (auto* word : {"SAFETY", "OTHER", "BRAND_NEW", "PROHIBITED_CONTENT"}) {
    auto body = R"({"promptFeedback":{"blockReason":")" + text{word} + "\"}}";
    for (auto& end : {gemini::content_api().decode({200, {}}, body), hear(event(body), gemini::content_api()).end}) {
      auto& x = std::get<completion>(end);
      CHECK(x.flaw == answer_flaw::blocked);
      CHECK(x.finish_reason == finish_reason::content_filter);
      CHECK(x.raw_finish_reason == word);
    }
  }
}

TEST_CASE("the provider's explanation comes with the failure", "[wire][finish]") {
  auto body = R"({"candidates":[{"finishReason":"MALFORMED_FUNCTION_CALL","finishMessage":"Malformed: f("}]})";
  auto x = std::get<failure>(gemini::content_api().decode({200, {}}, body));
  CHECK(x.provider_message == "Malformed: f(");
}

TEST_CASE("the results of batch jobs end as other answers do", "[wire][finish][batch]") {
  auto openai_line = [](const char* word) {
    return R"({"id":"b","custom_id":"n1-0","response":{"status_code":200,"request_id":"r","body":)"
           + openai_whole("Half", quoted(word)) + R"(},"error":null})";
  };
  auto anthropic_line = [](const char* word) {
    return R"({"custom_id":"n1-0","result":{"type":"succeeded","message":)" + anthropic_whole("Half", quoted(word))
           + "}}";
  };
  for (auto& [by, line] :
       {std::pair<const dialect*, std::function<text(const char*)>>{&openai::chat_api(), openai_line},
        {&anthropic::messages_api(), anthropic_line}}) {
    CAPTURE(by->name());
    auto api = by->batches();
    auto read = [&](const char* word) { return std::get<batch_result>(api->decode_result(line(word))); };
    CHECK(std::get<completion>(read("length").answer).flaw == answer_flaw::cut);
    CHECK(std::get<completion>(read("content_filter").answer).flaw == answer_flaw::blocked);
    CHECK(std::get<completion>(read("stop").answer).flaw == answer_flaw::none);
    auto broken = read("error");
    CHECK(broken.end == batch_end::errored);
    CHECK(std::get<failure>(broken.answer).code == errc::server_error);
    CHECK(std::get<failure>(broken.answer).text == "Half");
  }
}

} // namespace modelforge::finish_test
