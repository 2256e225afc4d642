#include "actors/remote_calls.hpp"

#include "actors/support/message_size.hpp"

#include <utility>

namespace modelforge {

remote_calls::remote_calls(std::string owner, uint64_t max_message_bytes, uint64_t max_bytes)
  : owner_(std::move(owner)), max_message_bytes_(max_message_bytes), max_bytes_(max_bytes) {}

std::optional<failure> remote_calls::refuse(uint64_t bytes, const std::string& instead) const {
  if (auto why = too_large_for_nodes(bytes, max_message_bytes_, "the request", instead))
    return why;
  if (bytes_ + bytes > max_bytes_)
    return make_failure(errc::queue_full,
                        "the requests for node " + owner_ + " fill their memory (runtime.max_queued_bytes)");
  return {};
}

void remote_calls::add(call_id number, remote_call call) {
  bytes_ += call.bytes;
  if (call.id)
    by_id_.emplace(call.id, number);
  calls_.emplace(number, std::move(call));
}

remote_call* remote_calls::find(call_id number) {
  auto i = calls_.find(number);
  return i != calls_.end() ? &i->second : nullptr;
}

std::optional<remote_calls::call_id> remote_calls::find(request_id id) const {
  auto i = by_id_.find(id);
  return i != by_id_.end() ? std::optional{i->second} : std::nullopt;
}

// The one way out: bytes and ids are always counted down with it.
std::optional<remote_call> remote_calls::extract(call_id number) {
  auto entry = calls_.extract(number);
  if (entry.empty())
    return {};
  auto& call = entry.mapped();
  bytes_ -= call.bytes;
  if (call.id)
    by_id_.erase(call.id);
  return std::move(call);
}

std::vector<remote_calls::call_id> remote_calls::numbers() const {
  std::vector<call_id> result;
  for (auto& [number, call] : calls_)
    result.push_back(number);
  return result;
}

std::vector<remote_calls::call_id> remote_calls::numbers_of(const caf::actor_addr& caller) const {
  std::vector<call_id> result;
  for (auto& [number, call] : calls_)
    if (call.caller == caller)
      result.push_back(number);
  return result;
}

} // namespace modelforge
