#include "provider/chronicle.hpp"

#include "tests/provider/engine_bench.hpp"
#include "tests/support/temporary_folder.hpp"

#include <catch2/generators/catch_generators.hpp>

#include <algorithm>
#include <filesystem>

namespace modelforge::chronicle_test {

// What an engine tells the log, in virtual time: each change once, requests where they are followed.

using namespace test;

namespace {

using list = std::vector<std::string>;

std::string text_of(const log::entry& x) {
  auto result = std::string{x.rule().name};
  for (auto& field : x.fields()) {
    result += " " + std::string{field.name} + "=";
    if (auto* text = std::get_if<std::string>(&field.value))
      result += *text;
    else if (auto* number = std::get_if<int64_t>(&field.value))
      result += std::to_string(*number);
    else
      result += std::to_string(std::get<double>(field.value)).substr(0, 5);
  }
  return result;
}

struct bench : engine_bench {
  explicit bench(const provider_settings& settings, const std::string& folder = "none")
    : engine_bench(prepared(settings, folder)) {}

  bench(provider::setup setup, provider::kept_limits limits) : engine_bench(std::move(setup), std::move(limits)) {}

  void take(provider::step& step) override {
    if (std::holds_alternative<provider::save>(step))
      engine.save(false, now, {});
  }

  list news() {
    list result;
    for (auto& each : engine.collect_news()) {
      result.push_back(text_of(each));
      for (auto& field : each.fields()) { // none that docs/logs.md does not have
        auto& keys = each.rule().fields;
        CAPTURE(result.back(), field.name);
        CHECK(std::any_of(keys.begin(), keys.end(), [&](auto key) { return log::name_of(key) == field.name; }));
      }
    }
    return result;
  }
};

provider_settings once() {
  auto settings = acme();
  settings.retry.max_attempts = 1;
  settings.circuit_breaker.consecutive_failures = 3;
  settings.circuit_breaker.failure_share = 0;
  settings.circuit_breaker.open_for = 10s;
  return settings;
}

} // namespace

TEST_CASE("chronicle: each change of a breaker is told once, with its cause", "[provider]") {
  bench b{once()};
  for (int i = 0; i < 2; ++i) {
    b.ask();
    b.end(refusal(500));
  }
  CHECK(b.news() == list{});
  b.ask();
  b.end(refusal(500));
  auto opened = b.news();
  REQUIRE(opened.size() == 1);
  CHECK(opened[0].starts_with("breaker.opened provider=acme lane=default failures=3 wait_seconds=10.00 reason="));
  for (int i = 0; i < 100; ++i)
    b.ask(); // refused: nothing has changed
  CHECK(b.news() == list{});
  b.now += 10s;
  CHECK(b.news() == list{});
  b.ask();
  CHECK(b.news() == list{"breaker.half_open provider=acme lane=default"});
  b.end(refusal(500));
  CHECK(b.news().at(0).starts_with("breaker.opened provider=acme lane=default failures=1 "));
  b.now += 10s;
  for (int i = 0; i < 3; ++i) {
    b.ask();
    if (!b.sent.empty())
      b.end(answer());
  }
  CHECK(b.news() == list{"breaker.half_open provider=acme lane=default", "breaker.closed provider=acme lane=default"});
}

TEST_CASE("chronicle: a stream that is a probe closes the breaker as it begins", "[provider]") {
  auto settings = once();
  settings.circuit_breaker.probes = 1;
  bench b{settings};
  for (int i = 0; i < 3; ++i) {
    b.ask();
    b.end(refusal(500));
  }
  b.news();
  b.now += 10s;
  b.ask(question(++b.asked), {.streamed = true});
  b.engine.on_begun(b.sent.front().attempt, b.now);
  CHECK(b.news() == list{"breaker.half_open provider=acme lane=default", "breaker.closed provider=acme lane=default"});
}

TEST_CASE("chronicle: a pause is told when it begins, however many are refused", "[provider]") {
  auto settings = acme();
  settings.max_concurrent = 10;
  bench b{settings};
  for (int i = 0; i < 5; ++i)
    b.ask();
  while (!b.sent.empty())
    b.end(refusal(429, {{"retry-after", "7"}}));
  CHECK(b.news() == list{"limits.paused provider=acme lane=default wait_seconds=7.000"});
}

TEST_CASE("chronicle: no secret stands in a reason", "[provider]") {
  temporary_folder folder;
  auto settings = once();
  settings.keys = {{"one", {}, folder.write("one", "team-0123456789abcdef\n")}};
  settings.circuit_breaker.consecutive_failures = 1;
  bench b{settings};
  auto leaky = refusal(500);
  leaky.body = R"({"error":{"message":"your key is team-0123456789abcdef"}})";
  b.ask();
  b.end(leaky);
  leaky.head.status = 401;
  b.now += 10s;
  b.ask();
  b.end(leaky);
  auto all = b.news();
  REQUIRE(all.size() == 3);
  CHECK(all[0].starts_with("breaker.opened provider=acme lane=one"));
  CHECK(all[1].starts_with("breaker.half_open provider=acme lane=one"));
  CHECK(all[2].starts_with("key.refused provider=acme lane=one reason="));
  for (auto& each : all) {
    CAPTURE(each);
    CHECK(each.find("01234567") == each.npos);
  }
  CHECK(all[0].find("***") != all[0].npos);
}

TEST_CASE("chronicle: a request can be followed by its id, where somebody wants to", "[provider]") {
  bench quiet{acme()};
  quiet.ask();
  quiet.end(answer());
  CHECK(quiet.news() == list{});
  bench b{acme()};
  b.engine.follow_requests(true);
  b.ask();
  b.end(refusal(500));
  b.now = *b.engine.wake_at(b.now);
  b.run();
  b.end(answer());
  auto id = "request=" + to_string(request_id{1, 1}) + " provider=acme ";
  auto all = b.news();
  REQUIRE(all.size() == 5);
  CHECK(all[0] == "request.admitted " + id + "model=m priority=interactive");
  CHECK(all[1] == "request.sent " + id + "lane=default attempt=1 waited_seconds=0.000");
  CHECK(all[2].starts_with("request.again " + id + "attempt=1 code=server_error status=500 reason="));
  CHECK(all[3].starts_with("request.sent " + id + "lane=default attempt=2 waited_seconds="));
  CHECK(all[3].find("waited_for=backoff") != all[3].npos);
  CHECK(all[4].starts_with("request.answered " + id + "model=m-1 attempts=2 duration_seconds="));
  CHECK(all[4].ends_with("input_tokens=100 output_tokens=7"));
}

TEST_CASE("chronicle: of very many attempts all are counted", "[provider]") {
  auto settings = acme();
  settings.retry.max_attempts = 100;
  settings.circuit_breaker.enabled = false;
  auto is_answered = GENERATE(true, false);
  bench b{settings};
  b.engine.follow_requests(true);
  auto asked = question(1);
  asked.priority = priority::batch; // waits for the budget of retries
  b.ask(asked);
  constexpr int made = 90;
  for (int i = 1; i <= made; ++i) {
    while (b.sent.empty())
      b.wake();
    if (i < made)
      b.end(refusal(500));
  }
  if (is_answered)
    b.end(answer());
  else
    b.engine.withdraw({1, 1}, "cancelled by the caller", b.now);
  auto last = b.news().back();
  CAPTURE(last);
  CHECK(last.find(is_answered ? "request.answered " : "request.failed ") == 0);
  CHECK(last.find(" attempts=90 ") != last.npos);
}

TEST_CASE("chronicle: so can one that is refused or withdrawn", "[provider]") {
  bench b{acme()};
  b.engine.follow_requests(true);
  b.ask();
  auto again = question(1);
  CHECK(b.engine.admit(again, {}, b.now).refused);
  b.engine.withdraw({1, 1}, "cancelled by the caller", b.now);
  auto id = "request=" + to_string(request_id{1, 1}) + " provider=acme model=m ";
  auto all = b.news();
  REQUIRE(all.size() == 4);
  CHECK(all[2].starts_with("request.refused " + id + "code=duplicate_request reason="));
  CHECK(all[3]
        == "request.failed " + id + "attempts=1 duration_seconds=0.000 code=cancelled reason=cancelled by the caller");
}

TEST_CASE("chronicle: a stream that breaks off behind what its readers have is told", "[provider]") {
  bench b{acme()};
  auto cut = [&](bool repeatable, errc code) {
    b.ask(question(++b.asked), {.streamed = true});
    provider::stream_end end;
    end.outcome = make_failure(code, "it broke off");
    end.repeatable = repeatable;
    http::response answer;
    answer.head.status = 200;
    b.end(answer, &end);
    return b.news();
  };
  auto told = cut(false, errc::connection_lost);
  REQUIRE(told.size() == 1);
  CHECK(told[0]
        == "stream.cut provider=acme request=" + to_string(request_id{1, 1})
             + " model=m code=connection_lost reason=it broke off");
  CHECK(cut(false, errc::cancelled) == list{}); // its readers did that
}

TEST_CASE("chronicle: that limits are not kept is told once, and that they are again", "[provider]") {
  temporary_folder folder;
  auto settings = acme();
  settings.rate_limit = requests_per_minute(1000);
  settings.max_concurrent = 100;
  settings.interactive_slots = 0;
  auto setup = prepared(settings, folder.path("state"));
  {
    provider::kept_limits limits;
    REQUIRE_FALSE(limits.open(setup));
    bench b{setup, std::move(limits)};
    auto ask = [&] {
      b.now += 2s;
      b.ask();
    };
    ask();
    CHECK(b.news() == list{});
    std::filesystem::create_directory(folder.path("state/acme.limits.new")); // no file can be written there
    for (int i = 0; i < 5; ++i)
      ask();
    auto told = b.news();
    REQUIRE(told.size() == 1);
    CHECK(told[0].starts_with("limits.not_kept provider=acme reason=cannot write "));
    std::filesystem::remove(folder.path("state/acme.limits.new"));
    for (int i = 0; i < 5; ++i)
      ask();
    CHECK(b.news() == list{"limits.kept provider=acme"});
    b.engine.leave(b.now, provider::engine::wall_time{});
  }
  provider::kept_limits limits;
  REQUIRE_FALSE(limits.open(setup));
  bench next{setup, std::move(limits)};
  CHECK(next.news() == list{"limits.restored provider=acme age_seconds=0.000"});
}

TEST_CASE("chronicle: prompts are texts, in order, within a bound", "[provider]") {
  auto asked = question(1, "Why is the sky blue?");
  asked.messages.insert(asked.messages.begin(), text_message(role::system, "Be short."));
  CHECK(provider::prompt_text(asked) == "system: Be short.\nuser: Why is the sky blue?");
  for (int i = 0; i < 100; ++i)
    asked.messages.push_back(text_message(role::user, std::string(10'000, 'x')));
  CHECK(provider::prompt_text(asked).size() < 5'000);
}

} // namespace modelforge::chronicle_test
