#include "optimize/json_wish.hpp"

#include "base/ascii.hpp"

#include <algorithm>
#include <array>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace modelforge::optimize {

namespace {

// Whether a prompt wants nothing but JSON is judged by the words around each "JSON" in it: what commands it ("answer
// in"), what makes it exclusive ("only", "nothing but", "no prose"), what makes it something else ("JSON schema", "JSON
// lines"), and what takes it back ("not", a question, a condition). English alone; in doubt the answer is no, since
// JSON mode that nobody wanted breaks an answer, and a missed wish costs nothing.
using words = std::span<const std::string_view>;

constexpr std::size_t reach = 80; ///< Bytes around the word that are looked at.

/// Between "only" and "JSON".
constexpr auto fillers = std::to_array<std::string_view>(
  {"a",       "an",      "the",   "one",  "single", "valid", "raw",    "plain", "pure",    "strict", "correct",
   "minimal", "in",      "with",  "as",   "of",     "using", "return", "reply", "use",     "output", "respond",
   "answer",  "produce", "write", "give", "me",     "send",  "print",  "emit",  "generate"});
constexpr auto exclusive = std::to_array<std::string_view>({"only", "just", "exclusively", "solely", "strictly"});
/// What JSON may be called without becoming something else.
constexpr auto forms =
  std::to_array<std::string_view>({"object", "document", "format", "response", "output", "text", "data"});
constexpr auto other_json = std::to_array<std::string_view>(
  {"array",  "arrays", "list",    "lists", "line", "lines", "string", "strings", "number", "value", "values",
   "schema", "path",   "pointer", "patch", "web",  "file",  "files",  "api",     "parser", "or"});
constexpr auto conditions =
  std::to_array<std::string_view>({"if", "when", "where", "unless", "once", "after", "for", "in", "as", "to"});
/// What is left out, as in "JSON, no prose".
constexpr auto company =
  std::to_array<std::string_view>({"prose", "explanation", "explanations", "commentary", "comments", "other",
                                   "additional", "extra", "preamble", "markdown", "anything"});

/// How an answer is commanded, and what it is called where it must be something.
constexpr auto commands =
  std::to_array<std::string_view>({"answer", "respond", "reply", "return", "output", "write", "give", "provide",
                                   "produce", "emit", "print", "send", "generate", "answers", "response", "responses"});
/// What may stand ahead of a command.
constexpr auto leaders =
  std::to_array<std::string_view>({"please", "you", "your", "the", "must", "should", "shall", "will", "always",
                                   "kindly", "simply", "now", "final", "entire"});

bool is_one_of(std::string_view word, words all) {
  return std::find(all.begin(), all.end(), word) != all.end();
}

using ascii::lower;

bool is_letter(char c) {
  return ascii::is_alnum(c) || c == '_' || c == '-' || c == '\'';
}

std::optional<std::size_t> find_json(std::string_view text, std::size_t start) {
  constexpr std::string_view word = "json";
  auto found = std::search(text.begin() + static_cast<std::ptrdiff_t>(start), text.end(), word.begin(), word.end(),
                           [](char a, char b) { return lower(a) == b; });
  return found == text.end() ? std::nullopt : std::optional{static_cast<std::size_t>(found - text.begin())};
}

/// Words and marks of a text in small letters; emphasis and quotes are left out.
std::vector<std::string_view> split(std::string_view text) {
  std::vector<std::string_view> result;
  for (std::size_t i = 0; i < text.size();) {
    auto end = i;
    while (end < text.size() && is_letter(text[end]))
      ++end;
    if (end > i)
      result.push_back(text.substr(i, end - i));
    else if (std::string_view{" \t*`\"_"}.find(text[end++]) == std::string_view::npos)
      result.push_back(text.substr(i, 1));
    i = end;
  }
  return result;
}

bool is_negated_in(words clause) {
  return std::any_of(clause.begin(), clause.end(),
                     [](auto word) { return word == "not" || word == "never" || word.ends_with("n't"); });
}

/// Whether there is a "not" shortly before the end.
bool is_negated(words before) {
  return is_negated_in(before.last(std::min<std::size_t>(before.size(), 3)));
}

/// What follows the last comma, "and" or "then".
words last_clause(words text) {
  auto stop =
    std::find_if(text.rbegin(), text.rend(), [](auto word) { return word == "," || word == "and" || word == "then"; });
  return text.last(static_cast<std::size_t>(stop - text.rbegin()));
}

/// Whether what stands ahead of "JSON" says how to answer, not how something else does.
bool tells_how_to_answer(words before) {
  auto clause = last_clause(before);
  if (std::all_of(clause.begin(), clause.end(),
                  [](auto word) { return word == "please" || is_one_of(word, exclusive); }))
    return true; // "JSON only"
  if (is_negated_in(clause))
    return false;
  auto first = std::find_if(clause.begin(), clause.end(), [](auto word) { // bullets and numbers may stand ahead, too
    return ascii::is_letter(word.front()) && !is_one_of(word, leaders) && !is_one_of(word, exclusive);
  });
  return first != clause.end() && is_one_of(*first, commands);
}

/// Whether what stands ahead of "JSON" says that it is to be alone.
bool alone_by_front(words before) {
  while (!before.empty() && is_one_of(before.back(), fillers))
    before = before.first(before.size() - 1);
  if (before.empty())
    return false;
  auto last = before.back();
  auto rest = before.first(before.size() - 1);
  auto previous = rest.empty() ? std::string_view{} : rest.back();
  if (last == "but" || last == "except")
    return previous == "nothing";
  return is_one_of(last, exclusive) && !is_negated(rest);
}

/// Whether what stands behind "JSON" says so.
bool alone_by_back(words after) {
  auto word = [&](std::size_t i) { return i < after.size() ? after[i] : std::string_view{}; };
  if (word(0) == "only" || word(0) == "exclusively" || word(0) == "alone")
    return !is_one_of(word(1), conditions);
  if (word(0) == "and")
    return word(1) == "nothing" && word(2) == "else";
  auto first = word(0) == "," || word(0) == "(" || word(0) == "-" ? 1u : 0u;
  return (word(first) == "no" || word(first) == "without") && is_one_of(word(first + 1), company);
}

/// The part of `text` that is in the same sentence as the word from `begin` to `end`.
struct sentence {
  std::string before;
  std::string after;
  bool is_question = false;
};

sentence sentence_around(std::string_view text, std::size_t begin, std::size_t end) {
  sentence result;
  auto before = text.substr(begin - std::min(begin, reach), std::min(begin, reach));
  if (auto stop = before.find_last_of(".!?;:>\n"); stop != before.npos)
    before.remove_prefix(stop + 1);
  auto after = text.substr(end);
  auto stop = after.find_first_of(".!?;\n");
  result.is_question = stop != after.npos && after[stop] == '?';
  result.before = lower(before);
  result.after = lower(after.substr(0, std::min(stop, reach)));
  return result;
}

} // namespace

bool mentions_json(std::string_view text) {
  return find_json(text, 0).has_value();
}

// Each "JSON" in the text is judged by itself, within its sentence; one that passes is enough.
bool asks_for_json_only(std::string_view text) {
  for (auto found = find_json(text, 0); found; found = find_json(text, *found + 4)) {
    auto end = *found + 4;
    if ((*found > 0 && is_letter(text[*found - 1])) || (end < text.size() && is_letter(text[end])))
      continue; // a part of another word
    auto sentence = sentence_around(text, *found, end);
    if (sentence.is_question)
      continue;
    auto before = split(sentence.before);
    auto all_after = split(sentence.after);
    words after{all_after};
    if (!after.empty() && is_one_of(after.front(), other_json))
      continue;
    while (!after.empty() && is_one_of(after.front(), forms))
      after = after.subspan(1);
    auto is_condition = !after.empty() && (after.front() == "if" || after.front() == "when" || after.front() == "or");
    if (!is_condition && tells_how_to_answer(before) && (alone_by_front(before) || alone_by_back(after)))
      return true;
  }
  return false;
}

// JSON mode gives one object. A prompt that shows or names an array or lines of JSON would get a wrong form.
bool speaks_of_other_json(std::string_view text) {
  auto found = find_json(text, 0);
  if (!found)
    return false;
  auto bracket = text.find_first_of("[{", *found); // the form that is shown
  if (bracket != text.npos && text[bracket] == '[')
    return true;
  auto small = lower(text);
  constexpr auto signs =
    std::to_array<std::string_view>({"array", "jsonl", "ndjson", "json lines", "json line", "json list", "list of"});
  return std::any_of(signs.begin(), signs.end(), [&](auto sign) { return small.find(sign) != small.npos; });
}

} // namespace modelforge::optimize
