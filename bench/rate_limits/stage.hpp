#pragma once

#include "tools/simulator/simulator.hpp"

#include <modelforge/actors/provider.hpp>
#include <modelforge/actors/system.hpp>

#include <caf/actor_system.hpp>
#include <caf/actor_system_config.hpp>
#include <caf/event_based_actor.hpp>
#include <caf/scoped_actor.hpp>
#include <caf/send.hpp>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <vector>

/// What the scenarios of `rate_limits` stand on: a provider before a simulated server, who asks it, and what came back.

namespace modelforge::bench::rate_limits {

using namespace std::chrono_literals;
using steady = std::chrono::steady_clock;

struct failed_request {
  request_id id;
  failure why;
};

/// Answers, as they come in.
struct tally {
  std::mutex mutex;
  uint64_t answered = 0;
  std::map<errc, uint64_t> failed;
  std::map<std::string, std::vector<double>> waits; ///< Seconds from asking to dispatch, by tenant.
  std::vector<failed_request> failures;
  steady::time_point last_answer{};

  void add(const std::string& tenant, const completion& x) {
    std::lock_guard guard{mutex};
    ++answered;
    waits[tenant].push_back(std::chrono::duration<double>{x.timings.queued}.count());
    last_answer = steady::now();
  }

  void add(request_id id, failure x) {
    std::lock_guard guard{mutex};
    ++failed[x.code];
    failures.push_back({id, std::move(x)});
  }

  uint64_t ended() {
    std::lock_guard guard{mutex};
    auto x = answered;
    for (auto& [code, n] : failed)
      x += n;
    return x;
  }
};

/// Sends requests and tallies what comes back.
class asker {
public:
  asker(
    caf::actor_system& system, const provider_actor& provider, tally& to, std::function<void()> on_end = [] {})
    : actor_(system.spawn(behavior, provider, &to, std::move(on_end))) {}

  ~asker() { caf::anon_send_exit(actor_, caf::exit_reason::kill); }

  asker(const asker&) = delete;
  asker& operator=(const asker&) = delete;

  void ask(chat_request x) { caf::anon_send(actor_, std::move(x)); }

private:
  static caf::behavior behavior(caf::event_based_actor* self, const provider_actor& provider, tally* to,
                                const std::function<void()>& on_end) {
    return {[=](chat_request& x) {
      auto tenant = x.tenant;
      auto id = x.id;
      self->request(provider, caf::infinite, std::move(x))
        .then(
          [=](const completion& y) {
            to->add(tenant, y);
            on_end();
          },
          [=](const caf::error& y) {
            to->add(id, failure_of(y));
            on_end();
          });
    }};
  }

  caf::actor actor_;
};

/// Keeps so many requests at the provider, until it ends or `most` have been sent. Ids are the same in every run, and
/// so are the faults that the simulator draws by them.
class feeder {
public:
  feeder(caf::actor_system& system, const provider_actor& provider, tally& to,
         std::function<chat_request(uint64_t)> make, uint64_t window, uint64_t most = UINT64_MAX)
    : make_(std::move(make)), most_(most), asker_(system, provider, to, [this] { next(); }) {
    for (uint64_t i = 0; i < window; ++i)
      next();
  }

  ~feeder() { stopped_ = true; }

private:
  void next() {
    auto n = sent_++;
    if (stopped_ || n >= most_)
      return;
    auto x = make_(n);
    x.id = {1, n + 1};
    asker_.ask(std::move(x));
  }

  std::function<chat_request(uint64_t)> make_;
  uint64_t most_;
  std::atomic<uint64_t> sent_ = 0;
  std::atomic<bool> stopped_ = false;
  asker asker_;
};

/// An actor system with one provider before a simulated server.
class stage {
public:
  stage(const simulator::options& server, provider_settings settings, runtime_settings runtime = {})
    : server_(server), system_(prepared(config_)) {
    settings.name = "sim";
    settings.kind = provider_kind::openai;
    settings.base_url = server_.url() + "/v1";
    settings.default_model = "demo";
    if (runtime.state_folder.empty())
      runtime.state_folder = "none";
    auto spawned = spawn_provider(system_, settings, runtime, make_transport());
    if (auto* why = std::get_if<failure>(&spawned)) {
      std::fprintf(stderr, "%s\n", to_string(*why).c_str());
      std::exit(2);
    }
    provider_ = std::get<provider_actor>(spawned);
  }

  ~stage() {
    caf::anon_send_exit(provider_, caf::exit_reason::user_shutdown);
    provider_ = nullptr;
  }

  simulator::server& server() { return server_; }
  caf::actor_system& system() { return system_; }
  const provider_actor& provider() const { return provider_; }

  provider_status status() {
    caf::scoped_actor self{system_};
    provider_status result;
    self->request(provider_, 10s, status_atom_v)
      .receive([&](provider_status& x) { result = std::move(x); }, [](const caf::error&) {});
    return result;
  }

private:
  static caf::actor_system_config& prepared(caf::actor_system_config& x) {
    apply(runtime_settings{}, x);
    return x;
  }

  simulator::server server_;
  caf::actor_system_config config_;
  caf::actor_system system_;
  provider_actor provider_;
};

/// A batch item of so many words.
inline chat_request question(uint64_t n, std::size_t words = 5) {
  chat_request x;
  std::string text = "Question " + std::to_string(n) + ":";
  for (std::size_t i = 0; i < words; ++i)
    text += i % 3 == 0 ? " river" : i % 3 == 1 ? " mountain" : " of";
  x.messages.push_back(text_message(role::user, std::move(text)));
  x.priority = priority::batch;
  return x;
}

} // namespace modelforge::bench::rate_limits
