#pragma once

#include "tools/simulator/random.hpp"
#include "tools/simulator/text.hpp"

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace modelforge::simulator {

/// A file that was uploaded, or that a job left.
struct stored_file {
  std::string name;
  std::string purpose;
  int64_t created = 0; ///< Seconds since 1970.
  std::string content;
};

/// The files of a provider, in memory until somebody deletes them.
class file_shelf {
public:
  /// Returns the new file's id.
  std::string add(stored_file file) {
    ++count_;
    auto id = "file-" + hex(mix(count_)) + hex(mix(~count_), 6);
    files_.emplace(id, std::move(file));
    order_.push_back(id);
    return id;
  }

  /// Null where there is none.
  const stored_file* find(std::string_view id) const {
    auto found = files_.find(id);
    return found == files_.end() ? nullptr : &found->second;
  }

  /// Returns whether there was one.
  bool remove(std::string_view id) {
    auto found = files_.find(id);
    if (found == files_.end())
      return false;
    files_.erase(found);
    std::erase(order_, id);
    return true;
  }

  /// Returns the ids of all files, in the order in which they were added.
  const std::vector<std::string>& ids() const { return order_; }

private:
  std::map<std::string, stored_file, std::less<>> files_; ///< By id.
  std::vector<std::string> order_;
  uint64_t count_ = 0; ///< Ever added.
};

} // namespace modelforge::simulator
