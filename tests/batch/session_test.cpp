#include "batch/session.hpp"

#include "tests/support/temporary_folder.hpp"

#include <catch2/catch_test_macros.hpp>

#include <filesystem>

namespace modelforge::session_test {

namespace {

struct files {
  test::temporary_folder folder;
  batch_options options;

  files() {
    options.input = folder.write("in.txt", "one\ntwo\n");
    options.output = folder.path("out.jsonl");
  }

  failure refused() {
    auto opened = batch::open_session(options);
    REQUIRE(std::holds_alternative<failure>(opened));
    return std::get<failure>(opened);
  }
};

} // namespace

TEST_CASE_METHOD(files, "a session from file to file has a ledger, and no other has one", "[batch][session]") {
  SECTION("files") {
    auto opened = batch::open_session(options);
    REQUIRE(std::holds_alternative<batch::session>(opened));
    CHECK(std::get<batch::session>(opened).ledger);
    CHECK(std::filesystem::exists(options.output + ".ledger"));
  }
  SECTION("a device for the output") {
    options.output = "/dev/null";
    auto opened = batch::open_session(options);
    REQUIRE(std::holds_alternative<batch::session>(opened));
    CHECK_FALSE(std::get<batch::session>(opened).ledger);
  }
  SECTION("nor may one use providers' batch APIs") {
    options.output = "/dev/null";
    options.mode = batch_mode::provider;
    CHECK(refused().code == errc::invalid_request);
  }
}

TEST_CASE_METHOD(files, "a session that is refused leaves no new ledger behind", "[batch][session]") {
  SECTION("input and output are the same") {
    options.output = options.input;
    CHECK(refused().message.find("are the same file") != std::string::npos);
  }
  SECTION("the output cannot be opened") {
    std::filesystem::create_directory(options.output + ".part");
    CHECK(refused().code == errc::io_failed);
    CHECK_FALSE(std::filesystem::exists(options.output + ".ledger"));
  }
  SECTION("the input is missing") {
    options.input = folder.path("nothing-here.txt");
    CHECK(refused().message.find("nothing-here.txt") != std::string::npos);
    CHECK_FALSE(std::filesystem::exists(options.output + ".ledger"));
  }
}

namespace {

/// Does a part of a batch: opens it, and records what is given as results of the items.
std::vector<std::string> run_part(const batch_options& options, const std::vector<bool>& results) {
  auto opened = batch::open_session(options);
  REQUIRE(std::holds_alternative<batch::session>(opened));
  auto& x = std::get<batch::session>(opened);
  for (uint64_t i = 0; i < results.size(); ++i)
    REQUIRE_FALSE(x.ledger->add({i, results[i], 1, {}, {}, "p", "{}"}));
  REQUIRE_FALSE(x.ledger->seal());
  return x.warnings;
}

} // namespace

TEST_CASE_METHOD(files, "results that were made with others are gone on with only if that is said",
                 "[batch][session]") {
  options.made_with = {{"model", "a"}, {"provider", "p"}, {"simulated", "yes"}};
  run_part(options, {true, false});
  run_part(options, {}); // the same
  auto before = folder.read("out.jsonl.ledger");
  auto again = options;
  again.made_with["model"] = "b";
  again.made_with["simulated"] = "no";
  auto said = options;
  std::swap(options, again);
  auto problem = refused();
  CHECK(problem.code == errc::invalid_request);
  CHECK(problem.message.ends_with(" were made with others: model: a, now b; simulated: yes, now no"));
  CHECK(problem.suggestion.find("--accept-changes") != std::string::npos);
  CHECK(folder.read("out.jsonl.ledger") == before);
  options.retry_failed = true; // one is answered all the same
  CHECK(refused().code == errc::invalid_request);
  SECTION("accepted: from then on it is told at every run, as long as there are such results") {
    auto told = [&](const std::vector<bool>& results) {
      auto warnings = run_part(options, results);
      return warnings.empty() ? std::string{} : warnings.at(0);
    };
    options.accept_changes = true;
    auto once = told({});
    CHECK(once == "1 result of an earlier run was made with others: model: a, now b; simulated: yes, now no");
    options.accept_changes = options.retry_failed = false;
    CHECK(told({}).find("2 results of earlier runs were made with others: model: a, now b") == 0);
    std::swap(options, said); // all of them were made with these
    CHECK(told({}).empty());
    std::swap(options, said);
    options.accept_changes = true;
    CHECK_FALSE(told({true}).empty()); // one of each
    options.accept_changes = false;
    auto third = options;
    third.made_with["model"] = "c";
    std::swap(options, third);
    CHECK(refused().message.ends_with("were made with others: 1 with model: a, now c; simulated: yes, now no, and "
                                      "1 with model: b, now c"));
    std::swap(options, third);
    CHECK(told({true, true}).find("1 result of an earlier run was made with others: ") == 0);
    CHECK(told({}).empty()); // both are of these now
  }
  SECTION("started over") {
    options.fresh = true;
    run_part(options, {true});
    options.fresh = false;
    CHECK(run_part(options, {}).empty());
  }
  SECTION("jobs are only cancelled") {
    options.cancel_jobs = true;
    CHECK(run_part(options, {}).empty());
  }
}

TEST_CASE_METHOD(files, "where there is nothing to mix up, nobody is asked", "[batch][session]") {
  SECTION("no results") {
    options.made_with = {{"model", "a"}};
    run_part(options, {});
  }
  SECTION("failures alone, which are sent again") {
    options.made_with = {{"model", "a"}};
    run_part(options, {false, false});
    options.retry_failed = true;
  }
  SECTION("a ledger of an earlier version, which does not know") {
    run_part(options, {true});
  }
  SECTION("a term that it does not know") {
    options.made_with = {{"model", "b"}};
    run_part(options, {true});
  }
  options.made_with = {{"model", "b"}, {"server", "s"}};
  CHECK(run_part(options, {true}).empty());
  options.retry_failed = false;
  options.made_with["model"] = "c";
  CHECK(refused().message.find("model: b, now c") != std::string::npos); // now it knows
}

TEST_CASE_METHOD(files, "a run with jobs under way is as one with results", "[batch][session]") {
  options.made_with = {{"model", "a"}};
  {
    auto opened = batch::open_session(options);
    auto& ledger = *std::get<batch::session>(opened).ledger;
    REQUIRE_FALSE(ledger.note(batch::ledger_job{"n", "p", "a", 1, {{0, 1}}, {}}));
    REQUIRE_FALSE(ledger.seal());
  }
  options.made_with = {{"model", "b"}};
  CHECK(refused().code == errc::invalid_request);
}

TEST_CASE_METHOD(files, "starting over forgets no job under way unless that is said", "[batch][session]") {
  {
    auto opened = batch::open_session(options);
    auto& ledger = *std::get<batch::session>(opened).ledger;
    REQUIRE_FALSE(ledger.note(batch::ledger_job{"n", "p", "a", 1, {{0, 1}}, {}}));
    REQUIRE_FALSE(ledger.note(batch::job_named{"n", "batch_7"}));
    REQUIRE_FALSE(ledger.seal());
  }
  auto before = folder.read("out.jsonl.ledger");
  options.fresh = true;
  auto problem = refused();
  CHECK(problem.message == "--fresh would forget what is under way at p (batch_7)");
  CHECK(problem.suggestion.find("batch cancel " + options.output + ".ledger") != std::string::npos);
  CHECK(folder.read("out.jsonl.ledger") == before);
  options.accept_changes = true;
  CHECK(run_part(options, {true})
        == std::vector<std::string>{"a job of an earlier run is forgotten, and may go on at p "
                                    "(batch_7)"});
  options.accept_changes = false;
  CHECK(run_part(options, {}).empty());
}

TEST_CASE_METHOD(files, "an input is read as often as it is needed, while it stays as it was", "[batch][session]") {
  auto opened = batch::input::open(options.input);
  auto& input = std::get<batch::input>(opened);
  input.start({});
  auto is_item = [&] { return std::get<std::optional<batch::item>>(*input.next()).has_value(); };
  for (int pass = 0; pass < 2; ++pass) {
    CHECK(is_item());
    CHECK(is_item());
    CHECK_FALSE(is_item());
    CHECK_FALSE(input.rewind());
  }
  folder.write("in.txt", "something else\n");
  auto problem = input.rewind();
  REQUIRE(problem);
  CHECK(problem->message.find("changed while the batch ran") != std::string::npos);
}

} // namespace modelforge::session_test
