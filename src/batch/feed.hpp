#pragma once

#include "batch/reader.hpp"

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <variant>

namespace modelforge::batch {

/// Reads an input that may keep its reader waiting (standard input, a pipe) on a thread of its own, a few items ahead.
///
/// Destroying it does not wait for that thread, which may sit in a read until the input's other end moves.
class feed {
public:
  using entry = std::variant<std::optional<item>, failure>;

  /// Starts reading; an input that cannot be opened shows as the first entry. `on_ready` is called on the reading
  /// thread, once for each `try_next` that returned nothing; it must not block, and is not called after the destructor.
  feed(std::string path, input_form form, std::function<void()> on_ready);
  ~feed();
  feed(const feed&) = delete;
  feed& operator=(const feed&) = delete;

  /// Returns what `source::next` would, or nothing if that would have to wait.
  std::optional<entry> try_next();

private:
  struct shared;

  std::shared_ptr<shared> shared_;
};

} // namespace modelforge::batch
