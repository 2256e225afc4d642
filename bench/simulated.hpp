#pragma once

#include <string>
#include <sys/types.h>
#include <vector>

namespace modelforge::bench {

/// Raises this process's soft limit of open files to the hard one, which it returns.
std::size_t raise_file_limit();

/// The simulated provider in a process of its own, so that its memory and CPU are not ours. Ends with this object, and
/// with the benchmark.
class simulated {
public:
  /// Runs PROGRAM simulate --listen 127.0.0.1:0 OPTION ... Without a program: `modelforge` of the same build. Throws
  /// std::runtime_error when it does not start.
  simulated(std::string program, std::vector<std::string> options);
  ~simulated();
  simulated(const simulated&) = delete;
  simulated& operator=(const simulated&) = delete;

  const std::string& url() const { return url_; }

private:
  std::string url_;
  pid_t process_ = -1;
};

} // namespace modelforge::bench
