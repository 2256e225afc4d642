#include <modelforge/actors/text_stream.hpp>

#include "tests/actors/live_provider.hpp"
#include "tests/http/misbehaving_server.hpp"

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <string>
#include <string_view>

namespace modelforge::broken_stream_test {

/// Streams from servers that do not keep to the rules, over real sockets.

using namespace std::chrono_literals;
using test::live_provider;
using test::misbehaving_server;

namespace {

using steady = std::chrono::steady_clock;

const std::string head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n";

std::string delta(const std::string& text) {
  return "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"" + text + "\"},\"finish_reason\":null}]}\n\n";
}

const std::string stop = "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
const std::string mark = "data: [DONE]\n\n";

struct ended {
  stream_outcome how;
  std::string text;
  std::chrono::nanoseconds took{0};

  bool done() const { return std::holds_alternative<stream_done>(how); }
  const failure& why() const { return std::get<stream_failed>(how).why; }
};

ended read(live_provider& at) {
  auto begin = steady::now();
  ended result;
  stream_options options;
  options.buffer_size = 1;
  options.timeout = 30s;
  auto stream = stream_text(at.system(), *at, std::string{"hi"}, options);
  for (auto& text : stream)
    result.text += text;
  result.how = stream.wait();
  result.took = steady::now() - begin;
  return result;
}

/// A server that answers every request by these bytes and then closes the connection.
misbehaving_server::behaviour says(std::string body) {
  return [=](test::peer& x) {
    if (x.read_request())
      x.send(head + body);
  };
}

} // namespace

TEST_CASE("a stream that is cut is a failure, wherever it is cut", "[actors][broken_stream]") {
  auto body = delta("Gr\xc3\xbc\xc3\x9f") + ": keep-alive\r\n\r\n" + delta("e") + stop + mark;
  auto whole = body.size() - mark.size() - 2; // by the finish reason, whose blank line may be missing
  // Behind it another event may have begun, until it shows that it is the mark.
  auto is_whole = [&](std::size_t bytes) {
    return bytes >= whole && (bytes <= whole + 2 || bytes > whole + 2 + std::string_view{"data: "}.size());
  };
  std::atomic<std::size_t> length{0};
  auto chunked = GENERATE(false, true);
  CAPTURE(chunked);
  misbehaving_server server{[&](test::peer& x) {
    while (x.read_request()) {
      auto part = body.substr(0, length);
      if (!chunked) {
        x.send(head + part); // HTTP itself cannot tell that there should be more
        return;
      }
      char size[16];
      std::snprintf(size, sizeof size, "%zx", part.size());
      x.send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
             + (part.empty() ? std::string{} : size + ("\r\n" + part) + "\r\n") + "0\r\n\r\n");
    }
  }};
  auto settings = live_provider::settings_for(server.url(""));
  settings.circuit_breaker.enabled = false;
  live_provider at{settings};
  for (std::size_t i = 0; i <= body.size(); ++i) {
    length = i;
    auto x = read(at);
    CAPTURE(i, x.text);
    REQUIRE(x.done() == is_whole(i));
    REQUIRE(std::string{"Gr\xc3\xbc\xc3\x9f\x65"}.rfind(x.text, 0) == 0);
    if (!x.done())
      REQUIRE((x.why().code == errc::stream_interrupted || x.why().code == errc::connection_lost
               || x.why().code == errc::invalid_response)); // an empty one
  }
}

TEST_CASE("an error inside a stream is a failure with the provider's words", "[actors][broken_stream]") {
  auto error = GENERATE(std::string{"data: {\"error\":{\"message\":\"it burns\",\"type\":\"server_error\"}}\n\n"},
                        std::string{"data: {\"error\":\"it burns\"}\n\n"},
                        std::string{"event: error\ndata: {\"error\":{\"message\":\"it burns\",\"code\":500}}\n\n"});
  auto before = GENERATE(std::string{}, delta("a"), delta("a") + stop);
  auto behind = GENERATE(std::string{}, mark, delta("b") + stop + mark);
  CAPTURE(error, before, behind);
  misbehaving_server server{says(before + error + behind)};
  live_provider at{server.url("")};
  auto x = read(at);
  REQUIRE_FALSE(x.done());
  CHECK(x.why().provider_message == "it burns");
  CHECK(x.text == (before.empty() ? "" : "a"));
}

TEST_CASE("a stream that stands still ends at the idle timer", "[actors][broken_stream]") {
  auto pings = GENERATE(false, true);
  CAPTURE(pings);
  misbehaving_server server{[&](test::peer& x) {
    if (!x.read_request())
      return;
    x.send(head + delta("a"));
    auto until = steady::now() + 10s;
    while (pings && steady::now() < until && x.send(": keep-alive\n\n"))
      std::this_thread::sleep_for(20ms); // the rhythm of the pings
    x.wait_for_close();
  }};
  auto settings = live_provider::settings_for(server.url(""));
  settings.timeouts.idle = 500ms;
  live_provider at{settings};
  auto x = read(at);
  REQUIRE_FALSE(x.done());
  CHECK(x.why().code == errc::attempt_timeout);
  CHECK(x.text == "a");
  CHECK(x.took >= 500ms);
  CHECK(x.took < 9s); // the server stops its pings after 10 s: these did not keep the stream alive
  CHECK(at.status().in_flight == 0);
}

TEST_CASE("a server that answers a stream by something else is understood", "[actors][broken_stream]") {
  struct answer {
    std::string type;
    std::string body;
    bool done;
    errc code;
  };
  auto x = GENERATE(
    answer{
      "application/json",
      R"({"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"whole"},"finish_reason":"stop"}]})",
      true, errc::none},
    answer{"application/json", R"({"error":{"message":"no","type":"invalid_request_error"}})", false, errc::none},
    answer{"text/html", "<html><body>Please log in</body></html>", false, errc::invalid_response},
    answer{"text/event-stream", "", false, errc::invalid_response});
  CAPTURE(x.type, x.body);
  misbehaving_server server{[&](test::peer& to) {
    if (to.read_request())
      to.send("HTTP/1.1 200 OK\r\nContent-Type: " + x.type + "\r\nConnection: close\r\n\r\n" + x.body);
  }};
  live_provider at{server.url("")};
  auto result = read(at);
  REQUIRE(result.done() == x.done);
  if (x.done)
    CHECK(result.text == "whole");
  else if (x.code != errc::none)
    CHECK(result.why().code == x.code);
}

TEST_CASE("an answer is handed over at its end, though the connection stays open", "[actors][broken_stream]") {
  struct held_answer {
    provider_kind kind;
    provider_api api;
    std::string body;
    bool is_sure; ///< Its end mark says that nothing follows.
  };
  const std::string anthropic =
    R"(data: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":"whole"}})"
    "\n\n"
    R"(data: {"type":"message_delta","delta":{"stop_reason":"end_turn"}})"
    "\n\n";
  const std::string line = R"({"message":{"content":"whole"},"done":false})"
                           "\n";
  auto x = GENERATE_COPY(
    held_answer{provider_kind::openai, provider_api::chat, delta("whole") + stop + mark, true},
    held_answer{provider_kind::openai_compatible, provider_api::chat, delta("whole") + stop, false},
    held_answer{provider_kind::openai, provider_api::responses,
                R"(data: {"type":"response.output_text.delta","output_index":0,"delta":"whole"})"
                "\n\n"
                R"(data: {"type":"response.completed","response":{"id":"r","status":"completed","output":[]}})"
                "\n\n",
                true},
    held_answer{provider_kind::anthropic, provider_api::chat, anthropic + "data: {\"type\":\"message_stop\"}\n\n",
                true},
    held_answer{provider_kind::anthropic, provider_api::chat, anthropic, false},
    held_answer{provider_kind::gemini, provider_api::chat,
                R"(data: {"candidates":[{"content":{"parts":[{"text":"whole"}]},"finishReason":"STOP"}]})"
                "\n\n",
                false},
    held_answer{provider_kind::ollama, provider_api::chat,
                line + "{\"message\":{\"content\":\"\"},\"done\":true,\"done_reason\":\"stop\"}\n", true});
  CAPTURE(name_of(x.kind), x.body);
  misbehaving_server server{[&](test::peer& to) {
    if (!to.read_request())
      return;
    to.send(head + x.body);
    to.wait_for_close();
  }};
  auto settings = live_provider::settings_for(server.url(""));
  settings.kind = x.kind;
  settings.api = x.api;
  live_provider at{settings};
  auto result = read(at);
  REQUIRE(result.done());
  CHECK(result.text == "whole");
  CHECK(result.took < 20s); // idle is 60 s
  auto& warnings = std::get<stream_done>(result.how).result.warnings;
  auto is_told = std::any_of(warnings.begin(), warnings.end(),
                             [](auto& text) { return text.find("kept the connection open") != text.npos; });
  CHECK(is_told != x.is_sure);
}

} // namespace modelforge::broken_stream_test
