#include "wire/openai/calls.hpp"

#include <algorithm>
#include <iterator>

namespace modelforge::wire::openai {

// Ids and names count once: servers that repeat them in every part must not double them. Arguments are appended as they
// come, since only the joined text is JSON.
std::size_t call_joiner::add(const call_fragment& part, std::string_view answer_id, std::string& scratch,
                             piece_sink& sink) {
  auto place = place_of(part, scratch);
  auto& open = calls_[place];
  open.takes_text = open.takes_text || part.takes_text;
  if (open.call.id.empty())
    open.call.id = string_in(part.id, scratch);
  if (open.call.name.empty())
    size_ += (open.call.name = string_in(part.name, scratch)).size();
  if (part.arguments.is_object())
    scratch = on_one_line(std::string{part.arguments.text});
  auto more = part.arguments.is_object() ? std::string_view{scratch} : string_in(part.arguments, scratch);
  std::size_t pieces = 0;
  auto is_worth_telling = part.is_whole || !open.call.name.empty() || !more.empty(); // some send the id alone at first
  if (!open.is_told && is_worth_telling)
    pieces = tell(place, answer_id, sink);
  if (more.empty())
    return pieces;
  open.call.arguments += more;
  size_ += more.size();
  sink.tool_arguments(static_cast<uint32_t>(place), more);
  return pieces + 1;
}

// The joiner is spent afterwards.
std::vector<called_tool> call_joiner::finish() {
  while (!calls_.empty() && !calls_.back().is_told) // an id and nothing else
    calls_.pop_back();
  return {std::make_move_iterator(calls_.begin()), std::make_move_iterator(calls_.end())};
}

/// Finds the call that a part belongs to, or begins a new one. Servers that give no index, or the same one to all,
/// begin a call by its id, or by its name where there is no id either.
std::size_t call_joiner::place_of(const call_fragment& part, std::string& scratch) {
  auto index = count_in(part.index);
  auto id = string_in(part.id, scratch);
  auto has_name = part.name.has_text();
  auto same = [&](const open_call& open) {
    if (index)
      return open.index == index && (id.empty() || open.call.id.empty() || open.call.id == id || !has_name);
    return id.empty() ? !has_name : open.call.id == id;
  };
  auto found = std::find_if(calls_.rbegin(), calls_.rend(), same);
  if (found != calls_.rend())
    return static_cast<std::size_t>(calls_.rend() - found) - 1;
  size_ += sizeof(open_call) + id.size();
  calls_.push_back({{}, index, false});
  return calls_.size() - 1;
}

/// Tells of the calls up to this one.
std::size_t call_joiner::tell(std::size_t last, std::string_view answer_id, piece_sink& sink) {
  std::size_t pieces = 0;
  for (std::size_t i = 0; i <= last; ++i) {
    auto& open = calls_[i];
    if (open.is_told)
      continue;
    open.is_told = true;
    if (open.call.id.empty())
      open.call.id = made_up_id(answer_id, i);
    sink.tool_call(static_cast<uint32_t>(i), open.call.id, open.call.name, {});
    ++pieces;
  }
  return pieces;
}

} // namespace modelforge::wire::openai
