#include "tools/cli/commands.hpp"
#include "tools/cli/completion.hpp"
#include "tools/cli/man_page.hpp"
#include "tools/cli/output.hpp"
#include "tools/cli/reference_pages.hpp"

#include "base/utc_text.hpp"

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <memory>

/// `modelforge generate`: what packages hold beside the program, written from what its commands are described by.

namespace modelforge::cli {

namespace {

/// Today, or the day of SOURCE_DATE_EPOCH, so that one source makes the same bytes on any day.
std::string edition_date() {
  auto now = std::time(nullptr);
  if (auto* epoch = std::getenv("SOURCE_DATE_EPOCH"))
    now = static_cast<std::time_t>(std::strtoll(epoch, nullptr, 10));
  return base::utc_text(now, "%Y-%m-%d");
}

/// Writes a file, in folders that are made where they are missing.
bool write_file(const std::filesystem::path& path, const std::string& text) {
  std::error_code error;
  std::filesystem::create_directories(path.parent_path(), error); // a problem shows below
  std::ofstream file{path, std::ios::binary};
  file << text;
  file.close();
  if (!file)
    complain("cannot write " + path.string() + ": " + std::strerror(errno));
  return !file.fail();
}

/// What `modelforge generate share` does.
int generate_share(const command_description& program, const std::string& folder) {
  man_edition edition{MODELFORGE_VERSION, edition_date()};
  std::filesystem::path root{folder};
  auto good = write_file(root / "bash-completion/completions/modelforge", bash_completion(program))
              && write_file(root / "zsh/site-functions/_modelforge", zsh_completion(program))
              && write_file(root / "fish/vendor_completions.d/modelforge.fish", fish_completion(program))
              && write_file(root / "man/man5/modelforge.toml.5", man_page(reference_tables(), edition));
  for_each_command(program, [&](const command_description& command) {
    auto path = root / "man/man1" / (command.name("-") + ".1");
    good = good && write_file(path, man_page(program, command, edition));
  });
  return good ? exit_ok : exit_failed;
}

/// What `modelforge generate completion` does.
int generate_completion(const command_description& program, const std::string& shell) {
  auto text = shell == "bash"  ? bash_completion(program)
              : shell == "zsh" ? zsh_completion(program)
                               : fish_completion(program);
  return print(text) ? exit_ok : exit_failed;
}

/// What `modelforge generate reference` does.
int generate_reference(const std::string& page) {
  auto text = reference_page(page);
  return text && print(*text) ? exit_ok : exit_failed;
}

} // namespace

void add_generate(command_line& line) {
  auto folder = std::make_shared<std::string>();
  auto shell = std::make_shared<std::string>();
  auto generate = line.add("generate", "Write manual pages and completions, for packages");
  generate.hide();
  generate.require_command();
  auto share = generate.add("share", "Write manual pages and completions into a folder, as they lie in /usr/share");
  share.text("FOLDER", *folder, "Where they go; created where it is missing").required();
  share.run_by([folder, &line] { return generate_share(line.describe(), *folder); });
  auto completion =
    generate.add("completion", "Print a script that completes commands and options at a shell's prompt");
  completion.choice("SHELL", *shell, "Of which shell", {"bash", "zsh", "fish"}).required();
  completion.run_by([shell, &line] { return generate_completion(line.describe(), *shell); });
  auto page = std::make_shared<std::string>();
  auto reference = generate.add("reference", "Print a table of docs/reference.md, as Markdown");
  reference.choice("PAGE", *page, "Which one", {"errors", "exit-codes", "variables", "signals", "files"}).required();
  reference.run_by([page] { return generate_reference(*page); });
  reference.footer("Example:\n  modelforge generate reference errors");
  generate.footer(
    "Examples:\n  modelforge generate share build/share\n  source <(modelforge generate completion bash)");
  share.footer("Example:\n  modelforge generate share build/share");
  completion.footer("Example:\n  source <(modelforge generate completion bash)");
}

} // namespace modelforge::cli
