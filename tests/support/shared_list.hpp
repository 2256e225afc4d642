#pragma once

#include <cstddef>
#include <mutex>
#include <utility>
#include <vector>

namespace modelforge::test {

/// What a server's thread keeps for the test that looks at it. That the program which asked has ended orders nothing
/// between the two, so each look takes a copy under the lock.
template <class T>
class shared_list {
public:
  /// Returns how many there are with it.
  std::size_t add(T item) {
    std::lock_guard guard{mutex_};
    items_.push_back(std::move(item));
    return items_.size();
  }

  std::vector<T> all() const {
    std::lock_guard guard{mutex_};
    return items_;
  }

  void clear() {
    std::lock_guard guard{mutex_};
    items_.clear();
  }

private:
  mutable std::mutex mutex_;
  std::vector<T> items_;
};

} // namespace modelforge::test
