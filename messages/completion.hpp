#pragma once

#include <modelforge/messages/attempt.hpp>
#include <modelforge/messages/content.hpp>
#include <modelforge/messages/request_id.hpp>
#include <modelforge/messages/token_usage.hpp>

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

/// What comes back for a `chat_request`: the model's answer, and an account of how it was got.
///
/// The same type is the end of a stream (`stream_done`) and a line of a batch's output. Everything in it that came from
/// outside has passed the provider's own secrets' mask.

namespace modelforge {

/// Why the model stopped.
enum class finish_reason : uint8_t {
  unknown,        ///< The provider named none, or one that we do not know; see `raw_finish_reason`.
  stop,           ///< It had said all, or met a stop text.
  length,         ///< The token limit cut it.
  tool_calls,     ///< It waits for the results of tools.
  content_filter, ///< The provider's filter cut it.
  refusal,        ///< The model declined.
  paused,         ///< The provider paused a long turn; send the conversation again to go on.
};

template <>
inline constexpr auto enum_names<finish_reason> =
  std::to_array<std::string_view>({"unknown", "stop", "length", "tool_calls", "content_filter", "refusal", "paused"});

/// What keeps an answer from being a good one, by how it ended. An answer that its provider broke off (its finish
/// reason says `error`, `abort` and the like) is none: it is a `failure`, and was tried again where it could be.
enum class answer_flaw : uint8_t {
  none,    ///< It is whole, as far as anybody can tell.
  cut,     ///< The token limit or the context's end cut it, or the provider paused it: more was to come.
  blocked, ///< The provider's filter took it, or the rest of it, away; or the model declined.
  empty,   ///< It ended as a whole one does, and holds neither a text nor a call of a tool.
  unclear, ///< Its finish reason is a word that we do not know: it may be whole, cut or blocked.
};

template <>
inline constexpr auto enum_names<answer_flaw> = std::to_array<std::string_view>({"none", "cut", "blocked", "empty",
                                                                                 "unclear"});

/// Where a request's time went, in three figures; `attempts` have it in detail.
struct timings {
  std::chrono::nanoseconds queued{0};     ///< From acceptance to the dispatch of the first attempt.
  std::chrono::nanoseconds first_byte{0}; ///< From the last attempt's dispatch to the first byte of its answer.
  std::chrono::nanoseconds total{0};      ///< From acceptance to this answer.

  friend bool operator==(const timings&, const timings&) = default;
};

/// One more of the answers to one question, where the request's `extra` asked for several (`n`, Gemini's
/// `candidateCount`). Its members are those of a `completion`.
struct alternative {
  std::string text;
  std::vector<tool_call> tool_calls;
  std::vector<reasoning_part> reasoning;
  std::string refusal;
  modelforge::finish_reason finish_reason = finish_reason::unknown;
  std::string raw_finish_reason;
  std::string logprobs{};

  friend bool operator==(const alternative&, const alternative&) = default;
};

/// A provider's whole answer to a `chat_request`. It may be pure text, pure tool calls, both, or a refusal; a host
/// looks at `flaw` before it takes `text` for complete.
struct completion {
  request_id id;    ///< Of the request.
  std::string text; ///< UTF-8; empty for pure tool calls.
  std::vector<tool_call> tool_calls;
  std::vector<reasoning_part> reasoning; ///< What the provider tells of the model's thinking.
  std::string refusal;                   ///< The model's words when it declined.
  modelforge::finish_reason finish_reason = finish_reason::unknown;
  std::string raw_finish_reason; ///< The provider's own word.
  answer_flaw flaw = answer_flaw::none;
  // What it took.
  std::optional<token_usage> usage; ///< Empty when the provider told none.
  /// A number of the currency that the settings' prices are in; providers' bills decide.
  std::optional<double> cost; ///< By `usage` and the configured prices, in their currency; empty without them.
  // Where it came from, and how.
  std::string provider; ///< The configured name.
  std::string model;    ///< As the provider named it; may be more exact than what was asked.
  /// For the provider's support. Empty where it gave none.
  std::string provider_request_id;      ///< From the answer's headers, else its body.
  std::vector<attempt_record> attempts; ///< At least one; the last one succeeded.
  modelforge::timings timings;
  std::vector<std::string> warnings;      ///< What was changed or ignored on the way, for people.
  std::vector<std::string> optimizations; ///< What each optimizer changed in the request: "NAME: what".
  // What comes only if `extra` asks for it.
  /// How likely each token was: a JSON object as in OpenAI's chat (`{"content":[{"token":...,"logprob":...},...]}`),
  /// whichever the provider. Empty: it told none.
  std::string logprobs{};
  std::vector<alternative> alternatives{}; ///< The answers beside this one, in the provider's order; `usage` has all.

  friend bool operator==(const completion&, const completion&) = default;
};

/// Says in a clause what is wrong with an answer, and names the provider's word for it; empty where nothing is.
std::string flaw_text(const completion& x);

/// Returns all the thinking in one piece.
std::string reasoning_of(const std::vector<reasoning_part>& x);
std::string reasoning_of(const completion& x);

/// Returns the answer as the assistant's turn of a conversation: thinking with its seals, text, tool calls. Appended to
/// the request's messages, with the tools' results behind it, it makes the next request.
chat_message turn_of(const completion& x);

// What CAF sends: the fields in this order, without names. Whoever changes it raises `wire_version` (node_hello.hpp).
template <class Inspector>
bool inspect(Inspector& f, timings& x) {
  return f.object(x).fields(f.field("queued", x.queued), f.field("first_byte", x.first_byte),
                            f.field("total", x.total));
}

template <class Inspector>
bool inspect(Inspector& f, alternative& x) {
  return f.object(x).fields(f.field("text", x.text), f.field("tool_calls", x.tool_calls),
                            f.field("reasoning", x.reasoning), f.field("refusal", x.refusal),
                            f.field("finish_reason", x.finish_reason),
                            f.field("raw_finish_reason", x.raw_finish_reason), f.field("logprobs", x.logprobs));
}

template <class Inspector>
bool inspect(Inspector& f, completion& x) {
  return f.object(x).fields(
    f.field("id", x.id), f.field("text", x.text), f.field("tool_calls", x.tool_calls),
    f.field("reasoning", x.reasoning), f.field("refusal", x.refusal), f.field("finish_reason", x.finish_reason),
    f.field("raw_finish_reason", x.raw_finish_reason), f.field("flaw", x.flaw), f.field("usage", x.usage),
    f.field("cost", x.cost), f.field("provider", x.provider), f.field("model", x.model),
    f.field("provider_request_id", x.provider_request_id), f.field("attempts", x.attempts),
    f.field("timings", x.timings), f.field("warnings", x.warnings), f.field("optimizations", x.optimizations),
    f.field("logprobs", x.logprobs), f.field("alternatives", x.alternatives));
}

} // namespace modelforge
