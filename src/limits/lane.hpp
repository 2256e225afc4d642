#pragma once

#include "limits/circuit_breaker.hpp"
#include "limits/concurrency_limit.hpp"
#include "limits/model_limits.hpp"
#include "limits/parallel_limit.hpp"
#include "limits/rate_limiter.hpp"
#include "limits/server_pause.hpp"

#include <modelforge/config/slot_settings.hpp>
#include <modelforge/messages/attempt.hpp>
#include <modelforge/messages/chat_request.hpp>

#include <algorithm>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace modelforge::limits {

struct lane_settings : slot_settings {
  rate_limits limits;
  breaker_settings breaker;
  uint32_t first_burst = 4; ///< Attempts in flight, for batch items, at the very beginning: `parallel_limit`.

  /// How long a wait that the provider named is believed, by priority; then one request finds out.
  server_pause::max_waits max_server_wait{std::chrono::seconds{120}, std::chrono::hours{24}};
};

/// A credential's attempts under way, in all its lanes.
struct key_slots {
  uint32_t in_flight = 0;
  uint32_t batch_in_flight = 0;
};

/// A credential with a group of models: what a provider's limits belong to. Decides when an attempt may be dispatched:
/// when breaker, limits, pause and slot all agree, in one step, all or nothing.
///
/// `ready` says when, `start` takes all of it, `end` gives all of it back: what an attempt holds is in its `attempt`,
/// so nothing is given back twice. A provider's word is believed for a time only: a pause as `server_pause` says,
/// limits that answers tell for the model that was asked, as long as they are confirmed (see `learned_limits`).
///
/// Called by the dispatcher, by way of its `lane_table`. A plain class: holds no clock. `now` never goes back.
class lane {
public:
  /// `key`: shared by the credential's lanes; null: it has only this one.
  explicit lane(const lane_settings& settings, std::shared_ptr<key_slots> key = {});

  /// Takes over other settings. What is charged, in flight, paused or known from the provider stays so.
  void reconfigure(const lane_settings& settings);

  struct readiness {
    time_point at;           ///< `time_point::max()`: some attempt must end first.
    wait_reason why;         ///< What holds it longest.
    time_point told{};       ///< No attempt goes before, if what the provider told is right.
    bool only_model = false; ///< What answers told of its model holds it longest: others may go.
  };

  /// When an attempt could go if nothing else did; with `before`, if that one, for `model_before`, went now.
  readiness ready(const charge& wanted, priority rank, time_point now, const charge* before = nullptr,
                  std::string_view model = {}, std::string_view model_before = {});

  /// One attempt under way.
  struct attempt {
    rate_limiter::ticket ticket{};
    std::shared_ptr<model_limits> model;
    model_limits::ticket model_ticket;
    circuit_breaker::permit permit{};
    charge reserved;
    priority rank{};
    time_point started{};
    uint32_t in_flight = 0; ///< When it was dispatched, itself included.
    bool has_slot = false;
    bool has_begun = false; ///< Its answer.
    bool is_probe = false;  ///< It finds out whether a pause is over.
  };

  /// Takes slot and charge, and the place of a probe; only when `ready` says now.
  attempt start(const charge& wanted, priority rank, time_point now, std::string_view model = {});

  /// Its last byte went out at `when`.
  void written(attempt& tried, time_point when) {
    limiter_.written(tried.ticket, when);
    tried.model->written(tried.model_ticket, when);
  }

  /// The first piece of its answer came. The breaker counts a success here, by the time until now,
  /// not by the length of the answer: so a stream that is a probe is judged at once. The number in flight follows this
  /// time, too. `end` then adds nothing to either, but a failure or an overload. Only the first call counts.
  void begun(attempt& tried, time_point now);

  /// How an attempt ended.
  struct ending {
    outcome result = outcome::neutral; ///< For the breaker.
    bool written = true;               ///< Whether the provider may have counted it.
    std::optional<charge> real{};      ///< What it took, if the answer told.
    server_limits told{};
    std::optional<uint64_t> output_tokens{}; ///< Of a good answer.
    bool overloaded = false;                 ///< The provider had too much to do.
  };

  /// The server refused `tried`, whose end is still told, and the lane is to wait: from now on batch items go only
  /// while fewer are in flight, and after the pause one goes first (see `parallel_limit`). Returns false if the lane
  /// waits for this already.
  bool refused(const attempt& tried, time_point now) { return parallel_.refused(tried.in_flight, tried.started, now); }

  /// The server refused an attempt for load and named no wait: whether how many were in flight may be why. Else neither
  /// `refused` nor `strained` is called for it.
  bool may_be_load() { return parallel_.may_be_load(in_flight_); }

  /// The server had too much to do for `tried`, whose end is still told, and named no wait.
  void strained(const attempt& tried, time_point now) {
    parallel_.strained(tried.in_flight, in_flight_, tried.started, now);
  }

  /// What the lane has learned of how many requests its server takes at once.
  const parallel_limit& parallel() const { return parallel_; }

  /// Whether the breaker waits for what becomes of `tried`.
  bool is_probe(const attempt& tried) const {
    return tried.has_slot && !tried.has_begun && breaker_.is_probing(tried.permit);
  }

  /// When an answer last came, or began; the clock's epoch: never.
  time_point answered_at() const { return answers_.last; }

  /// The longest time between two answers of late: with each answer an eighth less, unless it came later than that.
  duration answer_gap() const { return answers_.gap; }

  /// Gives the slot back; what else `tried` took is settled by `end`. For attempts nobody waits for any more.
  void abandon(attempt& tried, time_point now);

  /// Settles everything.
  void end(attempt& tried, const ending& ended, time_point now);

  /// The provider asks, in its answer to `tried`, to stay away for so long. Nothing is dispatched before, as long as it
  /// is believed; an earlier pause never shortens a later one, unless `tried` was sent to find out. Call it before
  /// `end`.
  void pause(const attempt& tried, duration wait, time_point now);

  /// As `pause`, because of what was `refused`.
  void pause_for_refusal(const attempt& tried, duration wait, time_point now) {
    pause(tried, wait, now);
    parallel_.paused(paused_until(), now);
  }

  // -- from another lane of the same credential ---------------------------------------

  /// Models that have charges here, or of whose limits something is known; one without a name: nobody knows which.
  std::vector<std::pair<std::string, const model_limits*>> models() const;

  /// Charges as well what is live of that model in `from`. `moves`: the model is this lane's from now on, with what is
  /// known of its limits; else it is the server that is another.
  void take_over(const std::string& model, lane& from, bool moves, time_point now);

  /// What nobody knows the models of.
  rate_limiter unknown() const;

  /// Charges as well what is live of `from`, of which nobody knows the models.
  void take_over_unknown(const rate_limiter& from);

  /// Waits as long as `from`, and is out as long: of a lane that is new beside it.
  void wait_as(const lane& from);

  /// Takes over an attempt that is under way in `from`, with its slot, for that model. What `from` had as its probe is
  /// none here.
  void take_over(attempt& tried, lane& from, const std::string& model, time_point now);

  /// Charges `taken`, of which nobody knows which model took it, until `expiry`.
  void restore(const amounts& taken, time_point expiry);

  const std::shared_ptr<key_slots>& key() const { return key_; }

  /// A request that is to be predicted: what it takes, what of its lane's limits and of its model's goes first.
  struct forecast {
    const charge& cost;
    priority rank;
    const amounts& ahead;
    std::string_view model{};
    const amounts& model_ahead;
  };

  /// Predicts when a request could go, as far as limits and pauses tell, if what the provider told is right.
  time_point predict(const forecast& asked, time_point now);

  /// No later than then will `predict` say; quick.
  time_point latest(const forecast& asked, time_point now);

  /// Configured limit within one window.
  std::optional<uint64_t> limit(dimension d) const { return limiter_.limit(d); }

  /// A limit that answers tell of a model.
  struct told_limit {
    std::string_view model;
    dimension of{};
    uint64_t limit = 0; ///< Within one window.
    uint64_t used = 0;  ///< By what is live now.
  };

  /// All that are in force and tighter than what is configured, by model.
  std::vector<told_limit> told(time_point now);

  /// Models that are remembered; beyond, the one that was asked least recently is forgotten.
  static constexpr std::size_t max_models = 256;

  /// A request's part of the configured limits, max over the dimensions: what tenants share by. Of a lane without
  /// limits: 1. What answers tell does not count: so the unit changes only with the settings.
  double share(const charge& wanted) const;

  /// The slots there are now.
  uint32_t slots() const;

  uint32_t in_flight() const { return in_flight_; }
  time_point paused_until() const { return pause_.until(); } ///< By the provider's word.
  circuit_breaker& breaker() { return breaker_; }
  const circuit_breaker& breaker() const { return breaker_; }
  rate_limiter& limiter() { return limiter_; }

  /// Takes the lane's credential out until then.
  void take_out(time_point until) { out_until_ = std::max(out_until_, until); }
  bool is_out(time_point now) const { return now < out_until_; }

private:
  struct hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view name) const { return std::hash<std::string_view>{}(name); }
  };

  /// How answers follow one another.
  struct answer_rhythm {
    void add(time_point now) {
      if (last != time_point{})
        gap = std::max(now - last, gap - gap / 8);
      last = now;
    }

    time_point last{};
    duration gap{};
  };

  void forget_oldest();
  model_limits& of_unknown();
  void take_slot(attempt& tried);
  void give_slot_back(attempt& tried);
  bool has_slot(priority rank, uint32_t taken) const;
  void judge(const attempt& tried, outcome result, time_point now);
  void found_out(const attempt& tried);
  model_limits* find(std::string_view model) const;
  const std::shared_ptr<model_limits>& touch(std::string_view model, time_point now);

  std::shared_ptr<key_slots> key_;
  rate_limiter limiter_;
  rate_limits model_settings_;
  std::unordered_map<std::string, std::shared_ptr<model_limits>, hash, std::equal_to<>> models_;
  circuit_breaker breaker_;
  std::optional<concurrency_limit> adaptive_;
  parallel_limit parallel_;
  uint32_t max_concurrent_;
  uint32_t interactive_slots_;
  uint32_t in_flight_ = 0;
  uint32_t batch_in_flight_ = 0;
  server_pause pause_;
  answer_rhythm answers_;
  time_point out_until_{}; ///< The credential's, when the provider refuses it.
};

} // namespace modelforge::limits
