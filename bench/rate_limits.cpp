/// Limits, retries, breaker and fairness against a strict server: the simulated provider, which refuses with 429 what
/// is beyond its limits in any interval of its own clock; and what the dispatcher costs.
///
/// Usage: rate_limits SCENARIO ... [--seconds N]; without a scenario all but `kill`, which needs a program:
/// rate_limits kill BUILD/bin/modelforge. Prints what was promised and what was seen, and exits with 1 where a promise
/// was not kept.

#include "bench/measure.hpp"
#include "bench/rate_limits/scenarios.hpp"

#include <modelforge/actors/system.hpp>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

namespace {

using namespace modelforge;
using namespace modelforge::bench::rate_limits;
using modelforge::bench::all_kept;

struct scenario {
  const char* name;
  void (*run)();
};

constexpr scenario scenarios[] = {{"saturation", saturation},
                                  {"faults", faults},
                                  {"storm", storm},
                                  {"halved", halved},
                                  {"retry_after", retry_after},
                                  {"breaker", breaker},
                                  {"fairness", fairness},
                                  {"adaptive", adaptive},
                                  {"queue", queue},
                                  {"batch", batch}};

} // namespace

int main(int argc, char** argv) {
  init_types();
  std::vector<std::string> wanted;
  for (int i = 1; i < argc; ++i)
    if (std::strcmp(argv[i], "--seconds") == 0 && i + 1 < argc)
      length = std::chrono::seconds{std::max(30, std::atoi(argv[++i]))};
    else
      wanted.push_back(argv[i]);
  for (std::size_t i = 0; i + 1 < wanted.size(); ++i)
    if (wanted[i] == "kill") {
      kill_and_restart(wanted[i + 1]);
      wanted.erase(wanted.begin() + static_cast<std::ptrdiff_t>(i),
                   wanted.begin() + static_cast<std::ptrdiff_t>(i) + 2);
      if (wanted.empty())
        return all_kept ? 0 : 1;
    }
  for (auto& x : scenarios)
    if (wanted.empty() || std::find(wanted.begin(), wanted.end(), x.name) != wanted.end())
      x.run();
  return all_kept ? 0 : 1;
}
