#include "telemetry/process_figures.hpp"

#include <catch2/catch_test_macros.hpp>

#include <fcntl.h>
#include <unistd.h>

namespace modelforge::process_figures_test {

using namespace telemetry;

TEST_CASE("the texts of /proc are read, whatever the program is called", "[telemetry]") {
  CHECK(start_ticks_in("4711 (modelforge) S 1 4711 4711 0 -1 4194560 1 0 0 0 10 5 0 0 20 0 9 0 81234 1 1\n") == 81'234);
  CHECK(start_ticks_in("4711 (a) b (c) 1 2) S 1 4711 4711 0 -1 4194560 1 0 0 0 10 5 0 0 20 0 9 0 81234 1 1\n")
        == 81'234);
  CHECK(boot_time_in("cpu  1 2 3\nintr 5 6\nctxt 7\nbtime 1764550000\nprocesses 9\n") == 1'764'550'000);
  CHECK(resident_pages_in("1000 250 100 5 0 300 0\n") == 250);
}

TEST_CASE("what /proc does not have, or has otherwise, is not known", "[telemetry]") {
  for (auto* text : {"", "x", "4711 (modelforge", "4711 (modelforge) S 1", "\n \n"}) {
    CHECK_FALSE(start_ticks_in(text));
    CHECK_FALSE(boot_time_in(text));
    CHECK_FALSE(resident_pages_in(text));
  }
  CHECK_FALSE(resident_pages_in("1000 -250"));
  CHECK_FALSE(resident_pages_in("1000 99999999999999999999999"));
  auto nowhere = read_process("/no/such/folder");
  CHECK_FALSE(nowhere.resident_bytes);
  CHECK_FALSE(nowhere.open_fds);
}

TEST_CASE("a process's figures are its own", "[telemetry]") {
  auto before = read_process();
  auto fd = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  REQUIRE(fd >= 0);
  auto after = read_process();
  ::close(fd);
  REQUIRE(before.open_fds);
  CHECK(after.open_fds == *before.open_fds + 1);
  CHECK(before.resident_bytes > uint64_t{1} << 20);
  CHECK(after.cpu_seconds >= before.cpu_seconds);
  auto age = std::chrono::system_clock::now() - process_start();
  CHECK(age >= -std::chrono::seconds{2}); // the kernel's ticks are coarse
  CHECK(age < std::chrono::hours{1});
}

} // namespace modelforge::process_figures_test
