#pragma once

#include "stream/broadcast.hpp"

#include <modelforge/messages/interfaces.hpp>

#include <caf/actor_addr.hpp>
#include <caf/actor_cast.hpp>

#include <map>
#include <optional>
#include <unordered_map>
#include <utility>

namespace modelforge {

/// Who takes a stream. Each subscriber is one reader of the broadcast: grants and deaths come with its address, chunks
/// go out by its reader's number, and whoever is in one map is in the other. Used inside the session's actor, and by
/// the provider when that actor is dead.
class stream_subscribers {
public:
  using reader_id = stream::broadcast::reader_id;

  void add(reader_id reader, const stream_subscriber_actor& actor) {
    readers_.emplace(caf::actor_cast<caf::actor_addr>(actor), reader);
    actors_.emplace(reader, actor);
  }

  /// Whose address this is; nothing: no subscriber's.
  std::optional<reader_id> find(const caf::actor_addr& address) const {
    auto i = address ? readers_.find(address) : readers_.end();
    return i != readers_.end() ? std::optional{i->second} : std::nullopt;
  }

  /// Null: it has left.
  const stream_subscriber_actor* find(reader_id reader) const {
    auto i = actors_.find(reader);
    return i != actors_.end() ? &i->second : nullptr;
  }

  void remove(reader_id reader) {
    auto i = actors_.find(reader);
    if (i == actors_.end())
      return;
    readers_.erase(caf::actor_cast<caf::actor_addr>(i->second));
    actors_.erase(i);
  }

  /// Returns all, and has none afterwards.
  std::map<reader_id, stream_subscriber_actor> take_all() {
    readers_.clear();
    return std::exchange(actors_, {});
  }

private:
  std::unordered_map<caf::actor_addr, reader_id> readers_;
  std::map<reader_id, stream_subscriber_actor> actors_;
};

} // namespace modelforge
