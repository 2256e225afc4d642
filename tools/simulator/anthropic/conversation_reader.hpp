#pragma once

#include "tools/simulator/anthropic/block_reader.hpp"

#include <string>
#include <vector>

namespace modelforge::simulator::anthropic {

/// Reads the system prompt and the messages: what may follow what, which calls still want their results, and where the
/// last turn stands.
class conversation_reader : protected block_reader {
protected:
  conversation_reader(const json& body, const options& settings, bool is_current)
    : block_reader(body, settings), is_current_(is_current) {}
  ~conversation_reader() = default;

  /// Whether the request is of the version that has no sampling parameters.
  bool is_current() const { return is_current_; }

  /// Read the fields `system` and `messages`, in that order: so they follow each other in the cached prompt.
  void read_system();
  void read_messages();

  /// From now on an answer must begin with a thought.
  void demand_thinking() { demands_thinking_ = true; }

  /// Whether the last message asks something, and does not only give results.
  bool is_asked() const { return message_.has_text && !message_.ends_with_results; }

private:
  /// Reads one message: who may speak now, and what.
  void read_message(const json& message, const std::string& path);

  /// Reads the text or the blocks of a message.
  void read_content(const json& message, const std::string& path);

  /// Reads a block by its type, if a message of that role may have it; `is_first`: it begins the message.
  void read_block(const json& block, const std::string& path, bool is_first);

  /// Reads a block of text, of a message or of a result.
  void read_text(const json& block, const std::string& path);

  /// Reads an image or a document; its content is not looked at.
  void read_media(const json& block, const std::string& path, std::string_view type);

  /// Reads thinking that the client sends back: its signature must be the one that it came with.
  void read_thought(const json& block, const std::string& path);

  /// Reads encrypted thinking that the client sends back.
  void read_redacted(const json& block, const std::string& path);

  /// Reads a call that the assistant made; from now on its result is awaited.
  void read_use(const json& block, const std::string& path);

  /// Reads a result of a call; results come first in their message.
  void read_result(const json& block, const std::string& path);

  /// Reads a block inside a result.
  void read_result_block(const json& block, const std::string& path);

  /// Calls are without results where they should be.
  void fail_open_uses();

  /// The message after that one is where its results should be.
  static std::string path_after(const std::string& path);

  /// The message that is being read, or the last one.
  struct message_state {
    std::string role;
    std::string text; ///< So far.
    bool has_text = false;
    bool is_leading = false;        ///< Only results came in it so far.
    bool ends_with_results = false; ///< It has some.
  };

  /// The assistant's last one.
  struct assistant_turn {
    std::string path;
    std::vector<std::string> open_uses; ///< Ids of its calls that still want their results.
    bool began_with_thinking = false;
  };

  bool is_current_; ///< Whether the request is of the newest version of the API.
  bool demands_thinking_ = false;
  message_state message_;
  assistant_turn turn_;
  std::vector<std::string> used_ids_; ///< Of all calls: they must differ.
};

} // namespace modelforge::simulator::anthropic
