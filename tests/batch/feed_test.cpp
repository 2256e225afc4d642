#include "batch/feed.hpp"

#include "tests/support/temporary_folder.hpp"

#include <catch2/catch_test_macros.hpp>

#include <chrono>
#include <condition_variable>
#include <fcntl.h>
#include <mutex>
#include <sys/stat.h>
#include <unistd.h>

namespace modelforge::feed_test {

using namespace std::chrono_literals;

namespace {

/// A pipe with a name, whose writing end the test holds.
struct feed_test {
  test::temporary_folder folder;
  std::string path = folder.path("fifo");
  int writer = -1;
  std::mutex mutex;
  std::condition_variable changed;
  int calls = 0;

  feed_test() {
    REQUIRE(mkfifo(path.c_str(), 0600) == 0);
    writer = open(path.c_str(), O_RDWR | O_CLOEXEC);
    REQUIRE(writer >= 0);
  }

  ~feed_test() { close(writer); }

  void write_line(const std::string& text) {
    auto line = text + "\n";
    REQUIRE(write(writer, line.data(), line.size()) == static_cast<ssize_t>(line.size()));
  }

  std::function<void()> counting() {
    return [this] {
      std::lock_guard lock{mutex};
      ++calls;
      changed.notify_all();
    };
  }

  bool wait_for_calls(int n) {
    std::unique_lock lock{mutex};
    return changed.wait_for(lock, 10s, [&] { return calls >= n; });
  }

  /// Takes the next entry, waiting for it if need be.
  batch::feed::entry next(batch::feed& from) {
    for (;;) {
      int before = [this] {
        std::lock_guard lock{mutex};
        return calls;
      }();
      if (auto x = from.try_next())
        return std::move(*x);
      REQUIRE(wait_for_calls(before + 1));
    }
  }
};

} // namespace

TEST_CASE_METHOD(feed_test, "a feed brings items as they come and says when there is one again", "[batch]") {
  batch::feed feed{path, {}, counting()};
  CHECK_FALSE(feed.try_next());
  write_line("first");
  auto x = next(feed);
  CHECK(std::get<std::optional<batch::item>>(x)->line == 1);
  for (int i = 0; i < 500; ++i)
    write_line("more");
  for (int i = 0; i < 500; ++i) {
    auto y = next(feed);
    REQUIRE(std::get<std::optional<batch::item>>(y)->line == 2u + static_cast<unsigned>(i));
  }
}

TEST_CASE_METHOD(feed_test, "a feed may go while its thread waits for input, and calls nobody then", "[batch]") {
  {
    batch::feed feed{path, {}, counting()};
    CHECK_FALSE(feed.try_next());
  }
  write_line("too late");
  CHECK(calls == 0);
}

TEST_CASE_METHOD(feed_test, "a feed of what cannot be opened brings the reason", "[batch]") {
  batch::feed feed{folder.path("missing"), {}, counting()};
  auto x = next(feed);
  CHECK(std::get<failure>(x).code == errc::io_failed);
}

} // namespace modelforge::feed_test
