#pragma once

#include "wire/json.hpp"

#include <functional>
#include <initializer_list>
#include <string>
#include <string_view>

/// What an answer says of a tool call, whichever the dialect.

namespace modelforge::wire {

/// A tool call, or a part of one, as views of the text that it was read from.
///
/// Each dialect has names of its own for what a call has, and servers mix them up. So all names are known in all
/// dialects, and the object around name and arguments (`function`, `functionCall`) may be there or not.
struct call_part {
  json::raw index, id, name;
  json::raw call_id;         ///< Where an item has an id of its own besides that of the call it holds.
  json::raw arguments;       ///< In any form that `argument_text` knows.
  json::raw pieces, goes_on; ///< Gemini's `partialArgs` and `willContinue`.
  json::raw other;           ///< An object under a name that is not known: these may be its arguments.
  bool takes_text = false;   ///< Its tool takes free text.
  bool contradicts = false;  ///< Its arguments stand under two names, and differ.
  bool is_wrapped = false;   ///< It stands in a member that holds nothing but calls.

  /// The id that results are to name.
  json::raw own_id() const;

  /// Whether it has neither name nor arguments, nor an id, nor anything that may be these.
  bool is_blank() const;
};

/// Takes the member that comes now, if calls have one of that name.
bool take_call_member(std::string_view name, json::reader& in, call_part& part);

/// Takes the member that comes now, whatever it is; what calls do not have is kept as `other`, if need be. Returns
/// whether they have one of that name.
bool take_member_of_call(std::string_view name, json::reader& in, call_part& part);

/// Keeps the value of a member that calls do not have as `other`, if need be.
void note_other(std::string_view name, json::raw value, call_part& part);

/// Whether a part of a message, or an item, of that type is a call of a tool of ours, in any dialect. The tools that
/// providers run themselves have other types.
bool is_call_type(std::string_view type);

/// Returns an id: a text, or a number as it is written; nothing for all else. As `string_in`.
std::string_view id_in(json::raw raw, std::string& scratch);

/// Returns a tool's name; nothing where it is blank. As `string_in`.
std::string_view name_in(json::raw raw, std::string& scratch);

/// Calls `take` for each call where a list of them is usual: a list, one call alone, an object with a call under each
/// number or id, or JSON text of one of these. Returns false where something else stands in a call's place, so that it
/// cannot be told what is called. `take` uses the part at once.
bool each_call(json::raw list, const std::function<void(const call_part&)>& take);

/// Whether a member of a message is one in which other dialects, or models, have calls (`tool_call`, `functionCalls`,
/// ...).
bool names_calls(std::string_view member);

/// The same as `each_call` for the calls in such members of a message, but for `own` ones. False as well where several
/// of these differ.
bool each_call_elsewhere(json::raw message, std::initializer_list<std::string_view> own,
                         const std::function<void(const call_part&)>& take);

} // namespace modelforge::wire
