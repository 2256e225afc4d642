#pragma once

#include "batch/clock.hpp"
#include "batch/item_defaults.hpp"
#include "batch/job_control.hpp"
#include "batch/live_window.hpp"
#include "batch/outcomes.hpp"
#include "batch/provider_pool.hpp"
#include "batch/reader.hpp"
#include "batch/steps.hpp"

#include <modelforge/messages/batch.hpp>
#include <modelforge/messages/batch_options.hpp>
#include <modelforge/messages/status.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <random>
#include <string>
#include <utility>
#include <vector>

namespace modelforge::batch {

/// What bounds a batch and is no option.
struct schedule_limits {
  uint64_t max_unsafe = 1'000; ///< Results that are not safe yet; then nothing more is sent.
  std::size_t max_jobs = 10;   ///< Of all providers, at a time.
  /// The texts of a job that is being made. A provider takes more (100 MB and up), but JSON may need six bytes for one
  /// of ours.
  std::size_t max_job_bytes = 16u << 20;
};

struct schedule_setup {
  batch_options options;
  std::vector<provider_terms> providers;
  std::string ledger; ///< Where it is; empty: there is none.
  uint64_t seed = 0;  ///< Of the ids of requests and jobs.
  schedule_limits limits{};
};

/// Decides when what of a batch happens: what is read, whether an item goes out live or in a job, and when it is over.
///
/// The input is read in passes. In the first one every item that has no result is sent; what comes back without a
/// result is taken by the next one, when the input has been read to its end. Where an earlier run left jobs behind, a
/// pass before all others looks for the items of these and sends nothing. So nothing of an item is held but while it is
/// in flight or in a job, and an item is in one place at a time (`item_states`).
///
/// A plain class: time by argument; not synchronized. Its owner, the coordinator's actor, tells it of events
/// (`on_...`), and after each of these carries out what `next` returns until that is nothing; then it comes back at
/// `wake_at`, or with the next event. In the end there always is one of the two, or `has_ended` holds.
class schedule {
public:
  explicit schedule(schedule_setup setup);
  schedule(const schedule&) = delete;
  schedule& operator=(const schedule&) = delete;

  /// Learns from the ledger what is done and what goes on. Before `start`.
  void load(const ledger& known);

  /// Adds a warning to the report.
  void warn(std::string text) { outcomes_.figures().warn(std::move(text)); }

  void start(time_point now);

  /// Returns what is to be done now. `unix_now`: seconds since 1970.
  std::optional<step> next(time_point now, uint64_t unix_now);

  /// When `next` is to be asked again, if nothing happens before.
  std::optional<time_point> wake_at(time_point now) const;

  // -- the input --------------------------------------------------------------------

  /// Whether an item is looked at, if it is read now: else its tokens need not be estimated.
  bool wants(uint64_t index) const;

  /// `estimated`: tokens of its prompt.
  void on_item(item read, uint32_t estimated, time_point now);
  void on_input_end();

  /// It has nothing now; `on_input_ready` comes when it has.
  void on_input_wait();
  void on_input_ready();

  /// It cannot be read any further.
  void on_input_failure(failure why) { stop(std::move(why)); }

  // -- providers --------------------------------------------------------------------

  void on_status(std::size_t provider, const provider_status& status);

  /// A provider does not say how it is. One that never did is not known by name, and gets no jobs.
  void on_no_status(std::size_t provider, failure why);

  /// `body`: as in `batch::record`.
  void on_answer(request_id id, completion answer, std::string body = {}) {
    live_.on_answer(id, std::move(answer), std::move(body));
  }

  void on_failure(request_id id, failure why, time_point now) { stop(live_.on_failure(id, std::move(why), now)); }

  // -- jobs -------------------------------------------------------------------------

  void on_job_status(batch_job_status status, time_point now);

  /// Takes results. Returns their receipt, for `confirm_results`; nothing: they are not wanted, or cannot be kept.
  std::optional<uint64_t> on_job_results(batch_job_results results);
  void on_job_end(const batch_job_end& end, time_point now);

  /// The provider did not take up what it was asked for.
  void on_no_job(const std::string& nonce, failure why, time_point now);

  /// Who saw to a job is gone.
  void on_job_lost(const std::string& nonce, time_point now);

  // -- the rest ---------------------------------------------------------------------

  void on_kept(const recorder_news& news);
  void cancel();

  /// The output is finished, or will not be: `report` is the last word.
  bool has_ended() const { return phase_ == phase::ended; }

  batch_progress progress(time_point now) const;
  batch_report report(time_point now) const;

  /// Whole requests that are in memory and at no provider's.
  std::size_t held_requests() const { return live_.size() + jobs_.items_in_making(); }

private:
  enum class phase : uint8_t {
    idle,       ///< Not started.
    asking,     ///< Providers say how they are, before anything is sent.
    recovering, ///< A pass looks for the items of earlier runs' jobs.
    sending,    ///< A pass sends what is missing.
    starved,    ///< The same, but the input has nothing now.
    waiting,    ///< The input has been read to its end: for what is in flight, in jobs, or to be read again.
    stopping,   ///< Cancelled, or stopped by a failure: nothing new is sent, and what is in flight ends.
    finishing,  ///< The output is being finished.
    ended,
  };

  bool is_over() const { return phase_ >= phase::finishing; }
  void begin();
  void plan(time_point now, uint64_t unix_now);
  void go_on_with(safe_step safe);
  void read_on(time_point now);
  bool may_read(time_point now) const;
  bool is_done() const;
  uint64_t max_in_flight() const;
  void stop(std::optional<failure> why);
  void begin_stopping();
  void finish();

  schedule_setup setup_;
  item_defaults defaults_;
  std::mt19937_64 random_;
  phase phase_ = phase::idle;
  uint64_t items_ = 0; ///< That have been read.
  outcomes outcomes_;
  provider_pool pool_;
  live_window live_;
  job_control jobs_;
  std::optional<failure> silence_; ///< Why a provider did not say how it is ahead of the first pass.
  bool cancelled_ = false;
  std::optional<time_point> finish_at_; ///< For all that is sent live.
  std::optional<failure> stopped_by_;
};

} // namespace modelforge::batch
