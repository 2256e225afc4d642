#pragma once

#include "actors/support/state_handle.hpp"
#include "config/secret_mask.hpp"
#include "http/client.hpp"
#include "provider/settlement.hpp"
#include "stream/broadcast.hpp"
#include "wire/dialect.hpp"

#include <modelforge/config/settings.hpp>
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
  http::response answer; ///< Its body is only there for another status than 200.
  provider::stream_end end;
};

/// What has happened in one turn of a session, in this order.
struct stream_update {
  std::optional<uint64_t> begun; ///< The first piece of this attempt's answer has come.
  std::optional<stream_report> ended;
  std::optional<stream::time_point> alarm; ///< The session wants to be woken then, or earlier.
  std::optional<std::string> withdrawn;    ///< Why the stream is not wanted any more; its transfer is cut off already.
  bool gone = false;                       ///< The session ends.
};

/// A provider, as its sessions see it. The calls come inside the provider actor (see `state_handle`).
class stream_owner {
public:
  virtual ~stream_owner() = default;

  virtual void on_stream_update(request_id stream, stream_update& update) = 0;

  /// An attempt's transfer is gone, and no `stream_update` tells how it ended. `written`: its request went out.
  virtual void on_stream_lost(uint64_t attempt, bool written) = 0;
};

/// What a session is made of.
struct stream_setup {
  stream::broadcast_settings settings;
  subscription as;
  stream_subscriber_actor subscriber;
  const wire::dialect* dialect = nullptr;
  bool keeps_text = false; ///< The whole answer is judged at its end.
  std::shared_ptr<http::client> transport;
  std::shared_ptr<const secret_mask> secrets; ///< To be masked in what the stream says.
  provider_actor provider;                    ///< Lives as long as the session does.
  state_handle<stream_owner> owner;           ///< In `provider`.
};

/// How the stream is handed on: as the request wants it, else as the settings say.
stream::broadcast_settings broadcast_settings_of(const stream_request& wanted, const provider_settings& settings);

/// The provider's end of a stream session: calls from inside the provider actor, carried out inside the session.
class stream_session {
public:
  virtual ~stream_session() = default;

  /// Dispatches an attempt; later ones have larger numbers.
  virtual http::transfer_id begin(uint64_t attempt, stream::time_point now, http::request request) = 0;

  /// The stream has ended so; subscribers still get what is left of it.
  virtual void conclude(std::variant<completion, failure> result) = 0;

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
spawned_stream spawn_stream_session(caf::actor_system& system, stream_setup setup);

} // namespace modelforge
