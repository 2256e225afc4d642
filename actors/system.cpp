#include <modelforge/actors/system.hpp>
#include <modelforge/config/settings.hpp>

#include "actors/support/scheduler.hpp"
#include "http/transport.hpp"

#include <caf/actor_system_config.hpp>
#include <caf/config.hpp>
#include <caf/io/middleman.hpp>
#include <caf/sec.hpp>

#include <algorithm>
#include <thread>

namespace modelforge {

// At least two threads, or one blocking callback would stop all actors.
void apply(const runtime_settings& from, caf::actor_system_config& config) {
  auto threads = from.threads != 0 ? from.threads : std::max(2u, std::thread::hardware_concurrency());
  use_handover(config);
  config.set("caf.scheduler.max-threads", threads);
}

void apply(const settings& from, caf::actor_system_config& config) {
  apply(from.runtime, config);
  auto& node = from.node;
  if (node.listen.empty() && node.peers.empty())
    return;
  config.load<caf::io::middleman>();
  config.set("caf.middleman.app-identifiers",
             std::vector<std::string>{"modelforge"}); // the nodes' greeting tells the rest
  config.set("caf.middleman.heartbeat-interval", caf::timespan{node.heartbeat});
  config.set("caf.middleman.connection-timeout", caf::timespan{node.timeout});
}

std::shared_ptr<http::client> make_transport() {
  return std::make_shared<http::transport>();
}

// CAF's errors by what they mean to the caller: a timeout of its own, an actor that was gone already, or one that died
// with the request, of which nobody knows whether it ran.
failure failure_of(const caf::error& reason) {
  if (reason.category() == caf::type_id_v<errc> && reason.context().match_elements<failure>())
    return reason.context().get_as<failure>(0);
  failure result;
  if (reason.category() == caf::type_id_v<errc>) {
    result.code = static_cast<errc>(reason.code());
    result.message = to_string(result.code);
  } else if (reason == caf::sec::request_timeout) {
    result.code = errc::deadline_exceeded;
    result.message = "no answer within the time the caller allowed";
  } else if (reason == caf::sec::request_receiver_down) {
    result.code = errc::draining;
    result.message = "the actor that was asked has ended";
  } else {
    result.code = errc::outcome_unknown;
    result.message = "the actor that had the request ended before it answered (" + to_string(reason) + ")";
  }
  return result;
}

} // namespace modelforge
