#include "node/waiting_room.hpp"

#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <map>
#include <random>
#include <string>
#include <vector>

namespace modelforge::waiting_room_test {

using namespace modelforge::node;
using namespace std::chrono_literals;

namespace {

const waiting_room::time_point start{1h};

std::vector<waiting_room::guest_id> all_overdue(waiting_room& x, waiting_room::time_point now) {
  std::vector<waiting_room::guest_id> result;
  while (auto who = x.overdue(now))
    result.push_back(*who);
  return result;
}

} // namespace

TEST_CASE("whoever proves nothing has to go when his time is up, and not before", "[node]") {
  waiting_room room{{.patience = 4s, .max_guests = 8}};
  CHECK_FALSE(room.wake_at());
  CHECK_FALSE(room.enter(1, "a", start));
  CHECK_FALSE(room.enter(2, "a", start + 1s));
  CHECK_FALSE(room.enter(3, "b", start + 2s));
  CHECK(room.wake_at() == start + 4s);
  CHECK(all_overdue(room, start + 4s - 1ns).empty());
  room.leave(2);
  room.leave(2);
  CHECK(all_overdue(room, start + 4s) == std::vector<waiting_room::guest_id>{1});
  CHECK(room.wake_at() == start + 6s);
  CHECK(all_overdue(room, start + 1h) == std::vector<waiting_room::guest_id>{3});
  CHECK(room.size() == 0);
  CHECK_FALSE(room.evict());
}

TEST_CASE("whoever opens many connections crowds out his own only", "[node]") {
  waiting_room room{{.patience = 4s, .max_guests = 10}};
  CHECK_FALSE(room.enter(1, "node", start)); // the one that has waited longest of all
  waiting_room::guest_id next = 2;
  std::vector<waiting_room::guest_id> gone;
  for (int i = 0; i < 1000; ++i)
    if (auto who = room.enter(next++, "crowd", start + i * 1us))
      gone.push_back(*who);
  CHECK(room.size() == 10);
  REQUIRE(gone.size() == 991);
  CHECK(gone.front() == 2); // oldest first: the younger ones may yet be in the middle of their handshake
  CHECK(std::is_sorted(gone.begin(), gone.end()));
  auto another = room.enter(next, "second node", start + 1ms);
  REQUIRE(another);
  CHECK(*another == gone.back() + 1);
}

TEST_CASE("of a crowd from everywhere the oldest goes", "[node]") {
  waiting_room room{{.patience = 4s, .max_guests = 3}};
  CHECK_FALSE(room.enter(1, "m", start));
  CHECK_FALSE(room.enter(2, "z", start + 1ms));
  CHECK_FALSE(room.enter(3, "a", start + 2ms));
  for (waiting_room::guest_id id = 4; id < 100; ++id)
    CHECK(room.enter(id, std::to_string(id * 7919 % 1000), start + id * 1ms) == id - 3);
}

TEST_CASE("the waiting room keeps count, whatever happens", "[node]") {
  auto seed = std::random_device{}();
  INFO("seed " << seed);
  std::mt19937_64 random{seed};
  waiting_room room{{.patience = 50ms, .max_guests = 20}};
  std::map<waiting_room::guest_id, std::pair<std::string, waiting_room::time_point>> model;
  auto now = start;
  for (waiting_room::guest_id id = 1; id < 20'000; ++id) {
    now += std::chrono::microseconds{random() % 5'000};
    switch (random() % 4) {
      case 0:
        if (!model.empty()) {
          auto who = std::next(model.begin(), static_cast<long>(random() % model.size()))->first;
          room.leave(who);
          model.erase(who);
        }
        break;
      case 1:
        while (auto who = room.overdue(now)) {
          REQUIRE(model.at(*who).second + 50ms <= now);
          model.erase(*who);
        }
        for (auto& [who, x] : model)
          REQUIRE(x.second + 50ms > now);
        break;
      default: {
        std::map<std::string, std::size_t> number;
        for (auto& [who, x] : model)
          ++number[x.first];
        std::size_t most = 0;
        for (auto& [address, count] : number)
          most = std::max(most, count);
        auto address = std::to_string(random() % 5);
        if (auto who = room.enter(id, address, now)) {
          REQUIRE(model.size() == 20);
          auto& victim = model.at(*who);
          REQUIRE(number[victim.first] == most);
          for (auto& [other, x] : model)
            REQUIRE((x.first != victim.first || x.second >= victim.second));
          model.erase(*who);
        }
        model.emplace(id, std::pair{address, now});
      }
    }
    REQUIRE(room.size() == model.size());
  }
}

} // namespace modelforge::waiting_room_test
