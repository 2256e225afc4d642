#include "tests/stream/oracle.hpp"

#include <algorithm>

namespace modelforge::test {

namespace {

using stream::broadcast;

constexpr uint64_t max_chunk = 16384;

/// A block of the log at its fullest: 16 KiB of text in pieces that take 8 bytes more each, 2,048 at most.
constexpr uint64_t block = 32768 + 64;

std::optional<time_point> later(time_point from, duration length) {
  if (length <= duration{0})
    return {};
  return from + length;
}

void lower(std::optional<time_point>& x, std::optional<time_point> by) {
  if (by && (!x || *by < *x))
    x = by;
}

bool has(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

} // namespace

// -- what was done --------------------------------------------------------------------

void oracle::joined(uint32_t id, const subscription& x) {
  if (x.from > (undecided() ? 0 : pieces_.size()))
    fail("a reader from a piece that is still to come was let in");
  anyone_ = true;
  alone_since_.reset();
  handed_over_ |= x.from > 0;
  if (x.from < pieces_.size())
    ++counts_[x.from == 0 ? "late from the start" : "late from a piece"];
  if (x.from > pieces_.size())
    return;
  reader r{x.when_slow, x.from, x.demand, 0, pieces_.size(), max_behind(x.from), {}};
  if (!readers_.emplace(id, r).second)
    fail("a reader's id was used twice");
}

void oracle::refused(const subscription& x, const failure& why) {
  auto next = undecided() ? 0 : pieces_.size();
  if (why.code == errc::invalid_request) {
    if (x.from <= next)
      fail("a reader was refused as too early");
    ++counts_["refused as too early"];
  } else if (why.code == errc::too_large) {
    if (x.from > next || max_behind(x.from) + block <= settings_.log_limit)
      fail("a reader was refused, but what it wants is within log_limit");
    if (!has(why.suggestion, "log_limit"))
      fail("a refusal does not name log_limit");
    ++counts_["refused as too late"];
  } else {
    fail("a reader was refused as " + to_string(why));
  }
}

void oracle::granted(uint32_t id, uint64_t chunks) {
  auto i = readers_.find(id);
  if (i == readers_.end() || chunks == 0)
    return;
  i->second.demand += chunks;
  i->second.stuck_since.reset();
}

void oracle::left(uint32_t id, time_point now) {
  if (readers_.erase(id) > 0)
    gone(now);
}

void oracle::gone(time_point now) {
  if (readers_.empty())
    alone_since_ = now;
}

void oracle::begun(time_point now) {
  live_ = true;
  any_event_ = paused_ = false;
  first_piece_.reset();
  credit_ = settings_.window;
  begun_ = now;
}

void oracle::rewound() {
  if (handed_over_)
    fail("an attempt was repeated although somebody has something of it");
  ++counts_["rewound"];
  pieces_.clear();
  least_ = most_ = {0};
  tokens_ = 0;
  for (auto& [id, r] : readers_)
    r = {r.when_slow, 0, r.demand, 0, 0, 0, {}};
}

void oracle::came(const said& x) {
  auto cost = x.text.size() + x.call_id.size() + x.call_name.size() + 8;
  least_.push_back(least_.back() + cost);
  most_.push_back(most_.back() + cost + (x.kind == piece_kind::tool_call ? 12 : 0));
  pieces_.push_back(x);
  ++tokens_;
}

void oracle::received(std::size_t bytes, std::size_t events, std::size_t largest_event, uint64_t tokens,
                      time_point now) {
  if (bytes > credit_)
    fail("the test's server sends more than it may");
  credit_ -= std::min<uint64_t>(bytes, credit_);
  rate_bytes_ += bytes;
  tokens_ = std::max(tokens_, tokens);
  largest_event_ = std::max<uint64_t>(largest_event_, largest_event);
  if (events == 0)
    return;
  moved_ = now;
  if (!first_piece_ && !pieces_.empty())
    first_piece_ = now;
  if (!any_event_ && !pieces_.empty()) {
    any_event_ = true;
    rate_from_ = now;
    rate_bytes_ = 0;
  }
}

void oracle::finished(const std::variant<completion, failure>& how) {
  live_ = false;
  if (!end_)
    end_ = how;
}

void oracle::cut(const failure& why) {
  ++counts_["cut"];
  live_ = false;
  cut_ = true;
  end_ = why;
}

// -- what it told ---------------------------------------------------------------------

void oracle::told(const broadcast::step& x, time_point now) {
  std::visit([&](auto& y) { take(y, now); }, x);
}

void oracle::take(const broadcast::deliver& x, time_point) {
  auto i = readers_.find(x.to);
  if (i == readers_.end())
    return fail("a chunk for a reader that has left or had its end");
  auto& r = i->second;
  if (undecided())
    fail("a chunk of an attempt that may have to be repeated");
  if (r.demand == 0)
    return fail("a chunk without demand");
  if (cut_)
    fail("a chunk behind a cut");
  if (x.chunk.sequence != r.next)
    return fail("a gap or a repetition: piece " + std::to_string(x.chunk.sequence) + " instead of "
                + std::to_string(r.next));
  if (x.chunk.next <= r.next || x.chunk.next > pieces_.size())
    return fail("a chunk ends at piece " + std::to_string(x.chunk.next));
  check_pieces(x.chunk, r.when_slow == slow_policy::coalesce);
  check_size(x.chunk);
  auto all = x.chunk.next == pieces_.size();
  if (x.chunk.tokens < std::max(r.tokens, x.chunk.next) || x.chunk.tokens > tokens_
      || (all && x.chunk.tokens != tokens_))
    fail("a chunk with a wrong number of tokens");
  r.tokens = x.chunk.tokens;
  r.next = x.chunk.next;
  --r.demand;
  r.stuck_since.reset();
  if (all)
    r.past_bytes = 0;
  handed_over_ = true;
  ++counts_[r.when_slow == slow_policy::coalesce ? "joined chunks" : "chunks"];
}

void oracle::check_pieces(const stream_chunk& x, bool joined) {
  std::vector<stream_piece> expected;
  for (auto i = x.sequence; i < x.next; ++i) {
    auto& y = pieces_[i];
    auto* last = joined && y.call_id.empty() && !expected.empty() ? &expected.back() : nullptr;
    if (last && last->kind == y.kind && last->call == y.call)
      last->text += y.text;
    else
      expected.push_back({y.kind, std::string{y.text}, y.call, y.call_id, y.call_name});
  }
  if (x.pieces != expected)
    fail("a chunk does not hold what was said");
}

void oracle::check_size(const stream_chunk& x) {
  uint64_t text = 0;
  for (auto& piece : x.pieces)
    text += piece.text.size();
  if (text > max_chunk)
    fail("a chunk of more than 16 KiB");
  if (text + x.pieces.size() * sizeof(stream_piece) > settings_.chunk_bytes && x.next - x.sequence > 1)
    fail("a chunk of more than chunk_bytes");
  auto with_next = x.next + 1 - x.sequence; // each of them may be a piece of its own
  auto full = x.next == pieces_.size()
              || most_[x.next + 1] - most_[x.sequence] + with_next * sizeof(stream_piece) > settings_.chunk_bytes;
  if (!full)
    fail("a chunk leaves out what there was room for");
}

void oracle::take(const broadcast::conclude& x, time_point now) {
  auto i = readers_.find(x.to);
  if (i == readers_.end())
    return fail("a second end, or one for a reader that has left");
  if (auto* well = std::get_if<stream_done>(&x.how))
    check_done(i->second, *well);
  else
    check_failed(i->second, std::get<stream_failed>(x.how), now);
  readers_.erase(i);
  gone(now);
}

void oracle::check_done(const reader& r, const stream_done& x) {
  ++counts_["done"];
  auto* good = end_ ? std::get_if<completion>(&*end_) : nullptr;
  if (good == nullptr)
    return fail("done, but the server did not end well");
  if (r.next != pieces_.size() || x.pieces != pieces_.size())
    fail("done, but not all was handed over");
  if (x.first_token != first_piece_.value_or(begun_) - begun_)
    fail("done with a wrong time of the first piece");
  if (x.result.raw_finish_reason != good->raw_finish_reason)
    fail("done with another completion");
  std::string texts[3];
  for (auto& piece : pieces_)
    if (piece.kind != piece_kind::tool_call)
      texts[static_cast<std::size_t>(piece.kind)] += piece.text;
  auto none = x.result.text.empty() && x.result.reasoning.empty() && x.result.refusal.empty();
  auto all = x.result.text == texts[0] && reasoning_of(x.result) == texts[1] && x.result.refusal == texts[2];
  if (settings_.whole_text && most_.back() <= settings_.log_limit && !all)
    fail("the whole text is missing although it is within log_limit");
  if (settings_.whole_text && !all && (!none || x.result.warnings.empty()))
    fail("a whole text that is not whole, or missing without a word");
  if (!settings_.whole_text && !none)
    fail("a whole text that nobody wanted");
  if (settings_.whole_text)
    ++counts_[all ? "whole text" : "whole text beyond log_limit"];
}

void oracle::check_failed(const reader& r, const stream_failed& x, time_point now) {
  if (x.pieces != pieces_.size() || x.tokens != tokens_)
    fail("a failure that tells a wrong number of pieces or tokens");
  if (x.why.code == errc::slow_reader) {
    auto due = r.stuck_since ? later(*r.stuck_since, settings_.reader_idle) : std::nullopt;
    auto idle = due && *due <= now;
    auto joined = r.when_slow == slow_policy::coalesce && max_behind(r.next) > settings_.log_limit;
    auto dropped =
      r.when_slow == slow_policy::drop_subscriber && max_behind(std::max(r.next, r.past)) > settings_.window;
    if (!idle && (r.demand > 0 || (!joined && !dropped)))
      fail("a reader was ended as slow that was not");
    if (x.why.suggestion.empty())
      fail("slow_reader without a suggestion");
    ++counts_[idle ? "slow: idle" : joined ? "slow: beyond log_limit" : "slow: beyond window"];
    return;
  }
  auto* bad = end_ ? std::get_if<failure>(&*end_) : nullptr;
  auto late = end_ && settings_.deadline && *settings_.deadline <= now && r.next != pieces_.size();
  if (late && bad == nullptr && x.why.code == errc::deadline_exceeded) {
    ++counts_["late"];
    return;
  }
  ++counts_["failed"];
  if (bad == nullptr || !(*bad == x.why))
    return fail("failed, but the stream did not fail so");
  if (!cut_ && !late && r.next != pieces_.size())
    fail("failed before all that had arrived was handed over");
}

void oracle::take(const broadcast::credit& x, time_point now) {
  if (!live_)
    fail("credit without a transfer");
  if (x.bytes == 0)
    fail("credit of nothing");
  credit_ += x.bytes;
  uint64_t held = 0;
  for (auto& [id, r] : readers_)
    if (r.when_slow == slow_policy::wait)
      held = std::max(held, min_behind(r.next));
  if (credit_ + held > settings_.window)
    fail("credit beyond the window: " + std::to_string(credit_) + " out, " + std::to_string(held) + " unread");
  if (!paused_)
    return;
  ++counts_["resumed"];
  paused_ = false;
  moved_ = rate_from_ = now;
  rate_bytes_ = 0;
}

void oracle::take(const broadcast::give_up& x, time_point now) {
  if (!live_)
    return fail("a second timeout");
  auto due = timer_due();
  auto timed_out = due && *due <= now;
  due = rate_due();
  auto slow = due && *due <= now && too_few_bytes(now);
  if (!timed_out && !slow)
    fail("a timer fired early");
  const auto* kind = !any_event_ ? "first_token" : timed_out ? "timeouts.idle" : "min_bytes_per_second";
  if (x.why.code != errc::attempt_timeout || !has(x.why.suggestion, kind))
    fail("a timeout that names the wrong setting: " + to_string(x.why));
  ++counts_[kind];
  live_ = false;
}

void oracle::take(const broadcast::enough&, time_point) {
  fail("an end that nobody told of");
}

void oracle::take(const broadcast::abandon&, time_point now) {
  if (!wants_abandon(now))
    fail("an answer was cut off although it is wanted");
  ++counts_["abandoned"];
  abandoned_ = true;
  live_ = false;
}

bool oracle::wants_abandon(time_point now) const {
  if (!anyone_ || !readers_.empty() || end_ || abandoned_)
    return false;
  return !live_ || settings_.on_disconnect == disconnect_policy::cancel
         || (settings_.on_disconnect == disconnect_policy::drain_for && *alone_since_ + settings_.drain_time <= now);
}

// -- what holds when it has told all --------------------------------------------------

void oracle::settled(const broadcast& x, time_point now) {
  for (auto& [id, r] : readers_)
    check_reader(r, now);
  check_attempt(now);
  if (wants_abandon(now))
    fail("nobody listens, and the answer goes on");
  check_bounds(x);
  check_wake(x, now);
  if (x.handed_over() != handed_over_ || x.readers() != readers_.size() || x.over() != (end_ && readers_.empty()))
    fail("a status that is not true");
}

void oracle::check_reader(reader& r, time_point now) {
  auto waits = r.next < pieces_.size() && !undecided();
  if (cut_)
    fail("a reader was not ended by the cut");
  if (waits && r.demand > 0)
    fail("a reader with demand did not get what was there");
  if (end_ && settings_.deadline && *settings_.deadline <= now)
    fail("a reader was not ended by the deadline");
  if (!waits && end_)
    fail("a reader that has all did not get its end");
  if (undecided())
    ++counts_["kept back"];
  if (!waits || r.demand > 0)
    r.stuck_since.reset();
  else if (!r.stuck_since)
    r.stuck_since = now;
  auto due = r.stuck_since ? later(*r.stuck_since, settings_.reader_idle) : std::nullopt;
  if (due && *due <= now)
    fail("reader_idle did not fire");
  if (r.demand > 0)
    return;
  switch (r.when_slow) {
    case slow_policy::wait:
      if (min_behind(r.next) > settings_.window + largest_event_ + r.past_bytes)
        fail("a reader that the stream waits for is " + std::to_string(min_behind(r.next)) + " bytes behind");
      break;
    case slow_policy::coalesce:
      if (min_behind(r.next) > settings_.log_limit)
        fail("a reader is behind more than log_limit");
      break;
    case slow_policy::drop_subscriber:
      if (min_behind(std::max(r.next, r.past)) > settings_.window)
        fail("a reader is behind more than the window");
  }
}

std::optional<time_point> oracle::timer_due() const {
  if (!live_ || paused_)
    return {};
  return any_event_ ? later(moved_, settings_.idle) : later(begun_, settings_.first_token);
}

std::optional<time_point> oracle::rate_due() const {
  if (!live_ || paused_ || !any_event_ || settings_.min_bytes_per_second == 0)
    return {};
  return rate_from_ + settings_.rate_time;
}

bool oracle::too_few_bytes(time_point now) const {
  auto seconds = std::chrono::duration<double>(now - rate_from_).count();
  return static_cast<double>(rate_bytes_) < static_cast<double>(settings_.min_bytes_per_second) * seconds;
}

void oracle::check_attempt(time_point now) {
  if (auto due = timer_due(); due && *due <= now)
    fail("first_token or idle did not fire");
  if (auto due = rate_due(); due && *due <= now) {
    if (too_few_bytes(now))
      fail("min_bytes_per_second did not fire");
    rate_from_ = now;
    rate_bytes_ = 0;
  }
  if (!live_)
    return;
  uint64_t held = 0;
  for (auto& [id, r] : readers_)
    if (r.when_slow == slow_policy::wait)
      held = std::max(held, max_behind(r.next));
  if (credit_ + held < settings_.window / 2 || credit_ + held == 0)
    fail("no credit, but nobody holds the transfer back");
  if (credit_ == 0 && !paused_) {
    paused_ = true;
    ++counts_["paused"];
  }
}

void oracle::check_bounds(const broadcast& x) {
  auto first = x.status().kept_from;
  uint64_t behind = 0;
  for (auto& [id, r] : readers_) {
    behind = std::max(behind, max_behind(r.next));
    if (r.next < first)
      fail("what a reader has not had was forgotten");
  }
  auto kept = x.status().kept_bytes;
  if (kept > std::max<uint64_t>(settings_.log_limit, behind + block))
    fail("the log keeps " + std::to_string(kept) + " bytes");
  if (first > 0 && kept + block < settings_.log_limit)
    fail("the log has forgotten what is within log_limit");
  if (kept < min_behind(first) || kept > max_behind(first))
    fail("the log does not keep what it says");
  if (x.status().pieces != pieces_.size() || x.status().tokens != tokens_)
    fail("a status with a wrong number of pieces or tokens");
  if (first > 0)
    ++counts_["forgotten"];
}

void oracle::check_wake(const broadcast& x, time_point now) {
  std::optional<time_point> due;
  for (auto& [id, r] : readers_)
    if (r.stuck_since)
      lower(due, later(*r.stuck_since, settings_.reader_idle));
  if (end_ && !readers_.empty())
    lower(due, settings_.deadline);
  if (!end_ && !abandoned_) {
    lower(due, timer_due());
    lower(due, rate_due());
    if (alone_since_ && settings_.on_disconnect == disconnect_policy::drain_for)
      lower(due, *alone_since_ + settings_.drain_time);
  }
  auto wake = x.wake_at();
  if (wake && *wake <= now)
    fail("it wants to be woken for nothing");
  else if (wake != due)
    fail(!wake          ? "it does not want to be woken in time"
         : !due         ? "it wants to be woken without a reason"
         : *wake > *due ? "it wants to be woken too late"
                        : "it wants to be woken too early");
}

} // namespace modelforge::test
