#include "tests/stream/bench.hpp"

#include <variant>
#include <vector>

namespace modelforge::broadcast_test {

using namespace std::chrono_literals;
using stream::broadcast_settings;
using test::bench;
using test::broken;
using test::has;

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
    std::size_t memory = 0;
    for (auto& chunk : x.chunks[reader]) {
      auto size_of_this = text_of(chunk).size() + chunk.pieces.size() * sizeof(stream_piece);
      CHECK((size_of_this <= 16'384 || chunk.pieces.size() == 1));
      memory += size_of_this;
    }
    CHECK(x.text_for(reader).size() >= 100'000);
    CHECK(x.chunks[reader].size() <= memory / 8'192 + 2); // they are at least half full
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

TEST_CASE("broadcast gives the text that comes with the end instead of the pieces", "[stream][broadcast]") {
  for (auto wanted : {false, true}) {
    broadcast_settings settings;
    settings.whole_text = wanted;
    bench x{settings};
    auto reader = x.join(slow_policy::wait, 100);
    x.begin();
    x.feed("```{}```");
    completion judged;
    judged.text = "{}";
    x.finish(judged);
    auto* done = std::get_if<stream_done>(&x.end_of(reader));
    REQUIRE(done);
    CHECK(done->result.text == "{}");
    CHECK(done->result.warnings.empty());
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

} // namespace modelforge::broadcast_test
