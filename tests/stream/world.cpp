#include "tests/stream/world.hpp"

#include <algorithm>
#include <utility>

namespace modelforge::test {

using namespace std::chrono_literals;
using stream::broadcast;

world::world(const prose& words, uint64_t seed)
  : words_(words), random_(seed * 7919 + 1), settings_(draw_settings(random_)), tested_(settings_), oracle_(settings_) {
  network_ = draw_time(1e-6, 0.2);
  usual_pause_ = chance(0.5) ? 0ns : draw_time(1e-4, 0.3);
  alarm_delay_ = chance(0.5) ? 0ns : draw_time(1e-6, 1e-3);
  attempts_left_ = static_cast<uint32_t>(1 + random_() % 3);
  draw_listeners();
  at(0ns, [this] { begin(); });
  if (settings_.deadline)
    at(*settings_.deadline - now_, [this] { give_up(); });
  if (chance(0.15))
    at(draw_time(1e-3, 60), [this] { cut("the caller has cancelled"); });
}

// -- drawing --------------------------------------------------------------------------

duration world::draw_time(double min_seconds, double max_seconds) {
  return duration{static_cast<int64_t>(scale(random_, min_seconds * 1e9, max_seconds * 1e9))};
}

stream::broadcast_settings world::draw_settings(std::mt19937_64& random) {
  auto time = [&](double never, double least, double most) {
    return test::chance(random, never) ? 0ns : duration{static_cast<int64_t>(scale(random, least * 1e9, most * 1e9))};
  };
  stream::broadcast_settings x;
  x.window = test::chance(random, 0.1) ? scale(random, 1, 1024) : scale(random, 1024, 65537);
  x.chunk_bytes = test::chance(random, 0.5) ? 16384 : scale(random, 1, 16384);
  x.log_limit = test::chance(random, 0.1) ? 0 : scale(random, 256, 1 << 20);
  x.first_token = time(0.3, 0.1, 20);
  x.idle = time(0.3, 0.05, 20);
  x.min_bytes_per_second = test::chance(random, 0.6) ? 0 : scale(random, 1, 10'000);
  x.rate_time = test::chance(random, 0.3) && x.idle > 0ns ? x.idle : time(0, 0.5, 20);
  x.reader_idle = time(0.4, 0.5, 60);
  x.on_disconnect = static_cast<disconnect_policy>(random() % 3);
  x.drain_time = time(0.1, 0.01, 10);
  x.whole_text = test::chance(random, 0.4);
  if (test::chance(random, 0.3))
    x.deadline = start + time(0, 0.1, 120);
  return x;
}

void world::draw_listeners() {
  listeners_.resize(1 + random_() % 6);
  auto patient = chance(0.3); // nobody is slow by will
  for (auto& x : listeners_) {
    x.as.when_slow = static_cast<slow_policy>(random_() % 3);
    x.as.demand = chance(0.2) ? 0 : static_cast<uint32_t>(scale(random_, 1, 64));
    x.batch = static_cast<uint32_t>(scale(random_, 1, 16));
    x.think = chance(0.4) ? draw_time(1e-6, 1e-3) : draw_time(1e-3, patient ? 0.1 : 3);
    if (!patient && chance(0.2))
      x.withholds_after = chance(0.3) ? 0 : scale(random_, 1, 50);
    if (chance(0.15))
      x.leaves_after = scale(random_, 1, 100);
    auto* who = &x;
    if (who == &listeners_.front() || chance(0.5))
      come(x);
    else
      at(draw_time(1e-4, 20), [this, who] {
        if (!tested_.over())
          come(*who);
      });
    if (chance(0.15))
      at(draw_time(1e-3, 60), [this, who] {
        if (auto id = std::exchange(who->id, 0))
          act([&] {
            tested_.leave(id, now_);
            oracle_.left(id, now_);
          });
      });
  }
}

world::attempt world::draw_attempt() {
  attempt x;
  auto bytes = chance(0.1) ? scale(random_, 1, 50) : scale(random_, 1'000, 2'000'000);
  if (settings_.window < 1024)
    bytes = std::min<uint64_t>(bytes, settings_.window * 300);
  piece_size_ = chance(0.5) ? scale(random_, 1, 20) : scale(random_, 20, 4'000);
  next_call_ = 0;
  for (std::size_t sum = 0; sum < bytes && x.events.size() < 5'000; sum += x.events.back().bytes)
    x.events.push_back(draw_event());
  x.how = chance(0.6) ? ending::well : static_cast<ending>(1 + random_() % 3);
  x.end_pause = chance(0.5) ? 0ns : draw_time(1e-4, 5);
  if (x.how == ending::hangs && chance(0.5)) // pings do not keep it alive
    for (int i = 0; i < 60; ++i)
      x.events.push_back({1s, 1 + random_() % 100, false, {}});
  x.tells_tokens = chance(0.3);
  return x;
}

world::event world::draw_event() {
  event x;
  x.pause = chance(0.003) ? draw_time(0.1, 40) : chance(0.3) ? usual_pause_ : 0ns;
  x.bytes = scale(random_, 2, 60);
  x.counts = !chance(0.05);
  if (!x.counts && chance(0.2))
    x.bytes = settings_.window; // a comment that takes all credit
  if (x.counts && !chance(0.05))
    draw_pieces(x);
  return x;
}

void world::draw_pieces(event& to) {
  auto text = words_.draw(random_, chance(0.003) ? scale(random_, 16'000, 50'000) : scale(random_, 1, 2 * piece_size_));
  said x;
  if (chance(0.7)) {
    x.kind = chance(0.7) ? piece_kind::text : static_cast<piece_kind>(random_() % 3);
  } else {
    x.kind = piece_kind::tool_call;
    if (next_call_ == 0 || chance(0.1)) {
      x.call = next_call_++;
      x.call_id = "call_" + std::to_string(x.call);
      x.call_name = std::string(words_.beginning(text, 60));
      to.bytes += 40 + x.call_id.size() + x.call_name.size();
      to.says.push_back(x);
      return;
    }
    x.call = static_cast<uint32_t>(random_() % next_call_);
  }
  to.bytes += 40 + text.size();
  while (!text.empty()) {
    x.text = words_.beginning(text, 16'384);
    to.says.push_back(x);
    to.bytes += 20;
    text.remove_prefix(x.text.size());
  }
}

// -- what happens ---------------------------------------------------------------------

std::string world::run() {
  for (std::size_t i = 0; oracle_.problem().empty(); ++i) {
    if (i > 1'000'000)
      return "it never ends";
    if (events_.empty()) {
      if (tested_.over())
        break;
      if (!may_stand_still())
        return "nothing happens any more, and it is not over";
      cut("the deadline has passed");
      continue;
    }
    auto first = events_.extract(events_.begin());
    now_ = first.key();
    first.mapped()();
  }
  if (!oracle_.problem().empty())
    return oracle_.problem() + " (" + std::to_string((now_.time_since_epoch() - 1h) / 1us) + " us)";
  return !tested_.wake_at() && !tested_.next(now_) ? "" : "something is left over";
}

/// Whether a reader or the server may keep it from its end for ever.
bool world::may_stand_still() const {
  for (auto& x : listeners_)
    if (x.id != 0 && x.taken >= x.withholds_after && settings_.reader_idle == 0ns)
      return true;
  auto timed =
    oracle_.any_event() ? settings_.idle > 0ns || settings_.min_bytes_per_second > 0 : settings_.first_token > 0ns;
  return transfer_ && attempt_.how == ending::hangs && !timed;
}

void world::act(const std::function<void()>& what) {
  what();
  for (int i = 0; auto x = tested_.next(now_); ++i) {
    oracle_.told(*x, now_);
    if (!oracle_.problem().empty() || i > 100'000)
      return;
    obey(std::move(*x));
  }
  oracle_.settled(tested_, now_);
  set_alarm();
}

void world::set_alarm() {
  auto wake = tested_.wake_at();
  if (!wake || (alarm_ && *alarm_ <= *wake))
    return;
  alarm_ = wake;
  at(*wake - now_ + alarm_delay_, [this, wake] {
    if (alarm_ == wake)
      alarm_.reset();
    act([] {});
  });
}

void world::obey(broadcast::step x) {
  if (auto* chunk = std::get_if<broadcast::deliver>(&x)) {
    at(network_, [this, who = who_.at(chunk->to)] { take(who); });
  } else if (auto* last = std::get_if<broadcast::conclude>(&x)) {
    listeners_[who_.at(last->to)].id = 0;
  } else if (auto* more = std::get_if<broadcast::credit>(&x)) {
    at(network_, [this, number = number_, bytes = more->bytes] {
      if (number != number_ || !transfer_)
        return;
      attempt_.credit += bytes;
      if (std::exchange(attempt_.blocked, false))
        send();
    });
  } else if (std::holds_alternative<broadcast::give_up>(x)) {
    end_attempt();
    attempt_.how = ending::cut;
  } else {
    transfer_ = false;
    at(0ns, [this] { finish(make_failure(errc::cancelled, "nobody listens")); });
  }
}

// -- the server and its transport -----------------------------------------------------

void world::begin() {
  if (oracle_.ended())
    return;
  --attempts_left_;
  ++number_;
  attempt_ = draw_attempt();
  attempt_.credit = settings_.window;
  transfer_ = true;
  act([this] {
    if (tested_.pieces().end().piece > 0) {
      tested_.rewind();
      oracle_.rewound();
    }
    tested_.begin(now_);
    oracle_.begun(now_);
  });
  at(network_, [this] { go_on(); });
}

/// Waits as the next event says, then sends.
void world::go_on() {
  auto& x = attempt_;
  auto pause = x.next < x.events.size() ? x.events[x.next].pause : x.end_pause;
  if (x.next == x.events.size() && x.how == ending::hangs)
    return;
  x.paused_for = true;
  at(pause, [this, number = number_] {
    if (number == number_ && transfer_)
      send();
  });
}

void world::send() {
  auto& x = attempt_;
  if (x.next == x.events.size())
    return end_of_body();
  if (x.credit == 0) {
    x.blocked = true;
    return;
  }
  auto most = std::min<std::size_t>(x.credit, scale(random_, 1, 16'385));
  if (chance(0.3))
    most = std::min<std::size_t>(x.credit, 16'384);
  std::size_t bytes = 0;
  auto from = x.next;
  while (x.next < x.events.size() && bytes < most && (x.sent > 0 || x.events[x.next].pause == 0ns || x.paused_for)) {
    auto part = std::min(most - bytes, x.events[x.next].bytes - x.sent);
    bytes += part;
    x.sent += part;
    x.paused_for = false;
    if (x.sent < x.events[x.next].bytes)
      break;
    x.sent = 0;
    ++x.next;
  }
  x.credit -= bytes;
  auto last = x.next == x.events.size() && x.end_pause == 0ns && x.how != ending::hangs;
  at(network_, [this, number = number_, bytes, from, to = x.next, last] { arrive(number, bytes, from, to, last); });
  if (x.sent > 0 || (x.next < x.events.size() && x.events[x.next].pause == 0ns))
    at(duration{bytes * (1 + random_() % 100)}, [this, number = number_] {
      if (number == number_ && transfer_)
        send();
    });
  else if (!last)
    go_on();
}

void world::end_of_body() {
  at(network_, [this, number = number_] { arrive(number, 0, attempt_.next, attempt_.next, true); });
}

void world::arrive(uint64_t number, std::size_t bytes, std::size_t from, std::size_t to, bool last) {
  if (number != number_ || !transfer_)
    return;
  act([&] {
    std::size_t events = 0;
    std::size_t largest = 0;
    for (auto i = from; i < to; ++i) {
      auto& x = attempt_.events[i];
      events += x.counts;
      largest = std::max(largest, x.bytes);
      attempt_.tokens += attempt_.tells_tokens ? 3 : x.says.size();
      for (std::size_t k = 0; k < x.says.size(); ++k) {
        auto& y = x.says[k];
        oracle_.came(y);
        std::string_view all{y.text.data(), y.text.size()};
        for (; k + 1 < x.says.size(); ++k) { // a long one comes whole
          oracle_.came(x.says[k + 1]);
          all = {all.data(), all.size() + x.says[k + 1].text.size()};
        }
        if (!y.call_id.empty())
          tested_.tool_call(y.call, y.call_id, y.call_name, {});
        else if (y.kind == piece_kind::text)
          tested_.text(all);
        else if (y.kind == piece_kind::reasoning)
          tested_.reasoning(all);
        else if (y.kind == piece_kind::refusal)
          tested_.refusal(all);
        else
          tested_.tool_arguments(y.call, all);
      }
    }
    if (bytes > 0) {
      tested_.received(bytes, events, attempt_.tokens, now_);
      oracle_.received(bytes, events, largest, attempt_.tokens, now_);
    }
    if (last)
      end_attempt();
  });
}

// -- the owner ------------------------------------------------------------------------

/// Reports to the provider, who decides a little later.
void world::end_attempt() {
  tested_.attempt_ended();
  oracle_.attempt_ended();
  transfer_ = false;
  auto well = attempt_.how == ending::well && attempt_.next == attempt_.events.size();
  at(chance(0.5) ? 0ns : draw_time(1e-6, 1e-2),
     [this, well, repeatable = !tested_.handed_over()] { decide(well, repeatable); });
}

void world::decide(bool well, bool repeatable) {
  if (oracle_.ended())
    return;
  if (well) {
    completion x;
    x.raw_finish_reason = "stop at " + std::to_string(number_);
    finish(x);
  } else if (repeatable && attempts_left_ > 0) {
    at(draw_time(1e-4, 3), [this] { begin(); });
  } else {
    finish(make_failure(errc::stream_interrupted, "attempt " + std::to_string(number_) + " failed"));
  }
}

void world::finish(std::variant<completion, failure> how) {
  act([&] {
    oracle_.finished(how);
    tested_.finish(std::move(how));
  });
}

/// The provider, at the deadline of a request that is not over.
void world::give_up() {
  if (oracle_.ended())
    return;
  transfer_ = false;
  finish(make_failure(errc::deadline_exceeded, "the provider took too long"));
}

void world::cut(const char* why) {
  if (tested_.over())
    return;
  transfer_ = false;
  act([&] {
    auto x = make_failure(errc::cancelled, why);
    oracle_.cut(x);
    tested_.cut(x);
  });
}

// -- the readers ----------------------------------------------------------------------

void world::come(listener& x) {
  auto kept = tested_.status().kept_from;
  auto pieces = tested_.status().pieces;
  if (chance(0.4))
    x.as.from = kept + random_() % (pieces - kept + 1);
  else if (chance(0.15))
    x.as.from = pieces + random_() % 3;
  act([&] {
    auto answer = tested_.join(x.as, now_);
    if (auto* problem = std::get_if<failure>(&answer))
      return oracle_.refused(x.as, *problem);
    x.id = std::get<broadcast::reader_id>(answer);
    who_[x.id] = static_cast<std::size_t>(&x - listeners_.data());
    x.demand = x.as.demand;
    oracle_.joined(x.id, x.as);
  });
  if (x.id != 0 && x.demand == 0)
    grant(static_cast<std::size_t>(&x - listeners_.data()));
}

void world::take(std::size_t who) {
  auto& x = listeners_[who];
  if (x.id == 0)
    return;
  ++x.taken;
  --x.demand;
  ++x.ungranted;
  if (x.taken >= x.leaves_after) {
    act([&] {
      auto id = std::exchange(x.id, 0);
      tested_.leave(id, now_);
      oracle_.left(id, now_);
    });
  } else if (x.ungranted >= x.batch || x.demand == 0) {
    grant(who);
  }
}

void world::grant(std::size_t who) {
  auto& x = listeners_[who];
  if (x.taken >= x.withholds_after || std::exchange(x.busy, true))
    return;
  at(x.think + network_, [this, who] {
    auto& y = listeners_[who];
    y.busy = false;
    if (y.id == 0)
      return;
    auto chunks = std::max(std::exchange(y.ungranted, 0u), 1u);
    y.demand += chunks;
    act([&] {
      oracle_.granted(y.id, chunks);
      tested_.grant(y.id, chunks, now_);
    });
  });
}

} // namespace modelforge::test
