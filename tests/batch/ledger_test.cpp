#include "batch/ledger.hpp"

#include "tests/support/temporary_folder.hpp"

#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <map>
#include <random>
#include <vector>

namespace modelforge::ledger_test {

using batch::ledger;

namespace {

/// A disk that outlives the ledgers on it and loses what was not synced.
struct disk {
  std::string bytes;
  std::size_t synced = 0;
  std::vector<std::pair<std::size_t, std::size_t>> unsynced; ///< Begin and size.
  int syncs = 0;
  bool full = false;
  bool sync_fails = false;

  /// Drops any of the unsynced writes, or a part of one; what lay behind a dropped one leaves a hole.
  void crash(std::mt19937& random) {
    auto end = synced;
    for (auto [begin, size] : unsynced) {
      auto kept = random() % 3 == 0 ? 0 : random() % 2 == 0 ? size : random() % (size + 1);
      std::fill(bytes.begin() + static_cast<long>(begin + kept), bytes.begin() + static_cast<long>(begin + size), '\0');
      end = kept > 0 ? begin + kept : end;
    }
    bytes.resize(end);
    synced = end;
    unsynced.clear();
  }
};

class memory_file : public batch::ledger_file {
public:
  explicit memory_file(disk& on) : disk_(on) {}

  bool read(uint64_t offset, std::size_t size, std::string& out) override {
    out = offset < disk_.bytes.size() ? disk_.bytes.substr(offset, size) : std::string{};
    return true;
  }

  bool append(std::string_view x) override {
    if (disk_.full) {
      errno = ENOSPC;
      return false;
    }
    disk_.unsynced.emplace_back(disk_.bytes.size(), x.size());
    disk_.bytes += x;
    return true;
  }

  bool sync() override {
    ++disk_.syncs;
    if (disk_.sync_fails) {
      errno = EIO;
      return false;
    }
    disk_.synced = disk_.bytes.size();
    disk_.unsynced.clear();
    return true;
  }

  bool truncate(uint64_t size) override {
    disk_.bytes.resize(size);
    return true;
  }

private:
  disk& disk_;
};

using opened = std::variant<std::unique_ptr<ledger>, failure>;

opened open_on(disk& on, const batch::ledger_input& input = {1000, 7, "in.jsonl"}) {
  return ledger::open(std::make_unique<memory_file>(on), "out.ledger", input);
}

ledger& get(opened& x) {
  if (auto* problem = std::get_if<failure>(&x))
    FAIL(problem->message);
  return *std::get<std::unique_ptr<ledger>>(x);
}

std::string line_of(uint64_t item, unsigned round = 0) {
  return "{\"custom_id\":\"" + std::to_string(item) + "\",\"round\":" + std::to_string(round) + "}";
}

batch::ledger_result result(uint64_t item, unsigned round = 0) {
  return {item, item % 3 != 0, 1, {10, 20, 0, 0, 0}, 0.5, "p", line_of(item, round)};
}

/// Twelve results in groups of four.
disk written() {
  disk on;
  auto x = open_on(on);
  for (uint64_t i = 0; i < 12; ++i) {
    REQUIRE_FALSE(get(x).add(result(i)));
    if (i % 4 == 3)
      REQUIRE_FALSE(get(x).sync());
  }
  return on;
}

/// Every result that is there is right, and they are the first ones.
uint64_t check_prefix(ledger& x) {
  uint64_t there = x.summary().ok + x.summary().failed;
  for (uint64_t i = 0; i < there; ++i) {
    REQUIRE(x.of(i) == (i % 3 != 0 ? ledger::state::ok : ledger::state::failed));
    REQUIRE(std::get<std::string>(x.line(i)) == line_of(i));
  }
  return there;
}

} // namespace

TEST_CASE("a crash loses no result that counted, whichever unsynced writes it drops") {
  for (unsigned seed = 0; seed < 300; ++seed) {
    std::mt19937 random{seed};
    disk on;
    std::map<uint64_t, std::string> counted;
    for (unsigned round = 0; round < 8; ++round) {
      INFO("seed " << seed << ", round " << round);
      auto x = open_on(on);
      auto& it = get(x);
      for (auto& [item, line] : counted) {
        REQUIRE(it.of(item) != ledger::state::missing);
        REQUIRE(std::get<std::string>(it.line(item)).starts_with(line.substr(0, line.find(",\"round"))));
      }
      std::map<uint64_t, std::string> pending;
      for (auto n = random() % 20; n > 0; --n) {
        auto item = random() % 50;
        REQUIRE_FALSE(it.add(result(item, round)));
        pending[item] = line_of(item, round);
        if (random() % 4 == 0) {
          REQUIRE_FALSE(it.sync());
          for (auto& [done, line] : pending) {
            REQUIRE(std::get<std::string>(it.line(done)) == line);
            counted[done] = line;
          }
          pending.clear();
        }
      }
      on.crash(random);
    }
  }
}

TEST_CASE("a result counts only after its sync, and a later one of its item takes its place") {
  disk on;
  auto x = open_on(on);
  auto& it = get(x);
  REQUIRE_FALSE(it.add({3, false, 2, {}, {}, "", "{\"a\":1}"}));
  CHECK(it.of(3) == ledger::state::missing);
  REQUIRE_FALSE(it.sync());
  CHECK(it.summary().failed == 1);
  REQUIRE_FALSE(it.add({3, true, 1, {}, {}, "", "{\"a\":2}"}));
  REQUIRE_FALSE(it.sync());
  auto again = open_on(on);
  for (auto* same : {&it, &get(again)}) {
    CHECK(same->summary().ok == 1);
    CHECK(same->summary().failed == 0);
    CHECK(std::get<std::string>(same->line(3)) == "{\"a\":2}");
  }
}

TEST_CASE("a ledger cut at any byte opens with every result in front of the cut") {
  auto whole = written();
  for (std::size_t size = 0; size <= whole.bytes.size(); ++size) {
    INFO(size);
    disk on;
    on.bytes = whole.bytes.substr(0, size);
    auto lines = static_cast<uint64_t>(std::count(on.bytes.begin(), on.bytes.end(), '\n'));
    auto x = open_on(on);
    CHECK(check_prefix(get(x)) == (lines > 0 ? lines - 1 : 0));
  }
}

TEST_CASE("a flipped bit is refused with its line, or costs at most the last group") {
  auto whole = written();
  auto size = whole.bytes.size();
  for (std::size_t bit = 0; bit < 8 * size; ++bit) {
    INFO(bit);
    disk on;
    on.bytes = whole.bytes;
    on.bytes[bit / 8] = static_cast<char>(on.bytes[bit / 8] ^ (1 << bit % 8));
    auto before = on.bytes;
    auto x = open_on(on);
    if (auto* problem = std::get_if<failure>(&x)) {
      CHECK(problem->message.find("out.ledger:") == 0);
      CHECK_FALSE(problem->suggestion.empty());
      CHECK(on.bytes == before);
    } else {
      CHECK(check_prefix(get(x)) >= 8);
    }
  }
}

TEST_CASE("a ledger of another input or version, or no ledger, is refused and left as it was") {
  auto other = written();
  auto newer = disk{}; // the sum is that of the rest
  newer.bytes = "{\"sum\":\"2da884e5\",\"event\":\"header\",\"synced\":0,\"version\":2}\n";
  auto text = disk{};
  text.bytes = "my notes\nof last week\n";
  auto short_text = disk{};
  short_text.bytes = "notes";
  struct {
    disk on;
    batch::ledger_input input;
    const char* says;
  } cases[] = {{other, {1000, 8, "b"}, "another input"},
               {other, {999, 7, "b"}, "another input"},
               {newer, {1000, 7, "in.jsonl"}, "version 2"},
               {text, {1000, 7, "in.jsonl"}, "header of the ledger is missing or damaged"},
               {short_text, {1000, 7, "in.jsonl"}, "header of the ledger is missing or damaged"}};
  for (auto& [on, input, says] : cases) {
    auto before = on.bytes;
    auto x = open_on(on, input);
    REQUIRE(std::holds_alternative<failure>(x));
    CHECK(std::get<failure>(x).message.find(says) != std::string::npos);
    CHECK(on.bytes == before);
  }
}

TEST_CASE("starting over empties what was a ledger, and nothing else") {
  auto damaged = written();
  damaged.bytes[3] ^= 1;
  for (auto on : {disk{}, written(), damaged}) {
    auto x = ledger::open(std::make_unique<memory_file>(on), "out.ledger", {5, 8, "other"}, true);
    CHECK(get(x).known() == 0);
    CHECK(get(x).summary().input.path == "other");
  }
  auto text = disk{};
  text.bytes = "my notes\nof last week\n";
  auto x = ledger::open(std::make_unique<memory_file>(text), "out.ledger", {5, 8, "other"}, true);
  REQUIRE(std::holds_alternative<failure>(x));
  CHECK(std::get<failure>(x).message == "--fresh would empty out.ledger, which is not a ledger");
  CHECK(text.bytes == "my notes\nof last week\n");
}

TEST_CASE("after a failed sync or write nothing counts and nothing is tried again") {
  for (bool full : {true, false}) {
    disk on;
    auto x = open_on(on);
    auto& it = get(x);
    auto syncs = on.syncs;
    on.full = full;
    on.sync_fails = !full;
    it.add(result(1));
    CHECK(it.sync()->code == errc::io_failed);
    on.full = on.sync_fails = false;
    CHECK(it.add(result(2)));
    CHECK(it.sync());
    CHECK(it.of(1) == ledger::state::missing);
    CHECK(on.syncs == syncs + (full ? 0 : 1));
  }
}

TEST_CASE("a ledger on disk is taken up again, and refused while somebody uses it") {
  test::temporary_folder folder;
  auto path = folder.path("out.ledger");
  for (uint64_t run = 0; run < 2; ++run) {
    auto file = batch::open_ledger_file(path);
    REQUIRE(file.index() == 0);
    auto x = ledger::open(std::move(std::get<0>(file)), path, {1000, 7, "in.jsonl"});
    CHECK(check_prefix(get(x)) == run);
    auto second = batch::open_ledger_file(path);
    REQUIRE(second.index() == 1);
    CHECK(std::get<failure>(second).message == "another run is using the ledger " + path);
    REQUIRE_FALSE(get(x).add(result(run)));
    REQUIRE_FALSE(get(x).sync());
  }
}

TEST_CASE("a ledger keeps what is known of jobs until they end") {
  disk on;
  std::optional<opened> x{open_on(on)};
  REQUIRE_FALSE(get(*x).note(batch::ledger_job{"n1", "openai", "gpt", 17, {{0, 4}, {9, 9}}, {}}));
  REQUIRE_FALSE(get(*x).note(batch::ledger_job{"n2", "openai", "gpt", 18, {{5, 8}}, {}}));
  CHECK(get(*x).summary().jobs.empty()); // not before it is safe
  REQUIRE_FALSE(get(*x).sync());
  REQUIRE_FALSE(get(*x).note(batch::job_named{"n1", "batch_1"}));
  REQUIRE_FALSE(get(*x).note(batch::input_total{10}));
  REQUIRE_FALSE(get(*x).sync());
  x.emplace(open_on(on));
  auto& jobs = get(*x).summary().jobs;
  REQUIRE(jobs.size() == 2);
  CHECK(jobs.at("n1").id == "batch_1");
  CHECK(jobs.at("n1").provider == "openai");
  CHECK(jobs.at("n1").at == 17);
  CHECK(jobs.at("n1").items == std::vector<std::pair<uint64_t, uint64_t>>{{0, 4}, {9, 9}});
  CHECK(jobs.at("n2").id.empty());
  CHECK(get(*x).summary().total == 10);
  REQUIRE_FALSE(get(*x).note(batch::job_ended{"n1", "finished"}));
  REQUIRE_FALSE(get(*x).sync());
  x.emplace(open_on(on));
  CHECK(get(*x).summary().jobs.size() == 1);
  CHECK(get(*x).summary().ids_of_ended_jobs == std::vector<std::string>{"batch_1"});
}

TEST_CASE("a ledger knows which items of a job may yet get a result, also when it is opened again") {
  disk on;
  std::optional<opened> x{open_on(on)};
  REQUIRE_FALSE(get(*x).add(result(3))); // failed
  REQUIRE_FALSE(get(*x).add(result(4))); // ok
  REQUIRE_FALSE(get(*x).note(batch::ledger_job{"n1", "openai", "gpt", 17, {{0, 4}, {6, 9}}, {}}));
  REQUIRE_FALSE(get(*x).add(result(6))); // failed
  REQUIRE_FALSE(get(*x).add(result(8))); // ok
  REQUIRE_FALSE(get(*x).sync());
  for (int round = 0; round < 2; ++round) {
    CHECK(get(*x).unanswered(get(*x).summary().jobs.at("n1"))
          == std::vector<std::pair<uint64_t, uint64_t>>{{0, 3}, {7, 7}, {9, 9}});
    x.emplace(open_on(on));
  }
}

TEST_CASE("a ledger gives its lines in the input's order or that of their ends, each item's last one") {
  disk on;
  auto x = open_on(on);
  auto& it = get(x);
  for (uint64_t item : {4, 1, 3, 1})
    REQUIRE_FALSE(it.add(result(item, static_cast<unsigned>(on.bytes.size()))));
  auto long_line = "{\"text\":\"" + std::string(300'000, 'x') + "\"}";
  REQUIRE_FALSE(it.add({2, true, 1, {}, {}, "", long_line}));
  REQUIRE_FALSE(it.sync());
  for (bool by_arrival : {false, true}) {
    std::vector<std::string> lines;
    REQUIRE_FALSE(it.for_each_line(by_arrival, [&](std::string_view line) {
      lines.emplace_back(line);
      return std::optional<failure>{};
    }));
    auto at = [&](uint64_t item) { return std::get<std::string>(it.line(item)); };
    CHECK(lines
          == (by_arrival ? std::vector{at(4), at(3), at(1), long_line} : std::vector{at(1), long_line, at(3), at(4)}));
  }
}

TEST_CASE("a ledger counts an item's flaw as long as its result is the last one") {
  disk on;
  auto add = [](ledger& to, uint64_t item, bool ok, answer_flaw flaw) {
    auto x = result(item);
    x.ok = ok;
    x.flaw = flaw;
    REQUIRE_FALSE(to.add(x));
  };
  {
    auto x = open_on(on);
    add(get(x), 0, true, answer_flaw::cut);
    add(get(x), 1, true, answer_flaw::unclear);
    add(get(x), 2, true, answer_flaw::blocked);
    add(get(x), 3, false, answer_flaw::none);
    CHECK(get(x).summary().flawed == flaw_counts{}); // nothing of it is safe
    REQUIRE_FALSE(get(x).sync());
    CHECK(get(x).summary().flawed == flaw_counts{1, 1, 0, 1});
    add(get(x), 0, true, answer_flaw::none);
    add(get(x), 2, true, answer_flaw::cut);
    add(get(x), 3, true, answer_flaw::empty);
    REQUIRE_FALSE(get(x).sync());
  }
  auto again = open_on(on);
  CHECK(get(again).summary().flawed == flaw_counts{1, 0, 1, 1});
  CHECK(get(again).summary().ok == 4);
  for (uint64_t item = 0; item < 4; ++item)
    CHECK(std::get<std::string>(get(again).line(item)) == line_of(item));
}

TEST_CASE("looking at a ledger that is in use changes nothing") {
  test::temporary_folder folder;
  auto path = folder.path("out.ledger");
  auto file = batch::open_ledger_file(path);
  auto x = ledger::open(std::move(std::get<0>(file)), path, {1000, 7, "in.jsonl"});
  REQUIRE_FALSE(get(x).add(result(1)));
  REQUIRE_FALSE(get(x).add(result(3)));
  REQUIRE_FALSE(get(x).sync());
  auto before = folder.read("out.ledger");
  auto seen = ledger::look(path);
  REQUIRE(seen.index() == 0);
  auto& summary = std::get<0>(seen);
  CHECK(summary.ok == 1);
  CHECK(summary.failed == 1);
  CHECK(summary.usage.output == 40);
  CHECK(summary.cost == 1.0);
  CHECK(summary.input.path == "in.jsonl");
  CHECK(folder.read("out.ledger") == before);
}

TEST_CASE("a ledger whose file was removed counts nothing more") {
  test::temporary_folder folder;
  auto path = folder.path("out.ledger");
  auto file = batch::open_ledger_file(path);
  auto x = ledger::open(std::move(std::get<0>(file)), path, {1000, 7, "in.jsonl"});
  REQUIRE_FALSE(get(x).add(result(1)));
  std::filesystem::remove(path);
  auto problem = get(x).sync();
  REQUIRE(problem);
  CHECK(problem->message == "cannot sync the ledger " + path + ": No such file or directory");
  CHECK(get(x).summary().ok == 0);
}

} // namespace modelforge::ledger_test
