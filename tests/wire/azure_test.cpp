#include "wire/azure/azure.hpp"

#include "tests/wire/hear.hpp"
#include "wire/vendors.hpp"

namespace modelforge::azure_test {

using namespace modelforge::test;
using json = modelforge::json::value;
using namespace std::chrono_literals;

namespace {

chat_request hello() {
  chat_request x;
  x.model = "my gpt/1";
  x.messages = {text_message(role::user, "Hi")};
  return x;
}

std::string path_of(const dialect& by, const chat_request& x) {
  return std::get<encoded_request>(by.encode(x)).path;
}

failure bad(uint16_t status, std::string_view body, std::vector<http::header> headers = {}) {
  auto result = azure::api().decode({status, std::move(headers)}, body);
  REQUIRE(std::holds_alternative<failure>(result));
  return std::get<failure>(result);
}

bool has(std::string_view text, std::string_view part) {
  return text.find(part) != text.npos;
}

} // namespace

TEST_CASE("Azure's surfaces are told apart, whichever is asked for first", "[wire][azure]") {
  auto& newer = azure::api(false, "https://r.openai.azure.com/openai/v1", "2024-10-21");
  auto& older = azure::api(false, "https://r.openai.azure.com/openai", "2024-10-21");
  chat_request x;
  x.model = "m";
  x.messages.push_back(text_message(role::user, "Hi"));
  CHECK(std::get<encoded_request>(newer.encode(x)).path == "/chat/completions?api-version=2024-10-21");
  CHECK(std::get<encoded_request>(older.encode(x)).path == "/deployments/m/chat/completions?api-version=2024-10-21");
}

TEST_CASE("Azure's paths follow from the address and the version", "[wire][azure]") {
  struct {
    std::string_view base_url, version;
    std::string chat, responses, embeddings, models;
  } table[] = {
    {"https://r.openai.azure.com/openai/v1", "", "/chat/completions", "/responses", "/embeddings", "/models"},
    {"https://r.openai.azure.com/openai", "", "/v1/chat/completions", "/v1/responses", "/v1/embeddings", "/v1/models"},
    {"https://r.openai.azure.com", "", "/openai/v1/chat/completions", "/openai/v1/responses", "/openai/v1/embeddings",
     "/openai/v1/models"},
    {"https://r.openai.azure.com/openai/v1", "preview", "/chat/completions?api-version=preview",
     "/responses?api-version=preview", "/embeddings?api-version=preview", "/models?api-version=preview"},
    {"https://r.openai.azure.com/openai", "2024-10-21",
     "/deployments/my%20gpt%2F1/chat/completions?api-version=2024-10-21", "/responses?api-version=2024-10-21",
     "/deployments/my%20gpt%2F1/embeddings?api-version=2024-10-21", "/models?api-version=2024-10-21"},
    {"https://gateway.example/team", "a&b=c", "/openai/deployments/my%20gpt%2F1/chat/completions?api-version=a%26b%3Dc",
     "/openai/responses?api-version=a%26b%3Dc", "/openai/deployments/my%20gpt%2F1/embeddings?api-version=a%26b%3Dc",
     "/openai/models?api-version=a%26b%3Dc"},
  };
  for (auto& row : table) {
    CAPTURE(row.base_url, row.version);
    auto& chat = azure::api(false, row.base_url, row.version);
    auto& responses = azure::api(true, row.base_url, row.version);
    CHECK(path_of(chat, hello()) == row.chat);
    CHECK(path_of(responses, hello()) == row.responses);
    CHECK(chat.models_path() == row.models);
    embedding_request x;
    x.model = hello().model;
    x.inputs = {"a"};
    for (auto* by : {&chat, &responses})
      CHECK(std::get<encoded_request>(by->encode_embedding(x)).path == row.embeddings);
    CHECK(&azure::api(false, row.base_url, row.version) == &chat); // one for all who ask
  }
  auto x = hello();
  x.model = "..";
  CHECK(path_of(azure::api(false, "", "1"), x) == "/openai/deployments/%2E%2E/chat/completions?api-version=1");
}

TEST_CASE("Azure's key has a header of its own, Microsoft's tokens the usual one", "[wire][azure]") {
  for (auto responses : {false, true}) {
    auto& by = azure::api(responses);
    CHECK(by.authorize("0123") == http::header{"api-key", "0123"});
    CHECK(by.authorize("eyJhbGci.eyJhdWQi.c2ln") == http::header{"authorization", "Bearer eyJhbGci.eyJhdWQi.c2ln"});
    CHECK(by.default_base_url().empty());
    CHECK(by.accounting() == limits::token_accounting::arrival);
    CHECK(by.output_rule() == limits::output_rule::sum);
  }
  CHECK(azure::api().name() == "azure");
  CHECK(azure::api(true).name() == "azure_responses");
  CHECK(find_dialect("azure") == &azure::api());
}

TEST_CASE("Azure gets OpenAI's fields, but none that it does not know", "[wire][azure]") {
  auto x = hello();
  x.sampling.max_tokens = 20;
  x.cache_key = "team-a";
  auto body = [&](const dialect& by) { return json::parse(std::get<encoded_request>(by.encode(x, true)).body); };
  auto chat = body(azure::api());
  CHECK(chat["max_completion_tokens"] == 20);
  CHECK(chat["stream_options"].dump() == R"({"include_usage":true})");
  CHECK(chat["prompt_cache_key"] == "team-a");
  CHECK_FALSE(body(azure::api(false, "", "2024-10-21")).contains("prompt_cache_key"));
  CHECK_FALSE(body(azure::api(true)).contains("stream_options"));
  x.sampling.top_k = 5;
  CHECK(std::get<failure>(azure::api().encode(x)).message == "sampling.top_k is nothing that azure has");
}

TEST_CASE("thoughts that OpenAI sealed are not for Azure", "[wire][azure]") {
  auto x = hello();
  x.messages.push_back({role::assistant, {reasoning_part{"hm", "openai_responses:rs_1:eA"}, text_part{"Yes"}}, ""});
  auto result = std::get<encoded_request>(azure::api(true).encode(x));
  CHECK(result.warnings.size() == 1);
  CHECK_FALSE(has(result.body, "rs_1"));
  auto answer = azure::api(true).decode({200, {}}, R"({"status":"completed","output":[
    {"type":"reasoning","id":"rs_2","summary":[],"encrypted_content":"eA"}]})");
  CHECK(std::get<completion>(answer).reasoning == std::vector<reasoning_part>{{"", "azure_responses:rs_2:eA"}});
}

TEST_CASE("Azure's streams begin empty, and filters speak late", "[wire][azure]") {
  auto chunk = [](std::string_view x) { return "data: " + std::string{x} + "\n\n"; };
  auto body =
    chunk(R"({"choices":[],"created":0,"id":"","model":"","object":"","prompt_filter_results":[{"prompt_index":0,
data: "content_filter_results":{"hate":{"filtered":false,"severity":"safe"}}}]})")
    + chunk(R"({"choices":[{"content_filter_results":{},"delta":{"content":"","refusal":null,"role":"assistant"},
data: "finish_reason":null,"index":0}],"id":"chatcmpl-1","model":"gpt-demo"})")
    + chunk(R"({"choices":[{"delta":{"content":"Mild."},"finish_reason":null,"index":0}],"id":"chatcmpl-1"})")
    + chunk(R"({"choices":[{"content_filter_offsets":{"check_offset":44},"content_filter_results":{},
data: "finish_reason":null,"index":0}],"id":""})")
    + chunk(R"({"choices":[{"delta":{},"finish_reason":"content_filter","index":0}],"id":"chatcmpl-1"})")
    + chunk(R"({"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":2}})") + "data: [DONE]\n\n";
  auto x = hear(body, azure::api());
  CHECK(x.said == std::vector<std::string>{"text: Mild."});
  CHECK(x.good().finish_reason == finish_reason::content_filter);
  CHECK(x.good().model == "gpt-demo");
  CHECK(x.good().usage == token_usage{9, 2, 0, 0, 0});
  check_cuts(body, azure::api());
  constexpr std::string_view last = R"("finish_reason":"content_filter","index":0}],"id":"chatcmpl-1"})";
  check_beginnings(body, azure::api(), body.find(last) + last.size());
}

TEST_CASE("Azure's errors mean what they say", "[wire][azure]") {
  struct {
    uint16_t status;
    std::string_view body;
    errc code;
    std::string_view provider_code, suggestion = "";
  } table[] = {
    {400,
     R"({"error":{"message":"Prompt was filtered","type":null,"param":"prompt","code":"content_filter","status":400,
      "innererror":{"code":"ResponsibleAIPolicyViolation","content_filter_result":{
        "hate":{"filtered":true,"severity":"medium"},"violence":{"filtered":false,"severity":"safe"}}}}})",
     errc::content_filtered, "content_filter", "change the prompt"},
    {400, R"({"error":{"message":"too long","type":"invalid_request_error","code":"context_length_exceeded"}})",
     errc::context_length, "context_length_exceeded"},
    {401,
     R"({"error":{"code":"401","message":"Access denied due to invalid subscription key or wrong API endpoint."}})",
     errc::authentication, "401", "api_key_env"},
    {404, R"({"error":{"code":"DeploymentNotFound","message":"The API deployment does not exist."}})", errc::not_found,
     "DeploymentNotFound", "name of a deployment"},
    {404, R"({"error":{"code":"404","message":"Resource not found"}})", errc::not_found, "404", "/openai/v1"},
    {429, R"({"error":{"code":"429","message":"Requests have exceeded the token rate limit. Retry after 6 seconds."}})",
     errc::rate_limited, "429"},
    {429, R"({"error":{"code":"insufficient_quota","message":"none left"}})", errc::quota_exhausted,
     "insufficient_quota"},
    {500, R"({"error":{"code":"InternalServerError","message":"broke"}})", errc::server_error, "InternalServerError"},
    {503, "", errc::overloaded, ""},
  };
  for (auto& row : table) {
    auto x = bad(row.status, row.body);
    CAPTURE(row.body, x.message, x.suggestion);
    CHECK(name_of(x.code) == name_of(row.code));
    CHECK(x.provider_code == row.provider_code);
    CHECK(has(x.suggestion, row.suggestion));
  }
  CHECK(bad(429, "", {{"retry-after-ms", "1250"}, {"retry-after", "2"}}).retry_after == 1250ms);
  CHECK(bad(429, "", {{"apim-request-id", "r7"}}).provider_request_id == "r7");
  auto vectors = azure::api().decode_embedding({404, {}}, "", 1);
  CHECK(has(std::get<failure>(vectors).suggestion, "name of a deployment"));
}

} // namespace modelforge::azure_test
