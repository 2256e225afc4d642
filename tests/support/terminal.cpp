#include "tests/support/terminal.hpp"

#include <chrono>
#include <csignal>
#include <poll.h>
#include <pty.h>
#include <stdexcept>
#include <sys/wait.h>
#include <unistd.h>
#include <utility>
#include <vector>

namespace modelforge::test {

namespace {

constexpr auto patience = std::chrono::seconds{20};

std::vector<char*> words_of(const std::vector<std::string>& texts) {
  std::vector<char*> result;
  for (auto& x : texts)
    result.push_back(const_cast<char*>(x.c_str()));
  result.push_back(nullptr);
  return result;
}

} // namespace

terminal::terminal(const process_options& x) {
  auto arguments = words_of(x.arguments), environment = words_of(x.environment);
  winsize size{24, 80, 0, 0};
  pid_ = forkpty(&master_, nullptr, nullptr, &size);
  if (pid_ < 0)
    throw std::runtime_error("forkpty failed");
  if (pid_ == 0) {
    if (chdir(x.folder.c_str()) == 0)
      execve(arguments[0], arguments.data(), environment.data());
    _exit(127);
  }
}

terminal::~terminal() {
  if (pid_ > 0) {
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }
  hang_up();
}

void terminal::type(std::string_view text) {
  while (!text.empty()) {
    auto n = write(master_, text.data(), text.size());
    if (n <= 0)
      throw std::runtime_error("the terminal is gone");
    text.remove_prefix(static_cast<std::size_t>(n));
  }
}

bool terminal::shows(std::string_view text) {
  for (auto until = std::chrono::steady_clock::now() + patience;;) {
    if (auto at = screen_.find(text, seen_); at != screen_.npos) {
      seen_ = at + text.size();
      return true;
    }
    if (std::chrono::steady_clock::now() > until || !read_some())
      return false;
  }
}

int terminal::wait() {
  auto until = std::chrono::steady_clock::now() + patience;
  while (std::chrono::steady_clock::now() < until && read_some()) {
  }
  int status = 0;
  while (waitpid(pid_, &status, WNOHANG) == 0) {
    if (std::chrono::steady_clock::now() > until)
      return -1;
    poll(nullptr, 0, 5);
  }
  pid_ = -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

void terminal::signal(int number) const {
  kill(pid_, number);
}

void terminal::hang_up() {
  if (master_ >= 0)
    close(std::exchange(master_, -1));
}

/// Takes what is there, or waits for it for a moment; false at the end.
bool terminal::read_some() {
  if (master_ < 0)
    return false;
  pollfd what{master_, POLLIN, 0};
  if (poll(&what, 1, 100) <= 0)
    return true;
  char buffer[4096];
  auto n = read(master_, buffer, sizeof buffer);
  if (n > 0)
    screen_.append(buffer, static_cast<std::size_t>(n));
  return n > 0;
}

} // namespace modelforge::test
