#include "tests/simulator/client.hpp"
#include "tools/simulator/simulator.hpp"

#include <catch2/catch_test_macros.hpp>

#include <sys/socket.h>

#include <algorithm>
#include <set>
#include <string>

namespace modelforge::streams_wire_test {

using namespace modelforge::test;
using namespace std::chrono_literals;
namespace simulator = modelforge::simulator;

// What a client sees of streams that are spoiled, slow, long or oddly packed.

namespace {

constexpr auto prompt = "How does photosynthesis help cacti?";
constexpr auto chinese = "光合作用如何帮助仙人掌？";
constexpr auto streamed = R"({"stream": true})";

/// Sends a request for a stream that `more` describes.
void ask_for_stream(connection& to, std::string_view more = "{}", std::string_view text = prompt) {
  to.send(http_request("POST", "/v1/chat/completions", merged(ask(text, streamed), more)));
}

/// Returns all that comes until the peer closes.
std::string rest_of(connection& to) {
  std::string all;
  for (auto bytes = to.receive_some(); !bytes.empty(); bytes = to.receive_some())
    all += bytes;
  return all;
}

std::size_t count(std::string_view text, std::string_view what) {
  std::size_t found = 0;
  for (auto at = text.find(what); at != text.npos; at = text.find(what, at + what.size()))
    ++found;
  return found;
}

} // namespace

TEST_CASE("a cut stream ends cleanly without its end mark, after any number of events", "[simulator]") {
  simulator::server server(always_with("cut"));
  std::set<std::size_t> seen;
  for (int i = 0; i < 100; ++i) {
    connection to(server.port());
    ask_for_stream(to, R"({"max_tokens": 3})");
    auto all = rest_of(to);
    CHECK(all.starts_with("HTTP/1.1 200 "));
    CHECK(all.ends_with("\r\n0\r\n\r\n"));
    CHECK_FALSE(to.was_reset());
    CHECK(all.find("[DONE]") == all.npos);
    seen.insert(count(all, "data: {"));
  }
  CHECK(seen == std::set<std::size_t>{0, 1, 2, 3, 4, 5}); // the role, three tokens, the finish reason
  REQUIRE(eventually([&] { return server.snapshot().concurrency == 0; }));
  auto x = server.snapshot();
  CHECK(x.faults.at("cut") == 100);
  CHECK(x.statuses.at(200) == 100);
  CHECK(x.answered == 0);
  CHECK(x.aborted == 0);
  CHECK(x.open_streams == 0);
}

TEST_CASE("an error comes as an event after any number of others, then the end mark", "[simulator]") {
  simulator::server server(always_with("error_event"));
  connection to(server.port()); // one for all: the answers end as they should
  std::set<std::size_t> seen;
  for (int i = 0; i < 100; ++i) {
    ask_for_stream(to, R"({"max_tokens": 3})");
    auto x = to.receive();
    REQUIRE(x.status == 200);
    auto stream = read_stream(x.body);
    CHECK(stream.is_done);
    REQUIRE_FALSE(stream.chunks.empty());
    auto error = stream.chunks.back()["error"];
    CHECK(error["type"] == "server_error");
    CHECK_FALSE(error.value("message", "").empty());
    seen.insert(stream.chunks.size() - 1);
  }
  CHECK(seen == std::set<std::size_t>{0, 1, 2, 3, 4, 5});
  CHECK(eventually([&] { return server.snapshot().answered == 100; }));
}

TEST_CASE("a stalled stream stays open until its client gives up, which is noticed at once", "[simulator]") {
  auto settings = always_with("stall");
  settings.slots = 1;
  simulator::server server(settings);
  for (uint64_t i = 1; i <= 20; ++i) {
    connection to(server.port());
    ask_for_stream(to, R"({"max_tokens": 3})");
    REQUIRE(to.receive_until("\r\n\r\n")); // so the slot of the one before was free again
    CHECK(server.snapshot().open_streams == 1);
    auto before = std::chrono::steady_clock::now();
    to.close();
    REQUIRE(eventually([&] { return server.snapshot().aborted_streams == i; }));
    auto x = server.snapshot();
    REQUIRE(x.last_abort);
    CHECK(*x.last_abort >= before);
    CHECK(*x.last_abort <= x.taken);
    CHECK(x.concurrency == 0);
  }
  auto x = fetch(server.port(), "GET", "/__simulator/stats").parsed();
  CHECK(x["aborted"] == 20);
  CHECK(x["aborted_streams"] == 20);
  CHECK(x["last_abort_ms"].get<int>() <= x["uptime_ms"].get<int>());
  server.reset();
  CHECK(fetch(server.port(), "GET", "/__simulator/stats").parsed()["last_abort_ms"].is_null());
}

TEST_CASE("faults of streams have their like for other answers", "[simulator]") {
  for (auto name : {"cut", "error_event", "stall"}) {
    INFO(name);
    simulator::server server(always_with(name));
    connection to(server.port());
    to.send(http_request("POST", "/v1/chat/completions", ask(prompt)));
    if (name == std::string("cut")) {
      auto all = rest_of(to);
      auto length = std::stoul(all.substr(all.find("content-length: ") + 16));
      CHECK(all.size() - all.find("\r\n\r\n") - 4 == length / 2);
    } else if (name == std::string("error_event")) {
      CHECK(to.receive().status == 500);
    } else {
      REQUIRE(eventually([&] { return server.snapshot().concurrency == 1; }));
      char byte;
      CHECK(recv(to.descriptor(), &byte, 1, MSG_DONTWAIT) < 0);
      to.close();
      CHECK(eventually([&] { return server.snapshot().aborted == 1; }));
      CHECK(server.snapshot().aborted_streams == 0);
    }
    CHECK(server.snapshot().faults.at(name) == 1); // by its own name
  }
}

TEST_CASE("comments keep a stream alive before its first token and after its last", "[simulator]") {
  simulator::options settings;
  settings.keep_alive = 2ms;
  settings.latency = 60s;
  simulator::server server(settings);
  connection waiting(server.port());
  ask_for_stream(waiting);
  CHECK(waiting.receive_until("\r\n\r\n")); // long before the first token
  CHECK(waiting.receive_until(": keep-alive\n\n\r\ne\r\n: keep-alive\n\n"));
  settings.latency = 0s;
  settings.faults = {{"stall", 1}};
  server.configure(settings);
  connection stalled(server.port());
  ask_for_stream(stalled);
  CHECK(stalled.receive_until(": keep-alive\n\n\r\ne\r\n: keep-alive\n\n"));
  settings.faults = {};
  settings.tokens_per_second = 4; // how many comments go between two tokens outgoing_stream_test sees, in virtual time
  server.configure(settings);
  connection slow(server.port());
  ask_for_stream(slow, R"({"max_tokens": 3})");
  auto body = slow.receive().body;
  CHECK(count(body, ": keep-alive\n\n") >= 1); // a server that gets no turn for half a second sends none
  for (auto at = body.find(": keep"); at != body.npos; at = body.find(": keep"))
    body.erase(at, 14);
  CHECK(read_stream(body).deltas == 3);
  CHECK(read_stream(body).is_done);
}

TEST_CASE("a stream says the same however it is packed", "[simulator]") {
  simulator::server server({});
  connection plain(server.port());
  ask_for_stream(plain, "{}", chinese);
  auto text = read_stream(plain.receive().body).text;
  REQUIRE(count(text, "\xe3\x80\x82") > 0); // an ideographic full stop
  for (auto changes : {R"({"crlf": true})", R"({"crlf": false, "pieces_per_packet": 7})",
                       R"({"pieces_per_packet": 1, "split_packets": true})",
                       R"({"pieces_per_packet": 3, "token_jitter": 1, "tokens_per_second": 2000})"}) {
    INFO(changes);
    REQUIRE(fetch(server.port(), "POST", "/__simulator/configure", changes).status == 200);
    connection to(server.port());
    ask_for_stream(to, "{}", chinese);
    auto body = to.receive().body;
    if (count(changes, "\"crlf\": true") > 0) {
      CHECK(count(body, "\n") == count(body, "\r\n"));
      std::erase(body, '\r');
    }
    auto stream = read_stream(body);
    CHECK(stream.is_done);
    CHECK(stream.text == text);
  }
}

TEST_CASE("split packets end inside characters", "[simulator]") {
  simulator::options settings;
  settings.split_packets = true;
  settings.tokens_per_second = 500;
  simulator::server server(settings);
  connection to(server.port());
  ask_for_stream(to, R"({"max_tokens": 40})", chinese);
  std::string all;
  auto is_inside = false;
  while (all.find("0\r\n\r\n") == all.npos) {
    auto bytes = to.receive_some();
    REQUIRE_FALSE(bytes.empty());
    is_inside = is_inside || (static_cast<unsigned char>(bytes[0]) & 0xc0) == 0x80;
    all += bytes;
  }
  CHECK(is_inside);
}

TEST_CASE("a simulator stops sending to a reader that stops reading", "[simulator]") {
  simulator::options settings;
  settings.send_buffer = 64 << 10;
  settings.min_answer_tokens = settings.max_answer_tokens = 70'000; // over 20 MB
  simulator::server server(settings);
  connection idle(server.port());
  int size = 64 << 10;
  REQUIRE(setsockopt(idle.descriptor(), SOL_SOCKET, SO_RCVBUF, &size, sizeof(size)) == 0);
  ask_for_stream(idle);
  REQUIRE(idle.receive_until("data: "));
  connection busy(server.port());
  ask_for_stream(busy);
  auto whole = busy.receive().body; // a whole stream later
  CHECK(whole.ends_with("data: [DONE]\n\n"));
  CHECK(whole.size() > 20'000'000);
  REQUIRE(eventually([&] { return server.snapshot().answered == 1; }));
  auto framing = 70'000 * 10;
  CHECK(server.snapshot().stream_bytes < whole.size() + static_cast<std::size_t>(framing) + (1 << 20));
  auto before = server.snapshot().stream_bytes;
  for (std::size_t read = 0; read < 4u << 20;) {
    auto bytes = idle.receive_some();
    REQUIRE_FALSE(bytes.empty());
    read += bytes.size();
  }
  CHECK(eventually([&] { return server.snapshot().stream_bytes > before + (3u << 20); }));
  CHECK(server.snapshot().stream_bytes < before + (5u << 20)); // it still keeps to its reader
  CHECK(server.snapshot().open_streams == 1);
}

TEST_CASE("long answers have the length that was asked for, streamed or not", "[simulator]") {
  simulator::options settings;
  settings.min_answer_tokens = settings.max_answer_tokens = 5'000;
  simulator::server server(settings);
  for (auto text : {prompt, chinese}) {
    auto unary = chat(server.port(), ask(text)).parsed();
    CHECK(unary["usage"]["completion_tokens"] == 5'000);
    auto x = chat(server.port(), ask(text, R"({"stream": true, "stream_options": {"include_usage": true}})")).body;
    auto stream = read_stream(x);
    CHECK(stream.text == content_of(unary));
    CHECK(stream.usage == unary["usage"]);
    CHECK(stream.deltas == 5'000);
    CHECK(stream.finish_reason == "stop");
    auto cut = chat(server.port(), ask(text, R"({"max_tokens": 3000})")).parsed();
    CHECK(cut["choices"][0]["finish_reason"] == "length");
    CHECK(content_of(unary).starts_with(content_of(cut)));
  }
  CHECK(content_of(chat(server.port(), ask("what is 12 * 7?")).parsed()) == "12 * 7 = 84.");
  settings.min_answer_tokens = settings.max_answer_tokens = simulator::answer_tokens_bound;
  server.configure(settings);
  connection endless(server.port());
  ask_for_stream(endless);
  CHECK(endless.receive_until("data: ")); // not written beforehand
}

TEST_CASE("options of streams that make no sense are refused", "[simulator]") {
  struct row {
    const char* body;
    const char* named;
  };
  simulator::server server({});
  for (auto [body, named] :
       {row{R"({"token_jitter": 1.5})", "'token_jitter'"}, row{R"({"crlf": 1})", "'crlf'"},
        row{R"({"split_packets": "no"})", "'split_packets'"}, row{R"({"keep_alive": 3600001})", "'keep_alive'"},
        row{R"({"pieces_per_packet": 10001})", "'pieces_per_packet'"},
        row{R"({"pieces_per_packet": 0})", "pieces_per_packet"}, row{R"({"send_buffer": 1})", "send_buffer"},
        row{R"({"min_answer_tokens": 10000001})", "'min_answer_tokens'"},
        row{R"({"max_answer_tokens": -1})", "'max_answer_tokens'"}}) {
    INFO(body);
    auto x = fetch(server.port(), "POST", "/__simulator/configure", body);
    CHECK(x.status == 400);
    CHECK(x.parsed()["error"].value("message", "").find(named) != std::string::npos);
  }
  simulator::options settings;
  settings.token_jitter = 2;
  CHECK_THROWS_AS(simulator::server(settings), std::invalid_argument);
}

} // namespace modelforge::streams_wire_test
