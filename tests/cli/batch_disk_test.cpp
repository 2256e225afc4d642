#include "tests/cli/cli_fixture.hpp"
#include "tests/http/waiting.hpp"

#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <sys/mount.h>
#include <thread>

namespace modelforge::batch_disk_test {

// Where a batch's files cannot be kept: what it says, and that nothing is lost.

using namespace std::chrono_literals;
using namespace modelforge::test;

namespace {

std::string answer_of(std::size_t size) {
  return whole_answer(200, R"({"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":")"
                             + std::string(size, 'x')
                             + R"("},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":1}})");
}

/// A small file system in memory; only root may make one.
class small_disk {
public:
  explicit small_disk(std::string where) : where_(std::move(where)) {
    std::filesystem::create_directory(where_);
    is_there_ = mount("tmpfs", where_.c_str(), "tmpfs", 0, "size=256k") == 0;
  }

  ~small_disk() {
    if (is_there_)
      umount2(where_.c_str(), MNT_DETACH);
  }

  small_disk(const small_disk&) = delete;
  small_disk& operator=(const small_disk&) = delete;

  bool is_there() const { return is_there_; }

  bool change(unsigned long flags, const char* options) {
    return mount("tmpfs", where_.c_str(), "tmpfs", MS_REMOUNT | flags, options) == 0;
  }

private:
  std::string where_;
  bool is_there_ = false;
};

std::string prompts(int count) {
  std::string text;
  for (int i = 0; i < count; ++i)
    text += "prompt " + std::to_string(i) + "\n";
  return text;
}

} // namespace

TEST_CASE_METHOD(cli_test, "a full disk stops a batch, and with more room it goes on", "[cli][batch]") {
  small_disk disk{folder.path("disk")};
  if (!disk.is_there())
    SKIP("only root may mount a file system");
  std::atomic<int> asked{0};
  misbehaving_server server{[&](peer& x) {
    while (x.read_request()) {
      ++asked;
      x.send(answer_of(1'500));
    }
  }};
  auto output = folder.path("disk/out.jsonl");
  std::vector<std::string> arguments{
    "batch", "-c",  configure(server.url("")), "--max-concurrent", "4", folder.write("in.txt", prompts(300)),
    "-o",    output};
  auto full = run(arguments);
  INFO(full.err);
  CHECK(full.exit_code == 1);
  CHECK(contains(full.err, "cannot write to the ledger " + output + ".ledger: No space left on device"));
  CHECK(contains(full.err, "make room, then run it again"));
  auto before = asked.load();
  CHECK(before < 300);
  auto again = run(arguments); // still full: it says so again, and asks for next to nothing
  INFO(again.err);
  CHECK(again.exit_code != 0);
  CHECK(contains(again.err, "No space left on device"));
  REQUIRE(disk.change(0, "size=8m"));
  auto whole = run(arguments);
  INFO(whole.err);
  CHECK(whole.exit_code == 0);
  CHECK(contains(whole.err, "300 requests: 300 answered, 0 failed"));
  auto out = folder.read("disk/out.jsonl");
  CHECK(std::count(out.begin(), out.end(), '\n') == 300);
  CHECK(asked <= 300 + 2 * 4 + 100); // those that came when they could not be kept: a group or two
}

TEST_CASE_METHOD(cli_test, "a disk that has become read-only stops a batch", "[cli][batch]") {
  small_disk disk{folder.path("disk")};
  if (!disk.is_there())
    SKIP("only root may mount a file system");
  REQUIRE(disk.change(MS_RDONLY, "size=256k"));
  misbehaving_server server{always(answer_of(10))};
  auto x = run({"batch", "-c", configure(server.url("")), folder.write("in.txt", prompts(3)), "-o",
                folder.path("disk/out.jsonl")});
  INFO(x.err);
  CHECK(x.exit_code == 2);
  CHECK(contains(x.err, "out.jsonl.ledger: Read-only file system"));
  CHECK(server.connections == 0);
}

TEST_CASE_METHOD(cli_test, "a batch whose output folder is removed ends, and does not go on paying", "[cli][batch]") {
  std::filesystem::create_directory(folder.path("results"));
  std::atomic<int> asked{0};
  misbehaving_server server{[&](peer& x) {
    while (x.read_request()) {
      if (++asked == 50)
        std::filesystem::remove_all(folder.path("results"));
      x.send(answer_of(10));
    }
  }};
  auto x = run({"batch", "-c", configure(server.url("")), "--max-concurrent", "4",
                folder.write("in.txt", prompts(5'000)), "-o", folder.path("results/out.jsonl")});
  INFO(x.err);
  CHECK(x.exit_code == 1);
  CHECK(contains(x.err, "results/out.jsonl.ledger: No such file or directory"));
  CHECK(asked < 5'000);
}

TEST_CASE_METHOD(cli_test, "a batch whose input is another one is refused, with both named", "[cli][batch]") {
  misbehaving_server server{always(answer_of(10))};
  std::vector<std::string> arguments{
    "batch", "-c", configure(server.url("")), folder.write("in.txt", prompts(3)), "-o", folder.path("out.jsonl")};
  REQUIRE(run(arguments).exit_code == 0);
  auto output = folder.read("out.jsonl");
  folder.write("in.txt", "others\n");
  auto x = run(arguments);
  INFO(x.err);
  CHECK(x.exit_code == 2);
  CHECK(contains(x.err, "belongs to another input: " + folder.path("in.txt") + " with 27 bytes"));
  CHECK(contains(x.err, "--fresh"));
  CHECK(folder.read("out.jsonl") == output);
  arguments.push_back("--fresh");
  CHECK(run(arguments).exit_code == 0);
}

TEST_CASE_METHOD(cli_test, "a batch goes on when lines are corrected and added, and asks about answered ones",
                 "[cli][batch]") {
  std::atomic<int> asked{0};
  misbehaving_server server{[&](peer& x) {
    while (x.read_request()) {
      ++asked;
      x.send(answer_of(10));
    }
  }};
  auto write = [&](const std::string& lines) { folder.write("in.jsonl", lines); };
  std::string first = "{\"id\":\"a\",\"prompt\":\"one\"}\n";
  write(first + "{\"id\":\"b\",\"prompt\":\n");
  std::vector<std::string> arguments{
    "batch", "-c", configure(server.url("")), folder.path("in.jsonl"), "-o", folder.path("out.jsonl")};
  CHECK(run(arguments).exit_code == 1);
  CHECK(asked == 1);
  std::string rest = "{\"id\":\"b\",\"prompt\":\"two\"}\n{\"id\":\"c\",\"prompt\":\"three\"}\n";
  write(first + rest);
  auto x = run(arguments);
  INFO(x.err);
  CHECK(x.exit_code == 0);
  CHECK(asked == 3);
  CHECK(contains(x.err, "3 requests: 3 answered, 0 failed"));
  auto output = folder.read("out.jsonl");
  CHECK(std::count(output.begin(), output.end(), '\n') == 3);
  write("{\"id\":\"a\",\"prompt\":\"another\"}\n" + rest);
  auto changed = run(arguments);
  CHECK(changed.exit_code == 2);
  CHECK(contains(changed.err, "an answered line of " + folder.path("in.jsonl") + " has changed since: line 1 (a)"));
  CHECK(asked == 3);
  arguments.push_back("--accept-changes");
  CHECK(run(arguments).exit_code == 0);
  CHECK(asked == 4);
}

TEST_CASE_METHOD(cli_test, "a batch does not go on with results of others unasked, least with simulated ones",
                 "[cli][batch]") {
  misbehaving_server server{always(answer_of(10))};
  auto input = folder.write("in.txt", prompts(2));
  auto output = folder.path("out.jsonl");
  auto config = configure(server.url(""), "[providers.other]\nkind = \"openai_compatible\"\nbase_url = \""
                                            + server.url("/v1") + "\"\ndefault_model = \"m\"\n");
  std::vector<std::string> real{"batch", "-c", config, input, "-o", output};
  auto with = [&](std::vector<std::string> more) {
    more.insert(more.begin(), real.begin(), real.end());
    return run(more);
  };
  REQUIRE(run({"batch", "--simulate", input, "-o", output}).exit_code == 0);
  auto simulated = folder.read("out.jsonl");
  auto x = run(real);
  INFO(x.err);
  CHECK(x.exit_code == 2);
  CHECK(contains(x.err, "simulated: yes, now no"));
  CHECK(contains(x.err, "provider: simulator, now test"));
  CHECK(contains(x.err, "--accept-changes"));
  CHECK(server.connections == 0);
  CHECK(folder.read("out.jsonl") == simulated);
  CHECK(with({"--fresh"}).exit_code == 0);
  CHECK(server.connections > 0);
  CHECK(run(real).exit_code == 0);
  auto model = with({"-m", "n"});
  CHECK(model.exit_code == 2);
  CHECK(contains(model.err, "were made with others: model: m, now n ["));
  CHECK(contains(with({"-p", "other"}).err, "provider: test, now other"));
  auto accepted = with({"-m", "n", "--accept-changes"});
  CHECK(accepted.exit_code == 0);
  CHECK(contains(accepted.err, "2 results of earlier runs were made with others: model: m, now n"));
  CHECK(with({"-m", "n"}).exit_code == 0);
}

TEST_CASE_METHOD(cli_test, "a batch that comes to nothing stops, says so once, and goes on when that is mended",
                 "[cli][batch]") {
  struct row {
    int status;
    std::string body;
    std::string told;
  };
  for (auto& [status, body, told] :
       {row{401, R"({"error":{"message":"No such key","code":"invalid_api_key"}})", "No such key"},
        row{403, R"({"error":{"message":"Not for you","type":"forbidden"}})", "Not for you"},
        row{404, R"({"error":{"message":"No model m","code":"model_not_found"}})", "No model m"}}) {
    std::atomic<int> asked{0};
    std::atomic<bool> mended{false};
    misbehaving_server server{[&, refusal = whole_answer(status, body)](peer& x) {
      while (x.read_request()) {
        ++asked;
        x.send(mended ? answer_of(10) : refusal);
      }
    }};
    auto output = folder.path("out" + std::to_string(status) + ".jsonl");
    std::vector<std::string> arguments{"batch", "-c",   configure(server.url("")), folder.write("in.txt", prompts(60)),
                                       "-o",    output, "--max-concurrent",        "4"};
    auto x = run(arguments);
    INFO(x.err);
    CHECK(x.exit_code == 1);
    CHECK(asked >= 3);
    CHECK(asked < 10);
    auto place = x.err.find(told);
    REQUIRE(place != x.err.npos);
    CHECK(x.err.find(told, place + 1) == x.err.npos);
    CHECK(contains(x.err, "--keep-going"));
    CHECK(contains(x.err, "run the same command again to go on"));
    CHECK_FALSE(std::filesystem::exists(output));
    mended = true;
    auto again = run(arguments);
    INFO(again.err);
    CHECK(again.exit_code == 0);
    CHECK(contains(again.err, "60 requests: 60 answered, 0 failed"));
    mended = false;
    asked = 0;
    arguments.insert(arguments.end(), {"--fresh", "--keep-going"});
    auto kept = run(arguments);
    INFO(kept.err);
    CHECK(kept.exit_code == 1);
    CHECK(contains(kept.err, "60 requests: 0 answered, 60 failed"));
  }
}

TEST_CASE_METHOD(cli_test, "a batch for no model sends nothing, and says so once", "[cli][batch]") {
  misbehaving_server server{always(answer_of(10))};
  auto config = folder.write("test.toml", "[providers.test]\nkind = \"openai_compatible\"\nbase_url = \""
                                            + server.url("/v1") + "\"\n");
  std::vector<std::string> arguments{
    "batch", "-c", config, folder.write("in.txt", prompts(60)), "-o", folder.path("out.jsonl")};
  auto x = run(arguments);
  INFO(x.err);
  CHECK(x.exit_code == 2);
  CHECK(contains(x.err, "the request names no model"));
  CHECK(server.connections == 0);
  arguments.insert(arguments.end(), {"-m", "m"});
  CHECK(run(arguments).exit_code == 0);
}

TEST_CASE_METHOD(cli_test, "status tells what a batch has done, and cancel finds nothing to cancel", "[cli][batch]") {
  misbehaving_server server{always(answer_of(10))};
  auto config = configure(server.url(""));
  auto output = folder.path("out.jsonl");
  REQUIRE(run({"batch", "-c", config, folder.write("in.txt", prompts(3)), "-o", output}).exit_code == 0);
  auto status = run({"batch", "status", output + ".ledger"});
  CHECK(status.exit_code == 0);
  CHECK(
    status.out
    == "3 of 3 done: 3 answered, 0 failed\ntokens: 3 in, 3 out; cost: unknown for 3 items; HTTP attempts: 3\ninput: "
         + folder.path("in.txt") + "\nmade with: api: openai_compatible chat; model: m; provider: test; server: "
         + server.url("/v1") + "; simulated: no\n");
  CHECK(run({"batch", "status", output}).out == status.out);
  auto told = run({"batch", "status", output, "--json"}).out;
  CHECK(contains(told, "\"items\": 3,"));
  CHECK(contains(told, "\"answered\": 3,"));
  CHECK(contains(told, "\"cost\": null,"));
  CHECK(contains(told, "\"unpriced\": 3,"));
  auto cancel = run({"batch", "cancel", "-c", config, output + ".ledger"});
  CHECK(cancel.exit_code == 0);
  CHECK(contains(cancel.err, "no jobs at a provider"));
  auto none = run({"batch", "status", folder.path("in.txt")});
  CHECK(none.exit_code == 2);
  CHECK(contains(none.err, "there is no batch with the output " + folder.path("in.txt")));
  CHECK_FALSE(contains(none.err, "move"));
  CHECK(contains(run({"batch", "status", folder.path("none.ledger")}).err, "cannot open the ledger"));
}

TEST_CASE_METHOD(cli_test, "a dry run tells what a batch would take, and sends nothing", "[cli][batch]") {
  misbehaving_server server{always(answer_of(10))};
  auto config = configure(server.url(""), "price = { input = 2.0, output = 8.0 }\n"
                                          "rate_limit = { requests_per_minute = 2 }\n");
  auto input = folder.write("in.jsonl", "{\"prompt\":\"one two three\",\"max_tokens\":100}\n{\"prompt\":\n"
                                        "{\"prompt\":\"four\",\"max_tokens\":50}\n");
  auto x = run({"batch", "-c", config, "--dry-run", input});
  INFO(x.out);
  INFO(x.err);
  CHECK(x.exit_code == 1);
  CHECK(x.out.starts_with(input + ":2: "));
  CHECK(contains(x.out, "\nitems: 3, of which 1 cannot be read\n"));
  CHECK(contains(x.out, "at most 150 out"));
  CHECK(contains(x.out, "at most 0.00120 for those answers"));
  CHECK(contains(x.out, "time: at least 60 s by the limits of test"));
  auto jobs = run({"batch", "-c", config, "--dry-run", "--mode", "auto", input}).out;
  CHECK(contains(jobs, "cost at test, by its batch API: "));
  CHECK(contains(jobs, "at most 0.00060 for those answers"));
  CHECK(contains(jobs, "time: up to a day"));
  CHECK(contains(run({"batch", "-c", config, "--dry-run", "--mode", "auto", "--deadline", "2h", input}).out,
                 "time: at least 60 s"));
  CHECK(server.connections == 0);
}

TEST_CASE_METHOD(cli_test, "a dry run names every line that cannot be read, and fails", "[cli][batch]") {
  auto input = folder.write("in.jsonl", "{\"id\":1,\"prompt\":\"a\"}\n{\"prompt\":\n{\"id\":1,\"prompt\":\"b\"}\n"
                                        "{\"prompt\":3}\n{\"prompt\":\"c\"}\n");
  auto x = run({"batch", "--simulate", "--dry-run", input});
  INFO(x.out + x.err);
  CHECK(x.exit_code == 1);
  for (auto* line : {":2: the line is not JSON", ":3: the custom_id 1 has been used", ":4: prompt is not a string"})
    CHECK(contains(x.out, input + line));
  CHECK(contains(x.out, "items: 5, of which 3 cannot be read\n"));
  folder.write("in.jsonl", "{\"prompt\":\"a\"}\n");
  CHECK(run({"batch", "--simulate", "--dry-run", input}).exit_code == 0);
  CHECK(run({"batch", "--simulate", "--dry-run", folder.path("none")}).exit_code == 2);
}

TEST_CASE_METHOD(cli_test, "a batch's input in UTF-16 is refused whole, by name", "[cli][batch]") {
  misbehaving_server server{always(answer_of(10))};
  auto config = configure(server.url(""));
  auto input = folder.write("in.jsonl", std::string{"\xFF\xFE{\0\"\0", 6});
  auto refusal = input + " is UTF-16; save it as UTF-8";
  auto x = run({"batch", "-c", config, input, "-o", folder.path("out.jsonl")});
  CHECK(x.exit_code == 2);
  CHECK(contains(x.err, refusal));
  CHECK_FALSE(std::filesystem::exists(folder.path("out.jsonl.ledger")));
  auto tried = run({"batch", "-c", config, "--dry-run", input});
  CHECK(tried.exit_code == 1);
  CHECK(contains(tried.err, refusal));
  auto piped = command({"batch", "-c", config, "-", "-o", folder.path("out.jsonl")});
  piped.input = folder.read("in.jsonl");
  auto y = test::run_process(piped);
  CHECK(y.exit_code == 2);
  CHECK(contains(y.err, "standard input is UTF-16; save it as UTF-8"));
  CHECK(server.connections == 0);
}

} // namespace modelforge::batch_disk_test
