#pragma once

#include "config/secret_mask.hpp"
#include "http/client.hpp"
#include "stream/broadcast.hpp"
#include "wire/dialect.hpp"

#include <modelforge/messages/interfaces.hpp>

#include <caf/fwd.hpp>

#include <memory>
#include <optional>
#include <string>
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

/// What has happened in one turn of a session, in this order.
struct stream_news {
  std::optional<uint64_t> begun; ///< This attempt's answer has begun with a good status.
  std::optional<stream_report> ended;
  std::optional<stream::time_point> alarm; ///< The session wants to be woken then, or earlier.
  std::optional<std::string> withdrawn;    ///< Why the stream is not wanted any more; its transfer is cut off already.
  bool gone = false;                       ///< The session ends.
};

/// What a session tells its provider. The calls come inside the provider actor.
class stream_owner {
public:
  virtual ~stream_owner() = default;

  virtual void on_stream_news(request_id stream, stream_news& x) = 0;

  /// An attempt's transfer is gone, and no `stream_news` tells how it ended. `written`: its request went out.
  virtual void on_stream_lost(uint64_t attempt, bool written) = 0;
};

/// What a session is made of.
struct stream_parts {
  stream::broadcast_settings settings;
  subscription as;
  stream_subscriber_actor subscriber;
  const wire::dialect* dialect = nullptr;
  std::shared_ptr<http::client> transport;
  std::shared_ptr<const secret_mask> secrets; ///< To be masked in what the stream says.
  provider_actor provider;
  stream_owner* owner = nullptr; ///< The state of `provider`.
};

/// The provider's end of a stream session: calls from inside the provider actor, carried out inside the session.
class stream_session {
public:
  virtual ~stream_session() = default;

  /// Dispatches an attempt; later ones have larger numbers.
  virtual http::transfer_id begin(uint64_t attempt, stream::time_point now, http::request request) = 0;

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

/// Makes the session of one stream. It begins to live with the first call, so make one at once; it ends with its last
/// subscriber, or with its provider.
spawned_stream spawn_stream_session(caf::actor_system& system, stream_parts parts);

} // namespace modelforge
