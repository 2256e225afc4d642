#include "tools/simulator/schema.hpp"

#include "tools/simulator/text.hpp"

#include <algorithm>
#include <cmath>

// Samples are made by recursive descent over the schema. What keeps it finite: schemas deeper than 24 levels give null,
// beyond 6 levels only required members and the shortest choices are made, and a budget bounds the number of values in
// all. A schema is never refused; where it contradicts itself the sample simply does not fit.

namespace modelforge::simulator {

namespace {

using json = nlohmann::ordered_json;

/// What a member that is missing refers to.
const json nothing;

/// Returns the member, or a null value where there is none.
const json& member(const json& object, const char* name) {
  auto found = object.is_object() ? object.find(name) : object.end();
  return found == object.end() ? nothing : *found;
}

/// Returns the number, or `fallback` where the value is not one.
double number(const json& value, double fallback) {
  return value.is_number() ? value.get<double>() : fallback;
}

/// Makes one value that fits a schema: holds the root, which local references start from, and the random sequence, so
/// that the same seed makes the same value. Schemas come from outside and may refer to themselves: `depth` makes deep
/// values short, and `budget_` ends what grows in width. Used once for each answer.
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
      for (const auto& choice : choices)
        if (member(choice, "type") == "null")
          return choice;
    return choices[0];
  }

  /// Returns the schema's type; of several the first, and without any the one that its members suggest.
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

  /// Returns a value of that type; unknown types are texts.
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

  /// Returns an object with all its properties, or only the required ones when it lies deep.
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

  /// Returns the members of all parts together; a part that is not an object is the value itself.
  json all_of(const json& schema, const json& parts, int depth) {
    auto result = object(schema, depth);
    for (const auto& part : parts)
      if (auto part_value = value(part, depth + 1); part_value.is_object())
        result.update(part_value);
      else
        return part_value;
    return result;
  }

  /// Returns one to three elements, within the schema's bounds.
  json array(const json& schema, int depth) {
    auto min = static_cast<uint64_t>(std::clamp(number(member(schema, "minItems"), 0), 0.0, 1000.0));
    auto max = static_cast<uint64_t>(std::clamp(number(member(schema, "maxItems"), 1000), 0.0, 1000.0));
    auto count = depth > 6 ? min : std::min(max, std::max(min, 1 + source_.below(3)));
    auto result = json::array();
    for (uint64_t i = 0; i < count; ++i)
      result.push_back(value(member(schema, "items"), depth + 1));
    return result;
  }

  /// Returns a multiple of the schema's step within its bounds, of the first million. A missing maximum lies a hundred
  /// steps above the minimum; a missing minimum is 0, or lies a hundred steps below a negative maximum.
  json numeric(const json& schema, bool is_integer) {
    auto step = number(member(schema, "multipleOf"), is_integer ? 1 : 0.01);
    if (!(step > 0))
      step = 1;
    auto above = member(schema, "exclusiveMinimum"), below = member(schema, "exclusiveMaximum");
    auto has_minimum = member(schema, "minimum").is_number() || above.is_number();
    auto max = number(member(schema, "maximum"), number(below, INFINITY));
    auto min = number(member(schema, "minimum"), number(above, std::isinf(max) || max >= 0 ? 0 : max - 100 * step));
    if (std::isinf(max))
      max = min + 100 * step;
    auto first = std::ceil(min / step), last = std::floor(max / step);
    first += has_minimum && above.is_number() && first * step <= above.get<double>();
    last -= below.is_number() && last * step >= below.get<double>();
    auto span = std::clamp(last - first, 0.0, 1e6);
    auto result = (first + static_cast<double>(source_.below(static_cast<uint64_t>(span) + 1))) * step;
    if (is_integer)
      return static_cast<int64_t>(std::llround(result));
    return std::round(result * 1e9) / 1e9; // drops what binary fractions leave behind
  }

  /// Returns a text of the schema's format, or words of the prompt.
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
  std::string prose(double min, double max) {
    std::string result(words_[next_word_++ % words_.size()]);
    auto length = [&] {
      return static_cast<double>(
        std::count_if(result.begin(), result.end(), [](unsigned char c) { return (c & 0xc0) != 0x80; }));
    };
    while (length() < std::min(min, 1e5))
      result += " " + words_[next_word_++ % words_.size()];
    while (length() > std::max(max, 0.0)) {
      while (!result.empty() && (static_cast<unsigned char>(result.back()) & 0xc0) == 0x80)
        result.pop_back();
      result.pop_back();
    }
    return result;
  }

  /// Follows a JSON pointer such as "#/$defs/node" from the root; references to other documents give null.
  const json& resolve(const std::string& ref) const {
    if (!ref.starts_with("#"))
      return nothing;
    const json* node = &root_;
    for (std::string_view rest(ref); node->is_object() && rest.find('/') != rest.npos;) {
      rest.remove_prefix(rest.find('/') + 1);
      node = &member(*node, std::string(rest.substr(0, rest.find('/'))).c_str());
    }
    return *node;
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
