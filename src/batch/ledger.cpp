#include "batch/ledger.hpp"

#include "base/hex.hpp"
#include "batch/file.hpp"
#include "batch/ledger_line.hpp"
#include "batch/usage_sum.hpp"

#include <algorithm>
#include <functional>

namespace modelforge::batch {

namespace {

using ledger_line::number_in;
using ledger_line::text_in;

constexpr uint64_t version = 1;
constexpr std::size_t read_block = 256u << 10;
constexpr std::size_t max_buffered = 64u << 10;

failure refusal(std::string message, std::string suggestion) {
  return make_failure(errc::io_failed, std::move(message), std::move(suggestion));
}

std::string in_words(const ledger_input& input) {
  return input.path + " with " + std::to_string(input.size) + " bytes and the hash " + hex::digits_of(input.hash);
}

} // namespace

uint64_t known_line::hash_of(std::string_view custom_id) {
  return std::max<uint64_t>(1, std::hash<std::string_view>{}(custom_id));
}

// -- opening ------------------------------------------------------------------------------

std::variant<std::unique_ptr<ledger>, failure> ledger::open(std::unique_ptr<ledger_file> file, std::string path,
                                                            ledger_input input, bool fresh, bool any_input) {
  std::unique_ptr<ledger> opened{new ledger{std::move(file), std::move(path)}};
  std::optional<uint64_t> torn_at;
  auto problem = fresh ? opened->drop() : opened->load(torn_at);
  if (!problem && opened->size_ > 0 && !any_input)
    problem = opened->check(input);
  if (problem)
    return std::move(*problem);
  if (torn_at && !opened->file_->truncate(*torn_at))
    return io_failure("cannot cut the torn end off the ledger", opened->path_);
  if (opened->size_ == 0) {
    opened->summary_.input = std::move(input);
    opened->problem_ = opened->begin();
  }
  if (auto failed = opened->sync()) // what is read may only be in the system's memory yet
    return std::move(*failed);
  return opened;
}

std::variant<ledger_summary, failure> ledger::look(const std::string& path) {
  auto opened = look_at_ledger_file(path);
  if (auto* problem = std::get_if<failure>(&opened))
    return std::move(*problem);
  ledger seen{std::move(std::get<0>(opened)), path};
  std::optional<uint64_t> torn_at;
  if (auto problem = seen.load(torn_at))
    return std::move(*problem);
  return std::move(seen.summary_);
}

std::optional<failure> ledger::drop() {
  std::string head;
  if (!file_->read(0, read_block, head))
    return io_failure("cannot read the ledger", path_);
  if (!ledger_line::could_be_header(head.substr(0, ledger_line::sum_key.size()))
      && head.find("\n" + std::string{ledger_line::sum_key}) == head.npos)
    return refusal("--fresh would empty " + path_ + ", which is not a ledger", "write to another output");
  if (!file_->truncate(0))
    return io_failure("cannot empty the ledger", path_);
  return {};
}

std::optional<failure> ledger::load(std::optional<uint64_t>& torn_at) {
  uint64_t number = 0;
  uint64_t broken = 0; // the first broken line's number
  uint64_t synced = 0;
  bool ours = true; // whether a broken first line can be what a crash left of a header
  std::optional<failure> problem;
  auto each = [&](std::string_view line, uint64_t offset, bool ended) {
    ours = ++number == 1 && ledger_line::could_be_header(line);
    auto whole = ended && ledger_line::is_whole(line);
    if (whole && broken != 0)
      synced = std::max(synced, number_in(ledger_line::members_of(line), "synced"));
    if (problem || broken != 0)
      return;
    if (whole) {
      problem = offset == 0 ? take_header(line) : take(line, offset);
      size_ = offset + line.size() + 1;
    } else {
      broken = number;
      torn_at = offset;
    }
  };
  if (!for_each_line_in(*file_, each))
    return io_failure("cannot read the ledger", path_);
  if (problem)
    return problem;
  synced = std::max(synced, synced_);
  if (broken != 0 && *torn_at < synced)
    return refusal(path_ + ":" + std::to_string(broken) + ": the line is damaged, and it had been synced",
                   "restore the file from a copy, or start over with --fresh");
  if (broken == 1 && !ours)
    return refusal(path_ + ":1: the header of the ledger is missing or damaged",
                   "move the file away, or start over with --fresh");
  return {};
}

std::optional<failure> ledger::take_header(std::string_view line) {
  auto members = ledger_line::members_of(line);
  if (text_in(members, "event") != "header")
    return refusal(path_ + " is not a ledger: its first line is not a header", "write to another output");
  if (auto theirs = number_in(members, "version"); theirs != version)
    return refusal("the ledger " + path_ + " has version " + std::to_string(theirs) + ", this program writes version "
                     + std::to_string(version),
                   "finish it with the program that began it, or start over with --fresh");
  summary_.input = input_in(members);
  return {};
}

std::optional<failure> ledger::check(const ledger_input& wanted) const {
  auto& mine = summary_.input;
  if (wanted.size == mine.size && wanted.hash == mine.hash)
    return {};
  return refusal("the ledger " + path_ + " belongs to another input: " + in_words(mine) + "; this one is "
                   + in_words(wanted),
                 "run it with the input it was begun with, or start over with --fresh");
}

std::optional<failure> ledger::begin() {
  return append(ledger_line::writer{"header", 0}
                  .number("version", version)
                  .text("input", summary_.input.path)
                  .number("input_size", summary_.input.size)
                  .text("input_hash", hex::digits_of(summary_.input.hash))
                  .take());
}

std::optional<failure> ledger::take(std::string_view line, uint64_t offset) {
  auto members = ledger_line::members_of(line);
  synced_ = std::max(synced_, number_in(members, "synced"));
  if (text_in(members, "event") != "result") {
    if (auto event = event_in(members))
      count(*event, offset);
    return {};
  }
  auto result = result_in(members);
  if (result.item >= summary_.input.size)
    return refusal("the ledger " + path_ + " has a result of item " + std::to_string(result.item)
                     + ", which its input cannot have",
                   "start over with --fresh");
  count(result, offset);
  return {};
}

// -- writing ------------------------------------------------------------------------------

std::optional<failure> ledger::append(std::string_view body) {
  auto before = buffer_.size();
  ledger_line::append(buffer_, body);
  size_ += buffer_.size() - before;
  return buffer_.size() >= max_buffered ? write() : std::nullopt;
}

std::optional<failure> ledger::write() {
  auto written = file_->append(buffer_);
  buffer_.clear();
  return written ? std::nullopt : std::optional{io_failure("cannot write to the ledger", path_)};
}

std::optional<failure> ledger::append(std::string_view body, std::variant<ledger_result, ledger_event> what) {
  if (problem_)
    return problem_;
  auto offset = size_;
  problem_ = append(body);
  if (!problem_)
    unsynced_.push_back({offset, std::move(what)});
  return problem_;
}

std::optional<failure> ledger::add(const ledger_result& result) {
  auto counted = ledger_result{result.item, result.ok, result.attempts,  result.usage, result.cost,
                               {},          {},        result.input_sum, result.flaw};
  return append(body_of(result, synced_), std::move(counted));
}

std::optional<failure> ledger::note(const ledger_event& event) {
  return append(body_of(event, synced_), event);
}

std::optional<failure> ledger::seal() {
  if (auto problem = sync(); problem || sealed_at_ == size_)
    return problem;
  problem_ = append(ledger_line::writer{"sealed", synced_}.take());
  if (problem_)
    return problem_;
  auto problem = sync();
  sealed_at_ = size_;
  return problem;
}

std::optional<failure> ledger::sync() {
  if (!problem_ && !buffer_.empty())
    problem_ = write();
  if (problem_)
    return problem_;
  if (!file_->sync()) { // the system may have dropped what it could not write: trying again would prove nothing
    problem_ = io_failure("cannot sync the ledger", path_);
    return problem_;
  }
  synced_ = size_;
  for (auto& change : unsynced_)
    std::visit([&](auto& what) { count(what, change.offset); }, change.what);
  unsynced_.clear();
  return {};
}

// -- counting -----------------------------------------------------------------------------

void ledger::count(const ledger_result& result, uint64_t offset) {
  set_place(result.item, offset << offset_shift | static_cast<uint64_t>(result.ok && !result.cost) << unpriced_shift
                           | static_cast<uint64_t>(result.flaw) << flaw_shift
                           | static_cast<uint64_t>(result.ok ? state::ok : state::failed));
  summary_.attempts += result.attempts;
  add_to(summary_.usage, result.usage);
  add_to(summary_.cost, result.cost);
}

void ledger::count(const ledger_event& event, uint64_t offset) {
  summary_.take(event, offset);
  if (auto* change = std::get_if<input_change>(&event))
    change_input(*change);
}

void ledger::change_input(const input_change& change) {
  auto count_of = [this](const moved_items& x) { return std::min(x.count, summary_.input.size); }; // as of any items
  std::vector<uint64_t> taken;
  for (auto& x : change.moved)
    for (uint64_t i = 0; i < count_of(x); ++i)
      taken.push_back(x.from + i < places_.size() ? places_[x.from + i] : 0);
  for (auto [first, last] : change.again)
    for (auto item = first; item <= last && item < places_.size(); ++item)
      set_place(item, 0);
  auto next = taken.begin();
  for (auto& x : change.moved)
    for (uint64_t i = 0; i < count_of(x); ++i, ++next)
      if (x.to + i < summary_.input.size)
        set_place(x.to + i, *next);
}

/// Puts a result in the place of the item's, if it has one; 0: it has none from now on.
void ledger::set_place(uint64_t item, uint64_t place) {
  if (item >= places_.size())
    places_.resize(item + 1);
  count_place(places_[item], false);
  places_[item] = place;
  count_place(place, true);
}

void ledger::count_place(uint64_t place, bool is_there) {
  if (state_in(place) == state::missing)
    return;
  uint64_t one = is_there ? 1 : ~uint64_t{0}; // counts wrap around
  auto ok = state_in(place) == state::ok;
  (ok ? summary_.ok : summary_.failed) += one;
  if (auto* count = summary_.flawed.of(static_cast<answer_flaw>((place & ((1u << unpriced_shift) - 1)) >> flaw_shift)))
    *count += one;
  if ((place >> unpriced_shift & 1) != 0)
    summary_.unpriced += one;
  auto offset = place >> offset_shift;
  is_there ? summary_.runs.add(offset, ok) : summary_.runs.remove(offset, ok);
}

item_list ledger::unanswered(const ledger_job& job) const {
  item_list ranges;
  for (auto [first, last] : job.items)
    for (auto item = first; item <= last; ++item) {
      if (of(item) == state::ok || (of(item) == state::failed && offset_of(item) > job.offset))
        continue;
      if (!ranges.empty() && ranges.back().second + 1 == item)
        ++ranges.back().second;
      else
        ranges.emplace_back(item, item);
    }
  return ranges;
}

// -- reading ------------------------------------------------------------------------------

/// Items that have a result, in the order in which these stand in the file.
std::vector<uint64_t> ledger::items_by_arrival() const {
  std::vector<uint64_t> items;
  for (uint64_t item = 0; item < places_.size(); ++item)
    if (of(item) != state::missing)
      items.push_back(item);
  std::sort(items.begin(), items.end(), [this](auto x, auto y) { return offset_of(x) < offset_of(y); });
  return items;
}

std::variant<std::vector<known_line>, failure> ledger::known_lines() {
  std::vector<known_line> lines(places_.size());
  auto items = items_by_arrival();
  auto next = items.begin();
  auto take = [&](std::string_view text, uint64_t offset, bool) {
    if (next == items.end() || offset_of(*next) != offset)
      return;
    auto id = ledger_line::custom_id_in(ledger_line::result_in(text));
    auto sum = static_cast<uint32_t>(ledger_line::from_hex(text_in(ledger_line::members_of(text), "input_sum")));
    lines[*next++] = {sum, id.empty() ? 0 : known_line::hash_of(id)};
  };
  if (!for_each_line_in(*file_, take))
    return io_failure("cannot read the ledger", path_);
  return lines;
}

std::variant<std::string, failure> ledger::line(uint64_t item) {
  auto offset = offset_of(item);
  for (auto size = read_block;; size *= 4) {
    auto text = offset >= read_at_ ? std::string_view{read_}.substr(std::min(offset - read_at_, read_.size()))
                                   : std::string_view{};
    if (auto end = text.find('\n'); end != text.npos) {
      text = text.substr(0, end);
      auto result = ledger_line::result_in(text);
      if (!ledger_line::is_whole(text) || result.empty())
        break;
      return ledger_line::with_item(result, item);
    }
    read_at_ = offset - std::min<uint64_t>(offset, size / 4); // results of items nearby are mostly nearby
    if (!file_->read(read_at_, size, read_))
      return io_failure("cannot read the ledger", path_);
    if (read_.size() < size && read_.find('\n', offset - read_at_) == read_.npos)
      break;
  }
  return refusal("the ledger " + path_ + " was changed while it was in use", "start over with --fresh");
}

std::optional<failure> ledger::for_each_line(bool by_arrival,
                                             const std::function<std::optional<failure>(std::string_view)>& each) {
  std::optional<failure> problem;
  if (!by_arrival) {
    for (uint64_t item = 0; item < places_.size() && !problem; ++item) {
      if (of(item) == state::missing)
        continue;
      auto text = line(item);
      auto* unread = std::get_if<failure>(&text);
      problem = unread != nullptr ? std::move(*unread) : each(std::get<std::string>(text));
    }
    return problem;
  }
  auto items = items_by_arrival();
  auto next = items.begin();
  auto take = [&](std::string_view text, uint64_t offset, bool) {
    if (!problem && next != items.end() && offset_of(*next) == offset) // else a later result took its place
      problem = each(ledger_line::with_item(ledger_line::result_in(text), *next++));
  };
  if (!for_each_line_in(*file_, take) && !problem)
    problem = io_failure("cannot read the ledger", path_);
  return problem;
}

} // namespace modelforge::batch
