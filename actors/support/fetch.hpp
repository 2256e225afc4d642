#pragma once

#include "actors/support/mail.hpp"
#include "http/client.hpp"

#include <caf/actor.hpp>
#include <caf/actor_cast.hpp>

#include <cstdint>
#include <memory>
#include <mutex>
#include <type_traits>
#include <utility>
#include <vector>

/// How answers of the transport come into actors. The transport's thread holds what is to be called, and drops it when
/// it likes, beside the actor that runs. So all that may leave an actor is a handle of it, numbers and plain pointers:
/// a response promise, whose count CAF 0.18 keeps without atomics, stays in the actor, which finds it by a number.

namespace modelforge {

/// What may leave an actor: nothing that counts or owns.
template <class F>
concept leaves_nothing_behind = std::is_trivially_copyable_v<F> && std::is_trivially_destructible_v<F>;

/// Sends `request`; `take(answer)` runs inside the actor `target` (a strong handle keeps it alive until then, a weak
/// one does not).
template <class Handle, leaves_nothing_behind F>
http::transfer_id fetch(http::client& client, http::request request, Handle target, F take) {
  return client.fetch(std::move(request), [target = std::move(target), take](http::response answer) {
    auto run = [take, request = std::move(answer)] { take(request); };
    if constexpr (std::is_same_v<Handle, caf::weak_actor_ptr>)
      post_if_alive(target, std::move(run));
    else
      post(target, std::move(run));
  });
}

/// What the transport tells of an attempt.
struct ended_attempt {
  uint64_t attempt = 0;
  http::response answer;
};

struct written_attempt {
  uint64_t attempt = 0;
  caf::actor_clock::time_point when;
};

/// Where the transport's thread leaves what has happened. The actor gets one message for all the answers that come
/// before it looks: at full load that is far fewer than one per answer. It gets none for what was merely written.
class arrivals {
public:
  /// Returns true if the actor has to be told.
  bool put(ended_attempt ended) {
    std::lock_guard guard{mutex_};
    ended_.push_back(std::move(ended));
    return ended_.size() == 1;
  }

  void put(written_attempt written) {
    std::lock_guard guard{mutex_};
    written_.push_back(written);
  }

  std::vector<ended_attempt> take_ended() {
    std::lock_guard guard{mutex_};
    return std::exchange(ended_, {});
  }

  /// Inside the actor: calls `f(written_attempt)` for each that was written since the last time.
  template <class F>
  void take_written(F f) {
    taken_.clear();
    {
      std::lock_guard guard{mutex_};
      taken_.swap(written_);
    }
    for (auto& written : taken_)
      f(written);
  }

private:
  std::mutex mutex_;
  std::vector<ended_attempt> ended_;
  std::vector<written_attempt> written_;
  std::vector<written_attempt> taken_; ///< The actor's own; changes places with `written_`, so neither allocates.
};

/// Sends `request`; its answer is left in `box`, under the attempt's number, and `look()` runs inside the actor
/// `target` if there is nothing else in it.
template <leaves_nothing_behind F>
http::transfer_id fetch(http::client& client, http::request request, caf::actor target, std::shared_ptr<arrivals> box,
                        uint64_t attempt, F look) {
  return client.fetch(std::move(request),
                      [target = std::move(target), box = std::move(box), attempt, look](http::response answer) {
                        if (box->put({attempt, std::move(answer)}))
                          post(target, look);
                      });
}

} // namespace modelforge
