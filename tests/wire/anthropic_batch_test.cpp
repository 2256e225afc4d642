#include "wire/anthropic/anthropic.hpp"
#include "wire/batch_api.hpp"

#include "tests/wire/hear.hpp"

namespace modelforge::anthropic_batch_test {

using namespace modelforge::test;

namespace {

chat_request hello() {
  chat_request x;
  x.model = "claude-x-5";
  x.messages = {text_message(role::user, "Hi")};
  return x;
}

std::unique_ptr<batch_api> api() {
  return anthropic::messages_api().batches();
}

batch_status job(std::string_view body) {
  return std::get<batch_status>(api()->decode_job({200, {}}, body));
}

constexpr auto answered = R"({"custom_id":"n1-2","result":{"type":"succeeded","message":{"id":"msg_b1","type":"message",
  "role":"assistant","model":"claude-x-5","content":[{"type":"text","text":"Hey"}],"stop_reason":"end_turn",
  "stop_sequence":null,"usage":{"input_tokens":8,"output_tokens":3}}}})";

} // namespace

TEST_CASE("Anthropic's batch carries the live requests", "[wire][batch]") {
  CHECK_FALSE(api()->has_upload());
  auto live = std::get<encoded_request>(anthropic::messages_api().encode(hello())).body;
  std::vector<std::string> lines;
  for (auto id : {"n1-0", "n1-1"})
    lines.push_back(std::get<batch_line>(api()->encode_item(id, hello())).text);
  auto x = api()->create({}, lines, "n1");
  CHECK(x.method == "POST");
  CHECK(x.path == "/v1/messages/batches");
  CHECK(x.body
        == R"({"requests":[{"custom_id":"n1-0","params":)" + live + R"(},{"custom_id":"n1-1","params":)" + live
             + "}]}");
  CHECK(api()->poll("b/1").path == "/v1/messages/batches/b%2F1");
  CHECK(api()->cancel("b").path == "/v1/messages/batches/b/cancel");
  CHECK(api()->cancel("b").method == "POST");
  CHECK(api()->list("").path == "/v1/messages/batches?limit=100");
  CHECK(api()->list("b").path == "/v1/messages/batches?limit=100&after_id=b");
  CHECK(api()->download("b").path == "/v1/messages/batches/b/results");
}

TEST_CASE("every status of Anthropic's batches is understood", "[wire][batch]") {
  struct {
    std::string word, counts;
    batch_state state;
    uint64_t total, succeeded, failed;
  } table[] = {
    {"in_progress", R"("processing":4,"succeeded":0,"errored":0,"canceled":0,"expired":0)", batch_state::running, 4, 0,
     0},
    {"canceling", R"("processing":4)", batch_state::cancelling, 4, 0, 0},
    {"something_new", R"("processing":4)", batch_state::running, 4, 0, 0},
    {"ended", R"("processing":0,"succeeded":3,"errored":1)", batch_state::completed, 4, 3, 1},
    {"Ended", R"("processing":"0","succeeded":"3","errored":"1")", batch_state::completed, 4, 3, 1},
    {"ended", R"("succeeded":1,"errored":1,"expired":2)", batch_state::expired, 4, 1, 3},
    {"ended", R"("succeeded":1,"canceled":2,"expired":1)", batch_state::cancelled, 4, 1, 3},
  };
  for (auto& row : table) {
    CAPTURE(row.word, row.counts);
    auto x = job(R"({"id":"msgbatch_1","type":"message_batch","processing_status":")" + row.word
                 + R"(","request_counts":{)" + row.counts + R"(},"results_url":"https://elsewhere.example/steal"})");
    CHECK(x.id == "msgbatch_1");
    CHECK(x.state == row.state);
    CHECK(x.raw_state == row.word);
    CHECK((x.total == row.total && x.succeeded == row.succeeded && x.failed == row.failed));
    auto outputs = is_over(row.state) ? std::vector<std::string>{"msgbatch_1"} : std::vector<std::string>{};
    CHECK(x.outputs == outputs);
    CHECK_FALSE(x.problem);
  }
  auto old = job(R"({"id":"b","processing_status":"ended","archived_at":"2026-01-01T00:00:00Z"})");
  CHECK(old.outputs.empty());
  CHECK(old.problem->code == errc::not_found);
}

TEST_CASE("Anthropic's lists and refusals are read", "[wire][batch]") {
  auto page = std::get<batch_page>(
    api()->decode_list({200, {}}, R"({"data":[{"id":"b2","processing_status":"ended"},{"id":"b1"}],"has_more":true})"));
  REQUIRE(page.jobs.size() == 2);
  CHECK(page.next == "b1");
  CHECK(std::get<failure>(api()->decode_job({200, {}}, R"({"id":"b"})")).code == errc::invalid_response);
  auto refused = std::get<failure>(api()->decode_job(
    {413, {}}, R"({"type":"error","error":{"type":"request_too_large","message":"big"},"request_id":"req_1"})"));
  CHECK(refused.code == errc::too_large);
  CHECK(refused.provider_code == "request_too_large");
  CHECK(refused.provider_request_id == "req_1");
}

TEST_CASE("every result type of Anthropic's batches is understood", "[wire][batch]") {
  auto good = std::get<batch_result>(api()->decode_result(answered));
  CHECK(good.id == "n1-2");
  CHECK(good.end == batch_end::succeeded);
  CHECK(std::get<completion>(good.answer).text == "Hey");
  CHECK(std::get<completion>(good.answer).usage->input == 8);
  auto error = [](std::string_view type) {
    return R"("errored","error":{"type":"error","error":{"type":")" + std::string{type}
           + R"(","message":"m"},"request_id":"req_b"})";
  };
  struct {
    std::string result;
    batch_end end;
    errc code;
    std::string provider_code;
  } table[] = {
    {R"("expired")", batch_end::expired, errc::deadline_exceeded, ""},
    {R"("canceled")", batch_end::cancelled, errc::cancelled, ""},
    {error("invalid_request_error"), batch_end::errored, errc::invalid_request, "invalid_request_error"},
    {error("rate_limit_error"), batch_end::errored, errc::rate_limited, "rate_limit_error"},
    {error("overloaded_error"), batch_end::errored, errc::overloaded, "overloaded_error"},
    {error("api_error"), batch_end::errored, errc::server_error, "api_error"},
    {error("new_error"), batch_end::errored, errc::server_error, "new_error"},
    {R"("errored","error":{"type":"invalid_request_error","message":"m"})", batch_end::errored, errc::invalid_request,
     "invalid_request_error"}, // without the object around it
    {R"("errored","error":{"type":"overloaded_error","message":"m"})", batch_end::errored, errc::overloaded,
     "overloaded_error"},
    {R"("errored")", batch_end::errored, errc::invalid_response, ""},
    {R"("errored","error":{})", batch_end::errored, errc::server_error, ""},
    {R"("something_new")", batch_end::errored, errc::invalid_response, ""},
    {R"("succeeded")", batch_end::errored, errc::invalid_response, ""},
    {R"("succeeded","message":{"type":"error"})", batch_end::errored, errc::server_error, ""},
  };
  for (auto& row : table) {
    CAPTURE(row.result);
    auto x =
      std::get<batch_result>(api()->decode_result(R"({"custom_id":"n1-3","result":{"type":)" + row.result + "}}"));
    CHECK(x.id == "n1-3");
    CHECK(x.end == row.end);
    auto& why = std::get<failure>(x.answer);
    CHECK(name_of(why.code) == name_of(row.code));
    CHECK(why.provider_code == row.provider_code);
  }
}

TEST_CASE("Anthropic's result line that is broken or cut is a failure, never an item", "[wire][batch]") {
  std::string_view whole = answered;
  for (std::size_t size = 0; size < whole.size(); ++size)
    CHECK(std::get<failure>(api()->decode_result(whole.substr(0, size))).code == errc::invalid_response);
  for (auto bad : {"null", "[]", "{}", R"({"custom_id":""})"})
    CHECK(std::get<failure>(api()->decode_result(bad)).code == errc::invalid_response);
}

} // namespace modelforge::anthropic_batch_test
