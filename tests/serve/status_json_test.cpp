#include "telemetry/status_json.hpp"

#include <catch2/catch_test_macros.hpp>
#include <nlohmann/json.hpp>

namespace modelforge::status_json_test {

using namespace std::chrono_literals;

namespace {

provider_status full_status() {
  provider_status x;
  x.name = "main";
  x.kind = "openai";
  x.base_url = "https://api.openai.com/v1";
  x.max_concurrent = 16;
  x.queued = 340;
  x.queued_batch = 300;
  x.queued_bytes = 123'456;
  x.waiting = 3;
  x.next_retry = 1'200ms;
  x.in_flight = 12;
  x.predicted_wait = 4'100ms;
  x.answered = 10'000;
  x.failed = 4;
  x.late = 1;
  x.attempts = 10'233;
  x.retries = {{"rate", 12}, {"transient", 3}};
  x.refusals = {{"queue_full", 2}};
  x.draining = true;
  x.problem = "a \"quoted\"\nproblem";
  x.lanes = {{"default", "half_open", 7, 16, 12, 2'500ms, true, {{"requests", 500, 431}}}};
  return x;
}

} // namespace

TEST_CASE("a status survives its way through JSON", "[telemetry]") {
  telemetry::program_status x;
  x.pid = 4711;
  x.providers = {{telemetry::provider_state::draining, "owner", full_status()},
                 {telemetry::provider_state::unanswered, "", {}}};
  auto read = telemetry::read_status(telemetry::to_json(x));
  REQUIRE(read);
  CHECK(read->pid == 4711);
  CHECK(read->providers == x.providers);
}

TEST_CASE("a status in JSON has stable names, and seconds as numbers", "[telemetry]") {
  auto x = nlohmann::json::parse(telemetry::to_json(full_status()));
  CHECK(x["queued"]["interactive"] == 40);
  CHECK(x["queued"]["batch"] == 300);
  CHECK(x["retries_waiting"] == 3);
  CHECK(x["next_retry_seconds"] == 1.2);
  CHECK(x["predicted_wait_seconds"] == 4.1);
  CHECK(x["retries"]["rate"] == 12);
  CHECK(x["lanes"][0]["paused_seconds"] == 2.5);
  CHECK(x["lanes"][0]["limits"][0]["used_percent"] == 86.2);
  auto empty = nlohmann::json::parse(telemetry::to_json(provider_status{}));
  CHECK(empty["next_retry_seconds"].is_null());
  CHECK(empty["retries"].is_object());
  CHECK(empty["lanes"].is_array());
}

TEST_CASE("a status of a program that tells no states is read by what else it tells", "[telemetry]") {
  auto read = telemetry::read_status(R"({"program":"modelforge","pid":1,"providers":[{"name":"a","draining":true},)"
                                     R"({"name":"b"},{"name":"c","state":"no such state","lanes":[{"out":true}]}]})");
  REQUIRE(read);
  REQUIRE(read->providers.size() == 3);
  CHECK(read->providers[0].state == telemetry::provider_state::draining);
  CHECK(read->providers[1].state == telemetry::provider_state::ready);
  CHECK(read->providers[2].state == telemetry::provider_state::key_refused);
}

TEST_CASE("what is no status is not read as one", "[telemetry]") {
  for (auto* text : {"", "{", "[]", "{}", "null", R"({"program":"other","providers":[]})", R"({"providers":[]})"})
    CHECK_FALSE(telemetry::read_status(text));
  auto odd = telemetry::read_status(
    R"({"program":"modelforge","pid":-3,"providers":[{"name":7,"in_flight":-1,"max_concurrent":99999999999,)"
    R"("queued":[],"next_retry_seconds":1e300,"retries":[1],"lanes":{"a":1},"attempts":1.5},3]})");
  REQUIRE(odd);
  CHECK(odd->pid == 0);
  REQUIRE(odd->providers.size() == 2);
  auto& x = odd->providers[0].status;
  CHECK(x.name.empty());
  CHECK(x.in_flight == 0);
  CHECK(x.max_concurrent == UINT32_MAX);
  CHECK(x.next_retry == 1'000'000'000s);
  CHECK(x.lanes.empty());
}

} // namespace modelforge::status_json_test
