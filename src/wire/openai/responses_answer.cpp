#include "base/ascii.hpp"
#include "wire/forms.hpp"
#include "wire/object_answer.hpp"
#include "wire/openai/chunk.hpp"
#include "wire/openai/responses.hpp"
#include "wire/openai/responses_event.hpp"
#include "wire/openai/responses_items.hpp"
#include "wire/provider_error.hpp"

#include <algorithm>
#include <initializer_list>
#include <utility>

namespace modelforge::wire::openai {

namespace {

constexpr object_answer::wording response_words{.no_answer = "JSON that is no finished response",
                                                .usual_address = "it usually ends in /v1"};

/// What stands under the usual name, or else under another one.
json::raw first_of(std::initializer_list<json::raw> values) {
  auto found = std::find_if(values.begin(), values.end(), [](auto& x) { return !x.text.empty(); });
  return found == values.end() ? json::raw{} : *found;
}

/// An error that is told flat, as others are told.
std::string nested_error(const response_event& event) {
  auto or_null = [](json::raw raw) { return raw.text.empty() ? "null" : std::string{raw.text}; };
  return R"({"error":{"message":)" + or_null(event.message) + R"(,"code":)" + or_null(event.code) + R"(,"param":)"
         + or_null(event.param) + "}}";
}

/// The seal needs the item's id, too: both go back, and only together.
std::string seal_of(const response_item& entry, std::string_view dialect) {
  std::string scratch, seal{dialect};
  if (!entry.seal.has_text() || !entry.call.id.has_text())
    return {};
  seal.append(1, ':').append(string_in(entry.call.id, scratch));
  return seal.append(1, ':').append(string_in(entry.seal, scratch));
}

/// Why an answer is incomplete, in the provider's words, whatever its status says; else the status.
std::string reason_in(json::raw details, std::string_view status) {
  std::string scratch;
  auto word = reason_word_in(details, scratch);
  return clean_words(is_no_reason(word) ? status : word, 200);
}

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
  bool read(std::string_view object, piece_sink& sink, std::string& problem) override {
    json::reader in{object};
    auto event = take_event_fields(in);
    if (!in.finish()) {
      problem = in.problem();
      return false;
    }
    auto type = event.type.is_string() ? event.type.between_quotes() : event_name(); // some name the event alone
    if (event.type.is_string() || type.starts_with("response."))
      read_event(type, event, object, sink);
    else
      read_response(event, object, status_in(event), sink);
    return true;
  }

  // -- events ------------------------------------------------------------------------

  void read_event(std::string_view type, const response_event& event, std::string_view object, piece_sink& sink) {
    is_streamed_ = true;
    if (type == "error")
      return read_flat_error(event, object);
    if (!type.starts_with("response."))
      return;
    seen_.sign = true;
    type.remove_prefix(9);
    if (type == "created")
      return read_beginning(event, object, sink);
    if (type == "completed" || type == "done" || type == "incomplete" || type == "failed" || type == "cancelled")
      return read_inner(event, object, type == "done" ? "completed" : type, sink);
    if (type == "output_item.added")
      begin_item(read_item(event.item), event, sink);
    else if (type == "output_item.done")
      end_item(read_item(event.item), event, sink);
    else if (type.ends_with(".delta") || type.ends_with(".done"))
      read_piece(type, event, sink);
  }

  /// Reads what a piece of an item says, as it comes or at its end: what `.done` events say was mostly said before.
  void read_piece(std::string_view type, const response_event& event, piece_sink& sink) {
    auto is_end = type.ends_with(".done");
    auto what = type.substr(0, type.rfind('.'));
    if (what == "output_text")
      say_piece(&piece_sink::text, is_end ? event.text : event.delta, is_end, event, sink);
    else if (what == "refusal")
      say_piece(&piece_sink::refusal, is_end ? event.refusal : event.delta, is_end, event, sink);
    else if (what == "reasoning_summary_text" || what == "reasoning_text")
      say_piece(&piece_sink::reasoning, is_end ? event.text : event.delta, is_end, event, sink);
    else if (what == "content_part" || what == "reasoning_summary_part")
      say_whole_part(event, sink);
    else if (what == "function_call_arguments")
      say_call_piece(first_of({is_end ? event.arguments : event.delta, event.arguments, event.input, event.delta}),
                     false, is_end, event, sink);
    else if (what == "custom_tool_call_input")
      say_call_piece(first_of({is_end ? event.input : event.delta, event.input, event.arguments, event.delta}), true,
                     is_end, event, sink);
  }

  /// Errors are told flat, as published, and nested.
  void read_flat_error(const response_event& event, std::string_view object) {
    if (read_error(event.error, object))
      return;
    if (!read_any_error(nested_error(event)))
      read_error_event(object);
  }

  /// A proxy that asks a second time begins another answer in the middle of the first one.
  void read_beginning(const response_event& event, std::string_view object, piece_sink& sink) {
    if (progress_.pieces > 0)
      return fail(broken_off(head(), progress_.pieces, ", and another answer began"));
    read_inner(event, object, {}, sink);
  }

  /// `status`: what the event says of it, should the response itself not, or still be on its way. Some have the
  /// response's members in the event itself.
  void read_inner(const response_event& outer, std::string_view event, std::string_view status, piece_sink& sink) {
    auto is_inside = outer.response.is_object();
    json::reader in{outer.response};
    auto fields = is_inside ? take_event_fields(in) : outer;
    if (fields.usage.text.empty())
      fields.usage = outer.usage;
    auto own = status_in(fields);
    read_response(fields, is_inside ? outer.response.text : event, is_open(own) && !status.empty() ? status : own,
                  sink);
  }

  static std::string status_in(const response_event& event) { return ascii::lower(event.status.between_quotes()); }

  /// Whether a response of that status is still on its way.
  static bool is_open(std::string_view status) {
    return status.empty() || status == "in_progress" || status == "queued" || status == "pending";
  }

  // -- which item --------------------------------------------------------------------

  using finder = item_state* (response_items::*)(const response_items::clue&);

  /// Finds the item that an event, or an item of the list, is about; null, and the answer has failed, where it cannot
  /// be told.
  item_state* find(finder by, item_kind kind, json::raw id, json::raw call_id, std::optional<int64_t> index) {
    std::string escaped;
    auto* found = (items_.*by)({kind, string_in(id, scratch_), string_in(call_id, escaped), index});
    if (found != nullptr)
      return found;
    if (items_.is_full())
      fail_with(errc::response_too_large,
                "the answer has more than " + std::to_string(response_items::max_items) + " items");
    else
      fail_undecided("the stream holds a part of a tool call that may belong to several calls");
    return nullptr;
  }

  item_state* find(item_kind kind, const response_event& event) {
    return find(&response_items::of_piece, kind, event.item_id, {}, place_in(event.output_index));
  }

  // -- pieces ------------------------------------------------------------------------

  void say_piece(said kind, json::raw text, bool is_end, const response_event& event, piece_sink& sink) {
    if (!text.is_string())
      return miss(text);
    auto is_thought = kind == &piece_sink::reasoning;
    if (auto* item = find(is_thought ? item_kind::reasoning : item_kind::message, event))
      say_part(kind, text, count_in(event.part_index), is_end, *item, sink);
  }

  /// A part of a message or of thoughts, whole.
  void say_whole_part(const response_event& event, piece_sink& sink) {
    json::reader in{event.part};
    auto part = take_message_part(in);
    auto type = part.type.between_quotes();
    auto is_thought = type == "reasoning_text" || type == "summary_text";
    if (part.is_call())
      say_call_inside(part.call, sink);
    else if (part.refusal.is_string())
      say_piece(&piece_sink::refusal, part.refusal, true, event, sink);
    else
      say_piece(is_thought ? &piece_sink::reasoning : &piece_sink::text, part.text, true, event, sink);
  }

  /// Says a piece of a part or, `is_whole`, what of it was not said yet. A part that has ended and goes on is another
  /// one whose index is wrong. Of two versions the one that was said first stays.
  void say_part(said kind, json::raw raw, std::optional<uint64_t> index, bool is_whole, item_state& item,
                piece_sink& sink) {
    auto* part = item.find_part(kind, index);
    if (is_whole && part != nullptr) {
      auto rest = raw.has_text() ? part->said.rest_of(string_in(raw, scratch_)) : std::string_view{};
      if (rest)
        return say_rest_of(kind, *rest, *part, sink);
      if (!part->is_whole || index)
        return warn(versions_warning);
    }
    if (part == nullptr || part->is_whole)
      part = begin_part(kind, index, raw.has_text(), item, sink);
    part->is_whole = is_whole;
    part->said.add(say(kind, raw, sink));
    seen_.refusal = seen_.refusal || (kind == &piece_sink::refusal && raw.has_text());
  }

  void say_rest_of(said kind, std::string_view rest, item_part& part, piece_sink& sink) {
    part.is_whole = true;
    part.said.add(rest);
    say(kind, rest, sink);
  }

  /// Parts of one thought are put apart by an empty line.
  item_part* begin_part(said kind, std::optional<uint64_t> index, bool has_text, item_state& item, piece_sink& sink) {
    if (kind == &piece_sink::reasoning && has_text && !item.said(kind).is_empty())
      say(kind, std::string_view{"\n\n"}, sink);
    return &item.parts.emplace_back(item_part{kind, index, {}});
  }

  // -- calls -------------------------------------------------------------------------

  void say_call_piece(json::raw text, bool is_free, bool is_whole, const response_event& event, piece_sink& sink) {
    if (auto* item = find(item_kind::call, event)) {
      auto call = call_of(*item, is_free);
      if (calls_[call].call.name.empty() && event.name.has_text())
        calls_.set_name(call, std::string{string_in(event.name, scratch_)});
      say_arguments(text, is_whole, *item, sink);
    }
  }

  std::size_t call_of(item_state& item, bool is_free) {
    if (!item.call)
      item.call = calls_.begin();
    if (is_free)
      calls_.take_as_text(*item.call);
    return *item.call;
  }

  void say_arguments(const call_part& part, bool is_whole, item_state& item, piece_sink& sink) {
    calls_.note(*item.call, part);
    say_arguments(part.arguments, is_whole, item, sink);
  }

  /// JSON that is told again is known for what it is; free text is compared.
  void say_arguments(json::raw text, bool is_whole, item_state& item, piece_sink& sink) {
    item.has_arguments = item.has_arguments || text.has_text() || text.is_object();
    auto& call = calls_[*item.call];
    if (!call.takes_text || !is_whole || call.arguments.is_empty())
      return object_answer::say_arguments(*item.call, text, sink);
    said_text before;
    before.add(call.arguments.text());
    std::string escaped;
    if (auto rest = before.rest_of(string_in(text, escaped)); !rest)
      fail_undecided("the stream holds two versions of a tool call's input");
    else if (!rest->empty())
      object_answer::say_arguments(*item.call, json::raw{json::value(*rest).dump()}, sink);
  }

  // -- items -------------------------------------------------------------------------

  /// What texts it holds are said again in pieces; arguments may be so.
  void begin_item(const response_item& entry, const response_event& event, piece_sink& sink) {
    auto* item = find(&response_items::of_beginning, kind_of(entry), entry.call.id, entry.call.call_id,
                      place_in(event.output_index));
    if (item == nullptr)
      return;
    note_item(entry, *item);
    item->is_begun = true;
    if (item->kind != item_kind::call)
      return;
    if (entry.call.name.has_text())
      begin_call(entry, *item, sink);
    else
      calls_.set_id(call_of(*item, entry.call.takes_text), item->call_id); // its name may follow
    say_arguments(entry.call, false, *item, sink);
  }

  void note_item(const response_item& entry, item_state& state) {
    if (state.kind == item_kind::unknown)
      state.kind = kind_of(entry);
    note(state.id, entry.call.id);
    note(state.call_id, entry.call.call_id);
  }

  /// Says that a call is made, once; the beginning of an item or its end, whichever comes first, tells it.
  void begin_call(const response_item& entry, item_state& state, piece_sink& sink) {
    auto call = call_of(state, entry.call.takes_text);
    if (calls_[call].is_told)
      return;
    calls_.set_id(call, id_in(entry.call.own_id(), scratch_));
    if (entry.call.name.has_text())
      calls_.set_name(call, std::string{name_in(entry.call.name, scratch_)});
    if (!calls_[call].call.name.empty())
      count_call_pieces(calls_.tell(call, id_, sink));
  }

  /// Says a call that stands in a message, as other dialects have it.
  void say_call_inside(const call_part& part, piece_sink& sink) {
    if (!is_streamed_ || !calls_.has(part)) // events repeat each other
      say_call(part, {}, id_, sink);
  }

  void end_item(const response_item& entry, const response_event& event, piece_sink& sink) {
    auto* found =
      find(&response_items::of_end, kind_of(entry), entry.call.id, entry.call.call_id, place_in(event.output_index));
    is_cut_ = is_cut_ || entry.status.between_quotes() == "incomplete";
    if (found != nullptr)
      say_item(entry, *found, sink);
  }

  /// Says of a whole item what was not said yet.
  void say_item(const response_item& entry, item_state& state, piece_sink& sink) {
    auto is_again = std::exchange(state.is_whole, true);
    if (seen_.end)
      return;
    note_item(entry, state);
    auto type = entry.type.between_quotes();
    if (type == "message") {
      say_message(entry, is_again, state, sink);
    } else if (type == "reasoning") {
      say_thoughts(entry, state, sink);
      if (auto seal = is_again ? std::string{} : seal_of(entry, name_); !seal.empty())
        sink.seal(seal);
    } else if (entry.is_call() && entry.call.is_blank() && !state.call) {
      calls_.note_blank();
    } else if (entry.is_call()) {
      begin_call(entry, state, sink);
      say_arguments(entry.call, true, state, sink);
    } else if (!type.empty() && !is_again) {
      warn("the answer held an item that was left out: " + clean_words(type, 100));
    }
  }

  /// Says of a whole message what was not said as it came.
  void say_message(const response_item& entry, bool is_again, item_state& state, piece_sink& sink) {
    std::string text, refusal;
    auto add = [&](said kind, json::raw more) {
      if (is_streamed_) // it is compared
        (kind == &piece_sink::text ? text : refusal) += text_of(more);
      else if (more.is_string())
        say(kind, more, sink);
      else
        say(kind, std::string_view{text_of(more)}, sink);
      seen_.refusal = seen_.refusal || (kind == &piece_sink::refusal && more.has_text());
    };
    if (entry.content.is_string())
      add(&piece_sink::text, entry.content);
    else if (!entry.content.is_array() && !entry.content.is_object())
      miss(entry.content);
    read_calls(entry.calls, [&](const call_part& part) { say_call_inside(part, sink); });
    if (entry.has_calls_elsewhere)
      read_calls_elsewhere(entry.all, {"tool_calls"}, [&](const call_part& part) {
        entry.calls.text.size() > 2 ? expect_call(part) : say_call_inside(part, sink);
      });
    for_each_in(entry.content, [&](json::reader& in) {
      auto part = take_message_part(in);
      if (part.is_call())
        return say_call_inside(part.call, sink);
      if (!is_streamed_)
        add_logprobs(part.logprobs);
      add(&piece_sink::text, part.text);
      add(&piece_sink::refusal, part.refusal);
    });
    if (is_streamed_)
      say_unsaid(text, refusal, is_again, state, sink);
  }

  void say_unsaid(std::string_view text, std::string_view refusal, bool is_again, item_state& state, piece_sink& sink) {
    auto* item = &state;
    for (auto [kind, whole] : {std::pair{&piece_sink::text, text}, {&piece_sink::refusal, refusal}}) {
      if (whole.empty())
        continue;
      auto rest = item->said(kind).rest_of(whole);
      if (!rest && is_again) // another message in the same place
        item = items_.begin({item_kind::message, {}, {}, {}}), rest = whole;
      if (item == nullptr || !rest)
        warn(versions_warning);
      else if (!rest->empty())
        say_rest_of(kind, *rest, item->parts.emplace_back(item_part{kind, {}, {}}), sink);
    }
  }

  /// A summary of thoughts, or these themselves where a server tells them. Nothing of them is said that may have been.
  void say_thoughts(const response_item& entry, item_state& state, piece_sink& sink) {
    for (auto list : {entry.summary, entry.content}) {
      if (!state.said(&piece_sink::reasoning).is_empty())
        return;
      uint64_t part = 0;
      auto say_text = [&](json::raw text) { say_part(&piece_sink::reasoning, text, part++, true, state, sink); };
      if (list.has_text())
        say_text(list);
      for_each_in(list, [&](json::reader& in) {
        auto element = in.value();
        json::raw text = element;
        read_fields(element, {{"text", &text}});
        if (text.has_text())
          say_text(text);
      });
    }
  }

  // -- whole answers -----------------------------------------------------------------

  /// Reads the response that an event or a body holds. Only a finished one is an answer: then all items are gone
  /// through once more, and what the events left unsaid is said now.
  void read_response(const response_event& event, std::string_view object, std::string_view status, piece_sink& sink) {
    note(id_, event.id);
    note(model_, event.model);
    if (read_error(event.error, object))
      return;
    if (status == "failed" || status == "cancelled" || status == "canceled")
      return fail_with(errc::server_error, "the provider " + std::string{status} + " the answer, and does not say why");
    auto is_listed = event.output.is_array() && event.output.text.find('{') != event.output.text.npos;
    auto is_known = status == "completed" || status == "incomplete";
    auto holds_answer = is_listed || event.output_text.has_text();
    if (is_open(status) ? !(status.empty() && is_listed && event.type.text.empty()) : !is_known && !holds_answer)
      return; // of a stream's beginning, or of an answer in the background
    auto marks = event.marks;
    marks.code = event.code;
    if (read_error_beside(marks, object))
      return;
    int64_t index = 0;
    for_each_in(event.output, [&](json::reader& in) {
      auto entry = take_item(in);
      if (is_streamed_) // the last event has them all; those before repeat them
        add_part_logprobs(entry.content);
      if (!seen_.end && (entry.is_call() || !entry.type.text.empty()))
        if (auto* found = find(&response_items::of_list, kind_of(entry), entry.call.id, entry.call.call_id, index))
          say_item(entry, *found, sink);
      is_cut_ = is_cut_ || entry.status.between_quotes() == "incomplete";
      ++index;
    });
    if (event.has_calls_elsewhere)
      say_calls_elsewhere({object}, {}, calls_.size() > 0, id_, sink);
    if (seen_.end)
      return;
    if (progress_.pieces == 0 && !is_listed) // some tell it beside the items only
      say(&piece_sink::text, event.output_text, sink);
    reason_ = reason_in(event.details, is_cut_ ? "incomplete" : status);
    note_bad_reason(event.reason);
    note_usage(read_usage(event.usage));
    say_rest(sink);
    seen_.end_mark = seen_.end = seen_.answer = true;
  }

  std::string_view name_; ///< The dialect's.
  response_items items_;
  bool is_cut_ = false;      ///< An item is said to be incomplete.
  bool is_streamed_ = false; ///< It comes as events, which may say a thing again.
};

} // namespace

std::variant<completion, failure> responses_dialect::decode(const http::response_head& head,
                                                            std::string_view body) const {
  auto result = read_whole([&] { return std::make_unique<answer>(name_, head); }, body);
  if (auto* bad = std::get_if<failure>(&result); bad != nullptr && bad->code == errc::not_found)
    bad->suggestion += "; has it the Responses API? api = \"chat\" does without";
  return result;
}

std::unique_ptr<stream_reader> responses_dialect::read_stream(const http::response_head& head) const {
  return read_objects(std::make_unique<answer>(name_, head));
}

} // namespace modelforge::wire::openai
