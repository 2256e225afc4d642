#include "tools/cli/man_page.hpp"
#include "tools/cli/reference_pages.hpp"

#include <algorithm>
#include <cctype>
#include <sstream>
#include <string_view>
#include <utility>

namespace modelforge::cli {

namespace {

/// Files that several commands go by, for the page of the program.
constexpr auto files = R"(.SH FILES
.TP
.I ./modelforge.toml
The configuration of this folder; see
.BR modelforge.toml (5).
.TP
.I ~/.config/modelforge/modelforge.toml
The user's configuration.
.TP
.I /etc/modelforge/modelforge.toml
The configuration of the service
.BR modelforge\-node .
.TP
.I ~/.local/state/modelforge
Conversations, the use of limits, and which configurations are trusted.
)";

/// A text in which nothing is taken for a request or an escape sequence. Hyphens become those that one can copy.
std::string escaped(std::string_view text) {
  std::string result;
  for (char c : text)
    if (c == '\\')
      result += "\\e";
    else if (c == '-')
      result += "\\-";
    else
      result += c;
  return result;
}

/// The same at the beginning of a line, where a point or an apostrophe would make it a request.
std::string line_of(std::string_view text) {
  auto result = escaped(text);
  return result.starts_with('.') || result.starts_with('\'') ? "\\&" + result : result;
}

/// As the argument of a request.
std::string quoted(std::string_view text) {
  std::string result = "\"";
  for (char c : escaped(text))
    result += c == '"' ? std::string{"\\(dq"} : std::string{c};
  return result + '"';
}

/// Whether `[TEXT](TARGET)` stands there. In the text of some of ours there is a table's name, in brackets of its own.
bool begins_link(std::string_view text) {
  if (text.starts_with("[`["))
    return true;
  auto end = text.starts_with('[') ? text.find_first_of("[]", 1) : text.npos;
  return end != text.npos && text.substr(end).starts_with("](");
}

/// A paragraph of Markdown: what stands between backticks is bold, of a link its text stays.
std::string paragraph(std::string_view text) {
  std::string plain;
  for (std::size_t i = 0; i < text.size(); ++i) {
    auto target = text[i] == ']' && i + 1 < text.size() && text[i + 1] == '(' ? text.find(')', i) : text.npos;
    if (target != text.npos)
      i = target;
    else if (!begins_link(text.substr(i)))
      plain += text[i];
  }
  std::string result;
  auto is_bold = false;
  for (char c : line_of(plain))
    if (c == '`')
      result += std::exchange(is_bold, !is_bold) ? "\\fR" : "\\fB";
    else
      result += c;
  return result + (is_bold ? "\\fR" : "");
}

std::string section(std::string_view name) {
  return ".SH " + quoted(name) + "\n";
}

std::string heading(const std::string& title, int number, const man_edition& edition) {
  std::string capitals = title;
  std::transform(capitals.begin(), capitals.end(), capitals.begin(), [](unsigned char c) { return std::toupper(c); });
  return ".\\\" Written by `modelforge generate share`.\n.TH " + quoted(capitals) + ' ' + std::to_string(number) + ' '
         + '"' + edition.date + "\" " + quoted("modelforge " + edition.version) + " \"ModelForge\"\n";
}

// -- what stands below the options in the help -----------------------------------------------

/// The parts of a command's footer, each as it goes into its section.
struct footer_sections {
  std::string description;
  std::string examples;
  std::string exit_status;
};

/// Lines that are indented are shown as they are; others are filled.
class footer_reader {
public:
  footer_sections read(const std::string& footer) {
    std::istringstream lines{footer};
    for (std::string line; std::getline(lines, line);) {
      auto text = std::string_view{line};
      if (text.starts_with("  "))
        add_as_it_is(text);
      else
        add_text(text);
    }
    end_block();
    return std::move(sections_);
  }

private:
  void add_as_it_is(std::string_view text) {
    if (!is_block_ && !target_->empty() && !target_->ends_with(".PP\n"))
      *target_ += ".PP\n";
    if (!is_block_)
      *target_ += ".RS 4\n.nf\n";
    is_block_ = true;
    *target_ += line_of(text.substr(2)) + '\n';
  }

  void add_text(std::string_view text) {
    end_block();
    if (text == "Examples:" || text == "Example:") {
      target_ = &sections_.examples;
      return;
    }
    if (text.empty() || target_ == &sections_.examples)
      begin_paragraph(sections_.description);
    if (constexpr std::string_view codes = "Exit codes: "; text.starts_with(codes)) {
      begin_paragraph(sections_.exit_status);
      text.remove_prefix(codes.size());
    }
    if (!text.empty())
      *target_ += paragraph(text) + '\n';
  }

  void begin_paragraph(std::string& section) {
    target_ = &section;
    if (!section.empty() && !section.ends_with(".PP\n"))
      section += ".PP\n";
  }

  void end_block() {
    if (is_block_)
      *target_ += ".fi\n.RE\n.PP\n";
    is_block_ = false;
  }

  footer_sections sections_;
  std::string* target_ = &sections_.description;
  bool is_block_ = false;
};

/// A break with nothing behind it is one too many.
std::string without_last_break(std::string text) {
  while (text.ends_with(".PP\n"))
    text.resize(text.size() - 4);
  return text;
}

// -- a command -----------------------------------------------------------------------------

std::string synopsis(const command_description& command) {
  std::string result = ".B " + escaped(command.name()) + "\n[\\fIOPTIONS\\fR]\n";
  for (auto& option : command.options)
    if (option.is_positional) {
      auto name = "\\fI" + escaped(option.names.front()) + "\\fR" + (option.is_repeated ? " ..." : "");
      result += (option.is_required ? name : "[" + name + "]") + '\n';
    }
  if (!command.commands.empty())
    result += command.needs_command ? "\\fICOMMAND\\fR\n" : "[\\fICOMMAND\\fR]\n";
  return result;
}

/// "-c, --config FILE"
std::string tag_of(const option_description& option) {
  if (option.is_positional)
    return "\\fI" + escaped(option.names.front()) + "\\fR";
  std::string result;
  for (auto& name : option.names)
    result += (result.empty() ? "\\fB" : ", \\fB") + escaped(name) + "\\fR";
  if (option.type.empty())
    return result;
  auto value = "\\fI" + escaped(option.type) + "\\fR";
  return result + (option.is_value_optional ? "[=" + value + "]" : " " + value);
}

std::string with_stop(std::string text) {
  return text.empty() || text.ends_with('.') ? text : text + '.';
}

/// As `whatis` shows it behind the name.
std::string_view short_help(std::string_view help) {
  if (constexpr std::string_view name = "ModelForge "; help.starts_with(name))
    help.remove_prefix(name.size());
  return help.substr(0, help.find_last_not_of('.') + 1);
}

std::string options(const command_description& command) {
  std::string result;
  for (auto& option : command.options) {
    result += ".TP\n" + tag_of(option) + '\n' + paragraph(with_stop(option.help)) + '\n';
    if (!option.choices.empty()) {
      std::string words;
      for (auto& choice : option.choices)
        words += (words.empty() ? "" : ", ") + choice;
      result += "One of: " + escaped(words) + ".\n";
    } else if (!option.range.empty())
      result += "From " + escaped(option.range) + ".\n";
    if (!option.default_value.empty())
      result += "Default: " + escaped(option.default_value) + ".\n";
    if (option.is_repeated && !option.is_positional)
      result += "May be given several times.\n";
  }
  return result;
}

/// What docs/reference.md has of variables.
std::string environment() {
  auto result = section("ENVIRONMENT");
  for (auto& [names, meaning] : environment_variables()) {
    auto text = with_stop(meaning);
    text.front() = static_cast<char>(std::toupper(static_cast<unsigned char>(text.front())));
    result += ".TP\n" + paragraph(names) + '\n' + paragraph(text) + '\n';
  }
  return result;
}

std::string reference_to(const std::string& page, int number) {
  return ".BR " + escaped(page) + " (" + std::to_string(number) + ")";
}

std::string see_also(const command_description& program, const command_description& command) {
  std::vector<std::string> pages;
  if (&command != &program)
    pages.push_back(reference_to(program.name(), 1));
  if (command.words.size() == 3)
    pages.push_back(reference_to(command.words[0] + '-' + command.words[1], 1));
  for (auto& each : command.commands)
    pages.push_back(reference_to(each.name("-"), 1));
  pages.push_back(reference_to("modelforge.toml", 5));
  std::string result = section("SEE ALSO");
  for (auto& page : pages)
    result += page + (&page == &pages.back() ? "\n" : ",\n");
  return result;
}

} // namespace

std::string man_page(const command_description& program, const command_description& command,
                     const man_edition& edition) {
  auto footer = footer_reader{}.read(command.footer);
  auto page = heading(command.name("-"), 1, edition) + section("NAME") + escaped(command.name("-")) + " \\- "
              + escaped(short_help(command.help)) + '\n' + section("SYNOPSIS") + synopsis(command)
              + section("DESCRIPTION") + paragraph(with_stop(command.help)) + '\n';
  if (!footer.description.empty())
    page += ".PP\n" + without_last_break(std::move(footer.description));
  if (!command.commands.empty()) {
    page += section("COMMANDS");
    for (auto& each : command.commands)
      page += ".TP\n.BR " + escaped(each.name("-")) + " (1)\n" + paragraph(with_stop(each.help)) + '\n';
  }
  page += section("OPTIONS") + options(command);
  if (!footer.exit_status.empty())
    page += section("EXIT STATUS") + without_last_break(std::move(footer.exit_status));
  if (&command == &program)
    page += environment() + files;
  if (!footer.examples.empty())
    page += section("EXAMPLES") + without_last_break(std::move(footer.examples));
  return page + see_also(program, command);
}

// -- the configuration -----------------------------------------------------------------------

std::string man_page(const std::vector<reference_table>& tables, const man_edition& edition) {
  auto page =
    heading("modelforge.toml", 5, edition) + section("NAME") + "modelforge.toml \\- configuration of ModelForge\n"
    + section("DESCRIPTION")
    + "A file in TOML 1.0. It is looked for at \\fIMODELFORGE_CONFIG\\fR, then in the working folder, then as\n"
      "\\fI~/.config/modelforge/modelforge.toml\\fR. \\fBmodelforge config check\\fR reports every error in it with "
      "line,\ncolumn and remedy; \\fBmodelforge config example\\fR prints one with every key explained.\n.PP\n"
      "Times are numbers of seconds, fractions allowed. Names in capitals are the user's to choose.\n";
  for (auto& table : tables) {
    page += section(table.path.empty() ? "THE TOP OF THE FILE" : "[" + table.path + "]");
    if (!table.doc.empty())
      page += paragraph(with_stop(table.doc)) + '\n';
    for (auto& key : table.keys) {
      auto type = key.type + (key.unit.empty() ? "" : " of " + key.unit);
      page += ".TP\n\\fB" + escaped(key.name) + "\\fR (" + escaped(type) + ")\n" + paragraph(with_stop(key.doc)) + '\n';
      if (!key.allowed.empty())
        page += paragraph("Allowed: " + with_stop(key.allowed)) + '\n';
      if (!key.default_value.empty())
        page += paragraph("Default: " + with_stop(key.default_value)) + '\n';
    }
  }
  return page + section("SEE ALSO") + reference_to("modelforge", 1) + ",\n" + reference_to("modelforge-config", 1)
         + '\n';
}

} // namespace modelforge::cli
