#pragma once

#include <modelforge/messages/chat_request.hpp>
#include <modelforge/messages/completion.hpp>
#include <modelforge/messages/error.hpp>

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>

namespace modelforge {

/// How a batch stands; sent to its observers, and once more with `finished` set when it has ended.
struct batch_progress {
  uint64_t answered = 0;         ///< Items with a completion.
  uint64_t failed = 0;           ///< Items with an error, input errors included.
  uint64_t in_flight = 0;        ///< Items handed to a provider actor and not answered yet.
  std::optional<uint64_t> total; ///< Items in all; empty while the input has not been read to its end.
  uint64_t input_tokens = 0;
  uint64_t output_tokens = 0;
  std::chrono::nanoseconds elapsed{0};
  bool finished = false;

  friend bool operator==(const batch_progress&, const batch_progress&) = default;
};

/// What a whole batch came to.
struct batch_report {
  uint64_t answered = 0;
  uint64_t failed = 0;
  uint64_t attempts = 0; ///< HTTP exchanges made for all items.
  uint64_t input_tokens = 0;
  uint64_t output_tokens = 0;
  bool cancelled = false; ///< Ended before the input did.
  std::chrono::nanoseconds elapsed{0};
  std::optional<failure> stopped_by;    ///< Why it could not go on, e.g. a full disk.
  std::optional<failure> first_failure; ///< Of the items, in the order of their ends.
  std::string results;                  ///< Where they are: OUTPUT, OUTPUT.part or "standard output".

  friend bool operator==(const batch_report&, const batch_report&) = default;
};

template <class Inspector>
bool inspect(Inspector& f, batch_progress& x) {
  return f.object(x).fields(f.field("answered", x.answered), f.field("failed", x.failed),
                            f.field("in_flight", x.in_flight), f.field("total", x.total),
                            f.field("input_tokens", x.input_tokens), f.field("output_tokens", x.output_tokens),
                            f.field("elapsed", x.elapsed), f.field("finished", x.finished));
}

template <class Inspector>
bool inspect(Inspector& f, batch_report& x) {
  return f.object(x).fields(f.field("answered", x.answered), f.field("failed", x.failed),
                            f.field("attempts", x.attempts), f.field("input_tokens", x.input_tokens),
                            f.field("output_tokens", x.output_tokens), f.field("cancelled", x.cancelled),
                            f.field("elapsed", x.elapsed), f.field("stopped_by", x.stopped_by),
                            f.field("first_failure", x.first_failure), f.field("results", x.results));
}

} // namespace modelforge
