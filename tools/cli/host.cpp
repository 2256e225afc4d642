#include "tools/cli/host.hpp"

#include "actors/inquiry.hpp"
#include "log/logger.hpp"

#include <caf/scoped_actor.hpp>
#include <caf/send.hpp>

#include <cstdio>
#include <future>

namespace modelforge::cli {

host::~host() {
  metrics_.reset();
  if (registry_ != nullptr)
    caf::anon_send_exit(registry_, caf::exit_reason::user_shutdown);
}

std::optional<failure> host::start(const settings& all, std::string origin, const log_options& log) {
  auto started = start_log(all.log, log);
  if (auto* problem = std::get_if<failure>(&started))
    return std::move(*problem);
  log_ = std::get<log_handle>(std::move(started));
  auto spawned = spawn_registry(*system_, all, log_, std::move(origin));
  if (auto* problem = std::get_if<failure>(&spawned))
    return std::move(*problem);
  registry_ = std::get<registry_actor>(std::move(spawned));
  return {};
}

void host::watch(const metrics_settings& settings) {
  if (settings.listen.empty())
    return;
  auto served = serve_metrics(*system_, settings, registry_);
  if (auto* problem = std::get_if<failure>(&served))
    warn_unwatched(*problem);
  else
    metrics_ = std::get<0>(std::move(served));
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

std::optional<telemetry::program_status> host::program_status() {
  auto told = std::make_shared<std::promise<telemetry::program_status>>();
  auto status = told->get_future();
  inquire(*system_, registry_, [told](telemetry::program_status x) { told->set_value(std::move(x)); });
  if (status.wait_for(2 * inquiry_time) != std::future_status::ready)
    return {};
  return status.get();
}

} // namespace modelforge::cli
