#include "wire/openai/responses_event.hpp"

#include "wire/openai/chunk.hpp"

namespace modelforge::wire::openai {

namespace {

constexpr auto event_members = make_names<json::raw response_event::*>({
  {"type", &response_event::type},
  {"delta", &response_event::delta},
  {"output_index", &response_event::output_index},
  {"summary_index", &response_event::part_index},
  {"content_index", &response_event::part_index},
  {"item_id", &response_event::item_id},
  {"item", &response_event::item},
  {"part", &response_event::part},
  {"name", &response_event::name},
  {"response", &response_event::response},
  {"text", &response_event::text},
  {"arguments", &response_event::arguments},
  {"input", &response_event::input},
  {"refusal", &response_event::refusal},
  {"error", &response_event::error},
  {"code", &response_event::code},
  {"message", &response_event::message},
  {"param", &response_event::param},
  {"id", &response_event::id},
  {"model", &response_event::model},
  {"status", &response_event::status},
  {"output", &response_event::output},
  {"output_text", &response_event::output_text},
  {"usage", &response_event::usage},
  {"incomplete_details", &response_event::details},
  {"finish_reason", &response_event::reason},
  {"stop_reason", &response_event::reason},
});

constexpr auto item_members = make_names<json::raw response_item::*>({
  {"type", &response_item::type},
  {"status", &response_item::status},
  {"content", &response_item::content},
  {"summary", &response_item::summary},
  {"encrypted_content", &response_item::seal},
  {"tool_calls", &response_item::calls},
});

} // namespace

response_event take_event_fields(json::reader& in) {
  response_event event;
  in.fields(event_members, event, [&](std::string_view name) {
    event.has_calls_elsewhere = event.has_calls_elsewhere || names_calls(name);
    event.marks.take(name, in);
  });
  return event;
}

response_item take_item(json::reader& in) {
  response_item entry;
  entry.all = in.object([&](std::string_view name) {
    entry.has_calls_elsewhere = entry.has_calls_elsewhere || (names_calls(name) && name != "tool_calls");
    if (auto* part = item_members.find(name))
      entry.** part = in.value();
    else
      take_member_of_call(name, in, entry.call);
  });
  if (entry.all.is_string()) // a text alone is a message
    entry.type = {R"("message")"}, entry.content = entry.all;
  entry.call.takes_text = entry.call.takes_text || entry.type.between_quotes() == "custom_tool_call";
  return entry;
}

response_item read_item(json::raw raw) {
  json::reader in{raw};
  return take_item(in);
}

item_kind kind_of(const response_item& entry) {
  auto type = entry.type.between_quotes();
  return type == "message"     ? item_kind::message
         : type == "reasoning" ? item_kind::reasoning
         : entry.is_call()     ? item_kind::call
                               : item_kind::unknown;
}

} // namespace modelforge::wire::openai
