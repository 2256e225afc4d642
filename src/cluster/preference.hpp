#pragma once

#include "cluster/boot_clock.hpp"

#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

/// Which of several nodes is to own a provider.

namespace modelforge::cluster {

/// The place of a node in the order of preference, from 0 on: first the one that an operator has `placed` the provider
/// at (if it is one of them), then as they are named; behind all of them who is not.
inline std::size_t rank_of(std::string_view node, const std::vector<std::string>& nodes, std::string_view placed) {
  auto find = [&](std::string_view name) {
    return static_cast<std::size_t>(std::find(nodes.begin(), nodes.end(), name) - nodes.begin());
  };
  auto place = find(node);
  auto first = find(placed);
  if (first == nodes.size() || place == nodes.size())
    return place;
  return place == first ? 0 : place + (place < first ? 1 : 0);
}

/// How long a node of that rank leaves a free provider to those before it: long enough for them to see it and ask for
/// it, and for none so long that a planned move takes half a second.
inline duration wait_of(std::size_t rank, std::size_t nodes) {
  using namespace std::chrono_literals;
  if (rank == 0)
    return 0ms;
  auto step = std::min<duration>(40ms, duration{100ms} / static_cast<int64_t>(std::max<std::size_t>(nodes, 1)));
  return 100ms + static_cast<int64_t>(std::min(rank, nodes) - 1) * step;
}

} // namespace modelforge::cluster
