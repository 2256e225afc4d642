#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <utility>

namespace modelforge::node {

/// Bounds what is on its way to a peer: who has something to send takes room for it, and gives the room back when the
/// other side has said that it has arrived. So a link never holds more than a few messages, and what is small waits
/// for no more than these. Users that wait take turns by the bytes that they have sent.
///
/// A plain class; see `shared_gate` for one that several actors use.
class link_gate {
public:
  using user = uint64_t; ///< Never used twice.

  /// At most `max_bytes` bytes are on their way; a message that is larger goes alone.
  explicit link_gate(uint64_t max_bytes) : max_bytes_(max_bytes) {}

  user join();

  /// What it has on its way will not be heard of any more.
  void leave(user id);

  /// Takes room for a message. False: there is none, or others' turn comes first; `next` says when to ask again, which
  /// a user does for one message at a time.
  bool take(user id, uint64_t bytes);

  /// It does not want the room any more that it asked for.
  void withdraw(user id);

  /// So many of its bytes have arrived, or never will.
  void give_back(user id, uint64_t bytes);

  /// Nothing of it is on its way any more.
  void give_all_back(user id);

  /// A user for whose message there is room now, which is kept for it until it takes or withdraws. Empty: nobody.
  std::optional<user> next();

  /// On their way, what is kept for users included.
  uint64_t on_the_way() const { return on_the_way_; }

private:
  struct state {
    uint64_t on_the_way = 0;
    uint64_t wants = 0;  ///< For its message; 0: nothing.
    uint64_t kept = 0;   ///< For it; part of what is on the way in all.
    uint64_t served = 0; ///< Its turn.
  };

  bool fits(uint64_t bytes) const { return on_the_way_ == 0 || on_the_way_ + bytes <= max_bytes_; }

  uint64_t max_bytes_;
  uint64_t on_the_way_ = 0;
  uint64_t turn_ = 0; ///< Of who was served last: nobody saves up turns.
  user last_ = 0;
  std::map<user, state> users_;
  std::set<std::pair<uint64_t, user>> waiting_; ///< By turn.
};

/// The messages to one receiver that are not known to have arrived. Messages arrive in order, so that a number of them
/// tells which.
class unacknowledged {
public:
  /// Returns the message's number, from 1.
  uint64_t send(uint64_t bytes) {
    sizes_.push_back(bytes);
    return first_ + sizes_.size();
  }

  /// The one of that number has arrived, and so have those before it. Returns the bytes of those that were not known
  /// to.
  uint64_t arrived(uint64_t number) {
    uint64_t result = 0;
    for (; !sizes_.empty() && first_ < number; ++first_) {
      result += sizes_.front();
      sizes_.pop_front();
    }
    return result;
  }

  /// The receiver reports that so many more have arrived; a number that cannot be is cut to what can.
  uint64_t told(uint64_t more) {
    told_ += std::min(more, first_ + sizes_.size() - told_);
    return arrived(told_);
  }

private:
  uint64_t first_ = 0; ///< Known to have arrived.
  uint64_t told_ = 0;  ///< Of these.
  std::deque<uint64_t> sizes_;
};

/// What has arrived from one sender, and when to tell it: not for each small message.
class receipts {
public:
  /// Returns how many have come that were not reported, if they are to be reported now.
  std::optional<uint64_t> arrived(uint64_t bytes) {
    ++count_;
    bytes_ += bytes;
    if (bytes_ < enough)
      return {};
    return untold();
  }

  /// All that have come and were not reported; empty: none.
  std::optional<uint64_t> untold() {
    bytes_ = 0;
    return count_ > 0 ? std::optional{std::exchange(count_, 0)} : std::nullopt;
  }

  static constexpr uint64_t enough = 64u << 10; ///< Bytes.

  /// After it, what is less is reported, too: it takes room at the sender until then.
  static constexpr std::chrono::milliseconds patience{50};

private:
  uint64_t count_ = 0;
  uint64_t bytes_ = 0;
};

} // namespace modelforge::node
