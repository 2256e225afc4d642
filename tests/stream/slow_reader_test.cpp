#include "tests/stream/bench.hpp"

#include <variant>

namespace modelforge::slow_reader_test {

using namespace std::chrono_literals;
using stream::broadcast_settings;
using test::bench;
using test::has;

TEST_CASE("broadcast gives no more credit than the slowest waiting reader has room for", "[stream][broadcast]") {
  broadcast_settings settings;
  settings.window = 1'000;
  bench x{settings};
  auto slow = x.join(slow_policy::wait, 0);
  auto fast = x.join(slow_policy::wait, 1'000);
  x.begin();
  for (int i = 0; i < 10; ++i)
    x.feed(92);
  CHECK(x.credit == 0);
  CHECK(x.tested.status().stage == stream_stage::paused);
  CHECK(x.text_for(fast).size() == 920);
  x.grant(slow, 1);
  CHECK(x.credit == 1'000);
  CHECK(x.tested.status().stage == stream_stage::open);
  x.leave(slow);
  for (int i = 0; i < 100; ++i)
    x.feed(92);
  CHECK(x.credit >= 10'000);
}

TEST_CASE("broadcast counts what is on its way and what is unread as one window", "[stream][broadcast]") {
  broadcast_settings settings;
  settings.window = 1'000;
  settings.chunk_bytes = 100;
  bench x{settings};
  auto reader = x.join(slow_policy::wait, 0);
  x.begin();
  for (int i = 0; i < 10; ++i)
    x.feed(92);
  x.grant(reader, 2);
  CHECK(x.credit == 0); // less than a quarter of the window is not worth telling
  x.grant(reader, 1);
  CHECK(x.credit == 300);
}

TEST_CASE("broadcast goes on past a coalescing reader and joins what it missed", "[stream][broadcast]") {
  broadcast_settings settings;
  settings.window = 1'000;
  settings.log_limit = 20'000;
  bench x{settings};
  auto reader = x.join(slow_policy::coalesce, 0);
  x.begin();
  for (int i = 0; i < 100; ++i)
    x.feed(92);
  CHECK(x.credit >= 9'000);
  x.grant(reader, 1);
  REQUIRE(x.chunks[reader].size() == 1);
  CHECK(x.chunks[reader][0].pieces.size() == 1);
  CHECK(x.chunks[reader][0].next == 100);
  CHECK(x.text_for(reader).size() == 9'200);
}

TEST_CASE("broadcast ends a slow reader only beyond what its policy allows", "[stream][broadcast]") {
  broadcast_settings settings;
  settings.window = 2'000;
  settings.log_limit = 5'000;
  struct {
    slow_policy policy;
    int survives; ///< Pieces of 100 bytes.
    const char* limit;
  } cases[] = {{slow_policy::coalesce, 50, "log_limit"}, {slow_policy::drop_subscriber, 20, "window"}};
  for (auto& c : cases) {
    INFO(c.limit);
    bench x{settings};
    auto fast = x.join(slow_policy::wait, 1'000);
    auto slow = x.join(c.policy, 0);
    x.begin();
    for (int i = 0; i < c.survives; ++i)
      x.feed(92);
    CHECK(x.ends[slow].empty());
    x.feed(92);
    CHECK(x.failure_of(slow).code == errc::slow_reader);
    CHECK(has(x.failure_of(slow).message, c.limit));
    CHECK(has(x.failure_of(slow).suggestion, "when_slow = wait"));
    x.finish(completion{});
    CHECK(std::holds_alternative<stream_done>(x.end_of(fast)));
    CHECK(x.ends[slow].size() == 1);
  }
}

TEST_CASE("broadcast does not call a late reader slow for the past that it asked for", "[stream][broadcast]") {
  broadcast_settings settings;
  settings.window = 2'000;
  bench x{settings};
  x.join(slow_policy::wait, 1'000);
  x.begin();
  for (int i = 0; i < 500; ++i)
    x.feed(92);
  auto late = x.join(slow_policy::drop_subscriber, 1);
  for (int i = 0; i < 20; ++i)
    x.feed(92);
  CHECK(x.ends[late].empty());
  x.feed(92);
  CHECK(x.failure_of(late).code == errc::slow_reader);
}

TEST_CASE("broadcast ends a reader that withholds demand for reader_idle", "[stream][broadcast]") {
  for (auto policy : {slow_policy::wait, slow_policy::coalesce, slow_policy::drop_subscriber}) {
    INFO(to_string(policy));
    broadcast_settings settings;
    settings.reader_idle = 10s;
    bench x{settings};
    auto reader = x.join(policy, 1);
    x.begin();
    x.pass(60s); // there is nothing to take
    x.feed("a");
    x.pass(60s);
    x.feed("b");
    x.pass(9s);
    x.feed("c"); // more of it changes nothing
    x.pass(999ms);
    CHECK(x.ends[reader].empty());
    x.pass(1ms);
    CHECK(x.failure_of(reader).code == errc::slow_reader);
    CHECK(has(x.failure_of(reader).message, "10 s"));
    CHECK(has(x.failure_of(reader).suggestion, "reader_idle"));
    CHECK(has(x.failure_of(reader).suggestion, "20 s"));
  }
}

TEST_CASE("broadcast keeps a reader whose demand comes before it was ended", "[stream][broadcast]") {
  broadcast_settings settings;
  settings.reader_idle = 10s;
  bench x{settings};
  auto reader = x.join(slow_policy::wait, 0);
  x.begin();
  x.feed("a");
  x.now += 10s + 1ms; // nobody has woken it yet
  x.grant(reader, 1);
  CHECK(x.ends[reader].empty());
  CHECK(x.text_for(reader) == "a");
}

TEST_CASE("broadcast holds readers to the deadline once the answer has ended", "[stream][broadcast]") {
  broadcast_settings settings;
  settings.deadline = test::time_point{1h} + 60s; // the bench's clock begins at one hour
  settings.chunk_bytes = 1;
  bench x{settings};
  auto slow = x.join(slow_policy::wait, 1);
  auto stuck = x.join(slow_policy::coalesce, 0);
  auto quick = x.join(slow_policy::wait, 1'000);
  x.begin();
  for (int i = 0; i < 20; ++i)
    x.feed("a");
  SECTION("that was good") {
    x.finish(completion{});
    CHECK(std::holds_alternative<stream_done>(x.end_of(quick)));
    for (int i = 0; i < 11; ++i) { // it goes on, which is why reader_idle does not help
      x.pass(5s);
      x.grant(slow, 1);
    }
    x.pass(4'999ms);
    CHECK(x.ends[slow].empty());
    CHECK(x.ends[stuck].empty());
    x.pass(1ms);
    for (auto reader : {slow, stuck}) {
      CHECK(x.failure_of(reader).code == errc::deadline_exceeded);
      CHECK_FALSE(x.failure_of(reader).suggestion.empty());
    }
    CHECK(x.text_for(slow).size() == 12);
  }
  SECTION("that had failed: the reason stays the same") {
    x.finish(test::broken());
    x.pass(60s);
    for (auto reader : {slow, stuck})
      CHECK(x.failure_of(reader) == test::broken());
  }
  SECTION("while it comes, its owner sees to that") {
    x.pass(120s);
    CHECK(x.ends[slow].empty());
    x.finish(make_failure(errc::deadline_exceeded, "too late"));
    for (auto reader : {slow, stuck})
      CHECK(x.failure_of(reader).message == "too late");
  }
  CHECK(x.tested.over());
  CHECK_FALSE(x.tested.wake_at());
}

TEST_CASE("broadcast does not end a reader that grants as it goes on", "[stream][broadcast]") {
  broadcast_settings settings;
  settings.reader_idle = 10s;
  settings.chunk_bytes = 1;
  bench x{settings};
  auto reader = x.join(slow_policy::wait, 0);
  x.begin();
  for (int i = 0; i < 20; ++i)
    x.feed("a");
  x.finish(completion{});
  for (int i = 0; i < 20; ++i) {
    x.pass(9s);
    x.grant(reader, 1);
  }
  CHECK(std::holds_alternative<stream_done>(x.end_of(reader)));
}

} // namespace modelforge::slow_reader_test
