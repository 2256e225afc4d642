#include "config/schema.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdio>
#include <type_traits>

namespace modelforge::schema {

namespace {

// -- from a member to a slot ----------------------------------------------------

slot to_slot(timeout_settings& x);
slot to_slot(retry_settings& x);
slot to_slot(rate_limit_settings& x);
slot to_slot(circuit_breaker_settings& x);
slot to_slot(stream_settings& x);
slot to_slot(price_settings& x);
slot to_slot(optimization_settings& x);
slot to_slot(runtime_settings& x);
slot to_slot(node_settings& x);
slot to_slot(node_tls_settings& x);
slot to_slot(log_settings& x);
slot to_slot(metrics_settings& x);

template <class T>
requires std::is_constructible_v<slot, T*> slot to_slot(T& x) {
  return &x;
}

template <named_enum E>
slot to_slot(E& x) {
  static_assert(sizeof(E) == 1);
  return enum_slot{enum_names<E>, reinterpret_cast<unsigned char*>(&x)};
}

template <auto Member>
struct member;

template <class T, class M, M T::*Member>
struct member<Member> {
  static slot in(void* object) { return to_slot(static_cast<T*>(object)->*Member); }
};

/// The slot of a member in its struct.
template <auto Member>
constexpr auto at = &member<Member>::in;

template <auto Source>
slot short_key(void* object) {
  return short_key_slot{&static_cast<provider_settings*>(object)->keys, Source};
}

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
  {"connect", at<&timeout_settings::connect>, "Finding the host, connecting and TLS together.", 0, hour},
  {"first_token", at<&timeout_settings::first_token>, "Streams only: until the first piece of the answer.", 0, day},
  {"idle", at<&timeout_settings::idle>, "Streams only: between two pieces of the answer.", 0, day},
  {"total", at<&timeout_settings::total>, "The whole attempt.", 0, week},
});

constexpr auto retry_keys = std::to_array<key_rule>({
  {"max_attempts", at<&retry_settings::max_attempts>, "All attempts of a request, the first included.", 1, 100},
  {"backoff_factor", at<&retry_settings::backoff_factor>, "How much longer each pause may be than the one before.", 1,
   10},
  {"base_wait", at<&retry_settings::base_wait>,
   "Longest first pause; each pause is drawn evenly from zero to its bound.", 0.001, hour},
  {"max_wait", at<&retry_settings::max_wait>, "Longest pause of our own choosing; a provider's own wait may be longer.",
   0.001, day},
  {"max_server_wait", at<&retry_settings::max_server_wait>,
   "Longest wait named by the provider that an interactive request accepts; beyond it, it fails at once. After that "
   "time one request tries whether the wait is over.",
   0, week},
  {"max_batch_server_wait", at<&retry_settings::max_batch_server_wait>,
   "Longest wait named by the provider that batch items keep; after that time one of them tries again.", 1, week},
  {"respect_retry_after", at<&retry_settings::respect_retry_after>, "Whether a wait named by the provider is kept."},
  {"retry_uncertain", at<&retry_settings::retry_uncertain>,
   "Whether to send again what may have run (and been paid for) already, because the connection broke before the "
   "answer."},
  {"on_empty_budget", at<&retry_settings::on_empty_budget>,
   "What a retry does when too many requests are being retried: `automatic` waits in batches and fails elsewhere."},
});

constexpr auto rate_limit_keys = std::to_array<key_rule>({
  {"requests_per_minute", at<&rate_limit_settings::requests_per_minute>, "Requests that the provider allows.", 1, 1e9,
   "requests"},
  {"tokens_per_minute", at<&rate_limit_settings::tokens_per_minute>,
   "Tokens that the provider allows, prompt and answer together.", 1, 1e12, "tokens"},
  {"input_tokens_per_minute", at<&rate_limit_settings::input_tokens_per_minute>,
   "Prompt tokens that the provider allows, where it counts them apart.", 1, 1e12, "tokens"},
  {"output_tokens_per_minute", at<&rate_limit_settings::output_tokens_per_minute>,
   "Answer tokens that the provider allows, where it counts them apart.", 1, 1e12, "tokens"},
  {"burst", at<&rate_limit_settings::burst>, "Requests that may leave at once after a quiet time.", 1, 1e6, "requests"},
  {"window", at<&rate_limit_settings::window>,
   "The time over which a limit is kept; the numbers above are scaled to it.", 0.1, day},
  {"window_guard", at<&rate_limit_settings::window_guard>,
   "Added to the window, because requests do not all take the same time to arrive.", 0, minute},
  {"token_accounting", at<&rate_limit_settings::token_accounting>,
   "Which tokens the provider counts, and when: `arrival`, prompt and max_tokens as the request arrives; `produced`, "
   "the "
   "prompt then and the answer as it comes; `input`, the prompt alone; `automatic`, as its kind does."},
  {"on_start", at<&rate_limit_settings::on_start>,
   "What counts as used after a restart: `restore` what was saved, a `full` window, or an `empty` one."},
});

constexpr auto circuit_breaker_keys = std::to_array<key_rule>({
  {"enabled", at<&circuit_breaker_settings::enabled>, "Whether there is a breaker."},
  {"consecutive_failures", at<&circuit_breaker_settings::consecutive_failures>, "Opens after so many in a row.", 1,
   1e6},
  {"failure_share", at<&circuit_breaker_settings::failure_share>,
   "Opens when this share of the latest answers failed; 0 switches it off.", 0, 1, "share"},
  {"min_samples", at<&circuit_breaker_settings::min_samples>, "Fewest answers that make a share.", 1, 1e6},
  {"sample_window", at<&circuit_breaker_settings::sample_window>, "How far back a share looks.", 0.1, hour},
  {"slow_after", at<&circuit_breaker_settings::slow_after>, "An answer slower than this counts as failed; 0: never.", 0,
   day},
  {"open_for", at<&circuit_breaker_settings::open_for>, "How long it stays open before it tries a request.", 0.01, day},
  {"probes", at<&circuit_breaker_settings::probes>, "Requests it tries at a time.", 1, 1000},
  {"when_open", at<&circuit_breaker_settings::when>,
   "What requests do while it is open: `automatic` waits in batches and fails at once elsewhere."},
});

constexpr auto stream_keys = std::to_array<key_rule>({
  {"on_disconnect", at<&stream_settings::on_disconnect>,
   "When nobody listens any more: `cancel` the answer, `drain` it for the exact usage, or `drain_for` a while."},
  {"drain_time", at<&stream_settings::drain_time>, "How long `drain_for` goes on.", 0.001, day},
  {"reader_idle", at<&stream_settings::reader_idle>,
   "Ends a subscriber that takes nothing for so long, although there is something; 0: never.", 0, week},
  {"log_limit", at<&stream_settings::log_limit>,
   "How much of a stream's past is kept for late subscribers and whole texts.", 0, gib, bytes},
  {"min_bytes_per_second", at<&stream_settings::min_bytes_per_second>,
   "A stream that brings less, over ten seconds, has failed; 0: none.", 0, gib, "bytes a second"},
  {"http2", at<&stream_settings::http2>, "Whether streams may use HTTP/2."},
});

constexpr auto price_keys = std::to_array<key_rule>({
  {"input", at<&price_settings::input>, "Of the prompt.", 0, 1e9, money},
  {"output", at<&price_settings::output>, "Of the answer, thinking included.", 0, 1e9, money},
  {"cached_read", at<&price_settings::cached_read>, "Of what came from the prompt cache; 0: as `input`.", 0, 1e9,
   money},
  {"cache_written", at<&price_settings::cache_written>, "Of what was written to it; 0: as `input`.", 0, 1e9, money},
  {"batch", at<&price_settings::batch>, "What the provider's batch API costs, as a share of these.", 0, 1, "share"},
});

constexpr auto optimization_keys = std::to_array<key_rule>({
  {"enable_batch_api", at<&optimization_settings::enable_batch_api>,
   "Whether batches go through the provider's own batch API: cheaper, but it may take a day."},
  {"enable_seed", at<&optimization_settings::enable_seed>,
   "Whether requests without a seed get one (`openai`, `azure`, `openai_compatible`)."},
  {"seed", at<&optimization_settings::seed>, "The seed they get."},
  {"json_mode_auto", at<&optimization_settings::json_mode_auto>,
   "Whether prompts that want nothing but JSON switch on JSON mode (`openai`, `azure`, `openai_compatible`)."},
  {"cache_prompt_structure", at<&optimization_settings::cache_prompt_structure>,
   "Whether static parts of prompts go first and, with `anthropic`, what prompts have in common is marked for the "
   "cache."},
  {"prompt_cache_key", at<&optimization_settings::prompt_cache_key>,
   "Whether requests that begin alike share a `prompt_cache_key`, where the API has it (`openai`, `azure`)."},
  {"min_cache_length", at<&optimization_settings::min_cache_length>,
   "Fewest characters that are worth marking, or a key.", 0, 1e9, "characters"},
  {"min_cache_tokens", at<&optimization_settings::min_cache_tokens>,
   "The same in tokens, by estimate; 0: the least that the provider caches, as far as it is known.", 0, 1e9, "tokens"},
  {"keep_alive", at<&optimization_settings::keep_alive>,
   "How long a model stays in memory after an answer (`ollama`); 0: Ollama decides.", 0, week},
  {"custom", at<&optimization_settings::custom>,
   "Optimizers of the host program, by the names it has registered; the last to act."},
});

constexpr auto key_entry_keys = std::to_array<key_rule>({
  {"name", at<&key_source::name>, "What status and errors call the key."},
  {"api_key_env", at<&key_source::api_key_env>, "The environment variable that holds the key."},
  {"api_key_file", at<&key_source::api_key_file>, "The file that holds the key and nothing else."},
});

constexpr auto model_keys = std::to_array<key_rule>({
  {"rate_limit", at<&model_settings::rate_limit>, "Limits of these models alone; left out: they share the provider's."},
  {"price", at<&model_settings::price>, "What these models cost, where that differs."},
  {"api", at<&model_settings::api>, "Which of OpenAI's APIs these models are asked by; `inherit`: as the provider."},
});

constexpr auto provider_keys = std::to_array<key_rule>({
  {"kind", at<&provider_settings::kind>, "Whose API it speaks."},
  {"api", at<&provider_settings::api>,
   "Which of OpenAI's APIs: `chat` completions, or `responses`; for the kinds `openai`, `azure`, `openai_compatible`."},
  {"flavor", at<&provider_settings::flavor>,
   "Which server an `openai_compatible` one is, since they differ in what they know; `automatic`: the one at that "
   "public address, if it is known."},
  {"api_version", at<&provider_settings::api_version>,
   "Of an older Azure API, whose `base_url` does not end in /v1; empty: the present one, which has no versions."},
  {"base_url", at<&provider_settings::base_url>,
   "Where its API is; empty: the public address of the kind (`azure` and `openai_compatible` have none)."},
  {"api_key_env", short_key<&key_source::api_key_env>, "The environment variable that holds the key."},
  {"api_key_file", short_key<&key_source::api_key_file>, "The file that holds the key and nothing else."},
  {"default_model", at<&provider_settings::default_model>,
   "For requests that name no model; empty: such requests are refused."},
  {"default_embedding_model", at<&provider_settings::default_embedding_model>,
   "For requests for embeddings that name no model; empty: such requests are refused."},
  {"max_concurrent", at<&provider_settings::max_concurrent>,
   "Requests under way at a time, for each key, whatever the model.", 1, 100'000},
  {"interactive_slots", at<&provider_settings::interactive_slots>,
   "How many of them batches must leave free; left out: 1, or 0 where `max_concurrent` is 1.", 0, 99'999},
  {"adaptive", at<&provider_settings::adaptive>,
   "Whether fewer are sent at a time when answers become slow, and more when they are quick."},
  {"deadline", at<&provider_settings::deadline>,
   "For interactive requests that bring none, over all attempts and waits; 0: none.", 0, week},
  {"nodes", at<&provider_settings::nodes>,
   "Names of the nodes that may run it, the preferred one first; empty: this node."},
  {"timeouts", at<&provider_settings::timeouts>, "Bounds of one attempt, in seconds; 0: none."},
  {"retry", at<&provider_settings::retry>, "What happens after a failure that may pass."},
  {"rate_limit", at<&provider_settings::rate_limit>, "The provider's published limits, for each key."},
  {"circuit_breaker", at<&provider_settings::circuit_breaker>,
   "Stops sending to a provider that keeps failing, and tries it now and then."},
  {"stream", at<&provider_settings::stream>, "Streamed answers."},
  {"price", at<&provider_settings::price>,
   "What a million tokens cost, in any currency; answers tell their cost in it."},
  {"optimizations", at<&provider_settings::optimizations>, "What may be changed in a request to make it cheaper."},
  {"headers", at<&provider_settings::headers>, "Sent with every request: text, or a variable of the environment."},
  {"keys", at<&provider_settings::keys>, "Several keys share the work, each with limits of its own."},
  {"models", at<&provider_settings::models>, "Settings for models whose names match a pattern with `*` and `?`."},
});

constexpr auto runtime_keys = std::to_array<key_rule>({
  {"enable_optimizations", at<&runtime_settings::enable_optimizations>,
   "Whether the optimizations of the providers are used at all."},
  {"threads", at<&runtime_settings::threads>, "Threads for the actors; 0: one for each core, at least two.", 0, 1024},
  {"max_queued", at<&runtime_settings::max_queued>, "Requests that may wait at one provider.", 1, 1e7},
  {"max_queued_bytes", at<&runtime_settings::max_queued_bytes>, "Size of the requests that may wait at one provider.",
   64 * kib, 1024 * gib, bytes},
  {"max_response_bytes", at<&runtime_settings::max_response_bytes>, "Size of one answer.", kib, 4 * gib, bytes},
  {"grace_period", at<&runtime_settings::grace_period>, "How long a shutdown waits for requests that are under way.", 0,
   day},
  {"state_folder", at<&runtime_settings::state_folder>,
   "Folder where what is used of the limits is kept across restarts; empty: modelforge in the user's state folder, "
   "`none`: "
   "nowhere."},
});

constexpr auto node_tls_keys = std::to_array<key_rule>({
  {"certificate", at<&node_tls_settings::certificate>, "PEM file with this node's certificate."},
  {"key", at<&node_tls_settings::key>, "PEM file with the certificate's private key."},
  {"ca", at<&node_tls_settings::ca>, "PEM file with the authority that signed every node's certificate."},
  {"verify_names", at<&node_tls_settings::verify_names>,
   "Whether a node must be called as its certificate says (its common name, or a DNS name in it)."},
});

constexpr auto node_keys = std::to_array<key_rule>({
  {"name", at<&node_settings::name>, "What other nodes call this one; needed as soon as there are others."},
  {"cluster", at<&node_settings::cluster>, "Nodes of another cluster are refused."},
  {"listen", at<&node_settings::listen>, "HOST:PORT where other nodes connect; empty: nowhere."},
  {"peers", at<&node_settings::peers>, "HOST:PORT of each node to connect to."},
  {"heartbeat", at<&node_settings::heartbeat>, "How often nodes tell each other that they live.", 0.05, minute},
  {"timeout", at<&node_settings::timeout>, "A node that is silent for so long counts as lost.", 0.1, hour},
  {"max_message_bytes", at<&node_settings::max_message_bytes>, "Size of one message between nodes.", 4 * kib, gib,
   bytes},
  {"tls", at<&node_settings::tls>, "All three files or none; without them nodes talk on this machine only."},
});

constexpr auto log_keys = std::to_array<key_rule>({
  {"level", at<&log_settings::level>, "The least important thing that is logged."},
  {"format", at<&log_settings::format>, "Lines for people or for machines."},
  {"sink", at<&log_settings::sink>, "`stderr`, `none`, or a file's path."},
});

constexpr auto metrics_keys = std::to_array<key_rule>({
  {"listen", at<&metrics_settings::listen>,
   "HOST:PORT where Prometheus reads them (/metrics) and `modelforge providers` the status (/status); empty: nowhere."},
});

constexpr auto root_keys = std::to_array<key_rule>({
  {"runtime", at<&settings::runtime>, "What all providers share."},
  {"log", at<&settings::log>, "What is logged; never a prompt, an answer or a key."},
  {"metrics", at<&settings::metrics>, "Numbers about the providers, for those who watch a running program."},
  {"providers", at<&settings::providers>, "One table for each provider, under a name of your choice."},
  {"node", at<&settings::node>, "This program as a node among others."},
});

constexpr table_rule timeouts_table{"providers.NAME.timeouts", timeout_keys};
constexpr table_rule retry_table{"providers.NAME.retry", retry_keys};
constexpr table_rule rate_limit_table{"providers.NAME.rate_limit", rate_limit_keys};
constexpr table_rule circuit_breaker_table{"providers.NAME.circuit_breaker", circuit_breaker_keys};
constexpr table_rule stream_table{"providers.NAME.stream", stream_keys};
constexpr table_rule price_table{"providers.NAME.price", price_keys};
constexpr table_rule optimizations_table{"providers.NAME.optimizations", optimization_keys};
constexpr table_rule key_entry_table{"[providers.NAME.keys]", key_entry_keys};
constexpr table_rule model_table{"providers.NAME.models.\"PATTERN\"", model_keys};
constexpr table_rule provider_table{"providers.NAME", provider_keys};
constexpr table_rule runtime_table{"runtime", runtime_keys};
constexpr table_rule node_tls_table{"node.tls", node_tls_keys};
constexpr table_rule node_table{"node", node_keys};
constexpr table_rule log_table{"log", log_keys};
constexpr table_rule metrics_table{"metrics", metrics_keys};
constexpr table_rule root_table{"", root_keys};

constexpr auto all_tables = std::to_array<const table_rule*>(
  {&root_table, &runtime_table, &log_table, &metrics_table, &provider_table, &timeouts_table, &retry_table,
   &rate_limit_table, &circuit_breaker_table, &stream_table, &price_table, &optimizations_table, &key_entry_table,
   &model_table, &node_table, &node_tls_table});

slot to_slot(timeout_settings& x) {
  return table_slot{&timeouts_table, &x};
}
slot to_slot(retry_settings& x) {
  return table_slot{&retry_table, &x};
}
slot to_slot(rate_limit_settings& x) {
  return table_slot{&rate_limit_table, &x};
}
slot to_slot(circuit_breaker_settings& x) {
  return table_slot{&circuit_breaker_table, &x};
}
slot to_slot(stream_settings& x) {
  return table_slot{&stream_table, &x};
}
slot to_slot(price_settings& x) {
  return table_slot{&price_table, &x};
}
slot to_slot(optimization_settings& x) {
  return table_slot{&optimizations_table, &x};
}
slot to_slot(runtime_settings& x) {
  return table_slot{&runtime_table, &x};
}
slot to_slot(node_settings& x) {
  return table_slot{&node_table, &x};
}
slot to_slot(node_tls_settings& x) {
  return table_slot{&node_tls_table, &x};
}
slot to_slot(log_settings& x) {
  return table_slot{&log_table, &x};
}
slot to_slot(metrics_settings& x) {
  return table_slot{&metrics_table, &x};
}

// -- suggestions ----------------------------------------------------------------

/// Damerau-Levenshtein distance (optimal string alignment): insert, delete, replace, swap neighbours.
std::size_t distance(std::string_view x, std::string_view y) {
  std::vector<std::size_t> before(y.size() + 1), last(y.size() + 1), row(y.size() + 1);
  for (std::size_t j = 0; j <= y.size(); ++j)
    last[j] = j;
  for (std::size_t i = 1; i <= x.size(); ++i) {
    row[0] = i;
    for (std::size_t j = 1; j <= y.size(); ++j) {
      row[j] = std::min({last[j] + 1, row[j - 1] + 1, last[j - 1] + (x[i - 1] != y[j - 1])});
      if (i > 1 && j > 1 && x[i - 1] == y[j - 2] && x[i - 2] == y[j - 1])
        row[j] = std::min(row[j], before[j - 2] + 1);
    }
    before.swap(last);
    last.swap(row);
  }
  return last[y.size()];
}

std::string_view closest_key(const table_rule& table, std::string_view name) {
  std::vector<std::string_view> names;
  for (const auto& key : table.keys)
    names.push_back(key.name);
  return closest(name, names);
}

std::string number(double x) {
  std::array<char, 32> text{};
  auto end = std::to_chars(text.data(), text.data() + text.size(), x, std::chars_format::fixed).ptr;
  return {text.data(), end};
}

std::string range(const key_rule& key) {
  return key.most < std::numeric_limits<double>::infinity() ? " from " + number(key.least) + " to " + number(key.most)
                                                            : "";
}

std::string choices(std::span<const std::string_view> names) {
  std::string result = "one of";
  for (auto name : names)
    result += (name == names.front() ? " `" : ", `") + std::string{name} + '`';
  return result;
}

struct describe {
  const key_rule& key;

  std::string operator()(bool*) const { return "true or false"; }
  std::string operator()(double*) const { return "a number" + range(key); }
  std::string operator()(duration*) const { return "seconds" + range(key); }
  std::string operator()(std::string*) const { return "a string"; }
  std::string operator()(const short_key_slot&) const { return "a string"; }
  std::string operator()(std::vector<std::string>*) const { return "an array of strings"; }
  std::string operator()(const enum_slot& x) const { return choices(x.names); }
  std::string operator()(std::vector<key_source>*) const { return "an array of tables"; }
  std::string operator()(std::optional<uint64_t>*) const { return "an integer" + range(key); }
  template <std::integral T>
  std::string operator()(T*) const {
    return "an integer" + range(key);
  }
  template <class T>
  std::string operator()(const T&) const {
    return "a table";
  }
};

// -- walking --------------------------------------------------------------------

struct walker {
  const visitor& visit;

  void table(const table_rule& rule, void* object, const std::string& path) const {
    for (const auto& key : rule.keys) {
      auto value = key.in(object);
      auto here = path + std::string{key.name};
      if (auto* inner = std::get_if<table_slot>(&value))
        table(*inner->rule, inner->object, here + '.');
      else if (auto* providers = std::get_if<std::vector<provider_settings>*>(&value))
        for (auto& x : **providers)
          table(provider_table, &x, here + '.' + quoted_key(x.name) + '.');
      else if (auto* models = std::get_if<std::vector<model_settings>*>(&value))
        for (auto& x : **models)
          table(model_table, &x, here + '.' + quoted_key(x.pattern) + '.');
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

std::string allowed(const key_rule& key, const slot& value) {
  return std::visit(describe{key}, value);
}

std::string_view closest(std::string_view name, std::span<const std::string_view> candidates) {
  if (name.size() > 64)
    return {};
  std::string_view best;
  auto least = std::min<std::size_t>(2, name.size() / 3) + 1; // in a short name two changes make anything of anything
  for (auto candidate : candidates)
    if (auto d = distance(name, candidate); d < least) {
      best = candidate;
      least = d;
    }
  return best;
}

std::string suggest(const table_rule& table, std::string_view name) {
  if (name == "env" || name == "file") // as for headers; too far from the right name to be found as a slip
    if (auto* key = find(table, "api_key_" + std::string{name}))
      name = key->name;
  if (auto best = closest_key(table, name); !best.empty())
    return "did you mean `" + std::string{best} + "`?";
  for (const auto* other : all_tables)
    if (other != &table && find(*other, name))
      return other == &root_table ? "`" + std::string{name} + "` belongs at the top of the file"
                                  : "`" + std::string{name} + "` belongs in [" + std::string{other->path} + ']';
  for (const auto* other : all_tables)
    if (auto best = closest_key(*other, name); other != &table && !best.empty())
      return "did you mean `" + std::string{best} + "` in [" + std::string{other->path} + "]?";
  return {};
}

void for_each_value(settings& x, const visitor& visit) {
  walker{visit}.table(root_table, &x, "");
}

std::string quoted_key(std::string_view name) {
  auto bare = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
  };
  return !name.empty() && std::all_of(name.begin(), name.end(), bare) ? std::string{name} : quoted(name);
}

std::string quoted(std::string_view text) {
  std::string result = "\"";
  for (unsigned char c : text)
    if (c == '"' || c == '\\') {
      result += '\\';
      result += static_cast<char>(c);
    } else if (c < 0x20 || c == 0x7f) {
      std::array<char, 8> escape{};
      std::snprintf(escape.data(), escape.size(), "\\u%04X", c);
      result += escape.data();
    } else {
      result += static_cast<char>(c);
    }
  return result + '"';
}

} // namespace modelforge::schema
