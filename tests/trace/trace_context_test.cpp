#include "base/trace_context.hpp"
#include "trace/tracer.hpp"

#include <catch2/catch_test_macros.hpp>

#include <random>
#include <set>
#include <string>

namespace modelforge::trace_context_test {

namespace {

constexpr auto usual = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

} // namespace

TEST_CASE("a traceparent is read as it was written", "[trace]") {
  auto read = read_traceparent(usual);
  REQUIRE(read);
  CHECK(*read == trace_context{0x4bf92f3577b34da6, 0xa3ce929d0e0e4736, 0x00f067aa0ba902b7, 1});
  CHECK(read->is_sampled());
  CHECK(to_traceparent(*read) == usual);
  CHECK(trace_id_text(*read) == "4bf92f3577b34da6a3ce929d0e0e4736");
}

TEST_CASE("of a traceparent the flags that have a meaning are kept, and a later version's end is skipped", "[trace]") {
  auto flags_of = [](const std::string& end) {
    auto read = read_traceparent(std::string{usual}.substr(0, 53) + end);
    return read ? int{read->flags} : -1;
  };
  CHECK(flags_of("00") == 0);
  CHECK(flags_of("01") == 1);
  CHECK(flags_of("02") == 2);
  CHECK(flags_of("03") == 3);
  CHECK(flags_of("ff") == 3);
  CHECK(flags_of("fc") == 0);
  for (auto later : {"cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
                     "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-what the future will be like",
                     "fe-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-"}) {
    CAPTURE(later);
    REQUIRE(read_traceparent(later));
    CHECK(to_traceparent(*read_traceparent(later)) == usual);
  }
}

TEST_CASE("what is no traceparent is read as none", "[trace]") {
  for (auto bad : {
         "",
         "00",
         "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0",
         "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-",
         "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x",
         "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-011",
         " 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
         "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01 ",
         "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01.more",
         "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
         "0g-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
         "0-04bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
         "00_4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
         "00-4bf92f3577b34da6a3ce929d0e0e4736_00f067aa0ba902b7-01",
         "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7_01",
         "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
         "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
         "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
         "00-4bf92f3577b34da6a3ce929d0e0e4736-00F067AA0BA902B7-01",
         "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0A",
         "00-4bf92f3577b34da6a3ce929d0e0e473-600f067aa0ba902b7-01",
         "00-4bf92f3577b34da6a3ce929d0e0e473x-00f067aa0ba902b7-01",
         "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b-701",
         "00-+bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
         "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\n",
         "00-4bf92f3577b34da6\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9-00f067aa0ba902b7-01",
       }) {
    CAPTURE(bad);
    CHECK_FALSE(read_traceparent(bad));
  }
  CHECK_FALSE(read_traceparent(std::string(1'000'000, '0')));
}

// Whatever is changed in a good one, what is read is bounded and writes as something that is read the same again.
TEST_CASE("any text is read as a traceparent that can be written again, or as none", "[trace]") {
  std::mt19937_64 random{4711};
  std::size_t good = 0;
  for (int i = 0; i < 100'000; ++i) {
    std::string text = usual;
    for (auto changes = random() % 3; changes > 0; --changes) {
      auto where = random() % text.size();
      constexpr std::string_view some = "0123456789abcdefABCDEFg-- \n\x80";
      switch (random() % 8) {
        case 0:
          text.erase(where, 1);
          break;
        case 1:
          text.insert(where, 1, some[random() % some.size()]);
          break;
        default:
          text[where] = some[random() % some.size()];
      }
    }
    auto read = read_traceparent(text);
    if (!read)
      continue;
    ++good;
    REQUIRE((read->trace_high | read->trace_low) != 0);
    REQUIRE(read->span != 0);
    REQUIRE(read->flags <= 3);
    REQUIRE(to_traceparent(*read).size() == 55);
    REQUIRE(read_traceparent(to_traceparent(*read)) == read);
  }
  CHECK(good > 30'000);
}

TEST_CASE("children of a span have ids of their own, always the same", "[trace]") {
  std::set<uint64_t> seen;
  for (uint64_t parent = 1; parent <= 100; ++parent)
    for (uint64_t number = 0; number <= 100; ++number)
      CHECK(seen.insert(child_span(parent, number)).second);
  CHECK_FALSE(seen.contains(0));
  CHECK(child_span(0, 0) != 0);
  CHECK(child_span(7, 1) == child_span(7, 1));
}

TEST_CASE("a caller's trace goes on where it is recorded", "[trace]") {
  trace::tracer tracer{1};
  tracer.set_share(0.0); // of those without one
  auto place = tracer.place(usual, "vendor=opaque");
  REQUIRE(place);
  CHECK(trace_id_text(place->context) == "4bf92f3577b34da6a3ce929d0e0e4736");
  CHECK(place->parent == 0x00f067aa0ba902b7);
  CHECK(place->context.span != 0);
  CHECK(place->context.span != place->parent);
  CHECK(place->context.flags == trace_context::sampled);
  CHECK(place->state == "vendor=opaque");
  CHECK_FALSE(tracer.place("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00", ""));
  CHECK_FALSE(tracer.place("", ""));
  CHECK_FALSE(tracer.place("nonsense", ""));
  auto long_state = tracer.place(usual, std::string(513, 'a'));
  REQUIRE(long_state);
  CHECK(long_state->state.empty());
  tracer.set_share({});
  CHECK_FALSE(tracer.place(usual, ""));
}

TEST_CASE("a request without a trace begins one, by the share that is set", "[trace]") {
  trace::tracer tracer{2};
  CHECK_FALSE(tracer.place("", ""));
  tracer.set_share(1.0);
  std::set<std::string> seen;
  for (int i = 0; i < 1000; ++i) {
    auto place = tracer.place(i % 2 == 0 ? "" : "00-x", "kept=only with a trace");
    REQUIRE(place);
    CHECK(place->parent == 0);
    CHECK(place->state.empty());
    CHECK(place->context.flags == (trace_context::sampled | trace_context::random));
    CHECK(seen.insert(trace_id_text(place->context)).second);
    CHECK(read_traceparent(to_traceparent(place->context)) == place->context);
  }
  tracer.set_share(0.25);
  int drawn = 0;
  for (int i = 0; i < 10'000; ++i)
    drawn += tracer.place("", "") ? 1 : 0;
  CHECK(drawn > 2'300);
  CHECK(drawn < 2'700);
}

} // namespace modelforge::trace_context_test
