#include "tools/cli/progress.hpp"

#include <algorithm>
#include <cstdio>
#include <iterator>
#include <numeric>
#include <string_view>
#include <sys/ioctl.h>
#include <unistd.h>
#include <utility>
#include <vector>

/// A batch's progress in words, for one line of a terminal or of a log.

namespace modelforge::cli {

using namespace std::chrono_literals;

namespace {

constexpr auto bar_interval = 100ms;
constexpr auto line_interval = 2s;
constexpr auto longest_line_interval = 64s;
constexpr std::size_t max_cells = 24; ///< Of the bar; the figures beside it matter more.
constexpr std::size_t min_cells = 5;

constexpr std::string_view down_words = "provider down";

constexpr auto min_shown = 500ms; ///< A shorter wait is over before it is read.

/// Whole seconds, rounded up: a countdown that jumps by tenths cannot be read.
std::string rounded(std::chrono::nanoseconds time) {
  return duration_text(std::chrono::ceil<std::chrono::seconds>(time));
}

std::chrono::nanoseconds shortest_pause(const std::vector<lane_status>& lanes) {
  return *std::min_element(lanes.begin(), lanes.end(), [](auto& x, auto& y) {
            return x.paused_for < y.paused_for;
          })->paused_for;
}

uint64_t slots_of(const std::vector<lane_status>& lanes) {
  return std::accumulate(lanes.begin(), lanes.end(), uint64_t{0}, [](auto sum, auto& x) { return sum + x.slots; });
}

/// What does not work, as the end of a sentence.
std::string why(const provider_status& status) {
  constexpr std::size_t max_size = 160;
  if (status.problem.empty())
    return {};
  return ": " + (status.problem.size() > max_size ? status.problem.substr(0, max_size - 3) + "..." : status.problem);
}

/// Whether what a batch waits for may take any time.
bool is_down(const std::string& hindrance) {
  return hindrance.find(down_words) != hindrance.npos;
}

std::string number(double x) {
  char text[32];
  std::snprintf(text, sizeof(text), x < 100 ? "%.1f" : "%.0f", x);
  return text;
}

} // namespace

std::size_t terminal_width() {
  winsize size{};
  return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

// From what stops everything to what delays something: the first that holds is the reason that matters. Lanes whose key
// is refused do not count as long as there are others.
std::string wait_text(const provider_status& status) {
  if (status.queued + status.waiting == 0 || status.lanes.empty())
    return {};
  std::vector<lane_status> lanes;
  std::copy_if(status.lanes.begin(), status.lanes.end(), std::back_inserter(lanes),
               [](auto& lane) { return !lane.out; });
  auto all = [&](auto predicate) { return std::all_of(lanes.begin(), lanes.end(), predicate); };
  if (lanes.empty())
    return "the provider refuses the key";
  if (all([](auto& lane) { return lane.breaker == "open"; }))
    return std::string{down_words}
           + (status.next_retry ? ", next try in " + rounded(*status.next_retry) : std::string{}) + why(status);
  if (all([](auto& lane) { return lane.breaker != "closed"; }))
    return std::string{down_words} + ", trying it now" + why(status);
  if (all([](auto& lane) { return lane.paused_for.has_value(); }))
    return "paused by the provider for " + rounded(shortest_pause(lanes));
  if (status.queued > 0 && status.in_flight < slots_of(lanes) && status.predicted_wait >= min_shown)
    return "waiting " + rounded(status.predicted_wait) + " for the rate limit";
  if (status.queued == 0 && status.in_flight == 0 && status.next_retry && *status.next_retry >= min_shown)
    return "next retry in " + rounded(*status.next_retry);
  return {};
}

std::string job_text(const std::vector<batch_job_status>& jobs) {
  if (jobs.empty())
    return {};
  auto& job = jobs.front();
  auto text =
    "job " + (job.job.empty() ? std::string{"being created"} : job.job + " " + std::string{name_of(job.state)});
  if (job.total > 0)
    text += " " + std::to_string(job.succeeded + job.failed) + "/" + std::to_string(job.total);
  if (job.next_look && *job.next_look >= min_shown)
    text += ", next look in " + rounded(*job.next_look);
  if (jobs.size() > 1)
    text += ", and " + std::to_string(jobs.size() - 1) + " more";
  return text;
}

std::string clock_text(std::chrono::nanoseconds time) {
  auto total = std::chrono::ceil<std::chrono::seconds>(time).count();
  char text[32];
  if (total < 3600)
    std::snprintf(text, sizeof(text), "%d:%02d", static_cast<int>(total / 60), static_cast<int>(total % 60));
  else
    std::snprintf(text, sizeof(text), "%lld:%02d:%02d", static_cast<long long>(total / 3600),
                  static_cast<int>(total / 60 % 60), static_cast<int>(total % 60));
  return text;
}

namespace {

/// How far it is, in as few words as can be.
std::string short_text(const batch_progress& progress, std::optional<uint64_t> total) {
  auto text = std::to_string(progress.answered) + (total ? "/" + std::to_string(*total) : std::string{});
  return progress.failed > 0 ? text + ", failed " + std::to_string(progress.failed) : text;
}

} // namespace

// What is missing is left out: a rate before the first answer, a time left while nobody knows the number of items, or
// when the provider comes back.
std::string progress_text(const batch_progress& progress, std::optional<uint64_t> expected,
                          const std::string& hindrance) {
  auto total = progress.total ? progress.total : expected;
  auto text = "answered " + std::to_string(progress.answered);
  if (total)
    text += "/" + std::to_string(*total);
  if (auto flawed = progress.flawed.sum(); flawed > 0)
    text += " (" + std::to_string(flawed) + " flawed)";
  text += ", failed " + std::to_string(progress.failed) + ", in flight " + std::to_string(progress.in_flight);
  if (progress.in_jobs > 0)
    text += ", in jobs " + std::to_string(progress.in_jobs);
  if (progress.rate() > 0)
    text += ", " + number(progress.rate()) + "/s";
  if (auto left = progress.time_left(expected); left && *left > 0ns && !is_down(hindrance))
    text += ", " + clock_text(*left) + " left";
  if (!hindrance.empty())
    text += ", " + hindrance;
  return text;
}

// What it waits for has precedence, then the figures; the bar takes the room that is left, down to a width at which it
// says nothing.
std::string progress_bar(const batch_progress& progress, std::optional<uint64_t> expected, std::size_t width,
                         const std::string& hindrance) {
  auto total = progress.total ? progress.total : expected;
  auto text = progress_text(progress, expected, hindrance);
  if (text.size() > width && !hindrance.empty())
    text = short_text(progress, total) + ", " + hindrance;
  if (text.size() > width && !hindrance.empty())
    text = hindrance;
  constexpr std::size_t frame = 3; // brackets and a blank
  auto cells = text.size() + frame < width ? std::min(max_cells, width - text.size() - frame) : 0;
  if (total && *total > 0 && cells >= min_cells) {
    auto filled = std::min<std::size_t>(cells, (progress.answered + progress.failed) * cells / *total);
    text = "[" + std::string(filled, '#') + std::string(cells - filled, '.') + "] " + text;
  }
  if (text.size() > width)
    text.resize(width);
  return text;
}

progress_display::progress_display(std::optional<uint64_t> expected, bool quiet)
  : expected_(expected), quiet_(quiet), terminal_(isatty(STDERR_FILENO) != 0),
    pause_(terminal_ ? std::chrono::nanoseconds{bar_interval} : line_interval) {}

std::chrono::nanoseconds next_line_pause(std::chrono::nanoseconds last, bool is_news) {
  return is_news ? std::chrono::nanoseconds{line_interval}
                 : std::min<std::chrono::nanoseconds>(2 * last, longest_line_interval);
}

// A terminal is drawn anew ten times a second; a log gets a line every two seconds, ever fewer while nothing comes, and
// none for a batch that is over by then.
void progress_display::show(const batch_progress& progress, const std::string& hindrance, time_point now) {
  if (quiet_ || (shown_ != time_point{} && now - shown_ < pause_))
    return;
  auto first = shown_ == time_point{};
  shown_ = now;
  if (!terminal_) {
    if (!first) // a batch that is over within seconds needs no line but the summary
      std::fprintf(stderr, "%s\n", progress_text(progress, expected_, hindrance).c_str());
    auto done = progress.answered + progress.failed;
    pause_ = next_line_pause(pause_, first || std::exchange(done_, done) != done);
    return;
  }
  drawn_ = true;
  std::fprintf(stderr, "\r%s\x1b[K", progress_bar(progress, expected_, terminal_width() - 1, hindrance).c_str());
  std::fflush(stderr);
}

void progress_display::clear() {
  if (drawn_)
    std::fputs("\r\x1b[K", stderr);
  drawn_ = false;
}

} // namespace modelforge::cli
