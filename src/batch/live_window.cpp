#include "batch/live_window.hpp"

#include <utility>

namespace modelforge::batch {

namespace {

/// How long to wait before an item is offered again to a provider whose queue others keep full.
constexpr auto full_queue_pause = std::chrono::milliseconds{50};

} // namespace

void live_window::send(uint64_t index, std::string custom_id, chat_request request, uint32_t estimated,
                       time_point now) {
  item x;
  x.index = index;
  x.custom_id = std::move(custom_id);
  x.request = std::move(request);
  x.estimated = estimated;
  x.tried.resize(pool_.size());
  x.provider = pool_.choose(x.tried, now).value_or(0);
  outcomes_.states().set(index, item_state::held);
  send(std::move(x));
}

/// Every sending has an id of its own.
void live_window::send(item x) {
  auto id = x.request.id = make_request_id(random_);
  auto provider = x.provider;
  pool_.on_sent(provider);
  auto& added = items_.emplace(id, std::move(x)).first->second;
  outcomes_.push(send_item{provider, added.request});
}

live_window::item live_window::take(request_id id) {
  auto x = std::move(items_.extract(id).mapped());
  pool_.on_returned(x.provider);
  return x;
}

void live_window::on_answer(request_id id, completion answer) {
  if (items_.contains(id))
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
  auto& x = found->second;
  if (is_provider_failure(why.code) && !is_withdrawn_) {
    pool_.on_failure(x.provider, why.code, now);
    x.tried[x.provider] = true;
    if (auto other = pool_.choose(x.tried, now)) {
      move_on(*other, id, why.attempts);
      return {};
    }
  }
  end(id, std::move(why));
  return {};
}

void live_window::move_on(std::size_t provider, request_id id, const std::vector<attempt_record>& attempts) {
  auto x = take(id);
  x.earlier.insert(x.earlier.end(), attempts.begin(), attempts.end());
  x.provider = provider;
  send(std::move(x));
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
    auto& x = items_.at(id);
    pool_.on_sent(x.provider);
    outcomes_.push(send_item{x.provider, x.request});
  }
}

void live_window::end(request_id id, std::variant<completion, failure> outcome) {
  auto x = take(id);
  auto& attempts = std::visit(
    [](auto& y) -> auto& { return y.attempts; }, outcome);
  attempts.insert(attempts.begin(), x.earlier.begin(), x.earlier.end());
  outcomes_.record(x.index, std::move(x.custom_id), std::move(outcome), {x.provider, x.estimated});
}

void live_window::withdraw() {
  is_withdrawn_ = true;
  resume_at_.reset();
  for (auto id : std::exchange(held_, {})) // these are at no provider
    outcomes_.give_back(items_.extract(id).mapped().index);
  for (auto& [id, x] : items_)
    outcomes_.push(cancel_item{x.provider, id});
}

} // namespace modelforge::batch
