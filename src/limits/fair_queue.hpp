#pragma once

#include "limits/charge.hpp"

#include <modelforge/messages/request_id.hpp>

#include <array>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>

namespace modelforge::limits {

/// Who is next: tenants share by what their requests cost, within a tenant the order of arrival decides, and a request
/// that comes back (a retry) keeps its place.
///
/// Shares are kept by start-time fair queueing (Goyal, Vin, Cheng 1996): each tenant has a virtual time, which grows by
/// the cost of what it was served; the tenant that is furthest behind is next. That gives the shares of deficit round
/// robin, but a tenant with a single request waits for those that are equally far behind at most, not for a round. A
/// tenant that was idle starts at the time of who was served last: it saves up nothing, and it is forgotten once it
/// owes nothing. It starts no more than the largest cost behind what each tenant would have been served had all been
/// served at once: or a flow of new tenants would always go before the old ones.
///
/// O(1) in the number of queued requests, O(log n) in that of tenants.
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

  void push(item& x, std::string_view tenant_name);

  /// Takes one out, unserved.
  void erase(item& x);

  /// Takes one out to be served: its tenant pays.
  void pop(item& x);

  std::size_t size() const { return size_; }

  /// What those that are queued will take, all together.
  const amounts& all() const { return all_; }

  /// What will go before a request of that tenant that comes now, if nothing else comes: of its own tenant's all, of
  /// another one's what is its turn by then. Of many tenants' the most backward are looked at, and the rest are taken
  /// to be like them.
  amounts ahead_of(std::string_view tenant_name) const;

  /// Costs are counted in another unit from now on: asks `f` for each queued item's, and lets all tenants begin anew.
  /// (At any time, a tenant has got about one item more than another at most.)
  template <class F>
  void reprice(F f) {
    begin_anew();
    for (auto& [key, t] : active_)
      for (auto* x = t->first; x != nullptr; x = x->after) {
        t->cost -= x->cost;
        x->cost = f(*x);
        t->cost += x->cost;
      }
  }

  /// The next one; null when empty.
  item* front() const;

  /// Some of those in line, the next one first: up to `each` of up to `tenants` tenants.
  template <class F>
  void scan(std::size_t tenants, std::size_t each, F visit) const {
    for (auto& [key, t] : active_) {
      if (tenants-- == 0)
        return;
      auto left = each;
      for (auto* x = t->first; x != nullptr && left > 0; x = x->after, --left)
        if (!visit(*x))
          return;
    }
  }

  /// Tenants that wait or owe.
  std::size_t tenants() const { return tenants_.size(); }

private:
  using key = std::pair<double, uint64_t>; ///< Virtual time; number, so that equals take turns.

  struct tenant {
    std::string name;
    double time = 0;
    uint64_t turn = 0;
    item* first = nullptr;
    item* last = nullptr;
    std::size_t size = 0;
    double cost = 0; ///< Of those that are queued.
    amounts takes{}; ///< By them.
  };

  struct hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view x) const { return std::hash<std::string_view>{}(x); }
  };

  void unlink(item& x);
  void forget_idle();
  void begin_anew();

  std::unordered_map<std::string, tenant, hash, std::equal_to<>> tenants_;
  std::map<key, tenant*> active_; ///< With something queued.
  std::set<std::pair<double, tenant*>> idle_;
  double now_ = 0;  ///< Virtual time at which a tenant that was idle begins.
  double even_ = 0; ///< What each tenant would have been served, had all been served at once.
  double most_ = 0; ///< Largest cost since the queue was empty.
  uint64_t turns_ = 0;
  std::size_t size_ = 0;
  amounts all_{};
};

} // namespace modelforge::limits
