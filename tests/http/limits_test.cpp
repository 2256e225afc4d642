#include "tests/http/misbehaving_server.hpp"
#include "tests/http/waiting.hpp"

#include <catch2/catch_test_macros.hpp>

#include <dirent.h>
#include <pthread.h>
#include <sys/resource.h>

#include <atomic>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

namespace modelforge::limits_test {

using namespace modelforge::test;
using namespace std::string_view_literals;

namespace {

std::string numbered(std::size_t size) {
  std::string result;
  for (auto i = 0; result.size() < size; ++i)
    result += std::to_string(i) + ',';
  result.resize(size);
  return result;
}

std::size_t entries(const char* folder) {
  std::size_t result = 0;
  auto* handle = opendir(folder);
  while (readdir(handle) != nullptr)
    ++result;
  closedir(handle);
  return result;
}

std::size_t resident_bytes() {
  std::ifstream file{"/proc/self/statm"};
  std::size_t all = 0;
  std::size_t resident = 0;
  file >> all >> resident;
  return resident * static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
}

double cpu_seconds() {
  rusage used{};
  getrusage(RUSAGE_SELF, &used);
  auto of = [](const timeval& x) { return static_cast<double>(x.tv_sec) + static_cast<double>(x.tv_usec) * 1e-6; };
  return of(used.ru_utime) + of(used.ru_stime);
}

void be_silent(peer& x) {
  x.read_request();
  x.wait_for_close();
}

void begin_and_hold(peer& x) {
  x.read_request();
  x.keep_open();
  x.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nbegin");
}

} // namespace

TEST_CASE("transport stops reading when a receiver gives no credit, and goes on whole and in order") {
  auto body = numbered(32u << 20);
  misbehaving_server server{[&](peer& x) {
    x.read_request();
    x.answer(body);
  }};
  constexpr std::size_t credit = 50'000;
  http::transport transport{{.initial_credit = credit}};
  auto to = std::make_shared<recorder>();
  auto request = get_from(server.url());
  request.idle_timeout = 1s; // does not run while we are the ones who wait; a busy machine takes its time to begin
  auto id = transport.open(request, to);
  REQUIRE(eventually([&] { return transport.stats().paused == 1; }));
  CHECK(to->received() == credit);
  std::size_t sent = 0;
  REQUIRE(eventually([&] {
    auto before = std::exchange(sent, server.bytes_sent.load());
    std::this_thread::sleep_for(1200ms); // "has stopped" can only be seen over a time, here one beyond the idle timeout
    return before > 0 && before == sent;
  }));
  CHECK(sent < 12u << 20); // the rest stands in the kernel's receive buffer
  std::mt19937 random{1};
  for (std::size_t granted = credit; granted < body.size() && to->ends() == 0;) {
    REQUIRE(to->received() <= granted);
    auto more = random() % 3 == 0 ? random() % 100 + 1 : random() % 2'000'000 + 1;
    transport.grant(id, more);
    granted += more;
    REQUIRE(eventually([&] { return to->received() == std::min(granted, body.size()); }));
  }
  CHECK_FALSE(to->end().error);
  CHECK(to->body() == body);
  CHECK(transport.stats().paused == 0);
}

TEST_CASE("transport bounds the size of answers") {
  misbehaving_server server{[](peer& x) {
    x.read_request();
    x.send("HTTP/1.1 200 OK\r\n\r\n");
    for (auto i = 0; i < 50 && x.send(std::string(1u << 20, 'x')); ++i)
      ;
  }};
  http::transport transport;
  auto request = get_from(server.url());
  request.max_response_bytes = 1u << 20;
  auto got = fetch(transport, request);
  REQUIRE(got.end.error);
  CHECK(got.end.error->code == errc::response_too_large);
  CHECK(got.body.size() <= request.max_response_bytes);
  request.max_response_bytes = 64u << 20;
  CHECK(fetch(transport, request).body.size() == 50u << 20);
}

TEST_CASE("what grows by decompression is bounded like any answer, and held back like any") {
  const std::string head{"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n"
                         "\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\x62\x18"sv};
  std::string zeros; // 13 bytes make 2064
  while (zeros.size() < 16'000)
    zeros += "\x05\xa3\x60\x14\x8c\x82\x51\x30\x0a\x46\xc1\x28\x18"sv;
  misbehaving_server server{[&](peer& x) {
    x.read_request();
    x.send(head);
    while (x.send(zeros) && *x.bytes_sent < 200u << 20)
      ;
  }};
  {
    http::transport transport;
    auto request = get_from(server.url());
    request.max_response_bytes = 1u << 20;
    auto got = fetch(transport, request);
    REQUIRE(got.end.error);
    CHECK(got.end.error->code == errc::response_too_large);
    CHECK(got.body.size() <= request.max_response_bytes);
  }
  http::transport transport{{.initial_credit = 50'000}};
  auto to = std::make_shared<recorder>();
  auto id = transport.open(get_from(server.url()), to);
  for (std::size_t granted = 50'000; granted < 40'000'000; granted += 5'000'000) {
    REQUIRE(eventually([&] { return to->received() == granted && transport.stats().paused == 1; }));
    transport.grant(id, 5'000'000);
  }
  CHECK(server.bytes_sent < 20u << 20); // the kernel's buffers
  transport.cancel(id);
}

TEST_CASE("transport bounds what comes beside head and body") {
  struct endless {
    const char* name;
    std::string head;
    std::string piece; ///< Again and again.
  };
  const std::string chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n";
  std::string lines;
  for (auto i = 0; i < 1000; ++i)
    lines += "X-Trailer: and one more\r\n";
  std::string empty;
  for (auto i = 0; i < 5000; ++i)
    empty += std::string{"\0\0\0\xff\xff", 5}; // a stored block of no bytes
  for (auto& [name, head, piece] : {
         endless{"trailers", chunked + "\r\n2\r\n{}\r\n0\r\n", lines},
         endless{"an extension of a chunk", chunked + "\r\n2;", std::string(30'000, 'x')},
         endless{"empty blocks of gzip",
                 "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n" + std::string{"\x1f\x8b\x08\0\0\0\0\0\0\x03", 10},
                 empty},
         endless{"interim answers", "", "HTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\n"},
       }) {
    INFO(name);
    misbehaving_server server{[&head = head, &piece = piece](peer& x) {
      x.read_request();
      x.send(head);
      while (x.send(piece) && *x.bytes_sent < 200u << 20)
        ;
    }};
    http::transport transport;
    auto request = get_from(server.url());
    request.total_timeout = 20s;
    auto got = fetch(transport, request);
    REQUIRE(got.end.error);
    INFO(got.end.error->message);
    CHECK(got.end.error->code == errc::invalid_response);
    CHECK(server.bytes_sent < 20u << 20);
  }
  misbehaving_server server{[](peer& x) { // a few trailers are none of that
    x.read_request();
    x.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;a=b\r\n{}\r\n0\r\nDigest: x\r\nOther: y\r\n\r\n");
  }};
  http::transport transport;
  auto got = fetch(transport, get_from(server.url()));
  CHECK_FALSE(got.end.error);
  CHECK(got.body == "{}");
}

TEST_CASE("transport enforces each of its timeouts") {
  struct expectation {
    std::string what;
    misbehaving_server::behaviour server;
    std::chrono::nanoseconds http::request::*timeout;
    std::size_t body_size;
    http::phase phase;
    bool written;
  };
  std::vector<expectation> table{
    {"first byte", be_silent, &http::request::first_byte_timeout, 10, http::phase::wait, true},
    {"first byte, large body", be_silent, &http::request::first_byte_timeout, 200'000, http::phase::wait, true},
    {"first byte behind 103",
     [](peer& x) {
       x.read_request();
       x.send("HTTP/1.1 103 Early Hints\r\n\r\n");
       x.wait_for_close();
     },
     &http::request::first_byte_timeout, 10, http::phase::receive, true},
    {"idle within the head",
     [](peer& x) {
       x.read_request();
       x.send("HTTP/1.1 200 OK\r\n");
       x.wait_for_close();
     },
     &http::request::idle_timeout, 10, http::phase::receive, true},
    {"idle within the body",
     [](peer& x) {
       x.read_request();
       x.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nsome");
       x.wait_for_close();
     },
     &http::request::idle_timeout, 10, http::phase::receive, true},
    {"total", be_silent, &http::request::total_timeout, 10, http::phase::wait, true},
    {"total while sending", [](peer& x) { std::this_thread::sleep_for(400ms), x.wait_for_close(); },
     &http::request::total_timeout, 32u << 20, http::phase::send, false},
  };
  http::transport transport;
  for (auto& row : table) {
    INFO(row.what);
    misbehaving_server server{row.server};
    auto request = post_to(server.url(), std::string(row.body_size, 'x'));
    request.*row.timeout = 250ms;
    auto got = fetch(transport, request);
    REQUIRE(got.end.error);
    INFO(got.end.error->message);
    CHECK(got.end.error->code == errc::attempt_timeout);
    CHECK(got.end.error->phase == row.phase);
    CHECK(got.end.error->request_written == row.written);
    CHECK(got.end.times.total >= 250ms);
    CHECK(got.end.times.total < 5s);
  }
}

TEST_CASE("transport bounds TLS handshakes by the connect timeout") {
  misbehaving_server server{[](peer& x) { x.wait_for_close(); }};
  http::transport transport;
  auto request = post_to("https://127.0.0.1:" + std::to_string(server.port()) + "/");
  request.connect_timeout = 200ms;
  auto got = fetch(transport, request);
  REQUIRE(got.end.error);
  CHECK(got.end.error->code == errc::tls_failed);
  CHECK(got.end.error->phase == http::phase::tls);
  CHECK_FALSE(got.end.error->request_written);
}

TEST_CASE("an idle timeout counts from the last byte") {
  misbehaving_server server{[](peer& x) {
    x.read_request();
    x.send("HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n");
    for (auto i = 0; i < 8; ++i) {
      std::this_thread::sleep_for(100ms); // the server's pace is what is tested
      x.send("x");
    }
  }};
  http::transport transport;
  auto request = get_from(server.url());
  request.idle_timeout = 600ms;
  auto got = fetch(transport, request);
  CHECK_FALSE(got.end.error);
  CHECK(got.body == "xxxxxxxx");
}

TEST_CASE("cancel ends a transfer at once, wherever it stands") {
  misbehaving_server silent{be_silent};
  misbehaving_server holding{begin_and_hold};
  misbehaving_server flooding{[](peer& x) {
    x.read_request();
    x.send("HTTP/1.1 200 OK\r\n\r\n");
    while (x.send(std::string(16384, 'x')))
      ;
  }};
  std::atomic<int> closed{0};
  misbehaving_server watching{[&](peer& x) {
    be_silent(x);
    ++closed;
  }};
  http::transport transport;
  auto cancelled = [&](const std::string& url, auto ready) {
    auto to = std::make_shared<recorder>();
    auto id = transport.open(post_to(url), to);
    REQUIRE(eventually([&] { return ready(*to); }));
    transport.cancel(id);
    transport.cancel(id);
    auto end = to->end();
    REQUIRE(end.error);
    CHECK(end.error->code == errc::cancelled);
    CHECK(to->ends() == 1);
    return end.error->phase;
  };
  CHECK(cancelled(silent.url(), [&](auto&) { return silent.connections == 1; }) >= http::phase::connect);
  CHECK(cancelled(holding.url(), [](auto& x) { return x.received() == 5; }) == http::phase::receive);
  CHECK(cancelled(flooding.url(), [&](auto&) { return transport.stats().paused == 1; }) == http::phase::receive);
  cancelled(silent.url(), [](auto&) { return true; });
  cancelled(watching.url(), [&](auto&) { return watching.connections == 1; });
  CHECK(eventually([&] { return closed == 1; })); // the server sees it
  transport.cancel(0);
  transport.cancel(123456);
  transport.grant(123456, 1);
  CHECK(eventually([&] { return transport.stats().active == 0; }));
  CHECK(transport.stats().paused == 0);
}

TEST_CASE("transport carries two thousand slow transfers in several multi handles") {
  misbehaving_server server{begin_and_hold, {.one_thread = true}};
  http::transport transport{{.transfers_per_multi = 500}};
  constexpr std::size_t count = 2000;
  std::vector<std::shared_ptr<recorder>> all;
  for (std::size_t i = 0; i < count; ++i)
    transport.open(get_from(server.url()), all.emplace_back(std::make_shared<recorder>()));
  REQUIRE(eventually([&] { return std::all_of(all.begin(), all.end(), [](auto& x) { return x->received() == 5; }); }));
  CHECK(transport.stats().active == count);
  CHECK(transport.stats().multis == 4);
  CHECK(transport.stats().connections == count);

  auto before = cpu_seconds();
  std::this_thread::sleep_for(500ms); // "no CPU" can only be seen over a time
  CHECK(cpu_seconds() - before < 0.05);

  server.for_each_kept([](peer& x) { x.send("final"); });
  for (auto& x : all) {
    CHECK_FALSE(x->end().error);
    CHECK(x->body() == "beginfinal");
  }
  CHECK(transport.stats().succeeded == count);
}

TEST_CASE("memory and CPU per TLS connection are bounded") {
  std::ifstream file{"/etc/ssl/certs/ca-certificates.crt"};
  std::string system{std::istreambuf_iterator<char>{file}, {}};
  if (system.empty() || sanitized)
    SKIP("needs the system's certificates, and no sanitizer");
  misbehaving_server server{begin_and_hold, {.tls = true}};
  temporary_file bundle{system + server.certificate()};
  http::transport transport{{.ca_file = bundle.path()}};
  std::vector<std::shared_ptr<recorder>> all;
  auto add = [&](std::size_t count) {
    auto request = get_from(server.url());
    request.http2 = false; // as streams are by default
    for (std::size_t i = 0; i < count; ++i)
      transport.open(request, all.emplace_back(std::make_shared<recorder>()));
    REQUIRE(
      eventually([&] { return std::all_of(all.begin(), all.end(), [](auto& x) { return x->received() == 5; }); }));
  };
  add(1);
  auto memory = resident_bytes();
  auto cpu = cpu_seconds();
  constexpr std::size_t count = 50;
  add(count);
  CHECK((resident_bytes() - memory) / count < 160u << 10); // the server's side included
  CHECK((cpu_seconds() - cpu) / count < 0.010);
  CHECK(transport.stats().connections == count + 1);
}

TEST_CASE("shutdown leaves no thread and no socket") {
  misbehaving_server server{begin_and_hold};
  { http::transport warm_up; } // libcurl's own one-time files
  auto threads = entries("/proc/self/task");
  auto files = entries("/proc/self/fd");
  std::vector<std::shared_ptr<recorder>> all;
  {
    http::transport transport;
    for (auto i = 0; i < 20; ++i)
      transport.open(post_to(server.url()), all.emplace_back(std::make_shared<recorder>()));
    SECTION("with transfers just begun") {}
    SECTION("with transfers under way") {
      REQUIRE(eventually([&] { return all.back()->received() == 5; }));
    }
    SECTION("after a grace period") {
      transport.shutdown(100ms);
      auto late = std::make_shared<recorder>();
      transport.open(post_to(server.url()), late);
      REQUIRE(late->end().error);
      CHECK(late->end().error->code == errc::draining);
    }
  }
  for (auto& x : all) {
    CHECK(x->ends() == 1);
    REQUIRE(x->end().error);
    CHECK(x->end().error->code == errc::cancelled);
  }
  server.for_each_kept([](peer& x) { x.stop(); });
  CHECK(eventually([&] { return entries("/proc/self/task") <= threads; }));
  CHECK(eventually([&] { return entries("/proc/self/fd") <= files + server.connections; })); // the server's own ones
}

TEST_CASE("shutdown waits for what is running") {
  std::atomic<bool> go{false};
  misbehaving_server server{[&](peer& x) {
    x.read_request();
    eventually([&] { return go.load(); });
    x.answer("done");
  }};
  http::transport transport;
  auto to = std::make_shared<recorder>();
  transport.open(post_to(server.url()), to);
  REQUIRE(eventually([&] { return server.connections == 1; }));
  std::thread closing{[&] { transport.shutdown(patience); }};
  auto late = std::make_shared<recorder>();
  REQUIRE(eventually([&] {
    late = std::make_shared<recorder>();
    transport.open(get_from("http://127.0.0.1:1/"), late);
    return late->end().error->code == errc::draining;
  }));
  CHECK(to->ends() == 0);
  go = true;
  closing.join();
  CHECK_FALSE(to->end().error);
  CHECK(to->body() == "done");
}

TEST_CASE("every transfer ends exactly once, whatever happens at the same time") {
  misbehaving_server server{[](peer& x) {
    std::mt19937 random{static_cast<unsigned>(x.number)};
    while (x.read_request()) {
      switch (random() % 8) {
        case 0:
          return;
        case 1:
          x.reset_on_close();
          return;
        case 2:
          x.send("HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + std::string(random() % 50'000, 'x'));
          return;
        case 3:
          x.send("what?\r\n");
          return;
        case 4:
          x.answer(std::string(random() % 300'000, 'x'));
          break;
        default:
          x.answer("ok");
      }
    }
  }};
  constexpr auto threads = 4;
  constexpr auto each = 400;
  std::vector<std::vector<std::shared_ptr<recorder>>> all{threads};
  http::transport transport{{.transfers_per_multi = 20, .initial_credit = 20'000}};
  std::vector<std::thread> drivers;
  for (auto i = 0; i < threads; ++i)
    drivers.emplace_back([&, i] {
      std::mt19937 random{static_cast<unsigned>(1000 + i)};
      std::vector<http::transfer_id> ids;
      auto& mine = all[static_cast<std::size_t>(i)];
      while (mine.size() < each) {
        if (auto what = random() % 4; what < 2 || ids.empty()) {
          auto request = post_to(server.url(), std::string(random() % 20'000, 'y'));
          request.total_timeout = std::chrono::milliseconds{random() % 300 + 1};
          ids.push_back(transport.open(request, mine.emplace_back(std::make_shared<recorder>())));
        } else if (auto id = ids[random() % ids.size()]; what == 2)
          transport.grant(id, random() % 100'000);
        else if (random() % 4 == 0)
          transport.cancel(id);
        if (mine.size() > 40)
          eventually([&] { return mine[mine.size() - 40]->ends() > 0; });
      }
    });
  for (auto& x : drivers)
    x.join();
  for (auto& some : all)
    for (auto& x : some)
      x->end();
  auto stats = transport.stats();
  CHECK(stats.started == threads * each);
  CHECK(stats.active == 0);
  CHECK(stats.paused == 0);
  transport.shutdown(0s);
  for (auto& some : all)
    for (auto& x : some) {
      REQUIRE(x->ends() == 1);
      REQUIRE(x->heads() <= 1);
    }
}

} // namespace modelforge::limits_test
