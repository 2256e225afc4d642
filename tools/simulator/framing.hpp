#pragma once

#include "tools/simulator/hub.hpp"

#include <string>
#include <string_view>

/// How an answer looks on the wire, and when it goes there.
namespace modelforge::simulator {

struct reply;

/// Whatever of an answer the request and the connection decide.
struct frame {
  bool keep_alive = false;
  bool is_old = false; ///< HTTP/1.0: no chunks; the end of the connection is the end of a stream.
  bool is_head = false;
};

/// When an answer goes out, counted from the moment its service began.
struct pace {
  clock::duration first_byte{}; ///< Of a unary answer: all of it.
  clock::duration interval{};   ///< Between tokens.
};

/// Returns when `answer` goes out: latency with the prompt's own jitter, the speed of generation, and the fault that
/// slows it. Errors and other answers that are not paced go at once.
pace pace_of(const reply& answer, const options& settings);

/// Appends the head of `answer`, whose first byte comes `wait` after the request. Dates it now.
void append_head(std::string& out, hub& shared, const reply& answer, const frame& form, clock::duration wait);

/// Appends one event of a stream.
void append_event(std::string& out, const frame& form, std::string_view event);

} // namespace modelforge::simulator
