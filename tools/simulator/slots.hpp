#pragma once

#include <cstdint>
#include <list>

namespace modelforge::simulator {

/// Lets at most `limit` users in at once, 0 being no limit; the others wait, first come, first served.
class slot_queue {
public:
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

  /// Gives `x` a slot, at once or when its turn comes; `x` must leave before it ends.
  void enter(user& x) {
    x.ticket_ = waiting_.insert(waiting_.end(), &x);
    x.place_ = user::place::waiting;
    serve();
  }

  /// Gives up the slot, or the place in the queue; does nothing for others.
  void leave(user& x) {
    if (x.place_ == user::place::waiting)
      waiting_.erase(x.ticket_);
    inside_ -= x.place_ == user::place::inside;
    x.place_ = user::place::outside;
    serve();
  }

  /// Whoever is inside stays.
  void set_limit(uint32_t limit) {
    limit_ = limit;
    serve();
  }

private:
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
