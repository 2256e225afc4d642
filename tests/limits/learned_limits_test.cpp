#include "limits/learned_limits.hpp"

#include <catch2/catch_test_macros.hpp>

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
    x.dispatched({1, 1000, 0, 0});
  CHECK(x.ready_at({1, 1000, 0, 0}, start) == start);
  CHECK_FALSE(x.limit(dimension::requests));
  x.observe(x.dispatched(one), {}, configured, start); // an answer without a word of limits
  CHECK(x.ready_at(one, start) == start);
}

TEST_CASE("what remains caps what goes, and refills at limit over window", "[limits][learned]") {
  learned_limits x{60s};
  auto mark = x.dispatched({1, 500, 0, 0});
  x.observe(mark, tokens_told({6000, 1000, {}}), unconfigured, start); // 100 a second
  CHECK(x.limit(dimension::tokens) == 6000);
  CHECK(x.ready_at({1, 1000, 0, 0}, start) == start);
  CHECK(x.ready_at({1, 1001, 0, 0}, start) == start + 10ms);
  CHECK(x.ready_at({1, 1100, 0, 0}, start) == start + 1s);
  CHECK(x.ready_at({1, 1100, 0, 0}, start + 500ms) == start + 1s); // does not move while time passes
  CHECK(x.ready_at({1, 1100, 0, 0}, start + 1s) == start + 1s);
  CHECK(x.ready_at({1, 600, 0, 0}, start, {1, 500, 0, 0}) == start + 1s); // with another one ahead
  CHECK(x.ready_at({1, 0, 0, 0}, start) == start);                        // of other dimensions nothing was told
  x.dispatched({1, 1000, 0, 0});
  CHECK(x.ready_at({1, 100, 0, 0}, start) == start + 1s);
  x.dispatched({1, 100, 0, 0});
  CHECK(x.ready_at({1, 100, 0, 0}, start + 1s) == start + 2s);
}

TEST_CASE("what was dispatched after the one that is answered is taken off", "[limits][learned]") {
  learned_limits x{60s};
  auto first = x.dispatched({1, 100, 0, 0});
  x.dispatched({1, 300, 0, 0});
  x.dispatched({1, 200, 0, 0});
  x.observe(first, tokens_told({6000, 900, {}}), unconfigured, start);
  CHECK(x.ready_at({1, 400, 0, 0}, start) == start);
  CHECK(x.ready_at({1, 500, 0, 0}, start) == start + 1s);
}

TEST_CASE("answers to older dispatches than the last one used are ignored", "[limits][learned]") {
  learned_limits x{60s};
  auto first = x.dispatched(one), second = x.dispatched(one), third = x.dispatched(one);
  x.observe(second, requests_told({60, 10, {}}), unconfigured, start);
  x.observe(first, requests_told({10, 0, {}}), unconfigured, start + 1s);
  CHECK(x.limit(dimension::requests) == 60);
  CHECK(x.ready_at({9, 0, 0, 0}, start + 1s) == start + 1s);
  x.observe(third, requests_told({30, 0, {}}), unconfigured, start + 1s);
  CHECK(x.limit(dimension::requests) == 30);
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
    x.observe(x.dispatched(one), requests_told(row.told), row.configured, start);
    CHECK(x.ready_at(one, start) == start + row.ready);
  }
}

TEST_CASE("a told limit holds nothing back once it is whole again", "[limits][learned]") {
  learned_limits x{60s};
  x.observe(x.dispatched(one), requests_told({60, 0, 10s}), unconfigured, start);
  for (int i = 0; i < 100; ++i)
    x.dispatched(one);
  CHECK(x.ready_at(one, start + 10s - 1ns) == start + 10s);
  CHECK(x.ready_at(one, start + 10s) == start + 10s);
}

TEST_CASE("an answer that tells of one limit leaves the others alone", "[limits][learned]") {
  learned_limits x{60s};
  x.observe(x.dispatched({1, 10, 0, 0}), requests_told({60, 0, {}}), unconfigured, start);
  x.observe(x.dispatched({1, 10, 0, 0}), tokens_told({600, 0, {}}), unconfigured, start);
  CHECK(x.ready_at(one, start) == start + 2s); // one was dispatched since
  CHECK(x.ready_at({0, 10, 0, 0}, start) == start + 1s);
}

} // namespace modelforge::learned_limits_test
