#include "telemetry/program_metrics.hpp"

#include "telemetry/metric_names.hpp"
#include "telemetry/readiness.hpp"

#include <map>
#include <set>
#include <string>
#include <string_view>

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

/// The series of a metric, by the value of their one label: `max_series` at most, the others are counted.
template <class T>
class series_by_name {
public:
  /// Null: the name is one of those that are left out.
  T* find_or_add(const std::string& name) {
    if (auto known = find(name))
      return known;
    if (values_.size() < max_series)
      return &values_[name];
    left_out_.insert(name);
    return nullptr;
  }

  T* find(const std::string& name) {
    auto known = values_.find(name);
    return known != values_.end() ? &known->second : nullptr;
  }

  /// Returns how many are left out.
  uint64_t write(exposition& out, const metric& metric, std::string_view label) const {
    if (!values_.empty())
      begin(out, metric);
    for (auto& [name, value] : values_)
      out.sample({{label, name}}, uint64_t{value});
    return left_out_.size();
  }

private:
  std::map<std::string, T> values_;
  std::set<std::string> left_out_;
};

/// A host may have two of one name: then one that is usable counts.
uint64_t write_providers(exposition& out, const std::vector<provider_report>& providers) {
  series_by_name<bool> known;
  for (auto& provider : providers)
    if (auto* is_any_usable = known.find_or_add(provider.status.name))
      *is_any_usable |= is_usable(provider.state);
  return known.write(out, usable, label::provider);
}

void write_settings(exposition& out, const settings_report& settings) {
  write(out, settings_taken, seconds(settings.taken_at));
  write(out, reload_successful, number(!settings.is_last_refused));
}

/// A link that its peer has made has no address of ours.
uint64_t write_links(exposition& out, const std::vector<peer_status>& links) {
  series_by_name<bool> configured;
  std::set<std::string> linked;
  for (auto& link : links) {
    if (auto* is_up = link.address.empty() ? nullptr : configured.find_or_add(link.address))
      *is_up |= link.up;
    if (link.up)
      linked.insert(link.name);
  }
  auto left_out = configured.write(out, link_up, label::address);
  write(out, linked_nodes, static_cast<uint64_t>(linked.size()));
  return left_out;
}

uint64_t write_guests(exposition& out, const program_status& program) {
  series_by_name<uint64_t> counts;
  for (auto& provider : program.providers)
    if (provider.owner.empty())
      counts.find_or_add(provider.status.name);
  for (auto& guest : program.node->guests)
    if (auto* count = counts.find(guest.provider))
      ++*count;
  return counts.write(out, guests, label::provider);
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
  auto left_out = write_providers(out, program.providers);
  if (program.settings)
    write_settings(out, *program.settings);
  if (program.node && program.node->is_answered) {
    left_out += write_links(out, program.node->status.peers);
    left_out += write_guests(out, program);
  }
  write(out, series_left_out, left_out);
  write(out, log_dropped, program.dropped_events);
  write(out, access_dropped, program.dropped_requests);
  if (program.spans) {
    write(out, spans_exported, program.spans->exported);
    write(out, spans_failed, program.spans->failed);
    write(out, spans_dropped, program.spans->dropped);
  }
  write_process(out, process, program.started_at);
}

} // namespace modelforge::telemetry
