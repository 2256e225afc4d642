#include "config/reference.hpp"
#include "base/ascii.hpp"
#include "config/diagnostic.hpp"
#include "config/schema.hpp"

#include <modelforge/config/load.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <span>

namespace modelforge {

namespace {

using namespace schema;

struct named_size {
  double size;
  const char* name;
};

constexpr auto byte_sizes =
  std::to_array<named_size>({{1099511627776, "TiB"}, {1073741824, "GiB"}, {1048576, "MiB"}, {1024, "KiB"}});
constexpr auto time_sizes = std::to_array<named_size>({{86'400, "d"}, {3'600, "h"}, {60, "min"}});

/// A bound as one writes it in TOML and, where that is hard to read, as one says it: "1048576 (1 MiB)".
std::string bound(double number, std::span<const named_size> sizes) {
  auto text = *toml_text(&number);
  if (text.ends_with(".0"))
    text.resize(text.size() - 2);
  if (number == std::floor(number) && number < 1e15)
    text = std::to_string(static_cast<int64_t>(number));
  auto found = std::find_if(sizes.begin(), sizes.end(), [&](const named_size& size) {
    return number >= size.size && std::fmod(number, size.size) == 0;
  });
  return found == sizes.end() ? text : text + " (" + bound(number / found->size, {}) + ' ' + found->name + ')';
}

/// What the reference says about a kind of value.
struct kind_of_value {
  std::string type;
  std::string unit;
  std::span<const named_size> sizes{};
};

struct classify {
  const key_rule& key;

  kind_of_value operator()(bool*) const { return {"boolean", ""}; }
  kind_of_value operator()(duration*) const { return {"number", "seconds", time_sizes}; }
  kind_of_value operator()(double*) const { return {"number", std::string{key.unit}}; }
  kind_of_value operator()(std::string*) const { return {"string", ""}; }
  kind_of_value operator()(const short_key_slot&) const { return {"string", ""}; }
  kind_of_value operator()(const enum_slot&) const { return {"string", ""}; }
  kind_of_value operator()(std::vector<std::string>*) const { return {"array of strings", ""}; }
  kind_of_value operator()(std::vector<key_source>*) const { return {"array of tables", ""}; }
  kind_of_value operator()(std::optional<double>*) const { return {"number", std::string{key.unit}}; }
  template <std::integral T>
  kind_of_value operator()(std::optional<T>*) const {
    return {"integer", std::string{key.unit}};
  }
  template <std::integral T>
  kind_of_value operator()(T*) const {
    return {"integer", std::string{key.unit},
            key.unit == "bytes" ? std::span{byte_sizes} : std::span<const named_size>{}};
  }
  kind_of_value operator()(const auto&) const { return {"table", ""}; }
};

/// The anchor that Markdown readers make of a heading.
std::string anchor(std::string_view heading) {
  std::string result;
  for (char c : heading)
    if (ascii::is_letter(c) || ascii::is_digit(c) || c == '_' || c == '-')
      result += ascii::lower(c);
  return result;
}

std::string link_to(std::string_view path) {
  auto heading = '[' + std::string{path} + ']';
  return "[" + code(heading) + "](#" + anchor(heading) + ')';
}

/// Walks through the schema. Defaults come from default-made structs, so that the reference cannot say anything else
/// than the code does.
class walk {
public:
  /// A table of the file, then those inside of it. `object` holds the defaults.
  void table(const table_rule& rule, void* object, std::string_view doc) {
    reference_table made{std::string{rule.path}, std::string{doc}, {}};
    for (const auto& key : rule.keys)
      made.keys.push_back(describe(rule, key, key.slot_of(object)));
    tables_.push_back(std::move(made));
    for (const auto& key : rule.keys)
      std::visit(inner{*this, rule, key}, key.slot_of(object));
  }

  std::vector<reference_table> finish() && { return std::move(tables_); }

private:
  static reference_key describe(const table_rule& rule, const key_rule& key, const slot& value) {
    auto kind = std::visit(classify{key}, value);
    return {std::string{key.name},        kind.type,           kind.unit, range_of(key, value, kind),
            default_of(rule, key, value), std::string{key.doc}};
  }

  /// What may be written there: words, a link to the table that describes it, or a range.
  static std::string range_of(const key_rule& key, const slot& value, const kind_of_value& kind) {
    if (auto* choice = std::get_if<enum_slot>(&value)) {
      std::string result;
      for (auto name : choice->names)
        result += (result.empty() ? "" : ", ") + code(quoted(name));
      return result;
    }
    if (std::holds_alternative<std::vector<header_setting>*>(value))
      return "any name, with `\"text\"` or `{ env = \"VARIABLE\" }`";
    if (auto* inside = std::get_if<table_slot>(&value))
      return "see " + link_to(inside->rule->path);
    if (std::holds_alternative<std::vector<provider_settings>*>(value))
      return "see " + link_to(provider().path);
    if (std::holds_alternative<std::vector<key_source>*>(value))
      return "see " + link_to(key_entry().path);
    if (std::holds_alternative<std::vector<model_settings>*>(value))
      return "see " + link_to(model().path);
    if (std::holds_alternative<bool*>(value))
      return "`true`, `false`";
    if (std::isfinite(key.max))
      return bound(key.min, kind.sizes) + " to " + bound(key.max, kind.sizes);
    return std::visit(classify{key}, value).type == "integer" ? "any" : "";
  }

  static std::string default_of(const table_rule& rule, const key_rule& key, const slot& value) {
    if (&rule == &key_entry() && key.name == "name")
      return "`\"key1\"`, `\"key2\"`, ...";
    if (&rule == &key_entry())
      return "not set";
    if (auto text = toml_text(value))
      return code(*text);
    auto kind = std::visit(classify{key}, value).type;
    return kind == "integer" || kind == "number" || kind == "string" ? "not set" : "";
  }

  struct inner {
    walk& self;
    const table_rule& rule;
    const key_rule& key;

    void operator()(const table_slot& table) const {
      if (table.rule->path.starts_with(rule.path)) // those of a model are described where the provider's are
        self.table(*table.rule, table.object, key.doc);
    }
    void operator()(std::vector<provider_settings>*) const {
      provider_settings defaults;
      self.table(provider(), &defaults, key.doc);
    }
    void operator()(std::vector<key_source>*) const {
      key_source defaults;
      self.table(key_entry(), &defaults, key.doc);
    }
    void operator()(std::vector<model_settings>*) const {
      model_settings defaults;
      self.table(model(), &defaults, key.doc);
    }
    void operator()(const auto&) const {}
  };

  std::vector<reference_table> tables_;
};

} // namespace

std::vector<reference_table> reference_tables() {
  settings defaults;
  walk all;
  all.table(root(), &defaults, "");
  return std::move(all).finish();
}

std::string reference_markdown() {
  std::string out;
  for (auto& table : reference_tables()) {
    if (!table.path.empty())
      out += (out.empty() ? "### `[" : "\n### `[") + table.path + "]`\n\n" + table.doc + "\n\n";
    else
      out += "### The top of the file\n\n";
    out += "| key | type | unit | allowed | default | meaning |\n|---|---|---|---|---|---|\n";
    for (auto& key : table.keys)
      out += "| " + code(key.name) + " | " + key.type + " | " + key.unit + " | " + key.allowed + " | "
             + key.default_value + " | " + key.doc + " |\n";
  }
  return out;
}

} // namespace modelforge
