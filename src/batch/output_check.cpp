#include "batch/output_check.hpp"

#include "batch/file.hpp"
#include "batch/ledger_line.hpp"
#include "batch/output_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <filesystem>
#include <utility>

namespace modelforge::batch {

namespace {

bool same_file(const struct stat& x, const struct stat& y) {
  return x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

/// Looks at a file, or at an open descriptor for "-".
bool look_at(const std::string& path, int descriptor, struct stat& is) {
  return (path == "-" ? ::fstat(descriptor, &is) : ::stat(path.c_str(), &is)) == 0;
}

failure do_not_write(std::string message) {
  return make_failure(errc::io_failed, std::move(message), "write the results to another file");
}

/// The beginning of a regular file; empty where there is none, or where nobody may read it.
std::string beginning_of(const std::string& path, std::size_t size) {
  struct stat is {};
  if (::stat(path.c_str(), &is) != 0 || !S_ISREG(is.st_mode))
    return {};
  file opened{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  std::string text(size, '\0');
  auto n = opened.get() >= 0 ? ::pread(opened.get(), text.data(), size, 0) : 0;
  text.resize(n > 0 ? static_cast<std::size_t>(n) : 0);
  return text;
}

/// Whether a text has a line that begins a table of a provider. One in a fence is an answer's, which tells of such a
/// file.
bool is_configuration(std::string_view text) {
  if (text.find("```") != text.npos)
    return false;
  for (std::string_view head : {"[providers.", "[[providers"})
    if (text.starts_with(head) || text.find("\n" + std::string{head}) != text.npos)
      return true;
  return false;
}

/// Whether a text begins as `modelforge chat` keeps conversations: with a title, and then this mark.
bool is_conversation(std::string_view text) {
  return text.starts_with("# ") && text.substr(0, 1024).find("\n<!-- modelforge conversation, version ") != text.npos;
}

/// Whether a text begins with a line of JSON that asks: results have the names of what they answer in front.
bool is_prompts(std::string_view text) {
  auto line = text.substr(0, text.find('\n'));
  if (!line.starts_with('{') || line.starts_with(ledger_line::id_key))
    return false;
  for (std::string_view name : {"\"prompt\"", "\"body\"", "\"messages\""})
    if (line.find(name) != line.npos)
      return line.find("\"response\"") == line.npos;
  return false;
}

/// The ledger in the output's folder that names the output as its input; empty: none does.
std::string ledger_that_reads(const std::string& output, const struct stat& is) {
  auto folder = std::filesystem::path{output}.parent_path();
  std::error_code error;
  for (auto& entry : std::filesystem::directory_iterator{folder.empty() ? "." : folder, error}) {
    auto path = entry.path().string();
    if (!path.ends_with(ledger_ending))
      continue;
    auto text = beginning_of(path, 16u << 10);
    auto line = std::string_view{text}.substr(0, text.find('\n'));
    struct stat read {};
    if (ledger_line::is_header(line)
        && ::stat(ledger_line::text_in(ledger_line::members_of(line), "input").c_str(), &read) == 0
        && same_file(is, read))
      return path;
  }
  return {};
}

} // namespace

std::optional<failure> refuse_read_file(const std::string& input, const std::string& output) {
  struct stat from {
  }, to{};
  if (look_at(input, STDIN_FILENO, from) && S_ISREG(from.st_mode) && look_at(output, STDOUT_FILENO, to)
      && same_file(from, to))
    return do_not_write("the input " + input + " and the output " + output + " are the same file");
  return {};
}

std::optional<failure> refuse_same_file(const std::string& input, const std::string& output) {
  if (auto problem = refuse_read_file(input, output))
    return problem;
  struct stat from {
  }, to{};
  if (!look_at(input, STDIN_FILENO, from) || !S_ISREG(from.st_mode) || !is_written_as_part(output))
    return {};
  auto part = part_path(output, part_ending);
  if (::stat(part.c_str(), &to) == 0 && same_file(from, to))
    return do_not_write("the input " + input + " is the file " + part + ", in which the results for " + output
                        + " gather");
  auto ledger = output + std::string{ledger_ending};
  if (::stat(ledger.c_str(), &to) == 0 && same_file(from, to))
    return do_not_write("the input " + input + " is the file " + ledger + ", which would be the ledger of " + output);
  return {};
}

std::optional<failure> refuse_foreign_file(const std::string& output) {
  if (!is_written_as_part(output))
    return {};
  auto text = beginning_of(output, 64u << 10);
  if (ledger_line::is_header(text))
    return do_not_write(output + " is the ledger of a batch, whose results would be lost");
  if (is_configuration(text))
    return do_not_write(output + " is a configuration with providers, which would be lost");
  if (is_conversation(text))
    return do_not_write(output + " is a conversation of `modelforge chat`, which would be lost");
  if (output.ends_with(part_ending)) {
    auto whole = output.substr(0, output.size() - part_ending.size());
    if (auto ledger = whole + std::string{ledger_ending}; ledger_line::is_header(beginning_of(ledger, 256)))
      return do_not_write("in " + output + " the results for " + whole + " gather");
  }
  if (is_prompts(text))
    return do_not_write(output + " holds prompts of a batch, which would be lost");
  struct stat is {};
  if (::stat(output.c_str(), &is) == 0 && is.st_size > 0)
    if (auto ledger = ledger_that_reads(output, is); !ledger.empty())
      return do_not_write(output + " is the input of the batch whose ledger is " + ledger);
  return {};
}

} // namespace modelforge::batch
