#include "wire/openai/calls.hpp"

#include "base/ascii.hpp"
#include "wire/forms.hpp"

#include <utility>

namespace modelforge::wire::openai {

bool call_joiner::add(const call_part& part, std::string_view answer_id, std::string& scratch, piece_sink& sink,
                      uint64_t& pieces) {
  clue clue;
  clue.index = place_in(part.index);
  clue.id = id_in(part.own_id(), scratch);
  clue.name = name_in(part.name, scratch);
  auto arguments = part.arguments.is_string() ? string_in(part.arguments, scratch) : part.arguments.text;
  clue.has_arguments =
    part.arguments.has_text() || (!part.arguments.is_string() && !arguments.empty() && arguments != "null");
  clue.is_blank = ascii::trim(arguments).empty();
  clue.begins_object = ascii::trim_front(arguments).starts_with('{');
  if (clue.id.empty() && clue.name.empty() && !clue.has_arguments) { // it says nothing, that we know
    if (!part.other.text.empty()) {
      auto last = last_at(clue.index);
      calls_.note(last ? *last : begin(clue), part);
    }
    return true;
  }
  auto found = place_of(clue);
  if (!found)
    return false;
  auto& call = calls_[*found];
  calls_.note(*found, part);
  origins_[*found].has_id = origins_[*found].has_id || !clue.id.empty();
  if (call.call.id.empty() && !call.is_told)
    calls_.set_id(*found, clue.id);
  pieces += calls_.add(*found, part.arguments, answer_id, scratch, sink);
  return true;
}

bool call_joiner::is_doubtful() const {
  for (std::size_t i = 0; i < origins_.size(); ++i) {
    if (origins_[i].may_lack && is_untouched(i))
      return true;
    if (auto other = origins_[i].resembles)
      if (auto& one = calls_[i], &same = calls_[*other];
          one.call.name == same.call.name && one.arguments.text() == same.arguments.text())
        return true;
  }
  return false;
}

// -- which call ------------------------------------------------------------------------

call_joiner::place call_joiner::place_of(const clue& part) {
  if (auto known = last_of(part.id, part.index))
    return by_id(part, *known);
  if (!part.id.empty())
    return by_new_id(part);
  return part.name.empty() ? by_index(part) : by_name(part);
}

/// A part with the id of a call. Some servers give all calls one id: then names, or whole arguments, tell them apart.
call_joiner::place call_joiner::by_id(const clue& part, std::size_t call) {
  auto is_elsewhere = part.index && origins_[call].index && part.index != origins_[call].index;
  if (part.name.empty() || has_name(call, part.name) || has_name(call, "")) {
    if (is_whole(call) && part.has_arguments && !part.name.empty() && is_elsewhere)
      return begin(part, call);
    if (has_name(call, ""))
      add_name(call, part.name);
    return call;
  }
  if (is_whole(call) || is_elsewhere)
    return begin(part);
  if (is_cut(call) || calls_[call].is_told)
    return {};
  add_name(call, part.name);
  return call;
}

/// A part with an id that was not heard before: a new call, unless the server makes up an id for each part.
call_joiner::place call_joiner::by_new_id(const clue& part) {
  auto here = part.index ? last_at(part.index) : place{};
  if (!here)
    return begin(part);
  auto is_first = calls_[*here].call.id.empty(); // the call had none yet
  if (part.name.empty())
    return is_first || !is_whole(*here) || part.has_arguments ? *here : begin(part);
  if (is_first && !is_whole(*here) && (has_name(*here, "") || has_name(*here, part.name))) {
    if (has_name(*here, ""))
      add_name(*here, part.name);
    return *here;
  }
  if (!has_name(*here, part.name) || is_whole(*here) || !part.has_arguments)
    return begin(part);
  if (is_untouched(*here))
    return {}; // arguments of this call, or of a second one?
  return part.begins_object ? begin(part) : *here;
}

/// A part with a name and no id: a new call, unless the name goes on with one, or is repeated.
call_joiner::place call_joiner::by_name(const clue& part) {
  auto here = last_at(part.index);
  if (!here) { // each part has another index, and the name again
    auto last = origins_.empty() ? place{} : place{origins_.size() - 1};
    if (!last || !has_name(*last, part.name) || is_whole(*last) || !part.has_arguments)
      return begin(part);
    return origins_[*last].has_id || (is_cut(*last) && !part.begins_object) ? *last : begin(part);
  }
  if (has_name(*here, "")) {
    add_name(*here, part.name);
    return *here;
  }
  if (origins_[*here].chunk == chunk_)
    return begin(part);
  auto is_again = has_name(*here, part.name);
  if (is_again && origins_[*here].has_id)
    return here; // a new call would have an id, too
  if (is_whole(*here))
    return is_again && !part.has_arguments ? *here : begin(part, is_again ? here : place{});
  if (is_again)
    return is_cut(*here) || part.index ? here : place{};
  if (is_cut(*here) || calls_[*here].is_told || !origins_[*here].has_id)
    return {}; // a call without arguments and another one, or a name in two pieces?
  add_name(*here, part.name);
  return *here;
}

/// A part with neither id nor name goes on with a call.
call_joiner::place call_joiner::by_index(const clue& part) {
  if (origins_.empty())
    return begin(part); // perhaps its name follows
  if (!part.index)
    return latest({}, part);
  if (!last_at(part.index)) {
    auto open = only_open();
    auto is_repeat = !open && is_whole(origins_.size() - 1);
    return is_repeat ? place{origins_.size() - 1} : open;
  }
  auto found = latest(part.index, part);
  if (found && is_whole(*found) && !part.is_blank) // said again; or another call's, if that never gets its own
    for (std::size_t i = 0; i < origins_.size(); ++i)
      origins_[i].may_lack = origins_[i].may_lack || is_untouched(i);
  return found;
}

/// The call whose arguments are not whole, where there is but one.
call_joiner::place call_joiner::only_open() const {
  place found;
  for (std::size_t i = 0; i < origins_.size(); ++i)
    if (!is_whole(i)) {
      if (found)
        return {};
      found = i;
    }
  return found;
}

/// The latest call with that index, or of all where there is none, if those before it can take nothing more. They can
/// where the server counts, and where both were begun at once.
call_joiner::place call_joiner::latest(const std::optional<int64_t>& index, const clue& part) const {
  auto last = index ? last_at(index) : place{origins_.size() - 1};
  for (std::size_t i = 0; last && i < *last; ++i) {
    auto &one = origins_[i], &other = origins_[*last];
    if ((index && one.index != index) || is_whole(i))
      continue;
    auto are_counted = one.index && other.index && one.index != other.index;
    if (are_counted || one.chunk == other.chunk || is_cut(i) || (is_whole(*last) && !part.is_blank))
      return {};
  }
  return last;
}

// -- the calls -------------------------------------------------------------------------

std::size_t call_joiner::begin(const clue& part, place resembles) {
  origins_.push_back({part.index, chunk_, resembles, false, false});
  auto call = calls_.begin();
  calls_.set_id(call, part.id);
  calls_.set_name(call, part.name);
  return call;
}

/// Without an index: the latest of all.
call_joiner::place call_joiner::last_at(const std::optional<int64_t>& index) const {
  for (auto i = origins_.size(); i-- > 0;)
    if (!index || origins_[i].index == index)
      return i;
  return {};
}

/// The latest call with that id; of several one with that index, too.
call_joiner::place call_joiner::last_of(std::string_view id, const std::optional<int64_t>& index) const {
  place found;
  for (auto i = origins_.size(); i-- > 0 && !id.empty();)
    if (calls_[i].call.id == id) {
      if (origins_[i].index == index)
        return i;
      found = found ? found : place{i};
    }
  return found;
}

/// Some servers send the name in pieces, others all of it so far.
void call_joiner::add_name(std::size_t call, const std::string& piece) {
  auto& name = calls_[call].call.name;
  calls_.set_name(call, piece.starts_with(name) ? piece : name + piece);
}

} // namespace modelforge::wire::openai
