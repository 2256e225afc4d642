#include "stream/broadcast.hpp"

#include <algorithm>
#include <utility>

namespace modelforge::stream {

namespace {

/// `start` + `length`, where a length of 0 never comes.
std::optional<time_point> after(time_point start, duration length) {
  if (length.count() <= 0 || length >= time_point::max() - start)
    return {};
  return start + length;
}

/// The earlier one of those there are.
std::optional<time_point> earlier(std::optional<time_point> a, std::optional<time_point> b) {
  return a && b ? std::min(a, b) : a ? a : b;
}

std::string bytes_text(uint64_t bytes) {
  return bytes < 10'000 ? std::to_string(bytes) + " bytes" : std::to_string(bytes >> 10) + " KiB";
}

} // namespace

// -- readers ------------------------------------------------------------------------

// While it is not decided whether the attempt is kept, nobody has anything, so one may join at the very beginning only.
std::variant<broadcast::reader_id, failure> broadcast::join(const subscription& wanted, time_point now) {
  auto first = log_.begin().piece;
  auto next = undecided() ? 0 : log_.end().piece;
  if (wanted.from > next)
    return make_failure(errc::invalid_request,
                        "piece " + std::to_string(wanted.from) + " is still to come: there are " + std::to_string(next),
                        "subscribe from " + std::to_string(next) + " or earlier");
  if (wanted.from < first)
    return make_failure(errc::too_large,
                        "piece " + std::to_string(wanted.from) + " of the stream is not kept any more: the oldest is "
                          + std::to_string(first),
                        "subscribe earlier, or raise log_limit (" + bytes_text(settings_.log_limit) + ")");
  handed_over_ |= wanted.from > 0;
  drain_until_.reset();
  serve_from_ = 0;
  auto& reader = readers_[++last_reader_];
  reader.when_slow = wanted.when_slow;
  reader.position = log_.find(wanted.from);
  reader.past = log_.end().bytes;
  reader.demand = wanted.demand;
  note(reader, now);
  return last_reader_;
}

void broadcast::grant(reader_id id, uint64_t chunks, time_point now) {
  auto i = readers_.find(id);
  if (i == readers_.end() || chunks == 0)
    return;
  auto& demand = i->second.demand;
  demand += std::min(chunks, UINT64_MAX - demand);
  serve_from_ = std::min(serve_from_, id);
  note(i->second, now);
}

void broadcast::leave(reader_id id, time_point now) {
  if (readers_.erase(id) > 0 && readers_.empty())
    nobody_left(now);
}

void broadcast::nobody_left(time_point now) {
  if (settings_.on_disconnect == disconnect_policy::drain_for)
    drain_until_ = after(now, settings_.drain_time).value_or(now);
}

// -- the attempt ----------------------------------------------------------------------

void broadcast::begin(time_point now) {
  attempt_.live = true;
  ++attempt_.number;
  attempt_.granted = settings_.window;
  attempt_.received = 0;
  attempt_.paused = false;
  attempt_.any_event = false;
  attempt_.end = wire::stream_end::open;
  attempt_.begun = attempt_.last_event = now;
}

// Progress is counted by events, not by bytes: servers send comments to keep connections alive. The rate is measured
// from the first piece on, since a model may think before it speaks.
void broadcast::received(std::size_t bytes, std::size_t events, uint64_t tokens, time_point now) {
  attempt_.received += bytes;
  attempt_.rate_bytes += bytes;
  log_.set_tokens(tokens);
  serve_from_ = 0;
  if (events == 0)
    return;
  attempt_.last_event = now;
  if (log_.end().piece > 0 && !std::exchange(attempt_.any_event, true)) {
    attempt_.rate_from = now;
    attempt_.rate_bytes = 0;
  }
  if (!attempt_.first_token && log_.end().piece > 0)
    attempt_.first_token = now - attempt_.begun;
}

void broadcast::note_end(wire::stream_end seen, time_point now) {
  if (seen != wire::stream_end::sure || attempt_.end != seen)
    attempt_.end_seen = now;
  attempt_.end = seen;
}

void broadcast::attempt_ended() {
  attempt_.live = false;
}

void broadcast::rewind() {
  log_.clear();
  attempt_.first_token.reset();
  for (auto& [id, reader] : readers_) {
    reader.position = {};
    reader.past = 0;
    reader.stuck_since.reset();
  }
}

// -- the end --------------------------------------------------------------------------

// The whole text is put together here, from what is kept, if it was asked for: the session holds it once, not twice.
// Unless it comes with its end, since it was judged as a whole; then that is the text, whatever the pieces were.
void broadcast::finish(std::variant<completion, failure> outcome) {
  attempt_.live = false;
  serve_from_ = 0;
  if (end_)
    return;
  end_ = std::move(outcome);
  auto* good = std::get_if<completion>(&*end_);
  if (good == nullptr || !settings_.whole_text)
    return;
  auto judged = std::exchange(good->text, {});
  if (log_.begin().piece == 0)
    log_.collect(*good);
  if (!judged.empty())
    good->text = std::move(judged);
  else if (log_.begin().piece > 0)
    good->warnings.push_back("the whole text is longer than log_limit (" + bytes_text(settings_.log_limit)
                             + ") and is not repeated here");
}

void broadcast::cut(const failure& problem) {
  finish(problem);
  for (auto& [id, reader] : readers_)
    reader.ended_by = problem;
}

stream_failed broadcast::failed(const failure& problem) const {
  return {settings_.id, problem, log_.end().piece, log_.tokens()};
}

std::variant<stream_done, stream_failed> broadcast::ending() const {
  if (auto* bad = std::get_if<failure>(&*end_))
    return failed(*bad);
  return stream_done{settings_.id, std::get<completion>(*end_), log_.end().piece,
                     attempt_.first_token.value_or(duration{0})};
}

// -- what to do -----------------------------------------------------------------------

// Readers first, each as far as it goes; then what nobody needs is forgotten; then what is overdue; credit last, since
// it depends on how far the readers are.
std::optional<broadcast::step> broadcast::next(time_point now) {
  for (auto i = readers_.lower_bound(serve_from_); i != readers_.end(); i = readers_.upper_bound(serve_from_)) {
    serve_from_ = i->first;
    if (auto step = serve(i, now))
      return step;
  }
  serve_from_ = 0;
  trim();
  if (auto step = overdue(now))
    return step;
  return give_credit(now);
}

// One step for one reader: its early end, its next chunk, or its end.
std::optional<broadcast::step> broadcast::serve(reader_map::iterator i, time_point now) {
  auto& reader = i->second;
  if (!reader.ended_by)
    reader.ended_by = too_late(reader, now);
  if (!reader.ended_by)
    reader.ended_by = too_slow(reader, now);
  if (reader.ended_by) {
    auto ending = failed(*reader.ended_by);
    readers_.erase(i);
    if (readers_.empty())
      nobody_left(now);
    return conclude{serve_from_, std::move(ending)};
  }
  if (behind(reader) > 0 && reader.demand > 0 && !undecided()) {
    deliver result{i->first, {settings_.id, reader.position.piece, 0, {}, 0}};
    reader.position =
      log_.read(reader.position, settings_.chunk_bytes, reader.when_slow == slow_policy::coalesce, result.chunk);
    reader.demand -= reader.demand < UINT64_MAX;
    handed_over_ = true;
    reader.stuck_since.reset();
    note(reader, now);
    return result;
  }
  if (behind(reader) == 0 && end_) {
    readers_.erase(i);
    return conclude{serve_from_, ending()};
  }
  note(reader, now);
  return {};
}

void broadcast::note(reader& reader, time_point now) {
  if (reader.demand > 0 || behind(reader) == 0 || undecided())
    reader.stuck_since.reset();
  else if (!reader.stuck_since)
    reader.stuck_since = now;
}

// A reader without demand that could have something is slow. How slow it may be is its own choice of policy; one that
// wants nothing for `reader_idle` is ended whatever its policy.
std::optional<failure> broadcast::too_slow(const reader& reader, time_point now) const {
  auto slow = [&](std::string message, std::string suggestion) {
    return make_failure(errc::slow_reader, std::move(message), std::move(suggestion));
  };
  auto due = reader.stuck_since ? after(*reader.stuck_since, settings_.reader_idle) : std::nullopt;
  if (due && *due <= now)
    return slow("the subscriber wanted nothing for " + duration_text(settings_.reader_idle)
                  + ", although there was something to take",
                "raise stream.reader_idle, e.g. to " + duration_text(2 * settings_.reader_idle)
                  + ", or have it grant demand as it goes on");
  if (reader.demand > 0 || reader.when_slow == slow_policy::wait)
    return {};
  auto joined = reader.when_slow == slow_policy::coalesce;
  auto limit = joined ? settings_.log_limit : settings_.window;
  auto missed = joined ? behind(reader) : log_.end().bytes - std::max(reader.position.bytes, reader.past);
  if (missed <= limit)
    return {};
  return slow("the subscriber is " + bytes_text(missed) + " behind, more than its "
                + (joined ? "log_limit of " : "window of ") + bytes_text(limit),
              joined ? "raise stream.log_limit, or let the stream wait for it (when_slow = wait)"
                     : "let the stream wait for it (when_slow = wait), or grant more demand");
}

// A request is over for its provider when the answer has ended, so from then on nobody but this holds its readers to
// the deadline. One that has all is not late.
std::optional<failure> broadcast::too_late(const reader& reader, time_point now) const {
  if (!end_ || !settings_.deadline || now < *settings_.deadline || behind(reader) == 0)
    return {};
  if (auto* bad = std::get_if<failure>(&*end_))
    return *bad;
  return make_failure(errc::deadline_exceeded,
                      "the deadline passed before the subscriber had taken the answer, which was complete",
                      "raise the request's deadline, or have the subscriber grant demand faster");
}

// What happens by the passing of time: an answer that nobody listens to, and an attempt that is too slow. The rate is
// looked at once per `rate_time`, and the count begins again.
std::optional<broadcast::step> broadcast::overdue(time_point now) {
  if (end_ || abandoned_)
    return {};
  if (readers_.empty() && last_reader_ > 0) {
    auto goes_on = attempt_.live && settings_.on_disconnect != disconnect_policy::cancel;
    if (!goes_on || (drain_until_ && *drain_until_ <= now)) {
      abandoned_ = true;
      attempt_.live = false;
      return abandon{};
    }
  }
  auto due = attempt_due();
  auto has_end = attempt_.live && attempt_.end != wire::stream_end::open;
  if (auto over = earlier(end_due(), has_end ? due : std::nullopt); over && *over <= now) {
    attempt_.live = false;
    return enough{attempt_.end == wire::stream_end::sure};
  }
  if (!due || *due > now)
    return {};
  auto slow = after(attempt_.rate_from, settings_.rate_time);
  if (attempt_.any_event && settings_.min_bytes_per_second > 0 && slow == due) {
    auto seconds = std::chrono::duration<double>(now - attempt_.rate_from).count();
    if (static_cast<double>(attempt_.rate_bytes) >= static_cast<double>(settings_.min_bytes_per_second) * seconds) {
      attempt_.rate_from = now;
      attempt_.rate_bytes = 0;
      return overdue(now); // idle may be due too
    }
  }
  attempt_.live = false;
  return give_up{timeout(now)};
}

// While a reader holds the transfer back nothing is due: it is not the provider who is slow.
std::optional<time_point> broadcast::attempt_due() const {
  if (!attempt_.live || held_back())
    return {};
  if (!attempt_.any_event)
    return after(attempt_.begun, settings_.first_token);
  auto due = after(attempt_.last_event, settings_.idle);
  if (settings_.min_bytes_per_second > 0)
    due = earlier(due, after(attempt_.rate_from, settings_.rate_time));
  return due;
}

// A sure end counts although a reader holds the transfer back: what he has not taken is here.
std::optional<time_point> broadcast::end_due() const {
  if (!attempt_.live || attempt_.end == wire::stream_end::open)
    return {};
  if (attempt_.end == wire::stream_end::sure)
    return after(attempt_.end_seen, settings_.sure_end);
  return held_back() ? std::nullopt : after(attempt_.end_seen, settings_.likely_end);
}

// Which of the bounds was passed, in the words of the settings that would raise it.
failure broadcast::timeout(time_point now) const {
  auto raise = [](const char* setting, duration limit) {
    return std::string{"raise timeouts."} + setting + ", e.g. from " + duration_text(limit) + " to "
           + duration_text(2 * limit) + ", if the model may be that slow";
  };
  if (!attempt_.any_event)
    return make_failure(errc::attempt_timeout,
                        "the provider sent nothing of the answer for " + duration_text(now - attempt_.begun),
                        raise("first_token", settings_.first_token));
  if (auto due = after(attempt_.last_event, settings_.idle); due && *due <= now)
    return make_failure(errc::attempt_timeout,
                        "the stream stood still for " + duration_text(now - attempt_.last_event) + " after "
                          + std::to_string(log_.end().piece) + " pieces",
                        raise("idle", settings_.idle));
  return make_failure(errc::attempt_timeout,
                      "the stream brought " + bytes_text(attempt_.rate_bytes) + " in "
                        + duration_text(now - attempt_.rate_from) + ", less than stream.min_bytes_per_second ("
                        + std::to_string(settings_.min_bytes_per_second) + ")",
                      "lower stream.min_bytes_per_second if the model may be that slow");
}

// The transfer may be a `window` ahead of the slowest reader that it waits for. Credit is given in parts of a quarter
// of the window and more: each costs a command to the transport.
std::optional<broadcast::step> broadcast::give_credit(time_point now) {
  if (!attempt_.live)
    return {};
  uint64_t held = 0;
  for (auto& [id, reader] : readers_)
    if (reader.when_slow == slow_policy::wait)
      held = std::max(held, behind(reader));
  auto wanted = settings_.window - std::min<uint64_t>(held, settings_.window);
  auto open = attempt_.granted - std::min(attempt_.granted, attempt_.received);
  if (wanted <= open || wanted - open < (settings_.window + 3) / 4) {
    attempt_.paused |= held_back();
    return {};
  }
  if (std::exchange(attempt_.paused, false)) // it goes on from here
    attempt_.last_event = attempt_.rate_from = now, attempt_.rate_bytes = 0;
  attempt_.granted += wanted - open;
  return credit{static_cast<std::size_t>(wanted - open)};
}

void broadcast::trim() {
  if (log_.bytes() <= settings_.log_limit)
    return;
  auto oldest = log_.end();
  for (auto& [id, reader] : readers_)
    if (reader.position.piece < oldest.piece)
      oldest = reader.position;
  log_.forget(oldest, settings_.log_limit);
}

std::optional<time_point> broadcast::wake_at() const {
  std::optional<time_point> result;
  for (auto& [id, reader] : readers_)
    if (reader.stuck_since)
      result = earlier(result, after(*reader.stuck_since, settings_.reader_idle));
  if (end_ && !readers_.empty() && settings_.deadline != time_point::max()) // the end of time is never
    result = earlier(result, settings_.deadline);
  if (end_ || abandoned_)
    return result;
  return earlier(result, earlier(earlier(attempt_due(), end_due()), drain_until_));
}

stream_status broadcast::status() const {
  stream_status result;
  result.stream = settings_.id;
  result.stage = end_             ? (readers_.empty() ? stream_stage::ended : stream_stage::handing)
                 : !attempt_.live ? stream_stage::waiting
                 : held_back()    ? stream_stage::paused
                                  : stream_stage::open;
  result.attempts = attempt_.number;
  result.pieces = log_.end().piece;
  result.tokens = log_.tokens();
  result.kept_from = log_.begin().piece;
  result.kept_bytes = log_.bytes();
  result.subscribers = static_cast<uint32_t>(readers_.size());
  return result;
}

} // namespace modelforge::stream
