#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

/// Every metric of ModelForge: kind, name, meaning, labels, unit. Names are those of OpenTelemetry's semantic
/// conventions for generative AI where these have one (`gen_ai.*`), those that Prometheus's own clients have for a
/// process (`process.*`), else `modelforge.*`. Prometheus sees a dot as an underscore, the unit behind the name, and
/// `_total` behind a counter: `gen_ai_client_operation_duration_seconds`.

namespace modelforge::telemetry {

enum class metric_kind : uint8_t { counter, gauge, histogram };

struct metric {
  metric_kind kind{};
  std::string_view prefix;
  std::string_view name;
  std::string_view help;                    ///< One line.
  std::array<std::string_view, 5> labels{}; ///< Empty behind the last one.
  std::string_view unit = "1";              ///< A base unit of Prometheus, or "1".
};

/// Labels. CAF hands their names to Prometheus as they are, and a dot is not allowed there.
namespace label {

inline constexpr std::string_view provider = "modelforge_provider"; ///< The configured name.
inline constexpr std::string_view system = "gen_ai_provider_name";  ///< As OpenTelemetry names it: "openai", ...
inline constexpr std::string_view operation = "gen_ai_operation_name";
inline constexpr std::string_view model = "gen_ai_request_model";   ///< See `max_models`.
inline constexpr std::string_view token_type = "gen_ai_token_type"; ///< "input" or "output".
inline constexpr std::string_view error = "error_type";             ///< A name of `errc`; empty: answered.
inline constexpr std::string_view priority = "priority";            ///< "interactive" or "batch".
inline constexpr std::string_view reason = "reason";
inline constexpr std::string_view lane = "lane";       ///< The key's name, behind a "/" the pattern of models.
inline constexpr std::string_view limit = "limit";     ///< "requests", "tokens", "input_tokens" or "output_tokens".
inline constexpr std::string_view address = "address"; ///< HOST:PORT of a configured peer.
inline constexpr std::string_view version = "version";
inline constexpr std::string_view commit = "commit";
inline constexpr std::string_view compiler = "compiler";

} // namespace label

/// Models come from requests: so many are counted apart for each provider, the others are `other_model` together.
inline constexpr std::size_t max_models = 20;
inline constexpr std::string_view other_model = "other";

// -- histograms ---------------------------------------------------------------------------------

inline constexpr metric operation_duration{
  metric_kind::histogram,
  "gen_ai",
  "client.operation.duration",
  "From a request's acceptance to its answer or error, over all attempts; requests refused at once are not among them",
  {label::provider, label::system, label::operation, label::model, label::error},
  "seconds"};
inline constexpr metric token_usage{
  metric_kind::histogram,
  "gen_ai",
  "client.token.usage",
  "Tokens of an answered request, as the provider counted them",
  {label::provider, label::system, label::operation, label::model, label::token_type}};
inline constexpr metric queue_duration{
  metric_kind::histogram,
  "modelforge",
  "request.queue.duration",
  "From a request's acceptance to the dispatch of its first attempt; of answered requests",
  {label::provider, label::system, label::operation, label::model},
  "seconds"};
inline constexpr metric first_token{
  metric_kind::histogram,
  "gen_ai",
  "client.operation.time_to_first_chunk",
  "From the dispatch of a stream's last attempt to its first piece; of streams that ended well",
  {label::provider, label::system, label::operation, label::model},
  "seconds"};

/// Upper bounds in seconds and in tokens, as the conventions advise.
inline constexpr auto duration_bounds =
  std::to_array<double>({0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92});
inline constexpr auto token_bounds = std::to_array<int64_t>(
  {1, 4, 16, 64, 256, 1'024, 4'096, 16'384, 65'536, 262'144, 1'048'576, 4'194'304, 16'777'216, 67'108'864});

// -- counters of a provider ---------------------------------------------------------------------

inline constexpr metric answered{
  metric_kind::counter, "modelforge", "requests.answered", "Requests that ended in a completion", {label::provider}};
inline constexpr metric flawed{metric_kind::counter,
                               "modelforge",
                               "answers.flawed",
                               "Answered requests whose answer is cut, blocked, empty or of an unknown end",
                               {label::provider, label::reason}};
inline constexpr metric failed{metric_kind::counter,
                               "modelforge",
                               "requests.failed",
                               "Requests that ended in an error, those refused at once included",
                               {label::provider}};
inline constexpr metric late{metric_kind::counter,
                             "modelforge",
                             "answers.late",
                             "Answers that came when their request had been given up",
                             {label::provider}};
inline constexpr metric attempts{
  metric_kind::counter, "modelforge", "attempts", "HTTP exchanges begun", {label::provider}};
inline constexpr metric retries{metric_kind::counter,
                                "modelforge",
                                "retries",
                                "Attempts made again, by what the failure before them meant",
                                {label::provider, label::reason}};
inline constexpr metric refusals{metric_kind::counter,
                                 "modelforge",
                                 "refusals",
                                 "Requests that were not sent, or not sent again, by reason",
                                 {label::provider, label::reason}};
inline constexpr metric optimizer_failures{metric_kind::counter,
                                           "modelforge",
                                           "optimizer.failures",
                                           "Times that an optimizer failed, and a request went on without it",
                                           {label::provider}};
inline constexpr metric breaker_openings{metric_kind::counter,
                                         "modelforge",
                                         "breaker.openings",
                                         "How often the circuit breaker opened",
                                         {label::provider, label::lane}};
inline constexpr metric cost{metric_kind::counter,
                             "modelforge",
                             "request.cost",
                             "What answers have cost by the configured prices, in their currency; without prices there "
                             "is none, and jobs of a batch API are not in it",
                             {label::provider, label::system, label::operation, label::model}};

// -- gauges of a provider -----------------------------------------------------------------------

inline constexpr metric queued{metric_kind::gauge,
                               "modelforge",
                               "requests.queued",
                               "Requests that wait to be sent, retries that wait for their time apart",
                               {label::provider, label::priority}};
inline constexpr metric queued_size{
  metric_kind::gauge,     "modelforge",
  "requests.queued.size", "What the waiting requests take in memory, retries included",
  {label::provider},      "bytes"};
inline constexpr metric waiting{
  metric_kind::gauge, "modelforge", "retries.waiting", "Retries that wait for their time", {label::provider}};
inline constexpr metric in_flight{
  metric_kind::gauge, "modelforge", "requests.in_flight", "Requests with an attempt under way", {label::provider}};
inline constexpr metric predicted_wait{
  metric_kind::gauge,       "modelforge",
  "request.predicted_wait", "How long a usual interactive request would wait if it came now",
  {label::provider},        "seconds"};
inline constexpr metric slots{
  metric_kind::gauge, "modelforge", "lane.slots", "Attempts that may be in flight", {label::provider, label::lane}};
inline constexpr metric lane_in_flight{
  metric_kind::gauge, "modelforge", "lane.in_flight", "Attempts in flight", {label::provider, label::lane}};
inline constexpr metric breaker{metric_kind::gauge,
                                "modelforge",
                                "breaker.state",
                                "The circuit breaker: 0 closed, 1 half open, 2 open",
                                {label::provider, label::lane}};
inline constexpr metric paused{metric_kind::gauge,
                               "modelforge",
                               "lane.paused",
                               "What is left of a wait that the provider named",
                               {label::provider, label::lane},
                               "seconds"};
inline constexpr metric out{
  metric_kind::gauge, "modelforge", "lane.out", "1 while the provider refuses the key", {label::provider, label::lane}};
inline constexpr metric limit_size{metric_kind::gauge,
                                   "modelforge",
                                   "limit.size",
                                   "Requests or tokens that one window allows",
                                   {label::provider, label::lane, label::limit}};
inline constexpr metric limit_used{metric_kind::gauge,
                                   "modelforge",
                                   "limit.used",
                                   "Requests or tokens that are used of the current window",
                                   {label::provider, label::lane, label::limit}};

// -- of the program, found out at each scrape ---------------------------------------------------

inline constexpr metric build{metric_kind::gauge,
                              "modelforge",
                              "build_info",
                              "Always 1; the labels say which program it is, without a commit where that is not known",
                              {label::version, label::commit, label::compiler}};
inline constexpr metric ready{
  metric_kind::gauge, "modelforge", "ready", "1 while /readyz answers with 200, else 0", {}};
inline constexpr metric usable{metric_kind::gauge,
                               "modelforge",
                               "provider.usable",
                               "1 while requests to the provider are sent, else 0: /status says why",
                               {label::provider}};
inline constexpr metric settings_taken{
  metric_kind::gauge, "modelforge", "settings.taken_timestamp", "When the settings in force were taken, since 1970", {},
  "seconds"};
inline constexpr metric reload_successful{metric_kind::gauge,
                                          "modelforge",
                                          "settings.last_reload_successful",
                                          "0 if the last settings that were read again have been refused, else 1",
                                          {}};
inline constexpr metric link_up{
  metric_kind::gauge, "modelforge", "link.up", "1 while the link to a configured peer is up, else 0", {label::address}};
inline constexpr metric linked_nodes{
  metric_kind::gauge, "modelforge", "linked_nodes", "Nodes that are linked with this one, whoever connected", {}};
inline constexpr metric guests{
  metric_kind::gauge, "modelforge", "provider.guests", "Other nodes that use the provider here", {label::provider}};
inline constexpr metric series_left_out{metric_kind::gauge,
                                        "modelforge",
                                        "metrics.series_left_out",
                                        "Series of the program's providers and links that are not here: of each of "
                                        "these metrics 1000 are told",
                                        {}};
inline constexpr metric log_dropped{metric_kind::counter,
                                    "modelforge",
                                    "log.events_dropped",
                                    "Events that are missing in the log: there was no room, or no writing them",
                                    {}};
inline constexpr metric access_dropped{
  metric_kind::counter,
  "modelforge",
  "access_log.lines_dropped",
  "Requests that are missing in the access log: there was no room, or no writing them",
  {}};
inline constexpr metric spans_exported{
  metric_kind::counter, "modelforge", "spans.exported", "Spans of requests that the collector of traces has taken", {}};
inline constexpr metric spans_failed{
  metric_kind::counter,
  "modelforge",
  "spans.failed",
  "Spans that the collector has refused, or that were given up since it could not be reached",
  {}};
inline constexpr metric spans_dropped{
  metric_kind::counter, "modelforge", "spans.dropped", "Spans that there was no room for", {}};
inline constexpr metric process_cpu{
  metric_kind::counter, "process", "cpu", "User and system CPU time that the process has used", {}, "seconds"};
inline constexpr metric process_memory{
  metric_kind::gauge, "process", "resident_memory", "Memory of the process that is in RAM", {}, "bytes"};
inline constexpr metric process_open_fds{
  metric_kind::gauge, "process", "open_fds", "File descriptors that the process has open", {}};
inline constexpr metric process_max_fds{
  metric_kind::gauge, "process", "max_fds", "File descriptors that the process may have open", {}};
inline constexpr metric process_start_time{
  metric_kind::gauge, "process", "start_time", "When the process started, since 1970", {}, "seconds"};

/// All of them; docs/monitoring.md is written from it.
inline constexpr auto all_metrics = std::to_array<const metric*>({&operation_duration,
                                                                  &token_usage,
                                                                  &queue_duration,
                                                                  &first_token,
                                                                  &answered,
                                                                  &flawed,
                                                                  &failed,
                                                                  &late,
                                                                  &attempts,
                                                                  &retries,
                                                                  &refusals,
                                                                  &optimizer_failures,
                                                                  &breaker_openings,
                                                                  &cost,
                                                                  &queued,
                                                                  &queued_size,
                                                                  &waiting,
                                                                  &in_flight,
                                                                  &predicted_wait,
                                                                  &slots,
                                                                  &lane_in_flight,
                                                                  &breaker,
                                                                  &paused,
                                                                  &out,
                                                                  &limit_size,
                                                                  &limit_used,
                                                                  &build,
                                                                  &ready,
                                                                  &usable,
                                                                  &settings_taken,
                                                                  &reload_successful,
                                                                  &link_up,
                                                                  &linked_nodes,
                                                                  &guests,
                                                                  &series_left_out,
                                                                  &log_dropped,
                                                                  &access_dropped,
                                                                  &spans_exported,
                                                                  &spans_failed,
                                                                  &spans_dropped,
                                                                  &process_cpu,
                                                                  &process_memory,
                                                                  &process_open_fds,
                                                                  &process_max_fds,
                                                                  &process_start_time});

std::string_view name_of(metric_kind kind);

/// As Prometheus has it.
std::string full_name(const metric& metric);

/// The table of all metrics, as docs/monitoring.md has it.
std::string metrics_markdown();

} // namespace modelforge::telemetry
