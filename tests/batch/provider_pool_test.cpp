#include "batch/provider_pool.hpp"

#include <catch2/catch_test_macros.hpp>

namespace modelforge::provider_pool_test {

using namespace std::chrono_literals;
using batch::provider_pool;

namespace {

const batch::time_point start{100h};

provider_status status(std::string name, uint32_t slots = 4, uint64_t waiting = 0) {
  provider_status x;
  x.name = std::move(name);
  x.waiting = waiting;
  x.lanes.emplace_back().slots = slots;
  return x;
}

/// Two providers that have said how they are.
provider_pool two(batch::job_limits limits = {}) {
  provider_pool x{{{}, {}}, limits};
  CHECK(x.start_asking(start));
  x.on_status(0, status("one"));
  x.on_status(1, status("two"));
  return x;
}

} // namespace

TEST_CASE("providers are asked once a second, and not again before all have answered", "[batch][pool]") {
  provider_pool x{{{}, {}}, {}};
  CHECK(x.start_asking(start));
  CHECK_FALSE(x.start_asking(start + 2s));
  x.on_status(0, status("one", 3));
  CHECK_FALSE(x.all_answered());
  x.on_no_status();
  CHECK(x.all_answered());
  CHECK(x.slots() == 4); // one that says nothing has a slot
  CHECK(x.find("one") == 0);
  CHECK_FALSE(x.find("two"));
  CHECK_FALSE(x.start_asking(start + 999ms));
  CHECK(x.start_asking(start + 1s));
}

TEST_CASE("a provider that failed in a way that lasts gets nothing new for a while", "[batch][pool]") {
  auto x = two();
  std::vector<bool> untried(2);
  x.on_failure(0, errc::authentication, start);
  CHECK(x.choose(untried, start) == 1);
  CHECK(x.choose(untried, start + 29s) == 1);
  CHECK(x.choose(untried, start + 30s) == 0);
  x.on_failure(1, errc::server_error, start); // passes by itself
  x.on_sent(0);
  CHECK(x.choose(untried, start + 30s) == 1);
  x.on_failure(0, errc::overloaded, start + 40s);
  x.on_failure(1, errc::overloaded, start + 40s);
  CHECK(x.choose(untried, start + 41s) == 1); // better one of these than none
  CHECK(x.choose({false, true}, start + 41s) == 0);
  CHECK_FALSE(x.choose({true, true}, start + 41s));
}

TEST_CASE("what may have been carried out is no reason to try another provider", "[batch][pool]") {
  CHECK(batch::is_provider_failure(errc::rate_limited));
  CHECK(batch::is_provider_failure(errc::connect_failed));
  CHECK_FALSE(batch::is_provider_failure(errc::attempt_timeout));
  CHECK_FALSE(batch::is_provider_failure(errc::outcome_unknown));
  CHECK_FALSE(batch::is_provider_failure(errc::invalid_request));
}

TEST_CASE("what only waits to be repeated widens the window, as far as it is ours", "[batch][pool]") {
  provider_pool x{{{}}, {}};
  x.start_asking(start);
  x.on_status(0, status("one", 4, 10));
  CHECK(x.waiting() == 0);
  x.on_sent(0);
  x.on_sent(0);
  CHECK(x.waiting() == 2);
  x.on_returned(0);
  CHECK(x.waiting() == 1);
}

TEST_CASE("a full queue of jobs is left alone, longer each time, until one is done", "[batch][pool]") {
  auto x = two({30s, 10});
  x.on_job_begun(0);
  x.on_job_begun(0);
  CHECK(x.on_job_busy(0, 100, start));
  CHECK(x.max_job_items(0) == SIZE_MAX); // the other job may fill it
  CHECK(x.next_offer(start) == start + 30s);
  CHECK_FALSE(x.may_begin_job(0, start + 29s));
  CHECK(x.choose_for_job(start) == 1);
  CHECK(x.on_job_busy(0, 100, start + 30s));
  CHECK(x.next_offer(start + 30s) == start + 90s);
  for (auto i = 0; i < 10; ++i)
    x.on_job_busy(0, 100, start);
  CHECK(x.next_offer(start) == start + 10min);
  x.on_job_done(0);
  CHECK_FALSE(x.next_offer(start));
  CHECK(x.may_begin_job(0, start));
}

TEST_CASE("a job that does not fit in an empty queue is halved, down to one item", "[batch][pool]") {
  auto x = two();
  x.on_job_begun(0);
  CHECK(x.on_job_busy(0, 8, start));
  CHECK(x.max_job_items(0) == 4);
  CHECK_FALSE(x.may_begin_job(0, start + 1h)); // one at a time from now on
  x.on_job_gone(0);
  CHECK(x.may_begin_job(0, start + 1h));
  x.on_job_begun(0);
  CHECK_FALSE(x.on_job_busy(0, 1, start + 1h));
}

TEST_CASE("jobs are bounded over all providers, and go to those that take them", "[batch][pool]") {
  auto x = two({30s, 2});
  x.on_job_begun(0);
  x.on_job_begun(1);
  CHECK_FALSE(x.may_begin_job(0, start));
  x.on_job_gone(1);
  CHECK(x.may_begin_job(0, start));
  x.refuse_jobs(0);
  CHECK(x.choose_for_job(start) == 1);
  CHECK(x.any_takes_jobs());
  x.refuse_jobs(1);
  CHECK_FALSE(x.choose_for_job(start));
  CHECK_FALSE(x.any_takes_jobs());
  CHECK(x.may_begin_any(start)); // live
}

} // namespace modelforge::provider_pool_test
