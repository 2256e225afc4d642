#include "telemetry/process_figures.hpp"

#include <algorithm>
#include <charconv>
#include <dirent.h>
#include <fstream>
#include <memory>
#include <sstream>
#include <sys/resource.h>
#include <unistd.h>

namespace modelforge::telemetry {

namespace {

/// The text's whole number at the word of that place, counted from 0.
std::optional<uint64_t> number_at(std::string_view text, std::size_t place) {
  constexpr std::string_view blanks = " \n";
  for (std::size_t at = text.find_first_not_of(blanks); at != text.npos; --place) {
    auto end = std::min(text.find_first_of(blanks, at), text.size());
    if (place == 0) {
      uint64_t result = 0;
      auto [stop, error] = std::from_chars(text.data() + at, text.data() + end, result);
      return error == std::errc{} && stop == text.data() + end ? std::optional{result} : std::nullopt;
    }
    at = text.find_first_not_of(blanks, end);
  }
  return {};
}

std::string text_of(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream{path}.rdbuf();
  return text.str();
}

double seconds(const timeval& time) {
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
}

std::optional<double> cpu_seconds() {
  rusage used{};
  if (getrusage(RUSAGE_SELF, &used) != 0)
    return {};
  return seconds(used.ru_utime) + seconds(used.ru_stime);
}

/// The one that reads the folder is not counted.
std::optional<uint64_t> open_fds(const std::string& folder) {
  std::unique_ptr<DIR, int (*)(DIR*)> entries{opendir(folder.c_str()), closedir};
  if (entries == nullptr)
    return {};
  uint64_t count = 0;
  while (auto* entry = readdir(entries.get()))
    count += entry->d_name[0] != '.';
  return count > 0 ? count - 1 : 0;
}

std::optional<uint64_t> max_fds() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY)
    return {};
  return limit.rlim_cur;
}

/// Seconds since 1970.
std::optional<double> start_time() {
  auto ticks = start_ticks_in(text_of("/proc/self/stat"));
  auto boot = boot_time_in(text_of("/proc/stat"));
  auto rate = sysconf(_SC_CLK_TCK);
  if (!ticks || !boot || rate <= 0)
    return {};
  return static_cast<double>(*boot) + static_cast<double>(*ticks) / static_cast<double>(rate);
}

} // namespace

std::optional<uint64_t> start_ticks_in(std::string_view stat) {
  auto behind_name = stat.rfind(')');
  return behind_name == stat.npos ? std::nullopt : number_at(stat.substr(behind_name + 1), 19);
}

std::optional<uint64_t> boot_time_in(std::string_view stat) {
  constexpr std::string_view key = "\nbtime ";
  auto at = stat.find(key);
  return at == stat.npos ? std::nullopt : number_at(stat.substr(at + key.size()), 0);
}

std::optional<uint64_t> resident_pages_in(std::string_view statm) {
  return number_at(statm, 1);
}

process_figures read_process(const std::string& proc) {
  process_figures result;
  result.cpu_seconds = cpu_seconds();
  auto page = sysconf(_SC_PAGESIZE);
  if (auto pages = resident_pages_in(text_of(proc + "/self/statm")); pages && page > 0)
    result.resident_bytes = *pages * static_cast<uint64_t>(page);
  result.open_fds = open_fds(proc + "/self/fd");
  result.max_fds = max_fds();
  return result;
}

wall_time process_start() {
  static const auto result = [] {
    auto told = start_time();
    if (!told)
      return std::chrono::system_clock::now();
    return wall_time{std::chrono::duration_cast<wall_time::duration>(std::chrono::duration<double>{*told})};
  }();
  return result;
}

} // namespace modelforge::telemetry
