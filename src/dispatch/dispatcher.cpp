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

dispatcher::dispatcher(const dispatcher_settings& settings, uint64_t seed)
  : settings_(settings), lanes_(settings), succession_(lanes_.keys()), groups_(settings.groups.size()), random_(seed) {
  journal_.reset(lanes_.size());
}

// -- other settings -----------------------------------------------------------------

void dispatcher::reconfigure(const dispatcher_settings& settings) {
  settings_ = settings;
  lanes_.reconfigure(settings);
  for (auto& queue : groups_) {
    queue.look_again();
    queue.reprice([this](auto& item) { // shares are counted in parts of the limits
      auto& of = requests_.at(item.id).offer;
      return lane_of(of.group, 0).share(of.cost);
    });
  }
  for (auto& [id, r] : requests_) // those that are not queued now may come again
    r.item.cost = lane_of(r.offer.group, 0).share(r.offer.cost);
  journal_.expire(); // what the last journal allows was part of the old limits
}

void dispatcher::reconfigure(const dispatcher_settings& settings, const heritage& of, time_point now) {
  settings_ = settings;
  succession_.succeed(lanes_, settings, of, all_flights(), now);
  journal_.reset(lanes_.size());
  move_requests(of, now);
  reconfigure(settings);
}

lane_succession::flight_list dispatcher::all_flights() {
  lane_succession::flight_list result;
  for (auto& [id, flight] : flights_)
    result.push_back(&flight);
  return result;
}

/// Each request to the group of its model. Those that wait for what was forgotten come back at once.
void dispatcher::move_requests(const heritage& of, time_point now) {
  std::vector<live_request*> queued;
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
    r.offer.group = of.group_of(r.offer.model);
    auto waits_for_lane = r.held_by == wait_reason::server_wait || r.held_by == wait_reason::breaker;
    auto stays = false;
    for (uint32_t key = 0; key < keys(); ++key)
      stays = stays || &lane_of(r.offer.group, key) == r.lane;
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

std::optional<dispatcher::refusal> dispatcher::accept(offer asked, time_point now) {
  if (auto no = refuse(asked, now))
    return count(*no);
  auto id = asked.id;
  auto& request = requests_.try_emplace(id).first->second;
  request.offer = std::move(asked);
  request.item.id = id;
  request.item.arrival = ++last_.arrival;
  request.offer.cost = {limits::bounded(request.offer.cost.arriving), limits::bounded(request.offer.cost.produced)};
  request.item.cost = lane_of(request.offer.group, 0).share(request.offer.cost);
  request.item.takes = request.offer.cost.total();
  if (request.offer.deadline)
    deadlines_.push(*request.offer.deadline, id);
  groups_[request.offer.group].note_taken(request.item.takes, request.offer.model);
  enqueue(request, now);
  return {};
}

/// What can be said at once goes first, cheap before expensive: the prediction has to look at the queue.
std::optional<dispatcher::refusal> dispatcher::refuse(const offer& asked, time_point now) {
  if (draining_)
    return refusal{reason::draining};
  if (requests_.contains(asked.id))
    return refusal{reason::duplicate};
  if (asked.deadline && *asked.deadline <= now)
    return refusal{reason::deadline};
  if (asked.bytes > settings_.max_queued_bytes)
    return refusal{reason::too_large};
  if (auto no = over_limit(asked))
    return no;
  if (requests_.size() - totals_.in_flight >= settings_.max_queued)
    return refusal{reason::queue_full};
  if (totals_.queued_bytes + asked.bytes > settings_.max_queued_bytes)
    return refusal{reason::queue_bytes_full};
  if (!waits_when_open(asked))
    if (auto open = lanes_.open(asked.group, now); open.all)
      return refusal{reason::circuit_open, open.wait};
  return refuse_wait(asked, now);
}

std::optional<dispatcher::refusal> dispatcher::over_limit(const offer& asked) const {
  auto excess = lanes_.over_limit(asked.group, asked.least);
  if (!excess)
    return {};
  return refusal{reason::over_limit, {}, excess->over, excess->limit, excess->wanted};
}

/// Refuses what would still wait at its deadline, if everything ahead of it goes as planned.
std::optional<dispatcher::refusal> dispatcher::refuse_wait(const offer& asked, time_point now) {
  if (!asked.deadline)
    return {};
  auto& queue = groups_[asked.group];
  auto all = queue.ahead_of(asked.rank, nullptr, asked.model, keys()); // quick
  if (lanes_.goes_before(*asked.deadline, asked.group, {asked.cost, asked.rank, all.all, asked.model, all.of_model},
                         now))
    return {};
  auto ahead = queue.ahead_of(asked.rank, &asked, asked.model, keys());
  auto best = lanes_.predict(asked.group, {asked.cost, asked.rank, ahead.all, asked.model, ahead.of_model}, now);
  if (best < *asked.deadline)
    return {};
  return refusal{reason::predicted_wait, best - now};
}

void dispatcher::enqueue(live_request& request, time_point now) {
  request.at = place::queued;
  request.queued_at = now;
  groups_[request.offer.group].push(request.item, request.offer);
  totals_.queued_bytes += request.offer.bytes;
  ++totals_.queued[index(request.offer.rank)];
}

void dispatcher::dequeue(live_request& request, bool served) {
  groups_[request.offer.group].remove(request.item, request.offer, served);
  totals_.queued_bytes -= request.offer.bytes;
  --totals_.queued[index(request.offer.rank)];
}

// -- what to do ---------------------------------------------------------------------

std::optional<dispatcher::step> dispatcher::next(time_point now) {
  if (auto step = expire(now))
    return step;
  do {
    if (auto step = release(now))
      return step;
    if (auto step = pick(now))
      return step;
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
    return i != requests_.end() && i->second.offer.deadline == due;
  };
  deadlines_.tidy(requests_.size(), holds);
  return deadlines_.earliest(holds);
}

std::optional<dispatcher::step> dispatcher::expire(time_point now) {
  auto due = next_deadline();
  if (!due || *due > now)
    return {};
  auto& request = requests_.at(deadlines_.take());
  return drop(request, {reason::deadline}, now);
}

/// Ends a request that has no answer yet, wherever it stands.
dispatcher::step dispatcher::drop(live_request& request, refusal why, time_point now) {
  auto attempt = request.at == place::in_flight ? request.attempt : 0;
  give_up result{request.offer.id, count(why), attempt, held_by(request, now)};
  remove(request, now);
  return result;
}

/// Forgets a request, and gives back what it holds by where it stands: its place in the queue with a promised part of
/// the retry budget, its place in the mailbox, or its slot. An attempt in flight stays, without an owner, until it
/// ends: its charge is settled then.
void dispatcher::remove(live_request& request, time_point now) {
  switch (request.at) {
    case place::queued:
      dequeue(request, false);
      if (request.has_budget)
        mailbox_.dropped(request.on_empty);
      break;
    case place::waiting:
      totals_.queued_bytes -= request.offer.bytes;
      mailbox_.withdraw(request.offer.id);
      break;
    case place::in_flight: {
      auto& flight = flights_.at(request.attempt);
      flight.owner = nullptr;
      --totals_.in_flight;
      flight.lane->abandon(flight.attempt, now);
      look_again();
      break;
    }
  }
  requests_.erase(request.offer.id);
}

/// Queues the retries whose time has come.
std::optional<dispatcher::step> dispatcher::release(time_point now) {
  while (auto due = mailbox_.next(now)) {
    auto& request = requests_.at(due->id);
    totals_.queued_bytes -= request.offer.bytes; // counted again by the queue
    request.has_budget = due->has_budget;
    enqueue(request, now);
    if (!due->has_budget)
      return drop(request, {reason::empty_budget}, now);
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

/// Looks at the head of a group's queue until one goes, ends, or nothing can go before a known time. A head whose
/// budget has passed, that waits for an open breaker after an attempt, or that its model's limits hold for long is
/// parked, and the next one is looked at; any other one holds the queue (`hold`) until its lane is ready, unless a
/// request behind it may pass.
std::optional<dispatcher::step> dispatcher::pick(group_queue& queue, uint32_t group, time_point now) {
  while (queue.is_worth_a_look(now)) {
    auto* front = queue.front();
    if (front == nullptr)
      return {};
    auto& request = requests_.at(front->id);
    if (!may_go(request, now)) {
      if (request.on_empty == retry::when_empty::fail)
        return drop(request, {reason::empty_budget}, now);
      park(request, now, wait_reason::retry_budget);
      continue;
    }
    if (auto open = lanes_.open(group, now); open.all) {
      if (!waits_when_open(request.offer))
        return drop(request, {reason::circuit_open, open.wait}, now);
      if (request.attempts.made() > 0 && open.wait) {
        if (request.offer.rank == priority::batch)
          exempt(request);
        park(request, now + *open.wait + probe_order * request.spent(), wait_reason::breaker);
        continue;
      }
    }
    if (auto no = over_limit(request.offer)) // a limit that was set since
      return drop(request, *no, now);
    auto best = choose(group, request, now);
    if (best.when.at <= now)
      return start(request, best.lane, now);
    if (request.offer.deadline && best.told >= *request.offer.deadline && best.told != time_point::max())
      return drop(request, {reason::predicted_wait, best.told - now}, now);
    if (auto other = pass(queue, group, request, best, now))
      return other;
    if (best.when.only_model && best.when.at > now + min_set_aside && queue.has_other_models()) {
      set_aside(request, std::min(best.when.at, now + max_set_aside));
      continue;
    }
    queue.hold(best.when.at, best.when.why, best.when.only_model);
  }
  return {};
}

/// Looks for a request that may go before the head, because the head can go no later for it: on another lane, or on the
/// same one where the head is ready as soon with the other gone first. Looks at `max_pass` requests at most.
std::optional<dispatcher::step> dispatcher::pass(group_queue& queue, uint32_t group, live_request& head,
                                                 const choice& of_head, time_point now) {
  if (of_head.when.why != wait_reason::rate_limit
      || lanes_[of_head.lane].breaker().current(now) != limits::circuit_breaker::state::closed) // it is to be the probe
    return {};
  live_request* found = nullptr;
  uint32_t lane = 0;
  auto left = max_pass;
  queue.scan(pass_tenants, pass_each, [&](limits::fair_queue::item& item) {
    if (&item == &head.item)
      return true;
    if (left-- == 0)
      return false;
    auto& request = requests_.at(item.id);
    if (over_limit(request.offer) || !may_go(request, now))
      return true;
    auto best = choose(group, request, now);
    if (best.when.at > now)
      return true;
    auto& of = head.offer;
    if (best.lane == of_head.lane
        && lanes_[best.lane].ready(of.cost, of.rank, now, &request.offer.cost, of.model, request.offer.model).at
             > of_head.when.at)
      return true;
    found = &request;
    lane = best.lane;
    return false;
  });
  if (found == nullptr)
    return {};
  return start(*found, lane, now);
}

dispatcher::choice dispatcher::choose(uint32_t group, const live_request& request, time_point now) const {
  return lanes_.choose(group, request.offer.cost, request.offer.rank, request.offer.model, now);
}

/// Whether a retry that was released has its part of the budget still.
bool dispatcher::may_go(const live_request& request, time_point now) {
  return !request.has_budget || mailbox_.may_dispatch(request.on_empty, now);
}

/// Takes a request that its model's limits hold out of the queue for a time, so that those for other models can go. It
/// keeps its place by its arrival.
void dispatcher::set_aside(live_request& request, time_point until) {
  if (request.attempts.made() == 0)
    request.on_empty = retry::when_empty::exempt;
  park(request, until, wait_reason::rate_limit);
}

/// Dispatches a queued request on a lane that is ready: slot, charge, budget and counts change together. Where the
/// journal has to be saved first, nothing changes, and the same request is picked again after `save`.
std::optional<dispatcher::step> dispatcher::start(live_request& request, uint32_t lane, time_point now) {
  auto& on = lanes_[lane];
  if (!journal_.admits(lane, on, request.offer.cost, now))
    return save{};
  auto held = held_by(request, now);
  dequeue(request, true);
  if (request.attempts.made() == 0)
    mailbox_.first(now);
  else
    mailbox_.dispatched(request.on_empty, now);
  request.has_budget = false;
  request.at = place::in_flight;
  request.lane = &on;
  request.attempt = ++last_.attempt;
  request.attempts.begin(request.offer.spent, settings_.retry.max_attempts);
  ++counts_.attempts;
  ++totals_.in_flight;
  auto key = lanes_.key_of(lane);
  auto before = lane_table::look(on);
  flights_.emplace(
    request.attempt,
    flight{{&on, key, on.start(request.offer.cost, request.offer.rank, now, request.offer.model)}, &request});
  lanes_.compare(on, before, now);
  journal_.charge(lane, request.offer.cost);
  return dispatch{
    request.offer.id, request.attempt, request.offer.spent + request.attempts.made(), request.offer.group, key, held};
}

wait_reason dispatcher::held_by(const live_request& request, time_point now) const {
  if (request.at == place::in_flight)
    return wait_reason::nothing;
  auto is_queued = request.at == place::queued && now > request.queued_at;
  return is_queued ? groups_[request.offer.group].held_by() : request.held_by;
}

wait_reason dispatcher::held_by(request_id id, time_point now) const {
  auto i = requests_.find(id);
  return i != requests_.end() ? held_by(i->second, now) : wait_reason::nothing;
}

/// Has a request wait for a later try.
void dispatcher::park(live_request& request, time_point due, wait_reason why) {
  if (request.at == place::queued) {
    dequeue(request, false);
    if (request.has_budget)
      mailbox_.dropped(request.on_empty);
    request.has_budget = false;
  }
  totals_.queued_bytes += request.offer.bytes;
  request.at = place::waiting;
  request.held_by = why;
  mailbox_.park(request.offer.id, due, request.on_empty);
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
