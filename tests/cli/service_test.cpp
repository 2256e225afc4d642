#include "tests/cli/cli_fixture.hpp"
#include "tests/support/process.hpp"
#include "tools/cli/service_manager.hpp"
#include "tools/simulator/simulator.hpp"

#include <catch2/catch_test_macros.hpp>

#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstring>
#include <map>
#include <memory>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

namespace modelforge::service_test {

// What the service manager hears, at a socket of the test's own.

using namespace modelforge::test;
using namespace std::chrono_literals;
using cli::service_manager;

namespace {

/// The manager's end of the protocol. `name` begins with "/" or, for an abstract socket, with "@".
class notify_socket {
public:
  explicit notify_socket(const std::string& name) : socket_(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    name.copy(address.sun_path, sizeof(address.sun_path));
    if (name[0] == '@')
      address.sun_path[0] = '\0';
    auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + name.size());
    REQUIRE(bind(socket_, reinterpret_cast<sockaddr*>(&address), size) == 0);
    timeval patience{10, 0};
    setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
  }

  ~notify_socket() { close(socket_); }

  notify_socket(const notify_socket&) = delete;
  notify_socket& operator=(const notify_socket&) = delete;

  /// The next message; "" after 10 s.
  std::string receive() { return receive(0); }

  /// What has come already; "": nothing.
  std::string peek() { return receive(MSG_DONTWAIT); }

  /// Waits for a message that begins so.
  std::string receive_until(const std::string& beginning) {
    std::string message;
    do
      message = receive();
    while (!message.empty() && !message.starts_with(beginning));
    INFO("waited for " << beginning);
    REQUIRE_FALSE(message.empty());
    return message;
  }

private:
  std::string receive(int flags) {
    char buffer[4096];
    auto size = recv(socket_, buffer, sizeof(buffer), flags);
    return size < 0 ? "" : std::string{buffer, static_cast<std::size_t>(size)};
  }

  int socket_;
};

environment with(std::map<std::string, std::string> variables) {
  return [variables = std::move(variables)](const std::string& name) -> std::optional<std::string> {
    auto found = variables.find(name);
    return found == variables.end() ? std::nullopt : std::optional{found->second};
  };
}

} // namespace

TEST_CASE("without a service manager nothing is sent, and nothing is wrong", "[cli][service]") {
  service_manager none{with({})};
  none.ready();
  none.status("listening");
  none.alive({});
  none.stopping(1s);
  CHECK(none.problem().empty());
  CHECK_FALSE(none.is_there());
}

TEST_CASE("the service manager hears of each state, at a path as at an abstract socket", "[cli][service]") {
  temporary_folder folder;
  for (auto& name : {folder.path("notify"), "@modelforge-test-" + std::to_string(getpid())}) {
    notify_socket socket{name};
    service_manager manager{with({{"NOTIFY_SOCKET", name}})};
    manager.ready();
    CHECK(manager.is_there());
    CHECK(socket.peek() == "READY=1");
    manager.reloading();
    CHECK(socket.peek().starts_with("RELOADING=1\nMONOTONIC_USEC="));
    manager.stopping(2500ms);
    CHECK(socket.peek() == "STOPPING=1\nEXTEND_TIMEOUT_USEC=2500000");
    CHECK(manager.problem().empty());
  }
}

TEST_CASE("a status is sent when it changes, as one line", "[cli][service]") {
  temporary_folder folder;
  notify_socket socket{folder.path("notify")};
  service_manager manager{with({{"NOTIFY_SOCKET", folder.path("notify")}})};
  manager.status("1 link\nMAINPID=1");
  CHECK(socket.peek() == "STATUS=1 link MAINPID=1");
  manager.status("1 link\nMAINPID=1");
  CHECK(socket.peek().empty());
  manager.status("2 links");
  CHECK(socket.peek() == "STATUS=2 links");
}

TEST_CASE("signs of life are sent twice in the watchdog's time, and to its process alone", "[cli][service]") {
  temporary_folder folder;
  notify_socket socket{folder.path("notify")};
  auto now = service_manager::time_point{} + 1h;
  auto variables = std::map<std::string, std::string>{{"NOTIFY_SOCKET", folder.path("notify")},
                                                      {"WATCHDOG_USEC", "10000000"},
                                                      {"WATCHDOG_PID", std::to_string(getpid())}};
  service_manager manager{with(variables)};
  manager.alive(now);
  CHECK(socket.peek() == "WATCHDOG=1");
  manager.alive(now + 4999ms);
  CHECK(socket.peek().empty());
  manager.alive(now + 5s);
  CHECK(socket.peek() == "WATCHDOG=1");
  using text = std::string;
  for (auto& [name, value] : {std::pair<text, text>{"WATCHDOG_PID", "1"},
                              {"WATCHDOG_PID", ""},
                              {"WATCHDOG_USEC", "0"},
                              {"WATCHDOG_USEC", "10 s"}}) {
    auto changed = variables;
    changed[name] = value;
    service_manager other{with(changed)};
    other.alive(now);
    INFO(name << '=' << value);
    CHECK(socket.peek().empty());
  }
}

TEST_CASE("a service manager that cannot be told is named, once it can be all is well", "[cli][service]") {
  temporary_folder folder;
  for (auto& name : {std::string{"notify"}, "/" + std::string(200, 'x')}) {
    service_manager nowhere{with({{"NOTIFY_SOCKET", name}})};
    nowhere.ready();
    CHECK(contains(nowhere.problem(), "NOTIFY_SOCKET is neither a path nor an abstract socket: " + name));
  }
  service_manager manager{with({{"NOTIFY_SOCKET", folder.path("notify")}})};
  manager.ready();
  CHECK(contains(manager.problem(), std::strerror(ENOENT)));
  notify_socket socket{folder.path("notify")};
  manager.ready();
  CHECK(manager.problem().empty());
}

namespace {

struct service_test : cli_test {
  /// Starts a node as systemd does.
  std::unique_ptr<background_process> start_node(const std::string& more = {}) {
    write_settings(more);
    return std::make_unique<background_process>(std::vector<std::string>{
      "/usr/bin/env", "NOTIFY_SOCKET=" + folder.path("notify"), "WATCHDOG_USEC=600000", "/bin/sh", "-c",
      "WATCHDOG_PID=$$ exec \"$@\" 2>&1", "sh", program(), "node", "-c", folder.path("node.toml")});
  }

  void write_settings(const std::string& more) {
    folder.write("node.toml",
                 more
                   + "runtime.grace_period = 7\nruntime.state_folder = \"none\"\n[providers.sim]\nkind = "
                     "\"openai_compatible\"\nbase_url = \""
                   + server.url()
                   + "/v1\"\ndefault_model = \"m\"\nnodes = [\"owner\"]\n[node]\nname = \"owner\"\nlisten = "
                     "\"127.0.0.1:0\"\n");
  }

  simulator::server server{simulator::options{}};
  notify_socket manager{folder.path("notify")};
};

} // namespace

TEST_CASE_METHOD(service_test, "a node tells that it is ready, lives, reloads and ends", "[cli][node][service]") {
  auto node = start_node();
  CHECK(manager.receive().starts_with("STATUS=listening 127.0.0.1:"));
  CHECK(manager.receive() == "READY=1");
  CHECK(line_with(*node, "listening 127.0.0.1:").starts_with("listening ")); // the log's lines are beside it
  for (auto i = 0; i < 2; ++i)
    manager.receive_until("WATCHDOG=1");
  node->signal(SIGHUP);
  manager.receive_until("RELOADING=1\nMONOTONIC_USEC=");
  manager.receive_until("READY=1");
  write_settings("nonsense = 1\n");
  node->signal(SIGHUP);
  manager.receive_until("RELOADING=1");
  CHECK(contains(manager.receive_until("STATUS="), "the last settings were refused"));
  manager.receive_until("READY=1");
  manager.receive_until("WATCHDOG=1");
  CHECK(node->end(SIGTERM) == 0);
  CHECK(manager.receive_until("STOPPING=1") == "STOPPING=1\nEXTEND_TIMEOUT_USEC=22000000"); // 7 s and 15 s
  CHECK(manager.receive() == "STATUS=shutting down; waiting up to 7 s for what is running");
}

TEST_CASE_METHOD(service_test, "a node prints its status on SIGUSR1, and goes on", "[cli][node][service]") {
  auto node = start_node();
  manager.receive_until("READY=1");
  for (auto i = 0; i < 2; ++i) {
    node->signal(SIGUSR1);
    auto line = line_with(*node, "modelforge: status ");
    CHECK(contains(line, R"({"program":"modelforge","pid":)"));
    CHECK(contains(line, R"("name":"sim")"));
  }
  CHECK(node->end(SIGTERM) == 0);
}

TEST_CASE_METHOD(service_test, "a node that nobody listens to wakes for signals alone", "[cli][node][service]") {
  write_settings("");
  background_process node{{"/usr/bin/env", "-u", "NOTIFY_SOCKET", program(), "node", "-c", folder.path("node.toml")}};
  line_with(node, "listening 127.0.0.1:");
  auto before = node.waits();
  // What is measured is two seconds of doing nothing: a chat that waits for a silent server fills them.
  misbehaving_server silent{[](peer& x) { x.wait_for_close(); }};
  run({"chat", "-c", configure(silent.url("")), "--timeout", "2", "hello"});
  CHECK(node.waits() - before <= 4); // those of its start, which may not be over yet
  CHECK(node.end(SIGTERM) == 0);
}

TEST_CASE_METHOD(service_test, "a service manager that is gone keeps no node from its work", "[cli][node][service]") {
  folder.write("node.toml", "");
  write_settings("");
  background_process node{{"/usr/bin/env", "NOTIFY_SOCKET=" + folder.path("nobody"), "/bin/sh", "-c",
                           "exec \"$@\" 2>&1", "sh", program(), "node", "-c", folder.path("node.toml")}};
  CHECK(contains(line_with(node, "warning: the service"), "does not take messages at NOTIFY_SOCKET"));
  CHECK(node.end(SIGTERM) == 0);
}

} // namespace modelforge::service_test
