#pragma once

#include "provider/engine.hpp"
#include "tests/settings/proof.hpp"

#include <modelforge/messages/chat_request.hpp>
#include <modelforge/messages/embedding.hpp>

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace modelforge::settings_test {

using namespace std::chrono_literals;

/// The first provider of some settings, in virtual time: what it would send, when, and what becomes of each request.
/// Settings that it cannot start with leave a `problem`, and a provider that does nothing.
class virtual_provider {
public:
  using time_point = provider::time_point;

  /// What comes of an attempt, the n-th of all from 0, and how long it takes.
  struct reply {
    http::response answer;
    std::chrono::nanoseconds after = 10ms;
  };
  using server = std::function<reply(std::size_t attempt, std::size_t in_flight)>;

  explicit virtual_provider(const settings& all);

  void ask(chat_request request, bool streamed = false);
  void ask(embedding_request request);

  /// Lets the time pass until then, or until nothing is left to happen.
  void run(std::chrono::nanoseconds until, const server& by);

  /// The same for a server that never answers.
  void wait(std::chrono::nanoseconds until);

  /// When each attempt was sent, after the beginning: "0.000 0.500 ".
  std::string times() const;

  /// How each request ended, by its number: "1:fine 2:rate_limited ".
  std::string ends() const;

  std::size_t in_flight() const { return under_way_.size(); }

  void save() { engine_->save(true, now_, wall_begin + (now_ - begin)); }

  std::string problem;
  std::vector<provider::send> sent;
  std::map<uint64_t, provider::conclude> ended;
  std::map<uint64_t, failure> refused;
  std::size_t max_in_flight = 0; ///< Since it was last set.

  provider_status status() { return engine_->status(false, now_); }

  static constexpr time_point begin{1h};
  static constexpr provider::engine::wall_time wall_begin{std::chrono::hours{24 * 365 * 50}};

private:
  void note(std::optional<provider::step> step);
  void drive();
  void advance(time_point limit, const server& by);

  time_point now_ = begin;
  std::optional<provider::engine> engine_;
  std::vector<std::pair<uint64_t, time_point>> sent_at_;
  std::multimap<time_point, std::pair<std::size_t, http::response>> coming_; ///< Of attempts, by their place in `sent`.
  std::map<std::size_t, bool> under_way_;                                    ///< Whether its answer is planned.
};

/// A question with a number.
chat_request question(uint64_t number, std::string text = "hi");
chat_request batch_question(uint64_t number);

/// A good answer of 100 tokens in, 40 of them from the cache and 20 written to it, and 10 out.
http::response answer(std::string text = "fine");
http::response refusal(uint16_t status, std::string retry_after = {});

/// The same reply to all.
virtual_provider::server always(http::response with, std::chrono::nanoseconds after = 10ms);

/// What is sent first for this question: address, headers, body, bounds.
look sends(chat_request asked, bool streamed = false);

/// Beside others: when all attempts of one question are sent that is answered so, and its end.
look attempts(chat_request asked, virtual_provider::server by, std::chrono::nanoseconds until = 24h);

/// When so many questions are sent that are all answered, and their ends.
look paced(std::size_t count, chat_request like, std::chrono::nanoseconds until = 10min);

} // namespace modelforge::settings_test
