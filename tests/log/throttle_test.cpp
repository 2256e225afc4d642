#include "log/throttle.hpp"

#include <catch2/catch_test_macros.hpp>

#include <cstdint>
#include <map>
#include <random>
#include <vector>

namespace modelforge::throttle_test {

namespace {

using namespace log;
using namespace std::chrono_literals;

struct bench {
  throttle x;
  throttle::time_point now{1h};

  throttle::wall_time wall() const { return throttle::wall_time{now.time_since_epoch()}; }

  bool tell(event what, std::string_view provider, std::string_view reason = "broken") {
    return x.passes({entry{what}.with(field::provider, provider).with(field::reason, reason), wall()}, now);
  }
};

template <class T>
T value(const throttle::timed& of, field name) {
  for (auto& field : of.what.fields())
    if (field.name == name_of(name))
      return std::get<T>(field.value);
  FAIL("no field " << name_of(name));
  return {};
}

} // namespace

TEST_CASE("what repeats itself is told at once, then once for each ten seconds", "[log]") {
  bench b;
  CHECK(b.tell(event::limits_not_kept, "main"));
  CHECK_FALSE(b.x.wake_at());
  for (int i = 0; i < 37; ++i) {
    b.now += 100ms;
    CHECK_FALSE(b.tell(event::limits_not_kept, "main", "no " + std::to_string(i)));
  }
  auto last = b.wall();
  REQUIRE(b.x.wake_at());
  CHECK(*b.x.wake_at() == throttle::time_point{1h + 10s});
  CHECK(b.x.take_due(b.now).empty());
  b.now = *b.x.wake_at();
  auto told = b.x.take_due(b.now);
  REQUIRE(told.size() == 1);
  CHECK(value<int64_t>(told[0], field::repeated) == 37);
  CHECK(value<std::string>(told[0], field::reason) == "no 36");
  CHECK(value<std::string>(told[0], field::last) == "1970-01-01T01:00:03.700Z");
  CHECK(told[0].time == last);
  CHECK_FALSE(b.x.wake_at());
  CHECK_FALSE(b.tell(event::limits_not_kept, "main")); // the next ten seconds have begun
  b.now += 10s;
  CHECK(b.x.take_due(b.now).size() == 1);
  b.now += 10s;
  CHECK(b.tell(event::limits_not_kept, "main")); // it had been quiet for so long
}

TEST_CASE("another subject, and another event, is told apart", "[log]") {
  bench b;
  CHECK(b.tell(event::limits_not_kept, "main"));
  CHECK(b.tell(event::limits_not_kept, "other"));
  CHECK(b.tell(event::limits_kept, "main"));
  CHECK_FALSE(b.tell(event::limits_not_kept, "other"));
}

TEST_CASE("a breaker that flaps is told in order, as often as it did, and as it stands", "[log]") {
  bench b;
  auto tell = [&](event what) {
    b.now += 1s;
    return b.tell(what, "main");
  };
  CHECK(tell(event::breaker_opened));
  CHECK(tell(event::breaker_half_open));
  CHECK(tell(event::breaker_closed));
  CHECK_FALSE(tell(event::breaker_opened));
  CHECK_FALSE(tell(event::breaker_closed));
  CHECK_FALSE(tell(event::breaker_opened));
  CHECK_FALSE(tell(event::breaker_half_open));
  b.now = *b.x.wake_at();
  auto told = b.x.take_due(b.now);
  REQUIRE(told.size() == 3);
  CHECK(told[0].what.what() == event::breaker_closed);
  CHECK(value<int64_t>(told[0], field::repeated) == 1);
  CHECK(told[1].what.what() == event::breaker_opened);
  CHECK(value<int64_t>(told[1], field::repeated) == 2);
  CHECK(told[2].what.what() == event::breaker_half_open);
  CHECK_FALSE(tell(event::breaker_opened));
  CHECK_FALSE(tell(event::breaker_closed)); // not before what is counted
  b.now += 10s;
  told = b.x.take_due(b.now);
  REQUIRE(told.size() == 2);
  CHECK(told[0].what.what() == event::breaker_opened);
  CHECK(told[1].what.what() == event::breaker_closed);
  b.now += 10s;
  CHECK(tell(event::breaker_opened)); // it had been quiet for so long
  CHECK(tell(event::breaker_closed));
}

TEST_CASE("whatever a breaker does, what is told adds up, in order, and ends with how it stands", "[log]") {
  for (unsigned seed = 0; seed < 200; ++seed) {
    std::mt19937 random{seed};
    bench b;
    std::map<event, int64_t> happened, counts;
    throttle::wall_time latest{};
    auto last = event::breaker_closed;
    auto note = [&](event what, throttle::wall_time time, int64_t count) {
      counts[what] += count;
      CHECK(time >= latest);
      latest = time;
      last = what;
    };
    auto take = [&](const std::vector<throttle::timed>& told) {
      for (auto& each : told)
        note(each.what.what(), each.time, value<int64_t>(each, field::repeated));
    };
    INFO("seed " << seed);
    for (int i = 0; i < 200; ++i) {
      b.now += std::chrono::milliseconds{random() % 8'000};
      if (auto due = b.x.wake_at(); due && *due <= b.now && random() % 4 != 0) { // the log's thread may be late
        take(b.x.take_due(b.now));
        CHECK(counts == happened);
      }
      auto what = i % 2 == 0 ? event::breaker_opened : event::breaker_closed;
      ++happened[what];
      if (b.tell(what, "main"))
        note(what, b.wall(), 1);
    }
    take(b.x.take_all());
    CHECK(counts == happened);
    CHECK(last == event::breaker_closed);
  }
}

TEST_CASE("the events of a family are about the same", "[log]") {
  for (auto& rule : rules) {
    auto& first = rule_of(family_of(rule.what));
    CHECK(first.subject == rule.subject);
    for (std::size_t i = 0; i < rule.subject; ++i)
      CHECK(first.fields[i] == rule.fields[i]);
  }
}

TEST_CASE("events without a subject are all told", "[log]") {
  bench b;
  for (int i = 0; i < 1000; ++i)
    CHECK(b.tell(event::provider_started, "main"));
  CHECK(b.x.take_all().empty());
}

TEST_CASE("strangers that never call themselves the same fill neither memory nor the log", "[log]") {
  bench b;
  std::size_t lines = 0;
  for (int i = 0; i < 100'000; ++i) {
    lines +=
      b.x.passes({entry{event::peer_refused}.with(field::peer, "stranger " + std::to_string(i)), b.wall()}, b.now);
    b.now += 100us;
    if (auto due = b.x.wake_at(); due && *due <= b.now)
      lines += b.x.take_due(b.now).size();
  }
  CHECK(lines <= 2 * (throttle::max_subjects + 2));
  auto rest = b.x.take_all();
  REQUIRE(rest.size() <= 1);
  b.now += 20s;
  CHECK(b.x.passes({entry{event::peer_refused}.with(field::peer, "somebody else"), b.wall()}, b.now));
}

TEST_CASE("at the end all that was counted is told, the earliest first", "[log]") {
  bench b;
  for (auto* name : {"b", "a", "b", "a"}) {
    b.tell(event::limits_not_kept, name);
    b.now += 1s;
  }
  auto told = b.x.take_all();
  REQUIRE(told.size() == 2);
  CHECK(value<std::string>(told[0], field::provider) == "b");
  CHECK(value<std::string>(told[1], field::provider) == "a");
}

} // namespace modelforge::throttle_test
