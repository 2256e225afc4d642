#pragma once

#include "dispatch/offer.hpp"
#include "limits/fair_queue.hpp"
#include "limits/lane.hpp"

#include <modelforge/messages/attempt.hpp>
#include <modelforge/messages/chat_request.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <utility>

namespace modelforge {

/// The requests of one group of models that wait for a lane: interactive ones before batch items, of each priority by
/// fair shares. Knows what those ahead of a request will take, and what a request usually does; and until when it is of
/// no use to look at the head again. Called by the dispatcher. Holds no clock.
class group_queue {
public:
  using time_point = limits::time_point;

  std::size_t size() const { return queues_[0].size() + queues_[1].size(); }
  bool has_interactive() const { return queues_[index(priority::interactive)].size() > 0; }

  /// The one that is next; null: none waits.
  const limits::fair_queue::item* front() const {
    auto& queue = queues_[index(has_interactive() ? priority::interactive : priority::batch)];
    return queue.size() > 0 ? queue.front() : nullptr;
  }

  void push(limits::fair_queue::item& item, const dispatch_offer& of);

  /// `served`: its tenant pays.
  void remove(limits::fair_queue::item& item, const dispatch_offer& of, bool served);

  /// Offers up to `max_items` of them to `f`, fairly, as long as it returns true.
  template <class F>
  void scan(std::size_t max_tenants, std::size_t max_each, F f) {
    for (auto& queue : queues_)
      queue.scan(max_tenants, max_each, f);
  }

  /// Costs are counted in another unit from now on: `f` returns each item's.
  template <class F>
  void reprice(F f) {
    for (auto& queue : queues_)
      queue.reprice(f);
  }

  /// What goes first on each of so many keys: `all`, and of that, what is for the model.
  struct backlog {
    limits::amounts all{};
    limits::amounts of_model{};
  };

  /// What goes before a request that comes now. `of`: empty: of nobody; all that is queued, of that rank and before it.
  backlog ahead_of(priority rank, const dispatch_offer* of, const std::string& model, uint32_t keys) const;

  // -- what requests usually take ---------------------------------------------------

  /// A request is taken in; the latest ones count more.
  void note_taken(const limits::amounts& takes, const std::string& model);

  limits::charge usual_cost() const;
  const std::string& latest_model() const { return latest_model_; }

  /// Has become of `before`.
  void inherit(const group_queue& before);

  // -- whether to look --------------------------------------------------------------

  /// Whether the head may go, as far as is known.
  bool is_worth_a_look(time_point now) const { return changed_ || blocked_until_ <= now; }

  /// Something has changed that may let a request go.
  void look_again() { changed_ = true; }

  /// The head cannot go before `until`, unless something changes. `only_model`: by what answers tell of its model; one
  /// for another model may go.
  void hold(time_point until, wait_reason why, bool only_model);

  time_point held_until() const { return blocked_until_; }
  wait_reason held_by() const { return held_by_; }

  /// Whether there are requests for several models.
  bool has_other_models() const { return models_.size() > 1; }

private:
  std::array<limits::fair_queue, 2> queues_;                                  ///< By priority.
  std::map<std::string, std::array<limits::amounts, 2>, std::less<>> models_; ///< What the queued ones will charge.

  limits::amounts usual_{}; ///< Sum of the latest charges; halved when `usual_count_` is large.
  uint64_t usual_count_ = 0;
  std::string latest_model_;

  time_point blocked_until_{};
  wait_reason held_by_ = wait_reason::nothing;
  bool held_by_model_ = false;
  bool changed_ = true;
};

} // namespace modelforge
