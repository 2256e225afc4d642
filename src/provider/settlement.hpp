#pragma once

#include "dispatch/dispatcher.hpp"
#include "http/client.hpp"
#include "limits/token_estimator.hpp"
#include "provider/requests.hpp"
#include "provider/setup.hpp"

#include <modelforge/messages/completion.hpp>
#include <modelforge/messages/error.hpp>

#include <chrono>
#include <optional>
#include <variant>

namespace modelforge::provider {

/// How the attempt at a stream ended, beside what was received.
struct stream_end {
  std::optional<std::variant<completion, failure>> outcome; ///< Empty: the answer is to be read as any other.
  std::chrono::nanoseconds first_token{0};
  bool repeatable = false; ///< No subscriber has anything of it.
};

/// An attempt's answer, whole or what there is of it, becomes an outcome, and what the dispatcher learns from it: how
/// it ended, what it took, what the provider told of its limits. Trains the estimator by the usage of good answers.
///
/// Holds no state of its own: the provider's engine makes one for each answer.
class settlement {
public:
  /// `asked`: whose attempt it is; null: nobody waits for it any more.
  settlement(const setup& setup, limits::token_estimator& estimator, const request* asked)
    : setup_(setup), estimator_(estimator), request_(asked) {}

  /// Reads a whole answer.
  outcome read(const http::response& answer) const;

  /// What the dispatcher is to learn. A failure gets the answer's status. `repeatable`: nothing of the answer has been
  /// used.
  dispatcher::attempt_end judge(const http::response& answer, outcome& ended, bool repeatable) const;

private:
  const wire::dialect& dialect() const;
  void learn(const token_usage& usage, dispatcher::attempt_end& end) const;

  const setup& setup_;
  limits::token_estimator& estimator_;
  const request* request_;
};

} // namespace modelforge::provider
