#pragma once

#include <optional>
#include <string_view>
#include <vector>

namespace modelforge::simulator {

/// One field of a form.
struct form_part {
  std::string_view name;
  std::string_view filename; ///< Empty: it is not a file.
  std::string_view content;
};

/// Cuts a multipart/form-data body into its parts (RFC 7578), views of `body`; nothing where it is none. `content_type`
/// is the header's value, with the boundary.
std::optional<std::vector<form_part>> read_form(std::string_view content_type, std::string_view body);

} // namespace modelforge::simulator
