#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace modelforge::batch {

/// Knows which owners have an item: ranges of items are added in any order, then looked up in the time of a binary
/// search. Ranges may overlap; where many do, a look-up visits what begins before the item and reaches behind it.
template <class Owner>
class item_ranges {
public:
  /// Both ends belong to it. An empty range (`last` < `first`) has no items.
  void add(uint64_t first, uint64_t last, Owner owner) {
    if (last < first)
      return;
    ranges_.push_back({first, last, last, owner});
    sorted_ = false;
  }

  /// Calls `f(owner)` for each range that has the item.
  template <class F>
  void each_owner(uint64_t item, F f) {
    sort();
    auto behind =
      std::upper_bound(ranges_.begin(), ranges_.end(), item, [](uint64_t x, const range& y) { return x < y.first; });
    while (behind != ranges_.begin() && (--behind)->furthest >= item)
      if (behind->last >= item)
        f(behind->owner);
  }

  /// Forgets all, and gives the memory back.
  void clear() { ranges_ = {}; }

private:
  struct range {
    uint64_t first;
    uint64_t last;
    uint64_t furthest; ///< The largest `last` up to here.
    Owner owner;
  };

  void sort() {
    if (sorted_)
      return;
    std::sort(ranges_.begin(), ranges_.end(), [](const range& x, const range& y) { return x.first < y.first; });
    uint64_t furthest = 0;
    for (auto& x : ranges_)
      x.furthest = furthest = std::max(furthest, x.last);
    sorted_ = true;
  }

  std::vector<range> ranges_;
  bool sorted_ = true;
};

} // namespace modelforge::batch
