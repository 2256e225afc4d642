#include "batch/run_shares.hpp"

#include <algorithm>

namespace modelforge::batch {

void run_shares::begin(uint64_t offset, const run_terms& made_with) {
  runs_.push_back({offset, {made_with}});
}

uint64_t& run_shares::count_at(uint64_t offset, bool ok) {
  auto behind = std::upper_bound(runs_.begin() + 1, runs_.end(), offset,
                                 [](uint64_t place, const run& x) { return place < x.offset; });
  auto& results = (behind - 1)->results;
  return ok ? results.ok : results.failed;
}

std::vector<run_shares::share> run_shares::shares() const {
  std::vector<share> all;
  for (auto& run : runs_) {
    if (run.results.ok + run.results.failed == 0)
      continue;
    auto same = std::find_if(all.begin(), all.end(), [&](auto& x) { return x.made_with == run.results.made_with; });
    if (same == all.end()) {
      all.push_back(run.results);
    } else {
      same->ok += run.results.ok;
      same->failed += run.results.failed;
    }
  }
  return all;
}

std::string differences(const run_terms& before, const run_terms& now) {
  std::string text;
  for (auto& [name, value] : before)
    if (auto found = now.find(name); found != now.end() && found->second != value)
      text += (text.empty() ? "" : "; ") + name + ": " + value + ", now " + found->second;
  return text;
}

} // namespace modelforge::batch
