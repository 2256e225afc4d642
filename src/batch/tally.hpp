#pragma once

#include "batch/usage_sum.hpp"

#include <modelforge/messages/batch.hpp>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <utility>
#include <variant>
#include <vector>

namespace modelforge::batch {

/// Adds up what a batch's items cost, each when its result is safe: what was noted waits, in the order of its numbers,
/// until the recorder says how much it has kept. So a report never counts what a crash would lose. Part of `figures`;
/// not synchronized.
class tally {
public:
  /// One share a provider, in the order of the batch's; the last one is that of items that reached none.
  explicit tally(std::size_t providers) : shares_(providers + 1) {}

  void name(std::size_t provider, std::string text) { shares_[provider].provider = std::move(text); }

  /// Notes a result that will be safe as the `number`th thing. `provider`: empty for an item that reached none.
  /// `estimated_input`: tokens of the prompt, as they were estimated. `live_factor`: what a live request costs for each
  /// unit that this one did.
  void add(uint64_t number, std::optional<std::size_t> provider, const std::variant<completion, failure>& outcome,
           uint64_t estimated_input, bool by_job, double live_factor) {
    waiting entry{number, provider.value_or(shares_.size() - 1), {}};
    entry.share.by_jobs = by_job;
    if (auto* answer = std::get_if<completion>(&outcome)) {
      entry.share.answered = 1;
      entry.share.attempts = answer->attempts.size();
      entry.share.usage = answer->usage.value_or(token_usage{});
      entry.share.estimated_input = answer->usage ? estimated_input : 0;
      entry.share.cost = answer->cost;
      if (answer->cost)
        entry.share.live_cost = *answer->cost * live_factor;
      entry.share.unpriced = is_unpriced(true, answer->usage, answer->cost);
    } else {
      auto& why = std::get<failure>(outcome);
      entry.share.failed = 1;
      entry.share.attempts = why.attempts.size();
      entry.share.usage = why.usage.value_or(token_usage{}); // of an answer that came, and was not as asked for
      entry.share.estimated_input = why.usage ? estimated_input : 0;
      entry.share.cost = why.cost;
      if (why.cost)
        entry.share.live_cost = *why.cost * live_factor;
      entry.share.unpriced = is_unpriced(false, why.usage, why.cost);
    }
    waiting_.push_back(std::move(entry));
  }

  /// Counts what is safe: the first `kept` things.
  void keep(uint64_t kept) {
    for (; !waiting_.empty() && waiting_.front().number <= kept; waiting_.pop_front())
      join(shares_[waiting_.front().index], waiting_.front().share);
  }

  /// Returns the shares that did something.
  std::vector<batch_share> shares() const {
    std::vector<batch_share> result;
    for (auto& x : shares_)
      if (x.answered + x.failed > 0)
        result.push_back(x);
    return result;
  }

  /// Returns all in one.
  batch_share total() const {
    batch_share sum;
    for (auto& x : shares_)
      join(sum, x);
    return sum;
  }

private:
  struct waiting {
    uint64_t number;
    std::size_t index;
    batch_share share;
  };

  static void join(batch_share& to, const batch_share& part) {
    to.answered += part.answered;
    to.failed += part.failed;
    to.by_jobs += part.by_jobs;
    to.attempts += part.attempts;
    to.estimated_input += part.estimated_input;
    to.unpriced += part.unpriced;
    add_to(to.usage, part.usage);
    add_to(to.cost, part.cost);
    add_to(to.live_cost, part.live_cost);
  }

  std::vector<batch_share> shares_;
  std::deque<waiting> waiting_;
};

} // namespace modelforge::batch
