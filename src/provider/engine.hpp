#pragma once

#include "dispatch/dispatcher.hpp"
#include "http/client.hpp"
#include "limits/token_estimator.hpp"
#include "provider/admission.hpp"
#include "provider/chronicle.hpp"
#include "provider/kept_limits.hpp"
#include "provider/requests.hpp"
#include "provider/settlement.hpp"
#include "provider/setup.hpp"
#include "provider/status.hpp"

#include <modelforge/messages/chat_request.hpp>
#include <modelforge/messages/embedding.hpp>
#include <modelforge/messages/status.hpp>

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <variant>
#include <vector>

namespace modelforge::provider {

/// Send this. How it ends is told by `on_end` or `on_lost`.
struct send {
  request_id id;
  attempt_id attempt = 0;
  bool streamed = false; ///< By the request's stream session.
  http::request http;
};

/// A request has ended: answer it.
struct conclude {
  request_id id;
  std::string model; ///< As it was asked for.
  bool streamed = false;
  bool abort = false; ///< An attempt is under way: cut its transfer off; `on_end` or `on_lost` is still called.
  outcome how;        ///< Signed, without secrets.
  std::chrono::nanoseconds age{0};
  std::optional<std::chrono::nanoseconds> first_token{}; ///< Of a stream that ended well.
};

/// Tell the asker, which may come again, what it must not spend once more.
struct report {
  request_id id;
  attempts_made spent;
};

/// Before anything is dispatched, call `save`.
struct save {};

using step = std::variant<send, conclude, report, save>;

/// Everything that one provider decides, in virtual time: it takes requests in (`admission`), has its dispatcher say
/// when they go, writes what is sent (`requests`), judges what comes back (`settlement`), and keeps what is used of the
/// limits (`kept_limits`).
///
/// A plain class: holds no clock, sends nothing, calls nobody. The provider's actor tells it what happens, carries out
/// the steps that it returns, and after each event asks for `next` until there is none; it comes back at `wake_at`.
/// `now` never goes back. Its requests are exactly those that the dispatcher has.
class engine {
public:
  using wall_time = kept_limits::wall_time;

  /// `problem`: what does not work from the start; empty: what `limits` tells.
  engine(setup setup, kept_limits limits, std::string problem, uint64_t seed, time_point now, wall_time wall_now);

  const setup& current() const { return setup_; }

  // -- requests -------------------------------------------------------------------

  struct admitted {
    std::optional<failure> refused;    ///< Empty: it has been taken in.
    std::size_t failed_optimizers = 0; ///< That were no use to it.
  };

  /// Takes a request in, or refuses it; one without an id gets one.
  template <class Request>
  admitted admit(Request& arriving, admission::arrival arrival, time_point now);

  /// Refuses a request for a reason that its actor knows; the failure is signed.
  failure refuse(failure why, chat_request& arriving, const admission::arrival& arrival);

  request_id make_id() { return make_request_id(random_); }

  const request* find(request_id id) { return requests_.find(id); }
  bool empty() const { return requests_.empty(); }

  using request_outcome = log::request_outcome;

  /// Takes a request back, wherever it stands; empty: there is no such one. `how`: as the access log has it.
  std::optional<step> withdraw(request_id id, const std::string& why, time_point now,
                               request_outcome how = request_outcome::cancelled);

  /// Takes all of them back, since the provider ends.
  std::vector<step> withdraw_all(const std::string& why, time_point now);

  /// Its asker is lost, and may come again with it: what was spent on it is kept. Call `withdraw` afterwards.
  void on_asker_lost(request_id id, time_point now);

  // -- what to do -----------------------------------------------------------------

  std::optional<step> next(time_point now);
  std::optional<time_point> wake_at(time_point now) { return dispatcher_.wake_at(now); }

  // -- what became of it ------------------------------------------------------------

  /// An attempt's last byte went out at `when`.
  void on_written(attempt_id attempt, time_point when) { dispatcher_.written(attempt, when); }

  /// The first piece of the answer to a stream's attempt has come; the breaker may close.
  void on_begun(attempt_id attempt, time_point now);

  /// An attempt has ended. `streamed`: null: a whole answer has come, or none.
  std::optional<step> on_end(attempt_id attempt, const http::response& answer, stream_end* streamed, time_point now);

  /// The attempt of a stream that was withdrawn or killed: its charge and slot are settled by what the transport tells.
  void on_lost(attempt_id attempt, bool written, time_point now);

  // -- settings and limits ------------------------------------------------------------

  /// What runs goes on with what it was begun with; what waits goes to the new place, by the new keys, as it was
  /// encoded.
  void reconfigure(setup fresh, time_point now);

  /// Opens the file that keeps what is used of the limits, where the settings want one.
  void open_journal();

  void save(bool last, time_point now, wall_time wall_now);

  /// The actor ends.
  void leave(time_point now, wall_time wall_now) { limits_.leave(setup_, dispatcher_, now, wall_now); }

  void drain() { dispatcher_.drain(); }
  void resume();

  /// It has drained: nothing is under way, and whoever takes its place may begin.
  void on_drained(time_point now) { limits_.hand_on(setup_, dispatcher_, now); }

  // -- the log ----------------------------------------------------------------------

  /// Whether the log is to have each request.
  void follow_requests(bool on) { chronicle_.follow_requests(on); }

  /// What the log is to have of all that has happened since the last call.
  std::vector<log::entry> collect_news() { return chronicle_.collect(); }

  /// What the access log and the trace are to have.
  account_book& accounts() { return chronicle_.accounts(); }

  // -- status -----------------------------------------------------------------------

  const dispatcher::counters& counts() const { return dispatcher_.counts(); }
  dispatcher::queue_state queue() { return dispatcher_.state(); }
  uint64_t refused() const { return condition_.refused; }
  provider_status status(bool draining, time_point now);

private:
  failure sign_refusal(failure why, const std::string& model) const;
  failure refuse(failure why, request_id id, const std::string& model, std::unique_ptr<log::request_record> account);
  template <class Request>
  std::unique_ptr<log::request_record> open_account(const Request& asked, const admission::arrival& from);
  void note_problem();
  void note_lanes(const std::string& reason = {});
  step conclude_well(request& which, outcome ended, const http::response& answer, const stream_end* streamed,
                     time_point now);
  step fail(request& which, failure why, bool abort, time_point now, request_outcome how = request_outcome::failed);
  step carry_out(const dispatcher::dispatch& dispatch, time_point now);
  step carry_out(const dispatcher::give_up& give_up, time_point now);
  step carry_out(const dispatcher::save&, time_point) { return provider::save{}; }

  setup setup_;
  std::vector<secret> credentials_; ///< All that it has had, by the dispatcher's numbers.
  dispatcher dispatcher_;
  kept_limits limits_;
  limits::token_estimator estimator_;
  requests requests_;
  std::mt19937_64 random_;
  condition condition_;
  std::string unkept_; ///< Why the use of the limits is not kept; empty: it is, or nobody wants it.
  chronicle chronicle_;
};

} // namespace modelforge::provider
