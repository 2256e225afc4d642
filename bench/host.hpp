#pragma once

#include "bench/measure.hpp"
#include "http/transport.hpp"

#include <modelforge/actors/provider.hpp>
#include <modelforge/actors/system.hpp>

#include <caf/actor_system.hpp>
#include <caf/actor_system_config.hpp>
#include <caf/scoped_actor.hpp>
#include <caf/send.hpp>

#include <chrono>
#include <memory>
#include <string>
#include <utility>
#include <variant>

namespace modelforge::bench {

/// A provider actor and all that it stands on, in this process.
class host {
public:
  /// For a server that speaks OpenAI's dialect, with room for `open` requests at once.
  static provider_settings settings_for(const std::string& url, std::size_t open) {
    provider_settings x;
    x.name = "bench";
    x.base_url = url + "/v1";
    x.default_model = "demo-mini";
    x.max_concurrent = static_cast<uint32_t>(open);
    x.interactive_slots = 0;
    x.retry.max_attempts = 1;
    return x;
  }

  explicit host(const provider_settings& x, http::transport_options transport = {}) : system_(config_) {
    runtime_settings runtime;
    runtime.state_folder = "none";
    auto spawned = spawn_provider(system_, x, runtime, std::make_shared<http::transport>(std::move(transport)));
    if (auto* problem = std::get_if<failure>(&spawned))
      die(to_string(*problem));
    provider_ = std::get<provider_actor>(std::move(spawned));
  }

  /// Ends what is still under way.
  ~host() {
    caf::anon_send_exit(provider_, caf::exit_reason::user_shutdown);
    provider_ = nullptr;
  }

  host(const host&) = delete;
  host& operator=(const host&) = delete;

  caf::actor_system& system() { return system_; }
  const provider_actor& provider() const { return provider_; }

  provider_status status() {
    caf::scoped_actor self{system_};
    provider_status result;
    self->request(provider_, std::chrono::seconds{30}, status_atom_v)
      .receive([&](provider_status& x) { result = std::move(x); },
               [](const caf::error& error) { die(to_string(failure_of(error))); });
    return result;
  }

private:
  struct types {
    types() { init_types(); }
  };

  struct config : caf::actor_system_config {
    config() { apply(runtime_settings{}, *this); }
  };

  types types_; // before the configuration object
  config config_;
  caf::actor_system system_;
  provider_actor provider_;
};

} // namespace modelforge::bench
