#pragma once

#include "node/connection.hpp"
#include "node/credentials.hpp"
#include "node/greeting.hpp"

#include <chrono>
#include <functional>
#include <memory>
#include <string>

namespace modelforge::node {

/// Connects to a peer, on a thread of its own, so that no dead address and no silent peer keeps another one waiting.
class probe {
public:
  struct result {
    std::string problem;            ///< Empty: it went well.
    std::shared_ptr<connection> is; ///< Then: hands have been shaken.
  };

  /// `tls`: what to show and to ask for; null: a connection in the clear. `done` is called once, on that thread, at the
  /// latest when `timeout` has passed since the name was found; not at all if the probe ends before.
  probe(address target, std::shared_ptr<credentials> tls, std::chrono::milliseconds timeout,
        std::function<void(result)> done);

  /// Waits for nothing but `done`, if that is running. A name that is being looked up is left to its thread.
  ~probe();

  probe(const probe&) = delete;
  probe& operator=(const probe&) = delete;

private:
  struct shared;
  std::shared_ptr<shared> shared_;
};

} // namespace modelforge::node
