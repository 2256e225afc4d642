#pragma once

#include "base/name_table.hpp"
#include "json/lexer.hpp"
#include "json/value.hpp"

#include <bitset>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>

/// Reading JSON without a tree: only what is asked for, the rest is checked and skipped.

namespace modelforge::json {

/// A value as it stands in a text that was found to be JSON. Empty: there is none.
struct raw {
  std::string_view text; ///< Without white space around it.

  bool is_object() const { return text.starts_with('{'); }
  bool is_array() const { return text.starts_with('['); }
  bool is_string() const { return text.starts_with('"'); }

  /// Whether it is a string that is not empty.
  bool has_text() const { return is_string() && text.size() > 2; }

  /// Returns what stands between the quotes of a string, escapes as they are; nothing for all else.
  std::string_view between_quotes() const { return is_string() ? text.substr(1, text.size() - 2) : std::string_view{}; }
};

/// Returns the text of a string, nothing for all else: a view of `raw`, or of `scratch` where escapes had to be
/// decoded.
std::string_view string_in(raw raw, std::string& scratch);

/// As above, of a text that comes in parts which may cut a character in two, each half an escape of its own. `half` is
/// what the part before ended in, the first half's code unit (0: none), and is set to what this one ends in. A half
/// whose other half does not follow reads as U+FFFD; at the end of all that is the caller's to say.
std::string_view string_in(raw raw, std::string& scratch, uint32_t& half);

/// Returns a text in which NaN and infinity, which JSON does not have but others write as numbers, are null; nothing
/// where it holds none.
std::optional<std::string> without_odd_numbers(std::string_view text);

/// Where a text of JSON stands, cut anywhere.
struct string_state {
  bool in_string = false;
  bool is_escaped = false; ///< By a backslash right before.
};

/// Returns a text in which control characters within strings are escapes, as JSON demands and some servers and models
/// forget; nothing where it holds none. A zero byte is left: it is no character of anybody's text, but damage. `state`:
/// where the text begins, and then where it ends.
std::optional<std::string> with_escaped_controls(std::string_view text, string_state& state);
std::optional<std::string> with_escaped_controls(std::string_view text);

/// As `count_in` of the tree.
std::optional<uint64_t> count_in(raw raw);

/// A member of an object that is looked for, and where its value goes.
struct field {
  std::string_view name;
  raw* value;
};

/// Walks through one JSON text, on demand. JSON's grammar stands here alone: `parse` builds its tree by `walk`, and
/// what a consumer leaves is skipped by it. What was not walked through is only checked by `finish`.
class reader {
public:
  explicit reader(std::string_view text) : in_(text) {}

  /// What is left of a value that was gone through is not checked again.
  explicit reader(raw raw) : in_(raw.text, true) {}

  /// Calls `f(name)` for each member of the object that comes now; `f` may take the member's value by any function of
  /// this class. Names that repeat come repeatedly: let the last one count. False, and nothing is taken, where there is
  /// no object.
  template <class F>
  bool members(F&& f) {
    if (!open('{'))
      return false;
    std::string_view name;
    for (std::string escaped; next_member(name, escaped); skip())
      f(name);
    return true;
  }

  /// As `members`, and returns the whole object, which is gone through once. What is no object is taken as by `value`,
  /// without a call of `f`.
  template <class F>
  raw object(F&& f) {
    in_.skip_space();
    auto* first = in_.position();
    if (!members(f))
      return value();
    return in_.failed() ? raw{} : raw{{first, static_cast<std::size_t>(in_.position() - first)}};
  }

  /// Takes these members of the object that comes now; of names that repeat the last one counts. Calls `other(name)`
  /// for each of another name, and `other` may take its value. False as in `members`.
  template <class F>
  bool fields(std::initializer_list<field> wanted, F&& other) {
    return members([&](std::string_view name) {
      for (auto& each : wanted)
        if (each.name == name) {
          *each.value = value();
          return;
        }
      other(name);
    });
  }

  /// The same with a table of names, which is quicker where there are many: of `to` these parts take the values.
  template <class Object, std::size_t N, class F>
  bool fields(const name_table<raw Object::*, N>& wanted, Object& to, F&& other) {
    return members([&](std::string_view name) {
      if (auto* part = wanted.find(name))
        to.** part = value();
      else
        other(name);
    });
  }

  template <class Object, std::size_t N>
  bool fields(const name_table<raw Object::*, N>& wanted, Object& to) {
    return fields(wanted, to, [](std::string_view) {});
  }

  /// As the first one, and leaves all others.
  bool fields(std::initializer_list<field> wanted) {
    return fields(wanted, [](std::string_view) {});
  }

  /// Calls `f()` for each element of the array that comes now; `f` may take it. False, and nothing is taken, where
  /// there is no array.
  template <class F>
  bool elements(F&& f) {
    if (!open('['))
      return false;
    for (; next_element(); skip())
      f();
    return true;
  }

  /// Takes the value that comes now, whatever it is.
  raw value();

  /// Takes the value that comes now with all that is in it, without recursion, and hands its parts to a sink:
  /// `open(lexer&, is_object)` at an opening bracket, `close()` at a closing one, `name(lexer&)` and `scalar(lexer&)`
  /// to take a member's name and a value that holds no others. These return false to stop, all but `close`.
  template <class Sink>
  bool walk(Sink& sink);

  /// Checks the rest. Returns whether the whole text is one JSON value.
  bool finish();

  /// What is wrong and at which byte; empty when nothing is.
  const std::string& problem() const { return in_.problem(); }

private:
  bool open(char bracket);
  bool next_member(std::string_view& name, std::string& escaped);
  bool next_element() { return next(']') && (waiting_ = true); }

  /// Steps to the next item of the innermost object or array, or out of it.
  bool next(char closing);

  /// Takes a name by `take(lexer&)`, and the colon behind it.
  template <class F>
  bool take_name(F&& take) {
    if (in_.skip_space() != '"')
      return in_.fail_or_end("no name of a member");
    if (!take(in_))
      return false;
    if (in_.skip_space() != ':')
      return in_.fail_or_end("no colon after a name");
    in_.step();
    return true;
  }

  void skip() {
    if (waiting_)
      (void)value();
  }

  lexer in_;
  std::size_t depth_ = 0; ///< Of objects and arrays that we are inside of.
  bool waiting_ = true;   ///< The value that comes now was not taken.
  bool fresh_ = false;    ///< The innermost object or array has had no item yet.
};

template <class Sink>
bool reader::walk(Sink& sink) {
  std::bitset<max_depth> is_object; // those that are open, by depth
  auto outside = depth_;
  waiting_ = false;
  do {
    if (auto c = in_.skip_space(); c == '{' || c == '[') {
      if (depth_ < max_depth)
        is_object[depth_] = c == '{';
      waiting_ = true;
      if (!sink.open(in_, c == '{') || !open(c))
        return false;
    } else if (!sink.scalar(in_)) {
      return false;
    }
    while (depth_ > outside) {
      auto in_object = is_object[depth_ - 1];
      if (next(in_object ? '}' : ']')) {
        if (in_object && !take_name([&](lexer& in) { return sink.name(in); }))
          return false;
        break;
      }
      if (in_.failed())
        return false;
      sink.close();
    }
  } while (depth_ > outside);
  return true;
}

/// Reads these members of an object; false where there is none.
inline bool read_fields(raw object, std::initializer_list<field> wanted) {
  reader in{object};
  return in.fields(wanted);
}

} // namespace modelforge::json
