#include "wire/azure/azure.hpp"
#include "wire/batch_api.hpp"

#include "tests/wire/hear.hpp"

namespace modelforge::openai_batch_test {

using namespace modelforge::test;
using json = modelforge::json::value;

namespace {

chat_request hello() {
  chat_request x;
  x.model = "m";
  x.messages = {text_message(role::user, "Hi\r\n--modelforge-n1")};
  return x;
}

std::string line(const dialect& by, std::string_view id = "n1-7") {
  return std::get<batch_line>(by.batches()->encode_item(id, hello())).text;
}

batch_status job(std::string_view body) {
  return std::get<batch_status>(openai::chat_api().batches()->decode_job({200, {}}, body));
}

batch_result result(std::string_view text) {
  return std::get<batch_result>(openai::chat_api().batches()->decode_result(text));
}

constexpr auto answered = R"({"id":"b1","custom_id":"n1-2","response":{"status_code":200,"request_id":"req_1","body":{
  "id":"chatcmpl-b","object":"chat.completion","model":"m-1","choices":[{"index":0,
  "message":{"role":"assistant","content":"Hey"},"finish_reason":"stop"}],
  "usage":{"prompt_tokens":5,"completion_tokens":2,"total_tokens":7}}},"error":null})";

} // namespace

TEST_CASE("a batch line is the live request", "[wire][batch]") {
  struct {
    const dialect& by;
    std::string url;
  } table[] = {
    {openai::chat_api(), "/v1/chat/completions"},
    {openai::responses_api(), "/v1/responses"},
    {azure::api(), "/v1/chat/completions"},
    {azure::api(true), "/v1/responses"},
    {azure::api(false, "https://r.openai.azure.com", "2024-10-21"), "/chat/completions"},
  };
  for (auto& row : table) {
    auto text = line(row.by);
    CAPTURE(text);
    CHECK(text.find('\n') == text.npos);
    auto x = std::get<json>(modelforge::json::parse(text));
    CHECK(x["custom_id"] == "n1-7");
    CHECK(x["method"] == "POST");
    CHECK(x["url"] == row.url);
    CHECK(x["body"].dump() == std::get<encoded_request>(row.by.encode(hello())).body);
  }
  auto bad = hello();
  bad.messages[0] = text_message(role::user, "\xff");
  CHECK(std::get<failure>(openai::chat_api().batches()->encode_item("n1-7", bad)).code == errc::invalid_request);
  CHECK(openai::compatible_chat_api().batches() == nullptr);
  CHECK(openai::compatible_chat_api("groq").batches() == nullptr);
}

TEST_CASE("a batch file is uploaded as a form", "[wire][batch]") {
  auto api = openai::chat_api().batches();
  CHECK(api->has_upload());
  std::vector<std::string> lines{line(openai::chat_api(), "n1-0"), line(openai::chat_api(), "n1-1")};
  auto x = api->upload(lines, "n1");
  CHECK(x.method == "POST");
  CHECK(x.path == "/files");
  REQUIRE(x.headers.size() == 1);
  CHECK(x.headers[0] == http::header{"content-type", "multipart/form-data; boundary=modelforge-n1"});
  CHECK(x.body
        == "--modelforge-n1\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\nbatch\r\n"
           "--modelforge-n1\r\nContent-Disposition: form-data; name=\"file\"; filename=\"modelforge-n1.jsonl\"\r\n"
           "Content-Type: application/jsonl\r\n\r\n"
             + lines[0] + "\n" + lines[1] + "\n\r\n--modelforge-n1--\r\n");
  CHECK(std::get<std::string>(api->decode_upload({200, {}}, R"({"id":"file-1","bytes":3})")) == "file-1");
  CHECK(std::get<failure>(api->decode_upload({200, {}}, "{}")).code == errc::invalid_response);
  CHECK(std::get<failure>(api->decode_upload({401, {}}, R"({"error":{"message":"no"}})")).code == errc::authentication);
}

TEST_CASE("calls about a batch go to its place", "[wire][batch]") {
  struct {
    const dialect& by;
    std::string prefix, query, list;
  } table[] = {
    {openai::chat_api(), "", "", "/batches?limit=100"},
    {azure::api(false, "https://r.openai.azure.com/openai/v1"), "", "", "/batches?limit=100"},
    {azure::api(false, "https://r.openai.azure.com", "2024-10-21"), "/openai", "?api-version=2024-10-21",
     "/openai/batches?api-version=2024-10-21&limit=100"},
  };
  for (auto& [by, prefix, query, list] : table) {
    auto api = by.batches();
    auto path = [&](std::string_view x) { return prefix + std::string{x} + query; };
    CHECK(api->create("file-1", {}, "n1").path == path("/batches"));
    CHECK(api->poll("a/b").path == path("/batches/a%2Fb"));
    CHECK(api->poll("b").method == "GET");
    CHECK(api->cancel("b").path == path("/batches/b/cancel"));
    CHECK(api->cancel("b").method == "POST");
    CHECK(api->download("f").path == path("/files/f/content"));
    CHECK(api->list("").path == list);
    CHECK(api->list("b1").path == list + "&after=b1");
  }
  auto body = std::get<json>(modelforge::json::parse(openai::chat_api().batches()->create("file-1", {}, "n1").body));
  CHECK(body
        == json{{"input_file_id", "file-1"},
                {"endpoint", "/v1/chat/completions"},
                {"completion_window", "24h"},
                {"metadata", {{"modelforge_job", "n1"}}}});
}

TEST_CASE("every status of a batch is understood", "[wire][batch]") {
  struct {
    std::string word;
    batch_state state;
    bool over;
  } table[] = {
    {"validating", batch_state::checking, false},   {"in_progress", batch_state::running, false},
    {"finalizing", batch_state::ending, false},     {"cancelling", batch_state::cancelling, false},
    {"completed", batch_state::completed, true},    {"expired", batch_state::expired, true},
    {"cancelled", batch_state::cancelled, true},    {"failed", batch_state::failed, true},
    {"something_new", batch_state::running, false},
  };
  for (auto& row : table) {
    CAPTURE(row.word);
    auto x = job(R"({"id":"b1","status":")" + row.word
                 + R"(","output_file_id":"f1","error_file_id":null,"created_at":1790000000,
                 "request_counts":{"total":3,"completed":1,"failed":2},"metadata":{"modelforge_job":"n1","a":"b"}})");
    CHECK(x.state == row.state);
    CHECK(is_over(x.state) == row.over);
    CHECK(x.raw_state == row.word);
    CHECK(x.id == "b1");
    CHECK(x.nonce == "n1");
    CHECK(x.created == 1'790'000'000);
    CHECK((x.total == 3 && x.succeeded == 1 && x.failed == 2));
    CHECK(x.outputs == (row.over ? std::vector<std::string>{"f1"} : std::vector<std::string>{}));
    CHECK(x.problem.has_value() == (row.state == batch_state::failed));
  }
  auto both = job(R"({"id":"b","status":"expired","output_file_id":"f1","error_file_id":"f2","metadata":null})");
  CHECK(both.outputs == std::vector<std::string>{"f1", "f2"});
  CHECK(both.nonce.empty());
}

TEST_CASE("a batch that failed says why", "[wire][batch]") {
  auto x = *job(R"({"id":"b","status":"failed","errors":{"object":"list","data":[
    {"code":"invalid_json_line","line":7,"message":"Line is not valid JSON","param":null},{"code":"other"}]}})")
              .problem;
  CHECK(x.code == errc::invalid_request);
  CHECK(x.provider_code == "invalid_json_line");
  CHECK(x.provider_message == "Line is not valid JSON");
  CHECK(x.message.find("line 7") != x.message.npos);
  CHECK(x.message.find("2 reasons") != x.message.npos);
  x = *job(R"({"id":"b","status":"failed","errors":{"data":[{"code":"token_limit_exceeded","line":null}]}})").problem;
  CHECK(x.code == errc::rate_limited);
  CHECK(job(R"({"id":"b","status":"failed","errors":null})").problem->code == errc::invalid_request);
}

TEST_CASE("answers that are no batch are failures", "[wire][batch]") {
  auto api = openai::chat_api().batches();
  struct {
    uint16_t status;
    std::string_view body;
    errc code;
  } table[] = {
    {200, "", errc::invalid_response},
    {200, "<html></html>", errc::invalid_response},
    {200, "[]", errc::invalid_response},
    {200, R"({"id":"b"})", errc::invalid_response},
    {404, R"({"error":{"message":"No batch found"}})", errc::not_found},
    {429, R"({"error":{"message":"slow","code":"rate_limit_exceeded"}})", errc::rate_limited},
    {500, "", errc::server_error},
  };
  for (auto& row : table) {
    CAPTURE(row.body);
    CHECK(name_of(std::get<failure>(api->decode_job({row.status, {}}, row.body)).code) == name_of(row.code));
    CHECK(name_of(std::get<failure>(api->decode_list({row.status, {}}, row.body)).code) == name_of(row.code));
  }
}

TEST_CASE("lists of batches are read page by page", "[wire][batch]") {
  auto api = openai::chat_api().batches();
  auto read = [&](std::string_view body) { return std::get<batch_page>(api->decode_list({200, {}}, body)); };
  auto page = read(R"({"data":[{"id":"b2","status":"completed","metadata":{"modelforge_job":"n2"}},
    {"id":"b1","status":"expired"}],"has_more":true,"last_id":"b1"})");
  REQUIRE(page.jobs.size() == 2);
  CHECK(page.jobs[0].nonce == "n2");
  CHECK(page.jobs[1].state == batch_state::expired);
  CHECK(page.next == "b1");
  CHECK(read(R"({"data":[{"id":"b1","status":"expired"}],"has_more":false})").next.empty());
  CHECK(read(R"({"data":[],"has_more":true})").next.empty());
}

TEST_CASE("a result is what the live answer would have been", "[wire][batch]") {
  auto x = result(answered);
  CHECK(x.id == "n1-2");
  CHECK(x.end == batch_end::succeeded);
  auto& good = std::get<completion>(x.answer);
  CHECK(good.text == "Hey");
  CHECK(good.finish_reason == finish_reason::stop);
  CHECK(good.usage->input == 5);
  CHECK(good.provider_request_id == "req_1");
}

TEST_CASE("figures of jobs and results count in strings, too, and states in any case", "[wire][batch]") {
  std::string text{answered};
  text.replace(text.find("200"), 3, "\"200\"");
  CHECK(std::get<completion>(result(text).answer).text == "Hey");
  text.replace(text.find("\"200\""), 5, "\"500\"");
  CHECK(result(text).end == batch_end::errored);
  for (auto& [name, state] : {std::pair{"completed", batch_state::completed},
                              {"COMPLETED", batch_state::completed},
                              {"Succeeded", batch_state::completed},
                              {"SUCCESS", batch_state::completed},
                              {"canceled", batch_state::cancelled},
                              {"Cancelled", batch_state::cancelled},
                              {"FAILED", batch_state::failed},
                              {"TIMEOUT_EXCEEDED", batch_state::expired},
                              {"QUEUED", batch_state::checking},
                              {"RUNNING", batch_state::running},
                              {"something_new", batch_state::running}}) {
    CAPTURE(name);
    auto is = job(R"({"id":"b","status":")" + std::string{name}
                  + R"(","created_at":"1000","request_counts":{"total":"3","completed":"2","failed":"1"}})");
    CHECK(is.state == state);
    CHECK(is.raw_state == name);
    CHECK(is.created == 1000u);
    CHECK(is.total == 3);
    CHECK(is.succeeded == 2);
    CHECK(is.failed == 1);
  }
}

TEST_CASE("a result that is an error says which, in either shape", "[wire][batch]") {
  struct {
    std::string rest;
    batch_end end;
    errc code;
    std::string provider_code;
  } table[] = {
    {R"("response":{"status_code":400,"request_id":"r","body":{"error":{"message":"m","type":"invalid_request_error",
      "param":"max_tokens","code":"unsupported_parameter"}}},"error":null)",
     batch_end::errored, errc::invalid_request, "unsupported_parameter"},
    {R"("response":{"status_code":429,"body":{"error":{"code":"rate_limit_exceeded"}}})", batch_end::errored,
     errc::rate_limited, "rate_limit_exceeded"},
    {R"("response":{"status_code":500,"body":""})", batch_end::errored, errc::server_error, ""},
    {R"("response":{"status_code":200,"body":{}})", batch_end::errored, errc::invalid_response, ""},
    {R"("response":null,"error":{"code":"batch_expired","message":"over"})", batch_end::expired,
     errc::deadline_exceeded, "batch_expired"},
    {R"("response":null,"error":{"code":"batch_cancelled","message":"over"})", batch_end::cancelled, errc::cancelled,
     "batch_cancelled"},
    {R"("response":null,"error":{"code":"server_error","message":"broke"})", batch_end::errored, errc::server_error,
     "server_error"},
    {R"("response":null,"error":null)", batch_end::errored, errc::server_error, ""},
  };
  for (auto& row : table) {
    CAPTURE(row.rest);
    auto x = result(R"({"id":"b","custom_id":"n1-3",)" + row.rest + "}");
    CHECK(x.id == "n1-3");
    CHECK(x.end == row.end);
    auto& why = std::get<failure>(x.answer);
    CHECK(name_of(why.code) == name_of(row.code));
    CHECK(why.provider_code == row.provider_code);
    CHECK(!why.message.empty());
  }
}

TEST_CASE("a result line that is broken or cut is a failure, never an item", "[wire][batch]") {
  auto api = openai::chat_api().batches();
  std::string_view whole = answered;
  for (std::size_t size = 0; size < whole.size(); ++size)
    CHECK(std::get<failure>(api->decode_result(whole.substr(0, size))).code == errc::invalid_response);
  for (auto bad : {"null", "[]", "{}", R"({"custom_id":""})", R"({"custom_id":7,"response":null})"})
    CHECK(std::get<failure>(api->decode_result(bad)).code == errc::invalid_response);
}

TEST_CASE("items' ids tell job and number", "[wire][batch]") {
  CHECK(batch_item_id("n1", 0) == "n1-0");
  CHECK(batch_item_id(std::string(32, 'a'), UINT64_MAX).size() <= 64);
  for (uint64_t number : {uint64_t{0}, uint64_t{7}, uint64_t{99'999}, UINT64_MAX})
    CHECK(batch_item_number("n1", batch_item_id("n1", number)) == number);
  for (auto bad : {"", "n1", "n1-", "n1-07", "n1--1", "n1-x", "n1-1x", "n2-1", "n11-1", "n1-18446744073709551616"}) {
    CAPTURE(bad);
    CHECK_FALSE(batch_item_number("n1", bad));
  }
}

} // namespace modelforge::openai_batch_test
