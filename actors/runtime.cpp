#include <modelforge/actors/runtime.hpp>

#include "actors/checked_registry.hpp"
#include "actors/refusing_provider.hpp"
#include "actors/settings_change.hpp"
#include "actors/support/errands.hpp"
#include "actors/support/error_of.hpp"
#include "actors/support/mail.hpp"

#include <modelforge/actors/system.hpp>
#include <modelforge/config/load.hpp>

#include <caf/actor_system.hpp>
#include <caf/actor_system_config.hpp>
#include <caf/event_based_actor.hpp>
#include <caf/scoped_actor.hpp>
#include <caf/typed_event_based_actor.hpp>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <future>
#include <list>
#include <mutex>
#include <optional>
#include <shared_mutex>
#include <stdexcept>

namespace modelforge {

namespace {

/// How much longer than the grace period a provider may take to say that it is drained.
constexpr auto slack = std::chrono::seconds{5};

chat_request asking(std::string prompt) {
  chat_request request;
  request.messages.push_back(text_message(role::user, std::move(prompt)));
  return request;
}

} // namespace

class runtime::core {
public:
  core(settings settings, const host_options& options)
    : settings_(std::move(settings)), log_(started(settings_, options)), system_(configured(config_, settings_)),
      errands_(system_) {
    registry_ = had(spawn_checked_registry(system_, settings_, log_)); // `started` has checked them
    look_up_providers();
  }

  ~core() {
    shutdown();
    stop_actors();
  }

  void reopen_log() { reopen(log_); }

  /// The first call drains; later ones return at once, even while it still waits.
  void shutdown() {
    if (closing_.exchange(true))
      return;
    errands_.wait_for_clerk();
    caf::scoped_actor self{system_};
    {
      std::lock_guard lock{batches_mutex_};
      for (auto& job : batches_) // a job of a provider is no request that drains
        self->send(job, cancel_atom_v);
    }
    auto grace = std::chrono::duration_cast<caf::timespan>(settings_.runtime.grace_period);
    self->request(registry_, grace + slack, drain_atom_v, grace).receive([] {}, [](const caf::error&) {});
  }

  node_status node() {
    running open{*this};
    node_status result;
    if (closing_)
      return result;
    caf::scoped_actor self{system_};
    self->request(registry_, caf::infinite, status_atom_v)
      .receive([&](node_status& x) { result = std::move(x); }, [](const caf::error&) {});
    return result;
  }

  expected<reload_report> reload(const settings& settings) {
    running open{*this};
    if (closing_)
      return shut_down();
    errands_.wait_for_clerk();
    caf::scoped_actor self{system_};
    std::optional<expected<reload_report>> result;
    self->request(registry_, caf::infinite, reload_atom_v, to_toml(settings), std::string{"settings"})
      .receive([&](reload_report& y) { result.emplace(std::move(y)); },
               [&](const caf::error& y) { result.emplace(failure_of(y)); });
    if (*result) {
      std::unique_lock lock{providers_mutex_};
      settings_ = settings;
      look_up_providers();
    }
    return std::move(*result);
  }

  /// Finds a provider by name. Handles are cached; one that has ended unasked is looked up anew, since the registry
  /// starts another.
  expected<provider_actor> find(std::string_view name) {
    if (closing_)
      return shut_down();
    if (*one_has_ended_) {
      std::unique_lock lock{providers_mutex_};
      if (one_has_ended_->exchange(false))
        look_up_providers();
    }
    std::shared_lock lock{providers_mutex_};
    std::string known;
    for (auto& provider : providers_) {
      if (name.empty() || provider.name == name)
        return provider.actor;
      known += (known.empty() ? "" : ", ") + provider.name;
    }
    return unknown_provider(name, known);
  }

  /// Asks a provider on the calling thread.
  template <class T, class... Ts>
  expected<T> ask_and_wait(std::string_view provider, Ts&&... xs) {
    running open{*this};
    auto target = find(provider);
    if (!target)
      return target.error();
    errands_.wait_for_clerk();
    caf::scoped_actor self{system_};
    std::optional<expected<T>> result;
    self->request(*target, caf::infinite, std::forward<Ts>(xs)...)
      .receive([&](T& x) { result.emplace(std::move(x)); },
               [&](const caf::error& x) { result.emplace(failure_of(x)); });
    return std::move(*result);
  }

  /// Has `done` called in the clerk, where it must not block; at once when the runtime has been shut down.
  void ask_later(chat_request request, std::function<void(expected<completion>)> done, std::string_view provider) {
    auto open = std::make_shared<running>(*this); // before looking: then the clerk stays until it has answered
    if (closing_)
      return done(shut_down());
    auto target = find(provider);
    errands_.ask([open, target = std::move(target), request = std::move(request),
                  done = std::move(done)](caf::event_based_actor* clerk) mutable {
      if (target)
        ask(clerk, *target, std::move(request))
          .then([open, done](completion& y) { done(std::move(y)); },
                [open, done](const caf::error& y) { done(failure_of(y)); });
      else
        done(target.error());
    });
  }

  /// Likewise on the courier's thread, where it may block.
  void ask_and_call(chat_request request, std::function<void(expected<completion>)> done, std::string_view provider) {
    auto safely = [done = std::move(done)](expected<completion> y) {
      try {
        done(std::move(y));
      } catch (...) { // the host's; there is nobody to tell
      }
    };
    auto open = std::make_shared<running>(*this);
    if (closing_)
      return safely(shut_down());
    ask_later(
      std::move(request),
      [this, open, safely](expected<completion> y) {
        errands_.call([open, safely, y = std::move(y)]() mutable { safely(std::move(y)); });
      },
      provider);
  }

  /// The coordinator lives until its report; `known_batch` lets a shutdown on another thread cancel it.
  expected<batch_report> run_batch(const batch_options& options, std::function<bool(const batch_progress&)> on_progress,
                                   const std::vector<std::pair<std::string, double>>& names) {
    auto open = std::make_shared<running>(*this);
    std::vector<batch_provider> providers;
    for (auto& [name, weight] : names.empty() ? std::vector<std::pair<std::string, double>>{{"", 0}} : names) {
      auto found = find(name);
      if (!found)
        return found.error();
      providers.push_back({*found, weight, batch_price(name)});
    }
    auto spawned = spawn_batch(system_, std::move(providers), options, log_);
    if (auto* problem = std::get_if<failure>(&spawned))
      return std::move(*problem);
    auto batch = std::get<batch_coordinator_actor>(std::move(spawned));
    known_batch known{*this, batch};
    caf::scoped_actor self{system_};
    batch_observer_actor watcher;
    if (on_progress) {
      watcher = system_.spawn(observe, this, open, batch, std::move(on_progress));
      self->send(batch, observe_atom_v, watcher);
    }
    std::optional<expected<batch_report>> result;
    self->request(batch, caf::infinite, run_atom_v)
      .receive([&](batch_report& y) { result.emplace(std::move(y)); },
               [&](const caf::error& y) { result.emplace(failure_of(y)); });
    return std::move(*result);
  }

  text_stream start_stream(chat_request request, stream_options options, std::string_view provider) {
    running open{*this};
    options.own_thread = options.on_text || options.on_chunk || options.on_progress || options.on_end;
    auto target = find(provider);
    errands_.wait_for_clerk();
    auto asked = std::make_shared<std::promise<void>>(); // else a cancel or a drain could overtake the request
    auto is_asked = asked->get_future();
    auto result = text_stream::start(system_, target ? *target : spawn_refusing_provider(system_, target.error()),
                                     std::move(request), std::move(options), [asked] { asked->set_value(); });
    is_asked.wait();
    return result;
  }

  void withdraw(request_id id, std::string_view provider) {
    running open{*this};
    errands_.wait_for_clerk();
    if (auto target = find(provider))
      tell_from_outside(*target, cancel_atom_v, id);
  }

  std::vector<std::string> names() const {
    std::shared_lock lock{providers_mutex_};
    std::vector<std::string> result;
    for (auto& provider : providers_)
      result.push_back(provider.name);
    return result;
  }

private:
  /// A call that the end must wait for, because it uses the actors below.
  class running {
  public:
    explicit running(core& core) : core_(core) { ++core_.open_; }
    ~running() {
      --core_.open_;
      core_.open_.notify_all();
    }
    running(const running&) = delete;
    running& operator=(const running&) = delete;

  private:
    core& core_;
  };

  /// A batch that runs: the end cancels it.
  class known_batch {
  public:
    known_batch(core& core, const batch_coordinator_actor& actor) : core_(core) {
      std::lock_guard lock{core_.batches_mutex_};
      place_ = core_.batches_.insert(core_.batches_.end(), actor);
      if (core_.closing_)
        tell_from_outside(actor, cancel_atom_v);
    }

    ~known_batch() {
      std::lock_guard lock{core_.batches_mutex_};
      core_.batches_.erase(place_);
    }

    known_batch(const known_batch&) = delete;
    known_batch& operator=(const known_batch&) = delete;

  private:
    core& core_;
    std::list<batch_coordinator_actor>::iterator place_;
  };

  /// Hands a batch's progress to the courier, and goes with the last of it.
  static batch_observer_actor::behavior_type observe(batch_observer_actor::pointer self, core* core,
                                                     const std::shared_ptr<running>& open,
                                                     const batch_coordinator_actor& batch,
                                                     const std::function<bool(const batch_progress&)>& on_progress) {
    return {
      [=](const batch_progress& progress) {
        core->errands_.call([open, batch, on_progress, progress] {
          auto wanted = true;
          try {
            wanted = on_progress(progress);
          } catch (...) { // the host's; there is nobody to tell
          }
          if (!wanted && !progress.finished)
            tell_from_outside(batch, cancel_atom_v);
        });
        if (progress.finished)
          self->quit();
      },
    };
  }

  /// What a batch item costs beside a live one, by the settings; the default where the provider is not known.
  double batch_price(std::string_view name) const {
    std::shared_lock lock{providers_mutex_};
    for (auto& provider : settings_.providers)
      if (name.empty() || provider.name == name)
        return provider.price.batch;
    return price_settings{}.batch;
  }

  /// A provider's handle as it was last looked up.
  struct named_provider {
    std::string name;
    expected<provider_actor> actor; ///< A failure: it has ended, and is not started again yet.
    std::shared_ptr<std::atomic<bool>> has_ended{};
  };

  /// Asks the registry for all handles. Needs the lock on `providers_mutex_`, but in the constructor.
  void look_up_providers() {
    auto before = std::exchange(providers_, {});
    auto watch_of = [&](const provider_actor& provider) { // of one that has ended, anew: the registry may not know yet
      for (auto& y : before)
        if (y.actor && *y.actor == provider && !*y.has_ended)
          return y.has_ended;
      auto fresh = std::make_shared<std::atomic<bool>>(false);
      provider->attach_functor([any = one_has_ended_, fresh](const caf::error&) { *fresh = *any = true; });
      return fresh;
    };
    caf::scoped_actor self{system_};
    for (auto& each : settings_.providers)
      self->request(registry_, caf::infinite, caf::get_atom_v, each.name)
        .receive(
          [&](provider_actor& found) {
            auto watch = watch_of(found);
            providers_.push_back({each.name, std::move(found), std::move(watch)});
          },
          [&](const caf::error& why) {
            providers_.push_back({each.name, failure_of(why)});
            *one_has_ended_ = true; // look again
          });
  }

  /// What there is; else throws why not.
  template <class T>
  static T had(std::variant<T, failure> made) {
    if (auto* problem = std::get_if<failure>(&made))
      throw std::invalid_argument(problem->suggestion.empty() ? problem->message : to_string(*problem));
    return std::get<T>(std::move(made));
  }

  static log_handle started(const settings& from, const host_options& options) {
    if (auto problem = errors_of(check(from)))
      return had<log_handle>(std::move(*problem));
    return had(start_log(from.log, options.log));
  }

  static caf::actor_system_config& configured(caf::actor_system_config& config, const settings& from) {
    apply(from, config);
    return config;
  }

  static failure shut_down() { return make_failure(errc::draining, "the runtime has been shut down"); }

  /// Ends what the runtime made, when no call uses it any more: first the registry, then, once all calls are back,
  /// clerk and courier.
  void stop_actors() {
    caf::anon_send_exit(registry_, caf::exit_reason::user_shutdown); // what is still asked ends as an error
    registry_ = nullptr;
    for (auto open = open_.load(); open != 0; open = open_.load())
      open_.wait(open);
    errands_.stop(system_);
  }

  /// Registers the message types before the member below needs them.
  struct types {
    types() { init_types(); }
  };

  settings settings_;
  log_handle log_; ///< Ends after all actors, so that it has all that they tell.
  types types_;    // before the configuration object
  caf::actor_system_config config_;
  std::atomic<bool> closing_{false};
  std::atomic<std::size_t> open_{0};
  caf::actor_system system_; // waits for its actors when it goes
  errands errands_;
  std::mutex batches_mutex_;
  std::list<batch_coordinator_actor> batches_; ///< Guarded by `batches_mutex_`.
  registry_actor registry_;
  mutable std::shared_mutex providers_mutex_;
  std::shared_ptr<std::atomic<bool>> one_has_ended_ = std::make_shared<std::atomic<bool>>(false); ///< Of `providers_`.
  std::vector<named_provider> providers_; ///< The registry's. Guarded by `providers_mutex_`, as is `settings_`.
};

runtime::runtime(settings settings, host_options options)
  : core_(std::make_unique<core>(std::move(settings), options)) {}

runtime::~runtime() = default;

expected<completion> runtime::chat(chat_request request, std::string_view provider) {
  return core_->ask_and_wait<completion>(provider, std::move(request));
}

expected<completion> runtime::chat(std::string prompt, std::string_view provider) {
  return chat(asking(std::move(prompt)), provider);
}

std::future<expected<completion>> runtime::chat_async(chat_request request, std::string_view provider) {
  auto promise = std::make_shared<std::promise<expected<completion>>>();
  auto result = promise->get_future();
  core_->ask_later(
    std::move(request), [promise](expected<completion> y) { promise->set_value(std::move(y)); }, provider);
  return result;
}

void runtime::chat(chat_request request, std::function<void(expected<completion>)> done, std::string_view provider) {
  core_->ask_and_call(std::move(request), std::move(done), provider);
}

text_stream runtime::stream(chat_request request, stream_options options, std::string_view provider) {
  return core_->start_stream(std::move(request), std::move(options), provider);
}

text_stream runtime::stream(std::string prompt, stream_options options, std::string_view provider) {
  return stream(asking(std::move(prompt)), std::move(options), provider);
}

expected<embedding> runtime::embed(embedding_request request, std::string_view provider) {
  return core_->ask_and_wait<embedding>(provider, std::move(request));
}

expected<batch_report> runtime::batch(const batch_options& options,
                                      std::function<bool(const batch_progress&)> on_progress,
                                      const std::vector<std::pair<std::string, double>>& providers) {
  return core_->run_batch(options, std::move(on_progress), providers);
}

expected<model_list> runtime::models(std::string_view provider) {
  return core_->ask_and_wait<model_list>(provider, models_atom_v);
}

expected<provider_status> runtime::status(std::string_view provider) {
  return core_->ask_and_wait<provider_status>(provider, status_atom_v);
}

expected<reload_report> runtime::reload(const settings& settings) {
  return core_->reload(settings);
}

void runtime::reopen_log() {
  core_->reopen_log();
}

node_status runtime::node() {
  return core_->node();
}

void runtime::cancel(request_id id, std::string_view provider) {
  core_->withdraw(id, provider);
}

void runtime::shutdown() {
  core_->shutdown();
}

std::vector<std::string> runtime::providers() const {
  return core_->names();
}

} // namespace modelforge
