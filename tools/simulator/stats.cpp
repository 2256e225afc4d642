#include "tools/simulator/stats.hpp"

#include "tools/simulator/exchange.hpp"
#include "tools/simulator/text.hpp"

#include <algorithm>
#include <charconv>
#include <utility>

namespace modelforge::simulator {

namespace {

/// Reads a number that is all of `text`.
template <class T>
bool read_whole(std::string_view text, T& value, int base) {
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  return error == std::errc{} && end == text.data() + text.size();
}

/// Returns whole milliseconds, rounded down.
uint64_t milliseconds_between(clock::time_point start, clock::time_point end) {
  return static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::milliseconds>(end - start).count());
}

/// Counts one more, and the peak with it.
void raise(uint64_t& value, uint64_t& peak) {
  peak = std::max(peak, ++value);
}

} // namespace

// The fullest interval ends at a moment at which something was counted, so it is enough to look then.
void fullest_window::add(clock::time_point now, uint64_t amount) {
  while (!live_.empty() && live_.front().time + length_ <= now) {
    sum_ -= live_.front().amount;
    live_.pop_front();
  }
  if (!live_.empty() && live_.back().time == now)
    live_.back().amount += amount;
  else
    live_.push_back({now, amount});
  sum_ += amount;
  max_ = std::max(max_, sum_);
}

std::optional<attempt_log::id> attempt_log::parse(std::string_view request_id) {
  id key{};
  if (request_id.size() != 32 || !read_whole(request_id.substr(0, 16), key.high, 16)
      || !read_whole(request_id.substr(16), key.low, 16))
    return std::nullopt;
  return key;
}

void attempt_log::add(std::string_view request_id, std::string_view number, fault injected, int status) {
  auto key = parse(request_id);
  uint64_t attempt = 0;
  if (!key || !read_whole(number, attempt, 10) || attempt == 0)
    return;
  auto [entry, is_new] = records_.try_emplace(*key);
  auto& record = entry->second;
  max_attempts_ = std::max<uint64_t>(max_attempts_, ++record.attempts);
  if (injected != fault::none) {
    record.injected = injected;
    record.status = static_cast<uint16_t>(status);
  }
  highest_number_ = std::max(highest_number_, attempt);
  ++attempts_;
  first_attempts_ += attempt == 1;
  if (!is_new)
    return;
  ++requests_;
  order_.push_back(*key);
  if (order_.size() > remembered) {
    records_.erase(order_.front());
    order_.pop_front();
  }
}

std::optional<attempt_record> attempt_log::find(std::string_view request_id) const {
  auto key = parse(request_id);
  auto found = key ? records_.find(*key) : records_.end();
  if (found == records_.end())
    return std::nullopt;
  return found->second;
}

void attempt_log::tell(stats& totals) const {
  totals.attempts = attempts_;
  totals.first_attempts = first_attempts_;
  totals.retries = attempts_ - first_attempts_;
  totals.attempt_requests = requests_;
  totals.attempts_per_request = max_attempts_;
  totals.highest_attempt_number = highest_number_;
}

void stats_book::connected() {
  std::lock_guard lock(mutex_);
  ++now_.connections_accepted;
  raise(now_.connections, now_.connections_peak);
}

void stats_book::disconnected() {
  std::lock_guard lock(mutex_);
  --now_.connections;
}

void stats_book::arrived(const exchange& request, const reply& answer) {
  const auto& decided = answer.decided;
  std::lock_guard lock(mutex_);
  ++now_.requests;
  now_.streams += answer.stream != nullptr;
  ++now_.statuses[answer.status];
  now_.rejected_requests += decided.limits.exceeded == limit_kind::requests;
  now_.rejected_tokens += decided.limits.exceeded == limit_kind::tokens;
  now_.prompt_tokens += answer.prompt_tokens;
  now_.cached_tokens += answer.cached.read;
  now_.cache_written_tokens += uint64_t{answer.cached.written} + answer.cached.written_long;
  now_.completion_tokens += answer.completion_tokens;
  raise(now_.concurrency, now_.concurrency_peak);
  if (decided.injected != fault::none)
    ++now_.faults[std::string(name_of(decided.injected))];
  if (decided.is_admitted) {
    window_requests_.add(request.arrived, 1);
    window_tokens_.add(request.arrived, decided.tokens);
    ++now_.admitted;
    now_.charged_tokens += decided.tokens;
  }
  attempts_.add(request.request_id, request.attempt, decided.injected, answer.status);
}

void stats_book::produced(clock::time_point now, uint64_t tokens) {
  std::lock_guard lock(mutex_);
  window_tokens_.add(now, tokens);
  now_.charged_tokens += tokens;
}

void stats_book::file_stored() {
  std::lock_guard lock(mutex_);
  ++now_.files;
}

void stats_book::batch_created(std::size_t items) {
  std::lock_guard lock(mutex_);
  ++now_.batch_jobs;
  now_.batch_asked += items;
}

void stats_book::batch_item_run() {
  std::lock_guard lock(mutex_);
  ++now_.batch_items;
}

void stats_book::stream_opened() {
  std::lock_guard lock(mutex_);
  raise(now_.open_streams, now_.open_streams_peak);
}

void stats_book::stream_sent(std::size_t bytes) {
  std::lock_guard lock(mutex_);
  now_.stream_bytes += bytes;
}

void stats_book::ended(outcome result, bool is_stream, bool stream_was_open) {
  std::lock_guard lock(mutex_);
  --now_.concurrency;
  now_.open_streams -= stream_was_open;
  now_.answered += result == outcome::answered;
  if (result != outcome::aborted)
    return;
  ++now_.aborted;
  now_.aborted_streams += is_stream;
  now_.last_abort = clock::now();
}

stats stats_book::snapshot() const {
  std::lock_guard lock(mutex_);
  auto result = now_;
  result.taken = clock::now();
  result.rejected = result.rejected_requests + result.rejected_tokens;
  result.window_requests = window_requests_.most();
  result.window_tokens = window_tokens_.most();
  attempts_.tell(result);
  return result;
}

std::optional<attempt_record> stats_book::attempts_of(std::string_view request_id) const {
  std::lock_guard lock(mutex_);
  return attempts_.find(request_id);
}

void stats_book::reset() {
  std::lock_guard lock(mutex_);
  auto old = std::exchange(now_, {});
  now_.started = old.started;
  now_.concurrency = now_.concurrency_peak = old.concurrency;
  now_.open_streams = now_.open_streams_peak = old.open_streams;
  now_.connections = now_.connections_peak = old.connections;
  window_requests_.clear();
  window_tokens_.clear();
  attempts_ = {};
}

std::string to_json(const stats& snapshot) {
  std::string text = "{";
  auto field = [&](std::string_view name, uint64_t value) {
    append_json(text, name);
    text += ':';
    append_number(text, value);
    text += ',';
  };
  field("requests", snapshot.requests);
  field("streams", snapshot.streams);
  field("answered", snapshot.answered);
  field("aborted", snapshot.aborted);
  field("aborted_streams", snapshot.aborted_streams);
  field("rejected", snapshot.rejected);
  field("rejected_requests", snapshot.rejected_requests);
  field("rejected_tokens", snapshot.rejected_tokens);
  field("concurrency", snapshot.concurrency);
  field("concurrency_peak", snapshot.concurrency_peak);
  field("open_streams", snapshot.open_streams);
  field("open_streams_peak", snapshot.open_streams_peak);
  field("stream_bytes", snapshot.stream_bytes);
  field("connections", snapshot.connections);
  field("connections_peak", snapshot.connections_peak);
  field("connections_accepted", snapshot.connections_accepted);
  field("prompt_tokens", snapshot.prompt_tokens);
  field("cached_tokens", snapshot.cached_tokens);
  field("cache_written_tokens", snapshot.cache_written_tokens);
  field("completion_tokens", snapshot.completion_tokens);
  field("admitted", snapshot.admitted);
  field("charged_tokens", snapshot.charged_tokens);
  field("window_requests", snapshot.window_requests);
  field("window_tokens", snapshot.window_tokens);
  field("attempts", snapshot.attempts);
  field("first_attempts", snapshot.first_attempts);
  field("retries", snapshot.retries);
  field("attempt_requests", snapshot.attempt_requests);
  field("attempts_per_request", snapshot.attempts_per_request);
  field("highest_attempt_number", snapshot.highest_attempt_number);
  field("batch_jobs", snapshot.batch_jobs);
  field("batch_asked", snapshot.batch_asked);
  field("batch_items", snapshot.batch_items);
  field("files", snapshot.files);
  field("uptime_ms", milliseconds_between(snapshot.started, snapshot.taken));
  if (snapshot.last_abort)
    field("last_abort_ms", milliseconds_between(snapshot.started, *snapshot.last_abort));
  else
    text += R"("last_abort_ms":null,)";
  auto end_object = [&] {
    if (text.back() == ',')
      text.pop_back();
    text += '}';
  };
  text += "\"statuses\":{";
  for (const auto& [status, count] : snapshot.statuses)
    field(std::to_string(status), count);
  end_object();
  text += ",\"faults\":{";
  for (const auto& [name, count] : snapshot.faults)
    field(name, count);
  end_object();
  return text + "}";
}

} // namespace modelforge::simulator
