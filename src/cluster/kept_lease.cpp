#include "cluster/kept_lease.hpp"

namespace modelforge::cluster {

namespace {

constexpr std::chrono::seconds shortest_ttl{1};

bool can_be(std::chrono::seconds ttl) {
  return ttl >= shortest_ttl && ttl <= max_ttl;
}

} // namespace

kept_lease::kept_lease(std::chrono::seconds ttl, time_point now)
  : asked_ttl_(std::clamp(ttl, shortest_ttl, max_ttl)), pace_(duration{asked_ttl_} / 6, duration{asked_ttl_} / 6) {
  pace_.answered(now);
}

time_point kept_lease::wake_at() const {
  return id_ == 0 ? pace_.due() : std::max(pace_.due(), renewed_ + ttl_ / 3);
}

std::optional<question> kept_lease::wanted(time_point now) const {
  if (now < wake_at())
    return {};
  if (id_ == 0)
    return grant_lease{asked_ttl_};
  return renew_lease{id_};
}

// A second lease, because the first answer came late, is left to end by itself.
bool kept_lease::granted(const lease_granted& told, time_point sent, time_point now) {
  if (told.lease == 0 || !can_be(told.ttl))
    return false;
  pace_.answered(now);
  if (id_ != 0)
    return true;
  id_ = told.lease;
  ttl_ = std::min(told.ttl, asked_ttl_);
  renewed_ = sent;
  return true;
}

bool kept_lease::renewed(const lease_renewed& told, time_point sent, time_point now) {
  if (!can_be(told.ttl))
    return false;
  pace_.answered(now);
  ttl_ = std::min<duration>(ttl_, told.ttl);
  renewed_ = std::max(renewed_, sent);
  return true;
}

void kept_lease::lost(time_point now) {
  id_ = 0;
  pace_.answered(now);
}

} // namespace modelforge::cluster
