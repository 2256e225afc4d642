#pragma once

#include "actors/stream_session.hpp"
#include "actors/support/state_handle.hpp"
#include "http/client.hpp"

#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace modelforge {

class stream_inbox;

/// A session, as its inboxes see it.
class stream_inbox_reader {
public:
  virtual ~stream_inbox_reader() = default;

  /// Inside the session's actor: something has come.
  virtual void on_arrival(stream_inbox& from) = 0;
};

/// Where the transport's thread leaves what the transfer of one attempt brings. The session gets one message for all
/// that comes before it looks. The provider hears of every attempt: if the session does not report how it ended, its
/// inbox tells at its own end that it is lost, whoever has died meanwhile.
class stream_inbox final : public http::receiver, public std::enable_shared_from_this<stream_inbox> {
public:
  stream_inbox(uint64_t attempt, stream::time_point begun, state_handle<stream_inbox_reader> session,
               state_handle<stream_owner> provider)
    : attempt(attempt), begun(begun), session_(std::move(session)), provider_(std::move(provider)) {}

  ~stream_inbox() override {
    if (!reported_)
      provider_.run([attempt = attempt, written = written_.load()](stream_owner& provider) {
        provider.on_stream_lost(attempt, written);
      });
  }

  const uint64_t attempt;
  const stream::time_point begun;

  /// What has come since the session last looked.
  struct content {
    std::optional<http::response_head> head;
    std::string body;
    std::optional<http::transfer_end> end;
  };

  void on_open(http::transfer_id id) override { transfer_ = id; }

  void on_head(http::response_head head) override {
    put([&](content& to) { to.head = std::move(head); });
  }

  void on_data(std::string_view bytes) override {
    put([&](content& to) { to.body += bytes; });
  }

  void on_end(http::transfer_end end) override {
    written_ = !end.error || end.error->request_written;
    put([&](content& to) { to.end = std::move(end); });
  }

  /// Called by the transport after each batch of the calls above. One message at a time: while the session has not
  /// looked, it has been told already.
  void flush() override {
    {
      std::lock_guard guard{mutex_};
      if (!has_arrived_ || std::exchange(announced_, true))
        return;
    }
    session_.run([me = shared_from_this()](stream_inbox_reader& session) { session.on_arrival(*me); });
  }

  /// Swaps what has come against `empty`, so that its buffer is used again.
  void swap_content(content& empty) {
    std::lock_guard guard{mutex_};
    std::swap(arrived_, empty);
    has_arrived_ = announced_ = false;
  }

  /// What still comes is dropped.
  void close() {
    std::lock_guard guard{mutex_};
    closed_ = true;
    has_arrived_ = false;
    arrived_ = {};
  }

  /// Inside the session: it reports this attempt.
  void set_reported() { reported_ = true; }

  /// 0 until the transfer is opened.
  http::transfer_id transfer() const { return transfer_; }

private:
  /// Adds to what has come, unless nobody wants it any more.
  template <class F>
  void put(F f) {
    std::lock_guard guard{mutex_};
    if (closed_)
      return;
    f(arrived_);
    has_arrived_ = true;
  }

  state_handle<stream_inbox_reader> session_;
  state_handle<stream_owner> provider_;
  std::atomic<http::transfer_id> transfer_ = 0;
  std::atomic<bool> written_ = false;  ///< As long as nothing ended: it never went out.
  std::atomic<bool> reported_ = false; ///< Set in the session, read by whoever lets go last.
  std::mutex mutex_;
  content arrived_;
  bool has_arrived_ = false; ///< Something has come that the session has not got.
  bool announced_ = false;   ///< The session has a message of it.
  bool closed_ = false;
};

} // namespace modelforge
