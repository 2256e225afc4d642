#include "limits/admission.hpp"

#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <deque>
#include <random>

using namespace modelforge;
using namespace std::chrono_literals;

namespace {

const admission::time_point start{};

request_id id(uint64_t n) {
  return {0, n};
}

} // namespace

TEST_CASE("admission hands out requests in order of arrival, interactive ones first", "[limits]") {
  admission x{{.slots = 10, .interactive_slots = 1}};
  x.offer(id(1), priority::batch, 1, {});
  x.offer(id(2), priority::interactive, 1, {});
  x.offer(id(3), priority::batch, 1, {});
  x.offer(id(4), priority::interactive, 1, {});
  std::vector<uint64_t> order;
  while (auto next = x.next())
    order.push_back(next->low);
  CHECK(order == std::vector<uint64_t>{2, 4, 1, 3});
}

TEST_CASE("admission counts bytes only while they wait", "[limits]") {
  admission x{{.slots = 1, .interactive_slots = 0, .max_queued = 10, .max_queued_bytes = 100}};
  CHECK(x.offer(id(1), priority::interactive, 60, {}) == admission::verdict::queued);
  CHECK(x.offer(id(2), priority::interactive, 60, {}) == admission::verdict::full_bytes);
  x.next();
  CHECK(x.queued_bytes() == 0);
  CHECK(x.offer(id(2), priority::interactive, 100, {}) == admission::verdict::queued);
  x.remove(id(2));
  CHECK(x.queued_bytes() == 0);
}

TEST_CASE("admission reports deadlines of queued and dispatched requests alike", "[limits]") {
  admission x{{.slots = 1, .interactive_slots = 0}};
  x.offer(id(1), priority::interactive, 1, start + 5s);
  x.offer(id(2), priority::interactive, 1, start + 3s);
  x.next();
  CHECK(x.earliest_deadline() == start + 3s);
  CHECK(x.expired(start + 2999ms).empty());
  CHECK(x.expired(start + 5s).size() == 2);
  x.remove(id(2));
  CHECK(x.earliest_deadline() == start + 5s);
}

// An oracle that keeps plain lists and recomputes everything.
TEST_CASE("admission agrees with a naive model under random traffic", "[limits]") {
  for (uint64_t seed = 1; seed <= 50; ++seed) {
    INFO("seed " << seed);
    std::mt19937_64 random{seed};
    auto pick = [&](uint64_t n) { return random() % n; };
    admission::limits limits{static_cast<uint32_t>(1 + pick(5)), 0, static_cast<uint32_t>(1 + pick(20)), 500};
    limits.interactive_slots = static_cast<uint32_t>(pick(limits.slots));
    admission x{limits};

    struct entry {
      uint64_t id;
      bool batch;
      uint64_t bytes;
      bool dispatched;
    };
    std::deque<entry> model;
    auto count = [&](auto what) { return static_cast<std::size_t>(std::count_if(model.begin(), model.end(), what)); };
    uint64_t last = 0;
    for (int step = 0; step < 2000; ++step) {
      auto in_flight = count([](auto& e) { return e.dispatched; });
      auto queued = model.size() - in_flight;
      uint64_t bytes = 0;
      for (auto& e : model)
        bytes += e.dispatched ? 0 : e.bytes;
      switch (pick(3)) {
        case 0: {
          entry e{++last, pick(2) == 0, 1 + pick(100), false};
          auto expected = queued >= limits.max_queued ? admission::verdict::full
                          : bytes + e.bytes > 500     ? admission::verdict::full_bytes
                                                      : admission::verdict::queued;
          REQUIRE(x.offer(id(e.id), e.batch ? priority::batch : priority::interactive, e.bytes, {}) == expected);
          if (expected == admission::verdict::queued)
            model.push_back(e);
          break;
        }
        case 1: {
          auto batch_in_flight = count([](auto& e) { return e.dispatched && e.batch; });
          auto free = in_flight < limits.slots;
          auto free_for_batch = free && batch_in_flight + limits.interactive_slots < limits.slots;
          auto next =
            std::find_if(model.begin(), model.end(), [&](auto& e) { return !e.dispatched && !e.batch && free; });
          if (next == model.end())
            next = std::find_if(model.begin(), model.end(),
                                [&](auto& e) { return !e.dispatched && e.batch && free_for_batch; });
          auto got = x.next();
          REQUIRE(got.has_value() == (next != model.end()));
          if (got) {
            REQUIRE(got->low == next->id);
            next->dispatched = true;
          }
          break;
        }
        default: {
          auto which = 1 + pick(last + 1);
          auto i = std::find_if(model.begin(), model.end(), [&](auto& e) { return e.id == which; });
          REQUIRE(x.remove(id(which)) == (i != model.end()));
          if (i != model.end())
            model.erase(i);
        }
      }
      REQUIRE(x.queued() + x.in_flight() == model.size());
    }
  }
}
