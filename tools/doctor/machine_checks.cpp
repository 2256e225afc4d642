#include "tools/doctor/checks.hpp"

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <string_view>
#include <utility>

namespace modelforge::doctor {

namespace {

using std::chrono::duration_cast;
using std::chrono::nanoseconds;
using std::chrono::system_clock;

/// No clock is right that is before this program was written: 2025-01-01.
constexpr auto earliest = system_clock::time_point{std::chrono::seconds{1'735'689'600}};

/// Less than this is soon full.
constexpr uint64_t little_space = 64u << 20;

/// What a process has open beside its connections: files, pipes, ports, idle connections that are kept.
constexpr uint64_t other_descriptors = 320;

constexpr auto renew_within = std::chrono::hours{24 * 14};

nanoseconds size_of(nanoseconds time) {
  return time < nanoseconds::zero() ? -time : time;
}

std::string how_far(nanoseconds ahead) {
  return duration_text(size_of(ahead)) + (ahead > nanoseconds::zero() ? " ahead" : " behind");
}

/// "12 MiB"
std::string size_text(uint64_t bytes) {
  return bytes < (1u << 20) ? std::to_string(bytes >> 10) + " KiB" : std::to_string(bytes >> 20) + " MiB";
}

constexpr auto set_clock = "have the clock set by a time server: timedatectl set-ntp true";

finding judge_server_time(const server_time& server) {
  auto ahead = duration_cast<nanoseconds>(server.here - server.there);
  if (size_of(ahead) <= clock_tolerance)
    return {verdict::ok, "clock", server.host, "this machine's clock agrees with the server's", ""};
  auto level = size_of(ahead) > clock_bound ? verdict::problem : verdict::warning;
  return {level, "clock", server.host, "this machine's clock is " + how_far(ahead) + " of the server's", set_clock};
}

std::string free_text(const folder_facts& folder) {
  return folder.free_bytes ? ", " + size_text(*folder.free_bytes) + " free" : "";
}

std::string remedy_of_certificate(const failure& why) {
  if (why.message.find("has expired") != std::string::npos)
    return "have its authority sign a new one, and put that in its place: a running node takes it up by itself";
  if (why.message.find("is not valid yet") != std::string::npos)
    return set_clock;
  if (why.message.find("is not the key of the certificate") != std::string::npos)
    return "name the key that the certificate was made with";
  return why.suggestion;
}

std::string remedy_of_port(const port_facts& port) {
  switch (port.error) {
    case EACCES:
      return "ports below 1024 need CAP_NET_BIND_SERVICE, or root; or choose another in " + port.setting;
    case EADDRNOTAVAIL:
      return "`ip address` shows the addresses of this machine; 0.0.0.0 means all of them";
    case EADDRINUSE:
      return "end what uses it" + std::string{port.holder.empty() ? " (`ss -ltnp` shows it)" : ""}
             + ", or choose another in " + port.setting;
    default:
      return "choose another address in " + port.setting;
  }
}

} // namespace

std::vector<finding> judge_clock(const clock_facts& clock) {
  std::vector<finding> result;
  auto add = [&](verdict level, std::string message, std::string remedy) {
    result.push_back({level, "clock", "", std::move(message), std::move(remedy)});
  };
  if (clock.begun < earliest)
    add(verdict::problem, "the clock shows a time before 2025: certificates seem not to be valid yet", set_clock);
  if (clock.passed < nanoseconds::zero())
    add(verdict::problem, "the monotonic clock has gone backwards: no timeout can be trusted",
        "the machine or its hypervisor is broken; another clock source may help "
        "(/sys/devices/system/clocksource/clocksource0)");
  auto stepped = duration_cast<nanoseconds>(clock.ended - clock.begun) - clock.passed;
  if (size_of(stepped) > std::chrono::seconds{1})
    add(verdict::warning,
        "the clock was set by " + duration_text(size_of(stepped))
          + " while this ran: somebody sets it, or it runs badly",
        "let one time server alone set it, and slowly");
  for (auto& server : clock.servers)
    result.push_back(judge_server_time(server));
  if (result.empty())
    add(verdict::ok, "it shows a possible time, and runs evenly", "");
  return result;
}

std::vector<finding> judge_folder(const folder_facts& folder, uint32_t user) {
  auto trouble = folder.is_needed ? verdict::problem : verdict::warning;
  if (!folder.problem.empty())
    return {{trouble, "state", folder.place.path, folder.use + " cannot be kept: " + folder.problem,
             "make it a folder that this user can write, or set state_folder in [runtime] or STATE_DIRECTORY"}};
  std::vector<finding> result;
  if (folder.free_bytes && *folder.free_bytes < little_space)
    result.push_back({*folder.free_bytes == 0 ? trouble : verdict::warning, "state", folder.place.path,
                      "the disk is almost full: " + size_text(*folder.free_bytes) + " free",
                      "make room; `modelforge state` shows what is kept there"});
  else
    result.push_back({verdict::ok, "state", folder.place.path, folder.use + " can be kept" + free_text(folder), ""});
  for (auto& found : judge_privacy(folder.place, user, "state"))
    result.push_back(std::move(found));
  return result;
}

std::vector<finding> judge_limits_file(const limits_file_facts& file, uint32_t user) {
  if (!file.place.is_there)
    return {};
  auto result = judge_privacy(file.place, user, "limits");
  if (!file.is_readable)
    result.push_back({verdict::problem, "limits", file.provider, file.place.path + " cannot be read",
                      "it was written by another user: run as that one, or delete it while nothing runs"});
  else if (!file.is_whole)
    result.push_back({verdict::warning, "limits", file.provider,
                      file.place.path + " is damaged: limits begin as if nothing had been used",
                      "delete it while nothing runs; it is written anew"});
  else
    result.push_back(
      {verdict::ok, "limits", file.provider,
       "the use of the limits is kept in " + file.place.path + (file.is_in_use ? ", by a program that runs" : ""), ""});
  return result;
}

std::vector<finding> judge_ledger(const ledger_facts& ledger, uint32_t user) {
  if (ledger.problem) {
    auto remedy =
      ledger.place.is_there ? ledger.problem->suggestion : "name the output as `-o` did, from the same folder";
    return {{verdict::problem, "ledger", ledger.place.path, ledger.problem->message, remedy}};
  }
  auto total = ledger.total ? std::to_string(*ledger.total) : std::string{"an unknown number"};
  std::vector<finding> result{{verdict::ok, "ledger", ledger.place.path,
                               "is whole: " + std::to_string(ledger.done) + " of " + total + " done"
                                 + (ledger.is_in_use ? ", and a batch is running" : ""),
                               ""}};
  for (auto& found : judge_privacy(ledger.place, user, "ledger"))
    result.push_back(std::move(found));
  return result;
}

finding judge_descriptors(const descriptor_facts& descriptors) {
  auto text = std::to_string(descriptors.connections) + " connections at a time are allowed by max_concurrent, and "
              + std::to_string(descriptors.limit) + " open files by the system";
  auto needed = descriptors.connections + other_descriptors;
  if (descriptors.limit >= needed)
    return {verdict::ok, "descriptors", "", std::move(text), ""};
  auto level = descriptors.limit <= descriptors.connections ? verdict::problem : verdict::warning;
  return {level, "descriptors", "", std::move(text),
          "allow " + std::to_string(needed) + " (ulimit -Hn, LimitNOFILE= of a unit), or lower max_concurrent"};
}

finding judge_port(const port_facts& port) {
  if (port.error == 0)
    return {verdict::ok, "port", port.address, port.setting + " is free", ""};
  auto holder = port.holder.empty() ? std::string{} : " by " + port.holder;
  if (port.error == EADDRINUSE && port.is_modelforge)
    return {verdict::warning, "port", port.address, port.setting + " is taken" + holder,
            "all is well if that is this configuration's own program; a second one cannot listen there"};
  auto why =
    port.error == EADDRINUSE ? "is taken" + holder : std::string{"cannot be listened at: "} + std::strerror(port.error);
  return {verdict::problem, "port", port.address, port.setting + ' ' + why, remedy_of_port(port)};
}

std::vector<finding> judge_certificate(const certificate_facts& certificate, uint32_t user) {
  std::vector<finding> result;
  auto add = [&](verdict level, std::string message, std::string remedy) {
    result.push_back({level, "certificate", certificate.certificate, std::move(message), std::move(remedy)});
  };
  if (auto* why = std::get_if<failure>(&certificate.valid)) {
    add(verdict::problem, why->message, remedy_of_certificate(*why));
  } else {
    auto left = std::get<std::chrono::seconds>(certificate.valid);
    auto days = std::to_string(left / std::chrono::hours{24}) + " days";
    if (left < renew_within)
      add(verdict::warning, "expires in " + (left < std::chrono::hours{24} ? duration_text(left) : days),
          "renew it in time: a running node takes up the new file by itself");
    else
      add(verdict::ok, "fits its key and its authority, for " + days + " more", "");
  }
  for (auto& found : judge_privacy(certificate.key, user, "certificate"))
    result.push_back(std::move(found));
  return result;
}

} // namespace modelforge::doctor
