#include <modelforge/config/load.hpp>

#include "config/check.hpp"
#include "config/read_file.hpp"
#include "config/schema.hpp"

#include <toml.hpp>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <map>
#include <tuple>

namespace modelforge {

namespace {

constexpr std::size_t file_limit = 1 << 20;
constexpr std::size_t line_limit = 4096; // also bounds how deep dotted keys nest
constexpr std::size_t depth_limit = 64;  // of brackets: the parser recurses
constexpr int syntax_rounds = 20;

/// Keeps the file's order, and reads numbers the same in every locale.
struct toml_types : toml::ordered_type_config {
  static toml::result<integer_type, toml::error_info> parse_int(const std::string& text,
                                                                const toml::source_location where, std::uint8_t base) {
    return parse_number<integer_type>(text, where, base);
  }

  static toml::result<floating_type, toml::error_info> parse_float(const std::string& text,
                                                                   const toml::source_location where, bool hex) {
    return parse_number<floating_type>(text, where, hex ? std::chars_format::hex : std::chars_format::general);
  }

private:
  template <class T, class Format>
  static toml::result<T, toml::error_info> parse_number(std::string_view text, const toml::source_location& where,
                                                        Format format) {
    if (text.starts_with('+'))
      text.remove_prefix(1);
    T value{};
    auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), value, format);
    if (failed != std::errc{} || end != text.data() + text.size())
      return toml::err(toml::make_error_info("the number is too large", where, ""));
    return toml::ok(value);
  }
};

using toml_value = toml::basic_value<toml_types>;

struct place {
  uint32_t line = 0;
  uint32_t column = 0;
};

/// What a value is, for people.
std::string kind_of(const toml_value& x) {
  switch (x.type()) {
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
      return x.is_table() ? "a table" : x.is_array_of_tables() ? "an array of tables" : "an array";
    default:
      return "a date or time";
  }
}

std::vector<std::string_view> split_lines(std::string_view text) {
  std::vector<std::string_view> result;
  while (true) {
    auto end = text.find('\n');
    auto line = text.substr(0, end);
    if (line.ends_with('\r'))
      line.remove_suffix(1);
    result.push_back(line);
    if (end == std::string_view::npos)
      return result;
    text.remove_prefix(end + 1);
  }
}

/// Length of the valid UTF-8 at the start of `text`.
std::size_t valid_utf8(std::string_view text) {
  std::size_t pos = 0;
  while (pos < text.size()) {
    auto byte = [&](std::size_t i) { return pos + i < text.size() ? static_cast<unsigned char>(text[pos + i]) : 0u; };
    auto lead = byte(0);
    auto size = lead < 0x80                   ? 1u
                : lead >= 0xc2 && lead < 0xe0 ? 2u
                : lead >= 0xe0 && lead < 0xf0 ? 3u
                : lead >= 0xf0 && lead < 0xf5 ? 4u
                                              : 0u;
    auto least = lead == 0xe0 ? 0xa0u : lead == 0xf0 ? 0x90u : 0x80u; // no overlong forms
    auto most = lead == 0xed ? 0x9fu : lead == 0xf4 ? 0x8fu : 0xbfu;  // no surrogates, nothing above U+10FFFF
    if (size == 0 || (size > 1 && (byte(1) < least || byte(1) > most)))
      return pos;
    for (auto i = 2u; i < size; ++i)
      if ((byte(i) & 0xc0) != 0x80)
        return pos;
    pos += size;
  }
  return pos;
}

/// Reads one file. Faults gather in `result`; whatever is faulty keeps its default.
class loader {
public:
  loader(std::string_view text, std::string name, const environment& env)
    : text_{text}, name_{std::move(name)}, env_{env}, lines_{split_lines(text)} {}

  load_result run() {
    auto root = check_bytes() ? parse_toml() : std::nullopt;
    if (root) {
      load_table(*root, schema::root(), &settings_, "");
      normalize(settings_);
      fit_defaults();
      for (const auto& fault : cross_check(settings_, env_))
        add(fault);
    }
    return finish();
  }

private:
  /// A default that another key rules out gives way: nobody wrote it.
  void fit_defaults() {
    for (auto& x : settings_.providers)
      if (places_.count("providers." + schema::quoted_key(x.name) + ".interactive_slots") == 0)
        x.interactive_slots = std::min(x.interactive_slots, x.max_concurrent - 1);
  }

  // -- reporting ----------------------------------------------------------------

  void add(place where, std::string_view message, std::string_view hint = "", severity level = severity::error) {
    diagnostic out;
    out.level = level;
    out.file = name_;
    out.line = where.line;
    out.column = where.column;
    out.message = printable(message); // names and values in them are the file's
    out.hint = printable(hint);
    result_.diagnostics.push_back(std::move(out));
  }

  /// Reports at a key's value. Later findings about that key are taken as consequences and dropped.
  void fail(const std::string& path, place where, std::string_view message, std::string_view hint = "") {
    faulty_.push_back(path);
    add(where, message, hint);
  }

  void add(const finding& fault) {
    auto is_faulty = [&](const std::string& path) {
      return std::any_of(faulty_.begin(), faulty_.end(), [&](const std::string& x) {
        return path == x || (path.starts_with(x) && path[x.size()] == '.');
      });
    };
    if (std::any_of(fault.paths.begin(), fault.paths.end(), is_faulty)
        || (had_syntax_errors_ && fault.level == severity::warning))
      return;
    add(place_of(fault.paths), fault.message, fault.hint, fault.level);
  }

  /// The first of these keys that stands in the file, else the innermost table that the first would be in.
  place place_of(const std::vector<std::string>& paths) const {
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

  load_result finish() {
    auto& all = result_.diagnostics;
    std::stable_sort(all.begin(), all.end(), [](const auto& x, const auto& y) {
      return std::tie(x.line, x.column) < std::tie(y.line, y.column);
    });
    for (auto& x : all)
      if (x.line > 0 && x.line <= lines_.size())
        show_line(x, lines_[x.line - 1], hidden_);
    if (std::none_of(all.begin(), all.end(), [](const auto& x) { return x.level == severity::error; }))
      result_.value = std::move(settings_);
    result_.origin = name_;
    return std::move(result_);
  }

  // -- places -------------------------------------------------------------------

  std::string_view line(uint32_t number) const {
    return number > 0 && number <= lines_.size() ? lines_[number - 1] : std::string_view{};
  }

  static place place_of(const toml::source_location& where) {
    return {static_cast<uint32_t>(where.first_line_number()), static_cast<uint32_t>(where.first_column_number())};
  }

  static place place_of(const toml_value& x) { return place_of(x.location()); }

  /// Where a key's name is, which the parser does not keep: in a table's header, or on the left of the value.
  place place_of_key(const std::string& key, const toml_value& x) const {
    auto location = x.location();
    auto result = place_of(location);
    if (key.empty())
      return result;
    auto text = line(result.line);
    auto start = std::min<std::size_t>(result.column - 1, text.size());
    auto in_header = x.is_table() || x.is_array_of_tables() ? text.substr(start, location.length()).rfind(key)
                                                            : std::string_view::npos;
    if (start < text.size() && text[start] != '{' && in_header != std::string_view::npos)
      result.column = static_cast<uint32_t>(start + in_header + 1);
    else if (auto pos = text.substr(0, start).rfind(key); pos != std::string_view::npos)
      result.column = static_cast<uint32_t>(pos + 1);
    return result;
  }

  // -- from bytes to a tree -----------------------------------------------------

  bool check_bytes() {
    if (auto good = valid_utf8(text_); good < text_.size()) {
      auto number =
        static_cast<uint32_t>(std::count(text_.begin(), text_.begin() + static_cast<std::ptrdiff_t>(good), '\n'));
      auto column = static_cast<uint32_t>(good - (text_.substr(0, good).rfind('\n') + 1)) + 1;
      blank_ = lines_[number];
      std::replace_if(
        blank_.begin(), blank_.end(), [](char c) { return static_cast<unsigned char>(c) > 0x7f; }, '?');
      lines_[number] = blank_;
      add({number + 1, column}, "the file is not UTF-8", "save it as UTF-8");
      return false;
    }
    std::size_t depth = 0;
    for (uint32_t i = 0; i < lines_.size(); ++i) {
      // TOML has no control characters, but the parser never returns from one in a comment.
      auto is_control = [](char c) { return (static_cast<unsigned char>(c) < 0x20 && c != '\t') || c == 0x7f; };
      if (auto found = std::find_if(lines_[i].begin(), lines_[i].end(), is_control); found != lines_[i].end())
        add({i + 1, static_cast<uint32_t>(found - lines_[i].begin()) + 1}, "there is a control character");
      if (lines_[i].size() > line_limit)
        add({i + 1, line_limit + 1}, "the line is longer than " + std::to_string(line_limit) + " bytes");
      for (char c : lines_[i]) {
        depth += c == '[' || c == '{';
        depth -= (c == ']' || c == '}') && depth > 0;
      }
      if (depth > depth_limit) {
        add({i + 1, 1}, "brackets are nested too deep");
        break;
      }
    }
    return result_.diagnostics.empty();
  }

  /// Parses, and where the syntax is broken parses again without the broken lines, so that one report tells all.
  /// Stops where a line cannot be left out without changing what the others mean.
  std::optional<toml_value> parse_toml() {
    auto lines = lines_;
    for (int round = 0; round < syntax_rounds; ++round) {
      std::vector<unsigned char> bytes;
      for (auto x : lines) {
        bytes.insert(bytes.end(), x.begin(), x.end());
        bytes.push_back('\n');
      }
      auto parsed = toml::try_parse<toml_types>(std::move(bytes), name_);
      if (parsed.is_ok())
        return std::move(parsed.unwrap());
      had_syntax_errors_ = true;
      if (!leave_out(parsed.unwrap_err(), lines, round == 0))
        return std::nullopt;
    }
    return std::nullopt;
  }

  bool leave_out(const std::vector<toml::error_info>& errors, std::vector<std::string_view>& lines, bool first_round) {
    auto removable = true;
    for (const auto& x : errors) {
      auto where = x.locations().empty() ? place{1, 1} : place_of(x.locations().front().first);
      auto text = where.line <= lines.size() && where.line > 0 ? lines[where.line - 1] : std::string_view{};
      auto is_assignment =
        text.find('=') != std::string_view::npos && text.substr(text.find_first_not_of(" \t")).front() != '['
        && text.find("\"\"\"") == std::string_view::npos && text.find("'''") == std::string_view::npos;
      if (is_assignment || (first_round && removable))
        add_syntax_error(x, where);
      removable = removable && is_assignment;
      if (is_assignment)
        lines[where.line - 1] = {};
    }
    return removable;
  }

  void add_syntax_error(const toml::error_info& x, place where) {
    if (!result_.diagnostics.empty() && result_.diagnostics.back().line == where.line)
      return; // a consequence of the one before
    auto message = x.title();
    if (auto pos = message.find(": "); message.starts_with("toml::") && pos != std::string::npos)
      message.erase(0, pos + 2);
    std::string hint;
    if (!x.locations().empty() && x.locations().front().second != "here")
      hint = x.locations().front().second;
    if (x.locations().size() > 1)
      hint = "the first one is in line " + std::to_string(x.locations()[1].first.first_line_number());
    where.column = std::min<uint32_t>(where.column, static_cast<uint32_t>(line(where.line).size()) + 1);
    add(where, message, hint);
  }

  // -- from the tree to settings ------------------------------------------------

  void load_table(const toml_value& table, const schema::table_rule& rule, void* object, const std::string& path) {
    for (const auto& [name, x] : table.as_table()) {
      auto here = path + schema::quoted_key(name);
      const auto* key = schema::find(rule, name);
      if (!key) {
        unknown_key(name, x, rule, here);
        continue;
      }
      places_.emplace(here, place_of(x));
      reader read{*this, *key, here, x};
      auto value = key->in(object);
      std::visit(read, value);
    }
  }

  void unknown_key(const std::string& name, const toml_value& x, const schema::table_rule& rule,
                   const std::string& path) {
    auto where = place_of_key(name, x);
    if (x.is_string() && names_credential(name)) {
      hide(x.as_string());
      faulty_.push_back(parent_of(path) + "api_key_env");
      fail(path, where, "a key stands in the file, as " + code(name) + "; files are copied, shown and committed",
           "name the variable that holds it: api_key_env = \"NAME\"");
      return;
    }
    find_credentials(x, path);
    auto in = rule.path.empty() ? " at the top of the file" : " in [" + actual(rule.path, path) + ']';
    auto hint = schema::suggest(rule, name);
    for (const auto& key : rule.keys)
      if (hint == "did you mean `" + std::string{key.name} + "`?")
        faulty_.push_back(parent_of(path) + std::string{key.name});
    fail(path, where, "unknown key " + code(name) + in, actual(hint, path));
  }

  /// The path of the table, its last dot included.
  static std::string parent_of(const std::string& path) { return path.substr(0, path.rfind('.') + 1); }

  /// Puts the provider that `path` is in into a text with NAME.
  static std::string actual(std::string_view text, const std::string& path) {
    std::string result{text};
    constexpr std::string_view prefix = "providers.";
    auto pos = result.find("providers.NAME");
    if (pos == std::string::npos || !path.starts_with(prefix))
      return result;
    auto end = path.find('.', prefix.size());
    return end == std::string::npos ? result : result.replace(pos, prefix.size() + 4, path.substr(0, end));
  }

  void hide(const std::string& credential) {
    if (credential.size() >= 4)
      hidden_.push_back(credential);
  }

  /// Refuses a text that is, or carries, a credential.
  bool is_credential(const std::string& text, const std::string& path, place where) {
    if (redact(text) == text && text.find("PRIVATE KEY-----") == std::string::npos)
      return false;
    fail(path, where, "a key stands in the file; files are copied, shown and committed",
         "name the variable that holds it: api_key_env = \"NAME\", or { env = \"NAME\" } for a header");
    return true;
  }

  /// The same for all that is below a key that is not loaded.
  void find_credentials(const toml_value& x, const std::string& path) {
    if (x.is_string())
      is_credential(x.as_string(), path, place_of(x));
    if (x.is_array())
      for (const auto& y : x.as_array())
        find_credentials(y, path);
    if (x.is_table())
      for (const auto& [name, y] : x.as_table()) {
        if (y.is_string() && names_credential(name))
          unknown_key(name, y, schema::root(), path + '.' + name);
        else
          find_credentials(y, path);
      }
  }

  /// Reads the value of one key into its slot.
  struct reader {
    loader& self;
    const schema::key_rule& key;
    const std::string& path;
    const toml_value& x;

    void wrong_type(const schema::slot& to) const {
      auto allowed = "allowed: " + schema::allowed(key, to) + ". " + std::string{key.doc};
      self.find_credentials(x, path);
      self.fail(path, place_of(x), code(key.name) + " is " + kind_of(x), allowed);
    }

    bool in_range(const schema::slot& to, double number) const {
      auto fault = check_range(path, key, to, number);
      if (fault)
        self.fail(path, place_of(x), fault->message, fault->hint);
      return !fault;
    }

    std::optional<std::string> text(const toml_value& from, const schema::slot& to) const {
      if (!from.is_string()) {
        wrong_type(to);
        return std::nullopt;
      }
      if (self.is_credential(from.as_string(), path, place_of(from)))
        return std::nullopt;
      if (from.as_string().find('\0') != std::string::npos) {
        self.fail(path, place_of(from), code(key.name) + " has a null character in it");
        return std::nullopt;
      }
      if (key.name == "api_key_env" && looks_like_key(from.as_string()))
        self.hide(from.as_string());
      return from.as_string();
    }

    void operator()(bool* to) const {
      if (x.is_boolean())
        *to = x.as_boolean();
      else
        wrong_type(to);
    }

    template <class T>
    void integer(T* to) const {
      if (!x.is_integer())
        wrong_type(to);
      else if (in_range(to, static_cast<double>(x.as_integer())))
        *to = static_cast<std::conditional_t<std::is_same_v<T, std::optional<uint64_t>>, uint64_t, T>>(x.as_integer());
    }

    void operator()(uint32_t* to) const { integer(to); }
    void operator()(uint64_t* to) const { integer(to); }
    void operator()(int64_t* to) const { integer(to); }
    void operator()(std::optional<uint64_t>* to) const { integer(to); }

    std::optional<double> number(const schema::slot& to) const {
      if (!x.is_integer() && !x.is_floating()) {
        wrong_type(to);
        return std::nullopt;
      }
      auto value = x.is_integer() ? static_cast<double>(x.as_integer()) : x.as_floating();
      return in_range(to, value) ? std::optional{value} : std::nullopt;
    }

    void operator()(double* to) const {
      if (auto value = number(to))
        *to = *value;
    }

    void operator()(duration* to) const {
      if (auto value = number(to))
        *to = duration{std::llround(*value * 1e9)};
    }

    void operator()(std::string* to) const {
      if (auto value = text(x, to))
        *to = *value;
    }

    void operator()(std::vector<std::string>* to) const {
      if (!x.is_array())
        return wrong_type(to);
      for (const auto& y : x.as_array())
        if (auto value = text(y, to))
          to->push_back(*value);
        else
          return;
    }

    void operator()(const schema::enum_slot& to) const {
      auto value = text(x, to);
      if (!value)
        return;
      auto found = std::find(to.names.begin(), to.names.end(), *value);
      if (found != to.names.end()) {
        *to.value = static_cast<unsigned char>(found - to.names.begin());
        return;
      }
      auto best = schema::closest(*value, to.names);
      self.fail(path, place_of(x), code(key.name) + " has no value " + code(*value),
                (best.empty() ? "" : "did you mean \"" + std::string{best} + "\"? ")
                  + "allowed: " + schema::allowed(key, to));
    }

    void operator()(const schema::table_slot& to) const {
      if (x.is_table())
        self.load_table(x, *to.rule, to.object, path + '.');
      else
        wrong_type(to);
    }

    void operator()(const schema::short_key_slot& to) const {
      auto value = text(x, to);
      if (!value)
        return;
      if (!to.keys->empty())
        return self.fail(path, self.place_of_key(std::string{key.name}, x),
                         "a provider has either one `api_key_env`, one `api_key_file`, or [[keys]]",
                         "several keys: an entry of [[keys]] for each");
      self.places_.emplace(parent_of(path) + "keys.0", place_of(x));
      to.keys->emplace_back().*to.source = std::move(*value);
    }

    void operator()(std::vector<key_source>* to) const {
      if (!x.is_array_of_tables())
        return wrong_type(to);
      if (!to->empty())
        return self.fail(path, self.place_of_key("keys", x),
                         "a provider has either one `api_key_env`, one `api_key_file`, or [[keys]]",
                         "several keys: an entry of [[keys]] for each");
      for (const auto& y : x.as_array()) {
        auto here = path + '.' + std::to_string(to->size());
        self.places_[here] = place_of(y);
        self.load_table(y, schema::key_entry(), &to->emplace_back(), here + '.');
      }
    }

    void operator()(std::vector<header_setting>* to) const {
      if (!x.is_table())
        return wrong_type(to);
      for (const auto& [name, y] : x.as_table()) {
        auto here = path + '.' + schema::quoted_key(name);
        self.places_[here] = place_of(y);
        auto is_env = y.is_table() && y.as_table().size() == 1 && y.contains("env") && y.at("env").is_string();
        if (y.is_string())
          to->push_back({name, y.as_string(), ""});
        else if (is_env)
          to->push_back({name, "", y.at("env").as_string()});
        else {
          self.find_credentials(y, here);
          self.fail(here, place_of(y), "header " + code(name) + " is " + kind_of(y),
                    "allowed: a string, or { env = \"NAME\" }");
          continue;
        }
        if (names_credential(name) && y.is_string())
          self.hide(y.as_string());
        if (is_env && y.at("env").as_string().empty())
          self.fail(here, place_of(y), "header " + code(name) + " names no variable");
        else if (is_env && looks_like_key(y.at("env").as_string()))
          self.hide(y.at("env").as_string());
      }
    }

    void operator()(std::vector<provider_settings>* to) const {
      each_table(to, schema::provider(), &provider_settings::name);
      for (std::size_t i = 0; x.is_table() && i < to->size(); ++i)
        self.check_kind((*to)[i], x.at((*to)[i].name), path + '.' + schema::quoted_key((*to)[i].name));
    }

    void operator()(std::vector<model_settings>* to) const {
      each_table(to, schema::model(), &model_settings::pattern);
    }

    /// A table of tables under names that the user gives.
    template <class T>
    void each_table(std::vector<T>* to, const schema::table_rule& rule, std::string T::*id) const {
      if (!x.is_table())
        return wrong_type(to);
      for (const auto& [name, y] : x.as_table()) {
        auto here = path + '.' + schema::quoted_key(name);
        if (self.is_credential(name, here, self.place_of_key(name, y)))
          continue;
        if (!y.is_table()) {
          self.find_credentials(y, here);
          auto hint = actual(schema::suggest(rule, name), path);
          self.fail(here, self.place_of_key(name, y), code(name) + " is " + kind_of(y) + ", not a table",
                    "allowed: [" + here + "], or `" + name + "` inside of such a table" + (hint.empty() ? "" : "; ")
                      + hint);
          continue;
        }
        self.places_[here] = self.place_of_key(name, y);
        auto& entry = to->emplace_back();
        entry.*id = name;
        self.load_table(y, rule, &entry, here + '.');
      }
    }
  };

  /// Without a kind a provider is OpenAI's. Where its name says otherwise, another provider's key would go there.
  void check_kind(const provider_settings& provider, const toml_value& table, const std::string& path) {
    provider_kind named{};
    if (!table.contains("kind") && from_string(provider.name, named) && named != provider.kind)
      fail(path + ".kind", place_of_key(provider.name, table),
           "a provider without `kind` is of kind `openai`, but this one is called " + code(provider.name),
           "kind = \"" + provider.name + '"');
  }

  std::string_view text_;
  std::string name_;
  const environment& env_;
  std::vector<std::string_view> lines_;
  std::string blank_;                   ///< Stands in for a line that cannot be shown.
  std::map<std::string, place> places_; ///< Where each key's value is, by path.
  std::vector<std::string> faulty_;     ///< Paths that have been reported.
  std::vector<std::string> hidden_;     ///< Credentials found, to be masked in shown lines.
  bool had_syntax_errors_ = false;
  settings settings_;
  load_result result_;
};

} // namespace

load_result parse(std::string_view text, std::string name, const environment& env) {
  if (text.starts_with("\xef\xbb\xbf"))
    text.remove_prefix(3);
  return loader{text, std::move(name), env}.run();
}

load_result load_file(const std::string& path, const environment& env) {
  auto content = read_file(path, file_limit);
  if (auto* text = std::get_if<file_text>(&content))
    return parse(text->text, path, env);
  load_result result;
  auto& fault = result.diagnostics.emplace_back();
  fault.file = path;
  fault.message = "cannot be read: " + std::get<std::string>(content);
  result.origin = path;
  return result;
}

} // namespace modelforge
