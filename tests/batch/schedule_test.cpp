#include "batch/schedule.hpp"

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

#include <map>

namespace modelforge::schedule_test {

using namespace std::chrono_literals;
using batch::schedule;

namespace {

/// Gives a schedule its input, keeps its results at once unless told otherwise, and shows the steps that it takes.
struct driver {
  batch::schedule_setup setup;
  uint64_t items = 10;
  bool keeps = true;
  uint64_t waiting = 0;   ///< Retries at each provider.
  response_format format; ///< That each item asks for.

  std::optional<schedule> x;
  batch::time_point now{100h};
  uint64_t position = 0;
  batch::recorder_news news;
  uint64_t given = 0;

  // Since `settle` was called last.
  std::vector<batch::send_item> sent;
  std::vector<batch::ask_for_job> asked;
  std::vector<request_id> withdrawn;
  std::vector<batch::record> records;
  std::vector<batch::ledger_event> events;
  std::vector<uint64_t> confirmed;
  std::optional<bool> finished;
  int rewinds = 0;

  driver() {
    setup.options.max_concurrent = 3;
    setup.providers.resize(1);
  }

  void start() {
    x.emplace(setup);
    x->start(now);
    settle();
  }

  void settle() {
    sent.clear();
    asked.clear();
    withdrawn.clear();
    records.clear();
    events.clear();
    confirmed.clear();
    for (;;) {
      while (auto step = x->next(now, 1'700'000'000))
        std::visit([this](auto& y) { carry_out(y); }, *step);
      if (!keeps || news.kept == given)
        return;
      news.kept = given;
      x->on_kept(news);
    }
  }

  void carry_out(const batch::ask_statuses&) {
    for (std::size_t i = 0; i < setup.providers.size(); ++i) {
      provider_status status;
      status.name = "p" + std::to_string(i);
      status.waiting = waiting;
      x->on_status(i, status);
    }
  }
  void carry_out(const batch::read_item&) {
    if (position == items)
      return x->on_input_end();
    chat_request request;
    request.messages.push_back(text_message(role::user, "hello"));
    request.response_format = format;
    auto index = position++;
    x->on_item({index, index + 1, "id-" + std::to_string(index), std::move(request)}, 1, now);
  }
  void carry_out(const batch::rewind_input&) {
    position = 0;
    ++rewinds;
  }
  void carry_out(batch::send_item& y) { sent.push_back(std::move(y)); }
  void carry_out(const batch::cancel_item& y) { withdrawn.push_back(y.id); }
  void carry_out(batch::record& y) {
    ++given;
    ++(y.outcome.index() == 0 ? news.ok : news.failed);
    records.push_back(std::move(y));
  }
  void carry_out(batch::ledger_event& y) {
    ++given;
    events.push_back(std::move(y));
  }
  void carry_out(batch::ask_for_job& y) { asked.push_back(std::move(y)); }
  void carry_out(const batch::confirm_results& y) { confirmed.push_back(y.receipt); }
  void carry_out(const batch::finish_output& y) { finished = y.complete; }

  void answer(const batch::send_item& y) {
    completion answer;
    answer.attempts.emplace_back();
    x->on_answer(y.request.id, std::move(answer));
  }
  void fail(const batch::send_item& y, errc code) {
    auto why = make_failure(code, "made to fail");
    why.attempts.emplace_back();
    x->on_failure(y.request.id, std::move(why), now);
  }

  template <class Event>
  const Event* event() const {
    for (auto& y : events)
      if (auto* found = std::get_if<Event>(&y))
        return found;
    return nullptr;
  }
};

} // namespace

TEST_CASE_METHOD(driver, "a batch keeps its window full, and ends when the last item has a result",
                 "[batch][schedule]") {
  start();
  REQUIRE(sent.size() == 3);
  for (int i = 0; i < 10; ++i) {
    CHECK_FALSE(finished);
    auto one = sent.at(0);
    auto rest = std::vector(sent.begin() + 1, sent.end());
    answer(one);
    settle();
    sent.insert(sent.begin(), rest.begin(), rest.end());
    CHECK(sent.size() == static_cast<std::size_t>(i < 7 ? 3 : 9 - i));
  }
  CHECK(finished == true);
  news.finished = true;
  news.place = "out";
  x->on_kept(news);
  CHECK(x->has_ended());
  auto report = x->report(now);
  CHECK(report.answered == 10);
  CHECK(report.results == "out");
  CHECK_FALSE(report.cancelled);
}

TEST_CASE_METHOD(driver, "nothing is sent while too much is not safe", "[batch][schedule]") {
  setup.limits.max_unsafe = 2;
  keeps = false;
  start();
  auto first = sent;
  REQUIRE(first.size() == 3);
  answer(first[0]);
  settle();
  CHECK(sent.size() == 1);
  answer(first[1]);
  settle();
  CHECK(sent.empty());
  news.kept = 1;
  x->on_kept(news);
  settle();
  CHECK(sent.size() == 1);
}

TEST_CASE_METHOD(driver, "what a full queue gives back waits a moment, and nothing new is read before it",
                 "[batch][schedule]") {
  start();
  auto first = sent;
  fail(first.at(1), errc::queue_full);
  settle();
  CHECK(sent.empty());
  CHECK(x->wake_at(now) == now + 50ms);
  answer(first.at(0));
  settle();
  CHECK(sent.empty());
  now += 50ms;
  settle();
  REQUIRE(sent.size() == 2);
  CHECK(sent[0].request.id == first[1].request.id);
  CHECK_FALSE(x->wake_at(now));
}

TEST_CASE_METHOD(driver, "what waits to be repeated lets others go, and is not told as in flight",
                 "[batch][schedule]") {
  items = 100;
  waiting = 2;
  start();
  CHECK(sent.size() == 5);
  CHECK(x->progress(now).in_flight == 3);
  auto first = sent;
  for (auto& one : first)
    answer(one);
  items = position; // there are no others
  settle();
  CHECK(x->progress(now).in_flight == 0);
}

TEST_CASE_METHOD(driver, "an item at which one provider fails goes to another one, with what was tried",
                 "[batch][schedule]") {
  setup.providers.resize(2);
  setup.options.max_concurrent = 1;
  start();
  auto first = sent.at(0);
  fail(first, errc::authentication);
  settle();
  auto second = sent.at(0);
  CHECK(second.provider != first.provider);
  CHECK(second.request.id != first.request.id);
  SECTION("which answers") {
    answer(second);
    settle();
    CHECK(std::get<completion>(records.at(0).outcome).attempts.size() == 2);
  }
  SECTION("which fails, too: then it has failed") {
    fail(second, errc::overloaded);
    settle();
    CHECK(std::get<failure>(records.at(0).outcome).attempts.size() == 2);
  }
  SECTION("which may have carried it out: then it is not sent again") {
    fail(second, errc::attempt_timeout);
    settle();
    CHECK(std::get<failure>(records.at(0).outcome).code == errc::attempt_timeout);
  }
}

TEST_CASE_METHOD(driver, "while a provider cannot be reached others get its items, and none has failed for it",
                 "[batch][schedule]") {
  setup.providers.resize(2);
  setup.options.max_concurrent = 1;
  items = 2;
  start();
  auto fail_by_outage = [&](const batch::send_item& y, errc code) {
    auto why = make_failure(code, "it is down");
    why.is_outage = true;
    x->on_failure(y.request.id, std::move(why), now);
    settle();
  };
  auto first = sent.at(0);
  CHECK(first.request.fail_when_open); // there is another one to ask
  fail_by_outage(first, errc::connect_failed);
  auto second = sent.at(0);
  CHECK(second.provider != first.provider);
  CHECK(
    x->progress(now).warnings
    == std::vector<std::string>{"p" + std::to_string(first.provider) + " fails, so others get its items: it is down"});
  SECTION("the other one answers") {
    answer(second);
    settle();
    CHECK(records.size() == 1);
    CHECK(sent.at(0).provider == second.provider); // the next one is not even offered to the first
  }
  SECTION("none can be reached: it is offered to all again, and nothing new is") {
    for (int i = 0; i < 5; ++i) {
      fail_by_outage(second, errc::circuit_open);
      CHECK(sent.empty());
      CHECK(records.empty());
      auto wake = x->wake_at(now);
      REQUIRE(wake);
      CHECK(*wake - now == 1s);
      now = *wake;
      settle();
      first = sent.at(0);
      fail_by_outage(first, errc::circuit_open);
      second = sent.at(0);
      CHECK(second.provider != first.provider);
    }
    SECTION("until one answers") {
      answer(second);
      settle();
      CHECK(records.at(0).outcome.index() == 0);
    }
    SECTION("until its deadline") {
      fail(second, errc::deadline_exceeded);
      settle();
      CHECK(std::get<failure>(records.at(0).outcome).code == errc::deadline_exceeded);
    }
    SECTION("until the batch is stopped: then it is left for the next run") {
      x->cancel();
      settle();
      fail_by_outage(second, errc::circuit_open);
      CHECK(records.empty());
      CHECK(finished == false);
    }
  }
  SECTION("the other one fails at the item itself: then it has failed") {
    fail(second, errc::server_error);
    settle();
    CHECK(std::get<failure>(records.at(0).outcome).code == errc::server_error);
  }
}

TEST_CASE_METHOD(driver, "an item's deadline runs on when it goes to another provider", "[batch][schedule]") {
  setup.providers.resize(2);
  setup.options.max_concurrent = 1;
  setup.options.deadline = 10s;
  start();
  CHECK(sent.at(0).request.deadline == 10s);
  now += 4s;
  fail(sent.at(0), errc::overloaded);
  settle();
  CHECK(sent.at(0).request.deadline == 6s);
}

TEST_CASE_METHOD(driver, "a batch's deadline is that of its live items, unless theirs is earlier",
                 "[batch][schedule]") {
  setup.options.max_concurrent = 2;
  setup.options.finish_within = 10s;
  setup.options.deadline = 8s;
  start();
  auto first = sent.at(0), second = sent.at(1);
  CHECK(first.request.deadline == 8s);
  now += 4s;
  answer(first);
  settle();
  CHECK(sent.at(0).request.deadline == 6s);
  now += 7s;
  answer(second);
  settle();
  CHECK(sent.at(0).request.deadline == 1ns); // it has passed: the provider says so
}

TEST_CASE_METHOD(driver, "a batch with one provider lets that decide whether items wait for it", "[batch][schedule]") {
  start();
  CHECK_FALSE(sent.at(0).request.fail_when_open);
}

TEST_CASE_METHOD(driver, "items get what they leave open from the batch, and costs say what they leave out",
                 "[batch][schedule]") {
  setup.options.model = "m";
  setup.options.sampling.max_tokens = 7;
  setup.options.extra = R"({"user":"me"})";
  start();
  CHECK(sent.at(0).request.model == "m");
  CHECK(sent.at(0).request.sampling.max_tokens == 7);
  CHECK(sent.at(0).request.extra == R"({"user":"me"})");
  answer(sent.at(0));
  answer(sent.at(1));
  completion priced;
  priced.cost = 0.5;
  x->on_answer(sent.at(2).request.id, std::move(priced));
  settle();
  CHECK(x->progress(now).cost == 0.5);
  CHECK(x->progress(now).unpriced == 2);
  CHECK(x->report(now).shares.at(0).unpriced == 2);
}

TEST_CASE_METHOD(driver, "a cancelled batch withdraws what is in flight, and ends when that is back",
                 "[batch][schedule]") {
  start();
  auto first = sent;
  fail(first.at(2), errc::queue_full); // it is at no provider when the end comes
  x->cancel();
  settle();
  CHECK(withdrawn.size() == 2);
  CHECK_FALSE(finished);
  fail(first[0], errc::cancelled);
  answer(first[1]);
  settle();
  CHECK(records.size() == 1); // what was answered counts
  CHECK(finished == false);
  CHECK(x->report(now).cancelled);
}

TEST_CASE_METHOD(driver, "a cancel that comes when the output is being finished changes nothing", "[batch][schedule]") {
  items = 1;
  start();
  answer(sent.at(0));
  settle();
  CHECK(finished == true);
  x->cancel();
  CHECK_FALSE(x->report(now).cancelled);
}

TEST_CASE_METHOD(driver, "a provider that shuts down stops the batch, and what it had has not failed",
                 "[batch][schedule]") {
  start();
  auto first = sent;
  fail(first.at(0), errc::draining);
  settle();
  CHECK(records.empty());
  CHECK(withdrawn.size() == 2);
  REQUIRE(x->report(now).stopped_by);
  CHECK(x->report(now).stopped_by->code == errc::draining);
}

TEST_CASE_METHOD(driver, "a batch whose items fail one like the other stops, and leaves them for a later run",
                 "[batch][schedule]") {
  auto code = GENERATE(errc::authentication, errc::permission, errc::not_found, errc::quota_exhausted);
  start();
  auto first = sent;
  fail(first.at(0), code);
  fail(first.at(1), code);
  settle();
  CHECK(records.empty());
  auto second = sent;
  REQUIRE(second.size() == 2);
  fail(first.at(2), code);
  settle();
  CHECK(records.empty());
  CHECK(sent.empty());
  CHECK(withdrawn.size() == 2);
  fail(second[0], code);
  fail(second[1], errc::cancelled);
  settle();
  CHECK(records.empty());
  CHECK(finished == false);
  REQUIRE(x->report(now).stopped_by);
  CHECK(x->report(now).stopped_by->code == code);
  CHECK(x->report(now).failed == 0);
}

TEST_CASE_METHOD(driver, "what may be the failure of all is the items' own as soon as one differs",
                 "[batch][schedule]") {
  start();
  auto first = sent;
  fail(first.at(0), errc::authentication);
  fail(first.at(1), errc::authentication);
  settle();
  CHECK(records.empty());
  SECTION("by an answer") {
    answer(first.at(2));
  }
  SECTION("by a failure of its own") {
    fail(first.at(2), errc::content_filtered);
  }
  settle();
  CHECK(records.size() == 3);
  CHECK_FALSE(x->report(now).stopped_by);
}

TEST_CASE_METHOD(driver, "what may be the failure of all is the items' own where no others are left",
                 "[batch][schedule]") {
  items = 2;
  start();
  auto first = sent;
  fail(first.at(0), errc::authentication);
  fail(first.at(1), errc::authentication);
  settle();
  CHECK(records.size() == 2);
  CHECK(finished == true);
}

TEST_CASE_METHOD(driver, "a batch that is to keep going records what fails alike", "[batch][schedule]") {
  setup.options.keep_going = true;
  start();
  for (int i = 0; i < 10; ++i) {
    auto rest = std::vector(sent.begin() + 1, sent.end());
    fail(sent.at(0), errc::authentication);
    settle();
    CHECK(records.size() == 1);
    sent.insert(sent.begin(), rest.begin(), rest.end());
  }
  CHECK(finished == true);
}

TEST_CASE_METHOD(driver, "a job is asked for when its intent is safe, and not before", "[batch][schedule]") {
  setup.options.mode = batch_mode::provider;
  setup.options.job_items = 4;
  keeps = false;
  start();
  REQUIRE(event<batch::ledger_job>() != nullptr);
  CHECK(event<batch::ledger_job>()->items.front() == std::pair<uint64_t, uint64_t>{0, 3});
  CHECK(asked.empty());
  SECTION("then it is") {
    news.kept = 1;
    x->on_kept(news);
    settle();
    REQUIRE(asked.size() == 1);
    CHECK(asked[0].request.items.size() == 4);
  }
  SECTION("unless the batch is cancelled meanwhile: then the ledger says so") {
    x->cancel();
    keeps = true;
    settle();
    CHECK(asked.empty());
    REQUIRE(event<batch::job_ended>() != nullptr);
    CHECK(event<batch::job_ended>()->outcome == "not sent");
    CHECK(finished == false);
  }
}

TEST_CASE_METHOD(driver, "results of a job are confirmed when they are safe", "[batch][schedule]") {
  setup.options.mode = batch_mode::provider;
  items = 2;
  start();
  auto nonce = asked.at(0).request.nonce;
  keeps = false;
  auto receipt = x->on_job_results({nonce, {{0, true, completion{}}, {0, true, completion{}}}});
  REQUIRE(receipt);
  settle();
  CHECK(records.size() == 1); // once
  CHECK(confirmed.empty());
  news.kept = given;
  x->on_kept(news);
  settle();
  CHECK(confirmed == std::vector{*receipt});
  CHECK_FALSE(x->on_job_results({"of another", {}}));
}

TEST_CASE_METHOD(driver, "what a job did not come to is read again, and sent live", "[batch][schedule]") {
  setup.options.mode = batch_mode::provider;
  items = 3;
  start();
  auto nonce = asked.at(0).request.nonce;
  x->on_job_results(
    {nonce, {{1, true, completion{}}, {2, false, make_failure(errc::deadline_exceeded, "it came too late")}}});
  settle();
  CHECK(records.size() == 1);
  x->on_job_end({nonce, "job", batch_job_outcome::finished, {}}, now);
  settle();
  CHECK(rewinds == 1);
  CHECK(asked.empty());
  CHECK(sent.size() == 2); // also the one of which nothing was told
}

TEST_CASE_METHOD(driver, "a full queue of jobs is offered a smaller one when its time has come", "[batch][schedule]") {
  setup.options.mode = batch_mode::provider;
  setup.options.busy_pause = 10s;
  items = 8;
  start();
  auto full = make_failure(errc::rate_limited, "the queue is full");
  x->on_job_end({asked.at(0).request.nonce, {}, batch_job_outcome::busy, full}, now);
  settle();
  CHECK(asked.empty());
  CHECK(x->wake_at(now) == now + 10s);
  now += 10s;
  settle();
  REQUIRE(asked.size() == 1);
  CHECK(asked[0].request.items.size() == 4);
  CHECK_FALSE(finished);
}

TEST_CASE_METHOD(driver, "where a job's fate is not known the batch stops, and says what to do", "[batch][schedule]") {
  setup.options.mode = batch_mode::provider;
  items = 2;
  start();
  auto nonce = asked.at(0).request.nonce;
  x->on_job_status({nonce, "job", batch_job_state::running, "running", 0, 0, 0, 0s, 5s}, now);
  settle();
  REQUIRE(event<batch::job_named>() != nullptr);
  CHECK(x->progress(now).jobs.at(0).next_look == 5s);
  CHECK(x->progress(now).in_jobs == 2);
  x->on_job_lost(nonce, now);
  settle();
  CHECK(event<batch::job_ended>() == nullptr); // in the ledger it goes on
  CHECK(finished == false);
  CHECK_FALSE(x->report(now).stopped_by->suggestion.empty());
}

TEST_CASE_METHOD(driver, "a provider that does not say its name gets no jobs, since they could not be found again",
                 "[batch][schedule]") {
  auto uses_jobs = GENERATE(true, false);
  auto has_other = GENERATE(true, false);
  setup.options.mode = uses_jobs ? batch_mode::provider : batch_mode::live;
  setup.providers.resize(has_other ? 2 : 1);
  x.emplace(setup);
  x->start(now);
  REQUIRE(std::holds_alternative<batch::ask_statuses>(*x->next(now, 0)));
  x->on_no_status(0, make_failure(errc::node_lost, "the link is cut"));
  provider_status status;
  status.name = "p1";
  if (has_other)
    x->on_status(1, status);
  settle();
  auto goes_on = has_other || !uses_jobs;
  CHECK(sent.size() == (uses_jobs ? 0 : 3));
  CHECK(asked.size() == (uses_jobs && has_other ? 1 : 0));
  if (!asked.empty())
    CHECK(asked[0].provider == 1);
  CHECK((event<batch::ledger_job>() != nullptr) == !asked.empty());
  CHECK(x->report(now).stopped_by.has_value() == !goes_on);
}

TEST_CASE_METHOD(driver, "an input that has nothing now ends nothing", "[batch][schedule]") {
  items = 1;
  x.emplace(setup);
  x->start(now);
  auto step = x->next(now, 0);
  REQUIRE(step);
  carry_out(std::get<batch::ask_statuses>(*step));
  REQUIRE(std::holds_alternative<batch::read_item>(*x->next(now, 0)));
  x->on_input_wait();
  CHECK_FALSE(x->next(now, 0));
  x->on_input_ready();
  settle();
  CHECK(sent.size() == 1);
}

TEST_CASE_METHOD(driver, "rows that are not the JSON that was asked for are told apart, live and from jobs",
                 "[batch][schedule]") {
  format.kind = response_kind::json_object;
  items = 3;
  auto said = [](std::string text) {
    completion answer;
    answer.text = std::move(text);
    answer.finish_reason = finish_reason::stop;
    answer.usage = token_usage{7, 9, 0, 0, 0};
    answer.provider = "p0";
    return answer;
  };
  SECTION("live the provider judges") {
    start();
    REQUIRE(sent.size() == 3);
    for (auto& each : sent)
      CHECK(each.request.response_format.check == json_check::fail);
  }
  SECTION("an item that wants no check gets none") {
    format.check = json_check::off;
    start();
    CHECK(sent.at(0).request.response_format.check == json_check::off);
  }
  SECTION("results of jobs are judged here") {
    setup.options.mode = batch_mode::provider;
    start();
    auto nonce = asked.at(0).request.nonce;
    x->on_job_results({nonce, {{0, true, said("{}")}, {1, true, said("prose")}, {2, true, said("```\n{}\n```")}}});
    settle();
    REQUIRE(records.size() == 3);
    CHECK(std::get<completion>(records[0].outcome).text == "{}");
    auto& why = std::get<failure>(records[1].outcome);
    CHECK(why.code == errc::wrong_format);
    CHECK(why.text == "prose");
    CHECK(why.provider == "p0");
    CHECK(std::get<completion>(records[2].outcome).text == "{}");
    CHECK(x->progress(now).failed == 1);
    CHECK(x->progress(now).usage.output == 27); // what does not count was paid for, too
  }
}

} // namespace modelforge::schedule_test
