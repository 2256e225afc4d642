#include "log/throttle.hpp"

#include <catch2/catch_test_macros.hpp>

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
