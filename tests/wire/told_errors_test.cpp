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

} // namespace modelforge::told_errors_test
