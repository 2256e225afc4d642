#include "limits/lane.hpp"

#include <tuple>
#include <utility>

namespace modelforge::limits {

namespace {

constexpr std::size_t few_models = 16; ///< Beyond, those that are of no use any more are looked for.

} // namespace

lane::lane(const lane_settings& settings, std::shared_ptr<key_slots> key)
  : key_(key != nullptr ? std::move(key) : std::make_shared<key_slots>()), limiter_(settings.limits),
    model_settings_(settings.limits), breaker_(settings.breaker),
    parallel_(settings.max_concurrent, settings.first_burst), max_concurrent_(std::max(1u, settings.max_concurrent)),
    interactive_slots_(std::min(settings.interactive_slots, max_concurrent_ - 1)), pause_(settings.max_server_wait) {
  if (settings.adaptive)
    adaptive_.emplace(concurrency_settings{.max = max_concurrent_});
}

void lane::reconfigure(const lane_settings& settings) {
  limiter_.reconfigure(settings.limits);
  model_settings_ = settings.limits;
  for (auto& [name, model] : models_)
    model->reconfigure(settings.limits);
  pause_.reconfigure(settings.max_server_wait);
  breaker_.reconfigure(settings.breaker);
  auto max_concurrent = std::max(1u, settings.max_concurrent);
  if (!settings.adaptive)
    adaptive_.reset();
  else if (!adaptive_ || max_concurrent != max_concurrent_)
    adaptive_.emplace(concurrency_settings{.max = max_concurrent});
  parallel_.set_max(max_concurrent);
  max_concurrent_ = max_concurrent;
  interactive_slots_ = std::min(settings.interactive_slots, max_concurrent_ - 1);
}

model_limits* lane::find(std::string_view model) const {
  auto i = models_.find(model);
  return i != models_.end() ? i->second.get() : nullptr;
}

// Looking for models of no use costs a pass over all, so it is done only when a new one comes and there are more than a
// few. The nameless entry stays: it holds what nobody knows the models of.
const std::shared_ptr<model_limits>& lane::touch(std::string_view model, time_point now) {
  if (auto i = models_.find(model); i != models_.end())
    return i->second;
  if (models_.size() >= few_models)
    std::erase_if(models_, [now](auto& x) { return x.second->is_idle(now); });
  if (models_.size() >= max_models && !model.empty())
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

void lane::pause(const attempt& tried, duration wait, time_point now) {
  pause_.begin(now + std::min(wait, rate_limiter::longest_prediction), tried.is_probe, now);
}

void lane::found_out(const attempt& tried) {
  if (tried.is_probe)
    pause_.on_success(tried.started);
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

// In order of cost: the slot is a comparison, limits are looked up. The latest of the times holds, and names the
// reason.
lane::readiness lane::ready(const charge& wanted, priority rank, time_point now, const charge* before,
                            std::string_view model, std::string_view model_before) {
  if (!has_slot(rank, before != nullptr ? 1 : 0))
    return {time_point::max(), wait_reason::slot, now};
  readiness result{now, wait_reason::nothing, now};
  auto hold = [&](time_point time, wait_reason why) {
    if (time > result.at) {
      result.at = time;
      result.why = why;
    }
  };
  hold(breaker_.ready_at(now), wait_reason::breaker);
  if (result.at == time_point::max())
    return result;
  hold(pause_.ready_at(rank), wait_reason::server_wait);
  hold(limiter_.ready_at(wanted, now, before), wait_reason::rate_limit);
  result.told = pause_.told_until(rank, now);
  if (auto* known = find(model)) {
    auto ready_at = known->ready_at(wanted, now, model == model_before ? before : nullptr);
    result.only_model = ready_at > result.at;
    hold(ready_at, wait_reason::rate_limit);
    result.told = std::max(result.told, known->told_at(wanted, now));
  }
  return result;
}

// Everything is taken in one step, so that what is held is always whole; `end` gives all of it back.
lane::attempt lane::start(const charge& wanted, priority rank, time_point now, std::string_view model) {
  attempt result;
  result.ticket = limiter_.reserve(wanted, now);
  result.model = touch(model, now);
  result.model_ticket = result.model->reserve(wanted, now);
  result.permit = breaker_.begin(now);
  result.reserved = wanted;
  result.rank = rank;
  result.started = now;
  result.is_probe = pause_.is_on(now);
  take_slot(result);
  return result;
}

void lane::take_slot(attempt& tried) {
  tried.has_slot = true;
  tried.in_flight = ++in_flight_;
  ++key_->in_flight;
  if (tried.is_probe)
    pause_.probe_began();
  if (tried.rank == priority::batch) {
    ++batch_in_flight_;
    ++key_->batch_in_flight;
  }
}

void lane::give_slot_back(attempt& tried) {
  if (!tried.has_slot)
    return;
  tried.has_slot = false;
  if (tried.is_probe)
    pause_.probe_ended();
  --in_flight_;
  --key_->in_flight;
  if (tried.rank == priority::batch) {
    --batch_in_flight_;
    --key_->batch_in_flight;
  }
}

std::vector<std::pair<std::string, const model_limits*>> lane::models() const {
  std::vector<std::pair<std::string, const model_limits*>> result;
  for (auto& [name, limits] : models_)
    result.emplace_back(name, limits.get());
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
  auto* known = find({});
  return known != nullptr ? known->gate() : rate_limiter{model_settings_};
}

void lane::take_over_unknown(const rate_limiter& from) {
  limiter_.take_over(from);
  of_unknown().take_over(from);
}

void lane::wait_as(const lane& from) {
  pause_.extend(from.pause_);
  out_until_ = std::max(out_until_, from.out_until_);
}

// What the old breaker was told by this attempt stays there; the new one must not count it, hence a generation that it
// never has.
void lane::take_over(attempt& tried, lane& from, const std::string& model, time_point now) {
  if (tried.has_slot && !tried.has_begun)
    from.breaker_.end(tried.permit, outcome::neutral, now - tried.started, now);
  auto had_slot = tried.has_slot;
  from.give_slot_back(tried);
  tried.ticket = limiter_.take_over(from.limiter_, tried.ticket);
  if (auto& home = touch(model, now); home != tried.model) {
    tried.model_ticket = home->take_over(*tried.model, tried.model_ticket, tried.reserved, now);
    tried.model = home;
  }
  tried.permit = {UINT64_MAX, false}; // of no state of this breaker
  tried.is_probe = false;
  if (had_slot)
    take_slot(tried);
}

void lane::restore(const amounts& taken, time_point expiry) {
  limiter_.restore(taken, expiry);
  of_unknown().restore(taken, expiry);
}

void lane::begun(attempt& tried, time_point now) {
  if (!tried.has_slot || tried.has_begun)
    return;
  tried.has_begun = true;
  found_out(tried);
  judge(tried, outcome::success, now);
  if (adaptive_)
    adaptive_->on_end({.kind = concurrency_limit::kind::stream,
                       .took = now - tried.started,
                       .input_tokens = at(tried.reserved.arriving, dimension::input_tokens),
                       .in_flight = tried.in_flight},
                      now);
}

// When the breaker opens, the lane is to begin slowly again afterwards.
void lane::judge(const attempt& tried, outcome result, time_point now) {
  auto openings = breaker_.openings();
  breaker_.end(tried.permit, result, now - tried.started, now);
  if (breaker_.openings() != openings)
    parallel_.restart();
  if (result != outcome::success)
    return;
  answers_.add(now);
  parallel_.answered(tried.in_flight, tried.started, now);
}

void lane::abandon(attempt& tried, time_point now) {
  if (tried.has_slot && !tried.has_begun)
    breaker_.end(tried.permit, outcome::neutral, now - tried.started, now);
  give_slot_back(tried);
}

// Order matters: health first, since it may open the breaker; then the slot; then charges, corrected by what the answer
// told; at last what it told of the model's limits, which are to be compared with the corrected charges.
void lane::end(attempt& tried, const ending& ended, time_point now) {
  if (tried.has_slot) {
    if (!tried.has_begun || ended.result == outcome::failure)
      judge(tried, ended.result, now);
    if (adaptive_ && (ended.overloaded || (ended.output_tokens && !tried.has_begun)))
      adaptive_->on_end({.took = now - tried.started,
                         .output_tokens = ended.output_tokens.value_or(0),
                         .overloaded = ended.overloaded,
                         .in_flight = tried.in_flight},
                        now);
  }
  if (ended.result == outcome::success)
    found_out(tried);
  else if (tried.is_probe && tried.has_slot && ended.overloaded) // in vain
    pause_.on_vain_probe(now);
  give_slot_back(tried);
  auto* real = ended.real ? &*ended.real : nullptr;
  if (ended.written) {
    limiter_.end(tried.ticket, now, real);
    tried.model->end(tried.model_ticket, now, real);
  } else {
    limiter_.release(tried.ticket);
    tried.model->release(tried.model_ticket);
  }
  std::array<std::optional<uint64_t>, dimensions> configured;
  for (std::size_t i = 0; i < dimensions; ++i)
    configured[i] = limiter_.configured(static_cast<dimension>(i));
  auto told = ended.told;
  for (std::size_t i = 0; i < dimensions && real != nullptr; ++i)
    if (told[i].limit && *told[i].limit < real->arriving[i]) // it was let through: this is no limit of such requests
      told[i] = {};
  tried.model->observe(tried.model_ticket, told, configured, now, ended.result == outcome::success);
}

time_point lane::predict(const forecast& asked, time_point now) {
  auto time = std::max(pause_.told_until(asked.rank, now), limiter_.predict(asked.ahead, asked.cost, now));
  auto* known = find(asked.model);
  return known != nullptr ? std::max(time, known->predict(asked.model_ahead, asked.cost, now)) : time;
}

// An upper bound from counts alone, for the queue to sort out cheaply who is surely in time.
time_point lane::latest(const forecast& asked, time_point now) {
  auto time = pause_.told_until(asked.rank, now);
  auto max_wait = limiter_.longest_wait(asked.ahead);
  if (auto* known = find(asked.model)) {
    max_wait = std::max(max_wait, known->longest_wait(asked.model_ahead, now));
    time = std::max(time, known->told_at(asked.cost, now, asked.model_ahead));
  }
  return time + max_wait;
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

double lane::share(const charge& wanted) const {
  auto total = wanted.total();
  double result = 0;
  for (std::size_t i = 0; i < dimensions; ++i)
    if (auto limit = limiter_.limit(static_cast<dimension>(i)))
      result = std::max(result, static_cast<double>(total[i]) / static_cast<double>(*limit));
  return result > 0 ? result : 1;
}

} // namespace modelforge::limits
