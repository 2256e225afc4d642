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
