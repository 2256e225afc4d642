#include "tests/support/process.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <fcntl.h>
#include <fstream>
#include <poll.h>
#include <stdexcept>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

namespace modelforge::test {

namespace {

using clock = std::chrono::steady_clock;

struct pipe_ends {
  int read = -1;
  int write = -1;

  pipe_ends() {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0)
      throw std::runtime_error("pipe failed");
    read = ends[0];
    write = ends[1];
  }
};

std::vector<char*> pointers(const std::vector<std::string>& texts) {
  std::vector<char*> result;
  for (auto& x : texts)
    result.push_back(const_cast<char*>(x.c_str()));
  result.push_back(nullptr);
  return result;
}

void close_once(int& descriptor) {
  if (descriptor >= 0)
    close(descriptor);
  descriptor = -1;
}

double seconds(timeval x) {
  return static_cast<double>(x.tv_sec) + static_cast<double>(x.tv_usec) * 1e-6;
}

int code_of(int status) {
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

} // namespace

process_result run_process(const process_options& x) {
  std::signal(SIGPIPE, SIG_IGN);
  pipe_ends in;
  pipe_ends out;
  pipe_ends err;
  auto arguments = pointers(x.arguments);
  auto environment = pointers(x.environment);
  auto begin = clock::now();
  auto pid = fork();
  if (pid < 0)
    throw std::runtime_error("fork failed");
  if (pid == 0) {
    dup2(in.read, 0);
    dup2(out.write, 1);
    dup2(err.write, 2);
    if (x.close_stdout)
      close(1);
    if (chdir(x.folder.c_str()) == 0)
      execve(arguments[0], arguments.data(), environment.data());
    _exit(127);
  }
  close(in.read);
  close(out.write);
  close(err.write);
  process_result result;
  std::string input = x.input;
  if (input.empty())
    close_once(in.write);
  bool interrupted = false;
  while (out.read >= 0 || err.read >= 0) {
    std::array<pollfd, 3> what{{{out.read, POLLIN, 0}, {err.read, POLLIN, 0}, {in.write, POLLOUT, 0}}};
    poll(what.data(), what.size(), 100);
    if (clock::now() - begin > x.most)
      kill(pid, SIGKILL);
    char buffer[1 << 16];
    auto take = [&](pollfd& from, int& descriptor, std::string& to) {
      if (from.revents == 0)
        return;
      auto n = read(descriptor, buffer, sizeof(buffer));
      if (n > 0)
        to.append(buffer, static_cast<std::size_t>(n));
      else
        close_once(descriptor);
    };
    take(what[0], out.read, result.out);
    take(what[1], err.read, result.err);
    if (what[2].revents != 0) {
      auto n = write(in.write, input.data(), input.size());
      input.erase(0, n > 0 ? static_cast<std::size_t>(n) : input.size());
      if (input.empty())
        close_once(in.write);
    }
    if (x.interrupt_after_line > 0 && !interrupted
        && std::count(result.err.begin(), result.err.end(), '\n') >= x.interrupt_after_line) {
      kill(pid, SIGINT);
      interrupted = true;
    }
  }
  close_once(in.write);
  int status = 0;
  rusage usage{};
  wait4(pid, &status, 0, &usage);
  result.elapsed = clock::now() - begin;
  result.exit_code = code_of(status);
  result.cpu = std::chrono::duration<double>{seconds(usage.ru_utime) + seconds(usage.ru_stime)};
  return result;
}

background_process::background_process(const std::vector<std::string>& arguments) {
  pipe_ends out;
  auto pointers_to = pointers(arguments);
  pid_ = fork();
  if (pid_ < 0)
    throw std::runtime_error("fork failed");
  if (pid_ == 0) {
    auto nothing = open("/dev/null", O_RDONLY); // whatever the test's own standard input is
    dup2(nothing, 0);
    dup2(out.write, 1);
    execv(pointers_to[0], pointers_to.data());
    _exit(127);
  }
  close(out.write);
  out_ = out.read;
}

background_process::~background_process() {
  end(SIGKILL);
  close_once(out_);
}

std::string background_process::read_line() {
  std::string line;
  auto until = clock::now() + std::chrono::seconds{10};
  while (clock::now() < until) {
    pollfd what{out_, POLLIN, 0};
    if (poll(&what, 1, 100) <= 0)
      continue;
    char c;
    if (read(out_, &c, 1) != 1 || c == '\n')
      break;
    line += c;
  }
  return line;
}

void background_process::signal(int number) const {
  if (pid_ > 0)
    kill(pid_, number);
}

std::chrono::duration<double> background_process::cpu() const {
  std::ifstream file{"/proc/" + std::to_string(pid_) + "/stat"};
  std::string text{std::istreambuf_iterator<char>{file}, {}};
  auto rest = text.substr(text.rfind(')') + 2); // field 3 on; utime and stime are fields 14 and 15
  unsigned long user = 0;
  unsigned long system = 0;
  std::sscanf(rest.c_str(), "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system);
  return std::chrono::duration<double>{static_cast<double>(user + system) / static_cast<double>(sysconf(_SC_CLK_TCK))};
}

long background_process::waits() const {
  std::ifstream file{"/proc/" + std::to_string(pid_) + "/task/" + std::to_string(pid_) + "/status"};
  long result = 0;
  for (std::string line; std::getline(file, line);)
    std::sscanf(line.c_str(), "voluntary_ctxt_switches: %ld", &result);
  return result;
}

int background_process::end(int signal) {
  if (pid_ < 0)
    return -1;
  kill(pid_, signal);
  int status = 0;
  auto until = clock::now() + std::chrono::seconds{10};
  while (waitpid(pid_, &status, WNOHANG) == 0) {
    if (clock::now() > until) {
      kill(pid_, SIGKILL);
      waitpid(pid_, &status, 0);
      pid_ = -1;
      return -1;
    }
    poll(nullptr, 0, 5);
  }
  pid_ = -1;
  return code_of(status);
}

} // namespace modelforge::test
