#pragma once

#include <modelforge/messages/chat_request.hpp>
#include <modelforge/messages/completion.hpp>

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

/// Vectors of texts. The request is bounded, paced, retried and counted as a `chat_request` is, and its answer brings
/// the same account; there are no streams of it and no batch API.

namespace modelforge {

/// What the vectors are for; providers without the distinction ignore it.
enum class embedding_purpose : uint8_t { unspecified, query, document, similarity, classification, clustering };

template <>
inline constexpr auto enum_names<embedding_purpose> =
  std::to_array<std::string_view>({"unspecified", "query", "document", "similarity", "classification", "clustering"});

/// Texts to be made vectors of. More than the provider takes at once are sent in several requests, side by side; all
/// must succeed, and each has `max_attempts` of its own.
struct embedding_request {
  request_id id;     ///< Empty: the provider actor gives one.
  std::string model; ///< Empty: the provider's `default_embedding_model`.
  /// At least one text, UTF-8. Most providers refuse empty ones.
  std::vector<std::string> inputs;
  std::optional<uint32_t> dimensions; ///< Of each vector; empty: the model's own.
  embedding_purpose purpose = embedding_purpose::unspecified;
  modelforge::priority priority = priority::interactive;
  std::string tenant;                               ///< As in `chat_request`, as are the rest.
  std::map<std::string, std::string> labels;        ///< Never sent to the provider.
  std::string trace;                                ///< W3C `traceparent`.
  std::string trace_state;                          ///< W3C `tracestate`.
  std::optional<std::chrono::nanoseconds> deadline; ///< Over all the requests that it takes.
  std::string extra;                                ///< A JSON object, as text.
  attempts_made earlier{};                          ///< Of each of the requests that it takes.
  bool fail_when_open = false;

  friend bool operator==(const embedding_request&, const embedding_request&) = default;
};

/// The answer to an `embedding_request`: complete, or there is none. Vectors are the provider's; they are normalized
/// only if it does so.
struct embedding {
  request_id id;
  std::vector<std::vector<float>> vectors; ///< One for each input, in its order; all of one length.
  std::optional<token_usage> usage;        ///< Empty when the provider told none.
  std::optional<double> cost;              ///< As in `completion`.
  std::string provider;
  std::string model;
  std::string provider_request_id;      ///< Of the last request.
  std::vector<attempt_record> attempts; ///< Of all the requests, in the order of the inputs.
  modelforge::timings timings;          ///< Of the whole; `first_byte` is the last request's.
  std::vector<std::string> warnings;

  friend bool operator==(const embedding&, const embedding&) = default;
};

/// The models that a provider offers, by the names that requests use. It is asked each time; nothing is cached, and
/// whether a model can chat or make vectors is not said, since most providers do not say it.
struct model_list {
  std::string provider;
  std::vector<std::string> models; ///< In the provider's order.

  friend bool operator==(const model_list&, const model_list&) = default;
};

// What CAF sends: the fields in this order, without names. Whoever changes it raises `wire_version` (node_hello.hpp).
template <class Inspector>
bool inspect(Inspector& f, embedding_request& x) {
  return f.object(x).fields(f.field("id", x.id), f.field("model", x.model), f.field("inputs", x.inputs),
                            f.field("dimensions", x.dimensions), f.field("purpose", x.purpose),
                            f.field("priority", x.priority), f.field("tenant", x.tenant), f.field("labels", x.labels),
                            f.field("trace", x.trace), f.field("trace_state", x.trace_state),
                            f.field("deadline", x.deadline), f.field("extra", x.extra), f.field("earlier", x.earlier),
                            f.field("fail_when_open", x.fail_when_open));
}

template <class Inspector>
bool inspect(Inspector& f, embedding& x) {
  return f.object(x).fields(f.field("id", x.id), f.field("vectors", x.vectors), f.field("usage", x.usage),
                            f.field("cost", x.cost), f.field("provider", x.provider), f.field("model", x.model),
                            f.field("provider_request_id", x.provider_request_id), f.field("attempts", x.attempts),
                            f.field("timings", x.timings), f.field("warnings", x.warnings));
}

template <class Inspector>
bool inspect(Inspector& f, model_list& x) {
  return f.object(x).fields(f.field("provider", x.provider), f.field("models", x.models));
}

} // namespace modelforge
