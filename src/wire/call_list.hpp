#pragma once

#include "wire/argument_text.hpp"
#include "wire/call_part.hpp"
#include "wire/json.hpp"
#include "wire/stream.hpp"

#include <modelforge/messages/content.hpp>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace modelforge::wire {

/// A call, and how its arguments are to be judged.
struct called_tool {
  tool_call call;
  bool takes_text = false;  ///< Its input is free text, no JSON ("custom" tools).
  bool contradicts = false; ///< Its arguments were told twice, and differ.
  std::string other{};      ///< What may be its arguments, where it has none.
};

/// The tool calls of one answer, in the order in which they began, put together from what is said of them and handed
/// on as it becomes known. Which call a word belongs to is the dialect's to know.
///
/// The sink is told of a call when its arguments begin, when a later call is told, or when it is `settle`d: until then
/// its name may still come in pieces. So it counts the calls from 0, without gaps.
class call_list {
public:
  std::size_t size() const { return calls_.size(); }

  /// Bytes that are kept.
  std::size_t bytes() const { return bytes_; }

  /// How many there are but for the last ones of which nothing is known, except for an id: some servers begin one that
  /// never comes.
  std::size_t known() const;

  /// What comes now stands in another object than the calls so far.
  void begin_object() { earlier_ = static_cast<uint32_t>(calls_.size()); }

  /// Whether a whole call is one of an earlier object, told again: it has the same id, name and arguments.
  bool is_again(const call_part& part) const;

  /// Whether a part says nothing but what is known of one of them: some servers tell calls in several forms.
  bool has(const call_part& part) const;

  /// Begins a call of which nothing is known yet; returns its place.
  std::size_t begin();

  /// Begins one of which that is known; its arguments are left for `add`. `scratch` is for texts with escapes.
  std::size_t begin(const call_part& part, std::string& scratch);

  /// A call was told of which there is nothing at all. It has no place, and comes last when they are handed out.
  void note_blank() { has_blank_ = true; }

  /// What is known of a call. Its arguments stand in `arguments`, not in the call.
  struct entry {
    tool_call call;
    argument_text arguments;
    uint32_t half = 0; ///< Of a character of the arguments that a fragment was cut in, as `json::string_in` has it.
    bool takes_text = false;
    bool is_told = false; ///< The sink knows of it; its id and name stay.
    bool contradicts = false;
    std::string other{}; ///< See `call_part`.
  };

  const entry& operator[](std::size_t place) const { return calls_[place]; }

  void set_id(std::size_t place, std::string_view id);
  void set_name(std::size_t place, std::string name);
  void set_signature(std::size_t place, std::string signature);
  void take_as_text(std::size_t place);

  /// Keeps what a part of a call says of it besides id, name and arguments.
  void note(std::size_t place, const call_part& part);

  /// Takes more of a call's arguments: a fragment in a string, or a whole object. Null says nothing. `id_source` helps
  /// to name calls without ids, `scratch` is for texts with escapes. These functions return how many pieces were
  /// handed on.
  uint64_t add(std::size_t place, json::raw arguments, std::string_view id_source, std::string& scratch,
               piece_sink& sink);

  /// Tells the sink of the calls up to this one.
  uint64_t tell(std::size_t place, std::string_view id_source, piece_sink& sink);

  /// Hands on what was held back of a call.
  uint64_t settle(std::size_t place, std::string_view id_source, piece_sink& sink);

  /// The answer seems to have ended: hands on what was held back of all calls. More may follow.
  uint64_t settle_all(std::string_view id_source, piece_sink& sink);

  /// Says that a call has no arguments, where none came.
  uint64_t say_none(std::size_t place, std::string_view id_source, piece_sink& sink);

  /// Hands out the calls, those without a name, too; the list is spent afterwards.
  std::vector<called_tool> finish();

private:
  uint64_t hand_on(std::size_t place, std::string_view text, std::string_view id_source, piece_sink& sink);
  bool is_named_before(std::size_t place) const;

  std::vector<entry> calls_;
  std::size_t bytes_ = 0;
  std::size_t told_ = 0; ///< How many of the first ones the sink knows of.
  uint32_t earlier_ = 0; ///< How many of the first ones stand in earlier objects.
  bool has_blank_ = false;
};

} // namespace modelforge::wire
