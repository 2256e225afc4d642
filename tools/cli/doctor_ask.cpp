#include "tools/cli/doctor.hpp"
#include "tools/cli/host.hpp"

#include "actors/support/mail.hpp"
#include "base/url.hpp"
#include "config/address.hpp"
#include "http/client.hpp"
#include "wire/times.hpp"

#include <modelforge/actors/provider.hpp>

#include <caf/event_based_actor.hpp>

#include <chrono>
#include <functional>
#include <future>
#include <memory>
#include <mutex>
#include <utility>

/// How `modelforge doctor` asks providers for their models.

namespace modelforge::cli {

namespace {

/// A list of models may have several pages, of 30 s each at most.
constexpr auto patience_for_models = std::chrono::seconds{60};

/// Sends what it is given, and remembers what time the servers say it is.
class dated_client : public http::client {
public:
  http::transfer_id fetch(http::request request, std::function<void(http::response)> done) override {
    auto host = std::string{host_of(request.url)};
    return below_->fetch(std::move(request), [this, host, done = std::move(done)](http::response answer) {
      note(host, answer.head.get("date"));
      done(std::move(answer));
    });
  }

  http::transfer_id open(http::request request, std::shared_ptr<http::receiver> receiver) override {
    return below_->open(std::move(request), std::move(receiver));
  }

  void grant(http::transfer_id id, std::size_t bytes) override { below_->grant(id, bytes); }
  void cancel(http::transfer_id id) override { below_->cancel(id); }
  void cancel_after(http::transfer_id id, std::chrono::nanoseconds time) override { below_->cancel_after(id, time); }

  /// One for each host.
  std::vector<doctor::server_time> times() {
    std::lock_guard lock{mutex_};
    return times_;
  }

private:
  void note(const std::string& host, std::string_view date) {
    auto there = wire::read_http_date(date);
    std::lock_guard lock{mutex_};
    for (auto& known : times_)
      if (known.host == host)
        return;
    if (there)
      times_.push_back({host, *there, std::chrono::system_clock::now()});
  }

  std::mutex mutex_;
  std::vector<doctor::server_time> times_;
  std::shared_ptr<http::client> below_ = make_transport(); // ends first, so that it calls nobody who is gone
};

using models_or_failure = std::variant<model_list, failure>;

/// A question on its way.
struct question {
  doctor::answer_facts facts;
  provider_actor provider;
  std::future<models_or_failure> answer;
};

/// Models that the provider's list should have. Azure lists what could be deployed, and its models are deployments.
std::vector<std::string> models_named(const provider_settings& provider) {
  std::vector<std::string> result;
  for (auto* name : {&provider.default_model, &provider.default_embedding_model})
    if (!name->empty() && provider.kind != provider_kind::azure)
      result.push_back(*name);
  return result;
}

std::future<models_or_failure> ask_provider(caf::actor_system& system, const provider_actor& provider) {
  auto promise = std::make_shared<std::promise<models_or_failure>>();
  system.spawn([promise, provider](caf::event_based_actor* self) {
    ask(self, provider, models_atom_v)
      .then([promise](model_list& list) { promise->set_value(std::move(list)); },
            [promise](const caf::error& error) { promise->set_value(failure_of(error)); });
  });
  return promise->get_future();
}

/// The provider once for each of its keys, since a list of models is asked for with the first key.
std::vector<std::pair<std::string, provider_settings>> by_key(const provider_settings& provider) {
  std::vector<std::pair<std::string, provider_settings>> result;
  for (auto& key : provider.keys) {
    result.emplace_back(key.api_key_env.empty() ? key.api_key_file : key.api_key_env, provider);
    result.back().second.keys = {key};
  }
  if (provider.keys.empty())
    result.emplace_back("", provider);
  return result;
}

} // namespace

asked_providers ask_for_models(const std::vector<provider_settings>& providers, const runtime_settings& runtime) {
  auto own = runtime;
  own.state_folder = "none"; // nothing is counted that is to be kept
  auto client = std::make_shared<dated_client>();
  host host{own};
  std::vector<question> questions;
  for (auto& provider : providers)
    for (auto& [key, settings] : by_key(provider)) {
      auto spawned = spawn_provider(host.system(), settings, own, client);
      if (auto* started = std::get_if<provider_actor>(&spawned))
        questions.push_back({{provider.name, key, models_named(provider), model_list{}},
                             *started,
                             ask_provider(host.system(), *started)});
    }
  asked_providers result;
  auto end = std::chrono::steady_clock::now() + patience_for_models;
  for (auto& asked : questions) {
    if (asked.answer.wait_until(end) == std::future_status::ready)
      asked.facts.got = asked.answer.get();
    else
      asked.facts.got = make_failure(errc::attempt_timeout, "no list of models within 60 s");
    caf::anon_send_exit(asked.provider, caf::exit_reason::kill);
    result.answers.push_back(std::move(asked.facts));
  }
  result.times = client->times();
  return result;
}

} // namespace modelforge::cli
