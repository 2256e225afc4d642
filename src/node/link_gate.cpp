#include "node/link_gate.hpp"

#include <algorithm>

namespace modelforge::node {

link_gate::user link_gate::join() {
  users_[++last_].served = turn_;
  return last_;
}

void link_gate::leave(user x) {
  give_all_back(x);
  withdraw(x);
  users_.erase(x);
}

bool link_gate::take(user x, uint64_t bytes) {
  auto& s = users_.at(x);
  auto kept = std::exchange(s.kept, 0);
  on_the_way_ -= kept;
  if (std::exchange(s.wants, 0) > 0)
    waiting_.erase({s.served, x});
  s.served = std::max(s.served, turn_);
  auto is_its_turn = kept > 0 || waiting_.empty() || std::pair{s.served, x} < *waiting_.begin();
  if (!is_its_turn || !fits(bytes)) {
    s.wants = std::max<uint64_t>(bytes, 1);
    waiting_.insert({s.served, x});
    return false;
  }
  turn_ = s.served;
  s.served += bytes;
  s.on_the_way += bytes;
  on_the_way_ += bytes;
  return true;
}

void link_gate::withdraw(user x) {
  auto& s = users_.at(x);
  on_the_way_ -= std::exchange(s.kept, 0);
  if (std::exchange(s.wants, 0) > 0)
    waiting_.erase({s.served, x});
}

void link_gate::give_back(user x, uint64_t bytes) {
  auto& s = users_.at(x);
  bytes = std::min(bytes, s.on_the_way);
  s.on_the_way -= bytes;
  on_the_way_ -= bytes;
}

void link_gate::give_all_back(user x) {
  give_back(x, UINT64_MAX);
}

std::optional<link_gate::user> link_gate::next() {
  if (waiting_.empty())
    return {};
  auto x = waiting_.begin()->second;
  auto& s = users_.at(x);
  if (!fits(s.wants))
    return {};
  waiting_.erase(waiting_.begin());
  s.kept = std::exchange(s.wants, 0);
  on_the_way_ += s.kept;
  return x;
}

} // namespace modelforge::node
