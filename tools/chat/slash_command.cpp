#include "tools/chat/slash_command.hpp"

#include "base/ascii.hpp"
#include "config/schema.hpp"

#include <algorithm>
#include <array>
#include <utility>

namespace modelforge::chat {

namespace {

struct slash_rule {
  slash_verb verb;
  std::string_view word;
  std::string_view argument; ///< For the help; in brackets: may be left out. Empty: it takes none.
  std::string_view help;
};

constexpr auto slash_rules = std::to_array<slash_rule>({
  {slash_verb::model, "/model", "[NAME]", "say which model answers, or go on with another"},
  {slash_verb::system, "/system", "[TEXT]", "show the system prompt, or set it; - removes it"},
  {slash_verb::file, "/file", "PATH", "send a text file or an image with the next question"},
  {slash_verb::retry, "/retry", "", "ask the last question again; the new answer takes the place of the old one"},
  {slash_verb::undo, "/undo", "", "take the last question and its answer back"},
  {slash_verb::clear, "/clear", "", "begin a new conversation; the old one stays kept"},
  {slash_verb::show, "/show", "", "show the conversation from its beginning"},
  {slash_verb::save, "/save", "[NAME|FILE]",
   "say where it is kept; keep it under a name; write it to a file (with a / or a . in it)"},
  {slash_verb::think, "/think", "[on|off]", "show or hide what the model thinks"},
  {slash_verb::stats, "/stats", "[on|off]", "show or hide time, tokens and cost of each answer"},
  {slash_verb::help, "/help", "", "show this"},
  {slash_verb::exit, "/exit", "", "end the session, as Ctrl-D does"},
});

/// Other words for the same, as other programs have them.
constexpr auto other_words = std::to_array<std::pair<std::string_view, std::string_view>>(
  {{"/quit", "/exit"}, {"/bye", "/exit"}, {"/?", "/help"}, {"/new", "/clear"}, {"/thinking", "/think"}});

constexpr std::string_view quotes = "\"\"\"";

const slash_rule* find_rule(std::string_view word) {
  for (auto& [other, known] : other_words)
    if (word == other)
      word = known;
  auto found = std::find_if(slash_rules.begin(), slash_rules.end(), [&](auto& rule) { return rule.word == word; });
  return found == slash_rules.end() ? nullptr : &*found;
}

std::string unknown_word(std::string_view word) {
  std::vector<std::string_view> words;
  for (auto& rule : slash_rules)
    words.push_back(rule.word.substr(1));
  auto best = schema::closest(word.substr(1), words);
  return "there is no command " + std::string{word}
         + (best.empty() ? "; /help lists them." : "; did you mean /" + std::string{best} + "?")
         + " To ask something that begins with a slash, write two.";
}

} // namespace

std::variant<question_text, slash_command, input_problem> read_input(std::string_view typed) {
  auto text = ascii::trim(typed);
  if (!text.starts_with('/'))
    return question_text{std::string{typed}};
  if (text.starts_with("//"))
    return question_text{std::string{text.substr(1)}};
  auto word = text.substr(0, text.find_first_of(ascii::spaces));
  auto argument = ascii::trim(text.substr(word.size()));
  auto* rule = find_rule(word);
  if (rule == nullptr)
    return input_problem{unknown_word(word)};
  if (rule->argument.empty() && !argument.empty())
    return input_problem{std::string{rule->word} + " takes no argument"};
  if (argument.empty() && !rule->argument.empty() && rule->argument.front() != '[')
    return input_problem{std::string{rule->word} + " needs an argument: " + std::string{rule->word} + " "
                         + std::string{rule->argument}};
  if (rule->argument == "[on|off]" && !argument.empty() && argument != "on" && argument != "off")
    return input_problem{std::string{rule->word} + " takes on or off, not " + std::string{argument}};
  return slash_command{rule->verb, std::string{argument}};
}

std::vector<std::string> slash_words() {
  std::vector<std::string> result;
  for (auto& rule : slash_rules)
    result.emplace_back(rule.word);
  return result;
}

std::string slash_help() {
  std::string result;
  for (auto& rule : slash_rules) {
    auto line = "  " + std::string{rule.word} + " " + std::string{rule.argument};
    line.resize(std::max(line.size() + 1, std::size_t{22}), ' ');
    result += line + std::string{rule.help} + "\n";
  }
  return result + R"(
  Several lines: between two """, with a backslash at the end of a line, or with
  Alt-Enter; what is pasted stays one question.
  Ctrl-C ends an answer, or drops what is typed; Ctrl-D ends the session.
)";
}

// -- lines -----------------------------------------------------------------------------

line_composer::state line_composer::feed(std::string_view line) {
  auto begin = ascii::trim_front(line);
  auto opens = !is_open_ && begin.starts_with(quotes);
  is_open_ = true;
  if (opens) {
    is_quoted_ = true;
    line = begin.substr(quotes.size());
  }
  if (!is_quoted_) {
    auto goes_on = line.ends_with('\\') && !line.ends_with("\\\\");
    lines_.emplace_back(line.substr(0, line.size() - (goes_on ? 1 : 0)));
    return goes_on ? state::open : state::complete;
  }
  auto end = line.substr(0, line.find_last_not_of(ascii::spaces) + 1);
  auto is_last = end.ends_with(quotes);
  if (is_last)
    line = end.substr(0, end.size() - quotes.size());
  if (!line.empty() || !(opens || is_last)) // quotes on lines of their own are no lines of the text
    lines_.emplace_back(line);
  return is_last ? state::complete : state::open;
}

std::string line_composer::take() {
  std::string result;
  for (auto& line : lines_)
    result += (&line == &lines_.front() ? "" : "\n") + line;
  *this = {};
  return result;
}

} // namespace modelforge::chat
