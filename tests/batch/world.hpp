#pragma once

#include "batch/ledger.hpp"
#include "batch/schedule.hpp"
#include "tests/batch/oracle.hpp"

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <queue>
#include <random>
#include <set>
#include <string>
#include <tuple>
#include <variant>
#include <vector>

namespace modelforge::test {

/// A batch in a world of virtual time: an input, a disk that loses what was not synced, providers that answer, fail,
/// fill up and run jobs, and a user who runs the same command, with other options, until the batch is whole. The first
/// runs have troubles: they crash, are cancelled, or stop. `batch_oracle` judges what is seen.
class batch_world {
public:
  using duration = std::chrono::nanoseconds;

  struct plan {
    uint64_t items = 10;
    double broken_share = 0; ///< Lines that cannot be read.
    uint32_t models = 1;
    std::size_t providers = 1;
    bool has_ledger = true;
    double wait_share = 0; ///< Without a ledger: how often the input has nothing yet.
    double job_runs = 0.5; ///< Runs that use jobs.
    batch::schedule_limits limits;
    std::size_t job_items = 10;
    duration slowest_answer = std::chrono::seconds{10};
    duration slowest_sync = std::chrono::milliseconds{20};

    // Live requests.
    double full_share = 0;   ///< Given back by a full queue.
    double flawed_share = 0; ///< Items that fail wherever they go.
    double outage_share = 0; ///< Part of the time in which a provider fails.

    // Jobs.
    double refuse_share = 0;
    double no_api_share = 0; ///< Providers without a batch API.
    double not_run_share = 0;
    double silent_share = 0; ///< Items of which nothing is told.
    double unreadable_share = 0;
    double unsendable_share = 0;       ///< Told as failed by who creates the job, and never again.
    double repeat_share = 0;           ///< Results that are told twice.
    std::size_t queue_room = SIZE_MAX; ///< Items in a provider's queue of jobs.

    // Troubles of the first runs.
    uint32_t troubled_runs = 3;
    double crash_share = 0;     ///< At each step.
    double cancel_share = 0;    ///< At each event, as all below.
    double disk_share = 0;      ///< A sync that fails.
    double drain_share = 0;     ///< A provider that shuts down.
    double undecided_share = 0; ///< Of the jobs.
    double lost_runner_share = 0;
    double input_share = 0;       ///< The input cannot be read any further.
    double cancel_jobs_share = 0; ///< Runs that only cancel jobs.
    double missing_share = 0;     ///< Runs without one of the providers.
  };

  batch_world(const plan& x, uint64_t seed);

  void run();

  /// What is wrong; empty: nothing.
  const std::string& check() const { return oracle_.wrong(); }

  struct figures {
    uint64_t runs = 0, crashes = 0, sent = 0, jobs = 0, taken_up = 0, steps = 0, stops = 0;
  };
  const figures& seen() const { return seen_; }

private:
  using verdict = batch_oracle::verdict;
  using time_point = batch::time_point;

  /// What lies on the disk outlives the processes.
  struct disk {
    std::string bytes;
    std::size_t synced = 0;
    bool fails = false;
  };
  class memory_file;

  struct event {
    time_point at;
    uint64_t order;
    uint64_t life; ///< Of the process to which it belongs; 0: it happens anyway.
    std::function<void()> what;

    bool operator>(const event& y) const { return std::tie(at, order) > std::tie(y.at, y.order); }
  };

  struct provider {
    std::string name;
    bool has_jobs = true;
    bool is_down = false;
    errc down_as = errc::overloaded;
    bool cannot_be_reached = false; ///< It is no item's failure then.
    time_point changes{};           ///< When that changes.
    uint64_t in_flight = 0;
    uint64_t slots = 1;   ///< As told last.
    uint64_t waiting = 0; ///< The same.
  };

  enum class fate : uint8_t { ok, failed, not_run, silent, unsendable };

  /// A job at a provider, which outlives the processes.
  struct job {
    std::string id;
    bool created = false;
    bool unreadable = false;
    std::size_t provider = 0;
    std::vector<std::pair<uint64_t, fate>> items;
    time_point ready{};
  };

  /// Who sees to a job, in one process.
  struct runner {
    std::vector<batch_job_result> results; ///< Still to be told.
    bool gone = false;
  };

  double random() { return std::uniform_real_distribution<double>{}(random_); }
  bool chance(double p) { return p > 0 && random() < p; }
  duration random(duration most) {
    return duration{1 + static_cast<int64_t>(random() * static_cast<double>(most.count()))};
  }
  uint64_t below(uint64_t end) { return random_() % end; }
  bool troubled() const { return seen_.runs <= plan_.troubled_runs; }
  bool trouble(double p) { return troubled() && chance(p); }
  void at(time_point when, std::function<void()> what, bool outlives = false);
  void later(duration most, std::function<void()> what) { at(now_ + random(most), std::move(what)); }

  batch_options draw_options();
  void begin_run();
  void live();
  void settle();
  void check_progress();
  void crash();
  uint64_t bound() const;

  void carry_out(const batch::ask_statuses& x);
  void carry_out(const batch::read_item& x);
  void carry_out(const batch::rewind_input& x);
  void carry_out(batch::send_item& x);
  void carry_out(const batch::cancel_item& x);
  void carry_out(batch::record& x);
  void carry_out(batch::ledger_event& x);
  void carry_out(batch::ask_for_job& x);
  void carry_out(const batch::confirm_results& x);
  void carry_out(const batch::finish_output& x);

  void answer(request_id id);
  completion answer_to(uint64_t item);
  void update(provider& x);
  std::size_t provider_of(std::size_t position) const { return order_[position]; }

  void create(const batch_job_request& request, std::size_t provider);
  void see_to(const std::string& nonce, bool is_creator);
  void tell_results(const std::string& nonce);
  void end_job(const std::string& nonce, batch_job_outcome outcome);

  using entry = std::variant<batch::record, batch::ledger_event>;

  void start_sync();
  void write(const entry& x);
  void end_sync();
  void keep(const batch::record& x);
  void tell_kept(bool finished);

  plan plan_;
  std::mt19937_64 random_;
  std::vector<std::optional<std::string>> models_; ///< By item; none: its line cannot be read.
  batch_oracle oracle_;
  std::vector<bool> flawed_;
  std::vector<provider> providers_;
  std::map<std::string, job> jobs_;
  disk disk_;
  figures seen_;

  // Time.
  std::priority_queue<event, std::vector<event>, std::greater<>> events_;
  time_point now_{std::chrono::hours{1000}};
  uint64_t order_of_events_ = 0;
  uint64_t life_ = 0;

  // One process.
  std::unique_ptr<batch::schedule> subject_;
  std::unique_ptr<batch::ledger> ledger_;
  batch_options options_;
  std::vector<std::size_t> order_; ///< Of the providers.
  uint64_t next_item_ = 0;
  struct flight {
    uint64_t item;
    std::size_t provider;
    bool cancelled = false;
  };
  std::map<request_id, flight> flights_;
  std::map<std::string, runner> runners_;
  std::map<uint64_t, std::pair<std::string, std::vector<uint64_t>>> receipts_;
  std::set<time_point> wake_ups_;
  std::vector<entry> inbox_; ///< Given to the recorder.
  std::vector<entry> group_; ///< Being synced.
  bool syncing_ = false;
  std::optional<bool> finish_;
  batch::recorder_news news_;
  std::map<uint64_t, verdict> out_of_order_; ///< Without a ledger.
  uint64_t next_out_ = 0;
  uint64_t max_held_ = 0; ///< Requests that may be in memory.
  bool crashed_ = false;
};

} // namespace modelforge::test
