#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

namespace modelforge::batch {

/// A set of 64-bit hashes, 11 to 22 bytes each. Two different ids meet by chance once in 2^64 pairs.
class hash_set {
public:
  /// Returns false if it was there.
  bool insert(uint64_t x) {
    x += x == 0; // 0 marks a free place
    if (4 * (size_ + 1) > 3 * places_.size())
      grow();
    auto& place = find(x);
    if (place == x)
      return false;
    place = x;
    ++size_;
    return true;
  }

private:
  uint64_t& find(uint64_t x) {
    auto mask = places_.size() - 1;
    auto i = x & mask;
    while (places_[i] != 0 && places_[i] != x)
      i = (i + 1) & mask;
    return places_[i];
  }

  void grow() {
    auto old = std::exchange(places_, std::vector<uint64_t>(std::max<std::size_t>(64, 2 * places_.size())));
    for (auto x : old)
      if (x != 0)
        find(x) = x;
  }

  std::vector<uint64_t> places_;
  std::size_t size_ = 0;
};

/// The ids that a batch's input has used, as hashes; in parts that grow one at a time, so that a large one is never in
/// memory twice.
class id_set {
public:
  /// Returns false if it was there.
  bool insert(const std::string& id) {
    auto hash = static_cast<uint64_t>(std::hash<std::string>{}(id));
    return parts_[hash >> 58].insert(hash);
  }

private:
  std::array<hash_set, 64> parts_;
};

} // namespace modelforge::batch
