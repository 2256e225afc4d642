#include "batch/changed_input.hpp"

#include "batch/session.hpp"
#include "tests/support/temporary_folder.hpp"

#include <catch2/catch_test_macros.hpp>

#include <map>
#include <string>

namespace modelforge::changed_input_test {

namespace {

using state = batch::ledger::state;

/// Runs of a batch whose input is changed between them. What is answered is what the test says.
struct changing {
  test::temporary_folder folder;
  batch_options options;
  std::vector<std::string> warnings;

  changing() { options.output = folder.path("out.jsonl"); }

  std::variant<batch::session, failure> open(const std::string& input) {
    options.input = folder.write("in.txt", input);
    return batch::open_session(options);
  }

  /// Runs with this input, and records a result of each item in `results`: whether it was answered.
  void run(const std::string& input, const std::map<uint64_t, bool>& results, bool with_sums = true) {
    auto opened = open(input);
    REQUIRE(std::holds_alternative<batch::session>(opened));
    auto& x = std::get<batch::session>(opened);
    warnings = x.warnings;
    for (;;) {
      auto next = x.input.next();
      auto& item = std::get<std::optional<batch::item>>(*next);
      if (!item)
        break;
      if (auto found = results.find(item->index); found != results.end())
        REQUIRE_FALSE(x.ledger->add({item->index, found->second, 1, {}, {}, "p", "{}", with_sums ? item->sum : 0}));
    }
    REQUIRE_FALSE(x.ledger->seal());
  }

  /// How the items of an input stand, a letter each: answered, failed, or missing. "?": it is refused.
  std::string standing(const std::string& input, uint64_t items) {
    auto opened = open(input);
    if (!std::holds_alternative<batch::session>(opened))
      return "?";
    std::string letters;
    for (uint64_t i = 0; i < items; ++i) {
      auto of = std::get<batch::session>(opened).ledger->of(i);
      letters += of == state::ok ? 'a' : of == state::failed ? 'f' : 'm';
    }
    return letters;
  }

  std::string refusal(const std::string& input) {
    auto opened = open(input);
    REQUIRE(std::holds_alternative<failure>(opened));
    return to_string(std::get<failure>(opened));
  }
};

} // namespace

TEST_CASE_METHOD(changing, "a batch goes on with an input that has grown", "[batch][input]") {
  run("one\ntwo\n", {{0, true}, {1, false}});
  CHECK(standing("one\ntwo\nthree\n", 3) == "afm");
  CHECK(standing("one\ntwo\nthree\n", 3) == "afm"); // it is the ledger's own now
  run("one\ntwo\nthree\n", {{2, true}});
  CHECK(warnings.empty());
  CHECK(standing("one\ntwo\nthree", 3) == "afa"); // its last line's end has gone
}

TEST_CASE_METHOD(changing, "lines that had failed may be corrected, and are sent again", "[batch][input]") {
  run("one\ntwo\nthree\n", {{0, true}, {1, false}, {2, false}});
  CHECK(standing("one\ntwo, corrected\nthree\n", 3) == "amf");
  run("one\ntwo, corrected\nthree\n", {{1, true}});
  CHECK(standing("one\ntwo, corrected\nthree\n", 3) == "aaf");
}

TEST_CASE_METHOD(changing, "answered lines that have changed are named, and sent again only if that is said",
                 "[batch][input]") {
  std::string before = "one\ntwo\nthree\nfour\n";
  run(before, {{0, true}, {1, true}, {2, true}, {3, false}});
  auto ledger = folder.read("out.jsonl.ledger");
  for (auto& [now, named] : {std::pair<std::string, std::string>{"one\n2\nthree\nfour\n", "line 2 (line-2)"},
                             {"one\ntwo\n", "item 3 (gone)"}}) {
    auto text = refusal(now);
    INFO(text);
    CHECK(text.find("an answered line of " + options.input + " has changed since: " + named) != text.npos);
    CHECK(text.find("--accept-changes") != text.npos);
    CHECK(folder.read("out.jsonl.ledger") == ledger);
  }
  CHECK(standing(before, 4) == "aaaf");
  options.accept_changes = true;
  CHECK(standing("one\n2\nthree\nfour\n", 4) == "amaf");
  CHECK(standing("one\n2\n", 4) == "ammm");
}

TEST_CASE_METHOD(changing, "another input is no changed one", "[batch][input]") {
  run("one\ntwo\n", {{0, true}, {1, true}});
  CHECK(refusal("a\nb\nc\n").find("belongs to another input") != std::string::npos);
}

TEST_CASE_METHOD(changing, "of what nothing is known an input must stay as it is", "[batch][input]") {
  SECTION("jobs under way") {
    auto opened = open("one\ntwo\n");
    auto& ledger = *std::get<batch::session>(opened).ledger;
    REQUIRE_FALSE(ledger.intend({"n", "p", "m", 1, {{0, 1}}, {}}));
    REQUIRE_FALSE(ledger.seal());
  }
  SECTION("results in a ledger of an earlier version") {
    run("one\ntwo\n", {{0, true}}, false);
  }
  CHECK(refusal("one\ntwo\nthree\n").find("belongs to another input") != std::string::npos);
  CHECK(standing("one\ntwo\n", 2) != "?");
}

TEST_CASE_METHOD(changing, "a change that was not kept is made again", "[batch][input]") {
  run("one\ntwo\n", {{0, true}, {1, false}});
  auto kept = folder.read("out.jsonl.ledger");
  CHECK(standing("one\n2\nthree\n", 3) == "amm");
  auto changed = folder.read("out.jsonl.ledger");
  for (auto size = kept.size(); size < changed.size(); ++size) { // a crash left so much of it
    folder.write("out.jsonl.ledger", changed.substr(0, size));
    CHECK(standing("one\n2\nthree\n", 3) == "amm");
  }
}

} // namespace modelforge::changed_input_test
