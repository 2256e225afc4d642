#include "wire/openai/responses_event.hpp"

#include "wire/openai/chunk.hpp"

namespace modelforge::wire::openai {

response_event take_event_fields(json::reader& in) {
  response_event event;
  in.fields({{"type", &event.type},
             {"delta", &event.delta},
             {"output_index", &event.output_index},
             {"summary_index", &event.part_index},
             {"content_index", &event.part_index},
             {"item_id", &event.item_id},
             {"item", &event.item},
             {"part", &event.part},
             {"name", &event.name},
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
             {"output_text", &event.output_text},
             {"usage", &event.usage},
             {"incomplete_details", &event.details},
             {"finish_reason", &event.reason},
             {"stop_reason", &event.reason}},
            [&](std::string_view name) {
              event.has_calls_elsewhere = event.has_calls_elsewhere || names_calls(name);
              event.marks.take(name, in);
            });
  return event;
}

response_item take_item(json::reader& in) {
  response_item entry;
  entry.all = in.object([&](std::string_view name) {
    entry.has_calls_elsewhere = entry.has_calls_elsewhere || (names_calls(name) && name != "tool_calls");
    if (name == "type")
      entry.type = in.value();
    else if (name == "status")
      entry.status = in.value();
    else if (name == "content")
      entry.content = in.value();
    else if (name == "summary")
      entry.summary = in.value();
    else if (name == "encrypted_content")
      entry.seal = in.value();
    else if (name == "tool_calls")
      entry.calls = in.value();
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

message_part take_message_part(json::reader& in) {
  message_part part;
  json::raw content;
  auto take = [&](std::string_view name) {
    if (name == "type")
      part.type = in.value();
    else if (name == "text" || (name == "value" && part.text.text.empty()))
      part.text = in.value();
    else if (name == "content")
      note_other(name, content = in.value(), part.call);
    else if (name == "refusal")
      part.refusal = in.value();
    else if (name == "logprobs")
      part.logprobs = in.value();
    else
      take_member_of_call(name, in, part.call);
  };
  if (!in.members(take))
    part.text = in.value();
  if (part.text.text.empty() && may_hold_text(part.type))
    part.text = content;
  return part;
}

item_kind kind_of(const response_item& entry) {
  auto type = entry.type.between_quotes();
  return type == "message"     ? item_kind::message
         : type == "reasoning" ? item_kind::reasoning
         : entry.is_call()     ? item_kind::call
                               : item_kind::unknown;
}

} // namespace modelforge::wire::openai
