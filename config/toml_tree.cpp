#include "config/toml_tree.hpp"

#include <algorithm>

namespace modelforge {

namespace {

/// Broken lines that are left out, one or several a round.
constexpr int max_syntax_rounds = 20;

place start_of(const toml::source_location& location) {
  return {static_cast<uint32_t>(location.first_line_number()), static_cast<uint32_t>(location.first_column_number())};
}

/// Whether a line is an assignment that ends with it, so that the others mean the same without it.
bool can_be_left_out(std::string_view line) {
  return line.find('=') != std::string_view::npos && line.substr(line.find_first_not_of(" \t")).front() != '['
         && line.find("\"\"\"") == std::string_view::npos && line.find("'''") == std::string_view::npos;
}

/// Parses a text again and again, with fewer lines each time: so all mistakes of syntax are told at once, although the
/// parser stops at some of them. A line that is to blame is emptied where the others mean the same without it (a whole
/// assignment), and left where they would not; then the search ends with what is known. What comes of a line that was
/// emptied is not told. At most `max_syntax_rounds` times. Run once for each file that does not parse.
class repeated_parser {
public:
  repeated_parser(const source_text& source, const std::string& name)
    : source_{source}, name_{name}, lines_{source.lines()} {}

  parsed_toml run() {
    for (int round = 0; round < max_syntax_rounds; ++round) {
      auto parsed = toml::try_parse<toml_types>(remaining_bytes(), name_);
      if (parsed.is_ok())
        return {std::move(parsed.unwrap()), std::move(errors_)};
      if (!leave_out(parsed.unwrap_err(), round == 0))
        break;
    }
    return {std::nullopt, std::move(errors_)};
  }

private:
  std::vector<unsigned char> remaining_bytes() const {
    std::vector<unsigned char> bytes;
    for (auto line : lines_) {
      bytes.insert(bytes.end(), line.begin(), line.end());
      bytes.push_back('\n');
    }
    return bytes;
  }

  /// Empties the lines of these errors, and notes those that are the user's: what comes of a line that was emptied in
  /// an earlier round is not. False: another round makes no sense.
  bool leave_out(const std::vector<toml::error_info>& errors, bool is_first_round) {
    auto removable = true;
    for (const auto& error : errors) {
      auto where = error.locations().empty() ? place{1, 1} : start_of(error.locations().front().first);
      auto line = where.line <= lines_.size() && where.line > 0 ? lines_[where.line - 1] : std::string_view{};
      auto is_removable = can_be_left_out(line);
      if (is_removable || (is_first_round && removable))
        add(error, where);
      removable = removable && is_removable;
      if (is_removable)
        lines_[where.line - 1] = {};
    }
    return removable;
  }

  /// toml11's messages are titles with the name of a function of its own in front, and notes at places.
  void add(const toml::error_info& error, place where) {
    if (!errors_.empty() && errors_.back().where.line == where.line)
      return; // a consequence of the one before
    auto message = error.title();
    if (auto pos = message.find(": "); message.starts_with("toml::") && pos != std::string::npos)
      message.erase(0, pos + 2);
    std::string hint;
    if (!error.locations().empty() && error.locations().front().second != "here")
      hint = error.locations().front().second;
    if (error.locations().size() > 1)
      hint = "the first one is in line " + std::to_string(error.locations()[1].first.first_line_number());
    auto line_size = static_cast<uint32_t>(source_.line(where.line).size());
    where.column = std::min<uint32_t>(where.column, line_size + 1);
    errors_.push_back({where, std::move(message), std::move(hint)});
  }

  const source_text& source_;
  const std::string& name_;
  std::vector<std::string_view> lines_; ///< Those left out are empty, so that numbers of lines stay.
  std::vector<problem> errors_;
};

} // namespace

parsed_toml parse_toml(const source_text& source, const std::string& name) {
  return repeated_parser{source, name}.run();
}

std::string kind_of(const toml_value& value) {
  switch (value.type()) {
    case toml::value_t::boolean:
      return "a boolean";
    case toml::value_t::integer:
      return "an integer";
    case toml::value_t::floating:
      return "a float";
    case toml::value_t::string:
      return "a string";
    case toml::value_t::array:
    case toml::value_t::table:
      return value.is_table() ? "a table" : value.is_array_of_tables() ? "an array of tables" : "an array";
    default:
      return "a date or time";
  }
}

place place_of(const toml_value& value) {
  return start_of(value.location());
}

// The last occurrence of the name ahead of the value: a dotted key has several names before it.
place place_of_key(const source_text& source, const std::string& key, const toml_value& value) {
  auto location = value.location();
  auto result = start_of(location);
  if (key.empty())
    return result;
  auto line = source.line(result.line);
  auto start = std::min<std::size_t>(result.column - 1, line.size());
  auto in_header = value.is_table() || value.is_array_of_tables() ? line.substr(start, location.length()).rfind(key)
                                                                  : std::string_view::npos;
  if (start < line.size() && line[start] != '{' && in_header != std::string_view::npos)
    result.column = static_cast<uint32_t>(start + in_header + 1);
  else if (auto pos = line.substr(0, start).rfind(key); pos != std::string_view::npos)
    result.column = static_cast<uint32_t>(pos + 1);
  return result;
}

} // namespace modelforge
