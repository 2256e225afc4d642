#include "node/peer_link.hpp"

#include <algorithm>
#include <utility>

namespace modelforge::node {

namespace {

const char* text_of(peer_link::state state) {
  switch (state) {
    case peer_link::state::probing:
      return "nothing answers at this address";
    case peer_link::state::connecting:
      return "something listens there, but no link came about; is it a node, and does it use TLS as this one does?";
    default:
      return "the node does not answer";
  }
}

} // namespace

link_settings link_settings_for(duration timeout) {
  link_settings result;
  result.step = timeout;
  result.max_wait = std::max<duration>(timeout / 2, result.first_wait);
  return result;
}

duration max_relink_time(duration timeout, duration heartbeat) {
  auto settings = link_settings_for(timeout);
  auto greeting = std::min<duration>(settings.step, std::chrono::seconds{1}); // what a link needs that comes about
  return timeout + 2 * heartbeat + settings.step + settings.max_wait + greeting;
}

// A step under way that has taken too long fails first; then, if it is time, a new try begins with its first step.
std::optional<peer_link::state> peer_link::next(time_point now, std::mt19937_64& random) {
  if (state_ != state::waiting && state_ != state::up && begun_ && now >= due_)
    fail(text_of(state_), now, random);
  if (state_ == state::waiting && now >= due_) {
    state_ = state::probing;
    ++attempt_;
    begun_ = false;
  }
  if (state_ == state::waiting || state_ == state::up || begun_)
    return {};
  begun_ = true;
  due_ = now + settings_.step;
  return state_;
}

// The states stand in the order of the steps, so the next one is the next number.
void peer_link::advance(time_point now) {
  if (state_ == state::waiting || state_ == state::up)
    return;
  state_ = static_cast<state>(static_cast<uint8_t>(state_) + 1);
  begun_ = false;
  due_ = now;
  if (state_ == state::up) {
    failures_ = 0;
    problem_.clear();
    since_ = now;
  }
}

// A loss of an established link is counted as a failure, too, so that two nodes whose link breaks as soon as it is up
// do not spin.
void peer_link::fail(std::string problem, time_point now, std::mt19937_64& random) {
  if (state_ == state::waiting)
    return;
  if (state_ == state::up)
    since_ = now;
  problem_ = std::move(problem);
  auto doublings = std::min(failures_++, 20u);
  auto wait = std::min(settings_.max_wait, settings_.first_wait * (1 << doublings));
  std::uniform_int_distribution<duration::rep> part{wait.count() / 2, wait.count()};
  state_ = state::waiting;
  begun_ = false;
  ++attempt_;
  due_ = now + duration{part(random)};
}

std::optional<time_point> peer_link::wake_at() const {
  if (state_ == state::up)
    return {};
  return due_;
}

} // namespace modelforge::node
