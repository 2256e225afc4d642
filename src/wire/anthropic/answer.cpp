#include "wire/anthropic/anthropic.hpp"
#include "wire/provider_error.hpp"

#include <algorithm>
#include <array>
#include <vector>

namespace modelforge::wire {

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
  in.members([&](std::string_view name) {
    if (name == "type")
      x.type = in.value();
    else if (name == "text")
      x.text = in.value();
    else if (name == "citations")
      x.citations = in.value();
    else if (name == "thinking")
      x.thinking = in.value();
    else if (name == "signature")
      x.signature = in.value();
    else if (name == "data")
      x.data = in.value();
    else if (name == "id")
      x.id = in.value();
    else if (name == "name")
      x.name = in.value();
    else if (name == "input")
      x.input = in.value();
  });
  return x;
}

/// The answer is one object of type "message"; a stream is many, of the other types.
class answer : public object_answer {
public:
  explicit answer(const http::response_head& head)
    : object_answer(head, {"JSON without a message", "it is usually https://api.anthropic.com"}) {}

private:
  struct fields {
    json::raw type, error, message, index, block, delta, usage, id, model, content, reason, details;
  };

  bool read(std::string_view object, piece_sink& to, std::string& problem) override {
    json::reader in{object};
    auto x = take_fields(in);
    if (!in.finish()) {
      problem = in.problem();
      return false;
    }
    if (read_error(x.error, object))
      return true;
    signs_ += read_event(std::string{string_in(x.type, scratch_)}, x, to);
    return true;
  }

  /// Returns whether the event is a sign of progress: pings, and what we do not know, are none.
  bool read_event(std::string_view type, const fields& x, piece_sink& to) {
    if (type == "content_block_delta")
      read_delta(x, to);
    else if (type == "content_block_start")
      begin_block(x, to);
    else if (type == "content_block_stop")
      end_block(index_of(x), to);
    else if (type == "message_start")
      read_message(x.message, to);
    else if (type == "message_delta")
      read_end(x, to);
    else if (type == "message_stop")
      read_stop(to);
    else if (type == "message" || x.content.is_array())
      read_whole_message(x, to);
    else
      return false;
    return true;
  }

  bool knows(std::string_view) const override { return true; } // each event has a name of its own

  finish_reason meaning() const override { return reason_named(reason_, reasons); }

  static fields take_fields(json::reader& in) {
    fields x;
    in.members([&](std::string_view name) {
      if (name == "type")
        x.type = in.value();
      else if (name == "error")
        x.error = in.value();
      else if (name == "message")
        x.message = in.value();
      else if (name == "index")
        x.index = in.value();
      else if (name == "content_block")
        x.block = in.value();
      else if (name == "delta")
        x.delta = in.value();
      else if (name == "usage")
        x.usage = in.value();
      else if (name == "id")
        x.id = in.value();
      else if (name == "model")
        x.model = in.value();
      else if (name == "content")
        x.content = in.value();
      else if (name == "stop_reason")
        x.reason = in.value();
      else if (name == "stop_details")
        x.details = in.value();
    });
    return x;
  }

  // -- the message -------------------------------------------------------------------

  /// Some proxies begin a message twice; it stays the first one.
  void read_message(json::raw message, piece_sink& to) {
    json::reader in{message};
    take_message(take_fields(in), to);
  }

  /// It is one where a stream was asked for, too.
  void read_whole_message(const fields& x, piece_sink& to) {
    take_message(x, to);
    if (!ended_)
      is_done_ = ended_ = x.reason.is_string();
  }

  void take_message(const fields& x, piece_sink& to) {
    has_answer_ = true;
    note(id_, x.id);
    note(model_, x.model);
    json::reader in{x.content};
    in.elements([&] {
      say_block(take_block(in), 0, to);
      end_block(0, to);
    });
    read_reason(x);
    read_usage(x.usage);
  }

  void read_end(const fields& x, piece_sink& to) {
    end_blocks(to);
    json::reader in{x.delta};
    read_reason(take_fields(in));
    read_usage(x.usage);
  }

  void read_stop(piece_sink& to) {
    end_blocks(to);
    is_done_ = ended_ = ended_ || has_answer_;
  }

  void read_reason(const fields& x) {
    if (auto word = string_in(x.reason, scratch_); !word.empty())
      reason_ = word;
    json::reader in{x.details};
    in.members([&](std::string_view name) {
      if (name != "explanation")
        return;
      if (auto words = string_in(in.value(), scratch_); !words.empty())
        warn("the provider says: " + clean_words(words, 500));
    });
  }

  /// What a later event tells replaces what an earlier one told, number by number.
  void read_usage(json::raw x) {
    json::reader in{x};
    auto take = [&](told_tokens& to) {
      if (told_tokens count{in.value()}; count.is_told() || count.is_too_large())
        to = count;
    };
    in.members([&](std::string_view name) {
      if (name == "input_tokens")
        take(plain_input_);
      else if (name == "cache_creation_input_tokens")
        take(told_.cache_written);
      else if (name == "cache_read_input_tokens")
        take(told_.cached);
      else if (name == "output_tokens")
        take(told_.output);
      else if (name == "output_tokens_details")
        in.members([&](std::string_view inner) {
          if (inner == "thinking_tokens")
            take(told_.reasoning);
        });
    });
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

  static uint64_t index_of(const fields& x) { return count_in(x.index).value_or(0); }

  open_block* find_block(uint64_t index) {
    auto found = std::find_if(open_.begin(), open_.end(), [index](auto& x) { return x.index == index; });
    return found == open_.end() ? nullptr : &*found;
  }

  void begin_block(const fields& x, piece_sink& to) {
    end_block(index_of(x), to);
    json::reader in{x.block};
    say_block(take_block(in), index_of(x), to);
  }

  void say_block(const content_block& x, uint64_t index, piece_sink& to) {
    seal(to);
    std::erase_if(open_, [](auto& y) { return !y.call; }); // only calls may come side by side
    auto& block = open_.emplace_back();
    block.index = index;
    auto type = std::string{string_in(x.type, scratch_)};
    if (type == "text") {
      say(&piece_sink::text, x.text, to);
      if (x.citations.is_array() && x.citations.text.find('{') != x.citations.text.npos)
        leave_out("citations");
    } else if (type == "thinking") {
      say(&piece_sink::reasoning, x.thinking, to);
      signature_ = sealed("anthropic", x.signature);
    } else if (type == "redacted_thinking") {
      signature_ = sealed("anthropic:redacted", x.data);
    } else if (type == "tool_use") {
      block.call = begin_call(x.id, x.name, to);
      if (x.input.is_object() && !is_empty(x.input))
        add_arguments(block, x.input.text, to);
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

  void read_delta(const fields& x, piece_sink& to) {
    json::raw type, text, thinking, signature, fragment;
    json::reader in{x.delta};
    in.members([&](std::string_view name) {
      if (name == "type")
        type = in.value();
      else if (name == "text")
        text = in.value();
      else if (name == "thinking")
        thinking = in.value();
      else if (name == "signature")
        signature = in.value();
      else if (name == "partial_json")
        fragment = in.value();
    });
    auto* block = find_block(index_of(x));
    if (block != nullptr && block->is_left_out)
      return;
    if (text.is_string())
      say(&piece_sink::text, text, to);
    else if (thinking.is_string())
      say(&piece_sink::reasoning, thinking, to);
    else if (signature.is_string())
      signature_ = sealed("anthropic", signature);
    else if (fragment.is_string() && block != nullptr && block->call)
      add_arguments(*block, string_in(fragment, scratch_), to);
    else if (auto name = string_in(type, scratch_); name == "citations_delta")
      leave_out("citations");
    else
      leave_out(name);
  }

  void add_arguments(open_block& block, std::string_view fragment, piece_sink& to) {
    block.has_arguments = block.has_arguments || !fragment.empty();
    say_arguments(*block.call, fragment, to);
  }

  void seal(piece_sink& to) {
    if (!signature_.empty())
      to.seal(signature_);
    signature_.clear();
  }

  void end_block(uint64_t index, piece_sink& to) {
    seal(to);
    if (auto* block = find_block(index)) {
      end_call(*block, to);
      open_.erase(open_.begin() + (block - open_.data()));
    }
  }

  void end_blocks(piece_sink& to) {
    seal(to);
    for (auto& block : open_)
      end_call(block, to);
    open_.clear();
  }

  /// A call without arguments may bring none.
  void end_call(const open_block& block, piece_sink& to) {
    if (block.call && !block.has_arguments)
      say_arguments(*block.call, "{}", to);
  }

  std::vector<open_block> open_;
  std::string signature_; ///< Of the thinking that is open.

  told_tokens plain_input_;
  told_usage told_;
};

} // namespace

std::unique_ptr<object_answer> anthropic_answer(const http::response_head& head) {
  return std::make_unique<answer>(head);
}

} // namespace modelforge::wire
