#pragma once

#include "actors/node.hpp"
#include "log/events.hpp"
#include "node/shared_gate.hpp"
#include "telemetry/program_status.hpp"

#include <modelforge/config/settings.hpp>
#include <modelforge/messages/interfaces.hpp>

#include <caf/actor_addr.hpp>
#include <caf/actor_control_block.hpp>
#include <caf/node_id.hpp>
#include <caf/typed_response_promise.hpp>

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace modelforge {

/// The gates of the links to other programs: all who send to one program share one.
class link_gates {
public:
  std::shared_ptr<node::shared_gate> gate_to(const caf::node_id& program);

private:
  std::map<caf::node_id, std::weak_ptr<node::shared_gate>> gates_;
};

/// The providers that this node runs, and the guests that stand here for the other programs that call them: one guest
/// for each program and provider, however often the program asks. Used by the node's actor alone.
class guest_list {
public:
  /// Another node's question for a provider.
  struct question {
    std::string provider;
    std::string node;           ///< The asking node's name, which has been checked.
    caf::strong_actor_ptr root; ///< Its actor: the guest ends with it.
    caf::typed_response_promise<provider_actor> reply;
  };

  guest_list(const node_settings& settings, log_handle log)
    : node_(settings.name), max_message_bytes_(settings.max_message_bytes), log_(std::move(log)) {}

  /// Replaces the providers that this node runs. Returns the questions that waited for some: answer them.
  std::vector<question> set_owned(std::vector<owned_provider> owned);

  /// Answers the question, at once or, for a provider that is about to start, as soon as `set_owned` brings it. Returns
  /// the guest, if it is new, for the node to watch.
  provider_actor answer(caf::actor_system& system, question question, link_gates& gates);

  /// A guest has ended.
  void remove(const caf::actor_addr& guest);

  std::vector<telemetry::guest_report> report() const;

  /// No guest is kept any more.
  void clear() { guests_.clear(); }

private:
  struct guest {
    provider_actor actor;
    std::string node;
    std::string provider;
  };

  void tell(log::event what, const guest& of) const;
  bool is_awaited(const std::string& provider) const;
  const owned_provider* find(const std::string& provider) const;
  failure unknown(const std::string& provider) const;

  std::string node_;
  uint64_t max_message_bytes_;
  log_handle log_;
  std::optional<std::vector<owned_provider>> owned_; ///< Empty: the program has only just begun to listen.
  std::vector<question> waiting_;
  std::map<std::pair<caf::node_id, caf::actor_addr>, guest> guests_; ///< By program and provider; they live.
};

} // namespace modelforge
