#include "wire/ollama/ollama.hpp"

#include <algorithm>
#include <array>

namespace modelforge::wire {

namespace {

constexpr auto reasons = std::to_array<named_reason>({
  {"stop", finish_reason::stop},
  {"length", finish_reason::length},
});

bool is_letter_or_digit(char c) {
  return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

class answer : public object_answer {
public:
  explicit answer(const http::response_head& head)
    : object_answer(head, {"JSON that is no finished answer", "it has no path, e.g. http://127.0.0.1:11434"}) {}

private:
  bool read(std::string_view object, piece_sink& to, std::string& problem) override {
    json::raw model, created, message, done, reason, error;
    told_usage told;
    json::reader in{object};
    in.members([&](std::string_view name) {
      if (name == "message")
        message = in.value();
      else if (name == "done")
        done = in.value();
      else if (name == "model")
        model = in.value();
      else if (name == "created_at")
        created = in.value();
      else if (name == "done_reason")
        reason = in.value();
      else if (name == "prompt_eval_count")
        told.input = in.value();
      else if (name == "eval_count")
        told.output = in.value();
      else if (name == "error")
        error = in.value();
    });
    if (!in.finish()) {
      problem = in.problem();
      return false;
    }
    if (read_error(error, object))
      return true;
    note(model_, model);
    note_time(created);
    read_message(message, to);
    if (done.text != "true" || ended_)
      return true;
    reason_ = string_in(reason, scratch_);
    note_usage(told); // counts of 0 are left out
    is_done_ = ended_ = has_answer_ = true;
    return true;
  }

  finish_reason meaning() const override { return reason_named(reason_, reasons); }

  /// Answers have no id, and calls may have none: the time makes those of different turns different.
  void note_time(json::raw created) {
    if (!call_names_.empty())
      return;
    note(call_names_, created);
    std::erase_if(call_names_, [](char c) { return !is_letter_or_digit(c); });
  }

  void read_message(json::raw x, piece_sink& to) {
    json::raw content, thinking, calls;
    json::reader in{x};
    in.members([&](std::string_view name) {
      if (name == "content")
        content = in.value();
      else if (name == "thinking")
        thinking = in.value();
      else if (name == "tool_calls")
        calls = in.value();
    });
    say(&piece_sink::reasoning, thinking, to);
    say(&piece_sink::text, content, to);
    json::reader list{calls};
    list.elements([&] { read_call(list, to); });
  }

  void read_call(json::reader& in, piece_sink& to) {
    json::raw id, name, arguments;
    auto is_call = in.members([&](std::string_view field) {
      if (field == "id")
        id = in.value();
      else if (field == "function")
        in.members([&](std::string_view inner) {
          if (inner == "name")
            name = in.value();
          else if (inner == "arguments")
            arguments = in.value();
        });
    });
    if (is_call && !ended_)
      say_call(id, name, arguments, {}, to);
  }
};

} // namespace

std::unique_ptr<object_answer> ollama_answer(const http::response_head& head) {
  return std::make_unique<answer>(head);
}

} // namespace modelforge::wire
