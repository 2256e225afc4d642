#pragma once

#include "actors/stream_session.hpp"
#include "actors/support/error_of.hpp"
#include "http/client.hpp"

#include <modelforge/messages/completion.hpp>
#include <modelforge/messages/embedding.hpp>
#include <modelforge/messages/error.hpp>

#include <caf/actor_addr.hpp>
#include <caf/error.hpp>
#include <caf/typed_response_promise.hpp>

#include <utility>
#include <variant>

namespace modelforge {

/// Who waits for the answer to a request that is alive. Stays inside the provider's actor.
struct provider_client {
  using completion_promise = caf::typed_response_promise<completion>;
  using embedding_promise = caf::typed_response_promise<embedding>;

  std::variant<std::monostate, completion_promise, embedding_promise> reply; ///< Empty: a stream's session is told.
  caf::actor_addr address;                                                   ///< With whose end the request ends.
  http::transfer_id transfer = 0; ///< Of the latest attempt; 0: there was none.

  /// Answers the caller, once. The answer must be of the kind that was asked for.
  void answer(completion answer) { std::get<completion_promise>(reply).deliver(std::move(answer)); }
  void answer(embedding answer) { std::get<embedding_promise>(reply).deliver(std::move(answer)); }

  /// A failure travels inside a CAF error of its code (see `failure_of`).
  void answer(failure why) {
    auto error = error_of(why);
    if (auto* chat = std::get_if<completion_promise>(&reply))
      chat->deliver(std::move(error));
    else
      std::get<embedding_promise>(reply).deliver(std::move(error));
  }
};

/// The same for the session of a stream, whose requests are for completions.
inline void answer(stream_session& session, std::variant<completion, embedding, failure> result) {
  if (auto* good = std::get_if<completion>(&result))
    session.conclude(std::move(*good));
  else if (auto* why = std::get_if<failure>(&result))
    session.conclude(std::move(*why));
}

} // namespace modelforge
