#include "tools/simulator/stats.hpp"

#include "tools/simulator/text.hpp"

#include <algorithm>
#include <charconv>
#include <utility>

namespace modelforge::simulator {

namespace {

template <class T>
bool read_whole(std::string_view text, T& value, int base) {
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  return error == std::errc{} && end == text.data() + text.size();
}

void raise(uint64_t& value, uint64_t& peak) {
  peak = std::max(peak, ++value);
}

} // namespace

void fullest_window::add(clock::time_point now, uint64_t tokens) {
  while (!live_.empty() && live_.front().at + length_ <= now) {
    live_tokens_ -= live_.front().tokens;
    live_.pop_front();
  }
  live_.push_back({now, tokens});
  live_tokens_ += tokens;
  most_requests_ = std::max<uint64_t>(most_requests_, live_.size());
  most_tokens_ = std::max(most_tokens_, live_tokens_);
}

void fullest_window::clear() {
  *this = fullest_window(length_);
}

void attempt_log::add(std::string_view request_id, std::string_view number) {
  id key{};
  uint64_t attempt = 0;
  if (request_id.size() != 32 || !read_whole(request_id.substr(0, 16), key.high, 16)
      || !read_whole(request_id.substr(16), key.low, 16) || !read_whole(number, attempt, 10) || attempt == 0)
    return;
  auto [entry, is_new] = counts_.try_emplace(key, 0);
  most_ = std::max<uint64_t>(most_, ++entry->second);
  highest_number_ = std::max(highest_number_, attempt);
  ++attempts_;
  if (!is_new)
    return;
  ++requests_;
  order_.push_back(key);
  if (order_.size() > remembered) {
    counts_.erase(order_.front());
    order_.pop_front();
  }
}

void attempt_log::tell(stats& x) const {
  x.attempts = attempts_;
  x.attempt_requests = requests_;
  x.attempts_per_request = most_;
  x.highest_attempt_number = highest_number_;
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

void stats_book::arrived(const arrival& x) {
  std::lock_guard lock(mutex_);
  ++now_.requests;
  now_.streams += x.is_stream;
  ++now_.statuses[x.status];
  now_.prompt_tokens += x.prompt_tokens;
  now_.completion_tokens += x.completion_tokens;
  raise(now_.concurrency, now_.concurrency_peak);
  window_.add(x.at, uint64_t{x.prompt_tokens} + x.completion_tokens);
  attempts_.add(x.request_id, x.attempt);
}

void stats_book::stream_opened() {
  std::lock_guard lock(mutex_);
  raise(now_.open_streams, now_.open_streams_peak);
}

void stats_book::ended(outcome how, bool stream_was_open) {
  std::lock_guard lock(mutex_);
  --now_.concurrency;
  now_.open_streams -= stream_was_open;
  now_.answered += how == outcome::answered;
  now_.aborted += how == outcome::aborted;
}

stats stats_book::snapshot() const {
  std::lock_guard lock(mutex_);
  auto x = now_;
  x.window_requests = window_.requests();
  x.window_tokens = window_.tokens();
  attempts_.tell(x);
  return x;
}

void stats_book::reset() {
  std::lock_guard lock(mutex_);
  auto old = std::exchange(now_, {});
  now_.concurrency = now_.concurrency_peak = old.concurrency;
  now_.open_streams = now_.open_streams_peak = old.open_streams;
  now_.connections = now_.connections_peak = old.connections;
  window_.clear();
  attempts_ = {};
}

std::string to_json(const stats& x) {
  std::string text = "{";
  auto field = [&](std::string_view name, uint64_t value) {
    append_json(text, name);
    text += ':';
    append_number(text, value);
    text += ',';
  };
  field("requests", x.requests);
  field("streams", x.streams);
  field("answered", x.answered);
  field("aborted", x.aborted);
  field("concurrency", x.concurrency);
  field("concurrency_peak", x.concurrency_peak);
  field("open_streams", x.open_streams);
  field("open_streams_peak", x.open_streams_peak);
  field("connections", x.connections);
  field("connections_peak", x.connections_peak);
  field("connections_accepted", x.connections_accepted);
  field("prompt_tokens", x.prompt_tokens);
  field("completion_tokens", x.completion_tokens);
  field("window_requests", x.window_requests);
  field("window_tokens", x.window_tokens);
  field("attempts", x.attempts);
  field("attempt_requests", x.attempt_requests);
  field("attempts_per_request", x.attempts_per_request);
  field("highest_attempt_number", x.highest_attempt_number);
  text += "\"statuses\":{";
  for (const auto& [status, count] : x.statuses)
    field(std::to_string(status), count);
  if (text.back() == ',')
    text.pop_back();
  return text + "}}";
}

} // namespace modelforge::simulator
