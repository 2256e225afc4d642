#include "actors/refusing_provider.hpp"
#include "actors/support/error_of.hpp"

#include <caf/actor_system.hpp>
#include <caf/typed_event_based_actor.hpp>

namespace modelforge {

provider_actor spawn_refusing_provider(caf::actor_system& system, const failure& why) {
  auto error = error_of(why);
  return system.spawn([error](provider_actor::pointer) -> provider_actor::behavior_type {
    return {
      [=](const chat_request&) -> caf::result<completion> { return error; },
      [=](const stream_request&, const stream_subscriber_actor&) -> caf::result<stream_session_actor> { return error; },
      [=](const embedding_request&) -> caf::result<embedding> { return error; },
      [=](const batch_job_request&, const batch_job_listener_actor&) -> caf::result<batch_job_actor> { return error; },
      [=](models_atom) -> caf::result<model_list> { return error; },
      [](cancel_atom, request_id) {},
      [=](status_atom) -> caf::result<provider_status> { return error; },
      [](drain_atom, caf::timespan) {},
      [](const request_id&, const attempts_made&) {},
      [](received_atom, uint64_t) {},
    };
  });
}

} // namespace modelforge
