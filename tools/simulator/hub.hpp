#pragma once

#include "tools/simulator/batch_jobs.hpp"
#include "tools/simulator/file_shelf.hpp"
#include "tools/simulator/gatekeeper.hpp"
#include "tools/simulator/prompt_cache.hpp"
#include "tools/simulator/slots.hpp"
#include "tools/simulator/stats.hpp"

#include <array>
#include <string>
#include <unordered_set>

namespace modelforge::simulator {

class connection;

/// What all connections of a server share. Touched on the server's thread only, but for `book`.
struct hub {
  explicit hub(options initial)
    : settings(std::move(initial)), book(settings.window), gate(settings, clock::now()), cache(settings),
      slots(settings.slots) {}

  /// Takes over `changed`, all but host, port and window. Waiting requests may start.
  void configure(options changed) {
    changed.host = settings.host;
    changed.port = settings.port;
    changed.window = settings.window;
    settings = std::move(changed);
    gate.configure(settings);
    cache.configure(settings);
    slots.set_limit(settings.slots);
  }

  options settings;
  stats_book book;
  gatekeeper gate;
  prompt_cache cache;
  slot_queue slots;
  file_shelf files;
  batch_list openai_jobs, anthropic_jobs;
  uint64_t exchanges = 0;                      ///< Requests so far: numbers the next one.
  std::unordered_set<connection*> connections; ///< The open ones.
  std::array<char, 64 << 10> scratch;          ///< What was just read: idle connections hold no buffer.
  std::string event;                           ///< What a stream just wrote, before its framing.
  int64_t date_second = 0;                     ///< When `date` was written.
  std::string date;                            ///< Value of the Date header.
};

} // namespace modelforge::simulator
