#include "wire/object_answer.hpp"
#include "wire/openai/responses.hpp"
#include "wire/provider_error.hpp"

#include <algorithm>
#include <array>
#include <utility>

namespace modelforge::wire::openai {

namespace {

/// No answer has as many; a stream that invents items must not fill the memory.
constexpr std::size_t max_items = 10'000;

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
    std::optional<std::size_t> call = {}; ///< Its place, where it is one.
    bool begun = false;                   ///< Of a call: that it is made.
    bool said = false;                    ///< Some of its text, or of its arguments.
    bool whole = false;                   ///< All of it.
  };

  /// What an item is, whole or as its beginning.
  struct item {
    json::raw type, id, call_id, name, arguments, input, content, summary, seal;
  };

  /// An event of a stream, or a whole answer: their members do not clash, so one reading serves both.
  struct event {
    json::raw type, delta, text, arguments, input, refusal, output_index, part_index, item, response, error, code,
      message, param;
    json::raw id, model, status, output, usage, details; ///< Of a whole answer.
  };

  bool read(std::string_view object, piece_sink& sink, std::string& problem) override {
    json::reader in{object};
    auto event = take_event_fields(in);
    if (!in.finish()) {
      problem = in.problem();
      return false;
    }
    if (event.type.is_string())
      read_event(event, object, sink);
    else
      read_response(event, object, event.status.between_quotes(), sink);
    return true;
  }

  static event take_event_fields(json::reader& in) {
    event event;
    in.fields({{"type", &event.type},
               {"delta", &event.delta},
               {"output_index", &event.output_index},
               {"summary_index", &event.part_index},
               {"content_index", &event.part_index},
               {"item", &event.item},
               {"response", &event.response},
               {"text", &event.text},
               {"arguments", &event.arguments},
               {"input", &event.input},
               {"refusal", &event.refusal},
               {"error", &event.error},
               {"code", &event.code},
               {"message", &event.message},
               {"param", &event.param},
               {"id", &event.id},
               {"model", &event.model},
               {"status", &event.status},
               {"output", &event.output},
               {"usage", &event.usage},
               {"incomplete_details", &event.details}});
    return event;
  }

  // -- events ------------------------------------------------------------------------

  void read_event(const event& event, std::string_view object, piece_sink& sink) {
    auto type = event.type.between_quotes();
    if (type == "error")
      return read_error_event(event, object);
    if (!type.starts_with("response."))
      return;
    type.remove_prefix(9);
    if (type == "created")
      return read_inner(event.response, {}, sink);
    if (type == "completed" || type == "incomplete" || type == "failed" || type == "cancelled")
      return read_inner(event.response, type, sink);
    auto& state = state_of(count_in(event.output_index));
    if (type == "output_text.delta")
      say_part(&piece_sink::text, event.delta, state, sink);
    else if (type == "refusal.delta")
      say_part(&piece_sink::refusal, event.delta, state, sink);
    else if (type == "reasoning_summary_text.delta" || type == "reasoning_text.delta")
      say_thought(event.delta, count_in(event.part_index), state, sink);
    else if (type == "function_call_arguments.delta")
      say_arguments(event.delta, false, state, sink);
    else if (type == "custom_tool_call_input.delta")
      say_arguments(event.delta, true, state, sink);
    else if (type == "output_item.added")
      begin_item(read_item(event.item), state, sink);
    else if (type == "output_item.done")
      say_item(read_item(event.item), state, sink);
  }

  /// Errors are told flat, as published, and nested.
  void read_error_event(const event& event, std::string_view object) {
    if (read_error(event.error, object))
      return;
    auto flat = R"({"error":{"message":)" + or_null(event.message) + R"(,"code":)" + or_null(event.code)
                + R"(,"param":)" + or_null(event.param) + "}}";
    read_error({"{}"}, flat);
  }

  static std::string or_null(json::raw raw) { return raw.text.empty() ? "null" : std::string{raw.text}; }

  /// `status`: what the event says of it, should the response itself not.
  void read_inner(json::raw response, std::string_view status, piece_sink& sink) {
    json::reader in{response};
    auto fields = take_event_fields(in);
    read_response(fields, response.text, fields.status.is_string() ? fields.status.between_quotes() : status, sink);
  }

  /// Finds the item that an event is about, or begins to keep one. Events without an index belong to the latest item.
  /// Searched from the end, where it nearly always is.
  item_state& state_of(std::optional<uint64_t> index) {
    auto wanted = index.value_or(items_.empty() ? 0 : items_.back().index);
    auto found = std::find_if(items_.rbegin(), items_.rend(), [&](auto& x) { return x.index == wanted; });
    if (found != items_.rend())
      return *found;
    if (items_.size() == max_items) {
      fail_with(errc::response_too_large, "the answer has more than " + std::to_string(max_items) + " items");
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

  std::size_t call_of(item_state& state, bool is_free) {
    if (!state.call)
      state.call = calls_.begin();
    if (is_free)
      calls_.take_as_text(*state.call);
    return *state.call;
  }

  void say_arguments(json::raw text, bool is_free, item_state& state, piece_sink& sink) {
    auto call = call_of(state, is_free);
    object_answer::say_arguments(call, text, sink);
    state.said = state.said || text.has_text() || text.is_object();
  }

  // -- items -------------------------------------------------------------------------

  static item read_item(json::raw raw) {
    json::reader in{raw};
    return take_item(in);
  }

  static item take_item(json::reader& in) {
    item entry;
    in.fields({{"type", &entry.type},
               {"id", &entry.id},
               {"call_id", &entry.call_id},
               {"name", &entry.name},
               {"arguments", &entry.arguments},
               {"input", &entry.input},
               {"content", &entry.content},
               {"summary", &entry.summary},
               {"encrypted_content", &entry.seal}});
    return entry;
  }

  static bool is_call(std::string_view type) { return type == "function_call" || type == "custom_tool_call"; }

  void begin_item(const item& entry, item_state& state, piece_sink& sink) {
    if (is_call(entry.type.between_quotes()) && entry.name.has_text())
      begin_call(entry, state, sink);
  }

  /// Says that a call is made, once; the beginning of an item or its end, whichever comes first, tells it.
  void begin_call(const item& entry, item_state& state, piece_sink& sink) {
    if (std::exchange(state.begun, true))
      return;
    auto call = call_of(state, entry.type.between_quotes() == "custom_tool_call");
    calls_.set_id(call, string_in(entry.call_id.has_text() ? entry.call_id : entry.id, scratch_));
    calls_.set_name(call, std::string{string_in(entry.name, scratch_)});
    count_call_pieces(calls_.tell(call, id_, sink));
  }

  /// Says of a whole item what was not said yet.
  void say_item(const item& entry, item_state& state, piece_sink& sink) {
    if (std::exchange(state.whole, true) || seen_.end)
      return;
    auto type = entry.type.between_quotes();
    if (type == "message") {
      say_message(entry, state, sink);
    } else if (type == "reasoning") {
      if (!state.said)
        say_thoughts(entry, state, sink);
      seal(entry, sink);
    } else if (is_call(type)) {
      begin_call(entry, state, sink);
      auto is_free = type == "custom_tool_call";
      if (!state.said && !seen_.end)
        say_arguments(is_free ? entry.input : entry.arguments, is_free, state, sink);
    } else if (!type.empty()) {
      warn("the answer held an item that was left out: " + clean_words(type, 100));
    }
  }

  /// Says the parts of a whole message, unless they were said as they came.
  void say_message(const item& entry, item_state& state, piece_sink& sink) {
    if (state.said)
      return;
    json::reader in{entry.content};
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
  void say_thoughts(const item& entry, item_state& state, piece_sink& sink) {
    for (auto list : {entry.summary, entry.content}) {
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

  /// The seal needs the item's id, too: both go back, and only together.
  void seal(const item& entry, piece_sink& sink) {
    if (!entry.seal.has_text() || !entry.id.has_text())
      return;
    auto signature = std::string{name_} + ':';
    signature += string_in(entry.id, scratch_);
    signature += ':';
    sink.seal(signature += string_in(entry.seal, scratch_));
  }

  // -- whole answers -----------------------------------------------------------------

  /// Reads the response that an event or a body holds. Only a finished one is an answer: then all items are gone
  /// through once more, and what the events left unsaid is said now.
  void read_response(const event& event, std::string_view object, std::string_view status, piece_sink& sink) {
    note(id_, event.id);
    note(model_, event.model);
    if (read_error(event.error, object))
      return;
    if (status == "failed" || status == "cancelled")
      return fail_with(errc::server_error, "the provider " + std::string{status} + " the answer, and does not say why");
    if (status != "completed" && status != "incomplete")
      return; // of a stream's beginning, or of an answer in the background
    uint64_t index = 0;
    json::reader in{event.output};
    in.elements([&] {
      auto item = take_item(in);
      say_item(item, state_of(index++), sink);
    });
    if (seen_.end)
      return;
    reason_ = status == "incomplete" ? reason_in(event.details) : std::string{status};
    note_usage(read_usage(event.usage));
    say_rest(sink);
    seen_.end_mark = seen_.end = seen_.answer = true;
  }

  /// Why an answer is incomplete, in the provider's words.
  std::string reason_in(json::raw details) {
    json::raw reason;
    read_fields(details, {{"reason", &reason}});
    return reason.text.empty() ? "incomplete" : std::string{string_in(reason, scratch_)};
  }

  /// Cached tokens are part of the input, reasoning of the output, as in the neutral form.
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
  std::optional<uint64_t> thought_part_; ///< Of which the latest thought was.
};

} // namespace

std::variant<completion, failure> responses_dialect::decode(const http::response_head& head,
                                                            std::string_view body) const {
  answer reading{name_, head};
  auto result = read_whole(reading, body);
  if (auto* bad = std::get_if<failure>(&result); bad != nullptr && bad->code == errc::not_found)
    bad->suggestion += "; has it the Responses API? api = \"chat\" does without";
  return result;
}

std::unique_ptr<stream_reader> responses_dialect::read_stream(const http::response_head& head) const {
  return read_objects(std::make_unique<answer>(name_, head), framing::mixed);
}

} // namespace modelforge::wire::openai
