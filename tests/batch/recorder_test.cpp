#include "batch/recorder.hpp"

#include "tests/support/temporary_folder.hpp"

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <sstream>

namespace modelforge::recorder_test {

using namespace std::chrono_literals;
using batch::recorder;
using batch::recorder_news;

namespace {

/// Takes a recorder's news and waits for some.
class listener {
public:
  void take(const recorder_news& x) {
    std::lock_guard lock{mutex_};
    all_.push_back(x);
    wake_.notify_all();
  }

  /// Returns the first news of which `what` holds.
  template <class What>
  recorder_news wait_for(What what) {
    std::unique_lock lock{mutex_};
    auto found = all_.end();
    auto there = [&] { return (found = std::find_if(all_.begin(), all_.end(), what)) != all_.end(); };
    REQUIRE(wake_.wait_for(lock, 30s, there));
    return *found;
  }

  recorder_news last() {
    return wait_for([](auto& x) { return x.finished; });
  }

  std::size_t count() {
    std::lock_guard lock{mutex_};
    return all_.size();
  }

private:
  std::mutex mutex_;
  std::condition_variable wake_;
  std::vector<recorder_news> all_;
};

batch::record record(uint64_t item, bool ok = true) {
  batch::record x{item, "id-" + std::to_string(item), {}};
  if (ok) {
    completion answer;
    answer.text = "text " + std::to_string(item);
    x.outcome = answer;
  } else {
    x.outcome = make_failure(errc::server_error, "broken");
  }
  return x;
}

struct recorder_test {
  test::temporary_folder folder;
  std::string path = folder.path("out.jsonl");
  listener news;

  std::unique_ptr<batch::ledger> ledger() {
    auto file = batch::open_ledger_file(path + ".ledger");
    auto opened = batch::ledger::open(std::move(std::get<0>(file)), path + ".ledger", {1'000'000, 7, "in"});
    return std::move(std::get<0>(opened));
  }

  std::unique_ptr<recorder> make(bool with_ledger, bool by_arrival = false) {
    auto out = batch::open_sink(path);
    return std::make_unique<recorder>(with_ledger ? ledger() : nullptr, std::move(std::get<0>(out)), by_arrival,
                                      [this](const recorder_news& x) { news.take(x); });
  }

  /// The numbers in the output's ids, in its order.
  std::string order(const std::string& of) {
    std::istringstream in{folder.read(of)};
    std::string found;
    for (std::string line; std::getline(in, line);)
      found += line.substr(line.find("\"id-") + 4, 1);
    return found;
  }
};

} // namespace

TEST_CASE_METHOD(recorder_test, "results come out in the order that was asked for, ledger or not",
                 "[batch][recorder]") {
  auto with_ledger = GENERATE(true, false);
  auto by_arrival = GENERATE(true, false);
  CAPTURE(with_ledger, by_arrival);
  auto to = make(with_ledger, by_arrival);
  for (uint64_t item : {2, 0, 3, 1})
    to->add(record(item, item != 3));
  to->finish(true);
  auto last = news.last();
  CHECK_FALSE(last.problem);
  CHECK(last.kept == 4);
  CHECK(last.ok == 3);
  CHECK(last.failed == 1);
  CHECK(last.place == path);
  CHECK(order("out.jsonl") == (by_arrival ? "2031" : "0123"));
}

TEST_CASE_METHOD(recorder_test, "answers that are no good ones are counted by what is wrong, ledger or not",
                 "[batch][recorder]") {
  auto with_ledger = GENERATE(true, false);
  CAPTURE(with_ledger);
  auto to = make(with_ledger);
  for (uint64_t item = 0; item < 5; ++item) {
    auto x = record(item);
    std::get<completion>(x.outcome).flaw = static_cast<answer_flaw>(item);
    to->add(x);
  }
  to->add(record(5, false));
  to->finish(true);
  auto last = news.last();
  CHECK(last.ok == 5);
  CHECK(last.flawed == flaw_counts{1, 1, 1, 1});
  auto output = folder.read("out.jsonl");
  CHECK(output.find(R"("error":null,"flaw":"cut"})") != output.npos);
}

TEST_CASE_METHOD(recorder_test, "without a ledger a result counts when no earlier one is missing",
                 "[batch][recorder]") {
  auto to = make(false);
  to->add(record(1));
  to->add(record(0));
  to->add(record(3));
  CHECK(news.wait_for([](auto& x) { return x.kept == 2; }).ok == 2);
  to->finish(false);
  auto last = news.last();
  CHECK(last.kept == 3);
  CHECK(last.ok == 3); // it is told and written, though the batch was not whole
  CHECK(last.place == path + ".part");
  CHECK(order("out.jsonl.part") == "013");
}

TEST_CASE_METHOD(recorder_test, "what a recorder was given is in the ledger, also when its owner leaves",
                 "[batch][recorder]") {
  {
    auto to = make(true);
    for (uint64_t item = 0; item < 1000; ++item)
      to->add(record(item));
    to->note(batch::input_total{1000});
  }
  auto seen = batch::ledger::look(path + ".ledger");
  REQUIRE(seen.index() == 0);
  CHECK(std::get<0>(seen).ok == 1000);
  CHECK(std::get<0>(seen).total == 1000);
  CHECK_FALSE(std::filesystem::exists(path));
  CHECK(news.count() < 100); // they were kept in groups
}

TEST_CASE_METHOD(recorder_test, "a ledger that cannot be kept ends the batch with the reason", "[batch][recorder]") {
  auto to = make(true);
  to->add(record(0));
  news.wait_for([](auto& x) { return x.kept == 1; });
  std::filesystem::remove(path + ".ledger");
  to->add(record(1));
  auto problem = news.wait_for([](auto& x) { return x.problem.has_value(); });
  CHECK(problem.kept == 1);
  CHECK(problem.ok == 1);
  to->finish(false);
  CHECK(news.last().kept == 1);
  CHECK_FALSE(std::filesystem::exists(path));
}

} // namespace modelforge::recorder_test
