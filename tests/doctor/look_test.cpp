#include "tools/doctor/look.hpp"

#include "tests/support/temporary_folder.hpp"

#include <catch2/catch_test_macros.hpp>

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

namespace modelforge::doctor_look_test {

// What is seen of this machine, where the test has put it.

using namespace modelforge::doctor;
using namespace std::chrono_literals;

namespace {

/// A port that the system chose; with `listens`, somebody listens there: this process.
class own_port {
public:
  explicit own_port(bool listens) : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    REQUIRE(::bind(socket_, reinterpret_cast<sockaddr*>(&address), size) == 0);
    REQUIRE((!listens || ::listen(socket_, 1) == 0));
    ::getsockname(socket_, reinterpret_cast<sockaddr*>(&address), &size);
    number = ntohs(address.sin_port);
  }

  ~own_port() { ::close(socket_); }

  uint16_t number = 0;

private:
  int socket_;
};

} // namespace

TEST_CASE("a file's owner and mode are seen, and that it is locked, by whomever", "[doctor]") {
  test::temporary_folder folder;
  CHECK_FALSE(look_at(folder.path("none")).is_there);
  auto path = folder.write("file", "x");
  REQUIRE(::chmod(path.c_str(), 0640) == 0);
  auto seen = look_at(path);
  CHECK(seen.is_there);
  CHECK(seen.mode == 0640);
  CHECK(seen.owner == ::geteuid());

  CHECK_FALSE(is_locked(path));
  auto fd = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
  REQUIRE(::flock(fd, LOCK_EX) == 0);
  CHECK(is_locked(path));
  ::close(fd);
  CHECK_FALSE(is_locked(path));
}

TEST_CASE("free space is that of the folder, or of the one that it would be made in", "[doctor]") {
  test::temporary_folder folder;
  auto here = free_bytes_at(folder.path(""));
  REQUIRE(here);
  CHECK(*here > 0);
  CHECK(free_bytes_at(folder.path("a/b/c")));
  CHECK_FALSE(free_bytes_at("/proc"));
}

TEST_CASE("a port that somebody listens at is taken, and this process has it", "[doctor]") {
  own_port taken{true};
  auto port = std::to_string(taken.number);
  CHECK(listen_error("127.0.0.1", port) == EADDRINUSE);
  CHECK(holder_of(taken.number).name.find(", pid " + std::to_string(::getpid())) != std::string::npos);
  CHECK_FALSE(holder_of(taken.number).is_modelforge);
  CHECK(listen_error("127.0.0.1", "0") == 0);
  CHECK(listen_error("192.0.2.1", "0") == EADDRNOTAVAIL); // an address of no machine (RFC 5737)
}

TEST_CASE("a connection is tried, and why it fails is told", "[doctor]") {
  own_port open{true}, closed{false};
  CHECK(connect_problem("127.0.0.1", std::to_string(open.number), 5s).empty());
  CHECK(connect_problem("127.0.0.1", std::to_string(closed.number), 5s) == "Connection refused");
}

TEST_CASE("names are resolved, all at a time, and those that are none have a reason", "[doctor]") {
  std::vector<host_facts> hosts{{"a", "localhost"}, {"b", "not a name"}};
  resolve(hosts, 20s);
  CHECK(hosts[0].problem.empty());
  CHECK(hosts[0].addresses > 0);
  CHECK_FALSE(hosts[1].problem.empty());
  CHECK(hosts[1].addresses == 0);
}

TEST_CASE("the limit of open files is the one that programs raise theirs to", "[doctor]") {
  rlimit limit{};
  REQUIRE(getrlimit(RLIMIT_NOFILE, &limit) == 0);
  CHECK(descriptor_limit() == limit.rlim_max);
}

} // namespace modelforge::doctor_look_test
