#pragma once

#include "tools/cli/ask.hpp"

#include <caf/action.hpp>
#include <caf/actor_clock.hpp>
#include <caf/disposable.hpp>

namespace modelforge::cli {

/// What becomes of an answer that nobody reads any more: `on_disconnect` decides. At the end of `drain_time` the
/// request is withdrawn.
class disconnect_rule {
public:
  disconnect_rule(session& session, const request_id& id) : session_(session), id_(id) {}

  ~disconnect_rule() { end_.dispose(); }

  disconnect_rule(const disconnect_rule&) = delete;
  disconnect_rule& operator=(const disconnect_rule&) = delete;

  /// Nobody reads it from now on; from any thread. Whether it is to go on all the same.
  bool reads_on() {
    auto& stream = session_.settings().stream;
    auto& clock = session_.system().clock();
    if (stream.on_disconnect == disconnect_policy::drain_for)
      end_ =
        clock.schedule(clock.now() + stream.drain_time, caf::make_action([provider = session_.provider(), id = id_] {
                         tell_from_outside(provider, cancel_atom_v, id);
                       }));
    return stream.on_disconnect != disconnect_policy::cancel;
  }

private:
  session& session_;
  request_id id_;
  caf::disposable end_;
};

} // namespace modelforge::cli
