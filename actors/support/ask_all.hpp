#pragma once

#include "actors/support/mail.hpp"

#include <caf/error.hpp>

#include <cstddef>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

namespace modelforge {

/// Asks all at once, and calls `done` inside `self` when each has answered or cannot: one that is dead has nothing left
/// to say. `Answer`: the type of an answer; none where it is empty.
template <class... Answer, class Self, class Handle, class... Ts>
void ask_all(Self* self, const std::vector<Handle>& all, std::function<void()> done, const Ts&... question) {
  if (all.empty())
    return done();
  auto left = std::make_shared<std::size_t>(all.size());
  auto settle = [left, done = std::move(done)] {
    if (--*left == 0)
      done();
  };
  for (auto& one : all)
    ask(self, one, question...)
      .then([settle](const Answer&...) { settle(); }, [settle](const caf::error&) { settle(); });
}

} // namespace modelforge
