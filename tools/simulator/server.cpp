#include "tools/simulator/simulator.hpp"

#include "tools/simulator/connection.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>

#include <sys/resource.h>

#include <cstdio>
#include <future>
#include <mutex>
#include <sstream>
#include <stdexcept>
#include <system_error>
#include <thread>
#include <utility>

// One thread runs the event loop; everything that connections share lives in the `hub` and is touched there only. The
// other threads' calls reach it in two ways: `stats_book` has a mutex of its own, everything else is posted to the
// loop.

namespace modelforge::simulator {

namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;

constexpr auto accept_pause = std::chrono::milliseconds(20); ///< When the process has no descriptor left, or the like.

/// Throws what `server`'s constructor promises, with the address in its text.
[[noreturn]] void fail_to_listen(const options& settings, const error_code& error) {
  throw std::system_error(error, "cannot listen on " + settings.host + ":" + std::to_string(settings.port));
}

/// Opens the port at the first address of the host's name; `reuse_address` lets a restart have the same port at once.
tcp::acceptor listen(asio::io_context& io, const options& settings) {
  error_code error;
  tcp::resolver resolver(io);
  auto found = resolver.resolve(settings.host, std::to_string(settings.port), tcp::resolver::passive, error);
  if (error || found.empty())
    fail_to_listen(settings, error ? error : asio::error::host_not_found);
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
    fail_to_listen(settings, error);
  return acceptor;
}

/// Throws std::invalid_argument if anything is wrong with the settings.
void check(const options& settings) {
  if (auto problem = problem_of(settings); !problem.empty())
    throw std::invalid_argument(problem);
}

/// Thousands of connections need as many file descriptors; the usual soft limit is 1,024.
void raise_file_limit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
  }
}

/// "3 x 429, 1 x 503"
template <class Counts>
std::string list_of(const Counts& counts) {
  std::ostringstream out;
  for (const auto& [name, count] : counts)
    out << (out.view().empty() ? "" : ", ") << count << " x " << name;
  return counts.empty() ? "none" : out.str();
}

/// Returns a line on all, one on limits and faults if there were any, and one on attempts if clients sent their
/// numbers.
std::string summary_of(const stats& snapshot) {
  std::ostringstream out;
  out << snapshot.requests << " requests (" << list_of(snapshot.statuses) << "), " << snapshot.streams
      << " of them streams; " << snapshot.answered << " answered, " << snapshot.aborted
      << " aborted by the client; at most " << snapshot.concurrency_peak << " at once; " << snapshot.prompt_tokens
      << " prompt (" << snapshot.cached_tokens << " cached) and " << snapshot.completion_tokens
      << " completion tokens; fullest window: " << snapshot.window_requests << " requests, " << snapshot.window_tokens
      << " tokens.\n";
  if (snapshot.rejected > 0 || !snapshot.faults.empty())
    out << snapshot.rejected << " rejected (" << snapshot.rejected_requests << " by the limit of requests, "
        << snapshot.rejected_tokens << " by that of tokens); faults: " << list_of(snapshot.faults) << ".\n";
  if (snapshot.attempts > 0)
    out << snapshot.first_attempts << " first attempts, " << snapshot.retries << " retries; at most "
        << snapshot.attempts_per_request << " attempts of one request.\n";
  return out.str();
}

} // namespace

/// The running server: the event loop, its thread and the open port. All requests are answered on that thread; the
/// public methods may be called from any other, and hand what they want to the loop. It ends when the port is closed
/// and the last handler has run.
class server::state {
public:
  explicit state(options settings)
    : hub_(std::move(settings)), io_(1), acceptor_(listen(io_, hub_.settings)), pause_(io_),
      endpoint_(acceptor_.local_endpoint()) {
    accept();
    thread_ = std::thread([this] { io_.run(); });
  }

  /// An IPv6 address stands in brackets.
  std::string url() const {
    auto host = endpoint_.address().to_string();
    if (endpoint_.address().is_v6())
      host = "[" + host + "]";
    return "http://" + host + ":" + std::to_string(endpoint_.port());
  }

  uint16_t port() const { return endpoint_.port(); }

  stats_book& book() { return hub_.book; }

  /// Waits until the loop has taken over the settings; `stopping_` keeps `stop` from ending the loop meanwhile.
  void configure(const options& settings) {
    std::lock_guard lock(stopping_);
    if (!thread_.joinable())
      return;
    std::promise<void> done;
    asio::post(io_, [&] {
      hub_.configure(settings);
      done.set_value();
    });
    done.get_future().wait();
  }

  /// Closes everything from within the loop, which then runs out of work, and waits for its end.
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
  /// Accepts connections one after another until the port is closed.
  void accept() {
    acceptor_.async_accept([this](error_code error, tcp::socket socket) {
      if (!acceptor_.is_open())
        return;
      if (!error)
        serve(std::move(socket), hub_);
      if (!error)
        return accept();
      if (error == asio::error::no_descriptors)
        report_descriptors();
      accept_later(); // what keeps it from accepting lasts: trying again at once would only burn time
    });
  }

  /// Says on standard error, once, that the process has no file descriptor left.
  void report_descriptors() {
    if (std::exchange(has_reported_, true))
      return;
    rlimit limit{};
    getrlimit(RLIMIT_NOFILE, &limit);
    std::fprintf(stderr,
                 "simulator: out of file descriptors (%llu at most, %llu connections open): further connections wait; "
                 "`ulimit -n` raises the number\n",
                 static_cast<unsigned long long>(limit.rlim_cur),
                 static_cast<unsigned long long>(hub_.connections.size()));
  }

  /// Tries again after a pause.
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
  bool has_reported_ = false; ///< Of missing descriptors.
  std::mutex stopping_;
  std::thread thread_;
};

server::server(options settings) {
  check(settings);
  state_ = std::make_unique<state>(std::move(settings));
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

void server::configure(const options& settings) {
  check(settings);
  state_->configure(settings);
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
  std::fputs(summary_of(simulator.snapshot()).c_str(), stderr);
  return 0;
}

} // namespace modelforge::simulator
