#include "dispatch/journal.hpp"

#include "tests/support/temporary_folder.hpp"

#include <catch2/catch_test_macros.hpp>

#include <filesystem>
#include <string>
#include <sys/wait.h>
#include <unistd.h>

namespace modelforge::journal_test {

using namespace std::chrono_literals;

namespace {

const std::string address = "https://api.example.com/v1";

journal open(const std::string& path, const std::string& provider = "openai") {
  auto x = journal::open(path, provider);
  REQUIRE(std::holds_alternative<journal>(x));
  return std::move(std::get<journal>(x));
}

journal::content sample() {
  journal::content x{journal::wall_clock::time_point{1'700'000'000'123'456'789ns}, {}};
  x.lanes.push_back({"key one/large models", {0, 1, {{5ms, {1, 2, 3, 4}}, {60050ms, {9, 8, 7, 6}}}, {1, 100, 0, 5}}});
  x.lanes.push_back({"", {2, 0, {}, {0, 0, 0, UINT64_MAX}}});
  return x;
}

bool same(const journal::content& x, const journal::content& y) {
  if (x.written != y.written || x.lanes.size() != y.lanes.size())
    return false;
  for (std::size_t i = 0; i < x.lanes.size(); ++i) {
    auto &a = x.lanes[i], &b = y.lanes[i];
    if (a.name != b.name || a.is.group != b.is.group || a.is.key != b.is.key || a.is.open != b.is.open
        || a.is.live.size() != b.is.live.size())
      return false;
    for (std::size_t j = 0; j < a.is.live.size(); ++j)
      if (a.is.live[j].left != b.is.live[j].left || a.is.live[j].amount != b.is.live[j].amount)
        return false;
  }
  return true;
}

} // namespace

TEST_CASE("journal is looked at without a trace", "[dispatch][journal]") {
  test::temporary_folder here;
  auto folder = here.path("state");
  CHECK_FALSE(journal::look_at(folder, "openai").is_readable);
  CHECK_FALSE(std::filesystem::exists(folder));
  {
    auto x = open(folder);
    REQUIRE_FALSE(x.write(address, sample()));
    auto seen = journal::look_at(folder, "openai"); // while it is in use
    CHECK(seen.path == folder + "/openai.limits");
    CHECK(seen.lock == folder + "/openai.lock");
    CHECK(seen.is_readable);
    CHECK(seen.is_whole);
  }
  auto text = here.read("state/openai.limits");
  here.write("state/openai.limits", text.substr(0, text.size() - 5));
  CHECK(journal::look_at(folder, "openai").is_readable);
  CHECK_FALSE(journal::look_at(folder, "openai").is_whole);
}

TEST_CASE("journal gives back what was written last", "[dispatch][journal]") {
  test::temporary_folder here;
  auto x = open(here.path("deep/down"));
  CHECK_FALSE(x.is_taken());
  CHECK_FALSE(x.read(address));
  CHECK_FALSE(x.write(address, {}));
  CHECK_FALSE(x.write(address, sample()));
  auto got = x.read(address);
  REQUIRE(got);
  CHECK(same(*got, sample()));
  CHECK_FALSE(std::filesystem::exists(here.path("deep/down/openai.limits.new")));
}

TEST_CASE("journal ignores another address's file", "[dispatch][journal]") {
  test::temporary_folder here;
  auto x = open(here.path("state"));
  CHECK_FALSE(x.write(address, sample()));
  CHECK_FALSE(x.read(address + "/"));
  CHECK_FALSE(x.read(""));
  CHECK(x.read(address));
}

TEST_CASE("journal ignores a torn file, wherever it ends", "[dispatch][journal]") {
  test::temporary_folder here;
  auto x = open(here.path("state"));
  CHECK_FALSE(x.write(address, sample()));
  auto whole = here.read("state/openai.limits");
  REQUIRE(whole.ends_with("\nend\n"));
  for (std::size_t n = 0; n + 1 < whole.size(); ++n) {
    INFO(n << " of " << whole.size() << " bytes");
    here.write("state/openai.limits", whole.substr(0, n));
    REQUIRE_FALSE(x.read(address));
  }
  here.write("state/openai.limits", whole.substr(0, whole.size() - 1)); // only the last line's end is missing
  CHECK(x.read(address));
}

TEST_CASE("journal ignores what it cannot read", "[dispatch][journal]") {
  test::temporary_folder here;
  auto x = open(here.path("state"));
  CHECK_FALSE(x.write(address, sample()));
  auto whole = here.read("state/openai.limits");
  auto replaced = [&](const std::string& what, const std::string& by) {
    auto text = whole;
    REQUIRE(text.find(what) != std::string::npos);
    return text.replace(text.find(what), what.size(), by);
  };
  const std::string texts[] = {
    "",
    "{\"limits\": []}\n",
    replaced("limits 1", "limits 0"), // an older program's
    replaced("limits 1", "limits 2"), // a newer one's
    replaced("written 17", "written x"),
    replaced("written", "when"),
    replaced("live 5000000 ", "live "),
    replaced("live 5000000", "live -1"),
    replaced("live 5000000 1", "live 5000000 one"),
    replaced("lane 0 1 1 100 0 5 key one/large models\n", ""), // a charge without a lane
    replaced("live 5000000", "alive 5000000"),
    replaced("\nend\n", "\n\nend\n"),
  };
  for (auto& text : texts) {
    INFO(text);
    here.write("state/openai.limits", text);
    CHECK_FALSE(x.read(address));
  }
  here.write("state/openai.limits", whole);
  CHECK(x.read(address));
}

TEST_CASE("journal refuses a second one at the same time", "[dispatch][journal]") {
  test::temporary_folder here;
  {
    auto x = open(here.path("state"));
    CHECK_FALSE(x.write(address, sample()));
    auto child = fork();
    REQUIRE(child >= 0);
    if (child == 0) { // another process
      auto y = journal::open(here.path("state"), "openai");
      auto* taken = std::get_if<journal>(&y);
      _exit(taken != nullptr && taken->is_taken() && !taken->write(address, {}) ? 7 : 1);
    }
    int status = 0;
    REQUIRE(waitpid(child, &status, 0) == child);
    CHECK((WIFEXITED(status) && WEXITSTATUS(status) == 7));
    auto second = open(here.path("state"));
    CHECK(second.is_taken());
    auto read = second.read(address); // what it refused to overwrite is still there
    REQUIRE(read);
    CHECK(same(*read, sample()));
    CHECK_FALSE(open(here.path("state"), "another").is_taken());
    auto moved = std::move(x);
    CHECK_FALSE(moved.is_taken());
    CHECK(open(here.path("state")).is_taken());
  }
  CHECK_FALSE(open(here.path("state")).is_taken());
}

TEST_CASE("journal that was taken for a while writes as soon as it is not", "[dispatch][journal]") {
  test::temporary_folder here;
  auto first = std::make_optional(open(here.path("state")));
  CHECK_FALSE(first->write(address, sample()));
  auto second = open(here.path("state"));
  auto more = sample();
  more.written += 1s;
  CHECK_FALSE(second.write(address, more));
  CHECK(second.is_taken());
  CHECK(same(*second.read(address), sample()));
  first.reset(); // a program that ended, or one that cleaned
  CHECK_FALSE(second.write(address, more));
  CHECK_FALSE(second.is_taken());
  CHECK(same(*second.read(address), more));
  auto moved = std::move(second);
  CHECK_FALSE(moved.is_taken());
  CHECK(open(here.path("state")).is_taken());
}

TEST_CASE("journal names its files after the provider, whatever it is called", "[dispatch][journal]") {
  test::temporary_folder here;
  CHECK_FALSE(open(here.path("state"), "../a b/ü").write(address, sample()));
  CHECK(std::filesystem::exists(here.path("state/___a_b___.limits")));
  CHECK_FALSE(open(here.path("state"), "").write(address, sample()));
  CHECK(std::filesystem::exists(here.path("state/_.limits")));
}

TEST_CASE("journal tells what went wrong", "[dispatch][journal]") {
  test::temporary_folder here;
  SECTION("a folder that cannot be made") {
    here.write("file", "");
    auto x = journal::open(here.path("file/below"), "openai");
    REQUIRE(std::holds_alternative<std::string>(x));
    CHECK(std::get<std::string>(x).starts_with("cannot make the folder " + here.path("file/below: ")));
  }
  SECTION("a lock that cannot be opened") {
    std::filesystem::create_directories(here.path("state/openai.lock"));
    auto x = journal::open(here.path("state"), "openai");
    REQUIRE(std::holds_alternative<std::string>(x));
    INFO(std::get<std::string>(x));
    CHECK(std::get<std::string>(x).starts_with("cannot open " + here.path("state/openai.lock") + ": "));
  }
  SECTION("a draft that cannot be written") {
    auto x = open(here.path("state"));
    std::filesystem::create_directories(here.path("state/openai.limits.new"));
    auto problem = x.write(address, sample());
    REQUIRE(problem);
    CHECK(problem->starts_with("cannot write " + here.path("state/openai.limits.new") + ": "));
  }
  SECTION("a full disk") {
    auto x = open(here.path("state"));
    std::filesystem::create_symlink("/dev/full", here.path("state/openai.limits.new"));
    auto problem = x.write(address, sample());
    REQUIRE(problem);
    CHECK(problem->starts_with("cannot write " + here.path("state/openai.limits.new") + ": "));
  }
  SECTION("a file that cannot be replaced") {
    auto x = open(here.path("state"));
    std::filesystem::create_directories(here.path("state/openai.limits"));
    auto problem = x.write(address, sample());
    REQUIRE(problem);
    CHECK(problem->starts_with("cannot write " + here.path("state/openai.limits") + ": "));
  }
  SECTION("a folder that is gone") {
    auto x = open(here.path("state"));
    std::filesystem::remove_all(here.path("state"));
    CHECK(x.write(address, sample()));
    CHECK_FALSE(x.read(address));
  }
}

} // namespace modelforge::journal_test
