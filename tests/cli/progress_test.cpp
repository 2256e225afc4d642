#include "tools/cli/progress.hpp"

#include <catch2/catch_test_macros.hpp>

namespace modelforge::progress_test {

using namespace std::chrono_literals;
using cli::wait_text;

namespace {

/// A provider with batch items queued and nothing in its way.
provider_status busy() {
  provider_status x;
  x.queued = x.queued_batch = 40;
  x.in_flight = 2;
  x.lanes.resize(1);
  x.lanes[0].breaker = "closed";
  x.lanes[0].slots = 16;
  return x;
}

} // namespace

TEST_CASE("a batch that waits for slots or nothing says nothing", "[cli][progress]") {
  CHECK(wait_text({}).empty());
  auto x = busy();
  CHECK(wait_text(x).empty());
  x.predicted_wait = 499ms; // over before it is read
  CHECK(wait_text(x).empty());
  x.predicted_wait = 12s;
  x.in_flight = 16;
  CHECK(wait_text(x).empty());
  x = busy();
  x.queued = x.queued_batch = 0;
  x.lanes[0].breaker = "open"; // nothing waits for it
  CHECK(wait_text(x).empty());
}

TEST_CASE("a batch says what it waits for, and how long", "[cli][progress]") {
  auto limited = busy();
  limited.predicted_wait = 11'200ms;
  CHECK(wait_text(limited) == "waiting 12 s for the rate limit");
  auto paused = limited;
  paused.lanes.push_back(paused.lanes[0]);
  paused.lanes[0].paused_for = 5s;
  CHECK(wait_text(paused) == "waiting 12 s for the rate limit"); // the other key may go
  paused.lanes[1].paused_for = 2'100ms;
  CHECK(wait_text(paused) == "paused by the provider for 3 s");
  auto down = busy();
  down.lanes[0].breaker = "open";
  CHECK(wait_text(down) == "provider down");
  down.next_retry = 3'500ms;
  CHECK(wait_text(down) == "provider down, next try in 4 s");
  down.lanes[0].breaker = "half_open";
  CHECK(wait_text(down) == "provider down, trying it now");
  down.problem = "could not connect to acme.test (connection refused)";
  CHECK(wait_text(down) == "provider down, trying it now: could not connect to acme.test (connection refused)");
  down.lanes[0].breaker = "open";
  CHECK(wait_text(down) == "provider down, next try in 4 s: could not connect to acme.test (connection refused)");
  down.problem = std::string(1000, 'x');
  CHECK(wait_text(down).size() < 200);
  down.problem.clear();
  down.lanes[0].breaker = "half_open";
  auto out = busy();
  out.lanes[0].out = true;
  CHECK(wait_text(out) == "the provider refuses the key");
  out.lanes.push_back(busy().lanes[0]); // another key, which is fine
  CHECK(wait_text(out).empty());
  auto retrying = busy();
  retrying.queued = retrying.queued_batch = retrying.in_flight = 0;
  retrying.waiting = 3;
  retrying.next_retry = 1'500ms;
  CHECK(wait_text(retrying) == "next retry in 2 s");
}

TEST_CASE("what a batch waits for ends the line, and never makes it too long", "[cli][progress]") {
  batch_progress x;
  x.answered = 10;
  x.in_flight = 2;
  x.elapsed = 10s;
  auto text = cli::progress_text(x, 20, "paused by the provider for 3 s");
  CHECK(text == "answered 10/20, failed 0, in flight 2, 1.0/s, 0:10 left, paused by the provider for 3 s");
  for (std::size_t width = 100; width > 0; --width) {
    auto bar = cli::progress_bar(x, 20, width, "paused by the provider for 3 s");
    CHECK(bar.size() <= width);
    CHECK(bar.ends_with(std::string{"paused by the provider for 3 s"}.substr(0, width)));
  }
  CHECK(cli::progress_bar(x, 20, 40, "paused by the provider for 3 s") == "10/20, paused by the provider for 3 s");
  CHECK(
    cli::progress_text(x, 20, "provider down, next try in 4 s: refused")
    == "answered 10/20, failed 0, in flight 2, 1.0/s, provider down, next try in 4 s: refused"); // who knows how long
  CHECK(cli::progress_text(x, 20) == "answered 10/20, failed 0, in flight 2, 1.0/s, 0:10 left");
  x.flawed = {1, 1, 0, 0};
  CHECK(cli::progress_text(x, 20) == "answered 10/20 (2 flawed), failed 0, in flight 2, 1.0/s, 0:10 left");
  x.flawed = {};
}

TEST_CASE("a log gets ever fewer lines while nothing comes, and as many as before when it does", "[cli][progress]") {
  std::chrono::nanoseconds pause = 2s, passed{0};
  int lines = 0;
  for (; passed < 5min; passed += pause, ++lines)
    pause = cli::next_line_pause(pause, false);
  CHECK(lines < 12);
  CHECK(pause < 2min);
  CHECK(cli::next_line_pause(pause, true) == 2s);
}

TEST_CASE("a batch's rate and time left are those of this run", "[cli][progress]") {
  batch_progress x;
  CHECK(x.rate() == 0);
  CHECK_FALSE(x.time_left(20));
  x.elapsed = 4s;
  x.resumed = 100;
  x.answered = 108;
  x.failed = 2;
  CHECK(x.rate() == 2.5);
  CHECK_FALSE(x.time_left());
  CHECK(x.time_left(120) == 4s);
  x.total = 115;
  CHECK(x.time_left(120) == 2s);
  x.in_jobs = 1; // their end is the provider's to choose
  CHECK_FALSE(x.time_left());
}

} // namespace modelforge::progress_test
