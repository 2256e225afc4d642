#include "trace/outbox.hpp"

#include "trace/span_json.hpp"

#include <algorithm>
#include <iterator>

namespace modelforge::trace {

bool outbox::add(log::timed_record ended, time_point now) {
  auto bytes = ended.what.bytes();
  if (waiting_.size() >= max_waiting || waiting_bytes_ + bytes > max_waiting_bytes) {
    counts_.dropped += count_spans(ended.what);
    return false;
  }
  if (waiting_.empty())
    gathered_ = now + gather_time;
  waiting_.push_back(std::move(ended));
  waiting_bytes_ += bytes;
  return under_way_ == 0 && (waiting_.size() == 1 || waiting_.size() == max_batch);
}

std::optional<outbox::time_point> outbox::wake_at() const {
  if (is_sent_)
    return {};
  if (under_way_ > 0)
    return is_finishing_ ? time_point{} : due_;
  if (waiting_.empty())
    return {};
  return is_finishing_ || waiting_.size() >= max_batch ? time_point{} : gathered_;
}

std::optional<outbox::step> outbox::next(time_point now) {
  auto due = wake_at();
  if (!due || *due > now)
    return {};
  is_sent_ = true;
  ++attempts_;
  step result;
  if (under_way_ > 0)
    return result;
  auto size = std::min(waiting_.size(), max_batch);
  auto end = waiting_.begin() + static_cast<std::ptrdiff_t>(size);
  for (auto i = waiting_.begin(); i != end; ++i) {
    waiting_bytes_ -= i->what.bytes();
    under_way_ += count_spans(i->what);
  }
  result.batch.assign(std::make_move_iterator(waiting_.begin()), std::make_move_iterator(end));
  waiting_.erase(waiting_.begin(), end);
  attempts_ = 1;
  gathered_ = now + gather_time; // of those that came meanwhile
  return result;
}

void outbox::on_delivery(const delivery& how, time_point now) {
  if (!is_sent_)
    return;
  is_sent_ = false;
  switch (how.what) {
    case delivery::result::taken: {
      auto rejected = std::min(how.rejected, under_way_);
      counts_.exported += under_way_ - rejected;
      counts_.failed += rejected;
      under_way_ = 0;
      return tell(rejected == 0, how.reason);
    }
    case delivery::result::again:
      if (attempts_ < max_attempts && !is_finishing_) {
        due_ = now + pause(how.wait);
        return;
      }
      [[fallthrough]];
    case delivery::result::refused:
      counts_.failed += std::exchange(under_way_, 0);
      return tell(false, how.reason);
  }
}

/// Half to all of a time that doubles with each attempt, so that programs which lost the same collector do not all come
/// back at once.
std::chrono::nanoseconds outbox::pause(std::chrono::nanoseconds named) {
  auto longest = std::chrono::nanoseconds{first_pause} * (1 << (attempts_ - 1));
  std::uniform_int_distribution<int64_t> share{longest.count() / 2, longest.count()};
  return std::min<std::chrono::nanoseconds>(std::max(named, std::chrono::nanoseconds{share(random_)}), max_pause);
}

void outbox::tell(bool works, const std::string& reason) {
  if (works == works_)
    return;
  works_ = works;
  news_ = news{works, works ? std::string{} : reason};
}

void outbox::abandon() {
  counts_.failed += std::exchange(under_way_, 0);
  for (auto& each : waiting_)
    counts_.dropped += count_spans(each.what);
  waiting_.clear();
  waiting_bytes_ = 0;
  is_sent_ = false;
}

} // namespace modelforge::trace
