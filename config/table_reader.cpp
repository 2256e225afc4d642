#include "config/table_reader.hpp"

#include "config/names.hpp"

#include <algorithm>
#include <cmath>
#include <type_traits>

namespace modelforge {

namespace {

/// The path of the table that a key is in, its last dot included.
std::string parent_of(const std::string& path) {
  return path.substr(0, path.rfind('.') + 1);
}

/// Puts the provider that `path` is in into a text with NAME.
std::string with_provider(std::string_view text, const std::string& path) {
  std::string result{text};
  constexpr std::string_view prefix = "providers.";
  auto pos = result.find("providers.NAME");
  if (pos == std::string::npos || !path.starts_with(prefix))
    return result;
  auto end = path.find('.', prefix.size());
  return end == std::string::npos ? result : result.replace(pos, prefix.size() + 4, path.substr(0, end));
}

/// What a slot holds that may be empty.
template <class T>
struct content_type_of {
  using type = T;
};

template <class T>
struct content_type_of<std::optional<T>> {
  using type = T;
};

} // namespace

/// Reads the value of one key into its slot: an overload for each kind of slot, chosen by `std::visit`, so that a new
/// kind does not compile until it can be read. A value of a wrong type or out of range leaves the default and a
/// diagnostic with its place; reading goes on with the next key.
struct table_reader::value_reader {
  table_reader& tables;
  const schema::key_rule& key;
  const std::string& path;
  const toml_value& value;

  // -- plain values ---------------------------------------------------------------

  void operator()(bool* target) const {
    if (value.is_boolean())
      *target = value.as_boolean();
    else
      wrong_type(target);
  }

  void operator()(uint32_t* target) const { integer(target); }
  void operator()(uint64_t* target) const { integer(target); }
  void operator()(int64_t* target) const { integer(target); }
  void operator()(std::optional<uint64_t>* target) const { integer(target); }
  void operator()(std::optional<int64_t>* target) const { integer(target); }

  void operator()(std::optional<double>* target) const {
    if (auto number = number_of(target))
      *target = *number;
  }

  void operator()(double* target) const {
    if (auto number = number_of(target))
      *target = *number;
  }

  void operator()(duration* target) const {
    if (auto seconds = number_of(target))
      *target = duration{std::llround(*seconds * 1e9)};
  }

  void operator()(std::string* target) const {
    if (auto text = text_of(value, target))
      *target = *text;
  }

  void operator()(std::vector<std::string>* target) const {
    if (!value.is_array())
      return wrong_type(target);
    for (const auto& element : value.as_array())
      if (auto text = text_of(element, target))
        target->push_back(*text);
      else
        return;
  }

  void operator()(const schema::enum_slot& target) const {
    auto text = text_of(value, target);
    if (!text)
      return;
    auto found = std::find(target.names.begin(), target.names.end(), *text);
    if (found != target.names.end()) {
      *target.value = static_cast<unsigned char>(found - target.names.begin());
      return;
    }
    auto best = schema::closest(*text, target.names);
    fail(place_of(value), code(key.name) + " has no value " + code(*text),
         (best.empty() ? "" : "did you mean \"" + std::string{best} + "\"? ")
           + "allowed: " + schema::allowed(key, target));
  }

  // -- tables ---------------------------------------------------------------------

  void operator()(const schema::table_slot& target) const {
    if (value.is_table())
      tables.read(value, *target.rule, target.object, path + '.');
    else
      wrong_type(target);
  }

  /// The short form is the first entry of `keys`, and the only one: with both forms nobody could tell which key counts.
  void operator()(const schema::short_key_slot& target) const {
    auto text = text_of(value, target);
    if (!text)
      return;
    if (!target.keys->empty())
      return several_keys();
    tables.report_.note_place(parent_of(path) + "keys.0", place_of(value));
    target.keys->emplace_back().*target.source = std::move(*text);
  }

  void operator()(std::vector<key_source>* target) const {
    if (!value.is_array_of_tables())
      return wrong_type(target);
    if (!target->empty())
      return several_keys();
    for (const auto& element : value.as_array()) {
      auto element_path = path + '.' + std::to_string(target->size());
      tables.report_.move_place(element_path, place_of(element));
      tables.read(element, schema::key_entry(), &target->emplace_back(), element_path + '.');
    }
  }

  void operator()(std::vector<header_setting>* target) const {
    if (!value.is_table())
      return wrong_type(target);
    for (const auto& [name, element] : value.as_table())
      header(name, element, *target);
  }

  /// A provider whose kind is left out is checked here, where it is still known what the file says.
  void operator()(std::vector<provider_settings>* target) const {
    named_tables(target, schema::provider(), &provider_settings::name);
    if (!value.is_table())
      return;
    for (const auto& provider : *target)
      tables.check_kind(provider, value.at(provider.name), path + '.' + schema::quoted_key(provider.name));
  }

  void operator()(std::vector<model_settings>* target) const {
    named_tables(target, schema::model(), &model_settings::pattern);
  }

private:
  void fail(place where, std::string_view message, std::string_view hint = "") const {
    tables.report_.fail(path, where, message, hint);
  }

  void wrong_type(const schema::slot& target) const {
    tables.refuse_credentials(value, path);
    fail(place_of(value), code(key.name) + " is " + kind_of(value),
         "allowed: " + schema::allowed(key, target) + ". " + std::string{key.doc});
  }

  void several_keys() const {
    fail(place_of_key(tables.source_, std::string{key.name}, value),
         "a provider has either one `api_key_env`, one `api_key_file`, or [[keys]]",
         "several keys: an entry of [[keys]] for each");
  }

  bool in_range(const schema::slot& target, double number) const {
    auto found = check_range(path, key, target, number);
    if (found)
      fail(place_of(value), found->message, found->hint);
    return !found;
  }

  template <class T>
  void integer(T* target) const {
    using number = typename content_type_of<T>::type;
    if (!value.is_integer())
      wrong_type(target);
    else if (in_range(target, static_cast<double>(value.as_integer())))
      *target = static_cast<number>(value.as_integer());
  }

  std::optional<double> number_of(const schema::slot& target) const {
    if (!value.is_integer() && !value.is_floating()) {
      wrong_type(target);
      return std::nullopt;
    }
    auto number = value.is_integer() ? static_cast<double>(value.as_integer()) : value.as_floating();
    return in_range(target, number) ? std::optional{number} : std::nullopt;
  }

  /// The text of the value, or of an element of it.
  std::optional<std::string> text_of(const toml_value& element, const schema::slot& target) const {
    if (!element.is_string()) {
      wrong_type(target);
      return std::nullopt;
    }
    const auto& text = element.as_string();
    if (tables.refuse_credential(text, path, place_of(element)))
      return std::nullopt;
    if (text.find('\0') != std::string::npos) {
      fail(place_of(element), code(key.name) + " has a null character in it");
      return std::nullopt;
    }
    if (key.name == "api_key_env" && looks_like_key(text))
      tables.report_.hide(text);
    return text;
  }

  /// A header is a text, or names a variable. What a credential's header holds is hidden, whatever is wrong with it.
  void header(const std::string& name, const toml_value& element, std::vector<header_setting>& target) const {
    auto& report = tables.report_;
    auto header_path = path + '.' + schema::quoted_key(name);
    report.move_place(header_path, place_of(element));
    auto is_variable =
      element.is_table() && element.as_table().size() == 1 && element.contains("env") && element.at("env").is_string();
    if (element.is_string()) {
      target.push_back({name, element.as_string(), ""});
      if (names_credential(name))
        report.hide(element.as_string());
    } else if (is_variable) {
      const auto& variable = element.at("env").as_string();
      target.push_back({name, "", variable});
      if (variable.empty())
        report.fail(header_path, place_of(element), "header " + code(name) + " names no variable");
      else if (looks_like_key(variable))
        report.hide(variable);
    } else {
      tables.refuse_credentials(element, header_path);
      report.fail(header_path, place_of(element), "header " + code(name) + " is " + kind_of(element),
                  "allowed: a string, or { env = \"NAME\" }");
    }
  }

  /// A table of tables under names that the user gives.
  template <class T>
  void named_tables(std::vector<T>* target, const schema::table_rule& rule, std::string T::*name_member) const {
    if (!value.is_table())
      return wrong_type(target);
    for (const auto& [name, element] : value.as_table()) {
      auto table_path = path + '.' + schema::quoted_key(name);
      auto where = place_of_key(tables.source_, name, element);
      if (tables.refuse_credential(name, table_path, where))
        continue;
      if (!element.is_table()) {
        not_a_table(name, element, rule, table_path);
        continue;
      }
      tables.report_.move_place(table_path, where);
      auto& entry = target->emplace_back();
      entry.*name_member = name;
      tables.read(element, rule, &entry, table_path + '.');
    }
  }

  void not_a_table(const std::string& name, const toml_value& element, const schema::table_rule& rule,
                   const std::string& table_path) const {
    tables.refuse_credentials(element, table_path);
    auto hint = with_provider(schema::suggest(rule, name), path);
    tables.report_.fail(
      table_path, place_of_key(tables.source_, name, element), code(name) + " is " + kind_of(element) + ", not a table",
      "allowed: [" + table_path + "], or `" + name + "` inside such a table" + (hint.empty() ? "" : "; ") + hint);
  }
};

// Goes by the file, not by the schema: so reports come in its order, and what the schema does not know is noticed.
void table_reader::read(const toml_value& table, const schema::table_rule& rule, void* object,
                        const std::string& path) {
  for (const auto& [name, value] : table.as_table()) {
    auto value_path = path + schema::quoted_key(name);
    const auto* key = schema::find(rule, name);
    if (!key) {
      report_unknown(name, value, rule, value_path);
      continue;
    }
    report_.note_place(value_path, place_of(value));
    auto target = key->slot_of(object);
    std::visit(value_reader{*this, *key, value_path, value}, target);
  }
}

// A suggested key is taken for the one meant: that it is missing is not reported as well.
void table_reader::report_unknown(const std::string& name, const toml_value& value, const schema::table_rule& rule,
                                  const std::string& path) {
  auto where = place_of_key(source_, name, value);
  if (value.is_string() && names_credential(name)) {
    report_.hide(value.as_string());
    report_.mark_failed(parent_of(path) + "api_key_env");
    report_.fail(path, where, "the file contains a key, as " + code(name) + "; files are copied, shown and committed",
                 "name the variable that holds it: api_key_env = \"NAME\"");
    return;
  }
  refuse_credentials(value, path);
  auto table = rule.path.empty() ? " at the top of the file" : " in [" + with_provider(rule.path, path) + ']';
  auto hint = schema::suggest(rule, name);
  for (const auto& key : rule.keys)
    if (hint == "did you mean `" + std::string{key.name} + "`?")
      report_.mark_failed(parent_of(path) + std::string{key.name});
  report_.fail(path, where, "unknown key " + code(name) + table, with_provider(hint, path));
}

bool table_reader::refuse_credential(const std::string& text, const std::string& path, place where) {
  if (redact(text) == text && text.find("PRIVATE KEY-----") == std::string::npos)
    return false;
  report_.fail(path, where, "the file contains a key; files are copied, shown and committed",
               "name the variable that holds it: api_key_env = \"NAME\", or { env = \"NAME\" } for a header");
  return true;
}

void table_reader::refuse_credentials(const toml_value& value, const std::string& path) {
  if (value.is_string())
    refuse_credential(value.as_string(), path, place_of(value));
  if (value.is_array())
    for (const auto& element : value.as_array())
      refuse_credentials(element, path);
  if (value.is_table())
    for (const auto& [name, element] : value.as_table()) {
      if (element.is_string() && names_credential(name))
        report_unknown(name, element, schema::root(), path + '.' + name);
      else
        refuse_credentials(element, path);
    }
}

void table_reader::check_kind(const provider_settings& provider, const toml_value& table, const std::string& path) {
  provider_kind named{};
  if (!table.contains("kind") && from_string(provider.name, named) && named != provider.kind)
    report_.fail(path + ".kind", place_of_key(source_, provider.name, table),
                 "a provider without `kind` is of kind `openai`, but this one is called " + code(provider.name),
                 "kind = \"" + provider.name + '"');
}

} // namespace modelforge
