#include "telemetry/program_metrics.hpp"

#include "telemetry/metric_names.hpp"
#include "telemetry/readiness.hpp"

#include <map>
#include <set>
#include <string>

namespace modelforge::telemetry {

namespace {

void begin(exposition& out, const metric& metric) {
  out.family(full_name(metric), name_of(metric.kind), metric.help);
}

template <class T>
void write(exposition& out, const metric& metric, T value) {
  begin(out, metric);
  out.sample({}, value);
}

template <class T>
void write(exposition& out, const metric& metric, const std::optional<T>& value) {
  if (value)
    write(out, metric, *value);
}

uint64_t number(bool value) {
  return value ? 1 : 0;
}

double seconds(wall_time time) {
  return std::chrono::duration<double>{time.time_since_epoch()}.count();
}

void write_build(exposition& out, const build_info& build) {
  begin(out, telemetry::build);
  out.sample({{label::version, build.version}, {label::commit, build.commit}, {label::compiler, build.compiler}},
             uint64_t{1});
}

/// A host may have two of one name: then one that is usable counts.
void write_providers(exposition& out, const std::vector<provider_report>& providers) {
  std::map<std::string, bool> known;
  for (auto& provider : providers)
    if (known.size() < max_series)
      known[provider.status.name] |= is_usable(provider.state);
  if (!known.empty())
    begin(out, usable);
  for (auto& [name, is_usable] : known)
    out.sample({{label::provider, name}}, number(is_usable));
}

void write_settings(exposition& out, const settings_report& settings) {
  write(out, settings_taken, seconds(settings.taken_at));
  write(out, reload_successful, number(!settings.is_last_refused));
}

/// A link that its peer has made has no address of ours.
void write_links(exposition& out, const std::vector<peer_status>& links) {
  std::map<std::string, bool> configured;
  std::set<std::string> linked;
  for (auto& link : links) {
    if (!link.address.empty() && configured.size() < max_series)
      configured[link.address] |= link.up;
    if (link.up)
      linked.insert(link.name);
  }
  if (!configured.empty())
    begin(out, link_up);
  for (auto& [address, is_up] : configured)
    out.sample({{label::address, address}}, number(is_up));
  write(out, linked_nodes, static_cast<uint64_t>(linked.size()));
}

void write_guests(exposition& out, const program_status& program) {
  std::map<std::string, uint64_t> counts;
  for (auto& provider : program.providers)
    if (provider.owner.empty() && counts.size() < max_series)
      counts[provider.status.name] = 0;
  for (auto& guest : program.node->guests)
    if (auto known = counts.find(guest.provider); known != counts.end())
      ++known->second;
  if (!counts.empty())
    begin(out, guests);
  for (auto& [provider, count] : counts)
    out.sample({{label::provider, provider}}, count);
}

void write_process(exposition& out, const process_figures& process, wall_time started_at) {
  write(out, process_cpu, process.cpu_seconds);
  write(out, process_memory, process.resident_bytes);
  write(out, process_open_fds, process.open_fds);
  write(out, process_max_fds, process.max_fds);
  write(out, process_start_time, seconds(started_at));
}

} // namespace

void write_metrics(exposition& out, const program_status& program, const process_figures& process) {
  write_build(out, program.build);
  write(out, ready, number(reasons_against(program).empty()));
  write_providers(out, program.providers);
  if (program.settings)
    write_settings(out, *program.settings);
  if (program.node && program.node->is_answered) {
    write_links(out, program.node->status.peers);
    write_guests(out, program);
  }
  write(out, log_dropped, program.dropped_events);
  write(out, access_dropped, program.dropped_requests);
  write_process(out, process, program.started_at);
}

} // namespace modelforge::telemetry
