#include "log/line_output.hpp"

namespace modelforge::log {

namespace {

/// Lines are written when there are so many bytes of them.
constexpr std::size_t max_lines_bytes = 64u << 10;

} // namespace

// What happened before goes where it was to go.
void line_output::move_to(target to) {
  write();
  target_ = std::move(to);
  forget_problem();
}

void line_output::reopen() {
  write();
  if (auto why = target_.reopen())
    complain(*why);
  else
    forget_problem();
}

void line_output::end_line() {
  ++lines_count_;
  if (lines_.size() >= max_lines_bytes)
    write();
}

bool line_output::write() {
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
void line_output::complain(const std::string& why) {
  if (problem_.empty() && !target_.is_stderr())
    say_aside("modelforge: " + name_ + ": " + why + "; what is not written is counted\n");
  problem_ = why;
}

/// Unless it is to be told, with what it has cost.
void line_output::forget_problem() {
  if (missing_ == 0)
    problem_.clear();
}

} // namespace modelforge::log
