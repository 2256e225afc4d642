#pragma once

#include "batch/reader.hpp"

#include <modelforge/messages/completion.hpp>
#include <modelforge/messages/error.hpp>

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

namespace modelforge::batch {

/// Where a batch's results go. Used by one thread.
class sink {
public:
  virtual ~sink() = default;

  /// Takes a line, without its end. Returns why it could not be kept (`io_failed`: disk full, closed pipe, ...); so
  /// does every later call then. May buffer up to 64 KiB.
  virtual std::optional<failure> write(std::string_view line) = 0;

  /// Hands on what is buffered, e.g. when a reader waits at the other end of a pipe.
  virtual std::optional<failure> flush() { return {}; }

  /// Makes what was written visible under its final name, if it is `complete`: a part never looks like a whole. Called
  /// once, after the last `write`.
  virtual std::optional<failure> finish(bool complete) = 0;

  /// Where the results are, for people: a path, or "standard output"; empty: there were none, and no part is left.
  virtual std::string place() const = 0;
};

/// Renders an item's result as an OpenAI batch result, a JSON object on one line:
/// `{"id", "custom_id", "response": {"status_code", "request_id", "body"}, "error"}`; with `"warnings"` and `"flaw"`
/// where there are any. `error` is null where the item was answered, and nowhere else: of a failure it has `code`,
/// `message` and, where there is one, the `text` of an answer that cannot be used. `response` is null where there was
/// no HTTP answer; of a refusal (HTTP 400 and above) it has the status, and the error as OpenAI writes it for its body.
/// `item` counts from 0. `body`: of an answer that is no chat completion.
std::string result_line(uint64_t item, const std::string& custom_id, const std::variant<completion, failure>& result,
                        const std::string& body = {});

/// Opens an output file; "-" is standard output. `output_file` says how it is written, here with the part PATH.part.
/// `are_known`: results that an earlier run left in it are in the ledger, too, or given up; else they stay.
std::variant<std::unique_ptr<sink>, failure> open_sink(const std::string& path, bool are_known = true);

} // namespace modelforge::batch
