#include "tools/simulator/limits.hpp"

#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <numeric>
#include <random>

namespace modelforge::limits_test {

using namespace modelforge::simulator;
using namespace std::chrono_literals;

namespace {

using time_point = modelforge::simulator::clock::time_point;
using duration = modelforge::simulator::clock::duration;

/// Everything that was ever counted, looked through from end to end at each question.
class record {
public:
  explicit record(duration window) : window_(window) {}

  void add(time_point at, uint64_t amount) { all_.emplace_back(at, amount); }

  /// What was counted in (now - window, now].
  uint64_t before(time_point now) const {
    return sum([&](auto at) { return at > now - window_ && at <= now; });
  }

  /// The most that was counted in any interval [t, t + window): one of them begins with something counted.
  uint64_t most() const {
    uint64_t result = 0;
    for (const auto& [start, amount] : all_)
      result = std::max(result, sum([&](auto at) { return at >= start && at < start + window_; }));
    return result;
  }

private:
  template <class Predicate>
  uint64_t sum(Predicate counts) const {
    return std::accumulate(all_.begin(), all_.end(), uint64_t{0},
                           [&](auto so_far, auto& x) { return so_far + (counts(x.first) ? x.second : 0); });
  }

  duration window_;
  std::vector<std::pair<time_point, uint64_t>> all_;
};

/// A limiter, a record of what it admits, and a clock.
struct tried {
  explicit tried(const options& x)
    : settings(x), tested(x), requests(x.window), tokens(x.window),
      request_limit(std::max<uint64_t>(x.requests_per_minute * static_cast<uint64_t>(x.window.count()) / 60'000, 1)),
      token_limit(std::max<uint64_t>(x.tokens_per_minute * static_cast<uint64_t>(x.window.count()) / 60'000, 1)) {}

  bool fits(time_point at, uint64_t amount) const {
    return requests.before(at) + 1 <= request_limit && tokens.before(at) + amount <= token_limit;
  }

  /// Tries one request, and compares everything that the limiter says about it.
  void arrive(uint64_t amount) {
    auto ruling = tested.admit(now, amount);
    REQUIRE(ruling.is_admitted() == fits(now, amount));
    if (ruling.is_admitted()) {
      requests.add(now, 1);
      tokens.add(now, amount);
      ++admitted;
    } else if (amount > token_limit) {
      REQUIRE(ruling.is_hopeless);
      REQUIRE(ruling.exceeded == limit_kind::tokens);
    } else {
      check_refusal(ruling, amount);
    }
    check_level(tested.request_level(now), request_limit, requests);
    check_level(tested.token_level(now), token_limit, tokens);
  }

  void produce(uint64_t amount) {
    tested.produce(now, amount);
    tokens.add(now, amount);
  }

  void check_refusal(const ruling& x, uint64_t amount) {
    ++refused[x.exceeded == limit_kind::tokens];
    REQUIRE(x.wait > 0ns);
    REQUIRE(fits(now + x.wait, amount));
    REQUIRE_FALSE(fits(now + x.wait - 1ns, amount));
    auto by_tokens = x.exceeded == limit_kind::tokens;
    REQUIRE(x.limit == (by_tokens ? token_limit : request_limit));
    REQUIRE(x.used == (by_tokens ? tokens : requests).before(now));
    REQUIRE(x.requested == (by_tokens ? amount : 1));
    REQUIRE(x.used + x.requested > x.limit);
  }

  void check_level(std::optional<limiter::level> x, uint64_t limit, const record& counted) {
    REQUIRE(x);
    auto used = counted.before(now);
    REQUIRE(x->limit == limit);
    REQUIRE(x->remaining == (used < limit ? limit - used : 0));
    REQUIRE(counted.before(now + x->reset) == 0);
    REQUIRE((x->reset == 0ns) == (used == 0));
    if (used > 0)
      REQUIRE(counted.before(now + x->reset - 1ns) > 0);
  }

  options settings;
  limiter tested;
  record requests, tokens;
  uint64_t request_limit, token_limit;
  time_point now{1h};
  int admitted = 0;
  int refused[2] = {};
};

options limited(uint64_t requests, uint64_t tokens, token_accounting accounting) {
  options x;
  x.requests_per_minute = requests;
  x.tokens_per_minute = tokens;
  x.accounting = accounting;
  return x;
}

} // namespace

TEST_CASE("limits admit exactly what keeps every interval within them", "[simulator]") {
  int admitted = 0, by_requests = 0, by_tokens = 0;
  for (uint64_t seed = 1; seed <= 60; ++seed) {
    INFO("seed " << seed);
    std::mt19937_64 random(seed);
    auto below = [&](uint64_t bound) { return random() % bound; };
    auto settings = limited(600, 30'000, token_accounting::arrival);
    settings.window = seed % 2 == 0 ? 1s : 3s; // 10 requests and 500 tokens, or 30 and 1,500
    tried x(settings);
    for (int i = 0; i < 300; ++i) {
      // Steps of a tenth of the window make arrivals meet the ends of intervals, to the nanosecond.
      x.now += below(3) == 0 ? duration(below(50) * 1ms) : duration(below(4) * settings.window / 10);
      x.arrive(below(20) == 0 ? 1'600 : 1 + below(90));
    }
    CHECK(x.requests.most() <= x.request_limit);
    CHECK(x.tokens.most() <= x.token_limit);
    admitted += x.admitted;
    by_requests += x.refused[0];
    by_tokens += x.refused[1];
  }
  CHECK(admitted > 1'000);
  CHECK(by_requests > 100);
  CHECK(by_tokens > 100);
}

TEST_CASE("output that counts as it is produced refuses requests, not itself", "[simulator]") {
  int admitted = 0, refused = 0;
  auto was_exceeded = false;
  for (uint64_t seed = 1; seed <= 40; ++seed) {
    INFO("seed " << seed);
    std::mt19937_64 random(seed);
    auto settings = limited(6'000, 60'000, token_accounting::produced);
    settings.window = 1s; // 100 requests, 1,000 tokens
    tried x(settings);
    for (int i = 0; i < 300; ++i) {
      x.now += (random() % 5) * 20ms;
      if (random() % 2 == 0)
        x.arrive(1 + random() % 60);
      else
        x.produce(random() % 120);
    }
    CHECK(x.requests.most() <= x.request_limit);
    was_exceeded = was_exceeded || x.tokens.most() > x.token_limit;
    admitted += x.admitted;
    refused += x.refused[1];
  }
  CHECK(admitted > 500);
  CHECK(refused > 500);
  CHECK(was_exceeded);
}

TEST_CASE("limits scale with the window, down to one", "[simulator]") {
  struct row {
    uint64_t per_minute;
    std::chrono::milliseconds window;
    uint64_t limit;
  };
  for (auto [per_minute, window, limit] :
       {row{100, 60s, 100}, row{100, 30s, 50}, row{100, 1s, 1}, row{119, 1s, 1}, row{120, 1s, 2}, row{1, 1ms, 1},
        row{10, 120s, 20}, row{max_per_minute, 24h, max_per_minute * 1'440}}) {
    INFO(per_minute << " a minute, window of " << window.count() << " ms");
    auto settings = limited(per_minute, per_minute, token_accounting::arrival);
    settings.window = window;
    limiter x(settings);
    CHECK(x.request_level(time_point(1h))->limit == limit);
    CHECK(x.token_level(time_point(1h))->limit == limit);
  }
}

TEST_CASE("what a request counts for depends on the accounting", "[simulator]") {
  auto charge = [](token_accounting accounting, std::optional<uint32_t> max_tokens) {
    return limiter(limited(1, 1, accounting)).charge(100, max_tokens);
  };
  CHECK(charge(token_accounting::arrival, {}) == 100);
  CHECK(charge(token_accounting::arrival, 99) == 100);
  CHECK(charge(token_accounting::arrival, 101) == 101);
  CHECK(charge(token_accounting::produced, 500) == 100);
  CHECK(charge(token_accounting::input, 500) == 100);
  CHECK(limiter(limited(1, 1, token_accounting::produced)).counts_output());
  CHECK_FALSE(limiter(limited(1, 1, token_accounting::input)).counts_output());
  CHECK_FALSE(limiter(limited(1, 1, token_accounting::arrival)).counts_output());
}

TEST_CASE("limits can be changed, and keep what they have counted", "[simulator]") {
  limiter x(limited(10, 0, token_accounting::arrival));
  time_point now(1h);
  CHECK_FALSE(x.token_level(now));
  for (int i = 0; i < 10; ++i)
    CHECK(x.admit(now + i * 1s, 1'000'000).is_admitted());
  CHECK(x.admit(now + 10s, 1).wait == 50s);
  x.configure(limited(5, 100, token_accounting::arrival));
  CHECK(x.admit(now + 10s, 1).wait == 55s); // six of the ten have to leave
  CHECK(x.token_level(now + 10s)->remaining == 100);
  x.configure(limited(20, 100, token_accounting::arrival));
  CHECK(x.admit(now + 10s, 60).is_admitted());
  CHECK(x.admit(now + 10s, 60).exceeded == limit_kind::tokens);
  x.configure(limited(0, 0, token_accounting::arrival));
  CHECK(x.admit(now + 10s, 1'000'000).is_admitted());
  x.configure(limited(1, 0, token_accounting::arrival));
  CHECK(x.admit(now + 10s, 1).is_admitted()); // it was off: nothing is counted
}

TEST_CASE("of two exceeded limits the one that lasts longer is told", "[simulator]") {
  limiter x(limited(2, 100, token_accounting::arrival));
  time_point now(1h);
  CHECK(x.admit(now, 10).is_admitted());
  CHECK(x.admit(now + 20s, 90).is_admitted());
  auto by_requests = x.admit(now + 30s, 5);
  CHECK(by_requests.exceeded == limit_kind::requests); // both until the first leaves
  CHECK(by_requests.wait == 30s);
  auto by_tokens = x.admit(now + 30s, 20);
  CHECK(by_tokens.exceeded == limit_kind::tokens);
  CHECK(by_tokens.wait == 50s);
  auto hopeless = x.admit(now + 30s, 101);
  CHECK(hopeless.is_hopeless);
  CHECK(hopeless.requested == 101);
}

} // namespace modelforge::limits_test
