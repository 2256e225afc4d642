#include "tests/actors/node_fixture.hpp"

#include <catch2/catch_test_macros.hpp>

#include <array>
#include <chrono>
#include <future>
#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace modelforge::node_test {

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
  settings.node.timeout = 2s;
  runtime guest{settings};
  auto begun = std::chrono::steady_clock::now();
  auto answer = guest.chat("Hi");
  auto took = std::chrono::steady_clock::now() - begun;
  REQUIRE_FALSE(answer);
  CHECK(answer.error().code == errc::node_lost);
  CHECK(answer.error().message.find("node owner, which runs the provider, cannot be reached") == 0);
  CHECK(answer.error().provider == "sim");
  CHECK(answer.error().attempts.empty());
  CHECK(took < 20s);
  begun = std::chrono::steady_clock::now();
  CHECK_FALSE(guest.chat("Hi"));
  CHECK(std::chrono::steady_clock::now() - begun < 1s);
  REQUIRE(test::eventually([&] { return !guest.node().peers[0].problem.empty(); }));
  CHECK(guest.node().peers[0].problem.find("no connection: Connection refused") == 0);
}

} // namespace modelforge::node_test
