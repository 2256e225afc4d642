#pragma once

#include "node/greeting.hpp"

#include <chrono>
#include <functional>
#include <memory>
#include <string>

namespace modelforge::node {

/// Finds out, on a thread of its own, whether something takes connections at a TCP address, so that no dead address
/// ever comes before the one thread on which CAF connects.
class probe {
public:
  struct result {
    std::string problem; ///< Empty: it does.
    address numeric;     ///< Then: the address in numbers, which nobody has to look up again.
  };

  /// `done` is called once, on that thread, at the latest when `most` has passed since the name was found; not at all
  /// if the probe ends before.
  probe(address to, std::chrono::milliseconds most, std::function<void(result)> done);

  /// Waits for nothing but `done`, if that is running. A name that is being looked up is left to its thread.
  ~probe();

  probe(const probe&) = delete;
  probe& operator=(const probe&) = delete;

private:
  struct shared;
  std::shared_ptr<shared> shared_;
};

} // namespace modelforge::node
