#pragma once

#include <modelforge/messages/interfaces.hpp>

#include <caf/fwd.hpp>

#include <cstdint>
#include <functional>
#include <string>

namespace modelforge {

/// Stands, on the subscriber's node, between a subscriber and a stream session of another node: for the session it is
/// the subscriber, for the subscriber the session. It tells the subscriber the end when the session's node is lost.
/// The functions may be called from any thread; after its end they do nothing.
struct stream_relay {
  stream_subscriber_actor subscriber; ///< For the session.
  stream_session_actor session;       ///< For the subscriber.
  /// The session took the subscriber in, which is told what comes from now on.
  std::function<void(const stream_session_actor&)> begin;
  /// It did not: the subscriber hears nothing.
  std::function<void()> drop;
  /// The subscriber takes so many more chunks.
  std::function<void(uint32_t)> grant;
};

/// What a relay is made of.
struct relay_parts {
  request_id stream;
  stream_subscriber_actor subscriber;
  provider_actor proxy; ///< The relay ends with it.
  std::string provider;
  std::string owner;           ///< Name of the session's node.
  std::function<void()> ended; ///< Called once inside the relay when it has ended; may be empty.
  /// Of a subscriber that comes later: who takes it in when the relay is told to `subscribe` it. Else null.
  stream_session_actor joins{};
};

/// Spawns one. It ends with the stream, or with its subscriber, but not before those that came later by way of it.
stream_relay spawn_stream_relay(caf::actor_system& system, relay_parts parts);

} // namespace modelforge
