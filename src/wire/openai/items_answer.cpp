#include "wire/openai/items_answer.hpp"

#include "wire/forms.hpp"
#include "wire/openai/chunk.hpp"
#include "wire/provider_error.hpp"

#include <algorithm>
#include <utility>

namespace modelforge::wire::openai {

namespace {

/// The seal needs the item's id, too: both go back, and only together.
std::string seal_of(const response_item& entry, std::string_view dialect) {
  std::string scratch, seal{dialect};
  if (!entry.seal.has_text() || !entry.call.id.has_text())
    return {};
  seal.append(1, ':').append(string_in(entry.call.id, scratch));
  return seal.append(1, ':').append(string_in(entry.seal, scratch));
}

} // namespace

// -- which item --------------------------------------------------------------------

item_state* items_answer::find(finder by, item_kind kind, json::raw id, json::raw call_id,
                               std::optional<int64_t> index) {
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

item_state* items_answer::find(item_kind kind, const response_event& event) {
  return find(&response_items::of_piece, kind, event.item_id, {}, place_in(event.output_index));
}

// -- pieces ------------------------------------------------------------------------

void items_answer::say_piece(said kind, json::raw text, bool is_end, const response_event& event, piece_sink& sink) {
  if (!text.is_string())
    return miss(text);
  auto is_thought = kind == &piece_sink::reasoning;
  if (auto* item = find(is_thought ? item_kind::reasoning : item_kind::message, event))
    say_part(kind, text, count_in(event.part_index), is_end, *item, sink);
}

void items_answer::say_whole_part(const response_event& event, piece_sink& sink) {
  json::reader in{event.part};
  auto part = take_content_piece(in);
  auto type = part.type.between_quotes();
  auto is_thought = type == "reasoning_text" || type == "summary_text";
  if (part.is_call())
    say_call_inside(part.call, sink);
  else if (part.refusal.is_string())
    say_piece(&piece_sink::refusal, part.refusal, true, event, sink);
  else
    say_piece(is_thought ? &piece_sink::reasoning : &piece_sink::text, part.text, true, event, sink);
}

void items_answer::say_part(said kind, json::raw raw, std::optional<uint64_t> index, bool is_whole, item_state& item,
                            piece_sink& sink) {
  auto* part = item.find_part(kind, index);
  if (is_whole && part != nullptr) {
    if (raw.has_text())
      end_growth(*part, string_in(raw, scratch_), sink);
    auto rest = raw.has_text() ? part->said.rest_of(string_in(raw, scratch_)) : std::string_view{};
    if (rest)
      return say_rest_of(kind, *rest, *part, sink);
    if (!part->is_whole || index)
      return warn(versions_warning);
  }
  if (part == nullptr || part->is_whole)
    part = begin_part(kind, index, raw.has_text(), item, sink);
  part->is_whole = is_whole;
  say_in_part(raw, *part, sink);
  seen_.refusal = seen_.refusal || (kind == &piece_sink::refusal && raw.has_text());
}

void items_answer::say_rest_of(said kind, std::string_view rest, item_part& part, piece_sink& sink) {
  part.is_whole = true;
  part.said.add(rest);
  say(kind, rest, sink);
}

void items_answer::say_in_part(json::raw raw, item_part& part, piece_sink& sink) {
  uint32_t half = 0;
  std::string text{part.growth != nullptr ? string_in(raw, scratch_, half) : ""};
  if (half != 0) { // of a character: only new pieces are cut so
    say_grown(part.growth->decide_news(), part, sink);
    part.growth.reset();
  }
  if (part.growth == nullptr) {
    part.said.add(say(part.kind, raw, sink));
    return;
  }
  if (text.empty())
    return;
  auto before = progress_.pieces;
  part.growth->begin_object();
  say_grown(part.growth->take(text), part, sink);
  progress_.signs += progress_.pieces == before;
  fail_if_doubtful(*part.growth, false);
  are_news_ = are_news_ || part.growth->is_news();
  if (part.growth->is_news())
    part.growth.reset();
}

void items_answer::say_grown(std::string_view more, item_part& part, piece_sink& sink) {
  part.said.add(more);
  say(part.kind, more, sink);
}

void items_answer::end_growth(item_part& part, std::string_view whole, piece_sink& sink) {
  if (part.growth == nullptr)
    return;
  if (!whole.empty())
    say_grown(part.growth->decide_by(whole), part, sink);
  say_grown(part.growth->settle(), part, sink);
  fail_if_doubtful(*part.growth, true);
  if (part.growth->is_all())
    warn(growth_warning);
  part.growth.reset();
}

void items_answer::end_growths(piece_sink& sink) {
  for (auto& item : items_.all())
    for (auto& part : item.parts)
      end_growth(part, {}, sink);
}

item_part* items_answer::begin_part(said kind, std::optional<uint64_t> index, bool has_text, item_state& item,
                                    piece_sink& sink) {
  end_growths(sink);
  if (kind == &piece_sink::reasoning && has_text && !item.said(kind).is_empty())
    say(kind, std::string_view{"\n\n"}, sink);
  auto& part = item.parts.emplace_back(item_part{kind, index, {}});
  if (is_streamed_ && !are_news_ && kind != &piece_sink::refusal)
    part.growth = std::make_unique<piece_growth>();
  return &part;
}

// -- calls -------------------------------------------------------------------------

void items_answer::say_call_piece(json::raw text, bool is_free, bool is_whole, const response_event& event,
                                  piece_sink& sink) {
  if (auto* item = find(item_kind::call, event)) {
    auto call = call_of(*item, is_free);
    if (calls_[call].call.name.empty() && event.name.has_text())
      calls_.set_name(call, std::string{string_in(event.name, scratch_)});
    say_arguments(text, is_whole, *item, sink);
  }
}

std::size_t items_answer::call_of(item_state& item, bool is_free) {
  if (!item.call)
    item.call = calls_.begin();
  if (is_free)
    calls_.take_as_text(*item.call);
  return *item.call;
}

void items_answer::say_arguments(const call_part& part, bool is_whole, item_state& item, piece_sink& sink) {
  calls_.note(*item.call, part);
  say_arguments(part.arguments, is_whole, item, sink);
}

void items_answer::say_arguments(json::raw text, bool is_whole, item_state& item, piece_sink& sink) {
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

void items_answer::begin_item(const response_item& entry, const response_event& event, piece_sink& sink) {
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

void items_answer::note_item(const response_item& entry, item_state& state) {
  if (state.kind == item_kind::unknown)
    state.kind = kind_of(entry);
  note(state.id, entry.call.id);
  note(state.call_id, entry.call.call_id);
}

void items_answer::begin_call(const response_item& entry, item_state& state, piece_sink& sink) {
  auto call = call_of(state, entry.call.takes_text);
  if (calls_[call].is_told)
    return;
  calls_.set_id(call, id_in(entry.call.own_id(), scratch_));
  if (entry.call.name.has_text())
    calls_.set_name(call, std::string{name_in(entry.call.name, scratch_)});
  if (!calls_[call].call.name.empty())
    count_call_pieces(calls_.tell(call, id_, sink));
}

void items_answer::say_call_inside(const call_part& part, piece_sink& sink) {
  if (!is_streamed_ || !calls_.has(part)) // events repeat each other
    say_call(part, {}, id_, sink);
}

void items_answer::end_item(const response_item& entry, const response_event& event, piece_sink& sink) {
  auto* found =
    find(&response_items::of_end, kind_of(entry), entry.call.id, entry.call.call_id, place_in(event.output_index));
  is_cut_ = is_cut_ || entry.status.between_quotes() == "incomplete";
  if (found != nullptr)
    say_item(entry, *found, sink);
}

void items_answer::say_item(const response_item& entry, item_state& state, piece_sink& sink) {
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

void items_answer::say_message(const response_item& entry, bool is_again, item_state& state, piece_sink& sink) {
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
    auto part = take_content_piece(in);
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

void items_answer::say_unsaid(std::string_view text, std::string_view refusal, bool is_again, item_state& state,
                              piece_sink& sink) {
  auto* item = &state;
  for (auto [kind, whole] : {std::pair{&piece_sink::text, text}, {&piece_sink::refusal, refusal}}) {
    if (whole.empty() || item == nullptr)
      continue;
    auto is_its = [kind = kind](auto& part) { return part.kind == kind; };
    if (auto& parts = item->parts; std::count_if(parts.begin(), parts.end(), is_its) == 1)
      end_growth(*std::find_if(parts.begin(), parts.end(), is_its), whole, sink);
    auto rest = item->said(kind).rest_of(whole);
    if (!rest && is_again) // another message in the same place
      item = items_.begin({item_kind::message, {}, {}, {}}), rest = whole;
    if (item == nullptr || !rest)
      warn(versions_warning);
    else if (!rest->empty())
      say_rest_of(kind, *rest, item->parts.emplace_back(item_part{kind, {}, {}}), sink);
  }
}

void items_answer::say_thoughts(const response_item& entry, item_state& state, piece_sink& sink) {
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

} // namespace modelforge::wire::openai
