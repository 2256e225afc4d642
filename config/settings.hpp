#pragma once

#include <modelforge/config/circuit_breaker_settings.hpp>
#include <modelforge/config/log_settings.hpp>
#include <modelforge/config/rate_limit_settings.hpp>
#include <modelforge/config/retry_settings.hpp>
#include <modelforge/config/slot_settings.hpp>
#include <modelforge/messages/enums.hpp>
#include <modelforge/messages/stream.hpp>

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

/// What a configuration file says, with every default in place. The TOML keys are the field names, letter for letter;
/// durations are seconds in TOML (integer or float). `config/example.toml` is the same list with explanations.

namespace modelforge {

using duration = std::chrono::nanoseconds;

enum class provider_kind : uint8_t { openai, anthropic, gemini, ollama, azure, openai_compatible };

template <>
inline constexpr auto enum_names<provider_kind> =
  std::to_array<std::string_view>({"openai", "anthropic", "gemini", "ollama", "azure", "openai_compatible"});

/// Which of OpenAI's two APIs is spoken: Chat Completions or Responses.
enum class provider_api : uint8_t { chat, responses };

template <>
inline constexpr auto enum_names<provider_api> = std::to_array<std::string_view>({"chat", "responses"});

/// The same for some of a provider's models. `inherit`: as the provider.
enum class model_api : uint8_t { inherit, chat, responses };

template <>
inline constexpr auto enum_names<model_api> = std::to_array<std::string_view>({"inherit", "chat", "responses"});

/// Which server of OpenAI's format it is. `automatic`: the one at the public address that `base_url` names, if any.
enum class server_flavor : uint8_t { automatic, none, vllm, llama_cpp, groq, mistral, deepseek, openrouter, ollama };

template <>
inline constexpr auto enum_names<server_flavor> = std::to_array<std::string_view>({"automatic", "none", "vllm",
                                                                                   "llama_cpp", "groq", "mistral",
                                                                                   "deepseek", "openrouter", "ollama"});

/// Where a credential comes from; exactly one of the two is set. Never the credential itself.
struct key_source {
  std::string name;         ///< For status and errors; "key1", "key2", ... when the file gives none.
  std::string api_key_env;  ///< Name of an environment variable.
  std::string api_key_file; ///< Path of a file that holds the key and nothing else (white space is trimmed).

  friend bool operator==(const key_source&, const key_source&) = default;
};

/// One extra header; its value is either literal or comes from the environment.
struct header_setting {
  std::string name;
  std::string value; ///< Literal value; empty when `env` is set.
  std::string env;   ///< Name of an environment variable.

  friend bool operator==(const header_setting&, const header_setting&) = default;
};

/// Bounds of one attempt. 0 switches one off.
struct timeout_settings {
  duration connect = std::chrono::seconds{5};       ///< Resolve, connect and TLS together.
  duration first_token = std::chrono::seconds{120}; ///< Streams only: a unary answer's first byte comes at its end.
  duration idle = std::chrono::seconds{60};         ///< Streams, between data events.
  duration total = std::chrono::seconds{600};       ///< The whole attempt.

  friend bool operator==(const timeout_settings&, const timeout_settings&) = default;
};

/// Of streamed answers; a request may bring its own.
struct stream_settings {
  disconnect_policy on_disconnect = disconnect_policy::cancel;
  duration drain_time = std::chrono::seconds{10}; ///< With `drain_for`.
  duration reader_idle =
    std::chrono::seconds{60};        ///< A subscriber that withholds demand for so long is ended. 0: never.
  uint64_t log_limit = 1u << 20;     ///< Bytes of the past kept for late subscribers and whole texts.
  uint64_t min_bytes_per_second = 0; ///< Over ten seconds; a slower stream has failed. 0: none.
  bool http2 = false;                ///< Whether they may use it; each has a connection to itself anyway.

  friend bool operator==(const stream_settings&, const stream_settings&) = default;
};

struct optimization_settings {
  bool enable_batch_api = false;
  bool enable_seed = true;
  int64_t seed = 42;
  bool json_mode_auto = true;
  bool cache_prompt_structure = true;
  bool prompt_cache_key = true;
  uint32_t min_cache_length = 1024;               ///< Characters a stable prefix needs before it is worth caching.
  uint32_t min_cache_tokens = 0;                  ///< The same in tokens. 0: as it is known of the model.
  duration keep_alive = std::chrono::minutes{30}; ///< Of a model in Ollama's memory. 0: Ollama decides.
  std::vector<std::string> custom{};              ///< Names by which the host has registered optimizers.

  friend bool operator==(const optimization_settings&, const optimization_settings&) = default;
};

/// What a million tokens cost, in any currency; `completion.cost` is in the same. All 0: cost is not told.
struct price_settings {
  double input = 0;
  double output = 0;
  double cached_read = 0;   ///< Of input that came from the prompt cache. 0: as `input`.
  double cache_written = 0; ///< Of input that was written to it. 0: as `input`.
  double batch = 0.5;       ///< What the batch API costs, as a share of these.

  friend bool operator==(const price_settings&, const price_settings&) = default;
};

/// What requests get that say nothing about it; what is not set here, either, is left to the provider. As `sampling`.
struct default_settings {
  std::optional<uint64_t> max_tokens{};
  std::optional<double> temperature{};
  std::optional<double> top_p{};
  std::optional<int64_t> seed{};
  std::vector<std::string> stop{};
  std::string effort{};
  std::vector<std::string> options{}; ///< NAME=VALUE each, for `chat_request::extra`; VALUE is JSON, or else a text.

  friend bool operator==(const default_settings&, const default_settings&) = default;
};

/// Settings for the models whose names match `pattern` (`*` and `?`); the first match in the file counts.
struct model_settings {
  std::string pattern;
  rate_limit_settings rate_limit; ///< All as by default: they share the provider's.
  price_settings price{};         ///< All 0: the provider's.
  model_api api = model_api::inherit;
  default_settings defaults{}; ///< What is not set: the provider's.

  friend bool operator==(const model_settings&, const model_settings&) = default;
};

/// One provider. `interactive_slots`, when left out in TOML, is below `max_concurrent`.
struct provider_settings : slot_settings {
  std::string name; ///< The table's name in TOML.
  provider_kind kind = provider_kind::openai;
  provider_api api = provider_api::chat;           ///< Of the kinds that have both.
  server_flavor flavor = server_flavor::automatic; ///< Of `openai_compatible`.
  std::string api_version;                         ///< Of `azure`; empty: its new API, which has none.
  std::string base_url;         ///< Without a trailing slash. Empty in TOML: the kind's public address.
  std::vector<key_source> keys; ///< From `api_key_env`, `api_key_file` or `[[keys]]`; empty: no credential is sent.
  std::string default_model;    ///< For requests that name none; empty: such requests are refused.
  std::string default_embedding_model;      ///< The same for requests for embeddings.
  json_check check_json = json_check::warn; ///< Of requests for JSON that do not say.
  std::vector<header_setting> headers;
  duration deadline = std::chrono::seconds{300}; ///< Of interactive requests that bring none. 0: none.
  std::vector<std::string> nodes;                ///< Names of the nodes that may own it, in order; empty: this one.
  timeout_settings timeouts;
  retry_settings retry;
  rate_limit_settings rate_limit;
  std::vector<model_settings> models;
  circuit_breaker_settings circuit_breaker;
  stream_settings stream;
  price_settings price;
  default_settings defaults;
  optimization_settings optimizations;

  friend bool operator==(const provider_settings&, const provider_settings&) = default;
};

struct runtime_settings : queue_settings {
  bool enable_optimizations = false;
  uint32_t threads = 0;                             ///< Of the actor scheduler. 0: one per core, at least two.
  uint64_t max_response_bytes = 64u << 20;          ///< Of one answer.
  duration grace_period = std::chrono::seconds{10}; ///< How long a shutdown waits for what is running.
  /// Folder where what is used of the providers' limits is kept across restarts. Empty: `modelforge` in XDG_STATE_HOME,
  /// else ~/.local/state/modelforge; "none": nowhere.
  std::string state_folder{};

  friend bool operator==(const runtime_settings&, const runtime_settings&) = default;
};

struct node_tls_settings {
  std::string certificate; ///< PEM file.
  std::string key;         ///< PEM file.
  std::string ca;          ///< PEM file: who may connect.
  /// Whether a node must have the name that its certificate is for.
  bool verify_names = true;

  friend bool operator==(const node_tls_settings&, const node_tls_settings&) = default;
};

struct node_settings {
  std::string name;
  std::string cluster = "modelforge";
  std::string listen;             ///< HOST:PORT; empty: this node does not listen.
  std::vector<std::string> peers; ///< HOST:PORT each.
  duration heartbeat = std::chrono::seconds{1};
  duration timeout = std::chrono::seconds{4};
  uint64_t max_message_bytes = 1u << 20;
  node_tls_settings tls;

  friend bool operator==(const node_settings&, const node_settings&) = default;
};

struct metrics_settings {
  std::string listen; ///< HOST:PORT of Prometheus text, status and health; empty: none.

  friend bool operator==(const metrics_settings&, const metrics_settings&) = default;
};

/// Traces of requests, for a collector of OpenTelemetry.
struct telemetry_settings {
  std::string otlp;  ///< http(s)://HOST[:PORT][/PATH] of OTLP over HTTP, without `/v1/traces`; empty: no traces.
  double sample = 1; ///< Share of the requests that come without a trace of their caller's.
  std::string service_name = "modelforge";
  std::vector<header_setting> headers{}; ///< Sent to the collector.

  friend bool operator==(const telemetry_settings&, const telemetry_settings&) = default;
};

struct history_settings {
  bool keep = true; ///< Conversations at a terminal, and what is typed there.

  friend bool operator==(const history_settings&, const history_settings&) = default;
};

/// A whole configuration.
struct settings {
  std::vector<provider_settings> providers; ///< In the file's order.
  runtime_settings runtime;
  node_settings node;
  log_settings log;
  metrics_settings metrics;
  telemetry_settings telemetry;
  history_settings history;

  friend bool operator==(const settings&, const settings&) = default;
};

} // namespace modelforge
