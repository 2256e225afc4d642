#include "sse/parser.hpp"

#include "tests/sse/allocations.hpp"

#include <catch2/catch_test_macros.hpp>

#include <random>
#include <string>
#include <vector>

namespace modelforge::parser_test {

using sse::parser;

namespace {

struct seen {
  std::string type, data, id;

  friend bool operator==(const seen&, const seen&) = default;
};

std::ostream& operator<<(std::ostream& out, const seen& x) {
  return out << '[' << x.type << '|' << x.data << '|' << x.id << ']';
}

using events = std::vector<seen>;

/// Collects what a parser hands out.
struct collector {
  parser in;
  events got;
  parser::state state = parser::state::open;

  explicit collector(std::size_t limit = parser::default_limit) : in(limit) {}

  void feed(std::string_view bytes) {
    std::string copy{bytes}; // gone afterwards, so that views of it that live on are noticed
    state = in.feed(copy, [this](const sse::event& x) { return add(x); });
  }

  events finish() {
    state = in.finish([this](const sse::event& x) { return add(x); });
    return got;
  }

  bool add(const sse::event& x) {
    got.push_back({std::string{x.type}, std::string{x.data}, std::string{x.id}});
    return true;
  }
};

events read_whole(std::string_view text) {
  collector x;
  x.feed(text);
  return x.finish();
}

/// Cuts the text at random places, into `pieces` parts on average.
events read_cut(std::string_view text, std::mt19937& random, std::size_t pieces) {
  collector x;
  std::uniform_int_distribution<std::size_t> length{0, 2 * text.size() / pieces + 1};
  while (!text.empty()) {
    auto part = text.substr(0, length(random));
    x.feed(part);
    text.remove_prefix(part.size());
  }
  return x.finish();
}

void replace_all(std::string& text, std::string_view from, std::string_view to) {
  for (std::size_t at = 0; (at = text.find(from, at)) != text.npos; at += to.size())
    text.replace(at, from.size(), to);
}

/// Reads a whole text the plain way, line by line: the oracle.
events expected_of(std::string text) {
  if (text.starts_with("\xEF\xBB\xBF"))
    text.erase(0, 3);
  replace_all(text, "\r\n", "\n");
  replace_all(text, "\r", "\n");
  text += "\n\n";
  events result;
  seen now;
  bool has_data = false;
  for (std::size_t at = 0, end; (end = text.find('\n', at)) != text.npos; at = end + 1) {
    auto line = text.substr(at, end - at);
    if (line.empty()) {
      if (has_data)
        result.push_back(now);
      now = {};
      has_data = false;
      continue;
    }
    auto colon = std::min(line.find(':'), line.size());
    auto name = line.substr(0, colon);
    auto value = line.substr(std::min(colon + 1, line.size()));
    if (!value.empty() && value[0] == ' ')
      value.erase(0, 1);
    if (name == "event")
      now.type = value;
    if (name == "id")
      now.id = value;
    if (name == "data") {
      now.data += (has_data ? "\n" : "") + value;
      has_data = true;
    }
  }
  return result;
}

const std::string recorded = "\xEF\xBB\xBF: keep-alive\r\n\r\ndata: {\"a\":\"Grüße\"}\r\n\r\n"
                             "event: delta\ndata:one\ndata:  two\nid: 7\n\n"
                             ": OPENROUTER PROCESSING\r\rretry: 100\rdata\r\revent: lonely\n\ndata: 世界 🌍\r\n\r"
                             "data: [DONE]\n\n";

} // namespace

TEST_CASE("events are read whatever their lines look like", "[sse]") {
  struct {
    std::string_view text;
    events expected;
  } table[] = {
    {"", {}},
    {"data: a\n\n", {{"", "a", ""}}},
    {"data: a\r\n\r\n", {{"", "a", ""}}},
    {"data: a\r\r", {{"", "a", ""}}},
    {"data: a\r\n\ndata: b\n\r\ndata: c\n\r", {{"", "a", ""}, {"", "b", ""}, {"", "c", ""}}},
    {"data:a\n\n", {{"", "a", ""}}},
    {"data:  a \n\n", {{"", " a ", ""}}},
    {"data: a\ndata: b\ndata:\ndata: c\n\n", {{"", "a\nb\n\nc", ""}}},
    {"data\n\n", {{"", "", ""}}},
    {"data:\n\n", {{"", "", ""}}},
    {"event: x\ndata: a\n\ndata: b\n\n", {{"x", "a", ""}, {"", "b", ""}}},
    {"data: a\nevent: x\nid: 1\nevent: y\n\n", {{"y", "a", "1"}}},
    {"id: 1\ndata: a\n\ndata: b\n\n", {{"", "a", "1"}, {"", "b", ""}}},
    {"event: x\n\ndata: b\n\n", {{"", "b", ""}}}, // an event without data is none, and leaves nothing behind
    {": comment\n:\n\n: more\ndata: a\n: within\n\n", {{"", "a", ""}}},
    {"\n\n\r\n\r\r\n", {}},
    {"retry: 10\nunknown: x\nDATA: x\n data: x\ndata: a\n\n", {{"", "a", ""}}},
    {"data: a: b:c\n\n", {{"", "a: b:c", ""}}},
    {"\xEF\xBB\xBF"
     "data: a\n\n",
     {{"", "a", ""}}},
    {"\xEF\xBB\xBF\ndata: a\n\n", {{"", "a", ""}}},
    {"\n\xEF\xBB\xBF"
     "data: a\n\n",
     {}}, // only at the start
    {"data: a", {{"", "a", ""}}},
    {"data: a\n", {{"", "a", ""}}},
    {"data: a\r", {{"", "a", ""}}},
    {"data: a\n\ndata: b", {{"", "a", ""}, {"", "b", ""}}},
    {"event: x", {}},
  };
  for (auto& [text, expected] : table) {
    CAPTURE(text);
    CHECK(read_whole(text) == expected);
    CHECK(expected_of(std::string{text}) == expected); // the oracle of the random tests
  }
}

TEST_CASE("any cutting of a recorded stream gives the same events", "[sse]") {
  auto expected = read_whole(recorded);
  REQUIRE(expected.size() == 5);
  for (std::size_t cut = 0; cut <= recorded.size(); ++cut) {
    collector x;
    x.feed(std::string_view{recorded}.substr(0, cut));
    x.feed({});
    x.feed(std::string_view{recorded}.substr(cut));
    REQUIRE(x.finish() == expected);
  }
  collector bytes;
  for (char c : recorded)
    bytes.feed({&c, 1});
  CHECK(bytes.finish() == expected);
  for (unsigned seed = 0; seed < 2000; ++seed) {
    std::mt19937 random{seed};
    REQUIRE(read_cut(recorded, random, 1 + seed % 40) == expected);
  }
}

TEST_CASE("random streams read as a plain line reader reads them", "[sse]") {
  constexpr std::string_view words[] = {"\n",  "\r", "\r\n", "\n\n", "data", "data: ",       "data:", "event: ",
                                        "id:", ":",  " ",    "x",    "y:",   "\xEF\xBB\xBF", "retry"};
  for (unsigned seed = 0; seed < 20'000; ++seed) {
    std::mt19937 random{seed};
    std::string text;
    for (auto n = random() % 30; n > 0; --n)
      text += words[random() % std::size(words)];
    CAPTURE(seed, text);
    REQUIRE(read_cut(text, random, 1 + seed % 8) == expected_of(text));
  }
}

TEST_CASE("lines and events beyond the limit end the stream, however they are cut", "[sse]") {
  constexpr std::size_t limit = 20;
  struct {
    std::string text;
    std::size_t events;
    bool is_fine;
  } table[] = {
    {"data: " + std::string(14, 'x') + "\n\n", 1, true},
    {"data: a\n\ndata: " + std::string(15, 'x') + "\n\ndata: b\n\n", 1, false},
    {":" + std::string(20, 'x') + "\n", 0, false},
    {std::string(21, 'x'), 0, false},
    {"data: 123456789\ndata: 1234567890\n\n", 1, true},
    {"data: 1234567890\ndata: 1234567890\n\n", 0, false},
  };
  for (auto& [text, count, is_fine] : table)
    for (std::size_t step = 1; step <= text.size(); ++step) {
      CAPTURE(text, step);
      collector x{limit};
      for (std::size_t at = 0; at < text.size(); at += step)
        x.feed(std::string_view{text}.substr(at, step));
      REQUIRE(x.finish().size() == count);
      REQUIRE((x.state == parser::state::too_large) == !is_fine);
      REQUIRE(x.in.problem() == (is_fine ? "" : "a line or an event of more than 20 bytes"));
    }
}

TEST_CASE("a parser that was stopped hands out nothing more", "[sse]") {
  parser x;
  int events = 0;
  auto once = [&](const sse::event&) { return ++events < 2; };
  CHECK(x.feed("data: a\n\ndata: b\n\ndata: c\n\n", once) == parser::state::stopped);
  CHECK(x.feed("data: d\n\n", once) == parser::state::stopped);
  CHECK(x.finish(once) == parser::state::stopped);
  CHECK(events == 2);
  CHECK(x.problem().empty());
}

TEST_CASE("whole events are handed out without an allocation, and as views of the input", "[sse]") {
  std::string text;
  for (int i = 0; i < 1000; ++i)
    text += "event: delta\r\nid: " + std::to_string(i) + "\r\ndata: " + std::string(200, 'x') + "\r\n\r\n";
  parser x;
  std::size_t events = 0;
  auto before = test::allocations();
  x.feed(text, [&](const sse::event& e) {
    events += e.data.data() > text.data() && e.data.data() < text.data() + text.size();
    return true;
  });
  CHECK(test::allocations() == before);
  CHECK(events == 1000);
  for (std::size_t at = 0; at < text.size(); at += 1000) { // cut: the first cuts get memory, then no more
    if (at == 20'000)
      before = test::allocations();
    x.feed(std::string_view{text}.substr(at, 1000), [&](const sse::event&) { return ++events > 0; });
  }
  CHECK(events == 2000);
  CHECK(test::allocations() - before < 10);
}

TEST_CASE("a waiting parser is small, also after a large event", "[sse]") {
  CHECK(sizeof(parser) <= 200);
  parser x;
  auto all = [](const sse::event&) { return true; };
  auto text = "data: " + std::string(500'000, 'x') + "\ndata: y\n\n";
  auto before = test::allocations();
  x.feed(text.substr(0, 300'000), all);
  x.feed(text.substr(300'000), all);
  x.feed("data: z\n\n", all);
  CHECK(test::allocations() > before);
  std::string small(100, 'x'); // what it holds now is shown by what it needs to hold more
  before = test::allocations();
  x.feed("data: " + small, all);
  CHECK(test::allocations() - before >= 1);
}

TEST_CASE("input of line ends only takes time in proportion to its length", "[sse]") {
  for (auto* end : {"\r", "\n", "\r\n"}) {
    std::string text;
    while (text.size() < 4'000'000)
      text += end;
    CHECK(read_whole(text).empty()); // with a search of the rest for each line this would take hours
  }
}

} // namespace modelforge::parser_test
