#include "provider/kept_limits.hpp"

#include <algorithm>
#include <set>

namespace modelforge::provider {

namespace {

bool has_limits(const dispatcher_settings& settings) {
  return std::any_of(settings.groups.begin(), settings.groups.end(), [](auto& group) {
    auto& limits = group.limits.per_minute;
    return std::any_of(limits.begin(), limits.end(), [](auto& limit) { return limit.has_value(); });
  });
}

std::vector<journal::lane> used_lanes(const setup& of, dispatcher& from, bool last, limits::time_point now) {
  std::vector<journal::lane> result;
  for (auto& lane : from.journal(now, last))
    result.push_back({of.lane_name({lane.group, lane.key}), lane});
  return result;
}

} // namespace

std::vector<dispatcher::journal_lane> find_lanes(const std::vector<journal::lane>& kept, const setup& of) {
  auto lanes = of.lanes();
  std::set<std::string> names_now, names_before;
  for (auto& lane : lanes)
    names_now.insert(of.lane_name(lane));
  for (auto& lane : kept)
    names_before.insert(lane.name);
  std::vector<dispatcher::journal_lane> result;
  for (auto& lane : lanes) {
    auto name = of.lane_name(lane);
    auto& key = of.keys[lane.key].name;
    for (auto& candidate : kept) {
      auto same_key = candidate.name == key || candidate.name.starts_with(key + "/");
      auto is_unsure = names_now.count(candidate.name) == 0 || names_before.count(name) == 0;
      if (candidate.name == name || (same_key && is_unsure)) {
        result.push_back(candidate.is);
        result.back().group = lane.group;
        result.back().key = lane.key;
      }
    }
  }
  return result;
}

std::optional<failure> kept_limits::open(const setup& of) {
  auto named = !of.runtime.state_folder.empty();
  auto folder = named ? of.runtime.state_folder : default_state_folder();
  if (file_ || folder.empty() || folder == "none" || of.settings.rate_limit.on_start == window_start::empty
      || !has_limits(of.dispatch))
    return {};
  auto opened = journal::open(folder, of.settings.name);
  if (auto* problem = std::get_if<std::string>(&opened)) {
    if (named)
      return make_failure(errc::configuration, *problem,
                          "runtime.state_folder must be a folder that can be written; \"none\" does without");
    problem_ = *problem;
    return {};
  }
  auto& journal = std::get<0>(opened);
  if (journal.is_taken())
    problem_ = "another process uses this provider too: together they may exceed its limits";
  file_.emplace(std::move(journal));
  return {};
}

void kept_limits::load(const setup& of, dispatcher& to, time_point now, wall_time wall_now) {
  auto on_start = of.settings.rate_limit.on_start;
  if (on_start == window_start::full)
    to.fill_windows(now);
  to.keep_journal(has_file());
  if (auto left = legacy_ ? legacy_->collect() : std::nullopt)
    return to.restore(find_lanes(left->lanes, of), now - left->left, now);
  if (!file_)
    return;
  if (auto kept = file_->read(of.base_url); kept && on_start == window_start::restore)
    to.restore(find_lanes(kept->lanes, of), wall_now - kept->written, now);
}

void kept_limits::save(const setup& of, dispatcher& from, bool last, time_point now, wall_time wall_now) {
  if (!file_)
    return;
  if (auto problem = file_->write(of.base_url, {wall_now, used_lanes(of, from, last, now)}))
    problem_ = std::move(*problem);
}

void kept_limits::hand_on(const setup& of, dispatcher& from, time_point now) {
  if (legacy_ && !std::exchange(is_handed_on_, true))
    legacy_->leave({now, used_lanes(of, from, true, now)});
}

void kept_limits::take_back() {
  if (std::exchange(is_handed_on_, false))
    legacy_->collect();
}

void kept_limits::leave(const setup& of, dispatcher& from, time_point now, wall_time wall_now) {
  save(of, from, true, now, wall_now);
  hand_on(of, from, now);
}

} // namespace modelforge::provider
