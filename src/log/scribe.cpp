#include "log/scribe.hpp"

#include "base/utf8.hpp"
#include "config/secret_mask.hpp"
#include "log/line.hpp"

#include <utility>
#include <variant>

namespace modelforge::log {

namespace {

/// Lines are written when there are so many bytes of them.
constexpr std::size_t max_lines_bytes = 64u << 10;

constexpr auto retry_interval = std::chrono::seconds{1};

} // namespace

// What happened before goes where it was to go.
void scribe::move_to(target to) {
  write_lines();
  target_ = std::move(to);
  forget_problem();
}

void scribe::reopen() {
  write_lines();
  if (auto why = target_.reopen())
    complain(*why);
  else
    forget_problem();
}

void scribe::write(throttle::timed& happened) {
  auto& rule = happened.what.rule();
  for (auto& each : happened.what.fields()) {
    auto* text = std::get_if<std::string>(&each.value);
    if (text != nullptr && secrets_ != nullptr)
      secrets_->mask(*text, secret_mask::extent::cut);
    if (text != nullptr && sink_)
      *text = std::string{utf8::cut(utf8::repair(*text), max_field)};
  }
  log_record record{happened.time, rule.level, rule.name, rule.component, rule.message, happened.what.fields()};
  if (sink_)
    return hand_over(record);
  if (target_.is_none())
    return;
  if (target_.is_journal())
    lines_ += journal_prefix(rule.level);
  if (format_ == log_format::json)
    append_json(lines_, record);
  else
    append_text(lines_, record);
  ++lines_count_;
  if (lines_.size() >= max_lines_bytes)
    write_lines();
}

void scribe::hand_over(const log_record& record) {
  try {
    sink_(record);
  } catch (...) { // the host's; there is nobody to tell
    ++sink_failures_;
  }
}

// What is missing is told behind what is there. Where that cannot be written either, it stays to be told.
void scribe::flush(time_point now) {
  write_lines();
  if (missing_ == 0)
    return;
  auto since = missing_since_.value_or(now);
  auto count = std::exchange(missing_, 0);
  throttle::timed told{entry{event::log_dropped}
                         .with(field::count, count)
                         .with(field::duration_seconds, now - since)
                         .with(field::reason, problem_.empty() ? "more came than could be written" : problem_.c_str()),
                       std::chrono::system_clock::now()};
  write(told);
  if (write_lines()) {
    problem_.clear();
    missing_since_.reset();
    return;
  }
  --lost_; // that line is none of them
  missing_ = count;
  missing_since_ = since;
  retry_at_ = now + retry_interval;
}

bool scribe::write_lines() {
  auto why = target_.write(lines_);
  if (why) {
    complain(*why);
    missing_ += lines_count_;
    lost_ += lines_count_;
  } else if (lines_count_ > 0) {
    forget_problem();
  }
  lines_.clear();
  lines_count_ = 0;
  return !why;
}

/// Once for each trouble.
void scribe::complain(const std::string& why) {
  if (problem_.empty() && !target_.is_stderr())
    say_aside("modelforge: the log: " + why + "; what is not written is counted\n");
  problem_ = why;
}

/// Unless it is to be told, with what it has cost.
void scribe::forget_problem() {
  if (missing_ == 0)
    problem_.clear();
}

} // namespace modelforge::log
