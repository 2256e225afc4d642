#include <modelforge/actors/runtime.hpp>

#include "tests/http/waiting.hpp"
#include "tests/support/temporary_folder.hpp"
#include "tools/simulator/simulator.hpp"

#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <future>
#include <optional>
#include <random>
#include <stdexcept>
#include <thread>

namespace modelforge::runtime_test {

using namespace std::chrono_literals;

namespace {

settings before(const simulator::server& server, uint32_t threads = 2) {
  settings x;
  x.runtime.state_folder = "none";
  x.runtime.threads = threads;
  x.runtime.grace_period = 5s;
  for (auto* name : {"first", "second"}) {
    auto& provider = x.providers.emplace_back();
    provider.name = name;
    provider.kind = provider_kind::openai_compatible;
    provider.base_url = server.url() + "/v1";
    provider.default_model = name;
    provider.default_embedding_model = "sim-embedding";
  }
  return x;
}

chat_request sum_of(int i) {
  chat_request x;
  x.messages.push_back(text_message(role::user, "What is " + std::to_string(i) + " + 1000?"));
  return x;
}

std::size_t threads_now() {
  auto all = std::filesystem::directory_iterator{"/proc/self/task"};
  return static_cast<std::size_t>(std::distance(begin(all), end(all)));
}

} // namespace

TEST_CASE("a host without CAF asks, streams, embeds and hears how its providers are", "[runtime]") {
  simulator::server server{simulator::options{}};
  runtime ai{before(server)};
  CHECK(ai.providers() == std::vector<std::string>{"first", "second"});
  auto answer = ai.chat("What is 12 + 30?", "second");
  REQUIRE(answer);
  CHECK(answer->text.find("42") != std::string::npos);
  CHECK(answer->model == "second");
  std::string text;
  for (auto& part : ai.stream("What is 12 + 30?"))
    text += part;
  CHECK(text.find("42") != std::string::npos);
  embedding_request texts;
  texts.inputs = {"a river", "a bank"};
  auto vectors = ai.embed(texts);
  REQUIRE(vectors);
  CHECK(vectors->vectors.size() == 2);
  auto models = ai.models();
  REQUIRE(models);
  CHECK_FALSE(models->models.empty());
  auto status = ai.status("second");
  REQUIRE(status);
  CHECK(status->name == "second");
}

TEST_CASE("what cannot be asked is a failure that says why", "[runtime]") {
  simulator::server server{simulator::options{}};
  auto settings = before(server);
  runtime ai{settings};
  auto unknown = ai.chat("Hello?", "third");
  REQUIRE_FALSE(unknown);
  CHECK(unknown.error().message.find("third") != std::string::npos);
  CHECK(unknown.error().suggestion.find("first, second") != std::string::npos);
  auto stream = ai.stream("Hello?", {}, "third");
  CHECK(std::get<stream_failed>(stream.wait()).why.message == unknown.error().message);
  CHECK_FALSE(ai.status("third"));
  settings.providers[1].base_url = "nonsense";
  CHECK_THROWS_AS(runtime{settings}, std::invalid_argument);
  settings.providers.pop_back();
  settings.providers[0].keys.push_back({"k", "MODELFORGE_NO_SUCH_KEY", {}});
  CHECK_THROWS_AS(runtime{settings}, std::invalid_argument);
}

TEST_CASE("every callback is called once, from all threads and from inside callbacks", "[runtime]") {
  simulator::server server{simulator::options{}};
  std::atomic<int> answered{0}, nested{0}, ended{0};
  {
    runtime ai{before(server, 1)}; // one thread: a callback that waits on it would wait for ever
    std::vector<std::thread> hosts;
    for (auto i = 0; i < 4; ++i)
      hosts.emplace_back([&, i] {
        for (auto k = 0; k < 10; ++k)
          ai.chat(sum_of(10 * i + k), [&](expected<completion> x) {
            answered += x && x->text.find("10") != std::string::npos;
            nested += ai.chat(sum_of(5)) && ai.chat_async(sum_of(6)).get() ? 1 : 0;
            throw std::runtime_error("the host's own business");
          });
      });
    for (auto& host : hosts)
      host.join();
    stream_options options;
    options.buffer_size = 1;
    options.on_text = [&, once = std::make_shared<bool>(false)](const std::string&) {
      if (!std::exchange(*once, true))
        nested += ai.chat(sum_of(6)) ? 1 : 0;
    };
    options.on_end = [&](const stream_outcome& x) { ended += std::holds_alternative<stream_done>(x); };
    ai.stream("Tell me about rivers.", options).wait();
    auto last = ai.chat_async(sum_of(7)).get();
    CHECK(last);
    while (nested < 41)
      std::this_thread::yield();
  }
  CHECK(answered == 40);
  CHECK(nested == 41);
  CHECK(ended == 1);
}

TEST_CASE("what a thread says in order is done in order", "[runtime][order]") {
  simulator::options slow;
  slow.latency = 300ms;
  simulator::server server{slow};
  auto settings = before(server);
  settings.runtime.grace_period = 10s;
  std::vector<std::future<expected<completion>>> all;
  {
    runtime ai{settings};
    for (uint64_t i = 1; i <= 100; ++i) {
      auto x = sum_of(1);
      x.id = {7, i};
      all.push_back(ai.chat_async(std::move(x)));
      ai.cancel({7, i});
    }
    for (auto& x : all) {
      auto answer = x.get();
      REQUIRE_FALSE(answer);
      CHECK(answer.error().code == errc::cancelled);
    }
    for (uint64_t i = 1; i <= 20; ++i) {
      auto x = sum_of(1);
      x.id = {8, i};
      auto stream = ai.stream(std::move(x));
      ai.cancel({8, i});
      auto& end = stream.wait();
      REQUIRE(std::holds_alternative<stream_failed>(end));
      CHECK(std::get<stream_failed>(end).why.code == errc::cancelled);
    }
  }
  CHECK(server.snapshot().answered == 0);
}

TEST_CASE("the end and a reload do not overtake what was asked before", "[runtime][order]") {
  simulator::server server{simulator::options{}};
  for (auto round = 0; round < 20; ++round) {
    CAPTURE(round);
    auto settings = before(server);
    runtime ai{settings};
    std::vector<std::future<expected<completion>>> all;
    for (auto i = 0; i < 100; ++i)
      all.push_back(ai.chat_async(sum_of(i)));
    auto& first = settings.providers[0]; // another kind at another address: the old one drains
    first.kind = provider_kind::openai;
    first.base_url.replace(first.base_url.find("127.0.0.1"), 9, "localhost");
    auto report = ai.reload(settings);
    REQUIRE(report);
    CHECK(report->replaced == std::vector<std::string>{"first"});
    auto stream = ai.stream("What is 12 + 30?");
    for (auto i = 0; i < 100; ++i)
      all.push_back(ai.chat_async(sum_of(i)));
    ai.shutdown();
    auto& end = stream.wait();
    if (auto* bad = std::get_if<stream_failed>(&end))
      FAIL(to_string(bad->why));
    for (auto& x : all)
      if (auto answer = x.get(); !answer)
        FAIL(to_string(answer.error()));
  }
}

TEST_CASE("lists of models may be asked for by many threads at once", "[runtime][models]") {
  simulator::server server{simulator::options{}};
  auto answers = before(server);
  auto refused = answers;
  refused.providers[0].base_url = "http://127.0.0.1:9/v1"; // the transport answers at once: nothing listens there
  for (auto& settings : {refused, answers}) {
    runtime ai{settings};
    std::atomic<int> ended{0};
    std::vector<std::thread> hosts;
    for (auto i = 0; i < 8; ++i)
      hosts.emplace_back([&] {
        for (auto k = 0; k < 500; ++k)
          ended += ai.models() || true;
      });
    for (auto& host : hosts)
      host.join();
    CHECK(ended == 4'000);
  }
}

TEST_CASE("a runtime that is destroyed at any moment returns soon and leaves nothing", "[runtime]") {
  simulator::options pace;
  pace.latency = 5ms;
  pace.tokens_per_second = 2'000;
  simulator::server server{pace};
  auto threads = threads_now();
  std::vector<text_stream> kept;
  for (unsigned seed = 0; seed < 100; ++seed) {
    CAPTURE(seed);
    std::mt19937 random{seed};
    std::atomic<int> called{0}, nested{0}, ended{0};
    auto begun = std::chrono::steady_clock::now();
    {
      auto settings = before(server);
      settings.runtime.grace_period = std::chrono::milliseconds{random() % 20};
      runtime ai{settings};
      for (auto i = 0; i < 5; ++i)
        ai.chat(sum_of(i), [&](expected<completion>) {
          ++called; // one that asks again gets an answer too, even while the end has begun
          ai.chat(sum_of(7), [&](expected<completion>) { ++nested; });
        });
      std::vector<text_stream> streams;
      for (auto i = 0; i < 3; ++i) {
        stream_options options;
        options.on_end = [&](const stream_outcome&) { ++ended; };
        streams.push_back(ai.stream("Tell me about rivers.", options)); // nobody reads it
      }
      std::thread waiting;
      std::atomic<bool> asking{false};
      if (seed % 2 == 0) {
        waiting = std::thread{[&] {
          asking = true;
          asking.notify_one();
          while (ai.chat(sum_of(1)))
            continue;
        }};
        asking.wait(false);
      }
      std::this_thread::sleep_for(std::chrono::microseconds{random() % 20'000}); // the moment, not a condition
      begun = std::chrono::steady_clock::now();
      if (waiting.joinable()) { // a call on another thread comes back before the object goes
        ai.shutdown();
        waiting.join();
      }
      if (seed % 3 != 0) // streams may end before the runtime, or outlive it
        streams.clear();
      else
        kept = std::move(streams);
    }
    CHECK(std::chrono::steady_clock::now() - begun < 5s);
    CHECK(called == 5);
    CHECK(nested == 5);
    CHECK(ended == 3);
    kept.clear();
  }
  CHECK(threads_now() <= threads);
}

namespace {

/// A batch's files, in a folder of their own.
struct batch_files {
  test::temporary_folder folder;
  batch_options options;

  explicit batch_files(int items) {
    std::string text;
    for (int i = 0; i < items; ++i)
      text += "What is " + std::to_string(i) + " + 1000?\n";
    options.input = folder.write("in.txt", text);
    options.output = folder.path("out.jsonl");
  }
};

} // namespace

TEST_CASE("a host runs a batch, sees how it goes on, and may stop it and go on later", "[runtime][batch]") {
  simulator::options slow;
  slow.latency = 10ms;
  simulator::server server{slow};
  runtime ai{before(server)};
  batch_files files{100};
  auto stopped = ai.batch(files.options, [](const batch_progress& x) { return x.answered < 10; });
  REQUIRE(stopped);
  CHECK(stopped->cancelled);
  CHECK(stopped->answered >= 10);
  CHECK(stopped->answered < 100);
  std::atomic<uint64_t> last{0};
  auto whole = ai.batch(files.options,
                        [&](const batch_progress& x) {
                          last = x.answered;
                          throw std::runtime_error{"the host's own"}; // is lost, and stops nothing
                          return true;
                        },
                        {{"first", 1}, {"second", 1}});
  REQUIRE(whole);
  CHECK(whole->answered == 100);
  CHECK(whole->resumed == stopped->answered);
  CHECK(whole->shares.size() == 2);
  CHECK(test::eventually([&] { return last == 100; }));
  files.options.input = files.folder.path("none");
  auto missing = ai.batch(files.options);
  REQUIRE_FALSE(missing);
  CHECK(missing.error().code == errc::io_failed);
  CHECK_FALSE(ai.batch(files.options, {}, {{"third", 0}}));
}

TEST_CASE("a runtime that is shut down brings its batches back, and what they had is kept", "[runtime][batch]") {
  simulator::options slow;
  slow.latency = 30ms;
  simulator::server server{slow};
  runtime ai{before(server)};
  batch_files files{2'000};
  std::promise<void> begun;
  std::optional<expected<batch_report>> report;
  std::thread host{[&] {
    auto told = false;
    report.emplace(ai.batch(files.options, [&](const batch_progress& x) {
      if (x.answered > 0 && !std::exchange(told, true))
        begun.set_value();
      return true;
    }));
  }};
  CHECK(begun.get_future().wait_for(20s) == std::future_status::ready);
  ai.shutdown();
  host.join();
  REQUIRE(*report);
  CHECK((*report)->cancelled);
  CHECK((*report)->answered > 0);
  CHECK((*report)->answered < 2'000);
  CHECK_FALSE(ai.batch(files.options));
}

} // namespace modelforge::runtime_test
