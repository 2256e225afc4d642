#pragma once

#include <string>
#include <string_view>

/// Where things lie. Only places.cpp is compiled with paths of this clone, so that other clones find all else in
/// ccache.

namespace modelforge::test {

/// The path of a file of the source tree, e.g. "config/example.toml".
std::string source_path(std::string_view file);

/// The path of the program `modelforge`.
std::string program();

} // namespace modelforge::test
