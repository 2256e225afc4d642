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
  : tokens_(std::move(answer.stream)),
    form_of_events_(tokens_->form()), pace_{first_due, now, interval,
                                            form_of_events_.keep_alive.empty() ? clock::duration{}
                                                                               : settings.keep_alive,
                                            settings.token_jitter},
    plan_{answer.decided.effect, UINT64_MAX, breaks_off(answer.decided.effect) ? answer.steps / 2 : UINT32_MAX},
    packing_{form, settings.pieces_per_packet, settings.crlf || form_of_events_.is_crlf, settings.split_packets},
    random_(mix(answer.jitter_seed)) {
  if (strikes_between_events(plan_.effect))
    plan_.strike_at = answer.decided.place % tokens_->events();
}

void outgoing_stream::append_due(std::string& out, std::string& scratch, clock::time_point now) {
  while (state_ == state::open && pace_.next_token <= now && out.size() < write_size) {
    append_step(out, scratch);
    if (packing_.is_split && !out.empty())
      break; // the next event has packets of its own
  }
  if (out.empty() && state_ == state::open && now >= next_due())
    send(out, form_of_events_.keep_alive);
  if (!out.empty())
    pace_.last_sent = now;
}

clock::time_point outgoing_stream::next_due() const {
  return pace_.keep_alive.count() == 0 ? pace_.next_token
                                       : std::min(pace_.next_token, pace_.last_sent + pace_.keep_alive);
}

uint64_t outgoing_stream::take_tokens() {
  auto before = std::exchange(reported_tokens_, tokens_->tokens());
  return reported_tokens_ - before;
}

// A cut inside a character is the hardest for clients, so it is preferred; the second packet is split again with
// probability 1/2.
std::size_t outgoing_stream::packet_size(std::string_view rest, bool is_first) {
  if (!packing_.is_split || rest.size() < 2 || (!is_first && random_.below(2) == 0))
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
  pace_.next_token += next_interval();
  if (breaks_off(plan_.effect) && (is_last || (plan_.steps >= plan_.break_at && !scratch.empty()))) {
    flush(out);
    auto start = out.size();
    send(out, scratch);
    out.resize(start + scratch.size() / 2);
    state_ = state::broken;
    return;
  }
  ++plan_.steps;
  strike(scratch);
  if (packing_.packet_steps == 1) {
    send(out, scratch);
  } else {
    packing_.gathered += scratch;
    if (++packing_.gathering == packing_.packet_steps || state_ != state::open
        || pace_.next_token == clock::time_point::max())
      flush(out);
  }
  if (state_ != state::open && !packing_.form.is_old)
    out += "0\r\n\r\n";
}

void outgoing_stream::strike(std::string& event) {
  auto [size, count] = first_events(event, form_of_events_.event_end, plan_.strike_at - plan_.events);
  plan_.events += count;
  if (size == event.size())
    return;
  event.resize(size);
  end_by_fault(event);
}

void outgoing_stream::end_by_fault(std::string& event) {
  if (plan_.effect == fault::stall) {
    state_ = state::open;
    pace_.next_token = clock::time_point::max();
    return;
  }
  state_ = plan_.effect == fault::cut ? state::cut : state::complete;
  if (plan_.effect == fault::error_event)
    tokens_->fail(event);
}

void outgoing_stream::send(std::string& out, std::string_view event) {
  if (!event.empty()) // an empty chunk would end the answer
    append_event(out, packing_.form, packing_.crlf ? with_crlf(event) : event);
}

void outgoing_stream::flush(std::string& out) {
  send(out, packing_.gathered);
  packing_.gathered = {};
  packing_.gathering = 0;
}

clock::duration outgoing_stream::next_interval() {
  if (pace_.jitter == 0)
    return pace_.interval;
  auto factor = 1 + pace_.jitter * (2 * random_.unit() - 1);
  return std::chrono::duration_cast<clock::duration>(factor
                                                     * std::chrono::duration<double, clock::period>(pace_.interval));
}

} // namespace modelforge::simulator
