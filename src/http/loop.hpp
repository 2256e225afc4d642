#pragma once

#include "http/deadlines.hpp"
#include "http/easy_handles.hpp"
#include "http/inbox.hpp"
#include "http/multi.hpp"
#include "http/poller.hpp"
#include "http/transfer.hpp"
#include "http/transport.hpp"

#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <unordered_map>
#include <vector>

namespace modelforge::http {

/// The thread that drives libcurl, and the transfers under way.
///
/// Any thread puts commands into the inbox; one at a time carries them out, calls libcurl where a socket is ready or a
/// time has come, and passes what it brings to the receivers. That is the loop's own thread, but while it sleeps, who
/// starts a transfer may do its work in its place, as its deputy: what is asked for goes out at once instead of after a
/// wake-up, which takes longer than the sending. Where throughput counts, not the first byte, two threads at work are
/// better, and the thread is woken.
///
/// `work_mutex_` guards everything but the inbox, the counters and the waking. Each transfer is in `live_` from its
/// start to its one end (`finish`), whatever libcurl calls back meanwhile. Receivers' calls happen with the mutex held:
/// what they ask of the transport goes through the inbox.
///
/// What belongs together has a class of its own: `inbox`, `poller` (epoll), `origin_table` (names and who resolves
/// them), `multi_handles` (which connection), `easy_handles`, `deadlines`. They call nobody back; the loop asks each
/// what to do.
class transport::loop {
public:
  explicit loop(transport_options options);
  ~loop();

  loop(const loop&) = delete;
  loop& operator=(const loop&) = delete;

  // -- from any thread ---------------------------------------------------------

  /// Starts a transfer with this credit in bytes. With `may_work_here`, the caller carries it out where the thread
  /// sleeps. Once the thread has ended, the transfer ends within this call.
  transfer_id submit(http::request request, std::shared_ptr<http::receiver> receiver, uint64_t credit,
                     bool may_work_here);

  /// Posts a command. Returns false, and leaves it alone, when the thread takes no more.
  bool post(command&& next, bool may_work_here = false);

  /// Ends the thread as `transport::shutdown` says. Not in a callback.
  void shutdown(std::chrono::nanoseconds grace);

  /// Whether a callback is what calls.
  bool in_callback() const {
    auto me = std::this_thread::get_id();
    return me == thread_.handle.get_id() || me == deputy_.load(std::memory_order_relaxed);
  }

  /// Cancels what is left and ends the thread, which holds `me` until then, without anybody waiting for it. In a
  /// callback only.
  void end_alone(std::shared_ptr<loop> me);

  transport_stats stats() const;

  uint64_t initial_credit() const { return options_.initial_credit; }

private:
  struct counters {
    std::atomic<uint64_t> started{0}, succeeded{0}, failed{0}, cancelled{0}, connections{0};
    std::atomic<std::size_t> waiting{0}, paused{0};
  };

  struct worker {
    std::thread handle;
    std::mutex join_mutex;       ///< Held by who waits for the end.
    std::shared_ptr<loop> owned; ///< The loop itself, when nobody else owns it any more but its thread.
  };

  // -- the thread (loop.cpp) -------------------------------------------------------

  void run();
  void take_commands();
  void work();
  void wait(std::unique_lock<std::mutex>& work_lock);
  bool may_end();
  steady::time_point next_due() const;

  /// Does what the thread would on waking. False: another is at it.
  bool work_as_deputy();

  void apply(start_command& start);
  void apply(grant_command& grant);
  void apply(cancel_command& cancel);
  void apply(drain_command& drain);

  // -- transfers (loop.cpp) ----------------------------------------------------------

  /// Starts a transfer, or has it wait for its host's address.
  void begin(transfer& transfer);

  /// Begins those that need not wait for an address any longer.
  void resume_waiting();

  /// Ends those that wait for an address that there is none of.
  void fail_waiting(origin& origin, const transfer_error& error);

  void fire_deadlines();

  /// Notes that the receiver is to be flushed when this turn's events have been passed on.
  void flush_later(const std::shared_ptr<http::receiver>& receiver);
  void flush();

  /// Ends what libcurl has finished in this handle.
  void collect(multi& multi);
  void complete(transfer& transfer, CURLcode code);

  /// Ends a transfer: the one place where it leaves `live_` and its receiver hears `on_end`.
  void finish(transfer& transfer, std::optional<transfer_error> error);
  void detach(transfer& transfer);

  // -- sockets, and what libcurl calls (sockets.cpp) -------------------------------------

  /// Calls libcurl where it wants to be called by now.
  void run_due();
  void on_event(int descriptor, uint32_t events);
  void judge_silence(int descriptor, const transfer& user, uint64_t id, uint64_t progress_before);
  void on_goaway(transfer& witness, uint32_t last_stream);
  void end_refused(multi& multi);
  void on_version(transfer& transfer, bool is_http2);

  static void connect_callbacks(transfer& transfer, loop& owner);
  static int on_socket(CURL* easy, curl_socket_t descriptor, int action, void* user, void*);
  static curl_socket_t on_open(void* user, curlsocktype, curl_sockaddr* address);
  static int on_close(void* user, curl_socket_t descriptor);
  static int on_ready(void* user, char* remote_host, char* local_host, int remote_port, int local_port);
  static int on_progress(void* user, curl_off_t, curl_off_t, curl_off_t total, curl_off_t sent);
  static int on_note(CURL*, curl_infotype kind, char* text, std::size_t size, void* user);
  static std::size_t on_header(char* data, std::size_t size, std::size_t count, void* user);
  static std::size_t on_body(char* data, std::size_t size, std::size_t count, void* user);

  const transport_options options_;
  inbox inbox_;
  counters counters_;
  std::atomic<std::thread::id> deputy_{}; ///< Who works in the thread's place; none: nobody does.
  std::mutex work_mutex_; ///< Held by whoever uses what follows: the thread, but not while it sleeps, or its deputy.
  steady::time_point sleeps_until_{};
  poller poller_;
  origin_table origins_;
  easy_handles easy_handles_;
  multi_handles multis_;
  std::unordered_map<transfer_id, std::unique_ptr<transfer>> live_;
  deadlines deadlines_;
  std::vector<std::shared_ptr<http::receiver>> unflushed_; ///< May repeat.
  std::optional<steady::time_point> drain_deadline_;       ///< Set: nothing new is taken.
  worker thread_;                                          ///< The last to begin and the first to end.
};

} // namespace modelforge::http
