#pragma once

#include "tools/chat/input_history.hpp"
#include "tools/chat/slash_command.hpp"
#include "tools/cli/chat_answer.hpp"
#include "tools/cli/console.hpp"
#include "tools/cli/open_conversation.hpp"

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace modelforge::cli {

/// `modelforge chat` on a terminal: questions and answers until the user has enough.
class chat_session {
public:
  /// Makes the request for the messages of a conversation; empty, with a complaint, where that cannot be.
  using maker = std::function<std::optional<chat_request>(const chat_options&, std::vector<chat_message>)>;

  /// All must outlive it. `history`: the file of what was typed; empty: none.
  chat_session(chat_options options, session& providers, waiter& waiter, open_conversation& conversation, maker make,
               const std::string& history);

  /// Returns the exit code.
  int run();

private:
  /// Reads until an input is whole; empty: the session ends.
  std::optional<std::string> read();

  /// False: the session ends.
  bool take(const std::string& input);
  bool carry_out(const chat::slash_command& command);

  void ask(chat_message question, bool is_retry);
  void greet();
  void say_goodbye();

  // The commands that do more than set something.
  void attach(const std::string& path);
  void retry();
  void undo();
  void clear();
  void show();
  void save(const std::string& where);
  void set_system(const std::string& text);
  void set_model(const std::string& name);

  const std::string& model() const;

  chat_options options_;
  session& providers_;
  waiter& waiter_;
  open_conversation& conversation_;
  maker make_;
  chat::input_history history_;
  std::unique_ptr<console> console_;
  chat::line_composer composer_;
  std::vector<std::string> files_;         ///< For the next question.
  std::optional<chat_message> unanswered_; ///< The last question, if nothing of its answer is kept.
};

} // namespace modelforge::cli
