#pragma once

#include "messages/type_ids.hpp"

#include <modelforge/actors/system.hpp>
#include <modelforge/messages/interfaces.hpp>

#include <caf/behavior.hpp>
#include <caf/event_based_actor.hpp>

/// Has a provider answer errands.
inline caf::behavior errand_boy(caf::event_based_actor* self, modelforge::provider_actor provider) {
  return {
    [=](const errand& x) {
      modelforge::chat_request request;
      request.messages.push_back(modelforge::text_message(modelforge::role::user, x.text));
      auto promise = self->make_response_promise();
      self->request(provider, caf::infinite, request)
        .then([=](const modelforge::completion& answer) mutable { promise.deliver(answer.text); },
              [=](const caf::error& error) mutable { promise.deliver(error); });
      return promise;
    },
  };
}
