#include "actors/guest_list.hpp"

#include "actors/provider_guest.hpp"
#include "actors/support/error_of.hpp"
#include "log/logger.hpp"

#include <caf/actor_cast.hpp>
#include <caf/actor_system.hpp>
#include <caf/typed_event_based_actor.hpp>

#include <algorithm>

namespace modelforge {

namespace {

/// Questions for providers that are not there yet; more are answered as if there were none.
constexpr std::size_t max_waiting = 10'000;

} // namespace

// A link has one gate, however many providers are used over it; it goes with its last user.
std::shared_ptr<node::shared_gate> link_gates::gate_to(const caf::node_id& program) {
  std::erase_if(gates_, [](auto& entry) { return entry.second.expired(); });
  auto& known = gates_[program];
  auto result = known.lock();
  if (result == nullptr)
    known = result = std::make_shared<node::shared_gate>();
  return result;
}

std::vector<guest_list::question> guest_list::set_owned(std::vector<owned_provider> owned) {
  owned_ = std::move(owned);
  return std::exchange(waiting_, {});
}

// One guest for each pair of program and provider, shared by all that the program asks: so what it owes is counted
// once.
provider_actor guest_list::answer(caf::actor_system& system, question question, link_gates& gates) {
  if (is_awaited(question.provider) && waiting_.size() < max_waiting) {
    waiting_.push_back(std::move(question));
    return {};
  }
  auto* owned = find(question.provider);
  if (owned == nullptr) {
    question.reply.deliver(error_of(unknown(question.provider)));
    return {};
  }
  auto& guest = guests_[{question.root->node(), caf::actor_cast<caf::actor_addr>(owned->actor)}];
  auto is_new = guest.actor == nullptr;
  if (is_new) {
    guest.node = question.node;
    guest.provider = question.provider;
    guest.actor = spawn_provider_guest(system, owned->actor, question.node, question.root, max_message_bytes_,
                                       gates.gate_to(question.root->node()));
    if (owned->admit)
      owned->admit(caf::actor_cast<caf::strong_actor_ptr>(guest.actor), "node " + question.node);
    tell(log::event::guest_came, guest);
  }
  question.reply.deliver(guest.actor);
  return is_new ? guest.actor : provider_actor{};
}

void guest_list::remove(const caf::actor_addr& guest) {
  std::erase_if(guests_, [&](auto& entry) {
    auto is_gone = caf::actor_cast<caf::actor_addr>(entry.second.actor) == guest;
    if (is_gone)
      tell(log::event::guest_left, entry.second);
    return is_gone;
  });
}

std::vector<telemetry::guest_report> guest_list::report() const {
  std::vector<telemetry::guest_report> result;
  for (auto& [place, guest] : guests_)
    result.push_back({guest.node, guest.provider});
  return result;
}

void guest_list::tell(log::event what, const guest& of) const {
  tell_log(log_, what, [&](log::entry told) {
    return std::move(told).with(log::field::peer, of.node).with(log::field::provider, of.provider);
  });
}

/// Whether it may still come: nothing is known yet, or it is being started again.
bool guest_list::is_awaited(const std::string& provider) const {
  return !owned_ || std::any_of(owned_->begin(), owned_->end(), [&](auto& one) {
    return one.name == provider && one.actor == nullptr;
  });
}

/// Null: this node does not run it.
const owned_provider* guest_list::find(const std::string& provider) const {
  if (!owned_)
    return nullptr;
  auto i = std::find_if(owned_->begin(), owned_->end(),
                        [&](auto& one) { return one.name == provider && one.actor != nullptr; });
  return i != owned_->end() ? &*i : nullptr;
}

/// That another provider is asked for than this node runs.
failure guest_list::unknown(const std::string& provider) const {
  std::string known;
  if (owned_)
    for (auto& one : *owned_)
      known += (known.empty() ? "" : ", ") + one.name;
  return make_failure(errc::configuration, "node " + node_ + " does not run a provider \"" + provider + "\"",
                      known.empty() ? "it runs none" : "it runs: " + known);
}

} // namespace modelforge
