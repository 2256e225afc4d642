#pragma once

#include <cstdint>
#include <list>

namespace modelforge::simulator {

/// Lets at most `limit` users in at once, 0 being no limit; the others wait, first come, first served.
class slot_queue {
public:
  /// Who wants a slot: a base of the class that waits, so that waiting takes no more memory than a list node.
  class user {
  public:
    virtual ~user() = default;

  protected:
    /// The slot is taken; called once for each `enter`, from within the queue. Must not leave at once.
    virtual void on_slot() = 0;

  private:
    friend class slot_queue;
    enum class place : uint8_t { outside, waiting, inside };

    place place_ = place::outside;
    std::list<user*>::iterator ticket_; ///< While waiting.
  };

  explicit slot_queue(uint32_t limit) : limit_(limit) {}

  /// Gives `entrant` a slot, at once or when its turn comes; it must leave before it ends.
  void enter(user& entrant) {
    entrant.ticket_ = waiting_.insert(waiting_.end(), &entrant);
    entrant.place_ = user::place::waiting;
    serve();
  }

  /// Gives up the slot, or the place in the queue; does nothing for others.
  void leave(user& entrant) {
    if (entrant.place_ == user::place::waiting)
      waiting_.erase(entrant.ticket_);
    inside_ -= entrant.place_ == user::place::inside;
    entrant.place_ = user::place::outside;
    serve();
  }

  /// Whoever is inside stays.
  void set_limit(uint32_t limit) {
    limit_ = limit;
    serve();
  }

private:
  /// Lets in whoever waits longest while there are free slots.
  void serve() {
    while (!waiting_.empty() && (limit_ == 0 || inside_ < limit_)) {
      auto& next = *waiting_.front();
      waiting_.pop_front();
      ++inside_;
      next.place_ = user::place::inside;
      next.on_slot();
    }
  }

  uint32_t limit_;
  uint32_t inside_ = 0;
  std::list<user*> waiting_;
};

} // namespace modelforge::simulator
