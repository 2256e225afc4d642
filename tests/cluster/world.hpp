#pragma once

#include "cluster/ownership.hpp"

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <queue>
#include <random>
#include <string>
#include <utility>
#include <vector>

namespace modelforge::test {

/// A store with leases as etcd has them, as simple as can be. Time is true time, in nanoseconds.
class modelled_store {
public:
  using changed_fn = std::function<void()>;

  explicit modelled_store(changed_fn on_change) : on_change_(std::move(on_change)) {}

  /// Ends what leases have run out; etcd looks twice a second.
  void tick(int64_t now);

  cluster::answer carry_out(const cluster::question& asked, const std::string& node, int64_t now);

  /// All leases begin anew, as when etcd has got another leader.
  void extend_all(int64_t now);

  const std::string& placed() const { return placed_; }

private:
  struct lease {
    int64_t ttl = 0;
    int64_t ends = 0;
  };

  struct held_claim {
    int64_t epoch = 0;
    int64_t lease = 0;
  };

  cluster::store_view view() const;
  void drop(int64_t id);
  int64_t change();

  changed_fn on_change_;
  int64_t revision_ = 1;
  int64_t last_lease_ = 1000;
  std::map<int64_t, lease> leases_;
  std::optional<cluster::owner_record> owner_;
  std::map<std::string, held_claim> claims_;
  std::string placed_;
};

/// Candidates of one provider, their store, and what lies between them, in virtual time; judged by what each has been
/// told to do. True time is in nanoseconds; each node's clock has an offset and a speed of its own.
class ownership_world {
public:
  struct plan {
    std::size_t nodes = 3;
    std::optional<cluster::duration> hand_back_after{};
    double clock_error = 0;     ///< How much clocks run too fast or too slow, at most.
    int64_t trouble = 0;        ///< How long faults happen.
    double faults_a_second = 0; ///< Per node.
    double loss = 0;            ///< Share of requests, and of answers, that never arrive.
    double slow_share = 0;      ///< Of those that take up to `slowest`.
    int64_t slowest = 0;
    int64_t usual = 0; ///< What most take, at most.
    double garbage = 0;
    double outage = 0; ///< How often a second the store is gone.
  };

  struct figures {
    uint64_t turns = 0, tenures = 0, faults = 0, late = 0, moves = 0, hand_backs = 0;
    int64_t slowest_move = 0, slowest_takeover = 0; ///< In quiet times.
  };

  ownership_world(const plan& plan, uint64_t seed);

  /// Trouble, then quiet, then a planned move, a drain and a crash, each with its bound. Returns what was wrong; empty:
  /// nothing.
  std::string run();

  const figures& totals() const { return figures_; }

private:
  struct node {
    std::string name;
    std::unique_ptr<cluster::ownership> is; ///< Null: not running.
    uint64_t life = 0;                      ///< Which process it is.
    int64_t offset = 0;
    double speed = 1;
    int64_t paused_until = 0;
    std::vector<std::function<void(cluster::ownership&, cluster::time_point)>> inbox; ///< While it is stopped.
    int64_t cut_until = 0; ///< Nothing passes between it and the store.
    std::optional<cluster::ownership::serve> told;
    int64_t told_until = 0; ///< In true time.
    uint64_t watch = 0;     ///< 0: none.
    bool watch_is_dead = false;
    int64_t watch_tells_at = 0;
    int64_t wakes_at = 0;
  };

  struct event {
    int64_t at = 0;
    uint64_t number = 0;
    std::function<void()> what;
    friend bool operator<(const event& x, const event& y) { return x.at != y.at ? x.at > y.at : x.number > y.number; }
  };

  using point = cluster::time_point;

  bool chance(double p) { return std::uniform_real_distribution<>{}(random_) < p; }
  int64_t upto(int64_t most) {
    return most <= 0 ? 0 : static_cast<int64_t>(random_() % static_cast<uint64_t>(most + 1));
  }
  int64_t delay();
  void at(int64_t when, std::function<void()> what);
  void play_until(int64_t when);
  point local(const node& n) const;
  int64_t true_time(const node& n, point when) const;
  void start(std::size_t i);
  void crash(std::size_t i);
  void in_turn(std::size_t i, uint64_t life, std::function<void(cluster::ownership&, point)> what);
  void go_on(std::size_t i, uint64_t life);
  void turn(std::size_t i);
  void carry_out(std::size_t i, const cluster::ownership::step& step);
  void send(std::size_t i, const cluster::ownership::ask& asked);
  void answer(std::size_t i, uint64_t life, cluster::question_id id, cluster::answer told);
  cluster::answer garbage();
  void watch(std::size_t i);
  void tell_of_watch(std::size_t i, std::function<void(cluster::ownership&, point)> what);
  void end_watch(std::size_t i, uint64_t number);
  void store_changed();
  void begin(std::size_t i, const cluster::ownership::serve& told);
  void fault();
  void fault_at_node(std::size_t i);
  void restart(std::size_t i, int64_t after);
  void calm();
  std::size_t owner() const; ///< Who may dispatch now; the number of nodes: nobody.
  std::size_t preferred() const;
  void wrong(std::string what);
  std::optional<int64_t> time_to_owner(std::pair<std::size_t, uint64_t> other_than, int64_t most);
  void judge_quiet();
  void judge_planned(bool whole);
  void judge_crash();

  plan plan_;
  std::mt19937_64 random_;
  int64_t now_ = 0;
  bool quiet_ = false;
  int64_t store_down_until_ = 0;
  uint64_t numbers_ = 0;
  std::priority_queue<event> events_;
  std::vector<std::string> names_;
  std::vector<node> nodes_;
  modelled_store store_;
  int64_t last_epoch_ = 0;
  std::pair<std::size_t, uint64_t> last_owner_{};
  std::string placed_;
  std::string problem_;
  figures figures_;
};

} // namespace modelforge::test
