#include "tests/cli/session_fixture.hpp"
#include "tests/support/terminal.hpp"

#include <catch2/catch_test_macros.hpp>

#include <csignal>
#include <filesystem>

namespace modelforge::chat_signals_test {

// What interrupts `modelforge chat` at a terminal: keys, signals, and the terminal's end.

using namespace modelforge::test;

namespace {

using strings = std::vector<std::string>;

} // namespace

TEST_CASE_METHOD(session_test, "Ctrl-C ends the answer and not the session, and what came stays", "[cli][session]") {
  for (std::string term : {"xterm", "dumb"}) {
    INFO(term);
    std::filesystem::remove_all(folder.path(".local"));
    terminal user{at_terminal({}, term)};
    REQUIRE(user.shows("m> "));
    user.type("stall\r");
    REQUIRE(user.shows("answer "));
    user.type("\x03");
    REQUIRE(user.shows("(interrupted; what came is kept"));
    CHECK_FALSE(contains(user.screen(), "error"));
    REQUIRE(user.shows("m> "));
    CHECK(contains(only_kept(), ", interrupted)\n\nanswer "));
    user.type("typed in vain\x03");
    REQUIRE(user.shows("/exit"));
    REQUIRE(user.shows("m> "));
    user.type("stall again\r");
    REQUIRE(user.shows("answer "));
    user.type("\x03");
    REQUIRE(user.shows("m> "));
    user.type("fine\r");
    REQUIRE(user.shows("answer "));
    CHECK(sent().size() == 5);
    CHECK(sent().back() == "user: fine");
    REQUIRE(user.shows("m> "));
    user.signal(SIGTERM);
    CHECK(user.wait() == 130);
  }
}

TEST_CASE_METHOD(session_test, "a session goes on where Ctrl-Z has left it", "[cli][session]") {
  for (std::string term : {"xterm", "dumb"}) {
    INFO(term);
    auto options = at_terminal({}, term);
    options.arguments = {"/bin/bash", "--norc", "-i"};
    options.environment.push_back("PS1=shell: ");
    terminal user{options};
    REQUIRE(user.shows("shell: "));
    user.type(program() + " chat --no-history -c " + config + "\r");
    REQUIRE(user.shows("m> "));
    for (std::string part : {"one", "two"}) {
      user.type(part);
      REQUIRE(user.shows(part));
      user.type("\x1a");
      REQUIRE(user.shows("Stopped"));
      REQUIRE(user.shows("shell: "));
      user.type("fg\r");
      REQUIRE(user.shows("m> "));
    }
    user.type("three\r");
    REQUIRE(user.shows("answer "));
    CHECK(sent().back() == (term == "xterm" && has_editor ? "user: onetwothree" : "user: three"));
    REQUIRE(user.shows("m> "));
    user.type("/exit\r");
    REQUIRE(user.shows("shell: "));
  }
}

TEST_CASE_METHOD(session_test, "what came is kept where the terminal is closed in mid-answer", "[cli][session]") {
  struct row {
    strings more; ///< With the question: one answer, without a session.
    std::string term;
    bool twice; ///< The signal comes again, as from a shell that ends.
  };
  for (auto& [more, term, twice] : std::vector<row>{
         {{}, "xterm", false}, {{}, "dumb", true}, {{"stall"}, "xterm", false}, {{"stall"}, "dumb", true}}) {
    INFO(more.size() << " " << term);
    std::filesystem::remove_all(folder.path(".local"));
    terminal user{at_terminal(more, term)};
    if (more.empty()) {
      REQUIRE(user.shows("m> "));
      user.type("stall\r");
    }
    REQUIRE(user.shows("answer "));
    if (twice)
      user.signal(SIGHUP);
    user.hang_up();
    CHECK(user.wait() == 130);
    CHECK(contains(only_kept(), ", interrupted)\n\nanswer "));
  }
  terminal user{at_terminal()};
  REQUIRE(user.shows("m> "));
  user.hang_up();
  CHECK(user.wait() == 130);
}

TEST_CASE_METHOD(session_test, "a session under nohup goes on at SIGHUP", "[cli][session]") {
  auto options = at_terminal();
  options.arguments.insert(options.arguments.begin(), {"/bin/sh", "-c", "trap '' HUP; exec \"$@\"", "sh"});
  terminal user{options};
  REQUIRE(user.shows("m> "));
  user.signal(SIGHUP);
  user.type("fine\r");
  REQUIRE(user.shows("answer 1"));
  REQUIRE(user.shows("m> "));
  user.type("\x04");
  CHECK(user.wait() == 0);
}

} // namespace modelforge::chat_signals_test
