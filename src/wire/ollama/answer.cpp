#include "base/ascii.hpp"
#include "wire/forms.hpp"
#include "wire/ollama/ollama.hpp"

#include <algorithm>

namespace modelforge::wire::ollama {

namespace {

constexpr object_answer::wording words{.no_answer = "JSON that is no finished answer",
                                       .usual_address = "it has no path, e.g. http://127.0.0.1:11434"};

/// Reads Ollama's /api/chat: one object, or lines of the same shape that each add to the message, the last of which
/// says `done` and brings the counts; some servers only give the reason. Calls come whole. Lines without a message are
/// of another API (/api/generate): they are not understood.
class answer : public object_answer {
public:
  explicit answer(const http::response_head& head) : object_answer(head, words) {}

private:
  bool read(std::string_view object, piece_sink& sink, std::string& problem) override {
    json::raw model, created, message, done, reason, input, output, error, logprobs;
    json::reader in{object};
    in.fields({{"message", &message},
               {"done", &done},
               {"model", &model},
               {"created_at", &created},
               {"done_reason", &reason},
               {"prompt_eval_count", &input},
               {"eval_count", &output},
               {"logprobs", &logprobs},
               {"error", &error}});
    if (!in.finish()) {
      problem = in.problem();
      return false;
    }
    if (read_error(error, object))
      return true;
    note(model_, model);
    note_time(created);
    seen_.sign = seen_.sign || message.is_object();
    seen_.answer = seen_.answer || (message.is_object() && done.text.empty()); // enough for a whole one
    read_message(message, sink);
    add_logprobs(logprobs);
    auto word = string_in(reason, scratch_);
    auto is_done = done.text.empty() ? !word.empty() : done.text == "true";
    if (!is_done && !seen_.end)
      note_reason(reason); // a cut told too early is one
    if (!is_done || seen_.end)
      return true;
    seen_.end_mark = seen_.end = true;
    if (!seen_.sign)
      return true;
    note_reason(reason);
    seen_.answer = true;
    note_usage({input, output, {}, {}, {}}); // counts of 0 are left out
    say_rest(sink);
    return true;
  }

  /// Answers have no id, and calls may have none: the time makes those of different turns different.
  void note_time(json::raw created) {
    if (!created_.empty())
      return;
    note(created_, created);
    std::erase_if(created_, [](char c) { return !ascii::is_alnum(c); });
  }

  void read_message(json::raw value, piece_sink& sink) {
    json::raw content, thinking, calls, call;
    read_fields(value,
                {{"content", &content}, {"thinking", &thinking}, {"tool_calls", &calls}, {"function_call", &call}});
    say_texts(&piece_sink::reasoning, thinking, sink);
    say_texts(&piece_sink::text, content, sink);
    say_calls(calls.text.empty() ? call : calls, created_, sink);
  }

  std::string created_; ///< When the answer was made, letters and digits alone.
};

} // namespace

std::unique_ptr<object_answer> make_answer(const http::response_head& head) {
  return std::make_unique<answer>(head);
}

} // namespace modelforge::wire::ollama
