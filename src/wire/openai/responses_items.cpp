#include "wire/openai/responses_items.hpp"

#include <algorithm>

namespace modelforge::wire::openai {

namespace {

constexpr uint64_t base = 0x100000001B3; ///< Of the hash: a polynomial, so that texts can be joined.

uint64_t power_of_base(uint64_t exponent) {
  uint64_t result = 1;
  for (auto factor = base; exponent > 0; exponent >>= 1, factor *= factor)
    if ((exponent & 1) != 0)
      result *= factor;
  return result;
}

bool is_of(const item_state& item, item_kind kind) {
  return item.kind == kind || item.kind == item_kind::unknown || kind == item_kind::unknown;
}

/// Whether two calls have ids of their own.
bool are_others(const item_state& item, const response_items::clue& what) {
  return !item.call_id.empty() && !what.call_id.empty() && item.call_id != what.call_id;
}

} // namespace

void said_text::add(std::string_view more) {
  size_ += more.size();
  for (auto c : more)
    hash_ = hash_ * base + static_cast<uint8_t>(c) + 1;
}

void said_text::add(const said_text& next) {
  size_ += next.size_;
  hash_ = hash_ * power_of_base(next.size_) + next.hash_;
}

std::optional<std::string_view> said_text::rest_of(std::string_view whole) const {
  if (whole.size() <= size_)
    return whole.size() == size_ ? std::optional{std::string_view{}} : std::nullopt;
  said_text beginning;
  beginning.add(whole.substr(0, size_));
  return beginning.hash_ == hash_ ? std::optional{whole.substr(size_)} : std::nullopt;
}

item_part* item_state::find_part(void (piece_sink::*kind)(std::string_view), std::optional<uint64_t> at) {
  auto found = std::find_if(parts.rbegin(), parts.rend(),
                            [&](auto& part) { return part.kind == kind && (!at || !part.index || part.index == at); });
  return found == parts.rend() ? nullptr : &*found;
}

said_text item_state::said(void (piece_sink::*kind)(std::string_view)) const {
  said_text all;
  for (auto& part : parts)
    if (part.kind == kind)
      all.add(part.said);
  return all;
}

/// Searched from the end, where the item of an event nearly always is.
template <class F>
item_state* response_items::latest(F&& fits) {
  auto found = std::find_if(items_.rbegin(), items_.rend(), fits);
  return found == items_.rend() ? nullptr : &*found;
}

/// The one item that fits; null where none or several do.
template <class F>
item_state* response_items::only(F&& fits) {
  auto found = std::find_if(items_.begin(), items_.end(), fits);
  return found == items_.end() || std::find_if(found + 1, items_.end(), fits) != items_.end() ? nullptr : &*found;
}

/// The item with one of these ids. Some servers name a call's id where its item's should be.
item_state* response_items::named(const clue& what) {
  return latest([&](auto& item) {
    auto is_its = [&](std::string_view id) { return !id.empty() && (item.id == id || item.call_id == id); };
    return is_of(item, what.kind) && (is_its(what.call_id) || is_its(what.id));
  });
}

item_state* response_items::begin(const clue& what) {
  if (is_full())
    return nullptr;
  return &items_.emplace_back(item_state{what.kind, std::string{what.id}, std::string{what.call_id}, what.index});
}

item_state* response_items::of_piece(const clue& what) {
  if (!items_.empty() && what.index && items_.back().index == what.index && items_.back().id == what.id
      && items_.back().kind == what.kind)
    return &items_.back(); // the usual case
  if (auto* found = named(what))
    return found;
  if (what.index)
    if (auto* found = latest([&](auto& item) { return item.index == what.index && is_of(item, what.kind); }))
      return found;
  if (what.kind == item_kind::call)
    return of_arguments(what);
  auto is_open = [&](auto& item) { return !item.is_whole && item.kind == what.kind; };
  auto* found = what.index ? nullptr : latest(is_open);
  return found != nullptr ? found : begin(what);
}

/// Arguments whose call neither an id nor an index tells: they are the only open call's. One that counts may mean a
/// call of which nothing was heard.
item_state* response_items::of_arguments(const clue& what) {
  auto is_open = [&](auto& item) {
    return !item.is_whole && item.kind == what.kind && (!what.index || (item.is_begun && !item.has_arguments));
  };
  if (auto* found = only(is_open))
    return found;
  if (latest(is_open) != nullptr)
    return nullptr;
  auto* last = what.index ? nullptr : latest([&](auto& item) { return item.kind == what.kind; });
  return last != nullptr ? last : begin(what);
}

item_state* response_items::of_beginning(const clue& what) {
  auto* found = named(what);
  if (found == nullptr)
    found = latest(
      [&](auto& item) { return item.index && item.index == what.index && !item.is_begun && is_of(item, what.kind); });
  return found != nullptr ? found : begin(what);
}

item_state* response_items::of_end(const clue& what) {
  auto* found = named(what);
  auto is_here = [&](auto& item) { return item.index && item.index == what.index && is_of(item, what.kind); };
  if (found == nullptr)
    found = latest([&](auto& item) { return !item.is_whole && is_here(item); }); // perhaps under another id
  if (found == nullptr)
    found = latest([&](auto& item) { return is_here(item) && !are_others(item, what); });
  if (found == nullptr) {
    auto first = std::find_if(items_.begin(), items_.end(), [&](auto& item) {
      return !item.is_whole && (!item.index || !what.index) && is_of(item, what.kind) && !are_others(item, what);
    });
    found = first == items_.end() ? begin(what) : &*first;
  }
  return found;
}

item_state* response_items::of_list(const clue& what) {
  auto fits = [&](auto& item) { return !item.is_listed && is_of(item, what.kind); };
  auto* found = named(what);
  if (found == nullptr || found->is_listed)
    found = latest([&](auto& item) { return item.index == what.index && fits(item); });
  if (found == nullptr) {
    auto first =
      std::find_if(items_.begin(), items_.end(), [&](auto& item) { return fits(item) && !are_others(item, what); });
    found = first == items_.end() ? begin(what) : &*first;
  }
  if (found != nullptr)
    found->is_listed = true;
  return found;
}

} // namespace modelforge::wire::openai
