#include "limits/admission.hpp"

namespace modelforge {

admission::verdict admission::offer(request_id id, priority rank, uint64_t bytes, std::optional<time_point> deadline) {
  if (live_.contains(id))
    return verdict::duplicate;
  if (bytes > limits_.max_queued_bytes)
    return verdict::too_large;
  if (queued() >= limits_.max_queued)
    return verdict::full;
  if (queued_bytes_ + bytes > limits_.max_queued_bytes)
    return verdict::full_bytes;
  auto ticket = ++tickets_;
  live_.emplace(id, entry{rank, bytes, deadline, false, ticket});
  queue_of(rank).emplace(ticket, id);
  if (deadline)
    deadlines_.emplace(*deadline, id);
  queued_bytes_ += bytes;
  return verdict::queued;
}

std::optional<request_id> admission::next() {
  if (in_flight_ >= limits_.slots)
    return {};
  if (auto id = pop(interactive_))
    return id;
  if (batch_in_flight_ + limits_.interactive_slots >= limits_.slots)
    return {};
  return pop(batch_);
}

std::optional<request_id> admission::pop(queue& from) {
  if (from.empty())
    return {};
  auto id = from.begin()->second;
  from.erase(from.begin());
  auto& x = live_.at(id);
  x.dispatched = true;
  queued_bytes_ -= x.bytes;
  ++in_flight_;
  if (x.rank == priority::batch)
    ++batch_in_flight_;
  return id;
}

bool admission::remove(request_id id) {
  auto i = live_.find(id);
  if (i == live_.end())
    return false;
  auto& x = i->second;
  if (x.deadline)
    deadlines_.erase({*x.deadline, id});
  if (!x.dispatched) {
    queued_bytes_ -= x.bytes;
    queue_of(x.rank).erase(x.ticket);
  } else {
    --in_flight_;
    if (x.rank == priority::batch)
      --batch_in_flight_;
  }
  live_.erase(i);
  return true;
}

std::vector<request_id> admission::expired(time_point now) const {
  std::vector<request_id> result;
  for (auto i = deadlines_.begin(); i != deadlines_.end() && i->first <= now; ++i)
    result.push_back(i->second);
  return result;
}

std::optional<admission::time_point> admission::earliest_deadline() const {
  if (deadlines_.empty())
    return {};
  return deadlines_.begin()->first;
}

std::vector<request_id> admission::all() const {
  std::vector<request_id> result;
  result.reserve(live_.size());
  for (auto& [id, x] : live_)
    result.push_back(id);
  return result;
}

} // namespace modelforge
