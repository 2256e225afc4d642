#include "tests/wire/hear.hpp"

#include <catch2/catch_test_macros.hpp>

// Streams of the Responses API whose events do not say which item they belong to, or which say a thing in but one of
// the places where it is usual. Each thing comes out once.

namespace modelforge::responses_items_test {

using namespace modelforge::test;
using lines = std::vector<std::string>;

namespace {

enum class numbering { right, none, all_zero };

std::string quote(std::string_view text) {
  return modelforge::json::value(text).dump();
}

/// An event about the item of that number.
std::string event(std::string_view type, std::string_view more, int item, numbering how) {
  auto index =
    how == numbering::none ? std::string{} : R"(,"output_index":)" + std::to_string(how == numbering::right ? item : 0);
  return "data: {\"type\":\"response." + std::string{type} + "\"" + index + "," + std::string{more} + "}\n\n";
}

std::string piece(std::string_view type, std::string_view id, std::string_view what, int item, numbering how,
                  std::string_view member = "delta") {
  auto name = id.empty() ? std::string{} : R"("item_id":")" + std::string{id} + "\",";
  return event(type, name + '"' + std::string{member} + "\":" + quote(what), item, how);
}

const std::string thought =
  R"({"id":"rs_1","type":"reasoning","summary":[],"content":[{"type":"reasoning_text","text":"thinking"}]})";
const std::string message =
  R"({"id":"msg_1","type":"message","role":"assistant","content":[{"type":"output_text","text":"Hello"}]})";

std::string call(std::string_view name, std::string_view arguments, std::string_view id) {
  return R"({"type":"function_call","name":")" + std::string{name} + R"(","call_id":")" + std::string{id}
         + R"(","arguments":)" + quote(arguments) + "}";
}

std::string whole_item(std::string_view item, int place, numbering how, std::string_view type = "output_item.done") {
  return event(type, R"("item":)" + std::string{item}, place, how);
}

std::string completed(std::string_view output) {
  return R"(data: {"type":"response.completed","response":{"id":"resp_1","status":"completed","output":[)"
         + std::string{output} + R"(],"usage":{"input_tokens":3,"output_tokens":9}}})" + "\n\n";
}

const std::string one = R"({"x": 1})", two = R"({"y": 2})";

} // namespace

TEST_CASE("the items of a Responses stream are told apart without indices, and with wrong ones", "[wire][responses]") {
  for (auto how : {numbering::right, numbering::none, numbering::all_zero}) {
    CAPTURE(static_cast<int>(how));
    auto thinks = whole_item(R"({"id":"rs_1","type":"reasoning","summary":[]})", 0, how, "output_item.added")
                  + piece("reasoning_text.delta", "rs_1", "think", 0, how)
                  + piece("reasoning_text.delta", "rs_1", "ing", 0, how);
    auto says = [&](int place) {
      return whole_item(R"({"id":"msg_1","type":"message","content":[]})", place, how, "output_item.added")
             + piece("output_text.delta", "msg_1", "Hel", place, how)
             + piece("output_text.delta", "msg_1", "lo", place, how);
    };
    auto said = [&](int place) {
      return piece("output_text.done", "msg_1", "Hello", place, how, "text") + whole_item(message, place, how);
    };
    auto calls = [&](std::string_view name, std::string_view arguments, std::string_view id, int place) {
      return whole_item(call(name, "", id), place, how, "output_item.added")
             + piece("function_call_arguments.delta", id, arguments.substr(0, 5), place, how)
             + piece("function_call_arguments.delta", id, arguments.substr(5), place, how);
    };
    auto x = hear(thinks + says(1) + whole_item(thought, 0, how) + said(1) + completed(thought + "," + message),
                  openai::responses_api());
    CHECK(x.said == lines{"reasoning: think", "reasoning: ing", "text: Hel", "text: lo"});
    CHECK(x.good().warnings.empty());
    auto f = call("f", one, "fc_a"), g = call("g", two, "fc_b");
    x = hear(thinks + calls("f", one, "fc_a", 1) + whole_item(thought, 0, how) + whole_item(f, 1, how)
               + completed(thought + "," + f),
             openai::responses_api());
    CHECK(x.good().tool_calls == std::vector<tool_call>{{"fc_a", "f", one}});
    x = hear(calls("f", one, "fc_a", 0) + calls("g", two, "fc_b", 1) + whole_item(f, 0, how) + whole_item(g, 1, how)
               + completed(f + "," + g),
             openai::responses_api());
    CHECK(x.good().tool_calls == std::vector<tool_call>{{"fc_a", "f", one}, {"fc_b", "g", two}});
    x = hear(says(0) + calls("f", one, "fc_a", 1) + said(0) + whole_item(f, 1, how) + completed(message + "," + f),
             openai::responses_api());
    CHECK(x.words == "Hello");
    CHECK(x.good().tool_calls == std::vector<tool_call>{{"fc_a", "f", one}});
    // done events alone
    x = hear(whole_item(message, 0, how) + whole_item(f, 1, how) + whole_item(g, 2, how) + completed(""),
             openai::responses_api());
    CHECK(x.words == "Hello");
    CHECK(x.good().tool_calls == std::vector<tool_call>{{"fc_a", "f", one}, {"fc_b", "g", two}});
    // without ids of items
    x =
      hear(whole_item(call("f", "", "fc_a"), 0, how, "output_item.added")
             + piece("function_call_arguments.delta", "", one, 0, how) + whole_item(f, 0, how)
             + whole_item(call("g", "", "fc_b"), 1, how, "output_item.added")
             + piece("function_call_arguments.delta", "", two, 1, how) + whole_item(g, 1, how) + completed(f + "," + g),
           openai::responses_api());
    CHECK(x.good().tool_calls == std::vector<tool_call>{{"fc_a", "f", one}, {"fc_b", "g", two}});
  }
}

TEST_CASE("what a Responses stream says in one place alone is heard, and once", "[wire][responses]") {
  constexpr auto how = numbering::right;
  auto begun = whole_item(R"({"id":"msg_1","type":"message","content":[]})", 0, how, "output_item.added");
  auto part = event("content_part.done",
                    R"("item_id":"msg_1","content_index":0,"part":{"type":"output_text","text":"Hello"})", 0, how);
  auto text_done = piece("output_text.done", "msg_1", "Hello", 0, how, "text");
  auto delta = piece("output_text.delta", "msg_1", "Hello", 0, how);
  for (auto& body :
       {begun + text_done + completed(""), begun + part + completed(""), text_done + completed(""),
        begun + text_done + part + whole_item(message, 0, how) + completed(message), completed(message),
        begun + delta + text_done + part + completed(""), begun + completed(message),
        begun + piece("output_text.delta", "msg_1", "Hel", 0, how) + text_done + completed(message),
        begun + piece("output_text.delta", "msg_1", "Hel", 0, how) + completed(message),
        completed(R"({"type":"message","content":"Hello"})"),
        completed(R"({"type":"message","content":{"type":"output_text","text":"Hello"}})"),
        completed(R"({"type":"message","content":["Hel","lo"]})"),
        std::string{R"(data: {"type":"response.completed","response":{"status":"completed","output_text":"Hello"}})"}
          + "\n\n"}) {
    CAPTURE(body);
    auto x = hear(body, openai::responses_api());
    CHECK(x.good().warnings.empty());
    CHECK(x.words == "Hello");
    check_cuts(body, openai::responses_api());
  }
  auto other =
    hear(begun + delta + completed(R"({"id":"msg_1","type":"message","content":"Good day"})"), openai::responses_api());
  CHECK(other.words == "Hello");
  CHECK(other.good().warnings.size() == 1);
  auto thinks =
    hear(piece("reasoning_summary_text.done", "rs_1", "hm", 0, how, "text") + completed(""), openai::responses_api());
  CHECK(thinks.said == lines{"reasoning: hm"});
  auto declines =
    hear(piece("refusal.done", "msg_1", "No.", 0, how, "refusal") + completed(""), openai::responses_api());
  CHECK(declines.said == lines{"refusal: No."});
  CHECK(declines.good().finish_reason == finish_reason::refusal);
}

TEST_CASE("the calls of a Responses stream keep their arguments", "[wire][responses][calls]") {
  constexpr auto how = numbering::right;
  auto begun = whole_item(call("f", "", "a"), 0, how, "output_item.added");
  auto whole = piece("function_call_arguments.done", "a", one, 0, how, "arguments");
  auto first = piece("function_call_arguments.delta", "a", R"({"x":)", 0, how);
  auto rest = piece("function_call_arguments.delta", "a", " 1}", 0, how);
  for (auto& body :
       {begun + whole + completed(""), begun + first + whole + completed(""),
        begun + first + rest + whole + whole_item(call("f", one, "a"), 0, how) + completed(call("f", one, "a")),
        begun + completed(call("f", one, "a")), completed(call("f", quote(one), "a")),
        whole_item(call("f", one, "a"), 0, how, "output_item.added") + completed(""),
        whole_item(call("f", one, "a"), 0, how, "output_item.added") + first + rest + completed(""),
        first + rest + whole_item(call("f", one, "a"), 0, how) + completed(""),
        begun + first + rest + whole_item(call("f", "{}", "a"), 0, how) + completed("")}) {
    CAPTURE(body);
    auto x = hear(body, openai::responses_api());
    CHECK(x.good().tool_calls == std::vector<tool_call>{{"a", "f", one}});
    check_cuts(body, openai::responses_api());
  }
  auto second = whole_item(call("g", "", "b"), 1, how, "output_item.added");
  auto lost = event("function_call_arguments.delta", R"("delta":"{}")", 0, numbering::none);
  for (auto& body : {begun + first + rest + whole_item(call("f", two, "a"), 0, how) + completed(""),
                     begun + second + lost + completed(""), first + rest + completed("")}) {
    CAPTURE(body);
    CHECK(hear(body, openai::responses_api()).bad().code == errc::invalid_response);
  }
  auto free = R"({"type":"custom_tool_call","call_id":"c","name":"f","input":"free text"})";
  auto x = hear(whole_item(R"({"type":"custom_tool_call","id":"i","call_id":"c","name":"f","input":""})", 0, how,
                           "output_item.added")
                  + piece("custom_tool_call_input.delta", "i", "free", 0, how)
                  + piece("custom_tool_call_input.done", "i", "free text", 0, how, "input") + whole_item(free, 0, how)
                  + completed(free),
                openai::responses_api());
  CHECK(x.good().tool_calls == std::vector<tool_call>{{"c", "f", "free text"}});
}

TEST_CASE("an item that ends incomplete leaves the answer unclear, wherever it is told", "[wire][responses]") {
  const std::string cut =
    R"({"type":"message","status":"incomplete","content":[{"type":"output_text","text":"Hello"}]})";
  for (auto& body : {whole_item(cut, 0, numbering::right) + completed(""), completed(cut),
                     whole_item(cut, 0, numbering::right) + completed(cut)}) {
    CAPTURE(body);
    auto x = hear(body, openai::responses_api());
    CHECK(x.words == "Hello");
    CHECK(x.good().flaw == answer_flaw::unclear);
  }
}

} // namespace modelforge::responses_items_test
