#include "node/door.hpp"
#include "node/probe.hpp"
#include "tests/support/authority.hpp"
#include "tests/support/eventually.hpp"
#include "tests/support/temporary_folder.hpp"

#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <arpa/inet.h>
#include <atomic>
#include <cstring>
#include <future>
#include <netinet/in.h>
#include <random>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

namespace modelforge::door_test {

using namespace modelforge::node;
using namespace modelforge::test;
using namespace std::chrono_literals;

namespace {

struct client {
  client() = default;
  explicit client(uint16_t port) { connect(port); }
  client(client&& x) noexcept : socket(std::exchange(x.socket, -1)) {}
  ~client() {
    if (socket >= 0)
      ::close(socket);
  }

  void connect(uint16_t port) const {
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(port);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    REQUIRE(::connect(socket, reinterpret_cast<sockaddr*>(&to), sizeof(to)) == 0);
  }
  void say(const std::string& x) const { static_cast<void>(!::send(socket, x.data(), x.size(), MSG_NOSIGNAL)); }

  /// Whether the other side has closed it.
  bool is_out() const {
    char byte;
    for (;;) {
      auto count = ::recv(socket, &byte, 1, MSG_DONTWAIT);
      if (count > 0)
        continue;
      return count == 0 || (errno != EAGAIN && errno != EWOULDBLOCK);
    }
  }

  int socket = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
};

/// Takes every file descriptor that this process may have, while it lives.
struct shortage {
  shortage() {
    REQUIRE(::getrlimit(RLIMIT_NOFILE, &before) == 0);
    auto fewer = before;
    taken.push_back(::dup(0));
    fewer.rlim_cur = std::min<rlim_t>(before.rlim_cur, static_cast<rlim_t>(taken.back()) + 64);
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &fewer) == 0);
    while (taken.back() >= 0)
      taken.push_back(::dup(0));
    taken.pop_back();
  }
  ~shortage() {
    for (auto fd : taken)
      ::close(fd);
    ::setrlimit(RLIMIT_NOFILE, &before);
  }
  shortage(const shortage&) = delete;
  shortage& operator=(const shortage&) = delete;

  rlimit before{};
  std::vector<int> taken;
};

struct fixture {
  fixture() {
    folder.write("ca.pem", ca.certificate());
    for (auto* name : {"a", "b"}) {
      auto x = ca.certify(name);
      folder.write(name + std::string{".pem"}, x.certificate);
      folder.write(name + std::string{".key"}, x.key);
    }
  }

  std::shared_ptr<credentials> of(const std::string& name) {
    auto x = credentials::load({folder.path(name + ".pem"), folder.path(name + ".key"), folder.path("ca.pem")}, {name});
    REQUIRE(x.index() == 0);
    return std::get<0>(x);
  }

  std::unique_ptr<door> open(std::shared_ptr<credentials> tls, std::chrono::nanoseconds patience, std::size_t most) {
    door::options x;
    x.at = {"127.0.0.1", 0};
    x.tls = std::move(tls);
    x.waiting = {patience, most};
    x.is_node = [](const door::first_word& word) { return word[0] == 'n'; };
    x.let_in = [this](std::unique_ptr<connection> one) {
      std::lock_guard guard{mutex};
      inside.push_back(std::move(one));
    };
    auto opened = door::open(std::move(x));
    REQUIRE(opened.index() == 0);
    return std::get<0>(std::move(opened));
  }

  /// A node's way in; the text says why there is none.
  std::string enter(uint16_t port, std::shared_ptr<credentials> tls) {
    std::promise<probe::result> promise;
    probe one{{"127.0.0.1", port}, std::move(tls), 10s, [&](probe::result x) { promise.set_value(std::move(x)); }};
    auto found = promise.get_future().get();
    if (!found.problem.empty())
      return found.problem;
    std::string word(64, 'n');
    std::size_t sent = 0;
    auto before = number();
    CHECK(found.is->write(word.data(), word.size(), sent) == connection::state::done);
    mine = found.is;
    return eventually([&] { return number() > before; }, 10s) ? "" : "not let in";
  }

  std::size_t number() {
    std::lock_guard guard{mutex};
    return inside.size();
  }

  authority ca;
  temporary_folder folder;
  std::mutex mutex;
  std::vector<std::unique_ptr<connection>> inside;
  std::shared_ptr<connection> mine;
};

} // namespace

TEST_CASE_METHOD(fixture, "peers know each other's names, and what one says the other hears", "[node]") {
  auto at = open(of("a"), 5s, 8);
  REQUIRE(enter(at->port(), of("b")).empty());
  CHECK(mine->names() == std::vector<std::string>{"a"});
  CHECK(inside[0]->names() == std::vector<std::string>{"b"});
  std::string text(200'000, '\0');
  std::size_t heard = 0, count = 0;
  REQUIRE(eventually([&] { return inside[0]->read(text.data(), text.size(), count) == connection::state::done; }));
  CHECK(text.substr(0, count) == std::string(64, 'n')); // nothing is lost of the first word
  std::string large(3'000'000, 'x');
  std::size_t said = 0;
  REQUIRE(eventually([&] {
    if (said < large.size() && mine->write(large.data() + said, large.size() - said, count) == connection::state::done)
      said += count;
    if (inside[0]->read(text.data(), text.size(), count) == connection::state::done)
      heard += count;
    return heard == large.size();
  }));
  mine.reset();
  CHECK(eventually([&] { return inside[0]->read(text.data(), text.size(), count) == connection::state::closed; }));
  CHECK(inside[0]->write(large.data(), large.size(), count) != connection::state::wants_read); // and no signal
}

TEST_CASE_METHOD(fixture, "who says nothing is sent away, and keeps nobody out", "[node]") {
  auto tls = of("a");
  for (auto encrypted : {true, false}) {
    CAPTURE(encrypted);
    auto at = open(encrypted ? tls : nullptr, 60s, 8);
    std::vector<client> silent;
    for (int i = 0; i < 200; ++i) {
      silent.emplace_back(at->port());
      if (i % 50 == 0)
        CHECK(enter(at->port(), encrypted ? of("b") : nullptr).empty());
    }
    auto out = [&] { return std::count_if(silent.begin(), silent.end(), [](auto& x) { return x.is_out(); }); };
    CHECK(eventually([&] { return out() >= 192; }));
    CHECK(enter(at->port(), encrypted ? of("b") : nullptr).empty());
    at.reset();
    CHECK(out() == 200);
  }
}

TEST_CASE_METHOD(fixture, "a lack of file descriptors ends nothing, and costs at most who has proved nothing",
                 "[node]") {
  client late; // has its own before there are none left
  std::string text(64, '\0');
  std::size_t count = 0;
  SECTION("the one who waits longest makes room for a new one") {
    auto at = open(of("a"), 60s, 8);
    client silent{at->port()};
    REQUIRE(enter(at->port(), of("b")).empty()); // and so the silent one is there
    {
      shortage none_left;
      late.connect(at->port());
      CHECK(eventually([&] { return silent.is_out(); }));
      CHECK_FALSE(late.is_out());
      CHECK(eventually([&] { return inside[0]->read(text.data(), text.size(), count) == connection::state::done; }));
    }
    CHECK(enter(at->port(), of("b")).empty());
  }
  SECTION("if there is nobody who could, the new one waits") {
    auto at = open(of("a"), 200ms, 8);
    REQUIRE(enter(at->port(), of("b")).empty());
    {
      shortage none_left;
      late.connect(at->port());
      CHECK(eventually([&] { return inside[0]->read(text.data(), text.size(), count) == connection::state::done; }));
    }
    CHECK(eventually([&] { return late.is_out(); })); // it was taken in, and its time is over
    CHECK(enter(at->port(), of("b")).empty());
  }
}

TEST_CASE_METHOD(fixture, "garbage and half a handshake end where they come in", "[node]") {
  auto tls = of("a");
  std::mt19937_64 random{5};
  for (auto encrypted : {true, false}) {
    CAPTURE(encrypted);
    auto at = open(encrypted ? tls : nullptr, 300ms, 64);
    std::vector<client> guests;
    for (int i = 0; i < 40; ++i) {
      std::string bytes(1 + random() % 300, '\0');
      for (auto& x : bytes)
        x = static_cast<char>(random());
      bytes[0] = encrypted ? '\x16' : 'N'; // as a handshake begins
      guests.emplace_back(at->port());
      guests.back().say(bytes);
    }
    guests.emplace_back(at->port());
    guests.back().say(encrypted ? std::string{"\x16\x03\x01\x02\x00\x01", 6} : "nnnn"); // and nothing more
    auto before = number();
    CHECK(eventually([&] { return std::all_of(guests.begin(), guests.end(), [](auto& x) { return x.is_out(); }); }));
    CHECK(number() == before);
    CHECK(enter(at->port(), encrypted ? of("b") : nullptr).empty());
  }
}

TEST_CASE_METHOD(fixture, "who does not belong is told why, where it can be known", "[node]") {
  auto at = open(of("a"), 5s, 8);
  fixture others;
  CHECK(enter(at->port(), others.of("b")).find("TLS failed: its certificate is refused: ") != std::string::npos);
  CHECK(number() == 0);
  auto port = at->port();
  at.reset();
  CHECK(enter(port, of("b")).find("no connection: Connection refused") == 0);
  auto open_port = open(nullptr, 5s, 8);
  CHECK(enter(open_port->port(), of("b")).find("TLS failed") != std::string::npos);
}

} // namespace modelforge::door_test
