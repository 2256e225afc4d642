#pragma once

#include "dispatch/dispatcher.hpp"
#include "limits/accounting.hpp"

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <queue>
#include <set>
#include <string>
#include <tuple>
#include <vector>

namespace modelforge::test {

using limits::duration;
using limits::time_point;

/// A dispatcher in a world of virtual time: callers that come, cancel and give up, a network with delays, a provider
/// that answers or fails. It records what the provider saw; `check` then judges it, by definitions of its own.
class world {
public:
  struct plan {
    dispatcher_settings settings;
    limits::accounting accounting;
    duration length{}; ///< How long requests come.
    double requests_per_second = 1;
    double burst_share = 0; ///< Of the arrivals, those that bring fifty at once.
    double idle_share = 0;  ///< Part of the time in which nobody asks.
    uint64_t max_input = 1000;
    uint64_t max_output = 500;
    double estimate_error = 0; ///< Real prompts are longer or shorter by up to this share.
    double deadline_share = 0;
    double cancel_share = 0;
    double fault_share = 0;
    double restart_share = 0; ///< Probability of a kill in any second.
    double reload_share = 0;  ///< Likewise of settings with other groups of models and other keys.
    uint32_t models = 1;
    uint32_t tenants = 1;
    uint32_t nodes = 1; ///< Of which the tenants are, in turn; the first is this one.
    double batch_share = 0;
    bool greedy = false;       ///< Those that come at once are one tenant's.
    double absurd_share = 0;   ///< Of the answers, those whose usage is any number.
    double oversize_share = 0; ///< Of the requests, those that are guessed to take more than a window.
    std::vector<std::array<std::optional<uint64_t>, 4>> model_limits; ///< Of each model in a window, told by answers.
    double lie_share = 0; ///< Of the answers, those that tell any numbers as limits.
    duration slowest_answer = std::chrono::seconds{2};
    duration slowest_write = std::chrono::milliseconds{20};
    duration network = std::chrono::milliseconds{100};
    bool saturate = false; ///< Keeps hundreds queued instead.
  };

  /// An attempt as the provider saw it.
  struct seen {
    uint32_t credential = 0;
    uint32_t model = 0;
    uint32_t era = 0;          ///< Index of the settings by which it was sent.
    bool limits_known = false; ///< Answers told its model's limits lately.
    time_point dispatched, arrived, ended;
    limits::charge told;                  ///< What the caller's estimate makes of it, by the provider's rule.
    limits::charge real;                  ///< What the provider counted.
    time_point known = time_point::max(); ///< When the dispatcher learned the latter.
    bool written = true;
    bool lived = true; ///< Its process lived until its end.
    bool retry = false;
    bool exempt = false; ///< The attempt before was told by a 429 when to come back, or it waited for the breaker.
  };

  world(const plan& x, uint64_t seed);

  void run();

  /// What is wrong; empty: nothing.
  std::string check() const;

  /// What was admitted in the dimension, over limit x time, from the second window on.
  double use(limits::dimension d) const;

  const std::vector<seen>& attempts() const { return seen_; }
  uint64_t asked() const { return asked_; }
  uint64_t answered() const { return answered_; }
  uint64_t restarts() const { return restarts_; }
  duration lasted() const { return now_ - begin_; }

private:
  struct event {
    time_point at;
    uint64_t order;
    int what;
    uint64_t x;

    bool operator>(const event& y) const { return std::tie(at, order) > std::tie(y.at, y.order); }
  };

  struct asked_request {
    uint32_t attempts = 0; ///< Sent.
    std::optional<time_point> deadline;
    bool told_to_wait = false;
    uint64_t input = 0, output = 0; ///< As estimated.
    priority rank{};
    uint32_t tenant = 0;
    uint32_t model = 0;
    bool in_line = false; ///< Taken, and never sent yet.
    uint32_t spent = 0;   ///< Attempts that have ended and count, whatever the breaker's state was.
    uint64_t outages = 0; ///< When the latest attempt ended: see `world::outages`.
  };

  /// Settings, as long as they were in force.
  struct era {
    std::vector<uint32_t> groups;      ///< By model.
    std::vector<uint32_t> credentials; ///< By key.
    time_point from{};
  };

  /// Who stands in the queue of one priority: tenants, or nodes.
  struct line {
    std::vector<uint32_t> waiting;            ///< Requests that were never sent yet, of each.
    std::vector<std::vector<uint32_t>> ahead; ///< Most that one was sent more than another while both waited.
  };

  void at(time_point when, int what, uint64_t x = 0) { events_.push({when, ++order_, what, x}); }
  double random() { return std::uniform_real_distribution<double>{}(random_); }
  duration random(duration most) {
    return duration{static_cast<int64_t>(random() * static_cast<double>(most.count()))};
  }
  void wrong(const std::string& what);

  void ask(uint32_t tenant);
  void check_refusal(const dispatcher::refusal& x, const dispatcher::offer& of, uint32_t tenant, uint32_t model);
  limits::server_limits tell(const seen& x, const std::optional<limits::charge>& real);
  uint64_t any_number() { return random_() >> (random_() % 64); }
  std::string check_windows(uint32_t credential, std::optional<uint32_t> era, const std::set<uint32_t>& models,
                            std::size_t d, double limit) const;
  std::string check_eras() const;
  void reload();
  duration longest_sleep() const;
  void serve();
  void send(const dispatcher::dispatch& x);
  void finish(uint64_t flight);
  void answer(request_id id);
  void stand_in_line(asked_request& x);
  void leave_line(asked_request& x);
  void check_turn(const asked_request& x);

  /// How often the group's breakers have opened.
  uint64_t outages(uint32_t group) const;
  uint32_t node_of(uint32_t tenant) const { return tenant % plan_.nodes; }
  void kill();

  plan plan_;
  std::mt19937_64 random_;
  std::unique_ptr<dispatcher> subject_;
  std::priority_queue<event, std::vector<event>, std::greater<>> events_;
  time_point begin_{std::chrono::hours{1000}};
  time_point now_ = begin_;
  uint64_t order_ = 0;
  uint64_t asked_ = 0;
  uint64_t answered_ = 0;
  uint64_t restarts_ = 0;
  uint64_t life_ = 0;
  bool equal_costs_ = false; ///< Requests alone are limited: then tenants take turns.
  std::map<request_id, asked_request> open_;
  std::array<line, 2> lines_; ///< Of tenants, by priority.
  std::array<line, 2> nodes_; ///< Of nodes.
  std::set<std::pair<time_point, request_id>> deadlines_;
  std::set<time_point> wake_ups_; ///< Timers that are set; another one is only for an earlier time.
  struct flight {
    uint64_t life;
    dispatcher::attempt_id attempt;
    request_id id;
    std::size_t seen;
    time_point writes_at;
    dispatcher::attempt_end end;
    bool aborted = false;
  };
  std::vector<flight> flights_;
  std::map<dispatcher::attempt_id, uint64_t> flight_of_;
  std::vector<dispatcher::journal_lane> journal_;
  time_point journal_at_{};
  std::vector<seen> seen_;
  std::map<std::pair<uint32_t, uint32_t>, time_point> told_at_; ///< Limits, by credential and model.
  std::vector<era> eras_;
  std::string wrong_;
};

} // namespace modelforge::test
