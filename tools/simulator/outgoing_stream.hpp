#pragma once

#include "tools/simulator/exchange.hpp"
#include "tools/simulator/framing.hpp"
#include "tools/simulator/random.hpp"

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace modelforge::simulator {

constexpr std::size_t write_size = 16u << 10; ///< Events that are due together share a write up to this size.

/// A streamed answer on its way: which bytes go out when, with its fault, and how they are packed. Knows no socket.
///
/// The connection asks `next_due`, waits until then and calls `append_due`, which goes through the token stream as far
/// as the time allows and applies what the settings and the fault want: chunks, CR LF, gathered tokens, keep-alive
/// comments, a break in the middle of an event. The token stream itself knows only its provider's events.
class outgoing_stream {
public:
  enum class state : uint8_t {
    open,     ///< More comes at `next_due`.
    complete, ///< All was written.
    cut,      ///< All that a fault lets through was written, and the answer ended as HTTP wants it.
    broken,   ///< The last that was written ends in the middle of an event.
  };

  /// Takes the stream out of `answer`. The first token is due at `first_due`, which is not before `now`.
  outgoing_stream(reply& answer, const frame& form, const options& settings, clock::time_point now,
                  clock::time_point first_due, clock::duration interval);

  /// Appends to `out` what is due `now`, if anything is: events, or a comment when nothing was sent for long.
  /// `scratch` is any string.
  void append_due(std::string& out, std::string& scratch, clock::time_point now);

  /// Where the stream stands after the last `append_due`.
  state now() const { return state_; }

  /// While it is open: when something is due again; time_point::max(): never, it stalls.
  clock::time_point next_due() const;

  /// Returns how many tokens were written since the last call.
  uint64_t take_tokens();

  /// Whether a write is sent in several packets.
  bool is_split() const { return packing_.is_split; }

  /// Returns how many of the bytes `rest` go into the next packet of a write, of which `is_first` is the first.
  std::size_t packet_size(std::string_view rest, bool is_first);

private:
  /// Writes the next token of each choice, with what belongs to it.
  void append_step(std::string& out, std::string& scratch);

  /// Takes from `event`, one or several, what the fault does not let through.
  void strike(std::string& event);

  /// Ends the stream as its fault wants it, after the events that it lets through.
  void end_by_fault(std::string& event);

  /// Frames an event and appends it.
  void send(std::string& out, std::string_view event);

  /// Sends what was gathered, in one chunk.
  void flush(std::string& out);

  /// Returns the time until the next token, jitter included.
  clock::duration next_interval();

  /// When what goes out.
  struct pace {
    clock::time_point next_token, last_sent;
    clock::duration interval;
    clock::duration keep_alive; ///< 0: none.
    double jitter;
  };

  /// How far the fault lets the answer come.
  struct fault_plan {
    fault effect;
    uint64_t strike_at;  ///< Events that a fault between events lets through.
    uint32_t break_at;   ///< The step that a fault breaks off.
    uint64_t events = 0; ///< Written so far.
    uint32_t steps = 0;  ///< Of the token stream, so far.
  };

  /// How events are framed and put into packets.
  struct packing {
    frame form;
    uint32_t packet_steps;
    bool crlf;
    bool is_split;
    std::string gathered{}; ///< Events that wait for the rest of their packet.
    uint32_t gathering = 0; ///< Steps in `gathered`.
  };

  std::unique_ptr<token_stream> tokens_;
  stream_form form_of_events_;
  pace pace_;
  fault_plan plan_;
  packing packing_;
  random_source random_;         ///< For jitter and packets.
  uint64_t reported_tokens_ = 0; ///< By `take_tokens` so far.
  state state_ = state::open;
};

} // namespace modelforge::simulator
