#include "limits/fair_queue.hpp"

#include <algorithm>
#include <cmath>

namespace modelforge::limits {

namespace {

constexpr std::size_t most_looked_at = 256; ///< Tenants, for a prediction; likewise nodes.

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

void fair_queue::push(item& x, std::string_view tenant_name, std::string_view node_name) {
  auto& n = at(node_name);
  auto& t = at(n, tenant_name);
  if (n.size == 0 && is_shared())
    nodes_.wait(n);
  if (t.size == 0)
    n.tenants.wait(t);
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
  ++n.size;
  ++size_;
  t.cost += x.cost;
  n.cost += x.cost;
  add(t.takes, x.takes);
  add(n.takes, x.takes);
  add(all_, x.takes);
}

void fair_queue::unlink(item& x) {
  auto& t = *x.home;
  auto& n = *t.home;
  (x.before != nullptr ? x.before->after : t.first) = x.after;
  (x.after != nullptr ? x.after->before : t.last) = x.before;
  x.home = nullptr;
  x.before = x.after = nullptr;
  --t.size;
  --n.size;
  --size_;
  t.cost = t.size > 0 ? t.cost - x.cost : 0; // no rounding error outlives the last one
  n.cost = n.size > 0 ? n.cost - x.cost : 0;
  subtract(t.takes, x.takes);
  subtract(n.takes, x.takes);
  subtract(all_, x.takes);
}

void fair_queue::erase(item& x) {
  auto& t = *x.home;
  auto& n = *t.home;
  unlink(x);
  if (t.size == 0)
    n.tenants.rest(t);
  if (n.size == 0 && is_shared())
    nodes_.rest(n);
  forget_idle(n);
}

void fair_queue::pop(item& x) {
  auto& t = *x.home;
  auto& n = *t.home;
  unlink(x);
  n.tenants.serve(t, x.cost, t.size > 0);
  if (is_shared())
    nodes_.serve(n, x.cost, n.size > 0);
  forget_idle(n);
}

/// Of a node that has nothing queued all tenants but the last one, which stays at hand: nobody is left to be fair to.
void fair_queue::forget_idle(node& n) {
  if (n.size == 0) {
    tenant* last = nullptr;
    n.tenants.begin_anew([&](tenant& x) {
      if (last != nullptr)
        forget(*last);
      last = &x;
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

void fair_queue::forget(tenant& x) {
  auto& known = x.home->known;
  known.erase(known.find(x.name));
  --tenants_;
}

/// This node's own share is never forgotten.
void fair_queue::forget(node& x) {
  if (&x == &own_)
    return;
  tenants_ -= x.known.size();
  others_.erase(others_.find(x.name));
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

/// What is served to all but `own` until that one's virtual time is `turn`; no more than `most`.
template <class Sharer>
fair_queue::ahead fair_queue::until(double turn, const fair_shares<Sharer>& all, const Sharer* own,
                                    const amounts& most) {
  ahead result;
  std::size_t looked_at = 0;
  for (auto& [key, x] : all.waiting()) {
    if (key.first > turn)
      break;
    if (looked_at == most_looked_at) { // as many again for each as many that are left
      auto times = static_cast<double>(all.waiting().size()) / static_cast<double>(most_looked_at);
      for (std::size_t d = 0; d < most.size(); ++d)
        result.takes[d] = std::min(static_cast<uint64_t>(static_cast<double>(result.takes[d]) * times), most[d]);
      result.cost *= times;
      break;
    }
    ++looked_at;
    if (x == own)
      continue;
    auto size = static_cast<double>(x->size);
    auto served = x->cost > 0 ? std::floor((turn - key.first) * size / x->cost) + 1 : size;
    auto share = std::min(served / size, 1.0);
    for (std::size_t d = 0; d < most.size(); ++d)
      result.takes[d] += static_cast<uint64_t>(static_cast<double>(x->takes[d]) * share);
    result.cost += x->cost * share;
  }
  return result;
}

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
