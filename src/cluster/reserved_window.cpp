#include "cluster/reserved_window.hpp"

#include <algorithm>
#include <utility>

namespace modelforge::cluster {

namespace {

using limits::amounts;

constexpr duration answer_time = std::chrono::milliseconds{500};

/// An allowance is that part of a limit: two seconds' worth of a minute.
constexpr uint64_t parts = 30;

uint64_t part_of(uint64_t limit) {
  return (limit + parts - 1) / parts;
}

/// What counts of `amount` against `limit`.
uint64_t capped(uint64_t amount, uint64_t limit) {
  return std::min(amount, limit);
}

bool fits(const amounts& wanted, const amounts& left, const amounts& limit) {
  for (std::size_t d = 0; d < wanted.size(); ++d)
    if (capped(wanted[d], limit[d]) > left[d])
      return false;
  return true;
}

} // namespace

reserved_window::reserved_window(std::vector<lane> lanes, revision epoch, revision base, time_point now, uint64_t seed)
  : lanes_(std::move(lanes)), epoch_(epoch), base_(base), pace_(answer_time, answer_time), random_(seed),
    wanted_(lanes_.size()) {
  pace_.answered(now);
}

bool reserved_window::admits(std::size_t number, const amounts& wanted) {
  auto& limit = lanes_[number].limit;
  if (limit == amounts{})
    return true;
  if (!is_lost_ && !is_finishing_ && saved_ && fits(wanted, saved_->left[number], limit)
      && (!under_way_ || fits(wanted, under_way_->allows.left[number], limit)))
    return true;
  is_short_ = true;
  for (std::size_t d = 0; d < wanted.size(); ++d)
    wanted_[number][d] = std::max(wanted_[number][d], capped(wanted[d], limit[d]));
  return false;
}

void reserved_window::charge(std::size_t number, const amounts& taken) {
  auto take = [&](amounts& left) {
    for (std::size_t d = 0; d < taken.size(); ++d)
      left[d] -= std::min(left[d], taken[d]);
  };
  if (saved_)
    take(saved_->left[number]);
  if (under_way_)
    take(under_way_->allows.left[number]);
}

std::vector<amounts> reserved_window::allowances() const {
  std::vector<amounts> result(lanes_.size());
  if (!is_finishing_)
    for (std::size_t i = 0; i < lanes_.size(); ++i)
      for (std::size_t d = 0; d < result[i].size(); ++d) {
        auto limit = lanes_[i].limit[d];
        result[i][d] = std::min(limit, std::max(part_of(limit), wanted_[i][d]));
      }
  return result;
}

/// Whether half of an allowance is used: the next one should be there before the other half is.
bool reserved_window::is_low() const {
  for (std::size_t i = 0; i < lanes_.size(); ++i)
    for (std::size_t d = 0; d < lanes_[i].limit.size(); ++d)
      if (saved_->left[i][d] < (part_of(lanes_[i].limit[d]) + 1) / 2)
        return true;
  return false;
}

std::optional<std::vector<amounts>> reserved_window::wanted(time_point now) const {
  auto limited = std::any_of(lanes_.begin(), lanes_.end(), [](auto& x) { return x.limit != amounts{}; });
  if (is_lost_ || under_way_ || now < pace_.due() || (!limited && !is_finishing_))
    return {};
  auto is_due = is_finishing_ ? !saved_ || !saved_->is_last : is_short_ || (saved_ && is_low());
  return is_due ? std::optional{allowances()} : std::nullopt;
}

void reserved_window::made(std::string bytes) {
  under_way_ = version{std::move(bytes), {allowances(), is_finishing_}, 0, last_number_ + 1};
  is_short_ = false;
  wanted_.assign(lanes_.size(), {});
}

std::optional<reserved_window::save> reserved_window::next(time_point now) {
  if (!under_way_ || is_lost_ || now < pace_.due())
    return {};
  pace_.asked(now);
  under_way_->sent_as = ++last_number_;
  return save{last_number_, epoch_, base_, under_way_->bytes};
}

std::optional<time_point> reserved_window::wake_at() const {
  return under_way_ && !is_lost_ ? std::optional{pace_.due()} : std::nullopt;
}

// Any of its sendings may be the one that was carried out; what answers an earlier version is old news.
void reserved_window::on_saved(uint64_t number, revision at, time_point now) {
  if (under_way_ && number >= under_way_->first_number && at > base_)
    confirm(at, now);
}

void reserved_window::confirm(revision at, time_point now) {
  base_ = at;
  saved_ = std::move(under_way_->allows);
  under_way_.reset();
  pace_.answered(now);
}

// What is there may be ours: then its answer was lost. Anything else was written by hand: we write over it.
void reserved_window::on_other(uint64_t number, bool is_owner, revision at, const std::string& bytes, time_point now) {
  if (!is_owner) {
    is_lost_ = true;
    return;
  }
  if (!under_way_ || number < under_way_->first_number || at == base_)
    return;
  if (at > base_ && bytes == under_way_->bytes)
    return confirm(at, now);
  base_ = at;
  pace_.answered(now);
}

void reserved_window::on_failure(uint64_t number, time_point now) {
  if (under_way_ && number == under_way_->sent_as)
    pace_.failed(now, random_);
}

} // namespace modelforge::cluster
