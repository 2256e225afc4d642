#include "wire/anthropic/anthropic.hpp"
#include "wire/provider_error.hpp"

#include <array>

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
  raw_json type, text, thinking, signature, data, id, name, input;
};

content_block take_block(json_reader& in) {
  content_block x;
  in.members([&](std::string_view name) {
    if (name == "type")
      x.type = in.value();
    else if (name == "text")
      x.text = in.value();
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
    raw_json type, error, message, index, block, delta, usage, id, model, content, reason, details;
  };

  bool read(std::string_view object, piece_sink& to, std::string& problem) override {
    json_reader in{object};
    auto x = take_fields(in);
    if (!in.finish()) {
      problem = in.problem();
      return false;
    }
    if (read_error(x.error, object))
      return true;
    auto type = std::string{string_in(x.type, scratch_)};
    signs_ += type != "ping";
    if (type == "content_block_delta")
      read_delta(x, to);
    else if (type == "content_block_start")
      begin_block(x, to);
    else if (type == "content_block_stop")
      end_block(to);
    else if (type == "message_start")
      read_message(x.message, to);
    else if (type == "message_delta")
      read_end(x, to);
    else if (type == "message_stop")
      is_done_ = ended_ = has_answer_;
    else if (type == "message" || x.content.is_array())
      read_whole_message(x, to);
    return true;
  }

  bool knows(std::string_view) const override { return true; } // each event has a name of its own

  finish_reason meaning() const override { return reason_named(reason_, reasons); }

  static fields take_fields(json_reader& in) {
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
  void read_message(raw_json message, piece_sink& to) {
    json_reader in{message};
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
    json_reader in{x.content};
    in.elements([&] {
      say_block(take_block(in), to);
      end_block(to);
    });
    read_reason(x);
    read_usage(x.usage);
  }

  void read_end(const fields& x, piece_sink& to) {
    end_block(to);
    json_reader in{x.delta};
    read_reason(take_fields(in));
    read_usage(x.usage);
  }

  void read_reason(const fields& x) {
    if (auto word = string_in(x.reason, scratch_); !word.empty())
      reason_ = word;
    json_reader in{x.details};
    in.members([&](std::string_view name) {
      if (name != "explanation")
        return;
      if (auto words = string_in(in.value(), scratch_); !words.empty())
        warn("the provider says: " + clean_words(words, 500));
    });
  }

  /// What a later event tells replaces what an earlier one told, number by number.
  void read_usage(raw_json x) {
    json_reader in{x};
    auto take = [&](std::optional<uint64_t>& to) {
      if (auto count = count_in(in.value()))
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
    for (auto part : {told_.cached, told_.cache_written})
      if (part)
        told_.input = told_.input.value_or(0) + *part;
    note_usage(told_);
  }

  // -- its content -------------------------------------------------------------------

  void begin_block(const fields& x, piece_sink& to) {
    end_block(to);
    json_reader in{x.block};
    say_block(take_block(in), to);
  }

  void say_block(const content_block& x, piece_sink& to) {
    auto type = std::string{string_in(x.type, scratch_)};
    if (type == "text") {
      say(&piece_sink::text, x.text, to);
    } else if (type == "thinking") {
      say(&piece_sink::reasoning, x.thinking, to);
      signature_ = sealed("anthropic", x.signature);
    } else if (type == "redacted_thinking") {
      signature_ = sealed("anthropic:redacted", x.data);
    } else if (type == "tool_use") {
      call_ = begin_call(x.id, x.name, to);
      if (x.input.is_object() && !is_empty(x.input))
        add_arguments(x.input.text, to);
    } else if (!type.empty()) {
      warn("the answer held a part that was left out: " + clean_words(type, 100));
    }
  }

  static bool is_empty(raw_json object) { return object.text.find('"') == object.text.npos; }

  void read_delta(const fields& x, piece_sink& to) {
    raw_json type, text, thinking, signature, fragment;
    json_reader in{x.delta};
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
    if (text.is_string())
      say(&piece_sink::text, text, to);
    else if (thinking.is_string())
      say(&piece_sink::reasoning, thinking, to);
    else if (signature.is_string())
      signature_ = sealed("anthropic", signature);
    else if (fragment.is_string() && call_)
      add_arguments(string_in(fragment, scratch_), to);
  }

  void add_arguments(std::string_view fragment, piece_sink& to) {
    has_arguments_ = has_arguments_ || !fragment.empty();
    say_arguments(*call_, fragment, to);
  }

  /// Ends the part that is open, if one is.
  void end_block(piece_sink& to) {
    if (!signature_.empty())
      to.seal(signature_);
    if (call_ && !has_arguments_)
      say_arguments(*call_, "{}", to);
    signature_.clear();
    call_.reset();
    has_arguments_ = false;
  }

  // of the part that is open
  std::string signature_;
  std::optional<std::size_t> call_;
  bool has_arguments_ = false;

  std::optional<uint64_t> plain_input_;
  told_usage told_;
};

} // namespace

std::unique_ptr<object_answer> anthropic_answer(const http::response_head& head) {
  return std::make_unique<answer>(head);
}

} // namespace modelforge::wire
