#include "tests/http/misbehaving_server.hpp"
#include "tests/http/waiting.hpp"

#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <future>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace modelforge::transport_test {

using namespace modelforge::test;
using namespace std::string_literals;
using namespace std::string_view_literals;

namespace {

/// Answers every request with these bytes.
misbehaving_server::behaviour saying(std::string_view bytes) {
  return [bytes](peer& x) {
    while (x.read_request())
      x.send(bytes);
  };
}

} // namespace

TEST_CASE("transport understands the answers that servers give") {
  struct expectation {
    std::string what;
    std::string_view bytes;
    uint16_t status;
    std::string_view body;
    std::vector<http::header> headers;
  };
  std::vector<expectation> table{
    {"plain",
     "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-A:  b \r\n\r\nhi"sv,
     200,
     "hi",
     {{"content-length", "2"}, {"x-a", "b"}}},
    {"empty body", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"sv, 200, "", {{"content-length", "0"}}},
    {"no content", "HTTP/1.1 204 No Content\r\n\r\n"sv, 204, "", {}},
    {"chunked",
     "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n"sv,
     200,
     "onetwo",
     {{"transfer-encoding", "chunked"}}},
    {"trailers",
     "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nX-Late: y\r\n\r\n"sv,
     200,
     "x",
     {{"transfer-encoding", "chunked"}}},
    {"interim answers",
     "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n"
     "HTTP/1.1 201 Created\r\nContent-Length: 1\r\n\r\ny"sv,
     201,
     "y",
     {{"content-length", "1"}}},
    {"redirect, not followed",
     "HTTP/1.1 302 Found\r\nLocation: /other\r\nContent-Length: 0\r\n\r\n"sv,
     302,
     "",
     {{"location", "/other"}, {"content-length", "0"}}},
    {"error",
     "HTTP/1.1 429 Too Many Requests\r\nRetry-After: 1\r\nContent-Length: 4\r\n\r\nslow"sv,
     429,
     "slow",
     {{"retry-after", "1"}, {"content-length", "4"}}},
    {"gzip",
     "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 25\r\n\r\n"
     "\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\xff\xcb\x48\xcd\xc9\xc9\x07\x00\x86\xa6\x10\x36\x05\x00\x00\x00"sv,
     200,
     "hello",
     {{"content-encoding", "gzip"}, {"content-length", "25"}}},
    {"repeated header",
     "HTTP/1.1 200 OK\r\nX-A: 1\r\nX-A: 2\r\nContent-Length: 0\r\n\r\n"sv,
     200,
     "",
     {{"x-a", "1"}, {"x-a", "2"}, {"content-length", "0"}}},
  };
  http::transport transport;
  for (auto& row : table) {
    INFO(row.what);
    misbehaving_server server{saying(row.bytes)};
    for (auto i = 0; i < 2; ++i) { // the second time on the same connection and handle
      auto got = fetch(transport, post_to(server.url()));
      CHECK_FALSE(got.end.error);
      CHECK(got.head.status == row.status);
      CHECK(got.head.headers == row.headers);
      CHECK(got.body == row.body);
      CHECK(got.end.reused_connection == (i == 1));
    }
    CHECK(server.connections == 1);
  }
}

TEST_CASE("transport takes a body that ends with the connection") {
  misbehaving_server server{[](peer& x) {
    x.read_request();
    x.send("HTTP/1.1 200 OK\r\n\r\nuntil the end");
  }};
  http::transport transport;
  for (auto i = 0; i < 3; ++i) {
    auto got = fetch(transport, post_to(server.url()));
    CHECK_FALSE(got.end.error);
    CHECK(got.body == "until the end");
  }
  CHECK(server.connections == 3);
}

TEST_CASE("transport sends what it was asked to send, and nothing beside") {
  std::string seen;
  misbehaving_server server{[&](peer& x) {
    while (auto request = x.read_request()) {
      seen = *request;
      x.answer("", "Connection: keep-alive\r\n");
    }
  }};
  http::transport transport{{.user_agent = "test/1"}};
  auto host = "Host: 127.0.0.1:" + std::to_string(server.port()) + "\r\nUser-Agent: test/1\r\nAccept: */*\r\n";
  auto plain = "Accept-Encoding: identity\r\n"s;
  http::request request{.url = server.url("/v1/chat?a=b"),
                        .headers = {{"Authorization", "Bearer x"}, {"X-Empty", ""}},
                        .body = "{}",
                        .compression = false};
  auto answered = [&] { return !fetch(transport, request).end.error; };
  REQUIRE(answered());
  CHECK(seen
        == "POST /v1/chat?a=b HTTP/1.1\r\n" + host + "Authorization: Bearer x\r\nX-Empty:\r\n" + plain
             + "Content-Length: 2\r\n\r\n{}");
  request.headers.clear();
  request.method = "DELETE";
  request.body.clear();
  REQUIRE(answered());
  CHECK(seen == "DELETE /v1/chat?a=b HTTP/1.1\r\n" + host + plain + "\r\n");
  request.method = "PUT";
  request.body = "x";
  request.headers = {{"content-type", "text/plain"}};
  REQUIRE(answered());
  CHECK(seen
        == "PUT /v1/chat?a=b HTTP/1.1\r\n" + host + "content-type: text/plain\r\n" + plain
             + "Content-Length: 1\r\n\r\nx");
  request.method = "POST";
  request.body = std::string(3u << 20, 'x'); // no waiting for "100 Continue"
  REQUIRE(answered());
  CHECK(seen.ends_with("Content-Length: 3145728\r\n\r\n" + request.body));
  request.method = "GET";
  request.body.clear();
  request.headers.clear();
  request.compression = true;
  REQUIRE(answered());
  CHECK(seen.find("Accept-Encoding: ") != std::string::npos);
  CHECK(server.connections == 1);
}

TEST_CASE("transport decodes what is compressed, asked for or not, and says what it cannot decode") {
  const std::string gzip{
    "\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\xff\xcb\x48\xcd\xc9\xc9\x07\x00\x86\xa6\x10\x36\x05\x00\x00\x00"sv};
  const std::string zstd{"\x28\xb5\x2f\xfd\x20\x05\x29\x00\x00hello"sv};
  struct {
    std::string encoding, body;
    errc code = errc::none;
    std::string_view said = "";
  } table[] = {{"gzip", gzip},
               {"x-gzip", gzip},
               {"deflate", std::string{"\x78\x9c\xcb\x48\xcd\xc9\xc9\x07\x00\x06\x2c\x02\x15"sv}},
               {"zstd", zstd},
               {"br", std::string{"\x0b\x02\x80hello\x03"sv}},
               {"identity", "hello"},
               {"gzip", "hello", errc::unsupported, "not compressed as its content-encoding says"},
               {"zstd", "hello", errc::invalid_response, "cannot be decompressed"},
               {"compress", "hello", errc::unsupported, "compressed in an unknown way"},
               {"utf-8", "hello", errc::unsupported, "compressed in an unknown way"}};
  for (auto& row : table)
    for (auto asked : {false, true}) {
      CAPTURE(row.encoding, row.said, asked);
      misbehaving_server server{[&](peer& x) {
        x.read_request();
        x.answer(row.body, "Content-Encoding: " + row.encoding + "\r\n");
      }};
      http::transport transport;
      auto request = post_to(server.url());
      request.compression = asked;
      auto got = fetch(transport, request);
      if (row.code == errc::none) {
        CHECK(got.body == "hello");
        CHECK_FALSE(got.end.error);
        continue;
      }
      REQUIRE(got.end.error);
      CAPTURE(got.end.error->message);
      CHECK(name_of(got.end.error->code) == name_of(row.code));
      CHECK(got.end.error->message.find(row.said) != std::string::npos);
    }
}

TEST_CASE("transport notices that a compressed body ends before its own end") {
  // a text of five bytes, flushed, and five more: cut anywhere but at its end something is missing
  const std::pair<std::string, std::string> bodies[] = {
    {"gzip",
     std::string{"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x03\xca\x48\xcd\xc9\xc9\x07\x00\x00\x00\xff\xff\xcb\x00\x11"
                 "\x00\x68\x97\x8c\xf5\x0a\x00\x00\x00"sv}},
    {"deflate", std::string{"\x78\x9c\xca\x48\xcd\xc9\xc9\x07\x00\x00\x00\xff\xff\xcb\x00\x11\x00\x16\xbc\x04\x29"sv}},
    {"zstd", std::string{"\x28\xb5\x2f\xfd\x24\x0a\x51\x00\x00hellohello\x20\xbd\x7b\xdd"sv}},
  };
  for (auto& [coding, body] : bodies)
    for (auto chunk : {std::size_t{0}, std::size_t{1}, std::size_t{7}, body.size()})
      for (std::size_t cut = 1; cut <= body.size(); ++cut) {
        CAPTURE(coding, chunk, cut);
        auto part = body.substr(0, cut);
        auto head = "Content-Encoding: " + coding + "\r\n";
        auto chunks = "HTTP/1.1 200 OK\r\n" + head + "Transfer-Encoding: chunked\r\n\r\n";
        for (std::string_view rest = part; chunk > 0 && !rest.empty();
             rest.remove_prefix(std::min(chunk, rest.size()))) {
          char size[16];
          std::snprintf(size, sizeof size, "%zX;x=1\r\n", std::min(chunk, rest.size()));
          chunks.append(size).append(rest.substr(0, chunk)).append("\r\n");
        }
        misbehaving_server server{[&](peer& x) {
          x.read_request();
          if (chunk == 0)
            x.answer(part, head);
          else
            x.send(chunks + "0\r\n\r\n");
        }};
        http::transport transport;
        auto got = fetch(transport, post_to(server.url()));
        CHECK(std::string_view{"hellohello"}.starts_with(got.body));
        REQUIRE(got.end.error.has_value() == (cut < body.size()));
        if (!got.end.error) {
          CHECK(got.body == "hellohello");
          continue;
        }
        CHECK(got.end.error->code == errc::connection_lost);
        CHECK(got.end.error->decoded);
        CHECK(got.end.error->message.find("compressed") != std::string::npos);
      }
}

TEST_CASE("transport names gzip in several members, of which libcurl decompresses but one") {
  const std::string member{
    "\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x03\xcb\x48\xcd\xc9\xc9\x07\x00\x86\xa6\x10\x36\x05\x00\x00\x00"sv};
  for (auto count : {2, 3, 40'000}) { // the last ones come in pieces
    CAPTURE(count);
    std::string body;
    for (int i = 0; i < count; ++i)
      body += member;
    misbehaving_server server{[&](peer& x) {
      x.read_request();
      x.answer(body, "Content-Encoding: gzip\r\n");
    }};
    http::transport transport;
    auto got = fetch(transport, post_to(server.url()));
    REQUIRE(got.end.error);
    CHECK(got.end.error->code == errc::unsupported);
    CHECK(got.end.error->message.find("several parts (members of gzip)") != std::string::npos);
  }
}

TEST_CASE("transport goes through the proxy that the environment names") {
  std::string seen;
  misbehaving_server proxy{[&](peer& x) {
    while (auto request = x.read_request()) {
      seen = *request;
      x.answer("by proxy");
    }
  }};
  setenv("http_proxy", proxy.url("").c_str(), 1);
  setenv("no_proxy", "127.0.0.1", 1);
  misbehaving_server server{saying("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"sv)};
  http::transport transport;
  auto got = fetch(transport, post_to("http://nothing.invalid/v1"));
  auto excepted = fetch(transport, post_to(server.url()));
  unsetenv("http_proxy");
  unsetenv("no_proxy");
  CHECK(got.body == "by proxy");
  CHECK(seen.starts_with("POST http://nothing.invalid/v1 HTTP/1.1\r\n"));
  CHECK_FALSE(excepted.end.error);
  CHECK(server.connections == 1);
}

TEST_CASE("transport keeps connections and uses them again") {
  constexpr std::size_t at_once = 16;
  std::atomic<std::size_t> asked{0};
  misbehaving_server server{[&](peer& x) {
    while (x.read_request()) {
      ++asked;
      eventually([&] { return asked >= at_once; }); // the first ones need a connection each
      x.answer("ok");
    }
  }};
  http::transport transport;
  for (auto round = 0; round < 20; ++round) {
    std::vector<std::shared_ptr<recorder>> all;
    for (std::size_t i = 0; i < at_once; ++i)
      transport.open(post_to(server.url()), all.emplace_back(std::make_shared<recorder>()));
    for (auto& x : all)
      REQUIRE_FALSE(x->end().error);
  }
  CHECK(server.connections == at_once);
  CHECK(transport.stats().connections == at_once);
  CHECK(transport.stats().succeeded == 20 * at_once);
}

TEST_CASE("transport closes what has been idle for too long") {
  std::atomic<int> closed{0};
  misbehaving_server server{[&](peer& x) {
    while (x.read_request())
      x.answer("ok");
    ++closed;
  }};
  http::transport transport{{.max_idle_time = 1s}};
  REQUIRE_FALSE(fetch(transport, post_to(server.url())).end.error);
  CHECK(eventually([&] { return closed == 1; }));
  REQUIRE_FALSE(fetch(transport, post_to(server.url())).end.error);
  CHECK(server.connections == 2);
}

TEST_CASE("transport keeps no more idle connections than it may") {
  constexpr std::size_t count = 12;
  std::atomic<std::size_t> turn{0};
  std::atomic<std::size_t> closed{0};
  misbehaving_server server{[&](peer& x) {
    x.read_request();
    eventually([&] { return turn > x.number; });
    x.answer("ok");
    x.wait_for_close();
    ++closed;
  }};
  http::transport transport{{.max_idle_connections = 4}};
  for (std::size_t i = 0; i < count; ++i)
    transport.open(post_to(server.url()), std::make_shared<recorder>());
  REQUIRE(eventually([&] { return server.connections == count; }));
  while (turn < count) {
    ++turn;
    REQUIRE(eventually([&] { return transport.stats().succeeded == turn; }));
  }
  CHECK(eventually([&] { return closed >= count - 5; }));
  CHECK(closed <= count - 4);
}

TEST_CASE("callbacks may call the transport, and times tell where a transfer's time went") {
  misbehaving_server server{[](peer& x) {
    while (x.read_request())
      x.answer("ok");
  }};
  http::transport transport;
  std::promise<http::response> last;
  std::atomic<int> left{50};
  std::set<http::transfer_id> ids;
  std::function<void(http::response)> again = [&](http::response x) {
    if (left-- == 0)
      return last.set_value(std::move(x));
    auto id = transport.fetch(post_to(server.url()), again);
    ids.insert(id);
    transport.grant(id, 1);
    transport.cancel(id + 1000);
  };
  transport.fetch(post_to(server.url()), again);
  auto answer = last.get_future();
  REQUIRE(answer.wait_for(patience) == std::future_status::ready);
  auto got = answer.get();
  CHECK(got.body == "ok");
  CHECK(ids.size() == 50);
  auto& times = got.end.times;
  CHECK(times.connected > 0ns);
  CHECK(times.first_byte >= times.connected);
  CHECK(times.total >= times.first_byte);
  CHECK(times.total < patience);
}

TEST_CASE("open sends on the caller's thread while the transport's sleeps") {
  misbehaving_server server{saying("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"sv)};
  http::transport transport;
  CHECK(eventually([&] { // over a connection that is there, once the thread has gone to sleep
    std::thread::id sender;
    auto request = post_to(server.url());
    request.on_written = [&] { sender = std::this_thread::get_id(); };
    auto to = std::make_shared<recorder>();
    transport.open(std::move(request), to);
    CHECK_FALSE(to->end().error);
    return sender == std::this_thread::get_id();
  }));
  auto before = transport.stats();
  CHECK(before.connections < before.started);
  std::vector<std::thread> callers;
  std::vector<std::shared_ptr<recorder>> told(400);
  for (std::size_t i = 0; i < 4; ++i)
    callers.emplace_back([&, i] {
      for (auto k = i; k < told.size(); k += 4) {
        told[k] = std::make_shared<recorder>();
        auto id = transport.open(post_to(server.url()), told[k]);
        if (k % 10 == 0)
          transport.cancel(id);
      }
    });
  for (auto& x : callers)
    x.join();
  for (std::size_t k = 0; k < told.size(); ++k)
    CHECK((!told[k]->end().error || k % 10 == 0));
  CHECK(std::all_of(told.begin(), told.end(), [](auto& x) { return x->ends() == 1; }));
}

TEST_CASE("a timer that a sent request sets runs, however long the transport's thread would sleep") {
  misbehaving_server server{[](peer& x) {
    x.read_request();
    x.wait_for_close();
  }};
  http::transport transport;
  auto request = post_to(server.url());
  request.total_timeout = 50ms;
  auto to = std::make_shared<recorder>();
  transport.open(std::move(request), to);
  CHECK(to->end().error->code == errc::attempt_timeout);
}

namespace {

int transport_threads() {
  auto count = 0;
  for (auto& task : std::filesystem::directory_iterator{"/proc/self/task"}) {
    std::ifstream file{task.path() / "comm"};
    std::string name;
    count += std::getline(file, name) && name == "modelforge-http";
  }
  return count;
}

/// Lets go of its transport at the end of its transfer.
class last_owner : public http::receiver {
public:
  explicit last_owner(std::shared_ptr<http::transport> x) : transport_(std::move(x)) {}

  void on_head(http::response_head) override {}
  void on_data(std::string_view) override {}

  void on_end(http::transfer_end) override {
    transport_.reset();
    ended_on.set_value(std::this_thread::get_id());
  }

  std::promise<std::thread::id> ended_on;

private:
  std::shared_ptr<http::transport> transport_;
};

} // namespace

TEST_CASE("a transport may end within a call to it") {
  CHECK(eventually([] {
    auto transport = std::make_shared<http::transport>();
    auto& used = *transport;
    auto to = std::make_shared<last_owner>(std::move(transport));
    auto before = std::make_shared<recorder>(); // behind its end the thread goes to sleep, sooner or later
    used.open(post_to("no://url"), before);
    before->end();
    used.open(post_to("no://url"), to);
    auto where = to->ended_on.get_future();
    REQUIRE(where.wait_for(patience) == std::future_status::ready);
    return where.get() == std::this_thread::get_id();
  }));
  CHECK(eventually([] { return transport_threads() == 0; }));
}

TEST_CASE("a transport may end in a callback of its own, and takes its thread along") {
  misbehaving_server server{[](peer& x) {
    x.read_request();
    x.answer("ok");
    x.wait_for_close(); // nothing is answered after that
  }};
  auto owner = std::make_shared<http::transport>();
  auto& transport = *owner;
  std::promise<void> answered;
  auto second = std::make_shared<recorder>();
  auto first = [&, last = std::move(owner)](http::response) mutable {
    last->open(post_to(server.url()), second); // cancelled with the transport
    last.reset();
    answered.set_value();
  };
  transport.fetch(post_to(server.url()),
                  [f = std::make_shared<decltype(first)>(std::move(first))](http::response x) { (*f)(std::move(x)); });
  REQUIRE(answered.get_future().wait_for(patience) == std::future_status::ready);
  CHECK(second->end().error);
  CHECK(eventually([] { return transport_threads() == 0; }));
}

} // namespace modelforge::transport_test
