#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace modelforge::wire {

/// The arguments of one tool call, put together from what a server says of them.
///
/// They are one JSON object, which comes whole or cut anywhere. Servers also say it encoded as a string once more, as
/// "null" where there are no arguments, at the call's beginning and again in fragments, or with all that came before in
/// each fragment; models forget to escape line breaks and tabs in strings. Whatever the form, the object comes out
/// once, and what two forms contradict is told. What begins as an object is handed on as it comes; anything else is
/// held back until it is clear what it means.
class argument_text {
public:
  /// They are free text, no JSON: nothing of the above applies.
  void take_as_text() { takes_text_ = true; }

  /// Takes more of them, cut between characters. Returns what can be handed on now, nothing while it `waits`; valid
  /// until the next call.
  std::string_view add(std::string_view fragment, bool waits = false);

  /// Returns what was held back, in its plain form, if it is whole. More may follow.
  std::string_view settle();

  /// Ends them: `text` has its last form.
  void end();

  /// Whether nothing has come.
  bool is_empty() const { return text_.empty(); }

  /// Whether they are a whole value, which can only be repeated, or replaced where it holds nothing.
  bool is_whole() const { return is_whole_ || is_other_whole(); }

  /// Whether they are whole, but hold nothing that may not be a place for what comes.
  bool is_placeholder() const { return is_whole_ && told_ == 0 && holds_nothing(); }

  /// Whether two objects were told that differ. Known at the end.
  bool is_contradictory() const { return is_contradictory_; }

  const std::string& text() const { return text_; }

private:
  std::string_view hand_on();
  void scan(std::string_view fragment);
  void take_other();
  bool is_other_whole() const;
  void add_repeat(std::string_view fragment);
  bool holds_nothing() const;
  bool may_be_cumulative(std::string_view fragment) const;
  std::string escaped_controls(std::string_view fragment) const;

  std::string text_;          ///< What has come, repetitions left out.
  std::string repeat_;        ///< What came behind a whole value.
  std::string other_;         ///< What `text_` is if the fragments hold all that came before; empty: they do not.
  std::size_t told_ = 0;      ///< Bytes of `text_` that were handed on.
  std::size_t nesting_ = 0;   ///< Of the value at its present end.
  char first_ = 0, last_ = 0; ///< Its first and its latest byte outside of strings, but white space; 0: none.
  bool in_string_ = false, is_escaped_ = false;
  bool takes_text_ = false, is_whole_ = false, is_contradictory_ = false;
};

/// Returns arguments in their plain form: the object that a string holds, however often it was encoded, and an empty
/// one for null; anything else as it is, but for control characters that JSON wants escaped.
std::string plain_arguments(std::string_view text);

/// Whether two texts are JSON and the same, whatever the order of members.
bool is_same_json(std::string_view left, std::string_view right);

/// Returns a JSON text of several lines without white space between its values. Nothing else changes, neither numbers
/// nor escapes.
std::string on_one_line(std::string_view json);

} // namespace modelforge::wire
