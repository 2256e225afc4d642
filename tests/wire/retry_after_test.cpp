#include "wire/retry_after.hpp"

#include <catch2/catch_test_macros.hpp>

namespace modelforge::retry_after_test {

using namespace std::chrono_literals;

TEST_CASE("retry-after is read in all its forms", "[wire][retry_after]") {
  auto now = std::chrono::sys_days{std::chrono::year{2026} / 11 / 22} + 12h;
  constexpr auto date = "Sun, 22 Nov 2026 12:00:00 GMT";
  constexpr auto later = "Sun, 22 Nov 2026 12:00:30 GMT";
  struct {
    std::vector<http::header> headers;
    std::optional<std::chrono::nanoseconds> expected;
  } table[] = {
    {{}, {}},
    {{{"retry-after", "56"}}, 56s},
    {{{"retry-after", "0.25"}}, 250ms},
    {{{"retry-after", "0"}}, 0s},
    {{{"retry-after", "-5"}}, 0s},
    {{{"retry-after-ms", "1250"}, {"retry-after", "2"}}, 1250ms},
    {{{"retry-after-ms", "soon"}, {"retry-after", "2"}}, 2s},
    {{{"retry-after-ms", "-1"}}, 0s},
    {{{"retry-after", later}}, 30s},
    {{{"retry-after", later}, {"date", "Sun, 22 Nov 2026 12:00:10 GMT"}}, 20s},
    {{{"retry-after", later}, {"date", "Mon, 22 Nov 2027 12:00:10 GMT"}}, 0s},
    {{{"retry-after", later}, {"date", "yesterday"}}, 30s},
    {{{"retry-after", date}}, 0s},
    {{{"retry-after", "Sat, 21 Nov 2026 12:00:00 GMT"}}, 0s},
    {{{"retry-after", "31622400"}}, 31622400s},
    {{{"retry-after", "31622401"}}, {}},
    {{{"retry-after", "1e300"}}, {}},
    {{{"retry-after", "inf"}}, {}},
    {{{"retry-after", "nan"}}, {}},
    {{{"retry-after", ""}}, {}},
    {{{"retry-after", "10 seconds"}}, 10s},
    {{{"retry-after", "soon"}}, {}},
    {{{"retry-after", "10 apples"}}, {}},
    {{{"retry-after", "1s"}}, 1s},
    {{{"retry-after", "500ms"}}, 500ms},
    {{{"retry-after", "1m30s"}}, 90s},
    {{{"retry-after", "\"3\""}}, 3s},
    {{{"retry-after", "1 s"}}, 1s},
    {{{"retry-after", "+1"}}, 1s},
    {{{"retry-after", "1; comment"}}, 1s},
    {{{"retry-after", "1;w=60"}}, 1s},
    {{{"retry-after", "1 minute"}}, 60s},
    {{{"retry-after", "1 Minute 30 Seconds"}}, 90s},
    {{{"retry-after", "0.5 min"}}, 30s},
    {{{"retry-after", "2 hours"}}, 7200s},
    {{{"retry-after", "1 day"}}, 86400s},
    {{{"retry-after", "250 milliseconds"}}, 250ms},
    {{{"retry-after", "PT1S"}}, 1s},
    {{{"retry-after", "PT1M30.5S"}}, 90500ms},
    {{{"retry-after", "P1DT1H"}}, 90000s},
    {{{"retry-after", "P1M"}}, {}},
    {{{"retry-after", "PT"}}, {}},
    {{{"retry-after", "P"}}, {}},
    {{{"retry-after", "00:01:30"}}, 90s},
    {{{"retry-after", "400 days"}}, {}},
    {{{"retry-after", "1 minute ago"}}, {}},
    {{{"retry-after", "minute"}}, {}},
    {{{"retry-after", "-1 minute"}}, 0s},
    {{{"llm_provider-retry-after", "1 minute"}}, 60s},
    {{{"retry-after", "3, 3"}}, 3s},
    {{{"x-ms-retry-after-ms", "1500"}}, 1500ms},
    {{{"x-ms-retry-after-ms", "1500"}, {"retry-after", "2"}}, 1500ms},
    {{{"llm_provider-retry-after", "3"}}, 3s},
    {{{"llm_provider-retry-after-ms", "250"}}, 250ms},
    {{{"retry-after", "2"}, {"llm_provider-retry-after", "3"}}, 2s},
    {{{"retry-after", "soon"}, {"llm_provider-retry-after", "3"}}, 3s},
    {{{"retry-after", "2026-11-22T12:00:30Z"}}, 30s},
    {{{"retry-after", "1795348830"}}, 30s},
    {{{"retry-after", "1795348830500"}}, 30500ms},
    {{{"retry-after", "Sunday, 22-Nov-26 12:00:30 GMT"}}, 30s},
    {{{"retry-after", "Sun Nov 22 12:00:30 2026"}}, 30s},
    {{{"retry-after", "22 Nov 2026 12:00:30 GMT"}}, 30s},
    {{{"retry-after", "Sun, 22 Nov 2026 12:00:30 UTC"}}, 30s},
    {{{"retry-after", "Sun, 22 Nov 2026 12:00:30 +0000"}}, 30s},
    {{{"retry-after", "Sun, 22 Nov 2026 07:00:30 -0500"}}, 30s},
    {{{"retry-after", "Sun, 22 Nov 2026 12:00:30 PST"}}, {}},
    {{{"retry-after", "Sun, 22 Nov 2026"}}, {}},
    {{{"retry-after", "22 22 Nov 2026 12:00:30 GMT"}}, {}},
    {{{"retry-after", "Sun, 22 Nov 2026 25:00:30 GMT"}}, {}},
    {{{"retry-after", "Sun, 31 Feb 2026 12:00:30 GMT"}}, {}},
    {{{"retry-after", "Sun, 22 Foo 2026 12:00:30 GMT"}}, {}},
    {{{"retry-after", "Sun, 22 Nov -026 12:00:30 GMT"}}, {}},
    {{{"retry-after", "Fri, 22 Nov 9999 12:00:30 GMT"}}, {}},
  };
  for (auto& [headers, expected] : table) {
    CAPTURE(headers.empty() ? "none" : headers.back().value);
    CHECK(wire::retry_after({429, headers}, now) == expected);
  }
}

TEST_CASE("x-should-retry is true, false or not told", "[wire][retry_after]") {
  auto told = [](std::string value) { return wire::should_retry({429, {{"x-should-retry", std::move(value)}}}); };
  CHECK(told("true") == true);
  CHECK(told("True") == true);
  CHECK(told("false") == false);
  CHECK(told("FALSE") == false);
  for (auto* value : {"", "1", "no", "truely", "tru", "true, false"})
    CHECK_FALSE(told(value).has_value());
  CHECK_FALSE(wire::should_retry({429, {}}).has_value());
}

} // namespace modelforge::retry_after_test
