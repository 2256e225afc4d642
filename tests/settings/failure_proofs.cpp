#include "tests/settings/proof.hpp"
#include "tests/settings/virtual_provider.hpp"

namespace modelforge::settings_test {

namespace {

http::response broken() {
  http::response result;
  result.end.error =
    http::transfer_error{.code = errc::connection_lost, .request_written = true, .message = "it broke"};
  return result;
}

/// How many of a hundred were given up because too many were tried again.
std::string gave_up(const settings& all) {
  virtual_provider one{all};
  for (uint64_t number = 1; number <= 100; ++number)
    one.ask(question(number));
  one.run(1h, always(refusal(500)));
  std::size_t count = 0;
  for (auto& [number, end] : one.ended)
    if (auto* bad = std::get_if<failure>(&end.how); bad && bad->message.find("too many requests") != bad->message.npos)
      ++count;
  return count > 0 ? "some gave up" : "none gave up";
}

/// Of questions one after the other, so far apart, each answered so: a letter for each, "r" where it was refused
/// because the breaker was open, "w" where it still waits, else what `good` says.
look one_by_one(std::size_t count, std::chrono::nanoseconds apart, std::function<bool(std::size_t)> good,
                std::chrono::nanoseconds takes = 1ms) {
  return [=](const settings& all) {
    virtual_provider one{all};
    std::string text;
    std::chrono::nanoseconds time{0};
    for (std::size_t i = 0; i < count; ++i) {
      one.ask(question(i + 1));
      one.run(time + takes + 1ms, always(good(i) ? answer() : refusal(500), takes));
      time = std::max<std::chrono::nanoseconds>(time + takes + 1ms, apart * static_cast<int64_t>(i + 1));
      one.wait(time);
      auto end = one.ended.find(i + 1);
      auto* bad = end != one.ended.end() ? std::get_if<failure>(&end->second.how) : nullptr;
      auto is_open = one.refused.count(i + 1) > 0 || (bad != nullptr && bad->code == errc::circuit_open);
      text += is_open ? 'r' : end == one.ended.end() ? 'w' : bad != nullptr ? 'b' : 'g';
    }
    return text;
  };
}

/// After the breaker has opened and its time has passed: how many are sent at once.
std::string probes(const settings& all) {
  virtual_provider one{all};
  for (uint64_t number = 1; number <= 5; ++number) {
    one.ask(question(number));
    one.run(std::chrono::milliseconds{10 * number}, always(refusal(500), 1ms));
  }
  one.wait(30s);
  auto before = one.sent.size();
  for (uint64_t number = 6; number <= 15; ++number)
    one.ask(question(number));
  return std::to_string(one.sent.size() - before) + " probes";
}

const auto never = [](std::size_t) { return false; };
const auto always_good = [](std::size_t) { return true; };
const auto every_other = [](std::size_t i) { return i % 2 == 0; };

} // namespace

std::vector<proof> failure_proofs() {
  const std::string retry = "providers.main.retry.";
  const std::string breaker = "providers.main.circuit_breaker.";
  const std::string once = retry + "max_attempts = 1";
  auto failing = attempts(question(1), always(refusal(500)));
  auto refused = attempts(question(1), always(refusal(429, "200")));
  auto long_refused = attempts(batch_question(1), always(refusal(429, "7200")));
  auto pauses = retry + "max_attempts = 8\n" + breaker + "enabled = false";
  return {
    {retry + "max_attempts", "2", failing, "3 attempts", "2 attempts"},
    {retry + "backoff_factor", "4.0", failing, "", "", pauses},
    {retry + "base_wait", "5", failing, "", "", pauses},
    {retry + "max_wait", "1", failing, "", "", pauses},
    {retry + "max_server_wait", "250", refused, "1 attempts", "2 attempts"},
    {retry + "max_batch_server_wait", "60", long_refused, "", ""},
    {retry + "respect_retry_after", "false", attempts(question(1), always(refusal(429, "100"))), "", ""},
    {retry + "retry_uncertain", "false", attempts(question(1), always(broken())), "3 attempts", "1 attempts"},
    {retry + "on_empty_budget", "\"wait\"", gave_up, "some gave up", "none gave up", breaker + "enabled = false"},
    {breaker + "enabled", "false", one_by_one(7, 0s, never), "bbbbbrr", "bbbbbbb", once},
    {breaker + "consecutive_failures", "2", one_by_one(4, 0s, never), "bbbb", "bbrr", once},
    {breaker + "failure_share", "0.0", one_by_one(40, 0s, every_other), "r", "", once},
    {breaker + "min_samples", "4", one_by_one(12, 0s, every_other), "", "r", once},
    {breaker + "sample_window", "0.5", one_by_one(40, 100ms, every_other), "r", "", once},
    {breaker + "slow_after", "0.5", one_by_one(7, 0s, always_good, 1s), "ggggggg", "r", once},
    {breaker + "open_for", "1", one_by_one(8, 3s, never), "", "", once},
    {breaker + "probes", "3", probes, "1 probes", "3 probes", once},
    {breaker + "when_open", "\"wait\"", one_by_one(7, 0s, never), "bbbbbrr", "bbbbbww", once},
  };
}

} // namespace modelforge::settings_test
