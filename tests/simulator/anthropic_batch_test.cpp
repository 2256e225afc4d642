#include "tests/simulator/client.hpp"

#include <catch2/catch_test_macros.hpp>

#include <set>
#include <sstream>

namespace modelforge::anthropic_batch_test {

using namespace modelforge::test;
using namespace std::chrono_literals;
namespace simulator = modelforge::simulator;

namespace {

constexpr auto version = "anthropic-version: 2023-06-01\r\n";
constexpr auto path = "/v1/messages/batches";

json params_of(int i) {
  return json::parse(merged(ask("What is " + std::to_string(i) + " * 3?"), R"({"max_tokens": 400})"));
}

json requests(int count) {
  auto all = json::array();
  for (int i = 0; i < count; ++i)
    all.push_back({{"custom_id", "row-" + std::to_string(i)}, {"params", params_of(i)}});
  return all;
}

http_answer create(uint16_t port, const json& all) {
  return fetch(port, "POST", path, json{{"requests", all}}.dump(), version);
}

http_answer call(uint16_t port, const char* method, const json& job, const std::string& verb = {}) {
  return fetch(port, method, std::string(path) + "/" + job["id"].get<std::string>() + verb, {}, version);
}

json finish(uint16_t port, json job) {
  REQUIRE(eventually([&] { return (job = call(port, "GET", job).parsed())["processing_status"] == "ended"; }));
  return job;
}

std::map<std::string, json> results(uint16_t port, const json& job) {
  std::map<std::string, json> all;
  auto url = job["results_url"].get<std::string>();
  REQUIRE(url.starts_with("http://test/v1/")); // as the client called it
  std::istringstream in{fetch(port, "GET", url.substr(url.find("/v1/")), {}, version).body};
  for (std::string line; std::getline(in, line);) {
    auto x = json::parse(line);
    CHECK(all.emplace(x["custom_id"], x["result"]).second);
  }
  return all;
}

json counts(int succeeded, int errored, int canceled, int expired) {
  return {
    {"processing", 0}, {"succeeded", succeeded}, {"errored", errored}, {"canceled", canceled}, {"expired", expired}};
}

simulator::options taking(std::chrono::milliseconds time) {
  simulator::options x;
  x.batch_time = time;
  return x;
}

} // namespace

TEST_CASE("Anthropic's batch says what the live calls say", "[simulator][batch]") {
  simulator::server server(taking(0ms));
  auto all = requests(20);
  all[3]["params"].erase("max_tokens");
  all[4]["params"]["stream"] = true;
  auto created = create(server.port(), all);
  CHECK(created.status == 200);
  auto job = finish(server.port(), created.parsed());
  CHECK(job["type"] == "message_batch");
  CHECK(job["request_counts"] == counts(18, 2, 0, 0));
  auto found = results(server.port(), job);
  CHECK(found.size() == 20);
  for (int i : {3, 4}) {
    auto& x = found["row-" + std::to_string(i)];
    CHECK(x["type"] == "errored");
    CHECK(x["error"]["type"] == "error");
    CHECK(x["error"]["error"]["type"] == "invalid_request_error");
  }
  for (int i : {0, 19}) {
    auto& x = found["row-" + std::to_string(i)];
    auto live = fetch(server.port(), "POST", "/v1/messages", params_of(i).dump(), version).parsed();
    CHECK(x["type"] == "succeeded");
    CHECK(x["message"]["content"] == live["content"]);
    CHECK(x["message"]["usage"] == live["usage"]);
  }
  CHECK(server.snapshot().batch_jobs == 1);
  CHECK(server.snapshot().batch_items == 20);
}

TEST_CASE("Anthropic's batch tells no counts before its end", "[simulator][batch]") {
  simulator::server server(taking(1h));
  auto job = create(server.port(), requests(4)).parsed();
  CHECK(job["processing_status"] == "in_progress");
  CHECK(job["request_counts"]["processing"] == 4);
  CHECK(job["results_url"].is_null());
  CHECK(call(server.port(), "GET", job, "/results").status == 404);
  CHECK(call(server.port(), "DELETE", job).status == 400);
}

TEST_CASE("Anthropic's batch ends early with partial results", "[simulator][batch]") {
  auto settings = taking(200ms);
  settings.batch_window = 100ms; // half of the items' time
  simulator::server server(settings);
  auto job = finish(server.port(), create(server.port(), requests(20)).parsed());
  CHECK(job["request_counts"] == counts(10, 0, 0, 10));
  std::multiset<std::string> types;
  for (auto& [id, x] : results(server.port(), job))
    types.insert(x["type"]);
  CHECK(types.count("succeeded") == 10);
  CHECK(types.count("expired") == 10);
  server.configure(taking(500ms));
  job = create(server.port(), requests(20)).parsed();
  auto answer = call(server.port(), "POST", job, "/cancel");
  CHECK(answer.parsed()["processing_status"] == "canceling");
  job = finish(server.port(), job);
  CHECK(job["cancel_initiated_at"].is_string());
  auto unrun = job["request_counts"]["canceled"].get<int>();
  CHECK(job["request_counts"] == counts(20 - unrun, 0, unrun, 0));
  CHECK(results(server.port(), job).size() == 20);
  CHECK(call(server.port(), "POST", job, "/cancel").status == 400);
  CHECK(call(server.port(), "DELETE", job).status == 200);
  CHECK(call(server.port(), "GET", job).status == 404);
}

TEST_CASE("Anthropic's batch that makes no sense is not created", "[simulator][batch]") {
  auto settings = taking(0ms);
  settings.batch_items = 3;
  simulator::server server(settings);
  auto good = requests(1)[0];
  auto with = [&](const char* name, const json& value) {
    auto x = good;
    x[name] = value;
    return json::array({x});
  };
  struct row {
    json requests;
    const char* named;
  };
  for (const auto& [all, named] :
       {row{json::array(), "requests"}, row{requests(4), "requests"}, row{json::array({good, good}), "requests.1"},
        row{with("custom_id", "a.b"), "requests.0.custom_id"}, row{with("custom_id", ""), "requests.0.custom_id"},
        row{with("custom_id", std::string(65, 'a')), "requests.0.custom_id"},
        row{with("params", nullptr), "requests.0.params"}, row{json::array({1}), "requests.0.custom_id"}}) {
    INFO(all.dump());
    auto answer = create(server.port(), all);
    CHECK(answer.status == 400);
    CHECK(answer.parsed()["error"]["message"].get<std::string>().starts_with(named));
  }
  CHECK(fetch(server.port(), "POST", path, json{{"requests", requests(1)}}.dump()).status == 400); // no version
  CHECK(create(server.port(), with("custom_id", std::string(64, '-'))).status == 200);
  CHECK(server.snapshot().batch_jobs == 1);
}

TEST_CASE("Anthropic's batches are listed, whatever was told of their creation", "[simulator][batch]") {
  auto settings = taking(0ms);
  settings.batch_cut = 1;
  settings.batch_errors = 1;
  simulator::server server(settings);
  for (int i = 0; i < 3; ++i)
    CHECK(create(server.port(), requests(2)).status == 0);
  auto first = fetch(server.port(), "GET", std::string(path) + "?limit=2", {}, version).parsed();
  CHECK(first["data"].size() == 2);
  CHECK(first["has_more"] == true);
  auto last = first["last_id"].get<std::string>();
  auto rest = fetch(server.port(), "GET", std::string(path) + "?after_id=" + last, {}, version).parsed();
  REQUIRE(rest["data"].size() == 1);
  CHECK(rest["has_more"] == false);
  CHECK(rest["data"][0]["request_counts"] == counts(0, 2, 0, 0));
  CHECK(results(server.port(), rest["data"][0])["row-1"]["error"]["error"]["type"] == "api_error");
}

} // namespace modelforge::anthropic_batch_test
