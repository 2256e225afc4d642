#pragma once

#include "batch/file.hpp"

#include <modelforge/messages/error.hpp>

#include <optional>
#include <string>
#include <string_view>
#include <variant>

namespace modelforge::batch {

/// A file that is written for people, who must not lose what they have.
///
/// A regular file is written as a part beside it (PATH and an ending) and renamed by `finish`, so a PATH that was there
/// is whole before and after, and keeps its mode; where it is not renamed the part stays, until the next run starts it
/// anew. A link stays one: what it leads to is written. While one run writes a part others are refused. What is no
/// regular file (a pipe, a device) is written in place. For one thread.
class output_file {
public:
  /// Opens it. `ending`: of the part's name, ".part" say.
  static std::variant<output_file, failure> open(const std::string& path, std::string_view ending);

  /// The process's standard output, by a descriptor of its own.
  static std::variant<output_file, failure> standard_output();

  /// Writes all of it, waiting where the file takes no more for now. The failure is `io_failed`.
  std::optional<failure> write(std::string_view bytes);

  /// Writes this in place of all that was written; into what is no part, behind it.
  std::optional<failure> rewrite(std::string_view bytes);

  /// Closes it; a `complete` one gets its final name. Errors of sync, close and rename are all reported.
  std::optional<failure> finish(bool complete);

  /// Closes it and removes the part, if there is one.
  void discard();

  /// Where what was written is: the path, that of its part, or "standard output".
  const std::string& place() const { return part_.empty() ? path_ : part_; }

  /// Whether it is written as a part.
  bool is_part() const { return !part_.empty(); }

private:
  output_file(file output, std::string path) : output_(std::move(output)), path_(std::move(path)) {}

  static std::variant<output_file, failure> made_of(int descriptor, std::string path);
  static std::variant<output_file, failure> open_regular(const std::string& path, std::string_view ending);

  file output_;
  file lock_; ///< A second descriptor of the same opening: keeps the part's lock while the first one is closed.
  std::string path_;
  std::string part_; ///< Empty: the final file itself is written.
};

/// The name of the part that `path` is written as.
std::string part_path(const std::string& path, std::string_view ending);

} // namespace modelforge::batch
