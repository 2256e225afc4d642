#include "tests/wire/hear.hpp"
#include "wire/batch_api.hpp"
#include "wire/provider_error.hpp"
#include "wire/vendors.hpp"

#include <catch2/catch_test_macros.hpp>

namespace modelforge::error_shapes_test {

// Errors in the forms in which servers and what stands before them tell of them, in every dialect: whole with an error
// status, inside a 200, as an event or a line of a stream, in answers to requests for vectors and models, in batches.

using namespace modelforge::test;

namespace {

constexpr std::string_view words = "the model field is required";

/// Bodies that all say `words`.
constexpr std::string_view shapes[] = {
  R"({"error":"the model field is required"})",
  R"({"error":{"message":"the model field is required","type":"invalid_request_error"}})",
  R"({"error":{"msg":"the model field is required"}})",
  R"({"error":{"detail":"the model field is required"}})",
  R"({"error":{"error":{"message":"the model field is required"}}})",
  R"({"error":{"error":"the model field is required"}})",
  R"({"error":["the model field is required"]})",
  R"({"error":[{"message":"the model field is required"}]})",
  R"({"error":{"errors":[{"message":"the model field is required"}]}})",
  R"({"error":{"message":["the model field is required"]}})",
  R"({"error":{"message":{"text":"the model field is required"}}})",
  R"({"error":{"message":"{\"error\":{\"message\":\"the model field is required\",\"code\":400}}"}})",
  R"({"error":"{\"message\":\"the model field is required\"}"})",
  R"({"error":{"message":"Provider returned error","code":400,)"
  R"("metadata":{"raw":"{\"error\":{\"message\":\"the model field is required\"}}","provider_name":"x"}}})",
  R"({"error":true,"message":"the model field is required"})",
  R"({"error":400,"msg":"the model field is required"})",
  R"({"error":"Bad Request","message":"the model field is required","statusCode":400})",
  R"({"error":"Bad Request","message":["the model field is required"],"statusCode":400})",
  R"({"Error":{"Message":"the model field is required"}})",
  R"({"err":{"message":"the model field is required"}})",
  R"({"fault":{"faultstring":"the model field is required","detail":{"errorcode":"policies.Bad"}}})",
  R"({"detail":"the model field is required"})",
  R"({"detail":{"error":"the model field is required"}})",
  R"({"detail":{"error":{"message":"the model field is required"}}})",
  R"({"detail":[{"loc":["body","model"],"msg":"the model field is required","type":"missing"}]})",
  R"({"detail":[{"loc":["body",0,"model"],"msg":"the model field is required"}]})",
  R"({"type":"about:blank","title":"Bad Request","status":400,"detail":"the model field is required"})",
  R"({"errors":[{"message":"the model field is required","code":5006}],"success":false,"result":{},"messages":[]})",
  R"({"errors":["the model field is required"]})",
  R"({"errors":{"model":["the model field is required"]}})",
  R"({"message":"Validation failed","errors":[{"field":"model","message":"the model field is required"}]})",
  R"({"message":"the model field is required"})",
  R"({"object":"error","message":"the model field is required","type":"BadRequestError","code":400})",
  R"({"msg":"the model field is required","code":"400"})",
  R"({"errorCode":400,"errorMessage":"the model field is required"})",
  R"({"error_code":17,"error_msg":"the model field is required"})",
  R"({"error":"invalid_request","error_description":"the model field is required"})",
  R"({"error":{"code":"x","innererror":{"message":"the model field is required"}}})",
  R"({"error":{"code":"x","message":"no","innererror":{"code":"y","innererror":{"message":"the model field is required"}}}})",
  R"({"base_resp":{"status_code":2013,"status_msg":"the model field is required"},"choices":null})",
  R"({"base_resp":{"status_code":2013,"status_msg":"the model field is required"},"choices":[]})",
  R"({"statusCode":400,"body":"the model field is required"})",
  R"({"statusCode":400,"headers":{},"body":"{\"error\":{\"message\":\"the model field is required\"}}"})",
  R"([{"error":{"code":400,"message":"the model field is required","status":"INVALID_ARGUMENT"}}])",
};

bool has(std::string_view text, std::string_view part) {
  return text.find(part) != text.npos;
}

/// Texts in the form in which a dialect's streams bring objects.
std::string streamed(const dialect& by, std::string_view object) {
  return by.name() == "ollama" ? std::string{object} + "\n" : "data: " + std::string{object} + "\n\n";
}

failure whole(const dialect& by, uint16_t status, std::string_view body, std::vector<http::header> headers = {}) {
  auto read = by.decode({status, std::move(headers)}, body);
  REQUIRE(std::holds_alternative<failure>(read));
  return std::get<failure>(read);
}

} // namespace

TEST_CASE("an error's words are shown whole, whatever their form", "[wire][errors]") {
  for (auto* by : dialects())
    for (auto body : shapes)
      for (uint16_t status : {400, 500, 200}) {
        CAPTURE(by->name(), body, status);
        auto x = whole(*by, status, body);
        CHECK(has(x.provider_message, words));
        CHECK_FALSE(has(x.provider_message, "{"));
        if (status == 400)
          CHECK(name_of(x.code) == name_of(errc::invalid_request));
      }
}

TEST_CASE("an error's words are shown in a stream, too", "[wire][errors][stream]") {
  for (auto* by : dialects())
    for (auto body : shapes) {
      CAPTURE(by->name(), body);
      if (by->name() == "ollama" && body.starts_with('[')) // its streams are lines of objects
        continue;
      auto x = hear(streamed(*by, body), *by);
      CHECK(has(x.bad().provider_message, words));
      CHECK(x.ended);
    }
}

TEST_CASE("an event named error is one, whatever its data", "[wire][errors][stream]") {
  for (auto* by : dialects()) {
    if (by->name() == "ollama")
      continue;
    for (auto data : {R"({"error":{"message":"the model field is required"}})", "the model field is required",
                      R"("the model field is required")", R"({"message":"the model field is required"})"}) {
      CAPTURE(by->name(), data);
      auto x = hear("event: error\ndata: " + std::string{data} + "\n\n", *by);
      CHECK(has(x.bad().provider_message, words));
    }
  }
}

TEST_CASE("errors in the place of vectors, models and jobs say the same", "[wire][errors]") {
  for (auto* by : dialects())
    for (auto body : shapes)
      for (uint16_t status : {400, 200}) {
        CAPTURE(by->name(), body, status);
        if (!body.starts_with('[') || status == 400) { // a bare list may be one of models
          auto models = by->decode_models({status, {}}, body);
          CHECK(has(std::get<failure>(models).provider_message, words));
        }
        if (by->max_inputs() > 0) {
          auto vectors = by->decode_embedding({status, {}}, body, 1);
          CHECK(has(std::get<failure>(vectors).provider_message, words));
        }
        if (auto jobs = by->batches(); jobs && (status == 400 || body.starts_with(R"({"error")"))) {
          auto job = jobs->decode_job({status, {}}, body);
          CHECK(has(std::get<failure>(job).provider_message, words));
        }
      }
}

TEST_CASE("errors in the lines of a batch's results say the same", "[wire][errors][batch]") {
  auto openai = openai::chat_api().batches();
  auto anthropic = find_dialect("anthropic")->batches();
  auto read = [](const batch_api& api, const std::string& line) {
    auto result = api.decode_result(line);
    REQUIRE(std::holds_alternative<batch_result>(result));
    return std::get<failure>(std::get<batch_result>(result).answer);
  };
  for (auto body : shapes) {
    CAPTURE(body);
    auto start = std::string{R"({"custom_id":"n1-3",)"};
    for (auto* status : {"400", "200"})
      CHECK(
        has(read(*openai, start + R"("response":{"status_code":)" + status + R"(,"body":)" + std::string{body} + "}}")
              .provider_message,
            words));
    CHECK(has(read(*openai, start + R"("response":null,"error":)" + std::string{body} + "}").provider_message, words));
    CHECK(has(
      read(*anthropic, start + R"("result":{"type":"errored","error":)" + std::string{body} + "}}").provider_message,
      words));
  }
  auto text = std::string{R"("the model field is required")"};
  auto start = std::string{R"({"custom_id":"n1-3",)"};
  CHECK(has(read(*openai, start + R"("response":null,"error":)" + text + "}").provider_message, words));
  CHECK(has(read(*openai, start + R"("response":{"status_code":400,"body":)" + text + "}}").provider_message, words));
  CHECK(
    has(read(*openai, start + R"("response":{"status_code":400,"body":"{\"error\":\"the model field is required\"}"}})")
          .provider_message,
        words));
  CHECK(has(read(*anthropic, start + R"("result":{"type":"errored","error":)" + text + "}}").provider_message, words));
}

TEST_CASE("errors that are no JSON document are read, too", "[wire][errors]") {
  struct {
    std::string_view body;
    std::string_view said;
  } table[] = {
    {"the model field is required, and this goes on for a while so that one sees that nothing of it is cut off",
     "is cut"},
    {"\"the model field is required\"", words},
    {R"("{\"error\":{\"message\":\"the model field is required\"}}")", words},
    {"data: {\"error\":{\"message\":\"the model field is required\",\"code\":\"500\"}}\n\ndata: [DONE]\n\n", words},
    {"event: error\ndata: {\"detail\":\"the model field is required\"}\n\n", words},
    {"event: error\r\ndata: the model field is required\r\n\r\n", words},
    {"data: {\"error\":\ndata:  \"the model field is required\"}\n\n", words},
    {": hello\n\ndata: {\"id\":\"x\"}\n\ndata: {\"error\":\"the model field is required\"}\n\n", words},
    {"error: {\"message\":\"the model field is required\"}\n\n", words},
    {"{\"status\":\"begun\"}\n{\"error\":\"the model field is required\"}\n", words},
    {R"({"unheard_of":"the model field is required"})", words},
    {R"({"error":{"message":"the model field is required)", words},
    {"<?xml version=\"1.0\"?><Error><Code>Bad</Code><Message>the model field is required</Message></Error>", words},
    {"<soap:Envelope><soap:Fault><faultstring>the model field is required</faultstring></soap:Fault></soap:Envelope>",
     words},
    {"<html><head><title>the model field is required</title></head></html>", words},
    {"<!-- x --><!DOCTYPE html><html><head><title>Error</title></head><body><pre>the model field\n is required</pre>",
     words},
    {"<HTML><BODY><H1>the&nbsp;model field is &#114;equired</H1></BODY></HTML>", words},
  };
  for (auto* by : dialects())
    for (auto& row : table)
      for (uint16_t status : {400, 500}) {
        CAPTURE(by->name(), row.body, status);
        auto x = whole(*by, status, row.body);
        CHECK(has(x.provider_message, row.said));
        CHECK(x.http_status == status);
      }
  CHECK(whole(openai::chat_api(), 400, "<Error><Code>NoSuchKey</Code><Message>x</Message></Error>").provider_code
        == "NoSuchKey");
}

TEST_CASE("a page is told by its title, and what is to be done fits it", "[wire][errors]") {
  struct {
    uint16_t status;
    std::string_view title;
    errc code;
    std::string_view remedy;
  } table[] = {
    {400, "400 The plain HTTP request was sent to HTTPS port", errc::invalid_request, "https://"},
    {400, "Client sent an HTTP request to an HTTPS server.", errc::invalid_request, "https://"},
    {400, "400 Bad Request", errc::invalid_request, "base_url"},
    {401, "401 Authorization Required", errc::authentication, "password of its own"},
    {403, "Just a moment...", errc::permission, "firewall"},
    {403, "Attention Required! | Cloudflare", errc::permission, "firewall"},
    {403, "403 Forbidden", errc::permission, "firewall"},
    {404, "404 Not Found", errc::not_found, "base_url"},
    {405, "405 Not Allowed", errc::not_found, "base_url"},
    {407, "Proxy Authentication Required", errc::permission, "http_proxy"},
    {413, "413 Request Entity Too Large", errc::too_large, "send less"},
    {429, "429 Too Many Requests", errc::rate_limited, "requests_per_minute"},
    {502, "502 Bad Gateway", errc::server_error, ""},
    {503, "503 Service Temporarily Unavailable", errc::overloaded, "later"},
    {504, "504 Gateway Time-out", errc::server_error, "stream it"},
    {524, "524: A timeout occurred", errc::server_error, "stream it"},
    {511, "Login", errc::permission, "login"},
    {522, "api.example.com | 522: Connection timed out", errc::server_error, ""},
    {200, "Sign in to your account", errc::invalid_response, "login"},
    {200, "Welcome to nginx!", errc::invalid_response, "base_url"},
  };
  for (auto* by : dialects())
    for (auto& row : table) {
      auto page = "<html><head><title>" + std::string{row.title} + "</title></head><body>x</body></html>";
      CAPTURE(by->name(), row.status, row.title);
      auto check = [&](const failure& x) {
        CHECK(x.provider_message == row.title);
        CHECK(name_of(x.code) == name_of(row.code));
        CAPTURE(x.suggestion);
        auto is_named = by->name().starts_with("azure") && row.code == errc::not_found; // a deployment, too
        CHECK((is_named || has(x.suggestion, row.remedy)));
        CHECK(row.remedy.empty() == x.suggestion.empty());
      };
      check(whole(*by, row.status, page));
      if (row.status == 200)
        check(hear(page, *by).bad());
    }
}

TEST_CASE("what no retry helps is said not to be tried again", "[wire][errors]") {
  struct {
    uint16_t status;
    std::string_view body;
    std::optional<bool> again;
  } table[] = {
    {200, "<html><title>Sign in</title></html>", false},
    {204, "", false},
    {200, "", {}}, // overloaded gateways do that
    {200, "{}", false},
    {200, "OK", false},
    {200, "upstream connect error", {}},
    {500, "<html></html>", {}},
    {200, R"({"choices":[{"message":{"content":")", {}},
  };
  for (auto* by : dialects())
    for (auto& row : table) {
      CAPTURE(by->name(), row.status, row.body);
      auto x = whole(*by, row.status, row.body);
      CHECK(by->hints({row.status, {}}, &x).should_retry == row.again);
      CHECK(by->hints({row.status, {{"x-should-retry", "true"}}}, &x).should_retry == true);
    }
}

TEST_CASE("a success that is an error about the path is one, with the address that is usual", "[wire][errors]") {
  for (auto* by : dialects())
    for (auto body : {R"x({"error":"Unexpected endpoint or method. (POST /chat/completions)"})x",
                      R"x({"code":500,"msg":"404 NOT_FOUND","success":false})x"})
      for (auto& x : {whole(*by, 200, body), hear(streamed(*by, body), *by).bad()}) {
        CAPTURE(by->name(), body, x.suggestion);
        CHECK(name_of(x.code) == name_of(errc::not_found));
        CHECK(has(x.suggestion, "base_url"));
      }
}

TEST_CASE("codes count as numbers and as digits", "[wire][errors]") {
  for (auto* by : dialects())
    for (auto [number, code] : {std::pair{"401", errc::authentication}, std::pair{"404", errc::not_found},
                                std::pair{"429", errc::rate_limited}, std::pair{"503", errc::overloaded}})
      for (auto quoted : {false, true}) {
        auto body = R"({"error":{"message":"no such user","code":)"
                    + (quoted ? '"' + std::string{number} + '"' : std::string{number}) + "}}";
        CAPTURE(by->name(), body);
        CHECK(name_of(whole(*by, 200, body).code) == name_of(code));
        CHECK(name_of(hear(streamed(*by, body), *by).bad().code) == name_of(code));
      }
}

TEST_CASE("phrases tell what an error inside a success is", "[wire][errors]") {
  for (auto* by : dialects())
    for (auto [said, code] :
         {std::pair{"model 'x' not found, try pulling it first", errc::not_found},
          std::pair{"Not Found", errc::not_found}, std::pair{"Unauthorized", errc::authentication},
          std::pair{"Rate limit exceeded", errc::rate_limited}, std::pair{"Too Many Requests", errc::rate_limited},
          std::pair{"The model is overloaded", errc::overloaded}, std::pair{"It broke", errc::server_error}}) {
      auto body = R"({"error":")" + std::string{said} + R"("})";
      CAPTURE(by->name(), body);
      CHECK(name_of(whole(*by, 200, body).code) == name_of(code));
      CHECK(name_of(hear(streamed(*by, body), *by).bad().code) == name_of(code));
    }
  CHECK(whole(openai::chat_api(), 200, "404 page not found").code == errc::not_found);
}

TEST_CASE("a wait that the body of an error names counts", "[wire][errors]") {
  using namespace std::chrono_literals;
  struct {
    std::string_view body;
    std::optional<std::chrono::nanoseconds> wait;
  } table[] = {
    {R"({"error":{"message":"slow","retry_after":2}})", 2s},
    {R"({"error":{"message":"slow","retryAfter":"1.5"}})", 1500ms},
    {R"({"error":{"message":"slow","retry_after":"1 minute"}})", 60s},
    {R"({"error":{"message":"slow","retry_after_ms":250}})", 250ms},
    {R"({"error":{"message":"slow"},"retry_after_seconds":3})", 3s},
    {R"({"message":"slow","retry_after":2.5})", 2500ms},
    {R"({"error":{"message":"slow","retry_after":"soon"}})", {}},
    {R"({"error":{"message":"slow","retry_after":null}})", {}},
    {R"({"error":{"message":"slow"}})", {}},
  };
  for (auto* by : dialects())
    for (auto& row : table) {
      CAPTURE(by->name(), row.body);
      CHECK(whole(*by, 429, row.body).retry_after == row.wait);
      CHECK(hear(streamed(*by, row.body), *by).bad().retry_after == row.wait);
    }
}

TEST_CASE("a page inside an error is told by its title", "[wire][errors]") {
  auto x = whole(openai::chat_api(), 502,
                 R"({"error":{"message":"<html><head><title>502 Bad Gateway</title></head></html>","code":502}})");
  CHECK(x.provider_message == "502 Bad Gateway");
}

TEST_CASE("gateways' own errors mean what they say", "[wire][errors]") {
  struct {
    uint16_t status;
    std::string_view message, type;
    errc code;
    std::string_view remedy;
  } table[] = {
    {400,
     "litellm.ContextWindowExceededError: litellm.BadRequestError: ContextWindowExceededError: OpenAIException - x", "",
     errc::context_length, "shorten"},
    {500, "litellm.ContextWindowExceededError: x", "None", errc::context_length, "shorten"},
    {400, "litellm.ContentPolicyViolationError: x", "", errc::content_filtered, "change"},
    {400, "Budget has been exceeded! Current cost: 0.2, Max budget: 0.1", "budget_exceeded", errc::quota_exhausted,
     "credit"},
    {429, "Budget has been exceeded! Team=x Current cost: 0.2, Max budget: 0.1", "budget_exceeded",
     errc::quota_exhausted, "credit"},
    {401, "Authentication Error, ExceededTokenBudget: Current spend for token: 2; Max Budget for Token: 1",
     "auth_error", errc::quota_exhausted, "credit"},
    {400, "ExceededBudget: User=x over budget. Spend=2, Budget=1", "auth_error", errc::quota_exhausted, "credit"},
    {429, "Rate limit exceeded. Limit type: max_parallel_requests. Current limit: 1", "None", errc::rate_limited,
     "max_concurrent"},
    {429, "Crossed TPM / RPM / Max Parallel Request Limit. current rpm: 1, rpm limit: 1", "None", errc::rate_limited,
     "max_concurrent to what the provider grants at a time, requests_per_minute"},
    {429, "You have too many concurrent requests", "", errc::rate_limited, "max_concurrent"},
    {429, "Rate limit reached for requests per minute", "requests", errc::rate_limited, "requests_per_minute"},
  };
  for (auto& row : table) {
    auto body = R"({"error":{"message":")" + std::string{row.message} + R"(","type":")" + std::string{row.type}
                + R"(","param":null,"code":")" + std::to_string(row.status) + R"("}})";
    for (auto& x : {whole(openai::compatible_chat_api(), row.status, body),
                    hear("data: " + body + "\n\n", openai::compatible_chat_api()).bad()}) {
      CAPTURE(body, x.suggestion);
      CHECK(name_of(x.code) == name_of(row.code));
      CHECK(has(x.suggestion, row.remedy));
    }
  }
}

TEST_CASE("a redirect tells where to, and what is to be set", "[wire][errors]") {
  struct {
    std::string asked, location;
    std::string_view target, remedy;
    bool warns = false;
  } table[] = {
    {"http://h.example/v1/x", "https://h.example/v1/x", "https://h.example/v1/x",
     "begin with https://h.example in place of http://h.example"},
    {"http://h.example:80/v1/x", "//h.example:8080/v1/x", "http://h.example:8080/v1/x",
     "begin with http://h.example:8080 in place of http://h.example:80"},
    {"http://h.example/v1/x", "/v1/x/", "http://h.example/v1/x/", "slash"},
    {"http://h.example/x", "/v1/x", "http://h.example/v1/x",
     "begin with http://h.example/v1 in place of http://h.example"},
    {"https://h.example/v1/x", "https://api.other.example/v1/x", "https://api.other.example/v1/x",
     "begin with https://api.other.example in place of https://h.example", true},
    {"https://h.example/v1/x", "https://user:pass@h.example/login?next=/v1/x", "https://h.example/login?next=/v1/x",
     "login"},
    {"https://h.example/v1/x", "elsewhere", "https://h.example/v1/elsewhere", "base_url"},
    {"https://h.example/v1/x", "", "", "base_url"},
    {"https://h.example/v1/x", "?a=b", "https://h.example/v1/x?a=b", "login"},
    {"https://h.example/v1/x?alt=sse", "?a=b", "https://h.example/v1/x?a=b", "login"},
    {"http://h.example/v1/x?api-version=1", "https://h.example/v1/x?api-version=1",
     "https://h.example/v1/x?api-version=1", "begin with https://h.example in place of http://h.example"},
    {"http://h.example/v1/x?api-version=1", "/v1/x/", "http://h.example/v1/x/", "slash"},
  };
  for (auto* by : dialects())
    for (auto& row : table)
      for (uint16_t status : {301, 302, 307, 308}) {
        http::response_head head{status, {{"location", row.location}}};
        head.route = std::make_shared<http::route>(http::route{row.asked, {}});
        auto read = by->decode(head, "");
        auto& x = std::get<failure>(read);
        CAPTURE(by->name(), row.asked, row.location, x.message, x.suggestion);
        CHECK(x.code == errc::invalid_response);
        CHECK(has(x.message, row.target));
        CHECK(has(x.message, "redirects are not followed"));
        CHECK(has(x.suggestion, row.remedy));
        CHECK(has(x.suggestion, "the key would go to") == row.warns);
        CHECK_FALSE(has(x.message + x.suggestion, "pass@"));
      }
}

TEST_CASE("an error that a proxy may have made names it", "[wire][errors]") {
  for (auto* by : dialects())
    for (uint16_t status : {407, 502, 403}) {
      http::response_head head{status, {}};
      head.route = std::make_shared<http::route>(http::route{{}, "proxy.example:3128"});
      auto read = by->decode(head, "<html><title>ERROR</title></html>");
      CAPTURE(by->name(), status);
      CHECK(has(std::get<failure>(read).message, "the proxy proxy.example:3128"));
    }
}

TEST_CASE("a page of a proxy or a filter is told to be one, and accuses no key", "[wire][errors]") {
  struct {
    uint16_t status;
    std::string_view title, proxy, said, remedy;
  } table[] = {
    {403, "ERROR: The requested URL could not be retrieved", "p.example:3128",
     "the proxy p.example:3128 refused the request (HTTP 403)", "NO_PROXY"},
    {403, "ERROR: The requested URL could not be retrieved", "", "a proxy or filter in between refused the request",
     "NO_PROXY"},
    {503, "ERROR: The requested URL could not be retrieved", "p.example:3128",
     "the proxy p.example:3128 did not get an answer (HTTP 503)", "is base_url right"},
    {403, "Web Page Blocked", "", "a proxy or filter in between refused the request", "NO_PROXY"},
    {403, "Forbidden", "p.example:3128", "the request was refused (HTTP 403), with an HTML page, by way of the proxy",
     "the proxy p.example:3128 may speak"},
    {403, "Forbidden", "", "the key may not do this", "firewall"},
    {502, "Bad Gateway", "p.example:3128", "by way of the proxy p.example:3128", ""},
  };
  for (auto* by : dialects())
    for (auto& row : table) {
      http::response_head head{row.status, {}};
      if (!row.proxy.empty())
        head.route = std::make_shared<http::route>(http::route{{}, std::string{row.proxy}});
      auto read = by->decode(head, "<html><title>" + std::string{row.title} + "</title></html>");
      auto& x = std::get<failure>(read);
      CAPTURE(by->name(), row.title, row.proxy, x.message, x.suggestion);
      CHECK(has(x.message, row.said));
      CHECK(has(x.suggestion, row.remedy));
      CHECK(x.provider_message == row.title);
    }
}

TEST_CASE("broken JSON is no matter of the address", "[wire][errors]") {
  for (auto* by : dialects())
    for (auto* body : {R"({"id":"x","choices":[{"message":{"content":"H)", R"({"model":"m","message":{"content":"H)",
                       R"({"candidates":[{"content":{"parts":[)", R"({"data":[{"id":"a")", R"({"a":1} x)"}) {
      CAPTURE(by->name(), body);
      auto check = [](const failure& x) {
        CAPTURE(x.message, x.suggestion);
        CHECK(x.code == errc::invalid_response);
        CHECK_FALSE(has(x.suggestion, "base_url"));
      };
      auto x = whole(*by, 200, body);
      check(x);
      CHECK_FALSE(by->hints({200, {}}, &x).should_retry);
      check(std::get<failure>(by->decode_models({200, {}}, body)));
      if (by->max_inputs() > 0)
        check(std::get<failure>(by->decode_embedding({200, {}}, body, 1)));
      if (auto jobs = by->batches())
        check(std::get<failure>(jobs->decode_job({200, {}}, body)));
    }
}

} // namespace modelforge::error_shapes_test
