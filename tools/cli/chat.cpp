#include "tools/cli/output.hpp"
#include "tools/cli/session.hpp"

#include "actors/support/mail.hpp"
#include "wire/openai_format.hpp"

#include <caf/event_based_actor.hpp>

#include <cstdio>
#include <iostream>
#include <iterator>
#include <random>
#include <unistd.h>

namespace modelforge::cli {

namespace {

std::optional<std::string> read_prompt(const std::string& given) {
  if (!given.empty() && given != "-")
    return given;
  if (given.empty() && isatty(STDIN_FILENO)) {
    complain("no prompt: give one, as in `modelforge chat \"Why is the sky blue?\"`, or pipe one in");
    return {};
  }
  std::string text{std::istreambuf_iterator<char>{std::cin}, {}};
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r'))
    text.pop_back();
  if (text.empty()) {
    complain("standard input holds no prompt");
    return {};
  }
  return text;
}

chat_request make_request(const chat_options& x, std::string prompt) {
  std::mt19937_64 random{std::random_device{}()};
  chat_request request;
  request.id = make_request_id(random);
  request.model = x.target.model;
  if (!x.system.empty())
    request.messages.push_back(text_message(role::system, x.system));
  request.messages.push_back(text_message(role::user, std::move(prompt)));
  request.deadline = to_deadline(x.timeout);
  return request;
}

/// Removes what a terminal would take as commands.
std::string for_terminal(std::string text) {
  std::erase_if(text, [](char c) { return (c >= 0 && c < ' ' && c != '\n' && c != '\t') || c == 0x7f; });
  return text;
}

/// Prints the answer; what is about the answer goes to standard error.
int show(const chat_options& x, const completion& answer) {
  for (auto& warning : answer.warnings)
    std::fprintf(stderr, "modelforge: warning: %s\n", warning.c_str());
  if (x.json)
    return print(wire::write_openai_completion(answer) + "\n") ? exit_ok : exit_failed;
  std::string text = answer.text.empty() ? answer.refusal : answer.text;
  for (auto& call : answer.tool_calls)
    text += (text.empty() ? "" : "\n") + call.name + "(" + call.arguments + ")";
  if (isatty(STDOUT_FILENO))
    text = for_terminal(std::move(text));
  if (!print(text + "\n"))
    return exit_failed;
  if (answer.finish_reason == finish_reason::length)
    std::fprintf(stderr, "modelforge: warning: the answer was cut by the token limit\n");
  return exit_ok;
}

int show(const chat_options& x, const failure& why) {
  complain(to_string(why));
  if (x.json)
    print("{\"error\":" + wire::write_openai_error(why) + "}\n");
  return why.code == errc::configuration ? exit_usage : exit_failed;
}

} // namespace

int chat(const chat_options& x) {
  auto prompt = read_prompt(x.prompt);
  if (!prompt)
    return exit_usage;
  waiter waiter;
  std::optional<std::variant<completion, failure>> outcome; // set once, before `wake`; outlives the actors
  auto session = session::start(x.target, true);
  if (!session)
    return exit_usage;

  if (auto problem = session->serve_metrics()) // a batch may have the port; one answer is worth more than its numbers
    std::fprintf(stderr, "modelforge: warning: %s\n", problem->message.c_str());

  auto request = make_request(x, std::move(*prompt));
  auto id = request.id;
  session->system().spawn([&, to = session->provider()](caf::event_based_actor* self) {
    ask(self, to, std::move(request))
      .then(
        [&](completion& answer) {
          outcome = std::move(answer);
          waiter.wake();
        },
        [&](const caf::error& error) {
          outcome = failure_of(error);
          waiter.wake();
        });
  });

  for (;;) {
    switch (waiter.wait(std::chrono::hours{1})) {
      case waiter::event::interrupted:
        tell_from_outside(session->provider(), cancel_atom_v, id);
        waiter.wait(std::chrono::seconds{5});
        complain("interrupted");
        return exit_interrupted;
      case waiter::event::woken:
        return std::visit([&](auto& y) { return show(x, y); }, *outcome);
      case waiter::event::timeout:
        break;
    }
  }
}

} // namespace modelforge::cli
