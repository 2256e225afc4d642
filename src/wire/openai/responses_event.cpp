#include "wire/openai/responses_event.hpp"

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
             {"incomplete_details", &event.details}});
  return event;
}

response_item take_item(json::reader& in) {
  response_item entry;
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

response_item read_item(json::raw raw) {
  json::reader in{raw};
  return take_item(in);
}

bool is_call(std::string_view type) {
  return type == "function_call" || type == "custom_tool_call";
}

bool is_free(const response_item& entry) {
  return entry.type.between_quotes() == "custom_tool_call";
}

item_kind kind_of(const response_item& entry) {
  auto type = entry.type.between_quotes();
  return type == "message"     ? item_kind::message
         : type == "reasoning" ? item_kind::reasoning
         : is_call(type)       ? item_kind::call
                               : item_kind::unknown;
}

} // namespace modelforge::wire::openai
