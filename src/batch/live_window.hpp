#pragma once

#include "batch/clock.hpp"
#include "batch/fail_fast.hpp"
#include "batch/outcomes.hpp"
#include "batch/provider_pool.hpp"

#include <modelforge/messages/attempt.hpp>
#include <modelforge/messages/chat_request.hpp>
#include <modelforge/messages/embedding.hpp>
#include <modelforge/messages/request_id.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

namespace modelforge::batch {

/// The items that providers have as single requests.
///
/// An item at which one provider fails for reasons of its own goes to another that has not tried it, with the attempts
/// of both in its result. Where none of them can be reached, it is held, and offered to all again: an outage is no
/// item's failure. While there are others, a provider is asked not to keep what its circuit breaker holds back. One
/// that a full queue gives back is held for a moment and offered again; it keeps its place in the window, so that no
/// more is read than can be sent. What may have been carried out is not sent again. A failure that may be that of all
/// items (`fail_fast`) is in doubt until it is known whose it is: recorded as the item's, or, when the batch stops for
/// it, of no item. Used by `schedule`.
class live_window {
public:
  live_window(provider_pool& pool, outcomes& outcomes, std::mt19937_64& random, bool keep_going)
    : pool_(pool), outcomes_(outcomes), random_(random), fail_fast_(keep_going) {}

  bool empty() const { return items_.empty() && doubts_.empty(); }
  std::size_t size() const { return items_.size(); }

  /// Sends an item to the provider that suits best.
  /// `vectors`: as in `batch::item`.
  void send(uint64_t index, std::string custom_id, chat_request request, uint32_t estimated, time_point now,
            std::shared_ptr<const embedding_request> vectors = {});

  /// When what is held goes out again; until then nothing new should. Empty: nothing is held.
  std::optional<time_point> resume_at() const { return resume_at_; }

  /// Offers what is held again, if it is time.
  void resume(time_point now);

  /// `body`: as in `batch::record`.
  void on_answer(request_id id, completion answer, std::string body = {});

  /// Returns why the batch cannot go on, where that is so.
  std::optional<failure> on_failure(request_id id, failure why, time_point now);

  /// Records what is in doubt, if nothing is in flight that could settle it. To be called when nothing new comes.
  void settle_last();

  /// Withdraws all that is in flight; what comes back from now on is not tried again.
  void withdraw();

private:
  struct live_item {
    uint64_t index = 0;
    std::string custom_id;
    chat_request request; ///< Kept, because a full queue or a failing provider gives it back.
    uint32_t estimated = 0;
    std::size_t provider = 0;
    std::vector<bool> tried;             ///< Providers that failed at it.
    std::vector<attempt_record> earlier; ///< What was tried at these.
    bool met_outage = false;             ///< One of these cannot be reached,
    bool met_failure = false;            ///< one failed at it and perhaps not at others.
    bool waits_for_any = false;          ///< Held, for whichever can be reached.
    std::optional<time_point> give_up_at{};
    std::shared_ptr<const embedding_request> vectors{};
  };

  /// An item that has failed, perhaps not by itself.
  struct doubt {
    uint64_t index = 0;
    std::string custom_id;
    item_origin origin;
    failure why;
  };

  void send(live_item item, time_point now);
  live_item take(request_id id);
  bool try_elsewhere(request_id id, const failure& why, time_point now);
  void tell_of(std::size_t provider, const failure& why);
  void hold(request_id id, time_point until);
  std::optional<failure> fail(request_id id, failure why);
  void settle();
  void end(request_id id, std::variant<completion, failure> outcome, std::string body = {});

  provider_pool& pool_;
  outcomes& outcomes_;
  std::mt19937_64& random_;
  std::unordered_map<request_id, live_item> items_;
  std::vector<request_id> held_;
  fail_fast fail_fast_;
  std::vector<doubt> doubts_;                   ///< All for one reason.
  std::set<std::pair<std::size_t, errc>> told_; ///< Providers' failures that the user has been told of.
  std::optional<time_point> resume_at_;
  bool is_withdrawn_ = false;
};

} // namespace modelforge::batch
