#include "trace/outbox.hpp"
#include "trace/span_json.hpp"

#include <catch2/catch_test_macros.hpp>

#include <random>
#include <string>

namespace modelforge::outbox_test {

namespace {

using namespace trace;
using namespace std::chrono_literals;
using result = delivery::result;

const outbox::time_point start{1h};

/// A request without attempts: one span.
log::timed_record request(uint64_t number = 1, std::size_t attempts = 0) {
  log::timed_record x;
  x.what.id = {0, number};
  x.what.trace.emplace();
  for (std::size_t i = 1; i <= attempts; ++i)
    x.what.attempts.emplace_back().number = static_cast<uint32_t>(i);
  return x;
}

void fill(outbox& box, std::size_t count, outbox::time_point now = start) {
  for (std::size_t i = 0; i < count; ++i)
    box.add(request(i), now);
}

const delivery taken{};
const delivery unavailable{.what = result::again, .reason = "HTTP 503"};
const delivery refused{.what = result::refused, .reason = "HTTP 404"};

} // namespace

TEST_CASE("outbox: what has ended is sent with what ends within five seconds, in order", "[trace]") {
  outbox box{1};
  CHECK_FALSE(box.wake_at());
  CHECK(box.add(request(1), start));
  CHECK_FALSE(box.add(request(2), start + 3s));
  CHECK(box.wake_at() == start + 5s);
  CHECK_FALSE(box.next(start + 4999ms));
  auto step = box.next(start + 5s);
  REQUIRE(step);
  REQUIRE(step->batch.size() == 2);
  CHECK(step->batch[0].what.id == request_id{0, 1});
  CHECK(step->batch[1].what.id == request_id{0, 2});
  CHECK_FALSE(box.is_done()); // it is with the collector
  CHECK_FALSE(box.wake_at());
  CHECK_FALSE(box.next(start + 1h));
  box.on_delivery(taken, start + 6s);
  CHECK(box.is_done());
  CHECK(box.counts() == span_counts{.exported = 2});
}

TEST_CASE("outbox: a full batch goes at once, one after the other", "[trace]") {
  outbox box{1};
  fill(box, outbox::max_batch - 1);
  CHECK_FALSE(box.next(start));
  CHECK(box.add(request(), start)); // its owner is to look
  fill(box, outbox::max_batch + 10);
  auto step = box.next(start);
  REQUIRE(step);
  CHECK(step->batch.size() == outbox::max_batch);
  CHECK_FALSE(box.next(start)); // one at a time
  box.on_delivery(taken, start + 1s);
  REQUIRE(box.next(start + 1s));
  box.on_delivery(taken, start + 2s);
  CHECK_FALSE(box.next(start + 2s)); // ten are no full batch
  CHECK(box.wake_at() == start + 6s);
  CHECK(box.next(start + 6s)->batch.size() == 10);
}

TEST_CASE("outbox: what is not taken is sent again, ever later, and then given up", "[trace]") {
  outbox box{1};
  box.add(request(1, 2), start);
  auto now = start + 5s;
  REQUIRE(box.next(now)->batch.size() == 1);
  for (uint32_t attempt = 1; attempt < outbox::max_attempts; ++attempt) {
    box.on_delivery(unavailable, now);
    CHECK_FALSE(box.collect_news());
    auto due = box.wake_at();
    REQUIRE(due);
    auto longest = 1s * (1 << (attempt - 1));
    CHECK(*due - now >= longest / 2);
    CHECK(*due - now <= longest);
    CHECK_FALSE(box.next(*due - 1ns));
    now = *due;
    auto step = box.next(now);
    REQUIRE(step);
    CHECK(step->batch.empty()); // the same once more
  }
  box.on_delivery(unavailable, now);
  CHECK(box.counts() == span_counts{.failed = 3});
  CHECK(box.is_done());
  auto news = box.collect_news();
  REQUIRE(news);
  CHECK_FALSE(news->works);
  CHECK(news->reason == "HTTP 503");
}

TEST_CASE("outbox: a wait that the collector names is kept, up to five minutes", "[trace]") {
  outbox box{1};
  box.add(request(), start);
  box.next(start + 5s);
  box.on_delivery({.what = result::again, .wait = 30s}, start + 5s);
  CHECK(box.wake_at() == start + 35s);
  box.next(start + 35s);
  box.on_delivery({.what = result::again, .wait = 24h}, start + 35s);
  CHECK(box.wake_at() == start + 35s + 5min);
}

TEST_CASE("outbox: what is refused is given up at once, and what follows is tried", "[trace]") {
  outbox box{1};
  fill(box, outbox::max_batch + 1);
  box.next(start);
  box.on_delivery(refused, start);
  CHECK(box.counts() == span_counts{.failed = outbox::max_batch});
  REQUIRE(box.next(start + 5s));
  box.on_delivery({.what = result::taken, .rejected = 7}, start + 5s);
  CHECK(box.counts() == span_counts{.failed = outbox::max_batch + 1}); // no more than there were
}

TEST_CASE("outbox: it tells when spans are no longer taken, and when they are again, each once", "[trace]") {
  outbox box{1};
  auto now = start;
  auto deliver = [&](const delivery& how) -> std::string {
    box.add(request(), now);
    now += 5s;
    REQUIRE(box.next(now));
    box.on_delivery(how, now);
    auto news = box.collect_news();
    return !news ? "" : news->works ? "works" : news->reason;
  };
  CHECK(deliver(taken) == "");
  CHECK(deliver(refused) == "HTTP 404");
  CHECK(deliver(refused) == "");
  CHECK(deliver(taken) == "works");
  CHECK(deliver(taken) == "");
  CHECK(deliver({.what = result::taken, .rejected = 1, .reason = "too old"}) == "too old");
  CHECK(deliver(taken) == "works");
}

TEST_CASE("outbox: what finds no room is dropped, the newest, and counted by its spans", "[trace]") {
  outbox box{1};
  fill(box, outbox::max_waiting);
  CHECK_FALSE(box.add(request(1, 2), start));
  CHECK(box.counts() == span_counts{.dropped = 3});
  box.next(start); // room for a batch
  box.add(request(1, 2), start);
  CHECK(box.counts() == span_counts{.dropped = 3});

  outbox small{1};
  auto large = request();
  large.what.tenant.assign(outbox::max_waiting_bytes / 2 - 4096, 'x');
  small.add(large, start);
  small.add(large, start);
  small.add(large, start);
  CHECK(small.counts() == span_counts{.dropped = 1});
  REQUIRE(small.next(start + 5s)->batch.size() == 2);
  small.add(large, start); // the bytes are free again
  CHECK(small.counts() == span_counts{.dropped = 1});
}

TEST_CASE("outbox: at the end all is sent at once, and tried once", "[trace]") {
  outbox box{1};
  fill(box, outbox::max_batch + 1);
  box.next(start);
  box.on_delivery(unavailable, start);
  CHECK(*box.wake_at() > start);
  box.finish();
  CHECK(box.wake_at() == outbox::time_point{});
  REQUIRE(box.next(start)); // what was to be sent again
  box.on_delivery(unavailable, start);
  CHECK(box.counts().failed == outbox::max_batch);
  auto step = box.next(start);
  REQUIRE(step);
  CHECK(step->batch.size() == 1);
  CHECK_FALSE(box.is_done());
  box.on_delivery(taken, start);
  CHECK(box.is_done());
  CHECK(box.counts() == span_counts{.exported = 1, .failed = outbox::max_batch});
}

TEST_CASE("outbox: what there is no time for is counted as lost", "[trace]") {
  outbox box{1};
  fill(box, outbox::max_batch + 10);
  box.next(start);
  box.abandon();
  CHECK(box.is_done());
  CHECK(box.counts() == span_counts{.failed = outbox::max_batch, .dropped = 10});
  box.on_delivery(taken, start); // too late
  CHECK(box.counts() == span_counts{.failed = outbox::max_batch, .dropped = 10});
}

TEST_CASE("outbox: whatever happens, each span is counted once", "[trace]") {
  std::mt19937_64 random{4711};
  for (int round = 0; round < 200; ++round) {
    outbox box{random()};
    auto now = start;
    uint64_t added = 0;
    bool is_with_collector = false;
    auto turn = [&] {
      if (auto step = box.next(now)) {
        REQUIRE_FALSE(is_with_collector);
        is_with_collector = true;
      } else if (is_with_collector && random() % 2 == 0) {
        constexpr result all[] = {result::taken, result::again, result::refused};
        box.on_delivery({.what = all[random() % 3], .rejected = random() % 3, .wait = 1ms * (random() % 5000)}, now);
        is_with_collector = false;
      }
    };
    for (int i = 0; i < 2'000; ++i) {
      now += 1ms * (random() % 2'000);
      for (auto burst = random() % 5; burst > 0; --burst) {
        auto x = request(1, random() % 3);
        added += count_spans(x.what);
        box.add(std::move(x), now);
      }
      turn();
    }
    box.finish();
    for (int i = 0; i < 10'000 && !box.is_done(); ++i)
      turn();
    REQUIRE(box.is_done());
    auto counts = box.counts();
    CHECK(counts.exported + counts.failed + counts.dropped == added);
  }
}

} // namespace modelforge::outbox_test
