#include "node/waiting_room.hpp"

namespace modelforge::node {

// Each table that orders guests is kept with every change; the room is small, and is full when somebody means harm.
std::optional<waiting_room::guest_id> waiting_room::enter(guest_id who, const std::string& address, time_point now) {
  std::optional<guest_id> victim;
  if (guests_.size() >= settings_.max_guests)
    victim = evict();
  auto until = now + settings_.patience;
  guests_.emplace(who, guest{address, until});
  by_time_.emplace(until, who);
  auto& all = by_address_[address];
  if (!all.empty())
    by_number_.erase({all.size(), all.begin()->first, address});
  all.emplace(until, who);
  by_number_.emplace(all.size(), all.begin()->first, address);
  return victim;
}

void waiting_room::leave(guest_id who) {
  auto i = guests_.find(who);
  if (i == guests_.end())
    return;
  auto& [address, until] = i->second;
  by_time_.erase({until, who});
  auto entry = by_address_.find(address);
  auto& all = entry->second;
  by_number_.erase({all.size(), all.begin()->first, address});
  all.erase({until, who});
  if (all.empty())
    by_address_.erase(entry);
  else
    by_number_.emplace(all.size(), all.begin()->first, address);
  guests_.erase(i);
}

std::optional<waiting_room::guest_id> waiting_room::overdue(time_point now) {
  if (by_time_.empty() || by_time_.begin()->first > now)
    return {};
  auto who = by_time_.begin()->second;
  leave(who);
  return who;
}

// The last entry of `by_number_` has the largest number of guests; the first entry of that number is the address whose
// oldest guest came first.
std::optional<waiting_room::guest_id> waiting_room::evict() {
  if (by_number_.empty())
    return {};
  auto largest = std::get<0>(*by_number_.rbegin());
  auto& address = std::get<2>(*by_number_.lower_bound({largest, time_point::min(), {}}));
  auto who = by_address_.at(address).begin()->second;
  leave(who);
  return who;
}

std::optional<waiting_room::time_point> waiting_room::wake_at() const {
  if (by_time_.empty())
    return {};
  return by_time_.begin()->first;
}

} // namespace modelforge::node
