#include "batch/live_window.hpp"

#include <algorithm>
#include <utility>

namespace modelforge::batch {

namespace {

/// How long to wait before an item is offered again to a provider whose queue others keep full.
constexpr auto full_queue_pause = std::chrono::milliseconds{50};

/// The same where no provider can be reached. Asking costs nothing while their breakers are open.
constexpr auto outage_pause = std::chrono::seconds{1};

/// What is left of a deadline; never nothing, so that the provider says that it has passed.
std::optional<std::chrono::nanoseconds> rest_of(const std::optional<time_point>& deadline, time_point now) {
  if (!deadline)
    return {};
  return std::max(*deadline - now, std::chrono::nanoseconds{1});
}

} // namespace

void live_window::send(uint64_t index, std::string custom_id, chat_request request, uint32_t estimated, time_point now,
                       std::shared_ptr<const embedding_request> vectors) {
  live_item item;
  item.vectors = std::move(vectors);
  item.index = index;
  item.custom_id = std::move(custom_id);
  item.request = std::move(request);
  item.estimated = estimated;
  item.tried.resize(pool_.size());
  item.provider = pool_.choose(item.tried, now).value_or(0);
  item.request.fail_when_open = pool_.size() > 1;
  if (item.request.deadline)
    item.give_up_at = now + *item.request.deadline;
  outcomes_.states().set(index, item_state::held);
  send(std::move(item), now);
}

/// Every sending has an id of its own.
void live_window::send(live_item item, time_point now) {
  auto id = item.request.id = make_request_id(random_);
  item.request.deadline = rest_of(item.give_up_at, now);
  auto provider = item.provider;
  pool_.on_sent(provider);
  auto& added = items_.emplace(id, std::move(item)).first->second;
  outcomes_.push(send_item{provider, added.request, added.vectors});
}

live_window::live_item live_window::take(request_id id) {
  auto item = std::move(items_.extract(id).mapped());
  pool_.on_returned(item.provider);
  return item;
}

void live_window::on_answer(request_id id, completion answer, std::string body) {
  if (!items_.contains(id))
    return;
  fail_fast_.on_answer();
  settle();
  end(id, std::move(answer), std::move(body));
}

std::optional<failure> live_window::on_failure(request_id id, failure why, time_point now) {
  auto found = items_.find(id);
  if (found == items_.end())
    return {};
  if (why.code == errc::draining) { // nobody is left to ask: the rest of the input stays unasked, not failed
    outcomes_.give_back(take(id).index);
    return why;
  }
  if (is_withdrawn_ && (why.code == errc::cancelled || why.code == errc::queue_full || why.is_outage)) {
    outcomes_.give_back(take(id).index);
    return {};
  }
  if (why.code == errc::queue_full) {
    hold(id, now + full_queue_pause);
    return {};
  }
  auto may_do_elsewhere = is_provider_failure(why.code) || why.is_outage;
  if (may_do_elsewhere && !is_withdrawn_ && try_elsewhere(id, why, now))
    return {};
  return fail(id, std::move(why));
}

/// A provider failed at an item. Returns whether it goes to another, or waits for one.
bool live_window::try_elsewhere(request_id id, const failure& why, time_point now) {
  auto& item = items_.at(id);
  auto lasts = pool_.on_failure(item.provider, why.is_outage ? errc::circuit_open : why.code, now);
  item.tried[item.provider] = true;
  item.met_outage = item.met_outage || why.is_outage;
  item.met_failure = item.met_failure || !lasts;
  auto other = pool_.choose(item.tried, now);
  auto is_late = item.give_up_at && *item.give_up_at <= now;
  if (!other && (!item.met_outage || item.met_failure || is_late || pool_.size() == 1))
    return false;
  tell_of(item.provider, why);
  if (other) {
    auto moved = take(id);
    moved.earlier.insert(moved.earlier.end(), why.attempts.begin(), why.attempts.end());
    moved.provider = *other;
    send(std::move(moved), now);
    return true;
  }
  item.earlier.insert(item.earlier.end(), why.attempts.begin(), why.attempts.end());
  item.waits_for_any = true;
  hold(id, now + outage_pause);
  return true;
}

/// Has the user know what became of a provider that was asked for, once for each reason.
void live_window::tell_of(std::size_t provider, const failure& why) {
  if (!told_.emplace(provider, why.is_outage ? errc::circuit_open : why.code).second)
    return;
  auto name = pool_.name(provider).empty() ? why.provider : pool_.name(provider);
  outcomes_.figures().warn(name + " fails, so others get its items: " + why.message);
}

/// An item has failed everywhere.
std::optional<failure> live_window::fail(request_id id, failure why) {
  auto names_model = !items_.at(id).request.model.empty();
  if (!fail_fast_.may_be_all(why, names_model)) {
    fail_fast_.on_own_failure();
    settle();
    end(id, std::move(why));
    return {};
  }
  if (is_withdrawn_) { // whose it is will not be known in this run
    outcomes_.give_back(take(id).index);
    return {};
  }
  if (!fail_fast_.says_the_same(why))
    settle();
  auto is_enough = fail_fast_.on_doubt(why);
  auto item = take(id);
  why.attempts.insert(why.attempts.begin(), item.earlier.begin(), item.earlier.end());
  doubts_.push_back({item.index, std::move(item.custom_id), {item.provider, item.estimated}, std::move(why)});
  return is_enough ? std::optional{fail_fast_.reason()} : std::nullopt;
}

/// What is in doubt failed by itself.
void live_window::settle() {
  for (auto& x : std::exchange(doubts_, {}))
    outcomes_.record(x.index, std::move(x.custom_id), std::move(x.why), x.origin);
}

void live_window::settle_last() {
  if (items_.empty())
    settle();
}

/// Neither a full queue nor an outage is a failure.
void live_window::hold(request_id id, time_point until) {
  pool_.on_returned(items_.at(id).provider);
  held_.push_back(id);
  resume_at_ = std::min(resume_at_.value_or(until), until);
}

void live_window::resume(time_point now) {
  if (!resume_at_ || *resume_at_ > now)
    return;
  resume_at_.reset();
  for (auto id : std::exchange(held_, {})) {
    auto& item = items_.at(id);
    if (std::exchange(item.waits_for_any, false)) {
      item.tried.assign(pool_.size(), false);
      item.met_outage = false;
      item.provider = pool_.choose(item.tried, now).value_or(0);
    }
    item.request.deadline = rest_of(item.give_up_at, now);
    pool_.on_sent(item.provider);
    outcomes_.push(send_item{item.provider, item.request, item.vectors});
  }
}

void live_window::end(request_id id, std::variant<completion, failure> outcome, std::string body) {
  auto item = take(id);
  auto& attempts = std::visit(
    [](auto& y) -> auto& { return y.attempts; }, outcome);
  attempts.insert(attempts.begin(), item.earlier.begin(), item.earlier.end());
  outcomes_.record(item.index, std::move(item.custom_id), std::move(outcome), {item.provider, item.estimated},
                   std::move(body));
}

void live_window::withdraw() {
  is_withdrawn_ = true;
  resume_at_.reset();
  for (auto id : std::exchange(held_, {})) // these are at no provider
    outcomes_.give_back(items_.extract(id).mapped().index);
  for (auto& x : std::exchange(doubts_, {}))
    outcomes_.give_back(x.index);
  for (auto& [id, item] : items_)
    outcomes_.push(cancel_item{item.provider, id});
}

} // namespace modelforge::batch
