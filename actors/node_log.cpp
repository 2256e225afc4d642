#include "actors/node_log.hpp"

#include <utility>

namespace modelforge {

namespace {

/// A certificate that ends so soon is a matter for people, once a day. `config check` warns of it, too.
constexpr auto min_validity = std::chrono::hours{24 * 14};
constexpr auto expiry_interval = std::chrono::hours{24};

} // namespace

void node_log::look_at(node_link& link) {
  auto& problem = link.machine.problem();
  if (problem == link.told)
    return;
  link.told = problem;
  if (!problem.empty())
    tell_log(log_, log::event::peer_unreachable, [&](log::entry x) {
      return std::move(x)
        .with(log::field::address, node::to_string(link.address))
        .with(log::field::peer, link.name)
        .with(log::field::reason, problem);
    });
}

void node_log::look_at(const node::credentials* tls, node::time_point now) {
  if (tls == nullptr)
    return;
  auto left = tls->valid_for();
  if (auto before = std::exchange(known_certificate_, tls->fingerprint());
      !before.empty() && before != known_certificate_)
    tell_log(log_, log::event::certificate_renewed,
             [&](log::entry x) { return std::move(x).with(log::field::valid_seconds, left.count()); });
  if (auto problem = tls->problem(); problem != told_problem_) {
    told_problem_ = std::move(problem);
    if (!told_problem_.empty())
      tell_log(log_, log::event::certificate_refused,
               [&](log::entry x) { return std::move(x).with(log::field::reason, told_problem_); });
  }
  if (left >= min_validity)
    told_expiry_.reset();
  else if (!told_expiry_ || now - *told_expiry_ >= expiry_interval) {
    told_expiry_ = now;
    tell_log(log_, log::event::certificate_expiring,
             [&](log::entry x) { return std::move(x).with(log::field::valid_seconds, left.count()); });
  }
}

} // namespace modelforge
