#pragma once

#include "node/call_history.hpp"
#include "node/pending_calls.hpp"

#include <modelforge/messages/chat_request.hpp>
#include <modelforge/messages/embedding.hpp>
#include <modelforge/messages/error.hpp>

#include <caf/actor_addr.hpp>
#include <caf/error.hpp>

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <type_traits>
#include <unordered_map>
#include <vector>

namespace modelforge {

/// What a proxy keeps of a call to a provider of another node, until it is answered.
struct remote_call {
  using call_id = node::pending_calls::call_id;

  request_id id; ///< Empty: a question, which nobody can cancel.
  caf::actor_addr caller;
  std::string model;
  std::size_t inputs = 0; ///< Of a request for embeddings.
  bool patient = false;
  std::optional<node::pending_calls::time_point> deadline;
  node::call_history history;
  uint64_t bytes = 0;         ///< Of the message that is sent; 0: too few to count.
  caf::actor_addr receiver{}; ///< Whom it was sent to last.
  uint64_t message = 0;       ///< The number of that message in the traffic.
  std::function<void(call_id)> send;
  std::function<void()> drop{}; ///< Ends what the attempt before has left behind; may be empty.
  std::function<void(const caf::error&)> fail;
};

/// The calls that a proxy keeps, found by their number, by their id and by who made them; together they take a bounded
/// number of bytes.
class remote_calls {
public:
  using call_id = remote_call::call_id;
  using time_point = node::pending_calls::time_point;

  /// Of calls to the node `owner`. `max_message_bytes`: of one message between nodes; `max_bytes`: of all calls.
  remote_calls(std::string owner, uint64_t max_message_bytes, uint64_t max_bytes);

  /// Why a message of so many bytes cannot be kept and sent; empty: it can. `instead`: what its caller may do.
  std::optional<failure> refuse(uint64_t bytes, const std::string& instead) const;

  /// Keeps a call. `refuse` must have let its bytes through, and its id must not be there.
  void add(call_id number, remote_call call);

  /// The call of that number, which must be there.
  remote_call& at(call_id number) { return calls_.at(number); }

  /// Null: it is over.
  remote_call* find(call_id number);

  /// The number of the call with that id; empty: there is none.
  std::optional<call_id> find(request_id id) const;

  /// Takes the call out; empty: it is over.
  std::optional<remote_call> extract(call_id number);

  /// Copies, so that calls may be taken out meanwhile; all, or those of one caller.
  std::vector<call_id> numbers() const;
  std::vector<call_id> numbers_of(const caf::actor_addr& caller) const;

  bool empty() const { return calls_.empty(); }

private:
  std::string owner_;
  uint64_t max_message_bytes_;
  uint64_t max_bytes_;
  uint64_t bytes_ = 0;
  std::unordered_map<call_id, remote_call> calls_;
  std::unordered_map<request_id, call_id> by_id_;
};

/// What is kept of a request.
template <class Request>
remote_call remote_call_of(const Request& request, uint64_t bytes, std::optional<remote_calls::time_point> deadline,
                           remote_calls::time_point now) {
  remote_call result;
  result.id = request.id;
  result.model = request.model;
  if constexpr (std::is_same_v<Request, embedding_request>)
    result.inputs = request.inputs.size();
  result.patient = request.priority == priority::batch;
  result.deadline = deadline;
  result.history = {request.earlier, now};
  result.bytes = bytes;
  return result;
}

/// The request as it goes out now: with the time that is left, and the attempts that were made meanwhile.
template <class Request>
void bring_up_to_date(Request& request, const remote_call& call, remote_calls::time_point now) {
  if (call.deadline)
    request.deadline = *call.deadline - now;
  request.earlier = call.history.as_of(now);
}

} // namespace modelforge
