#include "provider/admission.hpp"

#include "base/times.hpp"
#include "provider/guarded.hpp"
#include "provider/model_groups.hpp"
#include "provider/optimized_request.hpp"

#include <algorithm>
#include <memory>
#include <type_traits>
#include <utility>

namespace modelforge::provider {

namespace {

/// The output allowance that the caller fixed; 0 for vectors, which have no output.
std::optional<uint32_t> max_tokens(const chat_request& request) {
  return request.sampling.max_tokens;
}

std::optional<uint32_t> max_tokens(const embedding_request&) {
  return 0;
}

std::size_t inputs_of(const chat_request&) {
  return 0;
}

std::size_t inputs_of(const embedding_request& request) {
  return request.inputs.size();
}

/// What the answer must be, beside an answer.
void note_wishes(const chat_request& from, const setup& setup, request& to) {
  to.json = wire::json_demand::of(from.response_format, setup.settings.check_json);
}

void note_wishes(const embedding_request& from, const setup&, request& to) {
  to.dimensions = from.dimensions;
}

/// Providers count them so differently that nothing is certain.
bool has_images(const chat_request& request) {
  return std::any_of(request.messages.begin(), request.messages.end(), [](auto& message) {
    return std::any_of(message.content.begin(), message.content.end(),
                       [](auto& part) { return std::holds_alternative<image_part>(part); });
  });
}

bool has_images(const embedding_request&) {
  return false;
}

} // namespace

// The checks stand in order of cost: what can be seen at a glance, what others have spent, then optimizing and
// encoding, which may take milliseconds for a long prompt.
admission::result admission::admit(chat_request& request, const arrival& arrival) const {
  if (request.model.empty())
    request.model = setup_.settings.default_model;
  if (auto why = refuse_at_once(request, arrival))
    return {std::move(*why), {}};
  auto earlier = spent_.all_of(request.id, std::move(request.earlier), now_);
  if (auto why = refuse_spent(earlier))
    return {std::move(*why), {}};
  auto& group = setup_.groups[group_of(setup_.settings, request.model)];
  group.defaults.apply(request);
  std::vector<std::string> changes, failed;
  auto words = guarded<wire::encoded_request>([&] {
    auto made =
      optimize_and_encode(group.optimizers, request, [&] { return group.dialect->encode(request, arrival.streamed); });
    changes = std::move(made.changes);
    failed = std::move(made.failed);
    return std::move(made.encoded);
  });
  auto result = finish(request, arrival, std::move(earlier), std::move(words), std::move(changes));
  result.failed_optimizers = std::move(failed);
  return result;
}

admission::result admission::admit(embedding_request& request, const arrival& arrival) const {
  if (setup_.dialect().max_inputs() > 0 && request.inputs.empty())
    return {make_failure(errc::invalid_request, "inputs is empty", "give at least one text"), {}};
  if (request.model.empty())
    request.model = setup_.settings.default_embedding_model;
  if (auto why = refuse_at_once(request, arrival))
    return {std::move(*why), {}};
  auto earlier = spent_.all_of(request.id, std::move(request.earlier), now_);
  if (auto why = refuse_spent(earlier))
    return {std::move(*why), {}};
  auto& group = setup_.groups[group_of(setup_.settings, request.model)];
  auto words = guarded<wire::encoded_request>([&] { return group.dialect->encode_embedding(request); });
  return finish(request, arrival, std::move(earlier), std::move(words), {});
}

/// What is wrong at a glance. While it drains, a missing model is not: the dispatcher's refusal says more.
template <class Request>
std::optional<failure> admission::refuse_at_once(const Request& request, const arrival& arrival) const {
  if (request.model.empty() && !arrival.draining)
    return make_failure(errc::invalid_request, "the request names no model",
                        std::is_same_v<Request, embedding_request>
                          ? "name one, or set default_embedding_model for this provider"
                          : "name one, or set default_model for this provider");
  if (request.deadline && request.deadline->count() <= 0)
    return make_failure(errc::deadline_exceeded, "its deadline had passed when the request arrived");
  if (arrival.is_busy)
    return make_failure(errc::duplicate_request, "a stream with this id is being handed over");
  return {};
}

/// Others have made all the attempts that it may take.
std::optional<failure> admission::refuse_spent(attempts_made& earlier) const {
  auto max_attempts = setup_.settings.retry.max_attempts;
  if (earlier.spent < max_attempts)
    return {};
  auto last = earlier.records.empty() ? errc::none : earlier.records.back().result;
  auto why = make_failure(last != errc::none ? last : errc::node_lost,
                          "its attempts were used up before it came here: " + std::to_string(earlier.spent) + " of "
                            + std::to_string(max_attempts) + " (max_attempts)",
                          "the provider may have answered, and charged for it; ask again if that does no harm");
  why.attempts = std::move(earlier.records);
  return why;
}

/// Puts together what the engine keeps and what the dispatcher is offered. The body is shared from here on, never
/// copied: it may be sent several times.
template <class Request>
admission::result admission::finish(Request& from, const arrival& arrival, attempts_made earlier, encoded words,
                                    std::vector<std::string> changes) const {
  if (auto* problem = std::get_if<failure>(&words))
    return {std::move(*problem), {}};
  request admitted;
  admitted.id = from.id;
  admitted.model = from.model;
  admitted.group = group_of(setup_.settings, from.model);
  admitted.streamed = arrival.streamed;
  admitted.inputs = inputs_of(from);
  note_wishes(from, setup_, admitted);
  admitted.reports = earlier.report;
  admitted.accepted = now_ - earlier.age;
  admitted.idle_since = now_;
  admitted.deadline = deadline_of(from);
  admitted.dialect = setup_.groups[admitted.group].dialect;
  admitted.encoded = std::move(std::get<wire::encoded_request>(words));
  admitted.body = std::make_shared<const std::string>(std::move(admitted.encoded.body));
  admitted.optimizations = std::move(changes);
  admitted.raw_tokens = limits::token_estimator::raw(from);
  admitted.accounting = setup_.groups[admitted.group].accounting;
  admitted.reserved = estimate(from.model, max_tokens(from), admitted);
  admitted.spent = earlier.spent;
  admitted.records = std::move(earlier.records);
  auto offer = offer_of(from, arrival, admitted);
  return {ready{std::move(admitted), std::move(offer)}, {}};
}

template <class Request>
dispatcher::offer admission::offer_of(Request& from, const arrival& arrival, const request& admitted) const {
  return {.id = from.id,
          .rank = from.priority,
          .tenant = std::move(from.tenant),
          .node = arrival.node,
          .group = limited_as(setup_.settings, admitted.group),
          .cost = admitted.reserved,
          .bytes = admitted.body->size(),
          .deadline = admitted.deadline,
          .spent = admitted.spent,
          .model = from.model,
          .least = certain(from, admitted),
          .fail_when_open = from.fail_when_open};
}

/// What the request will probably take, to be reserved at dispatch. Where answers count as they are produced, what the
/// model usually writes stands for them; else the allowance itself counts.
limits::charge admission::estimate(const std::string& model, std::optional<uint32_t> max_tokens,
                                   const request& asked) const {
  auto input = estimator_.estimate(model, asked.raw_tokens);
  auto output = asked.accounting.tokens == limits::token_accounting::produced
                  ? estimator_.expected_output(model, max_tokens)
                  : max_tokens.value_or(0);
  return limits::charge_for(asked.accounting, input, output * asked.choices());
}

/// What it will certainly take, by the sizes that the caller fixed: a good part of the prompt's text, and max_tokens
/// where they count. Where a prompt cache makes prompts free, nothing is certain.
template <class Request>
limits::amounts admission::certain(const Request& asked, const request& admitted) const {
  if (admitted.accounting.tokens == limits::token_accounting::produced)
    return {1, 0, 0, 0};
  auto input = has_images(asked) ? 0 : estimator_.least(asked.model, admitted.raw_tokens);
  return limits::charge_for(admitted.accounting, input, max_tokens(asked).value_or(0)).total();
}

/// Its own deadline, or the provider's for interactive requests. A length without end stays without one.
template <class Request>
std::optional<time_point> admission::deadline_of(const Request& request) const {
  if (request.deadline)
    return time_after(now_, *request.deadline);
  if (request.priority == priority::interactive && setup_.settings.deadline.count() > 0)
    return time_after(now_, setup_.settings.deadline);
  return {};
}

} // namespace modelforge::provider
