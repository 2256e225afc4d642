#pragma once

#include "config/check.hpp"
#include "config/diagnostic.hpp"
#include "config/source_text.hpp"

#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace modelforge {

/// Gathers what is wrong with one file while it is loaded, so that one report has all of it and nothing twice.
///
/// Settings are known by their paths ("providers.main.retry"). The reader notes where each stands, and `fail`s those
/// that it cannot take. Findings of the checks that come after it know paths only: their places are looked up here, and
/// a finding about a path that has failed is taken for a consequence and dropped.
class load_report {
public:
  /// `name` stands for the file.
  explicit load_report(std::string name) : name_{std::move(name)} {}

  /// Reports at a place, whatever is there.
  void add(place where, std::string_view message, std::string_view hint = "", severity level = severity::error);

  /// Reports the value of a key, or a key.
  void fail(const std::string& path, place where, std::string_view message, std::string_view hint = "");

  /// Reports what a check has found, unless it follows from what was reported before.
  void add(const finding& found);

  /// Takes findings about this path for consequences, too.
  void mark_failed(std::string path) { failed_.push_back(std::move(path)); }

  /// The syntax was broken, and lines were left out: what is missing may stand there, so warnings are dropped.
  void mark_incomplete() { incomplete_ = true; }

  /// Notes where a value stands; the first place counts.
  void note_place(const std::string& path, place where) { places_.emplace(path, where); }

  /// Notes where a value stands, in place of what was noted before.
  void move_place(const std::string& path, place where) { places_[path] = where; }

  bool is_set(const std::string& path) const { return places_.count(path) > 0; }

  /// Masks a credential in all lines that are shown.
  void hide(const std::string& credential);

  /// The report in the file's order; without any error, with these settings.
  load_result finish(settings&& all, const source_text& source) &&;

private:
  bool has_failed(const std::string& path) const;
  place find_place(const std::vector<std::string>& paths) const;

  std::string name_;
  std::map<std::string, place> places_; ///< Where each key's value is, by path.
  std::vector<std::string> failed_;     ///< Paths that have been reported.
  std::vector<std::string> hidden_;     ///< Credentials found, to be masked in shown lines.
  bool incomplete_ = false;
  std::vector<diagnostic> diagnostics_;
};

} // namespace modelforge
