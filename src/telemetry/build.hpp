#pragma once

#include <string_view>

namespace modelforge::telemetry {

/// Which program this is.
struct build_info {
  std::string_view version;  ///< Of ModelForge: "0.1.0".
  std::string_view commit;   ///< Of its source, as MODELFORGE_COMMIT in CMake names it; empty: not known.
  std::string_view compiler; ///< "GNU 12.2.0".
  std::string_view caf;      ///< The version of CAF that it was built with.
};

build_info this_build();

} // namespace modelforge::telemetry
