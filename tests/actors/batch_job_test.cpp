#include "actors/batch_job.hpp"
#include "actors/support/mail.hpp"
#include "tools/simulator/simulator.hpp"

#include <modelforge/actors/provider.hpp>
#include <modelforge/actors/system.hpp>

#include <caf/actor_system.hpp>
#include <caf/actor_system_config.hpp>
#include <caf/send.hpp>
#include <caf/typed_event_based_actor.hpp>

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

#include <condition_variable>
#include <map>
#include <mutex>

namespace modelforge::batch_job_test {

// A job's actor against the simulated providers.

using namespace std::chrono_literals;

namespace {

/// What a listener was told.
struct heard {
  std::mutex mutex;
  std::condition_variable wake;
  std::map<uint64_t, batch_job_result> results;
  std::size_t largest = 0; ///< Message of results.
  std::vector<batch_job_status> news;
  std::optional<batch_job_end> end;

  template <class What>
  void wait_for(What what) {
    std::unique_lock lock{mutex};
    REQUIRE(wake.wait_for(lock, 30s, what));
  }
};

batch_job_listener_actor::behavior_type listener(batch_job_listener_actor::pointer, heard* to) {
  return {
    [to](batch_job_status& x) {
      std::lock_guard lock{to->mutex};
      to->news.push_back(std::move(x));
      to->wake.notify_all();
    },
    [to](batch_job_results& x) {
      std::lock_guard lock{to->mutex};
      to->largest = std::max(to->largest, x.results.size());
      for (auto& one : x.results)
        to->results.emplace(one.number, std::move(one));
    },
    [to](batch_job_end& x) {
      std::lock_guard lock{to->mutex};
      to->end = std::move(x);
      to->wake.notify_all();
    },
  };
}

struct job_test {
  struct types {
    types() { init_types(); }
  };

  types once;
  caf::actor_system_config config;
  caf::actor_system system{config};
  simulator::options settings;
  std::unique_ptr<simulator::server> server;
  provider_kind kind = provider_kind::openai;
  heard to;
  provider_actor provider;
  batch_job_listener_actor ears;
  std::chrono::nanoseconds call_timeout = 10min;

  job_test() { settings.batch_time = 0ms; }

  ~job_test() {
    for (auto& x : {caf::actor_cast<caf::actor>(provider), caf::actor_cast<caf::actor>(ears)})
      caf::anon_send_exit(x, caf::exit_reason::user_shutdown);
  }

  provider_settings provider_of() {
    provider_settings x;
    x.name = "one";
    x.kind = kind;
    x.base_url = server->url() + (kind == provider_kind::openai ? "/v1" : "");
    x.default_model = "sim-mini";
    x.price.input = x.price.output = 1;
    x.price.batch = 0.25;
    return x;
  }

  batch_job_request items(uint64_t count) {
    batch_job_request x;
    x.nonce = "n1";
    for (uint64_t i = 0; i < count; ++i) {
      chat_request request;
      request.messages = {text_message(role::user, "<<STATIC>>What is<<DYNAMIC>> " + std::to_string(i) + " * 3?")};
      request.sampling.max_tokens = 200;
      x.items.push_back({i, std::move(request)});
    }
    return x;
  }

  batch_job_actor start(batch_job_request asked) {
    if (!server)
      server = std::make_unique<simulator::server>(settings);
    runtime_settings runtime;
    runtime.state_folder = "none";
    runtime.enable_optimizations = true; // the items have markers
    auto made = provider::prepare(provider_of(), runtime);
    auto& setup = std::get<provider::setup>(made);
    auto transport = make_transport();
    if (!provider)
      provider = std::get<0>(spawn_provider(system, provider_of(), runtime, transport));
    if (!ears)
      ears = system.spawn(listener, &to);
    auto prepared = prepare_job(setup, transport, asked);
    auto& job = std::get<batch_job_parts>(prepared);
    job.timing = {10ms, 50ms, 10ms, 100ms, 8, 50ms, 600s};
    job.call_timeout = call_timeout;
    return spawn_batch_job(system, std::move(job), ears, provider);
  }

  /// The last word on a job.
  batch_job_end run(batch_job_request asked) {
    to.end.reset();
    start(std::move(asked));
    to.wait_for([this] { return to.end.has_value(); });
    return *to.end;
  }

  int succeeded() {
    return static_cast<int>(
      std::count_if(to.results.begin(), to.results.end(), [](auto& x) { return x.second.outcome.index() == 0; }));
  }
};

} // namespace

TEST_CASE_METHOD(job_test, "a job of 600 items brings each its own result, in messages of a fair size",
                 "[actors][batch]") {
  kind = GENERATE(provider_kind::openai, provider_kind::anthropic);
  auto end = run(items(600));
  CHECK(end.outcome == batch_job_outcome::finished);
  CHECK_FALSE(end.problem);
  CHECK_FALSE(end.job.empty());
  REQUIRE(to.results.size() == 600);
  CHECK(to.largest <= 256);
  for (auto& [number, x] : to.results) {
    REQUIRE(x.run);
    auto& answer = std::get<completion>(x.outcome);
    CHECK(answer.text.find(std::to_string(number * 3)) != answer.text.npos);
    CHECK(answer.provider == "one");
    REQUIRE(answer.cost);
    auto tokens = static_cast<double>(answer.usage->input + answer.usage->output);
    CHECK(*answer.cost * 1e6 / tokens > 0.2499);
    CHECK(*answer.cost * 1e6 / tokens < 0.2501);
  }
  CHECK(to.news.front().state == batch_job_state::checking);
  CHECK(server->snapshot().batch_jobs == 1);
}

TEST_CASE_METHOD(job_test, "a creation whose answer is lost makes one job, which is found", "[actors][batch]") {
  kind = GENERATE(provider_kind::openai, provider_kind::anthropic);
  auto withheld = GENERATE(false, true);
  (withheld ? settings.batch_silence : settings.batch_cut) = 1;
  if (withheld)
    call_timeout = 1s;
  auto end = run(items(5));
  CHECK(end.outcome == batch_job_outcome::finished);
  CHECK(succeeded() == 5);
  CHECK(server->snapshot().batch_jobs == 1);
}

TEST_CASE_METHOD(job_test, "a job that expires tells what was not run", "[actors][batch]") {
  kind = GENERATE(provider_kind::openai, provider_kind::anthropic);
  settings.batch_time = 400ms;
  settings.batch_window = 200ms;
  auto end = run(items(20));
  CHECK(end.outcome == batch_job_outcome::finished);
  CHECK(to.results.size() == 20);
  auto not_run = std::count_if(to.results.begin(), to.results.end(), [](auto& x) { return !x.second.run; });
  CHECK(not_run > 0);
  CHECK(not_run + succeeded() == 20);
}

TEST_CASE_METHOD(job_test, "a job goes on without its actor, and is taken up again", "[actors][batch]") {
  kind = GENERATE(provider_kind::openai, provider_kind::anthropic);
  settings.batch_time = 300ms;
  start(items(20));
  to.wait_for([this] { return !to.news.empty() && !to.news.back().job.empty(); });
  auto job = to.news.back().job;
  caf::anon_send_exit(ears, caf::exit_reason::kill);
  ears = nullptr;
  auto find = GENERATE(true, false);
  batch_job_request again;
  again.nonce = "n1";
  again.start = find ? batch_job_start::find : batch_job_start::attach;
  again.job = find ? std::string{} : job;
  auto end = run(again);
  CHECK(end.outcome == batch_job_outcome::finished);
  CHECK(end.job == job);
  CHECK(succeeded() == 20);
  CHECK(server->snapshot().batch_jobs == 1);
}

TEST_CASE_METHOD(job_test, "a cancelled job ends, with what it has done", "[actors][batch]") {
  settings.batch_time = 2s;
  auto runner = start(items(20));
  to.wait_for([this] { return !to.news.empty() && !to.news.back().job.empty(); });
  tell_from_outside(runner, cancel_atom_v);
  to.wait_for([this] { return to.end.has_value(); });
  CHECK(to.end->outcome == batch_job_outcome::finished);
  CHECK(succeeded() < 20);
  CHECK(to.news.back().state == batch_job_state::cancelled);
}

TEST_CASE_METHOD(job_test, "a provider that goes leaves its jobs undecided", "[actors][batch]") {
  settings.batch_time = 60s;
  start(items(20));
  to.wait_for([this] { return !to.news.empty() && !to.news.back().job.empty(); });
  caf::anon_send_exit(provider, caf::exit_reason::kill);
  to.wait_for([this] { return to.end.has_value(); });
  CHECK(to.end->outcome == batch_job_outcome::undecided);
  CHECK(to.end->job == to.news.back().job);
  CHECK(to.end->problem);
}

TEST_CASE_METHOD(job_test, "items that cannot be sent are told at once, and keep none of the others",
                 "[actors][batch]") {
  auto asked = items(3);
  asked.items[1].request.messages.clear();
  auto end = run(asked);
  CHECK(end.outcome == batch_job_outcome::finished);
  REQUIRE(to.results.size() == 3);
  CHECK_FALSE(to.results.at(1).run);
  CHECK(std::get<failure>(to.results.at(1).outcome).code == errc::invalid_request);
  CHECK(succeeded() == 2);
}

TEST_CASE_METHOD(job_test, "a provider without a batch API says so", "[actors][batch]") {
  provider_settings x;
  x.name = "local";
  x.kind = provider_kind::ollama;
  auto made = provider::prepare(x, {});
  auto asked = items(1);
  auto prepared = prepare_job(std::get<provider::setup>(made), nullptr, asked);
  REQUIRE(std::holds_alternative<failure>(prepared));
  CHECK(std::get<failure>(prepared).code == errc::unsupported);
}

} // namespace modelforge::batch_job_test
