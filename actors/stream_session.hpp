#pragma once

#include "http/client.hpp"
#include "stream/broadcast.hpp"
#include "wire/dialect.hpp"

#include <modelforge/messages/interfaces.hpp>

#include <caf/fwd.hpp>

#include <memory>
#include <optional>
#include <variant>

namespace modelforge {

/// How one attempt at a stream ended.
struct stream_report {
  uint64_t attempt = 0;
  http::response answer;                                    ///< Its body is only there for another status than 200.
  std::optional<std::variant<completion, failure>> outcome; ///< Empty: `answer` is to be read as any other.
  std::chrono::nanoseconds first_token{0};
  bool repeatable = false; ///< No subscriber has anything of it.
};

/// What a session tells its provider. The calls come inside the provider actor.
class stream_owner {
public:
  virtual ~stream_owner() = default;

  /// An attempt's answer has begun with a good status.
  virtual void on_stream_begun(request_id stream, uint64_t attempt) = 0;

  virtual void on_stream_ended(request_id stream, stream_report& how) = 0;

  /// The session wants to be woken then, or earlier.
  virtual void on_stream_alarm(request_id stream, stream::time_point when) = 0;

  /// An attempt's transfer is gone, and no `on_stream_ended` tells how it ended. `written`: its request went out.
  virtual void on_stream_lost(uint64_t attempt, bool written) = 0;

  /// The stream is not wanted any more; its transfer is cut off already.
  virtual void on_stream_withdrawn(request_id stream, const std::string& why) = 0;

  /// The session ends.
  virtual void on_stream_gone(request_id stream) = 0;
};

/// What a session is made of.
struct stream_parts {
  stream::broadcast_settings settings;
  subscription as;
  stream_subscriber_actor subscriber;
  const wire::dialect* dialect = nullptr;
  std::shared_ptr<http::client> transport;
  provider_actor provider;
  stream_owner* owner = nullptr; ///< The state of `provider`.
};

/// The provider's end of a stream session: calls from inside the provider actor, carried out inside the session.
class stream_session {
public:
  virtual ~stream_session() = default;

  /// An attempt is about to be dispatched: returns the receiver of its transfer.
  virtual std::shared_ptr<http::receiver> begin(uint64_t attempt) = 0;

  /// The stream has ended so; subscribers still get what is left of it.
  virtual void conclude(std::variant<completion, failure> how) = 0;

  /// Every subscriber is ended at once.
  virtual void cut(failure why) = 0;

  virtual void wake() = 0;

  /// The session's actor has died: tells the subscribers, from here.
  virtual void bury() = 0;
};

struct spawned_stream {
  stream_session_actor actor;
  std::shared_ptr<stream_session> session;
};

/// Spawns the session of one stream. It ends with its last subscriber, or with its provider.
spawned_stream spawn_stream_session(caf::actor_system& system, stream_parts parts);

} // namespace modelforge
