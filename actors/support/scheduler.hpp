#pragma once

#include "actors/support/handover.hpp"

#include <caf/actor_system_config.hpp>

#if CAF_MAJOR_VERSION < 1
#include <caf/policy/unprofiled.hpp>
#include <caf/resumable.hpp>
#include <caf/scheduler/coordinator.hpp>

#include <cstddef>
#include <deque>
#include <mutex>
#include <semaphore>
#include <vector>
#endif

namespace modelforge {

#if CAF_MAJOR_VERSION < 1

/// One queue for all workers, which sleep while it is empty, as with CAF's policy `sharing`. But the worker that fell
/// asleep last is woken first, since it wakes fastest and the others may go on sleeping, nobody is woken inside the
/// lock, and a worker runs by itself, first of all, what is handed over to it (see `handover`).
class sharing_with_handover : public caf::policy::unprofiled {
public:
  struct coordinator_data {
    explicit coordinator_data(caf::scheduler::abstract_coordinator*) {}

    std::mutex mutex;
    std::deque<caf::resumable*> jobs;
    std::vector<std::binary_semaphore*> sleeping; ///< A worker's each; the last one fell asleep last.
  };

  struct worker_data {
    explicit worker_data(caf::scheduler::abstract_coordinator*) {}
    worker_data(const worker_data&) {} // CAF makes each from a pattern

    std::binary_semaphore awake{0};
    std::deque<caf::resumable*> own; ///< Handed over.
  };

  /// Takes a job from any thread. The sleeper is woken outside the lock, or it would run into it at once.
  template <class Coordinator>
  void central_enqueue(Coordinator* self, caf::resumable* job) {
    if (handover::take(job, self))
      return;
    auto& target = d(self);
    std::binary_semaphore* sleeper = nullptr;
    {
      std::lock_guard guard{target.mutex};
      target.jobs.push_back(job);
      if (!target.sleeping.empty()) {
        sleeper = target.sleeping.back();
        target.sleeping.pop_back();
      }
    }
    if (sleeper != nullptr)
      sleeper->release();
  }

  template <class Worker>
  void external_enqueue(Worker* self, caf::resumable* job) {
    central_enqueue(self->parent(), job);
  }

  template <class Worker>
  void internal_enqueue(Worker* self, caf::resumable* job) {
    central_enqueue(self->parent(), job);
  }

  template <class Worker>
  void resume_job_later(Worker* self, caf::resumable* job) {
    central_enqueue(self->parent(), job);
  }

  /// Returns the worker's next job; sleeps until there is one. A sleeper stands in the list from before it releases the
  /// lock, so no job can come in between and be missed.
  template <class Worker>
  caf::resumable* dequeue(Worker* self) {
    auto& own = d(self).own;
    handover::release(self->parent(), [&](caf::resumable* job) { own.push_back(job); });
    if (!own.empty())
      return take_first(own);
    auto& from = d(self->parent());
    for (;;) {
      {
        std::lock_guard guard{from.mutex};
        if (!from.jobs.empty())
          return take_first(from.jobs);
        from.sleeping.push_back(&d(self).awake);
      }
      d(self).awake.acquire();
    }
  }

  template <class Worker, class F>
  void foreach_resumable(Worker*, F) {} // a worker runs what it was handed before anything else, so before its end

  /// For the end of the system: what was never run is handed to `f`.
  template <class Coordinator, class F>
  void foreach_central_resumable(Coordinator* self, F f) {
    for (auto& jobs = d(self).jobs; !jobs.empty();)
      f(take_first(jobs));
  }

private:
  static caf::resumable* take_first(std::deque<caf::resumable*>& jobs) {
    auto* job = jobs.front();
    jobs.pop_front();
    return job;
  }
};

/// CAF's coordinator of workers, with the policy above.
class handover_scheduler : public caf::scheduler::coordinator<sharing_with_handover> {
public:
  using coordinator::coordinator;

  static void add_module_options(caf::actor_system_config&) {}

  static caf::actor_system::module* make(caf::actor_system& system, caf::detail::type_list<>) {
    return new handover_scheduler(system);
  }
};

#endif

/// Has a system run actors in the way that suits ours best.
inline void use_handover(caf::actor_system_config& config) {
#if CAF_MAJOR_VERSION < 1
  config.load<handover_scheduler>();
#else
  config.set("caf.scheduler.policy", "sharing");
#endif
}

} // namespace modelforge
