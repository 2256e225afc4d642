#pragma once

#include "dispatch/attempt_account.hpp"
#include "dispatch/attempt_end.hpp"
#include "dispatch/group_queue.hpp"
#include "dispatch/journal_gate.hpp"
#include "dispatch/lane_succession.hpp"
#include "dispatch/lane_table.hpp"
#include "dispatch/offer.hpp"
#include "dispatch/settings.hpp"
#include "limits/fair_queue.hpp"
#include "limits/lane.hpp"
#include "retry/due_queue.hpp"
#include "retry/mailbox.hpp"

#include <modelforge/messages/chat_request.hpp>
#include <modelforge/messages/errc.hpp>

#include <array>
#include <cstdint>
#include <optional>
#include <random>
#include <string>
#include <unordered_map>
#include <variant>
#include <vector>

namespace modelforge {

/// Decides what a provider does with its requests, from acceptance to the end: which goes next, on which lane, what is
/// tried again and when, what has waited long enough. Everything it needs to know comes as an argument.
///
/// A request is queued (`group_queue`), in flight, or waits for its time in the retry mailbox, where it holds neither
/// slot nor charge. From the queue's head it goes when a lane is ready (`lane_table`), the journal allows it
/// (`journal_gate`) and the retry budget has room; a smaller one may pass it where that delays it by nothing. An
/// attempt that ends is settled on its lane first (`settle_on_lane`), then on its request (`attempt_account`,
/// `retry::decide`).
///
/// A plain class: holds no clock, sends nothing. `now` never goes back. After every call that may have changed
/// something, the owner takes `next` until it is empty, and sees to it that it comes back at `wake_at`.
class dispatcher {
public:
  using time_point = limits::time_point;
  using duration = limits::duration;
  using attempt_id = uint64_t; ///< Never used twice.

  dispatcher(const dispatcher_settings& settings, uint64_t seed);

  /// Takes over other settings, with as many groups and keys, each still the same. What the windows have used stays
  /// used; requests that could never go now are given up by `next`.
  void reconfigure(const dispatcher_settings& settings);

  using heritage = lane_heritage;

  /// Takes over other settings, with other groups and keys: see `lane_succession`. Requests go by the settings of their
  /// model's group.
  void reconfigure(const dispatcher_settings& settings, const heritage& of, time_point now);

  // -- taking requests --------------------------------------------------------------

  using offer = dispatch_offer;

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
  std::optional<refusal> accept(offer asked, time_point now);

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
    attempt_id attempt = 0;                        ///< Under way; 0: none.
    wait_reason waited_for = wait_reason::nothing; ///< Where none is: what held it last.
  };

  /// Before anything is dispatched, write this down: see `journal`.
  struct save {};

  using step = std::variant<dispatch, give_up, save>;

  std::optional<step> next(time_point now);

  /// When `next` has something to tell, if nothing happens until then; empty: never.
  std::optional<time_point> wake_at(time_point now);

  // -- what became of it --------------------------------------------------------------

  /// An attempt's last byte went out at `when`.
  void written(attempt_id attempt, time_point when);

  /// The first piece of an attempt's answer came now: see `lane::begun`. For streams; whole answers need only `end`.
  void begun(attempt_id attempt, time_point now);

  /// Whose attempt it is; empty: nobody waits for it any more.
  request_id request_of(attempt_id attempt) const;

  using attempt_end = modelforge::attempt_end;

  /// What to do with the request of an attempt that ended.
  struct settlement {
    enum class what : uint8_t { nobody, answer, again } then = what::nobody;
    request_id id{};
    errc code = errc::none;         ///< `answer` after a failure: what it ends as.
    std::optional<duration> wait{}; ///< `answer`: the provider's wait, which was too long for this request.
    bool circuit_open = false;      ///< `answer`: it would be tried again, but the breaker is open.
  };

  settlement end(attempt_id attempt, const attempt_end& how, time_point now);

  /// Takes a request back, wherever it stands. Returns its attempt under way, to be aborted (0: none); empty: there is
  /// no such request. `end` is still told of that attempt: its charge comes back if it was not written.
  std::optional<attempt_id> withdraw(request_id id, time_point now);

  /// What holds a request that waits, as far as is known; `nothing` of others.
  wait_reason held_by(request_id id, time_point now) const;

  /// Takes nothing new from now on.
  void drain() { draining_ = true; }

  /// Takes new requests again.
  void resume() { draining_ = false; }

  /// What has become of lanes since the last call, in order.
  std::vector<lane_event> collect_events() { return lanes_.collect_events(); }

  // -- across a restart ---------------------------------------------------------------

  using journal_lane = lane_journal;

  /// Asks for a `save` step before what the last journal allows is exceeded. Lanes without limits are not saved.
  void keep_journal(bool on) { journal_.set(on); }

  /// What is to be written down. From then on a part of each limit may be dispatched, for `journal_time`; nothing, if
  /// this is the `last` one.
  std::vector<journal_lane> journal(time_point now, bool last = false);

  static constexpr duration journal_time = journal_gate::allowed_for;

  /// Takes over what a journal tells that was written `age` ago.
  void restore(const std::vector<journal_lane>& saved, duration age, time_point now) {
    lanes_.restore(saved, age, journal_time, now);
  }

  /// Counts every window as full.
  void fill_windows(time_point now) { lanes_.fill_windows(now); }

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
  limits::lane& lane_of(uint32_t group, uint32_t key) { return lanes_.at(group, key); }
  uint32_t groups() const { return lanes_.groups(); }
  uint32_t keys() const { return lanes_.keys(); }

  /// How long a request of the usual cost, for the model that was asked last, would wait in this group if it came now,
  /// behind all others, as far as limits and pauses tell.
  duration predicted_wait(uint32_t group, priority rank, time_point now);

private:
  enum class place : uint8_t { queued, waiting, in_flight };

  struct live_request {
    dispatch_offer offer;
    limits::fair_queue::item item;
    place at = place::queued;
    time_point queued_at{};
    attempt_account attempts;
    attempt_id attempt = 0;             ///< Under way.
    const limits::lane* lane = nullptr; ///< Of the attempt under way, or the last one; it may be gone.
    wait_reason held_by = wait_reason::nothing;
    retry::when_empty on_empty = retry::when_empty::wait;
    bool has_budget = false; ///< Released by the mailbox, not dispatched yet.

    /// By others, too.
    uint32_t spent() const { return offer.spent + attempts.spent(); }
  };

  struct flight : lane_flight {
    live_request* owner = nullptr; ///< Null: its request has been answered otherwise.
  };

  struct numbers {
    attempt_id attempt = 0;
    uint64_t arrival = 0;
  };

  using choice = lane_table::choice;

  /// While the breaker is open, those with more attempts spent come back so much later for each, behind the next probe.
  static constexpr duration probe_order = std::chrono::milliseconds{1};

  refusal count(refusal no);
  std::optional<refusal> refuse(const offer& asked, time_point now);
  std::optional<refusal> refuse_wait(const offer& asked, time_point now);
  std::optional<refusal> over_limit(const offer& asked) const;
  bool waits_when_open(const offer& asked) const {
    return settings_.wait_when_open[index(asked.rank)] && !asked.fail_when_open;
  }
  void enqueue(live_request& request, time_point now);
  void dequeue(live_request& request, bool served);
  std::optional<time_point> next_deadline();
  std::optional<step> expire(time_point now);
  std::optional<step> release(time_point now);
  std::optional<step> pick(time_point now);
  std::optional<step> pick(group_queue& queue, uint32_t group, time_point now);
  std::optional<step> pass(group_queue& queue, uint32_t group, live_request& head, const choice& of_head,
                           time_point now);
  std::optional<step> start(live_request& request, uint32_t lane, time_point now);
  choice choose(uint32_t group, const live_request& request, time_point now) const;
  wait_reason held_by(const live_request& request, time_point now) const;
  bool may_go(const live_request& request, time_point now);
  step drop(live_request& request, refusal why, time_point now);
  void remove(live_request& request, time_point now);
  void park(live_request& request, time_point due, wait_reason why);
  void set_aside(live_request& request, time_point until);
  void exempt(live_request& request);
  void resume(const limits::lane& lane, time_point pause, time_point now);
  lane_succession::flight_list all_flights();
  void move_requests(const heritage& of, time_point now);
  void look_again();
  lane_reaction settle_lane(flight& flight, const attempt_end& how, time_point now);
  settlement settle(flight& flight, const attempt_end& how, time_point now);
  bool count_failure(flight& of, const retry::failed_attempt& why, const lane_reaction& by, time_point now);
  settlement settle_failure(flight& flight, const attempt_end& how, const lane_reaction& by, time_point now);

  dispatcher_settings settings_;
  lane_table lanes_;
  lane_succession succession_;
  journal_gate journal_;
  std::vector<group_queue> groups_;
  uint32_t first_group_ = 0; ///< Whose turn it is to take a slot.
  std::unordered_map<request_id, live_request> requests_;
  std::unordered_map<attempt_id, flight> flights_;
  retry::mailbox mailbox_;
  retry::due_queue deadlines_;
  std::mt19937_64 random_;
  numbers last_;
  queue_state totals_; ///< Bytes: of those that wait for their time, too. In flight: those that somebody waits for.
  bool draining_ = false;
  counters counts_;
};

} // namespace modelforge

template <>
inline constexpr auto modelforge::enum_names<modelforge::dispatcher::reason> =
  std::to_array<std::string_view>({"duplicate", "too_large", "over_limit", "queue_full", "queue_bytes_full",
                                   "predicted_wait", "circuit_open", "deadline", "empty_budget", "draining"});
