#include "batch/live_window.hpp"

#include <utility>

namespace modelforge::batch {

namespace {

/// How long to wait before an item is offered again to a provider whose queue others keep full.
constexpr auto full_queue_pause = std::chrono::milliseconds{50};

} // namespace

void live_window::send(uint64_t index, std::string custom_id, chat_request request, uint32_t estimated,
                       time_point now) {
  live_item item;
  item.index = index;
  item.custom_id = std::move(custom_id);
  item.request = std::move(request);
  item.estimated = estimated;
  item.tried.resize(pool_.size());
  item.provider = pool_.choose(item.tried, now).value_or(0);
  outcomes_.states().set(index, item_state::held);
  send(std::move(item));
}

/// Every sending has an id of its own.
void live_window::send(live_item item) {
  auto id = item.request.id = make_request_id(random_);
  auto provider = item.provider;
  pool_.on_sent(provider);
  auto& added = items_.emplace(id, std::move(item)).first->second;
  outcomes_.push(send_item{provider, added.request});
}

live_window::live_item live_window::take(request_id id) {
  auto item = std::move(items_.extract(id).mapped());
  pool_.on_returned(item.provider);
  return item;
}

void live_window::on_answer(request_id id, completion answer) {
  if (!items_.contains(id))
    return;
  fail_fast_.on_answer();
  settle();
  end(id, std::move(answer));
}

std::optional<failure> live_window::on_failure(request_id id, failure why, time_point now) {
  auto found = items_.find(id);
  if (found == items_.end())
    return {};
  if (why.code == errc::draining) { // nobody is left to ask: the rest of the input stays unasked, not failed
    outcomes_.give_back(take(id).index);
    return why;
  }
  if (is_withdrawn_ && (why.code == errc::cancelled || why.code == errc::queue_full)) {
    outcomes_.give_back(take(id).index);
    return {};
  }
  if (why.code == errc::queue_full) {
    hold(id, now);
    return {};
  }
  auto& item = found->second;
  if (is_provider_failure(why.code) && !is_withdrawn_) {
    pool_.on_failure(item.provider, why.code, now);
    item.tried[item.provider] = true;
    if (auto other = pool_.choose(item.tried, now)) {
      move_on(*other, id, why.attempts);
      return {};
    }
  }
  return fail(id, std::move(why));
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

void live_window::move_on(std::size_t provider, request_id id, const std::vector<attempt_record>& attempts) {
  auto item = take(id);
  item.earlier.insert(item.earlier.end(), attempts.begin(), attempts.end());
  item.provider = provider;
  send(std::move(item));
}

/// A full queue is no failure.
void live_window::hold(request_id id, time_point now) {
  pool_.on_returned(items_.at(id).provider);
  held_.push_back(id);
  if (!resume_at_)
    resume_at_ = now + full_queue_pause;
}

void live_window::resume(time_point now) {
  if (!resume_at_ || *resume_at_ > now)
    return;
  resume_at_.reset();
  for (auto id : std::exchange(held_, {})) {
    auto& item = items_.at(id);
    pool_.on_sent(item.provider);
    outcomes_.push(send_item{item.provider, item.request});
  }
}

void live_window::end(request_id id, std::variant<completion, failure> outcome) {
  auto item = take(id);
  auto& attempts = std::visit(
    [](auto& y) -> auto& { return y.attempts; }, outcome);
  attempts.insert(attempts.begin(), item.earlier.begin(), item.earlier.end());
  outcomes_.record(item.index, std::move(item.custom_id), std::move(outcome), {item.provider, item.estimated});
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
