#include "wire/conversation_writer.hpp"

namespace modelforge::wire {

bool conversation_writer::may_say(role who, const text_part&) {
  if (who == role::tool)
    fail("", "is no tool's result, and the role tool has nothing else");
  return who != role::tool;
}

bool conversation_writer::may_say(role who, const image_part&) {
  if (who != role::user)
    fail("", "is an image, which needs the role user", errc::unsupported);
  return who == role::user;
}

bool conversation_writer::may_say(role who, const tool_call&) {
  if (who != role::assistant)
    fail("", "is a tool call, which needs the role assistant");
  return who == role::assistant;
}

bool conversation_writer::may_say(role who, const tool_result&) {
  if (who != role::tool)
    fail("", "is a tool's result, which needs the role tool");
  return who == role::tool;
}

bool conversation_writer::may_say(role who, const reasoning_part&) {
  if (who != role::assistant)
    fail("", "is reasoning, which needs the role assistant");
  return who == role::assistant;
}

void conversation_writer::check_parts(const chat_message& message) {
  each_part(message, [&]<class T>(const T& part) {
    if constexpr (!std::is_same_v<T, reasoning_part>)
      may_say(message.role, part);
  });
}

bool conversation_writer::check_source(const image_part& part) {
  if (part.url.empty() == part.data.empty())
    fail("", "is an image that needs either url or data");
  else if (!part.data.empty() && part.media_type.empty())
    fail("media_type", "is empty; data needs it");
  else
    return true;
  return false;
}

void conversation_writer::leave_out_name(const chat_message& message, std::string_view who) {
  if (!message.name.empty())
    warn(place() + "name: " + std::string{who} + " knows no names of participants; it was left out");
}

// `data:` URLs are written piece by piece: an image may have megabytes, and one copy is enough.
void conversation_writer::image_url(const image_part& part) {
  if (!check_source(part))
    return;
  if (part.data.empty())
    text(part.url, "url");
  else if (!out_.string({"data:", part.media_type, ";base64,", part.data}))
    fail("data", "or media_type is not UTF-8");
}

// Searched backwards: the call is nearly always in the message just before.
const tool_call* conversation_writer::call_of(std::string_view id) const {
  for (auto i = item_; i-- > 0 && !id.empty();)
    for (auto& part : request_.messages[i].content)
      if (auto* call = std::get_if<tool_call>(&part); call != nullptr && call->id == id)
        return call;
  return nullptr;
}

} // namespace modelforge::wire
