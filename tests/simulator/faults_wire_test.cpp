#include "tests/simulator/client.hpp"
#include "tools/simulator/simulator.hpp"

#include <catch2/catch_test_macros.hpp>

#include <sys/socket.h>

#include <deque>
#include <set>
#include <stdexcept>
#include <thread>

namespace modelforge::faults_wire_test {

using namespace modelforge::test;
using namespace std::chrono_literals;
namespace simulator = modelforge::simulator;

// What each fault looks like to a client, and how the simulator's endpoints tell and change it.

namespace {

constexpr auto prompt = "How does photosynthesis help cacti?";
constexpr auto streamed = R"({"stream": true})";
constexpr auto unary = "{}";

/// Returns the headers of attempt `attempt` of request `id`, up to 99.
std::string identity(int id, int attempt) {
  auto text = std::to_string(100 + id).substr(1);
  return "x-modelforge-request: " + std::string(30, '0') + text + "\r\nx-modelforge-attempt: " + std::to_string(attempt)
         + "\r\n";
}

std::string post(std::string_view more, std::string_view headers = {}) {
  return http_request("POST", "/v1/chat/completions", ask(prompt, more), headers);
}

/// Sends one request and returns all that comes until the connection ends.
std::pair<std::string, bool> bytes_and_reset(uint16_t port, std::string_view more) {
  connection to(port);
  to.send(post(more));
  std::string all;
  for (auto bytes = to.receive_some(); !bytes.empty(); bytes = to.receive_some())
    all += bytes;
  return {all, to.was_reset()};
}

http_answer configure(const simulator::server& server, std::string_view settings) {
  return fetch(server.port(), "POST", "/__simulator/configure", settings);
}

} // namespace

TEST_CASE("refusing and failing faults answer in OpenAI's form", "[simulator]") {
  struct row {
    const char* name;
    int status;
    json type, code;
  };
  for (const auto& [name, status, type, code] :
       {row{"429", 429, "requests", "rate_limit_exceeded"},
        row{"429_retry_after", 429, "requests", "rate_limit_exceeded"},
        row{"429_quota", 429, "insufficient_quota", "insufficient_quota"}, row{"500", 500, "server_error", nullptr},
        row{"503", 503, "service_unavailable_error", "server_is_overloaded"},
        row{"529", 529, "overloaded_error", nullptr}}) {
    simulator::server server(always_with(name));
    for (auto more : {unary, streamed}) {
      INFO(name << " " << more);
      auto x = chat(server.port(), ask(prompt, more), identity(7, 1));
      CHECK(x.status == status);
      CHECK(x.headers["content-type"] == "application/json");
      CHECK(x.headers["retry-after"] == (name == std::string("429_retry_after") ? "1" : ""));
      CHECK_FALSE(x.headers.contains("retry-after-ms"));
      auto error = x.parsed()["error"];
      CHECK(error["type"] == type);
      CHECK(error["code"] == code);
      CHECK_FALSE(error.value("message", "").empty());
    }
    auto told = fetch(server.port(), "GET", "/__simulator/faults/" + std::string(31, '0') + "7").parsed();
    CHECK(told == json{{"fault", name}, {"status", status}, {"attempts", 2}});
    auto x = server.snapshot();
    CHECK(x.faults == std::map<std::string, uint64_t>{{name, 2}});
    CHECK(x.statuses == std::map<int, uint64_t>{{status, 2}});
    CHECK(x.rejected == 0);
    CHECK(x.window_requests == (status == 429 ? 0 : 2));
  }
}

TEST_CASE("a wait with a fraction is told in milliseconds, too", "[simulator]") {
  auto settings = always_with("429_retry_after");
  settings.retry_after = 2'250ms;
  simulator::server server(settings);
  auto x = chat(server.port(), ask(prompt));
  CHECK(x.headers["retry-after"] == "3");
  CHECK(x.headers["retry-after-ms"] == "2250");
}

TEST_CASE("bodies that are no answer come with status 200", "[simulator]") {
  simulator::server server(always_with("garbage"));
  auto x = chat(server.port(), ask(prompt));
  CHECK(x.status == 200);
  CHECK(x.headers["content-type"] == "application/json");
  CHECK_FALSE(x.body.empty());
  CHECK(x.parsed().is_discarded());
  auto stream = chat(server.port(), ask(prompt, streamed));
  CHECK(stream.status == 200);
  CHECK(stream.headers["content-type"].starts_with("text/event-stream"));
  CHECK(stream.body.starts_with("data: "));
  CHECK(read_stream(stream.body).chunks.empty());
  REQUIRE(configure(server, R"({"faults": {"html": 1}, "requests_per_minute": 100})").status == 200);
  for (auto more : {unary, streamed}) {
    auto page = chat(server.port(), ask(prompt, more));
    CHECK(page.status == 200);
    CHECK(page.headers["content-type"].starts_with("text/html"));
    CHECK(page.body.find("<html>") != std::string::npos);
    CHECK_FALSE(page.headers.contains("x-request-id"));
    CHECK_FALSE(page.headers.contains("x-ratelimit-limit-requests"));
  }
}

TEST_CASE("a reset comes before any byte", "[simulator]") {
  simulator::server server(always_with("reset"));
  for (auto more : {unary, streamed}) {
    auto [bytes, was_reset] = bytes_and_reset(server.port(), more);
    CHECK(bytes.empty());
    CHECK(was_reset);
  }
  auto x = server.snapshot();
  CHECK(x.faults.at("reset") == 2);
  CHECK(x.statuses.at(0) == 2);
  CHECK(x.answered == 0);
  CHECK(x.aborted == 0);
  CHECK(x.concurrency == 0);
}

TEST_CASE("cut answers end in the middle of their body, by a reset or cleanly", "[simulator]") {
  for (auto is_reset : {true, false}) {
    simulator::server server(always_with(is_reset ? "reset_mid" : "truncated"));
    INFO("reset " << is_reset);
    auto [whole, whole_was_reset] = bytes_and_reset(server.port(), unary);
    CHECK(whole_was_reset == is_reset);
    CHECK(whole.starts_with("HTTP/1.1 200 "));
    auto body = whole.substr(whole.find("\r\n\r\n") + 4);
    auto length = std::stoul(whole.substr(whole.find("content-length: ") + 16));
    CHECK(body.starts_with("{\"id\":"));
    CHECK(body.size() == length / 2);
    // One token, many, and the arguments of a call: whatever its length, a stream never reaches its end.
    for (auto more : {R"({"stream": true, "max_tokens": 1})", streamed,
                      R"({"stream": true, "tools": [{"type": "function", "function": {"name":
                         "a_function_whose_name_has_many_more_tokens_than_its_arguments"}}],
                         "tool_choice": "required"})"}) {
      INFO(more);
      auto [stream, stream_was_reset] = bytes_and_reset(server.port(), more);
      CHECK(stream_was_reset == is_reset);
      CHECK(stream.starts_with("HTTP/1.1 200 "));
      CHECK(stream.find("data: {") != std::string::npos);
      CHECK(stream.find("[DONE]") == std::string::npos);
      CHECK_FALSE(stream.ends_with("0\r\n\r\n"));
    }
    REQUIRE(eventually([&] { return server.snapshot().concurrency == 0; }));
    auto x = server.snapshot();
    CHECK(x.open_streams == 0);
    CHECK(x.answered == 0);
    CHECK(x.aborted == 0);
    CHECK(x.statuses.at(200) == 4);
  }
}

TEST_CASE("a cut stream has sent half its tokens", "[simulator]") {
  simulator::server server(always_with("truncated"));
  auto all = bytes_and_reset(server.port(), R"({"stream": true, "max_tokens": 20})").first;
  std::size_t deltas = 0;
  for (auto at = all.find("\"content\":\""); at != all.npos; at = all.find("\"content\":\"", at + 1))
    ++deltas;
  CHECK(deltas >= 11); // with the role's empty one; the next is cut, perhaps before its text
  CHECK(deltas <= 12);
}

TEST_CASE("a request without an answer waits until its client gives up", "[simulator]") {
  simulator::server server(always_with("timeout"));
  std::deque<connection> open;
  open.emplace_back(server.port()).send(http_request("GET", "/v1/models") + post(unary)); // together, in one packet
  CHECK(open.front().receive().status == 200);
  open.emplace_back(server.port()).send(post(streamed));
  REQUIRE(eventually([&] { return server.snapshot().concurrency == 2; }));
  REQUIRE(configure(server, R"({"faults": {}})").status == 200);
  CHECK(chat(server.port(), ask(prompt)).status == 200); // others are served meanwhile
  for (auto& x : open) {
    char byte;
    CHECK(recv(x.descriptor(), &byte, 1, MSG_DONTWAIT) < 0);
    CHECK(errno == EAGAIN);
  }
  auto before = server.snapshot();
  CHECK(before.faults.at("timeout") == 2);
  CHECK(before.statuses.at(0) == 2);
  CHECK(before.aborted == 0);
  open.front().close();
  CHECK(eventually([&] { return server.snapshot().aborted == 1; }));
  CHECK(server.snapshot().concurrency == 1);
  CHECK(eventually([&] { return server.snapshot().connections == 1; }));
  server.stop(); // the other one does not keep it
  CHECK(open.back().receive().status == 0);
  CHECK(server.snapshot().concurrency == 0);
  CHECK(server.snapshot().connections == 0);
}

TEST_CASE("a slow answer arrives whole, a second later", "[simulator]") {
  simulator::server server(always_with("slow"));
  auto x = chat(server.port(), ask(prompt));
  CHECK(x.status == 200);
  CHECK(std::stoi(x.headers["openai-processing-ms"]) >= 1'000);
  CHECK_FALSE(content_of(x.parsed()).empty());
}

TEST_CASE("the same faults come again with the same seed, and others with a retry", "[simulator]") {
  auto statuses = [](uint64_t seed, int attempt) {
    simulator::options settings;
    settings.seed = seed;
    settings.faults = {{"429", 0.2}, {"500", 0.2}, {"html", 0.1}};
    simulator::server server(settings);
    connection to(server.port());
    std::vector<int> all;
    for (int i = 0; i < 60; ++i) {
      to.send(post(unary, identity(i, attempt)));
      auto x = to.receive();
      all.push_back(x.headers["content-type"].starts_with("text/html") ? 1 : x.status);
    }
    return all;
  };
  auto first = statuses(1, 1);
  CHECK(std::set(first.begin(), first.end()) == std::set{1, 200, 429, 500});
  CHECK(first == statuses(1, 1));
  CHECK(first != statuses(1, 2));
  CHECK(first != statuses(2, 1));
}

TEST_CASE("only a valid request for an answer can get a fault", "[simulator]") {
  auto settings = always_with("503");
  settings.api_key = "key";
  simulator::server server(settings);
  auto key = "authorization: Bearer key\r\n";
  CHECK(chat(server.port(), ask(prompt)).status == 401);
  CHECK(chat(server.port(), "{}", key).status == 400);
  CHECK(fetch(server.port(), "GET", "/v1/models", "", key).status == 200);
  CHECK(server.snapshot().faults.empty());
  CHECK(chat(server.port(), ask(prompt), key).status == 503);
}

TEST_CASE("the last fault of a request can be asked for", "[simulator]") {
  simulator::server server(always_with("reset"));
  auto path = "/__simulator/faults/" + std::string(30, '0') + "05";
  CHECK(fetch(server.port(), "GET", path).status == 404);
  auto attempt = [&](int number) { return chat(server.port(), ask(prompt), identity(5, number)).status; };
  CHECK(attempt(1) == 0);
  CHECK(fetch(server.port(), "GET", path).parsed() == json{{"fault", "reset"}, {"status", nullptr}, {"attempts", 1}});
  REQUIRE(configure(server, R"({"faults": {"503": 1.0}})").status == 200);
  CHECK(attempt(2) == 503);
  REQUIRE(configure(server, R"({"faults": {}})").status == 200);
  CHECK(attempt(3) == 200);
  CHECK(fetch(server.port(), "GET", path).parsed() == json{{"fault", "503"}, {"status", 503}, {"attempts", 3}});
  CHECK(chat(server.port(), ask(prompt), identity(6, 1)).status == 200);
  CHECK(fetch(server.port(), "GET", "/__simulator/faults/" + std::string(30, '0') + "06").parsed()
        == json{{"fault", nullptr}, {"status", nullptr}, {"attempts", 1}});
  CHECK(fetch(server.port(), "GET", "/__simulator/faults/x").status == 404);
  auto x = server.snapshot();
  CHECK(x.first_attempts == 2);
  CHECK(x.retries == 2);
}

TEST_CASE("settings change at run time, all that were sent or none", "[simulator]") {
  simulator::server server({});
  CHECK(configure(server, R"({"faults": {"503": 1}, "latency": 5, "latency_jitter": 0.5, "tokens_per_second": 1e6,
    "slots": 3, "requests_per_minute": 600, "tokens_per_minute": 100000, "token_accounting": "input",
    "limit_headers": true, "retry_after": 1.5, "fault_from": 0, "fault_until": null})")
          .status
        == 200);
  auto x = chat(server.port(), ask(prompt));
  CHECK(x.status == 503);
  CHECK(x.headers["x-ratelimit-limit-requests"] == "600");
  CHECK(x.headers["x-ratelimit-limit-tokens"] == "100000");
  struct row {
    const char* body;
    const char* named;
  };
  for (auto [body, named] : {row{R"({"faults": {}, "window": 10})", "'window'"},
                             row{R"({"faults": {}, "nonsense": 1})", "'nonsense'"},
                             row{R"({"limit_headers": false, "window": 10})", "'window'"},
                             row{R"({"faults": {}, "slots": -1})", "'slots'"},
                             row{R"({"faults": {}, "slots": 1.5})", "'slots'"},
                             row{R"({"faults": {}, "slots": 4294967296})", "'slots'"},
                             row{R"({"faults": {}, "requests_per_minute": "many"})", "'requests_per_minute'"},
                             row{R"({"faults": {}, "tokens_per_minute": 100000000001})", "'tokens_per_minute'"},
                             row{R"({"faults": {}, "token_accounting": "output"})", "'token_accounting'"},
                             row{R"({"faults": {}, "limit_headers": 1})", "'limit_headers'"},
                             row{R"({"faults": {}, "latency": 600001})", "'latency'"},
                             row{R"({"faults": {}, "latency_jitter": 2})", "'latency_jitter'"},
                             row{R"({"faults": {}, "tokens_per_second": -1})", "'tokens_per_second'"},
                             row{R"({"faults": {}, "retry_after": null})", "'retry_after'"},
                             row{R"({"faults": {}, "fault_from": 2, "fault_until": 1})", "fault_until"},
                             row{R"({"faults": {}, "fault_until": "never"})", "'fault_until'"},
                             row{R"({"faults": []})", "'faults'"},
                             row{R"({"faults": {"503": "often"}})", "'faults.503'"},
                             row{R"({"faults": {"504": 1}})", "\"504\""},
                             row{R"({"faults": {"429": 0.6, "503": 0.6}})", "\"503\""},
                             row{"[]", "JSON object"},
                             row{"{", "JSON object"},
                             row{"", "JSON object"}}) {
    auto refused = configure(server, body);
    INFO(body << " " << refused.body);
    CHECK(refused.status == 400);
    CHECK(refused.parsed()["error"].value("message", "").find(named) != std::string::npos);
    auto after = chat(server.port(), ask(prompt));
    CHECK(after.status == 503); // nothing changed
    CHECK(after.headers.contains("x-ratelimit-limit-requests"));
  }
  CHECK(configure(server, R"({"faults": {}, "limit_headers": false})").status == 200);
  auto healthy = chat(server.port(), ask(prompt));
  CHECK(healthy.status == 200);
  CHECK_FALSE(healthy.headers.contains("x-ratelimit-limit-requests"));
  CHECK(fetch(server.port(), "GET", "/__simulator/configure").status == 405);
}

TEST_CASE("a program can change settings from any thread", "[simulator]") {
  simulator::server server({});
  auto url = server.url();
  auto settings = always_with("503");
  settings.port = 1;
  server.configure(settings);
  CHECK(chat(server.port(), ask(prompt)).status == 503);
  CHECK(server.url() == url);
  settings.faults["429"] = 1;
  CHECK_THROWS_AS(server.configure(settings), std::invalid_argument);
  std::deque<std::thread> threads;
  for (int i = 0; i < 4; ++i)
    threads.emplace_back([&, i] {
      for (int j = 0; j < 50; ++j)
        server.configure(always_with(i % 2 == 0 ? "429" : "500"));
    });
  std::set<int> seen;
  for (int i = 0; i < 50; ++i)
    seen.insert(chat(server.port(), ask(prompt)).status);
  for (auto& x : threads)
    x.join();
  for (auto status : seen)
    CHECK((status == 429 || status == 500 || status == 503));
  server.configure({});
  CHECK(chat(server.port(), ask(prompt)).status == 200);
  server.stop();
  server.configure(always_with("500"));
}

TEST_CASE("an outage can be played by the clock", "[simulator]") {
  auto settings = always_with("503");
  settings.fault_until = 0s;
  simulator::server server(settings);
  CHECK(chat(server.port(), ask(prompt)).status == 200);
  CHECK(configure(server, R"({"fault_from": 3600, "fault_until": null})").status == 200);
  CHECK(chat(server.port(), ask(prompt)).status == 200);
  CHECK(configure(server, R"({"fault_from": 0, "fault_until": 3600})").status == 200);
  CHECK(chat(server.port(), ask(prompt)).status == 503);
}

} // namespace modelforge::faults_wire_test
