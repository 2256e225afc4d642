#include "tests/support/temporary_folder.hpp"
#include "tools/chat/conversation_store.hpp"
#include "tools/chat/input_history.hpp"

#include <catch2/catch_test_macros.hpp>

#include <filesystem>
#include <sys/stat.h>
#include <thread>

namespace modelforge::conversation_store_test {

// The folder of conversations, and what several sessions do to each other there: nothing.

using namespace modelforge::chat;

namespace {

namespace fs = std::filesystem;

conversation about(const std::string& question) {
  return {"", "", {{text_message(role::user, question), "", {"fine", "main", "m", ""}}}};
}

struct store_test {
  test::temporary_folder folder;
  conversation_store store{folder.path("state/conversations")};

  save_result save(const conversation& x, kept_conversation& kept, const std::string& wanted = {}) {
    auto result = store.save(x, kept, "2026-11-30", wanted);
    if (auto* problem = std::get_if<std::string>(&result))
      FAIL(*problem);
    return std::get<save_result>(result);
  }

  conversation load(const std::string& name) {
    kept_conversation ignored;
    auto result = store.load(name, ignored);
    if (auto* problem = std::get_if<std::string>(&result))
      FAIL(*problem);
    return std::get<conversation>(result);
  }
};

mode_t mode_of(const std::string& path) {
  struct stat info {};
  REQUIRE(stat(path.c_str(), &info) == 0);
  return info.st_mode & 07777;
}

} // namespace

TEST_CASE_METHOD(store_test, "conversations are named by day and question, for their user alone", "[chat]") {
  struct row {
    std::string question, name;
  };
  for (auto& [question, name] : std::vector<row>{
         {"Why is the sky blue?", "2026-11-30-why-is-the-sky-blue"},
         {"Why is the sky blue?", "2026-11-30-why-is-the-sky-blue-2"},
         {"What's   up -- doc", "2026-11-30-whats-up-doc"},
         {"\xE7\xA9\xBA", "2026-11-30"},
         {"../../etc/passwd", "2026-11-30-etc-passwd"},
         {"one two three four five six seven eight nine ten", "2026-11-30-one-two-three-four-five-six-seven-eight"},
         {std::string(90, 'x'), "2026-11-30-" + std::string(40, 'x')},
       }) {
    kept_conversation kept;
    CHECK(save(about(question), kept) == save_result::saved);
    CHECK(kept.name == name);
    CHECK(name_problem(kept.name).empty());
    CHECK(mode_of(store.path_of(name)) == 0600);
    CHECK(load(name).turns == about(question).turns);
  }
  CHECK(mode_of(store.folder()) == 0700);
  CHECK(store.list().size() == 7);
}

TEST_CASE_METHOD(store_test, "a conversation that somebody else has changed is kept beside it", "[chat]") {
  kept_conversation mine, theirs;
  save(about("a"), mine, "rivers");
  REQUIRE(std::holds_alternative<conversation>(store.load("rivers", theirs)));
  auto longer = about("a");
  longer.turns.push_back(about("theirs").turns.front());
  CHECK(save(longer, theirs) == save_result::saved);
  longer.turns.back() = about("mine").turns.front();
  CHECK(save(longer, mine) == save_result::saved_beside);
  CHECK(mine.name == "rivers-2");
  CHECK(text_of(load("rivers").turns.back().question) == "theirs");
  CHECK(text_of(load("rivers-2").turns.back().question) == "mine");
  CHECK(save(longer, mine) == save_result::saved);
  CHECK(store.list().size() == 2);
}

TEST_CASE_METHOD(store_test, "a conversation that was deleted stays so", "[chat]") {
  kept_conversation kept;
  save(about("a"), kept);
  CHECK(store.remove(kept.name).empty());
  CHECK(save(about("a"), kept) == save_result::deleted);
  CHECK(store.list().empty());
  CHECK_FALSE(store.remove(kept.name).empty());
}

TEST_CASE_METHOD(store_test, "many sessions at a time lose nothing", "[chat]") {
  std::vector<std::thread> sessions;
  for (int i = 0; i < 8; ++i)
    sessions.emplace_back([this] {
      kept_conversation kept;
      conversation x;
      for (int n = 0; n < 5; ++n) {
        x.turns.push_back(about("Why?").turns.front());
        if (!std::holds_alternative<save_result>(store.save(x, kept, "2026-11-30")))
          return;
      }
    });
  for (auto& session : sessions)
    session.join();
  auto all = store.list();
  CHECK(all.size() == 8);
  for (auto& file : all)
    CHECK(load(file.name).turns.size() == 5);
  for (auto& file : fs::directory_iterator{store.folder()})
    CHECK(file.path().extension() == ".md");
}

TEST_CASE_METHOD(store_test, "what cannot be written leaves the file as it was, and is told", "[chat]") {
  kept_conversation kept;
  save(about("a"), kept, "rivers");
  fs::create_directory(store.path_of("rivers") + ".new"); // where the draft would be
  auto longer = about("a");
  longer.turns.push_back(about("b").turns.front());
  auto result = store.save(longer, kept, "2026-11-30");
  auto* problem = std::get_if<std::string>(&result);
  REQUIRE(problem != nullptr);
  CHECK(problem->find(store.path_of("rivers")) != std::string::npos);
  CHECK(load("rivers").turns.size() == 1);
  fs::remove(store.path_of("rivers") + ".new");
  CHECK(save(longer, kept) == save_result::saved);
  for (auto& place : {std::string{}, folder.write("file", "") + "/conversations"}) {
    kept_conversation none;
    CHECK(std::holds_alternative<std::string>(conversation_store{place}.save(longer, none, "2026-11-30")));
  }
}

TEST_CASE_METHOD(store_test, "a damaged conversation is told by file and line", "[chat]") {
  kept_conversation kept;
  save(about("a"), kept, "rivers");
  folder.write("state/conversations/rivers.md", "# x\n<!-- modelforge conversation, version 1 -->\n## Answer\n\nx\n");
  auto result = store.load("rivers", kept);
  auto* problem = std::get_if<std::string>(&result);
  REQUIRE(problem != nullptr);
  CHECK(problem->starts_with(store.path_of("rivers") + " is damaged in line 3"));
}

TEST_CASE_METHOD(store_test, "a conversation gets another name, but none that is taken", "[chat]") {
  kept_conversation one, two;
  save(about("a"), one, "one");
  save(about("b"), two, "two");
  CHECK(store.rename(one, "two").find("already") != std::string::npos);
  CHECK(one.name == "one");
  CHECK(store.rename(one, "three").empty());
  CHECK(save(about("c"), one) == save_result::saved);
  CHECK(text_of(load("three").turns.front().question) == "c");
  for (auto* bad : {"", "a/b", "..", ".a", "-a", "a b", "\xC3\xA4"})
    CHECK_FALSE(store.rename(one, bad).empty());
}

TEST_CASE("a conversation is found by its name, or a part that no other has", "[chat]") {
  std::vector<conversation_file> all;
  for (auto* name : {"2026-11-30-rivers", "2026-11-30-rivers-2", "2026-11-29-Mountains", "rivers"})
    all.push_back({name, "", {}});
  struct row {
    std::string wanted, name, told;
  };
  for (auto& [wanted, name, told] : std::vector<row>{
         {"rivers", "rivers", ""},
         {"rivers-2", "2026-11-30-rivers-2", ""},
         {"mount", "2026-11-29-Mountains", ""},
         {"11-30", "", "several conversations have \"11-30\" in their names: 2026-11-30-rivers, 2026-11-30-rivers-2"},
         {"rivres", "", "did you mean rivers?"},
         {"xyz", "", "modelforge history"},
       }) {
    INFO(wanted);
    auto found = find_name(wanted, all);
    CHECK(found.name == name);
    CHECK(found.problem.find(told) != std::string::npos);
  }
}

TEST_CASE("what was typed comes back in the next session, for its user alone", "[chat]") {
  test::temporary_folder folder;
  auto path = folder.path("state/inputs");
  {
    input_history one{path}, other{path};
    CHECK(one.add("first\nof \\two lines"));
    CHECK(other.add("second"));
    CHECK_FALSE(one.add(" secret"));
    CHECK_FALSE(one.add(" \n"));
    CHECK(one.add("third"));
    CHECK_FALSE(one.add("third"));
  }
  CHECK(input_history{path}.inputs() == std::vector<std::string>{"first\nof \\two lines", "second", "third"});
  CHECK(mode_of(path) == 0600);
  CHECK(input_history{""}.add("kept in memory alone"));
}

TEST_CASE("what was typed is kept up to a bound", "[chat]") {
  test::temporary_folder folder;
  std::string text;
  for (std::size_t i = 0; i <= 2 * input_history::max_inputs; ++i)
    text += "input " + std::to_string(i) + "\n";
  auto path = folder.write("inputs", text);
  CHECK(input_history{path}.inputs().size() == input_history::max_inputs);
  CHECK(input_history{path}.inputs().back() == "input 2000");
  CHECK(folder.read("inputs").starts_with("input 1001\n"));
}

} // namespace modelforge::conversation_store_test
