#pragma once

#include "http/transfer.hpp"

#include <set>
#include <utility>

namespace modelforge::http {

/// When transfers time out: the one place for timers of the transport, on its thread.
///
/// A transfer has at most one place here, and that is never later than its `deadline()`. Each byte moves the deadline
/// back, so the place is left where it is: when it falls due, the caller asks for the deadline again, and arms the
/// transfer anew or ends it.
class deadlines {
public:
  /// Gives the transfer a place, or an earlier one, where its `deadline()` wants one.
  void arm(transfer& transfer) {
    auto next = transfer.deadline();
    if (next == steady::time_point::max() || transfer.state.ending)
      return;
    if (transfer.state.armed != steady::time_point{}) {
      if (transfer.state.armed <= next)
        return;
      places_.erase({transfer.state.armed, &transfer});
    }
    transfer.state.armed = next;
    places_.emplace(next, &transfer);
  }

  void disarm(transfer& transfer) {
    if (transfer.state.armed != steady::time_point{})
      places_.erase({std::exchange(transfer.state.armed, {}), &transfer});
  }

  /// Takes the earliest transfer whose place is due out; null: none is.
  transfer* take_due(steady::time_point now) {
    if (places_.empty() || places_.begin()->first > now)
      return nullptr;
    auto* due = places_.begin()->second;
    places_.erase(places_.begin());
    due->state.armed = {};
    return due;
  }

  bool empty() const { return places_.empty(); }

  /// `time_point::max()` if there is none.
  steady::time_point next() const { return places_.empty() ? steady::time_point::max() : places_.begin()->first; }

private:
  std::set<std::pair<steady::time_point, transfer*>> places_;
};

} // namespace modelforge::http
