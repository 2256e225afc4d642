#include "tests/http/misbehaving_server.hpp"
#include "tests/http/waiting.hpp"

#include <catch2/catch_test_macros.hpp>

#include <dirent.h>

#include <string>
#include <vector>

namespace modelforge::resolver_test {

/// Runs with slow_resolver.cpp preloaded.

using namespace modelforge::test;

namespace {

std::size_t thread_count() {
  std::size_t result = 0;
  auto* handle = opendir("/proc/self/task");
  while (auto* entry = readdir(handle))
    result += entry->d_name[0] != '.';
  closedir(handle);
  return result;
}

using clock = std::chrono::steady_clock;

} // namespace

TEST_CASE("a slow resolver delays neither cancel nor timeouts nor the end of the transport") {
  misbehaving_server server{[](peer& x) {
    while (x.read_request())
      x.answer("ok");
  }};
  auto begin = clock::now();
  {
    http::transport transport;
    auto request = post_to("http://api.slow.test:" + std::to_string(server.port()) + "/");
    request.connect_timeout = 300ms;
    auto got = fetch(transport, request);
    REQUIRE(got.end.error);
    CHECK(got.end.error->code == errc::connect_failed);
    CHECK(got.end.error->phase == http::phase::resolve);
    CHECK(got.end.times.total < 2s);

    request.connect_timeout = 0s;
    std::vector<std::shared_ptr<recorder>> all;
    std::vector<http::transfer_id> ids;
    for (auto i = 0; i < 3; ++i)
      ids.push_back(transport.open(request, all.emplace_back(std::make_shared<recorder>())));
    REQUIRE(eventually([&] { return transport.stats().waiting == 2; }));
    for (auto i : {1u, 0u}) { // one that waits, then the one that resolves
      transport.cancel(ids[i]);
      CHECK(all[i]->end().error->code == errc::cancelled);
    }
    CHECK(fetch(transport, post_to(server.url())).body == "ok"); // others go on meanwhile
  }
  CHECK(clock::now() - begin < 4s);
}

TEST_CASE("many requests to one unresolved host make no crowd of threads") {
  misbehaving_server server{[](peer& x) {
                              x.read_request();
                              x.answer("ok", "Connection: close\r\n"); // else the next request may come along it
                            },
                            {.one_thread = true}};
  http::transport transport;
  auto before = thread_count();
  std::vector<std::shared_ptr<recorder>> all;
  for (auto i = 0; i < 200; ++i)
    transport.open(post_to("http://many.slow.test:" + std::to_string(server.port()) + "/"),
                   all.emplace_back(std::make_shared<recorder>()));
  REQUIRE(eventually([&] { return transport.stats().waiting == 199; }));
  auto most = thread_count();
  for (auto& x : all) {
    REQUIRE_FALSE(x->end().error);
    most = std::max(most, thread_count());
  }
  CHECK(most <= before + 1);
  CHECK(transport.stats().waiting == 0);
}

} // namespace modelforge::resolver_test
