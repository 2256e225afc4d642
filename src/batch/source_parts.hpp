#pragma once

#include "batch/id_set.hpp"
#include "batch/reader.hpp"

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

/// What the sources of a batch's items share.

namespace modelforge::batch {

/// FNV-1a, folded; never 0.
inline uint32_t sum_of(std::string_view line) {
  uint64_t hash = 0xcbf29ce484222325;
  for (unsigned char c : line)
    hash = (hash ^ c) * 0x100000001b3;
  return std::max<uint32_t>(1, static_cast<uint32_t>(hash ^ (hash >> 32)));
}

inline failure refuse(std::string message) {
  failure x;
  x.code = errc::invalid_request;
  x.message = std::move(message);
  return x;
}

/// Completes an item: refuses an id that was used before, and has a failure name the item's `place`, e.g. "in.csv:7".
inline void complete(item& x, id_set& used, const std::string& place) {
  if (!used.insert(x.custom_id) && !std::holds_alternative<failure>(x.request))
    x.request = refuse("the custom_id " + x.custom_id + " has been used by an earlier line");
  if (auto* problem = std::get_if<failure>(&x.request))
    problem->message = place + ": " + problem->message;
}

} // namespace modelforge::batch
