#pragma once

#include "node/link_gate.hpp"
#include "node/shared_gate.hpp"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <unordered_map>
#include <utility>
#include <vector>

namespace modelforge::node {

/// The traffic between one side of a link and its peers' actors, in both directions.
///
/// What is sent takes room in the link's gate, and gives it back once it is known to have arrived: the peer
/// acknowledges it, or answers it. What is received is counted, so that the peer can be told in turn: at once where it
/// is much, otherwise when `receipts::patience` is over. Without a gate everything goes at once.
///
/// `Peer` identifies an actor (it needs a std::hash). The actor that owns this object calls it, and passes the time.
template <class Peer>
class peer_traffic {
public:
  using time_point = std::chrono::steady_clock::time_point;

  /// An acknowledgement that is due: so many messages of this peer have been received.
  struct receipt {
    Peer peer;
    uint64_t count = 0;
  };

  /// Goes through this gate from now on, with nothing under way. `wake` is called, on any thread, when there is room
  /// that was asked for.
  void enter(std::shared_ptr<shared_gate> gate, std::function<void()> wake) {
    leave();
    gate_ = gate;
    if (gate != nullptr)
      user_ = std::make_unique<shared_gate::user>(std::move(gate), std::move(wake));
  }

  /// The link is lost: nothing that was sent will be acknowledged.
  void leave() {
    peers_.clear();
    user_ = nullptr;
    gate_ = nullptr;
  }

  /// Through which gate it goes; null: none.
  const std::shared_ptr<shared_gate>& gate() const { return gate_; }

  /// Takes room for a message of that size; whoever gets it calls `sent`, or `give_back`.
  bool take_room(uint64_t bytes) { return user_ == nullptr || user_->take(bytes); }

  /// The room that was asked for is not wanted any more.
  void withdraw() {
    if (user_ != nullptr)
      user_->withdraw();
  }

  void give_back(uint64_t bytes) {
    if (bytes > 0 && user_ != nullptr)
      user_->give_back(bytes);
  }

  /// Keeps books on this peer from now on. Returns whether it is new.
  bool add(const Peer& peer) { return peers_.try_emplace(peer).second; }

  bool contains(const Peer& peer) const { return peers_.count(peer) > 0; }

  /// Nothing is heard of this peer any more.
  void remove(const Peer& peer) {
    arrived(peer, UINT64_MAX);
    peers_.erase(peer);
  }

  /// A message for which there was room has gone to this peer; returns its number.
  uint64_t sent(const Peer& peer, uint64_t bytes) { return peers_[peer].sent.send(bytes); }

  /// The message of that number has arrived there, and those before it. Of an unknown peer nothing is.
  void arrived(const Peer& peer, uint64_t number) {
    if (auto i = peers_.find(peer); i != peers_.end())
      give_back(i->second.sent.arrived(number));
  }

  /// The peer acknowledges so many more.
  void acknowledged(const Peer& peer, uint64_t count) {
    if (auto i = peers_.find(peer); i != peers_.end())
      give_back(i->second.sent.told(count));
  }

  /// A message of this peer has arrived. Returns how many are to be acknowledged now; of fewer than that `take_due`
  /// tells later.
  std::optional<uint64_t> received(const Peer& peer, uint64_t bytes, time_point now) {
    auto count = peers_[peer].received.arrived(bytes);
    if (!count)
      due_at_ = std::min(due_at_.value_or(time_point::max()), now + receipts::patience);
    return count;
  }

  /// When `take_due` has something to tell; empty: never.
  std::optional<time_point> due_at() const { return due_at_; }

  /// The acknowledgements that have waited long enough, and those that can go with them.
  std::vector<receipt> take_due(time_point now) {
    std::vector<receipt> result;
    if (!due_at_ || now < *due_at_)
      return result;
    due_at_.reset();
    for (auto& [peer, x] : peers_)
      if (auto count = x.received.untold())
        result.push_back({peer, *count});
    return result;
  }

private:
  struct books {
    unacknowledged sent;
    receipts received;
  };

  std::shared_ptr<shared_gate> gate_;
  std::unique_ptr<shared_gate::user> user_;
  std::unordered_map<Peer, books> peers_;
  std::optional<time_point> due_at_;
};

} // namespace modelforge::node
