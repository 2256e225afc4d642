#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace modelforge::log {

/// What waits to be written, bounded in number and bytes. What finds no room is dropped and counted: the newest, since
/// how trouble began tells more than how it went on. Not synchronized.
template <class T>
class backlog {
public:
  backlog(std::size_t max_count, std::size_t max_bytes) : max_count_(max_count), max_bytes_(max_bytes) {}

  /// Returns false if there is no room for it.
  bool push(T what, std::size_t bytes) {
    if (waiting_.size() >= max_count_ || bytes_ + bytes > max_bytes_) {
      ++dropped_;
      return false;
    }
    bytes_ += bytes;
    waiting_.push_back(std::move(what));
    return true;
  }

  std::size_t size() const { return waiting_.size(); }

  bool empty() const { return waiting_.empty() && dropped_ == 0; }

  /// Whether it is so full that its reader had better hurry.
  bool is_crowded() const { return waiting_.size() > max_count_ / 4 || bytes_ > max_bytes_ / 4; }

  struct content {
    std::vector<T> waiting;
    uint64_t dropped = 0; ///< Behind these.
  };

  content take() {
    bytes_ = 0;
    return {std::exchange(waiting_, {}), std::exchange(dropped_, 0)};
  }

private:
  std::size_t max_count_;
  std::size_t max_bytes_;
  std::vector<T> waiting_;
  std::size_t bytes_ = 0;
  uint64_t dropped_ = 0;
};

} // namespace modelforge::log
