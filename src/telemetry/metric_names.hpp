#pragma once

#include <array>
#include <cstdint>
#include <string_view>

/// Every metric of ModelForge: name, labels, unit, meaning. Names are those of OpenTelemetry's semantic conventions for
/// generative AI where these have one (`gen_ai.*`), else `modelforge.*`. Prometheus sees a dot as an underscore, the
/// unit behind the name, and `_total` behind a counter: `gen_ai_client_operation_duration_seconds`.

namespace modelforge::telemetry {

struct metric {
  std::string_view prefix;
  std::string_view name;
  std::string_view help; ///< One line.
  std::string_view unit = "1";
};

/// Labels. CAF hands their names to Prometheus as they are, and a dot is not allowed there.
namespace label {

inline constexpr std::string_view provider = "modelforge_provider"; ///< The configured name.
inline constexpr std::string_view system = "gen_ai_provider_name";  ///< Its kind: "openai", ...
inline constexpr std::string_view operation = "gen_ai_operation_name";
inline constexpr std::string_view model = "gen_ai_request_model";   ///< See `max_models`.
inline constexpr std::string_view token_type = "gen_ai_token_type"; ///< "input" or "output".
inline constexpr std::string_view error = "error_type";             ///< A name of `errc`; empty: answered.
inline constexpr std::string_view priority = "priority";            ///< "interactive" or "batch".
inline constexpr std::string_view reason = "reason";
inline constexpr std::string_view lane = "lane";   ///< The key's name, behind a "/" the pattern of models.
inline constexpr std::string_view limit = "limit"; ///< "requests", "tokens", "input_tokens" or "output_tokens".

} // namespace label

/// Models come from requests: so many are counted apart for each provider, the others are `other_model` together.
inline constexpr std::size_t max_models = 20;
inline constexpr std::string_view other_model = "other";

// -- histograms: labels provider, system, operation, model and what is named here ---------------

inline constexpr metric operation_duration{
  "gen_ai", "client.operation.duration",
  "From a request's acceptance to its answer or error, over all attempts; requests refused at once are not among them",
  "seconds"}; ///< error
inline constexpr metric token_usage{"gen_ai", "client.token.usage",
                                    "Tokens of an answered request, as the provider counted them"}; ///< token_type
inline constexpr metric queue_duration{"modelforge", "request.queue.duration",
                                       "From a request's acceptance to the dispatch of its first attempt; of answered "
                                       "requests",
                                       "seconds"};

inline constexpr metric first_token{"gen_ai", "client.operation.time_to_first_chunk",
                                    "From the dispatch of a stream's last attempt to its first piece; of streams that "
                                    "ended well",
                                    "seconds"};

/// Upper bounds in seconds and in tokens, as the conventions advise.
inline constexpr auto duration_bounds =
  std::to_array<double>({0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92});
inline constexpr auto token_bounds = std::to_array<int64_t>(
  {1, 4, 16, 64, 256, 1'024, 4'096, 16'384, 65'536, 262'144, 1'048'576, 4'194'304, 16'777'216, 67'108'864});

// -- counters: label provider and what is named here --------------------------------------------

inline constexpr metric answered{"modelforge", "requests.answered", "Requests that ended in a completion"};
inline constexpr metric flawed{"modelforge", "answers.flawed",
                               "Of these, those that are cut, blocked, empty or of an unknown end"}; ///< reason
inline constexpr metric failed{"modelforge", "requests.failed",
                               "Requests that ended in an error, those refused at once included"};
inline constexpr metric late{"modelforge", "answers.late", "Answers that came when their request had been given up"};
inline constexpr metric attempts{"modelforge", "attempts", "HTTP exchanges begun"};
inline constexpr metric retries{"modelforge", "retries",
                                "Attempts made again, by what the failure before them meant"}; ///< reason
inline constexpr metric refusals{"modelforge", "refusals", "Requests that were not sent, or not sent again, by reason"};
inline constexpr metric optimizer_failures{"modelforge", "optimizer.failures",
                                           "Times that an optimizer failed, and a request went on without it"};
inline constexpr metric breaker_openings{"modelforge", "breaker.openings",
                                         "How often the circuit breaker opened"}; ///< lane

// -- gauges: label provider and what is named here ----------------------------------------------

inline constexpr metric queued{"modelforge", "requests.queued",
                               "Requests that wait to be sent, retries that wait for their time apart"}; ///< priority
inline constexpr metric queued_size{"modelforge", "requests.queued.size",
                                    "What the waiting requests take in memory, retries included", "bytes"};
inline constexpr metric waiting{"modelforge", "retries.waiting", "Retries that wait for their time"};
inline constexpr metric in_flight{"modelforge", "requests.in_flight", "Requests with an attempt under way"};
inline constexpr metric predicted_wait{"modelforge", "request.predicted_wait",
                                       "How long a usual interactive request would wait if it came now", "seconds"};
inline constexpr metric slots{"modelforge", "lane.slots", "Attempts that may be in flight"};  ///< lane
inline constexpr metric lane_in_flight{"modelforge", "lane.in_flight", "Attempts in flight"}; ///< lane
inline constexpr metric breaker{"modelforge", "breaker.state",
                                "The circuit breaker: 0 closed, 1 half open, 2 open"}; ///< lane
inline constexpr metric paused{"modelforge", "lane.paused", "What is left of a wait that the provider named",
                               "seconds"};                                                     ///< lane
inline constexpr metric out{"modelforge", "lane.out", "1 while the provider refuses the key"}; ///< lane
inline constexpr metric limit_size{"modelforge", "limit.size",
                                   "Requests or tokens that one window allows"}; ///< lane, limit
inline constexpr metric limit_used{"modelforge", "limit.used",
                                   "Requests or tokens that are used of the current window"}; ///< lane, limit

} // namespace modelforge::telemetry
