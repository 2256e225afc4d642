#pragma once

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <sys/resource.h>
#include <unistd.h>
#include <vector>

namespace modelforge::bench {

/// What a run took.
struct cost {
  double seconds = 0;
  double cpu = 0; ///< Of this process, all threads.
};

inline double cpu_seconds() {
  rusage x{};
  getrusage(RUSAGE_SELF, &x);
  auto seconds = [](timeval t) { return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) * 1e-6; };
  return seconds(x.ru_utime) + seconds(x.ru_stime);
}

template <class F>
cost measure(F run) {
  auto cpu = cpu_seconds();
  auto begin = std::chrono::steady_clock::now();
  run();
  return {std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count(), cpu_seconds() - cpu};
}

/// The q-quantile (0 to 1) of `x`, which must not be empty.
template <class T>
T quantile(std::vector<T> x, double q) {
  auto i = std::min(x.size() - 1, static_cast<std::size_t>(q * static_cast<double>(x.size())));
  std::nth_element(x.begin(), x.begin() + static_cast<std::ptrdiff_t>(i), x.end());
  return x[i];
}

/// Bytes of this process that are in memory.
inline std::size_t resident_bytes() {
  std::size_t pages = 0;
  if (auto* file = std::fopen("/proc/self/statm", "r")) {
    if (std::fscanf(file, "%*s %zu", &pages) != 1)
      pages = 0;
    std::fclose(file);
  }
  return pages * static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
}

/// Whether every promise so far was kept.
inline bool all_kept = true;

inline void promise(const char* what, bool kept) {
  std::printf("  %-72s %s\n", what, kept ? "kept" : "NOT KEPT");
  all_kept = all_kept && kept;
  std::fflush(stdout);
}

[[noreturn]] inline void die(const std::string& why) {
  std::fprintf(stderr, "benchmark: %s\n", why.c_str());
  std::exit(1);
}

inline std::size_t argument(int argc, char** argv, int i, std::size_t otherwise) {
  if (argc <= i)
    return otherwise;
  char* end = nullptr;
  auto x = std::strtoul(argv[i], &end, 10);
  if (end == argv[i] || *end != '\0')
    die(std::string{"this is no number: "} + argv[i]);
  return x;
}

} // namespace modelforge::bench
