#include "provider/settlement.hpp"
#include "tests/provider/fixture.hpp"

#include <limits>

namespace modelforge::settlement_test {

using namespace test;

namespace {

struct settlement_test {
  provider::setup setup = prepared();
  limits::token_estimator estimator;
  provider::request asked = [this] {
    provider::request result;
    result.id = {1, 1};
    result.model = "m";
    result.dialect = setup.groups[0].dialect;
    result.accounting = {limits::token_accounting::input, limits::output_rule::sum};
    result.raw_tokens = 50;
    result.reserved = limits::charge_for(result.accounting, 80, 0);
    return result;
  }();

  std::pair<provider::outcome, dispatcher::attempt_end> settle(const http::response& answer,
                                                               const provider::request* of) {
    provider::settlement by{setup, estimator, of};
    auto how = by.read(answer);
    auto end = by.judge(answer, how, true);
    return {std::move(how), end};
  }
};

} // namespace

TEST_CASE_METHOD(settlement_test, "settlement: a good answer tells what it took, and trains the estimates",
                 "[provider]") {
  auto [how, end] = settle(answer("hello"), &asked);
  CHECK(std::get<completion>(how).text == "hello");
  CHECK_FALSE(end.failed);
  CHECK(end.written);
  REQUIRE(end.real);
  CHECK(limits::at(end.real->total(), limits::dimension::input_tokens) == 100);
  CHECK(end.output_tokens == 7);
  CHECK(estimator.errors("m").answers == 1);
}

TEST_CASE_METHOD(settlement_test, "settlement: an answer that tells no usage leaves what was reserved", "[provider]") {
  auto silent = answer();
  silent.body = R"({"choices":[{"message":{"role":"assistant","content":"x"},"finish_reason":"stop"}]})";
  CHECK_FALSE(settle(silent, &asked).second.real);
  silent.body = R"({"choices":[{"message":{"role":"assistant","content":"x"},"finish_reason":"stop"}],)"
                R"("usage":{"prompt_tokens":0,"completion_tokens":0}})";
  CHECK_FALSE(settle(silent, &asked).second.real); // no request is that short
  CHECK(estimator.errors("m").answers == 0);
}

TEST_CASE_METHOD(settlement_test, "settlement: a refusal tells its status, its wait and the limits", "[provider]") {
  auto [how, end] = settle(
    refusal(429, {{"retry-after", "7"}, {"x-ratelimit-limit-requests", "60"}, {"x-ratelimit-remaining-requests", "0"}}),
    &asked);
  CHECK(std::get<failure>(how).http_status == 429);
  REQUIRE(end.failed);
  CHECK(end.failed->status == 429);
  CHECK(end.failed->server_wait == 7s);
  CHECK(end.told[0].limit == 60);
  CHECK_FALSE(end.real);
}

TEST_CASE_METHOD(settlement_test, "settlement: what never went out may be charged to nobody", "[provider]") {
  auto unsent = settle(broken(errc::connect_failed, false), &asked).second;
  CHECK_FALSE(unsent.written);
  CHECK_FALSE(unsent.failed->written);
  auto lost = settle(broken(errc::connection_lost, true), &asked).second;
  CHECK(lost.written);
  auto refused = broken(errc::connection_lost, false);
  refused.end.error->refused = true;
  CHECK(settle(refused, &asked).second.failed->refused);
}

TEST_CASE_METHOD(settlement_test, "settlement: an answer nobody waits for teaches nothing but the limits",
                 "[provider]") {
  auto late = answer();
  late.head.headers = {{"x-ratelimit-limit-requests", "60"}};
  auto [how, end] = settle(late, nullptr);
  CHECK(std::holds_alternative<completion>(how));
  CHECK(end.told[0].limit == 60);
  CHECK_FALSE(end.real);
  CHECK(estimator.models() == 0);
}

TEST_CASE_METHOD(settlement_test, "settlement: what cannot be read is a failure, not the actor's end", "[provider]") {
  auto garbled = answer();
  garbled.body = "<html>welcome</html>";
  auto [how, end] = settle(garbled, &asked);
  CHECK(std::holds_alternative<failure>(how));
  CHECK(end.failed);
}

TEST_CASE_METHOD(settlement_test,
                 "settlement: an answer that lacks only the end of its compression counts if it is whole",
                 "[provider]") {
  auto cut = answer();
  cut.end = broken(errc::connection_lost, true).end;
  CHECK(std::holds_alternative<failure>(settle(cut, &asked).first));
  cut.end.error->decoded = true;
  CHECK(std::holds_alternative<completion>(settle(cut, &asked).first));
  cut.body = "data: " + cut.body + "\n\n";
  auto [how, end] = settle(cut, &asked);
  CHECK(std::get<failure>(how).code == errc::connection_lost);
  CHECK(end.failed);
}

} // namespace modelforge::settlement_test
