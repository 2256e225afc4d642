#include "limits/rate_limiter.hpp"

#include <algorithm>
#include <cmath>

namespace modelforge::limits {

namespace {

constexpr auto quantum = std::chrono::milliseconds{1};
constexpr auto minute = std::chrono::minutes{1};

/// The next whole millisecond at or after `time`.
time_point round_up(time_point time) {
  return std::chrono::ceil<std::chrono::milliseconds>(time);
}

bool is_nothing(const amounts& amount) {
  return amount == amounts{};
}

charge bounded(const charge& given) {
  return {limits::bounded(given.arriving), limits::bounded(given.produced)};
}

constexpr auto longest = rate_limiter::longest_prediction;

/// `unit` times `count`, at most `longest`.
duration times(duration unit, uint64_t count) {
  return unit.count() > 0 && count > static_cast<uint64_t>(longest / unit) ? longest
                                                                           : static_cast<int64_t>(count) * unit;
}

} // namespace

rate_limiter::rate_limiter(const rate_limits& settings)
  : burst_(std::max<uint64_t>(1, settings.burst)), window_(settings.window),
    guard_(settings.guard), pacers_{pacer{burst_}, pacer{burst_}, pacer{burst_}, pacer{burst_}} {
  configure(settings);
}

// Limits scale with the window: 60 a minute are 10 in ten seconds, and never less than 1.
void rate_limiter::configure(const rate_limits& settings) {
  auto share = std::chrono::duration<double>(window_) / minute;
  for (std::size_t i = 0; i < limits_.size(); ++i) {
    configured_[i].reset();
    if (settings.per_minute[i])
      configured_[i] = std::max<uint64_t>(
        1, window_ == minute ? *settings.per_minute[i]
                             : static_cast<uint64_t>(static_cast<double>(*settings.per_minute[i]) * share));
  }
  limits_ = configured_;
}

// A longer window keeps what is charged for longer, so its expiries move; a shorter one leaves them as
// they are.
void rate_limiter::reconfigure(const rate_limits& settings) {
  auto before = span();
  burst_ = std::max<uint64_t>(1, settings.burst);
  window_ = settings.window;
  guard_ = settings.guard;
  for (auto& each : pacers_)
    each.set_burst(burst_);
  configure(settings);
  auto longer = std::chrono::ceil<std::chrono::milliseconds>(span() - before);
  if (longer.count() <= 0)
    return;
  for (auto& each : log_)
    each.expiry += longer;
  for (auto& each : open_)
    each.expiry += longer;
}

void rate_limiter::set_limit(dimension d, std::optional<uint64_t> in_window) {
  limits_[static_cast<std::size_t>(d)] = in_window ? std::optional{std::max<uint64_t>(1, *in_window)} : std::nullopt;
}

std::optional<dimension> rate_limiter::never_fits(const amounts& wanted) const {
  for (std::size_t i = 0; i < wanted.size(); ++i)
    if (limits_[i] && wanted[i] > *limits_[i])
      return static_cast<dimension>(i);
  return {};
}

time_point rate_limiter::ready_at(const charge& wanted, time_point now, const charge* before) {
  expire(now);
  auto ahead = before != nullptr ? limits::bounded(before->total()) : amounts{};
  amounts need{};
  for (std::size_t i = 0; i < limits_.size(); ++i)
    need[i] = room_for(i, wanted, ahead[i]);
  auto result = gate(need, ahead, now);
  for (std::size_t i = 0; i < limits_.size(); ++i)
    if (limits_[i] && need[i] > 0) {
      auto cost = cost_of(i, ahead[i]);
      result = std::max(result, pacers_[i].ready_at(now, ahead[i] > 0 ? &cost : nullptr));
    }
  return result;
}

/// What must be free for `wanted` behind `ahead`: what it takes, or, if that is more than the limit, as much as it may
/// have.
uint64_t rate_limiter::room_for(std::size_t d, const charge& wanted, uint64_t ahead) const {
  auto total = limits::bounded(wanted.total())[d];
  if (!limits_[d] || total <= *limits_[d])
    return total;
  auto limit = *limits_[d];
  if (wanted.produced[d] == 0 || wanted.arriving[d] >= limit / 2 || pending_[d] + ahead > 0)
    return limit;
  return wanted.arriving[d] + limit - limit / 2;
}

// Walks the log from the entry that expires first until enough has come free. What is under way has no expiry yet: at
// the latest it counts as written now.
time_point rate_limiter::gate(const amounts& need, const amounts& ahead, time_point now) const {
  auto result = now;
  for (std::size_t i = 0; i < limits_.size(); ++i) {
    if (!limits_[i] || need[i] == 0)
      continue;
    auto wanted = logged_[i] + pending_[i] + ahead[i] + need[i];
    if (wanted <= *limits_[i])
      continue;
    auto excess = wanted - *limits_[i];
    auto fits = round_up(now + span()); // when all that is under way now has expired too
    for (auto& logged : log_) {
      if (logged.amount[i] >= excess) {
        fits = logged.expiry;
        break;
      }
      excess -= logged.amount[i];
    }
    result = std::max(result, fits);
  }
  return result;
}

time_point rate_limiter::predict(const amounts& ahead, const charge& wanted, time_point now) {
  expire(now);
  auto need = limits::bounded(wanted.total());
  auto result = now;
  for (std::size_t i = 0; i < limits_.size(); ++i) {
    if (!limits_[i] || need[i] == 0)
      continue;
    auto limit = *limits_[i];
    auto whole = ahead[i] / limit; // so many full windows go first
    amounts rest{}, room{};
    rest[i] = ahead[i] % limit;
    room[i] = room_for(i, wanted, rest[i]);
    if (rest[i] + room[i] > limit) { // does not fit beside the rest
      ++whole;
      rest[i] = 0;
    }
    result = std::max(result, gate(room, rest, now) + times(span(), whole));
    if (ahead[i] > 0) {
      auto usual = std::max(need[i], ahead[i] / std::max<uint64_t>(1, ahead[0])); // of the `burst_` latest ones
      result = std::max(result, pacers_[i].next(now) + time_for(i, ahead[i])
                                  - std::min(window_, times(cost_of(i, usual), burst_)));
    }
  }
  return std::min(std::max(result, ready_at(wanted, now)), now + longest);
}

duration rate_limiter::longest_wait(const amounts& ahead) const {
  uint64_t windows = 0;
  for (std::size_t i = 0; i < limits_.size(); ++i)
    if (limits_[i])
      windows = std::max(windows, ahead[i] / *limits_[i]);
  return times(span(), std::min(windows, UINT64_MAX - 3) + 3);
}

/// How long the limit takes to allow so much.
duration rate_limiter::time_for(std::size_t d, uint64_t amount) const {
  auto share = static_cast<double>(amount) / static_cast<double>(*limits_[d]);
  auto time = share * static_cast<double>(window_.count());
  return time < static_cast<double>(longest.count()) ? duration{std::llround(time)} : longest;
}

/// What the pacer takes for one dispatch: a whole window at most.
duration rate_limiter::cost_of(std::size_t d, uint64_t amount) const {
  return time_for(d, std::min(amount, *limits_[d]));
}

/// Tells the pacers that a dispatch costs another amount than was taken for it.
void rate_limiter::repace(const amounts& taken, const amounts& real) {
  for (std::size_t i = 0; i < limits_.size(); ++i)
    if (limits_[i] && taken[i] != real[i])
      pacers_[i].give_back(cost_of(i, taken[i]) - cost_of(i, real[i]));
}

rate_limiter::ticket rate_limiter::reserve(const charge& wanted, time_point now) {
  expire(now);
  auto taken = bounded(wanted);
  auto total = taken.total();
  for (std::size_t i = 0; i < limits_.size(); ++i)
    if (limits_[i] && total[i] > 0)
      pacers_[i].take(cost_of(i, total[i]), now);
  add(pending_, total);
  return open({taken});
}

void rate_limiter::written(ticket t, time_point when) {
  auto& open = open_[t];
  if (open.is_written)
    return;
  open.is_written = true;
  open.expiry = round_up(when + span());
  subtract(pending_, open.reserved.arriving);
  log(open.reserved.arriving, open.expiry);
}

// The arriving part is amended where it stands, as it expires when it would have; the produced part starts its own
// window now, since the provider counted it until now.
void rate_limiter::end(ticket t, time_point now, const charge* told) {
  written(t, now);
  auto& open = open_[t];
  auto real = told != nullptr ? bounded(*told) : open.reserved;
  subtract(pending_, open.reserved.produced);
  log(real.produced, round_up(now + span()));
  if (told != nullptr) {
    amend(open.reserved.arriving, real.arriving, open.expiry);
    repace(open.reserved.total(), real.total());
    for (auto& each : pacers_)
      each.cap(now + span()); // by then the gate has forgotten all of it
  }
  free_.push_back(t);
}

void rate_limiter::release(ticket t) {
  auto& open = open_[t];
  auto kept = open.is_written ? open.reserved.arriving : amounts{};
  if (!open.is_written)
    subtract(pending_, open.reserved.arriving);
  subtract(pending_, open.reserved.produced);
  repace(open.reserved.total(), kept);
  free_.push_back(t);
}

amounts rate_limiter::live(time_point now) {
  expire(now);
  auto sum = logged_;
  add(sum, pending_);
  return sum;
}

void rate_limiter::expire(time_point now) {
  while (!log_.empty() && log_.front().expiry <= now) {
    subtract(logged_, log_.front().amount);
    log_.pop_front();
  }
}

rate_limiter::entry& rate_limiter::entry_at(time_point expiry) {
  auto i = log_.end();
  while (i != log_.begin() && std::prev(i)->expiry >= expiry) // nearly always the last one, or behind it
    --i;
  if (i == log_.end() || i->expiry != expiry)
    i = log_.insert(i, {expiry, {}});
  return *i;
}

void rate_limiter::log(const amounts& amount, time_point expiry) {
  if (is_nothing(amount))
    return;
  add(entry_at(expiry).amount, amount);
  add(logged_, amount);
}

void rate_limiter::amend(const amounts& reserved, const amounts& real, time_point expiry) {
  auto i = std::lower_bound(log_.begin(), log_.end(), expiry, [](auto& x, time_point t) { return x.expiry < t; });
  if (i == log_.end() || i->expiry != expiry)
    return; // expired meanwhile
  for (auto* sum : {&logged_, &i->amount}) {
    subtract(*sum, reserved);
    add(*sum, real);
  }
}

// Joined entries expire with the last of them: after a restart we may be too careful, never too bold.
std::vector<rate_limiter::saved_charge> rate_limiter::save(time_point now) {
  expire(now);
  std::vector<saved_charge> result;
  auto step = std::max<duration>(quantum, span() / 250);
  for (auto& logged : log_) {
    auto left = (logged.expiry - now + step - duration{1}) / step * step;
    if (result.empty() || result.back().left != left)
      result.push_back({left, {}});
    add(result.back().amount, logged.amount);
  }
  return result;
}

void rate_limiter::restore(const amounts& amount, time_point expiry) {
  log(amount, round_up(expiry));
}

void rate_limiter::take_over(const rate_limiter& from) {
  for (auto& logged : from.log_)
    log(logged.amount, logged.expiry + longer_than(from));
}

/// By how much what is charged here is kept longer.
duration rate_limiter::longer_than(const rate_limiter& from) const {
  return std::max<duration>(std::chrono::ceil<std::chrono::milliseconds>(span() - from.span()), duration{0});
}

rate_limiter::ticket rate_limiter::take_over(rate_limiter& from, ticket t) {
  auto moved = from.open_[t];
  moved.expiry += longer_than(from);
  from.release(t);
  add(pending_, moved.is_written ? moved.reserved.produced : moved.reserved.total());
  return open(moved);
}

// Tickets are indexes, used again: their number is that of attempts under way, not of all there were.
rate_limiter::ticket rate_limiter::open(const open_charge& charged) {
  if (free_.empty()) {
    open_.push_back(charged);
    return static_cast<ticket>(open_.size() - 1);
  }
  auto t = free_.back();
  free_.pop_back();
  open_[t] = charged;
  return t;
}

} // namespace modelforge::limits
