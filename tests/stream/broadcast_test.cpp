#include "stream/broadcast.hpp"

#include <catch2/catch_test_macros.hpp>

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

using namespace modelforge;
using namespace std::chrono_literals;
using stream::broadcast;
using stream::broadcast_settings;
using stream::time_point;

namespace {

/// A broadcast with its clock, and what it has told.
struct bench {
  explicit bench(const broadcast_settings& x) : tested{x} {}

  broadcast tested;
  time_point now{1h};
  std::map<uint32_t, std::vector<stream_chunk>> chunks;
  std::map<uint32_t, std::vector<broadcast::conclude>> ends;
  std::vector<failure> given_up;
  std::vector<time_point> given_up_at;
  std::vector<time_point> abandoned_at;
  std::size_t credit = 0; ///< That was given.
  uint64_t wakes = 0;

  void pump() {
    for (int i = 0; auto x = tested.next(now); ++i) {
      REQUIRE(i < 100'000);
      if (auto* chunk = std::get_if<broadcast::deliver>(&*x))
        chunks[chunk->to].push_back(chunk->chunk);
      else if (auto* end = std::get_if<broadcast::conclude>(&*x))
        ends[end->to].push_back(*end);
      else if (auto* more = std::get_if<broadcast::credit>(&*x))
        credit += more->bytes;
      else if (auto* late = std::get_if<broadcast::give_up>(&*x))
        given_up.push_back(late->why), given_up_at.push_back(now);
      else
        abandoned_at.push_back(now);
    }
    REQUIRE((!tested.wake_at() || *tested.wake_at() > now));
  }

  void begin() {
    tested.begin(now);
    pump();
  }

  std::variant<uint32_t, failure> try_join(const subscription& x) {
    auto result = tested.join(x, now);
    pump();
    return result;
  }

  uint32_t join(slow_policy when_slow, uint32_t demand, uint64_t from = 0) {
    auto result = try_join({when_slow, from, demand});
    REQUIRE(result.index() == 0);
    return std::get<0>(result);
  }

  failure refused(uint64_t from) {
    auto result = try_join({slow_policy::wait, from, 1});
    REQUIRE(result.index() == 1);
    return std::get<1>(result);
  }

  void grant(uint32_t x, uint64_t n) {
    tested.grant(x, n, now);
    pump();
  }

  void leave(uint32_t x) {
    tested.leave(x, now);
    pump();
  }

  /// A piece of `size` bytes comes, in as many bytes of the body as it takes in the log.
  void feed(std::size_t size = 92) { feed(std::string(size, 'x')); }

  void feed(const std::string& text) {
    tested.text(text);
    tested.received(text.size() + 8, 1, 0, now);
    pump();
  }

  /// Bytes come that tell nothing.
  void comment(std::size_t bytes) {
    tested.received(bytes, 0, 0, now);
    pump();
  }

  void finish(std::variant<completion, failure> how) {
    tested.finish(std::move(how));
    pump();
  }

  /// Time passes; wakes it when it wants to be.
  void pass(stream::duration x) {
    auto until = now + x;
    while (tested.wake_at() && *tested.wake_at() <= until) {
      now = *tested.wake_at();
      ++wakes;
      REQUIRE(wakes < 10'000);
      pump();
    }
    now = until;
  }

  std::string text_for(uint32_t reader) {
    std::string result;
    for (auto& x : chunks[reader])
      result += text_of(x);
    return result;
  }

  /// The reader's one end.
  const std::variant<stream_done, stream_failed>& end_of(uint32_t reader) {
    REQUIRE(ends[reader].size() == 1);
    return ends[reader].front().how;
  }

  const failure& failure_of(uint32_t reader) {
    REQUIRE(std::holds_alternative<stream_failed>(end_of(reader)));
    return std::get<stream_failed>(end_of(reader)).why;
  }

  /// What it is that has taken too long; empty: nothing.
  std::string setting_blamed() const { return given_up.empty() ? "" : given_up.front().suggestion; }
};

bool has(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

failure broken() {
  return make_failure(errc::stream_interrupted, "the connection broke");
}

} // namespace

// -- readers --------------------------------------------------------------------------

TEST_CASE("broadcast hands on no more chunks than were granted", "[stream][broadcast]") {
  bench x{{}};
  auto reader = x.join(slow_policy::wait, 2);
  x.begin();
  for (int i = 0; i < 5; ++i)
    x.feed("a");
  CHECK(x.chunks[reader].size() == 2);
  x.grant(reader, 1);
  CHECK(x.chunks[reader].size() == 3);
  CHECK(x.text_for(reader) == "aaaaa");
  x.feed("b");
  CHECK(x.chunks[reader].size() == 3);
  x.grant(reader, UINT64_MAX);
  x.grant(reader, UINT64_MAX);
  for (int i = 0; i < 5; ++i)
    x.feed("c");
  CHECK(x.text_for(reader) == "aaaaabccccc");
}

TEST_CASE("broadcast tells each chunk's place and tokens", "[stream][broadcast]") {
  bench x{{}};
  auto reader = x.join(slow_policy::wait, 1);
  x.begin();
  for (auto* text : {"a", "b", "c"})
    x.feed(text);
  x.tested.received(0, 0, 7, x.now);
  x.grant(reader, 1);
  REQUIRE(x.chunks[reader].size() == 2);
  auto& second = x.chunks[reader][1];
  CHECK(second.sequence == 1);
  CHECK(second.next == 3);
  CHECK(second.pieces.size() == 2);
  CHECK(second.tokens == 7);
}

TEST_CASE("broadcast keeps chunks within 16 KiB", "[stream][broadcast]") {
  for (std::size_t size : {1, 100, 5'000, 16'384, 40'000}) {
    INFO(size);
    broadcast_settings settings;
    settings.window = 1 << 20;
    bench x{settings};
    auto reader = x.join(slow_policy::wait, 0);
    x.begin();
    for (std::size_t sum = 0; sum < 100'000; sum += size)
      x.feed(size);
    x.grant(reader, 1'000);
    for (auto& chunk : x.chunks[reader])
      CHECK(text_of(chunk).size() <= 16'384);
    CHECK(x.text_for(reader).size() >= 100'000);
    CHECK(x.chunks[reader].size() <= 9);
  }
}

TEST_CASE("broadcast ends each reader once, when it has all", "[stream][broadcast]") {
  bench x{{}};
  auto slow = x.join(slow_policy::wait, 1);
  auto fast = x.join(slow_policy::wait, 9);
  x.begin();
  x.feed("a");
  x.feed("b");
  x.finish(completion{});
  CHECK(x.ends[fast].size() == 1);
  CHECK(x.ends[slow].empty());
  CHECK_FALSE(x.tested.over());
  x.finish(broken()); // the first one counts
  x.grant(slow, 3);
  for (auto reader : {slow, fast}) {
    auto* done = std::get_if<stream_done>(&x.end_of(reader));
    REQUIRE(done);
    CHECK(done->pieces == 2);
    CHECK(x.text_for(reader) == "ab");
  }
  CHECK(x.tested.over());
  CHECK_FALSE(x.tested.wake_at());
}

TEST_CASE("broadcast ends a reader without demand when it has all", "[stream][broadcast]") {
  bench x{{}};
  auto reader = x.join(slow_policy::wait, 1);
  x.begin();
  x.feed("a");
  x.finish(completion{});
  CHECK(std::holds_alternative<stream_done>(x.end_of(reader)));
}

TEST_CASE("broadcast hands over what had arrived before it tells a failure", "[stream][broadcast]") {
  bench x{{}};
  auto reader = x.join(slow_policy::wait, 1);
  x.begin();
  for (auto* text : {"a", "b", "c"})
    x.feed(text);
  x.finish(broken());
  CHECK(x.ends[reader].empty());
  x.grant(reader, 1);
  CHECK(x.text_for(reader) == "abc");
  CHECK(x.failure_of(reader) == broken());
  CHECK(std::get<stream_failed>(x.end_of(reader)).pieces == 3);
  CHECK(std::get<stream_failed>(x.end_of(reader)).tokens == 3);
}

TEST_CASE("broadcast cuts every reader off at once", "[stream][broadcast]") {
  for (auto ended : {false, true}) {
    INFO(ended);
    bench x{{}};
    auto stuck = x.join(slow_policy::wait, 1);
    auto idle = x.join(slow_policy::coalesce, 9);
    x.begin();
    x.feed("a");
    x.feed("b");
    if (ended)
      x.finish(completion{});
    x.tested.cut(broken());
    x.pump();
    CHECK(x.failure_of(stuck) == broken());
    CHECK(x.text_for(stuck) == "a");
    CHECK(std::holds_alternative<stream_done>(x.end_of(idle)) == ended);
    CHECK(x.tested.over());
  }
}

TEST_CASE("broadcast gives one that has left nothing more", "[stream][broadcast]") {
  bench x{{}};
  auto stays = x.join(slow_policy::wait, 9);
  auto leaves = x.join(slow_policy::wait, 9);
  x.begin();
  x.feed("a");
  x.leave(leaves);
  x.grant(leaves, 5);
  x.feed("b");
  x.finish(completion{});
  CHECK(x.text_for(leaves) == "a");
  CHECK(x.ends[leaves].empty());
  CHECK(x.text_for(stays) == "ab");
}

TEST_CASE("broadcast lets a late reader begin at any piece that is kept", "[stream][broadcast]") {
  bench x{{}};
  x.join(slow_policy::wait, 99);
  x.begin();
  for (auto* text : {"a", "b", "c"})
    x.feed(text);
  struct {
    uint64_t from;
    const char* text;
  } cases[] = {{0, "abcd"}, {1, "bcd"}, {2, "cd"}, {3, "d"}};
  std::vector<uint32_t> readers;
  for (auto& c : cases)
    readers.push_back(x.join(slow_policy::wait, 9, c.from));
  x.feed("d");
  x.finish(completion{});
  auto last = x.join(slow_policy::wait, 9, 2);
  for (std::size_t i = 0; i < readers.size(); ++i) {
    CHECK(x.text_for(readers[i]) == cases[i].text);
    CHECK(x.ends[readers[i]].size() == 1);
  }
  CHECK(x.text_for(last) == "cd");
  CHECK(x.ends[last].size() == 1);
}

TEST_CASE("broadcast refuses a reader that begins before what is kept, and says what to do", "[stream][broadcast]") {
  broadcast_settings settings;
  settings.log_limit = 50'000;
  bench x{settings};
  x.join(slow_policy::wait, 100'000);
  x.begin();
  for (int i = 0; i < 2'000; ++i) {
    x.feed(92);
    CHECK(x.tested.status().kept_bytes <= 50'000);
    CHECK((x.tested.status().kept_from == 0 || x.tested.status().kept_bytes > 50'000 - 32'768));
  }
  auto first = x.tested.status().kept_from;
  REQUIRE(first > 0);
  auto why = x.refused(0);
  CHECK(why.code == errc::too_large);
  CHECK(has(why.message, std::to_string(first)));
  CHECK(has(why.suggestion, "raise log_limit"));
  CHECK(x.refused(first - 1).code == errc::too_large);
  auto late = x.join(slow_policy::wait, 100, first);
  CHECK(x.text_for(late).size() == (2'000 - first) * 92);
}

TEST_CASE("broadcast refuses a reader that begins behind the newest piece", "[stream][broadcast]") {
  bench x{{}};
  x.join(slow_policy::wait, 9);
  x.begin();
  x.feed("a");
  auto why = x.refused(2);
  CHECK(why.code == errc::invalid_request);
  CHECK(has(why.suggestion, "from 1"));
}

// -- the slow one ---------------------------------------------------------------------

TEST_CASE("broadcast gives no more credit than the slowest waiting reader has room for", "[stream][broadcast]") {
  broadcast_settings settings;
  settings.window = 1'000;
  bench x{settings};
  auto slow = x.join(slow_policy::wait, 0);
  auto fast = x.join(slow_policy::wait, 1'000);
  x.begin();
  for (int i = 0; i < 10; ++i)
    x.feed(92);
  CHECK(x.credit == 0);
  CHECK(x.tested.status().stage == stream_stage::paused);
  CHECK(x.text_for(fast).size() == 920);
  x.grant(slow, 1);
  CHECK(x.credit == 1'000);
  CHECK(x.tested.status().stage == stream_stage::open);
  x.leave(slow);
  for (int i = 0; i < 100; ++i)
    x.feed(92);
  CHECK(x.credit >= 10'000);
}

TEST_CASE("broadcast counts what is on its way and what is unread as one window", "[stream][broadcast]") {
  broadcast_settings settings;
  settings.window = 1'000;
  settings.chunk_bytes = 100;
  bench x{settings};
  auto reader = x.join(slow_policy::wait, 0);
  x.begin();
  for (int i = 0; i < 10; ++i)
    x.feed(92);
  x.grant(reader, 2);
  CHECK(x.credit == 0); // less than a quarter of the window is not worth telling
  x.grant(reader, 1);
  CHECK(x.credit == 300);
}

TEST_CASE("broadcast goes on past a coalescing reader and joins what it missed", "[stream][broadcast]") {
  broadcast_settings settings;
  settings.window = 1'000;
  settings.log_limit = 20'000;
  bench x{settings};
  auto reader = x.join(slow_policy::coalesce, 0);
  x.begin();
  for (int i = 0; i < 100; ++i)
    x.feed(92);
  CHECK(x.credit >= 9'000);
  x.grant(reader, 1);
  REQUIRE(x.chunks[reader].size() == 1);
  CHECK(x.chunks[reader][0].pieces.size() == 1);
  CHECK(x.chunks[reader][0].next == 100);
  CHECK(x.text_for(reader).size() == 9'200);
}

TEST_CASE("broadcast ends a slow reader only beyond what its policy allows", "[stream][broadcast]") {
  broadcast_settings settings;
  settings.window = 2'000;
  settings.log_limit = 5'000;
  struct {
    slow_policy policy;
    int survives; ///< Pieces of 100 bytes.
    const char* limit;
  } cases[] = {{slow_policy::coalesce, 50, "log_limit"}, {slow_policy::drop_subscriber, 20, "window"}};
  for (auto& c : cases) {
    INFO(c.limit);
    bench x{settings};
    auto fast = x.join(slow_policy::wait, 1'000);
    auto slow = x.join(c.policy, 0);
    x.begin();
    for (int i = 0; i < c.survives; ++i)
      x.feed(92);
    CHECK(x.ends[slow].empty());
    x.feed(92);
    CHECK(x.failure_of(slow).code == errc::slow_reader);
    CHECK(has(x.failure_of(slow).message, c.limit));
    CHECK(has(x.failure_of(slow).suggestion, "when_slow = wait"));
    x.finish(completion{});
    CHECK(std::holds_alternative<stream_done>(x.end_of(fast)));
    CHECK(x.ends[slow].size() == 1);
  }
}

TEST_CASE("broadcast does not call a late reader slow for the past that it asked for", "[stream][broadcast]") {
  broadcast_settings settings;
  settings.window = 2'000;
  bench x{settings};
  x.join(slow_policy::wait, 1'000);
  x.begin();
  for (int i = 0; i < 500; ++i)
    x.feed(92);
  auto late = x.join(slow_policy::drop_subscriber, 1);
  for (int i = 0; i < 20; ++i)
    x.feed(92);
  CHECK(x.ends[late].empty());
  x.feed(92);
  CHECK(x.failure_of(late).code == errc::slow_reader);
}

TEST_CASE("broadcast ends a reader that withholds demand for reader_idle", "[stream][broadcast]") {
  for (auto policy : {slow_policy::wait, slow_policy::coalesce, slow_policy::drop_subscriber}) {
    INFO(to_string(policy));
    broadcast_settings settings;
    settings.reader_idle = 10s;
    bench x{settings};
    auto reader = x.join(policy, 1);
    x.begin();
    x.pass(60s); // there is nothing to take
    x.feed("a");
    x.pass(60s);
    x.feed("b");
    x.pass(9s);
    x.feed("c"); // more of it changes nothing
    x.pass(999ms);
    CHECK(x.ends[reader].empty());
    x.pass(1ms);
    CHECK(x.failure_of(reader).code == errc::slow_reader);
    CHECK(has(x.failure_of(reader).message, "10 s"));
    CHECK(has(x.failure_of(reader).suggestion, "reader_idle"));
    CHECK(has(x.failure_of(reader).suggestion, "20 s"));
  }
}

TEST_CASE("broadcast keeps a reader whose demand comes before it was ended", "[stream][broadcast]") {
  broadcast_settings settings;
  settings.reader_idle = 10s;
  bench x{settings};
  auto reader = x.join(slow_policy::wait, 0);
  x.begin();
  x.feed("a");
  x.now += 10s + 1ms; // nobody has woken it yet
  x.grant(reader, 1);
  CHECK(x.ends[reader].empty());
  CHECK(x.text_for(reader) == "a");
}

TEST_CASE("broadcast does not end a reader that grants as it goes on", "[stream][broadcast]") {
  broadcast_settings settings;
  settings.reader_idle = 10s;
  settings.chunk_bytes = 1;
  bench x{settings};
  auto reader = x.join(slow_policy::wait, 0);
  x.begin();
  for (int i = 0; i < 20; ++i)
    x.feed("a");
  x.finish(completion{});
  for (int i = 0; i < 20; ++i) {
    x.pass(9s);
    x.grant(reader, 1);
  }
  CHECK(std::holds_alternative<stream_done>(x.end_of(reader)));
}

// -- when nobody listens --------------------------------------------------------------

TEST_CASE("broadcast does with an answer nobody hears as on_disconnect says", "[stream][broadcast]") {
  struct {
    disconnect_policy policy;
    stream::duration drain_time;
    std::optional<stream::duration> abandoned; ///< So long after the last reader has gone.
  } cases[] = {{disconnect_policy::cancel, 5s, 0s},
               {disconnect_policy::drain, 5s, {}},
               {disconnect_policy::drain_for, 5s, 5s},
               {disconnect_policy::drain_for, 0s, 0s}};
  for (auto& c : cases) {
    INFO(to_string(c.policy));
    broadcast_settings settings;
    settings.on_disconnect = c.policy;
    settings.drain_time = c.drain_time;
    settings.window = 1'000;
    bench x{settings};
    auto reader = x.join(slow_policy::wait, 9);
    x.begin();
    x.feed();
    x.leave(reader);
    auto since = x.now;
    for (int i = 0; i < 20 && x.abandoned_at.empty(); ++i) { // it is read on without anybody
      x.feed();
      x.pass(1s);
    }
    CHECK(x.abandoned_at.size() == (c.abandoned ? 1 : 0));
    if (c.abandoned)
      CHECK(x.abandoned_at.at(0) == since + *c.abandoned);
    else
      CHECK(x.credit >= 1'000);
    CHECK_FALSE(x.tested.wake_at());
  }
}

TEST_CASE("broadcast goes on for a reader that comes while it drains", "[stream][broadcast]") {
  broadcast_settings settings;
  settings.on_disconnect = disconnect_policy::drain_for;
  settings.drain_time = 5s;
  bench x{settings};
  auto first = x.join(slow_policy::wait, 9);
  x.begin();
  x.feed("a");
  x.leave(first);
  x.pass(4s);
  auto second = x.join(slow_policy::wait, 9);
  x.pass(60s);
  CHECK(x.abandoned_at.empty());
  x.feed("b");
  CHECK(x.text_for(second) == "ab");
}

TEST_CASE("broadcast does not begin again for nobody", "[stream][broadcast]") {
  broadcast_settings settings;
  settings.on_disconnect = disconnect_policy::drain;
  bench x{settings};
  auto reader = x.join(slow_policy::wait, 9);
  x.begin();
  x.tested.attempt_ended();
  x.pump();
  CHECK(x.abandoned_at.empty());
  x.leave(reader);
  CHECK(x.abandoned_at.size() == 1);
}

TEST_CASE("broadcast drops an answer when its last reader was too slow", "[stream][broadcast]") {
  broadcast_settings settings;
  settings.reader_idle = 1s;
  bench x{settings};
  auto reader = x.join(slow_policy::wait, 0);
  x.begin();
  x.feed();
  x.pass(1s);
  CHECK(x.failure_of(reader).code == errc::slow_reader);
  CHECK(x.abandoned_at.size() == 1);
}

// -- timers ---------------------------------------------------------------------------

TEST_CASE("broadcast gives up when no event comes for first_token", "[stream][broadcast]") {
  broadcast_settings settings;
  settings.first_token = 3s;
  settings.idle = 1s;
  settings.min_bytes_per_second = 1'000'000;
  bench x{settings};
  x.join(slow_policy::wait, 9);
  x.pass(60s); // waits for its turn
  x.begin();
  x.pass(2s);
  x.comment(100); // does not help
  x.pass(999ms);
  CHECK(x.given_up.empty());
  x.pass(1ms);
  REQUIRE(x.given_up.size() == 1);
  CHECK(x.given_up[0].code == errc::attempt_timeout);
  CHECK(has(x.given_up[0].message, "for 3 s"));
  CHECK(has(x.setting_blamed(), "first_token"));
  x.pass(60s);
  CHECK(x.given_up.size() == 1);
  x.begin(); // again
  x.pass(3s);
  CHECK(x.given_up.size() == 2);
}

TEST_CASE("broadcast gives up when the stream stands still, whatever bytes come", "[stream][broadcast]") {
  struct {
    const char* name;
    std::size_t comment; ///< So many bytes of it every 500 ms.
  } cases[] = {{"nothing", 0}, {"pings", 10}, {"comments that use up all credit", 1'000}};
  for (auto& c : cases) {
    INFO(c.name);
    broadcast_settings settings;
    settings.window = 1'000;
    settings.first_token = 10s;
    settings.idle = 2s;
    bench x{settings};
    x.join(slow_policy::wait, 9'999);
    x.begin();
    x.pass(9s);
    auto last = x.now;
    for (int i = 0; i < 5; ++i) { // events keep it alive
      x.feed();
      last = x.now;
      x.pass(1'900ms);
    }
    CHECK(x.given_up.empty());
    x.comment(x.credit + 1'000 - 500); // all but nothing is left
    for (int i = 0; i < 20; ++i) {
      x.pass(500ms);
      if (c.comment > 0)
        x.comment(c.comment);
    }
    REQUIRE(x.given_up_at.size() == 1);
    CHECK(x.given_up_at[0] == last + 2s);
    CHECK(has(x.setting_blamed(), "timeouts.idle, e.g. from 2 s to 4 s"));
  }
}

TEST_CASE("broadcast counts an event without a piece as life", "[stream][broadcast]") {
  broadcast_settings settings;
  settings.first_token = 3s;
  settings.idle = 2s;
  bench x{settings};
  x.join(slow_policy::wait, 9);
  x.begin();
  for (int i = 0; i < 10; ++i) {
    x.pass(1'500ms);
    x.tested.received(10, 1, 0, x.now);
    x.pump();
  }
  CHECK(x.given_up.empty());
  CHECK_FALSE(x.tested.first_token());
  x.feed("a");
  CHECK(x.tested.first_token() == 15s);
}

TEST_CASE("broadcast does not run its timers while a reader holds it back", "[stream][broadcast]") {
  broadcast_settings settings;
  settings.window = 1'000;
  settings.idle = 2s;
  settings.min_bytes_per_second = 100;
  settings.rate_time = 3s;
  bench x{settings};
  auto reader = x.join(slow_policy::wait, 0);
  x.begin();
  for (int i = 0; i < 10; ++i)
    x.feed(92);
  REQUIRE(x.tested.status().stage == stream_stage::paused);
  CHECK_FALSE(x.tested.wake_at());
  x.pass(1h);
  CHECK(x.given_up.empty());
  x.grant(reader, 1);
  x.pass(1'999ms);
  CHECK(x.given_up.empty());
  x.pass(1ms); // it has been let go on, and nothing came
  CHECK(x.given_up.size() == 1);
}

TEST_CASE("broadcast with idle = 2 s never fails a reader that takes a chunk every 5 s", "[stream][broadcast]") {
  broadcast_settings settings;
  settings.idle = 2s;
  settings.min_bytes_per_second = 1'000;
  settings.log_limit = 0;
  bench x{settings};
  auto reader = x.join(slow_policy::wait, 1);
  x.begin();
  std::size_t sent = 0;
  auto send = [&] { // as fast as it may
    while (sent < 2'000'000 && sent + 1'008 <= settings.window + x.credit) {
      sent += 1'008;
      x.feed(1'000);
    }
    if (sent < 2'000'000 && sent < settings.window + x.credit) { // part of an event
      x.comment(settings.window + x.credit - sent);
      sent = settings.window + x.credit;
    }
  };
  send();
  for (int i = 0; i < 200 && !x.tested.over(); ++i) {
    x.pass(5s);
    x.grant(reader, 1);
    send();
    CHECK(x.tested.status().kept_bytes <= settings.window + 32'768);
    if (sent >= 2'000'000)
      x.finish(completion{});
  }
  CHECK(x.given_up.empty());
  CHECK(std::holds_alternative<stream_done>(x.end_of(reader)));
  CHECK(x.chunks[reader].size() > 100);
}

TEST_CASE("broadcast gives up a stream slower than min_bytes_per_second", "[stream][broadcast]") {
  struct {
    std::size_t piece; ///< With its 8 bytes, every second.
    bool given_up;
  } cases[] = {{91, true}, {92, false}, {900, false}};
  for (auto& c : cases) {
    INFO(c.piece);
    broadcast_settings settings;
    settings.window = 1'000;
    settings.idle = 5s;
    settings.min_bytes_per_second = 100;
    settings.rate_time = 10s;
    bench x{settings};
    x.join(slow_policy::wait, 1'000);
    x.begin();
    x.feed(c.piece);
    auto begun = x.now;
    for (int i = 0; i < 100; ++i) {
      x.pass(999'999us);
      x.now += 1us;
      x.feed(c.piece);
    }
    REQUIRE(x.given_up.size() == (c.given_up ? 1 : 0));
    if (!c.given_up)
      continue;
    CHECK(x.given_up_at[0] == begun + 10s);
    CHECK(has(x.given_up[0].message, "100"));
    CHECK(has(x.setting_blamed(), "min_bytes_per_second"));
  }
}

TEST_CASE("broadcast notices bursts that are too slow although each uses up the credit", "[stream][broadcast]") {
  broadcast_settings settings;
  settings.window = 1'000;
  settings.min_bytes_per_second = 1'000;
  settings.rate_time = 10s;
  bench x{settings};
  x.join(slow_policy::wait, 1'000);
  x.begin();
  for (int i = 0; i < 5; ++i) {
    x.feed(992);
    x.pass(4s);
  }
  CHECK(x.given_up.size() == 1);
}

TEST_CASE("broadcast fires idle when the rate falls due in the same moment", "[stream][broadcast]") {
  broadcast_settings settings;
  settings.idle = 10s;
  settings.rate_time = 10s;
  settings.min_bytes_per_second = 1;
  bench x{settings};
  x.join(slow_policy::wait, 9);
  x.begin();
  x.feed("a");
  x.comment(1'000); // fast enough
  x.now += 10s;
  CHECK(std::holds_alternative<broadcast::give_up>(x.tested.next(x.now).value()));
}

TEST_CASE("broadcast that has nothing to do wants no waking", "[stream][broadcast]") {
  broadcast_settings settings;
  settings.first_token = 5s;
  settings.idle = 5s;
  settings.reader_idle = 5s;
  settings.min_bytes_per_second = 1;
  bench x{settings};
  auto reader = x.join(slow_policy::wait, 9);
  CHECK_FALSE(x.tested.wake_at());
  x.begin();
  for (int i = 0; i < 100; ++i) {
    x.feed();
    x.grant(reader, 1);
    x.pass(1s);
  }
  CHECK(x.wakes <= 10); // the rate, every 10 s
  x.tested.attempt_ended();
  x.pump();
  CHECK_FALSE(x.tested.wake_at());
  x.finish(completion{});
  CHECK_FALSE(x.tested.wake_at());
}

// -- attempts -------------------------------------------------------------------------

TEST_CASE("broadcast forgets an attempt of which nobody has anything", "[stream][broadcast]") {
  bench x{{}};
  auto reader = x.join(slow_policy::wait, 0);
  x.begin();
  x.feed("first");
  x.tested.attempt_ended();
  x.pump();
  REQUIRE_FALSE(x.tested.handed_over());
  x.tested.rewind();
  x.now += 1s;
  x.begin();
  x.now += 2s;
  x.feed("second");
  x.grant(reader, 5);
  x.finish(completion{});
  CHECK(x.text_for(reader) == "second");
  auto* done = std::get_if<stream_done>(&x.end_of(reader));
  REQUIRE(done);
  CHECK(done->pieces == 1);
  CHECK(done->first_token == 2s);
  CHECK(x.tested.status().attempts == 2);
}

TEST_CASE("broadcast keeps back what a failed attempt brought until it is decided on", "[stream][broadcast]") {
  for (auto again : {false, true}) {
    INFO(again);
    bench x{{}};
    auto reader = x.join(slow_policy::wait, 0);
    x.begin();
    x.feed("first");
    x.tested.attempt_ended();
    x.pump();
    x.grant(reader, 5);
    CHECK(x.chunks[reader].empty());
    CHECK_FALSE(x.tested.handed_over());
    CHECK(x.refused(1).code == errc::invalid_request);
    if (again) {
      x.tested.rewind();
      x.begin();
      x.feed("second");
    }
    x.finish(broken());
    CHECK(x.text_for(reader) == (again ? "second" : "first"));
    CHECK(x.failure_of(reader) == broken());
  }
}

TEST_CASE("broadcast has handed over with the first chunk, or a reader that begins behind a piece",
          "[stream][broadcast]") {
  bench x{{}};
  auto reader = x.join(slow_policy::wait, 0);
  x.begin();
  x.feed("a");
  CHECK_FALSE(x.tested.handed_over());
  SECTION("by a chunk") {
    x.grant(reader, 1);
  }
  SECTION("by a place") {
    x.join(slow_policy::wait, 0, 1);
  }
  CHECK(x.tested.handed_over());
}

// -- the end --------------------------------------------------------------------------

TEST_CASE("broadcast repeats the whole text when asked to, within log_limit", "[stream][broadcast]") {
  struct {
    bool wanted;
    int pieces; ///< Of 992 bytes.
    std::size_t text;
    std::size_t warnings;
  } cases[] = {{false, 10, 0, 0}, {true, 10, 9'920, 0}, {true, 50, 49'600, 0}, {true, 51, 0, 1}};
  for (auto& c : cases) {
    INFO(c.wanted << ", " << c.pieces);
    broadcast_settings settings;
    settings.whole_text = c.wanted;
    settings.log_limit = 50'000;
    bench x{settings};
    auto reader = x.join(slow_policy::wait, 100);
    x.begin();
    for (int i = 0; i < c.pieces; ++i)
      x.feed(992);
    x.finish(completion{});
    auto* done = std::get_if<stream_done>(&x.end_of(reader));
    REQUIRE(done);
    CHECK(done->result.text.size() == c.text);
    CHECK(done->result.warnings.size() == c.warnings);
    for (auto& warning : done->result.warnings)
      CHECK(has(warning, "log_limit"));
    CHECK(x.text_for(reader).size() == static_cast<std::size_t>(c.pieces) * 992);
  }
}

TEST_CASE("broadcast tells how the stream stands", "[stream][broadcast]") {
  bench x{{}};
  CHECK(x.tested.status().stage == stream_stage::waiting);
  auto reader = x.join(slow_policy::wait, 1);
  x.begin();
  x.feed("ab");
  x.feed("cd");
  auto open = x.tested.status();
  CHECK(open.stage == stream_stage::open);
  CHECK(open.pieces == 2);
  CHECK(open.tokens == 2);
  CHECK(open.kept_from == 0);
  CHECK(open.kept_bytes == 20);
  CHECK(open.subscribers == 1);
  x.finish(completion{});
  CHECK(x.tested.status().stage == stream_stage::handing);
  x.grant(reader, 1);
  CHECK(x.tested.status().stage == stream_stage::ended);
}
