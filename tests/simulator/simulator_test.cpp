#include "tools/simulator/simulator.hpp"

#include "tests/simulator/client.hpp"

#include <catch2/catch_test_macros.hpp>

#include <sys/socket.h>

#include <deque>
#include <stop_token>
#include <system_error>
#include <thread>

namespace modelforge::simulator_test {

using namespace modelforge::test;
using namespace std::chrono_literals;
namespace simulator = modelforge::simulator;

namespace {

constexpr auto prompt = "How does photosynthesis help cacti?";

/// Returns the bytes of a chat request.
std::string post(std::string_view more, std::string_view headers = {}) {
  return http_request("POST", "/v1/chat/completions", ask(prompt, more), headers);
}

constexpr auto streamed = R"({"stream": true})";

} // namespace

TEST_CASE("connections carry several requests, pipelined and piecewise", "[simulator]") {
  simulator::server server({});
  connection to(server.port());
  auto request = post("{}");
  to.send(request + request + request.substr(0, 30));
  CHECK(to.receive().status == 200);
  CHECK(to.receive().status == 200);
  for (char c : request.substr(30))
    to.send({&c, 1});
  CHECK(to.receive().status == 200);
  to.send(http_request("HEAD", "/v1/nothing"));
  CHECK(to.receive(true).status == 404);
  to.send(http_request("GET", "/v1/models", "", "connection: close\r\n"));
  CHECK(to.receive().headers["connection"] == "close");
  CHECK(to.receive_some().empty());
  CHECK(server.snapshot().connections_accepted == 1);
}

TEST_CASE("old and broken HTTP are answered and closed", "[simulator]") {
  simulator::options settings;
  settings.max_header = 4'096;
  simulator::server server(settings);
  auto body = ask(prompt, streamed);
  struct row {
    std::string bytes;
    int status;
  };
  for (const auto& [bytes, status] :
       {row{"POST /v1/chat/completions HTTP/1.0\r\ncontent-length: " + std::to_string(body.size()) + "\r\n\r\n" + body,
            200},
        row{"nonsense\r\n\r\n", 400}, row{"GET / HTTP/1.1\r\nx: " + std::string(5'000, 'x') + "\r\n\r\n", 431}}) {
    connection to(server.port());
    to.send(bytes);
    auto x = to.receive();
    CHECK(x.status == status);
    CHECK(x.headers["connection"] == "close");
    if (status == 200)
      CHECK(read_stream(x.body).is_done);
    CHECK(to.receive_some().empty());
  }
}

TEST_CASE("a client that waits with its body is told to send it", "[simulator]") {
  simulator::server server({});
  connection to(server.port());
  auto request = post("{}", "expect: 100-continue\r\n");
  auto end = request.find("\r\n\r\n") + 4;
  to.send(std::string_view(request).substr(0, end));
  CHECK(to.receive().status == 100);
  to.send(std::string_view(request).substr(end));
  CHECK(to.receive().status == 200);
}

TEST_CASE("latency and token rate make answers take their time", "[simulator]") {
  simulator::options settings;
  settings.latency = 30ms;
  settings.tokens_per_second = 500;
  simulator::server server(settings);
  for (auto is_stream : {false, true}) {
    auto start = std::chrono::steady_clock::now();
    connection to(server.port());
    to.send(post(is_stream ? R"({"stream": true, "max_tokens": 20})" : R"({"max_tokens": 20})"));
    REQUIRE(to.receive_until("\r\n\r\n"));
    auto first = std::chrono::steady_clock::now() - start;
    CHECK(to.receive().status == 200);
    auto whole = std::chrono::steady_clock::now() - start;
    CHECK(first >= 30ms);
    CHECK(whole >= 30ms + 19 * 2ms);
  }
}

TEST_CASE("statistics tell what was seen and can be cleared", "[simulator]") {
  simulator::server server({});
  auto id = std::string(31, '0');
  uint64_t tokens = 0, prompt_tokens = 0;
  for (int i = 1; i <= 3; ++i) {
    auto headers = "x-modelforge-request: " + id + "1\r\nx-modelforge-attempt: " + std::to_string(i) + "\r\n";
    auto usage = chat(server.port(), ask(prompt), headers).parsed()["usage"];
    tokens += usage["total_tokens"].get<uint64_t>();
    prompt_tokens += usage["prompt_tokens"].get<uint64_t>();
  }
  CHECK(chat(server.port(), "{}").status == 400);
  auto headers = "x-modelforge-request: " + id + "2\r\nx-modelforge-attempt: 1\r\n";
  auto usage = read_stream(
    chat(server.port(), ask(prompt, R"({"stream": true, "stream_options": {"include_usage": true}})"), headers).body);
  tokens += usage.usage["total_tokens"].get<uint64_t>();
  prompt_tokens += usage.usage["prompt_tokens"].get<uint64_t>();
  REQUIRE(eventually([&] { return server.snapshot().answered == 5; }));
  auto x = fetch(server.port(), "GET", "/__simulator/stats").parsed();
  CHECK(x["requests"] == 5);
  CHECK(x["streams"] == 1);
  CHECK(x["aborted"] == 0);
  CHECK(x["statuses"] == json::parse(R"({"200": 4, "400": 1})"));
  CHECK(x["concurrency"] == 0);
  CHECK(x["concurrency_peak"] == 1);
  CHECK(x["open_streams_peak"] == 1);
  CHECK(x["window_requests"] == 4); // without the bad one
  CHECK(x["window_tokens"] == prompt_tokens);
  CHECK(x["rejected"] == 0);
  CHECK(x["faults"] == json::object());
  CHECK(x["prompt_tokens"].get<uint64_t>() + x["completion_tokens"].get<uint64_t>() == tokens);
  CHECK(x["attempts"] == 4);
  CHECK(x["first_attempts"] == 2);
  CHECK(x["retries"] == 2);
  CHECK(x["attempt_requests"] == 2);
  CHECK(x["attempts_per_request"] == 3);
  CHECK(x["highest_attempt_number"] == 3);
  CHECK(fetch(server.port(), "POST", "/__simulator/reset").status == 200);
  auto cleared = server.snapshot();
  CHECK(cleared.requests == 0);
  CHECK(cleared.statuses.empty());
  CHECK(cleared.window_tokens == 0);
  CHECK(cleared.attempts == 0);
}

TEST_CASE("a peer that goes away is noticed and counted", "[simulator]") {
  simulator::options settings;
  settings.latency = 60s;
  simulator::server waiting(settings);
  settings.latency = 0s;
  settings.tokens_per_second = 0.01;
  simulator::server streaming(settings);
  struct row {
    simulator::server& server;
    bool is_stream, is_begun, is_reset;
  };
  for (const auto& [server, is_stream, is_begun, is_reset] :
       {row{waiting, false, false, false}, row{waiting, true, false, false}, row{streaming, true, true, false},
        row{streaming, true, true, true}}) {
    server.reset();
    connection to(server.port());
    to.send(post(is_stream ? streamed : "{}"));
    if (is_begun)
      REQUIRE(to.receive_until("data: "));
    REQUIRE(eventually([&] { return server.snapshot().concurrency == 1; }));
    CHECK(server.snapshot().open_streams == is_begun);
    if (is_reset) {
      linger hard{1, 0};
      setsockopt(to.descriptor(), SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
    }
    to.close();
    REQUIRE(eventually([&] { return server.snapshot().aborted == 1; }));
    auto x = server.snapshot();
    CHECK(x.concurrency == 0);
    CHECK(x.open_streams == 0);
    CHECK(x.answered == 0);
    CHECK(eventually([&] { return server.snapshot().connections == 0; }));
  }
}

TEST_CASE("a slow reader gets all of a large answer", "[simulator]") {
  simulator::options settings;
  settings.min_answer_tokens = settings.max_answer_tokens = 60'000; // more than the socket's buffers hold
  simulator::server server(settings);
  connection to(server.port());
  to.send(post(streamed));
  REQUIRE(eventually([&] { return server.snapshot().open_streams == 1; }));
  CHECK(fetch(server.port(), "GET", "/v1/models").status == 200); // others are served meanwhile
  CHECK(server.snapshot().open_streams == 1);
  auto stream = read_stream(to.receive().body);
  CHECK(stream.is_done);
  CHECK(stream.deltas > 59'000);
}

TEST_CASE("a thousand slow streams stay open, and all their ends are noticed", "[simulator]") {
  simulator::options settings;
  settings.tokens_per_second = 0.01; // one token now, the next much later
  simulator::server server(settings);
  std::deque<connection> open;
  for (int i = 0; i < 1'000; ++i)
    open.emplace_back(server.port()).send(post(streamed));
  for (auto& x : open)
    REQUIRE(x.receive_until("data: "));
  CHECK(server.snapshot().open_streams == 1'000);
  CHECK(server.snapshot().concurrency_peak == 1'000);
  open.clear();
  CHECK(eventually([&] { return server.snapshot().aborted == 1'000; }));
  CHECK(server.snapshot().open_streams == 0);
}

TEST_CASE("a thousand slow streams run side by side", "[simulator]") {
  simulator::options settings;
  settings.latency = 100ms;
  settings.tokens_per_second = 20;
  simulator::server server(settings);
  auto start = std::chrono::steady_clock::now();
  std::deque<connection> open;
  for (int i = 0; i < 1'000; ++i)
    open.emplace_back(server.port()).send(post(R"({"stream": true, "max_tokens": 20})"));
  std::string text;
  for (auto& x : open) {
    auto stream = read_stream(x.receive().body);
    REQUIRE(stream.is_done);
    REQUIRE(stream.deltas == 20);
    text = text.empty() ? stream.text : text;
    REQUIRE(stream.text == text);
  }
  auto took = std::chrono::steady_clock::now() - start;
  CHECK(took >= 100ms + 19 * 50ms);
  CHECK(took < 100s); // one after the other they take a thousand seconds
  CHECK(eventually([&] { return server.snapshot().answered == 1'000; }));
}

TEST_CASE("stop closes open connections at once", "[simulator]") {
  simulator::options settings;
  settings.tokens_per_second = 0.01;
  simulator::server server(settings);
  std::deque<connection> open;
  for (int i = 0; i < 50; ++i)
    open.emplace_back(server.port()).send(post(i % 2 == 0 ? streamed : "{}"));
  open.emplace_back(server.port());               // idle
  open.emplace_back(server.port()).send("POST "); // in mid-request
  REQUIRE(eventually([&] { return server.snapshot().concurrency == 50 && server.snapshot().connections == 52; }));
  auto start = std::chrono::steady_clock::now();
  server.stop();
  CHECK(std::chrono::steady_clock::now() - start < 10s);
  auto x = server.snapshot();
  CHECK(x.concurrency == 0);
  CHECK(x.connections == 0);
  CHECK(x.aborted == 0);
  for (auto& each : open)
    CHECK(each.receive().status == 0);
  CHECK_THROWS(connection(server.port()));
  server.stop();
}

TEST_CASE("an address that cannot be listened on is named", "[simulator]") {
  simulator::server server({});
  simulator::options settings;
  settings.port = server.port();
  try {
    simulator::server second(settings);
    FAIL("listened twice on one port");
  } catch (const std::system_error& e) {
    CHECK(std::string(e.what()).find("127.0.0.1:" + std::to_string(server.port())) != std::string::npos);
    CHECK(e.code() == std::errc::address_in_use);
  }
  CHECK(server.url() == "http://127.0.0.1:" + std::to_string(server.port()));
}

TEST_CASE("run serves until it is stopped", "[simulator]") {
  std::stop_source source;
  auto result = -1;
  std::thread thread([&] { result = simulator::run({}, source.get_token()); });
  source.request_stop();
  thread.join();
  CHECK(result == 0);
}

} // namespace modelforge::simulator_test
