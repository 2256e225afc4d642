#include "base/ascii.hpp"
#include "wire/forms.hpp"
#include "wire/ollama/ollama.hpp"

#include <algorithm>
#include <utility>

namespace modelforge::wire::ollama {

namespace {

constexpr object_answer::wording words{.no_answer = "JSON that is no finished answer",
                                       .usual_address = "it has no path, e.g. http://127.0.0.1:11434"};

/// What an object says, as views of its text.
struct line {
  json::raw model, created, message, done, reason, other_reason, input, output, error, logprobs, calls, usage, text,
    duration, type;
};

constexpr auto line_members = make_names<json::raw line::*>({
  {"message", &line::message},
  {"done", &line::done},
  {"model", &line::model},
  {"created_at", &line::created},
  {"done_reason", &line::reason},
  {"prompt_eval_count", &line::input},
  {"eval_count", &line::output},
  {"logprobs", &line::logprobs},
  {"error", &line::error},
  {"finish_reason", &line::other_reason},
  {"finishReason", &line::other_reason},
  {"stop_reason", &line::other_reason},
  {"tool_calls", &line::calls},
  {"usage", &line::usage},
  {"response", &line::text},
  {"total_duration", &line::duration},
  {"type", &line::type},
});

struct message {
  json::raw content, thinking, calls, call, reason;
};

constexpr auto message_members = make_names<json::raw message::*>({
  {"content", &message::content},
  {"thinking", &message::thinking},
  {"tool_calls", &message::calls},
  {"toolCalls", &message::calls},
  {"function_call", &message::call},
  {"done_reason", &message::reason},
  {"finish_reason", &message::reason},
  {"stop_reason", &message::reason},
});

/// Reads Ollama's /api/chat: one object, or lines of the same shape that each add to the message, the last of which
/// says `done` and brings the counts; some servers only give the reason, and others say so in each line: then the last
/// one counts. Calls come whole. Lines without a message are of another API (/api/generate): they are not understood.
class answer : public object_answer {
public:
  explicit answer(const http::response_head& head) : object_answer(head, words) {}

private:
  bool read(std::string_view object, piece_sink& sink, std::string& problem) override {
    line all;
    error_marks marks;
    auto has_calls_elsewhere = false;
    json::reader in{object};
    in.fields(line_members, all, [&](std::string_view name) {
      has_calls_elsewhere = has_calls_elsewhere || names_calls(name);
      marks.take(name, in);
    });
    if (!in.finish()) {
      problem = in.problem();
      return false;
    }
    if (read_error(all.error, object) || (all.message.is_object() && read_error_beside(marks, object)))
      return true;
    note(model_, all.model);
    note_time(all.created);
    auto is_message = all.message.is_object() && all.type.text.empty(); // else Anthropic's
    seen_.sign = seen_.sign || is_message;
    seen_.answer = seen_.answer || (is_message && is_none(all.done)); // enough for a whole one
    if (all.message.text.empty() && seen_.sign)                       // of /api/generate
      miss(all.text);
    else if (!all.message.is_object())
      miss(all.message);
    auto before = progress_.pieces;
    auto had_calls = calls_.size();
    auto was_complete = std::exchange(seen_.complete, false);
    auto was_sure = std::exchange(seen_.sure_end, false);
    auto inner_reason = read_message(all.message, is_true(all.done), sink);
    say_calls(all.calls, created_, sink); // some tell them beside the message
    if (has_calls_elsewhere)
      say_calls_elsewhere({object}, {"tool_calls"}, calls_.size() > had_calls, created_, sink);
    add_logprobs(all.logprobs);
    auto is_told = note_first_reason({all.reason, all.other_reason, inner_reason}); // a cut told too early is one
    note_bad_reason(marks.status);
    if (seen_.end)
      return true;
    read_fields(all.usage, {{"prompt_tokens", &all.input}, {"completion_tokens", &all.output}}); // as others have it
    note_usage({all.input, all.output, {}, {}, {}}); // counts of 0 are left out
    auto has_more = progress_.pieces > before || calls_.size() > had_calls;
    if (is_none(all.done) ? is_told : is_true(all.done))
      read_end(!is_none(all.done), sink);
    else if (has_more) // what was taken for the end was none
      seen_.end_mark = false;
    else
      seen_.complete = was_complete;
    seen_.sure_end = seen_.complete && (!has_more || !all.duration.text.empty() || was_sure);
    return true;
  }

  bool may_go_on() const override { return true; }

  /// Behind lines without a message there is nothing to wait for. A reason alone is no word that nothing follows.
  void read_end(bool is_done, piece_sink& sink) {
    seen_.end_mark = true;
    if (!seen_.sign) {
      seen_.end = true;
      return;
    }
    seen_.complete = is_done;
    seen_.answer = true;
    say_rest(sink);
  }

  static bool is_none(json::raw done) { return done.text.empty() || done.text == "null"; }

  /// Servers that others wrote say it as a number or a text.
  static bool is_true(json::raw done) {
    auto word = done.is_string() ? done.between_quotes() : done.text;
    return ascii::iequals(word, "true") || word == "1";
  }

  /// Answers have no id, and calls may have none: the time makes those of different turns different.
  void note_time(json::raw created) {
    if (!created_.empty())
      return;
    note(created_, created);
    std::erase_if(created_, [](char c) { return !ascii::is_alnum(c); });
  }

  /// Returns why the model stopped, if the message says it.
  json::raw read_message(json::raw value, bool is_last, piece_sink& sink) {
    message said;
    auto has_calls_elsewhere = false;
    json::reader in{value};
    in.fields(message_members, said,
              [&](std::string_view name) { has_calls_elsewhere = has_calls_elsewhere || names_calls(name); });
    auto had_calls = calls_.size();
    say_texts(&piece_sink::reasoning, said.thinking, sink);
    if (!is_last || !repeats_all(said.content))
      say_texts(&piece_sink::text, said.content, sink);
    if (said.content.is_array() || said.content.is_object())
      say_calls_among(said.content, created_, sink);
    say_calls(said.calls.text.empty() ? said.call : said.calls, created_, sink);
    if (has_calls_elsewhere)
      say_calls_elsewhere(value, {"tool_calls", "toolCalls", "function_call"}, calls_.size() > had_calls, created_,
                          sink);
    return said.reason;
  }

  std::string created_; ///< When the answer was made, letters and digits alone.
};

} // namespace

std::unique_ptr<object_answer> make_answer(const http::response_head& head) {
  return std::make_unique<answer>(head);
}

} // namespace modelforge::wire::ollama
