#include "log/writer_thread.hpp"

#include "log/line_output.hpp"
#include "tests/support/temporary_folder.hpp"

#include <catch2/catch_test_macros.hpp>

#include <new>
#include <string>

namespace modelforge::writer_thread_test {

using namespace std::chrono_literals;

namespace {

struct item {
  struct {
    std::string text;
    std::size_t bytes() const { return text.size(); }
  } what;
};

/// Keeps what it is to write; memory is out at some items, and once at a flush.
struct kept {
  struct told {
    std::vector<std::string> lines;
    std::vector<std::string> missing;
    bool fails_to_flush = false;
  };

  explicit kept(std::shared_ptr<told> to) : to(std::move(to)) {}

  void write(const item& x) {
    if (x.what.text == "bad")
      throw std::bad_alloc{};
    to->lines.push_back(mark + x.what.text);
  }
  void note_missing(uint64_t count, std::string_view reason) {
    if (count > 0)
      to->missing.push_back(std::to_string(count) + " " + std::string{reason});
  }
  void flush(std::chrono::steady_clock::time_point) {
    if (std::exchange(to->fails_to_flush, false))
      throw std::bad_alloc{};
  }
  std::optional<std::chrono::steady_clock::time_point> wake_at() const { return {}; }
  uint64_t lost() const { return 0; }

  std::shared_ptr<told> to;
  std::string mark;
};

/// Has something to tell at the end, and no memory for it.
struct failing_filter : log::no_filter<item> {
  std::vector<item> take_all() { throw std::bad_alloc{}; }
};

} // namespace

TEST_CASE("what cannot be written for want of memory costs its own line, and is counted", "[log]") {
  auto told = std::make_shared<kept::told>();
  told->fails_to_flush = true;
  auto writer = std::make_shared<log::writer_thread<item, kept>>(1000u, 1000u, told);
  writer->apply([](kept&) { throw std::bad_alloc{}; });
  writer->push({{"bad"}}, false); // all of it is there before the thread begins
  writer->push({{"a"}}, false);
  writer->apply([](kept& to) { to.mark = "masked "; });
  writer->push({{"bad"}}, false);
  writer->push({{"b"}}, false);
  writer->start();
  writer->end(std::chrono::steady_clock::now() + 30s);
  CHECK(told->lines == std::vector<std::string>{"a", "masked b"});
  CHECK(told->missing == std::vector<std::string>{"2 there was no memory for it"});
  CHECK(writer->dropped() == 2);
}

TEST_CASE("what was counted and cannot be told for want of memory costs nothing else", "[log]") {
  auto told = std::make_shared<kept::told>();
  auto writer = std::make_shared<log::writer_thread<item, kept, failing_filter>>(1000u, 1000u, told);
  writer->push({{"a"}}, false);
  writer->start();
  writer->end(std::chrono::steady_clock::now() + 30s);
  CHECK(told->lines == std::vector<std::string>{"a"});
  CHECK(writer->dropped() == 1);
}

TEST_CASE("a line that memory lasted for half of leaves nothing behind", "[log]") {
  test::temporary_folder folder;
  auto path = folder.path("log");
  log::line_output output{std::get<log::target>(log::target::open(path)), "the log"};
  output.add([](std::string& lines) { lines += "one\n"; });
  CHECK_THROWS_AS(output.add([](std::string& lines) {
    lines += "hal";
    throw std::bad_alloc{};
  }),
                  std::bad_alloc);
  output.add([](std::string& lines) { lines += "two\n"; });
  log::line_output::time_point now{1h};
  output.flush(now, [](auto...) { FAIL("nothing is missing"); });
  CHECK(folder.read("log") == "one\ntwo\n");
  output.note_missing(5, "want of memory");
  CHECK_THROWS_AS(output.flush(now, [](auto...) { throw std::bad_alloc{}; }), std::bad_alloc);
  CHECK(output.wake_at() == now + 1s); // it stays to be told
  output.flush(now + 1s, [&](uint64_t count, std::chrono::nanoseconds time, const std::string& reason) {
    output.add([&](std::string& lines) {
      lines += std::to_string(count) + " for " + std::to_string(time / 1s) + " s: " + reason + "\n";
    });
  });
  CHECK(folder.read("log") == "one\ntwo\n5 for 1 s: want of memory\n");
  CHECK_FALSE(output.wake_at());
}

} // namespace modelforge::writer_thread_test
