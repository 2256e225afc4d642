#include "limits/fair_queue.hpp"

#include <algorithm>
#include <cmath>

namespace modelforge::limits {

namespace {

constexpr std::size_t max_looked_at = 256; ///< Tenants, for a prediction; likewise nodes.

} // namespace

const fair_queue::node* fair_queue::find(std::string_view node_name) const {
  if (node_name.empty())
    return &own_;
  auto i = others_.find(node_name);
  return i != others_.end() ? &i->second : nullptr;
}

fair_queue::node& fair_queue::at(std::string_view node_name) {
  if (node_name.empty())
    return own_;
  auto i = others_.find(node_name);
  if (i == others_.end()) {
    if (!is_shared() && own_.size > 0)
      nodes_.wait(own_);
    i = others_.try_emplace(std::string{node_name}).first;
    i->second.name = node_name;
    nodes_.add(i->second);
  }
  return i->second;
}

fair_queue::tenant& fair_queue::at(node& n, std::string_view tenant_name) {
  auto i = n.known.find(tenant_name);
  if (i == n.known.end()) {
    i = n.known.try_emplace(std::string{tenant_name}).first;
    i->second.name = tenant_name;
    i->second.home = &n;
    n.tenants.add(i->second);
    ++tenants_;
  }
  return i->second;
}

// A tenant's requests stand in an intrusive list by arrival: nothing is allocated for one, and it can be taken out
// anywhere.
void fair_queue::push(item& entry, std::string_view tenant_name, std::string_view node_name) {
  auto& n = at(node_name);
  auto& t = at(n, tenant_name);
  if (n.size == 0 && is_shared())
    nodes_.wait(n);
  if (t.size == 0)
    n.tenants.wait(t);
  entry.home = &t;
  auto* before = t.last; // a retry goes before those that came after it: look from the end that is nearer
  if (before != nullptr && before->arrival > entry.arrival) {
    auto* next = t.first;
    while (next->arrival < entry.arrival)
      next = next->after;
    before = next->before;
  }
  entry.before = before;
  entry.after = before != nullptr ? before->after : t.first;
  (entry.before != nullptr ? entry.before->after : t.first) = &entry;
  (entry.after != nullptr ? entry.after->before : t.last) = &entry;
  ++t.size;
  ++n.size;
  ++size_;
  t.cost += entry.cost;
  n.cost += entry.cost;
  add(t.takes, entry.takes);
  add(n.takes, entry.takes);
  add(all_, entry.takes);
}

// Sums are kept by tenant, node and queue, so that predictions need not go through the requests.
void fair_queue::unlink(item& entry) {
  auto& t = *entry.home;
  auto& n = *t.home;
  (entry.before != nullptr ? entry.before->after : t.first) = entry.after;
  (entry.after != nullptr ? entry.after->before : t.last) = entry.before;
  entry.home = nullptr;
  entry.before = entry.after = nullptr;
  --t.size;
  --n.size;
  --size_;
  t.cost = t.size > 0 ? t.cost - entry.cost : 0; // no rounding error outlives the last one
  n.cost = n.size > 0 ? n.cost - entry.cost : 0;
  subtract(t.takes, entry.takes);
  subtract(n.takes, entry.takes);
  subtract(all_, entry.takes);
}

void fair_queue::erase(item& entry) {
  auto& t = *entry.home;
  auto& n = *t.home;
  unlink(entry);
  if (t.size == 0)
    n.tenants.rest(t);
  if (n.size == 0 && is_shared())
    nodes_.rest(n);
  forget_idle(n);
}

// Both clocks advance by the same cost: that of the tenant within its node, and that of the node.
void fair_queue::pop(item& entry) {
  auto& t = *entry.home;
  auto& n = *t.home;
  unlink(entry);
  n.tenants.serve(t, entry.cost, t.size > 0);
  if (is_shared())
    nodes_.serve(n, entry.cost, n.size > 0);
  forget_idle(n);
}

/// Of a node that has nothing queued all tenants but the last one, which stays at hand: nobody is left to be fair to.
void fair_queue::forget_idle(node& n) {
  if (n.size == 0) {
    tenant* last = nullptr;
    n.tenants.begin_anew([&](tenant& idle) {
      if (last != nullptr)
        forget(*last);
      last = &idle;
    });
    n.tenants.keep(*last);
  } else {
    n.tenants.forget([this](tenant& x) { forget(x); });
  }
  if (!is_shared())
    return;
  if (size_ == 0)
    nodes_.begin_anew([this](node& x) { forget(x); });
  else
    nodes_.forget([this](node& x) { forget(x); });
  end_sharing();
}

void fair_queue::forget(tenant& idle) {
  auto& known = idle.home->known;
  known.erase(known.find(idle.name));
  --tenants_;
}

/// This node's own share is never forgotten.
void fair_queue::forget(node& idle) {
  if (&idle == &own_)
    return;
  tenants_ -= idle.known.size();
  others_.erase(others_.find(idle.name));
}

/// Once no other node is known.
void fair_queue::end_sharing() {
  if (is_shared())
    return;
  nodes_ = {};
  own_.time = 0;
}

void fair_queue::begin_anew() {
  auto forget_tenant = [this](tenant& x) { forget(x); };
  own_.tenants.begin_anew(forget_tenant);
  for (auto& [name, n] : others_)
    n.tenants.begin_anew(forget_tenant);
  nodes_.begin_anew([this](node& x) { forget(x); });
  if (own_.size == 0)
    own_.time = 0;
  end_sharing();
}

/// What is served to all but `own` until that one's virtual time is `turn`; no more than `max_takes`.
template <class Sharer>
fair_queue::ahead fair_queue::until(double turn, const fair_shares<Sharer>& all, const Sharer* own,
                                    const amounts& max_takes) {
  ahead result;
  std::size_t looked_at = 0;
  for (auto& [key, sharer] : all.waiting()) {
    if (key.first > turn)
      break;
    if (looked_at == max_looked_at) { // as many again for each as many that are left
      auto times = static_cast<double>(all.waiting().size()) / static_cast<double>(max_looked_at);
      for (std::size_t d = 0; d < max_takes.size(); ++d)
        result.takes[d] = std::min(static_cast<uint64_t>(static_cast<double>(result.takes[d]) * times), max_takes[d]);
      result.cost *= times;
      break;
    }
    ++looked_at;
    if (sharer == own)
      continue;
    auto size = static_cast<double>(sharer->size);
    auto served = sharer->cost > 0 ? std::floor((turn - key.first) * size / sharer->cost) + 1 : size;
    auto share = std::min(served / size, 1.0);
    for (std::size_t d = 0; d < max_takes.size(); ++d)
      result.takes[d] += static_cast<uint64_t>(static_cast<double>(sharer->takes[d]) * share);
    result.cost += sharer->cost * share;
  }
  return result;
}

// A tenant that is not known would begin at the time that is now, behind nothing of its own.
amounts fair_queue::ahead_of(std::string_view tenant_name, std::string_view node_name) const {
  auto* n = find(node_name);
  ahead result;
  if (n != nullptr) {
    auto i = n->known.find(tenant_name);
    auto* t = i != n->known.end() ? &i->second : nullptr;
    auto turn = t != nullptr ? std::max(t->time, n->tenants.now()) + t->cost : n->tenants.now();
    result = until(turn, n->tenants, t, n->takes);
    if (t != nullptr) {
      add(result.takes, t->takes);
      result.cost += t->cost;
    }
  }
  if (is_shared()) {
    auto turn = (n != nullptr ? std::max(n->time, nodes_.now()) : nodes_.now()) + result.cost;
    add(result.takes, until(turn, nodes_, n, all_).takes);
  }
  return result.takes;
}

fair_queue::item* fair_queue::front() const {
  if (size_ == 0)
    return nullptr;
  auto& n = is_shared() ? *nodes_.waiting().begin()->second : own_;
  return n.tenants.waiting().begin()->second->first;
}

} // namespace modelforge::limits
