#pragma once

#include "batch/job.hpp"
#include "http/client.hpp"
#include "provider/setup.hpp"

#include <modelforge/messages/interfaces.hpp>

#include <caf/fwd.hpp>

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace modelforge {

/// What the actor of a job is made of.
struct batch_job_parts {
  std::string provider; ///< The configured name.
  std::unique_ptr<wire::batch_api> api;
  batch_job_request asked;
  provider::request_defaults defaults;
  optimize::pipeline optimizers; ///< Change its items as they would live requests.
  std::string base_url;
  std::vector<http::header> headers; ///< Those of the provider's requests; secret.
  std::shared_ptr<const secret_mask> secrets;
  std::shared_ptr<http::client> transport;
  std::function<std::optional<double>(const token_usage&)> price; ///< What an item costs.
  std::chrono::nanoseconds connect_timeout{0};
  std::chrono::nanoseconds idle_timeout{0};
  /// An upload or the creation of a job with everything in it takes long; no other call does.
  std::chrono::nanoseconds call_timeout = std::chrono::minutes{10};
  batch::job_timing timing;
};

/// Gets what a job at a provider needs. A failure: it has no batch API (`unsupported`).
std::variant<batch_job_parts, failure> prepare_job(const provider::setup& setup,
                                                   std::shared_ptr<http::client> transport, batch_job_request& asked);

/// Spawns the actor of a job. Ends when the job has, or when `listener` or `provider` has.
batch_job_actor spawn_batch_job(caf::actor_system& system, batch_job_parts parts, batch_job_listener_actor listener,
                                const provider_actor& provider);

} // namespace modelforge
