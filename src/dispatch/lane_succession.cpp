#include "dispatch/lane_succession.hpp"

#include <algorithm>
#include <numeric>
#include <unordered_map>
#include <utility>

namespace modelforge {

lane_succession::lane_succession(uint32_t keys) : credentials_(keys) {
  std::iota(credentials_.begin(), credentials_.end(), 0u);
}

void lane_succession::succeed(lane_table& lanes, const dispatcher_settings& settings, const lane_heritage& of,
                              const flight_list& flights, time_point now) {
  auto credentials_before = std::exchange(credentials_, of.keys);
  auto before = lanes.release();
  auto from = predecessors(before, credentials_before);
  lanes.assign(make_lanes(before, credentials_before, settings, of), std::max(1u, settings.keys));
  for (auto& each : from)
    if (auto key = key_of(each.credential)) {
      share_unknown(lanes, each, *key, of);
      move_charges(lanes, *each.lane, *key, of, flights, now);
    }
  std::erase_if(departed_, [this](auto& lane) { return key_of(lane.credential).has_value(); });
  for (std::size_t i = 0; i < before.size(); ++i) {
    auto credential = credentials_before[i % credentials_before.size()];
    if (before[i] == nullptr || key_of(credential))
      continue;
    for (auto* flight : flights)
      if (flight->lane == before[i].get())
        flight->key = lane_flight::no_key;
    departed_.push_back({std::move(before[i]), credential});
  }
  forget_departed(flights, now);
}

std::optional<uint32_t> lane_succession::key_of(uint32_t credential) const {
  auto i = std::find(credentials_.begin(), credentials_.end(), credential);
  return i != credentials_.end() ? std::optional{static_cast<uint32_t>(i - credentials_.begin())} : std::nullopt;
}

/// All lanes that there were, the departed ones included.
std::vector<lane_succession::predecessor>
lane_succession::predecessors(const lane_table::list& before, const std::vector<uint32_t>& credentials) const {
  std::vector<predecessor> result;
  for (std::size_t i = 0; i < before.size(); ++i)
    result.push_back({before[i].get(), credentials[i % credentials.size()], before[i]->unknown()});
  for (auto& lane : departed_)
    result.push_back({lane.lane.get(), lane.credential, lane.lane->unknown()});
  return result;
}

/// Makes the lanes of the settings; those that were there are taken from `before`.
lane_table::list lane_succession::make_lanes(lane_table::list& before, const std::vector<uint32_t>& credentials_before,
                                             const dispatcher_settings& settings, const lane_heritage& of) const {
  std::vector<std::optional<std::size_t>> key_before; // by key
  std::vector<std::shared_ptr<limits::key_slots>> slots;
  for (auto credential : credentials_) {
    auto i = std::find(credentials_before.begin(), credentials_before.end(), credential);
    auto is_old = i != credentials_before.end();
    key_before.push_back(is_old ? std::optional{static_cast<std::size_t>(i - credentials_before.begin())}
                                : std::nullopt);
    slots.push_back(is_old ? before[*key_before.back()]->key() : std::make_shared<limits::key_slots>());
    for (auto& lane : departed_)
      if (lane.credential == credential)
        slots.back() = lane.lane->key();
  }
  lane_table::list result;
  for (uint32_t group = 0; group < of.groups.size(); ++group)
    for (std::size_t key = 0; key < credentials_.size(); ++key) {
      std::unique_ptr<limits::lane> lane;
      if (of.same_server && of.groups[group] && key_before[key])
        lane = std::move(before[*of.groups[group] * credentials_before.size() + *key_before[key]]);
      if (lane == nullptr)
        lane = std::make_unique<limits::lane>(lane_table::settings_of(settings, group), slots[key]);
      result.push_back(std::move(lane));
    }
  return result;
}

/// What nobody knows the models of counts in each lane where it may belong: in the new ones, and, of a lane that is no
/// more, in all. Those that stay have their own.
void lane_succession::share_unknown(lane_table& lanes, const predecessor& from, uint32_t key, const lane_heritage& of) {
  auto stays = lanes.contains(from.lane);
  auto is_new = [&](uint32_t group) { return !of.same_server || !of.groups[group]; };
  for (uint32_t group = 0; group < lanes.groups(); ++group)
    if (auto& lane = lanes.at(group, key); &lane != from.lane && (!stays || is_new(group)))
      lane.take_over_unknown(from.unknown);
  for (uint32_t group = 0; group < lanes.groups(); ++group)
    if (auto& lane = lanes.at(group, key); of.same_server && is_new(group))
      lane.wait_as(*from.lane);
}

/// What a lane has charged goes with the models that took it to where they belong now, and so do attempts under way.
void lane_succession::move_charges(lane_table& lanes, limits::lane& from, uint32_t key, const lane_heritage& of,
                                   const flight_list& flights, time_point now) {
  struct home {
    limits::lane* lane;
    std::string model;
  };
  std::unordered_map<const limits::model_limits*, home> homes;
  for (auto& [model, limits] : from.models()) {
    if (model.empty()) // see `share_unknown`
      continue;
    auto& lane = lanes.at(of.group_of(model), key);
    homes.emplace(limits, home{&lane, model});
    if (&lane != &from)
      lane.take_over(model, from, of.same_server, now);
  }
  auto stays = lanes.contains(&from);
  for (auto* flight : flights) {
    if (flight->lane != &from)
      continue;
    flight->key = key;
    auto i = homes.find(flight->attempt.model.get());
    auto to = i != homes.end() ? i->second : home{stays ? &from : &lanes.at(0, key), {}};
    if (to.lane != &from)
      to.lane->take_over(flight->attempt, from, to.model, now);
    flight->lane = to.lane;
  }
}

void lane_succession::forget_departed(const flight_list& flights, time_point now) {
  std::erase_if(departed_, [&](auto& departed) {
    auto* lane = departed.lane.get();
    return lane->limiter().live(now) == limits::amounts{}
           && std::none_of(flights.begin(), flights.end(), [lane](auto* flight) { return flight->lane == lane; });
  });
}

} // namespace modelforge
