#include "node/shared_gate.hpp"

#include <utility>
#include <vector>

namespace modelforge::node {

// Wakes are called without the lock: they may come back at once for the room that is kept for them.
template <class F>
auto shared_gate::change(F f) {
  std::vector<std::function<void()>> awake;
  std::unique_lock guard{mutex_};
  auto result = f(gate_);
  while (auto next = gate_.next())
    awake.push_back(wakes_.at(*next));
  guard.unlock();
  for (auto& wake : awake)
    wake();
  return result;
}

shared_gate::user::user(std::shared_ptr<shared_gate> gate, std::function<void()> wake) : gate_(std::move(gate)) {
  user_ = gate_->change([&](link_gate& inner) {
    auto id = inner.join();
    gate_->wakes_.emplace(id, std::move(wake));
    return id;
  });
}

shared_gate::user::~user() {
  gate_->change([&](link_gate& inner) {
    inner.leave(user_);
    return gate_->wakes_.erase(user_);
  });
}

bool shared_gate::user::take(uint64_t bytes) {
  return gate_->change([&](link_gate& inner) { return inner.take(user_, bytes); });
}

void shared_gate::user::withdraw() {
  gate_->change([&](link_gate& inner) {
    inner.withdraw(user_);
    return true;
  });
}

void shared_gate::user::give_back(uint64_t bytes) {
  gate_->change([&](link_gate& inner) {
    inner.give_back(user_, bytes);
    return true;
  });
}

} // namespace modelforge::node
