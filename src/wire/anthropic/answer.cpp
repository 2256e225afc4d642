#include "wire/anthropic/anthropic.hpp"
#include "wire/anthropic/event.hpp"
#include "wire/anthropic/message_usage.hpp"
#include "wire/anthropic/open_blocks.hpp"
#include "wire/argument_text.hpp"
#include "wire/provider_error.hpp"

#include <algorithm>
#include <utility>

namespace modelforge::wire::anthropic {

namespace {

constexpr object_answer::wording words{.no_answer = "JSON without a message",
                                       .usual_address = "it is usually https://api.anthropic.com"};

/// Reads Anthropic's Messages. A whole answer is one object of type "message"; a stream is many, of the other types:
/// the message without content, then each part with a beginning, deltas and an end, then reason and usage. Parts are
/// numbered, and calls may be open side by side; anything else ends with the next part. Both forms go through
/// `say_block`, so they are read alike.
class answer : public object_answer {
public:
  explicit answer(const http::response_head& head) : object_answer(head, words) {}

private:
  bool read(std::string_view object, piece_sink& sink, std::string& problem) override {
    json::reader in{object};
    auto event = take_event_fields(in);
    if (!in.finish()) {
      problem = in.problem();
      return false;
    }
    auto has_answer = event.content.text.size() > 2 || !event.delta.text.empty();
    if (read_error(event.error, object) || (has_answer && read_error_beside(event.marks, object)))
      return true;
    auto type = event.type.text.empty() ? event_name() : string_in(event.type, scratch_); // some name the event alone
    if (type == "error") {
      read_error_event(object); // without words
      return true;
    }
    auto is_sign = read_event(std::string{type}, event, object, sink);
    note_bad_reason(event.marks.status);
    progress_.signs += is_sign;
    seen_.sign = seen_.sign || is_sign;
    return true;
  }

  /// Returns whether the event is a sign of progress: pings, and what we do not know, are none.
  bool read_event(std::string_view type, const event& event, std::string_view object, piece_sink& sink) {
    if (type == "content_block_delta")
      read_delta(event, sink);
    else if (type == "content_block_start")
      begin_block(event, sink);
    else if (type == "content_block_stop")
      read_block_end(event, sink);
    else if (type == "message_start")
      read_message(event.message, sink);
    else if (type == "message_delta")
      read_end(event, sink);
    else if (type == "message_stop")
      read_stop(event, sink);
    else if (type == "message" || event.content.is_array())
      return read_whole_message(event, object, sink), true;
    else
      return false;
    return seen_.parts = true;
  }

  /// Each event has a name of its own.
  bool knows(std::string_view event) const override {
    return object_answer::knows(event) || event.starts_with("message_") || event.starts_with("content_block_");
  }

  // -- the message -------------------------------------------------------------------

  /// Some proxies begin a message twice; it stays the first one, unless something of it has come: then they ask a
  /// second time, and what came is the beginning of another answer. What it holds at its beginning comes again in
  /// parts, and counts where these do not come. Why the model stopped is not known yet, whatever a beginning without
  /// content says.
  void read_message(json::raw message, piece_sink& sink) {
    if (progress_.pieces > 0 && !seen_.complete)
      return fail(broken_off(head(), progress_.pieces, ", and another answer began"));
    json::reader in{message};
    auto begun = take_event_fields(in);
    auto is_empty =
      std::exchange(begun.content, {}).text.size() <= 2 && !(begun.may_hold_calls() && tells_calls_beside(message));
    if (seen_.complete)
      return is_empty ? void() : fail_behind_end();
    if (is_empty) {
      note_bad_reason(begun.reason);
      begun.reason = begun.other_reason = {};
    } else {
      first_message_ = message.text;
    }
    begun.calls = {};
    take_message(begun, sink);
  }

  void say_first_message(piece_sink& sink) {
    if (first_message_.empty())
      return;
    auto message = std::exchange(first_message_, {});
    json::raw content, calls;
    read_fields(json::raw{message}, {{"content", &content}, {"tool_calls", &calls}});
    auto had_calls = calls_.size() > 0;
    if (progress_.pieces == 0)
      say_content(content, sink);
    else
      say_untold(content, had_calls, sink);
    say_calls_beside(calls, sink);
    say_calls_elsewhere({message}, {"tool_calls"}, calls_.size() > 0, id_, sink);
  }

  /// Says the calls of a message's beginning that did not come again. Beside others, or without arguments, they may
  /// have come otherwise, or not have come: that is a failure. A text that did not come again is a warning.
  void say_untold(json::raw content, bool had_calls, piece_sink& sink) {
    auto text = text_of_parts(content);
    auto known = std::min(text.size(), sizeof progress_.beginning);
    if (text.size() > progress_.text_bytes || text.compare(0, known, progress_.beginning, known) != 0) {
      warn(versions_warning);
      seen_.doubt = true;
    }
    for_each_in(content, [&](json::reader& in) {
      content_block part;
      if (!take_block(in, part) || !part.is_call() || is_told(part))
        return;
      if (had_calls || plain_arguments(part.call.arguments.text).size() <= 2)
        return fail_calls("a stream that begins with a tool call, and does not tell it again");
      say_block(part, {}, sink);
      end_block({}, sink);
    });
  }

  bool is_told(content_block part) const {
    if (part.call.arguments.text == "{}") // the place of what comes
      part.call.arguments = {};
    return calls_.has(part.call);
  }

  /// Content that is told once more at the end; what of its text did not come before counts.
  void say_content_again(json::raw content, piece_sink& sink) {
    if (progress_.pieces == 0)
      return say_content(content, sink);
    if (auto text = text_of_parts(content); !text.empty())
      say_missing(text, 0, sink);
    for_each_in(content, [&](json::reader& in) {
      content_block part;
      if (take_block(in, part) && part.is_call() && !is_told(part))
        fail_calls("a stream that ends with a tool call, and did not tell it before");
    });
  }

  /// It is one where a stream was asked for, too.
  void read_whole_message(const event& event, std::string_view object, piece_sink& sink) {
    auto had_calls = calls_.size();
    take_message(event, sink);
    if (event.has_calls_elsewhere)
      say_calls_elsewhere({object}, {"tool_calls"}, calls_.size() > had_calls, id_, sink);
    if (!seen_.end)
      seen_.end_mark = seen_.complete = true;
  }

  void take_message(const event& event, piece_sink& sink) {
    seen_.answer = true;
    note(id_, event.id);
    note(model_, event.model);
    say_content(event.content, sink);
    say_calls_beside(event.calls, sink);
    read_reason(event);
    read_usage(event.usage);
  }

  /// A list of parts, or one of them, or nothing but a text.
  void say_content(json::raw content, piece_sink& sink) {
    say(&piece_sink::text, content, sink);
    for_each_in(content, [&](json::reader& in) {
      content_block part;
      if (!take_block(in, part))
        part.type = {"\"text\""}, part.text = in.value();
      if (part.is_call() && part.call.is_blank())
        return calls_.note_blank();
      say_block(part, {}, sink);
      end_block({}, sink);
    });
    if (content.text.size() > 2)
      say_rest(sink);
  }

  /// Calls as OpenAI has them, beside the content or in its place.
  void say_calls_beside(json::raw list, piece_sink& sink) {
    auto has_others = calls_.size() > 0;
    read_calls(list, [&](const call_part& part) {
      if (!has_others)
        say_call(part, {}, id_, sink);
      else if (!calls_.has(part))
        fail_calls("tool calls in two forms that differ");
    });
  }

  void read_end(const event& event, piece_sink& sink) {
    end_blocks(sink);
    say_first_message(sink);
    json::reader in{event.delta};
    if (take_event_fields(in).may_hold_calls())
      say_calls_elsewhere(event.delta, {}, calls_.size() > 0, id_, sink);
    read_reasons(event);
    read_usage(event.usage);
  }

  /// The end mark counts only where there was an answer. Content is one, too: llama.cpp sends no `message_start` when
  /// the first token is half a character.
  void read_stop(const event& event, piece_sink& sink) {
    json::raw content;
    fail_untold();
    end_blocks(sink);
    say_first_message(sink);
    read_fields(event.message, {{"content", &content}});
    say_content_again(content, sink);
    read_reasons(event);
    read_usage(event.metrics);
    read_usage(event.usage);
    if (seen_.answer)
      seen_.end_mark = seen_.complete = true;
  }

  /// The usual place is the delta.
  void read_reasons(const event& event) {
    read_reason(event);
    for (auto inner : {event.message, event.delta}) {
      json::reader in{inner};
      read_reason(take_event_fields(in));
    }
  }

  void read_reason(const event& event) {
    note_first_reason({event.reason, event.other_reason});
    json::raw explanation;
    read_fields(event.details, {{"explanation", &explanation}});
    note_explanation(explanation);
  }

  void read_usage(json::raw value) {
    usage_so_far_.take(value);
    note_usage(usage_so_far_.told());
  }

  // -- its content -------------------------------------------------------------------

  /// Some proxies tell of a call's beginning twice.
  void begin_block(const event& event, piece_sink& sink) {
    seen_.answer = true;
    json::reader in{event.block};
    content_block content;
    take_block(in, content);
    auto* block = open_.find(event.place());
    if (open_.is_again(block, content))
      return say_arguments(*block->call, content.call, sink);
    end_block(event.place(), sink);
    say_block(content, event.place(), sink);
  }

  /// Some servers tell all of a part at its end, and nothing of it before; others tell it there again.
  void read_block_end(const event& event, piece_sink& sink) {
    json::reader in{event.block};
    content_block content;
    auto has_content = take_block(in, content);
    auto* block = open_.of_end(event.place());
    if (has_content && open_.is_of(block, content))
      say_rest_of(*block, content, sink);
    else if (has_content && open_.is_new(content, event.place())) {
      say_block(content, event.place(), sink);
      block = open_.latest();
    }
    if (block == nullptr)
      return seal(sink);
    if (block->call && !event.input.text.empty())
      say_arguments(*block->call, event.input, sink);
    end_block(*block, sink);
  }

  void say_rest_of(const open_block& block, const content_block& content, piece_sink& sink) {
    if (block.call)
      say_arguments(*block.call, content.call, sink);
    else if (block.is_fresh)
      say(&piece_sink::text, content.text, sink);
    else if (content.text.has_text() && !block.is_left_out)
      say_missing(std::string{string_in(content.text, scratch_)}, block.text_from, sink);
  }

  void say_block(const content_block& content, std::optional<int64_t> index, piece_sink& sink) {
    seal(sink);
    auto& block = open_.begin(index, progress_.text_bytes);
    auto type = std::string{string_in(content.type, scratch_)};
    block.is_fresh = type == "text" && !content.text.has_text();
    if (type == "text" || (type.empty() && !content.is_call())) {
      auto text = content.text.text.empty() ? content.other : content.text;
      if (text.is_string())
        say(&piece_sink::text, text, sink);
      else
        say(&piece_sink::text, std::string_view{text_of(text)}, sink);
      if (content.citations.is_array() && content.citations.text.find('{') != content.citations.text.npos)
        leave_out("citations");
    } else if (type == "thinking") {
      say(&piece_sink::reasoning, content.thinking, sink);
      signature_ = sealed("anthropic", content.signature);
    } else if (type == "redacted_thinking") {
      signature_ = sealed("anthropic:redacted", content.data);
    } else if (content.is_call()) {
      block.call = begin_call(content.call, sink);
      say_arguments(*block.call, content.call, sink);
    } else if (!type.empty()) {
      block.is_left_out = true;
      leave_out(type);
    }
  }

  /// Reads what an event adds to an open part. What kind it is, its member tells: `type` only names what is left out.
  void read_delta(const event& event, piece_sink& sink) {
    json::raw type, text, thinking, signature, fragment;
    read_fields(event.delta, {{"type", &type},
                              {"text", &text},
                              {"thinking", &thinking},
                              {"signature", &signature},
                              {"partial_json", &fragment},
                              {"input", &fragment},
                              {"arguments", &fragment}});
    auto* block = open_.find(event.place());
    if (block != nullptr && block->is_left_out)
      return;
    if (event.delta.is_string())
      text = event.delta;
    else if (!event.delta.is_object())
      miss(event.delta);
    seen_.answer = true;
    if (block != nullptr)
      block->is_fresh = false;
    if (block != nullptr && block->call && text.has_text()) // a call has no other text
      say_arguments(*block->call, text, sink);
    else if (text.is_string())
      say(&piece_sink::text, text, sink);
    else if (!text.text.empty() && text.text != "null")
      say(&piece_sink::text, std::string_view{text_of(text)}, sink);
    else if (thinking.is_string())
      say(&piece_sink::reasoning, thinking, sink);
    else if (signature.is_string())
      signature_ = sealed("anthropic", signature);
    else if (!fragment.text.empty())
      read_fragment(block, fragment, sink);
    else if (auto name = string_in(type, scratch_); name == "citations_delta")
      leave_out("citations");
    else if (name == "input_json_delta" && has_more_than_type(event.delta))
      fail_calls("arguments of a tool call in a form that is not known");
    else
      leave_out(name);
  }

  /// Reads a piece of a call's arguments. Without an index, or under one that is no call's, it can only be meant for
  /// the one call that takes more, of our tools or of the provider's own.
  void read_fragment(const open_block* block, json::raw fragment, piece_sink& sink) {
    if (block != nullptr && block->call)
      return say_arguments(*block->call, fragment, sink);
    auto* only = open_.of_arguments();
    if (only != nullptr && only->call)
      say_arguments(*only->call, fragment, sink);
    else if (only == nullptr && plain_arguments(fragment.text) == "{}")
      leave_out("input_json_delta");
    else if (only == nullptr)
      fail_undecided("the stream holds arguments of a tool call, and does not tell of which one");
  }

  /// Hands on the seal of the thinking that ends here. It may come before, between or after the thought's pieces, so it
  /// is kept until the part ends.
  void seal(piece_sink& sink) {
    if (!signature_.empty())
      sink.seal(signature_);
    signature_.clear();
  }

  void end_block(std::optional<int64_t> index, piece_sink& sink) {
    seal(sink);
    if (auto* block = open_.find(index))
      end_block(*block, sink);
  }

  void end_block(open_block& block, piece_sink& sink) {
    seal(sink);
    if (block.call)
      end_call(*block.call, sink);
    open_.end(block);
  }

  /// A call whose end was not told, nor the answer's reason, may lack its arguments.
  void fail_untold() {
    for (auto& open : open_.all())
      if (open.call && (calls_[*open.call].arguments.is_empty() || calls_[*open.call].arguments.is_placeholder()))
        fail_if_untold(*open.call);
  }

  /// Ends what is still open, as servers may leave out the ends of parts.
  void end_blocks(piece_sink& sink) {
    seal(sink);
    for (auto& block : open_.all())
      if (block.call)
        end_call(*block.call, sink);
    open_.end_all();
    say_rest(sink);
  }

  open_blocks open_{calls_};
  message_usage usage_so_far_;
  std::string signature_;     ///< Of the thinking that is open.
  std::string first_message_; ///< One that was not empty when it began.
};

} // namespace

std::unique_ptr<object_answer> make_answer(const http::response_head& head) {
  return std::make_unique<answer>(head);
}

} // namespace modelforge::wire::anthropic
