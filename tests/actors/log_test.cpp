#include "actors/support/mail.hpp"
#include "tests/actors/node_fixture.hpp"
#include "tests/support/collected_log.hpp"
#include "tests/support/settings.hpp"

#include <modelforge/actors/registry.hpp>
#include <modelforge/actors/system.hpp>
#include <modelforge/config/load.hpp>

#include <caf/actor_system.hpp>
#include <caf/actor_system_config.hpp>
#include <caf/scoped_actor.hpp>
#include <caf/send.hpp>

#include <algorithm>
#include <stdexcept>

namespace modelforge::log_test {

// What a running program tells its log: each change once.

using namespace node_test;
using test::collected_log;

namespace {

using list = std::vector<std::string>;

settings base(const simulator::server& server) {
  auto x = base_of("");
  x.providers = {test::simulated_at(server.url())};
  return x;
}

host_options into(collected_log& log, log_level level = log_level::info) {
  return {{log.sink(), level}};
}

} // namespace

TEST_CASE("a program tells of its start, its settings and its end", "[log]") {
  simulator::server server{simulator::options{}};
  collected_log log;
  auto x = base(server);
  {
    runtime ai{x, into(log)};
    REQUIRE(ai.reload(x));
    x.providers[0].default_model = "another";
    x.providers.push_back(x.providers[0]);
    x.providers[1].name = "second";
    REQUIRE(ai.reload(x));
    auto bad = x;
    bad.providers[0].keys = {{"key1", "NO_SUCH_VARIABLE", ""}};
    REQUIRE_FALSE(ai.reload(bad));
    bad = x;
    bad.log.sink = "/no/such/folder/log"; // which the host's own sink makes idle
    REQUIRE(ai.reload(bad));
    x.providers.erase(x.providers.begin());
    REQUIRE(ai.reload(x));
  }
  auto all = log.lines();
  CHECK(all.at(0) == "provider.started provider=main kind=openai_compatible");
  CHECK(all.at(1).starts_with("node.started version="));
  CHECK(all.at(1).find(" providers=main") != std::string::npos);
  CHECK(all.at(2) == "reload.taken origin=settings");
  CHECK(all.at(3) == "provider.changed provider=main");
  CHECK(all.at(4) == "provider.started provider=second kind=openai_compatible");
  CHECK(all.at(5) == "reload.taken origin=settings changed=main added=second");
  CHECK(all.at(6).starts_with("reload.refused origin=settings reason="));
  CHECK(all.at(6).find("NO_SUCH_VARIABLE") != std::string::npos);
  CHECK(all.at(7) == "reload.taken origin=settings");
  CHECK(all.at(8) == "provider.ended provider=main");
  CHECK(all.at(9) == "reload.taken origin=settings removed=main");
  CHECK(all.at(10).starts_with("node.draining grace_seconds=2"));
  CHECK(all.at(11) == "node.stopped");
  CHECK(all.size() == 12);
}

TEST_CASE("a host's log goes by the settings, also by other ones", "[log]") {
  simulator::server server{simulator::options{}};
  test::temporary_folder folder;
  auto x = base(server);
  x.log.sink = folder.path("log");
  runtime ai{x};
  REQUIRE(ai.chat("What is 1 + 1?"));
  x.log.level = log_level::debug;
  x.log.format = log_format::json;
  auto report = ai.reload(x);
  REQUIRE(report);
  CHECK(report->needs_restart == list{});
  REQUIRE(ai.chat("What is 1 + 1?"));
  x.log.sink = folder.path("no/such/folder/log");
  auto refused = ai.reload(x);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().message.find("log.sink: cannot open") != std::string::npos);
  std::filesystem::rename(folder.path("log"), folder.path("log.1"));
  ai.reopen_log();
  REQUIRE(ai.chat("What is 1 + 1?"));
  ai.shutdown();
  CHECK(test::eventually([&] { return folder.read("log").find("\"event\":\"node.draining\"") != std::string::npos; }));
  auto before = folder.read("log.1");
  auto count = [](const std::string& text, const std::string& word) {
    std::size_t result = 0;
    for (auto i = text.find(word); i != text.npos; i = text.find(word, i + 1))
      ++result;
    return result;
  };
  CHECK(count(before + folder.read("log"), "request.answered") == 2); // not the first one
  CHECK(count(before, "\"event\":\"reload.refused\"") == 1);
  x.log.sink = "/no/such/folder/log";
  CHECK_THROWS_AS(runtime(x), std::invalid_argument);
}

TEST_CASE("each request can be followed by its id, and prompts where that is asked for", "[log]") {
  simulator::server server{simulator::options{}};
  for (auto content : {false, true}) {
    collected_log log;
    auto x = base(server);
    x.log.content = content;
    request_id id{7, 8};
    {
      runtime ai{x, into(log, log_level::debug)};
      auto request = sum_of(1);
      request.id = id;
      request.tenant = "team";
      REQUIRE(ai.chat(request));
    }
    list mine;
    for (auto& line : log.lines())
      if (line.find("request=" + to_string(id)) != line.npos)
        mine.push_back(line.substr(0, line.find(' ')));
    auto expected = list{"request.admitted", "request.sent", "request.answered"};
    if (content)
      expected.insert(expected.begin(), "request.content");
    CHECK(mine == expected);
    CHECK(log.count("log.content") == (content ? 1 : 0));
    std::string all;
    for (auto& line : log.lines())
      all += line + '\n';
    CHECK((all.find("prompt=user: What is 1 + 1000?") != all.npos) == content);
    CHECK(all.find("1001") == all.npos); // no answer
    CHECK(all.find("tenant=team") != all.npos);
  }
}

TEST_CASE("a provider that ends by a bug is told once, and that it begins again", "[log]") {
  simulator::server server{simulator::options{}};
  collected_log log;
  auto x = base(server);
  init_types();
  caf::actor_system_config config;
  apply(x, config);
  caf::actor_system system{config};
  auto started = start_log(x.log, into(log).log);
  auto registry = std::get<registry_actor>(spawn_registry(system, x, std::get<log_handle>(started)));
  {
    caf::scoped_actor self{system};
    self->request(registry, 20s, caf::get_atom_v, std::string{"main"})
      .receive([](const provider_actor& found) { post(found, [] { throw std::runtime_error{"a bug"}; }); },
               [](const caf::error&) { FAIL(); });
  }
  CHECK(log.wait_for("provider.died provider=main reason=").find("wait_seconds=") != std::string::npos);
  CHECK(test::eventually([&] { return log.count("provider.started") == 2; }));
  CHECK(log.count("provider.died") == 1);
  caf::anon_send_exit(registry, caf::exit_reason::user_shutdown);
}

TEST_CASE("a key that a provider reads when it is started again stands in no line", "[log]") {
  simulator::server server{simulator::options{}};
  test::temporary_folder folder;
  collected_log log;
  auto x = base(server);
  x.providers[0].keys = {{"key1", "", folder.write("key", "sk-first-0123456789\n")}};
  init_types();
  caf::actor_system_config config;
  apply(x, config);
  {
    caf::actor_system system{config};
    auto started = start_log(x.log, into(log).log);
    auto registry = std::get<registry_actor>(spawn_registry(system, x, std::get<log_handle>(started)));
    auto crash = [&](const std::string& why) {
      caf::scoped_actor self{system};
      self->request(registry, 20s, caf::get_atom_v, std::string{"main"})
        .receive([&](const provider_actor& found) { post(found, [why] { throw std::runtime_error{why}; }); },
                 [](const caf::error&) { FAIL(); });
    };
    folder.write("key", "sk-second-0123456789\n");
    crash("a bug");
    CHECK(test::eventually([&] { return log.count("provider.started") == 2; }));
    crash("a bug with sk-second-0123456789 in it");
    CHECK(test::eventually([&] { return log.count("provider.started") == 3; }));
    caf::anon_send_exit(registry, caf::exit_reason::user_shutdown);
  } // with the log's last owner; the second death, which repeats the first, is told now
  auto lines = log.lines();
  auto is_masked = [](const std::string& line) { return line.find("a bug with *** in it") != line.npos; };
  CHECK(std::any_of(lines.begin(), lines.end(), is_masked));
  for (auto& line : lines)
    CHECK(line.find("sk-second") == line.npos);
}

TEST_CASE("a batch tells of its begin and its end", "[log]") {
  simulator::server server{simulator::options{}};
  test::temporary_folder folder;
  collected_log log;
  batch_options options;
  options.input = folder.write("in.txt", "What is 1 + 1?\nWhat is 2 + 2?\n");
  options.output = folder.path("out.jsonl");
  runtime ai{base(server), into(log)};
  REQUIRE(ai.batch(options));
  auto end = log.wait_for("batch.ended");
  CHECK(end.starts_with("batch.ended output=" + options.output + " items=2 answered=2 failed=0 duration_seconds="));
  CHECK(log.count("batch.started input=" + options.input + " output=" + options.output + " providers=1") == 1);
  options.input = folder.write("more.txt", "What is 3 + 3?\n");
  options.output = folder.path("more.jsonl");
  auto stopped = ai.batch(options, [](const batch_progress&) { return false; });
  REQUIRE(stopped);
  if (stopped->cancelled)
    CHECK(log.wait_for("batch.stopped") == "batch.stopped output=" + options.output + " reason=cancelled");
  CHECK(test::eventually([&] { return log.count("batch.ended") + log.count("batch.stopped") == 2; }));
}

TEST_CASE("nodes tell of links and guests that come and go, each once", "[log][node]") {
  simulator::server server{simulator::options{}};
  collected_log owners, guests;
  auto settings = owner_of(server.url());
  std::optional<runtime> owner{std::in_place, settings, into(owners)};
  settings.node.listen = owner->node().listening;
  {
    runtime guest{guest_of(settings.node.listen), into(guests)};
    REQUIRE(guest.chat("What is 1 + 1?"));
    CHECK(owners.wait_for("guest.came") == "guest.came peer=guest provider=sim");
    CHECK(owners.count("peer.connected peer=guest") == 1);
    CHECK(guests.wait_for("peer.connected") == "peer.connected peer=owner address=" + settings.node.listen);
    CHECK(guests.wait_for("provider.reachable") == "provider.reachable provider=sim owner=owner");
    CHECK(guests.count("provider.unreachable") == 0);
    owner.reset();
    CHECK(guests.wait_for("peer.lost") == "peer.lost peer=owner");
    CHECK(guests.wait_for("provider.unreachable").starts_with("provider.unreachable provider=sim owner=owner reason="));
    CHECK(guests.wait_for("peer.unreachable").starts_with("peer.unreachable address=" + settings.node.listen));
    owner.emplace(settings, into(owners));
    CHECK(test::eventually([&] { return bool{guest.chat("What is 1 + 1?")}; }));
    CHECK(guests.count("peer.lost") == 1);
    CHECK(guests.count("provider.unreachable") == 1);
  }
  CHECK(owners.wait_for("guest.left") == "guest.left peer=guest provider=sim");
  CHECK(owners.wait_for("peer.lost") == "peer.lost peer=guest");
  CHECK(guests.count("provider.unreachable") == 1); // its own end is no news
}

TEST_CASE("a node tells whom it does not let in, and why", "[log][node]") {
  simulator::server server{simulator::options{}};
  collected_log log;
  certified certs, strangers;
  runtime owner{certs.with(owner_of(server.url())), into(log)};
  auto at = owner.node().listening;
  {
    auto settings = certs.with(guest_of(at));
    settings.node.cluster = "another";
    runtime guest{settings};
    CHECK(log.wait_for("peer.refused peer=guest").find("cluster") != std::string::npos);
  }
  collected_log other;
  runtime stranger{strangers.with(guest_of(at, "stranger")), into(other)};
  CHECK(log.wait_for("peer.refused peer=127.0.0.1").find("reason=") != std::string::npos);
  CHECK(other.wait_for("peer.unreachable address=" + at).find("reason=") != std::string::npos);
  CHECK(log.count("peer.refused peer=127.0.0.1") == 1); // however often it comes
}

TEST_CASE("a renewed certificate is told once, whether a link or a reload takes it up", "[log][node]") {
  simulator::server server{simulator::options{}};
  collected_log log;
  certified certs;
  auto x = certs.with(owner_of(server.url()));
  runtime owner{x, into(log)};
  REQUIRE(owner.reload(x));
  CHECK(log.count("certificate.renewed") == 0); // it is the same one
  certs.renew("owner");
  REQUIRE(owner.reload(x));
  CHECK(log.wait_for("certificate.renewed").starts_with("certificate.renewed valid_seconds="));
  certs.renew("owner");
  auto settings = certs.with(guest_of(owner.node().listening));
  CHECK(test::eventually([&] { // files are looked at once a second, when somebody comes
    runtime guest{settings};
    return guest.chat("What is 1 + 1?") && log.count("certificate.renewed") == 2;
  }));
}

TEST_CASE("a certificate that cannot be used any more is told", "[log][node]") {
  simulator::server server{simulator::options{}};
  collected_log log;
  certified certs;
  runtime owner{certs.with(owner_of(server.url())), into(log)};
  certs.folder.write("owner.pem", "no certificate");
  auto settings = certs.with(guest_of(owner.node().listening));
  CHECK(test::eventually([&] { // files are looked at once a second, when somebody comes
    runtime guest{settings};
    return guest.chat("What is 1 + 1?") && log.count("certificate.refused") == 1;
  }));
  CHECK(log.wait_for("certificate.refused").find("owner.pem") != std::string::npos);
}

} // namespace modelforge::log_test
