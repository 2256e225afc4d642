#include "limits/fair_queue.hpp"

#include <algorithm>
#include <cmath>

namespace modelforge::limits {

namespace {

constexpr std::size_t most_looked_at = 256; ///< Tenants, for a prediction.

} // namespace

void fair_queue::push(item& x, std::string_view tenant_name) {
  auto i = tenants_.find(tenant_name);
  if (i == tenants_.end())
    i = tenants_.emplace(tenant_name, tenant{std::string{tenant_name}, now_}).first;
  auto& t = i->second;
  if (t.size == 0) {
    idle_.erase({t.time, &t});
    t.time = std::max(t.time, now_);
    t.turn = ++turns_;
    active_.emplace(key{t.time, t.turn}, &t);
  }
  x.home = &t;
  auto* before = t.last; // a retry goes before those that came after it: look from the end that is nearer
  if (before != nullptr && before->arrival > x.arrival) {
    auto* next = t.first;
    while (next->arrival < x.arrival)
      next = next->after;
    before = next->before;
  }
  x.before = before;
  x.after = before != nullptr ? before->after : t.first;
  (x.before != nullptr ? x.before->after : t.first) = &x;
  (x.after != nullptr ? x.after->before : t.last) = &x;
  ++t.size;
  ++size_;
  t.cost += x.cost;
  add(t.takes, x.takes);
  add(all_, x.takes);
}

void fair_queue::unlink(item& x) {
  auto& t = *x.home;
  (x.before != nullptr ? x.before->after : t.first) = x.after;
  (x.after != nullptr ? x.after->before : t.last) = x.before;
  x.home = nullptr;
  x.before = x.after = nullptr;
  --t.size;
  --size_;
  t.cost = t.size > 0 ? t.cost - x.cost : 0; // no rounding error outlives the last one
  subtract(t.takes, x.takes);
  subtract(all_, x.takes);
}

void fair_queue::erase(item& x) {
  auto& t = *x.home;
  unlink(x);
  if (t.size == 0) {
    active_.erase({t.time, t.turn});
    idle_.emplace(t.time, &t);
  }
  forget_idle();
}

void fair_queue::pop(item& x) {
  auto& t = *x.home;
  most_ = std::max(most_, x.cost);
  even_ = std::max(even_, now_) + x.cost / static_cast<double>(active_.size());
  now_ = std::max({now_, active_.begin()->first.first, even_ - most_});
  unlink(x);
  active_.erase({t.time, t.turn});
  t.time += x.cost;
  t.turn = ++turns_;
  if (t.size > 0)
    active_.emplace(key{t.time, t.turn}, &t);
  else
    idle_.emplace(t.time, &t);
  forget_idle();
}

void fair_queue::forget_idle() {
  if (size_ == 0) { // nobody to be fair to: begin anew, with the last tenant at hand
    auto* last = idle_.rbegin()->second;
    idle_.clear();
    if (tenants_.size() > 1)
      std::erase_if(tenants_, [last](auto& x) { return &x.second != last; });
    now_ = even_ = most_ = last->time = 0;
    idle_.emplace(0, last);
    return;
  }
  while (!idle_.empty() && idle_.begin()->first <= now_) {
    auto name = idle_.begin()->second->name;
    idle_.erase(idle_.begin());
    tenants_.erase(name);
  }
}

void fair_queue::begin_anew() {
  for (auto& [time, t] : idle_)
    tenants_.erase(tenants_.find(t->name));
  idle_.clear();
  std::map<key, tenant*> active;
  for (auto& [key, t] : active_) { // in their order
    t->time = 0;
    t->turn = ++turns_;
    active.emplace(fair_queue::key{0, t->turn}, t);
  }
  active_.swap(active);
  now_ = even_ = most_ = 0;
}

amounts fair_queue::ahead_of(std::string_view tenant_name) const {
  auto i = tenants_.find(tenant_name);
  auto* own = i != tenants_.end() ? &i->second : nullptr;
  auto turn = own != nullptr ? std::max(own->time, now_) + own->cost : now_; // its virtual time
  auto result = own != nullptr ? own->takes : amounts{};
  amounts others{};
  std::size_t looked_at = 0;
  for (auto& [key, t] : active_) {
    if (key.first > turn)
      break;
    if (looked_at == most_looked_at) { // as many again for each as many that are left
      auto times = static_cast<double>(active_.size()) / static_cast<double>(most_looked_at);
      for (std::size_t d = 0; d < others.size(); ++d)
        others[d] = std::min(static_cast<uint64_t>(static_cast<double>(others[d]) * times), all_[d]);
      break;
    }
    ++looked_at;
    if (t == own)
      continue;
    auto size = static_cast<double>(t->size);
    auto served = t->cost > 0 ? std::floor((turn - key.first) * size / t->cost) + 1 : size;
    auto share = std::min(served / size, 1.0);
    for (std::size_t d = 0; d < others.size(); ++d)
      others[d] += static_cast<uint64_t>(static_cast<double>(t->takes[d]) * share);
  }
  add(result, others);
  return result;
}

fair_queue::item* fair_queue::front() const {
  return active_.empty() ? nullptr : active_.begin()->second->first;
}

} // namespace modelforge::limits
