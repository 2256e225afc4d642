#include "tests/cli/session_fixture.hpp"
#include "tests/support/terminal.hpp"

#include <catch2/catch_test_macros.hpp>

#include <nlohmann/json.hpp>

#include <csignal>
#include <filesystem>
#include <mutex>
#include <sys/stat.h>

namespace modelforge::chat_session_test {

// `modelforge chat` at a terminal: what its user types and sees, what the provider gets, and what is kept.

using namespace modelforge::test;
using json = nlohmann::json;

namespace {

using strings = std::vector<std::string>;

} // namespace

// The editor and the plain lines of a terminal that is too simple for it.
TEST_CASE_METHOD(session_test, "chat at a terminal is a conversation that is kept", "[cli][session]") {
  for (std::string term : {"xterm", "dumb"}) {
    INFO(term);
    std::filesystem::remove_all(folder.path(".local"));
    terminal user{at_terminal({"--system", "Be brief."}, term)};
    auto before = count();
    REQUIRE(user.shows("m> "));
    user.type("first\r");
    REQUIRE(user.shows("answer " + std::to_string(before + 1)));
    REQUIRE(user.shows("m> "));
    user.type("second\r");
    REQUIRE(user.shows("answer " + std::to_string(before + 2)));
    CHECK(sent()
          == strings{"system: Be brief.", "user: first", "assistant: answer " + std::to_string(before + 1),
                     "user: second"});
    REQUIRE(user.shows("m> "));
    user.type("\x04");
    REQUIRE(user.shows("--continue"));
    CHECK(user.wait() == 0);
    auto text = only_kept();
    for (std::string part : {"## System\n\nBe brief.", "first", "second", "(test: m)\n\nanswer "})
      CHECK(contains(text, part));
    for (auto& path : {kept()[0], folder.path(".local/state/modelforge/chat_inputs")}) {
      struct stat info {};
      REQUIRE(stat(path.c_str(), &info) == 0);
      CHECK((info.st_mode & 0777) == 0600);
    }
  }
}

TEST_CASE_METHOD(session_test, "a question without an answer is not kept, but can be asked again", "[cli][session]") {
  terminal user{at_terminal()};
  REQUIRE(user.shows("m> "));
  user.type("refuse me\r");
  REQUIRE(user.shows("wrong key"));
  REQUIRE(user.shows("/retry"));
  REQUIRE(user.shows("m> "));
  CHECK(kept().empty());
  user.type("good\r");
  REQUIRE(user.shows("answer 2"));
  CHECK(sent() == strings{"user: good"});
  REQUIRE(user.shows("m> "));
  user.type("/retry\r");
  REQUIRE(user.shows("answer 3"));
  CHECK(sent() == strings{"user: good"});
  REQUIRE(user.shows("m> "));
  CHECK_FALSE(contains(only_kept(), "answer 2"));
  user.type("/undo\r");
  REQUIRE(user.shows("0 questions left"));
  user.type("/retry\r");
  REQUIRE(user.shows("no question"));
  user.type("/exit\r");
  CHECK(user.wait() == 0);
}

TEST_CASE_METHOD(session_test, "a failed retry leaves the answer that is there", "[cli][session]") {
  {
    terminal user{at_terminal()};
    REQUIRE(user.shows("m> "));
    user.type("please do not refuse\x7f\x7f\x7f\x7f\x7f\x7fobject\r");
    REQUIRE(user.shows("answer 1"));
    REQUIRE(user.shows("m> "));
  }
  auto text = only_kept();
  config = configure(closed_port{}.url(), "retry = { max_attempts = 1 }\n");
  terminal user{at_terminal({"--continue"})};
  REQUIRE(user.shows("Going on with"));
  REQUIRE(user.shows("m> "));
  user.type("/retry\r");
  REQUIRE(user.shows("asks it again"));
  REQUIRE(user.shows("m> "));
  user.type("/show\r");
  REQUIRE(user.shows("answer 1"));
  REQUIRE(user.shows("m> "));
  user.type("\x04");
  CHECK(user.wait() == 0);
  CHECK(only_kept() == text);
}

TEST_CASE_METHOD(session_test, "inputs of several lines are one question", "[cli][session]") {
  struct row {
    std::string typed, question;
    bool needs_editor;
  };
  for (auto& [typed, question, needs_editor] : std::vector<row>{
         {"\"\"\"\rone\r\rtwo\r\"\"\"\r", "one\n\ntwo", false},
         {"one\\\rtwo\r", "one\ntwo", false},
         {"//etc is what?\r", "/etc is what?", false},
         {"-\r", "-", false},
         {"one\x1b\rtw\xC3\xB6\r", "one\ntw\xC3\xB6", true},
         {"\x1b[200~pasted\r/exit\r\rlines\r\x1b[201~\r", "pasted\n/exit\n\nlines", true},
         {"two\x01one \r", "one two", true},
       }) {
    INFO(question);
    for (std::string term : {"xterm", "dumb"}) {
      if (needs_editor && (term == "dumb" || !has_editor))
        continue;
      terminal user{at_terminal({"--no-history"}, term)};
      REQUIRE(user.shows("m> "));
      user.type(typed);
      REQUIRE(user.shows("answer "));
      CHECK(sent() == strings{"user: " + question});
    }
  }
  CHECK(kept().empty());
}

TEST_CASE_METHOD(session_test, "commands of a session do what its help says", "[cli][session]") {
  auto notes = folder.write("notes.txt", "some notes\n");
  terminal user{at_terminal()};
  auto say = [&](const std::string& typed, const std::string& shown) {
    INFO(typed);
    user.type(typed + "\r");
    CHECK(user.shows(shown));
    REQUIRE(user.shows("> "));
  };
  REQUIRE(user.shows("m> "));
  say("/help", "/retry");
  say("/modle x", "did you mean /model?");
  say("/model other", "other of test");
  say("/system Be brief.", "is set");
  say("/file " + folder.path("none.txt"), "cannot be read");
  say("/file ~/notes.txt", "next question");
  say("Sum up", "answer 1");
  CHECK(sent() == strings{"system: Be brief.", "user: Sum up\n\n<file name=\"" + notes + "\">\nsome notes\n</file>"});
  CHECK(asked.all().front()["model"] == "other");
  say("/save notes", "--continue=notes");
  say("/save ~/copy.md", "written to");
  CHECK(folder.read("copy.md") == folder.read(".local/state/modelforge/conversations/notes.md"));
  say("/save ~/copy.md", "written to"); // over itself
  say("/save ~/notes.txt", "is not a conversation");
  CHECK(folder.read("notes.txt") == "some notes\n");
  std::filesystem::create_directories(folder.path("some"));
  for (std::string path : {"~/some", "~/some/", "./", "/"})
    say("/save " + path, "is a directory");
  say("/save ~/none/copy.md", "No such file");
  say("/file ~/some", "directory");
  say("/save", "conversations/notes.md");
  say("think", "answer 2");
  CHECK_FALSE(contains(user.screen(), "a thought"));
  say("/think on", "is shown");
  say("think", "a thought");
  say("/clear", "stays kept as notes");
  say("/system -", "removed");
  say("again", "answer 4");
  CHECK(sent() == strings{"user: again"});
  user.type("/exit\r");
  CHECK(user.wait() == 0);
  CHECK(kept().size() == 2);
}

TEST_CASE_METHOD(session_test, "colours are there on a terminal, but not where nobody wants them", "[cli][session]") {
  struct row {
    std::string variable;
    bool colours;
  };
  for (auto& [variable, colours] : std::vector<row>{{"NO_COLOR=", has_editor}, {"NO_COLOR=1", false}}) {
    terminal user{at_terminal({"--no-history", "--show-thinking"}, "xterm", variable)};
    REQUIRE(user.shows("> "));
    user.type("think\r");
    REQUIRE(user.shows("answer "));
    CHECK(contains(user.screen(), "\x1b[1mm\x1b[0m> ") == colours); // what is typed, and the answer, are plain
    CHECK(contains(user.screen(), "\x1b[2m") == (variable == "NO_COLOR="));
    CHECK(contains(user.screen(), "a thought"));
  }
}

TEST_CASE_METHOD(session_test, "a wait is told to who sits at a terminal, each time anew", "[cli][session]") {
  terminal user{at_terminal({"--no-history"})};
  REQUIRE(user.shows("m> "));
  for (std::string question : {"silent", "silent again"}) {
    user.type(question + "\r");
    REQUIRE(user.shows("waiting for the answer, 0:0"));
    user.type("\x03");
    REQUIRE(user.shows("/retry"));
    REQUIRE(user.shows("m> "));
  }
  terminal once{at_terminal({"silent"})};
  REQUIRE(once.shows("waiting for the answer, 0:0"));
  once.type("\x03");
  CHECK(once.wait() == 130);
  CHECK(kept().empty());
}

TEST_CASE_METHOD(session_test, "two sessions with one conversation keep both", "[cli][session]") {
  REQUIRE(run({"chat", "-c", config, "--name", "rivers", "zero"}).exit_code == 0);
  terminal one{at_terminal({"--continue", "rivers"})}, two{at_terminal({"--continue=rivers"})};
  REQUIRE(one.shows("m> "));
  REQUIRE(two.shows("m> "));
  one.type("by one\r");
  REQUIRE(one.shows("answer "));
  REQUIRE(one.shows("m> "));
  two.type("by two\r");
  REQUIRE(two.shows("kept as rivers-2"));
  REQUIRE(two.shows("m> "));
  two.type("by two again\r");
  REQUIRE(two.shows("answer "));
  REQUIRE(two.shows("m> "));
  REQUIRE(kept().size() == 2);
  auto first = folder.read(".local/state/modelforge/conversations/rivers.md");
  auto second = folder.read(".local/state/modelforge/conversations/rivers-2.md");
  CHECK((contains(first, "by one") && !contains(first, "by two")));
  CHECK((contains(second, "zero") && contains(second, "by two again") && !contains(second, "by one")));
  REQUIRE(run({"history", "delete", "rivers"}).exit_code == 0);
  one.type("into the void\r");
  REQUIRE(one.shows("was deleted"));
  CHECK(kept().size() == 1);
}

TEST_CASE_METHOD(session_test, "nothing is kept where the configuration says so", "[cli][session]") {
  config = configure(server.url(""), "[history]\nkeep = false\n");
  terminal user{at_terminal()};
  REQUIRE(user.shows("m> "));
  user.type("secret\r");
  REQUIRE(user.shows("answer 1"));
  REQUIRE(user.shows("m> "));
  user.type("/exit\r");
  CHECK(user.wait() == 0);
  auto x = run({"chat", "-c", config, "--name", "rivers", "secret"});
  CHECK(x.exit_code == 0);
  CHECK(contains(x.err, "keep = false"));
  CHECK(kept().empty());
  CHECK_FALSE(std::filesystem::exists(folder.path(".local/state/modelforge/chat_inputs")));
}

TEST_CASE_METHOD(session_test, "one question at a terminal is kept, and one of a program is not", "[cli][session]") {
  terminal user{at_terminal({"first"})};
  REQUIRE(user.shows("answer 1"));
  CHECK(user.wait() == 0);
  CHECK(contains(only_kept(), "first"));
  CHECK(run({"chat", "-c", config, "by a program"}).exit_code == 0);
  terminal hidden{at_terminal({"--no-history", "hidden"})};
  CHECK(hidden.wait() == 0);
  terminal for_program{at_terminal({"--json", "hidden"})};
  CHECK(for_program.wait() == 0);
  CHECK(kept().size() == 1);
}

TEST_CASE_METHOD(session_test, "chat --continue goes on with the last conversation, or a named one", "[cli][session]") {
  auto ask = [&](strings more, const std::string& input = {}) {
    strings arguments{"chat", "-c", config};
    arguments.insert(arguments.end(), more.begin(), more.end());
    auto options = command(arguments);
    options.input = input;
    return run_process(options);
  };
  REQUIRE(ask({"--name", "rivers", "-m", "other", "--system", "S", "one"}).exit_code == 0);
  REQUIRE(ask({"--name", "hills", "two"}).exit_code == 0);
  auto whole = strings{"system: S", "user: one", "assistant: answer 1", "user: three"};
  struct row {
    strings arguments;
    std::string input;
    std::string question;
    std::string model;
    std::size_t messages;
  };
  for (auto& [arguments, input, question, model, messages] : std::vector<row>{
         {{"--continue", "rivers", "three"}, "", "three", "other", 4},
         {{"--continue=riv", "-m", "m", "four"}, "", "four", "m", 6},
         {{"--continue", "And five more?"}, "", "And five more?", "m", 8},
         {{"six", "--continue"}, "", "six", "m", 10},
         {{"--continue"}, "seven", "seven", "m", 12},
         {{"--continue", "hills"}, "eight", "eight", "m", 3},
       }) {
    auto x = ask(arguments, input);
    INFO(question << x.err);
    CHECK(x.exit_code == 0);
    CHECK(x.err.empty());
    CHECK(sent().size() == messages);
    CHECK(sent().back() == "user: " + question);
    CHECK(asked.all().back()["model"] == model);
  }
  CHECK(sent(3) == whole);
  auto before = count();
  for (auto& [arguments, told] : std::vector<std::pair<strings, std::string>>{
         {{"--continue", "rivres", "x"}, "did you mean rivers?"},
         {{"--continue", "yes"}, "--continue= yes"},
         {{"--continue=i", "x"}, "several conversations"},
         {{"--name", "rivers", "x"}, "already"},
         {{"--name", "a/b", "x"}, "cannot be the name"},
         {{"--name", "x", "--continue", "hills", "x"}, "say one of them"},
       }) {
    auto x = ask(arguments);
    INFO(told << x.err);
    CHECK(x.exit_code == 2);
    CHECK(contains(x.err, told));
  }
  CHECK(count() == before);
}

TEST_CASE_METHOD(session_test, "history lists, shows and deletes", "[cli][session]") {
  auto x = run({"history"});
  CHECK(x.exit_code == 0);
  CHECK(contains(x.err, "no conversations are kept"));
  CHECK(run({"history", "show"}).exit_code == 2);
  REQUIRE(run({"chat", "-c", config, "--name", "rivers", "Why \xE2\x82\xAC?"}).exit_code == 0);
  REQUIRE(run({"chat", "-c", config, "--name", "hills", "Which?"}).exit_code == 0);
  x = run({"history"});
  CHECK((x.out.starts_with("hills   2") && contains(x.out, "\nrivers  2") && contains(x.out, "Why \xE2\x82\xAC?")));
  x = run({"history", "--json"});
  auto line = json::parse(x.out.substr(0, x.out.find('\n')));
  CHECK(line["name"] == "hills");
  CHECK(line["questions"] == 1);
  CHECK(folder.read(line["file"]) == run({"history", "show"}).out);
  CHECK(contains(run({"history", "show", "riv"}).out, "answer 1"));
  auto shown = json::parse(run({"history", "show", "rivers", "--json"}).out);
  CHECK(shown["messages"]
        == json::parse(R"([{"role":"user","content":"Why €?"},{"role":"assistant","content":"answer 1"}])"));
  auto foreign = folder.write(".local/state/modelforge/conversations/notes.md", "# Notes\n\nno conversation");
  x = run({"history"});
  CHECK(x.exit_code == 0);
  CHECK((contains(x.err, "notes.md is left out") && contains(x.out, "rivers") && !contains(x.out, "notes")));
  CHECK(contains(run({"history", "show"}).out, "Which?")); // the last conversation, though not the last file
  CHECK(contains(run({"chat", "-c", config, "--name", "notes", "x"}).err, "choose another name"));
  x = run({"history", "delete", "notes"});
  CHECK((x.exit_code == 2 && contains(x.err, "no conversation \"notes\"")));
  folder.write(".local/state/modelforge/conversations/bad.md",
               "<!-- modelforge conversation, version 1 -->\n\n## Question\n\nx\n");
  x = run({"history"});
  CHECK(x.exit_code == 1);
  CHECK((contains(x.err, "bad.md is damaged") && contains(x.out, "rivers")));
  for (auto& [arguments, told] :
       std::vector<std::pair<strings, std::string>>{{{"history", "delete"}, "--all"},
                                                    {{"history", "delete", "rivers", "riv"}, "did you mean rivers?"},
                                                    {{"history", "show", "lakes"}, "no conversation \"lakes\""}}) {
    x = run(arguments);
    CHECK(x.exit_code == 2);
    CHECK(contains(x.err, told));
  }
  CHECK(kept().size() == 4);
  CHECK(run({"history", "delete", "rivers", "bad"}).exit_code == 0);
  CHECK(kept().size() == 2);
  CHECK(run({"history", "delete", "--all"}).exit_code == 0);
  CHECK(kept() == strings{foreign});
}

} // namespace modelforge::chat_session_test
