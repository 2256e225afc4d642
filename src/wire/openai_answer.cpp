#include "wire/json.hpp"
#include "wire/openai.hpp"
#include "wire/openai_parts.hpp"
#include "wire/provider_error.hpp"

#include <algorithm>
#include <array>

namespace modelforge::wire {

namespace {

constexpr auto reasons = std::to_array<named_reason>({
  {"stop", finish_reason::stop},
  {"length", finish_reason::length},
  {"tool_calls", finish_reason::tool_calls},
  {"content_filter", finish_reason::content_filter},
  {"function_call", finish_reason::tool_calls},           // OpenAI's old form
  {"model_length", finish_reason::length},                // Mistral
  {"error", finish_reason::error},                        // Mistral, OpenRouter
  {"insufficient_system_resource", finish_reason::error}, // DeepSeek
  {"eos_token", finish_reason::stop},                     // servers built on text-generation-inference
  {"stop_sequence", finish_reason::stop},
  {"abort", finish_reason::error}, // vLLM
});

std::string text_of(const json::value& x) {
  return std::string{string_in(x)};
}

/// Reads one call; `arguments` comes as text, from some servers as an object.
called_tool read_call(const json::value& x) {
  auto custom = member(x, "custom").is_object(); // a tool that takes free text
  auto& function = member(x, custom ? "custom" : "function");
  auto& arguments = member(function, custom ? "input" : "arguments");
  called_tool result{{text_of(member(x, "id")), text_of(member(function, "name")), text_of(arguments), {}}, custom};
  if (arguments.is_object())
    result.call.arguments = to_text(arguments);
  return result;
}

/// Reads Mistral's form of content: an array of typed parts.
void read_parts(const json::value& parts, completion& result, std::string& reasoning) {
  for (auto& part : parts) {
    auto type = string_in(member(part, "type"));
    if (type == "thinking") {
      auto& thoughts = member(part, "thinking");
      reasoning += string_in(thoughts);
      if (thoughts.is_array())
        for (auto& thought : thoughts)
          reasoning += string_in(member(thought, "text"));
    } else if (type == "refusal") {
      result.refusal += string_in(member(part, "refusal"));
    } else {
      result.text += string_in(member(part, "text"));
    }
  }
}

void read_texts(const json::value& message, completion& result) {
  std::string reasoning;
  if (auto& content = member(message, "content"); content.is_array())
    read_parts(content, result, reasoning);
  else
    result.text = string_in(content);
  result.refusal += string_in(member(message, "refusal"));
  for (auto* name : {"reasoning", "reasoning_content"})
    if (reasoning.empty())
      reasoning = string_in(member(message, name));
  if (!reasoning.empty())
    result.reasoning.push_back({std::move(reasoning), {}});
}

std::vector<called_tool> read_calls(const json::value& message) {
  std::vector<called_tool> result;
  if (auto& calls = member(message, "tool_calls"); calls.is_array())
    for (auto& x : calls)
      if (x.is_object())
        result.push_back(read_call(x));
  if (auto& old = member(message, "function_call"); old.is_object() && result.empty())
    result.push_back(read_call(json::value::object({{"function", old}})));
  return result;
}

told_usage read_usage(const json::value& x) {
  auto& details = member(x, "prompt_tokens_details");
  told_tokens cached{member(details, "cached_tokens")};
  if (!cached.is_told())
    cached = member(x, "prompt_cache_hit_tokens"); // DeepSeek
  return {member(x, "prompt_tokens"), member(x, "completion_tokens"), cached, member(details, "cache_write_tokens"),
          member(member(x, "completion_tokens_details"), "reasoning_tokens")};
}

/// The choice with the lowest index; servers may send them in any order.
const json::value& first_choice(const json::value& choices) {
  auto index = [](const json::value& x) { return count_in(member(x, "index")).value_or(0); };
  return *std::min_element(choices.begin(), choices.end(), [&](auto& x, auto& y) { return index(x) < index(y); });
}

std::variant<completion, failure> read_completion(const http::response_head& head, const json::value& root,
                                                  std::string_view text) {
  if (find_error(root))
    return error_answer(head, &root, text);
  auto& choices = member(root, "choices");
  if (!choices.is_array() || choices.empty())
    return invalid_answer(head, root.is_object() ? "JSON without any choices" : "JSON that is no object");
  auto& choice = first_choice(choices);
  if (member(choice, "error").is_object()) // OpenRouter, when it fails after the model has begun
    return error_answer(head, &choice, text);
  auto& message = member(choice, "message");
  if (!message.is_object())
    return invalid_answer(head, "a choice that holds no message");
  completion result;
  auto id = string_in(member(root, "id"));
  read_texts(message, result);
  result.raw_finish_reason = clean_words(string_in(member(choice, "finish_reason")), 200);
  if (auto problem = add_calls(head, read_calls(message), id, openai_reason(result.raw_finish_reason),
                               !result.refusal.empty(), result))
    return std::move(*problem);
  auto told = read_usage(member(root, "usage"));
  result.usage = usage_of(told);
  if (is_odd(told))
    result.warnings.emplace_back(usage_warning);
  result.model = string_in(member(root, "model"));
  result.provider_request_id = request_id_in(head);
  if (result.provider_request_id.empty())
    result.provider_request_id = clean_words(id, 200);
  if (choices.size() > 1)
    result.warnings.push_back(choices_warning(std::to_string(choices.size())));
  return result;
}

} // namespace

finish_reason openai_reason(std::string_view word) {
  return reason_named(word, reasons);
}

std::variant<completion, failure> read_openai_answer(const http::response_head& head, std::string_view body) {
  auto text = body.substr(std::min(body.find_first_not_of(" \t\r\n"), body.size()));
  auto success = head.status >= 200 && head.status < 300;
  auto parsed = json::parse(text);
  auto repaired = parsed.index() == 1 && (text.starts_with('{') || text.starts_with('[')) && !utf8::is_valid(text);
  if (repaired)
    parsed = json::parse(utf8::repair(text));
  auto* root = std::get_if<json::value>(&parsed);
  if (!success)
    return error_answer(head, root, text);
  if (root == nullptr) {
    auto what = describe_body(text);
    if (text.starts_with('{') || text.starts_with('['))
      what = "broken JSON (" + clean_words(std::get<std::string>(parsed), 200) + ")";
    return invalid_answer(head, std::move(what));
  }
  auto result = read_completion(head, *root, text);
  if (auto* x = std::get_if<completion>(&result); x != nullptr && repaired)
    x->warnings.emplace_back(repaired_warning);
  return result;
}

} // namespace modelforge::wire
