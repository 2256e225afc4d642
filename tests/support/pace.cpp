#include "tests/support/pace.hpp"

#include <time.h>

#include <algorithm>
#include <map>
#include <string>

namespace modelforge::test {

namespace {

double thread_seconds() {
  timespec used{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
  return static_cast<double>(used.tv_sec) + static_cast<double>(used.tv_nsec) / 1e9;
}

/// Allocations, strings and comparisons, as in what is measured.
size_t work() {
  std::map<std::string, std::string> table;
  for (unsigned i = 0; i < 1'000; ++i) {
    auto key = "a key that does not fit in a short string: " + std::to_string(i * 2'654'435'761u);
    table[key] = key + key;
  }
  size_t sum = 0;
  for (auto& [key, value] : table)
    sum += key.size() + value.find("y3");
  return sum;
}

} // namespace

double pace() {
  constexpr double reference = 0.001;
  static volatile size_t sink = 0; // so that the work is done
  auto begun = thread_seconds();
  sink = sink + work();
  return std::max(1.0, (thread_seconds() - begun) / reference);
}

} // namespace modelforge::test
