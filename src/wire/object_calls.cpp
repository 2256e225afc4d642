#include "wire/call_part.hpp"
#include "wire/forms.hpp"
#include "wire/object_answer.hpp"
#include "wire/provider_error.hpp"
#include "wire/words.hpp"

#include <string>
#include <utility>

/// The tool calls of an answer, as dialects find them in it.

namespace modelforge::wire {

namespace {

constexpr std::size_t max_call_bytes = 1 << 20;

} // namespace

// One without a name is not handed on: at the end it is a failure, or nothing.
void object_answer::say_call(const call_part& part, std::string signature, std::string_view id_source,
                             piece_sink& sink) {
  if (seen_.end)
    return;
  if (part.is_blank())
    return calls_.note_blank();
  if (calls_.is_again(part))
    return;
  auto place = calls_.begin(part, scratch_);
  calls_.set_signature(place, std::move(signature));
  auto is_named = !calls_[place].call.name.empty();
  auto pieces = is_named ? calls_.tell(place, id_source, sink) : 0;
  pieces += calls_.add(place, part.arguments, id_source, scratch_, sink);
  if (is_named)
    pieces += calls_.settle(place, id_source, sink) + calls_.say_none(place, id_source, sink);
  count_call_pieces(pieces);
}

void object_answer::say_calls(json::raw list, std::string_view id_source, piece_sink& sink) {
  if (!list.text.empty())
    read_calls(list, [&](const call_part& part) { say_call(part, {}, id_source, sink); });
}

void object_answer::say_calls_among(json::raw parts, std::string_view id_source, piece_sink& sink) {
  for_each_in(parts, [&](json::reader& in) {
    json::raw type;
    call_part call;
    in.members([&](std::string_view name) {
      if (name == "type")
        type = in.value();
      else
        take_member_of_call(name, in, call);
    });
    if (call.is_wrapped || is_call_type(type.between_quotes()))
      say_call(call, {}, id_source, sink);
  });
}

void object_answer::read_calls(json::raw list, const std::function<void(const call_part&)>& take) {
  if (!list.text.empty() && !each_call(list, take))
    fail_calls("calls of tools in a form that is not known: " + clean_words(list.text, 100));
}

void object_answer::read_calls_elsewhere(json::raw message, std::initializer_list<std::string_view> own,
                                         const std::function<void(const call_part&)>& take) {
  if (!each_call_elsewhere(message, own, take))
    fail_calls("calls of tools in members, or a form, that are not known: " + clean_words(message.text, 100));
}

void object_answer::say_calls_elsewhere(json::raw message, std::initializer_list<std::string_view> own, bool has_own,
                                        std::string_view id_source, piece_sink& sink) {
  read_calls_elsewhere(message, own, [&](const call_part& part) {
    if (has_own)
      expect_call(part);
    else
      say_call(part, {}, id_source, sink);
  });
}

void object_answer::expect_call(const call_part& part) {
  if (!calls_.has(part))
    fail_undecided("the answer holds tool calls in two forms, and they differ");
}

void object_answer::fail_calls(std::string what) {
  auto problem = invalid_answer(head_, std::move(what));
  problem.suggestion = "ask again, for one call at a time, or without streaming";
  fail(std::move(problem));
}

void object_answer::fail_undecided(std::string what) {
  auto problem = invalid_answer(head_, "");
  problem.message = std::move(what);
  problem.suggestion = "ask for one call at a time, or without streaming";
  fail(std::move(problem));
}

std::size_t object_answer::begin_call(const call_part& part, piece_sink& sink) {
  auto place = calls_.begin(part, scratch_);
  if (!calls_[place].call.name.empty())
    count_call_pieces(calls_.tell(place, id_, sink));
  return place;
}

void object_answer::say_arguments(std::size_t call, json::raw fragment, piece_sink& sink) {
  if (!seen_.end)
    count_call_pieces(calls_.add(call, fragment, id_, scratch_, sink));
}

void object_answer::say_arguments(std::size_t call, const call_part& part, piece_sink& sink) {
  calls_.note(call, part);
  say_arguments(call, part.arguments, sink);
}

void object_answer::end_call(std::size_t call, piece_sink& sink) {
  if (seen_.end || calls_[call].call.name.empty())
    return;
  auto pieces = calls_.settle(call, id_, sink);
  count_call_pieces(pieces + calls_.say_none(call, id_, sink));
}

void object_answer::fail_if_untold(std::size_t call) {
  if (reason_.empty())
    fail_calls("a stream that ended without a finish reason before the arguments of a call of the tool "
               + clean_words(calls_[call].call.name, 100));
}

void object_answer::count_call_pieces(uint64_t pieces) {
  progress_.pieces += pieces;
  progress_.tokens += pieces > 0;
  if (calls_.bytes() > max_call_bytes)
    fail_with(errc::response_too_large, "the answer's tool calls exceed " + std::to_string(max_call_bytes) + " bytes");
}

} // namespace modelforge::wire
