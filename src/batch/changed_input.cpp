#include "batch/changed_input.hpp"

#include "batch/ledger_line.hpp"
#include "batch/reader.hpp"

#include <algorithm>
#include <tuple>
#include <utility>

namespace modelforge::batch {

namespace {

constexpr std::size_t max_named = 5;

/// What has become of the lines that have a result.
struct line_changes {
  item_list again; ///< Items whose result is not of their line any more.
  std::vector<moved_items> moved;
  uint64_t answered = 0; ///< Lines that were answered, and are others now or gone.
  uint64_t gone = 0;     ///< Of these.
  std::string named;     ///< The first of these, for people.

  void name(const std::string& line) {
    if (++answered <= max_named)
      named += (named.empty() ? "" : ", ") + line;
  }
};

/// Finds the lines of an input again that have a result, wherever they stand now: by their custom_ids, which is what
/// their answers are known by. A result stays where the line is the same at the same place, moves where the same line
/// stands elsewhere, and is not used where the line has changed or is gone. Time is n log n in the lines. Used once,
/// before a batch begins whose input is not the one that its ledger knows.
class comparison {
public:
  comparison(const ledger& book, const std::vector<known_line>& known) : book_(book), known_(known) {
    was_seen_.resize(known.size());
    stays_.resize(known.size());
    for (uint64_t i = 0; i < known.size(); ++i)
      if (known[i].id != 0)
        by_id_.emplace_back(known[i].id, i);
    std::sort(by_id_.begin(), by_id_.end(), [&](auto& x, auto& y) { // of two with one id at most one is answered
      return std::tuple{x.first, !is_answered(x.second), x.second}
             < std::tuple{y.first, !is_answered(y.second), y.second};
    });
  }

  /// Takes the next line of the input.
  void take(const item& now) {
    auto before = find(now);
    if (!before)
      return;
    was_seen_[*before] = true;
    if (known_[*before].sum != now.sum || now.sum == 0) {
      if (is_answered(*before))
        changes_.name("line " + std::to_string(now.line) + " (" + now.custom_id + ')');
    } else if (*before == now.index) {
      stays_[now.index] = true;
    } else {
      move(*before, now.index);
    }
  }

  /// To be called once, behind the last line.
  line_changes finish(ledger& book) {
    for (uint64_t i = 0; i < known_.size(); ++i) {
      if (book_.of(i) == ledger::state::missing)
        continue;
      if (is_answered(i) && !was_seen_[i]) {
        changes_.name(name_of_gone(book, i));
        ++changes_.gone;
      }
      if (!stays_[i])
        add_to_again(i);
    }
    return std::move(changes_);
  }

private:
  bool is_answered(uint64_t item) const { return book_.of(item) == ledger::state::ok; }

  /// The item that this line was. One that cannot be read is known by where it stands: its id may be another's.
  std::optional<uint64_t> find(const item& now) const {
    if (now.request.index() != 0)
      return now.index < known_.size() && book_.of(now.index) == ledger::state::failed ? std::optional{now.index}
                                                                                       : std::nullopt;
    auto id = known_line::hash_of(now.custom_id);
    auto found = std::lower_bound(by_id_.begin(), by_id_.end(), id, [](auto& x, uint64_t y) { return x.first < y; });
    return found != by_id_.end() && found->first == id && !was_seen_[found->second] ? std::optional{found->second}
                                                                                    : std::nullopt;
  }

  void move(uint64_t from, uint64_t to) {
    auto& all = changes_.moved;
    if (!all.empty() && all.back().from + all.back().count == from && all.back().to + all.back().count == to)
      ++all.back().count;
    else
      all.push_back({from, to, 1});
  }

  void add_to_again(uint64_t item) {
    if (auto& all = changes_.again; !all.empty() && all.back().second + 1 == item)
      ++all.back().second;
    else
      all.emplace_back(item, item);
  }

  std::string name_of_gone(ledger& book, uint64_t item) const {
    if (changes_.answered >= max_named)
      return {};
    auto line = book.line(item);
    auto* text = std::get_if<std::string>(&line);
    auto id = text != nullptr ? ledger_line::custom_id_in(*text) : std::string{};
    return (id.empty() ? "item " + std::to_string(item + 1) : id) + " (gone)";
  }

  const ledger& book_;
  const std::vector<known_line>& known_;
  std::vector<std::pair<uint64_t, uint64_t>> by_id_; ///< Ids and their items.
  std::vector<bool> was_seen_;                       ///< By item: its line is there, changed or not.
  std::vector<bool> stays_;                          ///< By item: its line is there as it was.
  line_changes changes_;
};

std::variant<line_changes, failure> compare(ledger& book, const std::vector<known_line>& known,
                                            const batch_options& options) {
  auto opened = open_source(options.input, form_of(options));
  if (auto* problem = std::get_if<failure>(&opened))
    return std::move(*problem);
  comparison compared{book, known};
  for (;;) {
    auto next = std::get<0>(opened)->next();
    if (auto* problem = std::get_if<failure>(&next))
      return std::move(*problem);
    auto& item = std::get<std::optional<batch::item>>(next);
    if (!item)
      return compared.finish(book);
    compared.take(*item);
  }
}

/// Of the items of jobs under way nothing is known but where they stood.
failure bound_by_jobs(const ledger& book, const std::string& input) {
  auto& jobs = book.summary().jobs;
  auto& [nonce, first] = *jobs.begin();
  auto text =
    (jobs.size() == 1 ? "a job of an earlier run is" : std::to_string(jobs.size()) + " jobs of earlier runs are")
    + std::string{" under way at "} + first.provider + (first.id.empty() ? "" : " (" + first.id + ')');
  return make_failure(errc::invalid_request, "the input " + input + " has changed, while " + text + " with its lines",
                      "bring it back as it was until these are done, or cancel them (with the input as it was, too); "
                      "then change it. --fresh starts over");
}

/// What going on with the input as it is now would do to answered lines.
std::string accepting(const line_changes& changes) {
  auto sent = changes.answered - changes.gone;
  if (changes.gone == 0)
    return sent == 1 ? "sends it again" : "sends them again";
  std::string left_out = changes.gone == 1 ? "leaves out the answer to the line that is gone"
                                           : "leaves out the answers to the lines that are gone";
  return sent == 0
           ? left_out
           : (sent == 1 ? "sends the changed line again, and " : "sends the changed lines again, and ") + left_out;
}

/// Answered lines that have changed are asked about; where all have, it is another input.
failure changed_answers(const line_changes& changes, const std::string& input, std::optional<failure> other) {
  auto one = changes.answered == 1;
  auto lines = one ? "an answered line" : std::to_string(changes.answered) + " answered lines";
  std::string become = changes.gone < changes.answered ? one ? " has changed since" : " have changed since"
                       : one                           ? " is gone"
                                                       : " are gone";
  auto more = changes.answered > max_named ? ", and " + std::to_string(changes.answered - max_named) + " more" : "";
  auto why = other ? std::move(*other)
                   : make_failure(errc::invalid_request, lines + " of " + input + become + ": " + changes.named + more,
                                  "--accept-changes " + accepting(changes) + "; or bring " + (one ? "it" : "them")
                                    + " back, start over with --fresh, or write to another output");
  if (changes.named.find("(line-") != std::string::npos)
    why.suggestion += ". Lines without an id are known by their numbers: add new ones at the end";
  return why;
}

} // namespace

std::optional<failure> go_on_with(ledger& book, const ledger_input& now, const batch_options& options,
                                  std::vector<std::string>& warnings) {
  auto other = book.check(now);
  if (!other)
    return {};
  if (!book.summary().jobs.empty())
    return bound_by_jobs(book, options.input);
  auto known = book.known_lines();
  if (auto* problem = std::get_if<failure>(&known))
    return std::move(*problem);
  auto& lines = std::get<0>(known);
  for (uint64_t i = 0; i < lines.size(); ++i)
    if (lines[i].sum == 0 && book.of(i) == ledger::state::ok)
      return other;
  auto compared = compare(book, lines, options);
  if (auto* problem = std::get_if<failure>(&compared))
    return std::move(*problem);
  auto& changes = std::get<line_changes>(compared);
  if (changes.answered > 0 && !options.accept_changes)
    return changed_answers(changes, options.input, changes.answered == book.summary().ok ? other : std::nullopt);
  if (changes.answered > 0)
    warnings.push_back("answered lines have changed (" + std::to_string(changes.answered) + "): " + changes.named
                       + (changes.answered > max_named ? ", ..." : ""));
  return book.note(input_change{now, std::move(changes.again), std::move(changes.moved)});
}

} // namespace modelforge::batch
