#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string_view>
#include <utility>

namespace modelforge {

/// What a few names mean, made when the program is compiled. A name is looked for among those of its length alone, so
/// that a long list costs no more than a short one.
template <class Meaning, std::size_t N>
class name_table {
public:
  using entry = std::pair<std::string_view, Meaning>;

  static constexpr std::size_t max_name = 32;

  /// Each name has 1 to `max_name` bytes, else the table does not compile, and stands once.
  explicit constexpr name_table(std::array<entry, N> entries) : entries_(entries) {
    std::sort(entries_.begin(), entries_.end(), [](auto& x, auto& y) { return x.first.size() < y.first.size(); });
    for (auto& each : entries_) {
      if (each.first.empty() || each.first.size() > max_name)
        throw std::invalid_argument("a name of no length, or too long");
      for (auto longer = each.first.size() + 1; longer < first_.size(); ++longer)
        ++first_[longer];
    }
  }

  /// Returns what a name means; null: it is not among them.
  constexpr const Meaning* find(std::string_view name) const {
    if (name.empty() || name.size() > max_name)
      return nullptr;
    for (std::size_t i = first_[name.size()]; i < first_[name.size() + 1]; ++i)
      if (auto& known = entries_[i].first; known.front() == name.front() && known == name)
        return &entries_[i].second;
    return nullptr;
  }

private:
  std::array<entry, N> entries_;              ///< By the length of their names.
  std::array<uint8_t, max_name + 2> first_{}; ///< Where those of each length begin.
};

/// Makes a table of names: `make_names<int>({{"one", 1}, {"two", 2}})`.
template <class Meaning, std::size_t N>
constexpr name_table<Meaning, N> make_names(const std::pair<std::string_view, Meaning> (&entries)[N]) {
  return name_table<Meaning, N>{std::to_array(entries)};
}

} // namespace modelforge
