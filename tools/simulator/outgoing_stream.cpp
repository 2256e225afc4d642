#include "tools/simulator/outgoing_stream.hpp"

#include <algorithm>

namespace modelforge::simulator {

namespace {

/// Returns the length of the first `count` events of `text`, or of all when there are fewer, and how many these are.
std::pair<std::size_t, uint64_t> first_events(std::string_view text, std::string_view event_end, uint64_t count) {
  std::size_t size = 0;
  uint64_t found = 0;
  for (; found < count; ++found) {
    auto end = text.find(event_end, size);
    if (end == text.npos)
      break;
    size = end + event_end.size();
  }
  return {size, found};
}

/// Returns `text` with CR LF for every line feed.
std::string with_crlf(std::string_view text) {
  std::string result;
  for (auto c : text)
    c == '\n' ? result.append("\r\n") : result.append(1, c);
  return result;
}

/// Whether the byte continues a character of UTF-8 (RFC 3629).
bool is_inside_character(char byte) {
  return (static_cast<unsigned char>(byte) & 0xc0) == 0x80;
}

} // namespace

outgoing_stream::outgoing_stream(reply& answer, const frame& form, const options& settings, clock::time_point now,
                                 clock::time_point first_due, clock::duration interval)
  : tokens_(std::move(answer.stream)), form_of_events_(tokens_->form()), next_token_(first_due), last_sent_(now),
    interval_(interval), keep_alive_(form_of_events_.keep_alive.empty() ? clock::duration{} : settings.keep_alive),
    jitter_(settings.token_jitter), random_(mix(answer.jitter_seed)), strike_at_(UINT64_MAX),
    break_at_(breaks_off(answer.decided.effect) ? answer.steps / 2 : UINT32_MAX),
    packet_steps_(settings.pieces_per_packet), form_(form), effect_(answer.decided.effect),
    crlf_(settings.crlf || form_of_events_.is_crlf), is_split_(settings.split_packets) {
  if (strikes_between_events(effect_))
    strike_at_ = answer.decided.place % tokens_->events();
}

void outgoing_stream::append_due(std::string& out, std::string& scratch, clock::time_point now) {
  while (state_ == state::open && next_token_ <= now && out.size() < write_size) {
    append_step(out, scratch);
    if (is_split_ && !out.empty())
      break; // the next event has packets of its own
  }
  if (out.empty() && state_ == state::open && now >= next_due())
    send(out, form_of_events_.keep_alive);
  if (!out.empty())
    last_sent_ = now;
}

clock::time_point outgoing_stream::next_due() const {
  return keep_alive_.count() == 0 ? next_token_ : std::min(next_token_, last_sent_ + keep_alive_);
}

uint64_t outgoing_stream::take_tokens() {
  auto before = std::exchange(reported_tokens_, tokens_->tokens());
  return reported_tokens_ - before;
}

// A cut inside a character is the hardest for clients, so it is preferred; the second packet is split again with
// probability 1/2.
std::size_t outgoing_stream::packet_size(std::string_view rest, bool is_first) {
  if (!is_split_ || rest.size() < 2 || (!is_first && random_.below(2) == 0))
    return rest.size();
  auto any = 1 + random_.below(rest.size() - 1);
  for (auto start : {any, uint64_t{1}})
    for (auto i = start; i < rest.size(); ++i)
      if (is_inside_character(rest[i]))
        return i;
  return any;
}

// A fault that breaks off an event sends the first half of it, framed as if it were whole: the client sees a chunk that
// never ends.
void outgoing_stream::append_step(std::string& out, std::string& scratch) {
  scratch.clear();
  auto is_last = !tokens_->next(scratch);
  if (is_last)
    state_ = state::complete;
  next_token_ += next_interval();
  if (breaks_off(effect_) && (is_last || (steps_ >= break_at_ && !scratch.empty()))) {
    flush(out);
    auto start = out.size();
    send(out, scratch);
    out.resize(start + scratch.size() / 2);
    state_ = state::broken;
    return;
  }
  ++steps_;
  strike(scratch);
  if (packet_steps_ == 1) {
    send(out, scratch);
  } else {
    gathered_ += scratch;
    if (++gathering_ == packet_steps_ || state_ != state::open || next_token_ == clock::time_point::max())
      flush(out);
  }
  if (state_ != state::open && !form_.is_old)
    out += "0\r\n\r\n";
}

void outgoing_stream::strike(std::string& event) {
  auto [size, count] = first_events(event, form_of_events_.event_end, strike_at_ - events_);
  events_ += count;
  if (size == event.size())
    return;
  event.resize(size);
  end_by_fault(event);
}

void outgoing_stream::end_by_fault(std::string& event) {
  if (effect_ == fault::stall) {
    state_ = state::open;
    next_token_ = clock::time_point::max();
    return;
  }
  state_ = effect_ == fault::cut ? state::cut : state::complete;
  if (effect_ == fault::error_event)
    tokens_->fail(event);
}

void outgoing_stream::send(std::string& out, std::string_view event) {
  if (!event.empty()) // an empty chunk would end the answer
    append_event(out, form_, crlf_ ? with_crlf(event) : event);
}

void outgoing_stream::flush(std::string& out) {
  send(out, gathered_);
  gathered_ = {};
  gathering_ = 0;
}

clock::duration outgoing_stream::next_interval() {
  if (jitter_ == 0)
    return interval_;
  auto factor = 1 + jitter_ * (2 * random_.unit() - 1);
  return std::chrono::duration_cast<clock::duration>(factor * std::chrono::duration<double, clock::period>(interval_));
}

} // namespace modelforge::simulator
