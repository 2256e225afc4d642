#include "wire/call_part.hpp"

#include "base/ascii.hpp"
#include "base/name_table.hpp"
#include "wire/argument_text.hpp"

#include <algorithm>
#include <array>
#include <iterator>
#include <vector>

namespace modelforge::wire {

namespace {

constexpr int max_nested = 8; ///< Lists of calls in each other, and in texts; more are nobody's mistake.

enum class call_member : uint8_t { index, id, call_id, name, arguments, pieces, goes_on, wrapper, free_wrapper };

constexpr auto call_members = make_names<call_member>({
  {"index", call_member::index},
  {"id", call_member::id},
  {"call_id", call_member::call_id}, // Responses
  {"tool_call_id", call_member::id},
  {"toolCallId", call_member::id},
  {"tool_use_id", call_member::id},
  {"toolUseId", call_member::id}, // Bedrock
  {"name", call_member::name},
  {"tool_name", call_member::name},
  {"toolName", call_member::name},
  {"arguments", call_member::arguments},  // OpenAI, Ollama
  {"input", call_member::arguments},      // Anthropic
  {"args", call_member::arguments},       // Gemini
  {"parameters", call_member::arguments}, // as models write it that were taught so: Llama, Cohere
  {"params", call_member::arguments},
  {"partialArgs", call_member::pieces},
  {"partial_args", call_member::pieces},
  {"willContinue", call_member::goes_on},
  {"will_continue", call_member::goes_on},
  {"function", call_member::wrapper},
  {"function_call", call_member::wrapper},
  {"functionCall", call_member::wrapper},
  {"tool_use", call_member::wrapper},
  {"toolUse", call_member::wrapper},
  {"tool_call", call_member::wrapper},
  {"custom", call_member::free_wrapper},
});

constexpr auto call_types =
  std::to_array<std::string_view>({"function_call", "custom_tool_call", "tool_use", "tool_call", "function",
                                   "functionCall", "toolUse", "toolCall", "tool-call"});

/// The members of a message in which calls are told.
constexpr auto list_names = std::to_array<std::string_view>(
  {"tool_calls", "toolCalls", "tool_call", "toolCall", "function_calls", "functionCalls", "function_call",
   "functionCall", "tool_use", "toolUse", "tool_uses", "toolUses"});

/// Whether a value holds no arguments.
bool holds_none(json::raw arguments) {
  auto plain = plain_arguments(arguments.text);
  return ascii::trim(plain).empty() || (plain.starts_with('{') && ascii::trim(plain.substr(1)) == "}");
}

/// Arguments may stand under two names: what says nothing gives way, and what differs contradicts.
void note_arguments(json::raw value, call_part& part) {
  auto& kept = part.arguments;
  if (kept.text.empty() || value.text == kept.text || holds_none(value))
    kept = kept.text.empty() ? value : kept;
  else if (holds_none(kept))
    kept = value;
  else
    part.contradicts = part.contradicts || !is_same_json(plain_arguments(kept.text), plain_arguments(value.text));
}

bool says_something(json::raw value) {
  return value.has_text() || (!value.text.empty() && !value.is_string() && value.text != "null");
}

/// What says something stays.
void note_member(json::raw value, json::raw& kept) {
  if (kept.text.empty() || says_something(value))
    kept = value;
}

/// A member around name and arguments, or the name alone.
void note_inside(json::raw value, bool is_free, call_part& part) {
  json::reader in{value};
  if (in.members([&](std::string_view name) { take_member_of_call(name, in, part); })) {
    part.is_wrapped = true;
    part.takes_text = part.takes_text || is_free;
  } else if (value.is_string() && !is_free && part.name.text.empty()) {
    part.name = value;
  }
}

bool says_no_calls(json::raw list) {
  static constexpr auto words = std::to_array<std::string_view>(
    {"", "null", "false", "[]", "{}", R"("")", R"("null")", R"("none")", R"("[]")", R"("{}")"});
  return std::find(words.begin(), words.end(), list.text) != words.end();
}

using call_taker = std::function<void(const call_part&)>;

bool each_in(json::raw list, const call_taker& take, int nested);

/// Calls that stand under their numbers or ids.
bool each_under_key(json::raw object, const call_taker& take, int nested) {
  auto is_clear = true;
  json::reader in{object};
  in.members([&](std::string_view name) {
    auto value = in.value();
    if (!value.is_object())
      return;
    std::string quoted;
    json::writer{quoted}.repaired(name);
    auto take_one = [&](const call_part& call) {
      auto part = call;
      auto is_number = !name.empty() && ascii::all(name, ascii::is_digit);
      if (auto& key = is_number ? part.index : part.id; key.text.empty() && (is_number || part.call_id.text.empty()))
        key = {quoted};
      take(part);
    };
    is_clear = each_in(value, take_one, nested + 1) && is_clear;
  });
  return is_clear;
}

bool each_in_object(json::raw object, const call_taker& take, int nested) {
  call_part part;
  auto is_call = false, holds_objects = false;
  json::reader in{object};
  in.members([&](std::string_view name) {
    if (take_call_member(name, in, part) || name == "type") {
      is_call = true;
    } else {
      auto value = in.value();
      holds_objects = value.is_object() || holds_objects;
      note_other(name, value, part);
    }
  });
  if (!is_call && holds_objects)
    return each_under_key(object, take, nested);
  take(part);
  return true;
}

bool each_in(json::raw list, const call_taker& take, int nested) {
  if (says_no_calls(list))
    return true;
  if (nested > max_nested)
    return false;
  if (list.is_object())
    return each_in_object(list, take, nested);
  if (list.is_string()) {
    std::string scratch;
    auto text = std::string{ascii::trim(string_in(list, scratch))};
    return json::reader{text}.finish() && each_in({text}, take, nested + 1);
  }
  auto is_clear = true;
  json::reader in{list};
  return in.elements([&] {
    auto element = in.value();
    is_clear = (element.text == "{}" ? take({}), true : each_in(element, take, nested + 1)) && is_clear;
  }) && is_clear;
}

} // namespace

json::raw call_part::own_id() const {
  return says_something(call_id) ? call_id : id;
}

bool call_part::is_blank() const {
  return !says_something(own_id()) && !says_something(name) && holds_none(arguments) && other.text.empty();
}

bool take_call_member(std::string_view name, json::reader& in, call_part& part) {
  auto* means = call_members.find(name);
  if (means == nullptr)
    return false;
  auto value = in.value();
  switch (*means) {
    case call_member::index:
      return note_member(value, part.index), true;
    case call_member::id:
      return note_member(value, part.id), true;
    case call_member::call_id:
      return note_member(value, part.call_id), true;
    case call_member::name:
      return note_member(value, part.name), true;
    case call_member::arguments:
      return note_arguments(value, part), true;
    case call_member::pieces:
      return note_member(value, part.pieces), true;
    case call_member::goes_on:
      return note_member(value, part.goes_on), true;
    case call_member::wrapper:
    case call_member::free_wrapper:
      return note_inside(value, *means == call_member::free_wrapper, part), true;
  }
  return true;
}

bool take_member_of_call(std::string_view name, json::reader& in, call_part& part) {
  if (take_call_member(name, in, part))
    return true;
  note_other(name, in.value(), part);
  return false;
}

// What may be arguments stays, besides what vendors add to calls.
void note_other(std::string_view name, json::raw value, call_part& part) {
  static constexpr auto additions = std::to_array<std::string_view>(
    {"extra_content", "provider_specific_fields", "caller", "cache_control", "metadata"});
  auto is_object = value.is_object() ? value.text.size() > 2
                                     : value.between_quotes().starts_with('{') && value.between_quotes().size() > 2;
  if (is_object && part.other.text.empty() && std::find(additions.begin(), additions.end(), name) == additions.end())
    part.other = value;
}

bool is_call_type(std::string_view type) {
  return std::find(call_types.begin(), call_types.end(), type) != call_types.end();
}

std::string_view id_in(json::raw raw, std::string& scratch) {
  auto is_number = !raw.text.empty() && (ascii::is_digit(raw.text.front()) || raw.text.front() == '-');
  return is_number ? raw.text : string_in(raw, scratch);
}

std::string_view name_in(json::raw raw, std::string& scratch) {
  auto name = string_in(raw, scratch);
  return ascii::trim(name).empty() ? std::string_view{} : name;
}

bool each_call(json::raw list, const std::function<void(const call_part&)>& take) {
  return each_in(list, take, 0);
}

bool names_calls(std::string_view member) {
  return (member.starts_with('t') || member.starts_with('f'))
         && std::find(list_names.begin(), list_names.end(), member) != list_names.end();
}

bool each_call_elsewhere(json::raw message, std::initializer_list<std::string_view> own,
                         const std::function<void(const call_part&)>& take) {
  std::vector<json::raw> found;
  auto is_among = [](auto& names, std::string_view name) {
    return std::find(std::begin(names), std::end(names), name) != std::end(names);
  };
  json::reader in{message};
  in.members([&](std::string_view name) {
    auto value = in.value();
    auto inner = ascii::trim(value.between_quotes());
    auto may_be = value.is_object() || value.is_array() || inner.starts_with('{') || inner.starts_with('[');
    if (may_be && names_calls(name) && !is_among(own, name) && !says_no_calls(value))
      found.push_back(value);
  });
  auto is_same = [&](json::raw x) { return is_same_json(x.text, found.front().text); };
  return found.empty() || (std::all_of(found.begin() + 1, found.end(), is_same) && each_call(found.front(), take));
}

} // namespace modelforge::wire
