#pragma once

#include "wire/request_writer.hpp"

#include <cstddef>
#include <string_view>

namespace modelforge::wire {

/// What writing a conversation has in common, whichever the provider: it walks through messages, their parts and the
/// tools, keeps where it is for the names of fields, and refuses what a role cannot say. Dialects derive from it and
/// write what is theirs: a message, a part, a tool.
class conversation_writer : protected request_writer {
protected:
  conversation_writer(std::string_view provider, const chat_request& request, bool stream)
    : request_writer(provider, request, stream) {}
  ~conversation_writer() = default;

  static bool is_system(const chat_message& message) {
    return message.role == role::system || message.role == role::developer;
  }

  // -- walking -----------------------------------------------------------------------

  /// Calls `f(message)` for each message from `first` to `end` on, until something cannot be sent. `f` may step on.
  template <class F>
  void each_message(std::size_t first, std::size_t end, F&& f) {
    list_ = "messages";
    for (item_ = first; item_ < end && !failed(); ++item_)
      f(request_.messages[item_]);
    list_ = nullptr;
  }

  /// Calls `f(part)` for each part of a message, with its own type, until something cannot be sent.
  template <class F>
  void each_part(const chat_message& message, F&& f) {
    for (part_ = 0; part_ < message.content.size() && !failed(); ++part_)
      std::visit(f, message.content[part_]);
    part_ = none;
  }

  /// Calls `f(part)` for each part of that type.
  template <class T, class F>
  void each_of(const chat_message& message, F&& f) {
    for (part_ = 0; part_ < message.content.size(); ++part_)
      if (auto* part = std::get_if<T>(&message.content[part_]))
        f(*part);
    part_ = none;
  }

  /// Calls `f(result)` for each result in a message of the role tool, which has nothing else.
  template <class F>
  void each_result(const chat_message& message, F&& f) {
    each_part(message, [&]<class T>(const T& part) {
      if constexpr (std::is_same_v<T, tool_result>)
        f(part);
      else
        fail("", "is no tool's result, and the role tool has nothing else");
    });
  }

  // -- writing -----------------------------------------------------------------------

  /// Writes the messages from `first` on as a list of that name, each by `write(message)`.
  template <class F>
  void write_messages(std::string_view name, F&& write, std::size_t first = 0) {
    if (!begin(name))
      return;
    if (request_.messages.empty())
      return fail("messages", "is empty");
    out_.open('[');
    each_message(first, request_.messages.size(), write);
    out_.close(']');
  }

  /// Writes the messages without system prompts, for providers that have another place for these.
  template <class F>
  void write_turns(std::string_view name, F&& write) {
    if (!begin(name))
      return;
    out_.open('[');
    auto written = result_.body.size();
    each_message(0, request_.messages.size(), [&](const chat_message& message) {
      if (!is_system(message))
        write(message);
    });
    if (result_.body.size() == written)
      fail("messages", request_.messages.empty() ? "is empty" : "has nothing but system prompts");
    out_.close(']');
  }

  /// Calls `write_parts(message)` for the present message of a turn, and for what belongs to that: all results of tools
  /// that come one behind the other.
  template <class F>
  void with_further_results(const chat_message& message, F&& write_parts) {
    write_parts(message);
    if (message.role == role::tool)
      while (item_ + 1 < request_.messages.size() && request_.messages[item_ + 1].role == role::tool)
        write_parts(request_.messages[++item_]);
  }

  bool has_system_prompts() const { return std::any_of(request_.messages.begin(), request_.messages.end(), is_system); }

  /// Calls `write(message)` for each system prompt; those behind other messages come with a warning, which ends in
  /// `moved`.
  template <class F>
  void each_system_prompt(std::string_view moved, F&& write) {
    auto in_front = true;
    list_ = "messages";
    for (item_ = 0; item_ < request_.messages.size(); ++item_) {
      auto& message = request_.messages[item_];
      in_front = in_front && is_system(message);
      if (!is_system(message))
        continue;
      if (!in_front)
        warn(place() + "role: " + std::string{moved});
      write(message);
    }
    list_ = nullptr;
  }

  /// Writes the tools, if there are any, each by `write(tool)`.
  template <class F>
  void write_tool_list(F&& write) {
    out_.open('[');
    list_ = "tools";
    for (item_ = 0; item_ < request_.tools.size(); ++item_)
      write(request_.tools[item_]);
    list_ = nullptr;
    out_.close(']');
  }

  // -- checks ------------------------------------------------------------------------

  /// Whether a role may say a part of this kind; else that is what is wrong.
  bool may_say(role who, const text_part&);
  bool may_say(role who, const image_part&);
  bool may_say(role who, const tool_call&);
  bool may_say(role who, const tool_result&);
  bool may_say(role who, const reasoning_part&);

  /// Refuses what a message's role cannot say, but for reasoning, which some providers just do without.
  void check_parts(const chat_message& message);

  /// Whether an image says where it is, or what it is.
  bool check_source(const image_part& part);

  /// Refuses an empty text that the provider needs.
  void require(std::string_view value, std::string_view field) {
    if (value.empty())
      fail(field, "is empty");
  }

  /// Warns that a message's name is left out. `who` knows no names of participants.
  void leave_out_name(const chat_message& message, std::string_view who);

  /// Refuses a message without content.
  bool check_content(const chat_message& message) {
    if (message.content.empty())
      fail("content", "is empty");
    return !message.content.empty();
  }

  // -- what several dialects have in common ------------------------------------------

  /// Writes where an image is, or the image itself, as a URL.
  void image_url(const image_part& part);

  /// Finds the call in an earlier message that a result in the present one answers; null where there is none.
  const tool_call* call_of(std::string_view id) const;
};

/// The provider's own part of a signature (see `reasoning_part`) that the dialect of that name gave; else empty.
inline std::string_view unsealed(std::string_view signature, std::string_view dialect) {
  auto fits = signature.size() > dialect.size() && signature[dialect.size()] == ':' && signature.starts_with(dialect);
  return fits ? signature.substr(dialect.size() + 1) : std::string_view{};
}

/// How many parts of that kind a message holds.
template <class T>
std::size_t count_of(const chat_message& message) {
  return static_cast<std::size_t>(std::count_if(message.content.begin(), message.content.end(),
                                                [](auto& part) { return std::holds_alternative<T>(part); }));
}

} // namespace modelforge::wire
