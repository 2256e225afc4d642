#pragma once

#include "cluster/boot_clock.hpp"
#include "cluster/store.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

namespace modelforge::cluster {

using question_id = uint64_t; ///< Never used twice by one asker; 0: none.

/// The questions that are not answered, so that each answer is held against what was asked, and when. Answers may come
/// late and in any order; of very many questions without an answer the oldest are forgotten, and their answers unknown.
class outstanding {
public:
  struct entry {
    question_id id = 0;
    question what;
    time_point sent{};
    revision newest = 0; ///< The newest revision that was known then: no honest answer is older.
  };

  static constexpr std::size_t max_size = 32;

  question_id add(question what, revision newest, time_point now) {
    if (entries_.size() == max_size)
      entries_.erase(entries_.begin());
    entries_.push_back({++last_, std::move(what), now, newest});
    return last_;
  }

  /// Takes one out; empty: there is none of that id (any more).
  std::optional<entry> take(question_id id) {
    auto found = std::find_if(entries_.begin(), entries_.end(), [id](auto& x) { return x.id == id; });
    if (found == entries_.end())
      return {};
    std::optional<entry> result{std::move(*found)};
    entries_.erase(found);
    return result;
  }

  std::size_t size() const { return entries_.size(); }

private:
  std::vector<entry> entries_; ///< In the order of their sending.
  question_id last_ = 0;
};

} // namespace modelforge::cluster
