#include "retry/budget.hpp"

#include <algorithm>

namespace modelforge::retry {

void budget::advance(time_point now) {
  auto number = now.time_since_epoch() / step;
  if (number - current_ > steps) { // all that was counted is long past
    ring_.fill({});
    firsts_ = retries_ = 0;
    current_ = number;
  }
  while (current_ < number) {
    ++current_;
    firsts_ -= at(current_ - steps).first;
    retries_ -= at(current_).retries; // the step that leaves has the place of the one that comes
    at(current_) = {};
  }
}

void budget::first(time_point now) {
  advance(now);
  if (began_ == time_point{})
    began_ = now;
  ++at(current_).first;
  ++firsts_;
}

void budget::retry(time_point now) {
  advance(now);
  ++at(current_).retries;
  ++retries_;
}

uint64_t budget::allowed(uint64_t firsts, time_point now) const {
  using seconds = std::chrono::duration<double>;
  auto age = began_ == time_point{} ? 0.0 : seconds{now - began_}.count();
  return static_cast<uint64_t>(share * static_cast<double>(firsts) + std::min(2 + age, seconds{span}.count()));
}

uint64_t budget::available(time_point now) {
  advance(now);
  auto most = allowed(firsts_, now);
  return most > retries_ ? most - retries_ : 0;
}

budget::time_point budget::ready_at(time_point now, uint64_t more_than) {
  if (available(now) > more_than)
    return now;
  auto firsts = firsts_;
  auto retries = retries_;
  for (auto number = current_ + 1; number <= current_ + steps + 1; ++number) { // then only the floor remains
    if (number - steps <= current_)
      firsts -= at(number - steps).first;
    if (number - steps - 1 <= current_)
      retries -= at(number - steps - 1).retries;
    time_point then{number * step};
    if (allowed(firsts, then) > retries + more_than)
      return then;
  }
  return time_point::max();
}

} // namespace modelforge::retry
