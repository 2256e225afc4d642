#pragma once

#include "cluster/kept_lease.hpp"
#include "cluster/outstanding.hpp"
#include "cluster/pace.hpp"
#include "cluster/sight.hpp"
#include "cluster/store.hpp"

#include <chrono>
#include <cstdint>
#include <optional>
#include <random>
#include <string>
#include <variant>
#include <vector>

namespace modelforge::cluster {

struct ownership_settings {
  std::string node;               ///< This candidate.
  std::vector<std::string> nodes; ///< All of them, the preferred first.
  /// An owner that is lost is replaced within it; at least 3 s. The lease is one second shorter: so long a store may
  /// take to see that it has ended (etcd looks twice a second), and the next owner to begin.
  std::chrono::seconds ttl{5};
  /// A preferred node that has been well for so long gets the provider back; empty: never.
  std::optional<duration> hand_back_after{};
};

/// Decides, for one provider on one of the nodes that may own it, whether this one does, by leases in a store that all
/// share.
///
/// Every candidate keeps a lease. The owner is the node whose record the store holds; it is made only where there is
/// none, under the candidate's lease, and ends with that. So there is one at a time, and the revision that made the
/// record is its **epoch**. An owner may dispatch until two thirds of the lease after the sending of the last renewal
/// that was answered: before then the store cannot have given the provider to another node. Each `serve` says until
/// when, and it must be held against the clock right before anything goes out: a process that was stopped gets no other
/// warning. A free provider is left to the more preferred candidates for a moment. One that is preferred to the owner,
/// and has been well for a while, claims the provider, and the owner cedes it.
///
/// Nothing is believed because of the order in which it comes: an answer counts by what was asked, and views of the
/// store by their revisions. A question without an answer may have been carried out, or may be later: it is asked again
/// in a way that does no harm, and looked at what has become of it.
///
/// A plain class: `now` comes as an argument and never goes back. After every call the owner of this carries out what
/// `next` says until it is empty, and comes back at `wake_at`.
class ownership {
public:
  ownership(ownership_settings settings, time_point now, uint64_t seed);

  // -- what is to be done -----------------------------------------------------------

  /// Ask the store, and say `on_answer`; at the latest when it will not be answered any more.
  struct ask {
    question_id id = 0;
    question what;
  };

  /// Dispatch under this epoch, and only before `until`. Comes again with each renewal.
  struct serve {
    revision epoch = 0;
    time_point until{};
  };

  enum class reason : uint8_t {
    late,       ///< The lease was not renewed in time; the same epoch may go on later.
    lease_lost, ///< It was too late.
    displaced,  ///< The record is gone, or another's: somebody has removed it.
    handed_over ///< It is ceded; say `handed_over` when what goes along with the provider is saved.
  };

  /// Dispatch no more.
  struct stop {
    revision epoch = 0;
    reason why = reason::late;
  };

  /// Watch the provider's records; say `on_watch`, `on_change`, `on_watch_end`. Replaces an earlier watch.
  struct watch {};

  using step = std::variant<stop, serve, ask, watch>;

  std::optional<step> next(time_point now);

  time_point wake_at() const;

  // -- what happens -----------------------------------------------------------------

  void on_answer(question_id id, const answer& told, time_point now);

  /// The watch has begun: changes from now on will be told.
  void on_watch(time_point now);

  /// Something is different in the store.
  void on_change() { look_soon_ = true; }

  /// The watch could not begin, or has ended.
  void on_watch_end(time_point now);

  // -- what is wanted ---------------------------------------------------------------

  /// Gives the provider to that candidate, which is preferred from then on. False: it is not ours to give, or no other
  /// candidate is called so.
  bool move(const std::string& to, time_point now);

  /// Takes part no more, and gives the provider to whoever takes it.
  void withdraw() { standing_.entered = false; }

  /// Takes part again; so it is from the start.
  void enter(time_point now) { standing_ = {true, standing_.ending, now}; }

  /// As `withdraw`, and gives the lease back. `is_over` when that is done; without a store it never may be.
  void end() { standing_ = {false, true, standing_.since}; }

  /// What goes along with the provider is saved, after `stop` with `handed_over`: it may go. It goes without, after
  /// `hand_over_time`.
  void handed_over(time_point now);

  static constexpr duration hand_over_time = std::chrono::milliseconds{200};

  // -- how it is --------------------------------------------------------------------

  bool is_over() const { return standing_.ending && lease_.id() == 0 && !told_; }

  /// Of the record that is ours; 0: none is.
  revision epoch() const { return tenure_.epoch; }

  const store_view& view() const { return sight_.view(); }

  /// Why the store is of no use at present, for people; empty: it is.
  const std::string& problem() const { return problem_; }

private:
  struct standing {
    bool entered = true;
    bool ending = false;
    time_point since{}; ///< Since when it has been well.
  };

  /// The record that is ours.
  struct tenure {
    revision epoch = 0;
    bool is_doubted = false;                ///< The store tells what cannot be. Until it tells of the record again.
    bool is_ceded = false;                  ///< It is served no more, and to be removed.
    time_point cede_at = time_point::min(); ///< Not before.
    std::optional<std::string> placed{};
  };

  /// A question, and when it may be asked.
  struct plan {
    time_point at = time_point::max();
    question what{};
  };

  void take(const outstanding::entry& asked, const lease_granted& told, time_point now);
  void take(const outstanding::entry& asked, const lease_renewed& told, time_point now);
  void take(const outstanding::entry& asked, const acquired& told, time_point now);
  void take(const outstanding::entry& asked, const changed& told, time_point now);
  void take(const outstanding::entry& asked, const seen& told, time_point now);
  void take(const outstanding::entry& asked, const no_answer& told, time_point now);
  void fail(const outstanding::entry& asked, std::string why, bool hurry, time_point now);
  void learn(const outstanding::entry& asked, store_view told, time_point now);
  void settle();
  void lose_lease(time_point now);
  void end_tenure(reason why);
  void cede(std::optional<std::string> placed, time_point now);
  void consider_hand_back(time_point now);
  bool is_claimed() const;
  std::size_t rank(const std::string& node) const;
  std::optional<time_point> may_serve(time_point now) const;
  std::optional<step> judge_service(time_point now);
  ask ask_now(question what, time_point now);
  plan record_plan() const;
  plan standby_plan() const;
  void prefer(plan& best, time_point at, question what) const;

  ownership_settings settings_;
  std::mt19937_64 random_;
  kept_lease lease_;
  outstanding questions_;
  sight sight_;
  pace record_pace_; ///< Of all questions but those about the lease.
  pace watch_pace_;
  standing standing_;
  tenure tenure_;
  revision given_up_ = 0; ///< The newest epoch that the store was asked to remove: not served again, whatever it tells.
  std::optional<serve> told_;        ///< What the node goes by.
  reason ended_ = reason::displaced; ///< Why the last tenure did.
  bool look_soon_ = true;
  bool is_watched_ = false;
  time_point looked_ = time_point::min();
  time_point hand_back_from_ = time_point::min();
  std::string problem_;
};

} // namespace modelforge::cluster
