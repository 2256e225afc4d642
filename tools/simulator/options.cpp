#include "tools/simulator/faults.hpp"
#include "tools/simulator/simulator.hpp"

#include <charconv>
#include <numeric>

namespace modelforge::simulator {

namespace {

/// Returns what is wrong with one fault and its share; empty when nothing is, here and below.
std::string problem_with_fault(const std::string& name, double share) {
  if (!fault_named(name))
    return "there is no fault \"" + name + "\"; known are " + known_faults();
  if (!(share >= 0 && share <= 1))
    return "the share of fault \"" + name + "\" must lie between 0 and 1";
  return {};
}

/// Returns what is wrong when `name` has joined faults whose shares now make `sum`.
std::string problem_with_sum(const std::string& name, double sum) {
  if (sum > 1 + 1e-9) // shares such as 0.1 have no exact sum
    return "fault \"" + name + "\" makes the shares of all faults more than 1";
  return {};
}

/// Judges the options that decide how answers and their streams look.
std::string problem_with_streams(const options& settings) {
  using namespace std::chrono_literals;
  if (settings.min_answer_tokens > answer_tokens_bound || settings.max_answer_tokens > answer_tokens_bound)
    return "min_answer_tokens and max_answer_tokens must not exceed 10,000,000";
  if (!(settings.token_jitter >= 0 && settings.token_jitter <= 1))
    return "token_jitter must lie between 0 and 1";
  if (settings.keep_alive < 0ms || settings.keep_alive > 1h)
    return "keep_alive must lie between 0 and an hour";
  if (settings.pieces_per_packet < 1 || settings.pieces_per_packet > max_pieces_per_packet)
    return "pieces_per_packet must lie between 1 and 10,000";
  if (settings.send_buffer != 0 && (settings.send_buffer < min_send_buffer || settings.send_buffer > max_send_buffer))
    return "send_buffer must be 0 or lie between 4 KiB and 1 GiB";
  return {};
}

/// Judges the options of batch jobs.
std::string problem_with_batches(const options& settings) {
  using namespace std::chrono_literals;
  if (settings.batch_time < 0ms || settings.batch_time > 24h * 365 || settings.batch_window < 0ms
      || settings.batch_window > 24h * 365)
    return "batch_time and batch_window must lie between 0 and a year";
  for (auto share : {settings.batch_errors, settings.batch_cut, settings.batch_silence})
    if (!(share >= 0 && share <= 1))
      return "batch_errors, batch_cut and batch_silence must lie between 0 and 1";
  if (settings.batch_cut + settings.batch_silence > 1 + 1e-9)
    return "batch_cut and batch_silence must not be more than 1 together";
  return {};
}

/// Judges each fault, then the sum of their shares.
std::string problem_with_faults(const std::map<std::string, double>& faults) {
  double sum = 0;
  for (const auto& [name, share] : faults) {
    auto problem = problem_with_fault(name, share);
    if (problem.empty())
      problem = problem_with_sum(name, sum += share);
    if (!problem.empty())
      return problem;
  }
  return {};
}

} // namespace

std::string known_faults() {
  std::string text;
  for (auto name : fault_names())
    text.append(text.empty() ? "" : ", ").append(name);
  return text;
}

std::string problem_of(const options& settings) {
  using namespace std::chrono_literals;
  if (settings.requests_per_minute > max_per_minute || settings.tokens_per_minute > max_per_minute)
    return "a limit must not exceed 100,000,000,000 per minute";
  if (settings.window < 1ms || settings.window > 24h)
    return "the window must last between a millisecond and a day";
  if (settings.retry_after < 0ms || settings.retry_after > 24h)
    return "retry_after must lie between 0 and a day";
  if (settings.fault_from < 0ms || settings.fault_from > 24h * 365
      || (settings.fault_until && *settings.fault_until > 24h * 365))
    return "fault_from and fault_until must lie between 0 and a year";
  if (settings.fault_until && *settings.fault_until < settings.fault_from)
    return "fault_until must not come before fault_from";
  if (settings.cache_ttl < 0ms || settings.cache_ttl > 24h)
    return "cache_ttl must lie between 0 and a day";
  if (settings.cache_machines < 1)
    return "cache_machines must be at least 1";
  if (auto problem = problem_with_streams(settings); !problem.empty())
    return problem;
  if (auto problem = problem_with_batches(settings); !problem.empty())
    return problem;
  return problem_with_faults(settings.faults);
}

std::string add_fault(options& settings, std::string_view text) {
  auto sign = text.find('=');
  std::string name(text.substr(0, sign));
  auto value = sign == text.npos ? std::string_view() : text.substr(sign + 1);
  double share = 0;
  auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), share);
  if (name.empty() || value.empty() || error != std::errc{} || end != value.data() + value.size())
    return "expected NAME=SHARE, for example 503=0.1";
  if (auto problem = problem_with_fault(name, share); !problem.empty())
    return problem;
  if (!settings.faults.try_emplace(name, share).second)
    return "fault \"" + name + "\" is given twice";
  auto sum = std::accumulate(settings.faults.begin(), settings.faults.end(), 0.0,
                             [](double total, auto& z) { return total + z.second; });
  return problem_with_sum(name, sum);
}

} // namespace modelforge::simulator
