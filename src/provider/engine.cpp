#include "provider/engine.hpp"

#include "base/url.hpp"
#include "provider/delivery.hpp"
#include "provider/explanations.hpp"
#include "provider/heritage.hpp"
#include "provider/model_groups.hpp"

#include <utility>

namespace modelforge::provider {

engine::engine(setup setup, kept_limits limits, std::string problem, uint64_t seed, time_point now, wall_time wall_now)
  : setup_(std::move(setup)), dispatcher_(setup_.dispatch, seed), limits_(std::move(limits)), random_(seed + 1),
    chronicle_(seed + 2) {
  for (auto& key : setup_.keys)
    credentials_.push_back(key.credential);
  note_problem();
  if (!problem.empty())
    condition_.problem = std::move(problem);
  if (auto age = limits_.load(setup_, dispatcher_, now, wall_now))
    chronicle_.limits_restored(setup_, *age);
}

// -- requests -------------------------------------------------------------------------

// A refusal by the dispatcher is counted there, one by the admission here, so that each shows up once in the status. An
// id that is busy is only so while its stream's last subscribers read: one that is still alive is the dispatcher's to
// refuse.
template <class Request>
engine::admitted engine::admit(Request& arriving, admission::arrival arrival, time_point now) {
  if (!arriving.id)
    arriving.id = make_id();
  arrival.is_busy = arrival.is_busy && requests_.find(arriving.id) == nullptr;
  auto tenant = chronicle_.follows_requests() ? arriving.tenant : std::string{};
  auto account = open_account(arriving, arrival);
  auto result = admission{setup_, estimator_, requests_.spent_before(), now}.admit(arriving, arrival);
  auto failed = result.failed_optimizers.size();
  for (auto& why : result.failed_optimizers)
    chronicle_.optimizer_failed(setup_, why);
  if (failed > 0)
    condition_.problem = "an optimizer failed: " + result.failed_optimizers.back();
  if (auto* why = std::get_if<failure>(&result.verdict))
    return {refuse(std::move(*why), arriving.id, arriving.model, std::move(account)), failed};
  auto& ready = std::get<admission::ready>(result.verdict);
  if (auto no = dispatcher_.accept(std::move(ready.offer), now)) {
    auto why = describe(*no, setup_.dispatch.max_queued, {}, false, nullptr);
    why.attempts = std::move(ready.request.records);
    why = sign_refusal(std::move(why), arriving.model);
    chronicle_.refused(arriving.id, why, std::move(account));
    return {std::move(why), failed};
  }
  if (account != nullptr && account->trace)
    account->trace->earlier = ready.request.spent;
  ready.request.account = std::move(account);
  requests_.spent_before().forget(arriving.id);
  requests_.add(std::move(ready.request));
  chronicle_.admitted(arriving, tenant, setup_);
  return {{}, failed};
}

template engine::admitted engine::admit(chat_request&, admission::arrival, time_point);
template engine::admitted engine::admit(embedding_request&, admission::arrival, time_point);

// Null: nobody wants one.
template <class Request>
std::unique_ptr<log::request_record> engine::open_account(const Request& asked, const admission::arrival& from) {
  auto result = chronicle_.accounts().open(asked, {from.node, from.part_of, from.streamed});
  if (result != nullptr && result->trace) {
    result->trace->vendor = setup_.vendor;
    result->trace->url = without_login(setup_.base_url);
    result->trace->earlier = UINT32_MAX; // all, until it is taken in
  }
  return result;
}

failure engine::refuse(failure why, chat_request& arriving, const admission::arrival& arrival) {
  if (!arriving.id)
    arriving.id = make_id();
  auto account = open_account(arriving, arrival);
  return refuse(std::move(why), arriving.id, arriving.model, std::move(account));
}

failure engine::refuse(failure why, request_id id, const std::string& model,
                       std::unique_ptr<log::request_record> account) {
  ++condition_.refused; // the dispatcher does not see it
  auto result = sign_refusal(std::move(why), model);
  chronicle_.refused(id, result, std::move(account));
  return result;
}

failure engine::sign_refusal(failure why, const std::string& model) const {
  why.provider = setup_.settings.name;
  why.model = model;
  return why;
}

// An attempt in flight is ended by us, with no word from its transfer: whoever carries the step out aborts that.
std::optional<step> engine::withdraw(request_id id, const std::string& why, time_point now, request_outcome how) {
  auto* which = requests_.find(id);
  if (which == nullptr)
    return {};
  if (!which->under_way)
    chronicle_.accounts().waited(*which, dispatcher_.held_by(id, now), now);
  auto in_flight = dispatcher_.withdraw(id, now).value_or(0) != 0;
  if (in_flight)
    requests_.end_attempt(*which, 0, errc::cancelled, now);
  return fail(*which, make_failure(errc::cancelled, why), in_flight, now, how);
}

std::vector<step> engine::withdraw_all(const std::string& why, time_point now) {
  std::vector<step> result;
  for (auto id : requests_.ids())
    if (auto ended = withdraw(id, why, now, request_outcome::stopped))
      result.push_back(std::move(*ended));
  return result;
}

void engine::on_asker_lost(request_id id, time_point now) {
  if (auto* which = requests_.find(id))
    requests_.keep_spent(*which, now);
}

// -- what to do -----------------------------------------------------------------------

std::optional<step> engine::next(time_point now) {
  auto decided = dispatcher_.next(now);
  note_lanes();
  if (!decided)
    return {};
  return std::visit([&](auto& how) { return carry_out(how, now); }, *decided);
}

step engine::carry_out(const dispatcher::dispatch& dispatch, time_point now) {
  auto& which = *requests_.find(dispatch.id);
  send result{dispatch.id, dispatch.attempt, which.streamed, requests_.begin_attempt(which, dispatch, setup_, now)};
  chronicle_.sent(which, setup_);
  return result;
}

// The dispatcher gives up requests that wait, and those in flight whose deadline has passed.
step engine::carry_out(const dispatcher::give_up& give_up, time_point now) {
  auto& which = *requests_.find(give_up.id);
  auto in_flight = give_up.attempt != 0;
  auto why = describe(give_up.why, setup_.dispatch.max_queued, now - which.accepted, in_flight,
                      which.last ? &*which.last : nullptr);
  if (in_flight)
    requests_.end_attempt(which, 0, why.code, now);
  else
    chronicle_.accounts().waited(which, give_up.waited_for, now);
  return fail(which, std::move(why), in_flight, now);
}

// -- what became of it ------------------------------------------------------------------

void engine::on_begun(attempt_id attempt, time_point now) {
  if (auto* which = requests_.find(dispatcher_.request_of(attempt)))
    chronicle_.accounts().begun(*which, now);
  dispatcher_.begun(attempt, now);
  note_lanes();
}

// Ours, and behind them the provider's.
static std::string in_both_words(const failure& x) {
  return x.provider_message.empty() ? x.message : x.message + ": " + x.provider_message;
}

// Whether or not anybody waits, the attempt has told something of limits and health: so it is settled first, and only
// then asked for.
std::optional<step> engine::on_end(attempt_id attempt, const http::response& answer, stream_end* streamed,
                                   time_point now) {
  auto* which = requests_.find(dispatcher_.request_of(attempt));
  settlement settling{setup_, estimator_, which};
  auto ended = streamed != nullptr && streamed->outcome
                 ? std::visit([](auto& read) -> outcome { return std::move(read); }, *streamed->outcome)
                 : settling.read(answer);
  auto end = settling.judge(answer, ended, streamed == nullptr || streamed->repeatable);
  auto* bad = std::get_if<failure>(&ended);
  if (bad != nullptr && retry::counts_against_provider(retry::meaning_of(*end.failed)))
    condition_.trouble = bad->message;
  auto settled = dispatcher_.end(attempt, end, now);
  note_lanes(bad != nullptr ? in_both_words(*bad) : std::string{});
  if (which == nullptr)
    return {};
  which->idle_since = now;
  requests_.end_attempt(*which, answer.head.status, bad != nullptr ? bad->code : errc::none, now);
  if (streamed != nullptr)
    chronicle_.accounts().streamed(*which, streamed->first_token);
  if (bad == nullptr)
    return conclude_well(*which, std::move(ended), answer, streamed, now);
  auto is_cut = streamed != nullptr && !streamed->repeatable && bad->code != errc::cancelled;
  if (is_cut)
    chronicle_.cut(*which, *bad, setup_);
  explain_end(*bad, settled);
  if (settled.then != dispatcher::settlement::what::again)
    return fail(*which, std::move(*bad), false, now, is_cut ? request_outcome::cut : request_outcome::failed);
  chronicle_.again(*which, *bad, setup_);
  chronicle_.accounts().again(*which);
  which->last = std::move(*bad);
  if (which->reports && !which->streamed) // a stream is not asked for again
    return report{which->id, requests_.spent_on(*which, now)};
  return {};
}

/// Ends a request with its answer, which is masked and signed here, or with the failure that the answer turns out to
/// be: it has been counted and paid for, so it is not asked for again.
step engine::conclude_well(request& which, outcome ended, const http::response& answer, const stream_end* streamed,
                           time_point now) {
  auto finish = [&](auto& good) -> std::optional<failure> {
    requests_.sign(good, which, answer.end.times, setup_, now);
    auto wrong = misdelivery(which, good);
    if (wrong)
      which.records = std::move(good.attempts);
    else
      chronicle_.answered(which, good, now - which.accepted);
    return wrong;
  };
  auto* chat = std::get_if<completion>(&ended);
  if (auto wrong = chat != nullptr ? finish(*chat) : finish(std::get<embedding>(ended))) {
    wrong->http_status = answer.head.status;
    return fail(which, std::move(*wrong), false, now);
  }
  conclude result{which.id, which.model, which.streamed, false, std::move(ended), now - which.accepted, {}};
  if (streamed != nullptr)
    result.first_token = streamed->first_token;
  requests_.remove(which, now);
  return result;
}

/// Ends a request with an error.
step engine::fail(request& which, failure why, bool abort, time_point now, request_outcome how) {
  requests_.sign(why, which, setup_);
  chronicle_.failed(which, why, now - which.accepted, how);
  conclude result{which.id, which.model, which.streamed, abort, std::move(why), now - which.accepted, {}};
  requests_.remove(which, now);
  return result;
}

void engine::on_lost(attempt_id attempt, bool written, time_point now) {
  dispatcher_.end(attempt,
                  {.failed = retry::failed_attempt{.code = errc::cancelled, .written = written},
                   .written = written,
                   .repeatable = false},
                  now);
  note_lanes();
}

void engine::note_lanes(const std::string& reason) {
  if (auto happened = dispatcher_.collect_events(); !happened.empty())
    chronicle_.add(happened, setup_, reason);
}

// -- settings and limits ------------------------------------------------------------------

void engine::reconfigure(setup fresh, time_point now) {
  auto secrets = std::make_shared<secret_mask>(*fresh.secrets); // what is under way carries the older ones
  secrets->keep(*setup_.secrets);
  fresh.secrets = std::move(secrets);
  if (same_lanes(setup_, fresh))
    dispatcher_.reconfigure(fresh.dispatch);
  else
    dispatcher_.reconfigure(fresh.dispatch, heritage_of(setup_, fresh, credentials_), now);
  setup_ = std::move(fresh);
  condition_.problem.clear();
  resume();
  requests_.for_each([this](request& which) { which.group = group_of(setup_.settings, which.model); });
  open_journal();
}

void engine::resume() {
  dispatcher_.resume();
  limits_.take_back();
}

void engine::open_journal() {
  if (auto why = limits_.open(setup_))
    condition_.problem = why->message;
  note_problem();
  dispatcher_.keep_journal(limits_.has_file());
}

void engine::save(bool last, time_point now, wall_time wall_now) {
  limits_.save(setup_, dispatcher_, last, now, wall_now);
  note_problem();
}

void engine::note_problem() {
  if (auto problem = limits_.collect_problem(); !problem.empty()) {
    chronicle_.limits_not_kept(setup_, problem);
    condition_.problem = unkept_ = std::move(problem);
  } else if (limits_.is_writing()) {
    chronicle_.limits_kept(setup_);
    if (!unkept_.empty() && condition_.problem == unkept_)
      condition_.problem.clear();
    unkept_.clear();
  }
}

// -- status -----------------------------------------------------------------------------

provider_status engine::status(bool draining, time_point now) {
  condition_.draining = draining;
  return describe_status(setup_, dispatcher_, condition_, now);
}

} // namespace modelforge::provider
