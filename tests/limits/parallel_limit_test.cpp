#include "limits/parallel_limit.hpp"

#include <catch2/catch_test_macros.hpp>

namespace modelforge::parallel_limit_test {

using namespace modelforge::limits;
using namespace std::chrono_literals;

namespace {

const time_point start{1000s};

} // namespace

TEST_CASE("parallel_limit is as if it were not there until something is refused", "[limits][parallel]") {
  parallel_limit x{16};
  CHECK(x.limit() == 16);
  CHECK_FALSE(x.is_limiting());
  for (uint32_t i = 1; i <= 1000; ++i)
    x.answered(1 + i % 16, start, start + 1s);
  CHECK(x.limit() == 16);
  x.set_max(32);
  CHECK(x.limit() == 32);
  CHECK(x.answers() == 1000);
}

TEST_CASE("parallel_limit begins with few, and soon has all", "[limits][parallel]") {
  parallel_limit x{64, 4};
  auto rounds = 0;
  for (; x.limit() < 64; ++rounds)
    for (auto i = x.limit(); i > 0; --i)
      x.answered(i, start, start);
  CHECK(rounds == 4);
  CHECK_FALSE(x.is_limiting());
  parallel_limit y{64, 4};
  CHECK(y.limit() == 4);
  y.refused(4, start, start + 1ms);
  CHECK(y.limit() == 1);
  y.answered(1, start + 1s, start + 2s);
  CHECK(y.limit() == 2);
  CHECK(parallel_limit{2, 4}.limit() == 2);
  CHECK(parallel_limit{2, 0}.limit() == 1);
}

TEST_CASE("parallel_limit learns from one burst how many a server takes, and starts with one", "[limits][parallel]") {
  parallel_limit x{16};
  auto now = start + 1ms;
  for (uint32_t i : {9, 3, 16, 4, 5, 6, 7, 8, 10, 11, 12, 13, 14, 15}) // the server takes two
    CHECK(x.refused(i, start, now) == (i == 9));
  CHECK(x.in_a_row() == 1);
  CHECK(x.limit() == 1);
  x.paused(now + 1s, now);
  x.answered(1, start, now + 3s);
  CHECK(x.in_a_row() == 0);
  CHECK(x.limit() == 2);
  x.answered(2, start, now + 3s);
  CHECK(x.limit() == 2); // that is what it takes
  x.set_max(64);
  CHECK(x.limit() == 2);
  x.set_max(1);
  CHECK(x.limit() == 1);
}

TEST_CASE("parallel_limit tries one more seldom, and the more seldom the more often it failed", "[limits][parallel]") {
  parallel_limit x{8};
  auto now = start;
  x.refused(2, now - 1ms, now); // a server that takes one
  x.paused(now + 1s, now);
  uint64_t answers = 0, refused = 0;
  for (; answers < 10'000; now += 1s)
    if (x.limit() > 1) {
      CHECK(x.refused(2, now, now + 1ms));
      x.paused(now + 1s, now);
      ++refused;
    } else {
      ++answers;
      x.answered(1, now, now + 900ms);
    }
  CHECK(refused > 5);
  CHECK(refused < 30);
}

TEST_CASE("parallel_limit rises again where a server takes more", "[limits][parallel]") {
  parallel_limit x{8};
  auto now = start;
  x.refused(3, now - 1ms, now);
  x.paused(now + 1s, now);
  for (auto i = 0; i < 300 && x.limit() < 8; ++i, now += 1s)
    for (auto k = x.limit(); k > 0; --k)
      x.answered(k, now, now + 500ms);
  CHECK(x.limit() == 8);
  CHECK_FALSE(x.is_limiting());
}

TEST_CASE("parallel_limit is moved little by overload that names no wait", "[limits][parallel]") {
  parallel_limit x{16};
  x.strained(3, 16, start, start + 1ms); // of sixteen: it may be bad luck
  CHECK(x.limit() == 12);
  x.strained(4, 16, start, start + 2ms); // of the same moment
  CHECK(x.limit() == 12);
  x.strained(2, 2, start + 5ms, start + 6ms);
  CHECK(x.limit() == 1);
  x.strained(1, 1, start + 7ms, start + 8ms);
  CHECK(x.limit() == 1);
}

TEST_CASE("parallel_limit lets one refusal for load pass where all else is answered", "[limits][parallel]") {
  parallel_limit x{16};
  for (auto i = 0; i < 16; ++i)
    x.answered(16, start, start + 1s);
  x.strained(16, 16, start + 2s, start + 3s);
  CHECK(x.limit() == 16);
  for (auto i = 0; i < 15; ++i)
    x.answered(16, start + 3s, start + 4s);
  x.strained(16, 16, start + 5s, start + 6s); // the second within 16 answers
  CHECK(x.limit() == 15);
}

TEST_CASE("parallel_limit rises faster and faster until it is refused", "[limits][parallel]") {
  parallel_limit x{64};
  REQUIRE(x.refused(5, start, start + 1ms)); // it takes four
  auto now = start + 1s;
  auto answers = [&] {
    auto before = x.limit();
    uint32_t count = 0;
    for (; x.limit() == before; ++count)
      x.answered(x.limit(), now, now);
    return count;
  };
  while (x.limit() < 4)
    answers();
  for (auto next : {5u, 7u, 11u, 19u, 35u, 64u}) {
    CHECK(answers() <= 32);
    CHECK(x.limit() == next);
  }
  x.strained(64, 64, now, now + 1ms);
  x.strained(64, 64, now + 2ms, now + 3ms);
  REQUIRE(x.limit() == 63);
  now += 4ms;
  answers();
  CHECK(x.limit() == 64);
}

TEST_CASE("parallel_limit forgets its level where refusals strike at random", "[limits][parallel]") {
  parallel_limit x{64};
  auto now = start;
  for (auto i = 0; x.may_be_load(x.limit()); ++i) {
    REQUIRE(i < 100);
    x.strained(x.limit(), x.limit(), now, now + 1ms);
    for (auto k = 0; k < 4; ++k)
      x.answered(x.limit(), now + 2ms, now + 3ms);
    now += 1s;
  }
  CHECK(x.limit() == 32); // half of them: a fifth is refused as before
  while (x.limit() < 64)
    x.answered(x.limit(), now, now);
  CHECK_FALSE(x.may_be_load(64));
  CHECK(x.limit() == 64);
}

TEST_CASE("parallel_limit starts with one after an outage", "[limits][parallel]") {
  parallel_limit y{64, 4};
  y.restart();
  CHECK(y.limit() == 1);
  y.answered(1, start, start);
  CHECK(y.limit() == 4);
  y.answered(1, start, start);
  CHECK(y.limit() == 5);
  y.restart();
  y.refused(1, start, start + 1ms); // the probe is: there are few places
  y.answered(1, start + 1s, start + 2s);
  CHECK(y.limit() == 1);
  parallel_limit x{4};
  x.restart();
  CHECK(x.limit() == 1);
  for (uint32_t i = 1; i < 4; ++i)
    x.answered(i, start, start);
  CHECK(x.limit() == 4);
}

} // namespace modelforge::parallel_limit_test
