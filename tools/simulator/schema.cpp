#include "tools/simulator/schema.hpp"

#include "tools/simulator/text.hpp"

#include <algorithm>
#include <cmath>

namespace modelforge::simulator {

namespace {

using json = nlohmann::ordered_json;

const json nothing;

const json& member(const json& x, const char* name) {
  auto found = x.is_object() ? x.find(name) : x.end();
  return found == x.end() ? nothing : *found;
}

double number(const json& x, double otherwise) {
  return x.is_number() ? x.get<double>() : otherwise;
}

class sampler {
public:
  sampler(const json& root, random_source source, const std::vector<std::string>& words)
    : root_(root), source_(source), words_(words) {}

  /// `depth` counts the values around this one; beyond some of them a recursive schema gets its shortest values.
  json value(const json& schema, int depth) {
    if (depth > 24 || budget_-- == 0)
      return budget_ = 0, nullptr;
    for (auto key : {"const", "default"})
      if (auto found = schema.is_object() ? schema.find(key) : schema.end(); found != schema.end())
        return *found;
    if (const auto& choices = member(schema, "enum"); choices.is_array() && !choices.empty())
      return choices[source_.below(choices.size())];
    if (const auto& ref = member(schema, "$ref"); ref.is_string())
      return value(resolve(ref.get_ref<const std::string&>()), depth + 1);
    for (auto key : {"anyOf", "oneOf"})
      if (const auto& choices = member(schema, key); choices.is_array() && !choices.empty())
        return value(choose(choices, depth), depth + 1);
    if (const auto& parts = member(schema, "allOf"); parts.is_array() && !parts.empty())
      return all_of(schema, parts, depth);
    return typed(type_of(schema, depth), schema, depth);
  }

private:
  /// Deep inside a recursive schema null ends the recursion, if it may.
  const json& choose(const json& choices, int depth) const {
    if (depth > 6)
      for (const auto& x : choices)
        if (member(x, "type") == "null")
          return x;
    return choices[0];
  }

  static std::string type_of(const json& schema, int depth) {
    const auto& type = member(schema, "type");
    if (type.is_string())
      return type.get<std::string>();
    if (type.is_array() && !type.empty()) {
      auto last = depth > 6 && std::find(type.begin(), type.end(), "null") != type.end();
      return last || !type[0].is_string() ? "null" : type[0].get<std::string>();
    }
    return member(schema, "properties").is_object() ? "object"
           : member(schema, "items").is_object()    ? "array"
                                                    : "string";
  }

  json typed(const std::string& type, const json& schema, int depth) {
    if (type == "object")
      return object(schema, depth);
    if (type == "array")
      return array(schema, depth);
    if (type == "integer" || type == "number")
      return numeric(schema, type == "integer");
    if (type == "boolean")
      return source_.below(2) == 0;
    if (type == "null")
      return nullptr;
    return text(schema);
  }

  json object(const json& schema, int depth) {
    auto result = json::object();
    const auto& required = member(schema, "required");
    for (const auto& [name, part] : member(schema, "properties").items()) {
      auto is_required = required.is_array() && std::find(required.begin(), required.end(), name) != required.end();
      if (depth <= 6 || is_required)
        result[name] = value(part, depth + 1);
    }
    return result;
  }

  json all_of(const json& schema, const json& parts, int depth) {
    auto result = object(schema, depth);
    for (const auto& part : parts)
      if (auto x = value(part, depth + 1); x.is_object())
        result.update(x);
      else
        return x;
    return result;
  }

  json array(const json& schema, int depth) {
    auto least = static_cast<uint64_t>(std::clamp(number(member(schema, "minItems"), 0), 0.0, 1000.0));
    auto most = static_cast<uint64_t>(std::clamp(number(member(schema, "maxItems"), 1000), 0.0, 1000.0));
    auto count = depth > 6 ? least : std::min(most, std::max(least, 1 + source_.below(3)));
    auto result = json::array();
    for (uint64_t i = 0; i < count; ++i)
      result.push_back(value(member(schema, "items"), depth + 1));
    return result;
  }

  json numeric(const json& schema, bool is_integer) {
    auto step = number(member(schema, "multipleOf"), is_integer ? 1 : 0.01);
    if (!(step > 0))
      step = 1;
    auto above = member(schema, "exclusiveMinimum"), below = member(schema, "exclusiveMaximum");
    auto has_least = member(schema, "minimum").is_number() || above.is_number();
    auto most = number(member(schema, "maximum"), number(below, INFINITY));
    auto least =
      number(member(schema, "minimum"), number(above, std::isinf(most) || most >= 0 ? 0 : most - 100 * step));
    if (std::isinf(most))
      most = least + 100 * step;
    auto first = std::ceil(least / step), last = std::floor(most / step);
    first += has_least && above.is_number() && first * step <= above.get<double>();
    last -= below.is_number() && last * step >= below.get<double>();
    auto span = std::clamp(last - first, 0.0, 1e6);
    auto x = (first + static_cast<double>(source_.below(static_cast<uint64_t>(span) + 1))) * step;
    if (is_integer)
      return static_cast<int64_t>(std::llround(x));
    return std::round(x * 1e9) / 1e9; // drops what binary fractions leave behind
  }

  json text(const json& schema) {
    const auto& format = member(schema, "format");
    auto two_digits = [&](uint64_t bound) { return std::to_string(10 + source_.below(bound - 9)); };
    auto date = "2026-" + two_digits(12) + "-" + two_digits(28), time = two_digits(23) + ":" + two_digits(59) + ":00";
    if (format == "date")
      return date;
    if (format == "time")
      return time + "Z";
    if (format == "date-time")
      return date + "T" + time + "Z";
    if (format == "duration")
      return "PT" + two_digits(59) + "M";
    if (format == "email")
      return "user" + two_digits(99) + "@example.com";
    if (format == "hostname")
      return "host" + two_digits(99) + ".example.com";
    if (format == "uri")
      return "https://example.com/" + two_digits(99);
    if (format == "ipv4")
      return "192.0.2." + two_digits(99);
    if (format == "ipv6")
      return "2001:db8::" + two_digits(99);
    if (format == "uuid") {
      auto high = hex(source_.next()), low = hex(source_.next());
      return high.substr(0, 8) + "-" + high.substr(8, 4) + "-4" + high.substr(13, 3) + "-8" + low.substr(1, 3) + "-"
             + low.substr(4, 12);
    }
    return prose(number(member(schema, "minLength"), 0), number(member(schema, "maxLength"), 1e4));
  }

  /// Returns words of the prompt, at least one, with `least` to `most` characters.
  std::string prose(double least, double most) {
    std::string result(words_[next_word_++ % words_.size()]);
    auto length = [&] {
      return static_cast<double>(
        std::count_if(result.begin(), result.end(), [](unsigned char c) { return (c & 0xc0) != 0x80; }));
    };
    while (length() < std::min(least, 1e5))
      result += " " + words_[next_word_++ % words_.size()];
    while (length() > std::max(most, 0.0)) {
      while (!result.empty() && (static_cast<unsigned char>(result.back()) & 0xc0) == 0x80)
        result.pop_back();
      result.pop_back();
    }
    return result;
  }

  const json& resolve(const std::string& ref) const {
    if (!ref.starts_with("#"))
      return nothing;
    const json* at = &root_;
    for (std::string_view rest(ref); at->is_object() && rest.find('/') != rest.npos;) {
      rest.remove_prefix(rest.find('/') + 1);
      at = &member(*at, std::string(rest.substr(0, rest.find('/'))).c_str());
    }
    return *at;
  }

  const json& root_;
  random_source source_;
  const std::vector<std::string>& words_;
  std::size_t next_word_ = 0;
  uint32_t budget_ = 10'000; ///< Values: a schema that refers to itself twice would double with every level.
};

} // namespace

json sample(const json& schema, random_source source, const std::vector<std::string>& words) {
  return sampler(schema, source, words).value(schema, 0);
}

} // namespace modelforge::simulator
