#include "tests/http/misbehaving_server.hpp"
#include "tests/http/waiting.hpp"

#include <catch2/catch_test_macros.hpp>

#include <atomic>
#include <fstream>
#include <functional>
#include <string>
#include <vector>

namespace modelforge::failure_test {

using namespace modelforge::test;

namespace {

/// Reads a request and does no more; the connection then closes.
void read_and_close(peer& x) {
  x.read_request();
}

uint16_t closed_port() {
  misbehaving_server server{[](peer&) {}};
  return server.port();
}

bool contains(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

} // namespace

TEST_CASE("transport says in which phase a transfer failed, and whether it had been sent") {
  struct expectation {
    std::string what;
    misbehaving_server::behaviour server;
    errc code;
    http::phase phase;
    bool written;
    bool begun;
  };
  std::vector<expectation> table{
    {"reads and closes", read_and_close, errc::connection_lost, http::phase::wait, true, false},
    {"reads and resets",
     [](peer& x) {
       x.read_request();
       x.reset_on_close();
     },
     errc::connection_lost, http::phase::wait, true, false},
    {"cuts the body short",
     [](peer& x) {
       x.read_request();
       x.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf");
     },
     errc::connection_lost, http::phase::receive, true, true},
    {"resets within the body",
     [](peer& x) {
       x.read_request();
       x.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf");
       x.reset_on_close();
     },
     errc::connection_lost, http::phase::receive, true, true},
    {"cuts a chunked body short",
     [](peer& x) {
       x.read_request();
       x.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n");
     },
     errc::connection_lost, http::phase::receive, true, true},
    {"cuts the head short",
     [](peer& x) {
       x.read_request();
       x.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n");
     },
     errc::connection_lost, http::phase::receive, true, true},
    {"speaks garbage",
     [](peer& x) {
       x.read_request();
       x.send("220 mail.example ESMTP, and not HTTP at all\r\n");
     },
     errc::invalid_response, http::phase::wait, true, false},
    {"sends a body that is not gzip",
     [](peer& x) {
       x.read_request();
       x.answer("this is no gzip", "Content-Encoding: gzip\r\n");
     },
     errc::unsupported, http::phase::receive, true, true},
    {"sends headers without end",
     [](peer& x) {
       x.read_request();
       x.send("HTTP/1.1 200 OK\r\n");
       while (x.send("X-More: " + std::string(1000, 'x') + "\r\n"))
         ;
     },
     errc::invalid_response, http::phase::receive, true, true},
    {"sends a header line without end",
     [](peer& x) {
       x.read_request();
       x.send("HTTP/1.1 200 OK\r\nX-Long: ");
       while (x.send(std::string(10000, 'x')))
         ;
     },
     errc::invalid_response, http::phase::receive, true, true},
  };
  http::transport transport;
  for (auto& row : table) {
    INFO(row.what);
    misbehaving_server server{row.server};
    auto got = fetch(transport, post_to(server.url("/v1?key=secret")));
    REQUIRE(got.end.error);
    INFO(got.end.error->message);
    CHECK(got.end.error->code == row.code);
    CHECK(got.end.error->phase == row.phase);
    CHECK(got.end.error->request_written == row.written);
    CHECK(got.end.error->response_begun == row.begun);
    CHECK_FALSE(contains(got.end.error->message, "secret"));
    CHECK(contains(got.end.error->message, "127.0.0.1:" + std::to_string(server.port())));
  }
}

TEST_CASE("transport tells of a port that nobody listens on") {
  http::transport transport;
  auto port = closed_port();
  auto got = fetch(transport, post_to("http://127.0.0.1:" + std::to_string(port) + "/?key=secret"));
  REQUIRE(got.end.error);
  CHECK(got.end.error->code == errc::connect_failed);
  CHECK(got.end.error->phase == http::phase::connect);
  CHECK_FALSE(got.end.error->request_written);
  CHECK(got.end.error->message == "could not connect to 127.0.0.1:" + std::to_string(port) + " (connection refused)");
}

TEST_CASE("transport tells of a host without an address") {
  http::transport transport;
  auto got = fetch(transport, post_to("http://user:secret@nothing.invalid/path?key=secret"));
  REQUIRE(got.end.error);
  CHECK(got.end.error->code == errc::resolve_failed);
  CHECK(got.end.error->phase == http::phase::resolve);
  CHECK(got.end.error->message == "could not resolve nothing.invalid:80");
}

TEST_CASE("transport hints at plain HTTP when the TLS handshake finds it") {
  misbehaving_server server{[](peer& x) { x.send("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"); }};
  http::transport transport;
  auto got = fetch(transport, post_to("https://127.0.0.1:" + std::to_string(server.port()) + "/"));
  REQUIRE(got.end.error);
  CHECK(got.end.error->code == errc::tls_failed);
  CHECK(got.end.error->phase == http::phase::tls);
  CHECK(contains(got.end.error->message, "may speak plain HTTP"));
}

TEST_CASE("transport refuses requests that are not valid") {
  misbehaving_server server{[](peer& x) { x.read_request(); }};
  auto request = post_to(server.url());
  std::vector<std::pair<std::string, std::function<void(http::request&)>>> table{
    {"line break in a value",
     [](auto& x) {
       x.headers.push_back({"X-A", "a\r\nX-B: b"});
     }},
    {"bare line feed",
     [](auto& x) {
       x.headers.push_back({"X-A", "a\nb"});
     }},
    {"NUL",
     [](auto& x) {
       x.headers.push_back({"X-A", std::string{"a\0b", 3}});
     }},
    {"line break in a name",
     [](auto& x) {
       x.headers.push_back({"X-A: a\r\nX-B", "b"});
     }},
    {"empty name",
     [](auto& x) {
       x.headers.push_back({"", "b"});
     }},
    {"method", [](auto& x) { x.method = "GET / HTTP/1.1\r\nX-A: b"; }},
    {"no scheme", [](auto& x) { x.url = "127.0.0.1"; }},
    {"other scheme", [](auto& x) { x.url = "file:///etc/passwd"; }},
    {"empty", [](auto& x) { x.url = ""; }},
    {"port out of range", [](auto& x) { x.url = "http://127.0.0.1:99999/"; }},
    {"space in the path", [](auto& x) { x.url += "a b\r\nX: y"; }},
  };
  http::transport transport;
  for (auto& [what, spoil] : table) {
    INFO(what);
    auto bad = request;
    spoil(bad);
    auto got = fetch(transport, bad);
    REQUIRE(got.end.error);
    CHECK(got.end.error->code == errc::invalid_request);
    CHECK_FALSE(got.end.error->request_written);
  }
  CHECK(server.connections == 0);
}

TEST_CASE("transport never sends a request a second time") {
  std::atomic<int> second_requests{0};
  misbehaving_server server{[&](peer& x) {
    if (!x.read_request())
      return;
    x.answer("first");
    if (x.read_request())
      ++second_requests; // read whole, then closed without an answer
  }};
  http::transport transport;
  constexpr auto rounds = 200;
  for (auto i = 0; i < rounds; ++i) {
    REQUIRE_FALSE(fetch(transport, post_to(server.url())).end.error);
    auto got = fetch(transport, post_to(server.url()));
    REQUIRE(got.end.error);
    CHECK(got.end.error->code == errc::connection_lost);
    CHECK(got.end.error->phase == http::phase::wait);
    CHECK(got.end.error->request_written);
    CHECK_FALSE(got.end.error->response_begun);
    CHECK(contains(got.end.error->message, "lost before the first byte"));
    CHECK(second_requests == i + 1);
  }
  CHECK(server.connections == rounds);
}

TEST_CASE("transport verifies certificates") {
  misbehaving_server server{[](peer& x) {
                              while (x.read_request())
                                x.answer("safe");
                            },
                            {.tls = true}};
  SECTION("and refuses one that nobody vouches for") {
    http::transport transport;
    auto got = fetch(transport, post_to(server.url()));
    REQUIRE(got.end.error);
    CHECK(got.end.error->code == errc::tls_failed);
    CHECK(got.end.error->phase == http::phase::tls);
    CHECK_FALSE(got.end.error->request_written);
    CHECK(contains(got.end.error->message, "certificate"));
  }
  SECTION("against the bundle it is given") {
    temporary_file bundle{server.certificate()};
    http::transport transport{{.ca_file = bundle.path()}};
    auto got = fetch(transport, post_to(server.url()));
    CHECK_FALSE(got.end.error);
    CHECK(got.body == "safe");
    CHECK(fetch(transport, post_to(server.url())).end.reused_connection);
  }
  SECTION("and says so when the bundle is missing") {
    http::transport transport{{.ca_file = "/nonexistent/bundle.pem"}};
    auto got = fetch(transport, post_to(server.url()));
    REQUIRE(got.end.error);
    CHECK(got.end.error->code == errc::tls_failed);
  }
}

TEST_CASE("transport names the limit of open files when it is reached") {
  if (sanitized)
    SKIP("a sanitizer opens files when it checks a pointer");
  misbehaving_server server{[](peer& x) {
    x.read_request();
    x.answer("", "Connection: close\r\n"); // else its descriptor would be free at some later time
  }};
  http::transport transport;
  REQUIRE_FALSE(fetch(transport, get_from(server.url())).end.error); // whatever is opened once is open now
  REQUIRE(eventually([&] { return server.is_idle(); })); // a descriptor that it closes later would be free then
  all_files_open hold;
  auto got = fetch(transport, get_from(server.url()));
  hold.release();
  REQUIRE(got.end.error);
  CHECK(got.end.error->code == errc::connect_failed);
  CHECK(contains(got.end.error->message, "limit of"));
}

} // namespace modelforge::failure_test
