#pragma once

#include "http/transport.hpp"
#include "tests/support/eventually.hpp"

#include <sys/resource.h>
#include <unistd.h>

#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <future>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

/// Waiting for a transport's answers.

namespace modelforge::test {

using namespace std::chrono_literals;

inline http::request post_to(std::string url, std::string body = "{}") {
  return {.url = std::move(url), .headers = {{"Content-Type", "application/json"}}, .body = std::move(body)};
}

inline http::request get_from(std::string url) {
  return {.method = "GET", .url = std::move(url)};
}

/// Sends a request and waits for its end.
inline http::response fetch(http::client& to, http::request x) {
  auto promise = std::make_shared<std::promise<http::response>>();
  auto answer = promise->get_future();
  to.fetch(std::move(x), [promise](http::response y) { promise->set_value(std::move(y)); });
  if (answer.wait_for(patience) != std::future_status::ready)
    throw std::runtime_error("no end of the transfer");
  return answer.get();
}

/// A file with this content, gone with the object.
class temporary_file {
public:
  explicit temporary_file(std::string_view content) {
    auto fd = mkstemp(path_.data());
    if (fd < 0 || write(fd, content.data(), content.size()) != static_cast<ssize_t>(content.size()))
      throw std::runtime_error("no temporary file");
    close(fd);
  }

  ~temporary_file() { unlink(path_.c_str()); }

  temporary_file(const temporary_file&) = delete;
  temporary_file& operator=(const temporary_file&) = delete;

  const std::string& path() const { return path_; }

private:
  std::string path_ = "/tmp/modelforge-http-XXXXXX";
};

/// Takes all file descriptors that the process may still open.
class all_files_open {
public:
  all_files_open() {
    getrlimit(RLIMIT_NOFILE, &before_);
    rlimit less{.rlim_cur = 200, .rlim_max = before_.rlim_max};
    setrlimit(RLIMIT_NOFILE, &less);
    for (auto fd = 0; (fd = dup(2)) >= 0;)
      taken_.push_back(fd);
  }

  ~all_files_open() { release(); }

  void release() {
    for (auto fd : std::exchange(taken_, {}))
      close(fd);
    setrlimit(RLIMIT_NOFILE, &before_);
  }

private:
  rlimit before_{};
  std::vector<int> taken_;
};

/// Keeps what it gets.
class recorder : public http::receiver {
public:
  void on_head(http::response_head x) override {
    std::lock_guard lock{mutex_};
    ++heads_;
    head_ = std::move(x);
  }

  void on_data(std::string_view x) override {
    std::lock_guard lock{mutex_};
    body_ += x;
  }

  void on_end(http::transfer_end x) override {
    std::lock_guard lock{mutex_};
    ++ends_;
    end_ = std::move(x);
    ended_.notify_all();
  }

  /// Waits for the end. Throws when it does not come.
  http::transfer_end end() {
    std::unique_lock lock{mutex_};
    if (!ended_.wait_for(lock, patience, [this] { return ends_ > 0; }))
      throw std::runtime_error("no end of the transfer");
    return end_;
  }

  std::size_t ends() const { return get(ends_); }
  std::size_t heads() const { return get(heads_); }
  http::response_head head() const { return get(head_); }
  std::string body() const { return get(body_); }

  std::size_t received() const {
    std::lock_guard lock{mutex_};
    return body_.size();
  }

private:
  template <class T>
  T get(const T& x) const {
    std::lock_guard lock{mutex_};
    return x;
  }

  mutable std::mutex mutex_;
  std::condition_variable ended_;
  std::size_t heads_ = 0;
  std::size_t ends_ = 0;
  http::response_head head_;
  http::transfer_end end_;
  std::string body_;
};

} // namespace modelforge::test
