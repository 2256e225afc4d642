#pragma once

#include <chrono>
#include <string>
#include <sys/types.h>
#include <vector>

namespace modelforge::test {

/// How a program ended and what it said.
struct process_result {
  int exit_code = -1; ///< 128 + signal number if a signal ended it.
  std::string out;
  std::string err;
  std::chrono::duration<double> elapsed{0};
  std::chrono::duration<double> cpu{0}; ///< User and system time.
};

struct process_options {
  std::vector<std::string> arguments;   ///< The first one is the program's path.
  std::vector<std::string> environment; ///< "NAME=value"; nothing else is inherited.
  std::string folder = "/";
  std::string input;
  bool close_stdout = false;     ///< Starts it without a standard output.
  std::chrono::seconds most{60}; ///< After this it is killed.
  int interrupt_after_line = 0;  ///< Sends SIGINT when standard error has so many lines; 0: never.
};

/// Runs a program to its end, reading both its outputs meanwhile.
process_result run_process(const process_options& x);

/// A program that runs beside the test, without a standard input; killed with it.
class background_process {
public:
  explicit background_process(const std::vector<std::string>& arguments);
  ~background_process();
  background_process(const background_process&) = delete;
  background_process& operator=(const background_process&) = delete;

  /// Reads one line of its standard output; empty at its end or after 10 s.
  std::string read_line();

  void signal(int number) const;

  /// User and system time until now.
  std::chrono::duration<double> cpu() const;

  /// How often its first thread has gone to sleep until now.
  long waits() const;

  /// Sends a signal and waits for the end, at most 10 s; returns the exit code, -1 if it had to be killed.
  int end(int signal);

private:
  pid_t pid_ = -1;
  int out_ = -1;
};

} // namespace modelforge::test
