#include "config/schema.hpp"

#include <algorithm>
#include <array>
#include <type_traits>

namespace modelforge::schema {

namespace {

// -- from a member to a slot ----------------------------------------------------

slot to_slot(timeout_settings& value);
slot to_slot(retry_settings& value);
slot to_slot(rate_limit_settings& value);
slot to_slot(circuit_breaker_settings& value);
slot to_slot(stream_settings& value);
slot to_slot(price_settings& value);
slot to_slot(default_settings& value);
slot to_slot(optimization_settings& value);
slot to_slot(runtime_settings& value);
slot to_slot(node_settings& value);
slot to_slot(node_tls_settings& value);
slot to_slot(log_settings& value);
slot to_slot(metrics_settings& value);
slot to_slot(telemetry_settings& value);
slot to_slot(history_settings& value);

template <class T>
requires std::is_constructible_v<slot, T*> slot to_slot(T& value) {
  return &value;
}

template <named_enum E>
slot to_slot(E& value) {
  static_assert(sizeof(E) == 1);
  return enum_slot{enum_names<E>, reinterpret_cast<unsigned char*>(&value)};
}

/// A function for each member of a settings struct that returns its slot: what ties a row of the list to the struct. A
/// member of a type that has no slot does not compile.
template <auto Member>
struct member;

template <class T, class M, M T::*Member>
struct member<Member> {
  using owner = T;

  template <class Owner>
  static slot get(void* object) {
    return to_slot(static_cast<Owner*>(object)->*Member);
  }
};

/// The slot of a member in its struct; of one that it inherits, in the struct `Owner`.
template <auto Member, class Owner = typename member<Member>::owner>
constexpr auto slot_of = &member<Member>::template get<Owner>;

template <auto Source>
slot short_key(void* object) {
  return short_key_slot{&static_cast<provider_settings*>(object)->keys, Source};
}

// The order of rows is that of the printed settings, of the reference and of config/example.toml. A row has the key,
// its member, one sentence for people, and for numbers a range and a unit.
// -- the list -------------------------------------------------------------------

constexpr double minute = 60;
constexpr double hour = 60 * minute;
constexpr double day = 24 * hour;
constexpr double week = 7 * day;
constexpr double kib = 1024;
constexpr double gib = kib * kib * kib;
constexpr std::string_view bytes = "bytes";
constexpr std::string_view money = "money for a million tokens";

constexpr auto timeout_keys = std::to_array<key_rule>({
  {"connect", slot_of<&timeout_settings::connect>, "Name resolution, connecting and TLS together.", 0, hour},
  {"first_token", slot_of<&timeout_settings::first_token>, "Streams only: until the first piece of the answer.", 0,
   day},
  {"idle", slot_of<&timeout_settings::idle>, "Streams only: between two pieces of the answer.", 0, day},
  {"total", slot_of<&timeout_settings::total>, "The whole attempt.", 0, week},
});

constexpr auto retry_keys = std::to_array<key_rule>({
  {"max_attempts", slot_of<&retry_settings::max_attempts>, "All attempts of a request, the first included.", 1, 100},
  {"backoff_factor", slot_of<&retry_settings::backoff_factor>, "How much longer each pause may be than the one before.",
   1, 10},
  {"base_wait", slot_of<&retry_settings::base_wait>,
   "Longest first pause; each pause is drawn evenly from zero to its bound.", 0.001, hour},
  {"max_wait", slot_of<&retry_settings::max_wait>, "Longest back-off; a wait named by the provider may be longer.",
   0.001, day},
  {"max_server_wait", slot_of<&retry_settings::max_server_wait>,
   "Longest wait named by the provider that an interactive request accepts; beyond it, it fails at once. After that "
   "time one request tries whether the wait is over.",
   0, week},
  {"max_batch_server_wait", slot_of<&retry_settings::max_batch_server_wait>,
   "Longest wait named by the provider that batch items keep; after that time one of them tries again.", 1, week},
  {"respect_retry_after", slot_of<&retry_settings::respect_retry_after>,
   "Whether a wait named by the provider is respected."},
  {"retry_uncertain", slot_of<&retry_settings::retry_uncertain>,
   "Whether to send again what may have run (and been paid for) already, because the connection broke before the "
   "answer."},
  {"on_empty_budget", slot_of<&retry_settings::on_empty_budget>,
   "What a retry does when too many requests are being retried: `automatic` waits in batches and fails elsewhere."},
});

constexpr auto rate_limit_keys = std::to_array<key_rule>({
  {"requests_per_minute", slot_of<&rate_limit_settings::requests_per_minute>, "Requests that the provider allows.", 1,
   1e9, "requests"},
  {"tokens_per_minute", slot_of<&rate_limit_settings::tokens_per_minute>,
   "Tokens that the provider allows, prompt and answer together.", 1, 1e12, "tokens"},
  {"input_tokens_per_minute", slot_of<&rate_limit_settings::input_tokens_per_minute>,
   "Prompt tokens that the provider allows, where it counts them separately.", 1, 1e12, "tokens"},
  {"output_tokens_per_minute", slot_of<&rate_limit_settings::output_tokens_per_minute>,
   "Answer tokens that the provider allows, where it counts them separately.", 1, 1e12, "tokens"},
  {"burst", slot_of<&rate_limit_settings::burst>, "Requests that may be sent at once after an idle period.", 1, 1e6,
   "requests"},
  {"window", slot_of<&rate_limit_settings::window>,
   "The time over which a limit is enforced; the numbers above are scaled to it.", 0.1, day},
  {"window_guard", slot_of<&rate_limit_settings::window_guard>,
   "Added to the window, because requests do not all take the same time to arrive.", 0, minute},
  {"token_accounting", slot_of<&rate_limit_settings::token_accounting>,
   "Which tokens the provider counts, and when: `arrival`, prompt and max_tokens as the request arrives; `produced`, "
   "the "
   "prompt then and the answer as it comes; `input`, the prompt alone; `automatic`, as its kind does."},
  {"on_start", slot_of<&rate_limit_settings::on_start>,
   "What counts as used after a restart: `restore` what was saved, a `full` window, or an `empty` one."},
});

constexpr auto circuit_breaker_keys = std::to_array<key_rule>({
  {"enabled", slot_of<&circuit_breaker_settings::enabled>, "Whether there is a breaker."},
  {"consecutive_failures", slot_of<&circuit_breaker_settings::consecutive_failures>,
   "Opens after this many consecutive failures.", 1, 1e6},
  {"failure_share", slot_of<&circuit_breaker_settings::failure_share>,
   "Opens when this share of the latest answers failed; 0 switches it off.", 0, 1, "share"},
  {"min_samples", slot_of<&circuit_breaker_settings::min_samples>,
   "Minimum number of answers for `failure_share` to count.", 1, 1e6},
  {"sample_window", slot_of<&circuit_breaker_settings::sample_window>, "The period that `failure_share` covers.", 0.1,
   hour},
  {"slow_after", slot_of<&circuit_breaker_settings::slow_after>,
   "An answer slower than this counts as failed; 0: never.", 0, day},
  {"open_for", slot_of<&circuit_breaker_settings::open_for>, "How long it stays open before it tries a request.", 0.01,
   day},
  {"probes", slot_of<&circuit_breaker_settings::probes>, "Concurrent probe requests while it is half open.", 1, 1000},
  {"when_open", slot_of<&circuit_breaker_settings::when>,
   "What requests do while it is open: `automatic` waits in batches and fails at once elsewhere."},
});

constexpr auto stream_keys = std::to_array<key_rule>({
  {"on_disconnect", slot_of<&stream_settings::on_disconnect>,
   "When nobody listens any more, or reads what `chat` prints: `cancel` the answer, `drain` it for the exact usage, or "
   "`drain_for` a while."},
  {"drain_time", slot_of<&stream_settings::drain_time>, "How long `drain_for` goes on.", 0.001, day},
  {"reader_idle", slot_of<&stream_settings::reader_idle>,
   "Ends a subscriber that takes nothing for this long while data waits; 0: never.", 0, week},
  {"log_limit", slot_of<&stream_settings::log_limit>,
   "How much of a stream's past is kept for late subscribers and whole texts.", 0, gib, bytes},
  {"min_bytes_per_second", slot_of<&stream_settings::min_bytes_per_second>,
   "A stream that delivers less, over ten seconds, has failed; 0: none.", 0, gib, "bytes a second"},
  {"http2", slot_of<&stream_settings::http2>, "Whether streams may use HTTP/2."},
});

constexpr auto price_keys = std::to_array<key_rule>({
  {"input", slot_of<&price_settings::input>, "Price of the prompt.", 0, 1e9, money},
  {"output", slot_of<&price_settings::output>, "Price of the answer, thinking included.", 0, 1e9, money},
  {"cached_read", slot_of<&price_settings::cached_read>, "Price of what came from the prompt cache; 0: as `input`.", 0,
   1e9, money},
  {"cache_written", slot_of<&price_settings::cache_written>,
   "Price of what was written to the prompt cache; 0: as `input`.", 0, 1e9, money},
  {"batch", slot_of<&price_settings::batch>, "What the provider's batch API costs, as a share of these.", 0, 1,
   "share"},
});

constexpr auto default_keys = std::to_array<key_rule>({
  {"max_tokens", slot_of<&default_settings::max_tokens>, "Maximum tokens of an answer, thinking included.", 1, 1e9,
   "tokens"},
  {"temperature", slot_of<&default_settings::temperature>, "How freely words are chosen; most providers take 0 to 2.",
   0, 100},
  {"top_p", slot_of<&default_settings::top_p>, "Share of the most probable words that are considered.", 0, 1, "share"},
  {"seed", slot_of<&default_settings::seed>, "The same seed makes the same answer likely."},
  {"stop", slot_of<&default_settings::stop>, "Texts that end an answer; most providers take up to four."},
  {"effort", slot_of<&default_settings::effort>,
   "How hard a model thinks: \"none\", \"low\", \"medium\", \"high\", as it knows them; empty: as it likes."},
  {"options", slot_of<&default_settings::options>,
   "Further fields of the provider's own requests, \"NAME=VALUE\" each; a value is JSON, or else a text."},
});

constexpr auto optimization_keys = std::to_array<key_rule>({
  {"enable_batch_api", slot_of<&optimization_settings::enable_batch_api>,
   "Whether batches go through the provider's own batch API: cheaper, but it may take a day."},
  {"enable_seed", slot_of<&optimization_settings::enable_seed>,
   "Whether requests without a seed get one (`openai`, `azure`, `openai_compatible`)."},
  {"seed", slot_of<&optimization_settings::seed>, "The seed they get."},
  {"json_mode_auto", slot_of<&optimization_settings::json_mode_auto>,
   "Whether prompts that ask only for JSON switch on JSON mode (`openai`, `azure`, `openai_compatible`)."},
  {"cache_prompt_structure", slot_of<&optimization_settings::cache_prompt_structure>,
   "Whether static parts of prompts go first and, with `anthropic`, what prompts have in common is marked for the "
   "cache."},
  {"prompt_cache_key", slot_of<&optimization_settings::prompt_cache_key>,
   "Whether requests that begin alike share a `prompt_cache_key`, where the API has it (`openai`, `azure`)."},
  {"min_cache_length", slot_of<&optimization_settings::min_cache_length>,
   "Minimum length in characters for a mark or a key.", 0, 1e9, "characters"},
  {"min_cache_tokens", slot_of<&optimization_settings::min_cache_tokens>,
   "The same in estimated tokens; 0: the provider's own minimum, as far as it is known.", 0, 1e9, "tokens"},
  {"keep_alive", slot_of<&optimization_settings::keep_alive>,
   "How long a model stays in memory after an answer (`ollama`); 0: Ollama decides.", 0, week},
  {"custom", slot_of<&optimization_settings::custom>,
   "Optimizers of the host program, by the names it has registered; applied last."},
});

constexpr auto key_entry_keys = std::to_array<key_rule>({
  {"name", slot_of<&key_source::name>, "What status and errors call the key."},
  {"api_key_env", slot_of<&key_source::api_key_env>, "The environment variable that holds the key."},
  {"api_key_file", slot_of<&key_source::api_key_file>, "The file that holds the key and nothing else."},
});

constexpr auto model_keys = std::to_array<key_rule>({
  {"rate_limit", slot_of<&model_settings::rate_limit>,
   "Limits of these models alone; left out: they share the provider's."},
  {"price", slot_of<&model_settings::price>,
   "What these models cost, where that differs; keys that are left out are the provider's."},
  {"api", slot_of<&model_settings::api>, "Which of OpenAI's APIs these models use; `inherit`: as the provider."},
  {"defaults", slot_of<&model_settings::defaults>,
   "What requests to these models get; what is left out: the provider's."},
});

constexpr auto provider_keys = std::to_array<key_rule>({
  {"kind", slot_of<&provider_settings::kind>, "Whose API it speaks."},
  {"api", slot_of<&provider_settings::api>,
   "Which of OpenAI's APIs: `chat` completions, or `responses`; for the kinds `openai`, `azure`, `openai_compatible`."},
  {"flavor", slot_of<&provider_settings::flavor>,
   "Which server an `openai_compatible` one is, since they differ in what they know; `automatic`: the one at that "
   "public address, if it is known."},
  {"api_version", slot_of<&provider_settings::api_version>,
   "Version of an older Azure API, whose `base_url` does not end in /v1; empty: the current one, which has no "
   "versions."},
  {"base_url", slot_of<&provider_settings::base_url>,
   "Address of its API; empty: the public address of the kind (`azure` and `openai_compatible` have none)."},
  {"api_key_env", short_key<&key_source::api_key_env>, "The environment variable that holds the key."},
  {"api_key_file", short_key<&key_source::api_key_file>, "The file that holds the key and nothing else."},
  {"default_model", slot_of<&provider_settings::default_model>,
   "For requests that name no model; empty: such requests are refused."},
  {"default_embedding_model", slot_of<&provider_settings::default_embedding_model>,
   "For requests for embeddings that name no model; empty: such requests are refused."},
  {"max_concurrent", slot_of<&provider_settings::max_concurrent, provider_settings>,
   "Requests in flight at a time, for each key, whatever the model.", 1, 100'000},
  {"interactive_slots", slot_of<&provider_settings::interactive_slots, provider_settings>,
   "Slots that batches leave free for other requests; `modelforge batch`, which has none, uses all. Left out: 1, or 0 "
   "where `max_concurrent` is 1.",
   0, 99'999},
  {"adaptive", slot_of<&provider_settings::adaptive, provider_settings>,
   "Whether the number in flight follows latency: fewer when answers become slow, more when they are quick."},
  {"check_json", slot_of<&provider_settings::check_json>,
   "What becomes of an answer that is not the JSON, or does not match the schema, that a request asked for: `fail` "
   "makes "
   "it an error, `warn` gives it with a warning. For requests that do not say; `chat --schema` and batches say "
   "`fail`."},
  {"deadline", slot_of<&provider_settings::deadline>,
   "For interactive requests without one, over all attempts and waits; 0: none.", 0, week},
  {"nodes", slot_of<&provider_settings::nodes>,
   "Names of the nodes that may run it, the preferred one first; empty: this node."},
  {"timeouts", slot_of<&provider_settings::timeouts>, "Limits for one attempt, in seconds; 0: none."},
  {"retry", slot_of<&provider_settings::retry>, "What happens after a transient failure."},
  {"rate_limit", slot_of<&provider_settings::rate_limit>, "The provider's published limits, for each key."},
  {"circuit_breaker", slot_of<&provider_settings::circuit_breaker>,
   "Stops sending to a provider that keeps failing, and probes it periodically."},
  {"stream", slot_of<&provider_settings::stream>, "Streamed answers."},
  {"price", slot_of<&provider_settings::price>,
   "What a million tokens cost, in any currency; answers report their cost in it."},
  {"defaults", slot_of<&provider_settings::defaults>, "What requests get that say nothing about it."},
  {"optimizations", slot_of<&provider_settings::optimizations>, "What may be changed in a request to make it cheaper."},
  {"headers", slot_of<&provider_settings::headers>, "Sent with every request: text, or a variable of the environment."},
  {"keys", slot_of<&provider_settings::keys>, "Several keys share the work, each with limits of its own."},
  {"models", slot_of<&provider_settings::models>, "Settings for models whose names match a pattern with `*` and `?`."},
});

constexpr auto runtime_keys = std::to_array<key_rule>({
  {"enable_optimizations", slot_of<&runtime_settings::enable_optimizations>,
   "Whether the optimizations of the providers are used at all."},
  {"threads", slot_of<&runtime_settings::threads>, "Threads for the actors; 0: one for each core, at least two.", 0,
   1024},
  {"max_queued", slot_of<&runtime_settings::max_queued, runtime_settings>, "Requests that may wait at one provider.", 1,
   1e7},
  {"max_queued_bytes", slot_of<&runtime_settings::max_queued_bytes, runtime_settings>,
   "Size of the requests that may wait at one provider.", 64 * kib, 1024 * gib, bytes},
  {"max_response_bytes", slot_of<&runtime_settings::max_response_bytes>,
   "Size of one answer; of a streamed one with all that its pieces come in.", kib, 4 * gib, bytes},
  {"grace_period", slot_of<&runtime_settings::grace_period>, "How long a shutdown waits for requests in flight.", 0,
   day},
  {"state_folder", slot_of<&runtime_settings::state_folder>,
   "Folder where the use of limits is kept across restarts; empty: modelforge in the user's state folder, "
   "`none`: "
   "nowhere."},
});

constexpr auto node_tls_keys = std::to_array<key_rule>({
  {"certificate", slot_of<&node_tls_settings::certificate>, "PEM file with this node's certificate."},
  {"key", slot_of<&node_tls_settings::key>, "PEM file with the certificate's private key."},
  {"ca", slot_of<&node_tls_settings::ca>, "PEM file with the authority that signed every node's certificate."},
  {"verify_names", slot_of<&node_tls_settings::verify_names>,
   "Whether a node's name must match its certificate (its common name, or a DNS name in it)."},
});

constexpr auto node_keys = std::to_array<key_rule>({
  {"name", slot_of<&node_settings::name>, "What other nodes call this one; needed as soon as there are others."},
  {"cluster", slot_of<&node_settings::cluster>, "Nodes of another cluster are refused."},
  {"listen", slot_of<&node_settings::listen>, "HOST:PORT where other nodes connect; empty: nowhere."},
  {"peers", slot_of<&node_settings::peers>, "HOST:PORT of each node to connect to."},
  {"heartbeat", slot_of<&node_settings::heartbeat>, "How often nodes send each other heartbeats.", 0.05, minute},
  {"timeout", slot_of<&node_settings::timeout>, "A node that is silent for this long counts as lost.", 0.1, hour},
  {"max_message_bytes", slot_of<&node_settings::max_message_bytes>, "Size of one message between nodes.", 4 * kib, gib,
   bytes},
  {"tls", slot_of<&node_settings::tls>, "All three files or none; without them nodes talk on this machine only."},
});

constexpr auto log_keys = std::to_array<key_rule>({
  {"level", slot_of<&log_settings::level>,
   "The lowest severity that is logged; `automatic`: `info` in `modelforge node`, `warning` elsewhere."},
  {"format", slot_of<&log_settings::format>, "Lines for people or for machines."},
  {"sink", slot_of<&log_settings::sink>,
   "`stderr`, `none`, or a file's path; `automatic`: `stderr`, but nowhere for commands that end by themselves, unless "
   "`level` is set."},
  {"content", slot_of<&log_settings::content>, "Whether prompts are logged, too, at the level `debug`."},
  {"access", slot_of<&log_settings::access>,
   "Where each request gets a line of JSON when it has ended: `stderr`, `none`, or a file's path."},
});

constexpr auto metrics_keys = std::to_array<key_rule>({
  {"listen", slot_of<&metrics_settings::listen>,
   "HOST:PORT where Prometheus reads them (/metrics), `modelforge providers` the status (/status), and others whether "
   "the program is ready (/readyz); empty: nowhere."},
});

constexpr auto telemetry_keys = std::to_array<key_rule>({
  {"otlp", slot_of<&telemetry_settings::otlp>,
   "Address of a collector that takes OTLP over HTTP, e.g. http://127.0.0.1:4318; /v1/traces is appended; empty: "
   "none."},
  {"sample", slot_of<&telemetry_settings::sample>,
   "Share of the requests without a trace of their own that begin one; a caller's trace goes on if it is sampled.", 0,
   1, "share"},
  {"service_name", slot_of<&telemetry_settings::service_name>, "What traces call this program (`service.name`)."},
  {"headers", slot_of<&telemetry_settings::headers>, "Sent to the collector: text, or a variable of the environment."},
});

constexpr auto history_keys = std::to_array<key_rule>({
  {"keep", slot_of<&history_settings::keep>,
   "Whether conversations of `modelforge chat` at a terminal, and what is typed there, are kept in the user's state "
   "folder."},
});

constexpr auto root_keys = std::to_array<key_rule>({
  {"runtime", slot_of<&settings::runtime>, "What all providers share."},
  {"log", slot_of<&settings::log>, "What is logged; never an answer or a key, and prompts only by `content`."},
  {"metrics", slot_of<&settings::metrics>, "Metrics of a running program."},
  {"telemetry", slot_of<&settings::telemetry>, "Traces of requests, for OpenTelemetry; never a prompt, answer or key."},
  {"history", slot_of<&settings::history>, "What is kept of conversations at a terminal."},
  {"providers", slot_of<&settings::providers>, "One table for each provider, under a name of your choice."},
  {"node", slot_of<&settings::node>, "This program as a node among others."},
});

constexpr table_rule timeouts_table{"providers.NAME.timeouts", timeout_keys};
constexpr table_rule retry_table{"providers.NAME.retry", retry_keys};
constexpr table_rule rate_limit_table{"providers.NAME.rate_limit", rate_limit_keys};
constexpr table_rule circuit_breaker_table{"providers.NAME.circuit_breaker", circuit_breaker_keys};
constexpr table_rule stream_table{"providers.NAME.stream", stream_keys};
constexpr table_rule price_table{"providers.NAME.price", price_keys};
constexpr table_rule defaults_table{"providers.NAME.defaults", default_keys};
constexpr table_rule optimizations_table{"providers.NAME.optimizations", optimization_keys};
constexpr table_rule key_entry_table{"[providers.NAME.keys]", key_entry_keys};
constexpr table_rule model_table{"providers.NAME.models.\"PATTERN\"", model_keys};
constexpr table_rule provider_table{"providers.NAME", provider_keys};
constexpr table_rule runtime_table{"runtime", runtime_keys};
constexpr table_rule node_tls_table{"node.tls", node_tls_keys};
constexpr table_rule node_table{"node", node_keys};
constexpr table_rule log_table{"log", log_keys};
constexpr table_rule metrics_table{"metrics", metrics_keys};
constexpr table_rule telemetry_table{"telemetry", telemetry_keys};
constexpr table_rule history_table{"history", history_keys};
constexpr table_rule root_table{"", root_keys};

constexpr auto all_tables = std::to_array<const table_rule*>(
  {&root_table, &runtime_table, &log_table, &metrics_table, &telemetry_table, &history_table, &provider_table,
   &timeouts_table, &retry_table, &rate_limit_table, &circuit_breaker_table, &stream_table, &price_table,
   &defaults_table, &optimizations_table, &key_entry_table, &model_table, &node_table, &node_tls_table});

slot to_slot(timeout_settings& value) {
  return table_slot{&timeouts_table, &value};
}
slot to_slot(retry_settings& value) {
  return table_slot{&retry_table, &value};
}
slot to_slot(rate_limit_settings& value) {
  return table_slot{&rate_limit_table, &value};
}
slot to_slot(circuit_breaker_settings& value) {
  return table_slot{&circuit_breaker_table, &value};
}
slot to_slot(stream_settings& value) {
  return table_slot{&stream_table, &value};
}
slot to_slot(price_settings& value) {
  return table_slot{&price_table, &value};
}
slot to_slot(default_settings& value) {
  return table_slot{&defaults_table, &value};
}
slot to_slot(optimization_settings& value) {
  return table_slot{&optimizations_table, &value};
}
slot to_slot(runtime_settings& value) {
  return table_slot{&runtime_table, &value};
}
slot to_slot(node_settings& value) {
  return table_slot{&node_table, &value};
}
slot to_slot(node_tls_settings& value) {
  return table_slot{&node_tls_table, &value};
}
slot to_slot(log_settings& value) {
  return table_slot{&log_table, &value};
}
slot to_slot(metrics_settings& value) {
  return table_slot{&metrics_table, &value};
}
slot to_slot(telemetry_settings& value) {
  return table_slot{&telemetry_table, &value};
}
slot to_slot(history_settings& value) {
  return table_slot{&history_table, &value};
}

// -- walking --------------------------------------------------------------------

/// Visits all plain values below an object, through tables, and lists of tables by the names of their entries.
struct walker {
  const visitor& visit;

  void table(const table_rule& rule, void* object, const std::string& path) const {
    for (const auto& key : rule.keys) {
      auto value = key.slot_of(object);
      auto here = path + std::string{key.name};
      if (auto* inner = std::get_if<table_slot>(&value))
        table(*inner->rule, inner->object, here + '.');
      else if (auto* providers = std::get_if<std::vector<provider_settings>*>(&value))
        for (auto& provider : **providers)
          table(provider_table, &provider, here + '.' + quoted_key(provider.name) + '.');
      else if (auto* models = std::get_if<std::vector<model_settings>*>(&value))
        for (auto& model : **models)
          table(model_table, &model, here + '.' + quoted_key(model.pattern) + '.');
      else
        visit(here, key, value);
    }
  }
};

} // namespace

const table_rule& root() {
  return root_table;
}

const table_rule& provider() {
  return provider_table;
}

const table_rule& key_entry() {
  return key_entry_table;
}

const table_rule& model() {
  return model_table;
}

std::span<const table_rule* const> tables() {
  return all_tables;
}

const key_rule* find(const table_rule& table, std::string_view name) {
  auto found = std::find_if(table.keys.begin(), table.keys.end(), [&](const auto& key) { return key.name == name; });
  return found != table.keys.end() ? &*found : nullptr;
}

void for_each_value(settings& all, const visitor& visit) {
  walker{visit}.table(root_table, &all, "");
}

} // namespace modelforge::schema
