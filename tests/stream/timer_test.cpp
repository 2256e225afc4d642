#include "tests/stream/bench.hpp"

#include <variant>

namespace modelforge::timer_test {

using namespace std::chrono_literals;
using stream::broadcast;
using stream::broadcast_settings;
using test::bench;
using test::has;

TEST_CASE("broadcast gives up when no event comes for first_token", "[stream][broadcast]") {
  broadcast_settings settings;
  settings.first_token = 3s;
  settings.idle = 1s;
  settings.min_bytes_per_second = 1'000'000;
  bench x{settings};
  x.join(slow_policy::wait, 9);
  x.pass(60s); // waits for its turn
  x.begin();
  x.pass(2s);
  x.comment(100); // does not help
  x.pass(999ms);
  CHECK(x.given_up.empty());
  x.pass(1ms);
  REQUIRE(x.given_up.size() == 1);
  CHECK(x.given_up[0].code == errc::attempt_timeout);
  CHECK(has(x.given_up[0].message, "for 3 s"));
  CHECK(has(x.setting_blamed(), "first_token"));
  x.pass(60s);
  CHECK(x.given_up.size() == 1);
  x.begin(); // again
  x.pass(3s);
  CHECK(x.given_up.size() == 2);
}

TEST_CASE("broadcast gives up when the stream stands still, whatever bytes come", "[stream][broadcast]") {
  struct {
    const char* name;
    std::size_t comment; ///< So many bytes of it every 500 ms.
  } cases[] = {{"nothing", 0}, {"pings", 10}, {"comments that use up all credit", 1'000}};
  for (auto& c : cases) {
    INFO(c.name);
    broadcast_settings settings;
    settings.window = 1'000;
    settings.first_token = 10s;
    settings.idle = 2s;
    bench x{settings};
    x.join(slow_policy::wait, 9'999);
    x.begin();
    x.pass(9s);
    auto last = x.now;
    for (int i = 0; i < 5; ++i) { // events keep it alive
      x.feed();
      last = x.now;
      x.pass(1'900ms);
    }
    CHECK(x.given_up.empty());
    x.comment(x.credit + 1'000 - 500); // all but nothing is left
    for (int i = 0; i < 20; ++i) {
      x.pass(500ms);
      if (c.comment > 0)
        x.comment(c.comment);
    }
    REQUIRE(x.given_up_at.size() == 1);
    CHECK(x.given_up_at[0] == last + 2s);
    CHECK(has(x.setting_blamed(), "timeouts.idle, e.g. from 2 s to 4 s"));
  }
}

TEST_CASE("broadcast waits for the first piece, not for the first event", "[stream][broadcast]") {
  broadcast_settings settings;
  settings.first_token = 20s;
  settings.idle = 2s;
  bench x{settings};
  x.join(slow_policy::wait, 9);
  x.begin();
  for (int i = 0; i < 3; ++i) { // the model thinks, and says nothing but that it has begun
    x.pass(5s);
    x.tested.received(10, 1, 0, x.now);
    x.pump();
  }
  CHECK(x.given_up.empty());
  CHECK_FALSE(x.tested.first_token());
  SECTION("it comes") {
    x.feed("a");
    CHECK(x.tested.first_token() == 15s);
    x.pass(1'500ms);
    x.tested.received(10, 1, 0, x.now); // life, though no piece
    x.pump();
    x.pass(1'500ms);
    CHECK(x.given_up.empty());
  }
  SECTION("it does not come") {
    x.pass(6s);
    CHECK(x.given_up.size() == 1);
    CHECK(has(x.setting_blamed(), "timeouts.first_token"));
  }
}

TEST_CASE("broadcast does not run its timers while a reader holds it back", "[stream][broadcast]") {
  broadcast_settings settings;
  settings.window = 1'000;
  settings.idle = 2s;
  settings.min_bytes_per_second = 100;
  settings.rate_time = 3s;
  bench x{settings};
  auto reader = x.join(slow_policy::wait, 0);
  x.begin();
  for (int i = 0; i < 10; ++i)
    x.feed(92);
  REQUIRE(x.tested.status().stage == stream_stage::paused);
  CHECK_FALSE(x.tested.wake_at());
  x.pass(1h);
  CHECK(x.given_up.empty());
  x.grant(reader, 1);
  x.pass(1'999ms);
  CHECK(x.given_up.empty());
  x.pass(1ms); // it has been let go on, and nothing came
  CHECK(x.given_up.size() == 1);
}

TEST_CASE("broadcast with idle = 2 s never fails a reader that takes a chunk every 5 s", "[stream][broadcast]") {
  broadcast_settings settings;
  settings.idle = 2s;
  settings.min_bytes_per_second = 1'000;
  settings.log_limit = 0;
  bench x{settings};
  auto reader = x.join(slow_policy::wait, 1);
  x.begin();
  std::size_t sent = 0;
  auto send = [&] { // as fast as it may
    while (sent < 2'000'000 && sent + 1'008 <= settings.window + x.credit) {
      sent += 1'008;
      x.feed(1'000);
    }
    if (sent < 2'000'000 && sent < settings.window + x.credit) { // part of an event
      x.comment(settings.window + x.credit - sent);
      sent = settings.window + x.credit;
    }
  };
  send();
  for (int i = 0; i < 200 && !x.tested.over(); ++i) {
    x.pass(5s);
    x.grant(reader, 1);
    send();
    CHECK(x.tested.status().kept_bytes <= settings.window + 32'768);
    if (sent >= 2'000'000)
      x.finish(completion{});
  }
  CHECK(x.given_up.empty());
  CHECK(std::holds_alternative<stream_done>(x.end_of(reader)));
  CHECK(x.chunks[reader].size() > 100);
}

TEST_CASE("broadcast gives up a stream slower than min_bytes_per_second", "[stream][broadcast]") {
  struct {
    std::size_t piece; ///< With its 8 bytes, every second.
    bool given_up;
  } cases[] = {{91, true}, {92, false}, {900, false}};
  for (auto& c : cases) {
    INFO(c.piece);
    broadcast_settings settings;
    settings.window = 1'000;
    settings.idle = 5s;
    settings.min_bytes_per_second = 100;
    settings.rate_time = 10s;
    bench x{settings};
    x.join(slow_policy::wait, 1'000);
    x.begin();
    x.feed(c.piece);
    auto begun = x.now;
    for (int i = 0; i < 100; ++i) {
      x.pass(999'999us);
      x.now += 1us;
      x.feed(c.piece);
    }
    REQUIRE(x.given_up.size() == (c.given_up ? 1 : 0));
    if (!c.given_up)
      continue;
    CHECK(x.given_up_at[0] == begun + 10s);
    CHECK(has(x.given_up[0].message, "100"));
    CHECK(has(x.setting_blamed(), "min_bytes_per_second"));
  }
}

TEST_CASE("broadcast notices bursts that are too slow although each uses up the credit", "[stream][broadcast]") {
  broadcast_settings settings;
  settings.window = 1'000;
  settings.min_bytes_per_second = 1'000;
  settings.rate_time = 10s;
  bench x{settings};
  x.join(slow_policy::wait, 1'000);
  x.begin();
  for (int i = 0; i < 5; ++i) {
    x.feed(992);
    x.pass(4s);
  }
  CHECK(x.given_up.size() == 1);
}

TEST_CASE("broadcast fires idle when the rate falls due in the same moment", "[stream][broadcast]") {
  broadcast_settings settings;
  settings.idle = 10s;
  settings.rate_time = 10s;
  settings.min_bytes_per_second = 1;
  bench x{settings};
  x.join(slow_policy::wait, 9);
  x.begin();
  x.feed("a");
  x.comment(1'000); // fast enough
  x.now += 10s;
  CHECK(std::holds_alternative<broadcast::give_up>(x.tested.next(x.now).value()));
}

TEST_CASE("broadcast that has nothing to do wants no waking", "[stream][broadcast]") {
  broadcast_settings settings;
  settings.first_token = 5s;
  settings.idle = 5s;
  settings.reader_idle = 5s;
  settings.min_bytes_per_second = 1;
  bench x{settings};
  auto reader = x.join(slow_policy::wait, 9);
  CHECK_FALSE(x.tested.wake_at());
  x.begin();
  for (int i = 0; i < 100; ++i) {
    x.feed();
    x.grant(reader, 1);
    x.pass(1s);
  }
  CHECK(x.wakes <= 10); // the rate, every 10 s
  x.tested.attempt_ended();
  x.pump();
  CHECK_FALSE(x.tested.wake_at());
  x.finish(completion{});
  CHECK_FALSE(x.tested.wake_at());
}

TEST_CASE("broadcast waits but a moment behind an answer's end, and longer where it is but likely",
          "[stream][broadcast]") {
  using wire::stream_end;
  broadcast_settings settings;
  settings.window = 1'000;
  settings.idle = 60s;
  bench x{settings};
  auto come = [&](stream_end seen, std::size_t bytes = 10) {
    x.tested.received(bytes, 1, 0, x.now);
    x.tested.note_end(seen, x.now);
    x.pump();
  };
  auto begin = [&](uint32_t demand) {
    x = bench{settings};
    x.join(slow_policy::wait, demand);
    x.begin();
    x.feed();
    come(stream_end::open);
  };

  begin(9); // a sure end: what comes behind it does not put it off
  auto at = x.now;
  come(stream_end::sure);
  x.pass(60ms);
  come(stream_end::sure);
  x.pass(10s);
  CHECK(x.sure_at == std::vector{at + 100ms});
  CHECK(x.given_up.empty());
  CHECK_FALSE(x.tested.wake_at());

  begin(9); // a likely one: as long as something comes, it goes on
  come(stream_end::likely);
  x.pass(1'900ms);
  come(stream_end::likely);
  x.pass(1'900ms);
  CHECK(x.silent_at.empty());
  at = x.now - 1'900ms;
  x.pass(1h);
  CHECK(x.silent_at == std::vector{at + 2s});
  CHECK(x.given_up.empty());

  begin(9); // one that was none
  come(stream_end::likely);
  come(stream_end::open);
  x.pass(59s);
  CHECK(x.silent_at.empty());
  x.pass(1s);
  CHECK(x.given_up.size() == 1);

  settings.idle = 1s; // a timer that is shorter ends it, too, and is no failure
  begin(9);
  come(stream_end::likely);
  x.pass(1h);
  CHECK(x.silent_at.size() == 1);
  CHECK(x.given_up.empty());

  begin(0); // the reader holds it back: a sure end counts all the same
  for (int i = 0; i < 12; ++i)
    x.feed();
  come(stream_end::likely, 2'000);
  x.pass(1h);
  CHECK(x.silent_at.empty());
  come(stream_end::sure, 0);
  x.pass(1s);
  CHECK(x.sure_at.size() == 1);
}

} // namespace modelforge::timer_test
