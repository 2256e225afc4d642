#include "dispatch/journal_gate.hpp"

#include <algorithm>
#include <cmath>

namespace modelforge {

namespace {

/// What one journal allows of `limit`: the double of what goes in its time, at least what is wanted.
uint64_t allowance_of(uint64_t limit, limits::duration window, uint64_t wanted) {
  auto share =
    std::min(1.0, 2.0 * static_cast<double>(journal_gate::allowed_for.count()) / static_cast<double>(window.count()));
  auto part = static_cast<uint64_t>(std::ceil(share * static_cast<double>(limit)));
  return std::min(limit, std::max(part, wanted));
}

} // namespace

bool journal_gate::admits(uint32_t number, const limits::lane& lane, const limits::charge& cost, time_point now) {
  if (!on_)
    return true;
  auto total = cost.total();
  if (is_allowed(number, lane, total, now))
    return true;
  wanted_ = total;
  return false;
}

bool journal_gate::is_allowed(uint32_t number, const limits::lane& lane, limits::amounts wanted, time_point now) const {
  auto any = false;
  auto within = true;
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    wanted[i] = std::min(wanted[i], lane.limit(static_cast<limits::dimension>(i)).value_or(0)); // more goes alone
    any = any || wanted[i] > 0;
    within = within && wanted[i] <= left_[number][i];
  }
  return !any || (now < until_ && within);
}

void journal_gate::charge(uint32_t number, const limits::charge& cost) {
  auto total = cost.total();
  for (std::size_t i = 0; i < total.size(); ++i)
    left_[number][i] -= std::min(left_[number][i], total[i]);
}

std::vector<lane_journal> journal_gate::write(const lane_table& lanes, time_point now, bool last) {
  std::vector<lane_journal> result;
  for (uint32_t group = 0; group < lanes.groups(); ++group)
    for (uint32_t key = 0; key < lanes.keys(); ++key) {
      auto& lane = lanes.at(group, key);
      auto limited = false;
      limits::amounts allowance{};
      for (std::size_t d = 0; d < allowance.size(); ++d)
        if (auto limit = lane.limit(static_cast<limits::dimension>(d))) {
          limited = true;
          allowance[d] = last ? 0 : allowance_of(*limit, lane.limiter().window(), wanted_[d]);
        }
      left_[lanes.number_of(group, key)] = allowance;
      if (!limited)
        continue;
      limits::add(allowance, lane.limiter().pending());
      result.push_back({group, key, lane.limiter().save(now), allowance});
    }
  wanted_ = {};
  until_ = last ? now : now + allowed_for;
  return result;
}

} // namespace modelforge
