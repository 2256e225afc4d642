#include "tests/actors/node_fixture.hpp"

#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <chrono>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace modelforge::node_test {

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

} // namespace modelforge::node_test
