#include "serve/http_server.hpp"

#include "tests/simulator/client.hpp"

#include <catch2/catch_test_macros.hpp>

#include <mutex>
#include <stdexcept>

namespace modelforge::http_server_test {

using namespace std::chrono_literals;

namespace {

using server_ptr = std::unique_ptr<serve::http_server>;

server_ptr start(serve::handler what, serve::options how = {}) {
  return std::get<server_ptr>(serve::http_server::start(how, std::move(what)));
}

void echo(const serve::request& x, serve::responder answer) {
  answer({.body = x.method + " " + x.path + " ? " + x.query + " : " + x.body, .headers = {{"X-Mark", "1"}}});
}

} // namespace

TEST_CASE("server hands a request to its handler and the answer to the client", "[serve]") {
  auto server = start(echo);
  auto x = test::fetch(server->port(), "POST", "/a%20b?c=d&e", "body");
  CHECK(x.status == 200);
  CHECK(x.body == "POST /a%20b ? c=d&e : body");
  CHECK(x.headers["x-mark"] == "1");
  CHECK(x.headers["content-type"] == "text/plain; charset=utf-8");
  CHECK(server->url() == "http://127.0.0.1:" + std::to_string(server->port()));
}

TEST_CASE("server answers many requests on one connection, also those sent ahead", "[serve]") {
  auto server = start(echo);
  test::connection to{server->port()};
  to.send(test::http_request("GET", "/1") + test::http_request("GET", "/2"));
  CHECK(to.receive().body == "GET /1 ?  : ");
  CHECK(to.receive().body == "GET /2 ?  : ");
  to.send("GET /3 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  CHECK(to.receive().headers["connection"] == "close");
  CHECK(to.receive_some().empty());
}

TEST_CASE("server sends HEAD the length and no body", "[serve]") {
  auto server = start(echo);
  test::connection to{server->port()};
  to.send(test::http_request("HEAD", "/x") + test::http_request("GET", "/x"));
  auto head = to.receive(true);
  CHECK(head.status == 200);
  CHECK(head.headers["content-length"] == std::to_string(std::string{"HEAD /x ?  : "}.size()));
  CHECK(to.receive().body == "GET /x ?  : ");
}

TEST_CASE("server refuses what is no HTTP or too large, and ends the connection", "[serve]") {
  auto server = start(echo, {.max_header = 1'000, .max_body = 100});
  auto answer_to = [&](const std::string& raw) {
    test::connection to{server->port()};
    to.send(raw);
    auto x = to.receive();
    CHECK(to.receive_some().empty());
    return x.status;
  };
  CHECK(answer_to("nonsense\r\n\r\n") == 400);
  CHECK(answer_to("GET / HTTP/1.1\r\nX: " + std::string(2'000, 'x') + "\r\n\r\n") == 431);
  CHECK(answer_to(test::http_request("POST", "/", std::string(101, 'x'))) == 413);
  CHECK(test::fetch(server->port(), "POST", "/", std::string(100, 'x')).status == 200);
}

TEST_CASE("server takes a request in any form that HTTP allows, and no other", "[serve]") {
  auto server = start(echo);
  auto answer_to = [&](const std::string& raw) {
    test::connection to{server->port()};
    to.send(raw);
    return to.receive();
  };
  CHECK(answer_to("GET http://a.test:80/x/y?z HTTP/1.1\r\nHost: a.test\r\n\r\n").body == "GET /x/y ? z : ");
  CHECK(answer_to("GET http://a.test HTTP/1.1\r\nHost: a.test\r\n\r\n").body == "GET / ?  : ");
  CHECK(answer_to("GET http://a.test?z=/y HTTP/1.1\r\nHost: a.test\r\n\r\n").body == "GET / ? z=/y : ");
  CHECK(answer_to("GET /a://b HTTP/1.1\r\nHost: a.test\r\n\r\n").body == "GET /a://b ?  : ");
  CHECK(answer_to("OPTIONS * HTTP/1.1\r\nHost: a.test\r\n\r\n").body == "OPTIONS * ?  : ");
  auto old = answer_to("GET /x HTTP/1.0\r\n\r\n");
  CHECK(old.body == "GET /x ?  : ");
  CHECK(old.headers["connection"] == "close");
  CHECK(answer_to("GET /x HTTP/1.1\r\n\r\n").status == 400); // of which host?
  test::connection head{server->port()};
  head.send("HEAD /x HTTP/1.1\r\n\r\n");
  std::string refused;
  for (auto piece = head.receive_some(); !piece.empty(); piece = head.receive_some())
    refused += piece;
  CHECK(refused.starts_with("HTTP/1.1 400 "));
  CHECK(refused.ends_with("\r\n\r\n")); // no body
  CHECK(answer_to("GET /x HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n").status == 400);
  CHECK(answer_to("GET /x HTTP/3.0\r\nHost: a\r\n\r\n").status == 400);
  CHECK(answer_to("GET /x HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n").status == 400);
  CHECK(answer_to("GET /x FTP/1.1\r\nHost: a\r\n\r\n").status == 400);
  CHECK(answer_to("GET  HTTP/1.1\r\n\r\n").status == 400);
}

TEST_CASE("server takes an answer from any thread, once, and after its own end", "[serve]") {
  std::mutex mutex;
  std::vector<serve::responder> kept;
  auto server = start([&](const serve::request&, serve::responder answer) {
    std::lock_guard guard{mutex};
    kept.push_back(std::move(answer));
  });
  auto count = [&] {
    std::lock_guard guard{mutex};
    return kept.size();
  };
  test::connection to{server->port()};
  to.send(test::http_request("GET", "/"));
  REQUIRE(test::eventually([&] { return count() == 1; }));
  kept[0]({.body = "first"});
  CHECK(to.receive().body == "first");
  to.send(test::http_request("GET", "/"));
  REQUIRE(test::eventually([&] { return count() == 2; }));
  kept[0]({.body = "late"}); // must not answer the second request
  kept[1]({.body = "second"});
  CHECK(to.receive().body == "second");
  to.send(test::http_request("GET", "/"));
  REQUIRE(test::eventually([&] { return count() == 3; }));
  server.reset();
  CHECK(to.receive().status == 0);
  kept[2]({.body = "nobody hears it"});
}

TEST_CASE("server answers for a handler that takes too long, or throws", "[serve]") {
  auto server = start(
    [](const serve::request& x, const serve::responder&) {
      if (x.path == "/throw")
        throw std::runtime_error{"secret"};
    },
    {.answer_time = 50ms});
  CHECK(test::fetch(server->port(), "GET", "/").status == 503);
  auto x = test::fetch(server->port(), "GET", "/throw");
  CHECK(x.status == 500);
  CHECK(x.body.find("secret") == std::string::npos);
}

TEST_CASE("server ends connections that send nothing, or a request by and by", "[serve]") {
  auto server = start(echo, {.idle_time = 50ms, .request_time = 50ms});
  test::connection silent{server->port()};
  CHECK(silent.receive_some().empty());
  test::connection slow{server->port()};
  slow.send("GET / HTT");
  CHECK(slow.receive_some().empty());
  CHECK(test::eventually([&] { return server->connections() == 0; }));
}

TEST_CASE("server keeps the number of its connections", "[serve]") {
  auto server = start(echo, {.max_connections = 2});
  test::connection first{server->port()};
  test::connection second{server->port()};
  REQUIRE(test::eventually([&] { return server->connections() == 2; }));
  test::connection third{server->port()};
  CHECK(third.receive_some().empty());
  CHECK(server->connections() == 2);
  first.close();
  REQUIRE(test::eventually([&] { return server->connections() == 1; }));
  CHECK(test::fetch(server->port(), "GET", "/").status == 200);
}

TEST_CASE("server tells which port cannot be had", "[serve]") {
  auto server = start(echo);
  auto taken = serve::http_server::start({.port = server->port()}, echo);
  auto* problem = std::get_if<std::string>(&taken);
  REQUIRE(problem != nullptr);
  CHECK(problem->starts_with("cannot listen on 127.0.0.1:" + std::to_string(server->port()) + ": "));
  auto nowhere = serve::http_server::start({.host = "256.1.1.1"}, echo);
  CHECK(std::get<std::string>(nowhere).starts_with("cannot listen on 256.1.1.1:0: "));
}

TEST_CASE("server ends at once, whatever its clients do", "[serve]") {
  auto server = start([](const serve::request&, const serve::responder&) {}, {.answer_time = 60s});
  test::connection idle{server->port()};
  test::connection waiting{server->port()};
  waiting.send(test::http_request("GET", "/"));
  test::connection slow{server->port()};
  slow.send("GET");
  REQUIRE(test::eventually([&] { return server->connections() == 3; }));
  auto begin = std::chrono::steady_clock::now();
  server.reset();
  CHECK(std::chrono::steady_clock::now() - begin < 2s);
  CHECK(idle.receive_some().empty());
}

} // namespace modelforge::http_server_test
