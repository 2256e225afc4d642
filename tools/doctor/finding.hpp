#pragma once

#include <modelforge/messages/enums.hpp>

#include <cstdint>
#include <string>
#include <vector>

/// What `modelforge doctor` has found, and how it says it.

namespace modelforge::doctor {

enum class verdict : uint8_t {
  ok,
  warning, ///< It works, but hardly as it was meant, or not for much longer.
  problem, ///< It keeps something from working.
};

/// What one check says about one thing. Nothing in it is secret.
struct finding {
  doctor::verdict verdict = doctor::verdict::ok;
  std::string check;   ///< The kind of check: "key", "port".
  std::string subject; ///< What it is about: a provider's name, a file, an address; may be empty.
  std::string message; ///< What was found.
  std::string remedy;  ///< What to do about it; empty where all is well.
};

/// Whether any of them is a problem.
bool has_problem(const std::vector<finding>& all);

/// For people: a finding a line, its remedy on a second one, and a last line that counts them. What others have said is
/// written so that it cannot steer a terminal.
std::string to_text(const std::vector<finding>& all);

/// An array of `{"verdict","check","subject","message","remedy"}`, all of them texts, and a line's end.
std::string to_json(const std::vector<finding>& all);

} // namespace modelforge::doctor

template <>
inline constexpr auto
  modelforge::enum_names<modelforge::doctor::verdict> = std::to_array<std::string_view>({"ok", "warning", "problem"});
