#pragma once

#include "tools/chat/conversation.hpp"

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace modelforge::chat {

/// A conversation's file, as the folder tells it.
struct conversation_file {
  std::string name; ///< What users call it: the file's name without ".md".
  std::string path;
  std::chrono::system_clock::time_point changed;
};

/// A conversation that is kept, and what its file held when this process last read or wrote it: whoever has changed it
/// since is noticed.
struct kept_conversation {
  std::string name; ///< Empty: it has no file yet.
  std::string text;
};

/// What `save` has done.
enum class save_result : uint8_t {
  saved,
  /// Somebody else has changed the file meanwhile: both are kept, this one under the new name in `kept_conversation`.
  saved_beside,
  deleted, ///< The file was deleted meanwhile: nothing is written.
};

/// The folder of conversations (mode 0700), a file each (mode 0600).
///
/// Any number of processes may use it at a time: what is written is written beside and renamed, under a lock of the
/// folder that nobody holds for longer than that. Errors are strings for people, ends of no sentence in particular.
class conversation_store {
public:
  /// Nothing is created before something is saved. An empty `folder`: there is no place, and saving says so.
  explicit conversation_store(std::string folder) : folder_(std::move(folder)) {}

  const std::string& folder() const { return folder_; }
  std::string path_of(const std::string& name) const { return folder_ + "/" + name + ".md"; }

  /// Returns all, the newest first. `others` gets the paths of Markdown files that somebody else has put there: they
  /// are no conversations, and nothing here touches them.
  std::vector<conversation_file> list(std::vector<std::string>* others = nullptr) const;

  /// Reads one by its whole name; `kept` gets what `save` needs to go on with it.
  std::variant<conversation, std::string> load(const std::string& name, kept_conversation& kept) const;

  /// Writes it. One without a name gets `wanted`, or one after the `day` ("2026-11-30") and its title if that is empty.
  /// A string says what failed; the file is then as it was.
  std::variant<save_result, std::string> save(const conversation& x, kept_conversation& kept, const std::string& day,
                                              const std::string& wanted = {}) const;

  /// Gives a kept one another name; returns what went wrong, or "".
  std::string rename(kept_conversation& kept, const std::string& name) const;

  /// Deletes one by its whole name; returns what went wrong, or "".
  std::string remove(const std::string& name) const;

private:
  std::string folder_;
};

/// Says what is wrong with a name for a conversation; "": nothing. Names are letters, digits, "-", "_" and "." of
/// ASCII.
std::string name_problem(std::string_view name);

/// What a user means by `wanted` among some names.
struct name_search {
  std::string name;    ///< The one that is meant; empty: none.
  std::string problem; ///< Why there is none, for people.
};

/// Finds the whole name, else the only one that has `wanted` in it.
name_search find_name(std::string_view wanted, const std::vector<conversation_file>& among);

} // namespace modelforge::chat
