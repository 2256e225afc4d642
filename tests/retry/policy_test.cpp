#include "retry/policy.hpp"

#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <cmath>
#include <vector>

namespace modelforge::policy_test {

using namespace modelforge::retry;
using namespace std::chrono_literals;

namespace {

const time_point start{1000s};

/// What `decide` says with a fixed seed.
decision ask(const failed_attempt& x, const retry_case& of = {}, const policy_settings& by = {}, uint64_t seed = 1) {
  std::mt19937_64 random{seed};
  return decide(by, x, of, start, random);
}

/// Pauses for many seeds, in seconds.
std::vector<double> pauses(const failed_attempt& x, uint32_t attempts, const policy_settings& by) {
  std::mt19937_64 random{7};
  std::vector<double> result;
  for (int i = 0; i < 20'000; ++i)
    result.push_back(
      std::chrono::duration<double>{decide(by, x, {.attempts = attempts}, start, random).due - start}.count());
  return result;
}

} // namespace

TEST_CASE("policy knows what each failure means", "[retry][policy]") {
  struct row {
    errc code;
    meaning written, unwritten;
  };
  using enum meaning;
  const row rows[] = {
    {errc::authentication, key, key},           {errc::quota_exhausted, key, key},
    {errc::rate_limited, rate, rate},           {errc::overloaded, overload, overload},
    {errc::server_error, transient, transient}, {errc::resolve_failed, unsent, unsent},
    {errc::connect_failed, unsent, unsent},     {errc::connection_lost, uncertain, unsent},
    {errc::attempt_timeout, uncertain, unsent},
  };
  for (std::size_t i = 0; i < enum_names<errc>.size(); ++i) {
    auto code = static_cast<errc>(i);
    INFO(enum_names<errc>[i]);
    auto row = std::find_if(std::begin(rows), std::end(rows), [=](auto& x) { return x.code == code; });
    auto known = row != std::end(rows);
    for (auto written : {true, false})
      for (auto said : {std::optional<bool>{}, std::optional{true}, std::optional{false}})
        for (auto status : {uint16_t{0}, uint16_t{400}}) {
          auto is = !known ? final_error : written ? row->written : row->unwritten;
          if (said && status != 0) // the provider's own word comes first, but a refused key stays one
            is = *said ? (is == final_error ? transient : is) : (is == key ? is : final_error);
          INFO("written " << written << ", should_retry " << (said ? *said ? "yes" : "no" : "-") << ", " << status);
          CHECK(meaning_of({.code = code, .status = status, .written = written, .should_retry = said}) == is);
        }
  }
  CHECK(meaning_of({.code = errc::rate_limited, .status = 429, .slow_down = true}) == ramp);
  CHECK(meaning_of({.code = errc::invalid_response, .status = 200}) == uncertain); // half an answer: it has run
  CHECK(meaning_of({.code = errc::invalid_response, .status = 404}) == final_error);
}

TEST_CASE("policy tries again what may succeed, and nothing else", "[retry][policy]") {
  using enum meaning;
  for (std::size_t i = 0; i < enum_names<errc>.size(); ++i)
    for (auto written : {true, false})
      for (auto said : {std::optional<bool>{}, std::optional{true}, std::optional{false}})
        for (auto retry_uncertain : {true, false})
          for (auto other_key : {true, false})
            for (uint32_t attempts = 1; attempts <= 4; ++attempts) {
              failed_attempt x{.code = static_cast<errc>(i), .status = 500, .written = written, .should_retry = said};
              INFO(enum_names<errc>[i] << ", written " << written << ", attempts " << attempts);
              policy_settings by{.retry_uncertain = retry_uncertain};
              auto is = meaning_of(x);
              auto got = ask(x, {.attempts = attempts, .other_key = other_key}, by);
              auto unknown = is == uncertain && !retry_uncertain;
              CHECK(got.again == (attempts < 3 && is != final_error && !unknown && (is != key || other_key)));
              CHECK(got.code == (unknown ? errc::outcome_unknown : x.code));
              CHECK_FALSE(got.wait);
              if (got.again && is == key)
                CHECK(got.due == start); // the other key is no worse for it
            }
}

TEST_CASE("policy draws its own pause evenly from zero to the bound", "[retry][policy]") {
  struct row {
    const char* why;
    failed_attempt failed;
    uint32_t attempts;
    double bound; ///< In seconds.
  };
  policy_settings by{.max_attempts = 1'000'000};
  const row rows[] = {
    {"first", {.code = errc::server_error}, 1, 0.5},
    {"second", {.code = errc::server_error}, 2, 1},
    {"fifth", {.code = errc::server_error}, 5, 8},
    {"at the cap", {.code = errc::server_error}, 20, 60},
    {"beyond what a double holds", {.code = errc::server_error}, 100'000, 60},
    {"overload", {.code = errc::overloaded}, 1, 2},
    {"ramp", {.code = errc::rate_limited, .slow_down = true}, 2, 4},
    {"overload at the cap", {.code = errc::overloaded}, 7, 60},
    {"rate without a wait", {.code = errc::rate_limited}, 1, 0.5},
  };
  for (auto& row : rows) {
    INFO(row.why);
    auto all = pauses(row.failed, row.attempts, by);
    auto [least, most] = std::minmax_element(all.begin(), all.end());
    CHECK(*least >= 0);
    CHECK(*least < 0.01 * row.bound);
    CHECK(*most <= row.bound);
    CHECK(*most > 0.99 * row.bound);
    auto sum = 0.0, squares = 0.0;
    for (auto x : all) {
      sum += x;
      squares += x * x;
    }
    auto n = static_cast<double>(all.size());
    auto mean = sum / n;
    CHECK(std::abs(mean - row.bound / 2) < 0.01 * row.bound);
    CHECK(std::abs(std::sqrt(squares / n - mean * mean) - row.bound / std::sqrt(12)) < 0.01 * row.bound);
    CHECK(ask(row.failed, {.attempts = row.attempts}, by).why == wait_reason::backoff);
  }
}

TEST_CASE("policy takes a wait that the provider names as a minimum", "[retry][policy]") {
  for (auto code : {errc::rate_limited, errc::overloaded, errc::server_error})
    for (duration wait : {duration{1ns}, duration{20ms}, duration{3s}, duration{120s}})
      for (uint64_t seed = 0; seed < 300; ++seed) {
        auto got = ask({.code = code, .status = 429, .server_wait = wait}, {}, {}, seed);
        REQUIRE(got.again);
        REQUIRE(got.why == wait_reason::server_wait);
        REQUIRE(got.due - start >= wait);
        REQUIRE(got.due - start <= wait + 50ms);
      }
  policy_settings deaf{.respect_retry_after = false};
  auto got = ask({.code = errc::rate_limited, .status = 429, .server_wait = 3600s}, {}, deaf);
  CHECK(got.again);
  CHECK(got.due - start <= 500ms);
  got = ask({.code = errc::rate_limited, .status = 429, .server_wait = 0s});
  CHECK(got.why == wait_reason::backoff); // no wait at all is no wait
}

TEST_CASE("policy ends at once what would wait too long, and tells the wait", "[retry][policy]") {
  failed_attempt told{.code = errc::rate_limited, .status = 429, .server_wait = 3600s};
  SECTION("beyond max_server_wait, if it is interactive") {
    auto got = ask(told);
    CHECK_FALSE(got.again);
    CHECK(got.code == errc::rate_limited);
    CHECK(got.wait == duration{3600s});
    CHECK(ask(told, {.rank = priority::batch}).again);
    told.server_wait = 120s;
    CHECK(ask(told).again);
    told.server_wait = 120s + 1ns;
    CHECK_FALSE(ask(told).again);
  }
  SECTION("for a day, if it is a batch item") {
    told.server_wait = 24h * 365;
    auto got = ask(told, {.rank = priority::batch});
    CHECK(got.again);
    CHECK(got.due >= start + 24h);
    CHECK(got.due <= start + 24h + 50ms);
    got = ask(told, {.rank = priority::batch}, {.max_batch_server_wait = 10s});
    CHECK(got.due <= start + 10s + 50ms);
  }
  SECTION("beyond the deadline, batch or not") {
    for (auto rank : {priority::interactive, priority::batch}) {
      auto got = ask(told, {.rank = rank, .deadline = start + 30s});
      CHECK_FALSE(got.again);
      CHECK(got.wait == duration{3600s});
    }
    told.server_wait = 29s;
    CHECK(ask(told, {.deadline = start + 30s}).again);
    told.server_wait = 30s;
    CHECK_FALSE(ask(told, {.deadline = start + 30s}).again);
  }
  SECTION("its own pause too, which is no provider's wait") {
    auto got = ask({.code = errc::server_error, .status = 500}, {.deadline = start + 1ns});
    CHECK_FALSE(got.again);
    CHECK(got.code == errc::server_error);
    CHECK_FALSE(got.wait);
  }
  SECTION("not what ends anyway") {
    CHECK_FALSE(ask(told, {.attempts = 3}).wait);
  }
}

TEST_CASE("policy blames the provider for its troubles only", "[retry][policy]") {
  using enum meaning;
  for (auto x : {overload, transient, unsent, uncertain})
    CHECK(counts_against_provider(x));
  for (auto x : {final_error, key, rate, ramp})
    CHECK_FALSE(counts_against_provider(x));
}

} // namespace modelforge::policy_test
