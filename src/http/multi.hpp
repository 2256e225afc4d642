#pragma once

#include "http/transfer.hpp"
#include "http/transport.hpp"

#include <atomic>
#include <cstddef>
#include <memory>
#include <vector>

namespace modelforge::http {

struct free_multi {
  void operator()(CURLM* handle) const { curl_multi_cleanup(handle); }
};

/// One of libcurl's multi handles. It exists while it has transfers or connections worth keeping.
///
/// Those for transfers that may share a connection (HTTP/2) serve one origin each and are kept to about one connection
/// each: left alone, libcurl opens too many, and a server that has had enough of a connection (GOAWAY) refuses the
/// requests behind its last one. So nothing new goes to a handle whose connection is full, and one that has carried as
/// many requests as its server takes on a connection (`origin::max_requests`), or whose server has said GOAWAY, is
/// retired: it is closed, with its connections, as soon as its last transfer has ended.
struct multi {
  transport::loop* owner = nullptr; ///< For libcurl's callbacks, which get no more than this struct.
  std::size_t index = 0;            ///< Its place among all, and its pool's in each origin.
  std::unique_ptr<CURLM, free_multi> handle;
  origin* only = nullptr;                             ///< Of sharing transfers; null: of any others.
  std::size_t carried = 0;                            ///< Sharing transfers begun since the handle was made.
  std::size_t active = 0;                             ///< Transfers that it has.
  steady::time_point due = steady::time_point::max(); ///< When libcurl wants to be called next.
  steady::time_point last_used{};
  bool touched = false; ///< Transfers may have ended since we last looked.
  bool leaving = false; ///< Of sharing transfers: the server has said GOAWAY.
  bool refuses = false; ///< A transfer it has is known to be refused.

  bool retired() const { return leaving || (only != nullptr && carried >= only->max_requests); }
};

/// All multi handles of a transport, which of them a transfer goes to, and whether it looks for a kept connection
/// there. libcurl's own search for one takes long among many, and it opens more than a server takes; so the pools of
/// each origin are counted here (`connection_pool`), and libcurl is told what to do.
///
/// Belongs to the transport's thread or its deputy, but for `count`. Handles are called by the loop alone.
class multi_handles {
public:
  multi_handles(transport::loop& owner, const transport_options& options, curl_socket_callback on_socket);

  /// Gives the transfer a handle, opened where none has room. What `curl_multi_add_handle` says is returned.
  CURLMcode add(transfer& transfer);

  /// Takes the transfer out of its handle.
  void remove(transfer& transfer);

  /// The transfer has a connection, or will have none: what it was to find again is free for the next.
  static void drop_claim(transfer& transfer);

  /// Closes handles without transfers that are retired, or whose connections are too old to be used again; libcurl
  /// itself would wait for the next transfer.
  void close_unused();

  /// Closes all, with their connections.
  void close_all();

  /// When `close_unused`, or libcurl, has something to do next.
  steady::time_point next_due() const;

  /// Handles that are open. From any thread.
  std::size_t count() const { return count_.load(std::memory_order_acquire); }

  /// Goes through all that there ever were; a closed one is never due nor touched.
  auto begin() { return handles_.begin(); }
  auto end() { return handles_.end(); }

private:
  multi& choose(const transfer& transfer);
  multi& open(origin* only);
  void close(multi& multi);
  void decide_reuse(transfer& transfer);
  void limit_connections(multi& multi);

  transport::loop& owner_;
  const transport_options& options_;
  curl_socket_callback on_socket_;
  std::vector<std::unique_ptr<multi>> handles_;
  std::atomic<std::size_t> count_{0};
};

} // namespace modelforge::http
