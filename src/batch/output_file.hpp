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
/// is whole before and after, and keeps its mode and, where it may be, its owner; one that may not be written is not
/// replaced either. Where it is not renamed the part stays. A part's name that is taken
/// by something that nobody said may be dropped is left alone: then the part has a number behind it. A link stays one:
/// what it leads to is written. While one run writes a part others are refused. What is no regular file (a pipe, a
/// device) is written in place, and so is an open descriptor under its name (/dev/stdout, /dev/fd/3, and links to
/// them), wherever it leads: it is the caller's redirection. For one thread.
class output_file {
public:
  /// Tells by its beginning whether what is in a part may be dropped, because it can be had again.
  using is_dispensable = bool (*)(std::string_view beginning);

  /// Opens it. `ending`: of the part's name, ".part" say. Without `dispensable` a part with something in it stays.
  static std::variant<output_file, failure> open(const std::string& path, std::string_view ending,
                                                 is_dispensable dispensable = nullptr);

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

  /// Whether `finish` would put it in the place of a file with something in it.
  bool replaces_something() const;

private:
  output_file(file output, std::string path) : output_(std::move(output)), path_(std::move(path)) {}

  static std::variant<output_file, failure> made_of(int descriptor, std::string path);
  static std::variant<output_file, failure> on_descriptor(int descriptor, std::string name);
  static std::variant<output_file, failure> open_regular(const std::string& real, std::string_view ending,
                                                         is_dispensable dispensable);

  file output_;
  file lock_; ///< A second descriptor of the same opening: keeps the part's lock while the first one is closed.
  std::string path_;
  std::string part_; ///< Empty: the final file itself is written.
};

/// Whether `path` is written as a part, if it can be written at all: neither "-", nor what is there and no regular
/// file, nor an open descriptor under its name.
bool is_written_as_part(const std::string& path);

/// Opens a named pipe for writing without waiting for its reader. A descriptor below 0: nobody reads it yet. Empty: it
/// is no named pipe, or cannot be opened for another reason, which `output_file::open` says.
std::optional<file> open_named_pipe(const std::string& path);

/// The name of the part that `path` is written as, where that name is free.
std::string part_path(const std::string& path, std::string_view ending);

} // namespace modelforge::batch
