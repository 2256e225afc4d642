#pragma once

#include "tools/chat/conversation_store.hpp"

#include <string>

namespace modelforge::cli {

/// Whether, and where, a conversation is kept.
enum class keeping : uint8_t {
  off,       ///< Nothing is written.
  automatic, ///< In the user's state folder.
};

/// The conversation that is being held, and its file. What goes wrong with the file is told on standard error; it never
/// ends the conversation.
class open_conversation {
public:
  explicit open_conversation(std::string folder) : store_(std::move(folder)) {}

  /// Goes on with the one that `wanted` names, or a part of its name; empty: the last one. On failure prints why and
  /// returns false.
  bool resume(const std::string& wanted);

  /// Begins a new one under a name; false, with a complaint, where it is taken or none.
  bool begin(const std::string& name);

  void keep(keeping how) { how_ = how; }

  const chat::conversation& content() const { return content_; }
  void set_system(const std::string& text) { content_.system = text; }

  /// Adds a question with its answer, and writes the file.
  void add(chat::turn turn);

  /// The same in place of the last one.
  void replace_last(chat::turn turn);

  /// Takes the last one away and returns it; there must be one.
  chat::turn undo();

  /// Goes on with an empty one, which has a file of its own; the system prompt stays.
  void clear();

  /// Keeps it under this name from now on, whatever was set; false, with a complaint, where that fails.
  bool rename(const std::string& name);

  /// The name of its file; empty: it has none.
  const std::string& name() const { return kept_.name; }
  std::string path() const { return store_.path_of(kept_.name); }

private:
  bool write(const std::string& wanted = {});

  chat::conversation_store store_;
  chat::conversation content_;
  chat::kept_conversation kept_;
  std::string wanted_; ///< Name for a new file; empty: any.
  keeping how_ = keeping::off;
  bool is_deleted_ = false; ///< By somebody else, who wants it gone.
};

/// The folder of the user's conversations; empty: the environment names none.
std::string conversations_folder();

/// By the user's clock, as strftime has it.
std::string local_text(std::chrono::system_clock::time_point time, const char* format);

} // namespace modelforge::cli
