#pragma once

#include "wire/batch_api.hpp"

#include <memory>
#include <string>

namespace modelforge::wire::openai {

/// Where OpenAI's batch jobs are.
struct batch_place {
  std::string endpoint; ///< What the items ask, e.g. "/v1/chat/completions".
  std::string prefix{}; ///< Of paths, behind the base URL.
  std::string query{};  ///< Of paths, with its question mark.
};

/// OpenAI's files and batches, for requests and answers of `speaker`.
std::unique_ptr<batch_api> make_batches(const dialect& speaker, batch_place where);

} // namespace modelforge::wire::openai
