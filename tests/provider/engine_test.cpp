#include "tests/provider/engine_bench.hpp"

#include <algorithm>
#include <limits>
#include <map>
#include <random>

namespace modelforge::engine_test {

using namespace test;

namespace {

struct engine_test : engine_bench {
  std::map<uint64_t, provider::conclude> ended;
  std::vector<provider::report> reports;

  void take(provider::step& step) override {
    if (auto* end = std::get_if<provider::conclude>(&step))
      ended.insert_or_assign(end->id.low, std::move(*end));
    else if (auto* report = std::get_if<provider::report>(&step))
      reports.push_back(std::move(*report));
  }
};

} // namespace

TEST_CASE_METHOD(engine_test, "engine: a request is sent, answered and forgotten", "[provider]") {
  CHECK_FALSE(ask(question(1)));
  REQUIRE(sent.size() == 1);
  CHECK(sent[0].http.url == "http://acme.test/v1/chat/completions");
  CHECK_FALSE(engine.empty());
  now += 2s;
  end(answer("fine"));
  CHECK(engine.empty());
  auto& result = ended.at(1);
  CHECK(std::get<completion>(result.how).text == "fine");
  CHECK(std::get<completion>(result.how).timings.total == 2s);
  CHECK(result.age == 2s);
  CHECK_FALSE(result.abort);
  CHECK(engine.counts().answered == 1);
}

TEST_CASE_METHOD(engine_test, "engine: what fails is tried again, and tells of every attempt", "[provider]") {
  ask(question(1));
  for (int i = 0; i < 3; ++i) {
    if (sent.empty())
      wake();
    REQUIRE(sent.size() == 1);
    end(refusal(500));
  }
  auto& why = std::get<failure>(ended.at(1).how);
  CHECK(why.code == errc::server_error);
  CHECK(why.provider == "acme");
  CHECK(why.model == "m");
  CHECK(why.attempts.size() == 3);
  CHECK(engine.empty());
}

TEST_CASE_METHOD(engine_test, "engine: a request that is withdrawn has its attempt cut off", "[provider]") {
  ask(question(1));
  ask(question(2));
  ask(question(3));
  REQUIRE(sent.size() == 2); // max_concurrent
  note(engine.withdraw({1, 3}, "not wanted", now));
  CHECK_FALSE(ended.at(3).abort);
  note(engine.withdraw({1, 1}, "not wanted", now));
  CHECK(ended.at(1).abort);
  auto& why = std::get<failure>(ended.at(1).how);
  CHECK(why.code == errc::cancelled);
  CHECK(why.attempts.size() == 1);
  end(answer()); // of 1: too late
  CHECK(engine.counts().late == 1);
  CHECK_FALSE(engine.withdraw({1, 1}, "again", now));
  end(answer());
  CHECK(engine.empty());
}

TEST_CASE_METHOD(engine_test, "engine: a deadline that passes ends the request where it stands", "[provider]") {
  auto request = question(1);
  request.deadline = 3s;
  ask(request);
  wake();
  CHECK(now == start_time + 3s);
  CHECK(ended.at(1).abort);
  CHECK(std::get<failure>(ended.at(1).how).message
        == "no answer within the request's deadline (3 s, waiting for the provider)");
}

TEST_CASE_METHOD(engine_test, "engine: a refused request leaves a count and no trace", "[provider]") {
  CHECK_FALSE(ask(question(1)));
  auto why = ask(question(1));
  REQUIRE(why);
  CHECK(why->code == errc::duplicate_request);
  CHECK(engine.refused() == 0); // the dispatcher counts what it refuses
  CHECK(engine.counts().failed == 1);
  auto late = question(2);
  late.deadline = -1s;
  CHECK(ask(late)->code == errc::deadline_exceeded);
  CHECK(engine.refused() == 1);
  CHECK(engine.status(false, now).failed == 2);
}

TEST_CASE_METHOD(engine_test, "engine: an asker that may come again hears of attempts that failed", "[provider]") {
  auto request = question(1);
  request.earlier.report = true;
  ask(request);
  end(refusal(500));
  REQUIRE(reports.size() == 1);
  CHECK(reports[0].spent.spent == 1);
  engine.on_asker_lost({1, 1}, now);
  note(engine.withdraw({1, 1}, "its caller has ended", now));
  request.earlier.spent = 1;
  ask(request); // its node is back
  if (sent.empty())
    wake();
  CHECK(engine.find({1, 1})->spent >= 1);
}

TEST_CASE_METHOD(engine_test, "engine: what waits goes to the new address, what runs goes on", "[provider]") {
  ask(question(1));
  ask(question(2));
  ask(question(3));
  auto settings = acme();
  settings.base_url = "http://other.test/v1";
  engine.reconfigure(prepared(settings), now);
  run();
  REQUIRE(sent.size() >= 2);
  CHECK(sent[0].http.url == "http://acme.test/v1/chat/completions");
  end(answer());
  CHECK(std::holds_alternative<completion>(ended.at(1).how));
  REQUIRE(sent.size() == 2);
  CHECK(sent.back().http.url == "http://other.test/v1/chat/completions");
}

TEST_CASE_METHOD(engine_test, "engine: while it drains it takes nothing new, and can be resumed", "[provider]") {
  ask(question(1));
  engine.drain();
  CHECK(ask(question(2))->code == errc::draining);
  CHECK(engine.withdraw_all("it is over", now).size() == 1);
  CHECK(engine.empty());
  engine.resume();
  CHECK_FALSE(ask(question(3)));
}

TEST_CASE_METHOD(engine_test, "engine: its status tells of trouble only while a breaker is not closed", "[provider]") {
  auto settings = acme();
  settings.retry.max_attempts = 1;
  settings.circuit_breaker.consecutive_failures = 2;
  engine.reconfigure(prepared(settings), now);
  ask(question(1));
  end(refusal(500));
  CHECK(engine.status(false, now).problem.empty());
  ask(question(2));
  end(refusal(500));
  auto status = engine.status(true, now);
  CHECK_FALSE(status.problem.empty());
  CHECK(status.draining);
  CHECK(status.lanes.at(0).breaker == "open");
  CHECK(status.attempts == 2);
}

TEST_CASE_METHOD(engine_test, "engine: a stream that is lost gives its slot back", "[provider]") {
  auto request = question(1);
  engine.admit(request, {.streamed = true}, now);
  run();
  REQUIRE(sent.size() == 1);
  CHECK(sent[0].streamed);
  note(engine.withdraw(request.id, "its caller has ended", now));
  CHECK(ended.at(1).abort);
  CHECK(ended.at(1).streamed);
  engine.on_lost(sent[0].attempt, true, now);
  CHECK(engine.queue().in_flight == 0);
}

namespace {

/// Anything that a provider may say.
http::response any_answer(std::mt19937_64& random) {
  switch (random() % 7) {
    case 0:
      return refusal(500);
    case 1:
      return refusal(429, {{"retry-after", std::to_string(random() % 5)}});
    case 2:
      return refusal(401);
    case 3:
      return broken(errc::connect_failed, false);
    case 4:
      return broken(errc::connection_lost, true);
    default:
      return answer();
  }
}

provider::setup any_setup(std::mt19937_64& random) {
  auto settings = acme();
  settings.base_url = random() % 2 == 0 ? "http://acme.test/v1" : "http://other.test/v1";
  settings.max_concurrent = 2 + static_cast<uint32_t>(random() % 4);
  if (random() % 2 == 0)
    settings.rate_limit = requests_per_minute(600);
  if (random() % 2 == 0)
    settings.models = {models("m*", 300)};
  return prepared(settings);
}

} // namespace

TEST_CASE("engine: whatever happens, each request ends exactly once", "[provider]") {
  for (uint64_t seed = 1; seed <= 100; ++seed) {
    CAPTURE(seed);
    std::mt19937_64 random{seed};
    engine_test by;
    std::map<uint64_t, int> ends;
    uint64_t asked = 0;
    auto note_ends = [&] {
      for (auto& [number, end] : by.ended)
        ++ends[number];
      by.ended.clear();
    };
    auto end_any = [&](const http::response& how) {
      std::swap(by.sent.front(), by.sent[random() % by.sent.size()]);
      by.end(how);
    };
    for (int i = 0; i < 300; ++i) {
      auto what = random() % 20;
      if (what < 8) {
        auto request = question(++asked);
        request.priority = random() % 2 == 0 ? priority::interactive : priority::batch;
        if (by.ask(request))
          ++ends[asked];
      } else if (what < 16 && !by.sent.empty()) {
        end_any(any_answer(random));
      } else if (what == 16) {
        by.note(by.engine.withdraw({1, 1 + random() % (asked + 1)}, "not wanted", by.now));
      } else if (what == 17) {
        by.engine.reconfigure(any_setup(random), by.now);
      } else {
        by.now += std::chrono::milliseconds{random() % 3000};
      }
      by.run();
      note_ends();
    }
    for (int i = 0; i < 10'000 && (!by.engine.empty() || !by.sent.empty()); ++i) {
      if (!by.sent.empty())
        end_any(answer());
      else
        by.wake();
      note_ends();
    }
    REQUIRE(by.engine.empty());
    CHECK(ends.size() == asked);
    CHECK(std::all_of(ends.begin(), ends.end(), [](auto& end) { return end.second == 1; }));
    CHECK(by.engine.queue().in_flight == 0);
    CHECK(by.engine.queue().queued_bytes == 0);
  }
}

TEST_CASE_METHOD(engine_test, "engine: an answer that is not what was asked for is paid once and told with its text",
                 "[provider]") {
  struct row {
    response_format format;
    std::string text; ///< Inside of a JSON string.
    std::string kept; ///< Of a good answer; "": it is a failure.
  };
  auto schema = R"({"type":"object","required":["a"]})";
  uint64_t number = 0;
  for (auto& [format, text, kept] : std::initializer_list<row>{
         {{response_kind::json_schema, "s", schema, true, json_check::fail}, R"({\"a\":1})", R"({"a":1})"},
         {{response_kind::json_schema, "s", schema, true, json_check::fail}, R"(```\n{\"a\":1}\n```)", R"({"a":1})"},
         {{response_kind::json_schema, "s", schema, true, json_check::fail}, R"({\"b\":1})", ""},
         {{response_kind::json_schema, "s", schema, true, {}}, R"({\"b\":1})", R"({"b":1})"}, // as the settings say
         {{response_kind::json_object, "", "", true, json_check::fail}, "prose", ""},
         {{}, "prose", "prose"}}) {
    INFO(text);
    auto asked = question(++number);
    asked.response_format = format;
    ask(asked);
    REQUIRE(sent.size() == 1);
    end(answer(text));
    REQUIRE(sent.empty());
    auto& how = ended.at(number).how;
    if (!kept.empty()) {
      CHECK(std::get<completion>(how).text == kept);
      continue;
    }
    auto& why = std::get<failure>(how);
    CHECK(why.code == errc::wrong_format);
    CHECK(why.provider == "acme");
    CHECK(why.model == "m");
    CHECK(why.http_status == 200);
    CHECK(why.attempts.size() == 1);
    CHECK_FALSE(why.text.empty());
    CHECK(why.usage->output == 7);
  }
  CHECK(engine.counts().answered == number);
}

TEST_CASE_METHOD(engine_test, "engine: answers that extra asked for and that did not come are told", "[provider]") {
  auto asked = question(1);
  asked.extra = R"({"n":3,"logprobs":true})";
  ask(asked);
  end(answer("fine"));
  auto& warnings = std::get<completion>(ended.at(1).how).warnings;
  REQUIRE(warnings.size() == 2);
  CHECK(warnings[0].starts_with("3 answers were asked for, and 1 came"));
  CHECK(warnings[1].starts_with("log probabilities"));
}

TEST_CASE_METHOD(engine_test, "engine: vectors of another length than was asked for are an error, told once",
                 "[provider]") {
  for (uint32_t asked : {2u, 8u}) {
    embedding_request request;
    request.id = {1, asked};
    request.model = "e";
    request.inputs = {"a", "b"};
    request.dimensions = asked;
    engine.admit(request, {}, now);
    run();
    REQUIRE(sent.size() == 1);
    http::response came;
    came.head.status = 200;
    came.body = R"({"data":[{"embedding":[1,2],"index":0},{"embedding":[3,4],"index":1}],"usage":{"prompt_tokens":9}})";
    end(came);
    REQUIRE(sent.empty());
    auto& how = ended.at(asked).how;
    if (asked == 2) {
      CHECK(std::get<embedding>(how).vectors.size() == 2);
      continue;
    }
    auto& why = std::get<failure>(how);
    CHECK(why.code == errc::unsupported);
    CHECK(why.message == "dimensions: vectors of 8 numbers were asked for, and 2 came");
    CHECK(why.suggestion.find("leave them out") != std::string::npos);
    CHECK(why.usage->input == 9);
    CHECK(why.attempts.size() == 1);
  }
}

} // namespace modelforge::engine_test
