#include "wire/object_answer.hpp"
#include "wire/openai_calls.hpp"
#include "wire/provider_error.hpp"
#include "wire/responses/responses.hpp"

#include <algorithm>
#include <array>
#include <utility>

namespace modelforge::wire {

namespace {

constexpr std::size_t most_items = 10'000;

constexpr auto reasons = std::to_array<named_reason>({
  {"completed", finish_reason::stop},
  {"max_output_tokens", finish_reason::length},
  {"content_filter", finish_reason::content_filter},
});

std::string_view bare(json::raw x) {
  return x.is_string() ? x.text.substr(1, x.text.size() - 2) : std::string_view{};
}

/// Reads whole answers, and the events of streamed ones, of which the last repeats the whole answer: what was not said
/// by then is said late.
class answer : public object_answer {
public:
  answer(std::string_view name, const http::response_head& head)
    : object_answer(head, {"JSON that is no finished response", "it usually ends in /v1"}), name_(name) {}

  bool knows(std::string_view event) const override {
    return object_answer::knows(event) || event.starts_with("response.");
  }

  /// The last event holds the whole answer once more.
  std::size_t most_bytes() const override { return 16 << 20; }

private:
  /// What an item of the output has said so far.
  struct item_state {
    uint64_t index;
    bool begun = false; ///< Of a call: that it is made.
    bool said = false;  ///< Some of its text, or of its arguments.
    bool whole = false; ///< All of it.
  };

  /// What an item is, whole or as its beginning.
  struct item {
    json::raw type, id, call_id, name, arguments, input, content, summary, seal;
  };

  struct event {
    json::raw type, delta, text, arguments, input, refusal, output_index, part_index, item, response, error, code,
      message, param;
    json::raw id, model, status, output, usage, details; ///< Of a whole answer.
  };

  bool read(std::string_view object, piece_sink& to, std::string& problem) override {
    event x;
    json::reader in{object};
    in.members([&](std::string_view name) {
      if (auto* value = place_of(name, x))
        *value = in.value();
    });
    if (!in.finish()) {
      problem = in.problem();
      return false;
    }
    if (x.type.is_string())
      read_event(x, object, to);
    else
      read_response(x, object, bare(x.status), to);
    return true;
  }

  static json::raw* place_of(std::string_view name, event& x) {
    struct named {
      std::string_view name;
      json::raw event::*where;
    };
    static constexpr named all[] = {
      {"type", &event::type},
      {"delta", &event::delta},
      {"output_index", &event::output_index},
      {"summary_index", &event::part_index},
      {"content_index", &event::part_index},
      {"item", &event::item},
      {"response", &event::response},
      {"text", &event::text},
      {"arguments", &event::arguments},
      {"input", &event::input},
      {"refusal", &event::refusal},
      {"error", &event::error},
      {"code", &event::code},
      {"message", &event::message},
      {"param", &event::param},
      {"id", &event::id},
      {"model", &event::model},
      {"status", &event::status},
      {"output", &event::output},
      {"usage", &event::usage},
      {"incomplete_details", &event::details},
    };
    for (auto& one : all)
      if (one.name == name)
        return &(x.*one.where);
    return nullptr;
  }

  // -- events ------------------------------------------------------------------------

  void read_event(const event& x, std::string_view object, piece_sink& to) {
    auto type = bare(x.type);
    if (type == "error")
      return read_error_event(x, object);
    if (!type.starts_with("response."))
      return;
    type.remove_prefix(9);
    if (type == "created")
      return read_inner(x.response, {}, to);
    if (type == "completed" || type == "incomplete" || type == "failed" || type == "cancelled")
      return read_inner(x.response, type, to);
    auto& state = state_of(count_in(x.output_index));
    if (type == "output_text.delta")
      say_part(&piece_sink::text, x.delta, state, to);
    else if (type == "refusal.delta")
      say_part(&piece_sink::refusal, x.delta, state, to);
    else if (type == "reasoning_summary_text.delta" || type == "reasoning_text.delta")
      say_thought(x.delta, count_in(x.part_index), state, to);
    else if (type == "function_call_arguments.delta")
      say_arguments(x.delta, false, state, to);
    else if (type == "custom_tool_call_input.delta")
      say_arguments(x.delta, true, state, to);
    else if (type == "output_item.added")
      begin_item(read_item(x.item), state, to);
    else if (type == "output_item.done")
      say_item(read_item(x.item), state, to);
  }

  /// Errors are told flat, as published, and nested.
  void read_error_event(const event& x, std::string_view object) {
    if (read_error(x.error, object))
      return;
    auto flat = R"({"error":{"message":)" + or_null(x.message) + R"(,"code":)" + or_null(x.code) + R"(,"param":)"
                + or_null(x.param) + "}}";
    read_error({"{}"}, flat);
  }

  static std::string or_null(json::raw x) { return x.text.empty() ? "null" : std::string{x.text}; }

  /// `status`: what the event says of it, should the response itself not.
  void read_inner(json::raw response, std::string_view status, piece_sink& to) {
    event x;
    json::reader in{response};
    in.members([&](std::string_view name) {
      if (auto* value = place_of(name, x))
        *value = in.value();
    });
    read_response(x, response.text, x.status.is_string() ? bare(x.status) : status, to);
  }

  item_state& state_of(std::optional<uint64_t> index) {
    auto wanted = index.value_or(items_.empty() ? 0 : items_.back().index);
    auto found = std::find_if(items_.rbegin(), items_.rend(), [&](auto& x) { return x.index == wanted; });
    if (found != items_.rend())
      return *found;
    if (items_.size() == most_items) {
      fail_with(errc::response_too_large, "the answer has more than " + std::to_string(most_items) + " items");
      return items_.back();
    }
    return items_.emplace_back(item_state{wanted});
  }

  // -- pieces ------------------------------------------------------------------------

  void say_part(said what, json::raw text, item_state& state, piece_sink& to) {
    auto before = pieces_;
    say(what, text, to);
    state.said = state.said || pieces_ > before;
    is_refused_ = is_refused_ || (what == &piece_sink::refusal && pieces_ > before);
  }

  /// Parts of one thought are put apart by an empty line.
  void say_thought(json::raw text, std::optional<uint64_t> part, item_state& state, piece_sink& to) {
    if (text.text.size() > 2 && state.said && part != thought_part_)
      say(&piece_sink::reasoning, {R"("\n\n")"}, to);
    thought_part_ = part;
    say_part(&piece_sink::reasoning, text, state, to);
  }

  void say_arguments(json::raw text, bool is_free, item_state& state, piece_sink& to) {
    call_fragment part;
    part.takes_text = is_free;
    part.arguments = text;
    say_call_part(part, state, to);
    state.said = state.said || says_something(text);
  }

  void say_call_part(call_fragment part, const item_state& state, piece_sink& to) {
    auto index = std::to_string(state.index);
    part.index = {index};
    pieces_ += joiner_.add(part, id_, to);
    tokens_ += says_something(part.arguments);
    check_calls(joiner_.size());
  }

  // -- items -------------------------------------------------------------------------

  static item read_item(json::raw x) {
    json::reader in{x};
    return take_item(in);
  }

  static item take_item(json::reader& in) {
    item x;
    in.members([&](std::string_view name) {
      if (name == "type")
        x.type = in.value();
      else if (name == "id")
        x.id = in.value();
      else if (name == "call_id")
        x.call_id = in.value();
      else if (name == "name")
        x.name = in.value();
      else if (name == "arguments")
        x.arguments = in.value();
      else if (name == "input")
        x.input = in.value();
      else if (name == "content")
        x.content = in.value();
      else if (name == "summary")
        x.summary = in.value();
      else if (name == "encrypted_content")
        x.seal = in.value();
    });
    return x;
  }

  static bool is_call(std::string_view type) { return type == "function_call" || type == "custom_tool_call"; }

  void begin_item(const item& x, item_state& state, piece_sink& to) {
    if (is_call(bare(x.type)) && says_something(x.name))
      begin_call(x, state, to);
  }

  void begin_call(const item& x, item_state& state, piece_sink& to) {
    if (!std::exchange(state.begun, true))
      say_call_part({{}, says_something(x.call_id) ? x.call_id : x.id, x.name, {}, bare(x.type) == "custom_tool_call"},
                    state, to);
  }

  /// Says of a whole item what was not said yet.
  void say_item(const item& x, item_state& state, piece_sink& to) {
    if (std::exchange(state.whole, true) || ended_)
      return;
    auto type = bare(x.type);
    if (type == "message") {
      say_message(x, state, to);
    } else if (type == "reasoning") {
      if (!state.said)
        say_thoughts(x, state, to);
      seal(x, to);
    } else if (is_call(type)) {
      begin_call(x, state, to);
      auto is_free = type == "custom_tool_call";
      if (!state.said && !ended_)
        say_arguments(is_free ? x.input : x.arguments, is_free, state, to);
    } else if (!type.empty()) {
      warn("the answer held an item that was left out: " + clean_words(type, 100));
    }
  }

  void say_message(const item& x, item_state& state, piece_sink& to) {
    if (state.said)
      return;
    json::reader in{x.content};
    in.elements([&] {
      json::raw type, text, refusal;
      in.members([&](std::string_view name) {
        if (name == "type")
          type = in.value();
        else if (name == "text")
          text = in.value();
        else if (name == "refusal")
          refusal = in.value();
      });
      if (bare(type) == "refusal")
        say_part(&piece_sink::refusal, refusal, state, to);
      else
        say_part(&piece_sink::text, text, state, to);
    });
  }

  /// A summary of thoughts, or these themselves where a server tells them.
  void say_thoughts(const item& x, item_state& state, piece_sink& to) {
    for (auto list : {x.summary, x.content}) {
      uint64_t part = 0;
      json::reader in{list};
      in.elements([&] {
        json::raw text;
        in.members([&](std::string_view name) {
          if (name == "text")
            text = in.value();
        });
        say_thought(text, part++, state, to);
      });
      if (state.said)
        return;
    }
  }

  void seal(const item& x, piece_sink& to) {
    if (!says_something(x.seal) || !says_something(x.id))
      return;
    auto signature = std::string{name_} + ':';
    signature += string_in(x.id, scratch_);
    signature += ':';
    to.seal(signature += string_in(x.seal, scratch_));
  }

  // -- whole answers -----------------------------------------------------------------

  void read_response(const event& x, std::string_view object, std::string_view status, piece_sink& to) {
    note(id_, x.id);
    note(model_, x.model);
    if (read_error(x.error, object))
      return;
    if (status == "failed" || status == "cancelled")
      return fail_with(errc::server_error, "the provider " + std::string{status} + " the answer, and does not say why");
    if (status != "completed" && status != "incomplete")
      return; // of a stream's beginning, or of an answer in the background
    uint64_t index = 0;
    json::reader in{x.output};
    in.elements([&] {
      auto item = take_item(in);
      say_item(item, state_of(index++), to);
    });
    if (ended_)
      return;
    reason_ = status == "incomplete" ? reason_in(x.details) : std::string{status};
    note_usage(read_usage(x.usage));
    calls_ = joiner_.finish();
    is_done_ = ended_ = has_answer_ = true;
  }

  std::string reason_in(json::raw details) {
    std::string result = "incomplete";
    json::reader in{details};
    in.members([&](std::string_view name) {
      if (name == "reason")
        result = string_in(in.value(), scratch_);
    });
    return result;
  }

  static told_usage read_usage(json::raw x) {
    told_usage told;
    json::reader in{x};
    in.members([&](std::string_view name) {
      if (name == "input_tokens")
        told.input = in.value();
      else if (name == "output_tokens")
        told.output = in.value();
      else if (name == "input_tokens_details")
        in.members([&](std::string_view detail) {
          if (detail == "cached_tokens")
            told.cached = in.value();
          else if (detail == "cache_write_tokens")
            told.cache_written = in.value();
        });
      else if (name == "output_tokens_details")
        in.members([&](std::string_view detail) {
          if (detail == "reasoning_tokens")
            told.reasoning = in.value();
        });
    });
    return told;
  }

  finish_reason meaning() const override { return reason_named(reason_, reasons); }

  std::string_view name_; ///< The dialect's.
  std::vector<item_state> items_;
  call_joiner joiner_;
  std::optional<uint64_t> thought_part_; ///< Of which the latest thought was.
};

} // namespace

std::variant<completion, failure> responses_dialect::decode(const http::response_head& head,
                                                            std::string_view body) const {
  answer x{name_, head};
  auto result = read_whole(x, body);
  if (auto* bad = std::get_if<failure>(&result); bad != nullptr && bad->code == errc::not_found)
    bad->suggestion += "; has it the Responses API? api = \"chat\" does without";
  return result;
}

std::unique_ptr<stream_reader> responses_dialect::read_stream(const http::response_head& head) const {
  return read_objects(std::make_unique<answer>(name_, head), framing::events);
}

} // namespace modelforge::wire
