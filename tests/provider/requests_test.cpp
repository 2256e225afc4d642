#include "provider/requests.hpp"
#include "tests/provider/fixture.hpp"
#include "tests/support/temporary_folder.hpp"

#include <algorithm>

namespace modelforge::requests_test {

using namespace test;

namespace {

struct requests_test {
  temporary_folder folder;
  provider::setup setup = [this] {
    auto settings = acme();
    settings.keys = {{"one", {}, folder.write("one", "sk-11111111\n")}};
    settings.price.input = 10;
    return prepared(settings);
  }();
  provider::requests all;

  provider::request& add(uint64_t number, bool streamed = false) {
    provider::request fresh;
    fresh.id = {1, number};
    fresh.model = "m";
    fresh.streamed = streamed;
    fresh.accepted = fresh.idle_since = start_time;
    fresh.encoded = {"/chat/completions", {{"content-type", "application/json"}}, {}, {"temperature is ignored"}};
    fresh.body = std::make_shared<const std::string>("{}");
    return all.add(std::move(fresh));
  }

  dispatcher::dispatch go(const provider::request& which, uint32_t number) {
    return {.id = which.id, .attempt = number, .number = number, .waited_for = wait_reason::slot};
  }
};

std::string value_of(const http::request& sent, const std::string& name) {
  auto i = std::find_if(sent.headers.begin(), sent.headers.end(), [&](auto& header) { return header.name == name; });
  return i != sent.headers.end() ? i->value : "";
}

} // namespace

TEST_CASE_METHOD(requests_test, "requests: each attempt sends the same words under a number of its own", "[provider]") {
  auto& which = add(1);
  auto first = all.begin_attempt(which, go(which, 1), setup, start_time);
  all.end_attempt(which, 500, errc::server_error, start_time + 1s);
  auto second = all.begin_attempt(which, go(which, 2), setup, start_time + 2s);
  CHECK(first.url == "http://acme.test/v1/chat/completions");
  CHECK(first.content() == "{}");
  CHECK(second.shared_body == first.shared_body);
  CHECK(value_of(first, "x-modelforge-request") == to_string(which.id));
  CHECK(value_of(first, "x-modelforge-attempt") == "1");
  CHECK(value_of(second, "x-modelforge-attempt") == "2");
  CHECK(value_of(second, "content-type") == "application/json");
  CHECK(value_of(second, "authorization") == "Bearer sk-11111111");
  CHECK(which.spent == 2);
}

TEST_CASE_METHOD(requests_test, "requests: a stream's session looks after its bytes, the transport does not",
                 "[provider]") {
  auto& whole = add(1);
  auto& stream = add(2, true);
  auto one = all.begin_attempt(whole, go(whole, 1), setup, start_time);
  CHECK(one.idle_timeout == setup.settings.timeouts.idle);
  CHECK(one.max_response_bytes == setup.runtime.max_response_bytes);
  CHECK(one.compression);
  auto other = all.begin_attempt(stream, go(stream, 1), setup, start_time);
  CHECK(other.idle_timeout == 0s);
  CHECK(other.max_response_bytes == setup.runtime.max_response_bytes);
  CHECK_FALSE(other.compression);
  CHECK(other.total_timeout == setup.settings.timeouts.total);
}

TEST_CASE_METHOD(requests_test, "requests: a record tells what an attempt waited for, and how it ended", "[provider]") {
  auto& which = add(1);
  all.begin_attempt(which, go(which, 1), setup, start_time + 3s);
  all.end_attempt(which, 429, errc::rate_limited, start_time + 5s);
  which.idle_since = start_time + 5s;
  all.begin_attempt(which, go(which, 2), setup, start_time + 5s);
  all.end_attempt(which, 200, errc::none, start_time + 6s);
  CHECK_FALSE(which.under_way);
  REQUIRE(which.records.size() == 2);
  CHECK(which.records[0]
        == attempt_record{.number = 1,
                          .lane = "one",
                          .waited_for = wait_reason::slot,
                          .waited = 3s,
                          .started = 3s,
                          .duration = 2s,
                          .http_status = 429,
                          .result = errc::rate_limited});
  CHECK(which.records[1].waited_for == wait_reason::nothing); // it did not wait
  CHECK(which.records[1].started == 5s);
}

TEST_CASE_METHOD(requests_test, "requests: many refusals leave 64 records, the first among them", "[provider]") {
  auto& which = add(1);
  for (uint32_t number = 1; number <= 100; ++number) {
    all.begin_attempt(which, go(which, number), setup, start_time);
    all.end_attempt(which, 429, errc::rate_limited, start_time);
  }
  REQUIRE(which.records.size() == provider::requests::max_records);
  CHECK(which.records[0].number == 1);
  CHECK(which.records[1].number == 38);
  CHECK(which.records.back().number == 100);
}

TEST_CASE_METHOD(requests_test, "requests: an answer is signed with what is known here, and without secrets",
                 "[provider]") {
  auto& which = add(1);
  all.begin_attempt(which, go(which, 1), setup, start_time + 1s);
  all.end_attempt(which, 200, errc::none, start_time + 4s);
  completion good;
  good.text = "the key is sk-11111111";
  good.usage = token_usage{.input = 1'000'000};
  good.warnings = {"from the provider"};
  http::transfer_times times;
  times.first_byte = 2s;
  all.sign(good, which, times, setup, start_time + 4s);
  CHECK(good.id == which.id);
  CHECK(good.provider == "acme");
  CHECK(good.model == "m");
  CHECK(good.text == "the key is ***");
  CHECK(good.cost == 10.0);
  CHECK(good.timings == timings{1s, 2s, 4s});
  CHECK(good.attempts.size() == 1);
  CHECK(good.warnings == std::vector<std::string>{"temperature is ignored", "from the provider"});
}

TEST_CASE_METHOD(requests_test, "requests: a failure tells its lane and its attempts", "[provider]") {
  auto& which = add(1);
  all.begin_attempt(which, go(which, 1), setup, start_time);
  all.end_attempt(which, 401, errc::authentication, start_time);
  auto why = make_failure(errc::authentication, "sk-11111111 is no good");
  all.sign(why, which, setup);
  CHECK(why.lane == "one");
  CHECK(why.attempts.size() == 1);
  CHECK(why.message == "*** is no good");
}

TEST_CASE_METHOD(requests_test, "requests: what a lost asker had spent comes back with its request", "[provider]") {
  auto& which = add(1);
  which.reports = true;
  all.begin_attempt(which, go(which, 1), setup, start_time);
  all.end_attempt(which, 500, errc::server_error, start_time + 1s);
  all.begin_attempt(which, go(which, 2), setup, start_time + 1s);
  all.keep_spent(which, start_time + 3s);
  all.remove(which, start_time + 3s);
  CHECK(all.empty());
  auto spent = all.spent_before().all_of({1, 1}, {1, 3s, {}, true}, start_time + 4s);
  CHECK(spent.spent == 2);
  REQUIRE(spent.records.size() == 2);
  CHECK(spent.records[1].result == errc::node_lost);
  CHECK(spent.records[1].duration == 2s);
}

} // namespace modelforge::requests_test
