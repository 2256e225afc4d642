#include "tools/cli/command_line.hpp"

#include "tools/cli/commands.hpp"
#include "tools/cli/output.hpp"

#include "config/schema.hpp"

#include <CLI/CLI.hpp>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <exception>
#include <map>
#include <sstream>
#include <string_view>
#include <utility>

namespace modelforge::cli {

namespace {

constexpr std::size_t help_column = 34;

CLI::Option* with_type(CLI::Option* made, const char* type) {
  return type != nullptr ? made->type_name(type) : made;
}

/// CLI::Range lets what is no number pass: that is neither too small nor too large.
CLI::Validator is_number() {
  auto judge = [](std::string& text) {
    double value = 0;
    return CLI::detail::lexical_cast(text, value) && std::isnan(value) ? text + " is not a number" : std::string{};
  };
  return CLI::Validator{judge, ""};
}

/// Options are left out where nothing is meant; an empty text is a variable of a script that was never set.
CLI::Option* never_empty(CLI::Option* made) {
  auto judge = [](std::string& text) { return text.empty() ? "the text is empty" : std::string{}; };
  return made->get_positional() ? made : made->check(CLI::Validator{judge, ""});
}

/// The name among those known that was most likely meant, behind `prefix`, as the end of a sentence; or "".
std::string did_you_mean(std::string_view name, const std::vector<std::string>& known, const char* prefix = "") {
  std::vector<std::string_view> candidates{known.begin(), known.end()};
  auto best = schema::closest(name, candidates);
  return best.empty() ? "" : "; did you mean " + (prefix + std::string{best}) + "?";
}

/// The long names of a command's options, without dashes.
std::vector<std::string> long_options(const CLI::App& of) {
  std::vector<std::string> result;
  for (auto* option : of.get_options())
    result.insert(result.end(), option->get_lnames().begin(), option->get_lnames().end());
  return result;
}

/// What was given for a command's arguments by position.
std::vector<std::string> positional_words(const CLI::App& of) {
  std::vector<std::string> result;
  for (auto* option : of.get_options())
    if (option->get_positional())
      result.insert(result.end(), option->results().begin(), option->results().end());
  return result;
}

std::vector<std::string> commands_of(const CLI::App& app) {
  std::vector<std::string> result;
  for (auto* command : app.get_subcommands([](const CLI::App*) { return true; }))
    result.push_back(command->get_name());
  return result;
}

// -- as data ------------------------------------------------------------------------

/// CLI11 writes type and range as one: "N:UINT in [1 - 16]", "TEXT:{json,text}". Types may have colons themselves.
void read_type(const std::string& text, option_description& result) {
  auto choices = text.find(":{");
  auto range = text.find(" in [");
  auto range_end = text.find(" - ", range == text.npos ? 0 : range);
  result.type = text.substr(0, choices != text.npos ? choices : range == text.npos ? range : text.rfind(':', range));
  if (choices != text.npos && text.ends_with('}')) {
    std::istringstream words{text.substr(choices + 2, text.size() - choices - 3)};
    for (std::string word; std::getline(words, word, ',');)
      result.choices.push_back(word);
  } else if (range != text.npos && range_end != text.npos && text.ends_with(']'))
    result.range =
      text.substr(range + 5, range_end - range - 5) + " to " + text.substr(range_end + 3, text.size() - range_end - 4);
}

option_description describe_option(const CLI::Option& option) {
  option_description result;
  result.is_positional = option.get_positional();
  if (result.is_positional)
    result.names.push_back(option.get_name(true));
  for (auto& name : option.get_snames())
    result.names.push_back("-" + name);
  for (auto& name : option.get_lnames())
    result.names.push_back("--" + name);
  if (option.get_type_size() != 0)
    read_type(option.get_type_name(), result);
  result.default_value = option.get_default_str();
  result.help = option.get_description();
  result.is_required = option.get_required();
  result.is_repeated = option.get_expected_max() > 1;
  result.is_value_optional = option.get_expected_min() == 0 && option.get_type_size() != 0;
  return result;
}

command_description describe_command(const CLI::App& app, std::vector<std::string> words) {
  words.push_back(app.get_name());
  command_description result{words, app.get_description(), app.get_footer(), app.get_require_subcommand_min() > 0};
  for (auto* option : app.get_options())
    result.options.push_back(describe_option(*option));
  for (auto* command : app.get_subcommands([](const CLI::App*) { return true; }))
    if (!command->get_group().empty())
      result.commands.push_back(describe_command(*command, words));
  return result;
}

} // namespace

option& option::required() {
  underlying_->required();
  return *this;
}

option& option::above_zero(const char* remedy) {
  auto judge = [remedy](std::string& text) {
    double value = 0;
    auto is_zero = CLI::detail::lexical_cast(text, value) && value == 0;
    return is_zero ? text + " leaves nothing; " + remedy : std::string{};
  };
  underlying_->check(CLI::Validator{judge, ""});
  return *this;
}

option& option::show_default() {
  underlying_->capture_default_str();
  return *this;
}

// -- describing a command -----------------------------------------------------------

command command::add(const char* name, const char* help) {
  return {*app_->add_subcommand(name, help), *actions_};
}

void command::require_command() {
  app_->require_subcommand(1);
}

void command::allow_command() {
  app_->require_subcommand(0, 1);
}

option command::text(const char* names, std::string& target, const char* help, const char* type) {
  return option{*never_empty(with_type(app_->add_option(names, target, help), type))};
}

option command::maybe_text(const char* names, std::optional<std::string>& target, const char* help, const char* type) {
  auto* made = app_->add_option_function<std::string>(
    names, [&target](const std::string& text) { target = text; }, help);
  return option{*made->expected(0, 1)->type_name(type)};
}

option command::texts(const char* names, std::vector<std::string>& target, const char* help, const char* type) {
  auto* made = never_empty(with_type(app_->add_option(names, target, help), type));
  if (*names == '-') // else what follows a value would be one, too
    made->allow_extra_args(false);
  return option{*made};
}

option command::flag(const char* names, bool& target, const char* help) {
  return option{*app_->add_flag(names, target, help)};
}

option command::flag(const char* names, std::function<void()> set, const char* help) {
  return option{*app_->add_flag_callback(names, std::move(set), help)};
}

template <class T>
option command::number(const char* names, T& target, const char* help, const char* type, T min, T max) {
  return option{
    *app_->add_option(names, target, help)->type_name(type)->check(is_number())->check(CLI::Range(min, max))};
}

template <class T>
option command::number(const char* names, std::optional<T>& target, const char* help, const char* type, T min, T max) {
  return option{
    *app_->add_option(names, target, help)->type_name(type)->check(is_number())->check(CLI::Range(min, max))};
}

template <class T>
option command::number(const char* names, std::function<void(T)> set, const char* help, const char* type, T min,
                       T max) {
  auto* made = app_->add_option_function<T>(
    names, [set = std::move(set)](const T& value) { set(value); }, help);
  return option{*made->type_name(type)->check(is_number())->check(CLI::Range(min, max))};
}

option command::number(const char* names, uint64_t& target, const char* help, const char* type) {
  return option{*app_->add_option(names, target, help)->type_name(type)};
}

option command::number(const char* names, std::optional<int64_t>& target, const char* help, const char* type) {
  return option{*app_->add_option(names, target, help)->type_name(type)};
}

template option command::number(const char*, double&, const char*, const char*, double, double);
template option command::number(const char*, uint32_t&, const char*, const char*, uint32_t, uint32_t);
template option command::number(const char*, uint64_t&, const char*, const char*, uint64_t, uint64_t);
template option command::number(const char*, std::optional<double>&, const char*, const char*, double, double);
template option command::number(const char*, std::optional<uint32_t>&, const char*, const char*, uint32_t, uint32_t);
template option command::number(const char*, std::function<void(double)>, const char*, const char*, double, double);
template option command::number(const char*, std::function<void(uint32_t)>, const char*, const char*, uint32_t,
                                uint32_t);

option command::time(const char* names, std::optional<double>& target, const char* help, const char* type) {
  std::map<std::string, double> units{{"s", 1}, {"m", 60}, {"h", 3600}, {"d", 86400}};
  auto* made = app_->add_option(names, target, help)->transform(CLI::AsNumberWithUnit(units));
  auto judge = [](std::string& seconds) {
    double value = 0;
    auto good = CLI::detail::lexical_cast(seconds, value) && value > 0;
    return good ? std::string{} : seconds + " s is not in the future";
  };
  return option{*made->check(CLI::Validator{judge, ""})->type_name(type)};
}

option command::choice(const char* names, std::string& target, const char* help, std::vector<std::string> words) {
  return option{*app_->add_option(names, target, help)->check(CLI::IsMember(std::move(words)))};
}

option command::parsed(const char* names, parser parse, const char* help, const char* type) {
  auto set = [parse = std::move(parse), names](const std::string& text) {
    if (auto problem = parse(text); !problem.empty())
      throw CLI::ValidationError(names, problem);
  };
  return option{*app_->add_option_function<std::string>(names, set, help)->type_name(type)};
}

option command::repeated(const char* names, parser parse, const std::string& help, const char* type) {
  auto set = [parse = std::move(parse), names](const std::vector<std::string>& texts) {
    for (auto& text : texts)
      if (auto problem = parse(text); !problem.empty())
        throw CLI::ValidationError(names, problem);
  };
  auto* made = app_->add_option_function<std::vector<std::string>>(names, set, help);
  return option{*made->type_name(type)->allow_extra_args(false)};
}

void command::footer(const char* text) {
  app_->footer(text);
}

void command::hide() {
  app_->group("");
}

void command::check(std::function<std::string()> problem) {
  app_->parse_complete_callback([problem = std::move(problem), name = app_->get_name()] {
    if (auto found = problem(); !found.empty())
      throw CLI::ValidationError(name, found);
  });
}

void command::run_by(action run) {
  actions_->emplace_back(app_, std::move(run));
}

// -- all commands ----------------------------------------------------------------------

command_line::command_line(const char* description, const char* name, const char* version)
  : app_(std::make_unique<CLI::App>(description, name)) {
  app_->set_version_flag("-V,--version", version);
  app_->require_subcommand(1);
  app_->get_formatter()->column_width(help_column);
}

command_line::~command_line() = default;

command command_line::add(const char* name, const char* help) {
  return {*app_->add_subcommand(name, help), actions_};
}

void command_line::footer(const char* text) {
  app_->footer(text);
}

command_description command_line::describe() const {
  return describe_command(*app_, {});
}

int command_line::run(int argc, char** argv) {
  try {
    app_->parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) // --help, --version
      return app_->exit(error) == 0 && std::fflush(stdout) == 0 ? exit_ok : exit_failed;
    auto is_unknown = error.get_exit_code() == static_cast<int>(CLI::ExitCodes::ExtrasError)
                      || error.get_exit_code() == static_cast<int>(CLI::ExitCodes::RequiredError);
    return refuse(argc, argv, error.what(), is_unknown);
  }
  try {
    return run_chosen();
  } catch (const std::exception& error) {
    complain(error.what());
    return exit_usage;
  }
}

/// CLI11's own message for what it does not know speaks of arguments; ours names it.
int command_line::refuse(int argc, char** argv, const std::string& problem, bool is_unknown) {
  if (argc < 2) {
    std::fputs(app_->help().c_str(), stderr);
    return exit_usage;
  }
  auto better = is_unknown ? explain_unknown() : std::string{};
  complain(better.empty() ? problem : better);
  if (std::string_view first = argv[1]; first.starts_with('-') || chosen() == app_.get())
    std::fputs("Try `modelforge --help`, or `modelforge COMMAND --help`.\n", stderr);
  else
    std::fprintf(stderr, "Try `modelforge %s --help`.\n", argv[1]);
  return exit_usage;
}

/// What nobody knows of the arguments, and what may have been meant; empty where all are known.
std::string command_line::explain_unknown() const {
  auto left = app_->remaining(true);
  auto option = std::find_if(left.begin(), left.end(), [](auto& x) { return x.size() > 1 && x[0] == '-'; });
  if (option != left.end())
    return explain_option(*option);
  if (left.empty())
    return {};
  auto known = commands_of(*chosen());
  auto words = positional_words(*chosen()); // a misspelt command may have been taken for one
  words.insert(words.end(), left.begin(), left.end());
  for (auto& word : words)
    if (auto meant = did_you_mean(word, known); !meant.empty())
      return "there is no command \"" + word + "\"" + meant;
  if (!known.empty() && words.size() == left.size())
    return "there is no command \"" + left.front() + "\"";
  return "unexpected argument \"" + left.front() + "\"; a text of several words needs quotes around it";
}

std::string command_line::explain_option(const std::string& given) const {
  auto name = given.substr(0, given.find('='));
  auto plain = name.substr(std::min(name.find_first_not_of('-'), name.size()));
  auto has = [&](const CLI::App& app) { return app.get_option_no_throw(name) != nullptr; };
  if (chosen() != app_.get() && has(*chosen()))
    return name + " belongs behind its command: modelforge " + chosen()->get_name() + " " + name;
  auto text = "there is no option " + name;
  if (auto meant = did_you_mean(plain, long_options(*chosen()), "--"); !meant.empty())
    return text + meant;
  for (auto* other : app_->get_subcommands([](CLI::App*) { return true; }))
    if (has(*other))
      return text + " here; it is one of `modelforge " + other->get_name() + "`";
  return text;
}

/// The innermost of the commands given: `batch status`, not `batch`.
CLI::App* command_line::chosen() const {
  auto* result = app_.get();
  for (auto below = result->get_subcommands(); !below.empty(); below = result->get_subcommands())
    result = below.front();
  return result;
}

int command_line::run_chosen() {
  auto found = std::find_if(actions_.begin(), actions_.end(), [&](auto& action) { return action.first == chosen(); });
  return found->second();
}

} // namespace modelforge::cli
