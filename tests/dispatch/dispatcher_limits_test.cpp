#include "tests/dispatch/dispatcher_bench.hpp"

#include <catch2/catch_test_macros.hpp>

namespace modelforge::dispatcher_test {

// -- learned limits -----------------------------------------------------------------

TEST_CASE("dispatcher ends a queued request that a new limit has made too large", "[dispatch]") {
  auto settings = settings_of({}, 1000, 1);
  bench b{settings};
  b.take(offer(1));
  b.take(certain(2, 600));
  b.take(certain(3, 400));
  settings.groups[0].limits.per_minute[1] = 500;
  b.x.reconfigure(settings);
  b.end(1);
  CHECK(b.serve() == list{3});
  REQUIRE(b.given_up.size() == 1);
  auto& why = b.given_up.at(2).why;
  CHECK(why.why == reason::over_limit);
  CHECK(why.over == limits::dimension::tokens);
  CHECK(why.limit == 500);
  CHECK(why.wanted == 600);
}

TEST_CASE("dispatcher refuses nothing for a guess, but lets it go alone", "[dispatch]") {
  bench b{settings_of({}, 1000)};
  auto o = offer(1, 100);
  limits::at(o.cost.produced, limits::dimension::tokens) = 9000; // the longest answer that was seen
  CHECK(b.take(o) == list{1});
  CHECK(b.take(offer(2, 10'000)) == list{}); // an estimate
  dispatcher::attempt_end how;
  how.real = of(100);
  b.end(1, how);
  CHECK(b.serve() == list{});
  CHECK(b.wake() == list{2}); // in an empty window
  how.real = of(700);
  b.end(2, how);
  CHECK(b.take(offer(3, 300)) == list{3});
  CHECK(b.given_up.empty());
}

TEST_CASE("dispatcher refuses nothing for what one answer told of a limit", "[dispatch]") {
  for (uint64_t limit : {1, 500, 10'000}) {
    auto settings = settings_of({}, {});
    bench b{settings};
    b.take(for_model(1, "small"));
    b.take(for_model(2, "small", 30'000, batch));
    dispatcher::attempt_end how;
    for (auto& told : how.told)
      told.limit = limit;
    b.end(1, how);
    b.end(2);
    CHECK(b.take(for_model(3, "large", 30'000)) == list{3});
    CHECK(b.take(for_model(4, "small", 30'000)) == list{}); // waits for an empty window
    CHECK(b.wake() == list{4});
    CHECK(b.now <= start + 61s);
    b.now = start + 24h * 365;
    CHECK(b.take(for_model(5, "small", 30'000)) == list{5});
    CHECK(b.take(for_model(6, "small", 30'000)) == list{6}); // forgotten
    b.x.reconfigure(settings);
    CHECK(b.take(for_model(7, "small", 30'000)) == list{7});
    CHECK(b.given_up.empty());
  }
}

TEST_CASE("dispatcher predicts by what answers told, and refuses at once", "[dispatch]") {
  bench b{settings_of({}, {})};
  b.take(for_model(1, "m"));
  b.take(for_model(2, "other"));
  b.x.accept(for_model(3, "m"), b.now); // queued when the answer comes
  auto queued = for_model(4, "m");
  queued.deadline = start + 300s;
  b.x.accept(queued, b.now);
  dispatcher::attempt_end how;
  how.told[0] = {{}, 0, 2h};
  b.end(1, how);
  CHECK(b.serve() == list{}); // those before it went with it
  auto o = for_model(5, "m");
  o.deadline = start + 300s;
  auto no = b.refused(o);
  CHECK(no.why == reason::predicted_wait);
  CHECK(no.wait == limits::duration{2h});
  o = for_model(6, "other");
  o.deadline = start + 1s;
  CHECK(b.take(o) == list{6}); // another model's limits are others
  o = for_model(7, "m", 1, batch);
  CHECK(b.take(o) == list{});
  CHECK(b.x.predicted_wait(0, interactive, b.now) == limits::duration{2h});
}

TEST_CASE("dispatcher gives up those in the queue that would wait in vain", "[dispatch]") {
  for (auto paused : {true, false}) {
    bench b{settings_of({}, {}, 1)};
    b.take(offer(1));
    auto o = offer(2);
    o.deadline = start + 300s;
    b.take(o);
    o.id = id(3);
    b.take(o);
    b.take(offer(4, 1, batch));
    auto how = paused ? failed(errc::rate_limited, 429, 7200s) : dispatcher::attempt_end{};
    if (!paused)
      how.told[0] = {{}, 0, 2h};
    b.end(1, how);
    CHECK(b.serve() == list{});
    REQUIRE(b.given_up.size() == 2);
    for (uint64_t i : {2, 3}) {
      CHECK(b.given_up.at(i).why.why == reason::predicted_wait);
      CHECK(b.given_up.at(i).why.wait == limits::duration{2h});
    }
    CHECK(b.x.state().queued[1] == 1); // the batch item waits
  }
}

TEST_CASE("dispatcher lets other models go while one is held by what answers told", "[dispatch]") {
  bench b{settings_of({}, {})};
  b.take(for_model(1, "held"));
  dispatcher::attempt_end how;
  how.told[0] = {{}, 0, 2h};
  b.end(1, how);
  for (uint64_t i = 100; i < 200; ++i)
    CHECK(b.take(for_model(i, "held", 1, batch)) == list{});
  CHECK(b.take(for_model(2, "free", 1, batch)) == list{2});
  CHECK(b.take(for_model(3, "free", 1, batch)) == list{3});
  auto state = b.x.state();
  CHECK(state.queued[1] + state.waiting == 100);
  list sent;
  while (sent.empty())
    sent = b.wake();
  CHECK(sent == list{100}); // the first one finds out
  CHECK(b.now == start + 180s);
  b.end(100);
  sent = b.serve();
  while (b.x.state().queued[1] + b.x.state().waiting > 0)
    for (auto id : b.wake())
      sent.push_back(id);
  CHECK(sent.size() == 99);
  CHECK(std::is_sorted(sent.begin(), sent.end()));
  CHECK(b.now <= start + 191s);
  CHECK(b.x.state().waiting == 0);
}

TEST_CASE("dispatcher tries at last whether a server's wait is over", "[dispatch]") {
  auto settings = settings_of({}, {});
  settings.retry.max_server_wait = 100s;
  settings.retry.max_batch_server_wait = 1h;
  settings.retry.max_attempts = 10;
  auto year = 24h * 365;
  auto one_by_one = [](bench& b, std::size_t count) { // until so many have been sent and answered
    list all;
    while (all.size() < count) {
      auto more = b.serve();
      if (more.empty())
        more = b.wake();
      for (auto id : more)
        b.end(id);
      all.insert(all.end(), more.begin(), more.end());
    }
    return all;
  };
  SECTION("an interactive request does, after max_server_wait") {
    bench b{settings};
    b.take(offer(1));
    b.take(offer(2, 1, batch));
    b.take(offer(3, 1, batch));
    CHECK(b.end(2, failed(errc::rate_limited, 429, year)).then == what::again);
    auto end = b.end(1, failed(errc::rate_limited, 429, year));
    CHECK(end.then == what::answer);
    CHECK(end.wait == limits::duration{year});
    CHECK(b.take(offer(4)) == list{});
    CHECK(b.wake() == list{4});
    CHECK(b.now == start + 100s);
    CHECK(b.take(offer(5)) == list{});
    auto o = offer(6);
    o.deadline = b.now + 300s;
    CHECK(b.refused(o).why == reason::predicted_wait); // until the other one knows
    b.end(4);
    CHECK(b.serve() == list{5}); // it is over
    CHECK(b.take(o) == list{6});
    b.end(5);
    b.end(6);
    b.end(3);
    CHECK(one_by_one(b, 1) == list{2}); // for batch items, too, which begin with one
    CHECK(b.sent.at(2).number == 2);
  }
  SECTION("batch items do, after their own time") {
    bench b{settings};
    b.take(offer(1, 1, batch));
    b.end(1, failed(errc::rate_limited, 429, year));
    b.take(offer(2, 1, batch));
    CHECK(b.wake() == list{2});
    CHECK(b.now == start + 1h);
    b.end(2, failed(errc::rate_limited, 429, 10s)); // who asked after the pause began knows better
    CHECK(one_by_one(b, 2).size() == 2);
    CHECK(b.sent.at(1).number == 2);
    CHECK(b.sent.at(2).number == 2);
    CHECK(b.now < start + 1h + 11s);
  }
}

TEST_CASE("dispatcher corrects its charges by the usage", "[dispatch]") {
  bench b{settings_of({}, 1000)};
  auto o = offer(1, 100);
  limits::at(o.cost.produced, limits::dimension::tokens) = 900;
  b.take(o);
  CHECK(b.take(offer(2, 800)) == list{});
  dispatcher::attempt_end how;
  how.real = of(100);
  limits::at(how.real->produced, limits::dimension::tokens) = 50;
  b.now += 5s;
  b.end(1, how);
  CHECK(b.live() == 150);
  CHECK(b.serve() == list{2});
}

} // namespace modelforge::dispatcher_test
