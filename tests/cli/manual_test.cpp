#include "config/schema.hpp"
#include "tests/cli/cli_fixture.hpp"

#include <catch2/catch_test_macros.hpp>

#include <filesystem>
#include <functional>
#include <regex>
#include <set>
#include <sstream>

namespace modelforge::manual_test {

// Manual pages and completions, held against what --help says.

using namespace modelforge::test;

namespace {

using words = std::vector<std::string>;

struct manual_test : cli_test {
  manual_test() {
    auto options = command({"generate", "share", folder.path("share")});
    options.environment.push_back("SOURCE_DATE_EPOCH=86400");
    auto result = run_process(options);
    INFO(result.err);
    REQUIRE(result.exit_code == 0);
  }

  std::string help(words arguments) {
    arguments.push_back("--help");
    return run(arguments).out;
  }

  /// All commands, each as the words behind the program's name; the program itself comes first.
  std::vector<words> commands() {
    std::vector<words> result{{}};
    for (std::size_t i = 0; i < result.size(); ++i) {
      auto text = help(result[i]);
      auto begin = text.find("Subcommands:\n");
      std::istringstream lines{begin == text.npos ? "" : text.substr(begin)};
      std::string line;
      for (std::getline(lines, line); std::getline(lines, line) && line.starts_with("  ");)
        if (line[2] != ' ') {
          result.push_back(result[i]);
          result.back().push_back(line.substr(2, line.find(' ', 2) - 2));
        }
    }
    return result;
  }

  /// Runs a shell on a script, which finds its completions at $1; returns what it prints, a line each.
  std::set<std::string> lines_of(const std::string& shell, const std::string& script, const std::string& completion) {
    process_options x;
    x.arguments = {shell, "-c", script, shell, folder.path("share/" + completion)};
    x.environment = {"HOME=" + folder.path(""), "PATH=/usr/bin:/bin"};
    x.folder = folder.path("");
    auto result = run_process(x);
    INFO(script << '\n' << result.err);
    CHECK(result.err.empty());
    std::set<std::string> found;
    std::istringstream lines{result.out};
    for (std::string line; std::getline(lines, line);)
      found.insert(line);
    return found;
  }

  /// What bash offers for the last word of a line.
  std::set<std::string> bash(const std::string& line) {
    return lines_of("/bin/bash",
                    "source \"$1\"; COMP_WORDS=(" + line
                      + "); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _modelforge; printf '%s\\n' \"${COMPREPLY[@]}\"",
                    "bash-completion/completions/modelforge");
  }
};

/// As it stands in a manual page.
std::string in_roff(const std::string& text) {
  return std::regex_replace(text, std::regex{"-"}, "\\-");
}

std::vector<std::string> options_in(const std::string& help) {
  std::vector<std::string> result;
  std::regex name{"(^|,)(--?[A-Za-z][A-Za-z-]*)"};
  std::istringstream lines{help};
  for (std::string line; std::getline(lines, line);)
    if (line.starts_with("  -")) {
      auto names = line.substr(2, line.find(' ', 2) - 2);
      for (std::sregex_iterator i{names.begin(), names.end(), name}; i != std::sregex_iterator{}; ++i)
        result.push_back((*i)[2]);
    }
  return result;
}

} // namespace

TEST_CASE_METHOD(manual_test, "each command has a page with all its options", "[cli][manual]") {
  auto all = commands();
  CHECK(all.size() > 15);
  for (auto& command : all) {
    std::string name = "modelforge";
    for (auto& word : command)
      name += "-" + word;
    auto page = folder.read("share/man/man1/" + name + ".1");
    INFO(name);
    REQUIRE(contains(page, ".TH \"")); // there is one
    CHECK(contains(page, "\"1970-01-02\""));
    auto options = options_in(help(command));
    CHECK_FALSE(options.empty());
    for (auto& option : options)
      CHECK(contains(page, "\\fB" + in_roff(option) + "\\fR"));
  }
  CHECK_FALSE(contains(help({}), "generate")); // which is for packages
  CHECK_FALSE(std::filesystem::exists(folder.path("share/man/man1/modelforge-generate.1")));
}

TEST_CASE_METHOD(manual_test, "the configuration's page has every key", "[cli][manual]") {
  auto page = folder.read("share/man/man5/modelforge.toml.5");
  for (auto* table : schema::tables())
    for (auto& key : table->keys) {
      INFO(table->path << '.' << key.name);
      CHECK(contains(page, "\\fB" + std::string{key.name} + "\\fR ("));
    }
  CHECK_FALSE(contains(page, "](#"));
}

TEST_CASE_METHOD(manual_test, "pages say what the help says, and of what may be given", "[cli][manual]") {
  auto batch = folder.read("share/man/man1/modelforge-batch.1");
  CHECK(contains(batch, ".TP\n\\fB\\-\\-format\\fR \\fITEXT\\fR\nWhat INPUT is: "));
  CHECK(contains(batch, "One of: lines, csv, tsv, folder.\n"));
  CHECK(contains(batch, "From 1 to 100000.\n"));
  CHECK(contains(batch, ".SH \"EXAMPLES\"\n.RS 4\n.nf\nmodelforge batch prompts.txt"));
  auto simulate = folder.read("share/man/man1/modelforge-simulate.1");
  CHECK(contains(simulate, "\\fIHOST:PORT\\fR"));
  CHECK(contains(simulate, "Default: 20.\n"));
  auto program = folder.read("share/man/man1/modelforge.1");
  CHECK(contains(program, ".SH \"EXIT STATUS\"\n0 all answered"));
  CHECK(contains(program, ".SH \"NAME\"\nmodelforge \\- calls "));
}

TEST_CASE_METHOD(manual_test, "the program's page has every variable, as the reference has them", "[cli][manual]") {
  auto page = folder.read("share/man/man1/modelforge.1");
  auto section = page.substr(page.find(".SH \"ENVIRONMENT\"\n"));
  section.resize(section.find("\n.SH ", 1));
  auto told = [&](const std::string& name) { return contains(section, "\\fB" + name + "\\fR"); };
  std::istringstream rows{run({"generate", "reference", "variables"}).out};
  std::size_t count = 0;
  for (std::string row; std::getline(rows, row);) {
    auto names = row.substr(0, row.find(" | "));
    static const std::regex name{"`(\\w+)`"};
    for (std::sregex_iterator i{names.begin(), names.end(), name}, end; i != end; ++i, ++count) {
      INFO((*i)[1].str());
      CHECK(told((*i)[1].str()));
    }
  }
  CHECK(count > 25);
  CHECK_FALSE(contains(section, "]("));
  CHECK_FALSE(contains(section, "[service"));
}

TEST_CASE_METHOD(manual_test, "the checkers of manual pages find nothing", "[cli][manual]") {
  auto checked = 0;
  for (std::string checker : {"/usr/bin/mandoc -T lint -W warning", "/usr/bin/man --warnings -l -Tutf8 -Z"}) {
    if (!std::filesystem::exists(checker.substr(0, checker.find(' '))))
      continue;
    process_options x;
    x.arguments = {"/bin/sh", "-c", "for page in man1/* man5/*; do " + checker + " $page 2>&1 >/dev/null; done"};
    if (checker.starts_with("/usr/bin/mandoc"))
      x.arguments.back() = "for page in man1/* man5/*; do " + checker + " $page; done";
    x.environment = {"PATH=/usr/bin:/bin", "LC_ALL=C.UTF-8"};
    x.folder = folder.path("share/man");
    auto result = run_process(x);
    CHECK(result.out == "");
    ++checked;
  }
  if (checked == 0)
    SKIP("neither mandoc nor man is here");
}

TEST_CASE_METHOD(manual_test, "bash completes commands, options and their values", "[cli][manual]") {
  std::set<std::string> nothing{""};
  CHECK(bash("modelforge ''").contains("chat"));
  CHECK(bash("modelforge con") == std::set<std::string>{"config"});
  CHECK(bash("modelforge chat --conf") == std::set<std::string>{"--config"});
  CHECK(bash("modelforge batch --format ''") == std::set<std::string>{"csv", "folder", "lines", "tsv"});
  CHECK(bash("modelforge batch --format = c") == std::set<std::string>{"csv"}); // as bash parts --format=c
  CHECK(bash("modelforge config sh") == std::set<std::string>{"show"});
  CHECK(bash("modelforge config show --or") == std::set<std::string>{"--origins"});
  CHECK(bash("modelforge batch -m status --js") == nothing); // a model of this name, not the command
  CHECK(bash("modelforge batch --model = status --js") == nothing);
  CHECK(bash("modelforge batch status --js") == std::set<std::string>{"--json"});
  CHECK(bash("modelforge chat --model ''") == nothing); // nobody knows them
  folder.write("prompts.txt", "Hi\n");
  std::filesystem::create_directory(folder.path("texts"));
  CHECK(bash("modelforge batch pro") == std::set<std::string>{"prompts.txt"});
  CHECK(bash("modelforge chat -c pro") == std::set<std::string>{"prompts.txt"});
  CHECK(bash("modelforge chat --image pro") == std::set<std::string>{"prompts.txt"});
  CHECK(bash("modelforge batch status pro") == std::set<std::string>{"prompts.txt"});
  CHECK(bash("modelforge batch te") == std::set<std::string>{"texts"});
  folder.write("tests.txt", "Hi\n");
  CHECK(bash("modelforge state --in te") == std::set<std::string>{"texts"}); // a folder, no file
}

TEST_CASE_METHOD(manual_test, "every kind of value that completions know is some option's", "[cli][manual]") {
  auto fish = folder.read("share/fish/vendor_completions.d/modelforge.fish");
  for (auto* value : {" -r -F -d ", " -x -d ", " -F\n", " -f\n", " -x -a 'lines csv tsv folder' -d ",
                      " -x -a '(__fish_complete_directories)' -d "})
    CHECK(contains(fish, value));
  auto zsh = folder.read("share/zsh/site-functions/_modelforge");
  for (auto* value : {":FILE:_files", ":FILE|URL:_files", ":OUTPUT:_files", ":FOLDER:_files -/"})
    CHECK(contains(zsh, value));
}

TEST_CASE_METHOD(manual_test, "fish and zsh complete them, too", "[cli][manual]") {
  auto checked = 0;
  if (std::string fish = "/usr/bin/fish"; std::filesystem::exists(fish)) {
    auto complete = [&](const std::string& line) {
      return lines_of(fish, "source $argv[2]; complete -C '" + line + "' | string split -f1 \\t",
                      "fish/vendor_completions.d/modelforge.fish");
    };
    CHECK(complete("modelforge con") == std::set<std::string>{"config"});
    CHECK(complete("modelforge batch --format ") == std::set<std::string>{"csv", "folder", "lines", "tsv"});
    CHECK(complete("modelforge config show --or") == std::set<std::string>{"--origins"});
    CHECK(complete("modelforge batch -m status --js").empty());
    ++checked;
  }
  if (std::string zsh = "/usr/bin/zsh"; std::filesystem::exists(zsh)) {
    CHECK(lines_of(zsh, "zsh -n $1; autoload -U compinit; compinit -D -u; source $1; print $_comps[modelforge]",
                   "zsh/site-functions/_modelforge")
          == std::set<std::string>{"_modelforge"});
    ++checked;
  }
  if (checked == 0)
    SKIP("neither fish nor zsh is here");
}

} // namespace modelforge::manual_test
