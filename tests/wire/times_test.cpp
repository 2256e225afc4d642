#include "wire/times.hpp"

#include <catch2/catch_test_macros.hpp>

#include <limits>

namespace modelforge::times_test {

using namespace std::chrono;
using namespace std::chrono_literals;

TEST_CASE("HTTP dates are read to the second", "[wire][times]") {
  CHECK(wire::read_http_date("Sun, 06 Nov 1994 08:49:37 GMT") == sys_seconds{784111777s});
  CHECK(wire::read_http_date("Thu, 29 Feb 2024 23:59:60 GMT") == sys_seconds{1709251200s});
  for (auto* text : {"Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994", "Sun, 06 Nov 1994 08:49:37",
                     "Sun, 06 Nov 1994 08:49:37 UTC", "6 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 08:49:37 +0000",
                     "Sun, 06 Nov 1994 10:49:37 +0200", "Sun, 06 November 1994 08:49:37 GMT"}) {
    CAPTURE(text);
    CHECK(wire::read_http_date(text) == sys_seconds{784111777s});
  }
  for (auto* text :
       {"", "Sun, 06 Nov 1994", "Sun, 06 Nov 1994 08:49:37 GMT+1", "Sun, 06 Nov 1994 08:49:37 CET",
        "Sun, 06 nov 1994 08:49:37 GMT", "Sun, 06 06 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 08:49:37 08:49:37",
        "Sunny, 06 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 24:49:37 GMT", "Sun, 31 Nov 1994 08:49:37 GMT"})
    CHECK_FALSE(wire::read_http_date(text));
}

TEST_CASE("RFC 3339 times are read in every form", "[wire][times]") {
  struct {
    std::string_view text;
    std::optional<wire::sys_milliseconds> expected;
  } table[] = {
    {"1994-11-06T08:49:37Z", wire::sys_milliseconds{784111777s}},
    {"1994-11-06t08:49:37z", wire::sys_milliseconds{784111777s}},
    {"1994-11-06T08:49:37.5Z", wire::sys_milliseconds{784111777500ms}},
    {"1994-11-06T08:49:37.0049999999999999999999999Z", wire::sys_milliseconds{784111777004ms}},
    {"1994-11-06T10:49:37+02:00", wire::sys_milliseconds{784111777s}},
    {"1994-11-06T03:19:37-05:30", wire::sys_milliseconds{784111777s}},
    {"1994-11-06T08:49:37+00:00", wire::sys_milliseconds{784111777s}},
    {"2024-02-29T23:59:60Z", wire::sys_milliseconds{1709251200s}},
    {"9999-12-31T23:59:59Z", wire::sys_milliseconds{253402300799s}},
    {"0000-01-01T00:00:00Z", wire::sys_milliseconds{-62167219200s}},
    {"", {}},
    {"1994-11-06", {}},
    {"1994-11-06T08:49:37", {}},
    {"1994-11-06 08:49:37Z", {}},
    {"1994-11-06T08:49:37.Z", {}},
    {"1994-11-06T08:49:37.5", {}},
    {"1994-11-06T08:49:37+0200", {}},
    {"1994-11-06T08:49:37+24:00", {}},
    {"1994-11-06T08:49:37+02:60", {}},
    {"1994-11-06T08:49:37 02:00", {}},
    {"1994-11-06T08:49:37ZZ", {}},
    {"1994-13-06T08:49:37Z", {}},
    {"1994-02-29T08:49:37Z", {}},
    {"1994-11-06T24:00:00Z", {}},
    {"1994-11-06T08:60:00Z", {}},
    {"1994-11-06T08:49:61Z", {}},
    {"-994-11-06T08:49:37Z", {}},
    {"1994/11/06T08:49:37Z", {}},
    {"1994-11-06T08:49:3aZ", {}},
  };
  for (auto& [text, expected] : table) {
    CAPTURE(text);
    CHECK(wire::read_rfc3339(text) == expected);
  }
}

TEST_CASE("durations are read as Go writes them", "[wire][times]") {
  struct {
    std::string_view text;
    std::optional<nanoseconds> expected;
  } table[] = {
    {"12ms", 12ms},
    {"1s", 1s},
    {"6m0s", 360s},
    {"1h2m3s", 3723s},
    {"7.66s", 7660ms},
    {"0s", 0s},
    {"1m", 60s},
    {"1ms", 1ms},
    {"1m1ms", 60'001ms},
    {"24h0m0.5s", 86'400'500ms},
    {"1.5h", 5400s},
    {".5s", 500ms},
    {"5.s", 5s},
    {"250us", 250us},
    {"250\u00B5s", 250us},
    {"250\u03BCs", 250us},
    {"17ns", 17ns},
    {"0.1ns", 0ns},
    {"1h1h", 7200s},
    {"0.000000001s", 1ns},
    {"0.12345678901234567890123s", 123456789ns},
    {"-1m30s", 0s},
    {"8784h", 8784h},
    {"8784h1ns", {}},
    {"8785h", {}},
    {"9223372036854775807h", {}},
    {"99999999999999999999999999ns", {}},
    {"31622400000000001us", {}},
    {"", {}},
    {"-", {}},
    {"12", {}},
    {"ms", {}},
    {".s", {}},
    {"1 s", {}},
    {" 1s", {}},
    {"1s ", {}},
    {"1S", {}},
    {"1d", {}},
    {"1m-1s", {}},
    {"--1s", {}},
    {"+1s", {}},
    {"1s2", {}},
    {"1..5s", {}},
    {"1e3s", {}},
    {"6 minutes", {}},
  };
  for (auto& [text, expected] : table) {
    CAPTURE(text);
    CHECK(wire::read_duration(text) == expected);
  }
}

TEST_CASE("seconds become waits", "[wire][times]") {
  CHECK(wire::wait_of(0.25) == 250ms);
  CHECK(wire::wait_of(-1e300) == 0s);
  CHECK(wire::wait_of(1e-10) == 1ns);
  CHECK(wire::wait_of(31'622'400) == 31'622'400s);
  CHECK_FALSE(wire::wait_of(31'622'401));
  CHECK_FALSE(wire::wait_of(std::numeric_limits<double>::infinity()));
  CHECK_FALSE(wire::wait_of(std::numeric_limits<double>::quiet_NaN()));
}

} // namespace modelforge::times_test
