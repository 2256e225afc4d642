#include "tools/state/kept_files.hpp"

#include "batch/ledger.hpp"
#include "batch/ledger_file.hpp"
#include "config/trusted_files.hpp"
#include "tests/support/temporary_folder.hpp"
#include "tools/chat/conversation_store.hpp"

#include <catch2/catch_test_macros.hpp>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace modelforge::kept_files_test {

// What is kept in files is found, and nothing goes that somebody needs.

using namespace modelforge::state;
using namespace std::chrono_literals;

namespace {

batch::ledger_result result_of(uint64_t item) {
  return {item, true, 1, {10, 20, 0, 0, 0}, {}, "p", "{\"custom_id\":\"" + std::to_string(item) + "\"}"};
}

struct kept_files_test {
  test::temporary_folder folder;

  kept_files_test() { std::filesystem::create_directories(folder.path("state/conversations")); }

  /// The ledger of a batch of so many items, of which some have an answer.
  void write_ledger(const std::string& name, uint64_t answered, uint64_t items,
                    const std::function<void(batch::ledger&)>& and_more = {}) {
    auto path = folder.write(name, "");
    auto file = batch::open_ledger_file(path);
    REQUIRE(std::holds_alternative<std::unique_ptr<batch::ledger_file>>(file));
    auto opened =
      batch::ledger::open(std::get<std::unique_ptr<batch::ledger_file>>(std::move(file)), path, {1000, 7, "in.jsonl"});
    REQUIRE(std::holds_alternative<std::unique_ptr<batch::ledger>>(opened));
    auto& ledger = *std::get<std::unique_ptr<batch::ledger>>(opened);
    for (uint64_t i = 0; i < answered; ++i)
      REQUIRE_FALSE(ledger.add(result_of(i)));
    REQUIRE_FALSE(ledger.note(batch::input_total{items}));
    if (and_more)
      and_more(ledger);
    REQUIRE_FALSE(ledger.sync());
  }

  std::vector<kept_file> find() { return find_files({folder.path("state"), {}, {folder.path("")}, {}}); }

  /// The only one of a kind, which there has to be.
  kept_file only(kind what) {
    auto all = find();
    REQUIRE(std::count_if(all.begin(), all.end(), [&](auto& x) { return x.kind == what; }) == 1);
    return *std::find_if(all.begin(), all.end(), [&](auto& x) { return x.kind == what; });
  }
};

/// A lock of a file that somebody else holds, as far as flock knows.
class held_lock {
public:
  /// Of a folder, or of a file, which is made if need be.
  explicit held_lock(const std::string& path)
    : fd_(std::filesystem::is_directory(path) ? ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)
                                              : ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600)) {
    REQUIRE(::flock(fd_, LOCK_EX | LOCK_NB) == 0);
  }
  ~held_lock() { ::close(fd_); }

private:
  int fd_;
};

bool exists(const kept_file& file) {
  return std::filesystem::exists(file.path);
}

} // namespace

TEST_CASE_METHOD(kept_files_test, "all kinds of files are found, by kind and name", "[state]") {
  folder.write("state/b.limits", "modelforge limits 1\n");
  folder.write("state/a.limits", "");
  folder.write("state/a.lock", "");
  folder.write("state/a.limits.new", "");
  folder.write("state/chat_inputs", "hello\n");
  folder.write("state/somebody.else", "");
  folder.write("out.jsonl.ledger", "rubbish");
  auto log = folder.write("m.log", "x");
  ::chmod(folder.path("state/b.limits").c_str(), 0640);
  auto all = find_files({folder.path("state"), {}, {folder.path("")}, {log}});
  REQUIRE(all.size() == 7);
  std::vector<kind> kinds;
  for (auto& file : all)
    kinds.push_back(file.kind);
  CHECK(kinds
        == std::vector{kind::limits, kind::limits, kind::lock, kind::draft, kind::inputs, kind::ledger, kind::log});
  CHECK(all[0].path == folder.path("state/a.limits"));
  CHECK(all[1].bytes == 20);
  CHECK(all[1].mode == 0640);
  CHECK(all[1].owner == ::geteuid());
  CHECK(find_files({folder.path("none"), {}, {folder.path("nor here")}, {}}).empty());
}

TEST_CASE_METHOD(kept_files_test, "a link is no file of ours", "[state]") {
  auto elsewhere = folder.write("precious", "x");
  std::filesystem::create_symlink(elsewhere, folder.path("state/a.limits"));
  CHECK(find().empty());
}

TEST_CASE_METHOD(kept_files_test, "a folder that is named in two ways has its files once", "[state]") {
  folder.write("state/a.limits", "");
  CHECK(find_files({folder.path("state"), folder.path("state") + "/../state/", {}, {}}).size() == 1);
  CHECK(find_files({{}, folder.path("state"), {}, {}}).size() == 1);
  CHECK(find_files({folder.path("none"), folder.path("state"), {}, {}}).size() == 1);
}

TEST_CASE_METHOD(kept_files_test, "folders of ledgers that are named twice have their ledgers once", "[state]") {
  folder.write("out.jsonl.ledger", "rubbish");
  std::filesystem::create_directory_symlink(folder.path(""), folder.path("link"));
  std::vector<std::string> names{folder.path(""), folder.path("."), folder.path("state/.."), folder.path("link"),
                                 folder.path("none")};
  CHECK(find_files({{}, {}, names, {}}).size() == 1);
}

TEST_CASE_METHOD(kept_files_test, "a draft is one by the name of what it was to be", "[state]") {
  for (auto* name : {"state/notes.new", "state/conversations/notes.new", "state/a.md.new"})
    folder.write(name, "somebody else's");
  CHECK(find().empty());
  folder.write("state/a.limits.new", "");
  folder.write("state/conversations/a.md.new", "");
  std::filesystem::create_directories(folder.path("state/trusted"));
  folder.write("state/trusted/0123.new", "");
  CHECK(find().size() == 3);
}

TEST_CASE_METHOD(kept_files_test, "a draft that is being written is not removed", "[state]") {
  struct {
    const char *draft, *locked;
  } table[] = {{"state/conversations/a.md.new", "state/conversations"}, {"state/a.limits.new", "state/a.lock"}};
  for (auto& [draft, locked] : table) {
    folder.write(draft, "");
    {
      held_lock running{folder.path(locked)};
      auto file = only(kind::draft);
      CHECK(file.is_in_use);
      CHECK(remove(file) == "a program uses it");
    }
    CHECK(remove(only(kind::draft)).empty());
  }
}

TEST_CASE("what goes is of a kind that was meant, old enough, and needed by nobody", "[state]") {
  auto now = std::chrono::system_clock::time_point{1'800'000'000s};
  kept_file file;
  file.kind = kind::limits;
  file.changed = now - 48h;
  clean_order order{{kind::limits}, 48h};
  CHECK(is_to_go(file, order, now));
  CHECK_FALSE(is_to_go(file, order, now - 1s));
  CHECK_FALSE(is_to_go(file, {{kind::ledger}, 48h}, now));
  CHECK_FALSE(is_to_go(file, {{kind::limits}, 24h * 999'999}, now)); // more than 64 bits of nanoseconds
  file.is_in_use = true;
  CHECK_FALSE(is_to_go(file, order, now));
  file.is_in_use = false;
  file.kept_because = "the batch is not finished";
  CHECK_FALSE(is_to_go(file, order, now));
}

TEST_CASE_METHOD(kept_files_test, "limits that a program keeps are not removed", "[state]") {
  folder.write("state/main.limits", "modelforge limits 1\n");
  {
    held_lock running{folder.path("state/main.lock")};
    auto file = only(kind::limits);
    CHECK(file.is_in_use);
    CHECK(remove(file) == "a program uses it"); // even if it was not in use when it was looked at
    CHECK(exists(file));
  }
  auto file = only(kind::limits);
  CHECK_FALSE(file.is_in_use);
  CHECK(remove(file).empty());
  CHECK_FALSE(exists(file));
}

TEST_CASE_METHOD(kept_files_test, "what has changed since it was looked at stays", "[state]") {
  folder.write("state/main.limits", "modelforge limits 1\n");
  auto file = only(kind::limits);
  folder.write("state/main.limits", "more of it");
  CHECK(remove(file) == "it has changed meanwhile");
  CHECK(exists(file));
}

TEST_CASE_METHOD(kept_files_test, "limits that somebody else wrote stay", "[state]") {
  folder.write("state/speed.limits", "50 km/h\n");
  CHECK(only(kind::limits).kept_because.find("it does not begin as a file of limits") == 0);
}

TEST_CASE_METHOD(kept_files_test, "a ledger that is all there is of the results stays", "[state]") {
  folder.write("out.jsonl.ledger", "rubbish");
  CHECK(only(kind::ledger).kept_because.find("its output is not there") == 0);
  folder.write("out.jsonl", "");
  CHECK(only(kind::ledger).kept_because.find("it is no ledger that can be read") == 0);
}

TEST_CASE_METHOD(kept_files_test, "a ledger whose output is empty stays, unless nothing was to come", "[state]") {
  write_ledger("out.jsonl.ledger", 3, 3);
  folder.write("out.jsonl", "");
  CHECK(only(kind::ledger).kept_because == "its output is empty: the results are in the ledger alone");
  write_ledger("out.jsonl.ledger", 0, 0);
  CHECK(only(kind::ledger).kept_because.empty());
}

TEST_CASE_METHOD(kept_files_test, "a finished batch's ledger goes, its output stays", "[state]") {
  write_ledger("out.jsonl.ledger", 3, 3);
  folder.write("out.jsonl", "results\n");
  {
    held_lock running{folder.path("out.jsonl.ledger")}; // as a run has it
    auto file = only(kind::ledger);
    CHECK(file.kept_because.empty());
    CHECK(file.is_in_use);
    CHECK(remove(file) == "a program uses it");
  }
  auto file = only(kind::ledger);
  CHECK(remove(file).empty());
  CHECK_FALSE(exists(file));
  CHECK(folder.read("out.jsonl") == "results\n");
}

TEST_CASE_METHOD(kept_files_test, "a ledger of which a run may need something stays", "[state]") {
  folder.write("out.jsonl", "results\n");
  write_ledger("out.jsonl.ledger", 2, 3);
  CHECK(only(kind::ledger).kept_because == "the batch is not finished");
  write_ledger("out.jsonl.ledger", 2, 3, [](batch::ledger& x) {
    auto failed = result_of(2);
    failed.ok = false;
    REQUIRE_FALSE(x.add(failed));
  });
  CHECK(only(kind::ledger).kept_because == "1 of its items have failed, and --retry-failed may send them again");
  write_ledger("out.jsonl.ledger", 3, 3, [](batch::ledger& x) {
    REQUIRE_FALSE(x.note(batch::ledger_job{"nonce", "p", "m", 1, {{0, 1}}, {}}));
  });
  CHECK(only(kind::ledger).kept_because == "the batch is not finished: a provider has a job of it");
}

TEST_CASE_METHOD(kept_files_test, "conversations and inputs go when they are meant", "[state]") {
  chat::kept_conversation kept;
  chat::conversation told{"", "", {{text_message(role::user, "hello"), "", {"fine", "main", "m", ""}}}};
  auto conversations = folder.path("state/conversations");
  chat::conversation_store{conversations}.save(told, kept, "2026-12-01");
  folder.write("state/chat_inputs", "hello\n");
  struct {
    kind what;
    std::string locked;
  } table[] = {{kind::conversation, conversations}, {kind::inputs, folder.path("state/chat_inputs")}};
  for (auto& [what, locked] : table) {
    CAPTURE(name_of(what));
    {
      held_lock running{locked};
      CHECK(only(what).is_in_use);
      CHECK(remove(only(what)) == "a program uses it");
    }
    auto file = only(what);
    CHECK(is_to_go(file, {{what}, 0s}, std::chrono::system_clock::now()));
    CHECK(remove(file).empty());
    CHECK_FALSE(exists(file));
  }
  CHECK(find().empty());
}

TEST_CASE_METHOD(kept_files_test, "a confirmation goes when its configuration is another one", "[state]") {
  trusted_files trusted{[this](const std::string& name) {
    return name == "STATE_DIRECTORY" ? std::optional{folder.path("x/modelforge")} : std::nullopt;
  }};
  auto find_trusted = [this] { return find_files({folder.path("x/modelforge"), {}, {}, {}}).at(0); };
  auto config = folder.write("m.toml", "[metrics]\n");
  REQUIRE_FALSE(trusted.add(config, "[metrics]\n"));
  CHECK(find_trusted().kind == kind::trusted);
  CHECK(find_trusted().kept_because == "the configuration is as it was confirmed: " + config);
  folder.write("m.toml", "[log]\n");
  auto file = find_trusted();
  CHECK(file.kept_because.empty());
  CHECK(remove(file).empty());
  CHECK_FALSE(trusted.contains(config, "[metrics]\n"));
}

TEST_CASE_METHOD(kept_files_test, "logs and locks are never cleaned", "[state]") {
  folder.write("state/a.lock", "");
  auto log = folder.write("m.log", "x");
  auto all = find_files({folder.path("state"), {}, {}, {log}});
  REQUIRE(all.size() == 2);
  for (auto& file : all)
    CHECK_FALSE(is_to_go(file, {{kind::lock, kind::log}, 0s}, std::chrono::system_clock::now() + 1h));
}

TEST_CASE("each kind has a rule, in its place", "[state]") {
  auto& rules = kind_rules();
  REQUIRE(rules.size() == enum_names<kind>.size());
  for (std::size_t i = 0; i < rules.size(); ++i)
    CHECK(static_cast<std::size_t>(rules[i].kind) == i);
}

} // namespace modelforge::kept_files_test
