#include "node/told_answers.hpp"

#include "node/spent_attempts.hpp"

#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <cmath>
#include <limits>

namespace modelforge::told_answers_test {

using namespace std::chrono_literals;
using std::chrono::nanoseconds;

namespace {

struct told_time {
  nanoseconds is, becomes;
};

const told_time times[] = {
  {0ns, 0ns},
  {1s, 1s},
  {-1ns, 0ns},
  {nanoseconds::min(), 0ns},
  {nanoseconds::max(), node::max_told_time},
  {node::max_told_time, node::max_told_time},
};

const double nan = std::numeric_limits<double>::quiet_NaN();
const double infinite = std::numeric_limits<double>::infinity();

attempt_record record(nanoseconds x) {
  attempt_record result;
  result.waited = result.started = result.duration = x;
  return result;
}

} // namespace

TEST_CASE("tokens and costs that a node tells are believed as far as they can be", "[node][told]") {
  struct {
    token_usage is;
    std::optional<token_usage> becomes;
  } const usages[] = {
    {{}, token_usage{}},
    {{5, 3, 2, 1, 1}, token_usage{5, 3, 2, 1, 1}},
    {{max_input_tokens, max_output_tokens}, token_usage{max_input_tokens, max_output_tokens}},
    {{max_input_tokens + 1, 0}, {}},
    {{0, max_output_tokens + 1}, {}},
    {{UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX}, {}},
    {{5, 3, UINT64_MAX, UINT64_MAX, UINT64_MAX}, token_usage{5, 3, 5, 5, 3}},
  };
  for (auto& [is, becomes] : usages) {
    completion x;
    x.usage = is;
    node::bound(x);
    CHECK(x.usage == becomes);
    CHECK(x.warnings.size() == !becomes.has_value());
    embedding y;
    y.usage = is;
    node::bound(y);
    CHECK(y.usage == becomes);
  }
  for (auto cost : {nan, infinite, -infinite, -1.0, 1e300, std::numeric_limits<double>::max()}) {
    completion x;
    x.cost = cost;
    node::bound(x);
    CHECK_FALSE(x.cost);
    CHECK(x.warnings.size() == 1);
  }
  for (auto cost : {0.0, 1e-9, 12.5}) {
    completion x;
    x.cost = cost;
    node::bound(x);
    CHECK(x.cost == cost);
  }
  completion none;
  node::bound(none);
  CHECK(none == completion{});
}

TEST_CASE("times that a node tells are none below zero, and none beyond a year", "[node][told]") {
  for (auto& [is, becomes] : times) {
    completion x;
    x.timings = {is, is, is};
    x.attempts = {record(is)};
    node::bound(x);
    CHECK(x.timings == timings{becomes, becomes, becomes});
    CHECK(x.attempts == std::vector{record(becomes)});
    failure why;
    why.retry_after = is;
    why.attempts = {record(is)};
    node::bound(why);
    CHECK(why.retry_after == becomes);
    CHECK(why.attempts == std::vector{record(becomes)});
    provider_status status;
    status.next_retry = status.predicted_wait = is;
    status.lanes.resize(1);
    status.lanes[0].paused_for = is;
    node::bound(status);
    CHECK(status.next_retry == becomes);
    CHECK(status.predicted_wait == becomes);
    CHECK(status.lanes[0].paused_for == becomes);
    stream_done done;
    done.first_token = done.result.timings.total = is;
    node::bound(done);
    CHECK(done.first_token == becomes);
    CHECK(done.result.timings.total == becomes);
  }
}

TEST_CASE("counts that a node tells are cut", "[node][told]") {
  completion x;
  x.attempts.resize(100'000);
  x.attempts.back().number = 100'000;
  node::bound(x);
  CHECK(x.attempts.size() == node::max_told_records);
  CHECK(x.attempts.back().number == 100'000);
  provider_status status;
  status.max_concurrent = UINT32_MAX;
  status.lanes.resize(2);
  status.lanes[1].slots = UINT32_MAX;
  node::bound(status);
  CHECK(status.max_concurrent == node::max_told_slots);
  CHECK(status.lanes[0].slots == 0);
  CHECK(status.lanes[1].slots == node::max_told_slots);
  for (auto tokens : {uint64_t{0}, uint64_t{7}, max_output_tokens, UINT64_MAX}) {
    stream_chunk chunk;
    chunk.tokens = tokens;
    node::bound(chunk);
    CHECK(chunk.tokens == std::min(tokens, max_output_tokens));
    stream_failed failed;
    failed.tokens = tokens;
    node::bound(failed);
    CHECK(failed.tokens == std::min(tokens, max_output_tokens));
  }
}

TEST_CASE("vectors of a node are as many as the inputs, and of one length", "[node][told]") {
  embedding x;
  CHECK(node::wrong_vectors(x, 1));
  x.vectors = {{1, 2}, {3, 4}};
  CHECK_FALSE(node::wrong_vectors(x, 2));
  CHECK(node::wrong_vectors(x, 1)->message == "the provider's node gave 2 vectors for 1 inputs");
  CHECK(node::wrong_vectors(x, 3)->code == errc::invalid_response);
  x.vectors[1].pop_back();
  CHECK(node::wrong_vectors(x, 2));
  x.vectors = {{}, {}};
  CHECK(node::wrong_vectors(x, 2));
}

} // namespace modelforge::told_answers_test
