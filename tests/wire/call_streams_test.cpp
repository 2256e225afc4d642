#include "tests/wire/calls.hpp"
#include "wire/anthropic/anthropic.hpp"
#include "wire/gemini/gemini.hpp"
#include "wire/ollama/ollama.hpp"

#include <catch2/catch_test_macros.hpp>

// Calls that come in pieces or in several places, in forms of one dialect alone.

namespace modelforge::call_streams_test {

using namespace modelforge::test;

TEST_CASE("the parts of gemini's arguments are put together", "[wire][calls][gemini]") {
  using texts = strings;
  auto piece = [](const std::string& path, const std::string& value, bool goes_on = false) {
    return R"({"jsonPath":)" + as_json(path) + "," + value + (goes_on ? R"(,"willContinue":true)" : "") + "}";
  };
  auto call = [](const std::string& begin, const std::string& pieces, bool goes_on) {
    return "{" + begin + (pieces.empty() ? "" : (begin.empty() ? "" : ",") + (R"("partialArgs":[)" + pieces + "]"))
           + (goes_on ? std::string{begin.empty() && pieces.empty() ? "" : ","} + R"("willContinue":true)" : "") + "}";
  };
  const std::string f = R"("name":"f","id":"a")", g = R"("name":"g","id":"b")";
  auto text = [](std::string_view x) { return R"("stringValue":)" + as_json(x); };
  auto one = [](const std::string& arguments) { return calls{{"a", "f", arguments, ""}}; };
  struct {
    std::string_view what;
    texts parts;
    calls expected; ///< None: a failure.
  } table[] = {
    {"a text in pieces",
     {call(f, "", true), call("", piece("$.city", text("New "), true), true),
      call("", piece("$.city", text("Delhi"), true), true), call("", piece("$.city", text("")), true), "{}"},
     one(R"({"city":"New Delhi"})")},
    {"no word of going on at the last piece",
     {call(f, piece("$.x", text("Par")), true), call("", piece("$.x", text("is")), false)},
     one(R"({"x":"Paris"})")},
    {"all kinds of values",
     {call(f,
           piece("$.n", R"("numberValue":1)") + "," + piece("$.d", R"("numberValue":0.5)") + ","
             + piece("$.b", R"("boolValue":true)") + "," + piece("$.z", R"("nullValue":"NULL_VALUE")") + ","
             + piece("$.e", text("")),
           true),
      "{}"},
     one(R"({"n":1,"d":0.5,"b":true,"z":null,"e":""})")},
    {"deep paths",
     {call(f,
           piece("$.a.b[0].c", R"("numberValue":1)") + "," + piece("$.a.b[1].c", R"("numberValue":2)") + ","
             + piece("$['x y']['a\\'b']", text("q")) + "," + piece(R"($["w.z"])", text("r")),
           false)},
     one(R"({"a":{"b":[{"c":1},{"c":2}]},"x y":{"a'b":"q"},"w.z":"r"})")},
    {"half a character",
     {call(f, R"({"jsonPath":"$.x","stringValue":"a\ud83d"})", true),
      call("", R"({"jsonPath":"$.x","stringValue":"\ude00"})", false)},
     one("{\"x\":\"a😀\"}")},
    {"no arguments", {call(f, "", true), "{}"}, one("{}")},
    {"one piece without a list",
     {R"({"name":"f","id":"a","partialArgs":{"jsonPath":"$.x","numberValue":1}})"},
     one(R"({"x":1})")},
    {"the name with each part",
     {call(f, piece("$.x", text("a")), true), call(f, piece("$.x", text("b")), false)},
     one(R"({"x":"ab"})")},
    {"one call behind the other",
     {call(f, piece("$.x", R"("numberValue":1)"), true), "{}", call(g, piece("$.y", R"("numberValue":2)"), true), "{}"},
     {{"a", "f", R"({"x":1})", ""}, {"b", "g", R"({"y":2})", ""}}},
    {"two at once, by their ids",
     {call(f, "", true), call(g, "", true), call(R"("id":"a")", piece("$.x", R"("numberValue":1)"), false),
      call(R"("id":"b")", piece("$.y", R"("numberValue":2)"), false)},
     {{"a", "f", R"({"x":1})", ""}, {"b", "g", R"({"y":2})", ""}}},
    {"a whole call between",
     {call(f, piece("$.x", R"("numberValue":1)"), true), "{}", R"({"name":"g","id":"b","args":{"y":2}})"},
     {{"a", "f", R"({"x":1})", ""}, {"b", "g", R"({"y":2})", ""}}},
    {"whole arguments, and more to come that never does",
     {R"({"name":"f","id":"a","args":{"x":1},"willContinue":true})", "{}"},
     one(R"({"x":1})")},
    {"never ended", {call(f, piece("$.x", text("Par")), true)}, {}},
    {"another call begins", {call(f, piece("$.x", text("Par")), true), call(g, "", false)}, {}},
    {"pieces of no call", {call("", piece("$.x", text("Par")), false)}, {}},
    {"pieces of either of two", {call(f, "", true), call(g, "", true), call("", piece("$.x", text("a")), true)}, {}},
    {"two values in one place",
     {call(f, piece("$.x", R"("numberValue":1)") + "," + piece("$.x", R"("numberValue":2)"), false)},
     {}},
    {"a text and a number in one place",
     {call(f, piece("$.x", text("1")) + "," + piece("$.x", R"("numberValue":2)"), false)},
     {}},
    {"no path", {call(f, R"({"stringValue":"a"})", false)}, {}},
    {"a path that is none", {call(f, piece("x", text("a")), false)}, {}},
    {"a path with a wildcard", {call(f, piece("$.*[?(@.x)]", text("a")), false)}, {}},
    {"all of it", {call(f, piece("$", text("a")), false)}, {}},
    {"a place far behind the end", {call(f, piece("$.a[5]", text("a")), false)}, {}},
    {"a place in a text", {call(f, piece("$.a", text("a")) + "," + piece("$.a.b", text("b")), false)}, {}},
    {"a list and an object", {call(f, piece("$.a[0]", text("a")) + "," + piece("$.a.b", text("b")), false)}, {}},
    {"a piece that is none", {call(f, "7", false)}, {}},
    {"other arguments beside",
     {R"({"name":"f","id":"a","args":{"x":2},"partialArgs":[{"jsonPath":"$.x","numberValue":1}]})"},
     {}},
  };
  for (auto& row : table) {
    CAPTURE(row.what);
    std::string stream, parts;
    for (auto& x : row.parts) {
      auto part = R"({"functionCall":)" + x + "}";
      stream += event(R"({"candidates":[{"content":{"parts":[)" + part + "]}}]}");
      parts += (parts.empty() ? "" : ",") + part;
    }
    check_calls(stream + event(R"({"candidates":[{"finishReason":"STOP"}]})"), gemini::content_api(), true,
                row.expected);
    check_calls(R"({"candidates":[{"content":{"parts":[)" + parts + R"(]},"finishReason":"STOP"}]})",
                gemini::content_api(), false, row.expected);
  }
  auto deep = std::string{"$"};
  for (int i = 0; i < 150; ++i)
    deep += ".a";
  check_calls(R"({"candidates":[{"content":{"parts":[{"functionCall":)" + call(f, piece(deep, text("a")), false)
                + R"(}]},"finishReason":"STOP"}]})",
              gemini::content_api(), false, {});
}

TEST_CASE("gemini's arguments that were cut stay visibly so", "[wire][calls][gemini]") {
  auto x = hear(event(R"({"candidates":[{"content":{"parts":[{"functionCall":{"name":"f","partialArgs":)"
                      R"([{"jsonPath":"$.x","stringValue":"Par","willContinue":true}],"willContinue":true}}]}}]})")
                  + event(R"({"candidates":[{"finishReason":"MAX_TOKENS"}]})"),
                gemini::content_api());
  REQUIRE(x.good().tool_calls.size() == 1);
  CHECK(x.good().tool_calls[0].arguments == R"({"x":"Par")");
  CHECK(x.good().flaw == answer_flaw::cut);
  CHECK(warns(x.good(), "tool f"));
}

TEST_CASE("parts of an anthropic stream find their call in any form", "[wire][calls][anthropic]") {
  const calls one = {{"a", "f", R"({"x":1})", ""}};
  const calls two = {{"a", "f", R"({"x":1})", ""}, {"b", "g", R"({"y":2})", ""}};
  const std::string begin = block("0", "a", "f", "{}"), other = block("1", "b", "g", "{}");
  auto add = [](const std::string& delta, const std::string& index = "") {
    return R"({"type":"content_block_delta",)" + (index.empty() ? "" : R"("index":)" + index + ",") + R"("delta":)"
           + delta + "}";
  };
  auto json = [](std::string_view text) {
    return R"({"type":"input_json_delta","partial_json":)" + as_json(text) + "}";
  };
  auto stop = [](const std::string& index, const std::string& more = "") {
    return R"({"type":"content_block_stop","index":)" + index + more + "}";
  };
  const std::string server = R"({"type":"content_block_start","index":2,"content_block":{"type":"server_tool_use",)"
                             R"("id":"s","name":"web_search","input":{}}})";
  const std::string text_block =
    R"({"type":"content_block_start","index":3,"content_block":{"type":"text","text":""}})";
  struct {
    std::string_view what;
    strings events;
    calls expected;
  } table[] = {
    {"no index in deltas, one call open", {begin, add(json(R"({"x")")), add(json(":1}")), stop("0")}, one},
    {"no index in deltas, one call after the other",
     {begin, add(json(R"({"x":1})")), stop("0"), other, add(json(R"({"y":2})")), stop("1")},
     two},
    {"no index in deltas, the first call whole",
     {begin, add(json(R"({"x":1})"), "0"), other, add(json(R"({"y":2})"))},
     two},
    {"no index in deltas, two calls open", {begin, other, add(json(R"({"x":1})"))}, {}},
    {"no index in deltas, a provider's own call open as well", {begin, server, add(json(R"({"q":1})"))}, {}},
    {"a provider's own call alone",
     {begin, add(json(R"({"x":1})"), "0"), stop("0"), server, add(json(R"({"q":1})"))},
     one},
    {"arguments as text",
     {begin, add(R"({"type":"text_delta","text":"{\"x\""})", "0"), add(R"({"type":"text_delta","text":":1}"})", "0"),
      stop("0")},
     one},
    {"words where arguments are usual", {begin, add(R"({"type":"text_delta","text":"Let me"})", "0"), stop("0")}, {}},
    {"words behind the arguments",
     {begin, add(json(R"({"x":1})"), "0"), add(R"({"type":"text_delta","text":"Let me"})", "0"), stop("0")},
     {}},
    {"under another name", {begin, add(R"({"type":"input_json_delta","input":{"x":1}})", "0")}, one},
    {"under a third name", {begin, add(R"({"type":"input_json_delta","arguments":"{\"x\":1}"})", "0")}, one},
    {"under a name that nobody knows", {begin, add(R"({"type":"input_json_delta","foo":"{\"x\":1}"})", "0")}, {}},
    {"nothing", {begin, add(json(R"({"x":1})"), "0"), add(R"({"type":"input_json_delta"})", "0")}, one},
    {"at the end of the part",
     {begin, stop("0", R"(,"content_block":{"type":"tool_use","id":"a","name":"f","input":{"x":1}})")},
     one},
    {"at the end of the part, again",
     {begin, add(json(R"({"x":1})"), "0"),
      stop("0", R"(,"content_block":{"type":"tool_use","id":"a","name":"f","input":{"x":1}})")},
     one},
    {"at the end of the part, otherwise",
     {begin, add(json(R"({"x":1})"), "0"),
      stop("0", R"(,"content_block":{"type":"tool_use","id":"a","name":"f","input":{"x":2}})")},
     {}},
    {"input at the end of the part", {begin, stop("0", R"(,"input":{"x":1})")}, one},
    {"no beginning", {add(json(R"({"x":1})"), "0")}, {}},
    {"no beginning, no index", {add(json(R"({"x":1})"))}, {}},
    {"under a text's index", {text_block, add(json(R"({"x":1})"), "3")}, {}},
    {"a call without a type",
     {R"({"type":"content_block_start","index":0,"content_block":{"id":"a","name":"f","input":{"x":1}}})"},
     one},
  };
  for (auto& row : table) {
    CAPTURE(row.what);
    check_calls(anthropic_stream(row.events), anthropic::messages_api(), true, row.expected);
  }
}

TEST_CASE("calls that a message has at its beginning come again, or count", "[wire][calls][anthropic]") {
  auto begin = [](const std::string& members) {
    return event(R"({"type":"message_start","message":{"id":"m","stop_reason":null,)" + members + "}}");
  };
  auto content = [](const std::string& list) { return R"("content":[)" + list + "]"; };
  auto rest = [](const strings& events, const std::string& text) {
    return anthropic_events(events, text, "tool_use")
      .substr(event(R"({"type":"message_start","message":{"id":"m","content":[]}})").size());
  };
  const std::string call = R"({"type":"tool_use","id":"a","name":"f","input":{"x":1}})",
                    other = R"({"type":"tool_use","id":"b","name":"g","input":{"y":2}})",
                    begun = R"({"type":"tool_use","id":"a","name":"f","input":{}})",
                    list = R"("content":[],"tool_calls":[{"id":"a","function":{"name":"f","arguments":"{\"x\":1}"}}])";
  const strings again{block("1", "a", "f", "{}"), fragment("1", R"({"x":1})"),
                      R"({"type":"content_block_stop","index":1})"};
  const strings another{block("1", "b", "g", R"({"y":2})"), R"({"type":"content_block_stop","index":1})"};
  const tool_call one{"a", "f", R"({"x":1})", ""}, two{"b", "g", R"({"y":2})", ""};
  struct {
    std::string_view what;
    std::string body;
    calls expected;
  } table[] = {
    {"alone", begin(content(call)) + rest({}, ""), {one}},
    {"two of them", begin(content(call + "," + other)) + rest({}, ""), {one, two}},
    {"beside a text that comes", begin(content(call)) + rest({}, "Hi"), {one}},
    {"two of them, beside a text that comes", begin(content(call + "," + other)) + rest({}, "Hi"), {one, two}},
    {"told again", begin(content(call)) + rest(again, "Hi"), {one}},
    {"begun, and told", begin(content(begun)) + rest(again, "Hi"), {one}},
    {"begun, and not told", begin(content(begun)) + rest({}, "Hi"), {}},
    {"beside another one that comes", begin(content(call)) + rest(another, "Hi"), {}},
    {"in a list of another dialect", begin(list) + rest({}, "Hi"), {one}},
    {"in such a list, told again", begin(list) + rest(again, "Hi"), {one}},
    {"in such a list, beside another one that comes", begin(list) + rest(another, "Hi"), {}},
  };
  for (auto& row : table) {
    CAPTURE(row.what);
    check_calls(row.body, anthropic::messages_api(), true, row.expected);
  }
  auto text = begin(content(R"({"type":"text","text":"Listen: "})")) + rest({}, "Hi");
  CHECK(hear(text, anthropic::messages_api()).good().flaw == answer_flaw::unclear); // and it is told
  auto told = begin(content(R"({"type":"text","text":"H"})")) + rest(again, "Hi");
  CHECK(hear(told, anthropic::messages_api()).good().flaw == answer_flaw::none);
}

TEST_CASE("a call that a stream began counts only if its end is told", "[wire][calls][stream]") {
  const calls none = {{"a", "f", "{}", ""}};
  auto chat = [](const std::string& arguments, const std::string& reason) {
    return delta(R"({"tool_calls":[{"index":0,"id":"a","function":{"name":"f")" + arguments + "}}]}")
           + end_of_chunks(reason);
  };
  check_calls(chat(R"(,"arguments":"")", "tool_calls"), openai::chat_api(), true, none);
  check_calls(chat(R"(,"arguments":"")", ""), openai::compatible_chat_api(), true, {});
  check_calls(chat("", ""), openai::compatible_chat_api(), true, {});
  check_calls(chat(R"(,"arguments":"{}")", ""), openai::compatible_chat_api(), true, none);
  check_calls(chat(R"(,"arguments":"{\"x\":")", ""), openai::compatible_chat_api(), true, {});
  check_calls(chat(R"(,"arguments":"{\"x\":")", "tool_calls"), openai::compatible_chat_api(), true, {});
  auto begin = block("1", "a", "f", "{}"), end = std::string{R"({"type":"content_block_stop","index":1})"};
  check_calls(anthropic_events({begin, end}, "Hi", ""), anthropic::messages_api(), true, none);
  check_calls(anthropic_events({begin}, "Hi", ""), anthropic::messages_api(), true, {});
  check_calls(anthropic_events({begin}, "Hi", "tool_use"), anthropic::messages_api(), true, none);
  check_calls(anthropic_events({block("1", "a", "f", R"({"x":1})")}, "Hi", ""), anthropic::messages_api(), true,
              {{"a", "f", R"({"x":1})", ""}});
}

TEST_CASE("calls of a responses stream are not lost, whatever tells of them", "[wire][calls][responses]") {
  auto says = [](const std::string& type, const std::string& more) {
    return event(R"({"type":"response.)" + type + "\"," + more + "}");
  };
  auto end = [&](const std::string& output = "") {
    return says("completed", R"("response":{"id":"r","status":"completed","output":[)" + output + "]}");
  };
  const std::string begun = R"("output_index":0,"item":{"type":"function_call","id":"i","call_id":"a","name":"f"})";
  const std::string call = R"({"type":"function_call","call_id":"a","name":"f","arguments":"{\"x\":1}"})";
  const calls one = {{"a", "f", R"({"x":1})", ""}};
  struct {
    std::string body;
    calls expected;
  } table[] = {
    {says("output_item.added", begun)
       + says("function_call_arguments.done", R"("output_index":0,"item_id":"i","input":{"x":1})") + end(),
     one},
    {says("output_item.added", begun)
       + says("function_call_arguments.delta", R"("output_index":0,"item_id":"i","arguments":"{\"x\":1}")") + end(),
     one},
    {says("output_item.added", begun)
       + says("output_item.done", R"("output_index":0,"item":{"type":"function_call","id":"i","call_id":"a",)"
                                  R"("function":{"name":"f","parameters":{"x":1}}})")
       + end(),
     one},
    {says("output_item.added", R"("output_index":0,"item":{"type":"function_call","id":"i","call_id":"a"})")
       + says("function_call_arguments.delta", R"("output_index":0,"item_id":"i","delta":"{\"x\":1}")")
       + says("output_item.done", R"("output_index":0,"item":)" + call) + end(),
     one},
    {says("output_item.added", R"("output_index":0,"item":{"type":"function_call","id":"i","call_id":"a"})")
       + says("function_call_arguments.delta", R"("output_index":0,"item_id":"i","delta":"{\"x\":1}")") + end(),
     {}},
    {says("content_part.done", R"("output_index":0,"item_id":"m","content_index":0,"part":)" + call) + end(), one},
    {says("content_part.done", R"("output_index":0,"item_id":"m","content_index":0,"part":)" + call)
       + says("output_item.done", R"("output_index":0,"item":{"type":"message","id":"m","content":[)" + call + "]}")
       + end(R"({"type":"message","id":"m","content":[)" + call + "]}"),
     one},
    {end(R"({"call_id":"a","name":"f","arguments":"{\"x\":1}"})"), one},
    {end(R"({"type":"message","content":[{"type":"output_text","text":"Hi"}],"tool_calls":[)"
         R"({"id":"a","function":{"name":"f","arguments":"{\"x\":1}"}}]})"),
     one},
  };
  for (auto& row : table)
    check_calls(row.body, openai::responses_api(), true, row.expected);
}

TEST_CASE("calls that a message tells in several places are one, or a failure", "[wire][calls]") {
  const std::string list = R"("tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":"{\"x\":1}"}}])";
  const std::string old = R"("function_call":{"name":"f","arguments":"{\"x\":1}"})";
  auto content = [](const std::string& id, const std::string& name, const std::string& input) {
    return R"("content":[{"type":"tool_use","id":")" + id + R"(","name":")" + name + R"(","input":)" + input + "}]";
  };
  const calls one = {{"a", "f", R"({"x":1})", ""}};
  struct {
    std::string message;
    calls expected;
  } table[] = {
    {list + "," + old, one},
    {old + "," + list, one},
    {list + R"(,"function_call":{"name":"f","arguments":"{\"x\":2}"})", {}},
    {list + R"(,"function_call":{"name":"g","arguments":"{}"})", {}},
    {list + R"(,"function_call":null)", one},
    {list + R"(,"function_call":{})", one},
    {list + "," + content("a", "f", R"({"x":1})"), one},
    {list + "," + content("z", "f", R"({"x":1})"), one},
    {list + "," + content("a", "f", R"({"x":2})"), {}},
    {list + "," + content("z", "g", "{}"), {}},
    {content("a", "f", R"({"x":1})"), one},
    {R"("content":[{"functionCall":{"id":"a","name":"f","args":{"x":1}}}])", one},
    {R"("content":{"type":"tool_call","id":"a","function":{"name":"f","arguments":"{\"x\":1}"}})", one},
  };
  for (auto& row : table) {
    check_calls(message_answer("{" + row.message + "}"), openai::compatible_chat_api(), false, row.expected);
    check_calls(delta("{" + row.message + "}") + end_of_chunks("tool_calls"), openai::compatible_chat_api(), true,
                row.expected);
  }
  // both forms, in fragments
  auto both = [](const std::string& name, const std::string& arguments) {
    auto inside =
      "{" + (name.empty() ? "" : R"("name":)" + as_json(name) + ",") + R"("arguments":)" + as_json(arguments) + "}";
    return delta(R"({"tool_calls":[{"index":0,"function":)" + inside + R"(}],"function_call":)" + inside + "}");
  };
  check_calls(both("f", "") + both("", R"({"x")") + both("", ":1") + both("", "1}") + end_of_chunks("tool_calls"),
              openai::compatible_chat_api(), true, {{"call_c1_0", "f", R"({"x":11})", ""}});
  check_calls(delta("{" + old + "}") + delta("{" + list + "}") + end_of_chunks("tool_calls"),
              openai::compatible_chat_api(), true, {});
  // a message beside the deltas
  auto beside = [](const std::string& more) {
    return event(R"({"choices":[{"index":0,"delta":{},"message":{)" + more + R"(},"finish_reason":"tool_calls"}]})")
           + done;
  };
  check_calls(delta("{" + list + "}") + beside(list), openai::compatible_chat_api(), true, one);
  check_calls(beside(list), openai::compatible_chat_api(), true, one);
  check_calls(delta("{" + list + "}")
                + beside(R"("tool_calls":[{"id":"a","function":{"name":"f","arguments":"{\"x\":2}"}}])"),
              openai::compatible_chat_api(), true, {});
  check_calls(
    delta("{" + list + "}")
      + beside(R"("tool_calls":[{"id":"a","function":{"name":"f","arguments":"{\"x\":1}"}},{"id":"b","name":"g"}])"),
    openai::compatible_chat_api(), true, {});
}

TEST_CASE("a call that a later object of a stream tells again is one", "[wire][calls][stream]") {
  struct {
    std::string_view what;
    const dialect& by;
    std::string (*write)(const std::string& call);
    std::string end;
  } forms[] = {
    {"gemini", gemini::content_api(),
     [](const std::string& call) {
       return event(R"({"responseId":"c1","candidates":[{"content":{"parts":[{"functionCall":)" + call + "}]}}]}");
     },
     event(R"({"candidates":[{"finishReason":"STOP"}]})")},
    {"ollama", ollama::chat_api(),
     [](const std::string& call) { return R"({"message":{"tool_calls":[)" + call + "]}}\n"; },
     "{\"done\":true,\"done_reason\":\"stop\"}\n"},
    {"chat", openai::compatible_chat_api(),
     [](const std::string& call) { return delta(R"({"tool_calls":[)" + call + "]}"); }, end_of_chunks("tool_calls")},
  };
  const std::string call = R"({"id":"a","name":"f","arguments":{"x":1,"y":2}})";
  const tool_call one{"a", "f", R"({"x":1,"y":2})", ""};
  for (auto& form : forms) {
    CAPTURE(form.what);
    auto body = [&](const strings& calls) {
      std::string result;
      for (auto& x : calls)
        result += form.write(x);
      return result + form.end;
    };
    check_calls(body({call, call}), form.by, true, {one});
    check_calls(body({call, R"({"id":"a","function":{"name":"f","arguments":"{\"y\": 2, \"x\": 1}"}})"}), form.by, true,
                {one});
    check_calls(body({call, R"({"id":"b","name":"f","arguments":{"x":1,"y":2}})"}), form.by, true,
                {one, {"b", "f", one.arguments, ""}});
    auto others = hear(body({call, R"({"id":"a","name":"g","arguments":{"x":1}})"}), form.by);
    CHECK(others.good().tool_calls.size() == 2);
  }
  auto alike = R"({"name":"f","arguments":{"x":1}})"; // without ids nothing tells that it is one
  CHECK(hear(forms[0].write(alike) + forms[0].write(alike) + forms[0].end, forms[0].by).good().tool_calls.size() == 2);
  CHECK(hear(forms[1].write(alike) + forms[1].write(alike) + forms[1].end, forms[1].by).good().tool_calls.size() == 2);
}

TEST_CASE("an answer that came in two choices, text and calls, is one", "[wire][calls]") {
  auto body = [](const std::string& first, const std::string& second) {
    return R"({"id":"c1","choices":[{"finish_reason":"tool_calls","message":)" + first
           + R"(},{"finish_reason":"tool_calls","message":)" + second + "}]}";
  };
  const std::string calls = R"({"tool_calls":[{"id":"a","function":{"name":"f","arguments":"{}"}}]})";
  auto x = openai::compatible_chat_api().decode(ok, body(R"({"content":"Let me"})", calls));
  REQUIRE(std::holds_alternative<completion>(x));
  CHECK(std::get<completion>(x).text == "Let me");
  CHECK(std::get<completion>(x).tool_calls.size() == 1);
  CHECK(std::get<completion>(x).alternatives.empty());
  x = openai::compatible_chat_api().decode(ok, body(calls, calls));
  CHECK(std::get<completion>(x).alternatives.size() == 1);
}

} // namespace modelforge::call_streams_test
