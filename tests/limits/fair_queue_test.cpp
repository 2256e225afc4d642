#include "limits/fair_queue.hpp"

#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <cmath>
#include <deque>
#include <map>
#include <random>
#include <string>
#include <vector>

namespace modelforge::fair_queue_test {

using limits::fair_queue;

namespace {

/// A queue whose requests carry their tenant and node.
struct line {
  fair_queue queue;
  std::deque<fair_queue::item> items; ///< At fixed addresses.
  std::vector<std::string> tenants;
  std::vector<std::string> nodes;

  fair_queue::item& push(std::string tenant, double cost = 1, std::string node = {}) {
    auto& x = items.emplace_back();
    x.id = {1, tenants.size()};
    x.arrival = tenants.size();
    x.cost = cost;
    x.takes = {1, 0, 0, 0};
    queue.push(x, tenant, node);
    tenants.push_back(std::move(tenant));
    nodes.push_back(std::move(node));
    return x;
  }

  std::string tenant_of(const fair_queue::item& x) const { return tenants[x.id.low]; }
  std::string node_of(const fair_queue::item& x) const { return nodes[x.id.low]; }

  fair_queue::item& pop() {
    auto& x = *queue.front();
    queue.pop(x);
    return x;
  }

  /// Serves so many; returns their tenants.
  std::string serve(int n) {
    std::string result;
    for (; n > 0; --n)
      result += tenant_of(pop());
    return result;
  }
};

} // namespace

TEST_CASE("queue serves one tenant in the order of arrival", "[limits][fair_queue]") {
  line x;
  CHECK(x.queue.front() == nullptr);
  for (int i = 0; i < 100; ++i)
    x.push("a", 1 + i % 7);
  for (uint64_t i = 0; i < 100; ++i)
    REQUIRE(x.pop().arrival == i);
  CHECK(x.queue.size() == 0);
  CHECK(x.queue.front() == nullptr);
}

TEST_CASE("queue serves tenants by turns", "[limits][fair_queue]") {
  line x;
  for (auto* tenant : {"a", "b", "c"})
    for (int i = 0; i < 4; ++i)
      x.push(tenant);
  CHECK(x.serve(12) == "abcabcabcabc");
}

TEST_CASE("queue shares by cost", "[limits][fair_queue]") {
  for (uint64_t seed = 0; seed < 20; ++seed) {
    INFO("seed " << seed);
    std::mt19937_64 random{seed};
    line x;
    std::map<std::string, double> scale{{"a", 1}, {"b", 0.1}, {"c", 7}, {"d", 0.003}};
    auto add = [&](const std::string& tenant) {
      x.push(tenant, scale[tenant] * std::uniform_real_distribution<>{0.1, 1}(random));
    };
    for (auto& [tenant, by] : scale)
      for (int i = 0; i < 10; ++i)
        add(tenant);
    std::map<std::string, double> served;
    for (int i = 0; i < 50'000; ++i) { // all of them always have something queued
      auto& item = x.pop();
      served[x.tenant_of(item)] += item.cost;
      add(x.tenant_of(item));
    }
    auto [least, most] =
      std::minmax_element(served.begin(), served.end(), [](auto& a, auto& b) { return a.second < b.second; });
    CHECK(most->second - least->second <= 2 * 7); // never further apart than their largest requests
    CHECK(least->second > 20);
  }
}

TEST_CASE("queue lets a tenant with one request wait for a round at most, not for a queue", "[limits][fair_queue]") {
  for (int busy : {1, 2, 20}) {
    INFO(busy << " busy tenants");
    line x;
    for (int tenant = 0; tenant < busy; ++tenant)
      for (int i = 0; i < 10'000 / busy; ++i)
        x.push("busy" + std::to_string(tenant), tenant % 2 == 0 ? 1 : 0.5);
    for (int i = 0; i < 100; ++i) {
      x.serve(2 * busy + i % 7);
      auto& rare = x.push("rare", 0.01);
      auto waited = 0;
      while (&x.pop() != &rare)
        ++waited;
      REQUIRE(waited <= busy);
    }
  }
}

TEST_CASE("queue lets an idle tenant save up nothing", "[limits][fair_queue]") {
  line x;
  x.push("b");
  x.pop();
  for (int i = 0; i < 1000; ++i)
    x.push("a");
  x.serve(500);
  for (int i = 0; i < 100; ++i)
    x.push("b");
  auto order = x.serve(100);
  CHECK(std::abs(std::count(order.begin(), order.end(), 'a') - 50) <= 1);
}

TEST_CASE("queue lets no tenant escape what it owes by going idle", "[limits][fair_queue]") {
  line x;
  for (int i = 0; i < 1000; ++i)
    x.push("a");
  auto a = 0, b = 0;
  fair_queue::item* last = nullptr;
  while (a + b < 400) {
    if (last == nullptr || !last->is_queued())
      last = &x.push("b", 3); // one at a time, so that it is idle whenever it was served
    (x.serve(1) == "a" ? a : b) += 1;
  }
  CHECK(std::abs(3 * b - a) <= 6);
}

TEST_CASE("queue does not let a flow of new tenants starve an old one", "[limits][fair_queue]") {
  line x;
  for (int i = 0; i < 1000; ++i)
    x.push("old");
  auto old = 0;
  for (int i = 0; i < 4000; ++i) { // each brings one request, as fast as they are served
    x.push("new" + std::to_string(i));
    x.push("newer" + std::to_string(i));
    old += x.tenant_of(x.pop()) == "old";
  }
  CHECK(old >= 4);
}

TEST_CASE("queue gives a request that comes back its old place", "[limits][fair_queue]") {
  line x;
  std::vector<fair_queue::item*> all;
  for (int i = 0; i < 10; ++i)
    all.push_back(&x.push("a"));
  auto& first = x.pop();
  auto& second = x.pop();
  x.queue.push(second, "a");
  CHECK(x.queue.front() == &second);
  x.queue.push(first, "a");
  CHECK(x.queue.front() == &first);
  x.queue.erase(*all[5]);
  x.queue.push(*all[5], "a"); // in the middle
  x.queue.erase(*all[9]);
  x.queue.push(*all[9], "a"); // at the end
  for (uint64_t i = 0; i < 10; ++i)
    CHECK(x.pop().arrival == i);
}

TEST_CASE("queue loses nobody when others are taken out of its middle", "[limits][fair_queue]") {
  for (uint64_t seed = 0; seed < 50; ++seed) {
    INFO("seed " << seed);
    std::mt19937_64 random{seed};
    line x;
    std::map<std::string, std::map<uint64_t, fair_queue::item*>> queued; // by tenant, then arrival
    std::vector<fair_queue::item*> out;
    std::size_t n = 0;
    for (int i = 0; i < 2000; ++i) {
      switch (random() % 5) {
        case 0:
        case 1: {
          auto tenant = std::to_string(random() % 6);
          auto& item = x.push(tenant, 0.1 + static_cast<double>(random() % 9));
          queued[tenant][item.arrival] = &item;
          ++n;
          break;
        }
        case 2:
          if (n > 0) {
            auto* item = x.queue.front();
            REQUIRE(queued[x.tenant_of(*item)].begin()->second == item);
            x.queue.pop(*item);
            queued[x.tenant_of(*item)].erase(item->arrival);
            out.push_back(item);
            --n;
          }
          break;
        case 3:
          if (!x.items.empty()) {
            auto& item = x.items[random() % x.items.size()];
            if (!item.is_queued())
              break;
            x.queue.erase(item);
            queued[x.tenant_of(item)].erase(item.arrival);
            out.push_back(&item);
            --n;
          }
          break;
        default:
          if (!out.empty()) {
            std::swap(out[random() % out.size()], out.back());
            auto* item = out.back();
            out.pop_back();
            x.queue.push(*item, x.tenant_of(*item));
            queued[x.tenant_of(*item)][item->arrival] = item;
            ++n;
          }
      }
      REQUIRE(x.queue.size() == n);
      REQUIRE((x.queue.front() == nullptr) == (n == 0));
      std::map<std::string, std::vector<fair_queue::item*>> seen;
      x.queue.scan(100, 10'000, [&](fair_queue::item& item) {
        seen[x.tenant_of(item)].push_back(&item);
        return true;
      });
      for (auto& [tenant, items] : queued) {
        REQUIRE(items.size() == seen[tenant].size());
        REQUIRE(
          std::equal(items.begin(), items.end(), seen[tenant].begin(), [](auto& a, auto* b) { return a.second == b; }));
      }
      REQUIRE(x.queue.tenants() <= 6);
    }
  }
}

TEST_CASE("queue shows as many as are asked for, the next one first", "[limits][fair_queue]") {
  line x;
  for (auto* tenant : {"a", "b", "c"})
    for (int i = 0; i < 4; ++i)
      x.push(tenant);
  std::string seen;
  x.queue.scan(2, 3, [&](auto& item) {
    seen += x.tenant_of(item);
    return true;
  });
  CHECK(seen == "aaabbb");
  seen.clear();
  x.queue.scan(3, 4, [&](auto& item) {
    seen += x.tenant_of(item);
    return seen.size() < 5;
  });
  CHECK(seen == "aaaab");
}

TEST_CASE("queue tells what will go before a newcomer", "[limits][fair_queue]") {
  for (uint64_t seed = 0; seed < 300; ++seed) {
    INFO("seed " << seed);
    std::mt19937_64 random{seed};
    line x;
    auto tenants = 1 + random() % 8;
    auto even = random() % 2 == 0;
    auto push = [&](const std::string& tenant) -> auto& {
      auto& item = x.push(tenant, even ? 1.0 : 1.0 + static_cast<double>(random() % 3));
      return item;
    };
    auto count = [&] { return limits::amounts{1, 0, 0, 0}; };
    for (int i = 0; i < 200; ++i) {
      auto& item = x.items.emplace_back();
      item.id = {1, x.tenants.size()};
      item.arrival = x.tenants.size();
      item.cost = even ? 1.0 : 1.0 + static_cast<double>(random() % 3);
      item.takes = count();
      x.nodes.emplace_back();
      x.tenants.push_back(std::to_string(random() % tenants * (random() % 3 == 0)));
      x.queue.push(item, x.tenants.back());
      if (random() % 3 == 0)
        x.pop();
    }
    auto who = random() % 2 == 0 ? std::to_string(random() % tenants) : std::string{"new"};
    auto told = x.queue.ahead_of(who)[0];
    CHECK(x.queue.all()[0] == x.queue.size());
    auto& last = push(who);
    uint64_t before = 0;
    while (&x.pop() != &last)
      ++before;
    auto error = static_cast<double>(told) - static_cast<double>(before);
    CHECK(std::abs(error) <= (even ? 1.0 : 3.0) * static_cast<double>(tenants));
  }
}

TEST_CASE("queue tells what goes before a newcomer among thousands of tenants", "[limits][fair_queue]") {
  line x;
  for (int i = 0; i < 10'000; ++i) {
    auto& item = x.push(std::to_string(i % 5000));
    x.queue.erase(item);
    item.takes = {1, 10, 0, 0};
    x.queue.push(item, std::to_string(i % 5000));
  }
  auto told = x.queue.ahead_of("new");
  CHECK(told[0] >= 4500);
  CHECK(told[0] <= 5500);
  CHECK(told[1] == told[0] * 10);
}

TEST_CASE("queue gives a node no more for its many tenants", "[limits][fair_queue]") {
  line x;
  for (int i = 0; i < 50; ++i)
    for (int k = 0; k < 20; ++k)
      x.push(std::to_string(i), 1, "many");
  for (int i = 0; i < 600; ++i) {
    x.push("0", 1, "one"); // a tenant of the same name, and another one
    x.push(i % 2 == 0 ? "a" : "b");
  }
  std::map<std::string, int> of_node, of_tenant;
  for (int i = 0; i < 900; ++i) {
    auto& item = x.pop();
    ++of_node[x.node_of(item)];
    ++of_tenant[x.node_of(item) + "/" + x.tenant_of(item)];
  }
  for (auto* name : {"", "one", "many"})
    CHECK(std::abs(of_node[name] - 300) <= 1);
  CHECK(std::abs(of_tenant["/a"] - of_tenant["/b"]) <= 1);
  for (int i = 0; i < 50; ++i)
    CHECK(std::abs(of_tenant["many/" + std::to_string(i)] - 6) <= 1);
}

TEST_CASE("queue shares by cost between nodes, whose tenants come and go", "[limits][fair_queue]") {
  for (uint64_t seed = 0; seed < 20; ++seed) {
    INFO("seed " << seed);
    std::mt19937_64 random{seed};
    line x;
    std::map<std::string, double> scale{{"", 1}, {"b", 0.1}, {"c", 7}};
    auto add = [&](const std::string& node) {
      x.push(std::to_string(random() % 30), scale[node] * std::uniform_real_distribution<>{0.1, 1}(random), node);
    };
    for (auto& [node, by] : scale)
      for (int i = 0; i < 10; ++i)
        add(node);
    std::map<std::string, double> served;
    for (int i = 0; i < 20'000; ++i) { // each node always has something queued, its tenants have not
      if (i == 10'000)
        x.queue.reprice([](auto& item) { return item.cost; });
      auto& item = x.pop();
      served[x.node_of(item)] += item.cost;
      add(x.node_of(item));
    }
    auto [least, most] =
      std::minmax_element(served.begin(), served.end(), [](auto& a, auto& b) { return a.second < b.second; });
    CHECK(most->second - least->second <= 4 * 7);
    CHECK(least->second > 20);
  }
}

TEST_CASE("queue lets a node with one request wait for a round at most, and forgets it", "[limits][fair_queue]") {
  line x;
  for (int i = 0; i < 10'000; ++i)
    x.push(std::to_string(i % 40));
  for (int i = 0; i < 1000; ++i)
    x.push(std::to_string(i % 40), 1, "guest");
  for (int i = 0; i < 100; ++i) {
    x.serve(10 + i % 7);
    auto& rare = x.push("t", 0.01, "rare" + std::to_string(i));
    auto waited = 0;
    while (&x.pop() != &rare)
      ++waited;
    REQUIRE(waited <= 2);
    REQUIRE(x.queue.other_nodes() <= 4);
  }
  while (x.queue.size() > 0)
    x.pop();
  CHECK(x.queue.other_nodes() == 0);
  CHECK(x.queue.tenants() <= 1);
  x.push("a");
  x.push("b", 1, "late");
  x.queue.erase(x.items.back());
  CHECK(x.serve(1) == "a");
}

TEST_CASE("queue loses nobody of several nodes", "[limits][fair_queue]") {
  for (uint64_t seed = 0; seed < 50; ++seed) {
    INFO("seed " << seed);
    std::mt19937_64 random{seed};
    line x;
    std::map<std::string, std::map<uint64_t, fair_queue::item*>> queued; // by node and tenant
    std::size_t n = 0;
    auto key_of = [&](const fair_queue::item& item) { return x.node_of(item) + "/" + x.tenant_of(item); };
    for (int i = 0; i < 3000; ++i) {
      auto busy = i / 500 % 2 == 0; // now and then it runs empty
      if (random() % 5 < (busy ? 3u : 1u)) {
        auto node = random() % 4;
        auto& item = x.push(std::to_string(random() % 4), 0.1 + static_cast<double>(random() % 9),
                            node == 0 ? "" : "n" + std::to_string(node));
        queued[key_of(item)][item.arrival] = &item;
        ++n;
      } else if (n > 0) {
        auto* item = x.queue.front();
        REQUIRE(queued[key_of(*item)].begin()->second == item);
        if (random() % 4 == 0)
          x.queue.erase(*item);
        else
          x.queue.pop(*item);
        queued[key_of(*item)].erase(item->arrival);
        --n;
      }
      if (random() % 100 == 0)
        x.queue.reprice([&](auto&) { return 0.1 + static_cast<double>(random() % 9); });
      REQUIRE(x.queue.size() == n);
      REQUIRE(x.queue.all()[0] == n);
      REQUIRE((x.queue.front() == nullptr) == (n == 0));
      REQUIRE(x.queue.tenants() <= 16);
    }
    std::size_t seen = 0;
    x.queue.scan(100, 10'000, [&](auto&) { return ++seen > 0; });
    CHECK(seen == n);
  }
}

TEST_CASE("queue tells what will go before a newcomer of any node", "[limits][fair_queue]") {
  for (uint64_t seed = 0; seed < 300; ++seed) {
    INFO("seed " << seed);
    std::mt19937_64 random{seed};
    line x;
    auto nodes = 1 + random() % 5;
    auto tenants = 1 + random() % 4;
    auto any = [&](uint64_t of) { return random() % of * (random() % 3 == 0); };
    auto name_of = [](uint64_t node) { return node == 0 ? std::string{} : "n" + std::to_string(node); };
    for (int i = 0; i < 200; ++i) {
      auto node = name_of(any(nodes));
      x.push(std::to_string(any(tenants)), 1, node);
      if (random() % 3 == 0)
        x.pop();
    }
    auto node = random() % 4 == 0 ? "new" : name_of(random() % nodes);
    auto who = random() % 2 == 0 ? std::to_string(random() % tenants) : std::string{"new"};
    auto told = x.queue.ahead_of(who, node)[0];
    auto& last = x.push(who, 1, node);
    uint64_t before = 0;
    while (&x.pop() != &last)
      ++before;
    auto error = static_cast<double>(told) - static_cast<double>(before);
    CHECK(std::abs(error) <= static_cast<double>(nodes * tenants));
  }
}

TEST_CASE("queue shows some of each node's", "[limits][fair_queue]") {
  line x;
  for (auto* node : {"", "x", "y"})
    for (auto* tenant : {"a", "b", "c"})
      for (int i = 0; i < 2; ++i)
        x.push(tenant, 1, node);
  std::string seen;
  x.queue.scan(6, 2, [&](auto& item) {
    seen += x.node_of(item) + x.tenant_of(item);
    return true;
  });
  CHECK(seen == "aabbxaxaxbxbyayaybyb");
}

TEST_CASE("queue counts in another unit, and keeps the shares", "[limits][fair_queue]") {
  line x;
  for (int i = 0; i < 40; ++i)
    x.push("a", 1);
  x.serve(10);
  for (int i = 0; i < 40; ++i)
    x.push("b", 0.001);
  x.queue.reprice([](auto&) { return 0.001; });
  auto order = x.serve(40);
  CHECK(std::count(order.begin(), order.end(), 'a') >= 19);
  CHECK(std::count(order.begin(), order.end(), 'b') >= 19);
  x.queue.reprice([](auto&) { return 1000.0; });
  for (int i = 0; i < 40; ++i)
    x.push("c", 1000);
  order = x.serve(30);
  for (auto who : {'a', 'b', 'c'})
    CHECK(std::count(order.begin(), order.end(), who) >= 8);
  x.serve(40);
  CHECK(x.queue.size() == 0);
  CHECK(x.queue.all() == limits::amounts{});
}

TEST_CASE("queue forgets idle tenants", "[limits][fair_queue]") {
  SECTION("when nobody waits") {
    line x;
    for (int i = 0; i < 100'000; ++i) {
      x.push(std::to_string(i));
      x.pop();
      REQUIRE(x.queue.tenants() <= 1);
    }
  }
  SECTION("while another one always waits") {
    line x;
    for (int i = 0; i < 1'000'000; ++i) {
      if (i % 2 == 0)
        x.push("busy");
      auto& item = x.push(std::to_string(i));
      if (i % 3 == 0)
        x.queue.erase(item);
      else
        x.pop();
      while (x.queue.size() > 4)
        x.pop();
      REQUIRE(x.queue.tenants() <= 10);
    }
  }
  SECTION("while new ones come as fast as they are served") {
    line x;
    x.push("busy");
    x.push("busy");
    for (int i = 0; i < 1'000'000; ++i) {
      x.push(std::to_string(i));
      x.pop();
      if (x.queue.size() < 2)
        x.push("busy");
      REQUIRE(x.queue.tenants() <= 10);
    }
  }
}

} // namespace modelforge::fair_queue_test
