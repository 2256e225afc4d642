#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <utility>

namespace modelforge::batch {

/// Keeps a batch's window and puts results into the order of the input. Items count from 0 without gaps.
///
/// `open` bounds the items in flight; `span` bounds how far the newest item may be ahead of the oldest one that has
/// not ended, so that one slow item cannot make results pile up without end.
template <class Result>
class gather {
public:
  gather(std::size_t open, std::size_t span) : open_(open), span_(span) {}

  /// Whether one more item may start now.
  bool may_start() const { return in_flight_ < open_ && started_ - written_ < span_; }

  /// Starts the next item and returns its index.
  uint64_t start() {
    ++in_flight_;
    return started_++;
  }

  /// Takes in the result of a started item.
  void finish(uint64_t index, Result result) {
    --in_flight_;
    waiting_.emplace(index, std::move(result));
  }

  /// Returns the next result in the order of the input, if it is there.
  std::optional<Result> take() {
    auto i = waiting_.begin();
    if (i == waiting_.end() || i->first != written_)
      return {};
    auto result = std::move(i->second);
    waiting_.erase(i);
    ++written_;
    return result;
  }

  std::size_t in_flight() const { return in_flight_; }

  /// True when every started item has been taken.
  bool empty() const { return written_ == started_; }

private:
  std::size_t open_;
  std::size_t span_;
  std::size_t in_flight_ = 0;
  uint64_t started_ = 0;
  uint64_t written_ = 0;
  std::map<uint64_t, Result> waiting_;
};

} // namespace modelforge::batch
