#pragma once

#include <modelforge/messages/errc.hpp>

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <utility>
#include <variant>

namespace modelforge::node {

/// Decides what becomes of calls to a provider that another node owns: which go out, which wait for the owner's return,
/// which end. An owner that is lost has possibly made what it was sent: that counts as one attempt.
///
/// A plain class: `now` comes as an argument and never goes back. After every call the owner takes `next` until it is
/// empty, and comes back at `wake_at`.
class pending_calls {
public:
  using duration = std::chrono::nanoseconds;
  using time_point = std::chrono::steady_clock::time_point;
  using call_id = uint64_t; ///< Never used twice.

  struct settings {
    bool retry_uncertain = true; ///< Whether a call that may have been made goes out again.
    uint32_t max_attempts = 3;   ///< The first one included.
    /// How long after its loss an owner is expected back, and after the start to come. Calls wait for it meanwhile;
    /// later they end at once.
    duration patience = std::chrono::seconds{4};
    /// The owner keeps the deadlines. A call that it has not answered so long behind its own ends here.
    duration slack = std::chrono::seconds{5};
  };

  pending_calls(const settings& x, time_point now) : settings_(x), lost_at_(now) {}

  /// Takes a call; returns its id.
  call_id add(std::optional<time_point> deadline, time_point now);

  /// It was answered, or is not wanted any more. An unknown id is no error.
  void remove(call_id x);

  /// The owner can be reached from now on.
  void up(time_point now);

  /// The owner is lost. Calls that were sent go back or end.
  void lost(time_point now);

  /// It is lost, and not expected back before the next `up`.
  void give_up(time_point now);

  struct send {
    call_id call = 0;
    uint32_t attempt = 1;
  };

  /// The call is over; it is forgotten already.
  struct end {
    call_id call = 0;
    /// `node_lost`: it never went out, or its attempts are used up; `outcome_unknown`: it may have been made and must
    /// not be sent again; `deadline_exceeded`.
    errc code = errc::node_lost;
    uint32_t attempts = 0; ///< That went out.
  };

  using step = std::variant<send, end>;

  std::optional<step> next(time_point now);

  std::optional<time_point> wake_at() const;

  bool is_up() const { return up_; }
  std::size_t size() const { return calls_.size(); }

  /// Whether calls wait for the owner now, rather than end at once.
  bool expects_owner(time_point now) const { return up_ || now < lost_at_ + settings_.patience; }

private:
  struct call {
    std::optional<time_point> deadline;
    uint32_t attempts = 0;
    bool sent = false;
    std::optional<errc> over;
    std::optional<time_point> due; ///< Its entry in `due_`.
  };

  void set_due(call_id id, call& x);

  settings settings_;
  bool up_ = false;
  time_point lost_at_; ///< Or of the start.
  call_id last_ = 0;
  std::map<call_id, call> calls_; ///< In the order of their coming.
  std::set<call_id> ready_;       ///< Those that `next` is to look at.
  std::set<std::pair<time_point, call_id>> due_;
};

} // namespace modelforge::node
