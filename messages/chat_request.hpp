#pragma once

#include <modelforge/messages/attempt.hpp>
#include <modelforge/messages/content.hpp>
#include <modelforge/messages/request_id.hpp>

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

/// What hosts ask of a provider, in one vocabulary for all of them.
///
/// A field that a provider has no way to express is refused before anything is sent (`errc::unsupported`, naming the
/// field) where leaving it out would change the answer, and otherwise ignored with a warning in `completion::warnings`.
/// Texts are UTF-8. Optional fields that are not set are not sent, so that the provider's own defaults hold.

namespace modelforge {

/// Which queue a request stands in: interactive ones go first, and batch items leave them some slots
/// (`interactive_slots`). Many defaults differ, too: batch items have no deadline and wait out what others fail at.
enum class priority : uint8_t { interactive, batch };

template <>
inline constexpr auto enum_names<priority> = std::to_array<std::string_view>({"interactive", "batch"});

/// How the model picks its words. What is not set is left to the provider. Ranges are those of most providers; they are
/// not checked here, since the provider's own refusal says more.
struct sampling {
  /// Also what is reserved against the token limit where a provider counts it on arrival: a generous one slows a busy
  /// provider down.
  std::optional<uint32_t> max_tokens; ///< Upper bound for the answer, reasoning included where it counts.
  std::optional<double> temperature;  ///< 0 to 2 (some providers: to 1).
  std::optional<double> top_p;        ///< 0 to 1.
  std::optional<uint32_t> top_k;
  std::optional<double> frequency_penalty; ///< -2 to 2.
  std::optional<double> presence_penalty;  ///< -2 to 2.
  std::optional<int64_t> seed;
  /// The stop text itself is not part of the answer.
  std::vector<std::string> stop;            ///< Texts that end the answer; most providers take up to four.
  std::string reasoning_effort;             ///< "none", "low", "medium", "high", ...; empty: the provider's default.
  std::optional<uint32_t> reasoning_budget; ///< Tokens for thinking, where a provider counts them apart.

  friend bool operator==(const sampling&, const sampling&) = default;
};

/// The form in which the answer must come.
enum class response_kind : uint8_t { text, json_object, json_schema };

template <>
inline constexpr auto enum_names<response_kind> = std::to_array<std::string_view>({"text", "json_object",
                                                                                   "json_schema"});

/// Sets what `to` leaves open as `with` has it. An effort does not join a budget, which says the same, exactly.
void fill_in(sampling& to, const sampling& with);

/// What becomes of an answer that is not the JSON that was asked for. One that was cut, refused or filtered says so by
/// its finish reason, and is not looked at.
enum class json_check : uint8_t {
  off,  ///< Nobody looks.
  warn, ///< It is given as it is, with a warning. A code fence around JSON is taken away, with a warning, too.
  fail, ///< As `warn`, but what is not JSON, or does not match the schema, is a failure (`errc::wrong_format`).
};

template <>
inline constexpr auto enum_names<json_check> = std::to_array<std::string_view>({"off", "warn", "fail"});

/// What the answer must look like. `json_object`: any JSON object, which most providers promise only if the prompt has
/// the word JSON. `json_schema`: one that follows `schema`.
struct response_format {
  response_kind kind = response_kind::text;
  /// Empty: "answer", where the provider demands one.
  std::string name;                  ///< Of the schema; letters, digits, `_` and `-`.
  std::string schema;                ///< A JSON Schema, as text; only with `json_schema`.
  bool strict = true;                ///< The provider enforces the schema while it generates.
  std::optional<json_check> check{}; ///< Empty: as the provider's settings say.

  friend bool operator==(const response_format&, const response_format&) = default;
};

/// A function that the model may call. The model answers with a `tool_call`, the host runs it and sends the
/// conversation again with a `tool_result`: nothing is ever called by ModelForge itself.
struct tool_definition {
  std::string name;
  std::string description;
  std::string parameters; ///< A JSON Schema of an object, as text.
  bool strict = false;
  bool cache = false; ///< As in `text_part`: all tools up to this one.

  friend bool operator==(const tool_definition&, const tool_definition&) = default;
};

/// Whether the model calls tools: `automatic`, as it likes; `none`; `required`, at least one; `named`, the one named.
enum class tool_mode : uint8_t { automatic, none, required, named };

template <>
inline constexpr auto enum_names<tool_mode> = std::to_array<std::string_view>({"automatic", "none", "required",
                                                                               "named"});

/// How the tools of a request are to be used. It means nothing in a request without tools.
struct tool_choice {
  tool_mode mode = tool_mode::automatic;
  std::string name;             ///< Of the one tool to call; only with `named`.
  std::optional<bool> parallel; ///< Whether several calls may come in one turn.

  friend bool operator==(const tool_choice&, const tool_choice&) = default;
};

/// A conversation for a model to continue: what is asked of a provider actor. The answer is one `completion`, or an
/// error that holds one `failure`, at the latest when the deadline is over.
///
/// `id` is the request's name on the whole way, in logs, in a header to the provider and in `cancel_atom`. A second
/// request of an id that is alive at the same provider is refused (`errc::duplicate_request`).
struct chat_request {
  // What the model gets.
  request_id id;     ///< Empty: the provider actor gives one.
  std::string model; ///< Empty: the provider's `default_model`.
  /// At least one, in the order of the conversation; the last one is what the model answers to.
  std::vector<chat_message> messages;
  modelforge::sampling sampling;
  modelforge::response_format response_format;
  std::vector<tool_definition> tools;
  modelforge::tool_choice tool_choice;
  // How it is treated on the way.
  modelforge::priority priority = priority::interactive;
  /// Names are free; each has a share of its own while it waits for something. On the owner's node an empty one from
  /// another node counts as that node's.
  std::string tenant;                        ///< Tenants share a provider fairly; empty is one of them.
  std::map<std::string, std::string> labels; ///< For logs and metrics of the host; never sent to the provider.
  /// W3C `traceparent`, passed on to the provider; where the request is traced, with the id of the attempt's span.
  /// Empty: none.
  std::string trace;
  std::string trace_state; ///< W3C `tracestate`, which goes with `trace`; of more than 512 bytes it is left out.
  /// Time left until the caller gives up, over queue, waits and all attempts. Empty: the provider's `deadline` for
  /// interactive requests, none for batch items.
  std::optional<std::chrono::nanoseconds> deadline;
  // What only some providers know.
  std::string extra; ///< A JSON object, as text: its fields are added to the provider's request.
  /// Requests that begin alike share it, so that they meet the same prompt cache; empty: the provider decides.
  std::string cache_key;
  std::optional<std::chrono::nanoseconds> cache_ttl; ///< Of marked prefixes; providers round it up to one they have.
  attempts_made earlier{}; ///< What others have spent on it already; hosts that begin a request leave it as it is.
  /// Fails at once while the provider's circuit breaker is open, also where the settings would let it wait
  /// (`circuit_breaker.when_open`): for who has another provider to ask. Such a failure is an `outage`.
  bool fail_when_open = false;

  friend bool operator==(const chat_request&, const chat_request&) = default;
};

// What CAF sends: the fields in this order, without names. Whoever changes it raises `wire_version` (node_hello.hpp).
template <class Inspector>
bool inspect(Inspector& f, sampling& x) {
  return f.object(x).fields(
    f.field("max_tokens", x.max_tokens), f.field("temperature", x.temperature), f.field("top_p", x.top_p),
    f.field("top_k", x.top_k), f.field("frequency_penalty", x.frequency_penalty),
    f.field("presence_penalty", x.presence_penalty), f.field("seed", x.seed), f.field("stop", x.stop),
    f.field("reasoning_effort", x.reasoning_effort), f.field("reasoning_budget", x.reasoning_budget));
}

template <class Inspector>
bool inspect(Inspector& f, response_format& x) {
  return f.object(x).fields(f.field("kind", x.kind), f.field("name", x.name), f.field("schema", x.schema),
                            f.field("strict", x.strict), f.field("check", x.check));
}

template <class Inspector>
bool inspect(Inspector& f, tool_definition& x) {
  return f.object(x).fields(f.field("name", x.name), f.field("description", x.description),
                            f.field("parameters", x.parameters), f.field("strict", x.strict),
                            f.field("cache", x.cache));
}

template <class Inspector>
bool inspect(Inspector& f, tool_choice& x) {
  return f.object(x).fields(f.field("mode", x.mode), f.field("name", x.name), f.field("parallel", x.parallel));
}

template <class Inspector>
bool inspect(Inspector& f, chat_request& x) {
  return f.object(x).fields(
    f.field("id", x.id), f.field("model", x.model), f.field("messages", x.messages), f.field("sampling", x.sampling),
    f.field("response_format", x.response_format), f.field("tools", x.tools), f.field("tool_choice", x.tool_choice),
    f.field("priority", x.priority), f.field("tenant", x.tenant), f.field("labels", x.labels),
    f.field("trace", x.trace), f.field("trace_state", x.trace_state), f.field("deadline", x.deadline),
    f.field("extra", x.extra), f.field("cache_key", x.cache_key), f.field("cache_ttl", x.cache_ttl),
    f.field("earlier", x.earlier), f.field("fail_when_open", x.fail_when_open));
}

} // namespace modelforge
