#pragma once

#include <modelforge/messages/request_id.hpp>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <optional>
#include <vector>

namespace modelforge::retry {

/// Requests by the time at which something is due for them: a heap whose entries are dropped late. Who owns the
/// requests says which entries still hold (`is_current(id, due)`), so that moving a time, or taking one back, costs
/// nothing.
class due_queue {
public:
  using time_point = std::chrono::steady_clock::time_point;

  void push(time_point due, request_id id) {
    heap_.push_back({due, id});
    std::push_heap(heap_.begin(), heap_.end(), later);
  }

  /// The earliest one that holds, left in place.
  template <class F>
  std::optional<time_point> earliest(F is_current) {
    while (!heap_.empty() && !is_current(heap_.front().id, heap_.front().due))
      drop();
    if (heap_.empty())
      return {};
    return heap_.front().due;
  }

  /// Takes the first entry out, just after `earliest` found that it holds.
  request_id take() {
    auto id = heap_.front().id;
    drop();
    return id;
  }

  /// Drops what does not hold any more once that is most of what there is; `live`: how many hold, or more.
  template <class F>
  void tidy(std::size_t live, F is_current) {
    if (heap_.size() < 2 * live + 1024)
      return;
    std::erase_if(heap_, [&](auto& x) { return !is_current(x.id, x.due); });
    std::make_heap(heap_.begin(), heap_.end(), later);
  }

  /// Entries kept, those that do not hold any more included.
  std::size_t size() const { return heap_.size(); }

private:
  struct entry {
    time_point due;
    request_id id;
  };

  static bool later(const entry& x, const entry& y) { return x.due > y.due; }

  void drop() {
    std::pop_heap(heap_.begin(), heap_.end(), later);
    heap_.pop_back();
  }

  std::vector<entry> heap_;
};

} // namespace modelforge::retry
