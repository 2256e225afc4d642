#include "wire/piece_growth.hpp"

#include "base/ascii.hpp"

#include <algorithm>
#include <utility>

namespace modelforge::wire {

namespace {

/// What pieces repeat, in bytes that are no spaces, all of them together. What follows may still tell otherwise, so
/// more is asked for before the end, when it cannot be taken back.
constexpr std::size_t unlikely_before_end = 16, unlikely = 8;
constexpr std::size_t enough = 3; ///< Where pieces of either kind are usual.
constexpr std::size_t likely = 4; ///< What new pieces may well repeat.

std::size_t weight_of(std::string_view text) {
  return static_cast<std::size_t>(
    std::count_if(text.begin(), text.end(), [](char c) { return ascii::spaces.find(c) == ascii::spaces.npos; }));
}

/// Whether a text is but its first bytes over and over.
bool is_periodic(std::string_view text, std::size_t period) {
  return text.substr(period) == text.substr(0, text.size() - period);
}

} // namespace

std::string_view piece_growth::take(std::string_view piece) {
  is_last_ = false;
  auto is_fresh = std::exchange(is_fresh_, false);
  switch (kind_) {
    case kind::news:
      return piece;
    case kind::all:
      return take_growing(piece);
    case kind::doubtful:
      return {};
    case kind::undecided:
      break;
  }
  if (pieces_++ == 0) {
    all_ = piece;
    first_ = piece.size();
    return piece;
  }
  auto grows = piece.size() > all_.size();
  auto is_usual = !grows && growths_ == 0 && !expects_either_; // a word that comes twice
  if (!is_fresh || !piece.starts_with(all_) || is_usual || held_.size() + piece.size() > max_held)
    return decide_news(piece);
  held_ += piece;
  if (grows) {
    ++growths_;
    if (expects_either_ || !is_periodic(piece, first_))
      repeated_ += weight_of(all_);
    all_ = piece;
  }
  return growths_ > 1 && repeated_ >= unlikely_before_end ? decide_all() : std::string_view{};
}

std::string_view piece_growth::take_growing(std::string_view piece) {
  if (!piece.starts_with(all_)) {
    kind_ = kind::doubtful;
    return {};
  }
  auto rest = piece.substr(all_.size());
  all_ += rest;
  return rest;
}

std::string_view piece_growth::decide_news(std::string_view piece) {
  kind_ = kind::news;
  all_ = {};
  return held_.empty() ? piece : held_ += piece;
}

std::string_view piece_growth::decide_all() {
  kind_ = kind::all;
  held_ = {};
  return std::string_view{all_}.substr(first_);
}

std::string_view piece_growth::decide_by(std::string_view whole) {
  if (kind_ != kind::undecided || held_.empty())
    return {};
  auto first = std::string_view{all_}.substr(0, first_);
  auto is_news = whole.starts_with(first) && whole.substr(first.size()).starts_with(held_);
  return !is_news && whole.starts_with(all_) ? decide_all() : is_news ? decide_news({}) : settle();
}

void piece_growth::assume_all() {
  expects_either_ = true;
  repeated_ = unlikely;
  growths_ = std::max(growths_, 1u);
}

std::string_view piece_growth::settle() {
  if (kind_ != kind::undecided || held_.empty())
    return {};
  auto is_repeated_end = growths_ == 0 && pieces_ == 2 && is_last_;
  if (repeated_ >= (expects_either_ ? enough : unlikely) || (expects_either_ && is_repeated_end))
    return decide_all();
  if (!expects_either_ && repeated_ <= likely)
    return decide_news({});
  kind_ = kind::doubtful;
  return {};
}

} // namespace modelforge::wire
