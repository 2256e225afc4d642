#pragma once

#include "node/link_gate.hpp"

#include <functional>
#include <map>
#include <memory>
#include <mutex>

namespace modelforge::node {

/// A `link_gate` to one peer, for all who send to it. Threads may use it at once.
class shared_gate : public std::enable_shared_from_this<shared_gate> {
public:
  /// Bytes on their way to a peer: a few large messages, so that what is small comes through soon.
  static constexpr uint64_t usual = 4u << 20;

  explicit shared_gate(uint64_t max_bytes = usual) : gate_(max_bytes) {}

  /// One that sends through the gate; it leaves with this object.
  class user {
  public:
    user(std::shared_ptr<shared_gate> gate, std::function<void()> wake);
    ~user();
    user(const user&) = delete;
    user& operator=(const user&) = delete;

    /// As in `link_gate`. When there is room `wake` is called, on any thread, also while this object goes.
    bool take(uint64_t bytes);
    void withdraw();
    void give_back(uint64_t bytes);

  private:
    std::shared_ptr<shared_gate> gate_;
    link_gate::user user_;
  };

  uint64_t on_the_way() const {
    std::lock_guard guard{mutex_};
    return gate_.on_the_way();
  }

private:
  /// Calls `f` with the gate, then wakes those for whom there is room.
  template <class F>
  auto change(F f);

  mutable std::mutex mutex_;
  link_gate gate_;
  std::map<link_gate::user, std::function<void()>> wakes_;
};

} // namespace modelforge::node
