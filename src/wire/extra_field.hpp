#pragma once

#include <string>
#include <string_view>
#include <variant>

namespace modelforge::wire {

/// A field for `chat_request::extra`.
struct extra_field {
  std::string name;
  std::string value; ///< JSON.
};

/// Reads NAME=VALUE, as people write it: VALUE is JSON (`0.5`, `true`, `["a"]`), and a text where it is none. A string
/// says what is wrong with it.
std::variant<extra_field, std::string> read_extra_field(std::string_view text);

} // namespace modelforge::wire
