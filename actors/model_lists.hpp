#pragma once

#include "http/client.hpp"
#include "provider/engine.hpp"
#include "provider/model_query.hpp"

#include <modelforge/messages/interfaces.hpp>

#include <caf/typed_response_promise.hpp>

#include <cstdint>
#include <map>
#include <memory>

namespace modelforge {

/// The lists of models that callers of a provider wait for. Each is fetched page by page beside the dispatcher, since
/// providers do not count it; a page is asked for with the settings of that moment, as a reload may come between two.
/// A part of the provider's actor, and called inside it.
class model_lists {
public:
  model_lists(provider_actor::pointer self, std::shared_ptr<http::client> transport, const provider::engine& engine)
    : self_(self), transport_(std::move(transport)), engine_(engine) {}

  /// Answers the message in hand once all pages are here, with the list or a `failure`.
  caf::result<model_list> ask();

private:
  struct asked_list {
    caf::typed_response_promise<model_list> reply;
    provider::model_query query{};
  };

  void ask_page(uint64_t number);
  void on_page(uint64_t number, const http::response& answer);

  provider_actor::pointer self_;
  std::shared_ptr<http::client> transport_;
  const provider::engine& engine_;
  std::map<uint64_t, asked_list> asked_; ///< By a number, which is all that leaves the actor.
};

} // namespace modelforge
