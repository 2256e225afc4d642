#include "actors/node_port.hpp"

#include "actors/peer_port.hpp"
#include "log/logger.hpp"
#include "node/peer_link.hpp"

#include <caf/actor_cast.hpp>
#include <caf/actor_system.hpp>
#include <caf/typed_event_based_actor.hpp>

#include <algorithm>
#include <chrono>
#include <string>
#include <utility>
#include <vector>

namespace modelforge {

uint64_t max_message_of(const node_settings& settings) {
  return std::max<uint64_t>(64u << 20, 2 * settings.max_message_bytes);
}

std::variant<std::shared_ptr<node::credentials>, failure> read_credentials(const node_settings& settings) {
  if (!uses_tls(settings))
    return std::shared_ptr<node::credentials>{};
  std::vector<std::string> names;
  if (settings.tls.verify_names)
    names.push_back(settings.name);
  auto read = node::credentials::load({settings.tls.certificate, settings.tls.key, settings.tls.ca}, names);
  if (auto* problem = std::get_if<std::string>(&read))
    return make_failure(errc::configuration, *problem, "script/certs makes files for a try-out");
  return std::get<0>(std::move(read));
}

std::variant<std::unique_ptr<node::door>, failure> open_door(const node_actor& root, const node_settings& settings,
                                                             std::shared_ptr<node::credentials> tls,
                                                             const log_handle& log) {
  node::door::options options;
  options.at = *node::parse_address(settings.listen);
  options.tls = std::move(tls);
  options.waiting.patience = std::clamp<duration>(settings.timeout, std::chrono::seconds{1}, std::chrono::seconds{10});
  options.on_refused = [log](const std::string& origin, const std::string& why) {
    tell_log(log, log::event::peer_refused, [&](log::entry told) {
      return std::move(told).with(log::field::peer, origin).with(log::field::reason, why);
    });
  };
  auto& system = root.home_system();
  auto opened = publish_at(system, std::move(options), caf::actor_cast<caf::strong_actor_ptr>(root),
                           system.message_types<node_actor>(), max_message_of(settings));
  if (auto* why = std::get_if<std::string>(&opened))
    return make_failure(errc::configuration, "cannot listen on " + settings.listen + ": " + *why,
                        "choose another address for `listen` in [node], or end what uses it");
  return std::get<0>(std::move(opened));
}

} // namespace modelforge
