#include "limits/lane.hpp"

#include <tuple>
#include <utility>

namespace modelforge::limits {

namespace {

constexpr std::size_t few_models = 16; ///< Beyond, those that are of no use any more are looked for.

} // namespace

lane::lane(const lane_settings& x, std::shared_ptr<key_slots> key)
  : key_(key != nullptr ? std::move(key) : std::make_shared<key_slots>()), limiter_(x.limits),
    model_settings_(x.limits), breaker_(x.breaker), parallel_(x.max_concurrent, x.first_burst),
    max_concurrent_(std::max(1u, x.max_concurrent)),
    interactive_slots_(std::min(x.interactive_slots, max_concurrent_ - 1)), most_server_wait_(x.most_server_wait) {
  if (x.adaptive)
    adaptive_.emplace(concurrency_settings{.max = max_concurrent_});
}

void lane::reconfigure(const lane_settings& x) {
  limiter_.reconfigure(x.limits);
  model_settings_ = x.limits;
  for (auto& [name, model] : models_)
    model->reconfigure(x.limits);
  most_server_wait_ = x.most_server_wait;
  breaker_.reconfigure(x.breaker);
  auto most = std::max(1u, x.max_concurrent);
  if (!x.adaptive)
    adaptive_.reset();
  else if (!adaptive_ || most != max_concurrent_)
    adaptive_.emplace(concurrency_settings{.max = most});
  parallel_.set_max(most);
  max_concurrent_ = most;
  interactive_slots_ = std::min(x.interactive_slots, max_concurrent_ - 1);
}

model_limits* lane::find(std::string_view model) const {
  auto i = models_.find(model);
  return i != models_.end() ? i->second.get() : nullptr;
}

const std::shared_ptr<model_limits>& lane::touch(std::string_view model, time_point now) {
  if (auto i = models_.find(model); i != models_.end())
    return i->second;
  if (models_.size() >= few_models)
    std::erase_if(models_, [now](auto& x) { return x.second->is_idle(now); });
  if (models_.size() >= most_models && !model.empty())
    forget_oldest();
  return models_.emplace(model, std::make_shared<model_limits>(model_settings_)).first->second;
}

/// Its charges stay, as nobody knows whose; its attempts under way hold on to it.
void lane::forget_oldest() {
  auto oldest = std::min_element(models_.begin(), models_.end(), [](auto& x, auto& y) {
    return std::tuple{x.first.empty(), x.second->asked()} < std::tuple{y.first.empty(), y.second->asked()};
  });
  auto gone = oldest->second;
  models_.erase(oldest);
  of_unknown().take_over(*gone);
}

/// What nobody knows the models of is kept as if it were one model's.
model_limits& lane::of_unknown() {
  auto& result = models_[{}];
  if (result == nullptr)
    result = std::make_shared<model_limits>(model_settings_);
  return *result;
}

void lane::pause(const attempt& x, duration wait, time_point now) {
  auto until = now + std::min(wait, rate_limiter::longest_prediction);
  if (!x.is_probe)
    until = std::max(until, paused_until_);
  paused_until_ = until;
  paused_since_ = now;
}

/// Until when the pause is believed.
time_point lane::believed_until(priority rank) const {
  return std::min(paused_until_, paused_since_ + most_server_wait_[static_cast<std::size_t>(rank)]);
}

/// Until when the pause lasts by the provider's word; now, if a probe may find out.
time_point lane::told_pause(priority rank, time_point now) const {
  return probes_ == 0 && believed_until(rank) <= now ? now : std::max(paused_until_, now);
}

/// A probe has succeeded: the pause is over.
void lane::found_out(const attempt& x) {
  if (x.is_probe && x.started >= paused_since_)
    paused_until_ = {};
}

uint32_t lane::slots() const {
  return adaptive_ ? adaptive_->limit() : max_concurrent_;
}

/// Whether one is free when so many more are taken.
bool lane::has_slot(priority rank, uint32_t taken) const {
  auto all = slots();
  if (in_flight_ + taken >= all || key_->in_flight + taken >= max_concurrent_)
    return false;
  if (rank == priority::interactive)
    return true;
  return batch_in_flight_ + taken + std::min(interactive_slots_, all - 1) < all
         && key_->batch_in_flight + taken + interactive_slots_ < max_concurrent_
         && in_flight_ + taken < parallel_.limit();
}

lane::readiness lane::ready(const charge& x, priority rank, time_point now, const charge* before,
                            std::string_view model, std::string_view model_before) {
  if (!has_slot(rank, before != nullptr ? 1 : 0))
    return {time_point::max(), wait_reason::slot, now};
  readiness result{now, wait_reason::nothing, now};
  auto hold = [&](time_point at, wait_reason why) {
    if (at > result.at) {
      result.at = at;
      result.why = why;
    }
  };
  hold(breaker_.ready_at(now), wait_reason::breaker);
  if (result.at == time_point::max())
    return result;
  hold(probes_ > 0 ? paused_until_ : believed_until(rank), wait_reason::server_wait);
  hold(limiter_.ready_at(x, now, before), wait_reason::rate_limit);
  result.told = told_pause(rank, now);
  if (auto* of = find(model)) {
    auto at = of->ready_at(x, now, model == model_before ? before : nullptr);
    result.only_model = at > result.at;
    hold(at, wait_reason::rate_limit);
    result.told = std::max(result.told, of->told_at(x, now));
  }
  return result;
}

lane::attempt lane::start(const charge& x, priority rank, time_point now, std::string_view model) {
  attempt result;
  result.ticket = limiter_.reserve(x, now);
  result.model = touch(model, now);
  result.model_ticket = result.model->reserve(x, now);
  result.permit = breaker_.begin(now);
  result.reserved = x;
  result.rank = rank;
  result.started = now;
  result.is_probe = now < paused_until_;
  take_slot(result);
  return result;
}

void lane::take_slot(attempt& x) {
  x.has_slot = true;
  x.in_flight = ++in_flight_;
  ++key_->in_flight;
  probes_ += x.is_probe;
  if (x.rank == priority::batch) {
    ++batch_in_flight_;
    ++key_->batch_in_flight;
  }
}

void lane::give_slot_back(attempt& x) {
  if (!x.has_slot)
    return;
  x.has_slot = false;
  probes_ -= x.is_probe;
  --in_flight_;
  --key_->in_flight;
  if (x.rank == priority::batch) {
    --batch_in_flight_;
    --key_->batch_in_flight;
  }
}

std::vector<std::pair<std::string, const model_limits*>> lane::models() const {
  std::vector<std::pair<std::string, const model_limits*>> result;
  for (auto& [name, is] : models_)
    result.emplace_back(name, is.get());
  return result;
}

void lane::take_over(const std::string& model, lane& from, bool moves, time_point now) {
  auto i = from.models_.find(model);
  if (i == from.models_.end())
    return;
  auto before = i->second;
  limiter_.take_over(before->gate());
  if (moves)
    from.models_.erase(i);
  if (moves && !models_.contains(model))
    models_.emplace(model, std::move(before));
  else
    touch(model, now)->take_over(*before);
}

rate_limiter lane::unknown() const {
  auto* is = find({});
  return is != nullptr ? is->gate() : rate_limiter{model_settings_};
}

void lane::take_over_unknown(const rate_limiter& from) {
  limiter_.take_over(from);
  of_unknown().take_over(from);
}

void lane::wait_as(const lane& from) {
  paused_until_ = std::max(paused_until_, from.paused_until_);
  paused_since_ = std::max(paused_since_, from.paused_since_);
  out_until_ = std::max(out_until_, from.out_until_);
}

void lane::take_over(attempt& x, lane& from, const std::string& model, time_point now) {
  if (x.has_slot && !x.has_begun)
    from.breaker_.end(x.permit, outcome::neutral, now - x.started, now);
  auto had_slot = x.has_slot;
  from.give_slot_back(x);
  x.ticket = limiter_.take_over(from.limiter_, x.ticket);
  if (auto& home = touch(model, now); home != x.model) {
    x.model_ticket = home->take_over(*x.model, x.model_ticket, x.reserved, now);
    x.model = home;
  }
  x.permit = {UINT64_MAX, false}; // of no state of this breaker
  x.is_probe = false;
  if (had_slot)
    take_slot(x);
}

void lane::restore(const amounts& x, time_point expiry) {
  limiter_.restore(x, expiry);
  of_unknown().restore(x, expiry);
}

void lane::begun(attempt& x, time_point now) {
  if (!x.has_slot || x.has_begun)
    return;
  x.has_begun = true;
  found_out(x);
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
  if (how.result == outcome::success)
    found_out(x);
  else if (x.is_probe && x.has_slot && how.overloaded) // in vain
    paused_since_ = std::max(paused_since_, now);
  give_slot_back(x);
  auto* real = how.real ? &*how.real : nullptr;
  if (how.written) {
    limiter_.end(x.ticket, now, real);
    x.model->end(x.model_ticket, now, real);
  } else {
    limiter_.release(x.ticket);
    x.model->release(x.model_ticket);
  }
  std::array<std::optional<uint64_t>, dimensions> configured;
  for (std::size_t i = 0; i < dimensions; ++i)
    configured[i] = limiter_.configured(static_cast<dimension>(i));
  auto told = how.told;
  for (std::size_t i = 0; i < dimensions && real != nullptr; ++i)
    if (told[i].limit && *told[i].limit < real->arriving[i]) // it was let through: this is no limit of such requests
      told[i] = {};
  x.model->observe(x.model_ticket, told, configured, now, how.result == outcome::success);
}

time_point lane::predict(const forecast& x, time_point now) {
  auto at = std::max(told_pause(x.rank, now), limiter_.predict(x.ahead, x.cost, now));
  auto* of = find(x.model);
  return of != nullptr ? std::max(at, of->predict(x.model_ahead, x.cost, now)) : at;
}

time_point lane::latest(const forecast& x, time_point now) {
  auto at = told_pause(x.rank, now);
  auto most = limiter_.longest_wait(x.ahead);
  if (auto* of = find(x.model)) {
    most = std::max(most, of->longest_wait(x.model_ahead, now));
    at = std::max(at, of->told_at(x.cost, now, x.model_ahead));
  }
  return at + most;
}

std::vector<lane::told_limit> lane::told(time_point now) {
  std::vector<told_limit> result;
  for (auto& [name, model] : models_)
    for (std::size_t i = 0; i < dimensions; ++i) {
      auto d = static_cast<dimension>(i);
      auto limit = model->limit(d, now);
      if (limit && *limit < limiter_.limit(d).value_or(UINT64_MAX))
        result.push_back({name, d, *limit, model->live(now)[i]});
    }
  std::sort(result.begin(), result.end(),
            [](auto& x, auto& y) { return std::tie(x.model, x.of) < std::tie(y.model, y.of); });
  return result;
}

double lane::share(const charge& x) const {
  auto total = x.total();
  double result = 0;
  for (std::size_t i = 0; i < dimensions; ++i)
    if (auto limit = limiter_.limit(static_cast<dimension>(i)))
      result = std::max(result, static_cast<double>(total[i]) / static_cast<double>(*limit));
  return result > 0 ? result : 1;
}

} // namespace modelforge::limits
