#include "base/ascii.hpp"
#include "wire/forms.hpp"
#include "wire/openai/chunk.hpp"
#include "wire/openai/items_answer.hpp"
#include "wire/openai/responses.hpp"
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

/// Why an answer is incomplete, in the provider's words, whatever its status says; else the status.
std::string reason_in(json::raw details, std::string_view status) {
  std::string scratch;
  auto word = reason_word_in(details, scratch);
  return clean_words(is_no_reason(word) ? status : word, 200);
}

/// Reads whole answers, and the events of streamed ones, of which the last repeats the whole answer: what was not said
/// by then is said late.
class answer : public items_answer {
public:
  answer(std::string_view name, const http::response_head& head) : items_answer(name, head, response_words) {}

  bool knows(std::string_view event) const override {
    return object_answer::knows(event) || event.starts_with("response.");
  }

  std::unique_ptr<object_answer> begin_other() const override { return std::make_unique<answer>(name_, head()); }

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
    if (what == "output_text" || what == "text")
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
    else if (what.find("text") != what.npos)
      miss(event.delta);
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
    end_growths(sink);
    if (seen_.end)
      return;
    if (progress_.pieces == 0 && !is_listed) // some tell it beside the items only
      say(&piece_sink::text, event.output_text, sink);
    reason_ = reason_in(event.details, is_cut_ ? "incomplete" : status);
    note_bad_reason(event.reason);
    note_usage(read_usage(event.usage));
    say_rest(sink);
    seen_.end_mark = seen_.answer = true;
    (is_streamed_ ? seen_.closed : seen_.complete) = true;
  }
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
