#include "config/schema.hpp"

#include <modelforge/config/load.hpp>

#include <array>
#include <charconv>

namespace modelforge {

namespace {

using namespace schema;

/// A float of TOML that reads back to the same double.
std::string text_of(double x) {
  std::array<char, 32> text{};
  std::string result{text.data(), std::to_chars(text.data(), text.data() + text.size(), x).ptr};
  return result.find_first_of(".en") == std::string::npos ? result + ".0" : result;
}

/// Seconds, with as many of nine digits after the point as it takes.
std::string text_of(duration x) {
  constexpr int64_t second = std::nano::den;
  auto result = std::to_string(x.count() / second);
  if (auto rest = x.count() % second; rest != 0) {
    auto digits = std::to_string(second + rest);
    digits.erase(digits.find_last_not_of('0') + 1);
    result += '.' + digits.substr(1);
  }
  return result;
}

std::string text_of(const std::vector<std::string>& x) {
  std::string result = "[";
  for (const auto& text : x)
    result += (result.size() > 1 ? ", " : "") + quoted(text);
  return result + ']';
}

struct as_toml {
  using result = std::optional<std::string>;

  result operator()(bool* x) const { return *x ? "true" : "false"; }
  result operator()(std::string* x) const { return quoted(*x); }
  result operator()(const enum_slot& x) const { return quoted(x.names[*x.value]); }
  result operator()(duration* x) const { return text_of(*x); }
  result operator()(double* x) const { return text_of(*x); }
  result operator()(std::vector<std::string>* x) const { return text_of(*x); }
  result operator()(std::optional<uint64_t>* x) const { return *x ? result{std::to_string(**x)} : std::nullopt; }
  template <std::integral T>
  result operator()(T* x) const {
    return std::to_string(*x);
  }
  result operator()(const auto&) const { return {}; }
};

class printer {
public:
  explicit printer(std::string& out) : out_{out} {}

  /// Plain values first: what follows a table's header belongs to that table.
  void table(const table_rule& rule, void* object, const std::string& path) {
    for (const auto& key : rule.keys) // the short form of a key is printed as an entry of [[keys]]
      if (auto value = toml_text(key.in(object)))
        line(key.name, *value);
    for (const auto& key : rule.keys)
      std::visit(inner{*this, path.empty() ? std::string{key.name} : path + '.' + std::string{key.name}},
                 key.in(object));
  }

private:
  void header(const std::string& path) { out_ += (out_.empty() ? "[" : "\n[") + path + "]\n"; }

  void line(std::string_view name, const std::string& value) { out_ += quoted_key(name) + " = " + value + '\n'; }

  struct inner {
    printer& self;
    std::string path;

    void operator()(const table_slot& x) const {
      self.header(path);
      self.table(*x.rule, x.object, path);
    }
    void operator()(std::vector<provider_settings>* x) const { each(*x, provider(), &provider_settings::name); }
    void operator()(std::vector<model_settings>* x) const { each(*x, model(), &model_settings::pattern); }
    void operator()(std::vector<key_source>* x) const {
      for (const auto& source : *x) {
        self.header('[' + path + ']');
        self.line("name", quoted(source.name));
        self.line(source.api_key_env.empty() ? "api_key_file" : "api_key_env",
                  quoted(source.api_key_env.empty() ? source.api_key_file : source.api_key_env));
      }
    }
    void operator()(std::vector<header_setting>* x) const {
      if (!x->empty())
        self.header(path);
      for (const auto& setting : *x)
        self.line(setting.name, setting.env.empty() ? quoted(setting.value) : "{ env = " + quoted(setting.env) + " }");
    }
    void operator()(const auto&) const {} // plain values

    template <class T>
    void each(std::vector<T>& list, const table_rule& rule, std::string T::*name) const {
      for (auto& x : list) {
        auto here = path + '.' + quoted_key(x.*name);
        self.header(here);
        self.table(rule, &x, here);
      }
    }
  };

  std::string& out_;
};

} // namespace

std::optional<std::string> schema::toml_text(const slot& value) {
  return std::visit(as_toml{}, value);
}

std::string to_toml(settings x) {
  std::string result;
  printer{result}.table(root(), &x, "");
  return result;
}

} // namespace modelforge
