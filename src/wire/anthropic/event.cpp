#include "wire/anthropic/event.hpp"

#include "wire/forms.hpp"

namespace modelforge::wire::anthropic {

namespace {

constexpr auto event_members = make_names<json::raw event::*>({
  {"type", &event::type},
  {"error", &event::error},
  {"message", &event::message},
  {"index", &event::index},
  {"content_block", &event::block},
  {"delta", &event::delta},
  {"usage", &event::usage},
  {"id", &event::id},
  {"model", &event::model},
  {"content", &event::content},
  {"stop_reason", &event::reason},
  {"stopReason", &event::other_reason},
  {"finish_reason", &event::other_reason},
  {"finishReason", &event::other_reason},
  {"stop_details", &event::details},
  {"input", &event::input},
  {"tool_calls", &event::calls},
  {"amazon-bedrock-invocationMetrics", &event::metrics},
});

constexpr auto block_members = make_names<json::raw content_block::*>({
  {"type", &content_block::type},
  {"text", &content_block::text},
  {"citations", &content_block::citations},
  {"thinking", &content_block::thinking},
  {"signature", &content_block::signature},
  {"data", &content_block::data},
  {"value", &content_block::other},
  {"content", &content_block::other},
});

} // namespace

bool take_block(json::reader& in, content_block& content) {
  return in.fields(block_members, content, [&](std::string_view name) { take_member_of_call(name, in, content.call); });
}

event take_event_fields(json::reader& in) {
  event event;
  in.fields(event_members, event, [&](std::string_view name) {
    event.has_calls_elsewhere = event.has_calls_elsewhere || names_calls(name);
    event.marks.take(name, in);
  });
  return event;
}

std::optional<int64_t> event::place() const {
  return place_in(index);
}

bool tells_calls_beside(json::raw message) {
  auto is_told = false;
  auto note = [&](const call_part& part) { is_told = is_told || !part.is_blank(); };
  return !each_call_elsewhere(message, {}, note) || is_told;
}

std::string text_of_parts(json::raw content) {
  std::string scratch, text{string_in(content, scratch)};
  for_each_in(content, [&](json::reader& in) {
    content_block part;
    if (take_block(in, part) && part.text.is_string())
      text += string_in(part.text, scratch);
  });
  return text;
}

bool has_more_than_type(json::raw delta) {
  std::size_t members = 0;
  json::reader in{delta};
  in.members([&](std::string_view) { ++members; });
  return members > 1;
}

} // namespace modelforge::wire::anthropic
