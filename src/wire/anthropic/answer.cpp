#include "wire/anthropic/anthropic.hpp"
#include "wire/provider_error.hpp"

#include <algorithm>
#include <array>
#include <vector>

namespace modelforge::wire::anthropic {

namespace {

constexpr auto reasons = std::to_array<named_reason>({
  {"end_turn", finish_reason::stop},
  {"stop_sequence", finish_reason::stop},
  {"max_tokens", finish_reason::length},
  {"model_context_window_exceeded", finish_reason::length},
  {"tool_use", finish_reason::tool_calls},
  {"pause_turn", finish_reason::paused},
  {"refusal", finish_reason::refusal},
});

/// A part of an answer's content, whole or at its beginning.
struct content_block {
  json::raw type, text, citations, thinking, signature, data, id, name, input;
};

content_block take_block(json::reader& in) {
  content_block x;
  in.fields({{"type", &x.type},
             {"text", &x.text},
             {"citations", &x.citations},
             {"thinking", &x.thinking},
             {"signature", &x.signature},
             {"data", &x.data},
             {"id", &x.id},
             {"name", &x.name},
             {"input", &x.input}});
  return x;
}

constexpr object_answer::wording words{.no_answer = "JSON without a message",
                                       .usual_address = "it is usually https://api.anthropic.com"};

/// The answer is one object of type "message"; a stream is many, of the other types.
class answer : public object_answer {
public:
  explicit answer(const http::response_head& head) : object_answer(head, words) {}

private:
  /// A message, or an event about one.
  struct event {
    json::raw type, error, message, index, block, delta, usage, id, model, content, reason, details;
  };

  bool read(std::string_view object, piece_sink& sink, std::string& problem) override {
    json::reader in{object};
    auto x = take_event_fields(in);
    if (!in.finish()) {
      problem = in.problem();
      return false;
    }
    if (read_error(x.error, object))
      return true;
    progress_.signs += read_event(std::string{string_in(x.type, scratch_)}, x, sink);
    return true;
  }

  /// Returns whether the event is a sign of progress: pings, and what we do not know, are none.
  bool read_event(std::string_view type, const event& x, piece_sink& sink) {
    if (type == "content_block_delta")
      read_delta(x, sink);
    else if (type == "content_block_start")
      begin_block(x, sink);
    else if (type == "content_block_stop")
      end_block(index_of(x), sink);
    else if (type == "message_start")
      read_message(x.message, sink);
    else if (type == "message_delta")
      read_end(x, sink);
    else if (type == "message_stop")
      read_stop(sink);
    else if (type == "message" || x.content.is_array())
      read_whole_message(x, sink);
    else
      return false;
    return true;
  }

  bool knows(std::string_view) const override { return true; } // each event has a name of its own

  finish_reason meaning() const override { return reason_named(reason_, reasons); }

  static event take_event_fields(json::reader& in) {
    event x;
    in.fields({{"type", &x.type},
               {"error", &x.error},
               {"message", &x.message},
               {"index", &x.index},
               {"content_block", &x.block},
               {"delta", &x.delta},
               {"usage", &x.usage},
               {"id", &x.id},
               {"model", &x.model},
               {"content", &x.content},
               {"stop_reason", &x.reason},
               {"stop_details", &x.details}});
    return x;
  }

  // -- the message -------------------------------------------------------------------

  /// Some proxies begin a message twice; it stays the first one.
  void read_message(json::raw message, piece_sink& sink) {
    json::reader in{message};
    take_message(take_event_fields(in), sink);
  }

  /// It is one where a stream was asked for, too.
  void read_whole_message(const event& x, piece_sink& sink) {
    take_message(x, sink);
    if (!seen_.end)
      seen_.end_mark = seen_.end = x.reason.is_string();
  }

  void take_message(const event& x, piece_sink& sink) {
    seen_.answer = true;
    note(id_, x.id);
    note(model_, x.model);
    json::reader in{x.content};
    in.elements([&] {
      say_block(take_block(in), 0, sink);
      end_block(0, sink);
    });
    read_reason(x);
    read_usage(x.usage);
  }

  void read_end(const event& x, piece_sink& sink) {
    end_blocks(sink);
    json::reader in{x.delta};
    read_reason(take_event_fields(in));
    read_usage(x.usage);
  }

  void read_stop(piece_sink& sink) {
    end_blocks(sink);
    seen_.end_mark = seen_.end = seen_.end || seen_.answer;
  }

  void read_reason(const event& x) {
    if (auto word = string_in(x.reason, scratch_); !word.empty())
      reason_ = word;
    json::raw explanation;
    read_fields(x.details, {{"explanation", &explanation}});
    if (auto said = string_in(explanation, scratch_); !said.empty())
      warn("the provider says: " + clean_words(said, 500));
  }

  /// What a later event tells replaces what an earlier one told, number by number.
  void read_usage(json::raw value) {
    json::raw input, output, cached, cache_written, details, thought;
    read_fields(value, {{"input_tokens", &input},
                        {"cache_creation_input_tokens", &cache_written},
                        {"cache_read_input_tokens", &cached},
                        {"output_tokens", &output},
                        {"output_tokens_details", &details}});
    read_fields(details, {{"thinking_tokens", &thought}});
    auto take = [](json::raw told, told_tokens& kept) {
      if (told_tokens count{told}; count.is_told() || count.is_too_large())
        kept = count;
    };
    take(input, plain_input_);
    take(output, told_.output);
    take(cached, told_.cached);
    take(cache_written, told_.cache_written);
    take(thought, told_.reasoning);
    told_.input = plain_input_; // the part behind the last mark for the cache
    for (auto& part : {told_.cached, told_.cache_written})
      told_.input += part;
    note_usage(told_);
  }

  // -- its content -------------------------------------------------------------------

  /// A part that has begun and not ended.
  struct open_block {
    uint64_t index = 0;
    std::optional<std::size_t> call; ///< Its place, where it is one.
    bool has_arguments = false;
    bool is_left_out = false;
  };

  static uint64_t index_of(const event& x) { return count_in(x.index).value_or(0); }

  open_block* find_block(uint64_t index) {
    auto found = std::find_if(open_.begin(), open_.end(), [index](auto& x) { return x.index == index; });
    return found == open_.end() ? nullptr : &*found;
  }

  void begin_block(const event& x, piece_sink& sink) {
    end_block(index_of(x), sink);
    json::reader in{x.block};
    say_block(take_block(in), index_of(x), sink);
  }

  void say_block(const content_block& x, uint64_t index, piece_sink& sink) {
    seal(sink);
    std::erase_if(open_, [](auto& y) { return !y.call; }); // only calls may come side by side
    auto& block = open_.emplace_back();
    block.index = index;
    auto type = std::string{string_in(x.type, scratch_)};
    if (type == "text") {
      say(&piece_sink::text, x.text, sink);
      if (x.citations.is_array() && x.citations.text.find('{') != x.citations.text.npos)
        leave_out("citations");
    } else if (type == "thinking") {
      say(&piece_sink::reasoning, x.thinking, sink);
      signature_ = sealed("anthropic", x.signature);
    } else if (type == "redacted_thinking") {
      signature_ = sealed("anthropic:redacted", x.data);
    } else if (type == "tool_use") {
      block.call = begin_call(x.id, x.name, sink);
      if (x.input.is_object() && !is_empty(x.input))
        add_arguments(block, x.input.text, sink);
    } else if (!type.empty()) {
      block.is_left_out = true;
      leave_out(type);
    }
  }

  static bool is_empty(json::raw object) { return object.text.find('"') == object.text.npos; }

  void leave_out(std::string_view what) {
    if (!what.empty())
      warn("the answer held a part that was left out: " + clean_words(what, 100));
  }

  void read_delta(const event& x, piece_sink& sink) {
    json::raw type, text, thinking, signature, fragment;
    read_fields(x.delta, {{"type", &type},
                          {"text", &text},
                          {"thinking", &thinking},
                          {"signature", &signature},
                          {"partial_json", &fragment}});
    auto* block = find_block(index_of(x));
    if (block != nullptr && block->is_left_out)
      return;
    if (text.is_string())
      say(&piece_sink::text, text, sink);
    else if (thinking.is_string())
      say(&piece_sink::reasoning, thinking, sink);
    else if (signature.is_string())
      signature_ = sealed("anthropic", signature);
    else if (fragment.is_string() && block != nullptr && block->call)
      add_arguments(*block, string_in(fragment, scratch_), sink);
    else if (auto name = string_in(type, scratch_); name == "citations_delta")
      leave_out("citations");
    else
      leave_out(name);
  }

  void add_arguments(open_block& block, std::string_view fragment, piece_sink& sink) {
    block.has_arguments = block.has_arguments || !fragment.empty();
    say_arguments(*block.call, fragment, sink);
  }

  void seal(piece_sink& sink) {
    if (!signature_.empty())
      sink.seal(signature_);
    signature_.clear();
  }

  void end_block(uint64_t index, piece_sink& sink) {
    seal(sink);
    if (auto* block = find_block(index)) {
      end_call(*block, sink);
      open_.erase(open_.begin() + (block - open_.data()));
    }
  }

  void end_blocks(piece_sink& sink) {
    seal(sink);
    for (auto& block : open_)
      end_call(block, sink);
    open_.clear();
  }

  /// A call without arguments may bring none.
  void end_call(const open_block& block, piece_sink& sink) {
    if (block.call && !block.has_arguments)
      say_arguments(*block.call, "{}", sink);
  }

  std::vector<open_block> open_;
  std::string signature_; ///< Of the thinking that is open.

  told_tokens plain_input_;
  told_usage told_;
};

} // namespace

std::unique_ptr<object_answer> make_answer(const http::response_head& head) {
  return std::make_unique<answer>(head);
}

} // namespace modelforge::wire::anthropic
