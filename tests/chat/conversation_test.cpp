#include "tools/chat/conversation.hpp"

#include <catch2/catch_test_macros.hpp>

#include <random>

namespace modelforge::conversation_test {

// Conversations as files: what goes in comes out, people's changes are taken, and damage is told by its line.

using namespace modelforge::chat;

namespace {

turn turn_of(const std::string& question, const std::string& answer, const std::string& flaw = {}) {
  return {text_message(role::user, question), "2026-11-30 22:46:12 UTC", {answer, "main", "gpt-4o", flaw}};
}

conversation read_good(const std::string& text) {
  auto result = read(text);
  if (auto* problem = std::get_if<std::string>(&result))
    FAIL(*problem << " in\n" << text);
  return std::get<conversation>(result);
}

const std::string head = "# A\n\n<!-- modelforge conversation, version 1 -->\n\n";

} // namespace

TEST_CASE("a conversation is Markdown that people can read", "[chat]") {
  conversation x{"", "Be brief.", {turn_of("Why is the sky blue?", "It scatters.", "interrupted")}};
  CHECK(write(x) == R"(# Why is the sky blue?

<!-- modelforge conversation, version 1 -->

## System

Be brief.

## Question (2026-11-30 22:46:12 UTC)

Why is the sky blue?

## Answer (main: gpt-4o, interrupted)

It scatters.
)");
}

TEST_CASE("a conversation comes back from its file as it was", "[chat]") {
  for (std::string text :
       {"plain", "two\nlines", "\n\nblank lines around\n\n\n", "## System", "## Question (x)\n\\## Answer",
        "\\\\## Answer", "# a heading\n## Systems\n```c\nint x;\n```", "![image](http://x/y.png)", "\r\nCR\r",
        "tab\there \xE2\x82\xAC", "<!-- modelforge conversation, version 9 -->"}) {
    INFO(text);
    conversation x{"A title", text, {turn_of(text, text), turn_of(text, text, "broken off"), turn_of("q", text)}};
    CHECK(read_good(write(x)) == x);
  }
}

TEST_CASE("a conversation of any texts comes back as it was", "[chat]") {
  auto seed = std::random_device{}();
  INFO("seed " << seed);
  std::mt19937 random{seed};
  const std::vector<std::string> pieces{"\n", "\\", "## Answer", "## Question (", "## System", ")", "![image](",
                                        "a",  " ",  "\r"};
  for (int round = 0; round < 500; ++round) {
    auto text = [&] {
      std::string result;
      for (auto n = random() % 8 + 1; n > 0; --n)
        result += pieces[random() % pieces.size()];
      return result;
    };
    conversation x{"T", text(), {turn_of(text(), text()), turn_of(text(), text())}};
    REQUIRE(read_good(write(x)) == x);
  }
}

TEST_CASE("a conversation keeps images, with a text and without", "[chat]") {
  turn one = turn_of("What is it?", "A river."), two = turn_of("x", "Two of them.");
  one.question.content.push_back(image_part{"", "image/png", "iVBORw0KGgo=", ""});
  two.question.content = {image_part{"https://example.com/a.png", "", "", ""},
                          image_part{"", "image/gif", "R0lGOA==", ""}};
  conversation x{"T", "", {one, two}};
  CHECK(read_good(write(x)) == x);
  CHECK(write(x).find("![image](data:image/png;base64,iVBORw0KGgo=)") != std::string::npos);
}

TEST_CASE("a conversation may be edited by hand", "[chat]") {
  auto x = read_good(head + "## Question\nWhy?\n## Answer\n\nSo.\n\n\n");
  REQUIRE(x.turns.size() == 1);
  CHECK(text_of(x.turns[0].question) == "Why?");
  CHECK(x.turns[0].answer.text.starts_with("So."));
  CHECK(x.turns[0].answer.model.empty());
  CHECK(read_good(head).turns.empty());
}

TEST_CASE("a damaged conversation is refused by the line", "[chat]") {
  struct row {
    std::string text, told;
  };
  for (auto& [text, told] : std::vector<row>{
         {"", "is not a conversation"},
         {"# Notes\n\nsome text\n", "is not a conversation"},
         {"# A\n<!-- modelforge conversation, version 2 -->\n", "newer version"},
         {"# A\n<!-- modelforge conversation, version 12 -->\n", "newer version"},
         {head + "## Answer\n\nx\n", "line 5: an answer without a question"},
         {head + "## Question\n\nx\n", "line 5: a question without an answer"},
         {head + "## Question\n\nx\n\n## Question\n\ny\n\n## Answer\n\nz\n", "line 5: a question without"},
         {head + "## Question\n\n\n\n## Answer\n\nz\n", "line 5: an empty question"},
         {head + "## Question\n\nx\n\n## Answer\n\nz\n\n## System\n\nlate\n",
          "line 13: the system prompt must come first"},
         {head + "## System\n\n![image](http://x)\n", "line 7: an image"},
         {head + "## Question\n\n![image](data:nothing)\n", "line 7: an image"},
       }) {
    INFO(text);
    auto result = read(text);
    auto* problem = std::get_if<std::string>(&result);
    REQUIRE(problem != nullptr);
    INFO(*problem);
    CHECK(problem->find(told) != std::string::npos);
  }
}

TEST_CASE("names of models that are no names break no file", "[chat]") {
  conversation x{"T", "", {turn_of("q", "a")}};
  x.turns[0].answer.model = "evil\n## Question\n";
  CHECK(read_good(write(x)).turns.size() == 1);
  x.title = "two\nlines";
  CHECK(write(x).starts_with("# two\n\n"));
  x.title.clear();
  x.turns[0].question = text_message(role::user, std::string(100, 'x') + "\x1b[31m");
  CHECK(title_of(x) == std::string(60, 'x') + "...");
}

TEST_CASE("a conversation keeps what was seen of an answer, and why it may not be all", "[chat]") {
  struct row {
    std::string text;
    std::optional<answer_flaw> flaw;
    std::optional<errc> failure;
    std::optional<std::string> kept;
  };
  for (auto& [text, flaw, failure, kept] : std::vector<row>{
         {"all", answer_flaw::none, {}, ""},
         {"beg", answer_flaw::cut, {}, "cut"},
         {"sorry", answer_flaw::blocked, {}, "blocked"},
         {"all?", answer_flaw::unclear, {}, "unclear"},
         {"", answer_flaw::blocked, {}, {}},
         {"", answer_flaw::empty, {}, {}},
         {" \n", answer_flaw::none, {}, {}},
         {"beg", {}, errc::cancelled, "interrupted"},
         {"beg", {}, errc::stream_interrupted, "broken off"},
         {"beg", {}, errc::deadline_exceeded, "broken off"},
         {"", {}, errc::cancelled, {}},
         {"", {}, errc::authentication, {}},
       }) {
    INFO(text);
    auto result = answer_to_keep({text, flaw, failure, "main", "gpt-4o"});
    REQUIRE(result.has_value() == kept.has_value());
    if (kept) {
      CHECK(*result == kept_answer{text, "main", "gpt-4o", *kept});
      conversation x{"T", "", {{text_message(role::user, "q"), "", *result}}};
      CHECK(read_good(write(x)) == x);
    }
  }
}

TEST_CASE("a provider gets questions and answers in turn", "[chat]") {
  auto messages = messages_of({"", "Be brief.", {turn_of("a", "b"), turn_of("c", "d", "cut")}});
  std::string roles;
  for (auto& message : messages)
    roles += std::string{name_of(message.role)} + ":" + text_of(message) + " ";
  CHECK(roles == "system:Be brief. user:a assistant:b user:c assistant:d ");
  CHECK(messages_of({}).empty());
}

} // namespace modelforge::conversation_test
