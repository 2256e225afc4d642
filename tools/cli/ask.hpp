#pragma once

#include "tools/cli/session.hpp"

#include "actors/support/mail.hpp"

#include <caf/event_based_actor.hpp>

#include <functional>
#include <memory>
#include <optional>
#include <utility>
#include <variant>

namespace modelforge::cli {

/// Waits for the end, or for Ctrl-C, which calls `stop` and gives what runs a moment to end: what hangs on a blocked
/// standard output would not. On a terminal says meanwhile what is waited for, until the session's notice has ended.
/// Returns false after Ctrl-C.
bool wait_for_end(session& session, waiter& waiter, const std::function<void()>& stop);

/// Exit code for a command that failed so.
int exit_code_of(const failure& problem);

/// Asks the session's provider and waits for what it says. Empty after Ctrl-C, which calls `stop`.
template <class Answer, class... Ts>
std::optional<std::variant<Answer, failure>> ask_and_wait(session& session, waiter& waiter,
                                                          const std::function<void()>& stop, Ts... request) {
  using outcome = std::variant<Answer, failure>;
  auto result = std::make_shared<std::optional<outcome>>(); // set once, before `wake`
  session.system().spawn([&, result, provider = session.provider()](caf::event_based_actor* self) {
    ask(self, provider, std::move(request)...)
      .then(
        [result, &waiter](Answer& answer) {
          result->emplace(std::in_place_type<Answer>, std::move(answer));
          waiter.wake();
        },
        [result, &waiter](const caf::error& error) {
          result->emplace(std::in_place_type<failure>, failure_of(error));
          waiter.wake();
        });
  });
  if (!wait_for_end(session, waiter, stop))
    return {};
  return std::move(**result);
}

} // namespace modelforge::cli
