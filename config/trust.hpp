#pragma once

#include "config/check.hpp"

#include <string>
#include <vector>

/// Whether a configuration that was found, not named, may send keys where it wants to. A `modelforge.toml` may come
/// with a folder, from anybody: it must not make a key go anywhere but to its own provider before the user has said so.

namespace modelforge {

/// The configuration that counts without being named, in the folder where a program is started.
inline constexpr auto file_of_folder = "./modelforge.toml";

/// A secret of the user's that settings send elsewhere than to its own provider, or let others use; or the log, which
/// would be added to a file that the settings name, or traces.
struct outflow {
  std::vector<std::string> paths; ///< Of the settings involved; the first is to blame.
  std::string secret;             ///< The variable or the file that holds it; or "the log".
  std::string target;             ///< Who gets it: "HOST, by provider `NAME`".
};

/// Finds all of them. A variable of a public provider (OPENAI_API_KEY) may go to this provider's own hosts by TLS, and
/// to the address that the vendor's own variable names (OPENAI_BASE_URL); all others, and files, to any public
/// provider, and to this machine itself unless the configuration is `of_others`: another user may listen here.
std::vector<outflow> find_outflows(const settings& all, const environment& env, bool of_others);

/// Whether a file belongs to neither the user of this process nor the system's. What is not there counts as theirs.
bool belongs_to_others(const std::string& path);

/// Makes each outflow of a file that was found an error, unless the user has confirmed this file with this content.
file_check check_found(std::string path, environment env);

/// The same for a text that was read from such a file already; what is wrong with it, for people, or nothing.
std::optional<std::string> refuse_found(const std::string& path, std::string_view text,
                                        const environment& env = process_environment());

} // namespace modelforge
