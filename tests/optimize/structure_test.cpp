#include "optimize/strategies.hpp"

#include <catch2/catch_test_macros.hpp>

#include <vector>

namespace modelforge::structure_test {

using namespace modelforge::optimize;

namespace {

/// About 1.2 tokens a word.
std::string words(std::size_t count) {
  std::string result;
  for (std::size_t i = 0; i < count; ++i)
    result += "station ";
  return result;
}

chat_request request_of(std::vector<chat_message> messages, std::string model = "claude-sonnet-4-5") {
  chat_request x;
  x.model = std::move(model);
  x.messages = std::move(messages);
  return x;
}

chat_message call(const std::string& id) {
  return {role::assistant, {tool_call{id, "look", "{}"}}, {}};
}

chat_message result(const std::string& id, std::string text) {
  return {role::tool, {tool_result{id, std::move(text)}}, {}};
}

/// Where the marks are: "tools[0] m0.1" for messages[0].content[1].
std::string marks(const chat_request& x) {
  std::string all;
  auto add = [&](const std::string& place) { all += (all.empty() ? "" : " ") + place; };
  for (std::size_t i = 0; i < x.tools.size(); ++i)
    if (x.tools[i].cache)
      add("tools[" + std::to_string(i) + "]");
  for (std::size_t i = 0; i < x.messages.size(); ++i)
    for (std::size_t k = 0; k < x.messages[i].content.size(); ++k)
      std::visit(
        [&](auto& part) {
          if constexpr (requires { part.cache; })
            if (part.cache)
              add("m" + std::to_string(i) + "." + std::to_string(k));
        },
        x.messages[i].content[k]);
  return all;
}

std::vector<std::string> texts(const chat_message& x) {
  std::vector<std::string> all;
  for (auto& part : x.content)
    all.push_back(std::holds_alternative<text_part>(part) ? std::get<text_part>(part).text : "?");
  return all;
}

} // namespace

TEST_CASE("static parts come first where the provider looks for equal prefixes itself", "[optimize]") {
  struct one {
    std::vector<std::string> parts, then;
    bool changes = true;
  };
  const std::vector<one> cases = {
    {{"It is Monday.\n<<STATIC>>\nrules\n<<DYNAMIC>>\nquestion"}, {"rules\nIt is Monday.\nquestion"}},
    {{"Hi. <<STATIC>>Rules.<<DYNAMIC>>Question"}, {"Rules.\nHi. Question"}},
    {{"Hi.<<STATIC>>Rules."}, {"Rules.\nHi.\n"}},
    {{"one", "<<STATIC>>two<<DYNAMIC>>", "three"}, {"two\n", "one\n", "three"}},
    {{"<<STATIC>>rules<<DYNAMIC>>question"}, {}, false}, // as it is: the markers go in the end
    {{"rules<<DYNAMIC>>question"}, {}, false},
    {{"Hi. <<STATIC>>"}, {}, false},
    {{"<<DYNAMIC>>a<<STATIC>>b"}, {}, false},
    {{"no markers"}, {}, false},
  };
  for (auto& x : cases) {
    INFO(x.parts[0]);
    chat_message message;
    for (auto& text : x.parts)
      message.content.push_back(text_part{text});
    auto request = request_of({message});
    auto before = request;
    CHECK(plain_structure()->apply(request).has_value() == x.changes);
    if (x.changes)
      CHECK(texts(request.messages[0]) == x.then);
    else
      CHECK(request == before);
  }
}

TEST_CASE("static parts are marked if they are long enough for us and for the model", "[optimize]") {
  struct one {
    std::string model;
    std::size_t length; ///< Words of 8 characters.
    uint32_t min_length, min_tokens;
    bool is_marked;
  };
  const std::vector<one> cases = {
    {"claude-sonnet-4-5", 2000, 1024, 0, true},   {"claude-sonnet-4-5", 500, 1024, 0, false},
    {"claude-opus-5", 700, 1024, 0, true},        {"claude-opus-4-7", 1200, 1024, 0, false},
    {"claude-opus-4-7", 2500, 1024, 0, true},     {"claude-haiku-4-5", 2500, 1024, 0, false},
    {"claude-haiku-4-5", 5000, 1024, 0, true},    {"claude-of-tomorrow", 2000, 1024, 0, true},
    {"claude-sonnet-4-5", 2000, 20000, 0, false}, {"claude-sonnet-4-5", 500, 1024, 256, true},
    {"claude-opus-5", 2000, 1024, 8192, false},
  };
  for (auto& x : cases) {
    INFO(x.model << " " << x.length);
    auto stable = words(x.length);
    auto request = request_of({text_message(role::user, "<<STATIC>>" + stable + "<<DYNAMIC>>question")}, x.model);
    auto before = request;
    auto told = marked_structure(x.min_length, x.min_tokens)->apply(request);
    CHECK(told.has_value() == x.is_marked);
    if (x.is_marked) {
      CHECK(texts(request.messages[0]) == std::vector<std::string>{stable, "question"});
      CHECK(marks(request) == "m0.0");
    } else {
      CHECK(request == before);
    }
  }
}

TEST_CASE("what stands ahead of a static part goes behind it, marked or not", "[optimize]") {
  auto request = request_of({text_message(role::user, "Monday. <<STATIC>>rules <<DYNAMIC>>question")});
  CHECK(marked_structure(1024, 0)->apply(request) == "static part first in messages[0]");
  CHECK(texts(request.messages[0]) == std::vector<std::string>{"rules ", "Monday. ", "question"});
  CHECK(marks(request).empty());
}

TEST_CASE("a static part counts with all that stands ahead of it in the prompt", "[optimize]") {
  auto request = request_of({text_message(role::user, "<<STATIC>>" + words(200) + "<<DYNAMIC>>question"),
                             text_message(role::system, words(2000))});
  CHECK(marked_structure(1024, 0)->apply(request));
  CHECK(marks(request) == "m0.0");
}

TEST_CASE("no more than four static parts are marked", "[optimize]") {
  std::vector<chat_message> messages(6, text_message(role::user, "<<STATIC>>" + words(2000) + "<<DYNAMIC>>question"));
  auto request = request_of(messages);
  CHECK(marked_structure(1024, 0)->apply(request));
  CHECK(marks(request) == "m0.0 m1.0 m2.0 m3.0");
}

TEST_CASE("without markers, tools, system prompt and stable turns are marked", "[optimize]") {
  auto system = text_message(role::system, words(2000));
  auto user = [](std::size_t length) { return text_message(role::user, words(length)); };
  auto assistant = text_message(role::assistant, "Sure.");
  struct one {
    std::string what;
    std::vector<chat_message> messages;
    std::string marks;
  };
  const std::vector<one> cases = {
    {"a first question is new", {user(5000)}, ""},
    {"a system prompt may come again", {system, user(10)}, "m0.0"},
    {"a short one is not worth it", {text_message(role::system, "Be brief."), user(10)}, ""},
    {"what was said stays", {system, user(10), assistant, user(10)}, "m0.0 m2.0"},
    {"and the turn before it was marked",
     {system, user(10), assistant, user(10), assistant, user(10)},
     "m0.0 m2.0 m4.0"},
    {"however long it is",
     {system, user(10), assistant, user(10), assistant, user(10), assistant, user(10)},
     "m0.0 m4.0 m6.0"},
    {"what a tool said goes back", {system, user(10), call("a"), result("a", "x")}, "m0.0 m3.0"},
    {"results of one turn are one",
     {system, user(10), call("a"), result("a", "x"), call("b"), result("b", "x"), result("b2", "x")},
     "m0.0 m3.0 m6.0"},
    {"a tool's loop that has ended",
     {system, user(10), call("a"), result("a", "x"), assistant, user(10)},
     "m0.0 m3.0 m4.0"},
    {"a call itself cannot be marked", {user(5000), call("a"), user(10)}, "m0.0"},
    {"turns that are long without a system prompt", {user(3000), assistant, user(10)}, "m1.0"},
    {"instructions come first wherever they stand", {user(10), assistant, user(10), system}, "m1.0 m3.0"},
  };
  for (auto& x : cases) {
    INFO(x.what);
    auto request = request_of(x.messages);
    auto told = marked_structure(1024, 0)->apply(request);
    CHECK(marks(request) == x.marks);
    CHECK(told.has_value() == !x.marks.empty());
  }
}

TEST_CASE("a conversation's next request has a mark where the last one had its own", "[optimize]") {
  std::vector<chat_message> messages = {text_message(role::user, words(2000))};
  std::string latest;
  for (int turn = 0; turn < 6; ++turn) {
    auto is_call = turn % 2 == 0;
    messages.push_back(is_call ? call("c" + std::to_string(turn)) : text_message(role::assistant, "Well."));
    messages.push_back(is_call ? result("c" + std::to_string(turn), "x") : text_message(role::user, "And then?"));
    auto request = request_of(messages);
    CHECK(marked_structure(1024, 0)->apply(request));
    auto all = marks(request);
    INFO(all);
    CHECK(all.find(latest) != all.npos);
    latest = all.substr(all.rfind(' ') + 1);
  }
}

TEST_CASE("the last tool is marked for all of them", "[optimize]") {
  auto request = request_of({text_message(role::system, "Be brief."), text_message(role::user, "hi")});
  request.tools = {{"one", words(1000), "{}"}, {"two", words(1000), "{}"}};
  auto told = marked_structure(1024, 0)->apply(request);
  CHECK(marks(request) == "tools[1] m0.0");
  REQUIRE(told);
  CHECK(told->starts_with("marked for the cache: the tools (about "));
}

TEST_CASE("a host's own marks stay alone", "[optimize]") {
  auto request = request_of({text_message(role::system, words(2000)), text_message(role::user, "hi")});
  SECTION("beside no markers") {
    request.messages[1].content.push_back(text_part{"x", true});
  }
  SECTION("on a tool") {
    request.tools = {{"one", "", "{}", false, true}};
  }
  SECTION("beside markers") {
    request.messages[1] = {
      role::user, {text_part{"<<STATIC>>" + words(2000) + "<<DYNAMIC>>x"}, text_part{"y", true}}, {}};
  }
  auto before = request;
  CHECK_FALSE(marked_structure(1024, 0)->apply(request));
  CHECK(request == before);
}

} // namespace modelforge::structure_test
