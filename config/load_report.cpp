#include "config/load_report.hpp"

#include <algorithm>
#include <tuple>

namespace modelforge {

namespace {

/// Shorter texts are too likely to be parts of other words.
constexpr std::size_t min_hidden = 4;

} // namespace

void load_report::add(place where, std::string_view message, std::string_view hint, severity level) {
  diagnostic out;
  out.level = level;
  out.file = name_;
  out.line = where.line;
  out.column = where.column;
  out.message = printable(message); // names and values in them are the file's
  out.hint = printable(hint);
  diagnostics_.push_back(std::move(out));
}

void load_report::fail(const std::string& path, place where, std::string_view message, std::string_view hint) {
  failed_.push_back(path);
  add(where, message, hint);
}

void load_report::add(const finding& found) {
  auto follows = std::any_of(found.paths.begin(), found.paths.end(), [&](auto& path) { return has_failed(path); });
  if (follows || (incomplete_ && found.level == severity::warning))
    return;
  add(find_place(found.paths), found.message, found.hint, found.level);
}

void load_report::hide(const std::string& credential) {
  if (credential.size() >= min_hidden)
    hidden_.push_back(credential);
}

// Stable, since what was found later at the same place follows from what was found before.
load_result load_report::finish(settings&& all, const source_text& source) && {
  std::stable_sort(diagnostics_.begin(), diagnostics_.end(), [](const auto& a, const auto& b) {
    return std::tie(a.line, a.column) < std::tie(b.line, b.column);
  });
  for (auto& diagnostic : diagnostics_)
    if (diagnostic.line > 0 && diagnostic.line <= source.lines().size())
      show_line(diagnostic, source.line(diagnostic.line), hidden_);
  load_result result;
  auto is_error = [](const diagnostic& x) { return x.level == severity::error; };
  if (std::none_of(diagnostics_.begin(), diagnostics_.end(), is_error))
    result.value = std::move(all);
  result.diagnostics = std::move(diagnostics_);
  for (const auto& [path, where] : places_)
    if (where.line > 0)
      result.lines.emplace(path, where.line);
  result.origin = std::move(name_);
  return result;
}

/// Whether this path, or a table that it is in, has been reported.
bool load_report::has_failed(const std::string& path) const {
  return std::any_of(failed_.begin(), failed_.end(), [&](const std::string& failed) {
    return path == failed || (path.starts_with(failed) && path[failed.size()] == '.');
  });
}

/// The first of these keys that stands in the file, else the innermost table that the first would be in.
place load_report::find_place(const std::vector<std::string>& paths) const {
  for (const auto& path : paths)
    if (auto found = places_.find(path); found != places_.end())
      return found->second;
  for (auto path = paths.front(); path.find('.') != std::string::npos;) {
    path.erase(path.rfind('.'));
    if (auto found = places_.find(path); found != places_.end())
      return found->second;
  }
  return {};
}

} // namespace modelforge
