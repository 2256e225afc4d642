#include "provider/kept_limits.hpp"
#include "tests/provider/fixture.hpp"
#include "tests/support/temporary_folder.hpp"

#include <algorithm>
#include <limits>

namespace modelforge::kept_limits_test {

using namespace test;
using provider::kept_limits;

namespace {

const kept_limits::wall_time noon{std::chrono::hours{24 * 365 * 50}};

provider_settings limited() {
  auto settings = acme();
  settings.rate_limit = requests_per_minute(10);
  return settings;
}

std::vector<std::string> places(const std::vector<dispatcher::journal_lane>& lanes) {
  std::vector<std::string> result;
  for (auto& lane : lanes)
    result.push_back(std::to_string(lane.group) + "." + std::to_string(lane.key) + ": " + std::to_string(lane.open[0]));
  return result;
}

/// A lane that has so many requests open.
journal::lane kept(const std::string& name, uint64_t open) {
  journal::lane result{name, {}};
  result.is.open[0] = open;
  return result;
}

uint64_t used(dispatcher& of, provider::time_point now) {
  return of.lane_of(0, 0).limiter().live(now)[0];
}

/// A dispatcher that has sent so many requests.
struct busy {
  provider::setup setup;
  dispatcher of;

  busy(provider::setup by, kept_limits& limits, int count) : setup(std::move(by)), of(setup.dispatch, 1) {
    limits.load(setup, of, start_time, noon);
    for (int i = 1; i <= count; ++i)
      REQUIRE_FALSE(of.accept({.id = {1, static_cast<uint64_t>(i)}}, start_time));
    uint64_t attempt = 0;
    while (auto step = of.next(start_time)) {
      if (std::holds_alternative<dispatcher::save>(*step))
        limits.save(setup, of, false, start_time, noon);
      if (auto* go = std::get_if<dispatcher::dispatch>(&*step)) {
        attempt = go->attempt;
        of.written(attempt, start_time);
        of.end(attempt, {}, start_time);
      }
    }
  }
};

} // namespace

TEST_CASE("kept limits: a lane's use goes to the lane of its name", "[provider]") {
  temporary_folder folder;
  auto settings = limited();
  settings.keys = {{"one", {}, folder.write("one", "sk-11111111\n")},
                   {"two", {}, folder.write("two", "sk-22222222\n")}};
  auto setup = prepared(settings);
  CHECK(places(provider::find_lanes({kept("two", 2), kept("one", 1), kept("three", 3)}, setup))
        == std::vector<std::string>{"0.0: 1", "0.1: 2"});
}

TEST_CASE("kept limits: where groups have changed, a key's use counts for each lane that may have it", "[provider]") {
  auto settings = limited();
  settings.models = {models("new*", 5)};
  auto setup = prepared(settings);
  CHECK(places(provider::find_lanes({kept("default", 1), kept("default/old*", 2)}, setup))
        == std::vector<std::string>{"0.0: 1", "0.0: 2", "1.0: 1", "1.0: 2"});
  CHECK(places(provider::find_lanes({kept("default", 1), kept("default/new*", 2)}, setup))
        == std::vector<std::string>{"0.0: 1", "1.0: 2"});
}

TEST_CASE("kept limits: what one actor leaves the next one has, once", "[provider]") {
  auto legacy = std::make_shared<provider::limits_legacy>();
  kept_limits first;
  first.share(legacy);
  busy before{prepared(limited()), first, 4};
  first.leave(before.setup, before.of, start_time + 10s, noon + 10s);
  kept_limits second;
  second.share(legacy);
  dispatcher after{before.setup.dispatch, 1};
  second.load(before.setup, after, start_time + 20s, noon + 20s);
  CHECK(used(after, start_time + 20s) == 4);
  CHECK(used(after, start_time + 61s) == 0);
  dispatcher third{before.setup.dispatch, 1};
  second.load(before.setup, third, start_time + 20s, noon + 20s);
  CHECK(used(third, start_time + 20s) == 0);
}

TEST_CASE("kept limits: what has drained is handed on before its actor ends, and once", "[provider]") {
  auto legacy = std::make_shared<provider::limits_legacy>();
  kept_limits first;
  first.share(legacy);
  busy before{prepared(limited()), first, 4};
  first.hand_on(before.setup, before.of, start_time);
  SECTION("to the one that takes its place") {
    kept_limits second;
    second.share(legacy);
    busy after{prepared(limited()), second, 0};
    CHECK(used(after.of, start_time) == 4);
    first.leave(before.setup, before.of, start_time, noon); // its actor ends after the other has begun
    CHECK_FALSE(legacy->collect());
  }
  SECTION("but not where it goes on after all") {
    first.take_back();
    CHECK_FALSE(legacy->collect());
    first.leave(before.setup, before.of, start_time, noon);
    CHECK(legacy->collect());
  }
}

TEST_CASE("kept limits: a file brings the use over to the next process", "[provider]") {
  temporary_folder folder;
  auto settings = limited();
  {
    kept_limits first;
    auto setup = prepared(settings, folder.path("state"));
    REQUIRE_FALSE(first.open(setup));
    CHECK(first.has_file());
    busy before{setup, first, 4};
    first.leave(before.setup, before.of, start_time, noon);
  }
  auto on_start = [&](window_start how) {
    settings.rate_limit.on_start = how;
    auto setup = prepared(settings, folder.path("state"));
    kept_limits next;
    REQUIRE_FALSE(next.open(setup));
    dispatcher after{setup.dispatch, 1};
    next.load(setup, after, start_time, noon + 5s);
    return used(after, start_time);
  };
  CHECK(on_start(window_start::restore) == 4);
  CHECK(on_start(window_start::full) >= 10);
  CHECK(on_start(window_start::empty) == 0);
}

TEST_CASE("kept limits: no file is kept where nothing is limited, or nobody wants one", "[provider]") {
  temporary_folder folder;
  kept_limits limits;
  CHECK_FALSE(limits.open(prepared(acme(), folder.path("state"))));
  CHECK_FALSE(limits.open(prepared(limited(), "none")));
  CHECK_FALSE(limits.has_file());
}

TEST_CASE("kept limits: a folder that was named and cannot be had is a failure", "[provider]") {
  temporary_folder folder;
  auto file = folder.write("file", "");
  kept_limits limits;
  auto why = limits.open(prepared(limited(), file + "/below"));
  REQUIRE(why);
  CHECK(why->code == errc::configuration);
  CHECK(limits.collect_problem().empty());
}

} // namespace modelforge::kept_limits_test
