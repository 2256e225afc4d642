#pragma once

#include "provider/engine.hpp"
#include "tests/provider/fixture.hpp"

#include <cstdint>
#include <deque>
#include <optional>
#include <utility>
#include <variant>

namespace modelforge::test {

/// A provider's engine in virtual time, whose HTTP server is the test: what is sent waits here for its answer.
struct engine_bench {
  provider::time_point now = start_time;
  provider::engine engine;
  std::deque<provider::send> sent;
  uint64_t asked = 0;

  explicit engine_bench(provider::setup setup = prepared(), provider::kept_limits limits = {})
    : engine(std::move(setup), std::move(limits), {}, 7, now, {}) {}
  virtual ~engine_bench() = default;

  engine_bench(const engine_bench&) = delete;
  engine_bench& operator=(const engine_bench&) = delete;

  /// A step that is no `send`.
  virtual void take(provider::step&) {}

  /// All steps have been taken.
  virtual void settle() {}

  void note(std::optional<provider::step> step) {
    if (!step)
      return;
    if (auto* send = std::get_if<provider::send>(&*step))
      sent.push_back(std::move(*send));
    else
      take(*step);
  }

  void run() {
    while (auto step = engine.next(now))
      note(std::move(step));
    settle();
  }

  /// Returns why it is refused; empty: it is not.
  template <class Request>
  std::optional<failure> ask(Request request, const provider::admission::arrival& arrival = {}) {
    auto result = engine.admit(request, arrival, now);
    run();
    return std::move(result.refused);
  }

  /// One more request.
  void ask() { ask(question(++asked)); }

  /// Answers what was sent first.
  void end(const http::response& answer, provider::stream_end* streamed = nullptr) {
    REQUIRE_FALSE(sent.empty());
    auto attempt = sent.front().attempt;
    sent.pop_front();
    note(engine.on_end(attempt, answer, streamed, now));
    run();
  }

  /// Goes on to the next time at which the engine has something to do.
  void wake() {
    now = *engine.wake_at(now);
    run();
  }
};

} // namespace modelforge::test
