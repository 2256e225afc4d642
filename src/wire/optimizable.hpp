#pragma once

namespace modelforge::wire {

/// What the optimizers (src/optimize) may use of a provider's API, beside what all of them have.
struct optimizable {
  bool seed = false;        ///< It is what makes answers repeat.
  bool json_object = false; ///< A form of answers without a schema, for which the prompt must have the word JSON.
  bool json_word_in_input = false; ///< That word counts only outside of leading instructions.
  bool cache_key = false;          ///< Requests that begin alike may share one.
  bool cache_marks = false;        ///< The end of what is to be cached is marked, instead of found by the provider.
  bool keep_alive = false;         ///< A request tells how long its model stays in memory.
};

} // namespace modelforge::wire
