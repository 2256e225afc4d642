#include "wire/anthropic/anthropic.hpp"
#include "wire/batch_api.hpp"
#include "wire/openai/openai.hpp"

#include "tests/simulator/client.hpp"

#include <catch2/catch_test_macros.hpp>

#include <map>
#include <sstream>

namespace modelforge::batch_flow_test {

using namespace modelforge::wire;
using namespace std::chrono_literals;

// Whole batch jobs, between what we write and what the simulated provider reads.

namespace {

chat_request request(uint64_t number) {
  chat_request x;
  x.model = "sim-mini";
  x.messages = {text_message(role::user, "What is " + std::to_string(number) + " * 3?")};
  x.sampling.max_tokens = 200;
  return x;
}

/// A provider's client, without any cleverness.
class caller {
public:
  caller(const dialect& by, const simulator::options& settings) : by_(by), server_(settings) {}

  test::http_answer call(const batch_call& x) {
    std::string headers;
    for (auto* list : {&x.headers, &common_})
      for (auto& [name, value] : *list)
        headers += name + ": " + value + "\r\n";
    return test::fetch(server_.port(), x.method, prefix_ + x.path, x.body, headers);
  }

  static http::response_head head_of(const test::http_answer& x) { return {static_cast<uint16_t>(x.status), {}}; }

  batch_status create(const batch_api& api, uint64_t items) {
    std::vector<std::string> lines;
    for (uint64_t i = 0; i < items; ++i)
      lines.push_back(std::get<batch_line>(api.encode_item(batch_item_id("n1", i), request(i))).text);
    std::string input;
    if (api.has_upload()) {
      auto answer = call(api.upload(lines, "n1"));
      input = std::get<std::string>(api.decode_upload(head_of(answer), answer.body));
    }
    return job(api, api.create(input, lines, "n1"));
  }

  batch_status job(const batch_api& api, const batch_call& x) {
    auto answer = call(x);
    INFO(answer.body);
    return std::get<batch_status>(api.decode_job(head_of(answer), answer.body));
  }

  batch_page list(const batch_api& api, std::string_view after = {}) {
    auto answer = call(api.list(after));
    return std::get<batch_page>(api.decode_list(head_of(answer), answer.body));
  }

  batch_status finish(const batch_api& api, batch_status x) {
    REQUIRE(test::eventually([&] { return is_over((x = job(api, api.poll(x.id))).state); }));
    return x;
  }

  std::map<uint64_t, batch_result> results(const batch_api& api, const batch_status& x) {
    std::map<uint64_t, batch_result> all;
    for (auto& output : x.outputs) {
      std::istringstream in{call(api.download(output)).body};
      for (std::string line; std::getline(in, line);) {
        auto result = std::get<batch_result>(api.decode_result(line));
        auto number = batch_item_number("n1", result.id);
        REQUIRE(number);
        CHECK(all.emplace(*number, std::move(result)).second);
      }
    }
    return all;
  }

  simulator::server& server() { return server_; }

private:
  const dialect& by_;
  simulator::server server_;
  const std::vector<http::header> common_ = by_.headers();
  std::string prefix_ = by_.name().starts_with("openai") ? "/v1" : "";
};

const dialect* const all[] = {&openai::chat_api(), &openai::responses_api(), &anthropic::messages_api()};

std::map<batch_end, int> ends_of(const std::map<uint64_t, batch_result>& results) {
  std::map<batch_end, int> ends;
  for (auto& [number, x] : results)
    ++ends[x.end];
  return ends;
}

} // namespace

TEST_CASE("a whole batch comes back, every item with its own result", "[wire][batch]") {
  simulator::options settings;
  settings.batch_time = 0ms;
  for (auto* by : all) {
    INFO(by->name());
    caller x{*by, settings};
    auto api = by->batches();
    auto done = x.finish(*api, x.create(*api, 50));
    CHECK(done.state == batch_state::completed);
    CHECK((done.total == 50 && done.succeeded == 50 && done.failed == 0));
    auto results = x.results(*api, done);
    REQUIRE(results.size() == 50);
    for (auto& [number, result] : results) {
      REQUIRE(result.end == batch_end::succeeded);
      auto& text = std::get<completion>(result.answer).text;
      CHECK(text.find(std::to_string(number * 3)) != text.npos);
    }
    CHECK(x.server().snapshot().batch_jobs == 1);
  }
}

TEST_CASE("a batch that expired or failed in parts tells of every item", "[wire][batch]") {
  simulator::options settings;
  settings.batch_time = 200ms;
  settings.batch_window = 100ms; // half of the items' time
  for (auto* by : all) {
    INFO(by->name());
    caller x{*by, settings};
    auto api = by->batches();
    auto done = x.finish(*api, x.create(*api, 20));
    CHECK(done.state == batch_state::expired);
    CHECK((done.succeeded == 10 && done.failed == 10));
    CHECK(ends_of(x.results(*api, done))
          == std::map<batch_end, int>{{batch_end::succeeded, 10}, {batch_end::expired, 10}});
    auto failing = settings;
    failing.batch_time = 0ms;
    failing.batch_errors = 1;
    x.server().configure(failing);
    done = x.finish(*api, x.create(*api, 20));
    auto results = x.results(*api, done);
    CHECK(ends_of(results) == std::map<batch_end, int>{{batch_end::errored, 20}});
    for (auto& [number, result] : results)
      CHECK(std::get<failure>(result.answer).code == errc::server_error);
  }
}

TEST_CASE("a batch is cancelled, and found again by what was told of it", "[wire][batch]") {
  simulator::options settings;
  settings.batch_time = 1s;
  for (auto* by : all) {
    INFO(by->name());
    caller x{*by, settings};
    auto api = by->batches();
    auto made = x.create(*api, 10);
    auto page = x.list(*api);
    REQUIRE(page.jobs.size() == 1);
    CHECK(page.jobs[0].id == made.id);
    CHECK(page.jobs[0].nonce == (api->has_upload() ? "n1" : ""));
    CHECK(page.jobs[0].created);
    CHECK(page.next.empty());
    CHECK(x.job(*api, api->cancel(made.id)).state == batch_state::cancelling);
    auto done = x.finish(*api, made);
    CHECK(done.state == batch_state::cancelled);
    CHECK(x.results(*api, done).size() == 10);
  }
}

TEST_CASE("a batch that is refused says why", "[wire][batch]") {
  simulator::options settings;
  settings.batch_time = 0ms;
  settings.batch_queue_tokens = 10;
  caller x{openai::chat_api(), settings};
  auto api = openai::chat_api().batches();
  auto done = x.finish(*api, x.create(*api, 5));
  CHECK(done.state == batch_state::failed);
  CHECK(done.problem->code == errc::rate_limited);
  auto answer = x.call(api->poll("batch_none"));
  CHECK(std::get<failure>(api->decode_job(caller::head_of(answer), answer.body)).code == errc::not_found);
}

} // namespace modelforge::batch_flow_test
