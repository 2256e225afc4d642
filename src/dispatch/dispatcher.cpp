#include "dispatch/dispatcher.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

namespace modelforge {

namespace {

using limits::amounts;
using limits::outcome;

/// How many waiting requests may be looked at for one that does not disturb the head.
constexpr std::size_t pass_tenants = 8;
constexpr std::size_t pass_each = 4;
constexpr std::size_t pass_most = 16;

/// So often a request may be refused again, though others are answered in between, before it is suspected to be refused
/// for its own sake; and so often in all before that is taken for certain.
constexpr uint32_t passed_if_suspected = 5;
constexpr uint32_t most_passed = 25;

/// And so long it may be refused in a row at all.
constexpr auto longest_refusal = std::chrono::hours{24};

/// While the breaker is open, those with more attempts spent come back so much later for each, behind the next probe.
constexpr auto probe_order = std::chrono::milliseconds{1};

/// A request that its model's limits hold for longer lets those for other models go.
constexpr auto least_set_aside = std::chrono::seconds{1};
constexpr auto most_set_aside = std::chrono::seconds{10}; ///< Then it looks again: an answer may have told otherwise.

void add(amounts& to, const amounts& x) {
  for (std::size_t i = 0; i < x.size(); ++i)
    to[i] += x[i];
}

/// Takes `x` off, as far as it is there.
void subtract(amounts& from, const amounts& x) {
  for (std::size_t i = 0; i < x.size(); ++i)
    from[i] -= std::min(from[i], x[i]);
}

bool within(const amounts& x, const amounts& most) {
  for (std::size_t i = 0; i < x.size(); ++i)
    if (x[i] > most[i])
      return false;
  return true;
}

} // namespace

dispatcher::dispatcher(const dispatcher_settings& x, uint64_t seed)
  : settings_(x), keys_(std::max(1u, x.keys)), groups_(x.groups.size()), random_(seed) {
  lane_list none;
  heritage nothing;
  nothing.groups.resize(groups_.size());
  for (uint32_t key = 0; key < keys_; ++key)
    nothing.keys.push_back(key);
  add_lanes(none, {}, nothing);
}

void dispatcher::reconfigure(const dispatcher_settings& x) {
  settings_ = x;
  for (std::size_t i = 0; i < lanes_.size(); ++i)
    lanes_[i]->reconfigure(lane_settings_of(static_cast<uint32_t>(i / keys_)));
  for (auto& g : groups_) {
    g.changed = true;
    for (auto& queue : g.queues) // shares are counted in parts of the limits
      queue.reprice([this](auto& item) {
        auto& is = requests_.at(item.id).is;
        return lane_of(is.group, 0).share(is.cost);
      });
  }
  for (auto& [id, r] : requests_) // those that are not queued now may come again
    r.item.cost = lane_of(r.is.group, 0).share(r.is.cost);
  journal_until_ = {}; // what the last journal allows was part of the old limits
}

void dispatcher::reconfigure(const dispatcher_settings& x, const heritage& of, time_point now) {
  settings_ = x;
  keys_ = std::max(1u, x.keys);
  auto credentials_before = std::exchange(credentials_, {});
  auto before = std::exchange(lanes_, {});
  std::vector<std::pair<limits::lane*, uint32_t>> from; // with its credential
  for (std::size_t i = 0; i < before.size(); ++i)
    from.emplace_back(before[i].get(), credentials_before[i % credentials_before.size()]);
  for (auto& lane : departed_)
    from.emplace_back(lane.is.get(), lane.credential);
  std::vector<limits::rate_limiter> unknown; // what nobody knows the models of, before any of it is copied
  for (auto& [lane, credential] : from)
    unknown.push_back(lane->unknown());
  add_lanes(before, credentials_before, of);
  for (std::size_t i = 0; i < from.size(); ++i)
    if (auto key = key_of(from[i].second)) {
      share_unknown(unknown[i], *from[i].first, *key, of);
      move_charges(*from[i].first, *key, of, now);
    }
  std::erase_if(departed_, [this](auto& lane) { return key_of(lane.credential).has_value(); });
  for (std::size_t i = 0; i < before.size(); ++i)
    if (auto credential = credentials_before[i % credentials_before.size()];
        before[i] != nullptr && !key_of(credential))
      let_depart(std::move(before[i]), credential);
  forget_departed(now);
  move_requests(of, now);
  reconfigure(x);
}

/// Makes the lanes of the settings; those that were there are taken from `before`.
void dispatcher::add_lanes(lane_list& before, const std::vector<uint32_t>& credentials_before, const heritage& of) {
  credentials_ = of.keys;
  std::vector<std::optional<std::size_t>> was; // by key: its number before
  std::vector<std::shared_ptr<limits::key_slots>> slots;
  for (auto credential : credentials_) {
    auto i = std::find(credentials_before.begin(), credentials_before.end(), credential);
    auto is_old = i != credentials_before.end();
    was.push_back(is_old ? std::optional{static_cast<std::size_t>(i - credentials_before.begin())} : std::nullopt);
    slots.push_back(is_old ? before[*was.back()]->key() : std::make_shared<limits::key_slots>());
    for (auto& lane : departed_)
      if (lane.credential == credential)
        slots.back() = lane.is->key();
  }
  for (uint32_t group = 0; group < of.groups.size(); ++group)
    for (uint32_t key = 0; key < keys_; ++key) {
      std::unique_ptr<limits::lane> lane;
      if (of.same_server && of.groups[group] && was[key])
        lane = std::move(before[*of.groups[group] * credentials_before.size() + *was[key]]);
      lanes_.push_back(lane != nullptr ? std::move(lane)
                                       : std::make_unique<limits::lane>(lane_settings_of(group), slots[key]));
    }
  journal_left_.assign(lanes_.size(), {});
}

std::optional<uint32_t> dispatcher::key_of(uint32_t credential) const {
  auto i = std::find(credentials_.begin(), credentials_.end(), credential);
  return i != credentials_.end() ? std::optional{static_cast<uint32_t>(i - credentials_.begin())} : std::nullopt;
}

/// What nobody knows the models of counts in each lane where it may belong: in the new ones, and, of a lane that is no
/// more, in all. Those that stay have their own.
void dispatcher::share_unknown(const limits::rate_limiter& what, const limits::lane& from, uint32_t key,
                               const heritage& of) {
  auto stays = is_current(&from);
  auto is_new = [&](uint32_t group) { return !of.same_server || !of.groups[group]; };
  for (uint32_t group = 0; group < groups(); ++group)
    if (auto& lane = lane_of(group, key); &lane != &from && (!stays || is_new(group)))
      lane.take_over_unknown(what);
  for (uint32_t group = 0; group < groups(); ++group)
    if (auto& lane = lane_of(group, key); of.same_server && is_new(group))
      lane.wait_as(from);
}

/// What a lane has charged goes with the models that took it to where they belong now, and so do attempts under way.
void dispatcher::move_charges(limits::lane& from, uint32_t key, const heritage& of, time_point now) {
  struct home {
    limits::lane* lane;
    std::string model;
  };
  std::unordered_map<const limits::model_limits*, home> homes;
  for (auto& [model, is] : from.models()) {
    if (model.empty()) // see `share_unknown`
      continue;
    auto& lane = lane_of(of.group_of(model), key);
    homes.emplace(is, home{&lane, model});
    if (&lane != &from)
      lane.take_over(model, from, of.same_server, now);
  }
  auto stays = is_current(&from);
  for (auto& [id, flight] : flights_) {
    if (flight.lane != &from)
      continue;
    flight.key = key;
    auto i = homes.find(flight.attempt.model.get());
    auto to = i != homes.end() ? i->second : home{stays ? &from : &lane_of(0, key), {}};
    if (to.lane != &from)
      to.lane->take_over(flight.attempt, from, to.model, now);
    flight.lane = to.lane;
  }
}

bool dispatcher::is_current(const limits::lane* x) const {
  return std::any_of(lanes_.begin(), lanes_.end(), [x](auto& lane) { return lane.get() == x; });
}

/// Keeps a lane whose credential is no more.
void dispatcher::let_depart(std::unique_ptr<limits::lane> x, uint32_t credential) {
  for (auto& [id, flight] : flights_)
    if (flight.lane == x.get())
      flight.key = no_key;
  departed_.push_back({std::move(x), credential});
}

void dispatcher::forget_departed(time_point now) {
  std::erase_if(departed_, [&](auto& lane) {
    return lane.is->limiter().live(now) == limits::amounts{}
           && std::none_of(flights_.begin(), flights_.end(),
                           [&](auto& flight) { return flight.second.lane == lane.is.get(); });
  });
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
  std::vector<group_state> fresh(settings_.groups.size());
  for (std::size_t i = 0; i < fresh.size(); ++i)
    if (auto was = of.groups[i]) {
      fresh[i].usual = groups_[*was].usual;
      fresh[i].usual_count = groups_[*was].usual_count;
      fresh[i].latest_model = groups_[*was].latest_model;
    }
  groups_.swap(fresh);
  first_group_ = 0;
  for (auto& [id, r] : requests_) {
    r.is.group = of.group_of(r.is.model);
    auto waits_for_lane = r.held_by == wait_reason::server_wait || r.held_by == wait_reason::breaker;
    auto stays = false;
    for (uint32_t key = 0; key < keys_; ++key)
      stays = stays || &lane_of(r.is.group, key) == r.lane;
    if (r.at == place::waiting && waits_for_lane && !stays)
      mailbox_.park(id, now, r.on_empty);
  }
  for (auto* r : queued)
    enqueue(*r, r->queued_at);
}

/// Something has changed that may let a request go.
void dispatcher::look_again() {
  for (auto& g : groups_)
    g.changed = true;
}

limits::lane_settings dispatcher::lane_settings_of(uint32_t group) const {
  auto result = settings_.groups[group];
  result.most_server_wait = {settings_.retry.max_server_wait, settings_.retry.max_batch_server_wait};
  return result;
}

// -- taking requests ----------------------------------------------------------------

dispatcher::refusal dispatcher::count(refusal x) {
  ++counts_.refused[static_cast<std::size_t>(x.why)];
  ++counts_.failed;
  return x;
}

std::optional<dispatcher::refusal> dispatcher::accept(offer x, time_point now) {
  if (auto no = refuse(x, now))
    return count(*no);
  auto id = x.id;
  auto& r = requests_.try_emplace(id).first->second;
  r.is = std::move(x);
  r.item.id = id;
  r.item.arrival = ++arrivals_;
  r.is.cost = {limits::bounded(r.is.cost.arriving), limits::bounded(r.is.cost.produced)};
  r.item.cost = lane_of(r.is.group, 0).share(r.is.cost);
  r.item.takes = r.is.cost.total();
  if (r.is.deadline)
    deadlines_.push(*r.is.deadline, id);
  auto& g = groups_[r.is.group];
  if (g.usual_count >= 64) { // remember the latest ones more
    for (auto& amount : g.usual)
      amount /= 2;
    g.usual_count /= 2;
  }
  add(g.usual, r.item.takes);
  ++g.usual_count;
  g.latest_model = r.is.model;
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
  if (requests_.size() - flights_with_request_ >= settings_.max_queued)
    return refusal{reason::queue_full};
  if (queued_bytes_ + x.bytes > settings_.max_queued_bytes)
    return refusal{reason::queue_bytes_full};
  if (!settings_.wait_when_open[index(x.rank)])
    if (auto open = open_lanes(x.group, now); open.all)
      return refusal{reason::circuit_open, open.wait};
  return refuse_wait(x, now);
}

std::optional<dispatcher::refusal> dispatcher::over_limit(const offer& x) {
  refusal result{reason::over_limit};
  for (uint32_t key = 0; key < keys_; ++key) {
    auto& lane = lane_of(x.group, key);
    auto over = lane.limiter().never_fits(x.least);
    if (!over)
      return {};
    result.over = over;
    result.limit = *lane.limit(*over);
    result.wanted = limits::at(x.least, *over);
  }
  return result;
}

/// Refuses what would still wait at its deadline, if everything ahead of it goes as planned.
std::optional<dispatcher::refusal> dispatcher::refuse_wait(const offer& x, time_point now) {
  if (!x.deadline)
    return {};
  auto& g = groups_[x.group];
  auto all = ahead_of(g, x.rank, nullptr, x.model); // quick
  for (uint32_t key = 0; key < keys_; ++key)
    if (lane_of(x.group, key).latest({x.cost, x.rank, all.first, x.model, all.second}, now) < *x.deadline)
      return {};
  auto best = time_point::max();
  auto ahead = ahead_of(g, x.rank, &x, x.model);
  for (uint32_t key = 0; key < keys_; ++key)
    best = std::min(best, lane_of(x.group, key).predict({x.cost, x.rank, ahead.first, x.model, ahead.second}, now));
  if (best < *x.deadline)
    return {};
  return refusal{reason::predicted_wait, best - now};
}

/// Of nobody: all that is queued, of that rank and before it.
std::pair<amounts, amounts> dispatcher::ahead_of(const group_state& g, priority rank, const offer* whose,
                                                 const std::string& model) const {
  auto in_queue = [&](priority of) {
    auto& queue = g.queues[index(of)];
    return whose != nullptr && of == rank ? queue.ahead_of(whose->tenant, whose->node) : queue.all();
  };
  auto all = in_queue(priority::interactive);
  if (rank == priority::batch)
    add(all, in_queue(priority::batch));
  amounts of_model{};
  if (auto i = g.models.find(model); i != g.models.end()) {
    of_model = i->second[index(priority::interactive)];
    if (rank == priority::batch)
      add(of_model, i->second[index(priority::batch)]);
  }
  for (std::size_t i = 0; i < all.size(); ++i) {
    of_model[i] = std::min(of_model[i], all[i]) / keys_;
    all[i] /= keys_;
  }
  return {all, of_model};
}

/// Whether every lane that could take a request has its breaker open, or is trying already.
dispatcher::open_state dispatcher::open_lanes(uint32_t group, time_point now) {
  open_state result;
  for (uint32_t key = 0; key < keys_; ++key) {
    auto& lane = lane_of(group, key);
    if (lane.is_out(now))
      continue;
    result.all = true;
    auto at = lane.breaker().ready_at(now);
    if (at <= now)
      return {};
    if (at != time_point::max() && (!result.wait || at - now < *result.wait))
      result.wait = at - now;
  }
  return result;
}

void dispatcher::enqueue(request& x, time_point now) {
  auto& g = groups_[x.is.group];
  auto& queue = g.queues[index(x.is.rank)];
  x.at = place::queued;
  x.queued_at = now;
  queue.push(x.item, x.is.tenant, x.is.node);
  add(g.models[x.is.model][index(x.is.rank)], x.item.takes);
  queued_bytes_ += x.is.bytes;
  ++queued_[index(x.is.rank)];
  if (queue.front() == &x.item || queue.size() <= pass_most || g.held_by_model)
    g.changed = true;
}

void dispatcher::dequeue(request& x, bool served) {
  auto& g = groups_[x.is.group];
  auto& queue = g.queues[index(x.is.rank)];
  if (served)
    queue.pop(x.item);
  else
    queue.erase(x.item);
  if (auto of = g.models.find(x.is.model); of != g.models.end()) {
    subtract(of->second[index(x.is.rank)], x.item.takes);
    if (of->second == std::array<amounts, 2>{})
      g.models.erase(of);
  }
  queued_bytes_ -= x.is.bytes;
  --queued_[index(x.is.rank)];
  g.changed = true;
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
  for (auto& g : groups_)
    if (g.queues[0].size() + g.queues[1].size() > 0)
      result = std::min(result, g.blocked_until);
  if (result == time_point::max())
    return {};
  return std::max(result, now);
}

std::optional<dispatcher::time_point> dispatcher::next_deadline() {
  auto holds = [this](request_id id, time_point due) {
    auto i = requests_.find(id);
    return i != requests_.end() && i->second.is.deadline == due;
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
  give_up result{x.is.id, count(why), x.at == place::in_flight ? x.attempt : 0};
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
      queued_bytes_ -= x.is.bytes;
      mailbox_.withdraw(x.is.id);
      break;
    case place::in_flight: {
      auto& flight = flights_.at(x.attempt);
      flight.of = nullptr;
      --flights_with_request_;
      flight.lane->abandon(flight.attempt, now);
      look_again();
      break;
    }
  }
  requests_.erase(x.is.id);
}

/// Queues the retries whose time has come.
std::optional<dispatcher::step> dispatcher::release(time_point now) {
  while (auto due = mailbox_.next(now)) {
    auto& x = requests_.at(due->id);
    queued_bytes_ -= x.is.bytes; // counted again by the queue
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
      auto number = (first_group_ + i) % count;
      auto& g = groups_[number];
      if ((g.queues[index(priority::interactive)].size() > 0) != interactive)
        continue;
      auto result = pick(g, number, now);
      if (result && std::holds_alternative<dispatch>(*result))
        first_group_ = (number + 1) % count;
      if (result)
        return result;
    }
  return {};
}

std::optional<dispatcher::step> dispatcher::pick(group_state& g, uint32_t number, time_point now) {
  while (g.changed || g.blocked_until <= now) {
    auto& queue = g.queues[g.queues[index(priority::interactive)].size() > 0 ? index(priority::interactive)
                                                                             : index(priority::batch)];
    if (queue.size() == 0)
      return {};
    auto& x = requests_.at(queue.front()->id);
    if (x.has_budget && !mailbox_.may_dispatch(x.on_empty, now)) {
      if (x.on_empty == retry::when_empty::fail)
        return drop(x, {reason::empty_budget}, now);
      park(x, now, wait_reason::retry_budget);
      continue;
    }
    if (auto open = open_lanes(number, now); open.all) {
      if (!settings_.wait_when_open[index(x.is.rank)])
        return drop(x, {reason::circuit_open, open.wait}, now);
      if (x.attempts > 0 && open.wait) {
        if (x.is.rank == priority::batch)
          exempt(x);
        park(x, now + *open.wait + probe_order * (x.is.spent + x.spent), wait_reason::breaker);
        continue;
      }
    }
    if (auto no = over_limit(x.is)) // a limit that was set since
      return drop(x, *no, now);
    auto best = choose(number, x, now);
    if (best.when.at <= now)
      return start(x, best.lane, now);
    if (x.is.deadline && best.told >= *x.is.deadline && best.told != time_point::max())
      return drop(x, {reason::predicted_wait, best.told - now}, now);
    if (auto other = pass(g, number, x, best, now))
      return other;
    if (best.when.only_model && best.when.at > now + least_set_aside && g.models.size() > 1) {
      set_aside(x, std::min(best.when.at, now + most_set_aside));
      continue;
    }
    g.blocked_until = best.when.at;
    g.held_by = best.when.why;
    g.held_by_model = best.when.only_model;
    g.changed = false;
  }
  return {};
}

/// Looks for a request that may go before the head, because the head can go no later for it.
std::optional<dispatcher::step> dispatcher::pass(group_state& g, uint32_t number, request& head, const choice& of_head,
                                                 time_point now) {
  if (of_head.when.why != wait_reason::rate_limit
      || lanes_[of_head.lane]->breaker().current(now)
           != limits::circuit_breaker::state::closed) // it is to be the probe
    return {};
  request* found = nullptr;
  uint32_t lane = 0;
  auto left = pass_most;
  for (auto& queue : g.queues)
    queue.scan(pass_tenants, pass_each, [&](limits::fair_queue::item& item) {
      if (&item == &head.item)
        return true;
      if (left-- == 0)
        return false;
      auto& x = requests_.at(item.id);
      if (over_limit(x.is) || (x.has_budget && !mailbox_.may_dispatch(x.on_empty, now)))
        return true;
      auto best = choose(number, x, now);
      if (best.when.at > now)
        return true;
      if (best.lane == of_head.lane && ready(best.lane, head, now, &x).at > of_head.when.at)
        return true;
      found = &x;
      lane = best.lane;
      return false;
    });
  if (found == nullptr)
    return {};
  return start(*found, lane, now);
}

/// The lane that is ready first; among those that are ready now, the one with the fewest in flight.
dispatcher::choice dispatcher::choose(uint32_t group, const request& x, time_point now) {
  auto first = group * keys_;
  auto all_out = true;
  for (uint32_t i = first; i < first + keys_; ++i)
    all_out = all_out && lanes_[i]->is_out(now);
  choice best{first, {time_point::max(), wait_reason::slot}};
  for (uint32_t i = first; i < first + keys_; ++i) {
    auto& lane = *lanes_[i];
    if (lane.is_out(now) && !all_out)
      continue;
    auto when = ready(i, x, now);
    best.told = std::min(best.told, when.told);
    auto better = when.at <= now && best.when.at <= now ? lane.in_flight() < lanes_[best.lane]->in_flight()
                                                        : when.at < best.when.at;
    if (better) {
      best.lane = i;
      best.when = when;
    }
  }
  return best;
}

limits::lane::readiness dispatcher::ready(uint32_t lane, const request& x, time_point now, const request* before) {
  if (before == nullptr)
    return lanes_[lane]->ready(x.is.cost, x.is.rank, now, nullptr, x.is.model);
  return lanes_[lane]->ready(x.is.cost, x.is.rank, now, &before->is.cost, x.is.model, before->is.model);
}

/// Takes a request that its model's limits hold out of the queue for a time, so that those for other models can go. It
/// keeps its place by its arrival.
void dispatcher::set_aside(request& x, time_point until) {
  if (x.attempts == 0)
    x.on_empty = retry::when_empty::exempt;
  park(x, until, wait_reason::rate_limit);
}

std::optional<dispatcher::step> dispatcher::start(request& x, uint32_t lane, time_point now) {
  if (journalled_ && !allowed_by_journal(lane, x.is.cost, now)) {
    journal_wants_ = x.is.cost.total();
    return save{};
  }
  auto& g = groups_[x.is.group];
  auto held = now > x.queued_at ? g.held_by : x.held_by;
  dequeue(x, true);
  if (x.attempts == 0)
    mailbox_.first(now);
  else
    mailbox_.dispatched(x.on_empty, now);
  x.has_budget = false;
  x.at = place::in_flight;
  auto& on = *lanes_[lane];
  x.lane = &on;
  x.attempt = ++attempts_;
  ++x.attempts;
  x.is_last = x.is.spent + x.spent + 1 >= settings_.retry.max_attempts;
  ++counts_.attempts;
  ++flights_with_request_;
  flights_.emplace(x.attempt, flight{&x, &on, lane % keys_, on.start(x.is.cost, x.is.rank, now, x.is.model)});
  subtract(journal_left_[lane], x.is.cost.total());
  return dispatch{x.is.id, x.attempt, x.is.spent + x.attempts, x.is.group, lane % keys_, held};
}

/// Has a request wait for a later try.
void dispatcher::park(request& x, time_point due, wait_reason why) {
  if (x.at == place::queued) {
    dequeue(x, false);
    if (x.has_budget)
      mailbox_.dropped(x.on_empty);
    x.has_budget = false;
  }
  queued_bytes_ += x.is.bytes;
  x.at = place::waiting;
  x.held_by = why;
  mailbox_.park(x.is.id, due, x.on_empty);
}

// -- what became of it ------------------------------------------------------------------

void dispatcher::written(attempt_id x, time_point when) {
  if (auto i = flights_.find(x); i != flights_.end())
    i->second.lane->written(i->second.attempt, when);
}

request_id dispatcher::request_of(attempt_id x) const {
  auto i = flights_.find(x);
  return i != flights_.end() && i->second.of != nullptr ? i->second.of->is.id : request_id{};
}

void dispatcher::begun(attempt_id x, time_point now) {
  auto i = flights_.find(x);
  if (i == flights_.end())
    return;
  auto& lane = *i->second.lane;
  auto pause = lane.paused_until();
  lane.begun(i->second.attempt, now);
  resume(lane, pause, now);
  look_again(); // the breaker may have closed, or a slot be free
}

/// Where a pause ends earlier than was told, those who wait for its end come back then.
void dispatcher::resume(const limits::lane& lane, time_point pause, time_point now) {
  auto due = std::max(lane.paused_until(), now);
  if (pause <= due)
    return;
  for (auto& [id, x] : requests_)
    if (x.at == place::waiting && x.lane == &lane && x.held_by == wait_reason::server_wait)
      mailbox_.park(id, due, x.on_empty);
}

dispatcher::settlement dispatcher::end(attempt_id id, const attempt_end& how, time_point now) {
  auto i = flights_.find(id);
  if (i == flights_.end())
    return {};
  auto flight = std::move(i->second);
  flights_.erase(i);
  auto result = settle(flight, how, now);
  if (flight.key == no_key)
    forget_departed(now);
  return result;
}

dispatcher::settlement dispatcher::settle(flight& flight, const attempt_end& how, time_point now) {
  auto reaction = settle_lane(flight, how, now);
  if (flight.of == nullptr) {
    counts_.late += !how.failed;
    return {};
  }
  --flights_with_request_;
  auto& x = *flight.of;
  settlement result{settlement::what::answer, x.is.id, {}, {}};
  if (!how.failed) {
    ++counts_.answered;
    requests_.erase(x.is.id);
    return result;
  }
  auto other_key = false;
  for (uint32_t key = 0; key < keys_; ++key)
    other_key = other_key || (key != flight.key && !lane_of(x.is.group, key).is_out(now));
  auto free = costs_nothing(x, flight, *how.failed, reaction, now);
  x.spent += !free;
  if (!free && x.is_last) // whatever is allowed since
    x.spent = std::max(x.spent, settings_.retry.max_attempts);
  x.free = free ? x.free + 1 : 0;
  auto decision = retry::decide(settings_.retry, *how.failed,
                                {x.is.spent + x.spent, x.free, x.is.rank, x.is.deadline, other_key}, now, random_);
  auto open = decision.again && how.repeatable ? open_lanes(x.is.group, now) : open_state{};
  result.circuit_open = open.all && !settings_.wait_when_open[index(x.is.rank)];
  if (!decision.again || !how.repeatable || result.circuit_open) {
    ++counts_.failed;
    result.code = decision.again ? how.failed->code : decision.code;
    result.wait = decision.again ? std::nullopt : decision.wait;
    requests_.erase(x.is.id);
    return result;
  }
  ++counts_.retries[static_cast<std::size_t>(retry::meaning_of(*how.failed))];
  auto is_due = reaction.as_told ? decision.why == wait_reason::server_wait : x.free == 1 && how.failed->refused;
  auto waits_for_breaker = open.all && x.is.rank == priority::batch;
  if (waits_for_breaker && open.wait && decision.why == wait_reason::backoff)
    decision.due = now + *open.wait + probe_order * (x.is.spent + x.spent);
  x.on_empty = is_due || waits_for_breaker                        ? retry::when_empty::exempt
               : settings_.wait_on_empty_budget[index(x.is.rank)] ? retry::when_empty::wait
                                                                  : retry::when_empty::fail;
  if (free && reaction.waits) // others go first, else one that is refused for its own sake would keep all back
    decision.due = std::max(decision.due, flight.lane->paused_until() + std::chrono::milliseconds{1});
  park(x, decision.due, decision.why);
  result.then = settlement::what::again;
  return result;
}

/// What has waited for the breaker begins with few then, which is brake enough: held back for the budget as well, it
/// would come late enough for the next outage.
void dispatcher::exempt(request& x) {
  if (std::exchange(x.has_budget, false))
    mailbox_.dropped(x.on_empty);
  x.on_empty = retry::when_empty::exempt;
}

/// Whether a failed attempt is none of those that the request may make: because it cannot have run, and is no failure
/// of the request's.
bool dispatcher::costs_nothing(request& x, const flight& of, const retry::failed_attempt& why, const lane_reaction& by,
                               time_point now) {
  auto is = retry::meaning_of(why);
  auto waits = x.is.rank == priority::batch && (by.waits || by.is_busy);
  auto is_unsent = is == retry::meaning::unsent;
  auto cannot_have_run = is_unsent || is == retry::meaning::overload; // other 5xx may have
  auto waits_for_it = is_unsent && x.is.rank == priority::batch && settings_.wait_when_open[index(x.is.rank)]
                      && settings_.groups[x.is.group].breaker.enabled;
  if (is != retry::meaning::refused && !(by.was_probe && cannot_have_run) && !waits && !waits_for_it)
    return false;
  auto answers = of.lane->parallel().answers();
  x.passed += waits && x.attempts > 1 && (answers != x.answers || x.passed >= passed_if_suspected);
  x.answers = answers;
  if (x.free == 0)
    x.free_since = now;
  return x.passed <= most_passed && now - x.free_since < longest_refusal;
}

/// Gives the lane back what the attempt held, and has it wait if it was refused.
dispatcher::lane_reaction dispatcher::settle_lane(flight& x, const attempt_end& how, time_point now) {
  lane_reaction result;
  auto& lane = *x.lane;
  auto before = lane.paused_until();
  limits::lane::ending ending;
  ending.written = how.written;
  ending.real = how.real;
  ending.told = how.told;
  ending.output_tokens = how.output_tokens;
  if (!how.failed) {
    ending.result = outcome::success;
  } else {
    auto failure = *how.failed;
    failure.should_retry.reset(); // is a word on this request, not on the lane
    auto is = retry::meaning_of(failure);
    auto limited = is == retry::meaning::rate || is == retry::meaning::ramp;
    auto told = how.failed->server_wait && settings_.retry.respect_retry_after;
    result.waits = limited || (is == retry::meaning::overload && told);
    result.as_told = result.waits && told;
    ending.result = retry::counts_against_provider(is) && !result.waits ? outcome::failure : outcome::neutral;
    result.was_probe = ending.result == outcome::failure && lane.is_probe(x.attempt);
    result.is_busy = is == retry::meaning::overload && lane.answered_at() > x.attempt.started;
    ending.overloaded = is == retry::meaning::overload || (limited && !how.failed->server_wait)
                        || how.failed->code == errc::attempt_timeout;
    if (result.waits) {
      auto in_a_row = lane.parallel().in_a_row();
      auto is_new = lane.refused(x.attempt, now);
      auto own = is_new ? retry::lane_pause(settings_.retry, in_a_row) : duration{0};
      lane.pause_for_refusal(x.attempt, told ? *how.failed->server_wait : own, now);
    } else if (is == retry::meaning::overload) {
      lane.strained(x.attempt, now);
    }
    if (is == retry::meaning::key && keys_ > 1 && x.key != no_key)
      for (uint32_t g = 0; g < groups(); ++g)
        lane_of(g, x.key).take_out(now + settings_.key_pause);
  }
  lane.end(x.attempt, ending, now);
  resume(lane, before, now);
  look_again();
  return result;
}

std::optional<dispatcher::attempt_id> dispatcher::withdraw(request_id id, time_point now) {
  auto i = requests_.find(id);
  if (i == requests_.end())
    return {};
  auto attempt = i->second.at == place::in_flight ? i->second.attempt : 0;
  ++counts_.failed;
  remove(i->second, now);
  return attempt;
}

// -- across a restart -------------------------------------------------------------------

bool dispatcher::allowed_by_journal(uint32_t lane, const limits::charge& x, time_point now) const {
  auto& l = *lanes_[lane];
  auto wanted = x.total();
  auto any = false;
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    wanted[i] = std::min(wanted[i], l.limit(static_cast<limits::dimension>(i)).value_or(0)); // more goes alone
    any = any || wanted[i] > 0;
  }
  return !any || (now < journal_until_ && within(wanted, journal_left_[lane]));
}

std::vector<dispatcher::journal_lane> dispatcher::journal(time_point now, bool last) {
  std::vector<journal_lane> result;
  for (uint32_t i = 0; i < lanes_.size(); ++i) {
    auto& lane = *lanes_[i];
    auto share = std::min(1.0, 2.0 * static_cast<double>(journal_time.count())
                                 / static_cast<double>(lane.limiter().window().count()));
    auto limited = false;
    amounts allowance{};
    for (std::size_t d = 0; d < allowance.size(); ++d)
      if (auto limit = lane.limit(static_cast<limits::dimension>(d))) {
        limited = true;
        auto part = static_cast<uint64_t>(std::ceil(share * static_cast<double>(*limit)));
        allowance[d] = last ? 0 : std::min(*limit, std::max(part, journal_wants_[d]));
      }
    journal_left_[i] = allowance;
    if (!limited)
      continue;
    add(allowance, lane.limiter().pending());
    result.push_back({i / keys_, i % keys_, lane.limiter().save(now), allowance});
  }
  journal_wants_ = {};
  journal_until_ = last ? now : now + journal_time;
  look_again();
  return result;
}

void dispatcher::restore(const std::vector<journal_lane>& x, duration age, time_point now) {
  age = std::max(age, duration{0});
  for (auto& saved : x) {
    if (saved.group >= groups() || saved.key >= keys_)
      continue;
    auto& lane = lane_of(saved.group, saved.key);
    auto span = lane.limiter().span();
    for (auto& charge : saved.live)
      if (charge.left > age)
        lane.restore(charge.amount, now + std::min(charge.left - age, span + journal_time));
    lane.restore(saved.open, now + span);
  }
}

void dispatcher::fill_windows(time_point now) {
  for (auto& lane : lanes_) {
    amounts full{};
    for (std::size_t d = 0; d < full.size(); ++d)
      full[d] = lane->limit(static_cast<limits::dimension>(d)).value_or(0);
    lane->restore(full, now + lane->limiter().span());
  }
}

// -- status -----------------------------------------------------------------------------

dispatcher::queue_state dispatcher::state() {
  queue_state x;
  x.queued = queued_;
  x.queued_bytes = queued_bytes_;
  x.in_flight = flights_with_request_;
  x.waiting = mailbox_.size();
  x.next_due = mailbox_.next_due();
  return x;
}

std::optional<dispatcher::time_point> dispatcher::next_try(time_point now) {
  std::optional<time_point> probe;
  for (uint32_t i = 0; i < groups_.size(); ++i)
    if (auto open = open_lanes(i, now); open.all && open.wait && (!probe || now + *open.wait < *probe))
      probe = now + *open.wait;
  auto due = mailbox_.wake_at(now);
  if (probe) // whatever is due waits for it
    return due == time_point::max() ? probe : std::max(*probe, due);
  return due == time_point::max() ? std::nullopt : std::optional{std::max(due, now)};
}

dispatcher::duration dispatcher::predicted_wait(uint32_t group, priority rank, time_point now) {
  auto& g = groups_[group];
  limits::charge usual;
  if (g.usual_count > 0) {
    usual.arriving = g.usual;
    for (auto& amount : usual.arriving)
      amount = (amount + g.usual_count - 1) / g.usual_count;
  }
  auto ahead = ahead_of(g, rank, nullptr, g.latest_model);
  auto best = time_point::max();
  for (uint32_t key = 0; key < keys_; ++key)
    best = std::min(best, lane_of(group, key).predict({usual, rank, ahead.first, g.latest_model, ahead.second}, now));
  return best - now;
}

} // namespace modelforge
