#include "actors/embedding_split.hpp"

#include "actors/support/callers.hpp"
#include "actors/support/error_of.hpp"
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

/// Asks for the parts of a large request, `at_once` at a time, and puts the vectors together in the order of the
/// inputs. The first part that fails ends all; what the others have cost shows in the provider's counts alone. Lives
/// for one request, and ends with its caller. Spawned by a provider, or by the proxy of one; its parts come back to it
/// as requests of their own, which queue and are limited like all others.
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
  caf::result<embedding> start(embedding_request& request) {
    callers_.add(self_->current_sender());
    reply_ = self_->make_response_promise<embedding>();
    begun_ = self_->clock().now();
    asked_ = std::move(request);
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

  /// The provider gives each part an id. Deadline and age go on counting while parts wait.
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
                                     asked_.trace_state,
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

  /// Moves a part's vectors to their place; its accounts are kept until all are there.
  void take(std::size_t part, embedding& answer) {
    auto inputs = std::min(most_, asked_.inputs.size() - part * most_);
    if (answer.vectors.size() != inputs)
      return fail(make_failure(errc::invalid_response, "the provider gave " + std::to_string(answer.vectors.size())
                                                         + " vectors for " + std::to_string(inputs) + " inputs"));
    auto target = result_.vectors.begin() + static_cast<std::ptrdiff_t>(part * most_);
    std::move(answer.vectors.begin(), answer.vectors.end(), target);
    answer.vectors.clear();
    parts_[part] = std::move(answer);
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
    for (auto& part : parts_)
      add(part);
    result_.timings.total = self_->clock().now() - begun_;
    reply_.deliver(std::move(result_));
    self_->quit();
  }

  /// Sums up what parts have cost; a warning that several have is told once.
  void add(embedding& answer) {
    if (answer.usage) {
      if (!result_.usage)
        result_.usage.emplace();
      result_.usage->input += answer.usage->input;
      result_.usage->output += answer.usage->output;
      result_.usage->cached_read += answer.usage->cached_read;
    }
    if (answer.cost)
      result_.cost = result_.cost.value_or(0) + *answer.cost;
    result_.provider = std::move(answer.provider);
    result_.model = std::move(answer.model);
    result_.provider_request_id = std::move(answer.provider_request_id);
    result_.timings.first_byte = answer.timings.first_byte;
    result_.attempts.insert(result_.attempts.end(), answer.attempts.begin(), answer.attempts.end());
    for (auto& text : answer.warnings)
      if (std::find(result_.warnings.begin(), result_.warnings.end(), text) == result_.warnings.end())
        result_.warnings.push_back(std::move(text));
  }

  void fail(const failure& why) { fail_with(error_of(why)); }

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
