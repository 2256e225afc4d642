#include "tests/cli/cli_fixture.hpp"
#include "tests/http/waiting.hpp"
#include "tools/simulator/simulator.hpp"

#include <catch2/catch_test_macros.hpp>

#include <nlohmann/json.hpp>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <filesystem>
#include <mutex>
#include <sstream>

namespace modelforge::batch_files_test {

// What a batch's files hold, and how a run goes on with those of an earlier one.

using namespace std::chrono_literals;
using namespace modelforge::test;
using json = nlohmann::json;
using strings = std::vector<std::string>;

namespace {

struct batch_files_test : cli_test {
  std::vector<json> results(const std::string& name = "out.jsonl") {
    std::vector<json> lines;
    std::istringstream in{folder.read(name)};
    for (std::string line; std::getline(in, line);)
      lines.push_back(json::parse(line));
    return lines;
  }

  strings arguments(const misbehaving_server& server, const strings& more = {}) {
    strings all{"batch", "-c", configure(server.url("")), folder.path("in.jsonl"), "-o", folder.path("out.jsonl")};
    all.insert(all.end(), more.begin(), more.end());
    return all;
  }

  /// Writes lines for these prompts, each with its own text as its id.
  void ask_for(const strings& prompts) {
    std::string text;
    for (auto& prompt : prompts)
      text += "{\"id\":\"" + prompt + "\",\"prompt\":\"" + prompt + "\"}\n";
    folder.write("in.jsonl", text);
  }

  std::string answered_ids(const std::string& name = "out.jsonl") {
    std::string ids;
    for (auto& line : results(name))
      ids +=
        line["custom_id"].get<std::string>()
        + (line["response"]["body"]["choices"][0]["message"]["content"] == "on " + line["custom_id"].get<std::string>()
             ? " "
             : "? ");
    return ids;
  }
};

/// Answers "on PROMPT", and keeps the prompts.
class keen_server {
public:
  std::string take() {
    std::lock_guard lock{mutex_};
    std::sort(asked_.begin(), asked_.end());
    std::string all;
    for (auto& one : std::exchange(asked_, {}))
      all += one + " ";
    return all;
  }

  operator const misbehaving_server&() const { return server_; }

private:
  void serve(peer& x) {
    while (auto request = x.read_request()) {
      auto body = json::parse(request->substr(request->find("\r\n\r\n") + 4));
      auto prompt = body["messages"][0]["content"].get<std::string>();
      {
        std::lock_guard lock{mutex_};
        asked_.push_back(prompt);
      }
      if (!x.send(whole_answer(200, R"({"choices":[{"index":0,"message":{"role":"assistant","content":"on )" + prompt
                                      + R"("},"finish_reason":"stop"}]})")))
        return;
    }
  }

  std::mutex mutex_;
  strings asked_;
  misbehaving_server server_{[this](peer& x) { serve(x); }};
};

} // namespace

TEST_CASE_METHOD(batch_files_test, "a line of the output has an error where it has no answer, and nowhere else",
                 "[cli][batch]") {
  misbehaving_server server{[](peer& x) {
    while (auto request = x.read_request()) {
      auto known = contains(*request, "\"good\"") || contains(*request, "\"cut\"");
      auto reason = contains(*request, "\"cut\"") ? "length" : "stop";
      auto status = contains(*request, "\"refused\"") ? 400 : contains(*request, "\"blocked\"") ? 403 : 200;
      auto body = status != 200 ? std::string{R"({"error":{"message":"not this one","code":"odd"}})"}
                  : known
                    ? R"({"choices":[{"message":{"content":"fine"},"finish_reason":")" + std::string{reason} + "\"}]}"
                    : std::string{"<html>"};
      if (!x.send(whole_answer(status, body)))
        return;
    }
  }};
  folder.write("in.jsonl", "{\"id\":\"1\",\"prompt\":\"good\"}\n{\"id\":\"2\",\"prompt\":\"refused\"}\n"
                           "{\"id\":\"3\",\"prompt\":\"blocked\"}\n{\"id\":\"4\",\"prompt\":\"html\"}\n"
                           "{\"id\":\"5\",\"prompt\":\n{\"id\":\"6\",\"prompt\":\"cut\"}\n");
  auto all = arguments(server, {"--keep-going", "--max-concurrent", "1"});
  all[2] = configure(server.url(""), "[providers.test.retry]\nmax_attempts = 1\n");
  auto x = run(all);
  INFO(x.err);
  CHECK(x.exit_code == 1);
  std::string answered, failed;
  for (auto& line : results()) {
    INFO(line.dump());
    auto& id = line["id"].get_ref<const std::string&>();
    (line["error"].is_null() ? answered : failed) += id.back();
    if (line["error"].is_null()) {
      CHECK(line["response"]["status_code"] == 200);
      continue;
    }
    CHECK(line["error"]["code"].is_string());
    CHECK(line["error"]["message"].is_string());
    auto is_http = id.back() == '2' || id.back() == '3';
    CHECK(line["response"].is_null() == !is_http);
    if (is_http)
      CHECK(line["response"]["status_code"] == (id.back() == '2' ? 400 : 403));
  }
  CHECK(answered == "16");
  CHECK(failed == "2345");
  CHECK(
    contains(x.err, "there is a line that cannot be read: correct what is wrong there, and the same command sends it"));
  CHECK(contains(x.err, "--retry-failed"));
}

TEST_CASE_METHOD(batch_files_test,
                 "where only lines that cannot be read have failed, nobody is told to send them again",
                 "[cli][batch]") {
  keen_server server;
  folder.write("in.jsonl", "{\"id\":\"a\",\"prompt\":\"a\"}\n{\"prompt\"\n{\"nothing\":1}\n");
  auto x = run(arguments(server));
  INFO(x.err);
  CHECK(x.exit_code == 1);
  CHECK(contains(x.err, "there are 2 lines that cannot be read: correct what is wrong there"));
  CHECK_FALSE(contains(x.err, "--retry-failed"));
}

TEST_CASE_METHOD(batch_files_test, "lines that have moved keep their answers, by their ids", "[cli][batch]") {
  keen_server server;
  ask_for({"a", "b", "c", "d"});
  REQUIRE(run(arguments(server)).exit_code == 0);
  CHECK(server.take() == "a b c d ");
  ask_for({"new", "d", "a", "c", "other", "b"});
  auto x = run(arguments(server));
  INFO(x.err);
  CHECK(x.exit_code == 0);
  CHECK(contains(x.err, "6 requests: 6 answered, 0 failed"));
  CHECK(contains(x.err, "4 of them earlier"));
  CHECK(server.take() == "new other ");
  CHECK(answered_ids() == "new d a c other b ");
  auto lines = results();
  for (std::size_t i = 0; i < lines.size(); ++i)
    CHECK(lines[i]["id"] == "batch_req_" + std::to_string(i + 1));
  CHECK(run(arguments(server)).exit_code == 0);
  CHECK(server.take().empty());
  folder.write("in.jsonl", "{\"id\":\"b\",\"prompt\":\"b\"}\n{\"id\":\"a\",\"prompt\":\"another\"}\n");
  auto changed = run(arguments(server));
  INFO(changed.err);
  CHECK(changed.exit_code == 2);
  CHECK(contains(changed.err, "5 answered lines of " + folder.path("in.jsonl")
                                + " have changed since: line 2 (a), new (gone), d (gone), c (gone), other (gone)"));
  CHECK(server.take().empty());
}

TEST_CASE_METHOD(batch_files_test, "results that were made with others are told of at every run, and counted",
                 "[cli][batch]") {
  keen_server server;
  ask_for({"a", "b"});
  REQUIRE(run(arguments(server, {"-m", "first"})).exit_code == 0);
  ask_for({"a", "b", "c"});
  CHECK(run(arguments(server, {"-m", "second"})).exit_code == 2);
  auto told = "2 results of earlier runs were made with others: model: first, now second";
  CHECK(contains(run(arguments(server, {"-m", "second", "--accept-changes"})).err, told));
  for (int i = 0; i < 2; ++i) {
    auto x = run(arguments(server, {"-m", "second"}));
    INFO(x.err);
    CHECK(x.exit_code == 0);
    CHECK(contains(x.err, told));
  }
  auto status = run({"batch", "status", folder.path("out.jsonl.ledger")}).out;
  INFO(status);
  CHECK(contains(status, "\n2 made with: "));
  CHECK(contains(status, "\n1 made with: "));
  CHECK(contains(status, "model: first"));
  CHECK(contains(status, "model: second"));
  CHECK(server.take() == "a b c ");
}

TEST_CASE_METHOD(batch_files_test, "a job under way keeps its input, and is not forgotten unasked", "[cli][batch]") {
  simulator::options behaviour;
  behaviour.batch_time = 1h;
  simulator::server server{behaviour};
  auto config = folder.write("jobs.toml", "[providers.test]\nkind = \"openai\"\nbase_url = \"" + server.url()
                                            + "/v1\"\ndefault_model = \"sim-mini\"\n");
  ask_for({"a", "b"});
  strings batch{"batch", "-c", config, "--mode", "provider", folder.path("in.jsonl"), "-o", folder.path("out.jsonl")};
  auto with = [&](const std::string& more) {
    auto all = batch;
    if (!more.empty())
      all.push_back(more);
    return all;
  };
  auto started = batch;
  started.insert(started.begin(), program());
  {
    background_process first{started};
    REQUIRE(eventually([&] { return contains(folder.read("out.jsonl.ledger"), "\"event\":\"job\""); }));
    CHECK(first.end(SIGINT) == 130);
  }
  auto ledger = folder.read("out.jsonl.ledger");
  auto fresh = run(with("--fresh"));
  INFO(fresh.err);
  CHECK(fresh.exit_code == 2);
  CHECK(contains(fresh.err, "--fresh would forget what is under way at test (batch_"));
  CHECK(contains(fresh.err, "--accept-changes"));
  ask_for({"a", "b", "c"});
  for (auto& all : {with(""), strings{"batch", "cancel", "-c", config, folder.path("out.jsonl.ledger")}}) {
    auto x = run(all);
    INFO(x.err);
    CHECK(x.exit_code == 2);
    CHECK(contains(x.err, "in.jsonl has changed, while a job of an earlier run is under way at test (batch_"));
    CHECK(contains(x.err, "bring it back as it was"));
  }
  CHECK(folder.read("out.jsonl.ledger") == ledger);
  CHECK(server.snapshot().batch_jobs == 1);
}

TEST_CASE_METHOD(batch_files_test, "a dry run names bad lines in a row that say the same in two lines",
                 "[cli][batch]") {
  std::string text = "plain\n";
  for (int i = 0; i < 160; ++i)
    text += "{\"id\":\"" + std::to_string(i) + "\",\"prompt\":\"x\"}\n";
  text += "plain\n{\"id\":\"x\",\"prompt\":\"x\"}\n\n{\"id\":\"y\",\"prompt\":\"y\"}\nplain\n";
  auto input = folder.write("in.jsonl", text);
  auto x = run({"batch", "--simulate", "--dry-run", input});
  INFO(x.out);
  CHECK(x.exit_code == 1);
  CHECK(x.out.starts_with(input + ":2: this looks like JSON"));
  CHECK(contains(x.out, "\n" + input + ":3 to 161: the same, 159 lines\n" + input + ":163: this looks like JSON"));
  CHECK(contains(x.out, "\n" + input + ":165: this looks like JSON"));
  CHECK(contains(x.out, "items: 165, of which 162 cannot be read"));
}

TEST_CASE_METHOD(batch_files_test, "a batch whose terminal is closed writes what is done, and goes on later",
                 "[cli][batch]") {
  std::atomic<int> asked{0};
  std::atomic<bool> is_slow{true};
  misbehaving_server server{[&](peer& x) {
    while (x.read_request()) {
      if (++asked > 5 && is_slow)
        x.read_request(); // until it goes
      else if (!x.send(whole_answer(200, good_answer)))
        return;
    }
  }};
  strings prompts;
  for (int i = 0; i < 20; ++i)
    prompts.push_back("p" + std::to_string(i));
  ask_for(prompts);
  auto all = arguments(server, {"--max-concurrent", "2"});
  all.insert(all.begin(), program());
  background_process batch{all};
  REQUIRE(eventually([&] { return asked >= 7; }));
  CHECK(batch.end(SIGHUP) == 130);
  CHECK(results("out.jsonl.part").size() == 5);
  is_slow = false;
  auto x = run(arguments(server));
  INFO(x.err);
  CHECK(x.exit_code == 0);
  CHECK(contains(x.err, "20 requests: 20 answered, 0 failed"));
  CHECK(contains(x.err, "5 of them earlier"));
}

TEST_CASE_METHOD(batch_files_test, "a batch under nohup goes on when its terminal is closed", "[cli][batch]") {
  std::atomic<int> asked{0};
  std::atomic<bool> may_answer{false};
  misbehaving_server server{[&](peer& x) {
    while (x.read_request()) {
      ++asked;
      if (!eventually([&] { return may_answer.load(); }) || !x.send(whole_answer(200, good_answer)))
        return;
    }
  }};
  ask_for({"a", "b"});
  auto all = arguments(server);
  all.insert(all.begin(), {"/bin/sh", "-c", "trap '' HUP; exec \"$@\"", "sh", program()});
  background_process batch{all};
  REQUIRE(eventually([&] { return asked >= 2; }));
  batch.signal(SIGHUP);
  may_answer = true;
  CHECK(eventually([&] { return std::filesystem::exists(folder.path("out.jsonl")); }));
  CHECK(results().size() == 2);
}

TEST_CASE_METHOD(batch_files_test, "a batch's deadline ends what is not answered by then", "[cli][batch]") {
  misbehaving_server server{[&](peer& x) {
    for (int i = 0; x.read_request(); ++i)
      if (i > 0)
        return x.wait_for_close();
      else if (!x.send(whole_answer(200, good_answer)))
        return;
  }};
  ask_for({"a", "b", "c"});
  auto x = run(arguments(server, {"--max-concurrent", "1", "--deadline", "2"}));
  INFO(x.err);
  CHECK(x.exit_code == 1);
  CHECK(contains(x.err, "3 requests: 1 answered, 2 failed"));
  auto lines = results();
  REQUIRE(lines.size() == 3);
  for (auto i : {1, 2})
    CHECK(lines[static_cast<std::size_t>(i)]["error"]["code"] == "deadline_exceeded");
  for (auto& more : {strings{}, strings{"--dry-run"}}) { // which is to tell what the real run would do
    strings options{"--mode", "provider", "--deadline", "2h"};
    options.insert(options.end(), more.begin(), more.end());
    auto refused = run(arguments(server, options));
    CHECK(refused.exit_code == 2);
    CHECK(contains(refused.err, "a provider's batch API takes up to a day: give --deadline at least 24h"));
  }
}

TEST_CASE_METHOD(batch_files_test, "answers in whose place others stand are not counted among those without a price",
                 "[cli][batch]") {
  misbehaving_server server{always(whole_answer(200, good_answer))};
  ask_for({"a", "b", "c"});
  REQUIRE(run(arguments(server)).exit_code == 0);
  folder.write("in.jsonl", R"({"id":"a","prompt":"other"})"
                           "\n"
                           R"({"id":"b","prompt":"other"})"
                           "\n"
                           R"({"id":"c","prompt":"c"})"
                           "\n");
  auto again = run(arguments(server, {"--accept-changes"}));
  INFO(again.err);
  REQUIRE(again.exit_code == 0);
  CHECK(contains(run({"batch", "status", folder.path("out.jsonl")}).out, "unknown for 3 items"));
}

} // namespace modelforge::batch_files_test
