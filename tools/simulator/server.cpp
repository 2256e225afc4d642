#include "tools/simulator/simulator.hpp"

#include "tools/simulator/connection.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>

#include <sys/resource.h>

#include <cstdio>
#include <mutex>
#include <system_error>
#include <thread>

namespace modelforge::simulator {

namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;

constexpr auto accept_pause = std::chrono::milliseconds(20); ///< When the process has no file descriptor left.

[[noreturn]] void fail_to_listen(const options& x, const error_code& error) {
  throw std::system_error(error, "cannot listen on " + x.host + ":" + std::to_string(x.port));
}

tcp::acceptor listen(asio::io_context& io, const options& x) {
  error_code error;
  tcp::resolver resolver(io);
  auto found = resolver.resolve(x.host, std::to_string(x.port), tcp::resolver::passive, error);
  if (error || found.empty())
    fail_to_listen(x, error ? error : asio::error::host_not_found);
  auto endpoint = found.begin()->endpoint();
  tcp::acceptor acceptor(io);
  acceptor.open(endpoint.protocol(), error);
  if (!error)
    acceptor.set_option(tcp::acceptor::reuse_address(true), error);
  if (!error)
    acceptor.bind(endpoint, error);
  if (!error)
    acceptor.listen(tcp::acceptor::max_listen_connections, error);
  if (error)
    fail_to_listen(x, error);
  return acceptor;
}

/// Thousands of connections need as many file descriptors; the usual soft limit is 1,024.
void raise_file_limit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
  }
}

void print_summary(const stats& x) {
  auto show = [](uint64_t value) { return static_cast<unsigned long long>(value); };
  std::string statuses;
  for (const auto& [status, count] : x.statuses)
    statuses += (statuses.empty() ? "" : ", ") + std::to_string(count) + " x " + std::to_string(status);
  std::fprintf(
    stderr,
    "%llu requests (%s), %llu of them streams; %llu answered, %llu aborted by the client; at most %llu at once; "
    "%llu prompt and %llu completion tokens; fullest window: %llu requests, %llu tokens.\n",
    show(x.requests), statuses.empty() ? "none" : statuses.c_str(), show(x.streams), show(x.answered), show(x.aborted),
    show(x.concurrency_peak), show(x.prompt_tokens), show(x.completion_tokens), show(x.window_requests),
    show(x.window_tokens));
}

} // namespace

class server::state {
public:
  explicit state(options settings)
    : hub_(std::move(settings)), io_(1), acceptor_(listen(io_, hub_.settings)), pause_(io_),
      endpoint_(acceptor_.local_endpoint()) {
    accept();
    thread_ = std::thread([this] { io_.run(); });
  }

  std::string url() const {
    auto host = endpoint_.address().to_string();
    if (endpoint_.address().is_v6())
      host = "[" + host + "]";
    return "http://" + host + ":" + std::to_string(endpoint_.port());
  }

  uint16_t port() const { return endpoint_.port(); }

  stats_book& book() { return hub_.book; }

  void stop() {
    std::lock_guard lock(stopping_);
    if (!thread_.joinable())
      return;
    asio::post(io_, [this] {
      error_code ignored;
      acceptor_.close(ignored);
      pause_.cancel();
      close_all(hub_);
    });
    thread_.join(); // io_.run() ends when the last connection has let go
  }

private:
  void accept() {
    acceptor_.async_accept([this](error_code error, tcp::socket socket) {
      if (!acceptor_.is_open())
        return;
      if (!error)
        serve(std::move(socket), hub_);
      if (error == asio::error::no_descriptors || error == asio::error::no_memory
          || error == asio::error::no_buffer_space)
        return accept_later();
      accept();
    });
  }

  void accept_later() {
    pause_.expires_after(accept_pause);
    pause_.async_wait([this](error_code) {
      if (acceptor_.is_open())
        accept();
    });
  }

  hub hub_; // before `io_`, which may still hold connections
  asio::io_context io_;
  tcp::acceptor acceptor_;
  asio::steady_timer pause_;
  tcp::endpoint endpoint_;
  std::mutex stopping_;
  std::thread thread_;
};

server::server(options settings) : state_(std::make_unique<state>(std::move(settings))) {
  // nop
}

server::~server() {
  stop();
}

std::string server::url() const {
  return state_->url();
}

uint16_t server::port() const {
  return state_->port();
}

stats server::snapshot() const {
  return state_->book().snapshot();
}

void server::reset() {
  state_->book().reset();
}

void server::stop() {
  state_->stop();
}

int run(const options& settings, std::stop_token stop) {
  raise_file_limit();
  asio::io_context io;
  asio::signal_set signals(io, SIGINT, SIGTERM);
  signals.async_wait([](error_code, int) {});
  server simulator(settings);
  std::printf("listening %s\n", simulator.url().c_str());
  std::fflush(stdout);
  std::stop_callback on_stop(stop, [&] { asio::post(io, [&] { signals.cancel(); }); });
  io.run();
  simulator.stop();
  print_summary(simulator.snapshot());
  return 0;
}

} // namespace modelforge::simulator
