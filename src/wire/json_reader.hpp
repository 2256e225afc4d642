#pragma once

#include "wire/json.hpp"
#include "wire/json_lexer.hpp"

#include <bitset>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

/// Reading JSON without a tree: only what is asked for, the rest is checked and skipped.

namespace modelforge::wire {

/// A value as it stands in a text that was found to be JSON. Empty: there is none.
struct raw_json {
  std::string_view text; ///< Without white space around it.

  bool is_object() const { return text.starts_with('{'); }
  bool is_array() const { return text.starts_with('['); }
  bool is_string() const { return text.starts_with('"'); }
};

/// Returns the text of a string, nothing for all else: a view of `x`, or of `scratch` where escapes had to be decoded.
std::string_view string_in(raw_json x, std::string& scratch);

/// As `count_in` of the tree.
std::optional<uint64_t> count_in(raw_json x);

/// Walks through one JSON text, on demand. It takes and refuses what `parse_json` does, but for the number of values;
/// what was not walked through is only checked by `finish`.
class json_reader {
public:
  explicit json_reader(std::string_view text) : in_(text) {}
  explicit json_reader(raw_json x) : in_(x.text) {}

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
  raw_json value();

  /// Checks the rest. Returns whether the whole text is one JSON value.
  bool finish();

  /// What is wrong and at which byte; empty when nothing is.
  const std::string& problem() const { return in_.problem(); }

private:
  bool open(char bracket);
  bool next_member(std::string_view& name, std::string& escaped);
  bool next_element();

  /// Steps to the next item of the innermost object or array, or out of it.
  bool next(char closing);

  bool take_name(std::string_view& name, std::string& escaped);
  bool take_single();
  bool take_nested();
  void skip() {
    if (waiting_)
      (void)value();
  }

  json_lexer in_;
  std::size_t depth_ = 0; ///< Of objects and arrays that we are inside of.
  bool waiting_ = true;   ///< The value that comes now was not taken.
  bool fresh_ = false;    ///< The innermost object or array has had no item yet.
};

} // namespace modelforge::wire
