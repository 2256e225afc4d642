#pragma once

#include "tools/simulator/hub.hpp"

#include <boost/asio/ip/tcp.hpp>

namespace modelforge::simulator {

/// Serves `socket` until either side ends it; lives as long as it has something to wait for.
void serve(boost::asio::ip::tcp::socket socket, hub& shared);

/// Closes every connection of `shared`.
void close_all(hub& shared);

} // namespace modelforge::simulator
