#pragma once

#include "wire/openai/field_reader.hpp"

#include <modelforge/messages/chat_request.hpp>

#include <string>
#include <string_view>
#include <utility>

namespace modelforge::wire::openai {

/// What requests of Chat Completions and of the Responses API have in common: the same members in other places.
class request_fields : protected field_reader {
protected:
  /// A tool's definition, but for its type.
  void read_tool_members(const field& place) {
    tool_definition tool;
    required_text(place["name"], tool.name);
    text(place["description"], tool.description);
    object_text(place["parameters"], tool.parameters);
    flag(place["strict"], tool.strict);
    request_.tools.push_back(std::move(tool));
  }

  /// Whether and how a tool is to be called, where no tool is named.
  void read_tool_mode(const field& place) {
    auto& choice = request_.tool_choice;
    std::string word = "auto";
    text(place, word);
    if (word == "auto")
      choice.mode = tool_mode::automatic;
    else if (word == "none" || word == "required")
      from_string(word, choice.mode);
    else
      wrong(place, "is none of auto, none, required");
  }

  /// The form of the answer. Returns whether a schema is to follow.
  bool read_format_kind(const field& place) {
    std::string type;
    required_text(place["type"], type);
    auto& format = request_.response_format;
    if (!from_string(type, format.kind))
      wrong(place["type"], "is none of text, json_object, json_schema");
    return format.kind == response_kind::json_schema;
  }

  void read_schema(const field& place) {
    auto& format = request_.response_format;
    required_text(place["name"], format.name);
    object_text(place["schema"], format.schema);
    if (format.schema.empty())
      wrong(place["schema"], "is missing");
    format.strict = false; // the formats' default
    flag(place["strict"], format.strict);
  }

  /// What a tool answered. Its parts are joined: no provider tells them apart.
  void read_result_text(const field& place, std::string& result) {
    if (!place.value.is_array())
      return required_text(place, result);
    each(place, [&](const field& part) {
      std::string piece;
      only(part, {"type", "text"});
      required_text(part["text"], piece);
      result += piece;
    });
  }

  chat_request request_;
};

} // namespace modelforge::wire::openai
