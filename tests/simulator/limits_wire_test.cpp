#include "tests/simulator/client.hpp"
#include "tools/simulator/simulator.hpp"

#include <catch2/catch_test_macros.hpp>

#include <charconv>
#include <cmath>
#include <deque>

namespace modelforge::limits_wire_test {

using namespace modelforge::test;
using namespace std::chrono_literals;
namespace simulator = modelforge::simulator;

// Limits and slots as a client meets them. The window is longer than any test.

namespace {

constexpr auto prompt = "How does photosynthesis help cacti?";

std::string post(std::string_view more) {
  return http_request("POST", "/v1/chat/completions", ask(prompt, more));
}

/// Reads Go's duration text, as "1h2m3.5s" or "12ms"; -1 for anything else.
double seconds_of(std::string_view text) {
  double sum = text.empty() ? -1 : 0;
  while (!text.empty()) {
    double value = 0;
    auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    text.remove_prefix(static_cast<std::size_t>(end - text.data()));
    auto unit = text.substr(0, text.find_first_of("0123456789."));
    text.remove_prefix(unit.size());
    auto size = unit == "h" ? 3'600.0 : unit == "m" ? 60.0 : unit == "s" ? 1.0 : unit == "ms" ? 0.001 : 0.0;
    if (error != std::errc{} || size == 0)
      return -1;
    sum += value * size;
  }
  return sum;
}

uint64_t number(const http_answer& x, const std::string& header) {
  auto found = x.headers.find(header);
  return found == x.headers.end() ? UINT64_MAX : std::stoull(found->second);
}

/// Checks that `x` tells a wait of at most `most` seconds, in both forms.
void check_wait(const http_answer& x, uint64_t most) {
  auto exact = number(x, "retry-after-ms");
  CHECK(exact > 0);
  CHECK(exact <= most * 1'000);
  CHECK(number(x, "retry-after") == (exact + 999) / 1'000);
}

} // namespace

TEST_CASE("the limit of requests refuses what exceeds it, and tells where it stands", "[simulator]") {
  simulator::options settings;
  settings.requests_per_minute = 3;
  simulator::server server(settings);
  for (uint64_t left : {2, 1, 0}) {
    auto x = chat(server.port(), ask(prompt, left == 1 ? R"({"stream": true})" : "{}"));
    CHECK(x.status == 200);
    CHECK(number(x, "x-ratelimit-limit-requests") == 3);
    CHECK(number(x, "x-ratelimit-remaining-requests") == left);
    CHECK(seconds_of(x.headers["x-ratelimit-reset-requests"]) == 60); // this request is the last to leave
    CHECK_FALSE(x.headers.contains("x-ratelimit-limit-tokens"));
    CHECK_FALSE(x.headers.contains("retry-after"));
  }
  for (int i = 0; i < 2; ++i) {
    auto x = chat(server.port(), ask(prompt));
    CHECK(x.status == 429);
    CHECK(number(x, "x-ratelimit-remaining-requests") == 0);
    auto reset = seconds_of(x.headers["x-ratelimit-reset-requests"]);
    CHECK(reset > 0);
    CHECK(reset <= 60);
    check_wait(x, 60);
    CHECK(static_cast<double>(number(x, "retry-after-ms")) <= reset * 1'000 + 0.5); // the first leaves before the last
    CHECK_FALSE(x.headers.contains("x-should-retry"));
    auto error = x.parsed()["error"];
    CHECK(error["type"] == "requests");
    CHECK(error["code"] == "rate_limit_exceeded");
    auto message = error["message"].get<std::string>();
    std::string_view expected =
      "Rate limit reached for sim-mini in organization org-simulator on requests per min (RPM): "
      "Limit 3, Used 3, Requested 1. Please try again in ";
    REQUIRE(message.starts_with(expected));
    REQUIRE(message.ends_with("."));
    auto told = std::string_view(message).substr(expected.size(), message.size() - expected.size() - 1);
    CHECK(std::llround(seconds_of(told) * 1'000) == static_cast<int64_t>(number(x, "retry-after-ms")));
  }
  CHECK(fetch(server.port(), "GET", "/v1/models").status == 200);
  auto broken = chat(server.port(), "{}");
  CHECK(broken.status == 400);
  CHECK(number(broken, "x-ratelimit-remaining-requests") == 0);
  auto x = fetch(server.port(), "GET", "/__simulator/stats").parsed();
  CHECK(x["rejected"] == 2);
  CHECK(x["rejected_requests"] == 2);
  CHECK(x["rejected_tokens"] == 0);
  CHECK(x["window_requests"] == 3);
  CHECK(x["statuses"] == json::parse(R"({"200": 4, "400": 1, "429": 2})"));
}

TEST_CASE("the limit of tokens counts the prompt or max_tokens, whichever is more", "[simulator]") {
  simulator::options settings;
  settings.tokens_per_minute = 1'000;
  simulator::server server(settings);
  auto first = chat(server.port(), ask(prompt));
  auto prompt_tokens = first.parsed()["usage"]["prompt_tokens"].get<uint64_t>();
  CHECK(number(first, "x-ratelimit-limit-tokens") == 1'000);
  CHECK(number(first, "x-ratelimit-remaining-tokens") == 1'000 - prompt_tokens);
  CHECK_FALSE(first.headers.contains("x-ratelimit-limit-requests"));
  auto second = chat(server.port(), ask(prompt, R"({"max_tokens": 900})"));
  CHECK(number(second, "x-ratelimit-remaining-tokens") == 100 - prompt_tokens);
  auto third = chat(server.port(), ask(prompt, R"({"max_completion_tokens": 101})"));
  CHECK(third.status == 429);
  CHECK(third.parsed()["error"]["type"] == "tokens");
  auto used = std::to_string(900 + prompt_tokens);
  CHECK(third.parsed()["error"]["message"].get<std::string>().find("tokens per min (TPM): Limit 1000, Used " + used
                                                                   + ", Requested 101.")
        != std::string::npos);
  check_wait(third, 60);
  auto hopeless = chat(server.port(), ask(prompt, R"({"max_tokens": 1001})"));
  CHECK(hopeless.status == 429);
  CHECK(hopeless.headers["x-should-retry"] == "false");
  CHECK_FALSE(hopeless.headers.contains("retry-after"));
  CHECK_FALSE(hopeless.headers.contains("retry-after-ms"));
  CHECK(hopeless.parsed()["error"]["type"] == "tokens");
  CHECK(hopeless.parsed()["error"]["message"].get<std::string>().starts_with("Request too large for sim-mini"));
  auto x = server.snapshot();
  CHECK(x.rejected == 2);
  CHECK(x.rejected_tokens == 2);
  CHECK(x.window_requests == 2);
  CHECK(x.window_tokens == 900 + prompt_tokens);
  CHECK(x.admitted == 2);
  CHECK(x.charged_tokens == 900 + prompt_tokens);
}

TEST_CASE("output counts when it is produced, if that is the accounting", "[simulator]") {
  simulator::options settings;
  settings.tokens_per_minute = 10'000;
  settings.accounting = simulator::token_accounting::produced;
  simulator::server server(settings);
  uint64_t used = 0;
  constexpr auto with_usage = R"({"max_tokens": 9999, "stream": true, "stream_options": {"include_usage": true}})";
  constexpr auto call = R"({"n": 3, "tools": [{"type": "function", "function": {"name": "get_weather", "parameters":
    {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}}],
    "tool_choice": "required", "stream": true, "stream_options": {"include_usage": true}})";
  for (auto more : {R"({"max_tokens": 9999})", with_usage, call}) {
    auto x = chat(server.port(), ask(prompt, more));
    auto usage = x.headers["content-type"] == "application/json" ? x.parsed()["usage"] : read_stream(x.body).usage;
    CHECK(number(x, "x-ratelimit-remaining-tokens") == 10'000 - used - usage["prompt_tokens"].get<uint64_t>());
    used += usage["total_tokens"].get<uint64_t>();
  }
  CHECK(server.snapshot().window_tokens == used);
  CHECK(server.snapshot().charged_tokens == used);
}

TEST_CASE("of a stream that is left only what was sent counts", "[simulator]") {
  simulator::options settings;
  settings.tokens_per_minute = 10'000;
  settings.tokens_per_second = 0.01;
  settings.accounting = simulator::token_accounting::produced;
  simulator::server server(settings);
  connection to(server.port());
  to.send(post(R"({"stream": true})"));
  REQUIRE(to.receive_until("data: "));
  to.close();
  REQUIRE(eventually([&] { return server.snapshot().aborted == 1; }));
  auto x = server.snapshot();
  CHECK(x.completion_tokens >= 20);
  CHECK(x.window_tokens == x.prompt_tokens + 1);
}

TEST_CASE("times until the window is empty are told as Go writes them", "[simulator]") {
  for (auto [window, text] : {std::pair<std::chrono::milliseconds, const char*>{500ms, "500ms"},
                              {1'500ms, "1.5s"},
                              {20s, "20s"},
                              {20'070ms, "20.07s"},
                              {60s, "1m0s"},
                              {3'601'001ms, "1h0m1.001s"}}) {
    simulator::options settings;
    settings.requests_per_minute = 1'000;
    settings.window = window;
    simulator::server server(settings);
    CHECK(chat(server.port(), ask(prompt)).headers["x-ratelimit-reset-requests"] == text);
  }
}

TEST_CASE("limits of another window are told as they are enforced", "[simulator]") {
  simulator::options settings;
  settings.requests_per_minute = 1;
  settings.tokens_per_minute = 6;
  settings.window = 24h;
  simulator::server server(settings);
  auto x = chat(server.port(), ask(prompt));
  CHECK(number(x, "x-ratelimit-limit-requests") == 1'440);
  CHECK(number(x, "x-ratelimit-limit-tokens") == 8'640);
  CHECK(x.headers["x-ratelimit-reset-tokens"] == "24h0m0s");
  auto hopeless = chat(server.port(), ask(prompt, R"({"max_tokens": 9000})")).parsed()["error"]["message"];
  CHECK(hopeless.get<std::string>().find("tokens per 24h0m0s") != std::string::npos);
}

TEST_CASE("a provider can keep its limits to itself", "[simulator]") {
  simulator::options settings;
  settings.requests_per_minute = 1;
  settings.limit_headers = false;
  simulator::server server(settings);
  for (int status : {200, 429}) {
    auto x = chat(server.port(), ask(prompt));
    CHECK(x.status == status);
    CHECK(x.headers.lower_bound("x-ratelimit-") == x.headers.lower_bound("x-ratelimit."));
    CHECK(x.headers.contains("retry-after") == (status == 429));
  }
}

TEST_CASE("a fault of 429 does not count, any other fault does", "[simulator]") {
  simulator::options settings;
  settings.requests_per_minute = 2;
  settings.faults = {{"429", 1}};
  simulator::server server(settings);
  auto ask_once = [&] { return chat(server.port(), ask(prompt)); };
  CHECK(number(ask_once(), "x-ratelimit-remaining-requests") == 2);
  settings.faults = {{"503", 1}};
  server.configure(settings);
  CHECK(number(ask_once(), "x-ratelimit-remaining-requests") == 1);
  CHECK(number(ask_once(), "x-ratelimit-remaining-requests") == 0);
  CHECK(ask_once().status == 429);
  auto x = server.snapshot();
  CHECK(x.rejected == 1);
  CHECK(x.faults == std::map<std::string, uint64_t>{{"429", 1}, {"503", 2}});
  CHECK(x.window_requests == 2);
}

TEST_CASE("requests beyond the slots wait in their order", "[simulator]") {
  simulator::options settings;
  settings.slots = 1;
  settings.tokens_per_second = 0.01; // whoever has the slot keeps it
  simulator::server server(settings);
  std::deque<connection> open;
  for (uint64_t i = 0; i < 6; ++i) {
    open.emplace_back(server.port()).send(post(R"({"stream": true})"));
    REQUIRE(eventually([&] { return server.snapshot().concurrency == i + 1; }));
  }
  auto begins = [&](std::size_t i) { return open[i].receive_until("data: "); };
  CHECK(begins(0));
  CHECK(chat(server.port(), "{}").status == 400); // an error needs no slot
  CHECK(server.snapshot().open_streams == 1);
  open[2].close();
  REQUIRE(eventually([&] { return server.snapshot().aborted == 1; }));
  CHECK(server.snapshot().open_streams == 1);
  open[0].close();
  CHECK(begins(1));
  CHECK(server.snapshot().open_streams == 1);
  open[1].close();
  CHECK(begins(3));
  CHECK(server.snapshot().open_streams == 1);
  settings.slots = 2;
  server.configure(settings);
  CHECK(begins(4));
  CHECK(server.snapshot().open_streams == 2);
  server.stop(); // one waits, two are served
  CHECK(server.snapshot().concurrency == 0);
  CHECK(server.snapshot().connections == 0);
  CHECK(open[5].receive().status == 0);
}

TEST_CASE("waiting for a slot comes on top of the latency", "[simulator]") {
  simulator::options settings;
  settings.slots = 1;
  settings.latency = 40ms;
  simulator::server server(settings);
  std::deque<connection> open;
  auto begin = std::chrono::steady_clock::now();
  for (int i = 0; i < 3; ++i)
    open.emplace_back(server.port()).send(post("{}"));
  for (auto& x : open)
    CHECK(x.receive().status == 200);
  CHECK(std::chrono::steady_clock::now() - begin >= 120ms);
}

} // namespace modelforge::limits_wire_test
