#pragma once

#include <modelforge/messages/errc.hpp>

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <utility>
#include <variant>

namespace modelforge::node {

/// Decides what becomes of calls to a provider that another node owns: which go out, which wait for the owner's return,
/// which end.
///
/// All who try a call spend one `max_attempts`. An owner that is lost has possibly made one more attempt than it
/// reported; one that takes nothing new, because it ends or is replaced, rests: it keeps what it has, calls wait for it
/// or its successor, and what it gave back unmade costs nothing.
///
/// A plain class: `now` comes as an argument and never goes back. After every call the owner takes `next` until it is
/// empty, and comes back at `wake_at`.
class pending_calls {
public:
  using duration = std::chrono::nanoseconds;
  using time_point = std::chrono::steady_clock::time_point;
  using call_id = uint64_t;  ///< Never used twice.
  using owner_id = uint64_t; ///< Likewise; 0: none.

  struct settings {
    bool retry_uncertain = true; ///< Whether a call that may have been made goes out again.
    uint32_t max_attempts = 3;   ///< The first one included.
    /// How long after the start an owner is expected to come. Calls wait for it meanwhile; later they end at once.
    duration first_patience = std::chrono::seconds{4};
    /// How long after its loss it is expected back: no shorter than a link may take to come up again.
    duration patience = std::chrono::seconds{14};
    /// The owner keeps the deadlines. A call that it has not answered so long behind its own ends here.
    duration slack = std::chrono::seconds{5};
    /// Until an owner is looked for again that rests, has ended or does not run the provider, or a call is sent again
    /// that it has still; doubled each time.
    duration first_pause = std::chrono::milliseconds{100};
    duration max_pause = std::chrono::seconds{1};
  };

  pending_calls(const settings& settings, time_point now) : settings_(settings) {
    owner_.expected_until = now + settings.first_patience;
  }

  struct offer {
    std::optional<time_point> deadline{};
    uint32_t spent = 0;   ///< Attempts that others have made for it.
    bool patient = false; ///< Waits for the owner as long as that takes, as batch items do.
    uint64_t bytes = 0;   ///< That it takes on the link; 0: too few to count.
  };

  /// Takes a call; returns its id.
  call_id add(const offer& offered);

  /// It was answered, or is not wanted any more. An unknown id is not an error.
  void remove(call_id id);

  /// An owner, maybe a new one, can be reached from now on, and takes calls. Those that the one before has stay with
  /// it.
  owner_id up(time_point now);

  /// All owners are lost. Calls that were sent go back or end.
  void lost(time_point now);

  /// This one is, though its node may be there: it is looked for.
  void lost(owner_id who, time_point now);

  /// Its node does not run the provider, which is not expected before the next `up`, but looked for: the node's
  /// settings may change. What was sent stays sent.
  void give_up(time_point now);

  /// The call's owner has spent so many attempts on it, of which others have made the first, and goes on trying.
  void reported(call_id id, uint32_t spent);

  /// The call's owner gives it back unanswered, because it takes nothing new or ends, and rests from now on.
  /// `cut_off`: in the middle of an attempt; else none was made but those that it has reported.
  void given_back(call_id id, bool cut_off, time_point now);

  /// The call's owner says that it has the call still, from before it was lost. Returns false if that cannot be.
  bool busy(call_id id, time_point now);

  struct send {
    call_id call = 0;
    uint32_t attempt = 1; ///< Number of the first one that the owner may make.
  };

  /// See whether there is an owner that takes calls: then say `up`.
  struct look {};

  /// The call is over; it is forgotten already.
  struct end {
    call_id call = 0;
    /// `node_lost`: it never went out, or its attempts are used up; `outcome_unknown`: it may have been made and must
    /// not be sent again; `deadline_exceeded`.
    errc code = errc::node_lost;
    uint32_t attempts = 0; ///< That were possibly made, by others, too.
    owner_id owner = 0;    ///< Who has it, and does not answer.
  };

  using step = std::variant<send, look, end>;

  /// Whether so many bytes may be sent now; the one who is told so sends them.
  using room = std::function<bool(uint64_t bytes)>;

  /// Where there is no room for the next call, it and those behind it wait until `open`. The patient go last.
  std::optional<step> next(time_point now, const room& has_room = {});

  /// There may be room again.
  void open() { held_ = false; }

  /// Whether calls wait for room only.
  bool is_held() const { return held_ && owner_.up && !owner_.resting && !line_.empty(); }

  std::optional<time_point> wake_at() const;

  /// Who gets what is sent now; 0: nobody can be reached.
  owner_id owner() const { return owner_.up ? owner_.id : 0; }

  /// It can be reached, but takes nothing new.
  bool is_resting() const { return owner_.resting; }

  /// Who has the call; 0: nobody.
  owner_id owner_of(call_id id) const;

  /// Whether it has calls.
  bool is_used(owner_id owner) const { return by_owner_.count(owner) > 0; }

  std::size_t size() const { return calls_.size(); }

  /// Whether calls wait for the owner now, rather than end at once.
  bool expects_owner(time_point now) const { return owner_.up || (!owner_.given_up && now < owner_.expected_until); }

private:
  struct call {
    std::optional<time_point> deadline;
    bool patient = false;
    bool goes_last = false; ///< Behind those that do not.
    uint32_t spent = 0;     ///< Before it was sent.
    uint32_t attempts = 0;  ///< Possibly made, the one under way, too.
    uint64_t bytes = 0;
    owner_id sent = 0;     ///< Who has it.
    bool was_lost = false; ///< With an owner that may have it still.
    std::optional<errc> over;
    std::optional<time_point> not_before{}; ///< An owner has it still.
    duration pause{0};
    time_point busy_until{};
    std::optional<time_point> due{}; ///< Its entry in `due_`.
  };

  /// Who runs the provider, as far as is known here.
  struct owner_view {
    owner_id id = 0;       ///< The latest.
    bool up = false;       ///< It can be reached.
    bool resting = false;  ///< It takes nothing new.
    bool given_up = false; ///< Its node does not run the provider.
    time_point expected_until{};
    time_point up_at{};
    std::optional<time_point> look_at{}; ///< Its node is there, as far as is known, and it takes no calls.
    duration look_pause{0};
  };

  using call_map = std::map<call_id, call>;

  void take_back(call& call);
  void lose(call_id id, call& call);
  void may_have_run(call& call) const;
  void look_from(time_point now);
  duration longer(duration pause) const;
  std::optional<step> judge(call_id id, call& call, time_point now);
  std::optional<step> next_in_line(const room& has_room);
  send send_now(call_id id, call& call);
  void leave_line(call_id id, const call& call);
  void set_due(call_id id, call& call);

  settings settings_;
  owner_view owner_;
  call_id last_ = 0;
  call_map calls_;                           ///< In the order of their coming.
  std::map<owner_id, std::size_t> by_owner_; ///< How many calls each owner has; none: no entry.
  std::size_t waiting_ = 0;                  ///< Calls that nobody has.
  std::set<call_id> ready_;                  ///< Those that `next` is to look at.
  std::set<std::pair<bool, call_id>> line_;  ///< Those that go as soon as there is room.
  bool held_ = false;                        ///< There is none for the first of them.
  std::set<std::pair<time_point, call_id>> due_;
};

} // namespace modelforge::node
