#pragma once

#include <caf/actor_addr.hpp>
#include <caf/actor_cast.hpp>
#include <caf/actor_control_block.hpp>
#include <caf/config.hpp>
#include <caf/error.hpp>
#include <caf/system_messages.hpp>
#if CAF_MAJOR_VERSION >= 1
#include <caf/disposable.hpp>
#endif

#include <cstdint>
#include <functional>
#include <unordered_map>
#include <utility>

namespace modelforge {

/// Tells an actor when, and of what, somebody who waits for its answers has died. One watch per caller, however many
/// requests it has; it goes with the last of them. Part of an actor, and called inside it; `on_death` is called there
/// too, once for each caller, when its address is known here no more.
template <class Self>
class callers {
public:
  using key = caf::actor_addr;

  callers(Self* self, std::function<void(const key&, const caf::error&)> on_death)
    : self_(self), on_death_(std::move(on_death)) {
#if CAF_MAJOR_VERSION < 1
    self_->set_down_handler([this](caf::down_msg& down) {
      if (watched_.erase(down.source) > 0)
        on_death_(down.source, down.reason);
    });
#endif
  }

  /// One more request of this caller; null: one that nobody waits for.
  key add(const caf::strong_actor_ptr& who) {
    if (!who)
      return {};
    auto address = caf::actor_cast<caf::actor_addr>(who);
    auto& watch = watched_[address];
    if (watch.requests++ == 0) {
#if CAF_MAJOR_VERSION >= 1
      watch.watch = self_->monitor(caf::actor_cast<caf::actor>(who), [this, address](const caf::error& why) {
        if (watched_.erase(address) > 0)
          on_death_(address, why);
      });
#else
      self_->monitor(address);
#endif
    }
    return address;
  }

  /// One of its requests has ended.
  void remove(const key& who) {
    if (!who) // CAF's hash takes no null
      return;
    auto i = watched_.find(who);
    if (i == watched_.end() || --i->second.requests > 0)
      return;
#if CAF_MAJOR_VERSION >= 1
    i->second.watch.dispose();
#else
    self_->demonitor(who);
#endif
    watched_.erase(i);
  }

  std::size_t size() const {
    return watched_.size();
  }

private:
  /// A caller, while it has requests.
  struct watched {
    uint64_t requests = 0;
#if CAF_MAJOR_VERSION >= 1
    caf::disposable watch;
#endif
  };

  Self* self_;
  std::function<void(const key&, const caf::error&)> on_death_;
  std::unordered_map<key, watched> watched_;
};

} // namespace modelforge
