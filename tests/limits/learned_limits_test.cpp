#include "limits/learned_limits.hpp"

#include <catch2/catch_test_macros.hpp>

#include <random>

namespace modelforge::learned_limits_test {

using namespace modelforge::limits;
using namespace std::chrono_literals;

namespace {

const time_point start{1000s};
constexpr std::array<std::optional<uint64_t>, 4> unconfigured{};
constexpr std::array<std::optional<uint64_t>, 4> configured{600, 6000, {}, {}};

constexpr amounts one{1, 0, 0, 0};

server_limits requests_told(const server_limit& x) {
  server_limits told;
  told[0] = x;
  return told;
}

server_limits tokens_told(const server_limit& x) {
  server_limits told;
  told[1] = x;
  return told;
}

} // namespace

TEST_CASE("told limits hold nothing back before an answer tells", "[limits][learned]") {
  learned_limits x{60s};
  for (int i = 0; i < 1000; ++i)
    x.dispatched({1, 1000, 0, 0}, start);
  CHECK(x.ready_at({1, 1000, 0, 0}, start) == start);
  CHECK_FALSE(x.limit(dimension::requests, start));
  x.observe(x.dispatched(one, start), {}, configured, start); // an answer without a word of limits
  CHECK(x.ready_at(one, start) == start);
}

TEST_CASE("what remains caps what goes, and refills at limit over window", "[limits][learned]") {
  learned_limits x{60s};
  auto mark = x.dispatched({1, 500, 0, 0}, start);
  x.observe(mark, tokens_told({6000, 1000, {}}), unconfigured, start); // 100 a second
  CHECK(x.limit(dimension::tokens, start) == 6000);
  CHECK(x.ready_at({1, 1000, 0, 0}, start) == start);
  CHECK(x.ready_at({1, 1001, 0, 0}, start) == start + 10ms);
  CHECK(x.ready_at({1, 1100, 0, 0}, start) == start + 1s);
  CHECK(x.ready_at({1, 1100, 0, 0}, start + 500ms) == start + 1s); // does not move while time passes
  CHECK(x.ready_at({1, 1100, 0, 0}, start + 1s) == start + 1s);
  CHECK(x.ready_at({1, 600, 0, 0}, start, {1, 500, 0, 0}) == start + 1s); // with another one ahead
  CHECK(x.ready_at({1, 0, 0, 0}, start) == start);                        // of other dimensions nothing was told
  x.dispatched({1, 1000, 0, 0}, start);
  CHECK(x.ready_at({1, 100, 0, 0}, start) == start + 1s);
  x.dispatched({1, 100, 0, 0}, start);
  CHECK(x.ready_at({1, 100, 0, 0}, start + 1s) == start + 2s);
}

TEST_CASE("what was dispatched after the one that is answered is taken off", "[limits][learned]") {
  learned_limits x{60s};
  auto first = x.dispatched({1, 100, 0, 0}, start);
  x.dispatched({1, 300, 0, 0}, start);
  x.dispatched({1, 200, 0, 0}, start);
  x.observe(first, tokens_told({6000, 900, {}}), unconfigured, start);
  CHECK(x.ready_at({1, 400, 0, 0}, start) == start);
  CHECK(x.ready_at({1, 500, 0, 0}, start) == start + 1s);
}

TEST_CASE("answers to older dispatches than the last one used are ignored", "[limits][learned]") {
  learned_limits x{60s};
  auto first = x.dispatched(one, start), second = x.dispatched(one, start), third = x.dispatched(one, start);
  x.observe(second, requests_told({60, 10, {}}), unconfigured, start);
  x.observe(first, requests_told({10, 0, {}}), unconfigured, start + 1s);
  CHECK(x.limit(dimension::requests, start) == 60);
  CHECK(x.ready_at({9, 0, 0, 0}, start + 1s) == start + 1s);
  x.observe(third, requests_told({30, 0, {}}), unconfigured, start + 1s);
  CHECK(x.limit(dimension::requests, start) == 30);
  CHECK(x.ready_at(one, start + 1s) == start + 3s);
}

TEST_CASE("reset is an upper bound, and no more", "[limits][learned]") {
  struct row {
    const char* why;
    server_limit told;
    std::array<std::optional<uint64_t>, 4> configured;
    duration ready; ///< Of one request, from the answer.
  };
  const row rows[] = {
    {"refills before the reset", {60, 0, 30s}, unconfigured, 1s},
    {"resets before the refill", {60, 0, 300ms}, unconfigured, 300ms},
    {"no limit told: by the configured one", {{}, 0, 60s}, configured, 100ms},
    {"no limit known: at the reset", {{}, 0, 7s}, unconfigured, 7s},
    {"neither limit nor reset: nothing to go by", {{}, 0, {}}, unconfigured, 0s},
    {"a limit of nothing: after the window", {0, 0, {}}, unconfigured, 60s},
    {"something is left", {60, 1, 30s}, unconfigured, 0s},
    {"reset without remaining", {60, {}, 30s}, unconfigured, 0s},
  };
  for (auto& row : rows) {
    INFO(row.why);
    learned_limits x{60s};
    x.observe(x.dispatched(one, start), requests_told(row.told), row.configured, start);
    CHECK(x.ready_at(one, start) == start + row.ready);
  }
}

TEST_CASE("a told limit holds nothing back once it is whole again", "[limits][learned]") {
  learned_limits x{60s};
  x.observe(x.dispatched(one, start), requests_told({60, 0, 10s}), unconfigured, start);
  for (int i = 0; i < 100; ++i)
    x.dispatched(one, start);
  CHECK(x.ready_at(one, start + 10s - 1ns) == start + 10s);
  CHECK(x.ready_at(one, start + 10s) == start + 10s);
}

TEST_CASE("an answer that tells of one limit leaves the others alone", "[limits][learned]") {
  learned_limits x{60s};
  x.observe(x.dispatched({1, 10, 0, 0}, start), requests_told({60, 0, {}}), unconfigured, start);
  x.observe(x.dispatched({1, 10, 0, 0}, start), tokens_told({600, 0, {}}), unconfigured, start);
  CHECK(x.ready_at(one, start) == start + 2s); // one was dispatched since
  CHECK(x.ready_at({0, 10, 0, 0}, start) == start + 1s);
}

TEST_CASE("a told limit that is not confirmed is forgotten", "[limits][learned]") {
  learned_limits x{60s};
  auto now = start;
  for (int i = 0; i < 10; ++i, now += 179s) { // each answer confirms it
    x.observe(x.dispatched(one, now), requests_told({60, {}, {}}), unconfigured, now);
    CHECK(x.limit(dimension::requests, now + 180s - 1ns) == 60);
  }
  auto last = now - 179s;
  x.observe(x.dispatched(one, now), tokens_told({6000, {}, {}}), unconfigured, now); // of tokens only
  CHECK(x.forgotten_at(dimension::requests) == last + 180s);
  CHECK_FALSE(x.limit(dimension::requests, last + 180s));
  CHECK(x.limit(dimension::tokens, last + 180s) == 6000);
  CHECK_FALSE(x.empty(last + 180s));
  CHECK(x.empty(now + 180s));
}

TEST_CASE("of what remains until far away, one dispatch after another finds out", "[limits][learned]") {
  learned_limits x{60s};
  x.observe(x.dispatched(one, start), requests_told({{}, 0, 24h * 365}), unconfigured, start);
  CHECK(x.ready_at(one, start) == start + 180s); // believed for three windows
  CHECK(x.told_at(one, start) == start + 24h * 365);
  auto now = start + 180s;
  CHECK(x.ready_at(one, now) == now);
  CHECK(x.told_at(one, now) == now);
  auto trial = x.dispatched(one, now);
  CHECK(x.ready_at(one, now) == now + 180s); // one at a time
  CHECK(x.told_at(one, now) == start + 24h * 365);
  SECTION("it is refused without a word: another one tries later") {
    x.observe(trial, {}, unconfigured, now + 1s, false);
    CHECK(x.ready_at(one, now + 1s) == now + 180s);
  }
  SECTION("it is answered without a word: nothing is held back any more") {
    x.observe(trial, {}, unconfigured, now + 1s);
    CHECK(x.ready_at(one, now + 1s) == now + 1s);
  }
  SECTION("it is told anew") {
    x.observe(trial, requests_told({{}, 5, 1h}), unconfigured, now + 1s);
    CHECK(x.ready_at({5, 0, 0, 0}, now + 1s) == now + 1s);
    CHECK(x.told_at({6, 0, 0, 0}, now + 1s) == now + 1s + 1h);
  }
  SECTION("it never ends") {
    CHECK(x.ready_at(one, now + 180s) == now + 180s);
  }
}

TEST_CASE("answers of any content hold nothing back for longer than they are believed", "[limits][learned]") {
  std::mt19937_64 random{1};
  auto any = [&]() -> std::optional<uint64_t> {
    return random() % 3 == 0 ? std::nullopt : std::optional{random() >> (random() % 64)};
  };
  learned_limits x{60s};
  auto now = start;
  for (int i = 0; i < 3000; ++i) {
    server_limits told;
    for (auto& each : told)
      each = {any(), any(),
              random() % 3 == 0 ? std::nullopt : std::optional{duration{(random() >> 1) % (8760h / 1ns)}}};
    amounts wanted{1, random() % 5000, random() % 5000, random() % 5000};
    auto mark = x.dispatched(wanted, now);
    now += std::chrono::milliseconds{random() % 100'000};
    x.observe(mark, told, unconfigured, now, random() % 2 == 0);
    auto at = x.ready_at(wanted, now);
    REQUIRE(at >= now);
    REQUIRE(at <= now + 180s);
    REQUIRE(x.told_at(wanted, now) >= now);
    REQUIRE(x.ready_at(wanted, at) == at);
  }
}

} // namespace modelforge::learned_limits_test
