#include "wire/gemini/gemini.hpp"
#include "wire/provider_error.hpp"

#include <array>

namespace modelforge::wire {

namespace {

constexpr auto reasons = std::to_array<named_reason>({
  {"STOP", finish_reason::stop},
  {"MAX_TOKENS", finish_reason::length},
  {"SAFETY", finish_reason::content_filter},
  {"RECITATION", finish_reason::content_filter},
  {"LANGUAGE", finish_reason::content_filter},
  {"BLOCKLIST", finish_reason::content_filter},
  {"PROHIBITED_CONTENT", finish_reason::content_filter},
  {"SPII", finish_reason::content_filter},
  {"IMAGE_SAFETY", finish_reason::content_filter},
  {"IMAGE_PROHIBITED_CONTENT", finish_reason::content_filter},
  {"IMAGE_RECITATION", finish_reason::content_filter},
  {"IMAGE_OTHER", finish_reason::error},
  {"NO_IMAGE", finish_reason::error},
  {"OTHER", finish_reason::error},
  {"MALFORMED_FUNCTION_CALL", finish_reason::error},
  {"MALFORMED_RESPONSE", finish_reason::error},
  {"UNEXPECTED_TOOL_CALL", finish_reason::error},
  {"TOO_MANY_TOOL_CALLS", finish_reason::error},
  {"MISSING_THOUGHT_SIGNATURE", finish_reason::error},
});

/// Thoughts come beside the candidates, the cached part of a prompt inside it.
told_usage read_usage(json::raw x) {
  told_usage told;
  told_tokens tool_prompt;
  json::reader in{x};
  in.members([&](std::string_view name) {
    if (name == "promptTokenCount")
      told.input = in.value();
    else if (name == "toolUsePromptTokenCount")
      tool_prompt = in.value();
    else if (name == "candidatesTokenCount")
      told.output = in.value();
    else if (name == "thoughtsTokenCount")
      told.reasoning = in.value();
    else if (name == "cachedContentTokenCount")
      told.cached = in.value();
  });
  told.input += tool_prompt;
  told.output += told.reasoning;
  return told;
}

class answer : public object_answer {
public:
  explicit answer(const http::response_head& head)
    : object_answer(head, {"JSON without any candidates", "it usually ends in /v1beta"}) {}

private:
  bool read(std::string_view object, piece_sink& to, std::string& problem) override {
    json::raw candidates, feedback, usage, error, id, model;
    json::reader in{object};
    in.members([&](std::string_view name) {
      if (name == "candidates")
        candidates = in.value();
      else if (name == "usageMetadata")
        usage = in.value();
      else if (name == "modelVersion")
        model = in.value();
      else if (name == "responseId")
        id = in.value();
      else if (name == "promptFeedback")
        feedback = in.value();
      else if (name == "error")
        error = in.value();
    });
    if (!in.finish()) {
      problem = in.problem();
      return false;
    }
    if (read_error(error, object))
      return true;
    note(id_, id);
    note(model_, model);
    read_feedback(feedback);
    json::reader list{candidates};
    list.elements([&] { read_candidate(list, to); });
    note_usage(read_usage(usage));
    return true;
  }

  finish_reason meaning() const override {
    return is_blocked_ ? finish_reason::content_filter : reason_named(reason_, reasons);
  }

  /// A prompt that was blocked has no candidates.
  void read_feedback(json::raw x) {
    json::raw reason, words;
    json::reader in{x};
    in.members([&](std::string_view name) {
      if (name == "blockReason")
        reason = in.value();
      else if (name == "blockReasonMessage")
        words = in.value();
    });
    if (string_in(reason, scratch_).empty())
      return;
    reason_ = string_in(reason, scratch_);
    is_blocked_ = is_done_ = has_answer_ = true;
    warn("the provider blocked the prompt: " + clean_words(reason_, 200));
    warn_of(words);
  }

  void read_candidate(json::reader& in, piece_sink& to) {
    json::raw index, content, reason, words;
    auto is_one = in.members([&](std::string_view name) {
      if (name == "content")
        content = in.value();
      else if (name == "finishReason")
        reason = in.value();
      else if (name == "index")
        index = in.value();
      else if (name == "finishMessage")
        words = in.value();
    });
    if (!is_one || ended_)
      return;
    if (count_in(index).value_or(0) != 0) {
      has_others_ = true;
      return;
    }
    has_answer_ = true;
    auto before = pieces_;
    read_content(content, to);
    if (auto word = string_in(reason, scratch_); !word.empty()) {
      reason_ = word;
      is_done_ = true;
    } else if (pieces_ > before) { // what was taken for the end was none
      is_done_ = false;
    }
    warn_of(words);
  }

  void read_content(json::raw x, piece_sink& to) {
    json::reader in{x};
    in.members([&](std::string_view name) {
      if (name == "parts")
        in.elements([&] { read_part(in, to); });
    });
  }

  void read_part(json::reader& in, piece_sink& to) {
    json::raw text, thought, call, signature;
    std::string other;
    in.members([&](std::string_view name) {
      if (name == "text")
        text = in.value();
      else if (name == "thought")
        thought = in.value();
      else if (name == "functionCall")
        call = in.value();
      else if (name == "thoughtSignature")
        signature = in.value();
      else if (name != "partMetadata")
        other = name;
    });
    if (ended_)
      return;
    say(thought.text == "true" ? &piece_sink::reasoning : &piece_sink::text, text, to);
    if (call.is_object())
      return read_call(call, signature, to);
    say_seal("gemini", signature, to);
    if (text.text.empty() && !other.empty())
      warn("the answer held a part that was left out: " + clean_words(other, 100));
  }

  void read_call(json::raw x, json::raw signature, piece_sink& to) {
    json::raw id, name, args;
    json::reader in{x};
    in.members([&](std::string_view field) {
      if (field == "id")
        id = in.value();
      else if (field == "name")
        name = in.value();
      else if (field == "args")
        args = in.value();
    });
    say_call(id, name, args, sealed("gemini", signature), to);
  }

  void warn_of(json::raw words) {
    if (auto text = string_in(words, scratch_); !text.empty())
      warn("the provider says: " + clean_words(text, 500));
  }

  bool is_blocked_ = false;
};

} // namespace

std::unique_ptr<object_answer> gemini_answer(const http::response_head& head) {
  return std::make_unique<answer>(head);
}

} // namespace modelforge::wire
