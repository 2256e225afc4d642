#pragma once

#include <modelforge/actors/provider.hpp>
#include <modelforge/actors/system.hpp>

#include <caf/actor_system.hpp>
#include <caf/actor_system_config.hpp>
#include <caf/scoped_actor.hpp>
#include <caf/send.hpp>

#include <string>
#include <utility>
#include <variant>

namespace modelforge::test {

/// A provider actor with real threads and real sockets, one attempt a request.
class live_provider {
public:
  static provider_settings settings_for(const std::string& url) {
    provider_settings x;
    x.name = "live";
    x.kind = provider_kind::openai;
    x.base_url = url + "/v1";
    x.default_model = "m";
    x.retry.max_attempts = 1;
    return x;
  }

  explicit live_provider(const std::string& url) : live_provider(settings_for(url)) {}

  explicit live_provider(const provider_settings& x, runtime_settings runtime = {}) : system_(config_) {
    runtime.state_folder = "none";
    provider_ = std::get<provider_actor>(spawn_provider(system_, x, runtime, make_transport()));
  }

  ~live_provider() {
    caf::anon_send_exit(provider_, caf::exit_reason::user_shutdown);
    provider_ = nullptr;
  }

  caf::actor_system& system() { return system_; }
  const provider_actor& operator*() const { return provider_; }

  provider_status status() {
    caf::scoped_actor self{system_};
    provider_status result;
    self->request(provider_, std::chrono::seconds{10}, status_atom_v)
      .receive([&](provider_status& x) { result = std::move(x); }, [](const caf::error&) {});
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

} // namespace modelforge::test
