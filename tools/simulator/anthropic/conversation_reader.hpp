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

  void read_system();
  void read_messages();

  /// From now on an answer must begin with a thought.
  void demand_thinking() { demands_thinking_ = true; }

  /// Whether the last message asks something, and does not only give results.
  bool is_asked() const { return message_.has_text && !message_.ends_with_results; }

private:
  void read_message(const json& x, const std::string& path);

  void read_content(const json& x, const std::string& path);

  void read_block(const json& x, const std::string& path, bool is_first);

  void read_text(const json& x, const std::string& path);

  void read_media(const json& x, const std::string& path, std::string_view type);

  void read_thought(const json& x, const std::string& path);

  void read_redacted(const json& x, const std::string& path);

  void read_use(const json& x, const std::string& path);

  void read_result(const json& x, const std::string& path);

  void read_result_block(const json& x, const std::string& path);

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

  bool is_current_;
  bool demands_thinking_ = false;
  message_state message_;
  assistant_turn turn_;
  std::vector<std::string> used_ids_;
};

} // namespace modelforge::simulator::anthropic
