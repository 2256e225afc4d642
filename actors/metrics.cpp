#include <modelforge/actors/metrics.hpp>
#include <modelforge/config/settings.hpp>

#include "actors/support/mail.hpp"
#include "serve/http_server.hpp"
#include "telemetry/status_json.hpp"

#include <caf/actor_system.hpp>
#include <caf/disposable.hpp>
#include <caf/event_based_actor.hpp>
#include <caf/telemetry/collector/prometheus.hpp>

#include <charconv>
#include <functional>
#include <optional>
#include <unistd.h>

namespace modelforge {

namespace {

/// How long providers have for their answers; one that takes longer is left out.
constexpr auto patience = std::chrono::seconds{1};

/// Asks providers for their status, once, and hands on what they say: when all have answered, or after `patience`.
/// Lives inside a short-lived actor, one for each scrape, whose handlers keep it; so scrapes never wait for each other.
class inquiry : public std::enable_shared_from_this<inquiry> {
public:
  using receiver = std::function<void(std::vector<provider_status>)>;

  explicit inquiry(receiver receiver) : receiver_(std::move(receiver)) {}

  void start(caf::event_based_actor* self, const std::vector<provider_actor>& providers) {
    if (!begin(self, providers.size()))
      return;
    for (std::size_t i = 0; i < providers.size(); ++i)
      look_at(self, i, providers[i]);
  }

  /// Likewise of those that the registry has now.
  void start(caf::event_based_actor* self, const registry_actor& registry) {
    keep_time(self);
    ask(self, registry, names_atom_v)
      .then(
        [me = shared_from_this(), self, registry](const provider_names& known) {
          if (!me->begin(self, known.names.size()))
            return;
          for (std::size_t i = 0; i < known.names.size(); ++i)
            ask(self, registry, caf::get_atom_v, known.names[i])
              .then([me, self, i](const provider_actor& found) { me->look_at(self, i, found); },
                    [me, i](const caf::error&) { me->take(i, {}); });
        },
        [me = shared_from_this()](const caf::error&) { me->finish(); });
  }

private:
  /// False: there is nothing to wait for.
  bool begin(caf::event_based_actor* self, std::size_t count) {
    answers_.resize(count);
    left_ = count;
    if (count == 0) {
      finish();
      return false;
    }
    keep_time(self);
    return true;
  }

  /// Starts the clock once: a provider that hangs must not keep a scrape from its answer.
  void keep_time(caf::event_based_actor* self) {
    if (!timer_)
      timer_ = self->run_delayed(patience, [me = shared_from_this()] { me->finish(); });
  }

  void look_at(caf::event_based_actor* self, std::size_t i, const provider_actor& provider) {
    ask(self, provider, status_atom_v)
      .then([me = shared_from_this(), i](provider_status& x) { me->take(i, std::move(x)); },
            [me = shared_from_this(), i](const caf::error&) { me->take(i, {}); });
  }

  void take(std::size_t i, std::optional<provider_status> status) {
    answers_[i] = std::move(status);
    if (--left_ == 0)
      finish();
  }

  /// Hands on what has come so far, once; later answers are dropped.
  void finish() {
    timer_.dispose(); // it would keep the actor
    if (!receiver_)
      return;
    std::vector<provider_status> all;
    for (auto& answer : answers_)
      if (answer)
        all.push_back(std::move(*answer));
    std::exchange(receiver_, nullptr)(std::move(all));
  }

  receiver receiver_; ///< Null: told.
  std::vector<std::optional<provider_status>> answers_;
  std::size_t left_ = 0;
  caf::disposable timer_;
};

serve::response text(int status, std::string body) {
  return {.status = status, .body = std::move(body)};
}

/// All metrics of the actor system, those of other components included.
serve::response prometheus_text(caf::actor_system& system) {
  caf::telemetry::collector::prometheus collector;
  auto all = collector.collect_from(system.metrics());
  return {.content_type = "text/plain; version=0.0.4; charset=utf-8", .body{all.begin(), all.end()}};
}

serve::response status_text(std::vector<provider_status> providers) {
  return {.content_type = "application/json",
          .body = telemetry::to_json({static_cast<int64_t>(getpid()), std::move(providers)})};
}

/// Answers from the actor system's side; holds the providers, or the registry that knows them, weakly.
class desk {
public:
  desk(caf::actor_system& system, const std::vector<provider_actor>& providers) : system_(&system) {
    for (auto& provider : providers)
      providers_.push_back(caf::actor_cast<caf::weak_actor_ptr>(provider));
  }

  desk(caf::actor_system& system, const registry_actor& registry)
    : system_(&system), registry_(caf::actor_cast<caf::weak_actor_ptr>(registry)) {}

  void operator()(const serve::request& request, serve::responder answer) const {
    auto is_status = request.path == "/status";
    if (!is_status && request.path != "/metrics")
      return answer(text(404, "there are /metrics and /status\n"));
    if (request.method != "GET" && request.method != "HEAD") {
      auto no = text(405, "only GET and HEAD\n");
      no.headers.emplace_back("Allow", "GET, HEAD");
      return answer(std::move(no));
    }
    // For the metrics, too: a provider brings its gauges up to date when it tells its status.
    inquire([answer = std::move(answer), is_status, system = system_](std::vector<provider_status> all) {
      answer(is_status ? status_text(std::move(all)) : prometheus_text(*system));
    });
  }

private:
  void inquire(inquiry::receiver receiver) const {
    if (auto registry = caf::actor_cast<registry_actor>(caf::actor_cast<caf::strong_actor_ptr>(registry_))) {
      system_->spawn([registry, receiver = std::move(receiver)](caf::event_based_actor* self) {
        std::make_shared<inquiry>(receiver)->start(self, registry);
      });
      return;
    }
    std::vector<provider_actor> living;
    for (auto& provider : providers_)
      if (auto strong = caf::actor_cast<caf::strong_actor_ptr>(provider))
        living.push_back(caf::actor_cast<provider_actor>(strong));
    system_->spawn([living = std::move(living), receiver = std::move(receiver)](caf::event_based_actor* self) {
      std::make_shared<inquiry>(receiver)->start(self, living);
    });
  }

  caf::actor_system* system_;
  std::vector<caf::weak_actor_ptr> providers_;
  caf::weak_actor_ptr registry_; ///< Null: `providers_` are all.
};

/// "HOST:PORT" into its parts; an IPv6 address stands in brackets.
std::optional<serve::options> parse_listen(const std::string& listen) {
  auto colon = listen.rfind(':');
  if (colon == std::string::npos || colon == 0)
    return {};
  serve::options options;
  auto [end, error] = std::from_chars(listen.data() + colon + 1, listen.data() + listen.size(), options.port);
  if (error != std::errc{} || end != listen.data() + listen.size())
    return {};
  options.host = listen.substr(0, colon);
  if (options.host.size() > 2 && options.host.front() == '[' && options.host.back() == ']')
    options.host = options.host.substr(1, options.host.size() - 2);
  return options;
}

/// Hides the HTTP server from hosts.
class server final : public metrics_server {
public:
  explicit server(std::unique_ptr<serve::http_server> server) : http_(std::move(server)) {}

  uint16_t port() const override { return http_->port(); }
  std::string url() const override { return http_->url(); }

private:
  std::unique_ptr<serve::http_server> http_;
};

failure cannot_serve(const std::string& message, std::string suggestion) {
  return make_failure(errc::configuration, "metrics.listen: " + message, std::move(suggestion));
}

} // namespace

namespace {

/// Opens the port; the text of a failure names the setting.
std::variant<std::unique_ptr<metrics_server>, failure> start(const metrics_settings& settings, desk desk) {
  auto options = parse_listen(settings.listen);
  if (!options)
    return cannot_serve("\"" + settings.listen + "\" is not HOST:PORT", "for example 127.0.0.1:9464");
  auto started = serve::http_server::start(*options, std::move(desk));
  if (auto* problem = std::get_if<std::string>(&started))
    return cannot_serve(*problem, "another program uses the port; port 0 takes any free one");
  return std::make_unique<server>(std::get<0>(std::move(started)));
}

} // namespace

std::variant<std::unique_ptr<metrics_server>, failure> serve_metrics(caf::actor_system& system,
                                                                     const metrics_settings& settings,
                                                                     const std::vector<provider_actor>& providers) {
  return start(settings, desk{system, providers});
}

std::variant<std::unique_ptr<metrics_server>, failure>
serve_metrics(caf::actor_system& system, const metrics_settings& settings, const registry_actor& registry) {
  return start(settings, desk{system, registry});
}

} // namespace modelforge
