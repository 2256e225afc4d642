#pragma once

#include "limits/fair_queue.hpp"
#include "limits/lane.hpp"
#include "retry/due_queue.hpp"
#include "retry/mailbox.hpp"
#include "retry/policy.hpp"

#include <modelforge/messages/chat_request.hpp>
#include <modelforge/messages/errc.hpp>

#include <array>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <unordered_map>
#include <variant>
#include <vector>

namespace modelforge {

struct dispatcher_settings {
  std::vector<limits::lane_settings> groups{1}; ///< One for each group of models with limits of its own; at least one.
  uint32_t keys = 1;                            ///< Credentials; each has a lane in every group. At least 1.
  retry::policy_settings retry;
  std::array<bool, 2> wait_on_empty_budget{false, true}; ///< By priority: wait, or fail with the original error.
  std::array<bool, 2> wait_when_open{false, true};       ///< By priority: wait while the breaker is open, or fail.
  uint32_t max_queued = 10'000;
  uint64_t max_queued_bytes = 256u << 20;
  limits::duration key_pause = std::chrono::minutes{5}; ///< How long a refused credential is left alone.
};

/// Decides what a provider does with its requests, from acceptance to the end: which goes next, on which lane, what is
/// tried again and when, what has waited long enough. Everything it needs to know comes as an argument.
///
/// A plain class: holds no clock, sends nothing. `now` never goes back. After every call that may have changed
/// something, the owner takes `next` until it is empty, and sees to it that it comes back at `wake_at`.
class dispatcher {
public:
  using time_point = limits::time_point;
  using duration = limits::duration;
  using attempt_id = uint64_t; ///< Never used twice.

  dispatcher(const dispatcher_settings& x, uint64_t seed);

  /// Takes over other settings, with as many groups and keys, each still the same. What the windows have used stays
  /// used; requests that could never go now are given up by `next`.
  void reconfigure(const dispatcher_settings& x);

  /// What other settings have of those before.
  struct heritage {
    std::vector<std::optional<uint32_t>> groups; ///< By group: its number before; empty: it is new.
    /// By key: a number that stands for its credential for good. Those that the dispatcher was made with are 0, 1, ...
    std::vector<uint32_t> keys;
    std::function<uint32_t(const std::string& model)> group_of; ///< Where a model belongs now.
    bool same_server = true; ///< Else breakers, pauses, and what answers told are forgotten.
  };

  /// Takes over other settings, with other groups and keys. What a credential has used stays used, by the models that
  /// used it, wherever they belong now, also while it is away; requests go by the settings of their model's group.
  void reconfigure(const dispatcher_settings& x, const heritage& of, time_point now);

  // -- taking requests --------------------------------------------------------------

  struct offer {
    request_id id;
    priority rank = priority::interactive;
    std::string tenant{};
    std::string node{};    ///< That asks for it: nodes share before tenants do; empty: this one.
    uint32_t group = 0;    ///< Index into `dispatcher_settings::groups`.
    limits::charge cost{}; ///< Guesses: they delay, and refuse nothing.
    uint64_t bytes = 0;    ///< What it takes while it waits.
    std::optional<time_point> deadline{};
    uint32_t spent = 0;      ///< Attempts that others have made for it: they count.
    std::string model{};     ///< What answers tell of its limits holds for others of the same name.
    limits::amounts least{}; ///< What it will certainly take, by what the caller fixed.
  };

  enum class reason : uint8_t {
    duplicate,        ///< A request with its id is here already.
    too_large,        ///< More bytes than may wait at all.
    over_limit,       ///< Certainly more tokens than a whole configured window allows: it could never go.
    queue_full,       ///< As many wait as may.
    queue_bytes_full, ///< They fill their memory.
    predicted_wait,   ///< It would wait beyond its deadline.
    circuit_open,     ///< The breaker is open.
    deadline,         ///< Its deadline has passed.
    empty_budget,     ///< Too many retries lately.
    draining,         ///< Nothing new is taken.
  };

  /// Why a request is not taken, or goes no further.
  struct refusal {
    reason why{};
    std::optional<duration> wait{};          ///< `predicted_wait`, `circuit_open`: how long it would be.
    std::optional<limits::dimension> over{}; ///< `over_limit`
    uint64_t limit = 0;                      ///< `over_limit`: within one window.
    uint64_t wanted = 0;                     ///< `over_limit`
  };

  /// Takes a request in; a refusal leaves no trace.
  std::optional<refusal> accept(offer x, time_point now);

  // -- what to do -------------------------------------------------------------------

  /// Send it now.
  struct dispatch {
    request_id id;
    attempt_id attempt = 0;
    /// 1: the first one, of those that others made, too. May pass `max_attempts`: some attempts cost none.
    uint32_t number = 1;
    uint32_t group = 0;
    uint32_t key = 0;
    wait_reason waited_for = wait_reason::nothing; ///< What held it last.
  };

  /// It goes no further: answer it. A transfer under way is to be aborted, and `end` still told.
  struct give_up {
    request_id id;
    refusal why;
    attempt_id attempt = 0; ///< Under way; 0: none.
  };

  /// Before anything is dispatched, write this down: see `journal`.
  struct save {};

  using step = std::variant<dispatch, give_up, save>;

  std::optional<step> next(time_point now);

  /// When `next` has something to tell, if nothing happens until then; empty: never.
  std::optional<time_point> wake_at(time_point now);

  // -- what became of it --------------------------------------------------------------

  /// An attempt's last byte went out at `when`.
  void written(attempt_id x, time_point when);

  /// An attempt's answer begins now, with a good status: see `lane::begun`. For streams; whole answers need only `end`.
  void begun(attempt_id x, time_point now);

  /// Whose attempt it is; empty: nobody waits for it any more.
  request_id request_of(attempt_id x) const;

  /// How an attempt ended.
  struct attempt_end {
    std::optional<retry::failed_attempt> failed{}; ///< Empty: it succeeded.
    bool written = true;                           ///< Whether the provider may have counted it.
    bool repeatable = true;                        ///< False: a part of the answer has been used already.
    limits::server_limits told{};
    std::optional<limits::charge> real{};    ///< What it took, if the answer told.
    std::optional<uint64_t> output_tokens{}; ///< Of a good answer.
  };

  /// What to do with the request of an attempt that ended.
  struct settlement {
    enum class what : uint8_t { nobody, answer, again } then = what::nobody;
    request_id id{};
    errc code = errc::none;         ///< `answer` after a failure: what it ends as.
    std::optional<duration> wait{}; ///< `answer`: the provider's wait, which was too long for this request.
    bool circuit_open = false;      ///< `answer`: it would be tried again, but the breaker is open.
  };

  settlement end(attempt_id x, const attempt_end& how, time_point now);

  /// Takes a request back, wherever it stands. Returns its attempt under way, to be aborted (0: none); empty: there is
  /// no such request. `end` is still told of that attempt: its charge comes back if it was not written.
  std::optional<attempt_id> withdraw(request_id id, time_point now);

  /// Takes nothing new from now on.
  void drain() { draining_ = true; }

  /// Takes new requests again.
  void resume() { draining_ = false; }

  // -- across a restart ---------------------------------------------------------------

  /// What a lane has charged, with what it may charge before the next `save`.
  struct journal_lane {
    uint32_t group = 0;
    uint32_t key = 0;
    std::vector<limits::rate_limiter::saved_charge> live;
    limits::amounts open{}; ///< Under way, or allowed before the next journal: counts as used when it is taken over.
  };

  /// Asks for a `save` step before what the last journal allows is exceeded. Lanes without limits are not saved.
  void keep_journal(bool on) { journalled_ = on; }

  /// What is to be written down. From then on a part of each limit may be dispatched, for `journal_time`; nothing, if
  /// this is the `last` one.
  std::vector<journal_lane> journal(time_point now, bool last = false);

  static constexpr duration journal_time = std::chrono::seconds{1};

  /// Takes over what a journal tells that was written `age` ago.
  void restore(const std::vector<journal_lane>& x, duration age, time_point now);

  /// Counts every window as full.
  void fill_windows(time_point now);

  // -- status -------------------------------------------------------------------------

  struct counters {
    uint64_t attempts = 0;
    uint64_t answered = 0;
    uint64_t failed = 0;                ///< Requests that ended in an error, refused ones included.
    uint64_t late = 0;                  ///< Answers that came after their request was given up.
    std::array<uint64_t, 9> retries{};  ///< By `retry::meaning`.
    std::array<uint64_t, 10> refused{}; ///< By `reason`.
  };

  struct queue_state {
    std::array<uint64_t, 2> queued{}; ///< By priority; retries that wait for their time are apart.
    uint64_t queued_bytes = 0;
    uint64_t in_flight = 0;
    uint64_t waiting = 0; ///< Retries that wait for their time.
    std::optional<time_point> next_due{};
  };

  const counters& counts() const { return counts_; }
  queue_state state();

  /// When something that waits for its time, or for the breaker, may go; empty: nothing does.
  std::optional<time_point> next_try(time_point now);

  bool empty() const { return requests_.empty(); }
  limits::lane& lane_of(uint32_t group, uint32_t key) { return *lanes_[group * keys_ + key]; }
  uint32_t groups() const { return static_cast<uint32_t>(lanes_.size() / keys_); }
  uint32_t keys() const { return keys_; }

  /// How long a request of the usual cost, for the model that was asked last, would wait in this group if it came now,
  /// behind all others, as far as limits and pauses tell.
  duration predicted_wait(uint32_t group, priority rank, time_point now);

private:
  enum class place : uint8_t { queued, waiting, in_flight };

  struct request {
    offer is;
    limits::fair_queue::item item;
    place at = place::queued;
    time_point queued_at{};
    uint32_t attempts = 0;              ///< Dispatched.
    uint32_t spent = 0;                 ///< Of these, ended and counted.
    uint32_t free = 0;                  ///< Of the latest, in a row, that cost none.
    uint32_t passed = 0;                ///< How often it was refused again, though others were answered in between.
    uint64_t answers = 0;               ///< The lane's, at the latest attempt's end.
    time_point free_since{};            ///< When the first of `free` ended.
    attempt_id attempt = 0;             ///< Under way.
    const limits::lane* lane = nullptr; ///< Of the attempt under way, or the last one; it may be gone.
    wait_reason held_by = wait_reason::nothing;
    retry::when_empty on_empty = retry::when_empty::wait;
    bool is_last = false;    ///< The attempt under way is the last one that may be made, by the settings when it went.
    bool has_budget = false; ///< Released by the mailbox, not dispatched yet.
  };

  struct flight {
    request* of = nullptr; ///< Null: its request has been answered otherwise.
    limits::lane* lane = nullptr;
    uint32_t key = 0; ///< `no_key`: it is no more.
    limits::lane::attempt attempt;
  };

  /// One whose credential is no more: it may come back, or has attempts under way.
  struct departed_lane {
    std::unique_ptr<limits::lane> is;
    uint32_t credential = 0;
  };

  struct group_state {
    std::array<limits::fair_queue, 2> queues;                                  ///< By priority.
    std::map<std::string, std::array<limits::amounts, 2>, std::less<>> models; ///< What the queued ones will charge.
    time_point blocked_until{}; ///< The head cannot go before, unless something happens.
    wait_reason held_by = wait_reason::nothing;
    bool held_by_model = false; ///< By what answers tell of its model: one for another model may go.
    bool changed = true;
    limits::amounts usual{}; ///< Sum of the latest charges; halved when `usual_count` is large.
    uint64_t usual_count = 0;
    std::string latest_model;
  };

  struct choice {
    uint32_t lane = 0;
    limits::lane::readiness when{};
    time_point told = time_point::max(); ///< On no lane earlier, if what the provider told is right.
  };

  using request_map = std::unordered_map<request_id, request>;
  using lane_list = std::vector<std::unique_ptr<limits::lane>>;

  static constexpr uint32_t no_key = UINT32_MAX;

  static std::size_t index(priority x) { return static_cast<std::size_t>(x); }

  struct open_state {
    bool all = false;               ///< No lane would take a request.
    std::optional<duration> wait{}; ///< Until the next probe; empty: one is under way.
  };

  std::optional<refusal> refuse(const offer& x, time_point now);
  std::optional<refusal> refuse_wait(const offer& x, time_point now);
  std::optional<refusal> over_limit(const offer& x);
  refusal count(refusal x);
  open_state open_lanes(uint32_t group, time_point now);
  /// What goes before it on each lane, and of that, what is for its model.
  std::pair<limits::amounts, limits::amounts> ahead_of(const group_state& g, priority rank, const offer* whose,
                                                       const std::string& model) const;
  limits::lane_settings lane_settings_of(uint32_t group) const;
  limits::lane::readiness ready(uint32_t lane, const request& x, time_point now, const request* before = nullptr);
  void enqueue(request& x, time_point now);
  void dequeue(request& x, bool served);
  std::optional<time_point> next_deadline();
  std::optional<step> expire(time_point now);
  std::optional<step> release(time_point now);
  std::optional<step> pick(time_point now);
  std::optional<step> pick(group_state& g, uint32_t number, time_point now);
  std::optional<step> pass(group_state& g, uint32_t number, request& head, const choice& of_head, time_point now);
  choice choose(uint32_t group, const request& x, time_point now);
  std::optional<step> start(request& x, uint32_t lane, time_point now);
  step drop(request& x, refusal why, time_point now);
  void remove(request& x, time_point now);
  void park(request& x, time_point due, wait_reason why);
  void set_aside(request& x, time_point until);
  void exempt(request& x);
  void resume(const limits::lane& lane, time_point pause, time_point now);
  void add_lanes(lane_list& before, const std::vector<uint32_t>& credentials_before, const heritage& of);
  std::optional<uint32_t> key_of(uint32_t credential) const;
  void share_unknown(const limits::rate_limiter& what, const limits::lane& from, uint32_t key, const heritage& of);
  void move_charges(limits::lane& from, uint32_t key, const heritage& of, time_point now);
  void move_requests(const heritage& of, time_point now);
  bool is_current(const limits::lane* x) const;
  void let_depart(std::unique_ptr<limits::lane> x, uint32_t credential);
  void forget_departed(time_point now);
  void look_again();

  /// What the lane does about how an attempt ended.
  struct lane_reaction {
    bool was_probe = false; ///< It was the breaker's probe, and has failed.
    bool waits = false;     ///< It was refused, and the lane waits for that,
    bool as_told = false;   ///< for a time that the provider named.
    bool is_busy = false;   ///< It was refused for load, and others are answered.
  };

  settlement settle(flight& x, const attempt_end& how, time_point now);
  lane_reaction settle_lane(flight& x, const attempt_end& how, time_point now);
  bool costs_nothing(request& x, const flight& of, const retry::failed_attempt& why, const lane_reaction& by,
                     time_point now);
  bool allowed_by_journal(uint32_t lane, const limits::charge& x, time_point now) const;

  dispatcher_settings settings_;
  uint32_t keys_;
  lane_list lanes_;                   ///< By group, then by key.
  std::vector<uint32_t> credentials_; ///< By key: see `heritage`.
  std::vector<departed_lane> departed_;
  std::vector<group_state> groups_;
  uint32_t first_group_ = 0; ///< Whose turn it is to take a slot.
  request_map requests_;
  std::unordered_map<attempt_id, flight> flights_;
  retry::mailbox mailbox_;
  retry::due_queue deadlines_;
  std::mt19937_64 random_;
  attempt_id attempts_ = 0;
  uint64_t arrivals_ = 0;
  uint64_t queued_bytes_ = 0; ///< Of those that wait for their time, too.
  std::array<uint64_t, 2> queued_{};
  uint64_t flights_with_request_ = 0;
  bool draining_ = false;
  bool journalled_ = false;
  time_point journal_until_{};
  limits::amounts journal_wants_{};           ///< What the next dispatch will charge.
  std::vector<limits::amounts> journal_left_; ///< By lane: what may still be charged before the next journal.
  counters counts_;
};

} // namespace modelforge

template <>
inline constexpr auto modelforge::enum_names<modelforge::dispatcher::reason> =
  std::to_array<std::string_view>({"duplicate", "too_large", "over_limit", "queue_full", "queue_bytes_full",
                                   "predicted_wait", "circuit_open", "deadline", "empty_budget", "draining"});
