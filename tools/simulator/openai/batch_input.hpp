#pragma once

#include "tools/simulator/batch_jobs.hpp"

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace modelforge::simulator::openai {

/// What a file holds for a job.
struct batch_input {
  std::vector<batch_item> items;
  std::string model;
  uint64_t tokens = 0;           ///< Of all bodies.
  json problems = json::array(); ///< As the member `errors.data` of a job reports them; the first hundred.
};

/// Reads a file for a job at `endpoint`, e.g. "/v1/chat/completions". What is wrong with it is reported in the result.
batch_input read_batch_input(std::string_view text, std::string_view endpoint, std::size_t max_items);

/// Returns a problem as `errors.data` has it; `line` 0: it is none of one line.
json batch_problem(std::string_view code, std::string_view message, std::size_t line = 0, std::string_view param = {});

} // namespace modelforge::simulator::openai
