#include "tools/cli/wait_notice.hpp"

#include "tools/cli/progress.hpp"

#include <cstdio>
#include <utility>

namespace modelforge::cli {

std::string notice_text(const std::optional<provider_status>& provider, std::chrono::nanoseconds waited) {
  auto known = provider ? wait_text(*provider) : std::string{};
  return known.empty() ? "waiting for the answer, " + clock_text(waited) : known;
}

bool wait_notice::is_wanted() const {
  std::lock_guard guard{mutex_};
  return is_terminal_ && !is_over_;
}

void wait_notice::take(std::optional<provider_status> newest) {
  std::lock_guard guard{mutex_};
  provider_ = std::move(newest);
}

void wait_notice::show(time_point now) {
  std::lock_guard guard{mutex_};
  if (!is_terminal_ || is_over_ || now - begin_ < first_after)
    return;
  is_drawn_ = true;
  auto text = notice_text(provider_, now - begin_).substr(0, terminal_width() - 1);
  std::fprintf(stderr, "\r%s\x1b[K", text.c_str());
  std::fflush(stderr);
}

void wait_notice::begin(time_point now) {
  std::lock_guard guard{mutex_};
  begin_ = now;
  provider_.reset();
  is_over_ = false;
}

void wait_notice::end() {
  std::lock_guard guard{mutex_};
  is_over_ = true;
  if (std::exchange(is_drawn_, false)) {
    std::fputs("\r\x1b[K", stderr);
    std::fflush(stderr);
  }
}

} // namespace modelforge::cli
