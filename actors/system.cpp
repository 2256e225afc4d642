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

void apply(const runtime_settings& from, caf::actor_system_config& to) {
  auto threads = from.threads != 0 ? from.threads : std::max(2u, std::thread::hardware_concurrency());
  use_handover(to);
  to.set("caf.scheduler.max-threads", threads);
}

void apply(const settings& from, caf::actor_system_config& to) {
  apply(from.runtime, to);
  auto& node = from.node;
  if (node.listen.empty() && node.peers.empty())
    return;
  to.load<caf::io::middleman>();
  to.set("caf.middleman.app-identifiers", std::vector<std::string>{"modelforge"}); // the nodes' greeting tells the rest
  to.set("caf.middleman.heartbeat-interval", caf::timespan{node.heartbeat});
  to.set("caf.middleman.connection-timeout", caf::timespan{node.timeout});
}

std::shared_ptr<http::client> make_transport() {
  return std::make_shared<http::transport>();
}

failure failure_of(const caf::error& x) {
  if (x.category() == caf::type_id_v<errc> && x.context().match_elements<failure>())
    return x.context().get_as<failure>(0);
  failure result;
  if (x.category() == caf::type_id_v<errc>) {
    result.code = static_cast<errc>(x.code());
    result.message = to_string(result.code);
  } else if (x == caf::sec::request_timeout) {
    result.code = errc::deadline_exceeded;
    result.message = "no answer within the time the caller allowed";
  } else if (x == caf::sec::request_receiver_down) {
    result.code = errc::draining;
    result.message = "the actor that was asked has ended";
  } else {
    result.code = errc::outcome_unknown;
    result.message = "the actor that had the request ended before it answered (" + to_string(x) + ")";
  }
  return result;
}

} // namespace modelforge
