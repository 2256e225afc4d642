#include "batch/changed_input.hpp"

#include "batch/session.hpp"
#include "tests/support/temporary_folder.hpp"
#include "json/value.hpp"

#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <map>
#include <random>
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
        REQUIRE_FALSE(x.ledger->add({item->index,
                                     found->second,
                                     1,
                                     {},
                                     {},
                                     "p",
                                     batch::result_line(item->index, item->custom_id, failure{}),
                                     with_sums ? item->sum : 0}));
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
  struct row {
    std::string now, named, accepting;
  };
  std::string without_one = "leaves out the answer to the line that is gone;";
  for (auto& [now, named, accepting] : std::vector<row>{
         {"one\n2\nthree\nfour\n", "an answered line of @ has changed since: line 2 (line-2)", "sends it again;"},
         {"one\n2\n3\n", "2 answered lines of @ have changed since: line 2 (line-2), line 3 (line-3)",
          "sends them again;"},
         {"one\ntwo\n", "an answered line of @ is gone: line-3 (gone)", without_one},
         {"one\n", "2 answered lines of @ are gone: line-2 (gone), line-3 (gone)",
          "leaves out the answers to the lines that are gone;"},
         {"one\n2\n", "2 answered lines of @ have changed since: line 2 (line-2), line-3 (gone)",
          "sends the changed line again, and " + without_one}}) {
    auto text = refusal(now);
    INFO(text);
    auto told = named;
    told.replace(told.find('@'), 1, options.input);
    CHECK(text.find(told) != text.npos);
    CHECK(text.find("--accept-changes " + accepting) != text.npos);
    CHECK(folder.read("out.jsonl.ledger") == ledger);
  }
  CHECK(standing(before, 4) == "aaaf");
  options.accept_changes = true;
  CHECK(standing("one\n2\nthree\nfour\n", 4) == "amaf");
  CHECK(standing("one\n2\n", 4) == "ammm");
}

TEST_CASE_METHOD(changing, "another input is no changed one", "[batch][input]") {
  run("one\ntwo\n", {{0, true}, {1, true}});
  auto text = refusal("new\none\ntwo\n");
  CHECK(text.find("belongs to another input") != std::string::npos);
  CHECK(text.find("Lines without an id are known by their numbers") != std::string::npos);
}

TEST_CASE_METHOD(changing, "of what nothing is known an input must stay as it is", "[batch][input]") {
  auto told = "belongs to another input";
  SECTION("jobs under way") {
    told = "a job of an earlier run is under way at p with its lines";
    auto opened = open("one\ntwo\n");
    auto& ledger = *std::get<batch::session>(opened).ledger;
    REQUIRE_FALSE(ledger.note(batch::ledger_job{"n", "p", "m", 1, {{0, 1}}, {}}));
    REQUIRE_FALSE(ledger.seal());
  }
  SECTION("results in a ledger of an earlier version") {
    run("one\ntwo\n", {{0, true}}, false);
  }
  CHECK(refusal("one\ntwo\nthree\n").find(told) != std::string::npos);
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

namespace {

/// Lines of JSON for these ids, a letter each; a capital letter asks something else.
std::string lines_for(const std::string& ids) {
  std::string text;
  for (auto id : ids) {
    auto lower = static_cast<char>(std::tolower(id));
    text += std::string{"{\"id\":\""} + lower + "\",\"prompt\":\"" + id + "\"}\n";
  }
  return text;
}

} // namespace

TEST_CASE_METHOD(changing, "lines are found again by their custom_id, wherever they stand", "[batch][input]") {
  // a, b and d are answered, c has failed, e has no result
  struct {
    std::string now, standing, told;
  } table[] = {
    {"abcde", "aafam", ""},
    {"xabcde", "maafam", ""},     // put in at the top
    {"axbycdze", "amamfamm", ""}, // and everywhere
    {"edcba", "mafaa", ""},       // the other way round
    {"dabc", "aaaf", ""},         // one without a result has gone
    {"abd", "aaa", ""},           // a failed one, too
    {"badC", "aaam", ""},         // which was corrected
    {"xdaCbe", "maamam", ""},     // all at once
    {"xdBae", "mamam", "an answered line of IN has changed since: line 3 (b)"},
    {"dBcX", "amfm", "2 answered lines of IN have changed since: line 2 (b), a (gone)"},
    {"cde", "fam", "2 answered lines of IN are gone: a (gone), b (gone)"},
    {"aabcde", "amafam", ""}, // the second one repeats an id: it is no answered line
    {"ABcDe", "?", "belongs to another input"},
  };
  for (auto& row : table)
    for (bool accepted : {false, true}) {
      INFO(row.now << (accepted ? " accepted" : ""));
      options.accept_changes = false;
      std::filesystem::remove(options.output + ".ledger");
      run(lines_for("abcde"), {{0, true}, {1, true}, {2, false}, {3, true}});
      options.accept_changes = accepted;
      auto now = lines_for(row.now);
      if (row.told.empty() || (accepted && row.standing != "?")) {
        CHECK(standing(now, row.now.size()) == row.standing);
        CHECK(standing(now, row.now.size()) == row.standing); // it is the ledger's own now
      } else if (!accepted) {
        auto told = row.told.find("IN") == row.told.npos
                      ? row.told
                      : std::string{row.told}.replace(row.told.find("IN"), 2, options.input);
        CHECK(refusal(now).find(told) != std::string::npos);
      }
      options.accept_changes = false;
    }
}

TEST_CASE_METHOD(changing, "the output has each answer for its line, wherever that stood", "[batch][input]") {
  run(lines_for("abcd"), {{0, true}, {1, true}, {3, true}});
  run(lines_for("xdabc"), {{0, true}});
  run(lines_for("yxbad"), {{0, false}});
  auto opened = open(lines_for("yxbad"));
  auto& book = *std::get<batch::session>(opened).ledger;
  for (bool by_arrival : {false, true}) {
    std::string seen;
    REQUIRE_FALSE(book.for_each_line(by_arrival, [&](std::string_view line) -> std::optional<failure> {
      auto parsed = json::parse(line);
      auto& members = std::get<json::value>(parsed);
      auto id = std::string{json::string_in(json::member(members, "custom_id"))};
      auto position = std::string{"yxbad"}.find(id) + 1;
      CHECK(json::string_in(json::member(members, "id")) == "batch_req_" + std::to_string(position));
      seen += id;
      return {};
    }));
    CHECK(seen == (by_arrival ? "abdxy" : "yxbad"));
  }
  auto& known = book.summary();
  CHECK(known.ok == 4);
  CHECK(known.failed == 1);
  CHECK(known.attempts == 5); // what has moved was paid for once
}

TEST_CASE_METHOD(changing, "an input in any other order is taken up as it is, again and again", "[batch][input]") {
  std::mt19937 random{7};
  std::string ids = "abcdefghijklmnopqrstuvwxyz";
  std::map<uint64_t, bool> results;
  std::map<char, char> expected; // by id
  for (uint64_t i = 0; i < ids.size(); ++i)
    if (auto kind = random() % 3; kind < 2) {
      results[i] = kind == 0;
      expected[ids[i]] = kind == 0 ? 'a' : 'f';
    }
  run(lines_for(ids), results);
  for (int round = 0; round < 20; ++round) {
    INFO(round);
    std::shuffle(ids.begin(), ids.end(), random);
    std::string standings;
    for (auto id : ids)
      standings += expected.contains(id) ? expected[id] : 'm';
    CHECK(standing(lines_for(ids), ids.size()) == standings);
  }
}

TEST_CASE_METHOD(changing, "a move that was not kept is made again", "[batch][input]") {
  run(lines_for("abcd"), {{0, true}, {1, false}, {3, true}});
  auto kept = folder.read("out.jsonl.ledger");
  CHECK(standing(lines_for("dxbca"), 5) == "amfma");
  auto changed = folder.read("out.jsonl.ledger");
  for (auto size = kept.size(); size < changed.size(); ++size) { // a crash left so much of it
    folder.write("out.jsonl.ledger", changed.substr(0, size));
    CHECK(standing(lines_for("dxbca"), 5) == "amfma");
  }
}

TEST_CASE_METHOD(changing, "a job can be cancelled only with the input as it was, and that is said", "[batch][input]") {
  {
    auto opened = open("one\ntwo\n");
    auto& ledger = *std::get<batch::session>(opened).ledger;
    REQUIRE_FALSE(ledger.note(batch::ledger_job{"n", "p", "m", 1, {{0, 1}}, {}}));
    REQUIRE_FALSE(ledger.note(batch::job_named{"n", "batch_7"}));
    REQUIRE_FALSE(ledger.seal());
  }
  options.cancel_jobs = true;
  auto text = refusal("one\ntwo\nthree\n");
  INFO(text);
  CHECK(text.find("has changed, while a job of an earlier run is under way at p (batch_7) with its lines")
        != text.npos);
  CHECK(text.find("bring it back as it was") != text.npos);
  CHECK(standing("one\ntwo\n", 2) == "mm");
}

} // namespace modelforge::changed_input_test
