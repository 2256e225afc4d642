#include "tools/simulator/control.hpp"

#include "tools/simulator/openai/openai.hpp"

#include <nlohmann/json.hpp>

#include <cmath>
#include <stdexcept>

namespace modelforge::simulator::control {

namespace {

using json = nlohmann::json;

/// What is wrong with one key.
class bad_setting : public std::runtime_error {
public:
  bad_setting(const std::string& key, const std::string& problem) : std::runtime_error("'" + key + "' " + problem) {}
};

uint64_t read_count(const std::string& key, const json& x, uint64_t most) {
  if (!x.is_number_unsigned() || x.get<uint64_t>() > most)
    throw bad_setting(key, "must be a whole number from 0 to " + std::to_string(most));
  return x.get<uint64_t>();
}

uint32_t read_small_count(const std::string& key, const json& x, uint32_t most) {
  return static_cast<uint32_t>(read_count(key, x, most));
}

double read_number(const std::string& key, const json& x, double most) {
  if (!x.is_number() || !(x.get<double>() >= 0 && x.get<double>() <= most))
    throw bad_setting(key, "must be a number from 0 to " + json(most).dump());
  return x.get<double>();
}

/// Reads seconds, fractions allowed, of up to a year.
std::chrono::milliseconds read_seconds(const std::string& key, const json& x) {
  constexpr double year = 365 * 86'400;
  return std::chrono::milliseconds(std::llround(read_number(key, x, year) * 1'000));
}

bool read_flag(const std::string& key, const json& x) {
  if (!x.is_boolean())
    throw bad_setting(key, "must be true or false");
  return x.get<bool>();
}

token_accounting read_accounting(const std::string& key, const json& x) {
  if (x == "arrival")
    return token_accounting::arrival;
  if (x == "produced")
    return token_accounting::produced;
  if (x == "input")
    return token_accounting::input;
  throw bad_setting(key, R"(must be "arrival", "produced" or "input")");
}

std::map<std::string, double> read_faults(const std::string& key, const json& x) {
  std::map<std::string, double> faults;
  if (!x.is_object())
    throw bad_setting(key, "must be an object of shares by name");
  for (const auto& [name, share] : x.items())
    faults[name] = read_number(key + "." + name, share, 1);
  return faults;
}

struct setting {
  std::string_view key;
  void (*read)(options& to, const std::string& key, const json& x);
};

constexpr setting changeable[] = {
  {"requests_per_minute",
   [](auto& to, auto& key, auto& x) { to.requests_per_minute = read_count(key, x, most_per_minute); }},
  {"tokens_per_minute",
   [](auto& to, auto& key, auto& x) { to.tokens_per_minute = read_count(key, x, most_per_minute); }},
  {"token_accounting", [](auto& to, auto& key, auto& x) { to.accounting = read_accounting(key, x); }},
  {"limit_headers", [](auto& to, auto& key, auto& x) { to.limit_headers = read_flag(key, x); }},
  {"slots", [](auto& to, auto& key, auto& x) { to.slots = read_small_count(key, x, UINT32_MAX); }},
  {"latency",
   [](auto& to, auto& key, auto& x) { to.latency = std::chrono::milliseconds(read_count(key, x, 600'000)); }},
  {"latency_jitter", [](auto& to, auto& key, auto& x) { to.latency_jitter = read_number(key, x, 1); }},
  {"tokens_per_second", [](auto& to, auto& key, auto& x) { to.tokens_per_second = read_number(key, x, 1e9); }},
  {"min_answer_tokens",
   [](auto& to, auto& key, auto& x) { to.min_answer_tokens = read_small_count(key, x, most_answer_tokens); }},
  {"max_answer_tokens",
   [](auto& to, auto& key, auto& x) { to.max_answer_tokens = read_small_count(key, x, most_answer_tokens); }},
  {"token_jitter", [](auto& to, auto& key, auto& x) { to.token_jitter = read_number(key, x, 1); }},
  {"keep_alive",
   [](auto& to, auto& key, auto& x) { to.keep_alive = std::chrono::milliseconds(read_count(key, x, 3'600'000)); }},
  {"crlf", [](auto& to, auto& key, auto& x) { to.crlf = read_flag(key, x); }},
  {"split_packets", [](auto& to, auto& key, auto& x) { to.split_packets = read_flag(key, x); }},
  {"pieces_per_packet",
   [](auto& to, auto& key, auto& x) { to.pieces_per_packet = read_small_count(key, x, most_pieces_per_packet); }},
  {"send_buffer", [](auto& to, auto& key, auto& x) { to.send_buffer = read_small_count(key, x, most_send_buffer); }},
  {"cache_ttl", [](auto& to, auto& key, auto& x) { to.cache_ttl = read_seconds(key, x); }},
  {"cache_min_tokens",
   [](auto& to, auto& key, auto& x) { to.cache_min_tokens = read_small_count(key, x, UINT32_MAX); }},
  {"cache_machines", [](auto& to, auto& key, auto& x) { to.cache_machines = read_small_count(key, x, UINT32_MAX); }},
  {"batch_time", [](auto& to, auto& key, auto& x) { to.batch_time = read_seconds(key, x); }},
  {"batch_window", [](auto& to, auto& key, auto& x) { to.batch_window = read_seconds(key, x); }},
  {"batch_errors", [](auto& to, auto& key, auto& x) { to.batch_errors = read_number(key, x, 1); }},
  {"batch_cut", [](auto& to, auto& key, auto& x) { to.batch_cut = read_number(key, x, 1); }},
  {"batch_silence", [](auto& to, auto& key, auto& x) { to.batch_silence = read_number(key, x, 1); }},
  {"batch_items", [](auto& to, auto& key, auto& x) { to.batch_items = read_small_count(key, x, UINT32_MAX); }},
  {"batch_queue_tokens", [](auto& to, auto& key, auto& x) { to.batch_queue_tokens = read_count(key, x, UINT64_MAX); }},
  {"faults", [](auto& to, auto& key, auto& x) { to.faults = read_faults(key, x); }},
  {"retry_after", [](auto& to, auto& key, auto& x) { to.retry_after = read_seconds(key, x); }},
  {"fault_from", [](auto& to, auto& key, auto& x) { to.fault_from = read_seconds(key, x); }},
  {"fault_until",
   [](auto& to, auto& key, auto& x) {
     to.fault_until = std::nullopt;
     if (!x.is_null())
       to.fault_until = read_seconds(key, x);
   }},
};

void apply(options& to, const std::string& key, const json& x) {
  for (const auto& each : changeable)
    if (each.key == key)
      return each.read(to, key, x);
  throw bad_setting(key, "is not a setting that can be changed");
}

reply error_reply(const exchange& x, const api_error& error) {
  return simulator::error_reply(openai::speech(), x, error);
}

reply json_reply(std::string body) {
  reply answer;
  answer.body = std::move(body);
  return answer;
}

} // namespace

reply show_stats(const exchange&, hub& shared) {
  return json_reply(to_json(shared.book.snapshot()));
}

reply reset_stats(const exchange&, hub& shared) {
  shared.book.reset();
  return json_reply("{}");
}

reply configure(const exchange& x, hub& shared) {
  auto changes = json::parse(x.body, nullptr, false);
  if (!changes.is_object())
    return error_reply(x, {400, "The settings must be a JSON object."});
  auto settings = shared.settings;
  try {
    for (const auto& [key, value] : changes.items())
      apply(settings, key, value);
  } catch (const bad_setting& problem) {
    return error_reply(x, {400, problem.what()});
  }
  if (auto problem = problem_of(settings); !problem.empty())
    return error_reply(x, {400, problem});
  shared.configure(std::move(settings));
  return json_reply("{}");
}

reply show_attempts(const exchange& x, hub& shared) {
  auto id = x.path.substr(x.path.rfind('/') + 1);
  auto found = shared.book.attempts_of(id);
  if (!found)
    return error_reply(x, {404, "No attempt with this request id was seen lately."});
  auto is_faulty = found->injected != fault::none;
  json body = {{"fault", nullptr}, {"status", nullptr}, {"attempts", found->attempts}};
  if (is_faulty)
    body["fault"] = name_of(found->injected);
  if (is_faulty && found->status != 0)
    body["status"] = found->status;
  return json_reply(body.dump());
}

} // namespace modelforge::simulator::control
