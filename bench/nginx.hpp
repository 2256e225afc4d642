#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <sys/types.h>

namespace modelforge::bench {

/// An nginx of our own on 127.0.0.1 that answers every request with one body: a provider nobody here wrote, good for
/// tens of thousands of answers a second. Throws std::runtime_error when nginx is not installed or does not start.
class nginx {
public:
  explicit nginx(const std::string& body, std::string type = "application/json");
  ~nginx();
  nginx(const nginx&) = delete;
  nginx& operator=(const nginx&) = delete;

  /// E.g. "http://127.0.0.1:41234".
  const std::string& url() const { return url_; }

private:
  void start(uint16_t port);

  std::string type_;
  std::filesystem::path folder_;
  std::string url_;
  pid_t process_ = -1;
};

} // namespace modelforge::bench
