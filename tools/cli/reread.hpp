#pragma once

#include <functional>
#include <string>

namespace modelforge::cli {

/// Reads the settings of a running program again, from a regular file of up to 1 MiB. `is_found`: nobody has named it.
/// `take_over` gets their text and returns whether they are in force; where not, it has told why. What cannot be read,
/// and whatever is thrown on the way, is told to `refuse`. Returns whether they are in force.
bool reread_settings(const std::string& path, bool is_found, const std::function<void(const std::string& why)>& refuse,
                     const std::function<bool(const std::string& text)>& take_over);

} // namespace modelforge::cli
