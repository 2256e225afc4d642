#include "tests/support/temporary_folder.hpp"

#include "actors/support/mail.hpp"
#include "batch/ledger.hpp"

#include <modelforge/actors/batch_coordinator.hpp>
#include <modelforge/actors/system.hpp>

#include <caf/actor_system.hpp>
#include <caf/actor_system_config.hpp>
#include <caf/event_based_actor.hpp>
#include <caf/send.hpp>
#include <caf/typed_event_based_actor.hpp>

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

#include <filesystem>
#include <future>
#include <map>
#include <mutex>
#include <set>
#include <sstream>

namespace modelforge::batch_ledger_test {

// What a batch keeps across runs, and what it does with several providers and with their batch APIs. The providers are
// made up; what they were asked is seen.

using namespace std::chrono_literals;

namespace {

/// What the made-up providers do, and what was asked of them. Used by their actors, under the mutex.
struct world {
  std::mutex mutex;
  std::map<std::string, int> asked;                 ///< Live, by prompt.
  std::map<std::string, int> asked_of;              ///< Live, by provider.
  std::set<std::string> failing;                    ///< Prompts that fail.
  std::map<std::string, errc> broken;               ///< Providers that fail at everything.
  int answers_before_draining = -1;                 ///< Then the provider shuts down; below 0: never.
  std::vector<batch_job_request> jobs;              ///< In the order they came.
  std::vector<batch_job_outcome> outcomes;          ///< Of the jobs, in order; then all finish.
  std::set<std::string> not_run;                    ///< Prompts that jobs do not come to.
  std::map<std::string, batch_job_request> running; ///< Created, by the provider's id.
  bool has_jobs = true;
  bool is_unreadable = false;           ///< What jobs tell nothing of may have been run.
  std::set<std::string> silent;         ///< Prompts that jobs tell nothing of.
  std::function<void()> before_results; ///< Called by a job; may be empty.
  bool holds_jobs = false;              ///< Jobs are created, but tell nothing more.
  std::promise<void> first_held;
};

std::string prompt_of(const chat_request& x) {
  return std::get<text_part>(x.messages.back().content.front()).text;
}

failure failed(errc code) {
  return make_failure(code, "made to fail");
}

failure failed_after_an_attempt(errc code) {
  auto x = failed(code);
  x.attempts.emplace_back();
  return x;
}

caf::error error(const failure& x) {
  return caf::make_error(x.code, x);
}

completion answer_to(const std::string& provider, const std::string& prompt) {
  completion x;
  x.text = "echo " + prompt;
  x.provider = provider;
  x.usage = token_usage{10, 3, 4, 0, 0};
  x.cost = 0.25;
  x.attempts.emplace_back();
  return x;
}

/// Tells the listener all of a job at once, as the world has it.
batch_job_actor::behavior_type job_runner(batch_job_actor::pointer self, world* is, const std::string& provider,
                                          const batch_job_request& asked, const batch_job_listener_actor& to) {
  std::lock_guard lock{is->mutex};
  auto outcome = batch_job_outcome::finished;
  if (!is->outcomes.empty()) {
    outcome = is->outcomes.front();
    is->outcomes.erase(is->outcomes.begin());
  }
  auto made = outcome == batch_job_outcome::finished || outcome == batch_job_outcome::undecided;
  auto id = asked.start == batch_job_start::attach ? asked.job : "job-" + asked.nonce;
  if (asked.start == batch_job_start::create && made)
    is->running[id] = asked;
  if (asked.start == batch_job_start::find && is->running.count(id) == 0)
    outcome = batch_job_outcome::absent;
  batch_job_end end{asked.nonce, {}, outcome, {}};
  if (outcome != batch_job_outcome::finished) {
    end.problem = failed(errc::server_error);
    tell(self, to, end);
    return {[](cancel_atom) {}};
  }
  end.job = id;
  end.unreadable = is->is_unreadable;
  if (is->before_results)
    is->before_results();
  tell(self, to, batch_job_status{asked.nonce, id, batch_job_state::running, "running", 0, 0, 0, 0ns, {}});
  if (is->holds_jobs) {
    is->first_held.set_value();
    return {[](cancel_atom) {}};
  }
  batch_job_results results{asked.nonce, {}};
  for (auto& item : is->running.at(id).items) {
    auto prompt = prompt_of(item.request);
    if (is->silent.count(prompt) > 0)
      continue;
    if (is->not_run.count(prompt) > 0)
      results.results.push_back({item.number, false, failed(errc::deadline_exceeded)});
    else if (is->failing.count(prompt) > 0)
      results.results.push_back({item.number, true, failed(errc::server_error)});
    else
      results.results.push_back({item.number, true, answer_to(provider, prompt)});
  }
  ask(self, to, results).then([self, to, end] { tell(self, to, end); }, [](const caf::error&) {});
  return {[](cancel_atom) {}};
}

provider_actor::behavior_type provider(provider_actor::pointer self, world* is, const std::string& name) {
  return {
    [=](const chat_request& x) -> caf::result<completion> {
      std::lock_guard lock{is->mutex};
      auto prompt = prompt_of(x);
      ++is->asked[prompt];
      ++is->asked_of[name];
      if (auto why = is->broken.find(name); why != is->broken.end())
        return error(failed_after_an_attempt(why->second));
      if (is->answers_before_draining == 0)
        return error(failed(errc::draining));
      --is->answers_before_draining;
      if (is->failing.count(prompt) > 0)
        return error(failed(errc::server_error));
      return answer_to(name, prompt);
    },
    [](const stream_request&, const stream_subscriber_actor&) -> caf::result<stream_session_actor> {
      return caf::make_error(errc::unsupported);
    },
    [](const embedding_request&) -> caf::result<embedding> { return caf::make_error(errc::unsupported); },
    [=](const batch_job_request& x, const batch_job_listener_actor& to) -> caf::result<batch_job_actor> {
      std::lock_guard lock{is->mutex};
      if (!is->has_jobs)
        return error(failed(errc::unsupported));
      is->jobs.push_back(x);
      return self->spawn(job_runner, is, name, x, to);
    },
    [](models_atom) { return model_list{}; },
    [](cancel_atom, request_id) {},
    [=](status_atom) {
      provider_status x;
      x.name = name;
      x.lanes.emplace_back().slots = 4;
      return x;
    },
    [](drain_atom, caf::timespan) {},
    [](const request_id&, const attempts_made&) {},
    [](received_atom, uint64_t) {},
  };
}

struct ledger_test {
  struct types {
    types() { init_types(); }
  };

  types once;
  caf::actor_system_config config;
  caf::actor_system system{config};
  test::temporary_folder folder;
  world is;

  batch_options prompts(int count) {
    std::string text;
    for (int i = 0; i < count; ++i)
      text += "prompt " + std::to_string(i) + "\n";
    batch_options x;
    x.input = folder.write("in.txt", text);
    x.output = folder.path("out.jsonl");
    x.model = "m";
    return x;
  }

  double job_price = 0.5;

  std::variant<batch_coordinator_actor, failure> spawn(const batch_options& options,
                                                       const std::vector<std::string>& names = {"one"},
                                                       const std::vector<double>& weights = {}) {
    std::vector<batch_provider> providers;
    for (std::size_t i = 0; i < names.size(); ++i)
      providers.push_back({system.spawn(provider, &is, names[i]), weights.empty() ? 0 : weights[i], job_price});
    auto spawned = spawn_batch(system, providers, options);
    for (auto& x : providers)
      actors.push_back(x.actor);
    return spawned;
  }

  batch_report run(const batch_options& options, const std::vector<std::string>& names = {"one"},
                   const std::vector<double>& weights = {}, bool cut = false) {
    auto spawned = spawn(options, names, weights);
    if (auto* problem = std::get_if<failure>(&spawned))
      FAIL(problem->message);
    auto coordinator = std::get<batch_coordinator_actor>(spawned);
    std::promise<batch_report> promise;
    auto future = promise.get_future();
    system.spawn([&](caf::event_based_actor* self) {
      ask(self, coordinator, run_atom_v)
        .then([&](const batch_report& x) { promise.set_value(x); }, [&](const caf::error&) { promise.set_value({}); });
    });
    if (cut) {
      REQUIRE(is.first_held.get_future().wait_for(10s) == std::future_status::ready);
      tell_from_outside(coordinator, cancel_atom_v);
    }
    auto in_time = future.wait_for(30s) == std::future_status::ready;
    caf::anon_send_exit(coordinator, caf::exit_reason::user_shutdown); // without effect on one that has ended
    for (auto& x : actors)
      caf::anon_send_exit(x, caf::exit_reason::user_shutdown);
    actors.clear();
    REQUIRE(in_time);
    return future.get();
  }

  /// Whether the output has each prompt's own result once, in order; those of `failing` failed.
  bool is_whole(int count) {
    std::istringstream in{folder.read("out.jsonl")};
    int number = 0;
    for (std::string line; std::getline(in, line); ++number) {
      auto prompt = "prompt " + std::to_string(number);
      auto id = "\"custom_id\":\"line-" + std::to_string(number + 1) + "\"";
      auto text = is.failing.count(prompt) > 0 ? std::string{"made to fail"} : "\"echo " + prompt + "\"";
      if (line.find(id) == line.npos || line.find(text) == line.npos)
        return false;
    }
    return number == count;
  }

  int asked() {
    int sum = 0;
    for (auto& [prompt, times] : is.asked)
      sum += times;
    return sum;
  }

  std::vector<provider_actor> actors;
};

} // namespace

TEST_CASE_METHOD(ledger_test, "a batch that was stopped goes on with what is missing", "[actors][batch]") {
  auto options = prompts(200);
  is.answers_before_draining = 77;
  auto first = run(options);
  REQUIRE(first.stopped_by);
  CHECK(first.answered == 77);
  CHECK_FALSE(std::filesystem::exists(options.output));
  is.answers_before_draining = -1;
  auto second = run(options);
  CHECK_FALSE(second.stopped_by);
  CHECK(second.resumed == 77);
  CHECK(second.answered == 200);
  CHECK(second.attempts == 123);
  CHECK(is_whole(200));
  is.asked.clear();
  auto third = run(options);
  CHECK(third.resumed == 200);
  CHECK(asked() == 0);
  options.fresh = true;
  CHECK(run(options).resumed == 0);
  CHECK(asked() == 200);
  CHECK(is_whole(200));
}

TEST_CASE_METHOD(ledger_test, "what failed is sent again on request, and counts as it ends then", "[actors][batch]") {
  auto options = prompts(20);
  is.failing = {"prompt 3", "prompt 4", "prompt 17"};
  CHECK(run(options).failed == 3);
  CHECK(is_whole(20));
  is.failing = {"prompt 4"};
  is.asked.clear();
  CHECK(run(options).failed == 3);
  CHECK(asked() == 0);
  options.retry_failed = true;
  auto again = run(options);
  CHECK(again.resumed == 17);
  CHECK(again.failed == 1);
  CHECK(again.answered == 19);
  CHECK(asked() == 3);
  CHECK(is_whole(20));
}

TEST_CASE_METHOD(ledger_test, "a ledger of another input, or one in use, keeps a batch from starting",
                 "[actors][batch]") {
  auto options = prompts(5);
  run(options);
  auto kept = folder.read("out.jsonl.ledger");
  folder.write("in.txt", "something else\n");
  auto other = spawn(options);
  REQUIRE(std::holds_alternative<failure>(other));
  CHECK(std::get<failure>(other).message.find("belongs to another input") != std::string::npos);
  CHECK(folder.read("out.jsonl.ledger") == kept);
  auto held = batch::open_ledger_file(options.output + ".ledger");
  auto second = spawn(prompts(5));
  REQUIRE(std::holds_alternative<failure>(second));
  CHECK(std::get<failure>(second).message == "another run is using the ledger " + options.output + ".ledger");
  for (auto& x : actors)
    caf::anon_send_exit(x, caf::exit_reason::user_shutdown);
}

TEST_CASE_METHOD(ledger_test, "weights share a batch out, and a failing provider's share moves", "[actors][batch]") {
  auto options = prompts(100);
  run(options, {"one", "two"}, {3, 1});
  CHECK(is.asked_of == std::map<std::string, int>{{"one", 75}, {"two", 25}});
  options.fresh = true;
  is.asked_of.clear();
  is.broken["one"] = errc::circuit_open;
  auto report = run(options, {"one", "two"}, {3, 1});
  CHECK(report.failed == 0);
  CHECK(is.asked_of["two"] == 100);
  CHECK(is.asked_of["one"] <= 5); // those that were in flight when it was found out
  CHECK(report.attempts == 100u + static_cast<uint64_t>(is.asked_of["one"]));
  REQUIRE(report.shares.size() == 1);
  CHECK(report.shares[0].provider == "two");
  is.broken["two"] = errc::authentication;
  options.keep_going = true;
  report = run(options, {"one", "two"});
  CHECK(report.failed == 100);
  CHECK(report.first_failure);
}

TEST_CASE_METHOD(ledger_test, "a batch's jobs bring every result, each under the line it belongs to",
                 "[actors][batch]") {
  auto options = prompts(25);
  options.mode = batch_mode::provider;
  options.job_items = 10;
  is.failing = {"prompt 7"};
  auto report = run(options);
  CHECK(is_whole(25));
  CHECK(asked() == 0);
  CHECK(is.jobs.size() == 3);
  CHECK(report.answered == 24);
  REQUIRE(report.shares.size() == 1);
  auto& share = report.shares[0];
  CHECK(share.by_jobs == 25);
  CHECK(share.usage.cached_read == 24 * 4);
  CHECK((share.estimated_input > 24 && share.estimated_input < 24 * 20)); // "prompt 7" and its frame
  CHECK(share.cost == 24 * 0.25);
  CHECK(share.live_cost == 24 * 0.5);
  auto ledger = batch::ledger::look(report.ledger);
  CHECK(std::get<0>(ledger).jobs.empty());
  CHECK(std::get<0>(ledger).ids_of_ended_jobs.size() == 3);
}

TEST_CASE_METHOD(ledger_test, "what a job did not come to is sent live or in another job", "[actors][batch]") {
  auto options = prompts(12);
  options.mode = batch_mode::provider;
  is.not_run = {"prompt 1", "prompt 11"};
  SECTION("live") {
    run(options);
    CHECK(asked() == 2);
    CHECK(is.jobs.size() == 1);
  }
  SECTION("in another job") {
    options.after_expiry = batch_mode::provider;
    is.outcomes = {batch_job_outcome::finished, batch_job_outcome::refused}; // else it would never end
    run(options);
    CHECK(is.jobs.size() == 2);
    CHECK(is.jobs[1].items.size() == 2);
    CHECK(asked() == 2);
  }
  CHECK(is_whole(12));
}

TEST_CASE_METHOD(ledger_test, "a batch API that there is not, or that refuses, is replaced by live requests",
                 "[actors][batch]") {
  auto options = prompts(12);
  options.mode = batch_mode::provider;
  is.has_jobs = GENERATE(true, false);
  is.outcomes = {batch_job_outcome::refused};
  auto report = run(options);
  CHECK(is_whole(12));
  CHECK(asked() == 12);
  REQUIRE(report.warnings.size() == 1);
  CHECK(report.warnings[0].find("the batch API of one is not used") == 0);
  CHECK(report.warnings[0].find("made to fail") != std::string::npos);
}

TEST_CASE_METHOD(ledger_test, "a queue that is full gets smaller jobs, and in the end live requests",
                 "[actors][batch]") {
  auto options = prompts(8);
  options.mode = batch_mode::provider;
  options.busy_pause = 1ms;
  auto rounds = GENERATE(1, 3, 4);
  is.outcomes.assign(static_cast<std::size_t>(rounds), batch_job_outcome::busy);
  run(options);
  CHECK(is_whole(8));
  REQUIRE(is.jobs.size() >= static_cast<std::size_t>(rounds));
  for (std::size_t i = 0, items = 8; i < static_cast<std::size_t>(rounds); ++i, items /= 2)
    CHECK(is.jobs[i].items.size() == items);
  CHECK(asked() == (rounds == 4 ? 8 : 0)); // one item did not fit either
}

TEST_CASE_METHOD(ledger_test, "results that cannot be read are failures, and not paid twice unasked",
                 "[actors][batch]") {
  auto options = prompts(12);
  options.mode = batch_mode::provider;
  is.silent = {"prompt 3", "prompt 7"};
  is.is_unreadable = true;
  auto report = run(options);
  CHECK((report.answered == 10 && report.failed == 2));
  CHECK(asked() == 0);
  REQUIRE(report.first_failure);
  CHECK(report.first_failure->code == errc::outcome_unknown);
  is.is_unreadable = false;
  options.mode = batch_mode::live;
  options.retry_failed = true;
  CHECK(run(options).failed == 0);
  CHECK(asked() == 2);
  CHECK(is_whole(12));
}

TEST_CASE_METHOD(ledger_test, "what the provider says it did not run is sent, whatever cannot be read beside it",
                 "[actors][batch]") {
  auto options = prompts(12);
  options.mode = batch_mode::provider;
  is.silent = {"prompt 3"};
  is.not_run = {"prompt 4", "prompt 7"};
  is.is_unreadable = true;
  auto report = run(options);
  CHECK((report.answered == 11 && report.failed == 1));
  CHECK(asked() == 2);
  CHECK(is.asked["prompt 3"] == 0);
  REQUIRE(report.first_failure);
  CHECK(report.first_failure->code == errc::outcome_unknown);
}

TEST_CASE_METHOD(ledger_test, "what is given back while the input is read stays together", "[actors][batch]") {
  constexpr std::size_t items = 4'000; // read in many turns, between which the job's end comes
  auto options = prompts(static_cast<int>(items));
  options.mode = batch_mode::provider;
  options.job_items = 2 * items;
  is.holds_jobs = true;
  run(options, {"one"}, {}, true);
  is.holds_jobs = false;
  is.jobs.clear();
  is.outcomes = {batch_job_outcome::absent}; // the provider has lost it
  CHECK(run(options).answered == items);
  REQUIRE(is.jobs.size() == 2);
  CHECK(is.jobs[0].start != batch_job_start::create);
  CHECK(is.jobs[1].start == batch_job_start::create);
  CHECK(is.jobs[1].items.size() == items);
}

TEST_CASE_METHOD(ledger_test, "a job that tries failed items again brings its answers whatever is asked for later",
                 "[actors][batch]") {
  auto options = prompts(12);
  is.failing = {"prompt 2", "prompt 9"};
  CHECK(run(options).failed == 2);
  is.failing.clear();
  is.asked.clear();
  options.mode = batch_mode::provider;
  options.retry_failed = true;
  is.holds_jobs = true;
  run(options, {"one"}, {}, true);
  is.holds_jobs = false;
  options.retry_failed = false;
  options.cancel_jobs = GENERATE(true, false);
  auto report = run(options);
  CHECK((report.answered == 12 && report.failed == 0));
  CHECK(report.resumed == 10);
  CHECK(asked() == 0);
  options.cancel_jobs = false;
  run(options);
  CHECK(is_whole(12));
}

TEST_CASE_METHOD(ledger_test, "an input that changes while a batch runs is noticed before it is read again",
                 "[actors][batch]") {
  auto options = prompts(12);
  options.mode = batch_mode::provider;
  is.not_run = {"prompt 3"};
  is.before_results = [&] { folder.write("in.txt", "another prompt\n"); };
  auto report = run(options);
  REQUIRE(report.stopped_by);
  CHECK(report.stopped_by->message.find("changed while the batch ran") != std::string::npos);
  CHECK(report.answered == 11);
  CHECK(asked() == 0);
}

TEST_CASE_METHOD(ledger_test, "a job that goes on when the batch is stopped is taken up, not made twice",
                 "[actors][batch]") {
  auto options = prompts(12);
  options.mode = batch_mode::provider;
  is.holds_jobs = true;
  auto first = run(options, {"one"}, {}, true);
  CHECK(first.cancelled);
  REQUIRE(first.warnings.size() == 1);
  CHECK(first.warnings[0].find("1 job goes on at the provider") == 0);
  is.holds_jobs = false;
  auto apart = options; // what starts over asks, and says what it forgets
  apart.output = folder.path("apart.jsonl");
  std::filesystem::copy(first.ledger, apart.output + ".ledger");
  apart.fresh = apart.accept_changes = true;
  apart.mode = batch_mode::live;
  auto forgetting = run(apart);
  REQUIRE(forgetting.warnings.size() == 1);
  CHECK(forgetting.warnings[0].find("job-" + is.jobs[0].nonce) != std::string::npos);
  is.asked.clear();
  auto second = run(options);
  REQUIRE(is.jobs.size() == 2);
  CHECK(is.jobs[1].start == batch_job_start::attach);
  CHECK(is.jobs[1].job == "job-" + is.jobs[0].nonce);
  CHECK(is_whole(12));
  CHECK(asked() == 0);
}

TEST_CASE_METHOD(ledger_test, "where it is not known whether a job exists it is looked for before anything is sent",
                 "[actors][batch]") {
  auto options = prompts(12);
  options.mode = batch_mode::provider;
  is.outcomes = {batch_job_outcome::undecided};
  auto first = run(options);
  REQUIRE(first.stopped_by);
  CHECK_FALSE(first.stopped_by->suggestion.empty());
  CHECK(asked() == 0);
  SECTION("it exists") {
    run(options);
    REQUIRE(is.jobs.size() == 2);
  }
  SECTION("it does not") {
    is.running.clear();
    run(options);
    REQUIRE(is.jobs.size() == 3);
    CHECK(is.jobs[2].start == batch_job_start::create);
    CHECK(is.jobs[2].nonce != is.jobs[0].nonce);
  }
  CHECK(is.jobs[1].start == batch_job_start::find);
  CHECK(is.jobs[1].nonce == is.jobs[0].nonce);
  CHECK(is.jobs[1].not_before > 1'700'000'000);
  CHECK(is_whole(12));
  CHECK(asked() == 0);
}

TEST_CASE_METHOD(ledger_test, "the automatic mode leaves to a batch API what has a day", "[actors][batch]") {
  auto options = prompts(12);
  options.mode = batch_mode::automatic;
  auto short_time = GENERATE(true, false);
  job_price = GENERATE(0.5, 1.0);
  options.finish_within = short_time ? 2h : 30h;
  run(options);
  CHECK(asked() == (short_time || job_price == 1 ? 12 : 0));
  CHECK(is_whole(12));
}

TEST_CASE_METHOD(ledger_test, "cancelling jobs keeps what they did, and sends nothing", "[actors][batch]") {
  auto options = prompts(12);
  options.mode = batch_mode::provider;
  is.holds_jobs = true;
  run(options, {"one"}, {}, true);
  is.holds_jobs = false;
  is.not_run = {"prompt 0", "prompt 5"};
  auto cancel = options;
  cancel.cancel_jobs = true;
  auto report = run(cancel);
  CHECK(report.answered == 10);
  CHECK(report.cancelled);
  CHECK(is.jobs.at(1).cancel);
  CHECK(asked() == 0);
  CHECK(run(cancel).answered == 10); // nothing is left to cancel
  CHECK(is.jobs.size() == 2);
  options.mode = batch_mode::live;
  run(options);
  CHECK(asked() == 2);
  CHECK(is_whole(12));
}

} // namespace modelforge::batch_ledger_test
