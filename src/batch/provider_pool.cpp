#include "batch/provider_pool.hpp"

#include <algorithm>

namespace modelforge::batch {

namespace {

using namespace std::chrono_literals;

/// How often providers are asked how much they can use.
constexpr auto status_interval = 1s;

/// How long a provider gets nothing new that failed in a way that lasts, while there are others.
constexpr auto out_time = 30s;

/// The longest pause of a provider whose queue of jobs is full, unless it is set to a longer one.
constexpr std::chrono::nanoseconds max_busy_pause = 10min;

/// Of items in flight at a provider that wait to be repeated, so many do not count.
constexpr uint64_t max_waiting = 1'000;

} // namespace

bool is_provider_failure(errc code) {
  switch (code) {
    case errc::authentication:
    case errc::permission:
    case errc::quota_exhausted:
    case errc::rate_limited:
    case errc::overloaded:
    case errc::server_error:
    case errc::resolve_failed:
    case errc::connect_failed:
    case errc::tls_failed:
    case errc::circuit_open:
    case errc::node_lost:
      return true;
    default:
      return false;
  }
}

provider_pool::provider_pool(const std::vector<provider_terms>& terms, job_limits limits)
  : providers_(terms.size()), limits_(limits) {
  for (std::size_t i = 0; i < terms.size(); ++i)
    providers_[i].weight = terms[i].weight;
}

std::optional<std::size_t> provider_pool::find(const std::string& name) const {
  auto found = std::find_if(providers_.begin(), providers_.end(), [&](auto& x) { return x.name == name; });
  return found == providers_.end() ? std::nullopt : std::optional<std::size_t>(found - providers_.begin());
}

// -- how they are -------------------------------------------------------------------------

bool provider_pool::start_asking(time_point now) {
  if (awaited_ > 0 || (asked_at_ && now - *asked_at_ < status_interval))
    return false;
  asked_at_ = now;
  awaited_ = providers_.size();
  return true;
}

void provider_pool::on_status(std::size_t provider, const provider_status& status) {
  --awaited_;
  auto& to = providers_[provider];
  to.name = status.name;
  to.predicted_wait = status.predicted_wait;
  to.waiting = status.waiting;
  uint64_t slots = 0;
  for (auto& lane : status.lanes)
    slots += lane.out ? 0 : lane.slots;
  to.slots = std::max<uint64_t>(1, slots);
}

bool provider_pool::any_is_known() const {
  return std::any_of(providers_.begin(), providers_.end(), [](auto& x) { return !x.name.empty(); });
}

uint64_t provider_pool::slots() const {
  uint64_t sum = 0;
  for (auto& x : providers_)
    sum += x.slots;
  return sum;
}

uint64_t provider_pool::waiting() const {
  uint64_t sum = 0;
  for (auto& x : providers_)
    sum += std::min({x.waiting, x.in_flight, max_waiting});
  return sum;
}

// -- live items ---------------------------------------------------------------------------

std::vector<provider_load> provider_pool::loads() const {
  std::vector<provider_load> result;
  for (auto& x : providers_)
    result.push_back({x.weight, x.in_flight, x.slots, x.predicted_wait, false});
  return result;
}

std::optional<std::size_t> provider_pool::choose(const std::vector<bool>& tried, time_point now) {
  if (providers_.size() == 1)
    return tried[0] ? std::nullopt : std::optional<std::size_t>{0};
  auto all = loads();
  for (std::size_t i = 0; i < all.size(); ++i)
    all[i].out = tried[i] || providers_[i].out_until > now;
  if (auto chosen = spread_.pick(all))
    return chosen;
  for (std::size_t i = 0; i < all.size(); ++i) // all have failed lately: better one of these than none
    all[i].out = tried[i];
  return spread_.pick(all);
}

bool provider_pool::on_failure(std::size_t provider, errc code, time_point now) {
  if (code == errc::rate_limited || code == errc::server_error)
    return false;
  providers_[provider].out_until = now + out_time;
  return true;
}

// -- jobs ---------------------------------------------------------------------------------

std::optional<std::size_t> provider_pool::choose_for_job(time_point now) {
  auto all = loads();
  for (std::size_t i = 0; i < all.size(); ++i)
    all[i].out = !providers_[i].takes_jobs || providers_[i].no_job_before > now;
  if (auto chosen = spread_.pick(all))
    return chosen;
  for (std::size_t i = 0; i < all.size(); ++i) // the queues of all are full: it waits for one of them
    all[i].out = !providers_[i].takes_jobs;
  return spread_.pick(all);
}

bool provider_pool::any_takes_jobs() const {
  return std::any_of(providers_.begin(), providers_.end(), [](auto& x) { return x.takes_jobs; });
}

bool provider_pool::may_begin_job(std::size_t provider, time_point now) const {
  auto& state = providers_[provider];
  std::size_t all = 0;
  for (auto& one : providers_)
    all += one.jobs;
  auto is_small = state.max_job_items != SIZE_MAX; // then one job at a time
  return all < limits_.max_jobs && now >= state.no_job_before && (!is_small || state.jobs == 0);
}

bool provider_pool::may_begin_any(time_point now) const {
  return std::any_of(providers_.begin(), providers_.end(),
                     [&](auto& x) { return !x.takes_jobs || now >= x.no_job_before; });
}

std::optional<time_point> provider_pool::next_offer(time_point now) const {
  std::optional<time_point> next;
  for (auto& x : providers_)
    if (x.takes_jobs && x.no_job_before > now && (!next || x.no_job_before < *next))
      next = x.no_job_before;
  return next;
}

void provider_pool::on_job_done(std::size_t provider) {
  providers_[provider].busy_pause = {};
  providers_[provider].no_job_before = {};
}

bool provider_pool::on_job_busy(std::size_t provider, std::size_t items, time_point now) {
  auto& state = providers_[provider];
  if (state.jobs == 1 && items <= 1)
    return false;
  if (state.jobs == 1) // nothing else of ours fills its queue: this one is larger than the queue's room
    state.max_job_items = items / 2;
  state.busy_pause = std::clamp(2 * state.busy_pause, limits_.busy_pause, std::max(limits_.busy_pause, max_busy_pause));
  state.no_job_before = now + state.busy_pause;
  return true;
}

} // namespace modelforge::batch
