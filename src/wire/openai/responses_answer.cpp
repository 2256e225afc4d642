#include "wire/object_answer.hpp"
#include "wire/openai/calls.hpp"
#include "wire/openai/responses.hpp"
#include "wire/provider_error.hpp"

#include <algorithm>
#include <array>
#include <utility>

namespace modelforge::wire::openai {

namespace {

constexpr std::size_t most_items = 10'000;

constexpr auto reasons = std::to_array<named_reason>({
  {"completed", finish_reason::stop},
  {"max_output_tokens", finish_reason::length},
  {"content_filter", finish_reason::content_filter},
});

constexpr object_answer::wording response_words{.no_answer = "JSON that is no finished response",
                                                .usual_address = "it usually ends in /v1"};

/// Reads whole answers, and the events of streamed ones, of which the last repeats the whole answer: what was not said
/// by then is said late.
class answer : public object_answer {
public:
  answer(std::string_view name, const http::response_head& head) : object_answer(head, response_words), name_(name) {}

  bool knows(std::string_view event) const override {
    return object_answer::knows(event) || event.starts_with("response.");
  }

  /// The last event holds the whole answer once more.
  std::size_t max_bytes() const override { return 16 << 20; }

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

  bool read(std::string_view object, piece_sink& sink, std::string& problem) override {
    json::reader in{object};
    auto x = take_event_fields(in);
    if (!in.finish()) {
      problem = in.problem();
      return false;
    }
    if (x.type.is_string())
      read_event(x, object, sink);
    else
      read_response(x, object, x.status.between_quotes(), sink);
    return true;
  }

  static event take_event_fields(json::reader& in) {
    event x;
    in.fields({{"type", &x.type},
               {"delta", &x.delta},
               {"output_index", &x.output_index},
               {"summary_index", &x.part_index},
               {"content_index", &x.part_index},
               {"item", &x.item},
               {"response", &x.response},
               {"text", &x.text},
               {"arguments", &x.arguments},
               {"input", &x.input},
               {"refusal", &x.refusal},
               {"error", &x.error},
               {"code", &x.code},
               {"message", &x.message},
               {"param", &x.param},
               {"id", &x.id},
               {"model", &x.model},
               {"status", &x.status},
               {"output", &x.output},
               {"usage", &x.usage},
               {"incomplete_details", &x.details}});
    return x;
  }

  // -- events ------------------------------------------------------------------------

  void read_event(const event& x, std::string_view object, piece_sink& sink) {
    auto type = x.type.between_quotes();
    if (type == "error")
      return read_error_event(x, object);
    if (!type.starts_with("response."))
      return;
    type.remove_prefix(9);
    if (type == "created")
      return read_inner(x.response, {}, sink);
    if (type == "completed" || type == "incomplete" || type == "failed" || type == "cancelled")
      return read_inner(x.response, type, sink);
    auto& state = state_of(count_in(x.output_index));
    if (type == "output_text.delta")
      say_part(&piece_sink::text, x.delta, state, sink);
    else if (type == "refusal.delta")
      say_part(&piece_sink::refusal, x.delta, state, sink);
    else if (type == "reasoning_summary_text.delta" || type == "reasoning_text.delta")
      say_thought(x.delta, count_in(x.part_index), state, sink);
    else if (type == "function_call_arguments.delta")
      say_arguments(x.delta, false, state, sink);
    else if (type == "custom_tool_call_input.delta")
      say_arguments(x.delta, true, state, sink);
    else if (type == "output_item.added")
      begin_item(read_item(x.item), state, sink);
    else if (type == "output_item.done")
      say_item(read_item(x.item), state, sink);
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
  void read_inner(json::raw response, std::string_view status, piece_sink& sink) {
    json::reader in{response};
    auto x = take_event_fields(in);
    read_response(x, response.text, x.status.is_string() ? x.status.between_quotes() : status, sink);
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

  void say_part(said kind, json::raw text, item_state& state, piece_sink& sink) {
    auto before = progress_.pieces;
    say(kind, text, sink);
    state.said = state.said || progress_.pieces > before;
    seen_.refusal = seen_.refusal || (kind == &piece_sink::refusal && progress_.pieces > before);
  }

  /// Parts of one thought are put apart by an empty line.
  void say_thought(json::raw text, std::optional<uint64_t> part, item_state& state, piece_sink& sink) {
    if (text.text.size() > 2 && state.said && part != thought_part_)
      say(&piece_sink::reasoning, json::raw{R"("\n\n")"}, sink);
    thought_part_ = part;
    say_part(&piece_sink::reasoning, text, state, sink);
  }

  void say_arguments(json::raw text, bool is_free, item_state& state, piece_sink& sink) {
    call_fragment part;
    part.takes_text = is_free;
    part.arguments = text;
    say_call_part(part, state, sink);
    state.said = state.said || text.has_text();
  }

  void say_call_part(call_fragment part, const item_state& state, piece_sink& sink) {
    auto index = std::to_string(state.index);
    part.index = {index};
    progress_.pieces += joiner_.add(part, id_, scratch_, sink);
    progress_.tokens += part.arguments.has_text();
    check_calls(joiner_.size());
  }

  // -- items -------------------------------------------------------------------------

  static item read_item(json::raw x) {
    json::reader in{x};
    return take_item(in);
  }

  static item take_item(json::reader& in) {
    item x;
    in.fields({{"type", &x.type},
               {"id", &x.id},
               {"call_id", &x.call_id},
               {"name", &x.name},
               {"arguments", &x.arguments},
               {"input", &x.input},
               {"content", &x.content},
               {"summary", &x.summary},
               {"encrypted_content", &x.seal}});
    return x;
  }

  static bool is_call(std::string_view type) { return type == "function_call" || type == "custom_tool_call"; }

  void begin_item(const item& x, item_state& state, piece_sink& sink) {
    if (is_call(x.type.between_quotes()) && x.name.has_text())
      begin_call(x, state, sink);
  }

  void begin_call(const item& x, item_state& state, piece_sink& sink) {
    if (!std::exchange(state.begun, true))
      say_call_part(
        {{}, x.call_id.has_text() ? x.call_id : x.id, x.name, {}, x.type.between_quotes() == "custom_tool_call"}, state,
        sink);
  }

  /// Says of a whole item what was not said yet.
  void say_item(const item& x, item_state& state, piece_sink& sink) {
    if (std::exchange(state.whole, true) || seen_.end)
      return;
    auto type = x.type.between_quotes();
    if (type == "message") {
      say_message(x, state, sink);
    } else if (type == "reasoning") {
      if (!state.said)
        say_thoughts(x, state, sink);
      seal(x, sink);
    } else if (is_call(type)) {
      begin_call(x, state, sink);
      auto is_free = type == "custom_tool_call";
      if (!state.said && !seen_.end)
        say_arguments(is_free ? x.input : x.arguments, is_free, state, sink);
    } else if (!type.empty()) {
      warn("the answer held an item that was left out: " + clean_words(type, 100));
    }
  }

  void say_message(const item& x, item_state& state, piece_sink& sink) {
    if (state.said)
      return;
    json::reader in{x.content};
    in.elements([&] {
      json::raw type, text, refusal;
      in.fields({{"type", &type}, {"text", &text}, {"refusal", &refusal}});
      if (type.between_quotes() == "refusal")
        say_part(&piece_sink::refusal, refusal, state, sink);
      else
        say_part(&piece_sink::text, text, state, sink);
    });
  }

  /// A summary of thoughts, or these themselves where a server tells them.
  void say_thoughts(const item& x, item_state& state, piece_sink& sink) {
    for (auto list : {x.summary, x.content}) {
      uint64_t part = 0;
      json::reader in{list};
      in.elements([&] {
        json::raw text;
        in.fields({{"text", &text}});
        say_thought(text, part++, state, sink);
      });
      if (state.said)
        return;
    }
  }

  void seal(const item& x, piece_sink& sink) {
    if (!x.seal.has_text() || !x.id.has_text())
      return;
    auto signature = std::string{name_} + ':';
    signature += string_in(x.id, scratch_);
    signature += ':';
    sink.seal(signature += string_in(x.seal, scratch_));
  }

  // -- whole answers -----------------------------------------------------------------

  void read_response(const event& x, std::string_view object, std::string_view status, piece_sink& sink) {
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
      say_item(item, state_of(index++), sink);
    });
    if (seen_.end)
      return;
    reason_ = status == "incomplete" ? reason_in(x.details) : std::string{status};
    note_usage(read_usage(x.usage));
    calls_ = joiner_.finish();
    seen_.end_mark = seen_.end = seen_.answer = true;
  }

  std::string reason_in(json::raw details) {
    json::raw reason;
    read_fields(details, {{"reason", &reason}});
    return reason.text.empty() ? "incomplete" : std::string{string_in(reason, scratch_)};
  }

  static told_usage read_usage(json::raw value) {
    json::raw input, output, input_details, output_details, cached, cache_written, reasoning;
    read_fields(value, {{"input_tokens", &input},
                        {"output_tokens", &output},
                        {"input_tokens_details", &input_details},
                        {"output_tokens_details", &output_details}});
    read_fields(input_details, {{"cached_tokens", &cached}, {"cache_write_tokens", &cache_written}});
    read_fields(output_details, {{"reasoning_tokens", &reasoning}});
    return {input, output, cached, cache_written, reasoning};
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
  return read_objects(std::make_unique<answer>(name_, head), framing::mixed);
}

} // namespace modelforge::wire::openai
