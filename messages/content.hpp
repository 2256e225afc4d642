#pragma once

#include <modelforge/messages/enums.hpp>

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

/// What a conversation consists of: messages, each with a role and parts.
///
/// Parts are what the dialects have in common. One that a provider cannot take is refused before it is sent, naming the
/// part. Answers come back as the same parts, so that a conversation goes on by appending (`turn_of`).

namespace modelforge {

/// Who says a message. `system` and `developer` are instructions, wherever they stand among the messages; providers
/// that take instructions in a place of their own get them there. `tool` has results of tools only.
enum class role : uint8_t { system, developer, user, assistant, tool };

template <>
inline constexpr auto enum_names<role> = std::to_array<std::string_view>({"system", "developer", "user", "assistant",
                                                                          "tool"});

/// Plain text, UTF-8.
struct text_part {
  std::string text;
  bool cache = false; ///< Marks the end of a prefix that is worth caching; providers without such marks ignore it.

  friend bool operator==(const text_part&, const text_part&) = default;
};

/// An image, either by `url` or by its bytes in `data`. Addresses are fetched by the provider, not by us; not every
/// provider does.
struct image_part {
  std::string url;        ///< http(s) address; empty when `data` is given.
  std::string media_type; ///< E.g. "image/png"; needed with `data`.
  std::string data;       ///< Base64 without line breaks.
  std::string detail;     ///< "low", "high", "auto"; empty: the provider decides.
  bool cache = false;     ///< As in `text_part`.

  friend bool operator==(const image_part&, const image_part&) = default;
};

/// A call of a tool that the model asks for. The arguments are the model's: they may break the tool's schema, or, cut
/// by a token limit, be no JSON at all.
struct tool_call {
  std::string id; ///< Unique within the conversation; the result names it.
  std::string name;
  std::string arguments;   ///< A JSON object, as text.
  std::string signature{}; ///< The provider's seal, as in `reasoning_part`; empty where it wants none back.

  friend bool operator==(const tool_call&, const tool_call&) = default;
};

/// What a tool answered; goes back with role `tool`.
struct tool_result {
  std::string call_id;
  std::string content; ///< Text; often JSON.
  bool is_error = false;
  bool cache = false; ///< As in `text_part`.

  friend bool operator==(const tool_result&, const tool_result&) = default;
};

/// What the model thought, kept apart from what it said; some providers want it back unchanged, ahead of what followed
/// it. Other providers than the one that sealed it leave it out.
struct reasoning_part {
  std::string text;
  std::string signature; ///< The provider's seal or encrypted form; opaque, but for its dialect's name and a colon.

  friend bool operator==(const reasoning_part&, const reasoning_part&) = default;
};

/// For who puts an answer together: thinking comes in pieces, and a seal ends a part. Returns the part of an answer's
/// thinking that is not sealed yet, a new one if need be.
inline reasoning_part& open_reasoning(std::vector<reasoning_part>& x) {
  return x.empty() || !x.back().signature.empty() ? x.emplace_back() : x.back();
}

/// The order of the types is part of the wire format, as that of fields is.
using content_part = std::variant<text_part, image_part, tool_call, tool_result, reasoning_part>;

/// One turn of a conversation. Several parts of text are one text for providers that take one only.
struct chat_message {
  modelforge::role role = role::user;
  /// At least one part, in the order in which the model gets them.
  std::vector<content_part> content;
  /// Providers without such names leave it out, with a warning.
  std::string name; ///< Optional name of the participant.

  friend bool operator==(const chat_message&, const chat_message&) = default;
};

/// Returns a message that is one piece of text.
inline chat_message text_message(role who, std::string text) {
  return {who, {text_part{std::move(text)}}, {}};
}

// What CAF sends: the fields in this order, without names. Whoever changes it raises `wire_version` (node_hello.hpp).
template <class Inspector>
bool inspect(Inspector& f, text_part& x) {
  return f.object(x).fields(f.field("text", x.text), f.field("cache", x.cache));
}

template <class Inspector>
bool inspect(Inspector& f, image_part& x) {
  return f.object(x).fields(f.field("url", x.url), f.field("media_type", x.media_type), f.field("data", x.data),
                            f.field("detail", x.detail), f.field("cache", x.cache));
}

template <class Inspector>
bool inspect(Inspector& f, tool_call& x) {
  return f.object(x).fields(f.field("id", x.id), f.field("name", x.name), f.field("arguments", x.arguments),
                            f.field("signature", x.signature));
}

template <class Inspector>
bool inspect(Inspector& f, tool_result& x) {
  return f.object(x).fields(f.field("call_id", x.call_id), f.field("content", x.content),
                            f.field("is_error", x.is_error), f.field("cache", x.cache));
}

template <class Inspector>
bool inspect(Inspector& f, reasoning_part& x) {
  return f.object(x).fields(f.field("text", x.text), f.field("signature", x.signature));
}

template <class Inspector>
bool inspect(Inspector& f, chat_message& x) {
  return f.object(x).fields(f.field("role", x.role), f.field("content", x.content), f.field("name", x.name));
}

} // namespace modelforge
