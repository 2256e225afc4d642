#pragma once

#include "limits/charge.hpp"
#include "limits/fair_shares.hpp"

#include <modelforge/messages/request_id.hpp>

#include <array>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

namespace modelforge::limits {

/// Who is next: nodes share by what their requests cost, within a node its tenants do, within a tenant the order of
/// arrival decides, and a request that comes back (a retry) keeps its place.
///
/// Shares are kept by start-time fair queueing (Goyal, Vin, Cheng 1996): each tenant has a virtual time, which grows by
/// the cost of what it was served; the tenant that is furthest behind is next. That gives the shares of deficit round
/// robin, but a tenant with a single request waits for those that are equally far behind at most, not for a round. A
/// tenant that was idle starts at the time of who was served last: it saves up nothing, and it is forgotten once it
/// owes nothing. It starts no more than the largest cost behind what each tenant would have been served had all been
/// served at once: or a flow of new tenants would always go before the old ones. Likewise for nodes, which so get no
/// more by naming many tenants.
///
/// O(1) in the number of queued requests, O(log n) in those of nodes and tenants. While there is only this node,
/// nothing is counted for nodes. Items are the caller's, linked into lists and not copied: one stays where it is in
/// memory while it is queued, and is in one queue at a time. Used by the dispatcher's `group_queue`, one for each
/// priority; holds no clock.
class fair_queue {
  struct tenant;

public:
  /// One request's place; a member of what the queue's owner keeps for the request, and at a fixed address while
  /// queued.
  struct item {
    request_id id;
    uint64_t arrival = 0; ///< Order of the first acceptance.
    double cost = 1;      ///< Above 0.
    amounts takes{};      ///< What it will take of the limits.

    bool is_queued() const { return home != nullptr; }

  private:
    friend class fair_queue;
    tenant* home = nullptr;
    item* before = nullptr;
    item* after = nullptr;
  };

  fair_queue() = default;
  fair_queue(const fair_queue&) = delete;
  fair_queue& operator=(const fair_queue&) = delete;

  /// `node_name`: of whose tenant it is; empty: this node's own.
  void push(item& entry, std::string_view tenant_name, std::string_view node_name = {});

  /// Takes one out, unserved.
  void erase(item& entry);

  /// Takes one out to be served: its tenant and its node pay.
  void pop(item& entry);

  std::size_t size() const { return size_; }

  /// What those that are queued will take, all together.
  const amounts& all() const { return all_; }

  /// What will go before a request of that tenant that comes now, if nothing else comes: of its own tenant's all, of
  /// another one's, and of another node's, what is its turn by then. Of many the most backward are looked at, and the
  /// rest are taken to be like them.
  amounts ahead_of(std::string_view tenant_name, std::string_view node_name = {}) const;

  /// Costs are counted in another unit from now on: asks `f` for each queued item's, and lets all begin anew. (At any
  /// time, a tenant has got about one item more than another at most.)
  template <class F>
  void reprice(F f) {
    begin_anew();
    for_each_waiting([&](auto& n) {
      n.cost = 0;
      for (auto& [key, t] : n.tenants.waiting()) {
        t->cost = 0;
        for (auto* entry = t->first; entry != nullptr; entry = entry->after)
          t->cost += entry->cost = f(*entry);
        n.cost += t->cost;
      }
      return true;
    });
  }

  /// The next one; null when empty.
  item* front() const;

  /// Some of those in line, the next one first: up to `each` of up to `tenants` tenants, of all nodes alike.
  template <class F>
  void scan(std::size_t tenants, std::size_t each, F visit) const {
    auto of_each_node =
      is_shared() ? std::max<std::size_t>(tenants / std::max<std::size_t>(nodes_.waiting().size(), 1), 1) : tenants;
    for_each_waiting([&](auto& n) {
      auto of_node = of_each_node;
      for (auto& [key, t] : n.tenants.waiting()) {
        if (of_node-- == 0)
          return true;
        if (tenants-- == 0)
          return false;
        auto left = each;
        for (auto* entry = t->first; entry != nullptr && left > 0; entry = entry->after, --left)
          if (!visit(*entry))
            return false;
      }
      return true;
    });
  }

  /// Tenants that wait or owe.
  std::size_t tenants() const { return tenants_; }

  /// Nodes that wait or owe, beside this one.
  std::size_t other_nodes() const { return others_.size(); }

private:
  struct hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view name) const { return std::hash<std::string_view>{}(name); }
  };

  template <class T>
  using by_name = std::unordered_map<std::string, T, hash, std::equal_to<>>;

  struct node;

  struct tenant : fair_share {
    std::string name;
    node* home = nullptr;
    item* first = nullptr;
    item* last = nullptr;
    std::size_t size = 0;
    double cost = 0; ///< Of those that are queued.
    amounts takes{}; ///< By them.
  };

  struct node : fair_share {
    std::string name;
    by_name<tenant> known;
    fair_shares<tenant> tenants;
    std::size_t size = 0;
    double cost = 0;
    amounts takes{};
  };

  struct ahead {
    amounts takes{};
    double cost = 0;
  };

  const node* find(std::string_view node_name) const;
  node& at(std::string_view node_name);
  tenant& at(node& n, std::string_view tenant_name);
  bool is_shared() const { return !others_.empty(); }

  /// Calls `f` with each node that has something queued, the next one first, until it returns false.
  template <class F>
  void for_each_waiting(F f) {
    if (!is_shared())
      f(own_);
    else
      for (auto& [key, n] : nodes_.waiting())
        if (!f(*n))
          return;
  }

  template <class F>
  void for_each_waiting(F f) const {
    if (!is_shared())
      f(own_);
    else
      for (auto& [key, n] : nodes_.waiting())
        if (!f(std::as_const(*n)))
          return;
  }

  void unlink(item& entry);
  void forget_idle(node& n);
  void forget(tenant& idle);
  void forget(node& idle);
  void end_sharing();
  void begin_anew();

  template <class Sharer>
  static ahead until(double turn, const fair_shares<Sharer>& all, const Sharer* own, const amounts& max_takes);

  node own_;
  by_name<node> others_;
  fair_shares<node> nodes_; ///< Used while there are others.
  std::size_t tenants_ = 0;
  std::size_t size_ = 0;
  amounts all_{};
};

} // namespace modelforge::limits
