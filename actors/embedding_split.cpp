#include "actors/embedding_split.hpp"

#include "actors/support/callers.hpp"
#include "actors/support/mail.hpp"
#include "node/spent_attempts.hpp"

#include <caf/stateful_actor.hpp>
#include <caf/typed_event_based_actor.hpp>
#include <caf/typed_response_promise.hpp>

#include <algorithm>
#include <iterator>
#include <utility>

namespace modelforge {

namespace {

class split_state {
public:
  static inline const char* name = "embedding_split";

  split_state(embedding_split_actor::pointer self, provider_actor provider, std::size_t most, std::size_t at_once)
    : self_(self), provider_(std::move(provider)), most_(most), at_once_(at_once),
      callers_(self, [this](const caf::actor_addr&, const caf::error&) { self_->quit(); }) {}

  embedding_split_actor::behavior_type make_behavior() {
    return {
      [this](embedding_request& x) { return start(x); },
      [this](cancel_atom) { fail(make_failure(errc::cancelled, "cancelled by the caller")); },
    };
  }

private:
  caf::result<embedding> start(embedding_request& x) {
    callers_.add(self_->current_sender());
    reply_ = self_->make_response_promise<embedding>();
    begun_ = self_->clock().now();
    asked_ = std::move(x);
    asked_.earlier = node::bounded(std::move(asked_.earlier));
    if (asked_.deadline) // one that has passed stays one
      asked_.deadline = std::max(*asked_.deadline, std::chrono::nanoseconds{0});
    result_.id = asked_.id;
    result_.vectors.resize(asked_.inputs.size());
    parts_.resize((asked_.inputs.size() + most_ - 1) / most_);
    for (std::size_t i = 0; i < at_once_ && next_ < parts_.size(); ++i)
      ask_next();
    return reply_;
  }

  void ask_next() {
    auto part = next_++;
    auto request = embedding_request{{},
                                     asked_.model,
                                     {},
                                     asked_.dimensions,
                                     asked_.purpose,
                                     asked_.priority,
                                     asked_.tenant,
                                     asked_.labels,
                                     asked_.trace,
                                     {},
                                     asked_.extra,
                                     {asked_.earlier.spent, asked_.earlier.age + (self_->clock().now() - begun_), {}}};
    if (part == 0) // the answer tells them once
      request.earlier.records = std::move(asked_.earlier.records);
    auto first = asked_.inputs.begin() + static_cast<std::ptrdiff_t>(part * most_);
    auto last = asked_.inputs.begin() + static_cast<std::ptrdiff_t>(std::min((part + 1) * most_, asked_.inputs.size()));
    request.inputs.assign(std::make_move_iterator(first), std::make_move_iterator(last));
    if (asked_.deadline)
      request.deadline = *asked_.deadline - (self_->clock().now() - begun_);
    ask(self_, provider_, std::move(request))
      .then([this, part](embedding& x) { take(part, x); }, [this](const caf::error& x) { fail_with(x); });
  }

  void take(std::size_t part, embedding& x) {
    auto inputs = std::min(most_, asked_.inputs.size() - part * most_);
    if (x.vectors.size() != inputs)
      return fail(make_failure(errc::invalid_response, "the provider gave " + std::to_string(x.vectors.size())
                                                         + " vectors for " + std::to_string(inputs) + " inputs"));
    auto to = result_.vectors.begin() + static_cast<std::ptrdiff_t>(part * most_);
    std::move(x.vectors.begin(), x.vectors.end(), to);
    x.vectors.clear();
    parts_[part] = std::move(x);
    ++ended_;
    if (next_ < parts_.size())
      ask_next();
    else if (ended_ == parts_.size())
      finish();
  }

  void finish() {
    auto size = result_.vectors.front().size();
    if (std::any_of(result_.vectors.begin(), result_.vectors.end(), [&](auto& x) { return x.size() != size; }))
      return fail(make_failure(errc::invalid_response, "the provider's vectors differ in length"));
    result_.timings.queued = parts_.front().timings.queued;
    for (auto& x : parts_)
      add(x);
    result_.timings.total = self_->clock().now() - begun_;
    reply_.deliver(std::move(result_));
    self_->quit();
  }

  void add(embedding& x) {
    if (x.usage) {
      if (!result_.usage)
        result_.usage.emplace();
      result_.usage->input += x.usage->input;
      result_.usage->output += x.usage->output;
      result_.usage->cached_read += x.usage->cached_read;
    }
    if (x.cost)
      result_.cost = result_.cost.value_or(0) + *x.cost;
    result_.provider = std::move(x.provider);
    result_.model = std::move(x.model);
    result_.provider_request_id = std::move(x.provider_request_id);
    result_.timings.first_byte = x.timings.first_byte;
    result_.attempts.insert(result_.attempts.end(), x.attempts.begin(), x.attempts.end());
    for (auto& text : x.warnings)
      if (std::find(result_.warnings.begin(), result_.warnings.end(), text) == result_.warnings.end())
        result_.warnings.push_back(std::move(text));
  }

  void fail(const failure& why) { fail_with(caf::make_error(why.code, why)); }

  /// What is under way is withdrawn by the provider, which sees this actor's end.
  void fail_with(const caf::error& why) {
    if (reply_.pending())
      reply_.deliver(why);
    self_->quit();
  }

  embedding_split_actor::pointer self_;
  provider_actor provider_;
  std::size_t most_;
  std::size_t at_once_;
  callers<std::remove_pointer_t<embedding_split_actor::pointer>> callers_;
  caf::typed_response_promise<embedding> reply_;
  caf::actor_clock::time_point begun_;
  embedding_request asked_;
  std::vector<embedding> parts_; ///< Without their vectors.
  std::size_t next_ = 0;
  std::size_t ended_ = 0;
  embedding result_;
};

} // namespace

embedding_split_actor spawn_embedding_split(caf::actor_system& system, provider_actor provider, std::size_t most,
                                            std::size_t at_once) {
  return system.spawn<embedding_split_actor::stateful_impl<split_state>>(std::move(provider), most, at_once);
}

} // namespace modelforge
