#pragma once

#include "http/client.hpp"
#include "provider/setup.hpp"
#include "tests/support/settings.hpp"

#include <modelforge/messages/chat_request.hpp>

#include <catch2/catch_test_macros.hpp>

#include <chrono>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace modelforge::test {

using namespace std::chrono_literals;

/// An hour after the clock's epoch, so that times before it exist.
inline const std::chrono::steady_clock::time_point start_time{1h};

/// Limits of so many requests a minute.
inline rate_limit_settings requests_per_minute(uint64_t count) {
  rate_limit_settings result;
  result.requests_per_minute = count;
  return result;
}

/// Models with limits of their own, unless `count` is 0, or a price.
inline model_settings models(std::string pattern, uint64_t count, double price = 0) {
  model_settings result;
  result.pattern = std::move(pattern);
  if (count > 0)
    result.rate_limit = requests_per_minute(count);
  result.price.input = price;
  return result;
}

inline provider::setup prepared(const provider_settings& settings = acme(), std::string state_folder = "none") {
  runtime_settings runtime;
  runtime.state_folder = std::move(state_folder);
  auto made = provider::prepare(settings, runtime);
  REQUIRE(std::holds_alternative<provider::setup>(made));
  return std::get<provider::setup>(std::move(made));
}

inline chat_request question(uint64_t number, std::string text = "hi") {
  chat_request result;
  result.id = {1, number};
  result.messages.push_back(text_message(role::user, std::move(text)));
  return result;
}

/// A good answer of 100 tokens in and 7 out.
inline http::response answer(std::string text = "fine") {
  http::response result;
  result.head.status = 200;
  result.body = R"({"id":"c1","model":"m-1","choices":[{"index":0,"message":{"role":"assistant","content":")" + text
                + R"("},"finish_reason":"stop"}],"usage":{"prompt_tokens":100,"completion_tokens":7}})";
  return result;
}

/// An answer that is an error.
inline http::response refusal(uint16_t status, std::vector<http::header> headers = {}) {
  http::response result;
  result.head.status = status;
  result.head.headers = std::move(headers);
  result.body = R"({"error":{"message":"no","type":"some_error"}})";
  return result;
}

/// A transfer that brought no answer.
inline http::response broken(errc code, bool written) {
  http::response result;
  result.end.error = http::transfer_error{.code = code, .request_written = written, .message = "it broke"};
  return result;
}

} // namespace modelforge::test
