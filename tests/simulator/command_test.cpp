#include "tests/support/places.hpp"
#include "tests/support/process.hpp"

#include "tests/simulator/client.hpp"

#include <catch2/catch_test_macros.hpp>

#include <csignal>
#include <deque>

namespace modelforge::command_test {

using namespace modelforge::test;

// The options of `modelforge simulate`.

namespace {

process_result run(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), {program(), "simulate"});
  process_options x;
  x.arguments = std::move(arguments);
  return run_process(x);
}

} // namespace

TEST_CASE("simulate refuses options that make no sense, and names them", "[simulator]") {
  struct row {
    std::vector<std::string> arguments;
    std::string named;
  };
  for (const auto& [arguments, named] : {row{{"--fault", "504=0.1"}, "504"},
                                         row{{"--fault", "503"}, "NAME=SHARE"},
                                         row{{"--fault", "503=2"}, "503"},
                                         row{{"--fault", "503=0.1", "--fault", "503=0.1"}, "twice"},
                                         row{{"--fault", "503=0.6", "--fault", "429=0.6"}, "\"429\" makes the shares"},
                                         row{{"--requests-per-minute", "0"}, "--requests-per-minute"},
                                         row{{"--tokens-per-minute", "many"}, "--tokens-per-minute"},
                                         row{{"--token-accounting", "output"}, "--token-accounting"},
                                         row{{"--window", "0"}, "--window"},
                                         row{{"--slots", "0"}, "--slots"},
                                         row{{"--retry-after", "-1"}, "--retry-after"},
                                         row{{"--fault-from", "2", "--fault-until", "1"}, "fault_until"},
                                         row{{"--token-jitter", "2"}, "--token-jitter"},
                                         row{{"--keep-alive", "0"}, "--keep-alive"},
                                         row{{"--pieces-per-packet", "0"}, "--pieces-per-packet"},
                                         row{{"--batch-errors", "2"}, "--batch-errors"},
                                         row{{"--batch-cut", "0.6", "--batch-silence", "0.6"}, "batch_cut"},
                                         row{{"--batch-items", "0"}, "--batch-items"},
                                         row{{"--send-buffer", "100"}, "--send-buffer"},
                                         row{{"--max-answer-tokens", "0"}, "--max-answer-tokens"}}) {
    auto x = run(arguments);
    INFO(arguments[0] << " " << arguments[1] << ": " << x.err);
    CHECK(x.exit_code == 2);
    CHECK(x.err.find(named) != std::string::npos);
    CHECK(x.out.empty());
  }
}

TEST_CASE("simulate sets limits and faults, and sums up what they did", "[simulator]") {
  background_process simulator({program(),
                                "simulate",
                                "--requests-per-minute",
                                "20",
                                "--tokens-per-minute",
                                "600000",
                                "--token-accounting",
                                "input",
                                "--window",
                                "30",
                                "--slots",
                                "4",
                                "--fault",
                                "503=0.5",
                                "--fault",
                                "429_retry_after=0.5",
                                "--retry-after",
                                "0.5",
                                "--fault-until",
                                "3600"});
  auto line = simulator.read_line();
  auto port = static_cast<uint16_t>(std::stoi(line.substr(line.rfind(':') + 1)));
  int waits = 0, failures = 0, rejected = 0;
  for (int i = 0; i < 60; ++i) {
    auto x = chat(port, ask("Hello"));
    CHECK(x.headers["x-ratelimit-limit-requests"] == "10");
    CHECK(x.headers["x-ratelimit-limit-tokens"] == "300000");
    waits += x.headers["retry-after-ms"] == "500";
    failures += x.status == 503;
    rejected += x.status == 429 && x.headers["retry-after-ms"] != "500";
  }
  CHECK(waits > 10);
  CHECK(failures == 10);
  CHECK(waits + failures + rejected == 60);
  auto x = fetch(port, "GET", "/__simulator/stats").parsed();
  CHECK(x["rejected"] == rejected);
  CHECK(x["faults"] == json{{"503", failures}, {"429_retry_after", waits}});
  CHECK(simulator.end(SIGTERM) == 0);
}

TEST_CASE("simulate packs streams as it is told", "[simulator]") {
  background_process simulator({program(),
                                "simulate",
                                "--min-answer-tokens",
                                "300",
                                "--max-answer-tokens",
                                "300",
                                "--token-jitter",
                                "0.5",
                                "--tokens-per-second",
                                "1000",
                                "--keep-alive",
                                "20",
                                "--latency",
                                "1000",
                                "--crlf",
                                "--split-packets",
                                "--pieces-per-packet",
                                "50",
                                "--send-buffer",
                                "65536"});
  auto line = simulator.read_line();
  auto port = static_cast<uint16_t>(std::stoi(line.substr(line.rfind(':') + 1)));
  auto body = chat(port, ask("Hello", R"({"stream": true})")).body;
  CHECK(body.starts_with(": keep-alive\r\n\r\n"));
  while (body.starts_with(": keep-alive\r\n\r\n"))
    body.erase(0, 16);
  CHECK(body.find("\n\n") == body.npos);
  CHECK(body.find("data: [DONE]\r\n\r\n") != body.npos);
  std::size_t deltas = 0;
  for (auto at = body.find("\"delta\":{\"content\""); at != body.npos; at = body.find("\"delta\":{\"content\"", at + 1))
    ++deltas;
  CHECK((deltas > 250 && deltas <= 300));
  CHECK(simulator.end(SIGTERM) == 0);
}

#ifndef __SANITIZE_ADDRESS__ // the check of object types needs a descriptor, and calls an object bad without one

TEST_CASE("simulate tells once when descriptors run out, and goes on when there are some", "[simulator]") {
  background_process simulator(
    {"/bin/sh", "-c", "ulimit -n 40 && exec \"$0\" simulate --tokens-per-second 2 2>&1", program()});
  auto line = simulator.read_line();
  auto port = static_cast<uint16_t>(std::stoi(line.substr(line.rfind(':') + 1)));
  std::deque<connection> open;
  for (int i = 0; i < 60; ++i)
    open.emplace_back(port).send(
      http_request("POST", "/v1/chat/completions", ask("Hello", R"({"stream": true, "max_tokens": 4})")));
  auto told = simulator.read_line();
  CHECK(told.find("out of file descriptors (40 at most") != std::string::npos);
  REQUIRE(open.front().receive_until("[DONE]"));
  CHECK(simulator.cpu().count() < 0.5);   // in a second and a half: it did not try again and again
  for (; !open.empty(); open.pop_front()) // whoever leaves lets the next one in
    REQUIRE(open.front().receive_until("data: "));
  CHECK(simulator.end(SIGTERM) == 0);
  CHECK(simulator.read_line().find("60 requests") != std::string::npos); // not told again
}

#endif

TEST_CASE("simulate can keep its limits to itself", "[simulator]") {
  background_process simulator({program(), "simulate", "--requests-per-minute", "1", "--no-limit-headers"});
  auto line = simulator.read_line();
  auto port = static_cast<uint16_t>(std::stoi(line.substr(line.rfind(':') + 1)));
  for (int status : {200, 429}) {
    auto x = chat(port, ask("Hello"));
    CHECK(x.status == status);
    CHECK_FALSE(x.headers.contains("x-ratelimit-limit-requests"));
  }
  CHECK(simulator.end(SIGTERM) == 0);
}

} // namespace modelforge::command_test
