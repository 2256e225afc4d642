#include "config/schema.hpp"

#include <modelforge/config/load.hpp>

#include <array>
#include <charconv>

namespace modelforge {

namespace {

using namespace schema;

/// A float of TOML that reads back to the same double.
std::string text_of(double number) {
  std::array<char, 32> text{};
  std::string result{text.data(), std::to_chars(text.data(), text.data() + text.size(), number).ptr};
  return result.find_first_of(".en") == std::string::npos ? result + ".0" : result;
}

/// Seconds, with as many of nine digits after the point as it takes.
std::string text_of(duration time) {
  constexpr int64_t second = std::nano::den;
  auto result = std::to_string(time.count() / second);
  if (auto rest = time.count() % second; rest != 0) {
    auto digits = std::to_string(second + rest);
    digits.erase(digits.find_last_not_of('0') + 1);
    result += '.' + digits.substr(1);
  }
  return result;
}

std::string text_of(const std::vector<std::string>& texts) {
  std::string result = "[";
  for (const auto& text : texts)
    result += (result.size() > 1 ? ", " : "") + quoted(text);
  return result + ']';
}

struct as_toml {
  using result = std::optional<std::string>;

  result operator()(bool* value) const { return *value ? "true" : "false"; }
  result operator()(std::string* value) const { return quoted(*value); }
  result operator()(const enum_slot& value) const { return quoted(value.names[*value.value]); }
  result operator()(duration* value) const { return text_of(*value); }
  result operator()(double* value) const { return text_of(*value); }
  result operator()(std::vector<std::string>* value) const { return text_of(*value); }
  template <class T>
  result operator()(std::optional<T>* value) const {
    return *value ? (*this)(&**value) : std::nullopt;
  }
  template <std::integral T>
  result operator()(T* value) const {
    return std::to_string(*value);
  }
  result operator()(const auto&) const { return {}; }
};

/// What is to stand behind a value, given its path; null: nothing.
using notes = std::function<std::string(const std::string& path)>;

/// Writes settings by the schema, every value, so that the output loads to equal settings (a test holds it to that).
/// What may stand in one line stands in one; tables follow under headers of their own.
class printer {
public:
  printer(std::string& out, const notes& note) : out_{out}, note_{note} {}

  /// Plain values first: what follows a table's header belongs to that table.
  void table(const table_rule& rule, void* object, const std::string& path) {
    auto path_of = [&](const key_rule& key) { return path + (path.empty() ? "" : ".") + std::string{key.name}; };
    for (const auto& key : rule.keys) // the short form of a key is printed as an entry of [[keys]]
      if (auto value = toml_text(key.slot_of(object)))
        line(key.name, *value, path_of(key));
    for (const auto& key : rule.keys)
      std::visit(inner{*this, path_of(key)}, key.slot_of(object));
  }

private:
  void header(const std::string& path) { out_ += (out_.empty() ? "[" : "\n[") + path + "]\n"; }

  void line(std::string_view name, const std::string& value, const std::string& path) {
    out_ += quoted_key(name) + " = " + value + (note_ ? " # " + note_(path) : "") + '\n';
  }

  struct inner {
    printer& self;
    std::string path;

    void operator()(const table_slot& table) const {
      self.header(path);
      self.table(*table.rule, table.object, path);
    }
    void operator()(std::vector<provider_settings>* value) const { each(*value, provider(), &provider_settings::name); }
    void operator()(std::vector<model_settings>* value) const { each(*value, model(), &model_settings::pattern); }
    void operator()(std::vector<key_source>* sources) const {
      for (std::size_t i = 0; i < sources->size(); ++i) {
        const auto& source = (*sources)[i];
        auto here = path + '.' + std::to_string(i) + '.';
        auto is_file = source.api_key_env.empty();
        auto key = std::string{is_file ? "api_key_file" : "api_key_env"};
        self.header('[' + path + ']');
        self.line("name", quoted(source.name), here + "name");
        self.line(key, quoted(is_file ? source.api_key_file : source.api_key_env), here + key);
      }
    }
    void operator()(std::vector<header_setting>* headers) const {
      if (!headers->empty())
        self.header(path);
      for (const auto& setting : *headers)
        self.line(setting.name, setting.env.empty() ? quoted(setting.value) : "{ env = " + quoted(setting.env) + " }",
                  path + '.' + quoted_key(setting.name));
    }
    void operator()(const auto&) const {} // plain values

    template <class T>
    void each(std::vector<T>& list, const table_rule& rule, std::string T::*name) const {
      for (auto& entry : list) {
        auto here = path + '.' + quoted_key(entry.*name);
        self.header(here);
        self.table(rule, &entry, here);
      }
    }
  };

  std::string& out_;
  const notes& note_;
};

} // namespace

std::optional<std::string> schema::toml_text(const slot& value) {
  return std::visit(as_toml{}, value);
}

std::string to_toml(settings all, const notes& note) {
  std::string result;
  printer{result, note}.table(root(), &all, "");
  return result;
}

} // namespace modelforge
