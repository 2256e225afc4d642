#pragma once

#include <modelforge/config/secret.hpp>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace modelforge {

/// The configurations that the user has confirmed, each with the content that it had then: a changed one is another
/// one. They are kept whole, in files of their own (mode 0600) in `trusted` in the user's state folder, which is never
/// the one that a configuration names.
class trusted_files {
public:
  explicit trusted_files(const environment& env = process_environment());

  /// Whether the file at this path was confirmed with just this content.
  bool contains(const std::string& path, std::string_view text) const;

  /// Confirms it; returns what went wrong, for people, or nothing.
  std::optional<std::string> add(const std::string& path, std::string_view text) const;

  /// A confirmation, and where it is kept.
  struct entry {
    std::string place;
    std::string path;         ///< Of the configuration; empty where the file is none of ours.
    bool is_in_force = false; ///< The configuration is still there, with just that content.
  };

  /// All that are kept in a folder; of an own one, `folder` is `trusted` in the state folder.
  static std::vector<entry> list(const std::string& folder);

  /// Takes the confirmation back. Returns whether there was one.
  bool remove(const std::string& path) const;

private:
  std::string folder_; ///< Empty: there is no place to remember anything.
};

} // namespace modelforge
