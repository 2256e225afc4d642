#include "tools/simulator/control.hpp"

#include "tools/simulator/openai/openai.hpp"

#include <nlohmann/json.hpp>

#include <cmath>
#include <stdexcept>

// `configure` is driven by a table: each setting that may change while the simulator runs has its key, as in the
// command line's option, and a function that reads its JSON value into `options`. Readers throw `bad_setting`; changes
// are made to a copy first, so that a request with one bad value changes nothing.

namespace modelforge::simulator::control {

namespace {

using json = nlohmann::json;

/// What is wrong with one key.
class bad_setting : public std::runtime_error {
public:
  bad_setting(const std::string& key, const std::string& problem) : std::runtime_error("'" + key + "' " + problem) {}
};

/// Reads a whole number from 0 to `max`.
uint64_t read_count(const std::string& key, const json& value, uint64_t max) {
  if (!value.is_number_unsigned() || value.get<uint64_t>() > max)
    throw bad_setting(key, "must be a whole number from 0 to " + std::to_string(max));
  return value.get<uint64_t>();
}

/// Like `read_count`, for 32 bits.
uint32_t read_small_count(const std::string& key, const json& value, uint32_t max) {
  return static_cast<uint32_t>(read_count(key, value, max));
}

/// Reads a number from 0 to `max`; written so that a NaN is refused, too.
double read_number(const std::string& key, const json& value, double max) {
  if (!value.is_number() || !(value.get<double>() >= 0 && value.get<double>() <= max))
    throw bad_setting(key, "must be a number from 0 to " + json(max).dump());
  return value.get<double>();
}

/// Reads seconds, fractions allowed, of up to a year.
std::chrono::milliseconds read_seconds(const std::string& key, const json& value) {
  constexpr double year = 365 * 86'400;
  return std::chrono::milliseconds(std::llround(read_number(key, value, year) * 1'000));
}

bool read_flag(const std::string& key, const json& value) {
  if (!value.is_boolean())
    throw bad_setting(key, "must be true or false");
  return value.get<bool>();
}

/// Reads one of the words that `--token-accounting` takes.
token_accounting read_accounting(const std::string& key, const json& value) {
  if (value == "arrival")
    return token_accounting::arrival;
  if (value == "produced")
    return token_accounting::produced;
  if (value == "input")
    return token_accounting::input;
  throw bad_setting(key, R"(must be "arrival", "produced" or "input")");
}

/// Reads shares by fault; whether the names exist and the sum fits is judged with all settings together.
std::map<std::string, double> read_faults(const std::string& key, const json& value) {
  std::map<std::string, double> faults;
  if (!value.is_object())
    throw bad_setting(key, "must be an object of shares by name");
  for (const auto& [name, share] : value.items())
    faults[name] = read_number(key + "." + name, share, 1);
  return faults;
}

/// One setting that may change: its key and how its value gets into the options.
struct setting {
  std::string_view key;
  void (*read)(options& settings, const std::string& key, const json& value);
};

constexpr setting changeable[] = {
  {"requests_per_minute",
   [](auto& out, auto& key, auto& x) { out.requests_per_minute = read_count(key, x, max_per_minute); }},
  {"tokens_per_minute",
   [](auto& out, auto& key, auto& x) { out.tokens_per_minute = read_count(key, x, max_per_minute); }},
  {"token_accounting", [](auto& out, auto& key, auto& x) { out.accounting = read_accounting(key, x); }},
  {"limit_headers", [](auto& out, auto& key, auto& x) { out.limit_headers = read_flag(key, x); }},
  {"slots", [](auto& out, auto& key, auto& x) { out.slots = read_small_count(key, x, UINT32_MAX); }},
  {"latency",
   [](auto& out, auto& key, auto& x) { out.latency = std::chrono::milliseconds(read_count(key, x, 600'000)); }},
  {"latency_jitter", [](auto& out, auto& key, auto& x) { out.latency_jitter = read_number(key, x, 1); }},
  {"tokens_per_second", [](auto& out, auto& key, auto& x) { out.tokens_per_second = read_number(key, x, 1e9); }},
  {"min_answer_tokens",
   [](auto& out, auto& key, auto& x) { out.min_answer_tokens = read_small_count(key, x, answer_tokens_bound); }},
  {"max_answer_tokens",
   [](auto& out, auto& key, auto& x) { out.max_answer_tokens = read_small_count(key, x, answer_tokens_bound); }},
  {"token_jitter", [](auto& out, auto& key, auto& x) { out.token_jitter = read_number(key, x, 1); }},
  {"keep_alive",
   [](auto& out, auto& key, auto& x) { out.keep_alive = std::chrono::milliseconds(read_count(key, x, 3'600'000)); }},
  {"crlf", [](auto& out, auto& key, auto& x) { out.crlf = read_flag(key, x); }},
  {"split_packets", [](auto& out, auto& key, auto& x) { out.split_packets = read_flag(key, x); }},
  {"pieces_per_packet",
   [](auto& out, auto& key, auto& x) { out.pieces_per_packet = read_small_count(key, x, max_pieces_per_packet); }},
  {"send_buffer", [](auto& out, auto& key, auto& x) { out.send_buffer = read_small_count(key, x, max_send_buffer); }},
  {"cache_ttl", [](auto& out, auto& key, auto& x) { out.cache_ttl = read_seconds(key, x); }},
  {"cache_min_tokens",
   [](auto& out, auto& key, auto& x) { out.cache_min_tokens = read_small_count(key, x, UINT32_MAX); }},
  {"cache_machines", [](auto& out, auto& key, auto& x) { out.cache_machines = read_small_count(key, x, UINT32_MAX); }},
  {"batch_time", [](auto& out, auto& key, auto& x) { out.batch_time = read_seconds(key, x); }},
  {"batch_window", [](auto& out, auto& key, auto& x) { out.batch_window = read_seconds(key, x); }},
  {"batch_errors", [](auto& out, auto& key, auto& x) { out.batch_errors = read_number(key, x, 1); }},
  {"batch_cut", [](auto& out, auto& key, auto& x) { out.batch_cut = read_number(key, x, 1); }},
  {"batch_silence", [](auto& out, auto& key, auto& x) { out.batch_silence = read_number(key, x, 1); }},
  {"batch_items", [](auto& out, auto& key, auto& x) { out.batch_items = read_small_count(key, x, UINT32_MAX); }},
  {"batch_queue_tokens",
   [](auto& out, auto& key, auto& x) { out.batch_queue_tokens = read_count(key, x, UINT64_MAX); }},
  {"faults", [](auto& out, auto& key, auto& x) { out.faults = read_faults(key, x); }},
  {"retry_after", [](auto& out, auto& key, auto& x) { out.retry_after = read_seconds(key, x); }},
  {"fault_from", [](auto& out, auto& key, auto& x) { out.fault_from = read_seconds(key, x); }},
  {"fault_until",
   [](auto& settings, auto& key, auto& value) {
     settings.fault_until = std::nullopt;
     if (!value.is_null())
       settings.fault_until = read_seconds(key, value);
   }},
};

/// Changes one setting; throws `bad_setting` when there is no such setting or the value does not fit.
void apply(options& settings, const std::string& key, const json& value) {
  for (const auto& each : changeable)
    if (each.key == key)
      return each.read(settings, key, value);
  throw bad_setting(key, "is not a setting that can be changed");
}

/// Errors come in OpenAI's form here: these endpoints belong to no provider.
reply error_reply(const exchange& incoming, const api_error& error) {
  return simulator::error_reply(openai::speech(), incoming, error);
}

/// Returns a 200 with that JSON.
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

reply configure(const exchange& incoming, hub& shared) {
  auto changes = json::parse(incoming.body, nullptr, false);
  if (!changes.is_object())
    return error_reply(incoming, {400, "The settings must be a JSON object."});
  auto settings = shared.settings;
  try {
    for (const auto& [key, value] : changes.items())
      apply(settings, key, value);
  } catch (const bad_setting& problem) {
    return error_reply(incoming, {400, problem.what()});
  }
  if (auto problem = problem_of(settings); !problem.empty())
    return error_reply(incoming, {400, problem});
  shared.configure(std::move(settings));
  return json_reply("{}");
}

reply show_attempts(const exchange& incoming, hub& shared) {
  auto id = incoming.path.substr(incoming.path.rfind('/') + 1);
  auto found = shared.book.attempts_of(id);
  if (!found)
    return error_reply(incoming, {404, "No attempt with this request id was seen lately."});
  auto is_faulty = found->injected != fault::none;
  json body = {{"fault", nullptr}, {"status", nullptr}, {"attempts", found->attempts}};
  if (is_faulty)
    body["fault"] = name_of(found->injected);
  if (is_faulty && found->status != 0)
    body["status"] = found->status;
  return json_reply(body.dump());
}

} // namespace modelforge::simulator::control
