#pragma once

#include <caf/fwd.hpp>

#include <array>
#include <cstddef>
#include <utility>

namespace modelforge {

/// While one lives inside an actor's turn, the actors that its messages wake are run by this worker right behind the
/// turn, up to four of them, instead of waking a worker for each: on a quiet machine that takes longer than most turns.
/// Only for turns that end soon and wait for nothing, and messages to actors of which that is true, too. Without effect
/// outside of our scheduler (see `use_handover`).
class handover {
public:
  handover() : before_(std::exchange(here_.wanted, true)) {}
  ~handover() { here_.wanted = before_; }
  handover(const handover&) = delete;
  handover& operator=(const handover&) = delete;

  /// Of our `scheduler`: keeps a job for this thread. False: it is none of its workers, or the job must not wait.
  static bool take(caf::resumable* job, const void* scheduler) {
    if (!here_.wanted || here_.scheduler != scheduler || here_.kept == here_.jobs.size())
      return false;
    here_.jobs[here_.kept++] = job;
    return true;
  }

  /// Hands the kept jobs to `f`, in order. This thread is a worker of `scheduler` from now on.
  template <class F>
  static void release(const void* scheduler, F f) {
    here_.scheduler = scheduler;
    for (std::size_t i = 0; i < here_.kept; ++i)
      f(here_.jobs[i]);
    here_.kept = 0;
  }

private:
  struct thread_state {
    bool wanted;
    const void* scheduler; ///< Whose worker it is; null: nobody's.
    std::size_t kept;
    std::array<caf::resumable*, 4> jobs;
  };

  static inline thread_local thread_state here_{};
  bool before_;
};

} // namespace modelforge
