#include "limits/circuit_breaker.hpp"

#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <deque>
#include <queue>
#include <random>
#include <string_view>
#include <vector>

namespace modelforge::circuit_breaker_test {

using namespace modelforge::limits;
using namespace std::chrono_literals;

namespace {

using state = circuit_breaker::state;

const time_point start{1000s};
const time_point never = time_point::max();

/// Settings that only failures in a row can open.
breaker_settings in_a_row(uint32_t n) {
  return {.consecutive_failures = n, .failure_share = 0};
}

/// Settings that only a share can open.
breaker_settings share_of(double share, uint32_t min_samples) {
  return {.consecutive_failures = 0, .failure_share = share, .min_samples = min_samples};
}

void attempt(circuit_breaker& x, outcome how, time_point now, duration took = 1ms) {
  x.end(x.begin(now), how, took, now);
}

/// A breaker that opened at `start`.
circuit_breaker opened(breaker_settings settings = in_a_row(1)) {
  circuit_breaker x{settings};
  while (x.current(start) == state::closed)
    attempt(x, outcome::failure, start);
  return x;
}

} // namespace

TEST_CASE("breaker opens by what its results say", "[limits][breaker]") {
  struct row {
    const char* why;
    breaker_settings settings;
    std::string_view results; ///< f: failure, s: success, n: neutral, S: slow success, N: slow and neutral.
    bool opens;               ///< At the last one, and not before.
  };
  breaker_settings slow = in_a_row(3);
  slow.slow_after = 2s;
  breaker_settings off = in_a_row(1);
  off.enabled = false;
  const row rows[] = {
    {"failures in a row", in_a_row(3), "fff", true},
    {"too few", in_a_row(3), "ff", false},
    {"a success between", in_a_row(3), "ffsff", false},
    {"neutral ends between", in_a_row(3), "fnfnnf", true},
    {"neutral ends only", in_a_row(1), "nnnnnnnn", false},
    {"slow ones are failures", slow, "SfS", true},
    {"quick ones are not", slow, "ffs", false},
    {"slow neutral ones are neutral", slow, "ffN", false},
    {"slowness that nobody asked about", in_a_row(1), "SSSS", false},
    {"switched off", off, "ffff", false},
    {"both switched off", share_of(0, 1), "ffffffff", false},
    {"half of just enough", share_of(0.5, 8), "sfsfsfsf", true},
    {"a success that completes the share", share_of(0.5, 8), "fsfsfsfs", true},
    {"less than half", share_of(0.5, 8), "sfsfsfss", false},
    {"neutral ends make no sample", share_of(0.5, 4), "fnfnsn", false},
    {"a share that is not exact in binary", share_of(0.55, 20), "sssssssssfffffffffff", true},
    {"one less", share_of(0.55, 20), "ssssssssssffffffffff", false},
    {"all of them", share_of(1, 3), "fff", true},
    {"a minimum of none is one", share_of(1, 0), "f", true},
  };
  for (auto& row : rows) {
    INFO(row.why);
    circuit_breaker x{row.settings};
    auto now = start;
    for (std::size_t i = 0; i < row.results.size(); ++i) {
      REQUIRE(x.current(now) == state::closed);
      REQUIRE(x.ready_at(now) == now);
      auto kind = row.results[i];
      auto how = kind == 'f' ? outcome::failure : kind == 'n' || kind == 'N' ? outcome::neutral : outcome::success;
      now += 10ms;
      attempt(x, how, now, kind == 'S' || kind == 'N' ? 2001ms : 2000ms);
    }
    CHECK((x.current(now) == state::open) == row.opens);
    CHECK(x.openings() == (row.opens ? 1 : 0));
  }
}

TEST_CASE("breaker counts a share over the sample window only", "[limits][breaker]") {
  circuit_breaker x{share_of(0.5, 4)}; // 30 s in tenths of 3 s; `start` is 1 s after a tenth begins
  for (int i = 0; i < 3; ++i)
    attempt(x, outcome::failure, start);
  CHECK(x.failure_share(start + 28'999ms) == 1);
  CHECK(x.failure_share(start + 29s) == 0);
  attempt(x, outcome::success, start + 29s);
  CHECK(x.failure_share(start + 29s) == 0);
  CHECK(x.current(start + 29s) == state::closed);
  CHECK(x.failure_share(start + 58'999ms) == 0);
  attempt(x, outcome::failure, start + 59s); // in the place of the success
  CHECK(x.failure_share(start + 59s) == 1);
}

TEST_CASE("breaker lets nothing through until the probe's time", "[limits][breaker]") {
  auto x = opened();
  CHECK(x.since(start) == start);
  CHECK(x.ready_at(start) == start + 10s);
  CHECK(x.ready_at(start + 9'999ms) == start + 10s);
  CHECK(x.current(start + 9'999ms) == state::open);
  CHECK(x.ready_at(start + 12s) == start + 12s);
  CHECK(x.current(start + 12s) == state::half_open);
  CHECK(x.since(start + 12s) == start + 10s);
  CHECK(x.begin(start + 12s).probe);
  CHECK(x.current(start + 12s) == state::half_open);
  CHECK(x.since(start + 13s) == start + 10s);
  CHECK(x.ready_at(start + 13s) == never);
}

TEST_CASE("breaker closes when every probe's place holds a success", "[limits][breaker]") {
  auto settings = in_a_row(2);
  settings.probes = 3;
  auto x = opened(settings);
  auto now = start + 10s;
  auto a = x.begin(now), b = x.begin(now);
  CHECK(x.ready_at(now) == now);
  auto c = x.begin(now);
  CHECK(x.ready_at(now) == never);
  x.end(a, outcome::success, 1s, now + 1s);
  x.end(b, outcome::neutral, 1s, now + 1s);
  CHECK(x.ready_at(now + 1s) == now + 1s); // the neutral one's place
  b = x.begin(now + 1s);
  CHECK(x.ready_at(now + 1s) == never);
  x.end(b, outcome::success, 1s, now + 2s);
  CHECK(x.current(now + 2s) == state::half_open);
  x.end(c, outcome::success, 3s, now + 3s);
  CHECK(x.current(now + 3s) == state::closed);
  CHECK(x.since(now + 4s) == now + 3s);
  attempt(x, outcome::failure, now + 4s); // the failures before it opened are forgotten
  CHECK(x.current(now + 4s) == state::closed);
  CHECK(x.consecutive_failures() == 1);
}

TEST_CASE("breaker works with settings of nothing", "[limits][breaker]") {
  auto settings = in_a_row(1);
  settings.probes = 0;
  settings.sample_window = settings.open_for = duration::zero();
  auto x = opened(settings);
  CHECK(x.ready_at(start) == start);
  CHECK(x.current(start) == state::half_open);
  attempt(x, outcome::success, start);
  CHECK(x.current(start) == state::closed);
}

TEST_CASE("breaker opens again for as long when a probe fails", "[limits][breaker]") {
  auto settings = in_a_row(1);
  settings.probes = 2;
  settings.slow_after = 5s;
  auto x = opened(settings);
  auto now = start;
  for (uint64_t i = 1; i < 20; ++i) {
    now = x.ready_at(now);
    CHECK(now == start + static_cast<int64_t>(i) * 10s + static_cast<int64_t>(i - 1) * 6s);
    auto a = x.begin(now), b = x.begin(now);
    now += 6s;
    x.end(a, i % 2 == 0 ? outcome::failure : outcome::success, 6s, now); // a slow probe has failed, too
    x.end(b, outcome::success, 1s, now);                                 // too late to matter
    CHECK(x.current(now) == state::open);
    CHECK(x.openings() == i + 1);
  }
}

TEST_CASE("breaker gives back the places of a thousand cancelled probes", "[limits][breaker]") {
  auto settings = in_a_row(1);
  settings.probes = 2;
  auto x = opened(settings);
  auto now = start + 10s;
  for (int i = 0; i < 500; ++i) {
    REQUIRE(x.ready_at(now) == now);
    auto a = x.begin(now), b = x.begin(now);
    REQUIRE(x.ready_at(now) == never);
    now += 7ms;
    x.end(b, outcome::neutral, 7ms, now);
    x.end(a, outcome::neutral, 7ms, now);
    REQUIRE(x.current(now) == state::half_open);
  }
  attempt(x, outcome::success, now);
  attempt(x, outcome::success, now);
  CHECK(x.current(now) == state::closed);
}

TEST_CASE("breaker ignores what began before its last change of state", "[limits][breaker]") {
  auto settings = in_a_row(3);
  settings.probes = 2;
  circuit_breaker x{settings};
  std::deque<circuit_breaker::permit> late;
  for (int i = 0; i < 40; ++i)
    late.push_back(x.begin(start));
  auto end_late = [&](outcome how, time_point now) {
    x.end(late.front(), how, 1s, now);
    late.pop_front();
  };
  for (int i = 0; i < 3; ++i)
    end_late(outcome::failure, start);
  REQUIRE(x.current(start) == state::open);
  for (auto how : {outcome::success, outcome::failure, outcome::neutral})
    for (int i = 0; i < 4; ++i)
      end_late(how, start + 1s);
  CHECK(x.current(start + 1s) == state::open);
  CHECK(x.ready_at(start + 1s) == start + 10s);
  CHECK(x.openings() == 1);

  auto probe = x.begin(start + 10s); // half open
  late.push_back(probe);
  for (auto how : {outcome::success, outcome::failure, outcome::neutral})
    for (int i = 0; i < 4; ++i)
      end_late(how, start + 11s);
  CHECK(x.current(start + 11s) == state::half_open);
  CHECK(x.ready_at(start + 11s) == start + 11s);
  auto failing = x.begin(start + 11s);
  CHECK(x.ready_at(start + 11s) == never);
  x.end(failing, outcome::failure, 1s, start + 12s); // open again, with one probe under way
  attempt(x, outcome::success, start + 22s);
  x.end(probe, outcome::neutral, 12s, start + 22s); // of the half-open state before: takes nothing from this one
  x.begin(start + 22s);
  CHECK(x.ready_at(start + 22s) == never);
}

TEST_CASE("breaker sends only probes to a dead server and is back within one open period", "[limits][breaker]") {
  for (uint64_t seed = 1; seed <= 3; ++seed) {
    INFO("seed " << seed);
    std::mt19937_64 random{seed};
    auto draw = [&](double mean) {
      return std::chrono::duration_cast<duration>(
        std::chrono::duration<double>(std::exponential_distribution{1 / mean}(random)));
    };
    struct answer {
      time_point at;
      circuit_breaker::permit permit;
      outcome how;
      duration took;

      bool operator>(const answer& other) const { return at > other.at; }
    };
    const auto down_for = 20s;
    const auto slowest = 200ms;
    circuit_breaker x{{}};
    std::priority_queue<answer, std::vector<answer>, std::greater<>> under_way;
    auto now = start, down = start + 60s;
    uint64_t outages = 0, to_dead_server = 0, refused_while_up = 0, sent = 0;
    uint64_t before_opening = 0;
    auto deliver_until = [&](time_point until) {
      while (!under_way.empty() && under_way.top().at <= until) {
        auto next = under_way.top();
        under_way.pop();
        auto before = x.current(next.at);
        x.end(next.permit, next.how, next.took, next.at);
        if (before == state::closed && x.current(next.at) == state::open)
          before_opening = to_dead_server;
      }
    };
    while (now < start + 2h) { // 100 requests a second
      now += draw(0.01);
      deliver_until(now);
      auto back = down + down_for;
      if (now >= back + 60s) {
        REQUIRE(before_opening >= 5);
        REQUIRE(before_opening <= 50);                 // within half a second
        REQUIRE(to_dead_server >= before_opening + 1); // the probe at 10 s, and one at 20 s if it comes too early
        REQUIRE(to_dead_server <= before_opening + 2);
        outages += 1;
        to_dead_server = 0;
        down = now + draw(60);
        back = down + down_for;
      }
      auto is_up = now < down || now >= back;
      if (x.ready_at(now) > now) {
        // one open period, a probe that was under way when it came back, and a gap between arrivals
        REQUIRE((!is_up || (now >= back && now < back + 10s + 2 * slowest + 200ms)));
        refused_while_up += is_up ? 1 : 0;
        continue;
      }
      auto took = std::min<duration>(draw(0.03), slowest);
      auto how = is_up ? random() % 100 == 0 ? outcome::neutral : outcome::success : outcome::failure;
      to_dead_server += is_up ? 0 : 1;
      ++sent;
      under_way.push({now + took, x.begin(now), how, took});
    }
    CHECK(outages > 40);
    CHECK(refused_while_up > 0);
    CHECK(sent > 400'000);
  }
}

// An oracle that keeps every result and recounts.
TEST_CASE("breaker agrees with a naive model under random traffic", "[limits][breaker]") {
  for (uint64_t seed = 1; seed <= 60; ++seed) {
    INFO("seed " << seed);
    std::mt19937_64 random{seed};
    auto pick = [&](uint64_t n) { return random() % n; };
    breaker_settings settings;
    settings.consecutive_failures = static_cast<uint32_t>(pick(6));
    settings.failure_share = static_cast<double>(pick(4)) / 4;
    settings.min_samples = static_cast<uint32_t>(1 + pick(10));
    settings.sample_window = std::chrono::seconds{1 + pick(20)};
    settings.slow_after = std::chrono::seconds{pick(4)};
    settings.open_for = std::chrono::seconds{1 + pick(10)};
    settings.probes = static_cast<uint32_t>(1 + pick(3));
    circuit_breaker x{settings};

    struct result {
      time_point at;
      bool failed;
    };
    std::vector<result> results; // since it closed
    state is = state::closed;
    time_point since{};
    uint32_t places = 0, good = 0;
    uint64_t changes = 0, openings = 0;
    auto change = [&](state to, time_point now) {
      is = to;
      since = now;
      places = good = 0;
      ++changes;
      openings += to == state::open ? 1 : 0;
      results.clear();
    };
    struct under_way {
      circuit_breaker::permit permit;
      uint64_t changes;
      bool probe;
    };
    std::vector<under_way> attempts;
    auto now = start;
    for (int step = 0; step < 3000; ++step) {
      now += std::chrono::milliseconds{pick(300)};
      auto is_due = is == state::open && now >= since + settings.open_for;
      auto ready = is == state::open && !is_due                          ? since + settings.open_for
                   : is == state::half_open && places == settings.probes ? never
                                                                         : now;
      REQUIRE(x.ready_at(now) == ready);
      REQUIRE(x.current(now) == (is_due ? state::half_open : is));
      REQUIRE(x.since(now) == (is_due ? since + settings.open_for : since));
      REQUIRE(x.openings() == openings);
      if (pick(2) == 0 && ready == now) {
        if (is_due)
          change(state::half_open, since + settings.open_for);
        places += is == state::half_open ? 1 : 0;
        attempts.push_back({x.begin(now), changes, is == state::half_open});
        REQUIRE(attempts.back().permit.probe == attempts.back().probe);
      } else if (!attempts.empty()) {
        std::swap(attempts[pick(attempts.size())], attempts.back());
        auto ended = attempts.back();
        attempts.pop_back();
        auto how = pick(2 + seed % 8) < 2 ? outcome::failure : pick(5) == 0 ? outcome::neutral : outcome::success;
        duration took = std::chrono::milliseconds{pick(3200)};
        x.end(ended.permit, how, took, now);
        if (ended.changes != changes)
          continue;
        auto failed = how == outcome::failure || (settings.slow_after > 0s && took > settings.slow_after);
        if (how == outcome::neutral) {
          places -= ended.probe ? 1 : 0;
        } else if (ended.probe) {
          good += failed ? 0 : 1;
          if (failed)
            change(state::open, now);
          else if (good == settings.probes)
            change(state::closed, now);
        } else {
          results.push_back({now, failed});
          auto in_a_row =
            std::find_if(results.rbegin(), results.rend(), [](auto& r) { return !r.failed; }) - results.rbegin();
          auto width = settings.sample_window / 10;
          auto in_window = [&](auto& r) {
            return r.at.time_since_epoch() / width + 10 > now.time_since_epoch() / width;
          };
          auto all = std::count_if(results.begin(), results.end(), in_window);
          auto bad = std::count_if(results.begin(), results.end(), [&](auto& r) { return in_window(r) && r.failed; });
          REQUIRE(x.consecutive_failures() + (x.current(now) == state::open ? in_a_row : 0) == in_a_row);
          if ((settings.consecutive_failures > 0 && in_a_row >= settings.consecutive_failures)
              || (settings.failure_share > 0 && all >= settings.min_samples
                  && static_cast<double>(bad) >= settings.failure_share * static_cast<double>(all)))
            change(state::open, now);
          else
            REQUIRE(x.failure_share(now) == static_cast<double>(bad) / static_cast<double>(all));
        }
      }
    }
  }
}

} // namespace modelforge::circuit_breaker_test
