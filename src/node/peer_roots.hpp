#pragma once

#include <algorithm>
#include <chrono>
#include <iterator>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace modelforge::node {

/// By whom each node is reached that has greeted this one. Several may live that greeted by one name: links to two of
/// its addresses, its program started anew before its old link is known to be dead, or another node that merely calls
/// itself so. One of them is in charge: one that was found at a configured address before one that came by itself, and
/// the earlier before the later; it stays so while it lives, and then the next takes its place.
template <class Root>
class peer_roots {
public:
  using time_point = std::chrono::steady_clock::time_point;

  /// `root` has greeted as `name`. Returns whether it was not known by that name; it may come again, by another way.
  bool add(const std::string& name, const Root& root, bool configured, time_point now) {
    auto& all = roots_[name];
    auto known = std::find_if(all.begin(), all.end(), [&](auto& x) { return x.root == root; });
    auto is_new = known == all.end();
    if (is_new)
      all.push_back({root, configured, now});
    else
      known->configured = known->configured || configured;
    std::stable_partition(all.begin(), all.end(), [](auto& x) { return x.configured; });
    return is_new;
  }

  /// It is lost. Returns the names that it was in charge of.
  template <class Key>
  std::vector<std::string> remove(const Key& root) {
    std::vector<std::string> result;
    for (auto i = roots_.begin(); i != roots_.end();) {
      auto& all = i->second;
      if (all.front().root == root)
        result.push_back(i->first);
      std::erase_if(all, [&](auto& x) { return x.root == root; });
      i = all.empty() ? roots_.erase(i) : std::next(i);
    }
    return result;
  }

  /// Who is in charge; null: nobody.
  const Root* find(const std::string& name) const {
    auto i = roots_.find(name);
    return i != roots_.end() ? &i->second.front().root : nullptr;
  }

  /// Calls `f` with the name of each node that can be reached, and since when it can by who is in charge.
  template <class F>
  void for_each(F f) const {
    for (auto& [name, all] : roots_)
      f(name, all.front().since);
  }

private:
  struct entry {
    Root root;
    bool configured = false;
    time_point since;
  };

  std::map<std::string, std::vector<entry>> roots_; ///< None is empty; the first is in charge.
};

} // namespace modelforge::node
