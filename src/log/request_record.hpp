#pragma once

#include <modelforge/messages/attempt.hpp>
#include <modelforge/messages/chat_request.hpp>
#include <modelforge/messages/completion.hpp>
#include <modelforge/messages/enums.hpp>
#include <modelforge/messages/errc.hpp>
#include <modelforge/messages/request_id.hpp>
#include <modelforge/messages/token_usage.hpp>

#include "base/trace_context.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace modelforge::log {

/// What was asked for: a whole answer, a stream, vectors, or the answer to a batch's item that is sent live.
enum class request_kind : uint8_t { chat, stream, embedding, batch_item };

/// How a request ended at its provider.
enum class request_outcome : uint8_t {
  answered,  ///< With an answer, which may have a flaw.
  cut,       ///< A stream that broke off behind a part that its readers have.
  failed,    ///< In an error that is none of the others'.
  expired,   ///< Its deadline passed.
  cancelled, ///< It was taken back, or its last reader left.
  abandoned, ///< Its caller ended.
  stopped,   ///< The provider ended: its grace period was over, or it died.
  refused,   ///< It was not taken in.
};

/// Where a request stands in a trace, and what else only its spans have of it.
struct trace_part {
  trace_context context{}; ///< Of the request's own span.
  uint64_t parent = 0;     ///< The caller's span; 0: the trace begins here.
  std::string state{};     ///< `tracestate`, as the caller gave it.
  std::string vendor{};    ///< The provider, as OpenTelemetry names it.
  std::string url{};       ///< Where its attempts go, or would have gone; without query and login.
  uint32_t earlier = 0;    ///< Attempts up to this number were made by others, who tell them.
};

/// All that the access log and the trace have of a request: a plain value, whole when the request has ended. Texts are
/// cut.
struct request_record {
  /// Of a text in it, in bytes.
  static constexpr std::size_t max_text = 256;
  static constexpr std::size_t max_labels = 32;

  request_id id;
  request_id part_of{}; ///< The request for embeddings that it is a part of, where that was split here.
  request_kind kind = request_kind::chat;
  modelforge::priority rank = priority::interactive;
  std::string tenant{};
  std::vector<std::pair<std::string, std::string>> labels{}; ///< The first `max_labels` by name.
  std::size_t more_labels = 0;                               ///< That are left out.
  std::string node{};                                        ///< That asks for it; empty: this one.
  std::string provider{};                                    ///< The configured name.
  std::string model{};                                       ///< As it was asked for, or the default.
  std::string answered_by{};                                 ///< The model, as the provider named it.

  request_outcome outcome = request_outcome::answered;
  errc code = errc::none;
  std::vector<attempt_record> attempts{};
  std::size_t more_attempts = 0; ///< That are left out: of very many, some.
  /// By `wait_reason`: what attempts waited before they were sent, and what the request waited last where it ended so.
  std::array<std::chrono::nanoseconds, enum_names<wait_reason>.size()> waits{};
  std::optional<std::chrono::nanoseconds> first_token{}; ///< Of a stream: from the acceptance to its first piece.
  std::chrono::nanoseconds duration{0};                  ///< From the acceptance.
  std::optional<token_usage> usage{};
  std::optional<double> cost{};
  std::optional<finish_reason> finish{}; ///< Of an answer.
  answer_flaw flaw = answer_flaw::none;
  std::optional<trace_part> trace{}; ///< Empty: it has no spans.

  /// Counts an attempt, and its wait, that is not to be kept.
  void leave_out(const attempt_record& attempt) {
    ++more_attempts;
    add_wait(attempt.waited_for, attempt.waited);
  }

  /// What waited for nothing that is known waited in the queue: `wait_reason::nothing` stands for it.
  void add_wait(wait_reason why, std::chrono::nanoseconds time) {
    waits[static_cast<std::size_t>(why)] += std::max(time, std::chrono::nanoseconds{0});
  }

  /// The memory that it takes, about.
  std::size_t bytes() const {
    auto result =
      sizeof(request_record) + attempts.capacity() * sizeof(attempt_record) + labels.capacity() * sizeof(labels[0]);
    for (auto* text : {&tenant, &node, &provider, &model, &answered_by})
      result += text->capacity();
    for (auto& [name, value] : labels)
      result += name.capacity() + value.capacity();
    if (trace)
      result += trace->state.capacity() + trace->vendor.capacity() + trace->url.capacity();
    return result;
  }
};

/// When it ended, by the clock on the wall, with the rest.
struct timed_record {
  request_record what;
  std::chrono::system_clock::time_point time;
};

} // namespace modelforge::log

template <>
inline constexpr auto modelforge::enum_names<modelforge::log::request_kind> =
  std::to_array<std::string_view>({"chat", "stream", "embedding", "batch_item"});

template <>
inline constexpr auto modelforge::enum_names<modelforge::log::request_outcome> = std::to_array<std::string_view>(
  {"answered", "cut", "failed", "expired", "cancelled", "abandoned", "stopped", "refused"});
