#pragma once

#include "wire/json.hpp"

#include <string>
#include <string_view>

/// Errors that stand beside an answer, in members that no dialect has.

namespace modelforge::wire {

/// The members of an answer's object by which servers and gateways tell of an error without an `error`.
struct error_marks {
  json::raw errors, detail, success, code, status;

  /// Takes the member that comes now, if it is one of these.
  void take(std::string_view name, json::reader& in);

  /// Whether one of them has words, which may be no more than a remark.
  bool have_words() const;

  /// Whether one of them says that it failed: `"success": false`, a code or a status of 400 to 599, `"status":
  /// "error"`.
  bool say_failed() const;
};

/// Makes an error's usual object (`{"error": {...}}`) of what these members, and the messages that come with them, say.
json::value error_beside(const json::value& answer);

/// The warning of an answer that came with an error which says no more than these words.
std::string beside_warning(std::string_view words);

} // namespace modelforge::wire
