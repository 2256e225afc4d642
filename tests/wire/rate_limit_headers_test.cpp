#include "wire/openai/openai.hpp"
#include "wire/rate_limit_headers.hpp"

#include <catch2/catch_test_macros.hpp>

#include <random>

namespace modelforge::rate_limit_headers_test {

using namespace modelforge::limits;
using namespace std::chrono_literals;

namespace {

using headers = std::vector<http::header>;

const auto now = std::chrono::sys_days{std::chrono::year{2026} / 11 / 22} + 12h + 250ms;
constexpr auto date = "Sun, 22 Nov 2026 12:00:10 GMT"; // ten seconds after `now`
constexpr uint64_t unix_date = 1795348810;

server_limits told(const headers& x) {
  return wire::limits_in({200, x}, now);
}

constexpr std::optional<uint64_t> none;
constexpr std::optional<limits::duration> never;

} // namespace

TEST_CASE("limits are read in every provider's form", "[wire][limits]") {
  struct {
    std::string_view who;
    headers given;
    server_limits expected; // requests, tokens, input tokens, output tokens
  } table[] = {
    {"nobody", {{"content-type", "application/json"}, {"x-request-id", "req_1"}}, {}},
    {"OpenAI",
     {{"x-ratelimit-limit-requests", "5000"},
      {"x-ratelimit-limit-tokens", "800000"},
      {"x-ratelimit-remaining-requests", "4999"},
      {"x-ratelimit-remaining-tokens", "799400"},
      {"x-ratelimit-reset-requests", "12ms"},
      {"x-ratelimit-reset-tokens", "45ms"}},
     {{{5000, 4999, 12ms}, {800'000, 799'400, 45ms}}}},
    {"OpenAI, a quarter used",
     {{"x-ratelimit-limit-tokens", "40000"},
      {"x-ratelimit-remaining-tokens", "30000"},
      {"x-ratelimit-reset-tokens", "15s"}},
     {{{}, {40'000, 30'000, 15s}}}},
    {"OpenAI, the whole minute used",
     {{"x-ratelimit-limit-tokens", "40000"},
      {"x-ratelimit-remaining-tokens", "0"},
      {"x-ratelimit-reset-tokens", "1m0s"}},
     {{{}, {40'000, 0, 60s}}}},
    {"OpenAI, a project with a tighter limit",
     {{"x-ratelimit-limit-tokens", "800000"},
      {"x-ratelimit-remaining-tokens", "790000"},
      {"x-ratelimit-reset-tokens", "750ms"},
      {"x-ratelimit-limit-project-tokens", "100000"},
      {"x-ratelimit-remaining-project-tokens", "60000"},
      {"x-ratelimit-reset-project-tokens", "24s"}},
     {{{}, {100'000, 60'000, 24s}}}},
    {"OpenAI, a project within a tight organization",
     {{"x-ratelimit-limit-project-tokens", "100000"},
      {"x-ratelimit-remaining-project-tokens", "60000"},
      {"x-ratelimit-reset-project-tokens", "24s"},
      {"x-ratelimit-limit-tokens", "800000"},
      {"x-ratelimit-remaining-tokens", "20000"},
      {"x-ratelimit-reset-tokens", "58.5s"}},
     {{{}, {100'000, 20'000, 58500ms}}}},
    {"a low tier of OpenAI, requests per day",
     {{"x-ratelimit-limit-requests", "200"},
      {"x-ratelimit-remaining-requests", "199"},
      {"x-ratelimit-reset-requests", "7m12s"},
      {"x-ratelimit-limit-tokens", "40000"},
      {"x-ratelimit-remaining-tokens", "39900"},
      {"x-ratelimit-reset-tokens", "150ms"}},
     {{{none, 199, 432s}, {40'000, 39'900, 150ms}}}},
    {"Groq, requests per day",
     {{"x-ratelimit-limit-requests", "14400"},
      {"x-ratelimit-remaining-requests", "14370"},
      {"x-ratelimit-reset-requests", "2m59.56s"},
      {"x-ratelimit-limit-tokens", "18000"},
      {"x-ratelimit-remaining-tokens", "15702"},
      {"x-ratelimit-reset-tokens", "7.66s"}},
     {{{none, 14'370, 179560ms}, {18'000, 15'702, 7660ms}}}},
    {"Groq, after the first request of the day",
     {{"x-ratelimit-limit-requests", "14400"},
      {"x-ratelimit-remaining-requests", "14399"},
      {"x-ratelimit-reset-requests", "6s"}},
     {{{none, 14'399, 6s}}}},
    {"Groq, nothing left of the day",
     {{"x-ratelimit-limit-requests", "14400"},
      {"x-ratelimit-remaining-requests", "0"},
      {"x-ratelimit-reset-requests", "24h0m0s"}},
     {{{none, 0, 24h}}}},
    {"Anthropic",
     {{"date", date},
      {"anthropic-ratelimit-requests-limit", "50"},
      {"anthropic-ratelimit-requests-remaining", "49"},
      {"anthropic-ratelimit-requests-reset", "2026-11-22T12:00:12Z"},
      {"anthropic-ratelimit-tokens-limit", "38000"},
      {"anthropic-ratelimit-tokens-remaining", "33000"},
      {"anthropic-ratelimit-tokens-reset", "2026-11-22T12:00:18Z"},
      {"anthropic-ratelimit-input-tokens-limit", "30000"},
      {"anthropic-ratelimit-input-tokens-remaining", "26000"},
      {"anthropic-ratelimit-input-tokens-reset", "2026-11-22T12:00:18Z"},
      {"anthropic-ratelimit-output-tokens-limit", "8000"},
      {"anthropic-ratelimit-output-tokens-remaining", "7000"},
      {"anthropic-ratelimit-output-tokens-reset", "2026-11-22T14:00:17.5+02:00"},
      {"anthropic-priority-input-tokens-limit", "1"},
      {"anthropic-ratelimit-unified-status", "allowed"}},
     {{{50, 49, 2s}, {38'000, 33'000, 8s}, {30'000, 26'000, 8s}, {8000, 7000, 7500ms}}}},
    {"Anthropic without a Date header",
     {{"anthropic-ratelimit-requests-limit", "50"},
      {"anthropic-ratelimit-requests-remaining", "45"},
      {"anthropic-ratelimit-requests-reset", "2026-11-22T12:00:07Z"}},
     {{{50, 45, 7s}}}},
    {"Anthropic, hardly anything used: points in time are only good to a second",
     {{"date", date},
      {"anthropic-ratelimit-input-tokens-limit", "2000000"},
      {"anthropic-ratelimit-input-tokens-remaining", "2000000"},
      {"anthropic-ratelimit-input-tokens-reset", "2026-11-22T12:00:12Z"}},
     {{{}, {}, {2'000'000, 2'000'000, 2s}}}},
    {"Azure",
     {{"x-ratelimit-remaining-requests", "119"}, {"x-ratelimit-remaining-tokens", "119000"}},
     {{{none, 119, never}, {none, 119'000, never}}}},
    {"OpenRouter, Unix milliseconds",
     {{"date", date},
      {"x-ratelimit-limit", "20"},
      {"x-ratelimit-remaining", "15"},
      {"x-ratelimit-reset", std::to_string(unix_date * 1000 + 12'000)}},
     {{{20, 15, 12s}}}},
    {"OpenRouter, 50 a day, none left",
     {{"date", date},
      {"x-ratelimit-limit", "50"},
      {"x-ratelimit-remaining", "0"},
      {"x-ratelimit-reset", std::to_string((unix_date + 43'190) * 1000)}},
     {{{none, 0, 43'190s}}}},
    {"Unix seconds",
     {{"date", date},
      {"x-ratelimit-limit-requests", "60"},
      {"x-ratelimit-remaining-requests", "30"},
      {"x-ratelimit-reset-requests", std::to_string(unix_date + 30)}},
     {{{60, 30, 30s}}}},
    {"plain seconds",
     {{"x-ratelimit-limit-requests", "60"},
      {"x-ratelimit-remaining-requests", "30"},
      {"x-ratelimit-reset-requests", "29.5"}},
     {{{60, 30, 29500ms}}}},
    {"Mistral",
     {{"x-ratelimit-limit-req-minute", "720"},
      {"x-ratelimit-remaining-req-minute", "717"},
      {"x-ratelimit-limit-tokens-minute", "5000000"},
      {"x-ratelimit-remaining-tokens-minute", "4999911"},
      {"x-ratelimit-limit-tokens-month", "1000000000"},
      {"x-ratelimit-remaining-tokens-month", "4000"},
      {"x-ratelimit-tokens-query-cost", "52"}},
     {{{720, 717, never}, {5'000'000, 4000, never}}}},
    {"Cerebras",
     {{"x-ratelimit-limit-requests-day", "14400"},
      {"x-ratelimit-remaining-requests-day", "14399"},
      {"x-ratelimit-reset-requests-day", "33011.4"},
      {"x-ratelimit-limit-tokens-minute", "60000"},
      {"x-ratelimit-remaining-tokens-minute", "59980"},
      {"x-ratelimit-reset-tokens-minute", "11.38"}},
     {{{none, 14'399, 33'011'400ms}, {60'000, 59'980, 11380ms}}}},
    {"a limit in minute steps, early in the minute: its reset is no pace yet",
     {{"x-ratelimit-limit-requests", "60"},
      {"x-ratelimit-remaining-requests", "59"},
      {"x-ratelimit-reset-requests", "58s"}},
     {{{none, 59, 58s}}}},
    {"a limit without a reset",
     {{"x-ratelimit-limit-requests", "60"}, {"x-ratelimit-remaining-requests", "7"}},
     {{{60, 7, never}}}},
    {"a reset that is over",
     {{"date", date},
      {"anthropic-ratelimit-requests-limit", "50"},
      {"anthropic-ratelimit-requests-remaining", "50"},
      {"anthropic-ratelimit-requests-reset", "2026-11-22T11:59:00Z"}},
     {{{50, 50, 0s}}}},
    {"more left than there is, and nothing to reset",
     {{"x-ratelimit-limit-tokens", "1000"},
      {"x-ratelimit-remaining-tokens", "1200"},
      {"x-ratelimit-reset-tokens", "2s"}},
     {{{}, {none, 1200, 2s}}}},
    {"a day's limit by its name alone",
     {{"x-ratelimit-limit-requests-day", "14400"}, {"x-ratelimit-remaining-requests-day", "14399"}},
     {{{none, 14'399, never}}}},
    {"less than nothing left", {{"x-ratelimit-remaining-tokens", "-300"}}, {{{}, {none, 0, never}}}},
    {"a limit of 0",
     {{"x-ratelimit-limit-tokens", "0"}, {"x-ratelimit-remaining-tokens", "0"}, {"x-ratelimit-reset-tokens", "0s"}},
     {}},
    {"the first of two equal headers",
     {{"x-ratelimit-remaining-tokens", "7"},
      {"x-ratelimit-reset-tokens", "1s"},
      {"x-ratelimit-remaining-tokens", "5"},
      {"x-ratelimit-reset-tokens", "2s"}},
     {{{}, {none, 7, 1s}}}},
  };
  for (auto& row : table) {
    CAPTURE(row.who);
    auto limits = told(row.given);
    for (std::size_t i = 0; i < limits.size(); ++i) {
      CAPTURE(dimension_names[i]);
      CHECK(limits[i].limit == row.expected[i].limit);
      CHECK(limits[i].remaining == row.expected[i].remaining);
      CHECK(limits[i].reset == row.expected[i].reset);
    }
  }
}

TEST_CASE("a minute's limit is told from a longer one at ten times its reset and a second", "[wire][limits]") {
  auto limit_with = [](const char* reset) {
    auto x = told({{"x-ratelimit-limit-requests", "600"},
                   {"x-ratelimit-remaining-requests", "540"},
                   {"x-ratelimit-reset-requests", reset}});
    CHECK(at(amounts{x[0].remaining.value_or(0)}, dimension::requests) == 540);
    return x[0].limit;
  };
  CHECK(limit_with("6s") == 600);
  CHECK(limit_with("61s") == 600);
  CHECK(limit_with("61.001s") == none);
  auto dated = [](uint64_t after) {
    auto x = told({{"date", date},
                   {"x-ratelimit-limit-requests", "600"},
                   {"x-ratelimit-remaining-requests", "600"},
                   {"x-ratelimit-reset-requests", std::to_string(unix_date + after)}});
    CHECK(x[0].reset == std::chrono::seconds{after});
    return x[0].limit;
  };
  CHECK(dated(3) == 600);
  CHECK(dated(4) == none);
}

TEST_CASE("values that cannot be read are ignored one by one", "[wire][limits]") {
  for (auto* value :
       {"", "-", "many", "5 000", "5,000", "5000;w=60", "5e3", "0x10", "50.5", "99999999999999999999", "+5"}) {
    CAPTURE(value);
    auto x = told({{"x-ratelimit-limit-requests", value},
                   {"x-ratelimit-remaining-requests", "7"},
                   {"x-ratelimit-reset-requests", "1s"},
                   {"x-ratelimit-limit-tokens", "1000"},
                   {"x-ratelimit-remaining-tokens", value}});
    CHECK(x[0] == server_limit{none, 7, 1s});
    CHECK(x[1] == server_limit{1000, none, never});
  }
  for (auto* value : {"", "-", "soon", "1 s", "nan", "inf", "1e300", "99999999999h", "9e99ms", "2026-11-22",
                      "2026-11-22T12:00:07", "9999-01-01T00:00:00Z", "99999999999999999999999"}) {
    CAPTURE(value);
    auto x = told({{"x-ratelimit-limit-requests", "60"},
                   {"x-ratelimit-remaining-requests", "7"},
                   {"x-ratelimit-reset-requests", value}});
    CHECK(x[0] == server_limit{60, 7, never});
  }
  for (auto* name : {"x-ratelimit-", "x-ratelimit-limit-", "x-ratelimit-limit-images", "x-ratelimit-requests-limit",
                     "anthropic-ratelimit-", "anthropic-ratelimit-limit", "anthropic-ratelimit--limit-",
                     "anthropic-ratelimit-limit-requests", "ratelimit-limit", "x-rate-limit-limit"})
    CHECK(told({{name, "7"}}) == server_limits{});
}

TEST_CASE("no headers make the reader fail", "[wire][limits]") {
  constexpr auto names = std::to_array<std::string_view>(
    {"x-ratelimit-limit-requests", "x-ratelimit-remaining-requests", "x-ratelimit-reset-requests",
     "x-ratelimit-limit-tokens", "x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens",
     "anthropic-ratelimit-tokens-reset", "x-ratelimit-reset", "date", "x-should-retry", "retry-after"});
  constexpr std::string_view alphabet = "0123456789.-+:eTZhmsnu\xC2\xB5, GMT\x00\xFF";
  std::mt19937_64 random{11};
  for (int round = 0; round < 20'000; ++round) {
    INFO("round " << round);
    headers x;
    for (auto name : names) {
      std::string value(random() % 24, ' ');
      for (auto& c : value)
        c = alphabet[random() % alphabet.size()];
      x.push_back({std::string{name}, std::move(value)});
    }
    for (auto& limit : told(x)) {
      if (limit.reset) {
        REQUIRE(*limit.reset >= 0s);
        REQUIRE(*limit.reset <= 8784h);
      }
      REQUIRE(limit.limit != 0);
    }
  }
}

// -- the hints of a dialect ----------------------------------------------------------------

TEST_CASE("an answer's hints hold its limits and the provider's word on retrying", "[wire][hints]") {
  http::response_head head{429,
                           {{"x-ratelimit-limit-requests", "60"},
                            {"x-ratelimit-remaining-requests", "0"},
                            {"x-ratelimit-reset-requests", "1m0s"},
                            {"x-should-retry", "false"}}};
  for (auto* dialect : {&wire::openai::chat_api(), &wire::openai::compatible_chat_api()}) {
    auto x = dialect->hints(head, nullptr);
    CHECK(x.limits[0] == server_limit{60, 0, 60s});
    CHECK(x.should_retry == false);
    CHECK_FALSE(x.slow_down);
    auto none_told = dialect->hints({200, {}}, nullptr);
    CHECK(none_told.limits == server_limits{});
    CHECK_FALSE(none_told.should_retry.has_value());
  }
}

TEST_CASE("growing too fast is told from being too fast", "[wire][hints]") {
  struct {
    uint16_t status;
    std::string_view body;
    bool slow_down;
  } table[] = {
    {429, R"({"error":{"message":"Ramp up slowly","type":"rate_limit_error","code":"slow_down"}})", true},
    {429, R"({"error":{"message":"Ramp up slowly","type":"slow_down","code":null}})", true},
    {503, R"({"error":{"message":"Ramp up slowly","code":"slow_down"}})", true},
    {200, R"({"error":{"message":"Ramp up slowly","code":"slow_down"}})", true},
    {429,
     R"({"type":"error","error":{"type":"rate_limit_error","message":"This request would exceed your organization's )"
     R"(maximum usage increase rate for input tokens per minute."}})",
     true},
    {429, R"({"error":{"type":"rate_limit_error","message":"You hit an acceleration limit."}})", true},
    {429, R"({"error":{"message":"Rate limit reached","type":"tokens","code":"rate_limit_exceeded"}})", false},
    {400, R"({"error":{"message":"what is an acceleration limit?","type":"invalid_request_error"}})", false},
    {500, "", false},
  };
  for (auto& row : table) {
    CAPTURE(row.status, row.body);
    http::response_head head{row.status, {}};
    auto answer = wire::openai::chat_api().decode(head, row.body);
    auto& why = std::get<failure>(answer);
    CHECK(wire::openai::chat_api().hints(head, &why).slow_down == row.slow_down);
    if (row.slow_down)
      CHECK(why.code == errc::rate_limited);
  }
}

TEST_CASE("each dialect names how its provider counts tokens", "[wire][hints]") {
  CHECK(wire::openai::chat_api().accounting() == token_accounting::arrival);
  CHECK(wire::openai::chat_api().output_rule() == output_rule::larger);
  CHECK(wire::openai::compatible_chat_api().accounting() == token_accounting::arrival);
  CHECK(wire::openai::compatible_chat_api().output_rule() == output_rule::sum);
}

} // namespace modelforge::rate_limit_headers_test
