#include "wire/call_list.hpp"

#include "wire/answer_parts.hpp"

#include <algorithm>
#include <utility>

namespace modelforge::wire {

bool call_list::is_again(const call_part& part) const {
  std::string scratch;
  auto id = std::string{id_in(part.own_id(), scratch)}, name = std::string{name_in(part.name, scratch)};
  auto end = calls_.begin() + static_cast<std::ptrdiff_t>(earlier_);
  return !id.empty() && std::any_of(calls_.begin(), end, [&](auto& known) {
    return known.call.id == id && known.call.name == name
           && is_same_json(known.arguments.text(),
                           plain_arguments(part.arguments.text.empty() ? "{}" : part.arguments.text));
  });
}

bool call_list::has(const call_part& part) const {
  std::string scratch;
  auto id = std::string{id_in(part.own_id(), scratch)}, name = std::string{name_in(part.name, scratch)};
  if (id.empty() && name.empty())
    return true; // a fragment
  auto arguments = plain_arguments(part.arguments.text);
  auto says_none = part.arguments.text == "null" || part.arguments.text == R"("")";
  auto is_whole = !says_none && arguments.starts_with('{') && json::reader{arguments}.finish();
  return std::any_of(calls_.begin(), calls_.end(), [&](auto& known) {
    auto is_it = (!id.empty() && known.call.id == id) || (!name.empty() && known.call.name == name);
    auto may_differ = !is_whole || known.takes_text || !known.arguments.is_whole();
    return is_it && (may_differ || is_same_json(known.arguments.text(), arguments));
  });
}

std::size_t call_list::begin() {
  bytes_ += sizeof(entry);
  calls_.emplace_back();
  return calls_.size() - 1;
}

std::size_t call_list::begin(const call_part& part, std::string& scratch) {
  auto place = begin();
  set_id(place, id_in(part.own_id(), scratch));
  set_name(place, std::string{name_in(part.name, scratch)});
  note(place, part);
  return place;
}

void call_list::set_id(std::size_t place, std::string_view id) {
  bytes_ += id.size();
  calls_[place].call.id = id;
}

void call_list::set_name(std::size_t place, std::string name) {
  bytes_ += name.size();
  calls_[place].call.name = std::move(name);
}

void call_list::set_signature(std::size_t place, std::string signature) {
  bytes_ += signature.size();
  calls_[place].call.signature = std::move(signature);
}

void call_list::take_as_text(std::size_t place) {
  calls_[place].takes_text = true;
  calls_[place].arguments.take_as_text();
}

void call_list::note(std::size_t place, const call_part& part) {
  auto& entry = calls_[place];
  if (part.takes_text && !entry.takes_text)
    take_as_text(place);
  entry.contradicts = entry.contradicts || part.contradicts;
  if (!part.other.text.empty() && entry.other.empty()) {
    entry.other = part.other.text.substr(0, 1000);
    bytes_ += entry.other.size();
  }
}

uint64_t call_list::add(std::size_t place, json::raw arguments, std::string_view id_source, std::string& scratch,
                        piece_sink& sink) {
  auto& entry = calls_[place];
  std::string_view more;
  if (arguments.is_string())
    more = string_in(arguments, scratch, entry.half);
  else if (arguments.text != "null")
    more = scratch = on_one_line(arguments.text);
  bytes_ += more.size();
  return hand_on(place, entry.arguments.add(more, entry.call.name.empty() && !entry.is_told), id_source, sink);
}

uint64_t call_list::hand_on(std::size_t place, std::string_view text, std::string_view id_source, piece_sink& sink) {
  if (text.empty())
    return 0;
  auto pieces = tell(place, id_source, sink);
  sink.tool_arguments(static_cast<uint32_t>(place), text);
  return pieces + 1;
}

// Results name their call by its id, so each has one, and none has another's.
uint64_t call_list::tell(std::size_t place, std::string_view id_source, piece_sink& sink) {
  uint64_t pieces = 0;
  for (; told_ <= place; ++told_, ++pieces) {
    auto& entry = calls_[told_];
    auto& call = entry.call;
    entry.is_told = true;
    if (call.id.empty() || is_named_before(told_))
      set_id(told_, made_up_id(id_source, told_));
    sink.tool_call(static_cast<uint32_t>(told_), call.id, call.name, call.signature);
  }
  return pieces;
}

bool call_list::is_named_before(std::size_t place) const {
  auto here = calls_.begin() + static_cast<std::ptrdiff_t>(place);
  return std::any_of(calls_.begin(), here, [&](auto& before) { return before.call.id == here->call.id; });
}

uint64_t call_list::settle(std::size_t place, std::string_view id_source, piece_sink& sink) {
  return hand_on(place, calls_[place].arguments.settle(), id_source, sink);
}

std::size_t call_list::known() const {
  auto known = calls_.size();
  while (known > told_ && calls_[known - 1].call.name.empty() && calls_[known - 1].arguments.is_empty())
    --known;
  return known;
}

uint64_t call_list::settle_all(std::string_view id_source, piece_sink& sink) {
  uint64_t pieces = 0;
  for (std::size_t place = 0, end = known(); place < end; ++place) {
    if (calls_[place].call.name.empty() && !calls_[place].arguments.is_empty())
      break; // its name may follow
    pieces += tell(place, id_source, sink);
    pieces += settle(place, id_source, sink);
  }
  return pieces;
}

uint64_t call_list::say_none(std::size_t place, std::string_view id_source, piece_sink& sink) {
  auto& arguments = calls_[place].arguments;
  return arguments.is_empty() && calls_[place].other.empty()
           ? hand_on(place, (arguments.add("{}"), arguments.settle()), id_source, sink)
           : 0;
}

std::vector<called_tool> call_list::finish() {
  std::vector<called_tool> result;
  for (auto& entry : calls_) {
    if (entry.half != 0)
      entry.arguments.add(utf8::replacement);
    entry.arguments.end();
    entry.call.arguments = entry.arguments.text();
    result.push_back({std::move(entry.call), entry.takes_text, entry.contradicts || entry.arguments.is_contradictory(),
                      std::move(entry.other)});
  }
  if (has_blank_)
    result.emplace_back();
  return result;
}

} // namespace modelforge::wire
