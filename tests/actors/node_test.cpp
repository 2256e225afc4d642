#include <modelforge/actors/runtime.hpp>

#include "tests/http/misbehaving_server.hpp"
#include "tests/http/waiting.hpp"
#include "tests/support/authority.hpp"
#include "tests/support/temporary_folder.hpp"
#include "tools/simulator/simulator.hpp"

#include <catch2/catch_test_macros.hpp>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <filesystem>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace modelforge::node_test {

using namespace std::chrono_literals;

// Nodes in one process, each a runtime of its own, over loopback.

namespace {

settings base_of(const std::string& name) {
  settings x;
  x.runtime.state_folder = "none";
  x.runtime.threads = 2;
  x.runtime.grace_period = 2s;
  x.node.name = name;
  return x;
}

provider_settings provider_of(const std::string& url, const std::string& owner) {
  provider_settings x;
  x.name = "sim";
  x.kind = provider_kind::openai_compatible;
  x.base_url = url + "/v1";
  x.default_model = "sim-mini";
  x.default_embedding_model = "sim-embedding";
  x.max_concurrent = 64;
  x.nodes = {owner};
  return x;
}

/// A node that runs the provider.
settings owner_of(const std::string& url, const std::string& listen = "127.0.0.1:0") {
  auto x = base_of("owner");
  x.node.listen = listen;
  x.providers.push_back(provider_of(url, "owner"));
  return x;
}

/// A host that reaches it.
settings guest_of(const std::string& peer, const std::string& name = "guest") {
  auto x = base_of(name);
  x.node.peers = {peer};
  x.providers.push_back(provider_of("http://127.0.0.1:9", "owner")); // not from here
  return x;
}

chat_request sum_of(int i) {
  chat_request x;
  x.messages.push_back(text_message(role::user, "What is " + std::to_string(i) + " + 1000?"));
  return x;
}

/// Certificates of one authority.
struct certified {
  certified() { folder.write("ca.pem", ca.certificate()); }

  /// Gives the node a certificate for `name`; empty: for its own.
  settings with(settings x, std::string name = {}) {
    if (name.empty())
      name = x.node.name;
    renew(name);
    x.node.tls.certificate = folder.path(name + ".pem");
    x.node.tls.key = folder.path(name + ".key");
    x.node.tls.ca = folder.path("ca.pem");
    return x;
  }

  void renew(const std::string& name) {
    auto made = ca.certify(name);
    folder.write(name + ".pem", made.certificate);
    folder.write(name + ".key", made.key);
  }

  test::authority ca;
  test::temporary_folder folder;
};

/// A bare connection to HOST:PORT of this machine.
class bare_connection {
public:
  explicit bare_connection(const std::string& to) {
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_port = htons(static_cast<uint16_t>(std::stoi(to.substr(to.rfind(':') + 1))));
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    REQUIRE(::connect(socket_, reinterpret_cast<sockaddr*>(&at), sizeof(at)) == 0);
  }
  bare_connection(bare_connection&& x) noexcept : socket_(std::exchange(x.socket_, -1)) {}
  ~bare_connection() {
    if (socket_ >= 0)
      ::close(socket_);
  }

  bool is_closed() const {
    char bytes[256];
    ssize_t count;
    while ((count = ::recv(socket_, bytes, sizeof(bytes), MSG_DONTWAIT)) > 0)
      continue;
    return count == 0 || (errno != EAGAIN && errno != EWOULDBLOCK);
  }

  void say(const std::string& x) const { static_cast<void>(!::send(socket_, x.data(), x.size(), MSG_NOSIGNAL)); }

private:
  int socket_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
};

/// Passes on what comes to a port of its own, either way at so many bytes a second at most.
class slow_link {
public:
  slow_link(const std::string& to, double rate) : to_(port_of(to)), rate_(rate) {
    auto address = loopback(0);
    REQUIRE(::bind(door_, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0);
    REQUIRE(::listen(door_, 8) == 0);
    socklen_t size = sizeof(address);
    REQUIRE(::getsockname(door_, reinterpret_cast<sockaddr*>(&address), &size) == 0);
    at = "127.0.0.1:" + std::to_string(ntohs(address.sin_port));
    doorman_ = std::thread{[this] { let_in(); }};
  }

  ~slow_link() {
    ::shutdown(door_, SHUT_RDWR);
    doorman_.join();
    for (auto x : sockets_)
      ::shutdown(x, SHUT_RDWR);
    for (auto& x : pumps_)
      x.join();
    for (auto x : sockets_)
      ::close(x);
    ::close(door_);
  }

  std::string at;
  std::atomic<int> links{0}; ///< That were made.

private:
  static uint16_t port_of(const std::string& x) { return static_cast<uint16_t>(std::stoi(x.substr(x.rfind(':') + 1))); }

  static sockaddr_in loopback(uint16_t port) {
    sockaddr_in x{};
    x.sin_family = AF_INET;
    x.sin_port = htons(port);
    x.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return x;
  }

  static int narrow_socket() {
    auto x = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int size = 64 << 10; // what waits on the way is small
    ::setsockopt(x, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
    ::setsockopt(x, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
    return x;
  }

  void let_in() {
    for (int in; (in = ::accept4(door_, nullptr, nullptr, SOCK_CLOEXEC)) >= 0;) {
      auto out = narrow_socket();
      auto address = loopback(to_);
      if (::connect(out, reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0)
        ::shutdown(in, SHUT_RDWR);
      ++links;
      sockets_.insert(sockets_.end(), {in, out});
      pumps_.emplace_back([this, in, out] { pump(in, out); });
      pumps_.emplace_back([this, in, out] { pump(out, in); });
    }
  }

  void pump(int from, int to) const {
    std::array<char, 16 << 10> bytes;
    auto next = std::chrono::steady_clock::now();
    for (ssize_t count; (count = ::recv(from, bytes.data(), bytes.size(), 0)) > 0;) {
      next = std::max(next, std::chrono::steady_clock::now())
             + std::chrono::nanoseconds(static_cast<int64_t>(1e9 * static_cast<double>(count) / rate_));
      std::this_thread::sleep_until(next); // it is slow
      for (ssize_t sent = 0, n; sent < count; sent += n)
        if ((n = ::send(to, bytes.data() + sent, static_cast<std::size_t>(count - sent), MSG_NOSIGNAL)) <= 0)
          break;
    }
    ::shutdown(from, SHUT_RDWR);
    ::shutdown(to, SHUT_RDWR);
  }

  uint16_t to_;
  double rate_;
  int door_ = narrow_socket();
  std::vector<int> sockets_;
  std::vector<std::thread> pumps_;
  std::thread doorman_;
};

std::string problem_of(runtime& x, std::size_t peer = 0) {
  std::string result;
  CHECK(test::eventually([&] { return !(result = x.node().peers.at(peer).problem).empty(); }));
  return result;
}

bool is_up(runtime& x) {
  auto status = x.node();
  return !status.peers.empty() && status.peers.front().up;
}

/// Whether each link has come up, or has told why it cannot.
bool knows_all_links(runtime& x) {
  auto peers = x.node().peers;
  return std::all_of(peers.begin(), peers.end(), [](auto& y) { return y.up || !y.problem.empty(); });
}

} // namespace

TEST_CASE("a provider of another node is called like one's own", "[node]") {
  simulator::server server{simulator::options{}};
  runtime owner{owner_of(server.url())};
  auto at = owner.node().listening;
  REQUIRE(at.starts_with("127.0.0.1:"));
  runtime guest{guest_of(at)};
  auto answer = guest.chat("What is 12 + 30?"); // at once: it waits for the link
  REQUIRE(answer);
  CHECK(answer->text.find("42") != std::string::npos);
  CHECK(is_up(guest));
  std::string text;
  auto stream = guest.stream("What is 12 + 30?");
  for (auto& part : stream)
    text += part;
  auto end = stream.wait();
  if (auto* failed = std::get_if<stream_failed>(&end))
    FAIL(to_string(failed->why));
  CHECK(text.find("42") != std::string::npos);
  embedding_request texts;
  for (int i = 0; i < 500; ++i) // more than one message may carry
    texts.inputs.push_back("text " + std::to_string(i));
  auto vectors = guest.embed(texts);
  REQUIRE(vectors);
  CHECK(vectors->vectors.size() == 500);
  CHECK(guest.models());
  auto status = guest.status();
  REQUIRE(status);
  CHECK(status->base_url == server.url() + "/v1");
  CHECK(status->answered >= 2);
  auto other = owner.node();
  REQUIRE(other.peers.size() == 1);
  CHECK((other.peers[0].name == "guest" && other.peers[0].up));
}

TEST_CASE("the handle outlives its owner's end and return", "[node]") {
  simulator::server server{simulator::options{}};
  std::optional<runtime> owner{owner_of(server.url())};
  auto at = owner->node().listening;
  runtime guest{guest_of(at)};
  for (int round = 0; round < 3; ++round) {
    REQUIRE(guest.chat("What is 1 + 1?"));
    owner.reset();
    REQUIRE(test::eventually([&] { return !is_up(guest); }));
    auto status = guest.status(); // its own, since nobody else can tell
    REQUIRE(status);
    CHECK(status->problem.find("node owner, which runs it, cannot be reached") == 0);
    owner.emplace(owner_of(server.url(), at));
  }
  CHECK(guest.chat("What is 1 + 1?")); // waits for the link again
}

TEST_CASE("of two programs of one name the other is asked when one has left", "[node]") {
  simulator::server server{simulator::options{}};
  std::array<std::optional<runtime>, 2> owners;
  std::array<std::string, 2> at;
  for (std::size_t i = 0; i < 2; ++i) {
    owners[i].emplace(owner_of(server.url()));
    at[i] = owners[i]->node().listening;
  }
  auto settings = guest_of(at[0]);
  settings.node.peers.push_back(at[1]);
  runtime guest{settings};
  for (std::size_t round = 0; round < 4; ++round) {
    REQUIRE(guest.chat("What is 1 + 1?"));
    CHECK(test::eventually([&] { return knows_all_links(guest); }));
    owners[round % 2].reset();
    CHECK(guest.chat("What is 1 + 1?"));
    owners[round % 2].emplace(owner_of(server.url(), at[round % 2]));
  }
}

TEST_CASE("an owner that is found at two addresses is found again", "[node]") {
  simulator::server server{simulator::options{}};
  std::optional<runtime> owner{owner_of(server.url())};
  auto at = owner->node().listening;
  auto settings = guest_of(at);
  settings.node.peers.push_back("localhost" + at.substr(at.rfind(':')));
  runtime guest{settings};
  for (int round = 0; round < 3; ++round) {
    REQUIRE(guest.chat("What is 1 + 1?"));
    CHECK(test::eventually([&] { return knows_all_links(guest); }));
    owner.reset();
    owner.emplace(owner_of(server.url(), at));
  }
  CHECK(guest.chat("What is 1 + 1?"));
}

TEST_CASE("a planned restart of the owner loses no call", "[node]") {
  simulator::options options;
  options.latency = 300ms;
  simulator::server server{options};
  auto settings = owner_of(server.url());
  settings.providers[0].max_concurrent = 4;
  settings.runtime.grace_period = 1s; // the calls take longer: some are cut off, some refused
  std::optional<runtime> owner{settings};
  settings.node.listen = owner->node().listening;
  runtime guest{guest_of(settings.node.listen)};
  std::vector<std::future<expected<completion>>> answers;
  for (int i = 0; i < 40; ++i)
    answers.push_back(guest.chat_async(sum_of(i)));
  REQUIRE(test::eventually([&] { return server.snapshot().requests >= 4; }));
  std::thread later{[&] {
    CHECK(test::eventually([&] {
      auto status = guest.status();
      return status && (status->draining || !status->problem.empty());
    }));
    for (int i = 40; i < 60; ++i) // while it drains, or after that
      answers.push_back(guest.chat_async(sum_of(i)));
  }};
  owner->shutdown();
  owner.reset();
  later.join();
  owner.emplace(settings);
  for (auto& x : answers) {
    auto answer = x.get();
    if (!answer)
      FAIL_CHECK(to_string(answer.error()));
  }
}

TEST_CASE("a guest finds a provider that its owner adds later", "[node]") {
  simulator::server server{simulator::options{}};
  auto settings = owner_of(server.url());
  settings.providers[0].name = "other";
  runtime owner{settings};
  runtime guest{guest_of(owner.node().listening)};
  for (int round = 0; round < 2; ++round) {
    std::string problem;
    CHECK(test::eventually([&] {
      auto answer = guest.chat("What is 1 + 1?");
      return !answer && (problem = answer.error().message) == "node owner does not run a provider \"sim\"";
    }));
    CAPTURE(problem);
    settings.providers.push_back(provider_of(server.url(), "owner"));
    REQUIRE(owner.reload(settings));
    CHECK(test::eventually([&] { return bool{guest.chat("What is 1 + 1?")}; }, test::sanitized ? 20s : 3s));
    settings.providers.pop_back();
    REQUIRE(owner.reload(settings)); // and that it removes again
  }
}

TEST_CASE("an owner that replaces a provider loses no guest's call, stream or batch item", "[node]") {
  simulator::options options;
  options.latency = 300ms;
  simulator::server server{options};
  simulator::options slow;
  slow.latency = 120s;
  simulator::server held{slow};
  auto settings = owner_of(server.url());
  settings.runtime.grace_period = 120s;
  settings.providers.push_back(provider_of(held.url(), "owner"));
  settings.providers[1].name = "held";
  runtime owner{settings};
  auto guests = guest_of(owner.node().listening);
  guests.providers.push_back(guests.providers[0]);
  guests.providers[1].name = "held";
  runtime guest{guests};
  auto held_call = sum_of(1); // runs on the first actor for as long as this test
  held_call.id = {1, 2};
  auto held_answer = guest.chat_async(held_call, "held");
  REQUIRE(test::eventually([&] { return held.snapshot().requests == 1; }));
  test::temporary_folder folder;
  std::string prompts;
  for (int i = 0; i < 40; ++i)
    prompts += "What is " + std::to_string(i) + " + 1000?\n";
  batch_options batch;
  batch.input = folder.write("in.txt", prompts);
  batch.output = folder.path("out.jsonl");
  batch.max_concurrent = 4;
  auto ran = std::async(std::launch::async, [&] { return guest.batch(batch); });
  std::vector<std::future<expected<completion>>> answers;
  std::vector<text_stream> streams;
  for (uint32_t reload = 1; reload <= 3; ++reload) {
    REQUIRE(test::eventually([&] { return server.snapshot().requests >= 8 * reload; }));
    for (int i = 0; i < 4; ++i) {
      answers.push_back(guest.chat_async(sum_of(i)));
      streams.push_back(guest.stream(sum_of(i)));
    }
    for (auto& each : settings.providers) { // another kind at another address
      auto odd = reload % 2 == 1;
      auto& url = each.base_url;
      url.replace(url.find(odd ? "127.0.0.1" : "localhost"), 9, odd ? "localhost" : "127.0.0.1");
      each.kind = odd ? provider_kind::openai : provider_kind::openai_compatible;
    }
    auto report = owner.reload(settings);
    REQUIRE(report);
    CHECK(report->replaced.size() == 2);
  }
  for (auto& x : answers) {
    auto answer = x.get();
    if (!answer)
      FAIL_CHECK(to_string(answer.error()));
  }
  for (auto& x : streams) {
    auto end = x.wait();
    if (auto* failed = std::get_if<stream_failed>(&end))
      FAIL_CHECK(to_string(failed->why));
  }
  auto report = ran.get();
  REQUIRE(report);
  CHECK(report->answered == 40);
  CHECK(report->failed == 0);
  CHECK(held_answer.wait_for(0s) == std::future_status::timeout);
  CHECK(guest.chat(sum_of(3), "sim"));
  guest.cancel({1, 2}, "held");
  auto ended = held_answer.get();
  REQUIRE_FALSE(ended);
  CHECK(ended.error().code == errc::cancelled);
}

TEST_CASE("an owner that nobody finds is told at once, after the time that it is expected", "[node]") {
  auto settings = guest_of("127.0.0.1:9");
  settings.node.heartbeat = 100ms;
  settings.node.timeout = 300ms;
  runtime guest{settings};
  auto begun = std::chrono::steady_clock::now();
  auto answer = guest.chat("Hi");
  auto took = std::chrono::steady_clock::now() - begun;
  REQUIRE_FALSE(answer);
  CHECK(answer.error().code == errc::node_lost);
  CHECK(answer.error().message.find("node owner, which runs the provider, cannot be reached") == 0);
  CHECK(answer.error().provider == "sim");
  CHECK(answer.error().attempts.empty());
  CHECK(took < 5s);
  begun = std::chrono::steady_clock::now();
  CHECK_FALSE(guest.chat("Hi"));
  CHECK(std::chrono::steady_clock::now() - begun < 200ms);
  REQUIRE(test::eventually([&] { return !guest.node().peers[0].problem.empty(); }));
  CHECK(guest.node().peers[0].problem.find("no connection: Connection refused") == 0);
}

TEST_CASE("peers that take connections and say nothing delay no other one", "[node]") {
  simulator::server server{simulator::options{}};
  runtime owner{owner_of(server.url())};
  std::vector<std::unique_ptr<test::misbehaving_server>> silent;
  auto settings = guest_of(owner.node().listening);
  for (int i = 0; i < 5; ++i) {
    silent.push_back(std::make_unique<test::misbehaving_server>([](test::peer& x) { x.wait_for_close(); }));
    settings.node.peers.insert(settings.node.peers.begin(), silent.back()->url("").substr(7));
  }
  runtime guest{settings};
  auto begun = std::chrono::steady_clock::now();
  CHECK(guest.chat("What is 1 + 1?"));
  CHECK(std::chrono::steady_clock::now() - begun < 2s);
  REQUIRE(test::eventually([&] { // each is told, none is waited for for ever
    auto peers = guest.node().peers;
    return std::count_if(peers.begin(), peers.end(), [](auto& x) { return !x.up && !x.problem.empty(); }) == 5;
  }));
}

TEST_CASE("nodes that do not fit together stay apart, and say why", "[node]") {
  simulator::server server{simulator::options{}};
  runtime owner{owner_of(server.url())};
  auto at = owner.node().listening;
  auto stranger = guest_of(at);
  stranger.node.cluster = "another";
  stranger.node.timeout = 2s;
  runtime one{stranger};
  runtime two{guest_of(at, "owner-2")};
  auto twin = guest_of(at, "owner");
  twin.providers[0].nodes = {"somebody"};
  runtime three{twin};
  auto first = problem_of(one);
  CHECK(first.find("cluster \"another\"") != first.npos);
  CHECK(first.find("cluster \"modelforge\"") != first.npos);
  CHECK(problem_of(three).find("have the same name") != std::string::npos);
  CHECK(two.chat("What is 1 + 1?")); // they disturb nobody
  auto no = one.chat("Hi");
  REQUIRE_FALSE(no);
  CHECK(no.error().message.find("of different clusters") != std::string::npos);
}

TEST_CASE("what the owner does not run is a clear failure", "[node]") {
  simulator::server server{simulator::options{}};
  runtime owner{owner_of(server.url())};
  auto settings = guest_of(owner.node().listening);
  settings.providers[0].name = "other";
  settings.node.timeout = 30s;
  runtime guest{settings};
  auto begun = std::chrono::steady_clock::now();
  auto answer = guest.chat("Hi");
  REQUIRE_FALSE(answer);
  CHECK(std::chrono::steady_clock::now() - begun < 10s); // it does not wait for what will not come
  CHECK(answer.error().code == errc::configuration);
  CHECK(answer.error().message == "node owner does not run a provider \"other\"");
  CHECK(answer.error().suggestion == "it runs: sim");
}

TEST_CASE("what is larger than a message between nodes is refused before it is sent", "[node]") {
  simulator::options options;
  options.context_tokens = 1'000'000;
  simulator::server server{options};
  runtime owner{owner_of(server.url())};
  runtime guest{guest_of(owner.node().listening)};
  REQUIRE(guest.chat("What is 1 + 1?"));
  auto before = server.snapshot().requests;
  auto answer = guest.chat(std::string(1u << 20, 'x'));
  REQUIRE_FALSE(answer);
  CHECK(answer.error().code == errc::too_large);
  CHECK(answer.error().message.find("may have 1048576 (max_message_bytes in [node])") != std::string::npos);
  CHECK(answer.error().suggestion.find("shorten the prompt, or raise") == 0);
  CHECK(server.snapshot().requests == before);
  CHECK(guest.chat(std::string((1u << 20) - 4096, 'x')));
}

TEST_CASE("a flood of large requests over a slow link breaks nothing and holds nobody up", "[node]") {
  simulator::options options;
  options.context_tokens = 1'000'000;
  simulator::server server{options};
  simulator::server other_server{options};
  auto settings = owner_of(server.url());
  settings.providers.push_back(provider_of(other_server.url(), "owner"));
  settings.providers[1].name = "other";
  runtime owner{settings};
  slow_link link{owner.node().listening, 10e6};
  auto guests = guest_of(link.at);
  guests.providers.push_back(guests.providers[0]);
  guests.providers[1].name = "other";
  runtime guest{guests};
  runtime neighbour{guest_of(owner.node().listening, "neighbour")};
  REQUIRE(guest.chat("What is 1 + 1?", "other"));
  REQUIRE(neighbour.chat("What is 1 + 1?"));
  constexpr std::size_t flood = 60;
  std::vector<std::future<expected<completion>>> answers;
  for (std::size_t i = 0; i < flood; ++i) {
    chat_request x;
    x.messages.push_back(text_message(role::user, std::string(900'000, 'x')));
    answers.push_back(guest.chat_async(x));
  }
  for (int i = 0; i < 3; ++i) {
    CHECK(guest.chat("What is 1 + 1?", "other"));
    CHECK(neighbour.chat("What is 1 + 1?"));
  }
  CHECK(server.snapshot().requests < flood); // nobody has waited behind all of it; it takes 5 s at the least
  for (auto& x : answers) {
    auto answer = x.get();
    if (!answer)
      FAIL_CHECK(to_string(answer.error()));
    else
      CHECK(answer->attempts.size() == 1);
  }
  CHECK(server.snapshot().requests == flood + 4);
  CHECK(link.links == 1);
}

TEST_CASE("a message that takes longer than a peer may be silent breaks no link", "[node]") {
  simulator::options options;
  options.context_tokens = 1'000'000;
  simulator::server server{options};
  auto quick = [](settings x) {
    x.node.heartbeat = 200ms;
    x.node.timeout = 1s;
    return x;
  };
  runtime owner{quick(owner_of(server.url()))};
  slow_link link{owner.node().listening, 300e3};
  runtime guest{quick(guest_of(link.at))};
  REQUIRE(guest.chat("What is 1 + 1?"));
  auto answer = guest.chat(std::string(900'000, 'x')); // 3 s
  if (!answer)
    FAIL(to_string(answer.error()));
  CHECK(answer->attempts.size() == 1);
  CHECK(link.links == 1);
}

TEST_CASE("a remote reader's demand holds the provider back", "[node]") {
  simulator::options options;
  options.min_answer_tokens = options.max_answer_tokens = 200'000;
  simulator::server server{options};
  runtime owner{owner_of(server.url())};
  runtime guest{guest_of(owner.node().listening)};
  auto stream = guest.stream("Tell me a story.");
  REQUIRE(stream.next());
  uint64_t bytes = 0;
  for (int still = 0; still < 30; std::this_thread::sleep_for(10ms)) { // it comes to a stop by itself
    auto now = server.snapshot().stream_bytes;
    still = now == bytes ? still + 1 : 0;
    bytes = now;
  }
  CHECK(bytes < 8u << 20);
  std::size_t read = 0;
  while (auto text = stream.next())
    read += text->size();
  CHECK(std::holds_alternative<stream_done>(stream.wait()));
  CHECK(server.snapshot().stream_bytes > bytes * 2);
  CHECK(read > 500'000);
}

TEST_CASE("what is cancelled here ends there", "[node]") {
  simulator::options options;
  options.latency = 20s;
  simulator::server server{options};
  runtime owner{owner_of(server.url())};
  runtime guest{guest_of(owner.node().listening)};
  auto request = sum_of(1);
  request.id = {1, 2};
  auto answer = guest.chat_async(request);
  auto stream = guest.stream(sum_of(2));
  REQUIRE(test::eventually([&] { return server.snapshot().requests == 2; }));
  guest.cancel({1, 2});
  auto ended = answer.get();
  REQUIRE_FALSE(ended);
  CHECK(ended.error().code == errc::cancelled);
  stream.cancel();
  CHECK(std::get<stream_failed>(stream.wait()).why.code == errc::cancelled);
  CHECK(test::eventually([&] { return server.snapshot().aborted == 2; }));
  { // so does what a host had that is gone
    std::optional<runtime> other{guest_of(owner.node().listening, "other")};
    auto lost = other->chat_async(sum_of(3));
    REQUIRE(test::eventually([&] { return server.snapshot().requests == 3; }));
    other.reset();
    CHECK_FALSE(lost.get());
  }
  CHECK(test::eventually([&] { return server.snapshot().aborted == 3; }));
}

TEST_CASE("a program that cannot be the node it is to be says why", "[node]") {
  simulator::server server{simulator::options{}};
  runtime owner{owner_of(server.url())};
  auto text_of = [](const settings& x) -> std::string {
    try {
      runtime one{x};
      return {};
    } catch (const std::invalid_argument& problem) {
      return problem.what();
    }
  };
  auto taken = text_of(owner_of(server.url(), owner.node().listening));
  CHECK(taken.find("cannot listen on " + owner.node().listening) == 0);
  auto certified = owner_of(server.url());
  certified.node.tls = {"/none/cert.pem", "/none/key.pem", "/none/ca.pem"};
  CHECK(text_of(certified).find("`certificate` in [node.tls]: cannot read /none/cert.pem") == 0);
}

TEST_CASE("a certificate that is missing for a while ends no node and costs no link", "[node]") {
  simulator::server server{simulator::options{}};
  certified certs;
  auto owners = certs.with(owner_of(server.url()));
  std::optional<runtime> owner{owners};
  owners.node.listen = owner->node().listening;
  auto guests = certs.with(guest_of(owners.node.listen));
  runtime guest{guests};
  REQUIRE(guest.chat("What is 1 + 1?"));
  for (auto* name : {"owner.pem", "guest.key", "ca.pem"})
    std::filesystem::rename(certs.folder.path(name), certs.folder.path(std::string{"old-"} + name));
  for (int i = 0; i < 20; ++i)
    bare_connection{owners.node.listen};
  CHECK(guest.chat("What is 1 + 1?"));
  auto problem = owner->reload(owners); // told, and nothing has changed
  REQUIRE_FALSE(problem);
  CHECK(problem.error().message.find("`certificate` in [node.tls]: cannot read") == 0);
  {
    auto others = guests; // a node that begins now cannot
    others.node.name = "other";
    try {
      runtime none{others};
      FAIL();
    } catch (const std::invalid_argument& why) {
      CHECK(std::string{why.what()}.find("`key` in [node.tls]: cannot read") != std::string::npos);
    }
  }
  std::filesystem::rename(certs.folder.path("old-owner.pem"), certs.folder.path("owner.pem"));
  std::filesystem::rename(certs.folder.path("old-ca.pem"), certs.folder.path("ca.pem"));
  CHECK(owner->reload(owners));
  owner.reset();
  owner.emplace(owners);
  CHECK(test::eventually([&] { return bool{guest.chat("What is 1 + 1?")}; })); // with the key as it was
  certs.renew("guest");
  owner.reset();
  owner.emplace(owners);
  CHECK(test::eventually([&] { return bool{guest.chat("What is 1 + 1?")}; }));
}

TEST_CASE("a crowd that connects and says nothing keeps no node out", "[node]") {
  simulator::server server{simulator::options{}};
  certified certs;
  for (auto encrypted : {true, false}) {
    CAPTURE(encrypted);
    auto prepared = [&](settings x) {
      x.node.timeout = 2s;
      return encrypted ? certs.with(x) : x;
    };
    runtime owner{prepared(owner_of(server.url()))};
    auto at = owner.node().listening;
    std::vector<bare_connection> crowd;
    for (int i = 0; i < 400; ++i)
      crowd.emplace_back(at);
    {
      runtime guest{prepared(guest_of(at))};
      CHECK(guest.chat("What is 1 + 1?"));
    }
    CHECK(
      test::eventually([&] { return std::all_of(crowd.begin(), crowd.end(), [](auto& x) { return x.is_closed(); }); }));
    bare_connection huge{at}; // a message between nodes that announces 4 GB
    huge.say(std::string{"\x01\0\0\0\xff\xff\xff\xf0", 8} + std::string(100, '\0'));
    CHECK(test::eventually([&] { return huge.is_closed(); }));
    runtime guest{prepared(guest_of(at))};
    CHECK(guest.chat("What is 1 + 1?"));
  }
}

TEST_CASE("a name that is taken is refused, and the first owner stays the only one", "[node]") {
  simulator::server first_server{simulator::options{}};
  simulator::server second_server{simulator::options{}};
  runtime first{owner_of(first_server.url())};
  auto second_settings = owner_of(second_server.url());
  auto settings = guest_of(first.node().listening);
  std::optional<runtime> second{second_settings};
  runtime guest{settings};
  REQUIRE(guest.chat("What is 1 + 1?"));
  settings.node.name = "other";
  settings.node.peers.push_back(second->node().listening);
  // one that is linked with both, and one to whom the second comes by itself
  runtime both{settings};
  CHECK(test::eventually([&] {
    auto peers = both.node().peers;
    return std::any_of(peers.begin(), peers.end(),
                       [](auto& x) { return x.problem.find("\"owner\" is taken") != x.problem.npos; });
  }));
  for (int i = 0; i < 20; ++i)
    CHECK(both.chat("What is 1 + 1?"));
  CHECK((first_server.snapshot().requests == 1 || second_server.snapshot().requests == 0));
  auto& served = first_server.snapshot().requests > 1 ? first_server : second_server;
  CHECK(served.snapshot().requests >= 20);
  auto peers = both.node().peers;
  CHECK(std::count_if(peers.begin(), peers.end(), [](auto& x) { return x.up; }) == 1);
  // a second guest of one name
  auto twin = guest_of(first.node().listening);
  runtime double_guest{twin};
  CHECK(problem_of(double_guest).find("the name \"guest\" is taken") != std::string::npos);
  CHECK_FALSE(double_guest.chat("What is 1 + 1?"));
  CHECK(guest.chat("What is 1 + 1?"));
}

TEST_CASE("a name is free again when its program has gone", "[node]") {
  simulator::server server{simulator::options{}};
  runtime owner{owner_of(server.url())};
  std::optional<runtime> one{guest_of(owner.node().listening)};
  REQUIRE(one->chat("What is 1 + 1?"));
  runtime other{guest_of(owner.node().listening)};
  CHECK(problem_of(other).find("is taken") != std::string::npos);
  one.reset();
  CHECK(test::eventually([&] { return bool{other.chat("What is 1 + 1?")}; }));
}

TEST_CASE("with certificates a node is called as its certificate says", "[node]") {
  simulator::server server{simulator::options{}};
  certified certs;
  runtime owner{certs.with(owner_of(server.url()))};
  auto at = owner.node().listening;
  auto liar = certs.with(guest_of(at, "guest"), "somebody");
  try { // told by the program itself
    runtime none{liar};
    FAIL();
  } catch (const std::invalid_argument& why) {
    CHECK(std::string{why.what()}.find("is that of \"somebody\", and this node is called \"guest\"")
          != std::string::npos);
  }
  liar.node.tls.verify_names = false; // and by its peer, if it does not care
  runtime unbelieved{liar};
  CHECK(problem_of(unbelieved)
          .find("node \"owner\" refuses a node that calls itself \"guest\": its certificate is that of "
                "\"somebody\"")
        != std::string::npos);
  CHECK_FALSE(unbelieved.chat("Hi"));
  runtime guest{certs.with(guest_of(at))}; // the true one finds the name free
  CHECK(guest.chat("What is 1 + 1?"));
  runtime command{certs.with(guest_of(at, "guest.4711"), "guest")};
  CHECK(command.chat("What is 1 + 1?"));
  // An owner that only calls itself so gets nobody's requests.
  auto false_owner = owner_of(server.url());
  false_owner.node.tls.verify_names = false;
  runtime imposing{certs.with(false_owner, "somebody")};
  runtime careful{certs.with(guest_of(imposing.node().listening, "careful"))};
  CHECK(problem_of(careful).find("\"owner\": its certificate is that of \"somebody\"") != std::string::npos);
  CHECK_FALSE(careful.chat("Hi"));
  CHECK(server.snapshot().requests == 2);
  // Where names are not verified, certificates of any name will do.
  auto lax = owner_of(server.url());
  lax.node.tls.verify_names = false;
  runtime trusting{certs.with(lax)};
  liar.node.peers = {trusting.node().listening};
  runtime believed{liar};
  CHECK(believed.chat("What is 1 + 1?"));
}

} // namespace modelforge::node_test
