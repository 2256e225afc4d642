#include "tools/cli/completion.hpp"

#include <algorithm>
#include <array>
#include <string_view>
#include <vector>

namespace modelforge::cli {

namespace {

enum class value_kind : uint8_t { none, words, file, folder, other };

/// What may follow an option, or stand for an argument by position.
value_kind kind_of(const option_description& option) {
  constexpr auto files = std::to_array<std::string_view>({"FILE", "FILE|URL", "INPUT", "OUTPUT"});
  auto& name = option.is_positional ? option.names.front() : option.type;
  if (!option.choices.empty())
    return value_kind::words;
  if (std::find(files.begin(), files.end(), name) != files.end())
    return value_kind::file;
  if (name == "FOLDER")
    return value_kind::folder;
  return name.empty() ? value_kind::none : value_kind::other;
}

/// A value that is a word of its own: one that may be left out follows an equals sign.
bool takes_word(const option_description& option) {
  return !option.is_positional && !option.type.empty() && !option.is_value_optional;
}

std::string joined(const std::vector<std::string>& words, const char* between) {
  std::string result;
  for (auto& word : words)
    result += (result.empty() ? "" : between) + word;
  return result;
}

/// All names of the options that `chosen` takes, with `between` between them.
template <class Chosen>
std::string names_of(const command_description& command, const char* between, const Chosen& chosen) {
  std::vector<std::string> names;
  for (auto& option : command.options)
    if (!option.is_positional && chosen(option))
      names.insert(names.end(), option.names.begin(), option.names.end());
  return joined(names, between);
}

std::vector<std::string> words_below(const command_description& command) {
  std::vector<std::string> result;
  for (auto& each : command.commands)
    result.push_back(each.words.back());
  return result;
}

bool takes_file(const command_description& command) {
  return std::any_of(command.options.begin(), command.options.end(),
                     [](auto& option) { return option.is_positional && kind_of(option) == value_kind::file; });
}

/// Inside single quotes of a shell; `quote` is what stands there for such a quote.
std::string single_quoted(std::string_view text, std::string_view quote) {
  std::string result = "'";
  for (char c : text)
    result += c == '\'' ? std::string{quote} : std::string{c};
  return result + "'";
}

} // namespace

// -- bash -----------------------------------------------------------------------------------

namespace {

// Bash parts words at "=", so that --option=VALUE comes as three.
constexpr auto bash_head = R"(# bash completion for modelforge; written by `modelforge generate completion bash`.

_modelforge() {
  local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]} command=modelforge
  local options='' words='' files='' i
  if [[ $current == '=' ]]; then
    current=''
  elif [[ $previous == '=' ]]; then
    previous=${COMP_WORDS[COMP_CWORD - 2]}
  fi
  COMPREPLY=()
  for ((i = 1; i < COMP_CWORD; ++i)); do
    case "$command:${COMP_WORDS[i]}" in
)";

constexpr auto bash_middle = R"(    esac
  done
  case $command in
)";

constexpr auto bash_tail = R"(  esac
  if [[ $current == -* ]]; then
    mapfile -t COMPREPLY < <(compgen -W "$options" -- "$current")
    return
  fi
  mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current"; [[ -z $files ]] || compgen "-$files" -- "$current")
  [[ -z $files ]] || compopt -o filenames 2>/dev/null
}

complete -F _modelforge modelforge
)";

/// The patterns by which bash finds out which command it is in: commands, and options whose next word is their value.
std::string bash_steps(const command_description& program) {
  std::string result;
  for_each_command(program, [&](const command_description& command) {
    auto prefix = "'" + command.name() + "':";
    for (auto& each : command.commands)
      result += "      " + prefix + each.words.back() + ") command='" + each.name() + "' ;;\n";
    if (auto names = names_of(command, ("|" + prefix).c_str(), takes_word); !names.empty())
      result += "      " + prefix + names + ") [[ ${COMP_WORDS[i + 1]} == '=' ]] && ((++i)); ((++i)) ;;\n";
  });
  return result;
}

/// What completes the value of an option.
std::string bash_values(const option_description& option) {
  switch (kind_of(option)) {
    case value_kind::words:
      return "words='" + joined(option.choices, " ") + "'";
    case value_kind::file:
      return "files=f";
    case value_kind::folder:
      return "files=d";
    default:
      return "return";
  }
}

std::string bash_command(const command_description& command) {
  auto result =
    "    '" + command.name() + "')\n      options='" + names_of(command, " ", [](auto&) { return true; }) + "'\n";
  std::string values;
  for (auto& option : command.options)
    if (takes_word(option))
      values += "        " + joined(option.names, " | ") + ") " + bash_values(option) + " ;;\n";
  auto otherwise = "words='" + joined(words_below(command), " ") + "'";
  if (takes_file(command))
    otherwise += " files=f";
  if (values.empty())
    return result + "      " + otherwise + "\n      ;;\n";
  return result + "      case $previous in\n" + values + "        *) " + otherwise + " ;;\n      esac\n      ;;\n";
}

} // namespace

std::string bash_completion(const command_description& program) {
  auto result = bash_head + bash_steps(program) + bash_middle;
  for_each_command(program, [&](const command_description& command) { result += bash_command(command); });
  return result + bash_tail;
}

// -- zsh ------------------------------------------------------------------------------------

namespace {

std::string zsh_function(const command_description& command) {
  return "_" + command.name("_");
}

/// A text in a specification of _arguments: brackets and colons have a meaning there.
std::string zsh_text(std::string_view text) {
  std::string result;
  for (char c : text)
    result += (c == '[' || c == ']' || c == ':' || c == '\\' ? "\\" : "") + std::string{c};
  return result;
}

std::string zsh_values(const option_description& option) {
  switch (kind_of(option)) {
    case value_kind::words:
      return "(" + joined(option.choices, " ") + ")";
    case value_kind::file:
      return "_files";
    case value_kind::folder:
      return "_files -/";
    default:
      return " ";
  }
}

/// The specification of an option: "*" where it may be repeated, else the names that it excludes.
std::string zsh_option(const option_description& option) {
  auto all = joined(option.names, " ");
  auto is_several = option.names.size() > 1;
  std::string result = option.is_repeated ? "'*'" : "'(" + all + ")'";
  result += is_several ? "{" : "";
  for (auto& name : option.names)
    result += (&name == &option.names.front() ? "" : ",") + name
              + (option.type.empty()        ? ""
                 : option.is_value_optional ? "=-"
                 : name.starts_with("--")   ? "="
                                            : "+");
  result += is_several ? "}" : "";
  auto rest = "[" + zsh_text(option.help) + "]";
  if (!option.type.empty())
    rest += (option.is_value_optional ? "::" : ":") + zsh_text(option.type) + ":" + zsh_values(option);
  return result + single_quoted(rest, "'\\''");
}

std::string zsh_command(const command_description& command) {
  auto result = zsh_function(command) + "() {\n  local context state state_descr line\n  typeset -A opt_args\n";
  result += "  _arguments -s -S";
  if (!command.commands.empty())
    result += " -C";
  for (auto& option : command.options)
    if (!option.is_positional)
      result += " \\\n    " + zsh_option(option);
  auto argument =
    std::find_if(command.options.begin(), command.options.end(), [](auto& option) { return option.is_positional; });
  auto has_one = argument != command.options.end();
  auto argument_values = has_one ? zsh_values(*argument) : " ";
  if (command.commands.empty()) {
    if (has_one)
      result += " \\\n    '*:" + zsh_text(argument->names.front()) + ":" + argument_values + "'";
    return result + "\n}\n\n";
  }
  result +=
    " \\\n    '1: :->first' \\\n    '*:: :->rest' && return\n  case $state in\n    first)\n      local -a commands=(\n";
  for (auto& each : command.commands)
    result += "        " + single_quoted(each.words.back() + ":" + zsh_text(each.help), "'\\''") + "\n";
  result += "      )\n      _describe command commands\n";
  if (argument_values != " ")
    result += "      " + argument_values + "\n";
  result += "      ;;\n    rest)\n      case $line[1] in\n";
  for (auto& each : command.commands)
    result += "        " + each.words.back() + ") " + zsh_function(each) + " ;;\n";
  return result + "      esac\n      ;;\n  esac\n}\n\n";
}

} // namespace

std::string zsh_completion(const command_description& program) {
  std::string result = "#compdef modelforge\n# Written by `modelforge generate completion zsh`.\n\n";
  for_each_command(program, [&](const command_description& command) { result += zsh_command(command); });
  return result
         + "if [ \"$funcstack[1]\" = _modelforge ]; then\n  _modelforge \"$@\"\nelse\n  compdef _modelforge "
           "modelforge\nfi\n";
}

// -- fish -----------------------------------------------------------------------------------

namespace {

constexpr auto fish_head = R"(# fish completion for modelforge; written by `modelforge generate completion fish`.

function __modelforge_is
  set -l command modelforge
  set -l words (commandline -opc)
  set -l is_value 0
  for word in $words[2..-1]
    if test $is_value = 1
      set is_value 0
      continue
    end
    switch "$command:$word"
)";

constexpr auto fish_middle = R"(    end
  end
  test "$command" = "$argv"
end

complete -c modelforge -f
)";

std::string fish_steps(const command_description& program) {
  std::string result;
  for_each_command(program, [&](const command_description& command) {
    for (auto& each : command.commands)
      result +=
        "      case '" + command.name() + ":" + each.words.back() + "'\n        set command '" + each.name() + "'\n";
    if (auto names = names_of(command, ("' '" + command.name() + ":").c_str(), takes_word); !names.empty())
      result += "      case '" + command.name() + ":" + names + "'\n        set is_value 1\n";
  });
  return result;
}

std::string fish_values(const option_description& option) {
  switch (kind_of(option)) {
    case value_kind::none:
      return "";
    case value_kind::words:
      return " -x -a '" + joined(option.choices, " ") + "'";
    case value_kind::file:
      return " -r -F";
    case value_kind::folder:
      return " -x -a '(__fish_complete_directories)'";
    default:
      return option.is_value_optional ? "" : " -x";
  }
}

std::string fish_command(const command_description& command) {
  auto begin = "complete -c modelforge -n '__modelforge_is " + command.name() + "'";
  std::string result;
  for (auto& each : command.commands)
    result += begin + " -a " + each.words.back() + " -d " + single_quoted(each.help, "\\'") + "\n";
  for (auto& option : command.options) {
    result += begin;
    if (!option.is_positional) {
      for (auto& name : option.names)
        result += name.starts_with("--") ? " -l " + name.substr(2) : " -s " + name.substr(1);
      result += fish_values(option) + " -d " + single_quoted(option.help, "\\'") + "\n";
    } else {
      result += kind_of(option) == value_kind::file ? " -F\n" : " -f\n";
    }
  }
  return result;
}

} // namespace

std::string fish_completion(const command_description& program) {
  auto result = fish_head + fish_steps(program) + fish_middle;
  for_each_command(program, [&](const command_description& command) { result += fish_command(command); });
  return result;
}

} // namespace modelforge::cli
