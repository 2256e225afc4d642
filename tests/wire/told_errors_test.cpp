#include "tests/wire/calls.hpp"
#include "tests/wire/framings.hpp"
#include "wire/dialect.hpp"
#include "wire/provider_error.hpp"

#include <catch2/catch_test_macros.hpp>

#include <chrono>
#include <string>
#include <string_view>
#include <variant>

/// What servers say of errors in forms of their own: the words are never lost.

namespace modelforge::told_errors_test {

using namespace modelforge::test;
using namespace std::chrono_literals;

namespace {

using text = std::string;

const http::response_head good_head{200, {}};

failure failure_of(std::variant<completion, failure> end) {
  REQUIRE(std::holds_alternative<failure>(end));
  return std::get<failure>(end);
}

} // namespace

TEST_CASE("an error in a stream is told with its words, whatever its form", "[wire][errors][framing]") {
  const text forms[] = {
    "error: {\"code\":500,\"message\":\"the slot died\",\"type\":\"server_error\"}\n\n", // llama.cpp, before 2026
    "error: the slot died\n\n",
    "error:the slot died\n",
    "data: [ERROR] the slot died\n\n",
    "data: [error]: the slot died\n\n",
    "data: error: the slot died\n\n",
    "data: Error: the slot died\n\n",
    "{\"error parsing tool call\":\"the slot died\"}\n", // Ollama
    "data: {\"error parsing tool call\":\"the slot died\"}\n\n",
  };
  for (auto& x : sample_streams()) {
    text before;
    for (std::size_t i = 0; i < 3; ++i)
      before += event(x.objects[i]);
    for (auto& form : forms)
      for (auto& body : {form, before + form}) {
        CAPTURE(x.by->name(), body);
        auto heard = hear(body, *x.by);
        CHECK(heard.bad().provider_message.find("the slot died") != text::npos);
        CHECK(heard.bad().code == errc::server_error);
        CHECK(heard.end == hear(body, *x.by, std::vector<std::size_t>(body.size(), 1)).end);
        CHECK(failure_of(x.by->decode(good_head, body)).provider_message.find("the slot died") != text::npos);
      }
  }
}

TEST_CASE("words that speak of errors are no error where they are the answer", "[wire][errors][framing]") {
  for (auto& x : sample_streams()) {
    auto objects = x.objects;
    auto good = framed(objects, {.done = 1});
    auto usual = hear(good, *x.by);
    for (std::string_view noise : {"error: null\n\n", "error:\n\n", "data: errors\n\n"}) {
      CAPTURE(x.by->name(), noise);
      if (noise.starts_with("error"))
        CHECK(hear(text{noise} + good, *x.by).words == usual.words);
      CHECK(hear(good, *x.by).good().flaw == usual.good().flaw);
    }
  }
}

TEST_CASE("how long to wait is read from an error's words, where nothing else says it", "[wire][errors]") {
  struct {
    uint16_t status;
    text body;
    std::optional<std::chrono::nanoseconds> wait;
  } table[] = {
    {429,
     R"({"error":{"message":"Rate limit reached. Please try again in 1m2.5s. Visit us","code":"rate_limit_exceeded"}})",
     62'500ms},
    {429, R"({"statusCode":429,"message":"Rate limit is exceeded. Try again in 5 seconds."})", 5s},
    {429,
     R"({"error":{"message":"Requests exceeded the call rate limit. Please retry after 8 seconds.","code":"429"}})",
     8s},
    {429, R"({"error":{"message":"Rate limit of 50 per 86400s exceeded. Please wait 43200 seconds before retrying."}})",
     43200s},
    {503, R"({"error":"Model demo is currently loading","estimated_time":20.5})", 20'500ms},
    {200, R"({"error":{"message":"Rate limit reached. Please try again in 360ms.","code":"rate_limit_exceeded"}})",
     360ms},
    {429, R"({"error":{"message":"Please try again in a few minutes."}})", {}},
    {429, R"({"error":{"message":"Please try again in 5"}})", {}},
    {400, R"({"error":{"message":"Bad. Please try again in 5s."}})", {}},
    {500, R"({"error":{"message":"Broken. Please try again in 5s."}})", {}},
  };
  for (auto& x : table) {
    CAPTURE(x.status, x.body);
    for (auto* name : {"openai", "openai_compatible", "openai_responses", "anthropic", "gemini", "ollama"})
      CHECK(failure_of(find_dialect(name)->decode({x.status, {}}, x.body)).retry_after == x.wait);
  }
  http::response_head named{429, {{"retry-after", "2"}}};
  CHECK(failure_of(find_dialect("openai")->decode(named, table[0].body)).retry_after == 2s);
}

TEST_CASE("a block that is not set blocks nothing, nor is what is not set between chunks an end", "[wire][finish]") {
  auto& by = *find_dialect("gemini");
  auto chunk = [](std::string_view words, std::string_view reason) {
    return R"({"candidates":[{"content":{"parts":[{"text":")" + text{words} + R"("}]},"finishReason":")" + text{reason}
           + R"("}],"promptFeedback":{"blockReason":"BLOCK_REASON_UNSPECIFIED"}})";
  };
  auto streamed = event(chunk("Hel", "FINISH_REASON_UNSPECIFIED")) + event(chunk("lo", "STOP"));
  CHECK(hear(streamed, by).good().flaw == answer_flaw::none);
  CHECK(hear(streamed, by).words == "Hello");
  auto whole = by.decode(good_head, chunk("Hello", "STOP"));
  REQUIRE(std::holds_alternative<completion>(whole));
  CHECK(std::get<completion>(whole).flaw == answer_flaw::none);
  CHECK(std::get<completion>(whole).warnings.empty());
}

TEST_CASE("a reason without a word in it is none", "[wire][finish]") {
  for (std::string_view details : {R"({"reason":null})", R"({"reason":""})", "{}", "null"}) {
    auto body = R"({"id":"r","status":"completed","output":[{"type":"message","content":"Hi"}],"incomplete_details":)"
                + text{details} + "}";
    CAPTURE(body);
    auto decoded = find_dialect("openai_responses")->decode(good_head, body);
    REQUIRE(std::holds_alternative<completion>(decoded));
    CHECK(std::get<completion>(decoded).flaw == answer_flaw::none);
    auto streamed =
      hear(event(R"({"type":"response.completed","response":)" + body + "}"), *find_dialect("openai_responses"));
    CHECK(streamed.good().flaw == answer_flaw::none);
  }
}

TEST_CASE("what is packed or put off is named, and asked for once", "[wire][errors]") {
  using namespace std::string_literals;
  for (auto* name : {"openai", "openai_compatible", "openai_responses", "anthropic", "gemini", "ollama"}) {
    CAPTURE(name);
    auto& by = *find_dialect(name);
    for (auto& packed :
         {failure_of(by.decode(good_head, "\x1F\x8B\x08\0\0\0"s)), hear("\x1F\x8B\x08\0\0\0"s, by).bad()}) {
      CHECK(packed.message.find("gzip, although no content-encoding says so") != text::npos);
      CHECK(packed.suggestion.find("content-encoding") != text::npos);
      CHECK(will_come_again(packed));
    }
    auto later = failure_of(by.decode({202, {}}, ""));
    CHECK(later.message.find("202") != text::npos);
    CHECK(will_come_again(later));
  }
}

} // namespace modelforge::told_errors_test
