#pragma once

#include "tools/simulator/exchange.hpp"
#include "tools/simulator/stats.hpp"

#include <boost/asio/ip/tcp.hpp>

#include <array>
#include <unordered_set>

namespace modelforge::simulator {

class connection;

/// What all connections of a server share. Touched on the server's thread only, but for `book`.
struct hub {
  explicit hub(options x) : settings(std::move(x)), book(settings.window) {}

  options settings;
  stats_book book;
  uint64_t exchanges = 0;                      ///< Requests so far: numbers the next one.
  std::unordered_set<connection*> connections; ///< The open ones.
  std::array<char, 64 << 10> scratch;          ///< What was just read: idle connections hold no buffer.
  std::string event;                           ///< What a stream just wrote, before its framing.
  int64_t date_second = 0;                     ///< When `date` was written.
  std::string date;                            ///< Value of the Date header.
};

/// Serves `socket` until either side ends it; lives as long as it has something to wait for.
void serve(boost::asio::ip::tcp::socket socket, hub& shared);

/// Closes every connection of `shared`.
void close_all(hub& shared);

} // namespace modelforge::simulator
