#include "actors/model_lists.hpp"

#include "actors/support/fetch.hpp"

#include <caf/typed_event_based_actor.hpp>

#include <utility>
#include <variant>

namespace modelforge {

caf::result<model_list> model_lists::ask() {
  auto reply = self_->make_response_promise<model_list>();
  auto number = asked_.empty() ? 0 : asked_.rbegin()->first + 1;
  asked_.emplace(number, asked_list{reply});
  ask_page(number);
  return reply;
}

void model_lists::ask_page(uint64_t number) {
  fetch(*transport_, asked_.at(number).query.next(engine_.current()), caf::actor_cast<caf::actor>(self_),
        [this, number](const http::response& answer) { on_page(number, answer); });
}

void model_lists::on_page(uint64_t number, const http::response& answer) {
  auto result = asked_.at(number).query.take(engine_.current(), answer);
  if (!result)
    return ask_page(number);
  auto reply = std::move(asked_.extract(number).mapped().reply);
  if (auto* why = std::get_if<failure>(&*result))
    reply.deliver(caf::make_error(why->code, *why));
  else
    reply.deliver(std::move(std::get<model_list>(*result)));
}

} // namespace modelforge
