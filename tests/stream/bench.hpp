#pragma once

#include "stream/broadcast.hpp"

#include <catch2/catch_test_macros.hpp>

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace modelforge::test {

using namespace std::chrono_literals;
using stream::broadcast;
using stream::time_point;

/// A broadcast with its clock, and what it has told.
struct bench {
  explicit bench(const stream::broadcast_settings& x) : tested{x} {}

  broadcast tested;
  time_point now{1h};
  std::map<uint32_t, std::vector<stream_chunk>> chunks;
  std::map<uint32_t, std::vector<broadcast::conclude>> ends;
  std::vector<failure> given_up;
  std::vector<time_point> given_up_at;
  std::vector<time_point> abandoned_at;
  std::vector<time_point> sure_at, silent_at; ///< When the answer's end was not waited for any more.
  std::size_t credit = 0;                     ///< That was given.
  uint64_t wakes = 0;

  void pump() {
    for (int i = 0; auto x = tested.next(now); ++i) {
      REQUIRE(i < 100'000);
      if (auto* chunk = std::get_if<broadcast::deliver>(&*x))
        chunks[chunk->to].push_back(chunk->chunk);
      else if (auto* end = std::get_if<broadcast::conclude>(&*x))
        ends[end->to].push_back(*end);
      else if (auto* more = std::get_if<broadcast::credit>(&*x))
        credit += more->bytes;
      else if (auto* late = std::get_if<broadcast::give_up>(&*x))
        given_up.push_back(late->why), given_up_at.push_back(now);
      else if (auto* over = std::get_if<broadcast::enough>(&*x))
        (over->is_sure ? sure_at : silent_at).push_back(now);
      else
        abandoned_at.push_back(now);
    }
    REQUIRE((!tested.wake_at() || *tested.wake_at() > now));
  }

  void begin() {
    tested.begin(now);
    pump();
  }

  std::variant<uint32_t, failure> try_join(const subscription& x) {
    auto result = tested.join(x, now);
    pump();
    return result;
  }

  uint32_t join(slow_policy when_slow, uint32_t demand, uint64_t from = 0) {
    auto result = try_join({when_slow, from, demand});
    REQUIRE(result.index() == 0);
    return std::get<0>(result);
  }

  failure refused(uint64_t from) {
    auto result = try_join({slow_policy::wait, from, 1});
    REQUIRE(result.index() == 1);
    return std::get<1>(result);
  }

  void grant(uint32_t x, uint64_t n) {
    tested.grant(x, n, now);
    pump();
  }

  void leave(uint32_t x) {
    tested.leave(x, now);
    pump();
  }

  /// A piece of `size` bytes comes, in as many bytes of the body as it takes in the log.
  void feed(std::size_t size = 92) { feed(std::string(size, 'x')); }

  void feed(const std::string& text) {
    tested.text(text);
    tested.received(text.size() + 8, 1, 0, now);
    pump();
  }

  /// Bytes come that tell nothing.
  void comment(std::size_t bytes) {
    tested.received(bytes, 0, 0, now);
    pump();
  }

  void finish(std::variant<completion, failure> how) {
    tested.finish(std::move(how));
    pump();
  }

  /// Time passes; wakes it when it wants to be.
  void pass(stream::duration x) {
    auto until = now + x;
    while (tested.wake_at() && *tested.wake_at() <= until) {
      now = *tested.wake_at();
      ++wakes;
      REQUIRE(wakes < 10'000);
      pump();
    }
    now = until;
  }

  std::string text_for(uint32_t reader) {
    std::string result;
    for (auto& x : chunks[reader])
      result += text_of(x);
    return result;
  }

  /// The reader's one end.
  const std::variant<stream_done, stream_failed>& end_of(uint32_t reader) {
    REQUIRE(ends[reader].size() == 1);
    return ends[reader].front().how;
  }

  const failure& failure_of(uint32_t reader) {
    REQUIRE(std::holds_alternative<stream_failed>(end_of(reader)));
    return std::get<stream_failed>(end_of(reader)).why;
  }

  /// What it is that has taken too long; empty: nothing.
  std::string setting_blamed() const { return given_up.empty() ? "" : given_up.front().suggestion; }
};

inline bool has(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

inline failure broken() {
  return make_failure(errc::stream_interrupted, "the connection broke");
}

} // namespace modelforge::test
