#pragma once

#include "actors/embedding_split.hpp"
#include "actors/remote_calls.hpp"
#include "actors/remote_owners.hpp"
#include "actors/support/message_size.hpp"
#include "base/times.hpp"
#include "node/spent_attempts.hpp"

#include <modelforge/config/settings.hpp>
#include <modelforge/messages/embedding.hpp>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <optional>
#include <random>
#include <string>
#include <utility>
#include <variant>

namespace modelforge {

/// Decides which requests a proxy takes in, and gives each its id, its deadline and bounded figures: so what goes to
/// another node is known here by its id, ends in time whatever becomes of the link, and is not larger than a message
/// may be. Part of `provider_proxy`, and called inside its actor. A plain class: time by argument.
class remote_intake {
public:
  using time_point = remote_calls::time_point;
  using deadline = std::optional<time_point>;

  /// What is alive already stands in the other three, which outlive this object.
  remote_intake(const provider_settings& provider, const node_settings& node, const remote_calls& calls,
                const relayed_streams& streams, const embedding_splits& splits)
    : usual_deadline_(provider.deadline), max_message_bytes_(node.max_message_bytes), calls_(calls), streams_(streams),
      splits_(splits) {}

  /// From now on everything is refused: the program ends.
  void close() { is_closed_ = true; }
  bool is_closed() const { return is_closed_; }

  /// Gives the request its id and deadline; a failure: it cannot be taken.
  template <class Request>
  std::variant<deadline, failure> prepare(Request& request, time_point now) {
    if (is_closed_)
      return make_failure(errc::draining, "the program is shutting down");
    if (!request.id)
      request.id = make_request_id(random_);
    if (calls_.find(request.id) || streams_.contains(request.id) || splits_.contains(request.id))
      return make_failure(errc::duplicate_request, "a request with this id is alive already");
    request.earlier = node::bounded(std::move(request.earlier));
    if (!request.deadline && request.priority == priority::interactive && usual_deadline_.count() > 0)
      request.deadline = usual_deadline_;
    if (!request.deadline)
      return deadline{};
    return deadline{time_after(now, *request.deadline)};
  }

  /// What is kept of a request, which is or is a part of the `message`; a failure: it cannot be taken. `instead`: what
  /// its caller may do where it is too large.
  template <class Request, class Message>
  std::variant<remote_call, failure> admit(Request& request, const Message& message, const std::string& instead,
                                           time_point now) {
    auto prepared = prepare(request, now);
    if (auto* why = std::get_if<failure>(&prepared))
      return std::move(*why);
    auto bytes = message_size(message);
    if (auto why = calls_.refuse(bytes, instead))
      return std::move(*why);
    return remote_call_of(request, bytes, std::get<deadline>(prepared), now);
  }

  /// So many inputs of a request fit into one message, and so do their vectors.
  std::size_t max_inputs(const embedding_request& request) const {
    uint64_t longest = 0;
    for (auto& text : request.inputs)
      longest = std::max<uint64_t>(longest, text.size());
    auto room = max_message_bytes_ - std::min<uint64_t>(max_message_bytes_ / 2, 4096);
    auto vector = 4 * uint64_t{request.dimensions.value_or(usual_dimensions)};
    return static_cast<std::size_t>(std::max<uint64_t>(room / std::max(vector, longest + 16), 1));
  }

private:
  static constexpr uint32_t usual_dimensions = 4096; ///< Of vectors of which nobody said how long they are.

  std::chrono::nanoseconds usual_deadline_;
  uint64_t max_message_bytes_;
  const remote_calls& calls_;
  const relayed_streams& streams_;
  const embedding_splits& splits_;
  std::mt19937_64 random_{std::random_device{}()};
  bool is_closed_ = false;
};

} // namespace modelforge
