#include "tests/support/places.hpp"

std::string modelforge::test::source_path(std::string_view file) {
  return std::string{MODELFORGE_SOURCE_DIR "/"}.append(file);
}

std::string modelforge::test::program() {
  return MODELFORGE_PROGRAM;
}
