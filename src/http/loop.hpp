#pragma once

#include "http/transfer.hpp"
#include "http/transport.hpp"

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

namespace modelforge::http {

struct free_multi {
  void operator()(CURLM* x) const { curl_multi_cleanup(x); }
};

struct free_share {
  void operator()(CURLSH* x) const { curl_share_cleanup(x); }
};

/// One of libcurl's multi handles. It exists while it has transfers or connections worth keeping.
///
/// Those for transfers that may share a connection (HTTP/2) serve one origin each and are kept to about one connection
/// each: left alone, libcurl opens too many, and a server that has had enough of a connection (GOAWAY) refuses the
/// requests behind its last one. So nothing new goes to a handle whose connection is full, and one that has carried as
/// many requests as its server takes on a connection (`origin::most_begun`), or whose server has said GOAWAY, is
/// retired: it is closed, with its connections, as soon as its last transfer has ended.
struct multi {
  transport::loop* owner = nullptr;
  std::size_t index = 0;
  std::unique_ptr<CURLM, free_multi> handle;
  origin* only = nullptr;                             ///< Of sharing transfers; empty: of any others.
  std::size_t begun = 0;                              ///< Sharing transfers since the handle was made.
  std::size_t active = 0;                             ///< Transfers that it has.
  steady::time_point due = steady::time_point::max(); ///< When libcurl wants to be called next.
  steady::time_point last_used{};
  bool touched = false; ///< Transfers may have ended since we last asked.
  bool leaving = false; ///< Of sharing transfers: the server has said GOAWAY.
  bool refuses = false; ///< A transfer it has is known to be refused.

  bool retired() const { return leaving || (only != nullptr && begun >= only->most_begun); }
};

/// What the loop knows of a file descriptor of libcurl's.
struct watched {
  origin* at = nullptr; ///< Set for connections; libcurl has other descriptors, too (of its resolver threads).
  multi* in = nullptr;
  transfer* user = nullptr; ///< The last one that used it; tells a socket from a later one of the same number.
  uint32_t wanted = 0;      ///< epoll events that libcurl wants.
  uint32_t registered = 0;  ///< Those that epoll looks for. Kept through idle times to save calls.
  std::optional<uint64_t> silent_from{}; ///< Bytes that had come when the answer under way last got further.
  bool idle = false;                     ///< Counted in its pool's `idle`.
  bool http2 = false;                    ///< Counted in its pool's `http2`.
};

/// The thread, its queue of commands, and all that libcurl is.
///
/// While the thread sleeps, who starts a transfer may do the thread's work in its place: what is asked for goes out at
/// once instead of after a wake-up, which takes longer than the sending. Where throughput counts, not the first byte,
/// two threads at work are better.
class transport::loop {
public:
  explicit loop(transport_options options);
  ~loop();

  loop(const loop&) = delete;
  loop& operator=(const loop&) = delete;

  // -- from any thread ---------------------------------------------------------

  struct start {
    transfer_id id;
    request asked;
    std::shared_ptr<receiver> to;
    uint64_t credit;
    steady::time_point at;
  };

  struct grant {
    transfer_id id;
    uint64_t bytes;
  };

  struct cancel {
    transfer_id id;
    std::chrono::nanoseconds after{0};
  };

  struct drain {
    steady::time_point until;
  };

  transfer_id submit(request x, std::shared_ptr<receiver> to, uint64_t credit, bool here);

  using command = std::variant<start, grant, cancel, drain>;

  /// Queues a command. Returns false, and leaves it alone, when the thread takes no more. With `here`, the caller
  /// carries it out where the thread sleeps.
  bool post(command&& x, bool here = false);

  void shutdown(std::chrono::nanoseconds grace);

  /// Whether a callback is what calls.
  bool in_callback() const {
    auto me = std::this_thread::get_id();
    return me == thread_.get_id() || me == deputy_.load(std::memory_order_relaxed);
  }

  /// Cancels what is left and ends the thread, which holds `me` until then, without anybody waiting for it. In a
  /// callback only.
  void end_alone(std::shared_ptr<loop> me);

  transport_stats stats() const;

  uint64_t initial_credit() const { return options_.initial_credit; }

private:
  // -- the thread ----------------------------------------------------------------

  void run();
  void take_commands();
  void work();
  void wait(std::unique_lock<std::mutex>& hold);
  bool may_end();
  steady::time_point next_due() const;
  void wake();

  /// Does what the thread would on waking. False: it does not sleep any more.
  bool work_in_its_place();

  void apply(start& x);
  void apply(grant& x);
  void apply(cancel& x);
  void apply(drain& x);

  // -- transfers -------------------------------------------------------------------

  std::unique_ptr<transfer> make_transfer();
  origin* find_origin(const std::string& url);

  /// Starts a transfer, or has it wait for its host's address.
  void begin(transfer& x);
  multi& choose_multi(const transfer& x);
  multi& open_multi(origin* only);

  /// Decides whether the transfer looks for a kept connection; libcurl's own search takes long among many.
  void decide_reuse(transfer& x);
  void drop_claim(transfer& x);

  /// Lets another transfer resolve the host, or all go on if its address is known.
  void give_up_resolving(transfer& x);
  void resume_waiting();
  void fail_waiting(origin& at, const transfer_error& why);

  /// Puts the transfer where its `deadline()` belongs. A later deadline waits for the old one to fall due.
  void arm(transfer& x);
  void fire_timers();

  /// Has the receiver flushed soon.
  void note_news(const std::shared_ptr<receiver>& to);
  void flush();

  void collect(multi& in);
  void hear_goaway(transfer& by, uint32_t last_stream);
  void end_refused(multi& in);
  void judge_silence(int fd, const transfer& user, uint64_t id, uint64_t before);
  void complete(transfer& x, CURLcode code);
  void finish(transfer& x, std::optional<transfer_error> error);
  void detach(transfer& x);

  // -- multi handles and sockets ------------------------------------------------------

  void limit_connections(multi& x);
  void run_due();
  void close_multi(multi& x);
  void close_unused_multis();
  void handle_event(int fd, uint32_t events);
  watched& at(int fd);
  void watch(int fd, watched& x, uint32_t events);
  void set_idle(watched& x, bool idle);
  void note_version(transfer& x, bool http2);

  static int on_socket(CURL* easy, curl_socket_t fd, int what, void* in, void*);
  static int on_timer(CURLM*, long milliseconds, void* in);
  static curl_socket_t on_open(void* user, curlsocktype, curl_sockaddr* address);
  static int on_close(void* user, curl_socket_t fd);
  static int on_ready(void* user, char*, char*, int, int);
  static int on_progress(void* user, curl_off_t, curl_off_t, curl_off_t total, curl_off_t sent);
  static int on_note(CURL*, curl_infotype kind, char* text, std::size_t size, void* user);
  static std::size_t on_header(char* data, std::size_t size, std::size_t count, void* user);
  static std::size_t on_body(char* data, std::size_t size, std::size_t count, void* user);

  transport_options options_;
  bool proxied_ = false; ///< A proxy is set in the environment; it need not be for every origin.

  std::mutex mutex_;
  std::vector<command> inbox_;        ///< Guarded by `mutex_`.
  bool ended_ = false;                ///< Guarded by `mutex_`.
  std::atomic<bool> sleeping_{false}; ///< The thread needs a wake-up call; set under `mutex_`.
  std::mutex state_;                  ///< Held by whoever uses what follows: the thread, but not while it sleeps.
  std::atomic<std::thread::id> deputy_{};
  steady::time_point sleeps_until_{};
  std::atomic<transfer_id> last_id_{0};

  struct counters {
    std::atomic<uint64_t> started{0}, succeeded{0}, failed{0}, cancelled{0}, connections{0};
    std::atomic<std::size_t> waiting{0}, paused{0}, multis{0};
  };
  counters count_;

  int epoll_ = -1;
  int wake_up_ = -1;

  std::vector<command> taken_;
  std::unique_ptr<CURLSH, free_share> share_; ///< Addresses and TLS sessions, for all multi handles.
  curl_slist* resolve_ = nullptr;
  std::map<std::string, origin, std::less<>> origins_;
  std::vector<std::unique_ptr<multi>> multis_;
  std::vector<watched> watched_; ///< By file descriptor.
  std::vector<std::unique_ptr<transfer>> spare_;
  std::unordered_map<transfer_id, std::unique_ptr<transfer>> live_;
  std::set<std::pair<steady::time_point, transfer*>> timers_; ///< One for each transfer that has a deadline.
  std::vector<std::shared_ptr<receiver>> news_;               ///< To be flushed; may repeat.
  std::vector<origin*> to_resume_;                            ///< May have transfers that need not wait any longer.
  std::optional<steady::time_point> drain_until_;

  std::shared_ptr<loop> alone_; ///< Itself, when nobody else owns it any more but its thread.
  std::mutex join_mutex_;
  std::thread thread_;
};

} // namespace modelforge::http
