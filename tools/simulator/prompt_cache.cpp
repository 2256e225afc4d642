#include "tools/simulator/prompt_cache.hpp"

#include "tools/simulator/text.hpp"

#include <algorithm>

namespace modelforge::simulator {

uint32_t prompt_chain::add(std::string_view text) {
  uint32_t count = 0;
  for (; !text.empty(); ++count) {
    auto size = first_token(text);
    add_unit(hash(text.substr(0, size), 0), 1);
    text.remove_prefix(size);
  }
  return count;
}

// A unit of several tokens may pass a step in its middle. The prefix that ends there gets a key of its own from what
// came before and the place, since the unit cannot be divided.
void prompt_chain::add_unit(uint64_t key, uint32_t tokens) {
  auto before = key_;
  key_ = mix(key_ ^ mix(key + tokens));
  auto end = tokens_ + tokens;
  for (; next_ > 0 && next_ <= end; next_ += step_)
    prefixes_.push_back({next_ == end ? key_ : mix(key_ + mix(before) + next_), next_});
  if (tokens_ < head_tokens && end >= head_tokens)
    head_ = key_;
  tokens_ = end;
}

void prompt_cache::configure(const options& settings) {
  ttl_ = settings.cache_ttl;
  machines_ = settings.cache_machines;
  if (ttl_.count() > 0)
    return;
  entries_.clear();
  order_.clear();
}

prompt_cache::finding prompt_cache::look_up(const cache_plan& plan, clock::time_point now) {
  if (plan.how == cache_plan::rule::none || plan.prefixes.empty() || ttl_.count() == 0)
    return {};
  return plan.how == cache_plan::rule::automatic ? look_up_steps(plan, now) : look_up_blocks(plan, now);
}

// The machine is part of the key: each machine has a cache of its own.
prompt_cache::finding prompt_cache::look_up_steps(const cache_plan& plan, clock::time_point now) {
  finding found;
  auto machine = machine_for(plan, now);
  for (const auto& candidate : plan.prefixes) {
    if (candidate.tokens < plan.least)
      continue;
    auto key = mix(candidate.key ^ mix(machine));
    if (touch(key, now))
      found.use.read = candidate.tokens;
    else
      found.keep.push_back({key, plan.lifetime});
  }
  found.use.written = found.keep.empty() ? 0 : plan.prefixes.back().tokens - found.use.read;
  return found;
}

// What lies before the longest hit is read, what lies between it and the last breakpoint is written, each part at the
// price of its breakpoint's lifetime.
prompt_cache::finding prompt_cache::look_up_blocks(const cache_plan& plan, clock::time_point now) {
  finding found;
  for (const auto& mark : plan.breakpoints) {
    if (plan.prefixes[mark.block].tokens < plan.least)
      continue;
    for (std::size_t back = 0; back < look_back && back <= mark.block; ++back) {
      const auto& candidate = plan.prefixes[mark.block - back];
      if (!touch(candidate.key, now))
        continue;
      found.use.read = std::max(found.use.read, candidate.tokens);
      break;
    }
  }
  auto done = found.use.read;
  for (const auto& mark : plan.breakpoints) {
    const auto& candidate = plan.prefixes[mark.block];
    if (candidate.tokens < plan.least || candidate.tokens <= done)
      continue;
    (mark.is_long ? found.use.written_long : found.use.written) += candidate.tokens - done;
    done = candidate.tokens;
    found.keep.push_back({candidate.key, mark.is_long ? 12u : 1u});
  }
  return found;
}

// A key that gets more than `requests_per_machine` a minute spills over to the next machines, one after another, and
// misses there: OpenAI documents about 15 a minute.
uint64_t prompt_cache::machine_for(const cache_plan& plan, clock::time_point now) {
  if (machines_ == 1)
    return 0;
  if (plan.routing_key.empty())
    return arrivals_++ % machines_;
  if (routes_.size() > max_routes)
    routes_.clear();
  auto route = hash(plan.routing_key, plan.head);
  auto& load = routes_.try_emplace(route, std::chrono::minutes(1)).first->second;
  auto busy = load.total(now) / requests_per_machine;
  load.add(now, 1);
  return (route + busy) % machines_;
}

bool prompt_cache::touch(uint64_t key, clock::time_point now) {
  auto found = entries_.find(key);
  if (found == entries_.end() || found->second.expiry <= now)
    return false;
  found->second.expiry = now + found->second.lifetime;
  return true;
}

void prompt_cache::store(const std::vector<kept_prefix>& kept, clock::time_point now) {
  for (const auto& item : kept) {
    auto lifetime = item.lifetime * ttl_;
    if (entries_.insert_or_assign(item.key, entry{now + lifetime, lifetime}).second)
      order_.push_back(item.key);
  }
  while (order_.size() > max_entries) {
    entries_.erase(order_.front());
    order_.pop_front();
  }
}

} // namespace modelforge::simulator
