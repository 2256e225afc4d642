#include "dispatch/dispatcher.hpp"

#include <algorithm>
#include <utility>

namespace modelforge {

namespace {

/// How many waiting requests may be looked at for one that does not disturb the head.
constexpr std::size_t pass_tenants = 8;
constexpr std::size_t pass_each = 4;
constexpr std::size_t max_pass = 16;

/// A request that its model's limits hold for longer lets those for other models go.
constexpr auto min_set_aside = std::chrono::seconds{1};
constexpr auto max_set_aside = std::chrono::seconds{10}; ///< Then it looks again: an answer may have told otherwise.

} // namespace

dispatcher::dispatcher(const dispatcher_settings& x, uint64_t seed)
  : settings_(x), lanes_(x), succession_(lanes_.keys()), groups_(x.groups.size()), random_(seed) {
  journal_.reset(lanes_.size());
}

// -- other settings -----------------------------------------------------------------

void dispatcher::reconfigure(const dispatcher_settings& x) {
  settings_ = x;
  lanes_.reconfigure(x);
  for (auto& queue : groups_) {
    queue.look_again();
    queue.reprice([this](auto& item) { // shares are counted in parts of the limits
      auto& of = requests_.at(item.id).of;
      return lane_of(of.group, 0).share(of.cost);
    });
  }
  for (auto& [id, r] : requests_) // those that are not queued now may come again
    r.item.cost = lane_of(r.of.group, 0).share(r.of.cost);
  journal_.expire(); // what the last journal allows was part of the old limits
}

void dispatcher::reconfigure(const dispatcher_settings& x, const heritage& of, time_point now) {
  settings_ = x;
  succession_.succeed(lanes_, x, of, all_flights(), now);
  journal_.reset(lanes_.size());
  move_requests(of, now);
  reconfigure(x);
}

lane_succession::flight_list dispatcher::all_flights() {
  lane_succession::flight_list result;
  for (auto& [id, flight] : flights_)
    result.push_back(&flight);
  return result;
}

/// Each request to the group of its model. Those that wait for what was forgotten come back at once.
void dispatcher::move_requests(const heritage& of, time_point now) {
  std::vector<request*> queued;
  for (auto& [id, r] : requests_)
    if (r.at == place::queued)
      queued.push_back(&r);
  std::sort(queued.begin(), queued.end(), [](auto* x, auto* y) { return x->item.arrival < y->item.arrival; });
  for (auto* r : queued)
    dequeue(*r, false);
  std::vector<group_queue> fresh(settings_.groups.size());
  for (std::size_t i = 0; i < fresh.size(); ++i)
    if (auto before = of.groups[i])
      fresh[i].inherit(groups_[*before]);
  groups_.swap(fresh);
  first_group_ = 0;
  for (auto& [id, r] : requests_) {
    r.of.group = of.group_of(r.of.model);
    auto waits_for_lane = r.held_by == wait_reason::server_wait || r.held_by == wait_reason::breaker;
    auto stays = false;
    for (uint32_t key = 0; key < keys(); ++key)
      stays = stays || &lane_of(r.of.group, key) == r.lane;
    if (r.at == place::waiting && waits_for_lane && !stays)
      mailbox_.park(id, now, r.on_empty);
  }
  for (auto* r : queued)
    enqueue(*r, r->queued_at);
}

/// Something has changed that may let a request go.
void dispatcher::look_again() {
  for (auto& queue : groups_)
    queue.look_again();
}

// -- taking requests ----------------------------------------------------------------

dispatcher::refusal dispatcher::count(refusal no) {
  ++counts_.refused[static_cast<std::size_t>(no.why)];
  ++counts_.failed;
  return no;
}

std::optional<dispatcher::refusal> dispatcher::accept(offer x, time_point now) {
  if (auto no = refuse(x, now))
    return count(*no);
  auto id = x.id;
  auto& r = requests_.try_emplace(id).first->second;
  r.of = std::move(x);
  r.item.id = id;
  r.item.arrival = ++last_.arrival;
  r.of.cost = {limits::bounded(r.of.cost.arriving), limits::bounded(r.of.cost.produced)};
  r.item.cost = lane_of(r.of.group, 0).share(r.of.cost);
  r.item.takes = r.of.cost.total();
  if (r.of.deadline)
    deadlines_.push(*r.of.deadline, id);
  groups_[r.of.group].note_taken(r.item.takes, r.of.model);
  enqueue(r, now);
  return {};
}

std::optional<dispatcher::refusal> dispatcher::refuse(const offer& x, time_point now) {
  if (draining_)
    return refusal{reason::draining};
  if (requests_.contains(x.id))
    return refusal{reason::duplicate};
  if (x.deadline && *x.deadline <= now)
    return refusal{reason::deadline};
  if (x.bytes > settings_.max_queued_bytes)
    return refusal{reason::too_large};
  if (auto no = over_limit(x))
    return no;
  if (requests_.size() - totals_.in_flight >= settings_.max_queued)
    return refusal{reason::queue_full};
  if (totals_.queued_bytes + x.bytes > settings_.max_queued_bytes)
    return refusal{reason::queue_bytes_full};
  if (!settings_.wait_when_open[index(x.rank)])
    if (auto open = lanes_.open(x.group, now); open.all)
      return refusal{reason::circuit_open, open.wait};
  return refuse_wait(x, now);
}

std::optional<dispatcher::refusal> dispatcher::over_limit(const offer& x) const {
  auto excess = lanes_.over_limit(x.group, x.least);
  if (!excess)
    return {};
  return refusal{reason::over_limit, {}, excess->over, excess->limit, excess->wanted};
}

/// Refuses what would still wait at its deadline, if everything ahead of it goes as planned.
std::optional<dispatcher::refusal> dispatcher::refuse_wait(const offer& x, time_point now) {
  if (!x.deadline)
    return {};
  auto& queue = groups_[x.group];
  auto all = queue.ahead_of(x.rank, nullptr, x.model, keys()); // quick
  if (lanes_.goes_before(*x.deadline, x.group, {x.cost, x.rank, all.all, x.model, all.of_model}, now))
    return {};
  auto ahead = queue.ahead_of(x.rank, &x, x.model, keys());
  auto best = lanes_.predict(x.group, {x.cost, x.rank, ahead.all, x.model, ahead.of_model}, now);
  if (best < *x.deadline)
    return {};
  return refusal{reason::predicted_wait, best - now};
}

void dispatcher::enqueue(request& x, time_point now) {
  x.at = place::queued;
  x.queued_at = now;
  groups_[x.of.group].push(x.item, x.of);
  totals_.queued_bytes += x.of.bytes;
  ++totals_.queued[index(x.of.rank)];
}

void dispatcher::dequeue(request& x, bool served) {
  groups_[x.of.group].remove(x.item, x.of, served);
  totals_.queued_bytes -= x.of.bytes;
  --totals_.queued[index(x.of.rank)];
}

// -- what to do ---------------------------------------------------------------------

std::optional<dispatcher::step> dispatcher::next(time_point now) {
  if (auto x = expire(now))
    return x;
  do {
    if (auto x = release(now))
      return x;
    if (auto x = pick(now))
      return x;
  } while (mailbox_.wake_at(now) <= now); // a retry that was parked again has left its part of the budget
  return {};
}

std::optional<dispatcher::time_point> dispatcher::wake_at(time_point now) {
  auto result = mailbox_.wake_at(now);
  if (auto due = next_deadline())
    result = std::min(result, *due);
  for (auto& queue : groups_)
    if (queue.size() > 0)
      result = std::min(result, queue.held_until());
  if (result == time_point::max())
    return {};
  return std::max(result, now);
}

std::optional<dispatcher::time_point> dispatcher::next_deadline() {
  auto holds = [this](request_id id, time_point due) {
    auto i = requests_.find(id);
    return i != requests_.end() && i->second.of.deadline == due;
  };
  deadlines_.tidy(requests_.size(), holds);
  return deadlines_.earliest(holds);
}

std::optional<dispatcher::step> dispatcher::expire(time_point now) {
  auto due = next_deadline();
  if (!due || *due > now)
    return {};
  auto& x = requests_.at(deadlines_.take());
  return drop(x, {reason::deadline}, now);
}

/// Ends a request that has no answer yet, wherever it stands.
dispatcher::step dispatcher::drop(request& x, refusal why, time_point now) {
  give_up result{x.of.id, count(why), x.at == place::in_flight ? x.attempt : 0};
  remove(x, now);
  return result;
}

void dispatcher::remove(request& x, time_point now) {
  switch (x.at) {
    case place::queued:
      dequeue(x, false);
      if (x.has_budget)
        mailbox_.dropped(x.on_empty);
      break;
    case place::waiting:
      totals_.queued_bytes -= x.of.bytes;
      mailbox_.withdraw(x.of.id);
      break;
    case place::in_flight: {
      auto& flight = flights_.at(x.attempt);
      flight.owner = nullptr;
      --totals_.in_flight;
      flight.lane->abandon(flight.attempt, now);
      look_again();
      break;
    }
  }
  requests_.erase(x.of.id);
}

/// Queues the retries whose time has come.
std::optional<dispatcher::step> dispatcher::release(time_point now) {
  while (auto due = mailbox_.next(now)) {
    auto& x = requests_.at(due->id);
    totals_.queued_bytes -= x.of.bytes; // counted again by the queue
    x.has_budget = due->has_budget;
    enqueue(x, now);
    if (!due->has_budget)
      return drop(x, {reason::empty_budget}, now);
  }
  return {};
}

/// Groups share their keys' slots: those in which interactive requests wait go first, then each in its turn.
std::optional<dispatcher::step> dispatcher::pick(time_point now) {
  auto count = static_cast<uint32_t>(groups_.size());
  for (auto interactive : {true, false})
    for (uint32_t i = 0; i < count; ++i) {
      auto group = (first_group_ + i) % count;
      auto& queue = groups_[group];
      if (queue.has_interactive() != interactive)
        continue;
      auto result = pick(queue, group, now);
      if (result && std::holds_alternative<dispatch>(*result))
        first_group_ = (group + 1) % count;
      if (result)
        return result;
    }
  return {};
}

std::optional<dispatcher::step> dispatcher::pick(group_queue& queue, uint32_t group, time_point now) {
  while (queue.is_worth_a_look(now)) {
    auto* front = queue.front();
    if (front == nullptr)
      return {};
    auto& x = requests_.at(front->id);
    if (!may_go(x, now)) {
      if (x.on_empty == retry::when_empty::fail)
        return drop(x, {reason::empty_budget}, now);
      park(x, now, wait_reason::retry_budget);
      continue;
    }
    if (auto open = lanes_.open(group, now); open.all) {
      if (!settings_.wait_when_open[index(x.of.rank)])
        return drop(x, {reason::circuit_open, open.wait}, now);
      if (x.attempts.made() > 0 && open.wait) {
        if (x.of.rank == priority::batch)
          exempt(x);
        park(x, now + *open.wait + probe_order * x.spent(), wait_reason::breaker);
        continue;
      }
    }
    if (auto no = over_limit(x.of)) // a limit that was set since
      return drop(x, *no, now);
    auto best = choose(group, x, now);
    if (best.when.at <= now)
      return start(x, best.lane, now);
    if (x.of.deadline && best.told >= *x.of.deadline && best.told != time_point::max())
      return drop(x, {reason::predicted_wait, best.told - now}, now);
    if (auto other = pass(queue, group, x, best, now))
      return other;
    if (best.when.only_model && best.when.at > now + min_set_aside && queue.has_other_models()) {
      set_aside(x, std::min(best.when.at, now + max_set_aside));
      continue;
    }
    queue.hold(best.when.at, best.when.why, best.when.only_model);
  }
  return {};
}

/// Looks for a request that may go before the head, because the head can go no later for it.
std::optional<dispatcher::step> dispatcher::pass(group_queue& queue, uint32_t group, request& head,
                                                 const choice& of_head, time_point now) {
  if (of_head.when.why != wait_reason::rate_limit
      || lanes_[of_head.lane].breaker().current(now) != limits::circuit_breaker::state::closed) // it is to be the probe
    return {};
  request* found = nullptr;
  uint32_t lane = 0;
  auto left = max_pass;
  queue.scan(pass_tenants, pass_each, [&](limits::fair_queue::item& item) {
    if (&item == &head.item)
      return true;
    if (left-- == 0)
      return false;
    auto& x = requests_.at(item.id);
    if (over_limit(x.of) || !may_go(x, now))
      return true;
    auto best = choose(group, x, now);
    if (best.when.at > now)
      return true;
    auto& of = head.of;
    if (best.lane == of_head.lane
        && lanes_[best.lane].ready(of.cost, of.rank, now, &x.of.cost, of.model, x.of.model).at > of_head.when.at)
      return true;
    found = &x;
    lane = best.lane;
    return false;
  });
  if (found == nullptr)
    return {};
  return start(*found, lane, now);
}

dispatcher::choice dispatcher::choose(uint32_t group, const request& x, time_point now) const {
  return lanes_.choose(group, x.of.cost, x.of.rank, x.of.model, now);
}

/// Whether a retry that was released has its part of the budget still.
bool dispatcher::may_go(const request& x, time_point now) {
  return !x.has_budget || mailbox_.may_dispatch(x.on_empty, now);
}

/// Takes a request that its model's limits hold out of the queue for a time, so that those for other models can go. It
/// keeps its place by its arrival.
void dispatcher::set_aside(request& x, time_point until) {
  if (x.attempts.made() == 0)
    x.on_empty = retry::when_empty::exempt;
  park(x, until, wait_reason::rate_limit);
}

std::optional<dispatcher::step> dispatcher::start(request& x, uint32_t lane, time_point now) {
  auto& on = lanes_[lane];
  if (!journal_.admits(lane, on, x.of.cost, now))
    return save{};
  auto held = now > x.queued_at ? groups_[x.of.group].held_by() : x.held_by;
  dequeue(x, true);
  if (x.attempts.made() == 0)
    mailbox_.first(now);
  else
    mailbox_.dispatched(x.on_empty, now);
  x.has_budget = false;
  x.at = place::in_flight;
  x.lane = &on;
  x.attempt = ++last_.attempt;
  x.attempts.begin(x.of.spent, settings_.retry.max_attempts);
  ++counts_.attempts;
  ++totals_.in_flight;
  auto key = lanes_.key_of(lane);
  flights_.emplace(x.attempt, flight{{&on, key, on.start(x.of.cost, x.of.rank, now, x.of.model)}, &x});
  journal_.charge(lane, x.of.cost);
  return dispatch{x.of.id, x.attempt, x.of.spent + x.attempts.made(), x.of.group, key, held};
}

/// Has a request wait for a later try.
void dispatcher::park(request& x, time_point due, wait_reason why) {
  if (x.at == place::queued) {
    dequeue(x, false);
    if (x.has_budget)
      mailbox_.dropped(x.on_empty);
    x.has_budget = false;
  }
  totals_.queued_bytes += x.of.bytes;
  x.at = place::waiting;
  x.held_by = why;
  mailbox_.park(x.of.id, due, x.on_empty);
}

// -- across a restart -------------------------------------------------------------------

std::vector<dispatcher::journal_lane> dispatcher::journal(time_point now, bool last) {
  auto result = journal_.write(lanes_, now, last);
  look_again();
  return result;
}

// -- status -----------------------------------------------------------------------------

dispatcher::queue_state dispatcher::state() {
  auto result = totals_;
  result.waiting = mailbox_.size();
  result.next_due = mailbox_.next_due();
  return result;
}

std::optional<dispatcher::time_point> dispatcher::next_try(time_point now) {
  std::optional<time_point> probe;
  for (uint32_t i = 0; i < groups_.size(); ++i)
    if (auto open = lanes_.open(i, now); open.all && open.wait && (!probe || now + *open.wait < *probe))
      probe = now + *open.wait;
  auto due = mailbox_.wake_at(now);
  if (probe) // whatever is due waits for it
    return due == time_point::max() ? probe : std::max(*probe, due);
  return due == time_point::max() ? std::nullopt : std::optional{std::max(due, now)};
}

dispatcher::duration dispatcher::predicted_wait(uint32_t group, priority rank, time_point now) {
  auto& queue = groups_[group];
  auto usual = queue.usual_cost();
  auto& model = queue.latest_model();
  auto ahead = queue.ahead_of(rank, nullptr, model, keys());
  return lanes_.predict(group, {usual, rank, ahead.all, model, ahead.of_model}, now) - now;
}

} // namespace modelforge
