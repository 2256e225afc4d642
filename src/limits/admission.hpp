#pragma once

#include <modelforge/messages/chat_request.hpp>
#include <modelforge/messages/request_id.hpp>

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <unordered_map>
#include <utility>
#include <vector>

namespace modelforge {

/// Decides which request a provider sends next: a bounded queue before a bounded number of slots, interactive requests
/// first, each with an optional deadline that counts in both places. Holds no clock; every call is O(log n) at most.
class admission {
public:
  using time_point = std::chrono::steady_clock::time_point;

  struct limits {
    uint32_t slots = 16;            ///< Requests in flight; at least 1.
    uint32_t interactive_slots = 1; ///< Of these, kept free of batch items; less than `slots`.
    uint32_t max_queued = 10'000;
    uint64_t max_queued_bytes = 256u << 20;
  };

  enum class verdict : uint8_t { queued, duplicate, too_large, full, full_bytes };

  explicit admission(const limits& x) : limits_(x) {}

  /// Queues a request of `bytes` bytes. Anything but `queued` leaves no trace; `too_large` will never change.
  verdict offer(request_id id, priority rank, uint64_t bytes, std::optional<time_point> deadline);

  /// Takes a slot for the request that is next in line; empty when there is none or no slot it may use.
  std::optional<request_id> next();

  /// Forgets a request, queued or in flight; a slot it held is free again. False if it is not known.
  bool remove(request_id id);

  /// Returns the requests whose deadline is `now` or earlier; the caller removes them.
  std::vector<request_id> expired(time_point now) const;

  /// The earliest deadline of all, queued and in flight.
  std::optional<time_point> earliest_deadline() const;

  std::size_t queued() const { return live_.size() - in_flight_; }
  std::size_t in_flight() const { return in_flight_; }
  uint64_t queued_bytes() const { return queued_bytes_; }
  bool empty() const { return live_.empty(); }

  /// The requests that are known, in no order.
  std::vector<request_id> all() const;

private:
  struct entry {
    priority rank;
    uint64_t bytes;
    std::optional<time_point> deadline;
    bool dispatched = false;
    uint64_t ticket; ///< Its key in the queue: order of arrival.
  };

  using queue = std::map<uint64_t, request_id>;

  queue& queue_of(priority rank) { return rank == priority::interactive ? interactive_ : batch_; }

  std::optional<request_id> pop(queue& from);

  limits limits_;
  std::unordered_map<request_id, entry> live_;
  queue interactive_;
  queue batch_;
  std::set<std::pair<time_point, request_id>> deadlines_;
  std::size_t in_flight_ = 0;
  std::size_t batch_in_flight_ = 0;
  uint64_t queued_bytes_ = 0;
  uint64_t tickets_ = 0;
};

} // namespace modelforge
