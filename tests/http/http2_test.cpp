#include "tests/http/misbehaving_server.hpp"
#include "tests/http/waiting.hpp"

#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <atomic>
#include <functional>
#include <future>
#include <string>
#include <utility>
#include <vector>

/// HTTP/2's ways to say that a request was not processed.

namespace modelforge::http2_test {

using namespace modelforge::test;

namespace {

enum frame_type : uint8_t { data = 0, headers = 1, reset = 3, settings = 4, goaway = 7 };
constexpr uint32_t internal_error = 2, refused_stream = 7, cancelled = 8;

struct frame {
  uint8_t type = 0;
  uint8_t flags = 0;
  uint32_t stream = 0;
  std::string payload;
};

std::string big_endian(uint32_t x, int bytes = 4) {
  std::string result;
  for (auto i = bytes - 1; i >= 0; --i)
    result += static_cast<char>(x >> (8 * i) & 0xff);
  return result;
}

/// One connection of HTTP/2, as the server sees it.
class http2_peer {
public:
  explicit http2_peer(peer& x) : x_(x) {
    x_.read_bytes(24); // the preface
    send(settings, 0, 0, "");
  }

  /// Waits for a whole request and returns its stream; 0: the client has closed the connection.
  uint32_t read_request() {
    while (auto head = x_.read_bytes(9)) {
      auto at = [&](std::size_t i) { return static_cast<uint32_t>(static_cast<unsigned char>((*head)[i])); };
      auto size = at(0) << 16 | at(1) << 8 | at(2);
      if (size > 0 && !x_.read_bytes(size))
        return 0;
      if (at(3) == settings && (at(4) & 1) == 0)
        send(settings, 1, 0, "");
      if ((at(3) == data || at(3) == headers) && (at(4) & 1) != 0)
        return at(5) << 24 | at(6) << 16 | at(7) << 8 | at(8);
    }
    return 0;
  }

  void answer(uint32_t stream) {
    send(headers, 4, stream, "\x88"); // ":status: 200"
    send(data, 1, stream, "{}");
  }

  void end_connection(uint32_t last_stream, uint32_t error = 0) {
    send(goaway, 0, 0, big_endian(last_stream) + big_endian(error));
  }

  void close() { x_.close_in_order(); }

  void end_stream(uint32_t stream, uint32_t error) { send(reset, 0, stream, big_endian(error)); }

private:
  void send(uint8_t type, uint8_t flags, uint32_t stream, const std::string& payload) {
    x_.send(big_endian(static_cast<uint32_t>(payload.size()), 3) + static_cast<char>(type) + static_cast<char>(flags)
            + big_endian(stream) + payload);
  }

  peer& x_;
};

/// A transport and a server of HTTP/2 that it trusts.
struct bench {
  using behaviour = std::function<void(http2_peer&, std::size_t number)>;

  misbehaving_server server;
  temporary_file certificate{server.certificate()};
  http::transport transport{{.ca_file = certificate.path()}};

  explicit bench(behaviour what)
    : server{[what](peer& x) {
               http2_peer y{x};
               what(y, x.number);
             },
             {.tls = true, .http2 = true}} {}

  std::future<http::response> begin() {
    auto promise = std::make_shared<std::promise<http::response>>();
    auto x = post_to(server.url());
    x.total_timeout = 20s;
    transport.fetch(std::move(x), [promise](http::response y) { promise->set_value(std::move(y)); });
    return promise->get_future();
  }

  http::response end(std::future<http::response>& x) {
    REQUIRE(x.wait_for(patience) == std::future_status::ready);
    return x.get();
  }

  http::response fetch() {
    auto x = begin();
    return end(x);
  }
};

void serve_all(http2_peer& x) {
  while (auto stream = x.read_request())
    x.answer(stream);
}

void check_refused(const http::response& x) {
  REQUIRE(x.end.error);
  INFO(x.end.error->message);
  CHECK(x.end.error->refused);
  CHECK_FALSE(x.end.error->request_written);
  CHECK_FALSE(x.end.error->response_begun);
  CHECK(x.end.error->code == errc::connection_lost);
}

void check_lost(const http::response& x) {
  REQUIRE(x.end.error);
  INFO(x.end.error->message);
  CHECK_FALSE(x.end.error->refused);
  CHECK(x.end.error->request_written);
  CHECK(x.end.error->code == errc::connection_lost);
}

} // namespace

TEST_CASE("what a server ends a connection before is unsent, and the rest is answered") {
  for (auto close : {false, true}) {
    INFO("the connection is closed at once: " << close);
    bench b{[close](http2_peer& x, std::size_t number) {
      if (number > 0)
        return serve_all(x);
      for (auto i = 0; i < 5; ++i)
        x.read_request();
      if (!close) {
        x.end_connection(3);
        x.answer(1);
        x.answer(3);
        x.read_request(); // until the client has had enough of it
      } else {
        x.answer(3);
        x.end_connection(3);
        x.close();
      }
    }};
    std::vector<std::future<http::response>> all;
    for (auto i = 0; i < 5; ++i)
      all.push_back(b.begin());
    auto answered = 0, refused = 0, lost = 0;
    for (auto& x : all) {
      auto got = b.end(x);
      if (!got.end.error) {
        ++answered;
      } else if (!got.end.error->refused) {
        ++lost;
        check_lost(got);
      } else {
        ++refused;
        check_refused(got);
      }
    }
    CHECK(answered == (close ? 1 : 2));
    CHECK(lost == (close ? 1 : 0)); // the first one may have been processed
    CHECK(refused == 3);
    CHECK_FALSE(b.fetch().end.error);
    CHECK(b.server.connections == 2);
  }
}

TEST_CASE("a connection that ends before anything was processed leaves all unsent") {
  for (auto used_before : {false, true}) {
    bench b{[used_before](http2_peer& x, std::size_t number) {
      if (number > 0)
        return serve_all(x);
      if (used_before)
        x.answer(x.read_request());
      x.read_request();
      x.end_connection(used_before ? 1 : 0);
      x.close();
    }};
    if (used_before)
      REQUIRE_FALSE(b.fetch().end.error);
    check_refused(b.fetch());
    CHECK_FALSE(b.fetch().end.error);
  }
}

TEST_CASE("a refused stream is unsent, on a new connection and on a kept one") {
  bench b{[](http2_peer& x, std::size_t) {
    x.end_stream(x.read_request(), refused_stream);
    x.answer(x.read_request());
    x.end_stream(x.read_request(), refused_stream);
    serve_all(x);
  }};
  check_refused(b.fetch());
  auto second = b.fetch(); // libcurl may take another connection, where the first stream is refused again
  if (second.end.error)
    check_refused(second);
  else
    check_refused(b.fetch());
}

TEST_CASE("what a server may have processed is never taken for unsent") {
  using behaviour = std::function<void(http2_peer&, uint32_t)>;
  for (auto& [name, what] : std::vector<std::pair<std::string, behaviour>>{
         {"reset: internal error", [](auto&x, auto s) { x.end_stream(s, internal_error), x.read_request(); }},
         {"reset: cancelled", [](auto&x, auto s) { x.end_stream(s, cancelled), x.read_request(); }},
         {"reset, and closed", [](auto&x, auto s) { x.end_stream(s, internal_error), x.close(); }},
         {"closed", [](auto&x, auto) { x.close(); }},
         {"ends the connection behind it, and closes", [](auto&x, auto s) { x.end_connection(s), x.close(); }},
         {"will end the connection some time, and closes",
          [](auto&x, auto) { x.end_connection(0x7fffffff), x.close(); }},
       })
    for (auto used_before : {false, true}) {
      INFO(name << ", used before: " << used_before);
      bench b{[&what = what, used_before](http2_peer& x, std::size_t) {
        if (used_before)
          x.answer(x.read_request());
        what(x, x.read_request());
      }};
      if (used_before)
        REQUIRE_FALSE(b.fetch().end.error);
      check_lost(b.fetch());
      CHECK(b.server.connections == 1); // never a second time
    }
}

TEST_CASE("transport learns how many requests a connection takes, and forgets it") {
  static constexpr uint32_t last = 19; // of ten
  std::atomic<bool> retires{true};
  bench b{[&](http2_peer& x, std::size_t) { // as nginx does it
    for (auto told = false;;) {
      auto stream = x.read_request(); // they need not come whole in the order of their numbers
      if (stream == 0)
        return;
      if (retires && stream >= last && !std::exchange(told, true))
        x.end_connection(last);
      if (!retires || stream <= last)
        x.answer(stream);
    }
  }};
  auto round = [&](int count) {
    std::size_t refused = 0;
    std::vector<std::future<http::response>> all;
    for (auto i = 0; i < count; ++i)
      all.push_back(b.begin());
    while (!all.empty()) {
      std::vector<std::future<http::response>> again;
      for (auto& x : all) {
        auto got = b.end(x);
        if (!got.end.error)
          continue;
        check_refused(got);
        ++refused;
        again.push_back(b.begin());
      }
      all = std::move(again);
    }
    return refused;
  };
  // On a busy machine the server's word may come when few have been sent: nothing is refused then, and nothing learned.
  auto rounds = 1;
  while (round(64) == 0)
    REQUIRE(++rounds < 20);
  CHECK(round(64) == 0);
  CHECK(round(200) == 0);
  retires = false;
  auto before = b.server.connections.load();
  for (auto i = 0; i < 40; ++i)
    CHECK(round(50) == 0);
  CHECK(b.server.connections - before < 30); // 200 would be as many as it took before
}

} // namespace modelforge::http2_test
