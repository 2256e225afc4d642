#pragma once

#include "tools/simulator/body_reader.hpp"
#include "tools/simulator/gemini/fields.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace modelforge::simulator::gemini {

/// Reads fields of a request, in the words of Google's protocol buffers.
class field_reader : protected body_reader {
protected:
  field_reader(const json& body, const options& settings, generation& result) : body_reader(body, settings, result) {}
  ~field_reader() = default;

  // -- faults -------------------------------------------------------------------

  using body_reader::fail;

  /// Note a fault: one of status 400, or any error if there is one.
  void fail(std::string message) { fail(api_error{400, std::move(message)}); }

  void fail(std::optional<api_error> error);

  void fail_missing(const std::string& path) override { fail("* GenerateContentRequest." + path + ": must be set"); }

  void fail_type(const std::string& path, std::string_view expected, const json& found) override;

  // -- numbers ------------------------------------------------------------------

  /// Returns the number `name` of `object`, or nullptr where it is missing or, after a fault, of another type.
  const json* number_in(const json& object, std::string_view name, const std::string& path);

  /// Returns the integer; one that is not from `min` to `max` is a fault.
  std::optional<int64_t> integer_in(const json& object, std::string_view name, const std::string& path, int64_t min,
                                    int64_t max);

  /// Returns the object or array of that name, or nullptr as above.
  const json* object_in(const json& object, std::string_view name, const std::string& path);

  const json* array_in(const json& object, std::string_view name, const std::string& path);

  /// Like `string_in` for a field that may be missing, under either form of its name.
  const std::string* string_in_either(const json& object, std::string_view name, const std::string& path);
};

} // namespace modelforge::simulator::gemini
