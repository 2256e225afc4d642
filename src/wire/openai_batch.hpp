#pragma once

#include "wire/batch_api.hpp"

#include <memory>
#include <string>

namespace modelforge::wire {

/// Where OpenAI's batch jobs are.
struct batch_place {
  std::string endpoint; ///< What the items ask, e.g. "/v1/chat/completions".
  std::string prefix{}; ///< Of paths, behind the base URL.
  std::string query{};  ///< Of paths, with its question mark.
};

/// OpenAI's files and batches, for requests and answers of `by`.
std::unique_ptr<batch_api> openai_batches(const dialect& by, batch_place where);

} // namespace modelforge::wire
