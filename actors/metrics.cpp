#include <modelforge/actors/metrics.hpp>
#include <modelforge/config/settings.hpp>

#include "actors/exposed_metrics.hpp"
#include "actors/inquiry.hpp"
#include "serve/http_server.hpp"
#include "telemetry/process_figures.hpp"
#include "telemetry/program_metrics.hpp"
#include "telemetry/readiness.hpp"
#include "telemetry/status_json.hpp"

#include <caf/actor_system.hpp>
#include <caf/typed_event_based_actor.hpp>

#include <charconv>
#include <optional>
#include <string_view>
#include <utility>

namespace modelforge {

namespace {

serve::response text(int status, std::string body) {
  return {.status = status, .body = std::move(body)};
}

serve::response json_text(int status, std::string body) {
  return {.status = status, .content_type = "application/json", .body = std::move(body)};
}

/// The program's own, and all of the actor system, those of other components included.
serve::response prometheus_text(const caf::actor_system& system, const telemetry::program_status& program) {
  telemetry::exposition out;
  telemetry::write_metrics(out, program, telemetry::read_process());
  write_metrics(out, system.metrics());
  return {.content_type = "text/plain; version=0.0.4; charset=utf-8", .body = out.take()};
}

serve::response readiness(const telemetry::program_status& program) {
  auto reasons = telemetry::reasons_against(program);
  return json_text(reasons.empty() ? 200 : 503, telemetry::readiness_json(reasons));
}

/// Whom the server asks; it keeps none of them alive.
class desk {
public:
  desk(caf::actor_system& system, const std::vector<provider_actor>& providers) : system_(&system) {
    for (auto& provider : providers)
      providers_.push_back(caf::actor_cast<caf::weak_actor_ptr>(provider));
  }

  desk(caf::actor_system& system, const registry_actor& registry)
    : system_(&system), registry_(caf::actor_cast<caf::weak_actor_ptr>(registry)), has_registry_(true) {}

  void operator()(const serve::request& request, serve::responder answer) const {
    auto of = describe(request.path);
    if (of == page::none)
      return answer(text(404, "there are /healthz, /readyz, /metrics and /status\n"));
    if (request.method != "GET" && request.method != "HEAD") {
      auto no = text(405, "only GET and HEAD\n");
      no.headers.emplace_back("Allow", "GET, HEAD");
      return answer(std::move(no));
    }
    if (of == page::health) // that this is answered is all that is asked
      return answer(text(200, "ok\n"));
    // For the metrics, too: a provider brings its gauges up to date when it tells its status.
    ask([answer = std::move(answer), of, system = system_](const telemetry::program_status& program) {
      answer(of == page::status      ? json_text(200, telemetry::to_json(program))
             : of == page::readiness ? readiness(program)
                                     : prometheus_text(*system, program));
    });
  }

private:
  enum class page { none, health, readiness, metrics, status };

  static page describe(std::string_view path) {
    return path == "/healthz"   ? page::health
           : path == "/readyz"  ? page::readiness
           : path == "/metrics" ? page::metrics
           : path == "/status"  ? page::status
                                : page::none;
  }

  void ask(status_receiver receiver) const {
    if (has_registry_) // null where it has ended
      return inquire(*system_, caf::actor_cast<registry_actor>(caf::actor_cast<caf::strong_actor_ptr>(registry_)),
                     std::move(receiver));
    std::vector<provider_actor> living;
    for (auto& provider : providers_)
      if (auto strong = caf::actor_cast<caf::strong_actor_ptr>(provider))
        living.push_back(caf::actor_cast<provider_actor>(strong));
    inquire(*system_, living, std::move(receiver));
  }

  caf::actor_system* system_;
  std::vector<caf::weak_actor_ptr> providers_;
  caf::weak_actor_ptr registry_;
  bool has_registry_ = false; ///< Else `providers_` are all.
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
