#include "provider/kept_limits.hpp"

#include "config/state_folder.hpp"

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

std::vector<journal::lane> used_lanes(const setup& setup, dispatcher& from, bool last, limits::time_point now) {
  std::vector<journal::lane> result;
  for (auto& lane : from.journal(now, last))
    result.push_back({setup.lane_name({lane.group, lane.key}), lane});
  return result;
}

} // namespace

std::vector<dispatcher::journal_lane> find_lanes(const std::vector<journal::lane>& kept, const setup& setup) {
  auto lanes = setup.lanes();
  std::set<std::string> names_now, names_before;
  for (auto& lane : lanes)
    names_now.insert(setup.lane_name(lane));
  for (auto& lane : kept)
    names_before.insert(lane.name);
  std::vector<dispatcher::journal_lane> result;
  for (auto& lane : lanes) {
    auto name = setup.lane_name(lane);
    auto& key = setup.keys[lane.key].name;
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

std::optional<failure> kept_limits::open(const setup& setup) {
  auto named = !setup.runtime.state_folder.empty();
  auto folder = named ? setup.runtime.state_folder : default_state_folder();
  if (file_ || folder.empty() || folder == "none" || setup.settings.rate_limit.on_start == window_start::empty
      || !has_limits(setup.dispatch))
    return {};
  auto opened = journal::open(folder, setup.settings.name);
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

// In order of what knows best: what a provider of this name left in this process, then the file of an earlier one. With
// `on_start = "full"` all windows count as used until they have passed.
std::optional<limits::duration> kept_limits::load(const setup& setup, dispatcher& dispatcher, time_point now,
                                                  wall_time wall_now) {
  auto on_start = setup.settings.rate_limit.on_start;
  if (on_start == window_start::full)
    dispatcher.fill_windows(now);
  dispatcher.keep_journal(has_file());
  if (auto left = legacy_ ? legacy_->collect() : std::nullopt) {
    dispatcher.restore(find_lanes(left->lanes, setup), now - left->left, now);
    return {};
  }
  if (!file_ || on_start != window_start::restore)
    return {};
  auto kept = file_->read(setup.base_url);
  if (!kept)
    return {};
  dispatcher.restore(find_lanes(kept->lanes, setup), wall_now - kept->written, now);
  return wall_now - kept->written;
}

// A file that cannot be written is no reason to stop: the problem is kept for the status.
void kept_limits::save(const setup& setup, dispatcher& from, bool last, time_point now, wall_time wall_now) {
  if (!file_)
    return;
  if (auto problem = file_->write(setup.base_url, {wall_now, used_lanes(setup, from, last, now)}))
    problem_ = std::move(*problem);
}

void kept_limits::hand_on(const setup& setup, dispatcher& from, time_point now) {
  if (legacy_ && !std::exchange(is_handed_on_, true))
    legacy_->leave({now, used_lanes(setup, from, true, now)});
}

void kept_limits::take_back() {
  if (std::exchange(is_handed_on_, false))
    legacy_->collect();
}

// The file first: it must be whole even if nobody takes the legacy over.
void kept_limits::leave(const setup& setup, dispatcher& from, time_point now, wall_time wall_now) {
  save(setup, from, true, now, wall_now);
  hand_on(setup, from, now);
}

} // namespace modelforge::provider
