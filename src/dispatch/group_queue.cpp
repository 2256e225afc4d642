#include "dispatch/group_queue.hpp"

#include <algorithm>

namespace modelforge {

namespace {

/// A queue of no more is looked at anew for each request that comes.
constexpr std::size_t max_short_queue = 16;

/// So many of the latest requests make what is usual.
constexpr uint64_t max_usual = 64;

} // namespace

void group_queue::push(limits::fair_queue::item& item, const dispatch_offer& of) {
  auto& queue = queues_[index(of.rank)];
  queue.push(item, of.tenant, of.node);
  limits::add(models_[of.model][index(of.rank)], item.takes);
  if (queue.front() == &item || queue.size() <= max_short_queue || held_by_model_)
    changed_ = true;
}

void group_queue::remove(limits::fair_queue::item& item, const dispatch_offer& of, bool served) {
  auto& queue = queues_[index(of.rank)];
  if (served)
    queue.pop(item);
  else
    queue.erase(item);
  if (auto i = models_.find(of.model); i != models_.end()) {
    auto& waiting = i->second[index(of.rank)];
    for (std::size_t d = 0; d < waiting.size(); ++d)
      waiting[d] -= std::min(waiting[d], item.takes[d]);
    if (i->second == std::array<limits::amounts, 2>{})
      models_.erase(i);
  }
  changed_ = true;
}

group_queue::backlog group_queue::ahead_of(priority rank, const dispatch_offer* of, const std::string& model,
                                           uint32_t keys) const {
  auto in_queue = [&](priority which) {
    auto& queue = queues_[index(which)];
    return of != nullptr && which == rank ? queue.ahead_of(of->tenant, of->node) : queue.all();
  };
  backlog result;
  result.all = in_queue(priority::interactive);
  if (rank == priority::batch)
    limits::add(result.all, in_queue(priority::batch));
  if (auto i = models_.find(model); i != models_.end()) {
    result.of_model = i->second[index(priority::interactive)];
    if (rank == priority::batch)
      limits::add(result.of_model, i->second[index(priority::batch)]);
  }
  for (std::size_t i = 0; i < result.all.size(); ++i) {
    result.of_model[i] = std::min(result.of_model[i], result.all[i]) / keys;
    result.all[i] /= keys;
  }
  return result;
}

void group_queue::note_taken(const limits::amounts& takes, const std::string& model) {
  if (usual_count_ >= max_usual) { // remember the latest ones more
    for (auto& amount : usual_)
      amount /= 2;
    usual_count_ /= 2;
  }
  limits::add(usual_, takes);
  ++usual_count_;
  latest_model_ = model;
}

limits::charge group_queue::usual_cost() const {
  limits::charge result;
  if (usual_count_ == 0)
    return result;
  result.arriving = usual_;
  for (auto& amount : result.arriving)
    amount = (amount + usual_count_ - 1) / usual_count_;
  return result;
}

void group_queue::inherit(const group_queue& before) {
  usual_ = before.usual_;
  usual_count_ = before.usual_count_;
  latest_model_ = before.latest_model_;
}

void group_queue::hold(time_point until, wait_reason why, bool only_model) {
  blocked_until_ = until;
  held_by_ = why;
  held_by_model_ = only_model;
  changed_ = false;
}

} // namespace modelforge
