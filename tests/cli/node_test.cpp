#include "tests/cli/cli_fixture.hpp"
#include "tests/http/waiting.hpp"
#include "tests/simulator/client.hpp"
#include "tools/simulator/simulator.hpp"

#include <modelforge/actors/runtime.hpp>

#include <catch2/catch_test_macros.hpp>

#include <arpa/inet.h>
#include <atomic>
#include <csignal>
#include <filesystem>
#include <future>
#include <memory>
#include <netinet/in.h>
#include <optional>
#include <random>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

namespace modelforge::node_test {

// Nodes as programs of their own, which can be killed.

using namespace modelforge::test;
using namespace std::chrono_literals;

namespace {

struct node_test : cli_test {
  /// Certificates by script/certs for these nodes; returns their folder.
  std::string certify(const std::string& name, const std::vector<std::string>& nodes) {
    process_options x;
    x.arguments = {"/bin/bash", source_path("script/certs"), folder.path(name)};
    x.arguments.insert(x.arguments.end(), nodes.begin(), nodes.end());
    x.environment = {"PATH=/usr/bin:/bin"};
    auto result = run_process(x);
    INFO(result.err);
    REQUIRE(result.exit_code == 0);
    return folder.path(name);
  }

  std::string tls(const std::string& certs, const std::string& node) {
    return "[node.tls]\ncertificate = \"" + certs + "/" + node + ".pem\"\nkey = \"" + certs + "/" + node
           + ".key\"\nca = \"" + certs + "/ca.pem\"\n";
  }

  /// Starts the owner of the provider "sim". What it says on standard error can be read as well.
  std::unique_ptr<background_process> start_owner(const std::string& url, const std::string& more_provider = {},
                                                  const std::string& more_node = {}) {
    auto path = folder.write("owner.toml", "[runtime]\nstate_folder = \"" + folder.path("state")
                                             + "\"\n[providers.sim]\nkind = \"openai_compatible\"\nbase_url = \"" + url
                                             + "/v1\"\ndefault_model = \"m\"\nnodes = [\"owner\"]\n" + more_provider
                                             + "[node]\nname = \"owner\"\nlisten = \"" + listen + "\"\n" + more_node);
    auto result = std::make_unique<background_process>(
      std::vector<std::string>{"/bin/sh", "-c", "exec \"$@\" 2>&1", "sh", program(), "node", "-c", path});
    auto line = line_with(*result, "listening 127.0.0.1:");
    listen = line.substr(line.find("127.")); // the same port the next time
    return result;
  }

  settings guest(const std::string& name, const std::string& certs = {}) {
    settings x;
    x.runtime.state_folder = "none";
    x.runtime.threads = 2;
    x.runtime.grace_period = 2s;
    x.node.name = name;
    x.node.peers = {listen};
    if (!certs.empty())
      x.node.tls = {certs + "/" + name + ".pem", certs + "/" + name + ".key", certs + "/ca.pem"};
    provider_settings sim;
    sim.name = "sim";
    sim.kind = provider_kind::openai_compatible;
    sim.base_url = "http://127.0.0.1:9/v1"; // not from here
    sim.default_model = "m";
    sim.nodes = {"owner"};
    x.providers = {sim};
    return x;
  }

  std::string listen = "127.0.0.1:0";
};

chat_request asking(const std::string& prompt) {
  chat_request x;
  x.messages = {text_message(role::user, prompt)};
  return x;
}

std::string problem_of(runtime& x) {
  std::string result;
  CHECK(eventually([&] { return !(result = x.node().peers.at(0).problem).empty(); }));
  return result;
}

bool is_up(runtime& x) {
  return x.node().peers.at(0).up;
}

int connect_to(const std::string& address) {
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(static_cast<uint16_t>(std::stoi(address.substr(address.rfind(':') + 1))));
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  auto fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  REQUIRE(::connect(fd, reinterpret_cast<sockaddr*>(&to), sizeof(to)) == 0);
  return fd;
}

} // namespace

TEST_CASE_METHOD(node_test, "nodes with certificates of one authority talk, others are refused", "[cli][node]") {
  simulator::server server{simulator::options{}};
  auto certs = certify("certs", {"owner", "guest"});
  auto foreign = certify("foreign", {"guest"});
  auto owner = start_owner(server.url(), "", tls(certs, "owner"));
  runtime good{guest("guest", certs)};
  auto answer = good.chat("What is 12 + 30?");
  REQUIRE(answer);
  CHECK(contains(answer->text, "42"));
  auto impatient = [](settings x) {
    x.node.timeout = 2s;
    return x;
  };
  {
    runtime stranger{impatient(guest("guest", foreign))};
    CHECK(contains(problem_of(stranger), "certificate of the same authority"));
    CHECK_FALSE(stranger.chat("Hi"));
  }
  {
    runtime plain{impatient(guest("plain"))};
    CHECK(contains(problem_of(plain), "without [node.tls]"));
    CHECK_FALSE(plain.chat("Hi"));
  }
  std::mt19937_64 random{7};
  for (int i = 0; i < 50; ++i) { // garbage
    auto fd = connect_to(listen);
    std::string bytes(1 + random() % 3000, '\0');
    for (auto& x : bytes)
      x = static_cast<char>(random());
    static_cast<void>(!::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL));
    ::close(fd);
  }
  CHECK(good.chat("What is 1 + 1?"));
  CHECK(is_up(good));
  CHECK(server.snapshot().requests == 2);
  CHECK(owner->end(SIGTERM) == 0);
}

TEST_CASE_METHOD(node_test, "commands reach a node's provider, also with its own configuration", "[cli][node]") {
  simulator::server server{simulator::options{}};
  auto owner = start_owner(server.url());
  auto text = "[providers.sim]\nkind = \"openai_compatible\"\nbase_url = \"http://127.0.0.1:9/v1\"\ndefault_model = "
              "\"m\"\nnodes = [\"owner\"]\n[node]\nname = \"";
  auto other = folder.write("other.toml", text + std::string{"other\"\npeers = [\""} + listen + "\"]\n");
  auto own = folder.write("own.toml", text + std::string{"owner\"\nlisten = \""} + listen + "\"\n");
  for (auto& path : {other, own}) {
    auto result = run({"chat", "-c", path, "What is 12 + 30?"});
    INFO(result.err);
    CHECK(result.exit_code == 0);
    CHECK(contains(result.out, "42"));
  }
  folder.write("prompts.txt", "What is 1 + 1?\nWhat is 2 + 2?\n");
  auto batch = run({"batch", "prompts.txt", "-o", "answers.jsonl", "-c", other, "-q"});
  INFO(batch.err);
  CHECK(batch.exit_code == 0);
  CHECK(server.snapshot().answered == 4);
  CHECK(owner->end(SIGTERM) == 0);
  auto result = run({"chat", "-c", own, "Hi"});
  CHECK(result.exit_code == 1);
  CHECK(contains(result.err, "node owner, which runs the provider, cannot be reached: " + listen
                               + ": no connection: Connection refused"));
}

TEST_CASE_METHOD(node_test, "an owner killed under load overruns no limit, and loses no call", "[cli][node]") {
  constexpr int kills = 10;
  simulator::options strict;
  strict.requests_per_minute = 6'000; // 100 in each second
  strict.window = 1s;
  strict.latency = 30ms;
  simulator::server server{strict};
  auto limits =
    "[providers.sim.rate_limit]\nrequests_per_minute = 6000\nwindow = 1\nburst = 1\non_start = \"restore\"\n"
    "[providers.sim.retry]\nretry_uncertain = true\nmax_attempts = 8\n";
  auto owner = start_owner(server.url(), limits);
  auto settings = guest("guest");
  settings.providers[0].retry.max_attempts = 8;
  runtime ai{settings};
  REQUIRE(ai.chat("What is 1 + 1?"));
  std::atomic<int> open = 0, answered = 0, failed = 0, doubled = 0;
  std::atomic<bool> stop = false;
  std::atomic<int> last_code = 0;
  auto sends = std::async(std::launch::async, [&] {
    while (!stop) {
      if (open >= 16) {
        std::this_thread::sleep_for(1ms); // the pace of this caller
        continue;
      }
      ++open;
      auto told = std::make_shared<std::atomic<int>>(0);
      ai.chat(asking("What is 12 + 30?"), [&, told](expected<completion> x) {
        doubled += told->fetch_add(1);
        --open;
        x ? ++answered : ++failed;
        if (!x)
          last_code = static_cast<int>(x.error().code);
      });
    }
  });
  std::mt19937_64 random{11};
  for (int i = 0; i < kills; ++i) {
    auto before = answered.load();
    CHECK(eventually([&] { return answered > before + 5; }));               // service has returned
    std::this_thread::sleep_for(std::chrono::milliseconds{random() % 300}); // the moment, not a condition
    owner->end(SIGKILL);
    owner = start_owner(server.url(), limits);
  }
  auto before = answered.load();
  CHECK(eventually([&] { return answered > before + 5; }));
  stop = true;
  sends.get();
  CHECK(eventually([&] { return open == 0; }));
  CHECK(doubled == 0);
  INFO("answered " << answered << ", failed " << failed << " with " << last_code);
  CHECK(server.snapshot().rejected == 0);
  CHECK(failed == 0); // each may be sent again, and the owner was back in time
  CHECK(owner->end(SIGTERM) == 0);
}

TEST_CASE_METHOD(node_test, "calls that must not be repeated end at once when their owner is killed", "[cli][node]") {
  simulator::options slow;
  slow.latency = 60s;
  simulator::server server{slow};
  auto owner = start_owner(server.url());
  auto settings = guest("guest");
  settings.providers[0].retry.retry_uncertain = false;
  runtime ai{settings};
  auto answer = ai.chat_async(asking("Hi"));
  auto stream = ai.stream("Hi");
  REQUIRE(eventually([&] { return server.snapshot().requests == 2; }));
  auto begun = std::chrono::steady_clock::now();
  owner->end(SIGKILL);
  auto ended = answer.get();
  auto how = stream.wait();
  CHECK(std::chrono::steady_clock::now() - begun < 3s);
  REQUIRE_FALSE(ended);
  CHECK(ended.error().code == errc::outcome_unknown);
  REQUIRE(ended.error().attempts.size() == 1);
  CHECK(ended.error().attempts[0].result == errc::node_lost);
  CHECK(std::get<stream_failed>(how).why.code == errc::node_lost);
}

TEST_CASE_METHOD(node_test, "an owner that falls silent is noticed within 6 s", "[cli][node]") {
  simulator::server server{simulator::options{}};
  auto owner = start_owner(server.url());
  auto settings = guest("guest");
  settings.providers[0].retry.retry_uncertain = false;
  runtime ai{settings};
  REQUIRE(ai.chat("What is 1 + 1?"));
  owner->signal(SIGSTOP);
  auto begun = std::chrono::steady_clock::now();
  auto answer = ai.chat("Hi");
  auto took = std::chrono::steady_clock::now() - begun;
  CHECK_FALSE(answer);
  CHECK(took < 6s);
  owner->signal(SIGCONT);
  CHECK(eventually([&] { return bool{ai.chat("What is 1 + 1?")}; }));
  CHECK(owner->end(SIGTERM) == 0);
}

TEST_CASE_METHOD(node_test, "a signal lets what runs end, a second one cuts it off", "[cli][node]") {
  simulator::options slow;
  slow.latency = 1s;
  simulator::server server{slow};
  auto owner = start_owner(server.url());
  runtime ai{guest("guest")};
  auto answer = ai.chat_async(asking("What is 12 + 30?"));
  REQUIRE(eventually([&] { return server.snapshot().requests == 1; }));
  auto ending = std::async(std::launch::async, [&] { return owner->end(SIGTERM); });
  CHECK(answer.get());
  CHECK(ending.get() == 0);
  slow.latency = 60s;
  server.configure(slow);
  owner = start_owner(server.url());
  auto cut = ai.chat_async(asking("Hi"));
  REQUIRE(eventually([&] { return server.snapshot().requests == 2; }));
  owner->signal(SIGTERM);
  line_with(*owner, "shutting down");
  CHECK(owner->end(SIGTERM) == 130);
  ai.shutdown();
  CHECK_FALSE(cut.get());
}

TEST_CASE_METHOD(node_test, "a hangup reads the settings again, all of them or none", "[cli][node]") {
  simulator::server server{simulator::options{}};
  auto owner = start_owner(server.url(), "max_concurrent = 7\n");
  runtime ai{guest("guest")};
  auto slots = [&] {
    auto status = ai.status();
    REQUIRE(status);
    return status->max_concurrent;
  };
  CHECK(eventually([&] { return slots() == 7; })); // its own until the link is up
  auto write = [&](const std::string& more) {
    folder.write("owner.toml", "[providers.sim]\nkind = \"openai_compatible\"\nbase_url = \"" + server.url()
                                 + "/v1\"\ndefault_model = \"m\"\nnodes = [\"owner\"]\n" + more
                                 + "[node]\nname = \"owner\"\nlisten = \"" + listen + "\"\n");
    owner->signal(SIGHUP);
  };
  write("max_concurrent = 9\n");
  CHECK(eventually([&] { return slots() == 9; }));
  write("max_concurrent = 0\ndefault_model = \"x\"\n");
  auto hears_refusal = [&] { return line_with(*owner, "nothing has changed"); };
  auto refusal = hears_refusal();
  CHECK(contains(refusal, "reload.refused"));
  CHECK(contains(refusal, "max_concurrent")); // what is wrong with it
  CHECK(slots() == 9);
  auto settings = folder.path("owner.toml");
  for (auto make : {+[](const std::string& x) { return ::mkdir(x.c_str(), 0700); },
                    +[](const std::string& x) { return ::mkfifo(x.c_str(), 0600); }, // nobody ever writes to it
                    +[](const std::string& x) { return ::symlink("/dev/zero", x.c_str()); },
                    +[](const std::string&) { return 0; }}) { // it is not there
    std::filesystem::remove(settings);
    REQUIRE(make(settings) == 0);
    owner->signal(SIGHUP);
    hears_refusal();
    CHECK(slots() == 9);
  }
  std::filesystem::remove(settings);
  write("max_concurrent = 11\n");
  CHECK(eventually([&] { return slots() == 11; }));
  auto answer = ai.chat("What is 1 + 1?");
  REQUIRE(answer);
  CHECK(answer->model == "m");
  CHECK(owner->end(SIGTERM) == 0);
}

TEST_CASE_METHOD(node_test, "a hangup changes how long the end waits, too", "[cli][node]") {
  simulator::server server{simulator::options{}};
  auto owner = start_owner(server.url());
  auto text = folder.read("owner.toml");
  folder.write("owner.toml", "runtime.grace_period = 37\n" + text.substr(text.find("[providers")));
  owner->signal(SIGHUP);
  line_with(*owner, "settings read again");
  owner->signal(SIGTERM);
  line_with(*owner, "grace_seconds=37");
  CHECK(owner->end(SIGTERM) != -1);
}

TEST_CASE_METHOD(node_test, "a node tells its health until its end, also while it drains", "[cli][node][health]") {
  simulator::options slow;
  slow.latency = 60s;
  simulator::server server{slow};
  auto path = folder.write("node.toml", "[runtime]\nstate_folder = \"none\"\n[metrics]\nlisten = \"127.0.0.1:0\"\n"
                                        "[providers.sim]\nkind = \"openai_compatible\"\nbase_url = \""
                                          + server.url()
                                          + "/v1\"\ndefault_model = \"m\"\nnodes = [\"owner\"]\n[node]\nname = "
                                            "\"owner\"\nlisten = \"127.0.0.1:0\"\n");
  background_process node{{"/bin/sh", "-c", "exec \"$@\" 2>&1", "sh", program(), "node", "-c", path}};
  auto metrics = line_with(node, "metrics at http://127.0.0.1:");
  auto port = static_cast<uint16_t>(std::stoi(metrics.substr(metrics.rfind(':') + 1)));
  auto line = line_with(node, "listening 127.0.0.1:");
  listen = line.substr(line.find("127."));
  CHECK(fetch(port, "GET", "/healthz").status == 200);
  CHECK(fetch(port, "GET", "/readyz").status == 200);
  CHECK(fetch(port, "GET", "/status").parsed()["settings"]["origin"] == path);
  folder.write("node.toml", "providers = 7\n");
  node.signal(SIGHUP);
  line_with(node, "reload.refused");
  CHECK(fetch(port, "GET", "/status").parsed()["settings"]["last_reload_refused"] == true);
  CHECK(fetch(port, "GET", "/readyz").status == 200); // the settings before are in force
  std::filesystem::remove(path);
  node.signal(SIGHUP); // not even read
  line_with(node, "reload.refused");
  CHECK(contains(fetch(port, "GET", "/status").parsed()["settings"]["refused"]["reason"].get<std::string>(),
                 "cannot read " + path + " again"));
  runtime ai{guest("guest")};
  auto answer = ai.chat_async(asking("Hi"));
  REQUIRE(eventually([&] { return server.snapshot().requests == 1; }));
  node.signal(SIGTERM);
  REQUIRE(eventually([&] { return fetch(port, "GET", "/readyz").status == 503; }));
  CHECK(fetch(port, "GET", "/readyz").parsed()["reasons"][0]["code"] == "draining");
  CHECK(fetch(port, "GET", "/healthz").status == 200);
  node.signal(SIGUSR1);
  CHECK(contains(line_with(node, "modelforge: status {"), "\"draining\":true"));
  CHECK(node.end(SIGTERM) == 130);
  ai.shutdown();
  CHECK_FALSE(answer.get());
}

TEST_CASE_METHOD(node_test, "a configuration that makes no node is told so", "[cli][node]") {
  auto result = run({"node", "-c", configure("http://127.0.0.1:9")});
  CHECK(result.exit_code == 2);
  CHECK(contains(result.err, "set `name` and `listen` in [node]"));
}

} // namespace modelforge::node_test
