#include "tests/wire/calls.hpp"
#include "wire/anthropic/anthropic.hpp"
#include "wire/gemini/gemini.hpp"
#include "wire/ollama/ollama.hpp"

#include <catch2/catch_test_macros.hpp>

#include <map>

// Tool calls in every form in which servers tell of them: each is read as what it means, or it is a failure. Nothing is
// lost, doubled or emptied in silence.

namespace modelforge::tool_calls_test {

using namespace modelforge::test;

namespace {

// -- how each dialect writes a call, whole or streamed ---------------------------------

/// A body with one call of `f`, whose arguments are this JSON.
using writer = std::string (*)(const std::string& arguments);

struct form {
  std::string_view name;
  const dialect& by;
  bool is_stream;
  writer write;
};

const form forms[] = {
  {"chat", openai::chat_api(), false,
   [](const std::string& x) {
     return message_answer(R"({"tool_calls":[{"id":"a","function":{"name":"f","arguments":)" + x + "}}]}");
   }},
  {"chat, one call instead of a list", openai::compatible_chat_api(), false,
   [](const std::string& x) {
     return message_answer(R"({"tool_calls":{"id":"a","function":{"name":"f","arguments":)" + x + "}}}");
   }},
  {"chat, no object around name and arguments", openai::compatible_chat_api(), false,
   [](const std::string& x) {
     return message_answer(R"({"tool_calls":[{"id":"a","type":"function","name":"f","arguments":)" + x + "}]}");
   }},
  {"chat, parameters", openai::compatible_chat_api(), false,
   [](const std::string& x) {
     return message_answer(R"({"tool_calls":[{"id":"a","function":{"name":"f","parameters":)" + x + "}}]}");
   }},
  {"chat stream", openai::chat_api(), true,
   [](const std::string& x) {
     return deltas({R"([{"index":0,"id":"a","function":{"name":"f","arguments":)" + x + "}}]"});
   }},
  {"chat stream, arguments last", openai::chat_api(), true,
   [](const std::string& x) {
     return deltas({R"([{"index":0,"id":"a","function":{"name":"f","arguments":""}}])",
                    R"([{"index":0,"function":{"arguments":)" + x + "}}]"});
   }},
  {"responses", openai::responses_api(), false,
   [](const std::string& x) {
     return R"({"id":"r","status":"completed","output":[{"type":"function_call","id":"fc","call_id":"a","name":"f",)"
            R"("arguments":)"
            + x + "}]}";
   }},
  {"responses stream", openai::responses_api(), true,
   [](const std::string& x) {
     return event(R"({"type":"response.output_item.done","output_index":0,"item":{"type":"function_call","id":"fc",)"
                  R"("call_id":"a","name":"f","arguments":)"
                  + x + "}}")
            + event(R"({"type":"response.completed","response":{"status":"completed","output":[]}})");
   }},
  {"anthropic", anthropic::messages_api(), false,
   [](const std::string& x) {
     return R"({"id":"m","type":"message","content":[{"type":"tool_use","id":"a","name":"f","input":)" + x
            + R"(}],"stop_reason":"tool_use"})";
   }},
  {"anthropic stream", anthropic::messages_api(), true,
   [](const std::string& x) { return anthropic_stream({block("0", "a", "f", x)}); }},
  {"anthropic stream, by delta", anthropic::messages_api(), true,
   [](const std::string& x) {
     return anthropic_stream(
       {block("0", "a", "f", "{}"),
        R"({"type":"content_block_delta","index":0,"delta":{"type":"input_json_delta","partial_json":)" + x + "}}"});
   }},
  {"gemini", gemini::content_api(), false,
   [](const std::string& x) {
     return R"({"candidates":[{"content":{"parts":[{"functionCall":{"id":"a","name":"f","args":)" + x
            + R"(}}]},"finishReason":"STOP"}]})";
   }},
  {"gemini stream", gemini::content_api(), true,
   [](const std::string& x) {
     return event(R"({"candidates":[{"content":{"parts":[{"functionCall":{"id":"a","name":"f","args":)" + x + "}}]}}]}")
            + event(R"({"candidates":[{"finishReason":"STOP"}]})");
   }},
  {"ollama", ollama::chat_api(), false,
   [](const std::string& x) {
     return R"({"message":{"tool_calls":[{"id":"a","function":{"name":"f","arguments":)" + x
            + R"(}}]},"done":true,"done_reason":"stop"})";
   }},
  {"ollama stream", ollama::chat_api(), true,
   [](const std::string& x) {
     return R"({"message":{"tool_calls":{"id":"a","function":{"name":"f","arguments":)" + x
            + "}}}}\n{\"done\":true,\"done_reason\":\"stop\"}\n";
   }},
};

} // namespace

TEST_CASE("arguments mean the same in every form and every dialect", "[wire][calls]") {
  auto twice = as_json(as_json(R"({"path":"a.txt"})"));
  struct {
    std::string arguments, expected; ///< Nothing is expected where they are no object.
  } table[] = {
    {R"({"x":1})", R"({"x":1})"},
    {as_json(R"({"x":1})"), R"({"x":1})"},
    {as_json(R"({"x": 1, "y": [{"z": "}\"{"}]})"), R"({"x": 1, "y": [{"z": "}\"{"}]})"},
    {as_json(R"({"n": 12345678901234567890123, "d": 0.10})"), R"({"n": 12345678901234567890123, "d": 0.10})"},
    {R"({"n": 12345678901234567890123})", R"({"n": 12345678901234567890123})"},
    {as_json(as_json(R"({"path":"a.txt"})")), R"({"path":"a.txt"})"},
    {as_json(twice), R"({"path":"a.txt"})"},
    {as_json(as_json("{}")), "{}"},
    {as_json(as_json("")), "{}"},
    {as_json("null"), "{}"},
    {as_json(" null "), "{}"},
    {as_json(as_json("null")), "{}"},
    {"null", "{}"},
    {as_json(""), "{}"},
    {as_json("{}"), "{}"},
    {"{}", "{}"},
    {"[1]", ""},
    {"7", ""},
    {"true", ""},
    {as_json("[]"), ""},
    {as_json("Oslo"), ""},
    {as_json(as_json("Oslo")), ""},
    {as_json(R"({"x":)"), ""},
    {as_json(R"({"x":1} {"y":2})"), ""},
    {as_json("{'x': 1}"), ""},
    {as_json(R"({"x": NaN})"), ""},
  };
  for (auto& form : forms)
    for (auto& row : table) {
      CAPTURE(form.name, row.arguments);
      auto expected = row.expected.empty() ? calls{} : calls{{"a", "f", row.expected, ""}};
      if (form.is_stream)
        check_stream(form.write(row.arguments), form.by, expected);
      else
        check_whole(form.write(row.arguments), form.by, expected);
    }
}

TEST_CASE("each part of a streamed call finds its call, or the stream fails", "[wire][calls][stream]") {
  const calls paris = {{"a", "get_weather", R"({"city": "Paris"})", ""}};
  const calls two = {{"a", "f", R"({"x":1})", ""}, {"b", "g", R"({"y":2})", ""}};
  const calls undecided;
  const std::string start =
    R"([{"index":0,"id":"a","type":"function","function":{"name":"get_weather","arguments":""}}])";
  // i, n, p: index, id and name, arguments of a part; left out where empty
  auto part = [](std::string index, std::string id, std::string name, std::string arguments) {
    auto member = [](const char* what, const std::string& value) {
      return value.empty() ? std::string{} : '"' + std::string{what} + "\":" + value + ",";
    };
    auto inside = member("name", name.empty() ? "" : as_json(name)) + R"("arguments":)" + as_json(arguments);
    return "{" + member("index", index) + member("id", id.empty() ? "" : as_json(id)) + R"("function":{)" + inside
           + "}}";
  };
  auto one = [&](std::string index, std::string id, std::string name, std::string arguments) {
    return "[" + part(index, id, name, arguments) + "]";
  };
  auto both = [&](const std::string& x, const std::string& y) { return "[" + x + "," + y + "]"; };
  auto x = [](std::string id, std::string arguments = R"({"x":1})") { return tool_call{id, "f", arguments, ""}; };
  struct {
    std::string_view what;
    std::vector<std::string> parts;
    calls expected;
  } table[] = {
    // indices
    {"another index with each part", {start, one("1", "", "", R"({"city":)"), one("2", "", "", R"( "Paris"})")}, paris},
    {"all arguments at the next index", {start, one("1", "", "", R"({"city": "Paris"})")}, paris},
    {"the last part at the next index",
     {one("0", "a", "get_weather", R"({"city":)"), one("1", "", "", R"( "Paris"})")},
     paris},
    {"the id again, another index",
     {start, one("1", "a", "", R"({"city":)"), one("2", "a", "", R"( "Paris"})")},
     paris},
    {"id and name again, another index",
     {start, one("1", "a", "get_weather", R"({"city":)"), one("2", "a", "get_weather", R"( "Paris"})")},
     paris},
    {"the name again, another index",
     {one("0", "a", "get_weather", R"({"city":)"), one("1", "", "get_weather", R"( "Paris"})")},
     paris},
    {"drifting, two calls",
     {one("0", "a", "f", ""), one("1", "", "", R"({"x":1})"), one("2", "b", "g", ""), one("3", "", "", R"({"y":2})")},
     two},
    {"drifting into the index of the next call",
     {one("0", "a", "f", ""), one("1", "", "", R"({"x":1})"), one("1", "b", "g", ""), one("2", "", "", R"({"y":2})")},
     two},
    {"all 0",
     {one("0", "a", "f", R"({"x")"), one("0", "", "", ":1}"), one("0", "b", "g", ""), one("0", "", "", R"({"y":2})")},
     two},
    {"all 0, the first call without arguments",
     {one("0", "a", "f", ""), one("0", "b", "g", ""), one("0", "", "", R"({"y":2})")},
     {x("a", "{}"), two[1]}},
    {"all 0, whole calls in one chunk",
     {both(part("0", "a", "f", R"({"x":1})"), part("0", "b", "g", R"({"y":2})"))},
     two},
    {"all 0, ids in each part, interleaved",
     {one("0", "a", "f", ""), one("0", "b", "g", ""), one("0", "a", "", R"({"x":1})"), one("0", "b", "", R"({"y":2})")},
     two},
    {"none",
     {one("", "a", "f", R"({"x")"), one("", "", "", ":1}"), one("", "b", "g", R"({"y")"), one("", "", "", ":2}")},
     two},
    {"texts",
     {one(R"("0")", "a", "f", R"({"x")"), one(R"("1")", "b", "g", R"({"y")"), one(R"("0")", "", "", ":1}"),
      one(R"("1")", "", "", ":2}")},
     two},
    {"negative",
     {one("-1", "a", "f", R"({"x")"), one("-2", "b", "g", R"({"y")"), one("-1", "", "", ":1}"),
      one("-2", "", "", ":2}")},
     two},
    {"all -1", {one("-1", "a", "f", R"({"x")"), one("-1", "", "", ":1}"), one("-1", "b", "g", R"({"y":2})")}, two},
    {"null, floats",
     {one("null", "a", "f", R"({"x":1})"), one("1.0", "b", "g", R"({"y")"), one("1", "", "", ":2}")},
     two},
    // ids
    {"another id with each part",
     {one("0", "a", "f", R"({"x")"), one("0", "q", "", ":1"), one("0", "r", "", "}")},
     {x("a")}},
    {"another id and the name again", {one("0", "a", "f", R"({"x")"), one("0", "q", "f", ":1}")}, {x("a")}},
    {"no ids",
     {one("0", "", "f", R"({"x":1})"), one("1", "", "g", R"({"y":2})")},
     {x("call_c1_0"), {"call_c1_1", "g", R"({"y":2})", ""}}},
    {"no ids, one index, other names",
     {one("0", "", "f", R"({"x":1})"), one("0", "", "g", R"({"y":2})")},
     {x("call_c1_0"), {"call_c1_1", "g", R"({"y":2})", ""}}},
    {"no ids, one index, other arguments",
     {one("0", "", "f", R"({"x":1})"), one("0", "", "f", R"({"x":2})")},
     {x("call_c1_0"), x("call_c1_1", R"({"x":2})")}},
    {"no ids, one chunk, the same call twice",
     {both(part("0", "", "f", R"({"x":1})"), part("0", "", "f", R"({"x":1})"))},
     {x("call_c1_0"), x("call_c1_1")}},
    {"one id for all",
     {one("0", "a", "f", R"({"x":1})"), one("1", "a", "g", R"({"y":2})"), one("2", "a", "f", R"({"x":3})")},
     {x("a"), {"call_c1_1", "g", R"({"y":2})", ""}, x("call_c1_2", R"({"x":3})")}},
    {"the id late", {one("0", "", "f", ""), one("0", "a", "", R"({"x":1})")}, {x("a")}},
    {"the id alone, then the name",
     {R"([{"index":0,"id":"a"}])", one("0", "", "f", ""), one("0", "", "", R"({"x":1})")},
     {x("a")}},
    // names
    {"the name again", {one("0", "a", "f", R"({"x")"), one("0", "a", "f", ":1}")}, {x("a")}},
    {"the name again, no ids",
     {one("0", "", "f", ""), one("0", "", "f", R"({"x")"), one("0", "", "f", ":1}")},
     {x("call_c1_0")}},
    {"a name in pieces",
     {one("0", "a", "get_", ""), one("0", "", "weather", ""), one("0", "", "", R"({"city": "Paris"})")},
     paris},
    {"a name in pieces, the id again",
     {one("0", "a", "get_", ""), one("0", "a", "weather", R"({"city": "Paris"})")},
     paris},
    {"a name that grows", {one("0", "a", "get_", ""), one("0", "a", "get_weather", R"({"city": "Paris"})")}, paris},
    // arguments told twice
    {"whole, then in parts",
     {one("0", "a", "f", R"({"x":1})"), one("0", "", "", R"({"x")"), one("0", "", "", ":1}")},
     {x("a")}},
    {"whole, then in parts, spelt otherwise",
     {one("0", "a", "f", R"({"x":1})"), one("0", "", "", R"({ "x": 1 })")},
     {x("a")}},
    {"in parts, then whole",
     {one("0", "a", "f", R"({"x")"), one("0", "", "", ":1}"), one("0", "a", "f", R"({"x":1})")},
     {x("a")}},
    {"all so far with each part",
     {one("0", "a", "f", "{"), one("0", "", "", R"({"x")"), one("0", "", "", R"({"x":)"),
      one("0", "", "", R"({"x":1})")},
     {x("a")}},
    {"an object within that begins like all",
     {one("0", "a", "f", R"({"x":)"), one("0", "", "", R"({"x":1})"), one("0", "", "", "}")},
     {x("a", R"({"x":{"x":1}})")}},
    {"an empty object, then the arguments",
     {one("0", "a", "f", "{}"), one("0", "", "", R"({"x")"), one("0", "", "", ":1}")},
     {x("a")}},
    {"null, then the arguments", {one("0", "a", "f", "null"), one("0", "", "", R"({"x":1})")}, {x("a")}},
    {"the arguments, then an empty object", {one("0", "a", "f", R"({"x":1})"), one("0", "", "", "{}")}, {x("a")}},
    {"encoded twice, in parts",
     {one("0", "a", "f", R"("{\"x)"), one("0", "", "", R"(\":1)"), one("0", "", "", R"(}")")},
     {x("a")}},
    {"half a character",
     {one("0", "a", "f", R"({"x":")"), R"([{"index":0,"function":{"arguments":"\ud83d"}}])",
      R"([{"index":0,"function":{"arguments":"\ude00\"}"}}])"},
     {x("a", "{\"x\":\"😀\"}")}},
    {"nothing, then a call", {"[{}]", R"([{"index":0}])", one("0", "a", "f", R"({"x":1})")}, {x("a")}},
    // what nobody can tell
    {"two calls wait, and the index is neither's",
     {one("0", "a", "f", ""), one("1", "b", "g", ""), one("2", "", "", R"({"x":1})")},
     undecided},
    {"two calls wait that began at once, no index",
     {both(part("", "a", "f", ""), part("", "b", "g", "")), one("", "", "", R"({"x":1})")},
     undecided},
    {"two calls are cut, no index",
     {one("", "a", "f", R"({"x")"), one("", "b", "g", R"({"y")"), one("", "", "", ":1}"), one("", "", "", ":2}")},
     undecided},
    {"parts for two calls, no index, and the first one is still empty",
     {one("", "a", "f", ""), one("", "b", "g", ""), one("", "", "", R"({"x":1})"), one("", "", "", R"({"y":2})")},
     undecided},
    {"parts for two calls under the first one's index",
     {one("0", "a", "f", ""), one("0", "", "", R"({"x":1})"), one("1", "b", "g", ""), one("0", "", "", R"({"y":2})")},
     undecided},
    {"the same arguments under the first one's index",
     {one("0", "a", "f", ""), one("0", "", "", R"({"x":1})"), one("1", "b", "f", ""), one("0", "", "", R"({"x":1})")},
     undecided},
    {"a name in pieces or two calls", {one("0", "", "get_", ""), one("0", "", "weather", "")}, undecided},
    {"one call twice or two calls", {one("0", "", "f", R"({"x":1})"), one("0", "", "f", R"({"x":1})")}, undecided},
    {"one call or two, with ids that change", {one("0", "a", "f", ""), one("0", "b", "f", R"({"x":1})")}, undecided},
    {"two versions of the arguments", {one("0", "a", "f", R"({"x":1})"), one("0", "", "", R"({"x":2})")}, undecided},
    {"no name at all", {one("0", "a", "", R"({"x":1})")}, undecided},
    {"the name behind the arguments", {one("0", "", "", R"({"x":1})"), one("0", "a", "f", "")}, undecided},
    {"another name in the middle", {one("0", "a", "f", R"({"x")"), one("0", "", "g", ":1}")}, undecided},
  };
  for (auto& row : table) {
    CAPTURE(row.what);
    check_stream(deltas(row.parts), openai::chat_api(), row.expected);
  }
}

TEST_CASE("the old form of a call is read as the new one", "[wire][calls]") {
  auto stream = [](const std::vector<std::string>& parts) {
    std::string body;
    for (auto& x : parts)
      body += delta(R"({"function_call":)" + x + "}");
    return body + event(R"({"choices":[{"index":0,"delta":{},"finish_reason":"function_call"}]})") + "data: [DONE]\n\n";
  };
  const calls one = {{"call_c1_0", "f", R"({"x":1})", ""}};
  for (auto& parts : std::vector<std::vector<std::string>>{
         {R"({"name":"f","arguments":"{\"x\":1}"})"},
         {R"({"name":"f","arguments":{"x":1}})"},
         {R"({"name":"f","arguments":"\"{\\\"x\\\":1}\""})"},
         {R"({"name":"f","arguments":""})", R"({"arguments":"{\"x\""})", R"({"arguments":":1}"})"},
         {R"({"name":"f","arguments":"{\"x\""})", R"({"name":"f","arguments":":1}"})"},
         {R"({"name":"f","arguments":"{\"x\":1}"})", R"({"arguments":"{\"x\":1}"})"},
       }) {
    CAPTURE(parts);
    check_stream(stream(parts), openai::compatible_chat_api(), one);
    if (parts.size() == 1)
      check_whole(message_answer(R"({"function_call":)" + parts[0] + "}"), openai::compatible_chat_api(), one);
  }
  check_stream(stream({R"({"name":"f","arguments":"null"})"}), openai::compatible_chat_api(),
               {{"call_c1_0", "f", "{}", ""}});
}

TEST_CASE("the calls of an anthropic stream keep their arguments", "[wire][calls][anthropic]") {
  const calls one = {{"a", "f", R"({"x":1})", ""}};
  const calls two = {{"a", "f", R"({"x":1})", ""}, {"b", "g", R"({"y":2})", ""}};
  auto stop = [](const std::string& index) { return R"({"type":"content_block_stop","index":)" + index + "}"; };
  struct {
    std::string_view what;
    std::vector<std::string> events;
    calls expected;
  } table[] = {
    {"input at the start alone", {block("0", "a", "f", R"({"x":1})"), stop("0")}, one},
    {"as a string", {block("0", "a", "f", as_json(R"({"x":1})")), stop("0")}, one},
    {"and again in deltas",
     {block("0", "a", "f", R"({"x":1})"), fragment("0", R"({"x")"), fragment("0", ":1}"), stop("0")},
     one},
    {"as a string, and again",
     {block("0", "a", "f", as_json(R"({"x":1})")), fragment("0", R"({"x":1})"), stop("0")},
     one},
    {"a string that is empty", {block("0", "a", "f", as_json("")), fragment("0", R"({"x":1})"), stop("0")}, one},
    {"the beginning twice", {block("0", "a", "f", "{}"), block("0", "a", "f", "{}"), fragment("0", R"({"x":1})")}, one},
    {"indices as texts",
     {block(R"("0")", "a", "f", "{}"), block(R"("1")", "b", "g", "{}"), fragment(R"("1")", R"({"y":2})"),
      fragment(R"("0")", R"({"x":1})")},
     two},
    {"another index", {block("0", "a", "f", "{}"), fragment("1", R"({"x")"), fragment("2", ":1}"), stop("0")}, one},
    {"no index",
     {block("null", "a", "f", "{}"), fragment("null", R"({"x":1})"), stop("null"), block("null", "b", "g", "{}"),
      fragment("null", R"({"y":2})")},
     two},
    {"a fragment behind the end", {block("0", "a", "f", "{}"), stop("0"), fragment("0", R"({"x":1})")}, {}},
    {"two calls wait", {block("0", "a", "f", "{}"), block("1", "b", "g", "{}"), fragment("2", R"({"x":1})")}, {}},
    {"two versions", {block("0", "a", "f", R"({"x":1})"), fragment("0", R"({"x":2})")}, {}},
  };
  for (auto& row : table) {
    CAPTURE(row.what);
    check_stream(anthropic_stream(row.events), anthropic::messages_api(), row.expected);
  }
}

TEST_CASE("calls that have one id are told apart", "[wire][calls]") {
  auto body = message_answer(R"({"tool_calls":[{"id":"a","function":{"name":"f","arguments":"{}"}},
    {"id":"a","function":{"name":"g","arguments":"{}"}}]})");
  check_whole(body, openai::chat_api(), {{"a", "f", "{}", ""}, {"call_c1_1", "g", "{}", ""}});
}

} // namespace modelforge::tool_calls_test
