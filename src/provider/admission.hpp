#pragma once

#include "dispatch/dispatcher.hpp"
#include "limits/token_estimator.hpp"
#include "node/spent_attempts.hpp"
#include "provider/requests.hpp"
#include "provider/setup.hpp"

#include <modelforge/messages/chat_request.hpp>
#include <modelforge/messages/embedding.hpp>
#include <modelforge/messages/error.hpp>

#include <functional>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace modelforge::provider {

/// What may become of a request that arrives: encoded in the provider's words, with its tokens estimated, to be offered
/// to the dispatcher; or refused, because it cannot be sent, or may not be any more. Everything that can be known
/// before a request waits is found out here, so nothing that cannot be sent waits for anything.
///
/// Holds no state of its own: the provider's engine makes one for each request.
class admission {
public:
  admission(const setup& setup, const limits::token_estimator& estimator, node::spent_attempts& spent, time_point now)
    : setup_(setup), estimator_(estimator), spent_(spent), now_(now) {}

  /// What is known of a request's arrival beside what it says itself.
  struct arrival {
    std::string node{};    ///< For which another provider actor asks; empty: for nobody else.
    request_id part_of{};  ///< Of a request that was split: the whole's.
    bool streamed = false; ///< The answer shall come piece by piece.
    bool draining = false; ///< Nothing new is taken: then the dispatcher's refusal comes before what is missing.
    bool is_busy = false;  ///< Its id belongs to a stream whose subscribers still take what is left.
  };

  /// A request that can be sent: what the engine keeps of it, and what the dispatcher gets.
  struct ready {
    provider::request request;
    dispatcher::offer offer;
  };

  /// The verdict, with what went wrong on the way to it.
  struct result {
    std::variant<ready, failure> verdict;
    std::vector<std::string> failed_optimizers; ///< A text for each that was no use.
  };

  /// `request` must have an id; gets its default model and what else the settings have for it, and is what the
  /// optimizers made of it afterwards.
  result admit(chat_request& request, const arrival& arrival) const;

  /// The same; with more inputs than the provider takes at once it must have been split.
  result admit(embedding_request& request, const arrival& arrival) const;

private:
  using encoded = std::variant<wire::encoded_request, failure>;

  template <class Request>
  std::optional<failure> refuse_at_once(const Request& request, const arrival& arrival) const;
  std::optional<failure> refuse_spent(attempts_made& earlier) const;
  template <class Request>
  result finish(Request& request, const arrival& arrival, attempts_made earlier, encoded words,
                std::vector<std::string> changes) const;
  template <class Request>
  dispatcher::offer offer_of(Request& from, const arrival& arrival, const request& admitted) const;
  limits::charge estimate(const std::string& model, std::optional<uint32_t> max_tokens, const request& asked) const;
  template <class Request>
  limits::amounts certain(const Request& asked, const request& admitted) const;
  template <class Request>
  std::optional<time_point> deadline_of(const Request& request) const;

  const setup& setup_;
  const limits::token_estimator& estimator_;
  node::spent_attempts& spent_;
  time_point now_;
};

} // namespace modelforge::provider
