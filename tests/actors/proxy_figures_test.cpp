#include "tests/actors/proxy_fixture.hpp"

#include <catch2/catch_test_macros.hpp>

#include <chrono>
#include <limits>

namespace modelforge::provider_proxy_test {

TEST_CASE_METHOD(proxy_test, "figures that an owner tells are believed as far as they can be", "[node][told]") {
  begin();
  owner_script far;
  connect(far);
  auto good = chat();
  completion told;
  told.usage = token_usage{UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX};
  told.cost = std::numeric_limits<double>::quiet_NaN();
  told.timings = {std::chrono::nanoseconds::min(), std::chrono::nanoseconds::max(), -1ns};
  told.attempts.resize(1000);
  told.attempts.back().duration = std::chrono::nanoseconds::min();
  reply_with(far, far.chats.at(0).reply, told);
  REQUIRE(good->value);
  CHECK_FALSE(good->value->usage);
  CHECK_FALSE(good->value->cost);
  CHECK(good->value->timings == timings{0ns, 24h * 366, 0ns});
  CHECK(good->value->attempts.size() == 100);
  CHECK(good->value->attempts.back().duration == 0ns);
  CHECK(good->value->warnings.size() == 2);
  auto bad = chat();
  auto why = make_failure(errc::rate_limited, "no");
  why.retry_after = std::chrono::nanoseconds::max();
  why.attempts.resize(1000);
  reply_with(far, far.chats.at(1).reply, caf::make_error(why.code, why));
  REQUIRE(bad->error);
  CHECK(bad->error->retry_after == 24h * 366);
  CHECK(bad->error->attempts.size() == 100);
  far.status.predicted_wait = std::chrono::nanoseconds::min();
  far.status.lanes.resize(1);
  far.status.lanes[0].slots = UINT32_MAX;
  auto status = ask<provider_status>(proxy.actor, status_atom_v);
  REQUIRE(status->value);
  CHECK(status->value->predicted_wait == 0ns);
  CHECK(status->value->lanes[0].slots == 100'000);
}

TEST_CASE_METHOD(proxy_test, "vectors that an owner gives too many, too few or empty are no answer", "[node][told]") {
  node.max_message_bytes = 4096; // so that more than a few texts are split
  begin();
  owner_script far;
  connect(far);
  embedding_request asked;
  asked.dimensions = 4;
  for (auto inputs : {1u, 500u}) {
    asked.inputs.assign(inputs, "text");
    for (auto more : {-1, 1, 5000}) {
      INFO(inputs << " inputs, " << more << " vectors more");
      far.embed = [more](const embedding_request& x) {
        embedding y;
        y.vectors.assign(static_cast<std::size_t>(static_cast<int>(x.inputs.size()) + more), {1, 2, 3, 4});
        return y;
      };
      auto wrong = ask<embedding>(proxy.actor, asked);
      REQUIRE(wrong->error);
      CHECK(wrong->error->code == errc::invalid_response);
    }
    far.embed = [](const embedding_request& x) {
      embedding y;
      y.vectors.assign(x.inputs.size(), {});
      return y;
    };
    CHECK(ask<embedding>(proxy.actor, asked)->error);
    far.embed = [](const embedding_request& x) {
      embedding y;
      y.vectors.assign(x.inputs.size(), {1, 2, 3, 4});
      return y;
    };
    auto good = ask<embedding>(proxy.actor, asked);
    REQUIRE(good->value);
    CHECK(good->value->vectors.size() == inputs);
  }
}

TEST_CASE_METHOD(chain_test, "figures that a guest tells harm nobody", "[node][told]") {
  settings.default_embedding_model = "e";
  begin();
  auto guest =
    hold(spawn_provider_guest(system(), owner, "near", caf::actor_cast<caf::strong_actor_ptr>(peer), 1u << 20));
  for (auto time : {std::chrono::nanoseconds::min(), -1ns, 0ns, 1ns, std::chrono::nanoseconds::max()})
    for (auto count : {0u, 1u, UINT32_MAX}) {
      INFO(time.count() << " ns, " << count);
      auto x = question(1);
      x.deadline = time;
      x.cache_ttl = time;
      x.earlier.spent = count;
      x.earlier.age = time;
      x.earlier.records.resize(1000);
      x.sampling.max_tokens = x.sampling.top_k = x.sampling.reasoning_budget = count;
      x.sampling.temperature = std::numeric_limits<double>::quiet_NaN();
      auto chat = ask<completion>(guest, x);
      CHECK(chat->error); // NaN is no temperature
      x.sampling = {};
      auto again = ask<completion>(guest, x);
      embedding_request vectors;
      vectors.inputs.assign(5000, "text"); // is split
      vectors.deadline = time;
      vectors.dimensions = count;
      vectors.earlier = x.earlier;
      auto embedded = ask<embedding>(guest, vectors);
      stream_request stream;
      stream.chat = x;
      stream.chat.id = {1, 2};
      stream.as.from = 0;
      stream.as.demand = count;
      stream.drain_time = stream.reader_idle = time;
      stream.log_limit = count == UINT32_MAX ? UINT64_MAX : count;
      auto to = hold(system().spawn(subscriber));
      auto opened = ask<stream_session_actor>(guest, stream, to);
      if (opened->value) {
        auto asker = opened->value;
        tell(*asker, grant_atom_v, count);
        CHECK_FALSE(ask_void(*asker, subscribe_atom_v, hold(system().spawn(subscriber)),
                             subscription{slow_policy::wait, UINT64_MAX, count})
                      ->value);
      }
      while (http->pending() > 0) {
        http->answer(0, 400, R"({"error":{"message":"no","type":"invalid_request_error"}})");
        run();
      }
      advance(1s);
      CHECK_FALSE(again->pending());
      CHECK_FALSE(embedded->pending());
      tell(guest, request_id{1, 1}, attempts_made{count, time, {}, true});
      auto late = question(3);
      auto answer = ask<completion>(guest, late);
      REQUIRE(http->pending() == 1);
      http->say(0, "fine");
      run();
      CHECK(answer->value);
    }
}

} // namespace modelforge::provider_proxy_test
