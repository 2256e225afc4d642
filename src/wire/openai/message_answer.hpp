#pragma once

#include "wire/call_part.hpp"
#include "wire/object_answer.hpp"
#include "wire/openai/calls.hpp"
#include "wire/openai/chunk.hpp"

#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace modelforge::wire::openai {

/// Says what the messages and deltas of Chat Completions hold: thoughts, texts, refusals and calls, in whatever form
/// and place. Which of them belong to the answer is for the class behind it to know.
class message_answer : public object_answer {
protected:
  using object_answer::object_answer;

  /// Whether what is read now is all of the answer.
  virtual bool is_all() const = 0;

  /// A message beside deltas repeats what they said, or but the `latest` text; what they did not say counts.
  void read_message_beside(json::raw message, json::raw latest, piece_sink& sink);

  /// Reads content: a text, or typed parts, of which there may be one without a list around it; those that are calls go
  /// to `calls`. Returns whether a thought is among them.
  bool say_content(json::raw content, std::vector<call_part>& calls, piece_sink& sink);

  /// Servers that tell thoughts in several places tell the same ones: the first place that has some counts.
  void say_first_thought(std::initializer_list<json::raw> places, piece_sink& sink);

  void say_refusal(json::raw raw, piece_sink& sink);

  /// Says calls from where they are usual, and from other places: the older API's, and the parts of the content, as
  /// other dialects have it. What stands in several places must be the same.
  void say_message_calls(const chunk_delta& delta, const std::vector<call_part>& in_content, piece_sink& sink);

  void conclude(bool streamed) override;

private:
  /// A thought: a text, or a list of parts.
  void say_thought(json::raw value, piece_sink& sink);

  void say_call_elsewhere(const call_part& part, piece_sink& sink);
  void say_call_part(const call_part& part, piece_sink& sink);

  call_joiner joiner_{calls_};
  std::unique_ptr<std::string> calls_beside_; ///< What the last message beside deltas has of calls; null: nothing.
  bool seen_text_ = false;
  bool has_list_ = false, has_old_form_ = false; ///< Calls came in `tool_calls`, or in `function_call` alone.
};

} // namespace modelforge::wire::openai
