#include "provider/heritage.hpp"

#include "provider/model_groups.hpp"

#include <algorithm>
#include <optional>
#include <string>

namespace modelforge::provider {

namespace {

/// The number that `group` of `after` had in `before`: of the same models with limits of its own, or none of its own.
std::optional<uint32_t> find_group(const provider_settings& before, const provider_settings& after, uint32_t group) {
  if (group == 0)
    return 0;
  if (limited_as(after, group) != group)
    return {};
  auto& all = before.models;
  auto i =
    std::find_if(all.begin(), all.end(), [&](auto& model) { return model.pattern == after.models[group - 1].pattern; });
  auto found = static_cast<uint32_t>(i - all.begin()) + 1;
  return i != all.end() && limited_as(before, found) == found ? std::optional{found} : std::nullopt;
}

} // namespace

// What waits was encoded for the old settings: it can still be sent by the same kind of provider, or to the same place
// with the same keys.
bool can_become(const provider_settings& from, const provider_settings& next) {
  return from.name == next.name
         && (from.kind == next.kind
             || (from.base_url == next.base_url && !next.base_url.empty() && from.keys == next.keys));
}

// Prices, names and the like may differ: lanes are told apart by server, models and credentials.
bool same_lanes(const setup& before, const setup& after) {
  auto same_group = [&](const model_settings& a, const model_settings& b) {
    auto shares = [](const model_settings& model) { return model.rate_limit == rate_limit_settings{}; };
    return a.pattern == b.pattern && shares(a) == shares(b);
  };
  auto& a = before.settings.models;
  auto& b = after.settings.models;
  return before.base_url == after.base_url && std::equal(a.begin(), a.end(), b.begin(), b.end(), same_group)
         && std::equal(before.keys.begin(), before.keys.end(), after.keys.begin(), after.keys.end(),
                       [](auto& k, auto& l) { return k.credential == l.credential; });
}

// `known` holds every credential ever had, so that one which comes back finds its lanes again. One given twice in the
// new settings is found once only: its second lane begins empty.
dispatcher::heritage heritage_of(const setup& before, const setup& after, std::vector<secret>& known) {
  dispatcher::heritage result;
  result.same_server = before.base_url == after.base_url;
  for (uint32_t group = 0; group <= after.settings.models.size(); ++group)
    result.groups.push_back(find_group(before.settings, after.settings, group));
  for (auto& key : after.keys) {
    uint32_t i = 0;
    while (
      i < known.size()
      && (!(known[i] == key.credential) || std::count(result.keys.begin(), result.keys.end(), i) > 0)) // given twice
      ++i;
    if (i == known.size())
      known.push_back(key.credential);
    result.keys.push_back(i);
  }
  result.group_of = [settings = after.settings](const std::string& model) {
    return limited_as(settings, group_of(settings, model));
  };
  return result;
}

} // namespace modelforge::provider
