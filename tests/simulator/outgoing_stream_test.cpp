#include "tools/simulator/outgoing_stream.hpp"

#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <set>
#include <vector>

namespace modelforge::outgoing_stream_test {

using namespace modelforge::simulator;
using namespace std::chrono_literals;

// When a stream's bytes go out, and how they are packed; without a socket, in virtual time.

namespace {

constexpr clock::time_point start{1000s};
constexpr std::string_view error_and_end = "data: error\n\ndata: [DONE]\n\n";

/// "data: role", then "data: ä0" and so on, at last "data: [DONE]".
class counted : public token_stream {
public:
  explicit counted(uint32_t tokens) : left_(tokens), count_(tokens) {}

  bool next(std::string& out) override {
    if (left_ == count_)
      out += "data: role\n\n";
    out += "data: ä" + std::to_string(count_ - left_) + "\n\n";
    if (--left_ == 0)
      out += "data: [DONE]\n\n";
    return left_ > 0;
  }

  uint64_t tokens() const override { return count_ - left_; }
  uint64_t events() const override { return count_ + 2; }
  void fail(std::string& out) const override { out += error_and_end; }

private:
  uint32_t left_, count_;
};

/// Returns the first `count` events of a stream of `tokens`, or all.
std::string first_events(uint32_t tokens, std::size_t count = SIZE_MAX) {
  counted stream(tokens);
  std::string all;
  while (stream.next(all)) {
    // nop
  }
  std::size_t end = 0;
  for (std::size_t i = 0; i < count && end < all.size(); ++i)
    end = all.find("\n\n", end) + 2;
  return all.substr(0, end);
}

struct write {
  clock::duration at; ///< Since the start.
  std::string bytes;
};

struct played {
  std::vector<write> writes;
  outgoing_stream::state end;
  uint64_t tokens = 0;
  bool is_stuck = false; ///< Open, and nothing will ever be due.

  std::string bytes() const {
    std::string all;
    for (const auto& x : writes)
      all += x.bytes;
    return all;
  }
};

struct plan {
  uint32_t tokens = 10;
  fault effect = fault::none;
  uint64_t place = 0;
  uint64_t seed = 1;
  clock::duration first = 0ms;
  clock::duration interval = 10ms;
  bool is_chunked = false;
};

outgoing_stream make(const plan& x, const options& settings) {
  reply answer;
  answer.stream = std::make_unique<counted>(x.tokens);
  answer.steps = x.tokens;
  answer.jitter_seed = x.seed;
  answer.decided.effect = x.effect;
  answer.decided.place = x.place;
  return outgoing_stream(answer, {true, !x.is_chunked, false}, settings, start, start + x.first, x.interval);
}

/// Lets time jump to what is due next, for `most` of it.
played play(const plan& x, const options& settings = {}, clock::duration most = 1h) {
  played result;
  auto stream = make(x, settings);
  std::string out, scratch;
  auto now = start + (settings.keep_alive > 0ms ? 0ms : x.first);
  for (int turns = 0; turns < 100'000 && now <= start + most; ++turns) {
    stream.append_due(out, scratch, now);
    result.tokens += stream.take_tokens();
    if (!out.empty())
      result.writes.push_back({now - start, std::exchange(out, {})});
    result.end = stream.now();
    result.is_stuck = result.end == outgoing_stream::state::open && stream.next_due() == clock::time_point::max();
    if (result.end != outgoing_stream::state::open || result.is_stuck)
      return result;
    now = std::max(now, stream.next_due());
  }
  return result;
}

} // namespace

TEST_CASE("a fault strikes between any two events of a stream", "[simulator]") {
  for (uint64_t place = 0; place < 14; ++place) {
    auto passed = first_events(10, place % 12);
    INFO(place);
    auto cut = play({.effect = fault::cut, .place = place});
    CHECK(cut.end == outgoing_stream::state::cut);
    CHECK(cut.bytes() == passed);
    auto failed = play({.effect = fault::error_event, .place = place});
    CHECK(failed.end == outgoing_stream::state::complete);
    CHECK(failed.bytes() == passed + std::string(error_and_end));
    auto stalled = play({.effect = fault::stall, .place = place});
    CHECK(stalled.is_stuck);
    CHECK(stalled.bytes() == passed);
    options gathering;
    gathering.pieces_per_packet = 4;
    for (auto effect : {fault::cut, fault::stall})
      CHECK(play({.effect = effect, .place = place}, gathering).bytes() == passed);
  }
}

TEST_CASE("a cut stream ends as HTTP wants it, a stalled one does not end", "[simulator]") {
  for (uint64_t place = 0; place < 12; ++place) {
    auto cut = play({.effect = fault::cut, .place = place, .is_chunked = true}).bytes();
    CHECK(cut.ends_with("0\r\n\r\n"));
    CHECK(cut.find("0\r\n\r\n") == cut.size() - 5); // no empty chunk before
    auto stalled = play({.effect = fault::stall, .place = place, .is_chunked = true}).bytes();
    CHECK(stalled.find("0\r\n\r\n") == stalled.npos);
  }
}

TEST_CASE("jitter varies the time between tokens, and keeps its mean", "[simulator]") {
  options settings;
  settings.token_jitter = 0.5;
  auto times = [&](uint64_t seed) {
    std::vector<clock::duration> all;
    for (const auto& x : play({.tokens = 2'000, .seed = seed, .first = 30ms}, settings).writes)
      all.push_back(x.at);
    return all;
  };
  auto all = times(1);
  REQUIRE(all.size() == 2'000);
  CHECK(all.front() == 30ms);
  std::set<clock::duration> different;
  for (std::size_t i = 1; i < all.size(); ++i) {
    auto gap = all[i] - all[i - 1];
    CHECK((gap >= 5ms && gap <= 15ms));
    different.insert(gap);
  }
  CHECK(*different.begin() < 6ms);
  CHECK(*different.rbegin() > 14ms);
  CHECK((all.back() > 19'700ms && all.back() < 20'300ms)); // 19,990 ms on average, deviating by 129 ms
  CHECK(times(1) == all);
  CHECK(times(2) != all);
  settings.token_jitter = 0;
  CHECK(times(1).back() == 30ms + 1'999 * 10ms);
}

TEST_CASE("comments come whenever nothing else came for long", "[simulator]") {
  const std::string comment = ": keep-alive\n\n";
  options settings;
  settings.keep_alive = 100ms;
  auto waits = play({.tokens = 2, .first = 250ms}, settings);
  REQUIRE(waits.writes.size() == 4);
  for (auto i : {0u, 1u}) {
    CHECK(waits.writes[i].bytes == comment);
    CHECK(waits.writes[i].at == (i + 1) * 100ms);
  }
  CHECK(waits.writes[2].at == 250ms);
  CHECK(waits.writes[3].at == 260ms);
  auto slow = play({.tokens = 3, .interval = 150ms}, settings);
  CHECK(slow.writes.size() == 5); // one in each gap
  CHECK(std::count_if(slow.writes.begin(), slow.writes.end(), [&](auto& x) { return x.bytes == comment; }) == 2);
  CHECK(play({.tokens = 50}, settings).bytes() == first_events(50));
  auto stalled = play({.effect = fault::stall, .place = 5}, settings, 2s);
  CHECK(stalled.writes.size() >= 20);
  CHECK(stalled.writes.back().bytes == comment);
  CHECK(stalled.writes.back().at > 1'900ms);
  CHECK(play({.effect = fault::stall, .place = 5}).writes.back().at < 100ms); // none unless asked for
  settings.pieces_per_packet = 50;
  auto gathered = play({.tokens = 50}, settings); // nothing to see for half a second
  CHECK(gathered.writes.size() == 5);
  CHECK(gathered.writes.back().bytes == first_events(50));
}

TEST_CASE("tokens are gathered into packets of a number, each one chunk", "[simulator]") {
  options settings;
  settings.pieces_per_packet = 4;
  auto x = play({.tokens = 10, .is_chunked = true}, settings);
  REQUIRE(x.writes.size() == 3);
  CHECK(x.tokens == 10);
  for (auto [i, at] : {std::pair{0u, 30ms}, {1u, 70ms}, {2u, 90ms}}) {
    CHECK(x.writes[i].at == at);
    const auto& bytes = x.writes[i].bytes;
    auto size = std::stoul(bytes, nullptr, 16);
    CHECK(bytes.substr(bytes.find("\r\n") + 2 + size, 2) == "\r\n");
    CHECK(bytes.size() == bytes.find("\r\n") + 2 + size + 2 + (i == 2 ? 5 : 0));
  }
  CHECK(play({.tokens = 10}, settings).bytes() == first_events(10));
}

TEST_CASE("events are cut into packets inside characters, and lose nothing", "[simulator]") {
  options settings;
  settings.split_packets = true;
  auto stream = make({.tokens = 100, .interval = 0ms}, settings);
  std::string all, out, scratch;
  std::size_t most = 0;
  while (stream.now() == outgoing_stream::state::open) {
    stream.append_due(out, scratch, start);
    CHECK(std::count(out.begin(), out.end(), '\n') <= 4); // one event, with role or end two
    std::size_t packets = 0;
    for (auto rest = std::string_view(out); !rest.empty(); ++packets) {
      auto size = stream.packet_size(rest, packets == 0);
      REQUIRE((size > 0 && size <= rest.size()));
      if (packets == 0)
        CHECK((static_cast<unsigned char>(rest.at(size)) & 0xc0) == 0x80); // so the first packet is not all
      all += rest.substr(0, size);
      rest.remove_prefix(size);
    }
    most = std::max(most, packets);
    out.clear();
  }
  CHECK(all == first_events(100));
  CHECK(most > 2);
}

TEST_CASE("lines can end in CR LF, those of comments too", "[simulator]") {
  options settings;
  settings.crlf = true;
  settings.keep_alive = 5ms;
  auto all = play({.tokens = 3, .effect = fault::error_event, .place = 2}, settings).bytes();
  CHECK(all == "data: role\r\n\r\ndata: ä0\r\n\r\n: keep-alive\r\n\r\ndata: error\r\n\r\ndata: [DONE]\r\n\r\n");
}

TEST_CASE("a write ends once it is large, and goes on at once", "[simulator]") {
  auto x = play({.tokens = 10'000, .interval = 0ms});
  CHECK(x.bytes() == first_events(10'000));
  CHECK(x.writes.size() > 5);
  for (const auto& each : x.writes)
    CHECK(each.bytes.size() < write_size + 100);
}

TEST_CASE("what breaks off ends in the middle of an event, whatever is gathered", "[simulator]") {
  for (uint32_t pieces : {1u, 4u}) {
    options settings;
    settings.pieces_per_packet = pieces;
    auto x = play({.effect = fault::truncated}, settings);
    CHECK(x.end == outgoing_stream::state::broken);
    auto all = first_events(10);
    CHECK(all.starts_with(x.bytes()));
    CHECK(x.bytes().starts_with(first_events(10, 6)));
    CHECK_FALSE(x.bytes().ends_with("\n\n"));
  }
}

} // namespace modelforge::outgoing_stream_test
