#include "tools/simulator/anthropic/conversation_reader.hpp"

#include "tools/simulator/random.hpp"
#include "tools/simulator/seals.hpp"

#include <algorithm>
#include <utility>

namespace modelforge::simulator::anthropic {

namespace {

/// Returns the ids with commas between.
std::string list_of(const std::vector<std::string>& ids) {
  std::string text;
  for (const auto& id : ids)
    text += (text.empty() ? "" : ", ") + id;
  return text;
}

} // namespace

void conversation_reader::read_system() {
  auto system = member(body_, "system");
  if (!system)
    return;
  if (system->is_string()) {
    absorb(system->get_ref<const std::string&>());
    return close_block();
  }
  if (!system->is_array())
    return fail_type("system", "a valid string or an array of blocks", *system);
  for (std::size_t i = 0; i < system->size() && !error_; ++i) {
    const auto& block = (*system)[i];
    auto path = index_path("system", i);
    auto type = block.is_object() ? string_in(block, "type", path + ".") : nullptr;
    if (!type)
      return block.is_object() ? void() : fail_type(path, "a valid dictionary", block);
    if (*type != "text")
      return fail(path + ".type: Input should be 'text'");
    read_text(block, path);
    close_block();
  }
}

// Each message is judged by what came before it; what may only be said of the last one is judged at the end: calls
// without results, an answer that is already begun, and a turn that should have begun with thinking.
void conversation_reader::read_messages() {
  auto messages = member(body_, "messages");
  if (!messages)
    return fail_missing("messages");
  if (!messages->is_array())
    return fail_type("messages", "a valid array", *messages);
  if (messages->empty())
    return fail("messages: at least one message is required");
  mix_in(member(body_, "thinking") ? "thinking" : "");
  for (auto name : {"thinking", "tool_choice"}) // a change of these changes what comes after
    if (auto value = member(body_, name))
      add_tokens(hash(value->dump(), 0), 0);
  for (std::size_t i = 0; i < messages->size() && !error_; ++i)
    read_message((*messages)[i], index_path("messages", i));
  if (error_)
    return;
  if (!turn_.open_uses.empty())
    return fail_open_uses();
  if (message_.role == "assistant" && !is_old())
    return fail("This model does not support assistant message prefill. The conversation must end with a user "
                "message.");
  if (demands_thinking_ && message_.ends_with_results && !turn_.began_with_thinking)
    fail(turn_.path
         + ".content.0.type: Expected `thinking` or `redacted_thinking`, but found another block. When `thinking` is "
           "enabled, a final `assistant` message must start with a thinking block (preceding the lastmost set of "
           "`tool_use` and `tool_result` blocks).");
}

void conversation_reader::read_message(const json& message, const std::string& path) {
  if (!message.is_object())
    return fail_type(path, "a valid dictionary", message);
  auto role = string_in(message, "role", path + ".");
  if (!role)
    return;
  if (*role == "system")
    return fail("messages: Unexpected role \"system\". The Messages API accepts a top-level `system` parameter, not "
                "\"system\" as an input message role.");
  if (*role != "user" && *role != "assistant")
    return fail(path + ".role: Input should be 'user' or 'assistant'");
  if (*role == "assistant" && !turn_.open_uses.empty())
    return fail_open_uses();
  message_.role = *role;
  message_.ends_with_results = message_.has_text = false;
  absorb_frame(*role);
  if (*role == "assistant") {
    turn_.path = path;
    turn_.began_with_thinking = false;
  }
  message_.text.clear();
  read_content(message, path);
  if (!error_ && *role == "user" && !turn_.open_uses.empty())
    return fail_open_uses();
  if (*role == "user" && message_.has_text)
    result_.prompt = std::move(message_.text);
}

void conversation_reader::read_content(const json& message, const std::string& path) {
  auto content = member(message, "content");
  if (!content)
    return fail_missing(path + ".content");
  if (content->is_string()) {
    message_.text = content->get_ref<const std::string&>();
    if (message_.text.empty())
      return fail(path + ": " + message_.role + " messages must have non-empty content");
    message_.has_text = true;
    absorb(message_.text);
    return close_block();
  }
  if (!content->is_array())
    return fail_type(path + ".content", "a valid string or an array of blocks", *content);
  if (content->empty())
    return fail(path + ": " + message_.role + " messages must have non-empty content");
  message_.is_leading = true;
  for (std::size_t i = 0; i < content->size() && !error_; ++i) {
    read_block((*content)[i], index_path(path + ".content", i), i == 0);
    close_block();
  }
}

void conversation_reader::read_block(const json& block, const std::string& path, bool is_first) {
  if (!block.is_object())
    return fail_type(path, "a valid dictionary", block);
  auto type = string_in(block, "type", path + ".");
  if (!type)
    return;
  message_.is_leading = message_.is_leading && *type == "tool_result";
  auto is_assistant = message_.role == "assistant";
  if (*type == "text")
    return read_text(block, path);
  if (*type == "tool_use" && is_assistant)
    return read_use(block, path);
  if (*type == "tool_result" && !is_assistant)
    return read_result(block, path);
  if ((*type == "image" && !is_assistant) || (*type == "document" && !(is_assistant && is_current_)))
    return read_media(block, path, *type);
  if ((*type == "thinking" || *type == "redacted_thinking") && is_assistant) {
    turn_.began_with_thinking = turn_.began_with_thinking || is_first;
    return *type == "thinking" ? read_thought(block, path) : read_redacted(block, path);
  }
  fail(path + ": Input tag '" + *type + "' is not expected in a message of the role '" + message_.role + "'");
}

void conversation_reader::read_text(const json& block, const std::string& path) {
  auto text = string_in(block, "text", path + ".");
  if (!text)
    return;
  if (is_blank(*text))
    return fail(text->empty() ? "messages: text content blocks must be non-empty"
                              : "messages: text content blocks must contain non-whitespace text");
  auto citations = member(block, "citations");
  if (citations && !citations->empty() && message_.role == "user" && is_current_)
    return fail(path + ".citations: citations are not permitted in user messages");
  note_cache_control(block, path);
  absorb(*text);
  message_.text += (message_.text.empty() ? "" : "\n") + *text;
  message_.has_text = true;
}

void conversation_reader::read_media(const json& block, const std::string& path, std::string_view type) {
  static constexpr std::string_view images[] = {"image/jpeg", "image/png", "image/gif", "image/webp"};
  auto source = member(block, "source");
  if (!source || !source->is_object())
    return fail_missing(path + ".source");
  auto where = path + ".source.";
  auto kind = string_in(*source, "type", where);
  if (!kind)
    return;
  if (*kind == "base64") {
    auto media = string_in(*source, "media_type", where);
    auto data = string_in(*source, "data", where);
    if (media && type == "image" && !contains(images, *media))
      return fail(where + "base64.media_type: Input should be 'image/jpeg', 'image/png', 'image/gif' or 'image/webp'");
    if (data && data->empty())
      return fail(where + "base64: " + std::string(type) + " cannot be empty");
  } else if (*kind == "url") {
    auto url = string_in(*source, "url", where);
    if (url && !url->starts_with("https://") && !url->starts_with("http://"))
      return fail(where + "url.url: Only HTTPS URLs are supported.");
  } else if (*kind != "file" && (type == "image" || (*kind != "text" && *kind != "content"))) {
    return fail(where + "type: Input tag '" + *kind + "' found does not match any of the expected tags");
  }
  note_cache_control(block, path);
  absorb_media(*source);
}

void conversation_reader::read_thought(const json& block, const std::string& path) {
  auto text = string_in(block, "thinking", path + ".");
  auto signature = string_in(block, "signature", path + ".");
  if (!text || !signature)
    return;
  if (*signature != signature_of(*text, settings_.seed))
    return fail(path + ": Invalid `signature` in `thinking` block");
  if (member(block, "cache_control"))
    return fail(path + ".thinking.cache_control: Extra inputs are not permitted");
  absorb(*text);
}

void conversation_reader::read_redacted(const json& block, const std::string& path) {
  auto data = string_in(block, "data", path + ".");
  if (data && !unsealed(*data, settings_.seed))
    return fail(path + ": Invalid `data` in `redacted_thinking` block");
  if (data)
    absorb(*data);
}

void conversation_reader::read_use(const json& block, const std::string& path) {
  auto id = string_in(block, "id", path + ".");
  auto name = string_in(block, "name", path + ".");
  if (!id || !name)
    return;
  if (!is_identifier(*id, 256))
    return fail(path + ".tool_use.id: String should match pattern '^[a-zA-Z0-9_-]+$'");
  if (contains(used_ids_, *id))
    return fail("messages: `tool_use` ids must be unique");
  auto input = member(block, "input");
  if (!input)
    return fail_missing(path + ".tool_use.input");
  if (!input->is_object())
    return fail_type(path + ".tool_use.input", "a valid dictionary", *input);
  used_ids_.push_back(*id);
  turn_.open_uses.push_back(*id);
  note_cache_control(block, path);
  absorb(*name);
  absorb(input->dump());
}

void conversation_reader::read_result(const json& block, const std::string& path) {
  auto id = string_in(block, "tool_use_id", path + ".");
  if (!id)
    return;
  auto open = std::find(turn_.open_uses.begin(), turn_.open_uses.end(), *id);
  if (open == turn_.open_uses.end())
    return fail(path + ": unexpected `tool_use_id` found in `tool_result` blocks: " + *id
                + ". Each `tool_result` block must have a corresponding `tool_use` block in the previous message.");
  if (!message_.is_leading)
    return fail_open_uses();
  turn_.open_uses.erase(open);
  message_.ends_with_results = true;
  note_cache_control(block, path);
  bool_in(block, "is_error", path + ".", false);
  auto content = member(block, "content");
  if (content && content->is_string())
    return absorb(content->get_ref<const std::string&>());
  if (content && !content->is_array())
    return fail_type(path + ".content", "a valid string or an array of blocks", *content);
  auto text = std::move(message_.text);
  auto had_text = message_.has_text;
  for (std::size_t i = 0; content && i < content->size() && !error_; ++i)
    read_result_block((*content)[i], index_path(path + ".content", i));
  message_.text = std::move(text); // a result is no prompt
  message_.has_text = had_text;
}

void conversation_reader::read_result_block(const json& block, const std::string& path) {
  auto type = block.is_object() ? string_in(block, "type", path + ".") : nullptr;
  if (!type)
    return block.is_object() ? void() : fail_type(path, "a valid dictionary", block);
  if (*type == "text")
    return read_text(block, path);
  if (*type == "image" || *type == "document")
    return read_media(block, path, *type);
  fail(path + ".type: Input tag '" + *type + "' found does not match any of the expected tags");
}

void conversation_reader::fail_open_uses() {
  fail(path_after(turn_.path)
       + ": `tool_use` ids were found without `tool_result` blocks immediately after: " + list_of(turn_.open_uses)
       + ". Each `tool_use` block must have a corresponding `tool_result` block in the next message.");
}

std::string conversation_reader::path_after(const std::string& path) {
  auto dot = path.rfind('.') + 1;
  return path.substr(0, dot) + std::to_string(std::stoul(path.substr(dot)) + 1);
}

} // namespace modelforge::simulator::anthropic
