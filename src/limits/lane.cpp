#include "limits/lane.hpp"

namespace modelforge::limits {

lane::lane(const lane_settings& x)
  : limiter_(x.limits), learned_(x.limits.window), breaker_(x.breaker), parallel_(x.max_concurrent),
    max_concurrent_(std::max(1u, x.max_concurrent)),
    interactive_slots_(std::min(x.interactive_slots, max_concurrent_ - 1)) {
  if (x.adaptive)
    adaptive_.emplace(concurrency_settings{.max = max_concurrent_});
}

void lane::reconfigure(const lane_settings& x) {
  limiter_.reconfigure(x.limits);
  learned_.set_window(x.limits.window);
  breaker_.reconfigure(x.breaker);
  auto most = std::max(1u, x.max_concurrent);
  if (!x.adaptive)
    adaptive_.reset();
  else if (!adaptive_ || most != max_concurrent_)
    adaptive_.emplace(concurrency_settings{.max = most});
  parallel_.set_max(most);
  max_concurrent_ = most;
  interactive_slots_ = std::min(x.interactive_slots, max_concurrent_ - 1);
  heed_provider();
}

/// What the provider told holds where it is tighter than what is configured, or nothing is.
void lane::heed_provider() {
  for (std::size_t i = 0; i < dimensions; ++i) {
    auto d = static_cast<dimension>(i);
    if (auto told = learned_.limit(d)) {
      auto configured = limiter_.configured(d);
      limiter_.set_limit(d, configured ? std::min(*told, *configured) : *told);
    }
  }
}

uint32_t lane::slots() const {
  return adaptive_ ? adaptive_->limit() : max_concurrent_;
}

lane::readiness lane::ready(const charge& x, priority rank, time_point now, const charge* before) {
  auto all = slots();
  auto kept = rank == priority::batch ? std::min(interactive_slots_, all - 1) : 0;
  auto taken = before != nullptr ? 1u : 0u;
  if (in_flight_ + taken >= all
      || (rank == priority::batch
          && (batch_in_flight_ + taken + kept >= all || in_flight_ + taken >= parallel_.limit())))
    return {time_point::max(), wait_reason::slot};
  readiness result{now, wait_reason::nothing};
  auto hold = [&](time_point at, wait_reason why) {
    if (at > result.at)
      result = {at, why};
  };
  hold(breaker_.ready_at(now), wait_reason::breaker);
  if (result.at == time_point::max())
    return result;
  hold(paused_until_, wait_reason::server_wait);
  hold(limiter_.ready_at(x, now, before), wait_reason::rate_limit);
  hold(learned_.ready_at(x.total(), now, before != nullptr ? before->total() : amounts{}), wait_reason::rate_limit);
  return result;
}

lane::attempt lane::start(const charge& x, priority rank, time_point now) {
  attempt result;
  result.ticket = limiter_.reserve(x, now);
  result.mark = learned_.dispatched(x.total());
  result.permit = breaker_.begin(now);
  result.reserved = x;
  result.rank = rank;
  result.started = now;
  result.has_slot = true;
  result.in_flight = ++in_flight_;
  if (rank == priority::batch)
    ++batch_in_flight_;
  return result;
}

void lane::give_slot_back(attempt& x) {
  if (!x.has_slot)
    return;
  x.has_slot = false;
  --in_flight_;
  if (x.rank == priority::batch)
    --batch_in_flight_;
}

void lane::begun(attempt& x, time_point now) {
  if (!x.has_slot || x.has_begun)
    return;
  x.has_begun = true;
  judge(x, outcome::success, now);
  if (adaptive_)
    adaptive_->on_end({.kind = concurrency_limit::kind::stream,
                       .took = now - x.started,
                       .input_tokens = at(x.reserved.arriving, dimension::input_tokens),
                       .in_flight = x.in_flight},
                      now);
}

void lane::judge(const attempt& x, outcome how, time_point now) {
  auto openings = breaker_.openings();
  breaker_.end(x.permit, how, now - x.started, now);
  if (breaker_.openings() != openings)
    parallel_.restart();
  if (how != outcome::success)
    return;
  answered_at_ = now;
  parallel_.answered(x.in_flight, x.started, now);
}

void lane::abandon(attempt& x, time_point now) {
  if (x.has_slot && !x.has_begun)
    breaker_.end(x.permit, outcome::neutral, now - x.started, now);
  give_slot_back(x);
}

void lane::end(attempt& x, const ending& how, time_point now) {
  if (x.has_slot) {
    if (!x.has_begun || how.result == outcome::failure)
      judge(x, how.result, now);
    if (adaptive_ && (how.overloaded || (how.output_tokens && !x.has_begun)))
      adaptive_->on_end({.took = now - x.started,
                         .output_tokens = how.output_tokens.value_or(0),
                         .overloaded = how.overloaded,
                         .in_flight = x.in_flight},
                        now);
  }
  give_slot_back(x);
  if (how.written)
    limiter_.end(x.ticket, now, how.real ? &*how.real : nullptr);
  else
    limiter_.release(x.ticket);
  std::array<std::optional<uint64_t>, dimensions> configured;
  for (std::size_t i = 0; i < dimensions; ++i)
    configured[i] = limiter_.configured(static_cast<dimension>(i));
  learned_.observe(x.mark, how.told, configured, now);
  heed_provider();
}

time_point lane::predict(const amounts& ahead, const charge& x, time_point now) {
  return std::max({now, paused_until_, limiter_.predict(ahead, x, now)});
}

double lane::share(const charge& x) const {
  auto total = x.total();
  double result = 0;
  for (std::size_t i = 0; i < dimensions; ++i)
    if (auto limit = limiter_.configured(static_cast<dimension>(i)))
      result = std::max(result, static_cast<double>(total[i]) / static_cast<double>(*limit));
  return result > 0 ? result : 1;
}

} // namespace modelforge::limits
