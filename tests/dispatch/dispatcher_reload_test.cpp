#include "tests/dispatch/dispatcher_bench.hpp"

#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

namespace modelforge::dispatcher_test {

namespace {

/// Two groups: models that begin with "a" have limits of their own.
dispatcher::heritage split_off_a(std::vector<std::optional<uint32_t>> groups = {0, {}}) {
  dispatcher::heritage result;
  result.groups = std::move(groups);
  result.keys = {0};
  result.group_of = [](const std::string& model) { return model.starts_with("a") ? 1 : 0; };
  return result;
}

dispatcher_settings two_groups(const dispatcher_settings& x) {
  auto result = x;
  result.groups.push_back(x.groups[0]);
  return result;
}

dispatcher::heritage one_group(std::vector<uint32_t> keys = {0}) {
  dispatcher::heritage result;
  result.groups = {0};
  result.keys = std::move(keys);
  result.group_of = [](const std::string&) { return 0; };
  return result;
}

dispatcher::offer in_group(uint32_t group, dispatcher::offer x) {
  x.group = group;
  return x;
}

} // namespace

TEST_CASE("dispatcher charges models what they have used when they get limits of their own", "[dispatch][reload]") {
  bench b{settings_of(10, {})};
  for (uint64_t n = 1; n <= 7; ++n)
    CHECK(b.take(for_model(n, n <= 5 ? "a" : "b")) == list{n});
  b.end(1);
  b.now += 10s;
  b.x.reconfigure(two_groups(settings_of(10, {})), split_off_a(), b.now);
  list sent;
  for (uint64_t n = 11; n <= 20; ++n)
    for (auto x : b.take(in_group(1, for_model(n, "a"))))
      sent.push_back(x);
  CHECK(sent == list{11, 12, 13, 14, 15}); // and five were sent before
  CHECK(b.take(for_model(31, "b")) == list{31});
  b.now = start + 61s;
  CHECK(b.serve() == list{16, 17, 18, 19, 20});
}

TEST_CASE("dispatcher charges models what they have used when they lose limits of their own", "[dispatch][reload]") {
  bench b{two_groups(settings_of(10, {}))};
  for (uint64_t n = 1; n <= 6; ++n)
    CHECK(b.take(in_group(1, for_model(n, "a"))) == list{n});
  b.writes = false;
  CHECK(b.take(for_model(7, "b")) == list{7});
  b.take(in_group(1, for_model(8, "a")));
  CHECK(b.sent.count(8) == 1);
  b.x.reconfigure(settings_of(10, {}), one_group(), b.now);
  CHECK(b.take(for_model(9, "c")) == list{9});
  CHECK(b.take(for_model(10, "a")) == list{10});
  CHECK(b.take(for_model(11, "b")) == list{});
  b.now = start + 61s; // those that are not written yet count still: 7 to 10
  b.serve();
  list after;
  for (uint64_t n = 12; n <= 20; ++n)
    for (auto x : b.take(for_model(n, "b")))
      after.push_back(x);
  CHECK(after == list{12, 13, 14, 15, 16}); // with number 11
  CHECK(b.sent.count(11) == 1);
}

TEST_CASE("dispatcher moves what waits to its model's group, in order", "[dispatch][reload]") {
  bench b{settings_of(2, {})};
  b.take(for_model(1, "a"));
  b.take(for_model(2, "b"));
  for (uint64_t n = 3; n <= 6; ++n)
    CHECK(b.take(for_model(n, n % 2 == 1 ? "a" : "b")) == list{});
  b.now += 30s;
  b.x.reconfigure(two_groups(settings_of(2, {})), split_off_a(), b.now);
  auto sent = b.serve(); // each model has used one of two
  std::sort(sent.begin(), sent.end());
  CHECK(sent == list{3}); // the group that was there before has still both
  b.now = start + 61s;
  sent = b.serve();
  std::sort(sent.begin(), sent.end());
  CHECK(sent == list{4, 5, 6});
  CHECK(b.x.state().queued[0] == 0);
}

TEST_CASE("dispatcher gives a new key its own limits, and a known one those that it had", "[dispatch][reload]") {
  auto settings = settings_of(3, {});
  bench b{settings};
  for (uint64_t n = 1; n <= 3; ++n)
    CHECK(b.take(offer(n)) == list{n});
  CHECK(b.take(offer(4)) == list{});
  settings.keys = 2;
  b.x.reconfigure(settings, one_group({7, 0}), b.now); // another one before it
  CHECK(b.serve() == list{4});
  CHECK(b.sent.at(4).key == 0);
  CHECK(b.take(offer(5)) == list{5});
  CHECK(b.take(offer(6)) == list{6});
  CHECK(b.take(offer(7)) == list{});
  settings.keys = 1;
  b.x.reconfigure(settings, one_group({9}), b.now); // both go
  CHECK(b.serve() == list{7});
  b.end(1);
  b.end(4, failed(errc::connection_lost));
  b.now += 10s;
  b.x.reconfigure(settings, one_group({0}), b.now); // and one comes back
  CHECK(b.take(offer(8)) == list{});
  b.now = start + 61s;
  CHECK_FALSE(b.serve().empty());
}

TEST_CASE("dispatcher counts what a restart has left once, however often settings change", "[dispatch][reload]") {
  bench b{two_groups(settings_of(100, {}))};
  dispatcher::journal_lane left;
  left.live.push_back({30s, {10, 0, 0, 0}});
  b.x.restore({left, {.group = 1, .live = left.live}}, 0s, b.now);
  auto used = [&](uint32_t group) {
    return limits::at(b.lane(group).limiter().live(b.now), limits::dimension::requests);
  };
  for (int i = 0; i < 5; ++i) {
    b.x.reconfigure(two_groups(settings_of(100, {})), split_off_a({0, 1}), b.now);
    CHECK(used(0) == 10);
    CHECK(used(1) == 10);
  }
  b.x.reconfigure(two_groups(settings_of(100, {})), split_off_a({0, {}}), b.now); // the second is another one now
  CHECK(used(0) == 20); // each may have all models of the one that is no more
  CHECK(used(1) == 20);
  b.x.reconfigure(settings_of(100, {}), one_group(), b.now);
  CHECK(used(0) == 40);
}

TEST_CASE("dispatcher lets what waits for a lane go where it belongs now", "[dispatch][reload]") {
  auto settings = settings_of({}, {});
  bench b{settings};
  b.take(for_model(1, "a", 1, batch));
  b.take(for_model(2, "b", 1, batch));
  b.end(1, failed(errc::rate_limited, 429, 2h));
  CHECK(b.serve() == list{});
  auto of = split_off_a();
  of.same_server = false;
  b.x.reconfigure(two_groups(settings), of, b.now);
  CHECK(b.serve() == list{1});
  b.end(1, failed(errc::rate_limited, 429, 2h));
  CHECK(b.take(for_model(3, "c", 1, batch)) == list{3});
  dispatcher::heritage third = split_off_a({0, 1, {}});
  third.group_of = [](const std::string& model) { return model == "c" ? 2 : model == "a" ? 1 : 0; };
  auto three = two_groups(settings);
  three.groups.push_back(three.groups[0]);
  b.x.reconfigure(three, third, b.now);
  CHECK(b.take(in_group(2, for_model(4, "c", 1, batch))) == list{}); // the key may be the one that is to wait
}

TEST_CASE("dispatcher forgets pauses and breakers with the server, not what a key has used", "[dispatch][reload]") {
  auto settings = settings_of(2, {});
  settings.groups[0].breaker = {.enabled = true, .consecutive_failures = 1, .open_for = 1h};
  settings.wait_when_open = {true, true};
  settings.retry.max_attempts = 1;
  bench b{settings};
  b.take(offer(1));
  b.end(1, failed(errc::server_error));
  CHECK(b.take(offer(2)) == list{});
  auto of = one_group();
  of.same_server = false;
  b.x.reconfigure(settings, of, b.now);
  CHECK(b.serve() == list{2});
  CHECK(b.take(offer(3)) == list{}); // the limit
  b.now = start + 61s;
  CHECK(b.serve() == list{3});
}

TEST_CASE("dispatcher's groups share the slots of their keys, interactive requests first", "[dispatch]") {
  auto settings = two_groups(settings_of({}, {}, 4));
  for (auto& group : settings.groups)
    group.interactive_slots = 1;
  bench b{settings};
  list sent;
  for (uint64_t n = 1; n <= 10; ++n)
    for (auto x : b.take(in_group(n % 2, for_model(n, n % 2 == 1 ? "a" : "b", 1, batch))))
      sent.push_back(x);
  CHECK(sent == list{1, 2, 3}); // one is kept
  CHECK(b.take(in_group(1, for_model(21, "a"))) == list{21});
  CHECK(b.take(in_group(0, for_model(22, "b"))) == list{});
  b.end(1);
  CHECK(b.serve() == list{22});
  b.end(21);
  b.end(22);
  CHECK(b.serve().size() == 1); // three batch items at most
  std::string turns;
  for (uint64_t n : {2, 3})
    for (auto x : (b.end(n), b.serve()))
      turns += x % 2 == 1 ? 'a' : 'b';
  CHECK((turns == "ab" || turns == "ba"));
}

} // namespace modelforge::dispatcher_test
