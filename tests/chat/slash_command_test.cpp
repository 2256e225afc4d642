#include "tools/chat/slash_command.hpp"

#include <catch2/catch_test_macros.hpp>

#include <optional>

namespace modelforge::slash_command_test {

// What is typed in a session: questions, commands, and inputs of several lines.

using namespace modelforge::chat;

TEST_CASE("what begins with a slash is a command, or told to be none", "[chat]") {
  struct row {
    std::string typed;
    std::variant<question_text, slash_command, std::string> meant; ///< The last: a part of what is told.
  };
  for (auto& [typed, meant] : std::vector<row>{
         {"Why?", question_text{"Why?"}},
         {"  indented\n", question_text{"  indented\n"}},
         {"1/2", question_text{"1/2"}},
         {"//etc/passwd has what?", question_text{"/etc/passwd has what?"}},
         {"/help", slash_command{slash_verb::help, ""}},
         {"/?", slash_command{slash_verb::help, ""}},
         {" /exit ", slash_command{slash_verb::exit, ""}},
         {"/quit", slash_command{slash_verb::exit, ""}},
         {"/model", slash_command{slash_verb::model, ""}},
         {"/model  gpt-4o ", slash_command{slash_verb::model, "gpt-4o"}},
         {"/system You are\nbrief.", slash_command{slash_verb::system, "You are\nbrief."}},
         {"/system\nYou", slash_command{slash_verb::system, "You"}},
         {"/file a b.txt", slash_command{slash_verb::file, "a b.txt"}},
         {"/file", std::string{"/file PATH"}},
         {"/think on", slash_command{slash_verb::think, "on"}},
         {"/think maybe", std::string{"on or off"}},
         {"/retry now", std::string{"takes no argument"}},
         {"/modle x", std::string{"did you mean /model?"}},
         {"/etc/passwd", std::string{"write two"}},
         {"/", std::string{"no command /"}},
       }) {
    INFO(typed);
    auto read = read_input(typed);
    if (auto* told = std::get_if<std::string>(&meant)) {
      auto* problem = std::get_if<input_problem>(&read);
      REQUIRE(problem != nullptr);
      CHECK(problem->text.find(*told) != std::string::npos);
    } else if (auto* question = std::get_if<question_text>(&meant)) {
      CHECK(read == decltype(read){*question});
    } else {
      CHECK(read == decltype(read){std::get<slash_command>(meant)});
    }
  }
}

TEST_CASE("the help has every command", "[chat]") {
  for (auto& word : slash_words()) {
    INFO(word);
    CHECK(slash_help().find("  " + word + " ") != std::string::npos);
    CHECK_FALSE((std::holds_alternative<question_text>(read_input(word))));
  }
}

TEST_CASE("lines are put together between quotes and behind backslashes", "[chat]") {
  struct row {
    std::vector<std::string> lines;
    std::optional<std::string> input; ///< Empty: more is to come.
  };
  for (auto& [lines, input] : std::vector<row>{
         {{"one"}, "one"},
         {{""}, ""},
         {{"one\\", "two"}, "one\ntwo"},
         {{"one\\", "\\", "three"}, "one\n\nthree"},
         {{"C:\\\\"}, "C:\\\\"},
         {{"\"\"\"", "one", "", "two", "\"\"\""}, "one\n\ntwo"},
         {{"\"\"\"one", "two\"\"\" "}, "one\ntwo"},
         {{"  \"\"\"one\"\"\""}, "one"},
         {{"\"\"\"", "\"\"\""}, ""},
         {{"\"\"\"\"\"\""}, ""},
         {{"\"\"\"", "back\\", "\"\"\"x", "\"\"\""}, "back\\\n\"\"\"x"},
         {{"pasted\nlines"}, "pasted\nlines"},
         {{"one\\"}, {}},
         {{"\"\"\"", "one"}, {}},
       }) {
    line_composer composer;
    auto state = line_composer::state::open;
    for (auto& line : lines) {
      CHECK(composer.is_open() == (&line != &lines.front()));
      state = composer.feed(line);
    }
    INFO(lines.front());
    CHECK((state == line_composer::state::complete) == input.has_value());
    if (input)
      CHECK(composer.take() == *input);
    composer.reset();
    CHECK_FALSE(composer.is_open());
    CHECK(composer.feed("next") == line_composer::state::complete);
    CHECK(composer.take() == "next");
  }
}

} // namespace modelforge::slash_command_test
