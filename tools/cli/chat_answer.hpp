#pragma once

#include "tools/chat/conversation.hpp"
#include "tools/cli/sampling_options.hpp"
#include "tools/cli/session.hpp"

#include <modelforge/messages/chat_request.hpp>

#include <optional>
#include <string>
#include <vector>

namespace modelforge::cli {

/// What the command line of `modelforge chat` says.
struct chat_options {
  target_options target;
  std::string prompt; ///< As in `question_sources`.
  std::string system;
  std::string output; ///< File for the text; empty or "-": standard output.
  std::string
    schema; ///< File of a JSON Schema that the answer must follow; one that does not is an error; empty: none.
  std::vector<std::string> files;  ///< To ask about; "-": standard input.
  std::vector<std::string> images; ///< Files or http(s) addresses.
  sampling_options how;
  bool json = false;
  bool stream = true;                 ///< Print the answer as it comes.
  bool stats = false;                 ///< Say at the end how fast it was.
  bool is_session = false;            ///< More questions follow: who ends an answer knows it, and that is no error.
  bool show_thinking = false;         ///< Print on standard error what the model thinks.
  std::optional<std::string> go_on{}; ///< Conversation to go on with; "": the last one. It may be the prompt, too.
  std::string name;                   ///< For a new conversation.
  bool no_history = false;            ///< Keep nothing.
  std::optional<double> timeout;      ///< Seconds.

  bool writes_file() const { return !output.empty() && output != "-"; }
};

/// Asks the session's provider, and prints the answer (or writes it to a file) as it comes or when it is whole; what is
/// about it goes to standard error. What the model says is kept from steering the terminal. Returns the exit code, and
/// in `seen` what was shown. Ctrl-C withdraws the question, which ends it at the provider as well.
int ask_question(const chat_options& options, session& session, waiter& waiter, chat_request request,
                 chat::seen_answer& seen);

/// Removes what a terminal would take as commands.
std::string for_terminal(std::string text);

} // namespace modelforge::cli
