#include "tools/simulator/limits.hpp"

#include <algorithm>

namespace modelforge::simulator {

void sliding_sum::advance(clock::time_point now) {
  while (!entries_.empty() && entries_.front().time + length_ <= now) {
    total_ -= entries_.front().amount;
    entries_.pop_front();
  }
}

void sliding_sum::add(clock::time_point now, uint64_t amount) {
  advance(now);
  if (amount == 0)
    return;
  if (!entries_.empty() && entries_.back().time == now)
    entries_.back().amount += amount;
  else
    entries_.push_back({now, amount});
  total_ += amount;
}

uint64_t sliding_sum::total(clock::time_point now) {
  advance(now);
  return total_;
}

// Amounts leave the interval in the order in which they came, so the first one whose leaving makes enough room decides
// the wait.
clock::duration sliding_sum::time_to_fit(clock::time_point now, uint64_t amount, uint64_t limit) {
  auto left = total(now);
  for (auto oldest = entries_.begin(); left + amount > limit && oldest != entries_.end(); ++oldest) {
    left -= oldest->amount;
    if (left + amount <= limit)
      return oldest->time + length_ - now;
  }
  return {};
}

clock::duration sliding_sum::time_to_empty(clock::time_point now) {
  advance(now);
  return entries_.empty() ? clock::duration{} : entries_.back().time + length_ - now;
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

// At least 1: a small limit and a short window must not refuse everything.
void limiter::set(limited& resource, uint64_t per_minute) const {
  constexpr uint64_t minute = 60'000;
  auto window = static_cast<uint64_t>(window_.count());
  resource.limit = per_minute == 0 ? 0 : std::max<uint64_t>(per_minute * window / minute, 1);
  if (resource.limit == 0)
    resource.sum = sliding_sum(window_);
}

uint64_t limiter::charge(uint32_t prompt_tokens, std::optional<uint32_t> max_tokens) const {
  return accounting_ == token_accounting::arrival ? std::max(prompt_tokens, max_tokens.value_or(0)) : prompt_tokens;
}

// Nothing is counted unless both limits admit the request.
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

ruling limiter::rule(limited& resource, limit_kind kind, clock::time_point now, uint64_t amount) {
  if (resource.limit == 0)
    return {};
  auto used = resource.sum.total(now);
  if (amount > resource.limit)
    return {kind, true, resource.limit, used, amount, {}};
  if (used + amount <= resource.limit)
    return {};
  return {kind, false, resource.limit, used, amount, resource.sum.time_to_fit(now, amount, resource.limit)};
}

std::optional<limiter::level> limiter::level_of(limited& resource, clock::time_point now) {
  if (resource.limit == 0)
    return std::nullopt;
  auto used = resource.sum.total(now);
  return level{resource.limit, resource.limit - std::min(used, resource.limit), resource.sum.time_to_empty(now)};
}

} // namespace modelforge::simulator
