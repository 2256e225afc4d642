#include "tools/simulator/limits.hpp"

#include <algorithm>

namespace modelforge::simulator {

void sliding_sum::advance(clock::time_point now) {
  while (!entries_.empty() && entries_.front().at + length_ <= now) {
    total_ -= entries_.front().amount;
    entries_.pop_front();
  }
}

void sliding_sum::add(clock::time_point now, uint64_t amount) {
  advance(now);
  if (amount == 0)
    return;
  if (!entries_.empty() && entries_.back().at == now)
    entries_.back().amount += amount;
  else
    entries_.push_back({now, amount});
  total_ += amount;
}

uint64_t sliding_sum::total(clock::time_point now) {
  advance(now);
  return total_;
}

clock::duration sliding_sum::time_to_fit(clock::time_point now, uint64_t amount, uint64_t limit) {
  auto left = total(now);
  for (auto x = entries_.begin(); left + amount > limit && x != entries_.end(); ++x) {
    left -= x->amount;
    if (left + amount <= limit)
      return x->at + length_ - now;
  }
  return {};
}

clock::duration sliding_sum::time_to_empty(clock::time_point now) {
  advance(now);
  return entries_.empty() ? clock::duration{} : entries_.back().at + length_ - now;
}

limiter::limiter(const options& settings)
  : window_(settings.window), requests_(settings.window), tokens_(settings.window) {
  configure(settings);
}

void limiter::configure(const options& settings) {
  accounting_ = settings.accounting;
  set(requests_, settings.requests_per_minute);
  set(tokens_, settings.tokens_per_minute);
}

void limiter::set(limited& x, uint64_t per_minute) const {
  constexpr uint64_t minute = 60'000;
  auto window = static_cast<uint64_t>(window_.count());
  x.limit = per_minute == 0 ? 0 : std::max<uint64_t>(per_minute * window / minute, 1);
  if (x.limit == 0)
    x.sum = sliding_sum(window_);
}

uint64_t limiter::charge(uint32_t prompt_tokens, std::optional<uint32_t> max_tokens) const {
  return accounting_ == token_accounting::arrival ? std::max(prompt_tokens, max_tokens.value_or(0)) : prompt_tokens;
}

ruling limiter::admit(clock::time_point now, uint64_t tokens) {
  auto by_requests = rule(requests_, limit_kind::requests, now, 1);
  auto by_tokens = rule(tokens_, limit_kind::tokens, now, tokens);
  if (by_tokens.is_hopeless || by_tokens.wait > by_requests.wait)
    return by_tokens;
  if (!by_requests.is_admitted())
    return by_requests;
  if (requests_.limit > 0)
    requests_.sum.add(now, 1);
  if (tokens_.limit > 0)
    tokens_.sum.add(now, tokens);
  return {};
}

void limiter::produce(clock::time_point now, uint64_t tokens) {
  if (tokens_.limit > 0)
    tokens_.sum.add(now, tokens);
}

ruling limiter::rule(limited& x, limit_kind kind, clock::time_point now, uint64_t amount) {
  if (x.limit == 0)
    return {};
  auto used = x.sum.total(now);
  if (amount > x.limit)
    return {kind, true, x.limit, used, amount, {}};
  if (used + amount <= x.limit)
    return {};
  return {kind, false, x.limit, used, amount, x.sum.time_to_fit(now, amount, x.limit)};
}

std::optional<limiter::level> limiter::level_of(limited& x, clock::time_point now) {
  if (x.limit == 0)
    return std::nullopt;
  auto used = x.sum.total(now);
  return level{x.limit, x.limit - std::min(used, x.limit), x.sum.time_to_empty(now)};
}

} // namespace modelforge::simulator
