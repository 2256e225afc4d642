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

  void fail(std::string message) { fail(api_error{400, std::move(message)}); }

  void fail(std::optional<api_error> error);

  void fail_missing(const std::string& path) override { fail("* GenerateContentRequest." + path + ": must be set"); }

  void fail_type(const std::string& path, std::string_view expected, const json& found) override;

  // -- numbers ------------------------------------------------------------------

  const json* number_in(const json& x, std::string_view name, const std::string& path);

  std::optional<int64_t> integer_in(const json& x, std::string_view name, const std::string& path, int64_t least,
                                    int64_t most);

  const json* object_in(const json& x, std::string_view name, const std::string& path);

  const json* array_in(const json& x, std::string_view name, const std::string& path);

  const std::string* string_in_either(const json& x, std::string_view name, const std::string& path);
};

} // namespace modelforge::simulator::gemini
