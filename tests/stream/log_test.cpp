#include "stream/log.hpp"

#include "tests/stream/prose.hpp"

#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

namespace modelforge::log_test {

using piece_log = stream::log; // <cmath> has a log, too

namespace {

std::vector<stream_piece> all_of(const piece_log& x, bool join = false) {
  stream_chunk to;
  auto end = x.read(x.begin(), SIZE_MAX, join, to);
  CHECK(end == x.end());
  return to.pieces;
}

std::vector<std::string> texts_of(const std::vector<stream_piece>& pieces) {
  std::vector<std::string> result;
  for (auto& x : pieces)
    result.push_back(x.text);
  return result;
}

/// What the log is to do, in the plainest form.
struct model {
  struct entry {
    stream_piece piece;
    std::size_t size = 0; ///< In the log, without the overhead.
    uint64_t tokens = 0;
  };

  std::vector<entry> entries;
  uint64_t tokens = 0;

  void add(stream_piece x, std::size_t beside) {
    auto size = x.text.size() + x.call_id.size() + x.call_name.size() + x.signature.size() + beside;
    auto is_seal = x.kind == piece_kind::reasoning && !x.signature.empty();
    tokens += is_seal ? 0 : 1;
    entries.push_back({std::move(x), size, tokens});
  }

  void add_long(const test::prose& from, std::string_view text, piece_kind kind, uint32_t call, std::size_t beside) {
    while (!text.empty()) {
      auto part = from.beginning(text, 16384);
      add({kind, std::string{part}, call, {}, {}}, beside);
      text.remove_prefix(part.size());
    }
  }

  void set_tokens(uint64_t x) {
    if (x <= tokens)
      return;
    tokens = x;
    if (!entries.empty())
      entries.back().tokens = x;
  }

  uint64_t bytes_before(uint64_t piece) const {
    uint64_t result = 0;
    for (uint64_t i = 0; i < piece; ++i)
      result += entries[i].size + 8;
    return result;
  }

  stream_chunk read(uint64_t from, std::size_t most, bool join) const {
    stream_chunk to;
    to.next = from;
    std::size_t taken = 0;
    for (; to.next < entries.size(); ++to.next) {
      auto& x = entries[to.next];
      auto* last = to.pieces.empty() ? nullptr : &to.pieces.back();
      auto begins_call = !x.piece.call_id.empty() || !x.piece.call_name.empty();
      auto seals =
        x.piece.kind == piece_kind::reasoning && (!x.piece.signature.empty() || (last && !last->signature.empty()));
      auto joined = join && last && !begins_call && !seals && last->kind == x.piece.kind && last->call == x.piece.call;
      auto size = x.size + (joined ? 0 : sizeof(stream_piece));
      if (to.next > from && taken + size > most)
        break;
      taken += size;
      to.tokens = x.tokens;
      if (joined)
        last->text += x.piece.text;
      else
        to.pieces.push_back(x.piece);
    }
    return to;
  }
};

/// A log and its model, under the same random operations.
struct pair {
  const test::prose& words;
  std::mt19937_64 random;
  piece_log real;
  model ideal;

  void append() {
    auto text =
      words.draw(random, test::chance(random, 0.02) ? test::scale(random, 1, 50'000) : test::scale(random, 1, 400));
    auto call = static_cast<uint32_t>(random() % 3);
    switch (random() % 6) {
      case 0:
      case 1:
      case 2: {
        auto kind = static_cast<piece_kind>(random() % 3);
        real.append(kind, text);
        ideal.add_long(words, text, kind, 0, 0);
        break;
      }
      case 3: {
        auto name = words.beginning(text, 200);
        auto id = "call_" + std::to_string(random() % 1000);
        auto seal = words.beginning(text, random() % 3 * 30);
        real.append_call(call, id, name, seal);
        ideal.add({piece_kind::tool_call, {}, call, id, std::string{name}, std::string{seal}}, 12);
        break;
      }
      case 4:
        real.append_seal(text);
        ideal.add({piece_kind::reasoning, {}, 0, {}, {}, std::string{text}}, 0);
        break;
      default:
        real.append_arguments(call, text);
        ideal.add_long(words, text, piece_kind::tool_call, call, 4);
    }
  }

  void set_tokens() {
    auto x = ideal.tokens + random() % 5;
    x -= std::min<uint64_t>(x, 2);
    real.set_tokens(x);
    ideal.set_tokens(x);
  }

  void check_read() {
    auto first = real.begin().piece;
    auto from = first + random() % (ideal.entries.size() - first + 1);
    auto at = real.find(from);
    REQUIRE(at.piece == from);
    REQUIRE(at.bytes == ideal.bytes_before(from));
    auto most = test::scale(random, 1, 40'000);
    auto join = test::chance(random, 0.5);
    stream_chunk to;
    auto end = real.read(at, most, join, to);
    auto expected = ideal.read(from, most, join);
    REQUIRE(to.next == expected.next);
    REQUIRE(to.pieces == expected.pieces);
    REQUIRE((to.tokens == expected.tokens || expected.pieces.empty()));
    REQUIRE(end == real.find(to.next));
  }

  void forget() {
    auto before = real.begin().piece;
    auto until = before + random() % (ideal.entries.size() - before + 1);
    auto keep = random() % 100'000;
    real.forget(real.find(until), keep);
    REQUIRE(real.begin().piece <= until);
    auto needed = real.end().bytes - ideal.bytes_before(until);
    constexpr std::size_t block = (16 + 16) << 10; // texts, and 2048 times the overhead
    REQUIRE((real.begin().piece == before || real.bytes() + block >= keep));
    REQUIRE(real.bytes() <= std::max<uint64_t>(keep, needed + block));
  }
};

} // namespace

TEST_CASE("log gives every piece back as it came", "[stream][log]") {
  piece_log x;
  x.append(piece_kind::text, "Hello");
  x.append(piece_kind::text, "");
  x.append(piece_kind::reasoning, "hm");
  x.append(piece_kind::refusal, "no");
  x.append_call(1, "call_1", "weather");
  x.append_arguments(1, "{\"in\":");
  x.append_call(2, "", "");
  x.append_arguments(1, "\"東京\"}");
  const std::vector<stream_piece> expected{
    {piece_kind::text, "Hello", 0, {}, {}},         {piece_kind::reasoning, "hm", 0, {}, {}},
    {piece_kind::refusal, "no", 0, {}, {}},         {piece_kind::tool_call, {}, 1, "call_1", "weather"},
    {piece_kind::tool_call, "{\"in\":", 1, {}, {}}, {piece_kind::tool_call, {}, 2, {}, {}},
    {piece_kind::tool_call, "\"東京\"}", 1, {}, {}}};
  CHECK(all_of(x) == expected);
  CHECK(x.end().piece == expected.size());
  CHECK(x.tokens() == expected.size());
}

TEST_CASE("log cuts a long piece between characters", "[stream][log]") {
  for (std::string_view unit : {"a", "é", "東", "🙂"}) {
    INFO(unit);
    std::string text{"x"}; // so that no cut is even by chance
    while (text.size() < 140'000)
      text += unit;
    piece_log to;
    to.append(piece_kind::text, text);
    auto pieces = all_of(to);
    std::string joined;
    for (auto& piece : pieces) {
      CHECK(piece.text.size() <= piece_log::max_piece_bytes);
      CHECK((static_cast<unsigned char>(piece.text.front()) & 0xC0) != 0x80);
      joined += piece.text;
    }
    CHECK(joined == text);
    CHECK(pieces.size() == 9);
  }
}

TEST_CASE("log takes long text that is no UTF-8", "[stream][log]") {
  std::string text(40'000, '\x80');
  piece_log x;
  x.append(piece_kind::text, text);
  std::string joined;
  for (auto& part : texts_of(all_of(x)))
    joined += part;
  CHECK(joined == text);
}

TEST_CASE("log reads as much as it may, but at least one piece", "[stream][log]") {
  piece_log x;
  for (std::string_view text : {"1234", "5678", "90"})
    x.append(piece_kind::text, text);
  constexpr auto each = sizeof(stream_piece);
  struct {
    std::size_t most;
    std::vector<std::string> texts;
    uint64_t next;
  } cases[] = {
    {1, {"1234"}, 1},
    {2 * each + 7, {"1234"}, 1},
    {2 * each + 8, {"1234", "5678"}, 2},
    {3 * each + 9, {"1234", "5678"}, 2},
    {3 * each + 10, {"1234", "5678", "90"}, 3},
  };
  for (auto& c : cases) {
    INFO(c.most);
    stream_chunk to;
    auto end = x.read(x.begin(), c.most, false, to);
    CHECK(texts_of(to.pieces) == c.texts);
    CHECK(to.next == c.next);
    CHECK(to.tokens == c.next);
    CHECK(end == x.find(c.next));
  }
}

TEST_CASE("log joins neighbours of one kind, and calls only with their own arguments", "[stream][log]") {
  piece_log x;
  x.append(piece_kind::text, "a");
  x.append(piece_kind::text, "b");
  x.append(piece_kind::reasoning, "c");
  x.append(piece_kind::text, "d");
  x.append_call(0, "id", "f");
  x.append_arguments(0, "{");
  x.append_arguments(0, "}");
  x.append_call(0, "other", "f");
  x.append_arguments(1, "[");
  const std::vector<stream_piece> expected{
    {piece_kind::text, "ab", 0, {}, {}},          {piece_kind::reasoning, "c", 0, {}, {}},
    {piece_kind::text, "d", 0, {}, {}},           {piece_kind::tool_call, "{}", 0, "id", "f"},
    {piece_kind::tool_call, {}, 0, "other", "f"}, {piece_kind::tool_call, "[", 1, {}, {}}};
  CHECK(all_of(x, true) == expected);
}

TEST_CASE("log finds its end where a piece is not there", "[stream][log]") {
  piece_log x;
  CHECK(x.find(0) == x.end());
  for (int i = 0; i < 10'000; ++i)
    x.append(piece_kind::text, "word");
  x.forget(x.find(9'000), 0);
  REQUIRE(x.begin().piece > 0);
  CHECK(x.find(x.begin().piece) == x.begin());
  for (uint64_t piece : {uint64_t{0}, x.begin().piece - 1, x.end().piece, x.end().piece + 1, UINT64_MAX})
    CHECK(x.find(piece) == x.end());
}

TEST_CASE("log counts a token a piece, or more where more are told", "[stream][log]") {
  piece_log x;
  x.append(piece_kind::text, "a");
  x.set_tokens(7);
  x.set_tokens(3);
  x.append(piece_kind::text, "b");
  CHECK(x.tokens() == 8);
  stream_chunk first;
  x.read(x.begin(), 1, false, first);
  CHECK(first.tokens == 7);
}

TEST_CASE("log collects texts by kind, without the calls", "[stream][log]") {
  piece_log x;
  x.append(piece_kind::text, "a");
  x.append(piece_kind::reasoning, "b");
  x.append_call(0, "id", "f");
  x.append_arguments(0, "{}");
  x.append(piece_kind::refusal, "c");
  x.append(piece_kind::text, "d");
  completion to;
  x.collect(to);
  CHECK(to.text == "ad");
  CHECK(to.reasoning == std::vector<reasoning_part>{{"b", ""}});
  CHECK(to.refusal == "c");
}

TEST_CASE("log keeps seals whole and apart, and counts none as a token", "[stream][log]") {
  piece_log x;
  const std::string long_seal(40'000, 's');
  x.append(piece_kind::reasoning, "a");
  x.append_seal("one");
  x.append_seal(long_seal);
  x.append(piece_kind::reasoning, "b");
  x.append_seal({});
  x.append_seal(std::string(2u << 20, 's')); // longer than any
  x.append(piece_kind::reasoning, "c");
  x.append_call(0, "id", "f", "three");
  x.append_arguments(0, "{}");
  CHECK(x.tokens() == 5);
  stream_chunk all;
  CHECK(x.read(x.begin(), 1u << 20, true, all) == x.end());
  CHECK(all.tokens == 5);
  CHECK(all.pieces
        == std::vector<stream_piece>{{piece_kind::reasoning, "a", 0, "", "", ""},
                                     {piece_kind::reasoning, "", 0, "", "", "one"},
                                     {piece_kind::reasoning, "", 0, "", "", long_seal},
                                     {piece_kind::reasoning, "bc", 0, "", "", ""},
                                     {piece_kind::tool_call, "{}", 0, "id", "f", "three"}});
  completion to;
  x.collect(to);
  CHECK(to.reasoning == std::vector<reasoning_part>{{"a", "one"}, {"", long_seal}, {"bc", ""}});
}

TEST_CASE("log that forgets as it goes stays small", "[stream][log]") {
  for (std::size_t size : {1, 100, 5'000, 16'384}) {
    INFO(size);
    piece_log x;
    std::size_t most = 0;
    for (std::size_t i = 0; i < 4'000'000 / (size + 8); ++i) {
      x.append(piece_kind::text, std::string(size, 'x'));
      x.forget(x.end(), 50'000);
      most = std::max(most, x.bytes());
    }
    CHECK(most <= 50'000);
    CHECK(most > 50'000 - (32u << 10));
  }
}

TEST_CASE("log forgets nothing that is within its bound or that somebody needs", "[stream][log]") {
  piece_log x;
  for (int i = 0; i < 1'000; ++i)
    x.append(piece_kind::text, std::string(92, 'x'));
  x.forget(x.end(), 100'000);
  CHECK(x.begin().piece == 0);
  x.forget(x.begin(), 0);
  CHECK(x.begin().piece == 0);
  x.forget(x.find(500), 0);
  CHECK(x.begin().piece > 0);
  CHECK(x.begin().piece <= 500);
}

TEST_CASE("log that was cleared begins again", "[stream][log]") {
  piece_log x;
  x.append(piece_kind::text, "old");
  x.set_tokens(9);
  x.clear();
  CHECK(x.bytes() == 0);
  CHECK(x.begin() == x.end());
  CHECK(x.tokens() == 0);
  x.append(piece_kind::text, "new");
  CHECK(texts_of(all_of(x)) == std::vector<std::string>{"new"});
  CHECK(x.end().piece == 1);
}

TEST_CASE("log does what its model does", "[stream][log]") {
  const test::prose words;
  for (uint64_t seed = 0; seed < 60; ++seed) {
    INFO("seed " << seed);
    pair x{words, std::mt19937_64{seed}, {}, {}};
    for (int i = 0; i < 1'500; ++i) {
      auto what = x.random() % 100;
      if (what < 70)
        x.append();
      else if (what < 75)
        x.set_tokens();
      else if (what < 98)
        x.check_read();
      else
        x.forget();
    }
    CHECK(x.real.end().piece == x.ideal.entries.size());
    CHECK(x.real.bytes() == x.ideal.bytes_before(x.ideal.entries.size()) - x.ideal.bytes_before(x.real.begin().piece));
    CHECK(x.real.tokens() == x.ideal.tokens);
  }
}

} // namespace modelforge::log_test
