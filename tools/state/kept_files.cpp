#include "tools/state/kept_files.hpp"

#include "base/file.hpp"
#include "batch/ledger.hpp"
#include "config/trusted_files.hpp"
#include "tools/chat/conversation_store.hpp"
#include "tools/doctor/look.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <system_error>
#include <tuple>
#include <utility>

namespace modelforge::state {

namespace {

namespace fs = std::filesystem;

constexpr std::string_view ledger_ending = ".ledger";
constexpr std::string_view limits_ending = ".limits";
constexpr std::string_view limits_draft_ending = ".limits.new";
constexpr std::string_view lock_ending = ".lock";
constexpr std::string_view draft_ending = ".new";
constexpr std::string_view conversation_draft_ending = ".md.new";

/// What the system says of a file; false: there is none, or it is no regular one.
bool look_at(kept_file& file) {
  struct stat info {};
  if (::lstat(file.path.c_str(), &info) != 0 || !S_ISREG(info.st_mode))
    return false;
  file.owner = info.st_uid;
  file.mode = info.st_mode & 07777;
  file.bytes = static_cast<uint64_t>(info.st_size);
  file.changed = std::chrono::system_clock::time_point{std::chrono::seconds{info.st_mtim.tv_sec}};
  return true;
}

/// Calls back with the path of each file of a folder, which may be missing.
void for_each_file(const std::string& folder, const std::function<void(const std::string&)>& visit) {
  std::error_code problem;
  for (fs::directory_iterator each{folder, problem}, end; !problem && each != end; each.increment(problem))
    visit(each->path().string());
}

/// The folders that there are, each once, however often and differently it is spelt.
std::vector<std::string> distinct(const std::vector<std::string>& folders) {
  std::vector<std::string> result;
  for (auto& folder : folders) {
    std::error_code ignored;
    auto is_same = [&](auto& known) { return fs::equivalent(known, folder, ignored); };
    if (fs::is_directory(folder, ignored) && std::none_of(result.begin(), result.end(), is_same))
      result.push_back(folder);
  }
  return result;
}

/// Whether it is a file of limits, or an empty one, that we have made.
bool holds_limits(const std::string& path) {
  constexpr std::string_view beginning = "modelforge limits ";
  std::ifstream in{path};
  std::string line;
  std::getline(in, line);
  return line.empty() || line.starts_with(beginning);
}

/// What is locked while somebody writes this file: for limits a file beside them, for conversations their folder.
std::string lock_of(const kept_file& file) {
  if (file.kind == kind::limits || file.kind == kind::draft)
    for (auto ending : {limits_ending, limits_draft_ending})
      if (file.path.ends_with(ending))
        return file.path.substr(0, file.path.size() - ending.size()) + std::string{lock_ending};
  auto is_by_folder = file.kind == kind::conversation || file.kind == kind::draft;
  return is_by_folder ? fs::path{file.path}.parent_path().string() : file.path;
}

/// Why a batch's ledger has to stay: it is all that is left of what was paid for, or of what is still to be done.
std::string why_needed(const std::string& ledger) {
  std::error_code is_missing;
  auto output_bytes = fs::file_size(ledger.substr(0, ledger.size() - ledger_ending.size()), is_missing);
  if (is_missing)
    return "its output is not there: the results are in the ledger alone";
  auto seen = batch::ledger::look(ledger);
  if (auto* problem = std::get_if<failure>(&seen))
    return "it is no ledger that can be read: " + problem->message;
  auto& summary = std::get<batch::ledger_summary>(seen);
  if (!summary.jobs.empty())
    return "the batch is not finished: a provider has a job of it";
  if (!summary.total || summary.ok + summary.failed < *summary.total)
    return "the batch is not finished";
  if (output_bytes == 0 && summary.ok + summary.failed > 0)
    return "its output is empty: the results are in the ledger alone";
  if (summary.failed > 0)
    return std::to_string(summary.failed) + " of its items have failed, and --retry-failed may send them again";
  return {};
}

/// Gathers files as it finds them.
class finder {
public:
  explicit finder(const folders& where) : where_(where) {}

  std::vector<kept_file> run() {
    for (auto& folder : distinct({where_.state, where_.limits}))
      find_state(folder);
    find_in_own_folders();
    for (auto& folder : distinct(where_.ledgers))
      for_each_file(folder, [this](auto& path) {
        if (path.ends_with(ledger_ending))
          add(kind::ledger, path, why_needed(path));
      });
    for (auto& log : where_.logs)
      add(kind::log, log, "it is a log: rotate it with logrotate");
    std::sort(found_.begin(), found_.end(),
              [](auto& a, auto& b) { return std::tie(a.kind, a.path) < std::tie(b.kind, b.path); });
    return std::move(found_);
  }

private:
  void add(kind what, const std::string& path, std::string kept_because = {}) {
    kept_file file;
    file.kind = what;
    file.path = path;
    if (!look_at(file))
      return;
    file.kept_because = std::move(kept_because);
    file.is_in_use = doctor::is_locked(lock_of(file));
    found_.push_back(std::move(file));
  }

  /// Of the folder itself, in which others may have files, too: the settings may name any.
  void find_state(const std::string& folder) {
    for_each_file(folder, [this](auto& path) {
      if (path.ends_with(limits_ending))
        add(kind::limits, path, holds_limits(path) ? "" : "it does not begin as a file of limits: somebody else's?");
      else if (path.ends_with(lock_ending))
        add(kind::lock, path, "it is empty, and a lock that is removed is none");
      else if (path.ends_with(limits_draft_ending))
        add(kind::draft, path);
      else if (fs::path{path}.filename() == "chat_inputs")
        add(kind::inputs, path);
    });
  }

  void find_in_own_folders() {
    if (where_.state.empty())
      return;
    for (auto& file : trusted_files::list(where_.state + "/trusted"))
      add(kind::trusted, file.place, file.is_in_force ? "the configuration is as it was confirmed: " + file.path : "");
    auto conversations = where_.state + "/conversations";
    for (auto& file : chat::conversation_store{conversations}.list())
      add(kind::conversation, file.path);
    for (auto [folder, ending] :
         {std::pair{"/trusted", draft_ending}, std::pair{"/conversations", conversation_draft_ending}})
      for_each_file(where_.state + folder, [this, ending = ending](auto& path) {
        if (path.ends_with(ending))
          add(kind::draft, path);
      });
  }

  const folders& where_;
  std::vector<kept_file> found_;
};

} // namespace

const std::vector<kind_rule>& kind_rules() {
  static const std::vector<kind_rule> rules{
    {kind::limits, "`STATE/PROVIDER.limits`", "0600", "the use of a provider's limits",
     "a line for each charge in the window: kilobytes", "`modelforge state clean`; limits begin full then"},
    {kind::lock, "`STATE/PROVIDER.lock`", "0600", "nothing; it is locked while a program writes the other", "0",
     "it stays; delete it while nothing runs"},
    {kind::draft, "`STATE/PROVIDER.limits.new`, `STATE/trusted/*.new`, `STATE/conversations/*.md.new`", "0600",
     "what was being written when a program was killed", "at most one for each file", "`modelforge state clean`"},
    {kind::trusted, "`STATE/trusted/`", "0700, files 0600",
     "configurations that `modelforge config trust` confirmed, whole", "as they are",
     "`modelforge state clean --kind trusted`, those that are gone or have changed; `modelforge config trust "
     "--forget`"},
    {kind::conversation, "`STATE/conversations/`", "0700, files 0600",
     "conversations, a Markdown file each, with their images", "with each question and answer",
     "`modelforge state clean --kind conversation`, `modelforge history delete`"},
    {kind::inputs, "`STATE/chat_inputs`", "0600", "what was typed in sessions", "1,000 to 2,000 inputs",
     "`modelforge state clean --kind inputs`"},
    {kind::ledger, "`OUTPUT.ledger`, beside a batch's output", "0600",
     "the batch's results and state, prompts' answers included", "about as large as the output",
     "`modelforge state clean --kind ledger`, those of finished batches; by you, when the results are taken"},
    {kind::log, "`log.sink`, `log.access`", "0640", "the log and the access log",
     "a line for each event or request, without bound", "logrotate"},
  };
  return rules;
}

std::vector<kept_file> find_files(const folders& where) {
  return finder{where}.run();
}

bool is_to_go(const kept_file& file, const clean_order& order, std::chrono::system_clock::time_point now) {
  return std::find(order.kinds.begin(), order.kinds.end(), file.kind) != order.kinds.end() && !file.is_in_use
         && file.kept_because.empty()
         && std::chrono::floor<std::chrono::seconds>(now - file.changed) >= order.older_than;
}

// Who starts just then and finds the lock taken acts as if another program ran, until it writes the first time.
std::string remove(const kept_file& file) {
  auto lock = lock_of(file);
  base::file locked{::open(lock.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
  if (locked.get() < 0 && errno != ENOENT)
    return lock + ": " + std::strerror(errno);
  if (locked.get() >= 0 && ::flock(locked.get(), LOCK_EX | LOCK_NB) != 0)
    return std::string{used_words};
  kept_file now = file;
  if (!look_at(now) || now.changed != file.changed || now.bytes != file.bytes)
    return std::string{changed_words};
  return ::unlink(file.path.c_str()) == 0 ? "" : std::strerror(errno);
}

} // namespace modelforge::state
