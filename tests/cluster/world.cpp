#include "tests/cluster/world.hpp"

#include <algorithm>
#include <utility>

namespace modelforge::test {

using namespace modelforge::cluster;

namespace {

constexpr int64_t ms = 1'000'000;
constexpr int64_t s = 1000 * ms;

} // namespace

// -- the store ----------------------------------------------------------------------

int64_t modelled_store::change() {
  ++revision_;
  on_change_();
  return revision_;
}

void modelled_store::drop(int64_t id) {
  leases_.erase(id);
  auto had = (owner_ && owner_->lease == id)
             || std::any_of(claims_.begin(), claims_.end(), [id](auto& x) { return x.second.lease == id; });
  if (owner_ && owner_->lease == id)
    owner_.reset();
  for (auto i = claims_.begin(); i != claims_.end();)
    i = i->second.lease == id ? claims_.erase(i) : std::next(i);
  if (had)
    change();
}

void modelled_store::tick(int64_t now) {
  std::vector<int64_t> over;
  for (auto& [id, lease] : leases_)
    if (lease.ends <= now)
      over.push_back(id);
  for (auto id : over)
    drop(id);
}

void modelled_store::extend_all(int64_t now) {
  for (auto& [id, lease] : leases_)
    lease.ends = now + lease.ttl;
}

store_view modelled_store::view() const {
  store_view result{revision_, owner_, {}, placed_};
  for (auto& [node, held] : claims_)
    result.claims.push_back({node, held.epoch});
  return result;
}

answer modelled_store::carry_out(const question& asked, const std::string& node, int64_t now) {
  if (auto* x = std::get_if<grant_lease>(&asked)) {
    leases_[++last_lease_] = {x->ttl.count() * s, now + x->ttl.count() * s};
    return lease_granted{revision_, last_lease_, x->ttl};
  }
  if (auto* x = std::get_if<renew_lease>(&asked)) {
    auto found = leases_.find(x->lease);
    if (found == leases_.end())
      return lease_renewed{};
    found->second.ends = now + found->second.ttl;
    return lease_renewed{std::chrono::seconds{found->second.ttl / s}};
  }
  auto gone = no_answer{no_answer::reason::lease_gone, "lease not found"};
  if (auto* x = std::get_if<revoke_lease>(&asked)) {
    if (leases_.count(x->lease) == 0)
      return gone;
    drop(x->lease);
    return changed{revision_};
  }
  if (auto* x = std::get_if<acquire>(&asked)) {
    if (owner_)
      return seen{view()};
    if (leases_.count(x->lease) == 0)
      return gone;
    claims_.erase(node);
    owner_ = owner_record{node, x->lease, change()};
    return acquired{owner_->created};
  }
  if (auto* x = std::get_if<claim>(&asked)) {
    if (!owner_ || owner_->created != x->epoch)
      return seen{view()};
    if (leases_.count(x->lease) == 0)
      return gone;
    claims_[node] = {x->epoch, x->lease};
    return changed{change()};
  }
  if (auto* x = std::get_if<give_up>(&asked)) {
    if (!owner_ || owner_->created != x->epoch)
      return seen{view()};
    owner_.reset();
    placed_ = x->placed.value_or(placed_);
    return changed{change()};
  }
  return seen{view()};
}

// -- time ---------------------------------------------------------------------------

ownership_world::ownership_world(const plan& plan, uint64_t seed)
  : plan_(plan), random_(seed), store_([this] { store_changed(); }) {
  for (std::size_t i = 0; i < plan_.nodes; ++i)
    names_.push_back(std::string(1, static_cast<char>('a' + i)));
  nodes_.resize(plan_.nodes);
  for (std::size_t i = 0; i < plan_.nodes; ++i) {
    nodes_[i].name = names_[i];
    nodes_[i].offset = upto(1000 * s);
    nodes_[i].speed = 1 + plan_.clock_error * (2 * std::uniform_real_distribution<>{}(random_)-1);
    at(upto(2 * s), [this, i] { start(i); });
  }
}

void ownership_world::at(int64_t when, std::function<void()> what) {
  events_.push({std::max(when, now_), ++numbers_, std::move(what)});
}

void ownership_world::play_until(int64_t when) {
  while (problem_.empty() && !events_.empty() && events_.top().at <= when) {
    auto next = std::move(const_cast<event&>(events_.top()));
    events_.pop();
    now_ = next.at;
    next.what();
  }
  now_ = std::max(now_, when);
}

ownership_world::point ownership_world::local(const node& n) const {
  return point{duration{n.offset + static_cast<int64_t>(static_cast<double>(now_) * n.speed)}};
}

int64_t ownership_world::true_time(const node& n, point when) const {
  return static_cast<int64_t>(static_cast<double>(when.time_since_epoch().count() - n.offset) / n.speed) + 1;
}

int64_t ownership_world::delay() {
  if (quiet_)
    return 100'000 + upto(4 * ms);
  return chance(plan_.slow_share) ? upto(plan_.slowest) : 100'000 + upto(plan_.usual);
}

// -- processes ----------------------------------------------------------------------

void ownership_world::start(std::size_t i) {
  auto& n = nodes_[i];
  if (n.is)
    return;
  ++n.life;
  ownership_settings settings;
  settings.node = n.name;
  settings.nodes = names_;
  settings.hand_back_after = plan_.hand_back_after;
  n.is = std::make_unique<ownership>(settings, local(n), random_());
  n.paused_until = 0;
  turn(i);
}

void ownership_world::crash(std::size_t i) {
  auto& n = nodes_[i];
  n.is.reset();
  n.inbox.clear();
  n.told.reset();
  n.watch = 0;
}

void ownership_world::restart(std::size_t i, int64_t after) {
  at(now_ + after, [this, i] { start(i); });
}

/// What happens to a process that is stopped waits, in its order, until it goes on.
void ownership_world::in_turn(std::size_t i, uint64_t life, std::function<void(ownership&, point)> what) {
  auto& n = nodes_[i];
  if (!n.is || n.life != life)
    return;
  if (now_ < n.paused_until || !n.inbox.empty()) {
    n.inbox.push_back(std::move(what));
    if (n.inbox.size() == 1)
      at(n.paused_until, [this, i, life] { go_on(i, life); });
    return;
  }
  what(*n.is, local(n));
  turn(i);
}

void ownership_world::go_on(std::size_t i, uint64_t life) {
  auto& n = nodes_[i];
  if (!n.is || n.life != life)
    return;
  if (now_ < n.paused_until)
    return at(n.paused_until, [this, i, life] { go_on(i, life); });
  for (auto& what : std::exchange(n.inbox, {}))
    in_turn(i, life, std::move(what));
}

void ownership_world::turn(std::size_t i) {
  auto& n = nodes_[i];
  ++figures_.turns;
  uint32_t steps = 0;
  while (auto step = n.is->next(local(n))) {
    if (++steps > 50)
      return wrong(n.name + " never rests");
    carry_out(i, *step);
  }
  if (n.is->is_over()) {
    crash(i);
    restart(i, upto(3 * s));
    return;
  }
  auto wake = n.is->wake_at();
  if (wake <= local(n))
    return wrong(n.name + " wants to be woken at once");
  auto when = true_time(n, wake);
  if (n.wakes_at == when)
    return;
  n.wakes_at = when;
  at(when, [this, i, when, life = n.life] {
    auto& due = nodes_[i].wakes_at;
    if (due != when)
      return;
    due = 0;
    in_turn(i, life, [](auto&, auto) {});
  });
}

void ownership_world::carry_out(std::size_t i, const ownership::step& step) {
  auto& n = nodes_[i];
  if (auto* asked = std::get_if<ownership::ask>(&step)) {
    send(i, *asked);
  } else if (auto* told = std::get_if<ownership::serve>(&step)) {
    begin(i, *told);
  } else if (auto* end = std::get_if<ownership::stop>(&step)) {
    if (!n.told || n.told->epoch != end->epoch)
      wrong(n.name + " is to stop what it was not told");
    n.told.reset();
    figures_.late += end->why == ownership::reason::late;
    if (end->why == ownership::reason::handed_over && !chance(0.1))
      at(now_ + delay(), [this, i, life = n.life] { in_turn(i, life, [](auto& o, auto t) { o.handed_over(t); }); });
  } else {
    watch(i);
  }
}

// -- between them -------------------------------------------------------------------

void ownership_world::send(std::size_t i, const ownership::ask& asked) {
  auto life = nodes_[i].life;
  auto lost = !quiet_ && (chance(plan_.loss) || now_ < nodes_[i].cut_until);
  auto fail = [this, i, life, id = asked.id](int64_t after) {
    if (chance(0.5))
      at(now_ + after, [=, this] { answer(i, life, id, no_answer{no_answer::reason::unavailable, "lost"}); });
  };
  if (lost)
    return fail(upto(2 * s));
  at(now_ + delay(), [this, i, life, asked, fail] {
    if (now_ < store_down_until_)
      return fail(upto(s));
    auto told = store_.carry_out(asked.what, nodes_[i].name, now_);
    if (!quiet_ && (chance(plan_.loss) || now_ < nodes_[i].cut_until))
      return fail(upto(2 * s));
    if (!quiet_ && chance(plan_.garbage))
      told = garbage();
    at(now_ + delay(), [this, i, life, id = asked.id, told] { answer(i, life, id, told); });
  });
}

void ownership_world::answer(std::size_t i, uint64_t life, question_id id, cluster::answer told) {
  in_turn(i, life, [id, told = std::move(told)](ownership& o, point now) { o.on_answer(id, told, now); });
}

/// What no store says, but something between may.
answer ownership_world::garbage() {
  switch (random_() % 9) {
    case 0:
      return lease_granted{0, 7, std::chrono::seconds{5}};
    case 1:
      return lease_granted{1, 0, std::chrono::seconds{5}};
    case 2:
      return lease_granted{1, 7, std::chrono::seconds{INT64_MAX / 2}};
    case 3:
      return lease_renewed{std::chrono::seconds{-5}};
    case 4:
      return acquired{-1};
    case 5:
      return acquired{INT64_MAX};
    case 6:
      return seen{{0, {}, {}, {}}};
    case 7:
      return seen{{1, owner_record{"a", 1, 99}, {}, {}}};
    default:
      return no_answer{no_answer::reason::refused, "garbage"};
  }
}

void ownership_world::watch(std::size_t i) {
  auto number = ++numbers_;
  nodes_[i].watch = number;
  nodes_[i].watch_is_dead = true; // until the store has it
  at(now_ + delay(), [this, i, number, life = nodes_[i].life] {
    auto& n = nodes_[i];
    if (n.watch != number || n.life != life)
      return;
    if (now_ < store_down_until_ || (!quiet_ && (chance(plan_.loss) || now_ < n.cut_until)))
      return end_watch(i, number);
    n.watch_is_dead = false;
    tell_of_watch(i, [](auto& o, auto t) { o.on_watch(t); });
  });
}

/// What a watch brings comes in its order.
void ownership_world::tell_of_watch(std::size_t i, std::function<void(ownership&, point)> what) {
  auto& n = nodes_[i];
  n.watch_tells_at = std::max(now_ + delay(), n.watch_tells_at + 1);
  at(n.watch_tells_at, [this, i, life = n.life, what = std::move(what)] { in_turn(i, life, what); });
}

void ownership_world::end_watch(std::size_t i, uint64_t number) {
  auto& n = nodes_[i];
  if (n.watch != number)
    return;
  n.watch = 0;
  tell_of_watch(i, [](auto& o, auto t) { o.on_watch_end(t); });
}

void ownership_world::store_changed() {
  for (std::size_t i = 0; i < nodes_.size(); ++i) {
    auto& n = nodes_[i];
    if (n.watch == 0 || n.watch_is_dead || now_ < n.cut_until)
      continue;
    tell_of_watch(i, [](auto& o, auto) { o.on_change(); });
  }
}

// -- the oracle ---------------------------------------------------------------------

void ownership_world::wrong(std::string what) {
  if (problem_.empty())
    problem_ = "at " + std::to_string(now_ / ms) + " ms: " + std::move(what);
}

/// A node may dispatch from now on until the time it was told; nobody else may meanwhile.
void ownership_world::begin(std::size_t i, const ownership::serve& told) {
  auto& n = nodes_[i];
  if (told.until <= local(n))
    wrong(n.name + " may serve until a time that has passed");
  for (std::size_t j = 0; j < nodes_.size(); ++j)
    if (j != i && nodes_[j].told && now_ < nodes_[j].told_until)
      wrong(n.name + " serves while " + nodes_[j].name + " does");
  auto who = std::pair{i, n.life};
  if (told.epoch < last_epoch_)
    wrong(n.name + " serves an epoch that is over");
  if (told.epoch == last_epoch_ && who != last_owner_)
    wrong(n.name + " serves another one's epoch");
  figures_.tenures += told.epoch != last_epoch_;
  last_epoch_ = told.epoch;
  last_owner_ = who;
  n.told = told;
  n.told_until = true_time(n, told.until);
}

std::size_t ownership_world::owner() const {
  for (std::size_t i = 0; i < nodes_.size(); ++i)
    if (nodes_[i].told && now_ < nodes_[i].told_until)
      return i;
  return nodes_.size();
}

std::size_t ownership_world::preferred() const {
  auto at = std::find(names_.begin(), names_.end(), placed_);
  return at == names_.end() ? 0 : static_cast<std::size_t>(at - names_.begin());
}

std::optional<int64_t> ownership_world::time_to_owner(std::pair<std::size_t, uint64_t> other_than, int64_t most) {
  for (auto begin = now_; now_ - begin <= most && problem_.empty(); play_until(now_ + ms))
    if (auto i = owner(); i < nodes_.size() && std::pair{i, nodes_[i].life} != other_than)
      return now_ - begin;
  return {};
}

// -- faults -------------------------------------------------------------------------

void ownership_world::fault_at_node(std::size_t i) {
  auto& n = nodes_[i];
  if (!n.is)
    return;
  auto life = n.life;
  auto other = names_[random_() % names_.size()];
  switch (random_() % 9) {
    case 0:
      crash(i);
      restart(i, upto(10 * s));
      break;
    case 1:
      n.paused_until = std::max(n.paused_until, now_ + upto(chance(0.5) ? 2 * s : 10 * s));
      break;
    case 2:
      n.cut_until = now_ + upto(8 * s);
      break;
    case 3:
      n.watch_is_dead = true;
      break;
    case 4:
      end_watch(i, n.watch);
      break;
    case 5:
      in_turn(i, life, [](auto& o, auto) { o.end(); });
      break;
    case 6:
      in_turn(i, life, [this, i, life](auto& o, auto) {
        o.withdraw();
        at(now_ + upto(6 * s), [this, i, life] { in_turn(i, life, [](auto& x, auto t) { x.enter(t); }); });
      });
      break;
    default:
      if (auto who = owner(); who < nodes_.size())
        in_turn(who, nodes_[who].life, [this, other](auto& o, auto t) { figures_.moves += o.move(other, t); });
  }
}

void ownership_world::fault() {
  if (quiet_)
    return;
  ++figures_.faults;
  if (chance(plan_.outage / (plan_.outage + plan_.faults_a_second * static_cast<double>(plan_.nodes)))) {
    store_down_until_ = now_ + upto(chance(0.7) ? s : 10 * s);
    at(store_down_until_, [this, extends = chance(0.7)] {
      if (extends)
        store_.extend_all(now_);
      store_.tick(now_);
    });
  } else {
    fault_at_node(random_() % nodes_.size());
  }
}

void ownership_world::calm() {
  quiet_ = true;
  store_down_until_ = std::min(store_down_until_, now_);
  for (std::size_t i = 0; i < nodes_.size(); ++i) {
    nodes_[i].cut_until = 0;
    if (nodes_[i].watch != 0 && nodes_[i].watch_is_dead)
      end_watch(i, nodes_[i].watch);
  }
}

// -- a whole story ------------------------------------------------------------------

std::string ownership_world::run() {
  for (int64_t t = 1; t < 1000; ++t) // well beyond the end
    at(t * 500 * ms, [this] {
      if (now_ >= store_down_until_)
        store_.tick(now_);
    });
  if (auto rate = plan_.outage + plan_.faults_a_second * static_cast<double>(plan_.nodes); rate > 0)
    for (double t = 0; t < static_cast<double>(plan_.trouble) / 1e9;) {
      t += std::exponential_distribution<>{rate}(random_);
      at(static_cast<int64_t>(t * 1e9), [this] { fault(); });
    }
  play_until(plan_.trouble);
  calm();
  play_until(now_ + 18 * s); // what is under way arrives, who is stopped goes on, who is gone comes back
  judge_quiet();
  judge_planned(false);
  judge_quiet();
  judge_planned(true);
  judge_quiet();
  judge_crash();
  return problem_;
}

/// There is an owner soon, it stays, and it is the preferred one where that is wanted.
void ownership_world::judge_quiet() {
  if (!time_to_owner({}, 8 * s))
    return wrong("nobody owns the provider, though all is well");
  auto before = owner();
  if (plan_.hand_back_after)
    play_until(now_ + plan_.hand_back_after->count() * 11 / 10 + 3 * s);
  else
    play_until(now_ + 100 * ms);
  placed_ = store_.placed();
  auto who = owner();
  if (who == nodes_.size())
    return wrong("the owner is lost, though all is well");
  if (plan_.hand_back_after && who != preferred())
    return wrong(names_[who] + " keeps the provider, though " + names_[preferred()] + " is well");
  figures_.hand_backs += before != who;
  for (auto end = now_ + 4 * s; now_ < end && problem_.empty(); play_until(now_ + 50 * ms))
    if (owner() != who)
      wrong("the owner changes, though all is well");
}

/// A move to a node, or an end of the owner: another one has it within half a second.
void ownership_world::judge_planned(bool whole) {
  auto who = owner();
  if (who == nodes_.size() || !problem_.empty())
    return;
  auto before = std::pair{who, nodes_[who].life};
  auto to = (who + 1 + random_() % (nodes_.size() - 1)) % nodes_.size();
  in_turn(who, nodes_[who].life, [&](auto& o, auto t) {
    if (whole)
      o.end();
    else if (!o.move(names_[to], t))
      wrong("a move is refused, though all is well");
  });
  auto time = time_to_owner(before, 500 * ms);
  if (!time)
    return wrong("a planned move takes more than half a second");
  if (!whole && owner() != to)
    return wrong("a move goes to another node");
  figures_.slowest_move = std::max(figures_.slowest_move, *time);
  play_until(now_ + 5 * s);
}

void ownership_world::judge_crash() {
  auto who = owner();
  if (who == nodes_.size() || !problem_.empty())
    return;
  crash(who);
  auto time = time_to_owner({who, nodes_[who].life}, 5 * s);
  if (!time)
    return wrong("a takeover takes more than five seconds");
  figures_.slowest_takeover = std::max(figures_.slowest_takeover, *time);
  play_until(now_ + 2 * s);
}

} // namespace modelforge::test
