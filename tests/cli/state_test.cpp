#include "tests/cli/cli_fixture.hpp"

#include <catch2/catch_test_macros.hpp>
#include <nlohmann/json.hpp>

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>

namespace modelforge::state_cli_test {

// `modelforge state`, with files that commands have left.

using namespace modelforge::test;
using nlohmann::json;

namespace {

namespace fs = std::filesystem;

const std::string limits = "modelforge limits 1\n";

struct state_test : cli_test {
  std::string state = ".local/state/modelforge/";

  state_test() { fs::create_directories(folder.path(state)); }

  /// Writes a file that was last changed so many days ago.
  std::string write_old(const std::string& name, const std::string& content, int days) {
    auto path = folder.write(name, content);
    fs::last_write_time(path, fs::file_time_type::clock::now() - std::chrono::hours{24 * days});
    return path;
  }

  /// Answers three prompts; the ledger stays behind.
  std::string finish_batch() {
    folder.write("in.jsonl", "\"one\"\n\"two\"\n\"three\"\n");
    auto result = run({"batch", "in.jsonl", "-o", "out.jsonl", "--simulate"});
    INFO(result.err);
    REQUIRE(result.exit_code == 0);
    return write_old("out.jsonl.ledger", folder.read("out.jsonl.ledger"), 60);
  }

  std::string clean(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {"state", "clean"});
    auto result = run(std::move(arguments));
    INFO(result.err);
    CHECK(result.exit_code == 0);
    return result.out;
  }
};

} // namespace

TEST_CASE_METHOD(state_test, "files are listed with what they are, and how large", "[cli][state]") {
  folder.write(state + "main.limits", limits);
  auto text = run({"state"});
  CHECK(text.exit_code == 0);
  CHECK(contains(text.out, "main.limits"));
  CHECK(contains(text.out, "1 file, 20 B"));
  auto all = json::parse(run({"state", "--json"}).out);
  REQUIRE(all.size() == 1);
  CHECK(all[0]["kind"] == "limits");
  CHECK(all[0]["bytes"] == 20);
  CHECK(all[0]["in_use"] == false);
}

TEST_CASE_METHOD(state_test, "only what is old goes, and a dry run leaves it", "[cli][state]") {
  auto old = write_old(state + "old.limits", limits, 31);
  auto young = write_old(state + "young.limits", limits, 29);
  CHECK(contains(clean({"--dry-run"}), "would remove "));
  CHECK(fs::exists(old));
  auto said = clean({});
  CHECK(contains(said, "old.limits (20 B)"));
  CHECK(contains(said, "1 file, 20 B removed, 0 kept"));
  CHECK_FALSE(fs::exists(old));
  CHECK(fs::exists(young));
  CHECK(contains(clean({"--older-than", "10d"}), "young.limits (20 B)"));
}

TEST_CASE_METHOD(state_test, "what a program has locked stays, and is named", "[cli][state]") {
  auto path = write_old(state + "main.limits", limits, 60);
  auto lock = ::open(folder.path(state + "main.lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  REQUIRE(::flock(lock, LOCK_EX) == 0);
  CHECK(contains(clean({}), "main.limits: a program uses it"));
  CHECK(fs::exists(path));
  ::close(lock);
  clean({});
  CHECK_FALSE(fs::exists(path));
}

TEST_CASE_METHOD(state_test, "ledgers of finished batches go when they are meant", "[cli][state]") {
  auto ledger = finish_batch();
  CHECK_FALSE(contains(clean({}), "ledger"));
  CHECK(fs::exists(ledger));
  CHECK(contains(clean({"--kind", "ledger"}), "1 file"));
  CHECK_FALSE(fs::exists(ledger));
  CHECK(fs::exists(folder.path("out.jsonl")));
}

TEST_CASE_METHOD(state_test, "ledgers that are needed stay, and the reason is told", "[cli][state]") {
  auto ledger = finish_batch();
  auto whole = folder.read("out.jsonl.ledger");
  auto second_line = whole.find('\n', whole.find('\n') + 1);
  write_old("out.jsonl.ledger", whole.substr(0, second_line + 1), 60);
  CHECK(contains(clean({"--kind", "ledger"}), "out.jsonl.ledger: the batch is not finished"));
  write_old("out.jsonl.ledger", whole, 60);
  fs::remove(folder.path("out.jsonl"));
  CHECK(contains(clean({"--kind", "ledger"}), "its output is not there"));
  CHECK(fs::exists(ledger));
}

TEST_CASE_METHOD(state_test, "confirmations of configurations that have changed go, others stay", "[cli][state]") {
  auto config = [&](const std::string& more) {
    return folder.write("modelforge.toml", "[providers.x]\nkind = \"openai\"\nbase_url = \"http://example.com/v1\"\n"
                                           "api_key_env = \"OPENAI_API_KEY\"\n"
                                             + more);
  };
  config("");
  REQUIRE(run({"config", "trust"}).exit_code == 0);
  CHECK(contains(clean({"--kind", "trusted", "--older-than", "0.001s"}), "the configuration is as it was confirmed"));
  config("default_model = \"m\"\n");
  auto all = json::parse(run({"state", "--json"}).out);
  REQUIRE(all.size() == 1);
  CHECK(all[0]["kept_because"] == "");
  CHECK(contains(clean({"--kind", "trusted", "--older-than", "0.001s"}), "1 file"));
}

TEST_CASE_METHOD(state_test, "kinds that nobody cleans, or that there are not, are refused", "[cli][state]") {
  for (auto* word : {"lock", "log", "everything"}) {
    auto result = run({"state", "clean", "--kind", word});
    CHECK(result.exit_code == 2);
    CHECK(contains(result.err, "is none of: limits"));
  }
}

} // namespace modelforge::state_cli_test
