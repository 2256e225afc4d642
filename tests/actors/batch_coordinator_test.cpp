#include <modelforge/actors/batch_coordinator.hpp>
#include <modelforge/actors/system.hpp>

#include "actors/support/mail.hpp"
#include "tests/support/temporary_folder.hpp"

#include <caf/actor_system.hpp>
#include <caf/actor_system_config.hpp>
#include <caf/event_based_actor.hpp>
#include <caf/send.hpp>
#include <caf/typed_event_based_actor.hpp>
#include <catch2/catch_test_macros.hpp>

#include <atomic>
#include <future>
#include <map>
#include <memory>
#include <random>
#include <sstream>

namespace modelforge::batch_coordinator_test {

using namespace std::chrono_literals;

namespace {

/// What the dummy provider saw; read when the batch has ended.
struct provider_log {
  std::atomic<int> in_flight{0};
  std::atomic<int> peak{0};
  std::atomic<int> requests{0};
  std::atomic<int> cancels{0};
  int release_at = 0; ///< With this request the first one, held back until then, is answered, too.
  int expected = 0;   ///< Requests in all: with the last one, everything held is answered.
  std::promise<void> third_arrived;
};

enum class manners {
  answers_at_once,
  answers_in_random_order,
  holds_back_the_first,
  refuses_every_other,
  never_answers,
  drains_after_ten,
};

struct dummy_state {
  std::vector<std::pair<caf::typed_response_promise<completion>, chat_request>> held;
  std::map<request_id, caf::typed_response_promise<completion>> waiting;
  std::mt19937_64 random{7};
  int offers = 0;
};

std::string text_of(const chat_request& x) {
  return std::get<text_part>(x.messages.back().content.at(0)).text;
}

caf::error error(errc code) {
  failure x;
  x.code = code;
  x.message = "made up by the test";
  return caf::make_error(code, x);
}

completion echo(const chat_request& x) {
  completion y;
  y.id = x.id;
  y.text = "echo " + text_of(x);
  y.usage = token_usage{.input = 2, .output = 3};
  y.attempts.resize(1);
  return y;
}

/// A provider that echoes prompts; "fail" in a prompt makes it fail.
provider_actor::behavior_type dummy(provider_actor::pointer self, manners how, provider_log* log) {
  auto state = std::make_shared<dummy_state>();
  auto settle = [=](caf::typed_response_promise<completion>& reply, const chat_request& x) {
    --log->in_flight;
    if (text_of(x).find("fail") != std::string::npos)
      reply.deliver(error(errc::server_error));
    else
      reply.deliver(echo(x));
  };
  return {
    [=](const chat_request& x) -> caf::result<completion> {
      if (how == manners::refuses_every_other && ++state->offers % 2 == 0)
        return error(errc::queue_full);
      log->peak = std::max<int>(log->peak, ++log->in_flight);
      auto reply = self->make_response_promise<completion>();
      auto count = ++log->requests;
      if (count == 3)
        log->third_arrived.set_value();
      if (how == manners::drains_after_ten && count > 10) {
        --log->in_flight;
        reply.deliver(error(errc::draining));
        return reply;
      }
      if (how == manners::holds_back_the_first && count == 1) {
        state->held.emplace_back(reply, x);
      } else if (how == manners::holds_back_the_first && !state->held.empty() && count == log->release_at) {
        settle(reply, x);
        settle(state->held[0].first, state->held[0].second);
        state->held.clear();
      } else if (how == manners::never_answers) {
        state->waiting.emplace(x.id, reply);
      } else if (how == manners::answers_in_random_order) {
        state->held.emplace_back(reply, x);
        if (state->held.size() == 4 || state->random() % 4 == 0 || count == log->expected) {
          std::shuffle(state->held.begin(), state->held.end(), state->random);
          for (auto& [promise, request] : state->held)
            settle(promise, request);
          state->held.clear();
        }
      } else {
        settle(reply, x);
      }
      return reply;
    },
    [](const stream_request&, const stream_subscriber_actor&) -> caf::result<stream_session_actor> {
      return error(errc::unsupported);
    },
    [=](cancel_atom, request_id id) {
      ++log->cancels;
      if (auto i = state->waiting.find(id); i != state->waiting.end()) {
        i->second.deliver(error(errc::cancelled));
        state->waiting.erase(i);
      }
    },
    [](status_atom) { return provider_status{}; },
    [](const embedding_request&) -> caf::result<embedding> { return caf::make_error(errc::unsupported); },
    [](const batch_job_request&, const batch_job_listener_actor&) -> caf::result<batch_job_actor> {
      return caf::make_error(errc::unsupported);
    },
    [](models_atom) { return model_list{}; },
    [](drain_atom, caf::timespan) {},
    [](const request_id&, const attempts_made&) {},
    [](received_atom, uint64_t) {},
  };
}

struct batch_test {
  struct types {
    types() { init_types(); }
  };

  types once;
  caf::actor_system_config config;
  caf::actor_system system{config};
  test::temporary_folder folder;
  provider_log log;

  std::variant<batch_report, failure> run(manners how, batch_options options,
                                          const std::function<void(batch_coordinator_actor)>& before = {},
                                          const std::function<void(batch_coordinator_actor)>& meanwhile = {}) {
    auto provider = system.spawn(dummy, how, &log);
    auto coordinator = std::get<batch_coordinator_actor>(spawn_batch(system, provider, options));
    if (before)
      before(coordinator);
    std::promise<std::variant<batch_report, failure>> promise;
    auto future = promise.get_future();
    system.spawn([&](caf::event_based_actor* self) {
      ask(self, coordinator, run_atom_v)
        .then([&](const batch_report& x) { promise.set_value(x); },
              [&](const caf::error& x) { promise.set_value(failure_of(x)); });
    });
    if (meanwhile)
      meanwhile(coordinator);
    auto in_time = future.wait_for(30s) == std::future_status::ready;
    caf::anon_send_exit(coordinator, caf::exit_reason::user_shutdown); // without effect on one that has ended
    caf::anon_send_exit(provider, caf::exit_reason::user_shutdown);
    REQUIRE(in_time);
    return future.get();
  }

  batch_options prompts(int count) {
    log.expected = count;
    std::string text;
    for (int i = 0; i < count; ++i)
      text += "prompt " + std::to_string(i) + (i % 10 == 3 ? " fail\n" : "\n");
    return {folder.write("in.txt", text), folder.path("out.jsonl"), "m", 5, {}};
  }

  std::vector<std::string> lines(const std::string& of = "out.jsonl") {
    std::vector<std::string> result;
    std::istringstream in{folder.read(of)};
    for (std::string line; std::getline(in, line);)
      result.push_back(line);
    return result;
  }
};

} // namespace

TEST_CASE_METHOD(batch_test, "batch writes one line per item, in order, whatever order the answers come in",
                 "[actors]") {
  auto outcome = run(manners::answers_in_random_order, prompts(203));
  auto& report = std::get<batch_report>(outcome);
  CHECK(report.answered == 183);
  CHECK(report.failed == 20);
  CHECK(report.attempts == 183);
  CHECK(report.shares.at(0).usage.output == 3 * 183);
  CHECK_FALSE(report.cancelled);
  CHECK(log.peak <= 5);
  auto out = lines();
  REQUIRE(out.size() == 203);
  for (std::size_t i = 0; i < out.size(); ++i) {
    INFO(out[i]);
    CHECK(out[i].find("\"custom_id\":\"line-" + std::to_string(i + 1) + "\"") != std::string::npos);
    if (i % 10 == 3)
      CHECK(out[i].find("server_error") != std::string::npos);
    else
      CHECK(out[i].find("echo prompt " + std::to_string(i)) != std::string::npos);
  }
}

TEST_CASE_METHOD(batch_test, "batch keeps an item that a full queue gives back", "[actors]") {
  auto outcome = run(manners::refuses_every_other, prompts(12));
  auto& report = std::get<batch_report>(outcome);
  CHECK(report.answered == 11);
  CHECK(report.failed == 1);
  CHECK(lines().size() == 12);
}

TEST_CASE_METHOD(batch_test, "a cancelled batch keeps what is done and cancels what is in flight", "[actors]") {
  auto options = prompts(50);
  options.max_concurrent = 3;
  auto outcome = run(manners::never_answers, options, {}, [&](batch_coordinator_actor coordinator) {
    REQUIRE(log.third_arrived.get_future().wait_for(10s) == std::future_status::ready);
    tell_from_outside(coordinator, cancel_atom_v);
  });
  auto& report = std::get<batch_report>(outcome);
  CHECK(report.cancelled);
  CHECK(report.failed == 0); // they have not failed: a later run sends them
  CHECK(log.requests == 3);
  CHECK(log.cancels == 3);
  CHECK(lines("out.jsonl.part").empty());
  CHECK_FALSE(std::filesystem::exists(options.output));
}

TEST_CASE_METHOD(batch_test, "a result that cannot be written stops the batch with the reason", "[actors]") {
  auto options = prompts(20'000);
  options.output = "/dev/full";
  auto outcome = run(manners::answers_at_once, options);
  auto& report = std::get<batch_report>(outcome);
  REQUIRE(report.stopped_by);
  CHECK(report.stopped_by->code == errc::io_failed);
  CHECK(report.stopped_by->message.find("/dev/full") != std::string::npos);
  CHECK(log.requests < 20'000);
}

TEST_CASE_METHOD(batch_test, "a line that cannot be read fails alone", "[actors]") {
  batch_options options{
    folder.write("in.jsonl", "{\"id\":\"a\",\"prompt\":\"x\"}\n{\"id\":\n{\"id\":\"c\",\"prompt\":\"z\"}\n"),
    folder.path("out.jsonl"),
    "m",
    5,
    {}};
  auto outcome = run(manners::answers_at_once, options);
  CHECK(std::get<batch_report>(outcome).answered == 2);
  auto out = lines();
  REQUIRE(out.size() == 3);
  CHECK(out[1].find("in.jsonl:2") != std::string::npos);
}

TEST_CASE_METHOD(batch_test, "a batch that cannot start names the file", "[actors]") {
  auto provider = system.spawn(dummy, manners::answers_at_once, &log);
  auto options = prompts(1);
  SECTION("input missing") {
    options.input = folder.path("nothing-here.txt");
  }
  SECTION("output in a folder that is not there") {
    options.output = folder.path("no/such/out.jsonl");
  }
  auto spawned = spawn_batch(system, provider, options);
  REQUIRE(std::holds_alternative<failure>(spawned));
  CHECK(std::get<failure>(spawned).code == errc::io_failed);
  CHECK(std::get<failure>(spawned).message.find(folder.path("")) != std::string::npos);
  caf::anon_send_exit(provider, caf::exit_reason::user_shutdown);
}

TEST_CASE_METHOD(batch_test, "observers see the last figures, and that they are the last", "[actors]") {
  std::promise<batch_progress> last;
  auto observer = system.spawn([&](batch_observer_actor::pointer) -> batch_observer_actor::behavior_type {
    return {[&](const batch_progress& x) {
      if (x.finished)
        last.set_value(x);
    }};
  });
  auto options = prompts(40);
  run(manners::answers_in_random_order, options,
      [&](batch_coordinator_actor coordinator) { tell_from_outside(coordinator, observe_atom_v, observer); });
  auto future = last.get_future();
  REQUIRE(future.wait_for(10s) == std::future_status::ready);
  auto x = future.get();
  CHECK(x.answered == 36);
  CHECK(x.failed == 4);
  CHECK(x.total == 40);
  caf::anon_send_exit(observer, caf::exit_reason::user_shutdown);
}

TEST_CASE_METHOD(batch_test, "observers see the figures before a long wait, though nothing changes any more",
                 "[actors]") {
  std::promise<void> seen;
  std::atomic<bool> is_told{false};
  auto observer = system.spawn([&](batch_observer_actor::pointer) -> batch_observer_actor::behavior_type {
    return {[&](const batch_progress& x) {
      if (x.answered == 2 && !is_told.exchange(true))
        seen.set_value();
    }};
  });
  auto is_seen = std::future_status::timeout;
  run(
    manners::holds_back_the_first, prompts(3), // and never answers it
    [&](batch_coordinator_actor coordinator) { tell_from_outside(coordinator, observe_atom_v, observer); },
    [&](batch_coordinator_actor coordinator) {
      is_seen = seen.get_future().wait_for(20s);
      caf::anon_send_exit(coordinator, caf::exit_reason::user_shutdown);
    });
  CHECK(is_seen == std::future_status::ready);
  caf::anon_send_exit(observer, caf::exit_reason::user_shutdown);
}

TEST_CASE_METHOD(batch_test, "a slow first item stops the reading, and the batch goes on when it ends", "[actors]") {
  log.release_at = 1000; // no more may be unsafe

  auto outcome = run(manners::holds_back_the_first, prompts(3000));
  auto& report = std::get<batch_report>(outcome);
  CHECK(report.answered == 2700);
  CHECK(report.failed == 300);
  CHECK(lines().size() == 3000);
}

TEST_CASE_METHOD(batch_test, "a provider that shuts down stops the batch instead of failing its items", "[actors]") {
  auto outcome = run(manners::drains_after_ten, prompts(2000));
  auto& report = std::get<batch_report>(outcome);
  REQUIRE(report.stopped_by);
  CHECK(report.stopped_by->code == errc::draining);
  CHECK(report.answered + report.failed < 20);
  CHECK(lines("out.jsonl.part").size() == report.answered + report.failed);
}

TEST_CASE_METHOD(batch_test, "a batch that was cancelled before it ran sends nothing", "[actors]") {
  auto outcome = run(manners::answers_at_once, prompts(20),
                     [](batch_coordinator_actor coordinator) { tell_from_outside(coordinator, cancel_atom_v); });
  CHECK(std::get<batch_report>(outcome).cancelled);
  CHECK(log.requests == 0);
}

TEST_CASE_METHOD(batch_test, "an earlier result survives a batch that does not end", "[actors]") {
  auto options = prompts(20);
  folder.write("out.jsonl", "earlier\n");
  auto outcome = run(manners::answers_at_once, options,
                     [](batch_coordinator_actor coordinator) { tell_from_outside(coordinator, cancel_atom_v); });
  CHECK(folder.read("out.jsonl") == "earlier\n");
  CHECK(std::get<batch_report>(outcome).results.empty()); // nothing was answered: no part is left
  CHECK_FALSE(std::filesystem::exists(folder.path("out.jsonl.part")));
}

} // namespace modelforge::batch_coordinator_test
