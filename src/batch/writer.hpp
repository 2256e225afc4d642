#pragma once

#include "batch/reader.hpp"

#include <modelforge/messages/completion.hpp>
#include <modelforge/messages/error.hpp>

#include <memory>
#include <optional>
#include <string>
#include <variant>

namespace modelforge::batch {

/// Where a batch's results go. Used by one thread.
class sink {
public:
  virtual ~sink() = default;

  /// Takes the result of an item. Returns why it could not be kept (`io_failed`: disk full, closed pipe, ...); so does
  /// every later call then. May buffer up to 64 KiB.
  virtual std::optional<failure> write(const std::string& custom_id,
                                       const std::variant<completion, failure>& result) = 0;

  /// Hands on what is buffered, e.g. when a reader waits at the other end of a pipe.
  virtual std::optional<failure> flush() { return {}; }

  /// Makes what was written visible under its final name. Called once, after the last `write`.
  virtual std::optional<failure> finish() = 0;
};

/// Opens an output file; "-" is standard output. Lines are OpenAI batch results:
/// `{"id", "custom_id", "response": {"status_code", "request_id", "body"}, "error"}`.
/// A failure that the provider answered with (HTTP 400 and above) has a `response` with that status and `{"error"}` as
/// its body, and a null `error`, as in OpenAI's error files; any other failure has a null `response` and an `error`
/// with `code` and `message`. A regular file is written as PATH.part and renamed by `finish`, so PATH is always a whole
/// result; without `finish` PATH.part stays, for people to look at, until the next run starts it anew. What is no
/// regular file (a pipe, a device) is written in place. Errors of write, sync, close and rename are all reported.
std::variant<std::unique_ptr<sink>, failure> open_sink(const std::string& path);

} // namespace modelforge::batch
