#pragma once

#include "tools/cli/command_line.hpp"

#include <modelforge/messages/chat_request.hpp>
#include <modelforge/messages/error.hpp>

#include <map>
#include <optional>
#include <string>

namespace modelforge::cli {

/// How the model is to answer, as the command line gives it. What it leaves open the provider's `defaults` say.
struct sampling_options {
  modelforge::sampling sampling;
  std::map<std::string, std::string> options; ///< JSON, by the name of the provider's field.

  /// Puts all of it into a request.
  void apply(chat_request& request) const;

  /// What is said of a request in words of the library's (`extra`), in those of the command line and the configuration.
  std::string in_words_of_user(std::string text) const;
  failure in_words_of_user(failure why) const;
};

/// Adds --temperature, --max-tokens, --top-p, --stop, --seed, --effort and --option. `given` must outlive the command.
void add_sampling(command& command, sampling_options& given);

} // namespace modelforge::cli
