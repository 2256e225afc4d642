#include "bench/simulated.hpp"

#include <csignal>
#include <cstdio>
#include <fcntl.h>
#include <filesystem>
#include <stdexcept>
#include <string_view>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

namespace modelforge::bench {

namespace {

[[noreturn]] void run(std::vector<std::string> words, int output) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  dup2(output, STDOUT_FILENO);
  std::freopen("/dev/null", "w", stderr); // its summary
  std::vector<char*> arguments;
  for (auto& x : words)
    arguments.push_back(x.data());
  arguments.push_back(nullptr);
  execv(arguments[0], arguments.data());
  _exit(127);
}

/// Reads "listening URL".
std::string read_url(int from) {
  std::string line;
  char c = 0;
  while (read(from, &c, 1) == 1 && c != '\n')
    line += c;
  constexpr std::string_view before = "listening ";
  return line.starts_with(before) ? line.substr(before.size()) : "";
}

} // namespace

std::size_t raise_file_limit() {
  rlimit x{};
  getrlimit(RLIMIT_NOFILE, &x);
  x.rlim_cur = x.rlim_max;
  setrlimit(RLIMIT_NOFILE, &x);
  return x.rlim_max;
}

simulated::simulated(std::string program, std::vector<std::string> options) {
  if (program.empty())
    program = (std::filesystem::read_symlink("/proc/self/exe").parent_path().parent_path() / "bin/modelforge").string();
  std::vector<std::string> words{program, "simulate", "--listen", "127.0.0.1:0"};
  words.insert(words.end(), options.begin(), options.end());
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0)
    throw std::runtime_error("no pipe");
  process_ = fork();
  if (process_ == 0)
    run(std::move(words), ends[1]);
  close(ends[1]);
  url_ = read_url(ends[0]);
  close(ends[0]);
  if (!url_.empty())
    return;
  waitpid(process_, nullptr, 0);
  throw std::runtime_error(program + " simulate did not start");
}

simulated::~simulated() {
  kill(process_, SIGKILL);
  waitpid(process_, nullptr, 0);
}

} // namespace modelforge::bench
