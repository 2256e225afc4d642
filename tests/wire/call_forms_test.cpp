#include "tests/wire/calls.hpp"
#include "wire/anthropic/anthropic.hpp"
#include "wire/gemini/gemini.hpp"
#include "wire/ollama/ollama.hpp"

#include <catch2/catch_test_macros.hpp>

#include <algorithm>

// Calls under the names and in the places of other dialects, calls without names, and answers that tell of calls and
// have none: in every dialect, whole and streamed.

namespace modelforge::call_forms_test {

using namespace modelforge::test;

namespace {

/// A way to write an answer with one call, or with several of which each is an element of `calls`. `reason` is the
/// provider's word; none: it says nothing.
struct place {
  std::string_view name;
  const dialect& by;
  bool is_stream;
  std::string (*write)(const strings& calls, const std::string& text, const std::string& reason);
  std::string tells_calls, stops; ///< The provider's words.
};

std::string joined(const strings& list) {
  std::string result;
  for (auto& x : list)
    result += (result.empty() ? "" : ",") + x;
  return result;
}

/// Puts a type in front of an object's members.
std::string typed(std::string_view type, const std::string& object) {
  auto rest = object.substr(1);
  return R"({"type":")" + std::string{type} + '"' + (rest == "}" ? "" : ",") + rest;
}

std::string whole_chat(const std::string& message, const std::string& reason) {
  return R"({"id":"c1","choices":[{"index":0,"message":)" + message + R"(,"finish_reason":)" + quoted_or_null(reason)
         + "}]}";
}

const place places[] = {
  {"chat", openai::chat_api(), false,
   [](const strings& calls, const std::string& text, const std::string& reason) {
     return whole_chat(R"({"content":)" + as_json(text) + R"(,"tool_calls":[)" + joined(calls) + "]}", reason);
   },
   "tool_calls", "stop"},
  {"chat stream", openai::chat_api(), true,
   [](const strings& calls, const std::string& text, const std::string& reason) {
     std::string body = delta(R"({"content":)" + as_json(text) + "}");
     for (auto& x : calls)
       body += delta(R"({"tool_calls":[)" + x + "]}");
     return body + end_of_chunks(reason);
   },
   "tool_calls", "stop"},
  {"chat, calls among the content", openai::compatible_chat_api(), false,
   [](const strings& calls, const std::string& text, const std::string& reason) {
     strings parts{R"({"type":"text","text":)" + as_json(text) + "}"};
     for (auto& x : calls)
       parts.push_back(typed("tool_use", x));
     return whole_chat(R"({"content":[)" + joined(parts) + "]}", reason);
   },
   "tool_calls", "stop"},
  {"chat stream, calls among the content", openai::compatible_chat_api(), true,
   [](const strings& calls, const std::string& text, const std::string& reason) {
     std::string body = delta(R"({"content":)" + as_json(text) + "}");
     for (auto& x : calls)
       body += delta(R"({"content":[)" + typed("function_call", x) + "]}");
     return body + end_of_chunks(reason);
   },
   "tool_calls", "stop"},
  {"chat, calls beside the message", openai::compatible_chat_api(), false,
   [](const strings& calls, const std::string& text, const std::string& reason) {
     return R"({"id":"c1","choices":[{"tool_calls":[)" + joined(calls) + R"(],"message":{"content":)" + as_json(text)
            + R"(},"finish_reason":)" + quoted_or_null(reason) + "}]}";
   },
   "tool_calls", "stop"},
  {"chat, another name for the list", openai::compatible_chat_api(), false,
   [](const strings& calls, const std::string& text, const std::string& reason) {
     return whole_chat(R"({"content":)" + as_json(text) + R"(,"toolCalls":[)" + joined(calls) + "]}", reason);
   },
   "tool_calls", "stop"},
  {"responses", openai::responses_api(), false,
   [](const strings& calls, const std::string& text, const std::string&) {
     strings items{R"({"type":"message","content":)" + as_json(text) + "}"};
     for (auto& x : calls)
       items.push_back(typed("function_call", x));
     return R"({"id":"r","status":"completed","output":[)" + joined(items) + "]}";
   },
   "", ""},
  {"responses, calls among the content", openai::responses_api(), false,
   [](const strings& calls, const std::string& text, const std::string&) {
     strings parts{R"({"type":"output_text","text":)" + as_json(text) + "}"};
     for (auto& x : calls)
       parts.push_back(typed("function_call", x));
     return R"({"id":"r","status":"completed","output":[{"type":"message","content":[)" + joined(parts) + "]}]}";
   },
   "", ""},
  {"responses stream", openai::responses_api(), true,
   [](const strings& calls, const std::string& text, const std::string&) {
     auto body =
       event(R"({"type":"response.output_text.delta","item_id":"m","output_index":0,"delta":)" + as_json(text) + "}");
     auto index = 1;
     for (auto& x : calls)
       body += event(R"({"type":"response.output_item.done","output_index":)" + std::to_string(index++) + R"(,"item":)"
                     + typed("function_call", x) + "}");
     return body + event(R"({"type":"response.completed","response":{"id":"r","status":"completed","output":[]}})");
   },
   "", ""},
  {"anthropic", anthropic::messages_api(), false,
   [](const strings& calls, const std::string& text, const std::string& reason) {
     strings parts{R"({"type":"text","text":)" + as_json(text) + "}"};
     for (auto& x : calls)
       parts.push_back(typed("tool_use", x));
     return R"({"id":"m","type":"message","content":[)" + joined(parts) + R"(],"stop_reason":)" + quoted_or_null(reason)
            + "}";
   },
   "tool_use", "end_turn"},
  {"anthropic, calls beside the content", anthropic::messages_api(), false,
   [](const strings& calls, const std::string& text, const std::string& reason) {
     return R"({"id":"m","type":"message","content":)" + as_json(text) + R"(,"tool_calls":[)" + joined(calls)
            + R"(],"stop_reason":)" + quoted_or_null(reason) + "}";
   },
   "tool_use", "end_turn"},
  {"anthropic stream", anthropic::messages_api(), true,
   [](const strings& calls, const std::string& text, const std::string& reason) {
     strings events;
     auto index = 1;
     for (auto& x : calls) {
       events.push_back(R"({"type":"content_block_start","index":)" + std::to_string(index) + R"(,"content_block":)"
                        + typed("tool_use", x) + "}");
       events.push_back(R"({"type":"content_block_stop","index":)" + std::to_string(index++) + "}");
     }
     return anthropic_events(events, text, reason);
   },
   "tool_use", "end_turn"},
  {"anthropic stream, all at the end of a part", anthropic::messages_api(), true,
   [](const strings& calls, const std::string& text, const std::string& reason) {
     strings events;
     auto index = 1;
     for (auto& x : calls)
       events.push_back(R"({"type":"content_block_stop","index":)" + std::to_string(index++) + R"(,"content_block":)"
                        + typed("tool_use", x) + "}");
     return anthropic_events(events, text, reason);
   },
   "tool_use", "end_turn"},
  {"gemini", gemini::content_api(), false,
   [](const strings& calls, const std::string& text, const std::string& reason) {
     strings parts{R"({"text":)" + as_json(text) + "}"};
     for (auto& x : calls)
       parts.push_back(R"({"functionCall":)" + x + "}");
     return R"({"responseId":"c1","candidates":[{"content":{"parts":[)" + joined(parts) + R"(]},"finishReason":)"
            + quoted_or_null(reason) + "}]}";
   },
   "TOOL_CALLS", "STOP"},
  {"gemini stream", gemini::content_api(), true,
   [](const strings& calls, const std::string& text, const std::string& reason) {
     auto body = event(R"({"responseId":"c1","candidates":[{"content":{"parts":[{"text":)" + as_json(text) + "}]}}]}");
     for (auto& x : calls)
       body += event(R"({"candidates":[{"content":{"parts":[{"functionCall":)" + x + "}]}}]}");
     return body + event(R"({"candidates":[{"finishReason":)" + quoted_or_null(reason) + "}]}");
   },
   "TOOL_CALLS", "STOP"},
  {"ollama", ollama::chat_api(), false,
   [](const strings& calls, const std::string& text, const std::string& reason) {
     return R"({"message":{"content":)" + as_json(text) + R"(,"tool_calls":[)" + joined(calls)
            + R"(]},"done":true,"done_reason":)" + quoted_or_null(reason) + "}";
   },
   "tool_calls", "stop"},
  {"gemini, parts with a type", gemini::content_api(), false,
   [](const strings& calls, const std::string& text, const std::string& reason) {
     strings parts{R"({"text":)" + as_json(text) + "}"};
     for (auto& x : calls)
       parts.push_back(typed("function_call", x));
     return R"({"responseId":"c1","candidates":[{"content":{"parts":[)" + joined(parts) + R"(]},"finishReason":)"
            + quoted_or_null(reason) + "}]}";
   },
   "TOOL_CALLS", "STOP"},
  {"ollama, calls among the content", ollama::chat_api(), false,
   [](const strings& calls, const std::string& text, const std::string& reason) {
     strings parts{as_json(text)};
     for (auto& x : calls)
       parts.push_back(typed("tool_use", x));
     return R"({"message":{"content":[)" + joined(parts) + R"(]},"done":true,"done_reason":)" + quoted_or_null(reason)
            + "}";
   },
   "tool_calls", "stop"},
  {"ollama, calls beside the message", ollama::chat_api(), false,
   [](const strings& calls, const std::string& text, const std::string& reason) {
     return R"({"message":{"content":)" + as_json(text) + R"(},"tool_calls":[)" + joined(calls)
            + R"(],"done":true,"done_reason":)" + quoted_or_null(reason) + "}";
   },
   "tool_calls", "stop"},
  {"ollama stream", ollama::chat_api(), true,
   [](const strings& calls, const std::string& text, const std::string& reason) {
     auto body = R"({"message":{"content":)" + as_json(text) + "}}\n";
     for (auto& x : calls)
       body += R"({"message":{"tool_calls":[)" + x + "]}}\n";
     return body + R"({"done":true,"done_reason":)" + quoted_or_null(reason) + "}\n";
   },
   "tool_calls", "stop"},
};

std::variant<completion, failure> read(const std::string& body, const dialect& by, bool is_stream) {
  if (is_stream)
    return hear(body, by).end;
  return by.decode({200, {}}, body);
}

std::variant<completion, failure> read(const place& from, const strings& calls, const std::string& text,
                                       const std::string& reason) {
  return read(from.write(calls, text, reason), from.by, from.is_stream);
}

bool speaks_of_tools(const std::variant<completion, failure>& x) {
  auto* bad = std::get_if<failure>(&x);
  return bad != nullptr && bad->code == errc::invalid_response && bad->message.find("tool") != std::string::npos;
}

} // namespace

TEST_CASE("a call is read under the names of any dialect", "[wire][calls]") {
  for (auto* call : {
         R"({"id":"a","name":"f","arguments":{"x":1}})",
         R"({"id":"a","name":"f","arguments":"{\"x\":1}"})",
         R"({"id":"a","name":"f","input":{"x":1}})",
         R"({"id":"a","name":"f","input":"{\"x\":1}"})",
         R"({"id":"a","name":"f","args":{"x":1}})",
         R"({"id":"a","name":"f","parameters":{"x":1}})",
         R"({"id":"a","name":"f","params":{"x":1}})",
         R"({"call_id":"a","id":"other","name":"f","arguments":{"x":1}})",
         R"({"call_id":"","id":"a","name":"f","arguments":{"x":1}})",
         R"({"toolCallId":"a","toolName":"f","args":{"x":1}})",
         R"({"id":"a","function":{"name":"f","arguments":"{\"x\":1}"}})",
         R"({"id":"a","function":{"name":"f","input":{"x":1}}})",
         R"({"id":"a","function":{"name":"f","args":{"x":1}}})",
         R"({"id":"a","function":{"name":"f","parameters":{"x":1}}})",
         R"({"id":"a","function":{"name":"f"},"arguments":{"x":1}})",
         R"({"id":"a","name":"f","function":{"arguments":{"x":1}}})",
         R"({"id":"a","function":"f","arguments":"{\"x\":1}"})",
         R"({"id":"a","functionCall":{"name":"f","args":{"x":1}}})",
         R"({"function_call":{"id":"a","name":"f","arguments":"\"{\\\"x\\\":1}\""}})",
         // under two names: what says nothing gives way, and what says the same is one
         R"({"id":"a","name":"f","arguments":"","input":{"x":1}})",
         R"({"id":"a","name":"f","input":{},"arguments":"{\"x\":1}"})",
         R"({"id":"a","name":"f","arguments":{"x":1},"args":null,"input":"{}"})",
         R"({"id":"a","name":"f","arguments":"{\"x\": 1 }","input":{"x":1},"args":{ }})",
       })
    for (auto& from : places) {
      CAPTURE(from.name, call);
      auto body = from.write({call}, "Hi", from.stops);
      auto x = read(body, from.by, from.is_stream);
      if (auto* problem = std::get_if<failure>(&x))
        FAIL(problem->message);
      auto& got = std::get<completion>(x).tool_calls;
      REQUIRE(got.size() == 1);
      auto arguments = got[0].arguments;
      std::erase(arguments, ' ');
      CHECK(got[0].id == "a");
      CHECK(got[0].name == "f");
      CHECK(arguments == R"({"x":1})");
      if (from.is_stream)
        CHECK(said_by(hear(body, from.by)) == got);
    }
}

TEST_CASE("arguments under a name that nobody knows are a failure", "[wire][calls]") {
  for (auto* call : {
         R"({"id":"a","name":"f","kwargs":{"x":1}})",
         R"({"id":"a","function":{"name":"f","kwargs":{"x":1}}})",
         R"({"id":"a","function":{"name":"f","tool_input":"{\"x\":1}"}})",
         R"({"id":"a","function":{"name":"f","arguments":null,"tool_input":"{\"x\":1}"}})",
         R"({"function":{"kwargs":{"x":1}}})",
       })
    for (auto& from : places) {
      CAPTURE(from.name, call);
      CHECK(speaks_of_tools(read(from, {call}, "Hi", from.tells_calls)));
    }
  for (auto* call : {
         R"({"id":"a","name":"f","arguments":{},"foo":{"x":1}})",
         R"({"id":"a","name":"f","foo":"x","bar":{},"index":0})",
         R"({"id":"a","name":"f","extra_content":{"google":{"thought_signature":"c2ln"}}})",
         R"({"id":"a","name":"f","caller":{"type":"direct"},"cache_control":{"type":"ephemeral"}})",
       })
    for (auto& from : places) {
      CAPTURE(from.name, call);
      auto x = read(from, {call}, "Hi", from.tells_calls);
      REQUIRE(std::holds_alternative<completion>(x));
      CHECK(std::get<completion>(x).tool_calls == calls{{"a", "f", "{}", ""}});
    }
  auto fragments =
    deltas({R"([{"index":0,"id":"a","function":{"name":"f"}}])", R"([{"index":0,"function":{"kwargs":"{\"x\""}}])",
            R"([{"index":0,"function":{"kwargs":":1}"}}])"});
  check_calls(fragments, openai::compatible_chat_api(), true, {});
}

TEST_CASE("fragments of arguments are read under any name", "[wire][calls][stream]") {
  for (auto* name : {"arguments", "input", "args", "parameters", "params"})
    for (auto is_flat : {false, true}) {
      CAPTURE(name, is_flat);
      auto part = [&](const std::string& begin, const std::string& more, std::string_view arguments) {
        auto inside = more + '"' + name + "\":" + as_json(arguments);
        return R"([{"index":0)" + begin + "," + (is_flat ? inside : R"("function":{)" + inside + "}") + "}]";
      };
      check_calls(deltas({part(R"(,"id":"a")", R"("name":"f",)", ""), part("", "", R"({"x")"), part("", "", ":1}")}),
                  openai::compatible_chat_api(), true, {{"a", "f", R"({"x":1})", ""}});
    }
}

TEST_CASE("arguments that stand under two names and differ are a failure", "[wire][calls]") {
  for (auto* call : {R"({"id":"a","name":"f","arguments":{"x":1},"input":{"x":2}})",
                     R"({"id":"a","function":{"name":"f","arguments":"{\"x\":1}","parameters":{"x":2}}})",
                     R"({"id":"a","function":{"name":"f","arguments":"{\"x\":1}"},"args":{"y":1}})"})
    for (auto& from : places) {
      CAPTURE(from.name, call);
      CHECK(speaks_of_tools(read(from, {call}, "Hi", from.stops)));
    }
}

TEST_CASE("a call without a name is a failure", "[wire][calls]") {
  const std::string good = R"({"id":"b","name":"g","arguments":{}})";
  for (auto* call : {
         R"({"arguments":{"x":1}})",
         R"({"id":"a","arguments":{"x":1}})",
         R"({"id":"a","name":"","arguments":"{\"x\":1}"})",
         R"({"id":"a","name":" ","arguments":"{\"x\":1}"})",
         R"({"id":"a","name":null,"arguments":{"x":1}})",
         R"({"id":"a","name":7,"input":{"x":1}})",
         R"({"id":"a","function":{"arguments":"{\"x\":1}"}})",
         R"({"id":"a","name":"","arguments":{}})",
         R"({"id":"a","function":{"name":"","arguments":"{}"}})",
       })
    for (auto& from : places)
      for (auto& reason : {from.stops, from.tells_calls}) {
        CAPTURE(from.name, call, reason);
        CHECK(speaks_of_tools(read(from, {call}, "Hi", reason)));
        CHECK(speaks_of_tools(read(from, {call, good}, "Hi", reason)));
        if (from.name != "chat stream, calls among the content" && from.name != "chat stream")
          CHECK(speaks_of_tools(read(from, {good, call}, "Hi", reason)));
      }
}

TEST_CASE("an empty place of a call is none, unless the answer tells of calls", "[wire][calls]") {
  const std::string good = R"({"id":"b","name":"g","arguments":{}})";
  for (auto* call : {"{}", R"({"id":null,"name":"","arguments":null})", R"({"id":"","function":{}})",
                     R"({"function":{"name":"","arguments":""}})"})
    for (auto& from : places) {
      CAPTURE(from.name, call);
      auto text = read(from, {call}, "Hi", from.stops);
      if (from.name.find("anthropic stream") != from.name.npos || from.name.find("responses stream") != from.name.npos)
        continue; // they tell of a call by its beginning
      REQUIRE(std::holds_alternative<completion>(text));
      CHECK(std::get<completion>(text).tool_calls.empty());
      CHECK(std::get<completion>(text).flaw == answer_flaw::none);
      for (auto& both : {strings{call, good}, strings{good, call}}) {
        auto one = read(from, both, "Hi", from.stops);
        REQUIRE(std::holds_alternative<completion>(one));
        CHECK(std::get<completion>(one).tool_calls == calls{{"b", "g", "{}", ""}});
      }
      if (!from.is_stream && !from.tells_calls.empty())
        CHECK(speaks_of_tools(read(from, {good, call}, "Hi", from.tells_calls)));
    }
}

TEST_CASE("a call that is nothing but an id at the end is left out, with a warning", "[wire][calls]") {
  const std::string good = R"({"id":"b","name":"g","arguments":{}})", begun = R"({"id":"a"})";
  for (auto& from : places) {
    CAPTURE(from.name);
    if (from.name.starts_with("chat") || from.name.starts_with("ollama") || from.name == "gemini"
        || from.name == "gemini stream") {
      auto x = read(from, {good, begun}, "Hi", from.stops);
      REQUIRE(std::holds_alternative<completion>(x));
      CHECK(std::get<completion>(x).tool_calls == calls{{"b", "g", "{}", ""}});
      CHECK(warns(std::get<completion>(x), "did not go on"));
      CHECK(speaks_of_tools(read(from, {good, begun}, "Hi", from.tells_calls)));
    }
    CHECK(speaks_of_tools(read(from, {begun, good}, "Hi", from.tells_calls)));
  }
}

TEST_CASE("an answer that tells of calls and has none is no clear one", "[wire][calls][finish]") {
  for (auto& from : places) {
    if (from.tells_calls.empty())
      continue;
    CAPTURE(from.name);
    auto x = read(from, {}, "I will look", from.tells_calls);
    REQUIRE(std::holds_alternative<completion>(x));
    CHECK(std::get<completion>(x).flaw == answer_flaw::unclear);
    CHECK(std::get<completion>(x).finish_reason == finish_reason::unknown);
    CHECK(warns(std::get<completion>(x), "there is none"));
    auto nothing = read(from, {}, "", from.tells_calls);
    REQUIRE(std::holds_alternative<completion>(nothing));
    CHECK(std::get<completion>(nothing).flaw == answer_flaw::empty);
  }
}

TEST_CASE("lists of calls are read in every form", "[wire][calls]") {
  const std::string one = R"({"id":"a","function":{"name":"f","arguments":"{\"x\":1}"}})",
                    other = R"({"id":"b","function":{"name":"g","arguments":{"y":2}}})",
                    last = R"({"id":"b","name":"g","args":{"y":2}})";
  const calls two = {{"a", "f", R"({"x":1})", ""}, {"b", "g", R"({"y":2})", ""}};
  auto without_id = [](const std::string& call) { return "{" + call.substr(call.find(',') + 1); };
  auto list = "[" + one + "," + other + "]";
  struct {
    std::string list;
    bool is_clear = true;
  } table[] = {
    {list},
    {"[" + one + "," + last + "]"},
    {as_json(list)},
    {as_json(as_json(list))},
    {"[" + as_json(one) + "," + as_json(other) + "]"},
    {"[[" + one + "],[" + other + "]]"},
    {"[null," + one + ",\"\"," + other + ",[]]"},
    {R"({"0":)" + one + R"(,"1":)" + other + "}"},
    {as_json(R"({"0":)" + one + R"(,"1":)" + other + "}")},
    {R"({"a":)" + without_id(one) + R"(,"b":)" + without_id(other) + "}"},
    {as_json("f(x=1)"), false},
    {as_json(list.substr(0, 30)), false},
    {"7", false},
    {"true", false},
    {R"(["f"])", false},
    {"[" + one + ",7]", false},
    {"[" + one + ",true]", false},
  };
  struct {
    std::string_view what;
    const dialect& by;
    bool is_stream;
    std::string before, after;
  } forms[] = {
    {"chat", openai::chat_api(), false, R"({"id":"c1","choices":[{"index":0,"message":{"content":"Hi","tool_calls":)",
     R"(},"finish_reason":"stop"}]})"},
    {"chat, beside the message", openai::chat_api(), false,
     R"({"id":"c1","choices":[{"index":0,"message":{"content":"Hi"},"tool_calls":)", R"(,"finish_reason":"stop"}]})"},
    {"chat stream", openai::chat_api(), true,
     delta(R"({"content":"Hi"})") + R"(data: {"id":"c1","choices":[{"index":0,"delta":{"tool_calls":)",
     "}}]}\n\n" + end_of_chunks("stop")},
    {"chat message in a stream", openai::compatible_chat_api(), true,
     R"({"id":"c1","choices":[{"index":0,"message":{"content":"Hi","tool_calls":)", R"(},"finish_reason":"stop"}]})"},
    {"responses, in a message", openai::responses_api(), false,
     R"({"id":"r","status":"completed","output":[{"type":"message","content":"Hi","tool_calls":)", "}]}"},
    {"gemini", gemini::content_api(), false, R"({"candidates":[{"content":{"parts":[{"text":"Hi"},{"functionCalls":)",
     R"(}]},"finishReason":"STOP"}]})"},
    {"gemini stream", gemini::content_api(), true,
     R"(data: {"candidates":[{"content":{"parts":[{"text":"Hi"},{"functionCall":)",
     "}]},\"finishReason\":\"STOP\"}]}\n\n"},
    {"ollama", ollama::chat_api(), false, R"({"message":{"content":"Hi","tool_calls":)",
     R"(},"done":true,"done_reason":"stop"})"},
    {"ollama stream", ollama::chat_api(), true, "{\"message\":{\"content\":\"Hi\"}}\n{\"message\":{\"tool_calls\":",
     "}}\n{\"done\":true,\"done_reason\":\"stop\"}\n"},
  };
  for (auto& form : forms) {
    CAPTURE(form.what);
    for (auto& row : table)
      check_calls(form.before + row.list + form.after, form.by, form.is_stream, row.is_clear ? two : calls{});
    for (auto* none : {"null", "[]", "{}", R"("")", R"("[]")", "false", R"("none")", R"("null")", "[null]"}) {
      CAPTURE(none);
      auto x = read(form.before + none + form.after, form.by, form.is_stream);
      REQUIRE(std::holds_alternative<completion>(x));
      CHECK(std::get<completion>(x).tool_calls.empty());
    }
  }
}

TEST_CASE("numbers are ids, too", "[wire][calls]") {
  for (auto& from : places) {
    CAPTURE(from.name);
    check_calls(from.write({R"({"id":7,"name":"f","arguments":{"x":1}})", R"({"id":8,"name":"f","arguments":{"x":1}})"},
                           "", from.tells_calls),
                from.by, from.is_stream, {{"7", "f", R"({"x":1})", ""}, {"8", "f", R"({"x":1})", ""}});
  }
}

} // namespace modelforge::call_forms_test
