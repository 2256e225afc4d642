#include "batch/changed_input.hpp"

#include "batch/reader.hpp"

#include <algorithm>
#include <utility>

namespace modelforge::batch {

namespace {

constexpr std::size_t max_named = 5;

/// What has become of the lines that have a result.
struct line_changes {
  std::vector<std::pair<uint64_t, uint64_t>> again; ///< Items whose result is not of their line any more, in ranges.
  uint64_t answered = 0;                            ///< Of these.
  std::string named;                                ///< The first of the answered ones, for people.

  void add(uint64_t item, bool is_answered, const std::string& name) {
    if (!again.empty() && again.back().second + 1 == item)
      ++again.back().second;
    else
      again.emplace_back(item, item);
    if (is_answered && ++answered <= max_named)
      named += (named.empty() ? "" : ", ") + name;
  }
};

std::variant<line_changes, failure> compare(const ledger& book, const std::vector<uint32_t>& sums,
                                            const std::string& path) {
  auto opened = open_source(path);
  if (auto* problem = std::get_if<failure>(&opened))
    return std::move(*problem);
  line_changes result;
  uint64_t items = 0;
  while (items < book.known()) {
    auto next = std::get<0>(opened)->next();
    if (auto* problem = std::get_if<failure>(&next))
      return std::move(*problem);
    auto& item = std::get<std::optional<batch::item>>(next);
    if (!item)
      break;
    ++items;
    if (auto state = book.of(item->index); state != ledger::state::missing && sums[item->index] != item->sum)
      result.add(item->index, state == ledger::state::ok,
                 "line " + std::to_string(item->line) + " (" + item->custom_id + ')');
  }
  for (; items < book.known(); ++items)
    if (auto state = book.of(items); state != ledger::state::missing)
      result.add(items, state == ledger::state::ok, "item " + std::to_string(items + 1) + " (gone)");
  return result;
}

} // namespace

std::optional<failure> go_on_with(ledger& book, const ledger_input& now, const batch_options& options,
                                  std::vector<std::string>& warnings) {
  auto other = book.check(now);
  if (!other || !book.summary().jobs.empty()) // whose jobs' items nothing is known
    return other;
  auto sums = book.input_sums();
  if (auto* problem = std::get_if<failure>(&sums))
    return std::move(*problem);
  auto& known = std::get<0>(sums);
  for (uint64_t i = 0; i < known.size(); ++i)
    if (known[i] == 0 && book.of(i) == ledger::state::ok)
      return other;
  auto compared = compare(book, known, options.input);
  if (auto* problem = std::get_if<failure>(&compared))
    return std::move(*problem);
  auto& changes = std::get<line_changes>(compared);
  if (changes.answered > 0 && !options.accept_changes) {
    if (changes.answered == book.summary().ok)
      return other;
    auto lines = changes.answered == 1 ? "an answered line" : std::to_string(changes.answered) + " answered lines";
    auto more = changes.answered > max_named ? ", and " + std::to_string(changes.answered - max_named) + " more" : "";
    return make_failure(
      errc::invalid_request,
      lines + " of " + options.input + (changes.answered == 1 ? " has" : " have") + " changed since: " + changes.named
        + more,
      "--accept-changes sends them again; or bring them back, start over with --fresh, or write to another output");
  }
  if (changes.answered > 0)
    warnings.push_back("answered lines have changed (" + std::to_string(changes.answered) + "): " + changes.named
                       + (changes.answered > max_named ? ", ..." : ""));
  return book.change_input(now, changes.again);
}

} // namespace modelforge::batch
