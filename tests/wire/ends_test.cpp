#include "tests/wire/framings.hpp"
#include "tests/wire/hear.hpp"
#include "wire/provider_error.hpp"
#include "wire/vendors.hpp"

#include <initializer_list>
#include <numeric>

// Where an answer ends, and what ends it: what was cut never passes for whole, and what is whole is not refused, in
// every dialect, streamed and read whole.

namespace modelforge::ends_test {

using namespace modelforge::test;

namespace {

using text = std::string;

text event(std::string_view data, std::string_view name = "") {
  return (name.empty() ? "" : "event: " + text{name} + "\n") + "data: " + text{data} + "\n\n";
}

/// What an answer came to: its text and its flaw, or a failure.
struct end {
  text words = {};
  answer_flaw flaw = answer_flaw::none;
  bool failed = false;

  friend bool operator==(const end&, const end&) = default;
};

std::ostream& operator<<(std::ostream& out, const end& x) {
  return out << (x.failed ? "failure" : x.words) << ' ' << static_cast<int>(x.flaw);
}

end end_of(const answer& x, std::string_view words) {
  auto* good = std::get_if<completion>(&x);
  return good != nullptr ? end{text{words}, good->flaw} : end{.failed = true};
}

end streamed(std::string_view body, const dialect& by) {
  auto x = hear(body, by);
  CHECK(hear(body, by, std::vector<std::size_t>(body.size(), 1)) == x);
  return end_of(x.end, x.words);
}

end whole(std::string_view body, const dialect& by) {
  auto x = by.decode({200, {}}, body);
  auto* good = std::get_if<completion>(&x);
  return end_of(x, good != nullptr ? std::string_view{good->text} : "");
}

void check_both(std::string_view dialect, std::string_view body, const end& expected) {
  auto& by = *find_dialect(dialect);
  CAPTURE(dialect, body);
  CHECK(streamed(body, by) == expected);
  CHECK(whole(body, by) == expected);
}

/// The objects of a stream in which each that has a text tells a finish reason, too.
struct restless_stream {
  const char* dialect;
  text first, second, only_reason;
};

const std::initializer_list<restless_stream> restless_streams{
  {"openai", R"({"choices":[{"index":0,"delta":{"content":"a"},"finish_reason":"stop"}]})",
   R"({"choices":[{"index":0,"delta":{"content":"b"},"finish_reason":"stop"}]})",
   R"({"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]})"},
  {"openai_compatible", R"({"choices":[{"index":0,"delta":{"content":"a"},"finish_reason":"stop"}]})",
   R"({"choices":[{"index":0,"delta":{"content":"b"},"finish_reason":"stop"}]})",
   R"({"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]})"},
  {"anthropic", R"({"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"a"}})",
   R"({"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"b"}})",
   R"({"type":"message_delta","delta":{"stop_reason":"end_turn"}})"},
  {"gemini", R"({"candidates":[{"content":{"parts":[{"text":"a"}]},"finishReason":"STOP"}]})",
   R"({"candidates":[{"content":{"parts":[{"text":"b"}]},"finishReason":"STOP"}]})",
   R"({"candidates":[{"finishReason":"STOP"}]})"},
  {"ollama", R"({"message":{"content":"a"},"done":false,"done_reason":"stop"})",
   R"({"message":{"content":"b"},"done":false,"done_reason":"stop"})",
   R"({"message":{"content":""},"done_reason":"stop"})"},
};

} // namespace

TEST_CASE("a body that ends in the middle of something is cut, whatever finish reason came before", "[wire][ends]") {
  for (auto& x : restless_streams) {
    auto& by = *find_dialect(x.dialect);
    CAPTURE(x.dialect);
    for (std::size_t cut = 1; cut < x.second.size(); ++cut) {
      auto half = x.second.substr(0, cut);
      for (auto& body :
           {event(x.first) + event(x.only_reason) + "data: " + half,
            event(x.first) + event(x.only_reason) + "data:" + half + "\n", x.first + "\n" + x.only_reason + "\n" + half,
            "[" + x.first + "," + x.only_reason + ",\n" + half}) {
        CAPTURE(body);
        REQUIRE(std::holds_alternative<failure>(hear(body, by).end));
        REQUIRE(whole(body, by).failed);
      }
    }
    for (auto& body : {event(x.first) + event(x.only_reason) + "da", event(x.first) + event(x.only_reason) + "data: ",
                       "[" + x.first + "," + x.only_reason, "[" + x.first + "," + x.only_reason + ",\n"})
      check_both(x.dialect, body, {.failed = true});
    for (auto& body :
         {event(x.first) + event(x.only_reason) + ": keep-al", event(x.first) + event(x.only_reason) + "ev",
          event(x.first) + event(x.only_reason) + "data: [DO", event(x.first) + "data: " + x.only_reason,
          "[" + x.first + "," + x.only_reason + "]"})
      check_both(x.dialect, body, {"a"});
  }
}

TEST_CASE("a cut answer that was handed on is a broken stream, and carries its text where it was not", "[wire][ends]") {
  auto body = event(restless_streams.begin()->first) + "data: {\"choices\":[{\"index\":0,\"del";
  auto& by = openai::compatible_chat_api();
  auto x = hear(body, by).bad();
  CHECK(x.code == errc::stream_interrupted);
  CHECK(x.message == "the stream broke off after 1 piece, in the middle of an event");
  auto y = std::get<failure>(by.decode({200, {}}, body));
  CHECK(y.code == errc::invalid_response);
  CHECK(y.text == "a");
}

TEST_CASE("the end mark is known in the forms that servers have for it", "[wire][ends]") {
  auto& chat = *(restless_streams.begin() + 1);
  for (auto* mark : {"[DONE]", " [DONE] ", "[done]", "[Done]", "DONE", "done", "\"[DONE]\""}) {
    CAPTURE(mark);
    auto x = hear(event(chat.first) + event(chat.only_reason) + event(mark), openai::compatible_chat_api());
    CHECK(x.good().warnings.empty());
    CHECK(x.ended);
    for (auto& other : restless_streams)
      check_both(other.dialect, event(other.first) + event(other.only_reason) + event(mark), {"a"});
  }
  for (auto* mark : {"[DONE]", "[done]", "DONE\n"}) {
    CAPTURE(mark);
    CHECK(
      hear(chat.first + "\n" + chat.only_reason + "\n" + mark, openai::compatible_chat_api()).good().warnings.empty());
  }
}

TEST_CASE("what follows an end mark is no part of the answer, or shows that it was none", "[wire][ends]") {
  const text line = R"({"message":{"content":"a"},"done":true,"done_reason":"stop"})"
                    "\n";
  const text more = R"({"message":{"content":"b"},"done":false})"
                    "\n";
  const text chat = R"({"choices":[{"index":0,"message":{"content":"a"},"finish_reason":"stop"}]})";
  const text other = R"({"choices":[{"index":0,"message":{"content":"b"},"finish_reason":"stop"}]})";
  const text message = R"({"type":"message","content":[{"type":"text","text":"a"}],"stop_reason":"end_turn"})";
  const text error = R"({"error":{"message":"boom","code":500}})";
  struct {
    const char* dialect;
    text body;
    end expected;
  } table[] = {
    {"ollama", line, {"a"}},
    {"ollama", line + line, {"aa"}},
    {"ollama", line + R"({"message":{"content":""},"done":true})", {"a"}},
    {"ollama", line + more, {.failed = true}},
    {"ollama", line + more + line, {"aba"}},
    {"ollama", line + R"({"error":"boom"})", {.failed = true}},
    {"ollama", line + "<!-- x -->\n", {"a"}},
    {"openai_compatible", chat + "\n", {"a"}},
    {"openai_compatible", chat + other, {.failed = true}},
    {"openai_compatible", chat + "\n" + other, {.failed = true}},
    {"openai_compatible", "[" + chat + "," + other + "]", {.failed = true}},
    {"openai_compatible", chat + "\n" + error, {.failed = true}},
    {"openai_compatible", chat + "\n<!-- x -->\n", {"a"}},
    {"openai_compatible", chat + "\n[DONE]\n", {"a"}},
    {"openai_compatible", chat + "\n{}\n", {"a"}},
    {"anthropic", message, {"a"}},
    {"anthropic", message + "\n" + message, {.failed = true}},
    {"anthropic", message + "\n" + error, {.failed = true}},
  };
  for (auto& x : table)
    check_both(x.dialect, x.body, x.expected);
}

TEST_CASE("what comes behind the end of a good answer makes it unclear, unless it says nothing new", "[wire][ends]") {
  const text piece = event(R"({"id":"c","choices":[{"index":0,"delta":{"content":"a"}}]})");
  const text reason = event(R"({"id":"c","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]})");
  const text chat = piece + reason + event("[DONE]");
  const text delta = event(R"({"type":"response.output_text.delta","output_index":0,"delta":"a"})");
  const text message = R"({"id":"i","type":"message","content":[{"type":"output_text","text":"a"}]})";
  auto response = [](std::string_view type, std::string_view output) {
    return event(R"({"type":"response.)" + text{type} + R"(","response":{"id":"r","status":"completed","output":[)"
                 + text{output} + "]}}");
  };
  auto whole_chat = [](std::string_view id, std::string_view said) {
    return R"({"id":")" + text{id} + R"(","choices":[{"index":0,"message":{"content":")" + text{said}
           + R"("},"finish_reason":"stop"}]})";
  };
  const text call =
    R"({"tool_calls":[{"index":0,"id":"k","function":{"name":"f","arguments":"{\"n\":1}"}}]},"finish_reason":"tool_calls")";
  const text chat_of_call = event(R"({"choices":[{"index":0,"delta":)" + call + "}]}") + event("[DONE]");
  constexpr auto good = answer_flaw::none, unclear = answer_flaw::unclear;
  struct {
    const char* dialect;
    text body;
    text words;
    answer_flaw flaw;
    std::size_t warnings = 0;
  } table[] = {
    {"openai", chat + event("[DONE]"), "a", good},
    {"openai", chat + reason + event("{}") + ": bye\n\n" + event("bye"), "a", good},
    {"openai", chat + event(whole_chat("c", "a")), "a", good}, // the same again
    {"openai", chat + piece, "a", good},
    {"openai", chat + event(R"({"choices":[{"index":0,"delta":{"content":"b"}}]})"), "a", unclear, 1},
    {"openai", chat + event(whole_chat("d", "b")), "a", unclear, 1},
    {"openai", chat + event(R"({"choices":[{"index":0,"delta":)" + call + "}]}"), "a", unclear, 1},
    {"openai", chat + event(R"({"choices":[{"index":0,"delta":{"refusal":"no"}}]})"), "a", unclear, 1},
    {"openai", chat + event(R"({"choices":"b"})"), "a", unclear, 1},
    {"openai", chat + R"({"choices":[{"index":0,"delta":{"content":"b"}}]})", "a", unclear, 1},
    {"openai", chat + event(R"({"error":{"message":"boom"}})"), "a", good, 1},
    {"openai", piece + reason + event(R"([DONE] {"choices":[{"index":0,"delta":{"content":"b"}}]})"), "a", unclear, 1},
    {"openai", chat_of_call + chat_of_call, "", good},
    {"openai", chat_of_call + event(R"({"choices":[{"index":0,"delta":{"content":"b"}}]})"), "", unclear, 1},
    {"openai_responses", delta + response("completed", "") + event("[DONE]"), "a", good},
    {"openai_responses", delta + response("completed", message) + response("done", message), "a", good},
    {"openai_responses", response("completed", message) + response("completed", message), "a", good},
    {"openai_responses", delta + response("completed", "") + event(R"({"type":"response.unknown","text":"b"})"), "a",
     good},
    {"openai_responses",
     delta + response("completed", "") + event(R"({"type":"response.output_text.delta","delta":"b"})"), "a", unclear,
     1},
    {"openai_responses", delta + response("completed", "") + response("completed", R"("b")"), "a", unclear, 1},
    {"openai_responses", delta + response("completed", "") + event(R"({"type":"error","message":"boom"})"), "a", good,
     1},
  };
  for (auto& x : table) {
    check_both(x.dialect, x.body, {x.words, x.flaw});
    CHECK(hear(x.body, *find_dialect(x.dialect)).good().warnings.size() == x.warnings);
    CHECK(hear(x.body, *find_dialect(x.dialect)).ended);
  }
  auto late = hear(chat + event(R"({"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":5}})")).good();
  CHECK(late.flaw == good);
  CHECK(late.usage->output == 5);
  // whole answers, which nothing may follow at all
  check_both("openai", event(whole_chat("c", "a")) + event(whole_chat("d", "b")) + event("[DONE]"), {.failed = true});
  const text other = R"({"id":"s","status":"completed","output":[{"type":"message","content":"b"}]})";
  const text one = R"({"id":"r","status":"completed","output":[)" + message + "]}";
  for (auto& body :
       {one + other, one + "\n" + other, "[" + one + "," + other + "]", one + R"({"error":{"message":"boom"}})"})
    check_both("openai_responses", body, {.failed = true});
  for (auto& body : {one + "\n", one + "\n{}\n", one + "\n[DONE]\n", one + "\n<!-- x -->\n"})
    check_both("openai_responses", body, {"a"});
}

TEST_CASE("a second answer that begins in the middle of the first one breaks it off", "[wire][ends]") {
  const auto begin = event(R"({"type":"message_start","message":{"id":"m","content":[]}})");
  const auto part = event(R"({"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"a"}})");
  const auto rest =
    event(R"({"type":"message_delta","delta":{"stop_reason":"end_turn"}})") + event(R"({"type":"message_stop"})");
  check_both("anthropic", begin + begin + part + rest, {"a"});
  check_both("anthropic", begin + part + begin + part + rest, {.failed = true});
  const auto created = event(R"({"type":"response.created","response":{"id":"r","status":"in_progress"}})");
  const auto delta = event(R"({"type":"response.output_text.delta","output_index":0,"delta":"a"})");
  const auto completed =
    event(R"({"type":"response.completed","response":{"id":"r","status":"completed","output":[]}})");
  check_both("openai_responses", created + created + delta + completed, {"a"});
  check_both("openai_responses", created + delta + created + delta + completed, {.failed = true});
}

TEST_CASE("ollama's end is known in every form", "[wire][ends][ollama]") {
  auto answer = [](text done) { return R"({"model":"m","message":{"role":"assistant","content":"a"})" + done + "}\n"; };
  for (auto* done : {R"(,"done":true)", R"(,"done":1)", R"(,"done":"true")", R"(,"done":"True")",
                     R"(,"done":null,"done_reason":"stop")", R"(,"done_reason":"stop")"})
    check_both("ollama", answer(done), {"a"});
  for (auto* done : {R"(,"done":false)", R"(,"done":0)", R"(,"done":"false")", R"(,"done":"no","done_reason":"stop")"})
    check_both("ollama", answer(done), {.failed = true});
}

TEST_CASE("events are known by the name of their event alone", "[wire][ends]") {
  check_both("openai_responses",
             event(R"({"response":{"id":"r","status":"in_progress"}})", "response.created")
               + event(R"({"output_index":0,"delta":"a"})", "response.output_text.delta")
               + event(R"({"response":{"id":"r","status":"completed","output":[]}})", "response.completed"),
             {"a"});
  check_both("anthropic",
             event(R"({"message":{"id":"m","content":[]}})", "message_start")
               + event(R"({"index":0,"delta":{"text":"a"}})", "content_block_delta")
               + event(R"({"delta":{"stop_reason":"max_tokens"}})", "message_delta") + event("{}", "message_stop"),
             {"a", answer_flaw::cut});
}

TEST_CASE("a response's end is known in every form", "[wire][ends][responses]") {
  const text output = R"("output":[{"type":"message","content":[{"type":"output_text","text":"a"}]}])";
  struct {
    text members;
    end expected;
  } table[] = {
    {R"("status":"completed")", {"a"}},
    {R"("status":"COMPLETED")", {"a"}},
    {R"("status":"succeeded")", {"a", answer_flaw::unclear}},
    {R"("status":"done")", {"a"}},
    {R"("status":"incomplete")", {"a", answer_flaw::unclear}},
    {R"("status":"incomplete","incomplete_details":"max_output_tokens")", {"a", answer_flaw::cut}},
    {R"("status":"completed","incomplete_details":{"type":"content_filter"})", {"a", answer_flaw::blocked}},
    {R"("status":"completed","finish_reason":"length")", {"a", answer_flaw::cut}},
    {R"("status":"completed","finish_reason":"stop")", {"a"}},
    {R"("status":"canceled")", {.failed = true}},
    {R"("status":"Failed")", {.failed = true}},
  };
  auto& by = *find_dialect("openai_responses");
  for (auto& x : table) {
    auto body = R"({"id":"r",)" + x.members + "," + output + "}";
    check_both("openai_responses", body, x.expected);
    for (auto* type : {"response.completed", "response.done"})
      CHECK(streamed(event(R"({"type":")" + text{type} + R"(","response":)" + body + "}"), by) == x.expected);
  }
  const text half =
    R"({"id":"r","status":"completed","output":[{"type":"message","status":"incomplete","content":"a"}]})";
  check_both("openai_responses", half, {"a", answer_flaw::unclear});
  CHECK(streamed(event(R"({"type":"response.completed","status":"completed",)" + output + "}"), by) == end{"a"});
  CHECK(streamed(event(R"({"type":"response.completed","response":{"status":"in_progress",)" + output + "}}"), by)
        == end{"a"});
  CHECK(whole(R"({"id":"r","status":"in_progress",)" + output + "}", by).failed);
}

namespace {

/// A stream that says these pieces, and then, unless the last one has to, its finish reason.
text say(std::string_view form, const std::vector<text>& pieces, bool ends_with_piece = false) {
  text body;
  auto chat = [&](std::string_view member, std::string_view words, bool is_last) {
    body += event(R"({"choices":[{"index":0,")" + text{member} + R"(":{"content":")" + text{words}
                  + R"("},"finish_reason":)" + (is_last ? "\"stop\"" : "null") + "}]}");
  };
  for (auto& piece : pieces) {
    auto is_last = ends_with_piece && &piece == &pieces.back();
    if (form == "delta" || form == "message")
      chat(form, piece, is_last);
    else if (form == "anthropic")
      body +=
        event(R"({"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":")" + piece + "\"}}");
    else if (form == "responses")
      body += event(R"({"type":"response.output_text.delta","output_index":0,"delta":")" + piece + "\"}");
    else if (form == "gemini")
      body += event(R"({"candidates":[{"content":{"parts":[{"text":")" + piece + "\"}]}}]}");
    else
      body += R"({"message":{"content":")" + piece + "\"},\"done\":false}\n";
  }
  if (form == "anthropic")
    body +=
      event(R"({"type":"message_delta","delta":{"stop_reason":"end_turn"}})") + event(R"({"type":"message_stop"})");
  else if (form == "responses")
    body += event(R"({"type":"response.completed","response":{"id":"r","status":"completed","output":[]}})");
  else if (form == "gemini")
    body += event(R"({"candidates":[{"finishReason":"STOP"}]})");
  else if (form == "ollama")
    body += R"({"message":{"content":""},"done":true,"done_reason":"stop"})";
  else if (!ends_with_piece)
    chat("delta", "", true);
  return body + (form == "delta" || form == "message" ? event("[DONE]") : "");
}

std::string_view dialect_of(std::string_view form) {
  return form == "delta" || form == "message" ? "openai_compatible" : form == "responses" ? "openai_responses" : form;
}

} // namespace

TEST_CASE("pieces that repeat all before them are told once, and what is new is never lost", "[wire][ends][growth]") {
  struct {
    std::vector<text> pieces;
    /// In deltas of Chat Completions and Responses, and in messages; empty: a failure. Elsewhere all is new.
    text words, as_messages;
  } table[] = {
    {{"Hel", "Hello", "Hello you"}, "Hello you", "Hello you"},
    {{"Hello you", "Hello you, too"}, "Hello you, too", "Hello you, too"},
    {{"Hel", "Hello", "Hello", "Hello you"}, "Hello you", "Hello you"},
    {{"ha", "haha", "hahaha"}, "hahahahahaha", "hahaha"},
    {{"ha", "haha", "hahahaha", " funny"}, "hahahahahahaha funny", "hahahahahahaha funny"},
    {{"ha", "haha", "haha!"}, "hahahahaha!", "haha!"},
    {{"=", "==", "====", "========"}, "===============", "========"},
    {{"1", "12", "123"}, "112123", "123"},
    {{"12", "123", "1234"}, "", "1234"},
    {{"1", "12", "123", "1234", "12345"}, "12345", "12345"},
    {{"Hel", "lo", " Hel", "lo"}, "Hello Hello", "Hello Hello"},
    {{"No", "No", ", thanks"}, "NoNo, thanks", "NoNo, thanks"},
    {{"1", "10", " x"}, "110 x", "110 x"},
    {{"Hel", "Hello", "!"}, "HelHello!", "HelHello!"},
    {{"ha", "ha", "ha", "ha"}, "hahahaha", ""},
    {{"1", "10"}, "110", ""},
    {{"Hel", "Hello"}, "HelHello", "Hello"},
    {{"Hello", "Hello you"}, "", "Hello you"},
    {{" ", "  ", "   ", "    x"}, "          x", ""},
    {{"Hel", "Hello", "Hello you", "!"}, "HelHelloHello you!", "HelHelloHello you!"},
    {{"Hello there", "Hello there, you", "Hello there, you all", "!"}, "", ""},
    {{"Hello"}, "Hello", "Hello"},
  };
  for (auto* form : {"delta", "responses", "message", "anthropic", "gemini", "ollama"})
    for (auto& x : table) {
      auto joined = std::accumulate(x.pieces.begin(), x.pieces.end(), text{});
      auto is_told = form == text{"delta"} || form == text{"responses"};
      auto& words = form == text{"message"} ? x.as_messages : is_told ? x.words : joined;
      auto body = say(form, x.pieces);
      CAPTURE(form);
      check_both(dialect_of(form), body, words.empty() ? end{.failed = true} : end{words});
      auto heard = hear(body, *find_dialect(dialect_of(form)));
      if (!words.empty() && form != text{"message"})
        CHECK(heard.good().warnings.empty() == (words == joined));
    }
  check_both("openai_compatible", say("message", {"Yes", "Yes"}, true), {"Yes"}); // the last one repeats all
  check_both("openai_compatible", say("message", {"Hel", "Hello", "Hello"}, true), {"Hello"});
  check_both("openai_compatible", say("delta", {"No", "No"}, true), {"NoNo"});
}

TEST_CASE("the pieces of a response's part are judged by the text that is told at its end", "[wire][ends][growth]") {
  auto delta = [](std::string_view kind, int part, std::string_view piece) {
    return event(R"({"type":"response.)" + text{kind} + R"(.delta","item_id":")" + text{kind}
                 + R"(","output_index":0,"content_index":)" + std::to_string(part) + R"(,"delta":")" + text{piece}
                 + "\"}");
  };
  auto end = [](std::string_view kind, int part, std::string_view all) {
    return event(R"({"type":"response.)" + text{kind} + R"(.done","item_id":")" + text{kind}
                 + R"(","output_index":0,"content_index":)" + std::to_string(part) + R"(,"text":")" + text{all}
                 + "\"}");
  };
  auto completed = [](std::string_view output) {
    return event(R"({"type":"response.completed","response":{"id":"r","status":"completed","output":[)" + text{output}
                 + "]}}");
  };
  auto message = [](std::string_view all) {
    return R"({"type":"message","content":[{"type":"output_text","text":")" + text{all} + "\"}]}";
  };
  constexpr auto is = "output_text";
  const auto grows = delta(is, 0, "Hel") + delta(is, 0, "Hello");
  struct {
    text body, words;
    std::size_t warnings;
  } table[] = {
    {grows + end(is, 0, "Hello") + completed(""), "Hello", 1},
    {grows + end(is, 0, "HelHello") + completed(""), "HelHello", 0},
    {grows + completed(message("Hello")), "Hello", 1},
    {grows + completed(message("HelHello")), "HelHello", 0},
    {grows + end(is, 0, "Hello") + delta(is, 1, "And") + delta(is, 1, "And you") + end(is, 1, "And you")
       + completed(""),
     "HelloAnd you", 1},
    {delta(is, 0, "Hello, wor") + delta(is, 0, "Hello, world") + delta(is, 0, "Hello, world and all") + completed(""),
     "Hello, world and all", 1},
    {delta(is, 0, R"(a\ud83d)") + delta(is, 0, R"(\ude00b)") + completed(""), "a😀b", 0},
    {delta(is, 0, "ha") + delta(is, 0, "haha") + completed(message("hahaha")), "hahaha", 0},
    {delta(is, 0, "a") + delta(is, 0, "b") + delta(is, 0, "ab") + end(is, 0, "abab") + completed(""), "abab", 0},
  };
  for (auto& x : table) {
    check_both("openai_responses", x.body, {x.words});
    CHECK(hear(x.body, *find_dialect("openai_responses")).good().warnings.size() == x.warnings);
  }
  auto thinks = hear(delta("reasoning_text", 0, "Hm") + delta("reasoning_text", 0, "Hm, so")
                       + end("reasoning_text", 0, "Hm, so") + delta(is, 0, "a") + completed(""),
                     *find_dialect("openai_responses"));
  CHECK(thinks.said == std::vector<text>{"reasoning: Hm", "reasoning: , so", "text: a"});
}

TEST_CASE("a last piece that repeats all before it is told once", "[wire][ends][growth]") {
  check_both("openai_compatible", say("delta", {"Hel", "lo", "Hello"}, true), {"Hello"});
  check_both("openai_compatible", say("delta", {"Hel", "lo", "Help!"}, true), {"HelloHelp!"});
  check_both("openai_compatible", say("delta", {"Hel", "lo", "Hello"}), {"HelloHello"});
  check_both("openai_compatible", say("delta", {"Hello", "Hello"}, true), {"HelloHello"});
  check_both("openai_compatible", say("delta", {"ha", "ha", "haha"}, true), {"hahahaha"});
  auto line = [](text words, text done) {
    return R"({"message":{"content":")" + words + R"("},"done":)" + done + "}\n";
  };
  check_both("ollama", line("Hel", "false") + line("lo", "false") + line("Hello", "true"), {"Hello"});
  auto heard = hear(say("delta", {"Hel", "lo", "Hello"}, true));
  CHECK(heard.good().warnings
        == std::vector<text>{"the last piece of the stream repeated all before it; that is given once"});
}

TEST_CASE("pieces that may be new or not are asked for once", "[wire][ends][growth]") {
  auto& by = openai::compatible_chat_api();
  struct {
    std::vector<text> pieces;
    bool is_cut, comes_again;
  } table[] = {{{"Hello", "Hello you"}, false, true},
               {{"Hello there", "Hello there, you", "Hello there, you all", "!"}, false, true},
               {{"Hello", "Hello you"}, true, false}};
  for (auto& x : table) {
    auto body = say("delta", x.pieces);
    if (x.is_cut)
      body.resize(body.find(R"("stop")") - 80);
    CAPTURE(body);
    auto heard = hear(body, by);
    auto* bad = std::get_if<failure>(&heard.end);
    REQUIRE(bad != nullptr);
    CHECK(will_come_again(*bad) == x.comes_again);
  }
}

TEST_CASE("a whole answer of another API to a stream request is asked for once", "[wire][ends]") {
  const text bodies[] = {R"({"foo":"bar"})", R"({"detail_of":[1],"status":"fine"})", R"([{"generated_text":"Hi"}])",
                         R"({"results":[{"text":"Hi"}]})"};
  for (auto* name : {"openai", "openai_compatible", "openai_responses", "anthropic", "gemini", "ollama"})
    for (auto& body : bodies) {
      CAPTURE(name, body);
      auto& by = *find_dialect(name);
      auto comes_again = [&](std::string_view sent, const std::vector<std::size_t>& cuts = {}) {
        auto heard = hear(sent, by, cuts).end;
        auto* bad = std::get_if<failure>(&heard);
        REQUIRE(bad != nullptr);
        return will_come_again(*bad);
      };
      CHECK(comes_again(body));
      CHECK(comes_again(body + "\n"));
      CHECK(comes_again(body, std::vector<std::size_t>(body.size(), 1)));
      CHECK(!comes_again(text{body, 0, body.size() - 1})); // it was cut
      CHECK(comes_again("{}"));
      CHECK(!comes_again(event(R"({"type":"ping"})"))); // more should have come
    }
}

TEST_CASE("parts of a content are never taken for one growing text", "[wire][ends][growth]") {
  text blocks;
  const std::initializer_list<text> words{"Hello there", "Hello there, you", "Hello there, you all"};
  auto index = 0;
  for (auto& x : words) {
    auto number = std::to_string(index++);
    blocks +=
      event(R"({"type":"content_block_start","index":)" + number + R"(,"content_block":{"type":"text","text":""}})")
      + event(R"({"type":"content_block_delta","index":)" + number + R"(,"delta":{"type":"text_delta","text":")" + x
              + R"("}})")
      + event(R"({"type":"content_block_stop","index":)" + number + "}");
  }
  blocks +=
    event(R"({"type":"message_delta","delta":{"stop_reason":"end_turn"}})") + event(R"({"type":"message_stop"})");
  check_both("anthropic", blocks, {std::accumulate(words.begin(), words.end(), text{})});
}

TEST_CASE("a piece is handed on at once unless it may repeat the one before", "[wire][ends][growth]") {
  auto reader = openai::compatible_chat_api().read_stream(ok);
  listener to;
  auto take = [&](std::string_view words) {
    reader->take(
      event(R"({"choices":[{"index":0,"delta":{"content":")" + text{words} + R"("},"finish_reason":null}]})"), to);
    return to.words;
  };
  CHECK(take("a") == "a");
  CHECK(take("ab") == "a");
  CHECK(take("c") == "aabc");
  CHECK(take("aabc") == "aabcaabc");
}

TEST_CASE("thoughts that repeat all before them are told once", "[wire][ends][growth]") {
  auto message = [](std::string_view thoughts, std::string_view words) {
    return event(R"({"choices":[{"index":0,"message":{"reasoning_content":")" + text{thoughts} + R"(","content":")"
                 + text{words} + R"("},"finish_reason":null}]})");
  };
  auto x = hear(message("Hm", "") + message("Hm, so", "") + message("Hm, so", "Hel") + message("Hm, so", "Hello")
                  + message("Hm, so", "Hello you") + event("[DONE]"),
                openai::compatible_chat_api());
  CHECK(x.words == "Hello you");
  CHECK(x.good().flaw == answer_flaw::none);
  text thoughts;
  for (auto& said : x.said)
    thoughts += said.starts_with("reasoning: ") ? said.substr(11) : "";
  CHECK(thoughts == "Hm, so");
}

} // namespace modelforge::ends_test
