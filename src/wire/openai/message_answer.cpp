#include "wire/openai/message_answer.hpp"

#include "wire/forms.hpp"
#include "wire/provider_error.hpp"

#include <cstddef>
#include <cstdint>

namespace modelforge::wire::openai {

void message_answer::read_message_beside(json::raw message, json::raw latest, piece_sink& sink) {
  auto delta = read_delta(message);
  std::vector<call_part> calls;
  if (!seen_text_)
    say_content(delta.content, calls, sink);
  else if (auto text = text_in(delta.content); !text.empty() && delta.content.text != latest.text)
    say_missing(text, 0, sink);
  if (!seen_.refusal)
    say_refusal(delta.refusal, sink);
  if (calls_.size() == 0)
    say_message_calls(delta, calls, sink);
  else if (auto list = delta.tool_calls.text.empty() ? delta.function_call : delta.tool_calls; !list.text.empty())
    calls_beside_ = std::make_unique<std::string>(list.text);
}

bool message_answer::say_content(json::raw content, std::vector<call_part>& calls, piece_sink& sink) {
  seen_text_ = seen_text_ || content.text.size() > 2;
  if (content.is_string())
    return say(&piece_sink::text, content, sink), false;
  if (!content.is_array() && !content.is_object())
    return miss(content), false;
  auto has_thoughts = false;
  for_each_in(content, [&](json::reader& in) {
    auto piece = take_content_piece(in);
    auto type = piece.type.between_quotes();
    if (type == "thinking" || type == "reasoning") {
      has_thoughts = true;
      say_thought(piece.thinking.text.empty() ? piece.text : piece.thinking, sink);
    } else if (type == "refusal") {
      say_refusal(piece.refusal, sink);
    } else if (piece.is_call()) {
      calls.push_back(piece.call);
    } else if (piece.is_known()) {
      piece.text.is_string() ? void(say(&piece_sink::text, piece.text, sink))
                             : say(&piece_sink::text, std::string_view{text_of(piece.text)}, sink);
    } else {
      leave_out(type);
    }
  });
  return has_thoughts;
}

void message_answer::say_first_thought(std::initializer_list<json::raw> places, piece_sink& sink) {
  auto before = progress_.pieces;
  for (auto place : places)
    if (progress_.pieces == before)
      say_thought(place, sink);
}

void message_answer::say_thought(json::raw value, piece_sink& sink) {
  say(&piece_sink::reasoning, value, sink);
  for_each_in(value, [&](json::reader& in) {
    auto part = in.value();
    auto text = part;
    read_fields(part, {{"text", &text}, {"summary", &text}, {"content", &text}, {"thinking", &text}});
    say(&piece_sink::reasoning, text, sink);
  });
}

void message_answer::say_refusal(json::raw raw, piece_sink& sink) {
  seen_.refusal = seen_.refusal || raw.has_text();
  say(&piece_sink::refusal, raw, sink);
}

void message_answer::say_message_calls(const chunk_delta& delta, const std::vector<call_part>& in_content,
                                       piece_sink& sink) {
  joiner_.begin_chunk();
  read_calls(delta.tool_calls, [&](const call_part& part) {
    has_list_ = true;
    if (has_old_form_)
      fail_undecided("the stream holds tool calls in two forms, and nothing tells whether they are the same");
    say_call_part(part, sink);
  });
  for (auto& part : in_content)
    say_call_elsewhere(part, sink);
  read_calls(delta.function_call, [&](const call_part& old) {
    auto part = old;
    part.index = {"0"}; // there is but one
    has_old_form_ = !has_list_;
    say_call_elsewhere(part, sink);
  });
  auto has_others = has_list_ || has_old_form_ || !in_content.empty();
  if (delta.has_calls_elsewhere)
    read_calls_elsewhere(delta.all, {"tool_calls", "toolCalls", "function_call"},
                         [&](const call_part& part) { has_others ? expect_call(part) : say_call_part(part, sink); });
}

void message_answer::say_call_elsewhere(const call_part& part, piece_sink& sink) {
  has_list_ ? expect_call(part) : say_call_part(part, sink);
}

void message_answer::say_call_part(const call_part& part, piece_sink& sink) {
  if (seen_.end)
    return;
  uint64_t pieces = 0;
  if (is_all()) {
    say_call(part, {}, id_, sink);
    joiner_.skip_whole();
  } else if (joiner_.add(part, id_, scratch_, sink, pieces)) {
    count_call_pieces(pieces);
  } else {
    fail_undecided("the stream holds a part of a tool call that may belong to several calls");
  }
}

void message_answer::conclude(bool streamed) {
  if (joiner_.is_doubtful())
    fail_undecided("the stream holds a tool call, or its arguments, twice, and nothing tells what is meant");
  std::size_t beside = 0;
  read_calls({calls_beside_ ? std::string_view{*calls_beside_} : ""}, [&](const call_part& part) {
    if (++beside > calls_.size() || !calls_.has(part))
      fail_undecided("the stream holds tool calls in two forms, and they differ");
  });
  for (std::size_t i = 0; i < calls_.known() && streamed && !is_all(); ++i)
    if (calls_[i].arguments.is_empty())
      fail_if_untold(i);
}

} // namespace modelforge::wire::openai
