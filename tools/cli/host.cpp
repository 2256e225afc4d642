#include "tools/cli/host.hpp"

#include "log/logger.hpp"

#include <caf/scoped_actor.hpp>
#include <caf/send.hpp>

#include <algorithm>
#include <cstdio>

namespace modelforge::cli {

host::~host() {
  metrics_.reset();
  if (registry_ != nullptr)
    caf::anon_send_exit(registry_, caf::exit_reason::user_shutdown);
}

std::optional<failure> host::start(const settings& all, const log_options& log) {
  auto started = start_log(all.log, log);
  if (auto* problem = std::get_if<failure>(&started))
    return std::move(*problem);
  log_ = std::get<log_handle>(std::move(started));
  auto spawned = spawn_registry(*system_, all, log_);
  if (auto* problem = std::get_if<failure>(&spawned))
    return std::move(*problem);
  registry_ = std::get<registry_actor>(std::move(spawned));
  return {};
}

void host::warn_unwatched(const failure& problem) {
  if (log_ != nullptr && log_->wants(log::event::metrics_unavailable))
    log_->write(log::entry{log::event::metrics_unavailable}.with(log::field::reason, problem.message));
  else
    std::fprintf(stderr, "modelforge: warning: this run is not watched: %s\n", problem.message.c_str());
}

provider_actor host::find(const std::string& name) {
  provider_actor result;
  caf::scoped_actor self{*system_};
  self->request(registry_, caf::infinite, caf::get_atom_v, name)
    .receive([&](provider_actor& found) { result = std::move(found); }, [](const caf::error&) {});
  return result;
}

node_status host::status() {
  node_status result;
  caf::scoped_actor self{*system_};
  self->request(registry_, caf::infinite, status_atom_v)
    .receive([&](node_status& status) { result = std::move(status); }, [](const caf::error&) {});
  return result;
}

std::vector<provider_status> host::provider_statuses(std::chrono::milliseconds max_time) {
  std::vector<provider_status> result;
  auto end = std::chrono::steady_clock::now() + max_time;
  auto left = [&] {
    return std::max<caf::timespan>(end - std::chrono::steady_clock::now(), std::chrono::milliseconds{1});
  };
  caf::scoped_actor self{*system_};
  provider_names known;
  self->request(registry_, left(), names_atom_v)
    .receive([&](provider_names& names) { known = std::move(names); }, [](const caf::error&) {});
  for (auto& name : known.names) {
    provider_actor provider;
    self->request(registry_, left(), caf::get_atom_v, name)
      .receive([&](provider_actor& found) { provider = std::move(found); }, [](const caf::error&) {});
    if (provider != nullptr)
      self->request(provider, left(), status_atom_v)
        .receive([&](provider_status& status) { result.push_back(std::move(status)); }, [](const caf::error&) {});
  }
  return result;
}

} // namespace modelforge::cli
