#include "tests/settings/proof.hpp"

#include <modelforge/config/load.hpp>

#include <algorithm>
#include <sstream>
#include <stdexcept>
#include <string_view>

namespace modelforge::settings_test {

namespace {

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> result;
  std::istringstream in{text};
  for (std::string line; std::getline(in, line);)
    result.push_back(line);
  return result;
}

/// A line as it is when it is put to use.
std::string_view in_use(std::string_view line) {
  return line.size() > 1 && line[0] == '#' && line[1] != ' ' ? line.substr(1) : line;
}

bool is_header(std::string_view line) {
  return in_use(line).starts_with('[');
}

/// The table's name in a header, of whatever kind.
std::string_view table_of(std::string_view header) {
  auto line = in_use(header);
  auto begin = line.find_first_not_of('[');
  return line.substr(begin, line.find(']') - begin);
}

/// The example while it is changed.
class example {
public:
  example() : lines_(lines_of(example_toml())) {}

  void add(std::string line) { lines_.push_back(std::move(line)); }

  void set(const std::string& path, const std::string& value) {
    auto header = find_header(path);
    auto key = path.substr(table_of(lines_[header]).size() + 1);
    lines_[header] = std::string{in_use(lines_[header])};
    auto line = header + 1;
    while (line < lines_.size() && !is_header(lines_[line]) && !in_use(lines_[line]).starts_with(key + " ="))
      ++line;
    if (line == lines_.size() || is_header(lines_[line]))
      line =
        static_cast<std::size_t>(lines_.insert(lines_.begin() + static_cast<long>(header) + 1, "") - lines_.begin());
    lines_[line] = value.empty() ? "" : key + " = " + value;
  }

  std::string text() const {
    std::string result;
    for (auto& line : lines_)
      result += line + '\n';
    return result;
  }

private:
  /// Of the table that is nearest to the key.
  std::size_t find_header(const std::string& path) const {
    auto best = lines_.size();
    for (std::size_t i = 0; i < lines_.size(); ++i)
      if (is_header(lines_[i]) && path.starts_with(std::string{table_of(lines_[i])} + '.')
          && (best == lines_.size() || table_of(lines_[i]).size() > table_of(lines_[best]).size()))
        best = i;
    if (best == lines_.size())
      throw std::invalid_argument(path + " has no table in the example");
    return best;
  }

  std::vector<std::string> lines_;
};

} // namespace

std::string example_with(const std::string& changes) {
  example result;
  for (auto& line : lines_of(changes)) {
    auto equals = line.find(" =");
    if (line.empty())
      continue;
    if (line.starts_with('+'))
      result.add(line.substr(1));
    else if (equals == line.npos)
      throw std::invalid_argument("not a change: " + line);
    else
      result.set(line.substr(0, equals), line.substr(std::min(equals + 3, line.size())));
  }
  return result.text();
}

} // namespace modelforge::settings_test
