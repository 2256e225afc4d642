#include "json/schema.hpp"

#include "base/ascii.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <initializer_list>
#include <utility>

namespace modelforge::json {

namespace {

/// Bounds for schemas that refer to themselves, and for lists that are compared with themselves.
constexpr std::size_t max_steps = 1'000'000;
constexpr std::size_t max_nesting = 400;

/// Of texts from outside, in messages.
constexpr std::size_t max_shown = 80;

enum class verdict : uint8_t { yes, no, unknown };

verdict both(verdict a, verdict b) {
  if (a == verdict::no || b == verdict::no)
    return verdict::no;
  return a == verdict::yes ? b : a;
}

/// A value's type, as a schema names it; a whole number is a number, too.
std::string_view type_of(const value& x) {
  switch (x.type()) {
    case value::value_t::object:
      return "object";
    case value::value_t::array:
      return "array";
    case value::value_t::string:
      return "string";
    case value::value_t::boolean:
      return "boolean";
    case value::value_t::number_integer:
    case value::value_t::number_unsigned:
      return "integer";
    case value::value_t::number_float:
      return x.get<double>() == std::floor(x.get<double>()) ? "integer" : "number";
    default:
      return "null";
  }
}

std::string with_article(std::string_view type) {
  if (type == "null")
    return "null";
  return (type == "object" || type == "array" || type == "integer" ? "an " : "a ") + std::string{type};
}

bool has_type(const value& x, std::string_view wanted) {
  auto type = type_of(x);
  return type == wanted || (type == "integer" && wanted == "number");
}

std::string shown(const value& x) {
  auto text = to_text(x);
  if (text.size() <= max_shown)
    return text;
  auto end = max_shown;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80)
    --end;
  return text.substr(0, end) + "...";
}

/// How many characters a text has.
std::size_t characters_in(std::string_view text) {
  return static_cast<std::size_t>(
    std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

/// The member, where there is one of that name; null may be its value.
const value* find(const value& object, std::string_view name) {
  if (!object.is_object())
    return nullptr;
  const value* found = nullptr;
  for (auto& [key, inner] : object.get_ref<const value::object_t&>())
    if (key == name)
      found = &inner;
  return found;
}

/// One check of one value, by the parts of JSON Schema that providers' structured outputs have. What it does not know
/// makes the answer `unknown`, never a no: a good answer must not be refused for a rule that nobody here can read.
///
/// Goes down through rule and value together. The first thing that is wrong on the way that counts is kept, with its
/// place; choices are tried without a word (`attempt`), since only one of them has to fit. `max_steps` and
/// `max_nesting` bound the work, as a schema may refer to itself and the answer is from outside. Used once, by one
/// call.
class checker {
public:
  explicit checker(const value& root) : root_(root) {}

  verdict check(const value& rule, const value& x) {
    if (++steps_ > max_steps || nesting_ > max_nesting)
      return verdict::unknown;
    if (rule.is_boolean())
      return rule.get<bool>() ? verdict::yes : fail("is not allowed there");
    if (!rule.is_object())
      return verdict::unknown;
    ++nesting_;
    auto result = check_members(rule, x);
    --nesting_;
    return result;
  }

  std::string problem;

private:
  verdict fail(std::string why) {
    if (steps_ > max_steps)
      return verdict::unknown; // comparisons were cut short
    if (problem.empty() && !is_trying_)
      problem = (path_.empty() ? "the answer" : path_) + " " + std::move(why);
    return verdict::no;
  }

  /// Checks without a word about what does not match.
  verdict attempt(const value& rule, const value& x) {
    auto before = std::exchange(is_trying_, true);
    auto result = check(rule, x);
    is_trying_ = before;
    return result;
  }

  /// Checks what is inside of a value.
  verdict inside(const std::string& name, const value& rule, const value& x) {
    auto size = path_.size();
    path_ += '/';
    for (char c : name.substr(0, max_shown))
      path_ += c == '~' ? "~0" : c == '/' ? "~1" : std::string(1, c);
    auto result = check(rule, x);
    path_.resize(size);
    return result;
  }

  verdict check_members(const value& rule, const value& x) {
    auto result = check_type(rule, x);
    for (auto part : {&checker::check_values, &checker::check_choices, &checker::check_reference})
      if (result != verdict::no)
        result = both(result, (this->*part)(rule, x));
    if (result == verdict::no)
      return result;
    if (x.is_object())
      return both(result, check_object(rule, x));
    if (x.is_array())
      return both(result, check_array(rule, x));
    if (x.is_string())
      return both(result, check_text(rule, x));
    return x.is_number() ? both(result, check_number(rule, x)) : result;
  }

  // -- any value ----------------------------------------------------------------------

  verdict check_type(const value& rule, const value& x) {
    auto& wanted = member(rule, "type");
    if (wanted.is_null() || (x.is_null() && member(rule, "nullable") == true))
      return verdict::yes;
    std::string names;
    auto fits = [&](const value& type) {
      auto name = ascii::lower(string_in(type));
      names += (names.empty() ? "" : " or ") + with_article(name);
      return has_type(x, name);
    };
    if (wanted.is_array() ? std::any_of(wanted.begin(), wanted.end(), fits) : fits(wanted))
      return verdict::yes;
    return fail("is " + with_article(type_of(x)) + ", not " + names);
  }

  verdict check_values(const value& rule, const value& x) {
    if (auto* only = find(rule, "const"); only != nullptr && !equal(*only, x))
      return fail("is " + shown(x) + ", not " + shown(*only));
    auto& all = member(rule, "enum");
    if (all.is_array() && std::none_of(all.begin(), all.end(), [&](auto& each) { return equal(each, x); }))
      return fail("is " + shown(x) + ", which is none of " + shown(all));
    return verdict::yes;
  }

  /// By their meaning: the order of members does not count, nor how a number is written.
  bool equal(const value& a, const value& b) {
    if (++steps_ > max_steps)
      return false;
    if (a.is_number() && b.is_number())
      return a == b;
    if (a.type() != b.type() || a.size() != b.size())
      return false;
    if (a.is_array())
      return std::equal(a.begin(), a.end(), b.begin(), [&](auto& x, auto& y) { return equal(x, y); });
    if (!a.is_object())
      return a == b;
    auto& members = a.get_ref<const value::object_t&>();
    return std::all_of(members.begin(), members.end(), [&](auto& each) {
      auto* other = find(b, each.first);
      return other != nullptr && equal(each.second, *other);
    });
  }

  /// The rules that are made of other rules. A no is final; what is unknown stays so unless another rule says no.
  verdict check_choices(const value& rule, const value& x) {
    auto result = verdict::yes;
    for (auto& each : list(rule, "allOf"))
      if (result = both(result, check(each, x)); result == verdict::no)
        return result;
    if (auto& all = list(rule, "anyOf"); !all.empty())
      result = both(result, check_any(all, x, false));
    if (auto& all = list(rule, "oneOf"); !all.empty() && result != verdict::no)
      result = both(result, check_any(all, x, true));
    if (auto* no = find(rule, "not"); no != nullptr && result != verdict::no) {
      auto inner = attempt(*no, x);
      if (inner == verdict::yes)
        return fail("is what the schema's \"not\" forbids");
      result = both(result, inner == verdict::no ? verdict::yes : inner);
    }
    auto* condition = find(rule, "if");
    if (condition == nullptr || result == verdict::no)
      return result;
    auto holds = attempt(*condition, x);
    auto* then = holds == verdict::unknown ? nullptr : find(rule, holds == verdict::yes ? "then" : "else");
    return both(result, holds == verdict::unknown ? holds : then != nullptr ? check(*then, x) : verdict::yes);
  }

  static const value& list(const value& rule, std::string_view name) {
    static const value none = value::array();
    auto& found = member(rule, name);
    return found.is_array() ? found : none;
  }

  verdict check_any(const value& all, const value& x, bool only_one) {
    std::size_t good = 0, unknown = 0;
    for (auto& each : all) {
      auto result = attempt(each, x);
      good += result == verdict::yes;
      unknown += result == verdict::unknown;
      if (good > 0 && !only_one)
        return verdict::yes;
    }
    if (good > 1)
      return fail("matches several of the schemas in \"oneOf\", not one");
    if (good + unknown == 0)
      return explain_none(all, x, only_one ? "oneOf" : "anyOf");
    return unknown > 0 ? verdict::unknown : verdict::yes;
  }

  /// Of several that do not match, the one of the same type says most.
  verdict explain_none(const value& all, const value& x, std::string_view name) {
    for (auto& each : all)
      if (auto& type = member(each, "type"); type.is_string() && has_type(x, string_in(type)))
        return check(each, x);
    return fail("matches none of the schemas in \"" + std::string{name} + "\"");
  }

  /// Into the schema itself, by a JSON pointer.
  verdict check_reference(const value& rule, const value& x) {
    for (auto* name : {"$dynamicRef", "$recursiveRef"})
      if (find(rule, name) != nullptr)
        return verdict::unknown;
    auto reference = string_in(member(rule, "$ref"));
    if (reference.empty())
      return verdict::yes;
    auto* target = reference.starts_with('#') ? resolve(reference.substr(1)) : nullptr;
    return target != nullptr ? check(*target, x) : verdict::unknown;
  }

  /// Follows a JSON pointer (RFC 6901) from the root; null: it leads nowhere.
  const value* resolve(std::string_view pointer) const {
    auto* at = &root_;
    while (!pointer.empty() && at != nullptr) {
      if (!pointer.starts_with('/'))
        return nullptr;
      pointer.remove_prefix(1);
      std::string name;
      for (; !pointer.empty() && pointer.front() != '/'; pointer.remove_prefix(1))
        if (pointer.starts_with("~0") || pointer.starts_with("~1")) {
          name += pointer[1] == '0' ? '~' : '/';
          pointer.remove_prefix(1);
        } else {
          name += pointer.front();
        }
      at = at->is_array() ? element(*at, name) : find(*at, name);
    }
    return at;
  }

  static const value* element(const value& list, const std::string& name) {
    auto is_number = !name.empty() && name.size() < 9 && name.find_first_not_of("0123456789") == name.npos;
    auto index = is_number ? std::stoul(name) : list.size();
    return index < list.size() ? &list[index] : nullptr;
  }

  // -- objects ------------------------------------------------------------------------

  verdict check_object(const value& rule, const value& x) {
    for (auto& name : list(rule, "required"))
      if (name.is_string() && find(x, string_in(name)) == nullptr)
        return fail("lacks the member " + shown(name));
    auto& members = x.get_ref<const value::object_t&>();
    if (auto why = wrong_size(rule, members.size(), "Properties", "members"); !why.empty())
      return fail(std::move(why));
    auto result = check_dependencies(rule, x);
    for (auto& [name, inner] : members)
      if (result != verdict::no)
        result = both(result, check_member(rule, name, inner));
    return result;
  }

  verdict check_dependencies(const value& rule, const value& x) {
    auto& all = member(rule, "dependentRequired");
    if (all.is_object())
      for (auto& [name, wanted] : all.get_ref<const value::object_t&>())
        for (auto& other : wanted)
          if (find(x, name) != nullptr && other.is_string() && find(x, string_in(other)) == nullptr)
            return fail("lacks the member " + shown(other) + ", which \"" + name + "\" needs");
    auto is_open = find(rule, "dependentSchemas") != nullptr || find(rule, "dependencies") != nullptr
                   || find(rule, "unevaluatedProperties") != nullptr;
    return is_open ? verdict::unknown : verdict::yes;
  }

  verdict check_member(const value& rule, const std::string& name, const value& x) {
    auto result = verdict::yes;
    if (auto* names = find(rule, "propertyNames"))
      if (result = attempt(*names, name); result == verdict::no)
        return fail("has a member \"" + name.substr(0, max_shown) + "\", whose name does not match");
    if (find(rule, "patternProperties") != nullptr)
      result = verdict::unknown;
    if (auto* known = find(member(rule, "properties"), name))
      return both(result, inside(name, *known, x));
    auto* others = find(rule, "additionalProperties");
    if (others == nullptr || result == verdict::unknown)
      return result;
    if (others->is_boolean() && !others->get<bool>())
      return fail("has a member \"" + name.substr(0, max_shown) + "\", which the schema does not know");
    return both(result, inside(name, *others, x));
  }

  // -- lists --------------------------------------------------------------------------

  verdict check_array(const value& rule, const value& x) {
    if (auto why = wrong_size(rule, x.size(), "Items", "items"); !why.empty())
      return fail(std::move(why));
    auto& items = member(rule, "items");
    auto& first = items.is_array() ? items : list(rule, "prefixItems");
    auto* rest = find(rule, items.is_array() ? "additionalItems" : "items");
    auto result = find(rule, "unevaluatedItems") != nullptr ? verdict::unknown : verdict::yes;
    for (std::size_t i = 0; i < x.size() && result != verdict::no; ++i)
      if (i < first.size())
        result = both(result, inside(std::to_string(i), first[i], x[i]));
      else if (rest != nullptr)
        result = both(result, inside(std::to_string(i), *rest, x[i]));
    if (result != verdict::no && member(rule, "uniqueItems") == true)
      result = both(result, check_unique(x));
    return result != verdict::no ? both(result, check_contains(rule, x)) : result;
  }

  verdict check_unique(const value& x) {
    for (std::size_t i = 0; i < x.size(); ++i)
      for (std::size_t j = 0; j < i; ++j)
        if (equal(x[i], x[j]))
          return fail("has the same item twice, at " + std::to_string(j) + " and " + std::to_string(i));
        else if (steps_ > max_steps)
          return verdict::unknown;
    return verdict::yes;
  }

  verdict check_contains(const value& rule, const value& x) {
    auto* wanted = find(rule, "contains");
    if (wanted == nullptr)
      return verdict::yes;
    std::size_t good = 0, unknown = 0;
    for (auto& each : x) {
      auto result = attempt(*wanted, each);
      good += result == verdict::yes;
      unknown += result == verdict::unknown;
    }
    auto least = count_in(member(rule, "minContains")).value_or(1);
    auto most = count_in(member(rule, "maxContains")).value_or(x.size());
    if (good + unknown < least || good > most)
      return fail("has " + std::to_string(good) + " items that match \"contains\"");
    return good >= least && good + unknown <= most ? verdict::yes : verdict::unknown;
  }

  // -- texts and numbers ----------------------------------------------------------------

  verdict check_text(const value& rule, const value& x) {
    if (find(rule, "minLength") != nullptr || find(rule, "maxLength") != nullptr)
      if (auto why = wrong_size(rule, characters_in(string_in(x)), "Length", "characters"); !why.empty())
        return fail(std::move(why));
    return find(rule, "pattern") != nullptr ? verdict::unknown : verdict::yes;
  }

  static std::string wrong_size(const value& rule, std::size_t size, const std::string& what, std::string_view of) {
    auto least = count_in(member(rule, "min" + what)), most = count_in(member(rule, "max" + what));
    auto has = "has " + std::to_string(size) + " " + std::string{of} + ", ";
    if (least && size < *least)
      return has + "fewer than " + std::to_string(*least);
    return most && size > *most ? has + "more than " + std::to_string(*most) : std::string{};
  }

  /// In draft 4 `exclusiveMinimum` says how `minimum` is meant.
  verdict check_number(const value& rule, const value& x) {
    auto number = x.get<double>();
    auto is = [&](std::string_view name) { return member(rule, name) == true; };
    struct bound {
      std::string_view name, relation;
      bool is_met;
    };
    auto compared = [&](std::string_view name, auto holds) {
      auto& limit = member(rule, name);
      return !limit.is_number() || holds(limit.get<double>());
    };
    for (auto& [name, relation, is_met] : std::initializer_list<bound>{
           {"minimum", "at least",
            compared("minimum", [&](double y) { return number > y || (number == y && !is("exclusiveMinimum")); })},
           {"maximum", "at most",
            compared("maximum", [&](double y) { return number < y || (number == y && !is("exclusiveMaximum")); })},
           {"exclusiveMinimum", "more than", compared("exclusiveMinimum", [&](double y) { return number > y; })},
           {"exclusiveMaximum", "less than", compared("exclusiveMaximum", [&](double y) { return number < y; })},
           {"multipleOf", "a multiple of", compared("multipleOf", [&](double y) { return is_multiple(number, y); })}})
      if (!is_met)
        return fail("is " + shown(x) + ", not " + std::string{relation} + " " + shown(member(rule, name)));
    return verdict::yes;
  }

  static bool is_multiple(double x, double step) {
    auto times = x / step;
    return step <= 0 || std::abs(times - std::round(times)) <= 1e-9 * std::max(1.0, std::abs(times));
  }

  const value& root_;
  std::string path_; ///< Of the value in hand, as a JSON pointer.
  std::size_t steps_ = 0, nesting_ = 0;
  bool is_trying_ = false; ///< What does not match is no problem yet.
};

} // namespace

std::variant<schema, std::string> schema::parse(std::string_view text) {
  auto parsed = json::parse(text);
  if (auto* why = std::get_if<std::string>(&parsed))
    return std::move(*why);
  auto& root = std::get<value>(parsed);
  if (!root.is_object() && !root.is_boolean())
    return std::string{"a schema is a JSON object"};
  return schema{std::move(root)};
}

std::optional<std::string> schema::mismatch(const value& instance) const {
  checker check{root_};
  if (check.check(root_, instance) != verdict::no)
    return {};
  return check.problem.empty() ? "the answer does not match" : check.problem;
}

} // namespace modelforge::json
