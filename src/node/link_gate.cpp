#include "node/link_gate.hpp"

#include <algorithm>

namespace modelforge::node {

link_gate::user link_gate::join() {
  users_[++last_].served = turn_;
  return last_;
}

void link_gate::leave(user id) {
  give_all_back(id);
  withdraw(id);
  users_.erase(id);
}

// A user's turn is the sum of bytes it has been served (`served`), raised to the last turn when it asks: whoever has
// sent least since then is next. Room that was kept for it (`next`) is its own whatever the turn.
bool link_gate::take(user id, uint64_t bytes) {
  auto& s = users_.at(id);
  auto kept = std::exchange(s.kept, 0);
  on_the_way_ -= kept;
  if (std::exchange(s.wants, 0) > 0)
    waiting_.erase({s.served, id});
  s.served = std::max(s.served, turn_);
  auto is_its_turn = kept > 0 || waiting_.empty() || std::pair{s.served, id} < *waiting_.begin();
  if (!is_its_turn || !fits(bytes)) {
    s.wants = std::max<uint64_t>(bytes, 1);
    waiting_.insert({s.served, id});
    return false;
  }
  turn_ = s.served;
  s.served += bytes;
  s.on_the_way += bytes;
  on_the_way_ += bytes;
  return true;
}

void link_gate::withdraw(user id) {
  auto& s = users_.at(id);
  on_the_way_ -= std::exchange(s.kept, 0);
  if (std::exchange(s.wants, 0) > 0)
    waiting_.erase({s.served, id});
}

void link_gate::give_back(user id, uint64_t bytes) {
  auto& s = users_.at(id);
  bytes = std::min(bytes, s.on_the_way);
  s.on_the_way -= bytes;
  on_the_way_ -= bytes;
}

void link_gate::give_all_back(user id) {
  give_back(id, UINT64_MAX);
}

// Keeps room for the first in line as soon as its message fits; nobody behind it is asked before, or a large message
// would wait for ever.
std::optional<link_gate::user> link_gate::next() {
  if (waiting_.empty())
    return {};
  auto first = waiting_.begin()->second;
  auto& s = users_.at(first);
  if (!fits(s.wants))
    return {};
  waiting_.erase(waiting_.begin());
  s.kept = std::exchange(s.wants, 0);
  on_the_way_ += s.kept;
  return first;
}

} // namespace modelforge::node
