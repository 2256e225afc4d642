#pragma once

#include "wire/json.hpp"

#include <modelforge/messages/content.hpp>
#include <modelforge/messages/error.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

namespace modelforge::wire::openai {

inline constexpr const char* type_names[] = {"null",    "object", "array",  "string",
                                             "boolean", "number", "number", "number"};

/// A value and the way to it; the way is written out only for a failure.
struct field {
  const json::value& value;
  const field* parent = nullptr;
  std::string_view name = {};
  std::size_t index = 0;

  bool missing() const { return value.is_null(); }

  field operator[](std::string_view child) const { return {member(value, child), this, child}; }

  std::string path() const {
    if (parent == nullptr)
      return {};
    auto before = parent->path();
    if (name.empty())
      return before + "[" + std::to_string(index) + "]";
    return before.empty() ? std::string{name} : before + "." + std::string{name};
  }
};

/// Typed access to the fields of a request in one of OpenAI's formats, for its readers. The first thing that is wrong
/// is kept, with its path ("messages[2].content"); lists are not read on then. Used once for each request.
class field_reader {
protected:
  /// Has `read` read a JSON object. Returns whether nothing was wrong.
  template <class Function>
  bool read_root(std::string_view text, Function read) {
    auto parsed = json::parse(text);
    if (auto* why = std::get_if<std::string>(&parsed))
      refuse("the request is no JSON: " + *why);
    else if (auto& root = std::get<json::value>(parsed); !root.is_object())
      refuse("the request is no JSON object");
    else
      read(field{root});
    return !problem_;
  }

  // Each leaves its target alone where the field is missing or null.

  void refuse(std::string message) {
    if (problem_)
      return;
    problem_.emplace();
    problem_->code = errc::invalid_request;
    problem_->message = std::move(message);
  }

  void wrong(const field& place, std::string_view why) { refuse(place.path() + " " + std::string{why}); }

  /// Refuses a field that is missing, or of another type; `subject` is what it should be.
  void expect(const field& place, std::string_view subject) {
    if (place.missing())
      wrong(place, "is missing");
    else
      wrong(place, "is no " + std::string{subject} + " but " + type_names[static_cast<int>(place.value.type())]);
  }

  void text(const field& place, std::string& target) {
    if (place.value.is_string())
      target = string_in(place.value);
    else if (!place.missing())
      expect(place, "string");
  }

  void required_text(const field& place, std::string& target) {
    text(place, target);
    if (place.missing())
      wrong(place, "is missing");
  }

  template <class T>
  void whole(const field& place, std::optional<T>& target) {
    if (place.missing())
      return;
    if (!place.value.is_number_integer())
      return expect(place, "whole number");
    auto in_range = place.value.is_number_unsigned() ? std::in_range<T>(place.value.get<uint64_t>())
                                                     : std::in_range<T>(place.value.get<int64_t>());
    if (!in_range)
      return wrong(place, "is out of range");
    target = place.value.get<T>();
  }

  void real(const field& place, std::optional<double>& target) {
    if (place.value.is_number())
      target = place.value.get<double>();
    else if (!place.missing())
      expect(place, "number");
  }

  template <class Flag>
  void flag(const field& place, Flag& target) {
    if (place.value.is_boolean())
      target = place.value.get<bool>();
    else if (!place.missing())
      expect(place, "boolean");
  }

  /// An object that stays JSON text.
  void object_text(const field& place, std::string& target) {
    if (place.value.is_object())
      target = to_text(place.value);
    else if (!place.missing())
      expect(place, "object");
  }

  /// Calls `read` for each element.
  template <class Function>
  void each(const field& place, Function read) {
    if (place.missing())
      return;
    if (!place.value.is_array())
      return expect(place, "array");
    for (std::size_t i = 0; i < place.value.size() && !problem_; ++i)
      read(field{place.value[i], &place, {}, i});
  }

  /// Refuses members that nothing reads: dropping them would change what is asked.
  void only(const field& place, std::initializer_list<std::string_view> known) {
    if (!place.value.is_object())
      return expect(place, "object");
    for (auto& [name, value] : place.value.get_ref<const json::value::object_t&>())
      if (!value.is_null() && std::find(known.begin(), known.end(), name) == known.end())
        wrong(field{value, &place, name}, "is not known here");
  }

  /// Takes an image's URL; `data:` URLs are taken apart: other providers want the type and the bytes separately.
  void take_image_url(const field& place, image_part& image) {
    required_text(place, image.url);
    if (!image.url.starts_with("data:"))
      return;
    constexpr std::string_view mark = ";base64,";
    auto end = image.url.find(mark);
    if (end == image.url.npos || end == 5 || end + mark.size() == image.url.size())
      return wrong(place, "is a data: URL, but not of the form data:TYPE;base64,DATA");
    image.media_type = image.url.substr(5, end - 5);
    image.data = image.url.substr(end + mark.size());
    image.url.clear();
  }

  void no_stream(const field& place) {
    bool stream = false;
    flag(place, stream);
    if (stream)
      wrong(place, "is true, but only whole answers can be given here");
  }

  /// Members of the root that were not `read`, as a JSON object; empty: there are none. So a host may use any field of
  /// its provider.
  static std::string rest_of(const field& root, std::initializer_list<std::string_view> read) {
    auto extra = json::value::object();
    auto& members = extra.get_ref<json::value::object_t&>();
    for (auto& [name, value] : root.value.get_ref<const json::value::object_t&>())
      if (std::find(read.begin(), read.end(), name) == read.end())
        members.emplace_back(name, value);
    return members.empty() ? std::string{} : to_text(extra);
  }

  bool is_wrong() const { return problem_.has_value(); }
  failure take_problem() { return std::move(*problem_); }

private:
  std::optional<failure> problem_;
};

} // namespace modelforge::wire::openai
