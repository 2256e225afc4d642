#pragma once

#include "node/pending_calls.hpp"

#include <modelforge/messages/error.hpp>

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

namespace modelforge::node {

/// Why the node that owns a provider cannot be asked, in words for those who call it.
class owner_absence {
public:
  using time_point = std::chrono::steady_clock::time_point;

  /// Of the node of that name, which nobody has found yet. `max_attempts`: of a call, for what the words say.
  owner_absence(std::string owner, uint32_t max_attempts, time_point now);

  const std::string& owner() const { return owner_; }

  /// Its provider is found: all is well.
  void on_found();

  /// The provider's actor there is lost, for that reason.
  void on_lost(std::string why, time_point now);

  /// The node cannot be reached, for that reason. It has been lost since before, unless it `was_there`.
  void on_unreachable(std::string why, bool was_there, time_point now);

  /// The provider takes nothing new: it has given calls back.
  void on_rest(time_point now) { since_ = now; }

  /// The node does not run the provider.
  void on_refusal(failure why);

  /// Since when it is lost; or since the start.
  time_point since() const { return since_; }

  /// Differs after each loss of the node and each refusal: an answer to a question from an earlier turn is old news.
  uint64_t turn() const { return turn_; }

  /// What the caller of a call that has ended without an answer is told.
  failure explain(const pending_calls::end& end, const pending_calls& calls) const;

  /// What the provider's status says.
  std::string describe(const pending_calls& calls) const;

private:
  std::string describe(const pending_calls::end& end, const pending_calls& calls) const;
  std::string reason() const { return problem_.empty() ? "" : ": " + problem_; }

  std::string owner_;
  uint32_t max_attempts_;
  time_point since_;
  uint64_t turn_ = 0;
  std::string problem_;
  std::optional<failure> refusal_;
};

} // namespace modelforge::node
