#pragma once

#include "dispatch/dispatcher.hpp"

#include <chrono>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace modelforge {

/// The file in which a provider's use of its limits outlives the process: `FOLDER/PROVIDER.limits`, replaced as a whole
/// each time. A lock beside it (`PROVIDER.lock`, held while this lives) keeps a second process from writing it; who
/// finds it taken tries again with each write, since the other may have had it for a moment only, or end first.
///
/// Writes go to the system's page cache and are not synced: they outlive a killed process, and after the machine's own
/// end a restart takes longer than most windows. Of one thread at a time.
class journal {
public:
  using wall_clock = std::chrono::system_clock;

  struct lane {
    std::string name; ///< What the lane is called; no line breaks.
    dispatcher::journal_lane is;
  };

  struct content {
    wall_clock::time_point written;
    std::vector<lane> lanes;
  };

  /// How a provider's file is, for who only looks.
  struct look {
    std::string path;
    std::string lock;         ///< Path of the file that is locked while somebody writes.
    bool is_readable = false; ///< False for one that is not there, too.
    bool is_whole = false;    ///< It can be read to its end; for which address it is does not matter.
  };

  /// Looks at what is there, and changes nothing: no lock is taken, no folder made.
  static look look_at(const std::string& folder, const std::string& provider);

  /// Opens, and makes the folder if need be. A failure is a text for people.
  static std::variant<journal, std::string> open(const std::string& folder, const std::string& provider);

  journal(journal&&) noexcept;
  journal& operator=(journal&&) noexcept;
  ~journal();

  /// Whether another process held the lock at the start or the last write: then nothing was written.
  bool is_taken() const { return !is_locked_; }

  /// What was written last for this address; empty where there is nothing, or nothing that can be read.
  std::optional<content> read(const std::string& base_url) const;

  /// Writes all anew, unless it is taken; returns what went wrong.
  std::optional<std::string> write(const std::string& base_url, const content& x);

private:
  journal() = default;

  bool take_lock();

  std::string path_;
  int lock_ = -1; ///< The lock's file.
  bool is_locked_ = false;
};

} // namespace modelforge
