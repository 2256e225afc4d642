#include <modelforge/actors/runtime.hpp>
#include <modelforge/config/load.hpp>

#include "tests/http/waiting.hpp"
#include "tests/support/settings.hpp"
#include "tools/simulator/simulator.hpp"

#include <catch2/catch_test_macros.hpp>

#include <atomic>
#include <future>
#include <random>
#include <string>
#include <thread>
#include <vector>

namespace modelforge::reload_test {

using namespace std::chrono_literals;

namespace {

settings before(const simulator::server& server) {
  auto x = test::without_state();
  x.runtime.grace_period = 5s;
  x.providers = {test::simulated_at(server.url(), "first"), test::simulated_at(server.url(), "second")};
  return x;
}

chat_request asking(const std::string& prompt) {
  chat_request x;
  x.messages = {text_message(role::user, prompt)};
  return x;
}

using names = std::vector<std::string>;

} // namespace

TEST_CASE("settings change while it runs, and the report says which", "[reload]") {
  simulator::server server{simulator::options{}};
  auto x = before(server);
  runtime ai{x};
  auto same = ai.reload(x);
  REQUIRE(same);
  CHECK(same->unchanged == names{"first", "second"});
  x.providers[0].default_model = "another";
  x.providers[1].kind = provider_kind::ollama;
  x.providers[1].base_url = server.url();
  x.providers.push_back(test::simulated_at(server.url(), "third"));
  x.node.name = "node";
  auto report = ai.reload(x);
  REQUIRE(report);
  CHECK(report->changed == names{"first"});
  CHECK(report->replaced == names{"second"});
  CHECK(report->added == names{"third"});
  CHECK(report->needs_restart == names{"node"});
  CHECK(ai.providers() == names{"first", "second", "third"});
  auto answer = ai.chat("What is 12 + 30?");
  REQUIRE(answer);
  CHECK(answer->model == "another");
  CHECK(ai.chat("What is 12 + 30?", "third"));
  x.providers = {x.providers[2]};
  report = ai.reload(x);
  REQUIRE(report);
  CHECK(report->removed == names{"first", "second"});
  CHECK(ai.providers() == names{"third"});
  auto gone = ai.chat("Hi", "first");
  REQUIRE_FALSE(gone);
  CHECK(gone.error().message.find("there is no provider \"first\"") == 0);
}

TEST_CASE("faulty settings change nothing, and say what is wrong", "[reload]") {
  simulator::server server{simulator::options{}};
  auto x = before(server);
  runtime ai{x};
  auto bad = x;
  bad.providers[0].default_model = "another";
  bad.providers[1].keys.emplace_back().api_key_env = "MODELFORGE_NO_SUCH_VARIABLE";
  auto report = ai.reload(bad);
  REQUIRE_FALSE(report);
  CHECK(report.error().code == errc::configuration);
  CHECK(report.error().message.find("MODELFORGE_NO_SUCH_VARIABLE") != std::string::npos);
  bad = x;
  bad.providers[0].max_concurrent = 0;
  bad.providers[0].base_url = "nowhere";
  report = ai.reload(bad);
  REQUIRE_FALSE(report);
  CHECK(report.error().message.find("max_concurrent") != std::string::npos);
  CHECK(report.error().message.find("base_url") != std::string::npos); // all faults at once
  auto answer = ai.chat("What is 12 + 30?");
  REQUIRE(answer);
  CHECK(answer->model == "sim-mini");
}

TEST_CASE("what runs goes on as it began while its provider changes, is replaced or goes", "[reload]") {
  simulator::options slow;
  slow.latency = 300ms;
  slow.tokens_per_second = 200;
  simulator::server server{slow};
  auto x = before(server);
  runtime ai{x};
  std::vector<std::future<expected<completion>>> answers;
  for (auto* name : {"first", "second"})
    for (int i = 0; i < 20; ++i)
      answers.push_back(ai.chat_async(asking("What is 12 + 30?"), name));
  auto stream = ai.stream("Tell me a story.", {}, "second");
  REQUIRE(test::eventually([&] { return server.snapshot().requests >= 30; }));
  x.providers[0].max_concurrent = 2;
  x.providers[1].default_embedding_model = "e";
  REQUIRE(ai.reload(x));
  x.providers.pop_back();
  REQUIRE(ai.reload(x));
  for (auto& each : answers)
    CHECK(each.get());
  CHECK(std::holds_alternative<stream_done>(stream.wait()));
}

TEST_CASE("more attempts than were allowed when the last one went out are not made", "[reload]") {
  simulator::options failing;
  failing.latency = 200ms;
  failing.faults["500"] = 1;
  simulator::server server{failing};
  auto x = before(server);
  x.providers[0].retry.max_attempts = 1;
  runtime ai{x};
  auto answer = ai.chat_async(asking("What is 12 + 30?"));
  REQUIRE(test::eventually([&] { return server.snapshot().requests == 1; }));
  x.providers[0].retry.max_attempts = 5;
  REQUIRE(ai.reload(x));
  auto ended = answer.get();
  REQUIRE_FALSE(ended);
  CHECK(ended.error().code == errc::server_error);
  CHECK(server.snapshot().requests == 1);
}

TEST_CASE("a reload by TOML text tells every fault, and is in force when it is answered", "[reload]") {
  simulator::server server{simulator::options{}};
  auto x = before(server);
  runtime ai{x};
  for (uint32_t slots = 1; slots < 50; ++slots) {
    x.providers[0].max_concurrent = slots + 1;
    REQUIRE(ai.reload(x));
    CHECK(ai.status()->max_concurrent == slots + 1);
  }
  x.providers[0].keys.emplace_back().api_key_env = "MODELFORGE_NO_SUCH_VARIABLE";
  x.providers[1].keys.emplace_back().api_key_env = "MODELFORGE_NOR_THIS_ONE";
  auto report = ai.reload(x);
  REQUIRE_FALSE(report);
  CHECK(report.error().message.find("MODELFORGE_NO_SUCH_VARIABLE") != std::string::npos);
  CHECK(report.error().message.find("MODELFORGE_NOR_THIS_ONE") != std::string::npos);
}

TEST_CASE("a hundred reloads, good and bad, lose no request and overrun no limit", "[reload]") {
  constexpr uint64_t fast = 120'000, slow = 60'000; // 1,000 and 500 in each half second
  constexpr int requests = 10'000;
  simulator::options strict;
  strict.window = 500ms;
  strict.requests_per_minute = fast;
  strict.limit_headers = false;
  simulator::server server{strict};
  auto x = before(server);
  x.providers.pop_back();
  auto& limited = x.providers[0];
  limited.max_concurrent = 64;
  limited.rate_limit.requests_per_minute = fast;
  limited.rate_limit.window = 500ms;
  // The limit holds as far as what is sent takes no longer than that to arrive: with sanitizers, on a machine four
  // times as busy, 50 ms were not enough.
  limited.rate_limit.window_guard = 250ms;
  limited.retry.max_attempts = 1;
  runtime ai{x};
  std::atomic<int> ended = 0, answered = 0;
  std::atomic<bool> reloading = true;
  std::atomic<int> begun = 0;
  auto asks = std::async(std::launch::async, [&] {
    for (; begun < requests || reloading; ++begun) {
      for (auto open = begun - ended.load(); open >= 500; open = begun - ended.load())
        std::this_thread::sleep_for(1ms); // the pace of this caller
      ai.chat(asking("What is 12 + 30?"), [&](const expected<completion>& y) {
        answered += y ? 1 : 0;
        ++ended;
      });
    }
  });
  std::mt19937_64 random{5};
  auto set_server = [&](uint64_t limit) {
    strict.requests_per_minute = limit;
    server.configure(strict);
  };
  for (int i = 0; i < 25; ++i) {
    // The moment of a reload, not a condition.
    auto pause = [&] { std::this_thread::sleep_for(std::chrono::milliseconds{20 + random() % 120}); };
    auto bad = x;
    bad.providers[0].max_concurrent = 0;
    CHECK_FALSE(ai.reload(bad));
    limited.rate_limit.requests_per_minute = slow; // first here: the server follows when what was sent has arrived
    REQUIRE(ai.reload(x));
    std::this_thread::sleep_for(limited.rate_limit.window_guard);
    set_server(slow);
    pause();
    bad = x;
    bad.providers[0].keys.emplace_back().api_key_env = "MODELFORGE_NO_SUCH_VARIABLE";
    CHECK_FALSE(ai.reload(bad));
    set_server(fast); // first there
    limited.rate_limit.requests_per_minute = fast;
    REQUIRE(ai.reload(x));
    pause();
  }
  reloading = false;
  asks.get();
  CHECK(test::eventually([&] { return ended == begun; }));
  CHECK(begun >= requests);
  CHECK(answered == begun);
  CHECK(server.snapshot().rejected == 0);
}

TEST_CASE("reloads of keys, groups of models, API and kind lose no request and overrun no limit", "[reload]") {
  constexpr uint64_t per_minute = 24'000; // 200 in each half second
  simulator::options strict;
  strict.window = 500ms;
  strict.requests_per_minute = per_minute;
  strict.limit_headers = false;
  strict.latency = 20ms;
  simulator::server server{strict};
  auto x = before(server);
  x.providers.pop_back();
  auto& limited = x.providers[0];
  limited.max_concurrent = 64;
  limited.rate_limit.requests_per_minute = per_minute;
  limited.rate_limit.window = 500ms;
  limited.rate_limit.window_guard = 250ms; // what a busy machine needs, see above
  limited.retry.max_attempts = 1;
  auto other_name = server.url() + "/v1";
  other_name.replace(other_name.find("127.0.0.1"), 9, "localhost");
  runtime ai{x};
  std::atomic<int> begun = 0, ended = 0, answered = 0;
  std::atomic<bool> reloading = true;
  auto asks = std::async(std::launch::async, [&] {
    for (; reloading; ++begun) {
      for (auto open = begun - ended.load(); open >= 200; open = begun - ended.load())
        std::this_thread::sleep_for(1ms); // the pace of this caller
      ai.chat(asking("What is 12 + 30?"), [&](const expected<completion>& y) {
        answered += y ? 1 : 0;
        ++ended;
      });
    }
  });
  for (int i = 0; i < 40; ++i) {
    switch (i % 4) {
      case 0: { // the model gets limits of its own, or loses them
        auto own = model_settings{};
        own.pattern = "sim-*";
        own.rate_limit = limited.rate_limit;
        limited.models = limited.models.empty() ? std::vector{own} : std::vector<model_settings>{};
        break;
      }
      case 1:
        limited.kind = limited.kind == provider_kind::openai ? provider_kind::openai_compatible : provider_kind::openai;
        break;
      case 2:
        limited.base_url = limited.base_url == other_name ? server.url() + "/v1" : other_name;
        break;
      default:
        limited.api = limited.api == provider_api::chat ? provider_api::responses : provider_api::chat;
        limited.kind = provider_kind::openai;
    }
    auto report = ai.reload(x);
    REQUIRE(report);
    CHECK(report->changed == names{"first"});
    std::this_thread::sleep_for(20ms); // the moment of a reload, not a condition
  }
  reloading = false;
  asks.get();
  CHECK(test::eventually([&] { return ended == begun; }));
  CHECK(answered == begun);
  CHECK(begun > 200);
  CHECK(server.snapshot().rejected == 0);
}

TEST_CASE("a provider that is taken out and put back counts what it had used", "[reload]") {
  simulator::server server{simulator::options{}};
  auto x = before(server);
  auto limited = x.providers[0];
  limited.rate_limit.requests_per_minute = 2;
  x.providers[0] = limited;
  runtime ai{x};
  REQUIRE(ai.chat("What is 12 + 30?", "first"));
  auto without = x;
  without.providers.erase(without.providers.begin());
  REQUIRE(ai.reload(without));
  REQUIRE(ai.reload(x));
  REQUIRE(ai.chat("What is 12 + 30?", "first"));
  auto third = asking("What is 12 + 30?");
  third.deadline = 5s;
  auto answer = ai.chat(third, "first");
  REQUIRE_FALSE(answer);
  CHECK(answer.error().retry_after > 30s);
}

} // namespace modelforge::reload_test
