#include "actors/support/mail.hpp"
#include "tests/actors/node_fixture.hpp"
#include "tests/support/eventually.hpp"

#include <modelforge/actors/registry.hpp>
#include <modelforge/actors/system.hpp>

#include <caf/actor_system.hpp>
#include <caf/actor_system_config.hpp>
#include <caf/scoped_actor.hpp>
#include <caf/send.hpp>
#include <nlohmann/json.hpp>

#include <future>
#include <map>
#include <sstream>
#include <stdexcept>

namespace modelforge::access_log_actors_test {

// What a running program has in its access log: each request once, however it ends.

using namespace node_test;
using nlohmann::json;

namespace {

settings base(const std::string& url, const std::string& access) {
  auto x = base_of("");
  x.log.access = access;
  auto& provider = x.providers.emplace_back(provider_of(url, ""));
  provider.nodes.clear();
  return x;
}

/// The lines of an access log, by their requests' ids; an id that has two lines fails.
std::map<std::string, json> read(const test::temporary_folder& folder) {
  std::map<std::string, json> result;
  std::istringstream in{folder.read("access")};
  for (std::string line; std::getline(in, line);) {
    auto x = json::parse(line);
    CHECK(result.emplace(x["request"], x).second);
  }
  return result;
}

std::string id_text(uint64_t number) {
  return to_string(request_id{1, number});
}

chat_request numbered(uint64_t number) {
  auto x = sum_of(static_cast<int>(number));
  x.id = {1, number};
  return x;
}

/// A server that takes requests and gives no answer.
struct silent_server {
  std::promise<void> asked;
  test::misbehaving_server server{[this](test::peer& x) {
    if (!x.read_request())
      return;
    asked.set_value();
    x.wait_for_close();
  }};
};

} // namespace

TEST_CASE("every request of a program has its line, without prompt and answer", "[log]") {
  simulator::server server{simulator::options{}};
  test::temporary_folder folder;
  {
    runtime ai{base(server.url(), folder.path("access"))};
    auto asked = sum_of(123'455'789);
    asked.id = {1, 1};
    asked.tenant = "team";
    asked.labels = {{"job", "7"}};
    auto answer = ai.chat(asked);
    REQUIRE(answer);
    CHECK(answer->text.find("123456789") != std::string::npos);
    std::string whole;
    for (auto& text : ai.stream(numbered(2)))
      whole += text;
    CHECK(whole.find("1002") != whole.npos);
    embedding_request vectors;
    vectors.id = {1, 3};
    vectors.inputs.assign(2'049, "a river");
    REQUIRE(ai.embed(vectors));
    auto hopeless = numbered(4);
    hopeless.deadline = 0s;
    REQUIRE_FALSE(ai.chat(hopeless));
  }
  auto lines = read(folder);
  CHECK(lines.size() == 5); // the vectors took two requests
  auto& chat = lines[id_text(1)];
  CHECK(chat["kind"] == "chat");
  CHECK(chat["outcome"] == "answered");
  CHECK(chat["tenant"] == "team");
  CHECK(chat["labels"] == json{{"job", "7"}});
  CHECK(chat["provider"] == "sim");
  CHECK(chat["model"] == "sim-mini");
  CHECK(chat["status"] == 200);
  CHECK(chat["attempts"] == 1);
  CHECK(chat["finish_reason"] == "stop");
  CHECK(chat["input_tokens"] > 0);
  CHECK(chat["duration_seconds"] > 0);
  auto& stream = lines[id_text(2)];
  CHECK(stream["kind"] == "stream");
  CHECK(stream["outcome"] == "answered");
  CHECK(stream["first_token_seconds"] > 0);
  CHECK(stream["first_token_seconds"] <= stream["duration_seconds"]);
  CHECK(lines[id_text(4)]["outcome"] == "refused");
  CHECK(lines[id_text(4)]["code"] == "deadline_exceeded");
  std::size_t parts = 0;
  for (auto& [id, line] : lines)
    parts += line["kind"] == "embedding" && line["part_of"] == id_text(3);
  CHECK(parts == 2);
  auto all = folder.read("access");
  for (auto secret : {"123455789", "123456789", "What is", "river"})
    CHECK(all.find(secret) == all.npos);
}

TEST_CASE("a request whose caller takes it back, and one whose provider ends, have their lines", "[log]") {
  test::temporary_folder folder;
  silent_server silent;
  auto x = base(silent.server.url(""), folder.path("access"));
  x.providers[0].max_concurrent = 1;
  x.providers[0].interactive_slots = 0;
  x.runtime.grace_period = 0s;
  {
    runtime ai{x};
    auto first = ai.chat_async(numbered(1));
    silent.asked.get_future().wait();
    auto second = ai.chat_async(numbered(2));
    ai.cancel({1, 2});
    CHECK(second.get().error().code == errc::cancelled);
    ai.shutdown();
    CHECK_FALSE(first.get());
  }
  auto lines = read(folder);
  CHECK(lines.size() == 2);
  CHECK(lines[id_text(1)]["outcome"] == "stopped");
  CHECK(lines[id_text(1)]["attempts"] == 1);
  CHECK(lines[id_text(2)]["outcome"] == "cancelled");
  CHECK(lines[id_text(2)]["attempts"] == 0);
}

TEST_CASE("a request whose caller dies, and one whose provider dies, have their lines", "[log]") {
  test::temporary_folder folder;
  silent_server silent;
  auto x = base(silent.server.url(""), folder.path("access"));
  x.providers[0].max_concurrent = 1;
  x.providers[0].interactive_slots = 0;
  init_types();
  caf::actor_system_config config;
  apply(x, config);
  {
    caf::actor_system system{config};
    auto registry = std::get<registry_actor>(spawn_registry(system, x));
    caf::scoped_actor self{system};
    provider_actor provider;
    self->request(registry, 20s, caf::get_atom_v, std::string{"sim"})
      .receive([&](const provider_actor& found) { provider = found; }, [](const caf::error&) { FAIL(); });
    self->send(provider, numbered(1));
    silent.asked.get_future().wait();
    {
      caf::scoped_actor mortal{system};
      mortal->send(provider, numbered(2));
      mortal->request(provider, 20s, status_atom_v).receive([](const provider_status&) {}, [](const caf::error&) {});
    }
    CHECK(test::eventually([&] { return read(folder).count(id_text(2)) == 1; }));
    post(provider, [] { throw std::runtime_error{"a bug"}; });
    CHECK(test::eventually([&] { return read(folder).count(id_text(1)) == 1; }));
    provider = nullptr;
    caf::anon_send_exit(registry, caf::exit_reason::user_shutdown);
  }
  auto lines = read(folder);
  CHECK(lines[id_text(1)]["outcome"] == "stopped");
  CHECK(lines[id_text(2)]["outcome"] == "abandoned");
}

TEST_CASE("a request from another node is in the log of its owner, once, and says whose it is", "[log][node]") {
  simulator::server server{simulator::options{}};
  test::temporary_folder owners, guests;
  {
    auto settings = owner_of(server.url());
    settings.log.access = owners.path("access");
    runtime owner{settings};
    auto other = guest_of(owner.node().listening);
    other.log.access = guests.path("access");
    runtime guest{other};
    REQUIRE(guest.chat(numbered(1)));
    std::string whole;
    for (auto& text : guest.stream(numbered(2)))
      whole += text;
    REQUIRE(owner.chat(numbered(3)));
  }
  CHECK(read(guests).empty());
  auto lines = read(owners);
  CHECK(lines.size() == 3);
  for (auto number : {1, 2}) {
    auto& line = lines[id_text(static_cast<uint64_t>(number))];
    CHECK(line["node"] == "guest");
    CHECK(line["tenant"] == "node guest");
    CHECK(line["outcome"] == "answered");
  }
  CHECK_FALSE(lines[id_text(3)].contains("node"));
}

TEST_CASE("items of a batch that are sent live are told as such", "[log]") {
  simulator::server server{simulator::options{}};
  test::temporary_folder folder;
  batch_options options;
  options.input = folder.write("in.txt", "What is 1 + 1?\nWhat is 2 + 2?\n");
  options.output = folder.path("out.jsonl");
  {
    runtime ai{base(server.url(), folder.path("access"))};
    REQUIRE(ai.batch(options));
  }
  auto lines = read(folder);
  CHECK(lines.size() == 2);
  for (auto& [id, line] : lines) {
    CHECK(line["kind"] == "batch_item");
    CHECK(line["priority"] == "batch");
  }
}

} // namespace modelforge::access_log_actors_test
