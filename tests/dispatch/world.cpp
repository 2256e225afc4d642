#include "tests/dispatch/world.hpp"

#include <algorithm>
#include <sstream>
#include <utility>

namespace modelforge::test {

namespace {

using namespace std::chrono_literals;

enum { arrival, timer, written, ended, withdrawn, kill_time, reload_time };

constexpr auto longest_pause = 5s; ///< That the provider asks for.

constexpr uint32_t max_ahead = 2; ///< Requests that a tenant may get more than another that waits, too.

/// What the provider counts, by its documentation.
limits::charge counted(const limits::accounting& by, uint64_t input, uint64_t output) {
  using limits::token_accounting;
  limits::charge x;
  if (by.tokens == token_accounting::arrival)
    x.arriving = {1, by.output == limits::output_rule::sum ? input + output : std::max(input, output), input, output};
  else if (by.tokens != token_accounting::none)
    x.arriving = {1, input, input, 0};
  if (by.tokens == token_accounting::produced)
    x.produced = {0, output, 0, output};
  return x;
}

double seconds(duration x) {
  return std::chrono::duration<double>{x}.count();
}

} // namespace

world::world(const plan& x, uint64_t seed) : plan_(x), random_(seed) {
  subject_ = std::make_unique<dispatcher>(plan_.settings, seed);
  subject_->keep_journal(plan_.restart_share > 0);
  auto& limit = plan_.settings.groups[0].limits.per_minute;
  equal_costs_ = limit[0] && !limit[1] && !limit[2] && !limit[3] && plan_.reload_share == 0;
  plan_.models = std::max(plan_.models, static_cast<uint32_t>(plan_.model_limits.size()));
  era first{std::vector<uint32_t>(plan_.models), {}, now_};
  for (uint32_t key = 0; key < plan_.settings.keys; ++key)
    first.credentials.push_back(key);
  eras_.push_back(first);
  auto line_of = [](uint32_t many) {
    std::vector<uint32_t> none(many);
    return line{none, std::vector(many, none)};
  };
  lines_.fill(line_of(plan_.tenants));
  nodes_.fill(line_of(plan_.nodes));
  at(now_, arrival);
  if (plan_.restart_share > 0)
    at(now_ + duration{static_cast<int64_t>(1e9 * std::exponential_distribution<>{plan_.restart_share}(random_))},
       kill_time);
  if (plan_.reload_share > 0)
    at(now_ + duration{static_cast<int64_t>(1e9 * std::exponential_distribution<>{plan_.reload_share}(random_))},
       reload_time);
}

void world::wrong(const std::string& what) {
  if (wrong_.empty())
    wrong_ = what + " at " + std::to_string(seconds(now_ - begin_)) + " s";
}

void world::run() {
  auto end = begin_ + plan_.length;
  auto any_tenant = [this] { return static_cast<uint32_t>(random() * plan_.tenants); };
  while (!events_.empty() && wrong_.empty()) {
    auto x = events_.top();
    events_.pop();
    now_ = x.at;
    switch (x.what) {
      case arrival: {
        if (now_ >= end)
          break;
        auto idle = random() < plan_.idle_share / 20;
        auto many = random() < plan_.burst_share ? 50 : 1;
        if (plan_.saturate)
          for (auto queued = subject_->state().queued; queued[0] + queued[1] < 300; ++queued[0])
            ask(any_tenant());
        else
          for (auto one = any_tenant(); many > 0; --many)
            ask(plan_.greedy ? one : any_tenant());
        auto gap = plan_.saturate ? 0.5 : std::exponential_distribution<>{plan_.requests_per_second}(random_);
        at(now_ + duration{static_cast<int64_t>(1e9 * gap)} + (idle ? random(3min) : 0ns), arrival);
        break;
      }
      case timer:
        wake_ups_.erase(now_);
        break;
      case written: {
        auto& f = flights_[x.x];
        if (f.life == life_ && f.attempt != 0)
          subject_->written(f.attempt, now_);
        continue; // the actor is not woken for it
      }
      case ended:
        finish(x.x);
        break;
      case withdrawn: {
        request_id id{1, x.x};
        if (!open_.contains(id))
          continue;
        auto attempt = subject_->withdraw(id, now_);
        if (!attempt)
          wrong("a request that has no answer yet is not known");
        else if (*attempt != 0)
          at(now_ + random(1ms), ended, flight_of_.at(*attempt)), flights_[flight_of_.at(*attempt)].aborted = true;
        answer(id);
        break;
      }
      case kill_time:
        if (now_ < end)
          kill();
        break;
      case reload_time:
        if (now_ < end)
          reload();
        break;
    }
    serve();
  }
  if (!wrong_.empty())
    return;
  if (!open_.empty())
    wrong(std::to_string(open_.size()) + " requests have no answer");
  if (!subject_->empty() || subject_->state().in_flight + subject_->state().queued_bytes != 0)
    wrong("the dispatcher still holds something");
}

void world::ask(uint32_t tenant) {
  dispatcher::offer x;
  x.id = {1, ++asked_};
  x.rank = random() < plan_.batch_share ? priority::batch : priority::interactive;
  x.tenant = std::to_string(tenant);
  x.node = node_of(tenant) == 0 ? "" : "node " + std::to_string(node_of(tenant));
  auto part = random() * random(); // many small ones, few large ones
  auto input = 1 + static_cast<uint64_t>(part * static_cast<double>(plan_.max_input));
  auto output = static_cast<uint64_t>(random() * static_cast<double>(plan_.max_output));
  auto& limit = plan_.settings.groups[0].limits.per_minute;
  if (limit[1] && random() < plan_.oversize_share)
    input = static_cast<uint64_t>((0.5 + 3 * random()) * static_cast<double>(*limit[1]));
  auto model = static_cast<uint32_t>(random() * plan_.models);
  x.model = "model " + std::to_string(model);
  x.group = eras_.back().groups[model];
  x.cost = limits::charge_for(plan_.accounting, input, output);
  x.bytes = 100;
  if (random() < plan_.deadline_share)
    x.deadline = now_ + 100ms + random(200s);
  auto& asked = open_[x.id] = {0, x.deadline, false, input, output, x.rank, tenant, model};
  if (x.deadline)
    deadlines_.emplace(*x.deadline, x.id);
  if (random() < plan_.cancel_share)
    at(now_ + random(100s), withdrawn, x.id.low);
  auto id = x.id;
  if (auto no = subject_->accept(x, now_)) {
    check_refusal(*no, x, tenant, model);
    answer(id);
  } else {
    stand_in_line(asked);
  }
}

/// Only what is certain refuses for good, and for its wait only who would wait so long in its tenant's turn.
void world::check_refusal(const dispatcher::refusal& x, const dispatcher::offer& of, uint32_t tenant, uint32_t model) {
  if (x.why == dispatcher::reason::over_limit)
    return wrong("a guess refuses for good");
  if (x.why != dispatcher::reason::predicted_wait || !equal_costs_ || plan_.lie_share > 0)
    return;
  std::size_t in_line = 0;
  for (auto& l : lines_)
    for (auto waiting : l.waiting)
      in_line += waiting;
  auto ahead = open_.size() - in_line; // retries
  for (std::size_t rank = 0; rank <= static_cast<std::size_t>(of.rank); ++rank) {
    auto is_its_own = rank == static_cast<std::size_t>(of.rank);
    auto& waiting = lines_[rank].waiting;
    auto& of_node = nodes_[rank].waiting;
    auto in_node = waiting[tenant];
    for (auto other = node_of(tenant); other < plan_.tenants; other += plan_.nodes)
      if (other != tenant)
        in_node += is_its_own ? std::min(waiting[other], waiting[tenant] + max_ahead + 1) : waiting[other];
    ahead += in_node;
    for (uint32_t other = 0; other < plan_.nodes; ++other)
      if (other != node_of(tenant))
        ahead += is_its_own ? std::min(of_node[other], in_node + max_ahead + 1) : of_node[other];
  }
  auto& by = plan_.settings.groups[0].limits;
  auto limit =
    std::max(1.0, std::floor(static_cast<double>(*by.per_minute[0]) * seconds(by.window) / 60)) * plan_.settings.keys;
  auto windows = std::ceil(static_cast<double>(ahead + 1) / limit) + 2;
  if (model < plan_.model_limits.size()) { // those for other models take nothing of its model's limits
    auto alike = std::count_if(open_.begin(), open_.end(), [&](auto& y) { return y.second.model == model; });
    if (auto of_model = plan_.model_limits[model][0])
      windows = std::max(windows, std::ceil(static_cast<double>(alike + 1) / static_cast<double>(*of_model)) + 3);
    if (plan_.model_limits[model][1])
      return; // costs differ there
  }
  auto latest = now_ + duration{static_cast<int64_t>(windows * static_cast<double>((by.window + by.guard).count()))};
  if (latest + longest_pause < *of.deadline)
    wrong("refused for its wait, though its turn comes after " + std::to_string(ahead) + " others at most");
}

/// What an answer tells of the limits of its model.
limits::server_limits world::tell(const seen& x, const std::optional<limits::charge>& real) {
  limits::server_limits told;
  if (x.model >= plan_.model_limits.size())
    return told;
  if (random() < plan_.lie_share) {
    for (auto& each : told) {
      if (random() < 0.5)
        each.limit = any_number();
      if (random() < 0.5)
        each.remaining = any_number();
      if (random() < 0.5)
        each.reset = random(24h * 365);
    }
    return told;
  }
  if (random() < 0.2)
    return told;    // has not a word
  auto fits = true; // what the answered request itself exceeds is not believed to be a limit
  for (std::size_t d = 0; d < told.size(); ++d)
    fits = fits && (!real || real->arriving[d] <= plan_.model_limits[x.model][d].value_or(UINT64_MAX));
  if (fits)
    told_at_[{x.credential, x.model}] = now_;
  for (std::size_t d = 0; d < told.size(); ++d) {
    auto limit = plan_.model_limits[x.model][d];
    if (!limit)
      continue;
    auto window = plan_.settings.groups[0].limits.window;
    uint64_t used = 0;
    for (auto i = seen_.rbegin(); i != seen_.rend() && i->dispatched > now_ - window - 200s; ++i) {
      if (i->credential != x.credential || i->model != x.model || !i->written)
        continue;
      if (i->arrived <= now_ && i->arrived > now_ - window)
        used += std::min(i->real.arriving[d], *limit);
      if (i->ended <= now_ && i->ended > now_ - window)
        used += std::min(i->real.produced[d], *limit);
    }
    told[d] = {*limit, *limit - std::min(*limit, used), window};
  }
  return told;
}

void world::stand_in_line(asked_request& x) {
  x.in_line = true;
  ++lines_[static_cast<std::size_t>(x.rank)].waiting[x.tenant];
  ++nodes_[static_cast<std::size_t>(x.rank)].waiting[node_of(x.tenant)];
}

void world::leave_line(asked_request& x) {
  if (!std::exchange(x.in_line, false))
    return;
  auto leave = [](line& l, uint32_t who) {
    if (--l.waiting[who] > 0)
      return;
    for (std::size_t other = 0; other < l.waiting.size(); ++other)
      l.ahead[who][other] = l.ahead[other][who] = 0;
  };
  leave(lines_[static_cast<std::size_t>(x.rank)], x.tenant);
  leave(nodes_[static_cast<std::size_t>(x.rank)], node_of(x.tenant));
}

/// Fails if, since some moment from which both waited all the time, its tenant was sent too much more than another of
/// the same node, or its node than another one.
void world::check_turn(const asked_request& x) {
  if (!equal_costs_ || !plan_.model_limits.empty()) // who is held lets others go
    return;
  auto check = [&](line& l, uint32_t who, uint32_t first, uint32_t step, const std::string& what) {
    if (l.waiting[who] == 0)
      return;
    for (auto other = first; other < l.waiting.size(); other += step) {
      if (other == who || l.waiting[other] == 0)
        continue;
      auto& behind = l.ahead[other][who];
      behind -= std::min(behind, 1u);
      if (++l.ahead[who][other] > max_ahead)
        wrong(what + std::to_string(who) + " is sent " + std::to_string(l.ahead[who][other]) + " requests more than "
              + what + std::to_string(other) + ", and both wait");
    }
  };
  auto rank = static_cast<std::size_t>(x.rank);
  check(lines_[rank], x.tenant, node_of(x.tenant), plan_.nodes, "tenant ");
  check(nodes_[rank], node_of(x.tenant), 0, 1, "node ");
}

void world::serve() {
  for (int steps = 0;; ++steps) {
    if (steps > 10000)
      return wrong("there is no end to what is to be done");
    auto step = subject_->next(now_);
    if (!step)
      break;
    if (std::holds_alternative<dispatcher::save>(*step)) {
      journal_ = subject_->journal(now_);
      journal_at_ = now_;
    } else if (auto* x = std::get_if<dispatcher::dispatch>(&*step)) {
      send(*x);
    } else {
      auto& y = std::get<dispatcher::give_up>(*step);
      if (y.why.why == dispatcher::reason::over_limit)
        wrong("a guess ends a request for good");
      if (y.attempt != 0) {
        flights_[flight_of_.at(y.attempt)].aborted = true;
        at(now_ + random(1ms), ended, flight_of_.at(y.attempt));
      }
      answer(y.id);
    }
  }
  auto wake = subject_->wake_at(now_);
  if (!wake && subject_->state().in_flight == 0 && !subject_->empty())
    return wrong("something waits, and nothing will happen");
  if (subject_->state().in_flight == 0 && wake && *wake > now_ + longest_sleep())
    wrong("nothing will happen for " + std::to_string(seconds(*wake - now_)) + " s");
  if (wake && *wake <= now_)
    return wrong("it wants to be woken at once");
  if (wake && (wake_ups_.empty() || *wake < *wake_ups_.begin())) {
    wake_ups_.insert(*wake);
    at(*wake, timer);
  }
  if (!deadlines_.empty() && deadlines_.begin()->first < now_)
    wrong("a deadline has passed without an answer");
}

/// With nothing under way: what was used is forgotten after a window, what was told after a few; pauses, breakers and
/// backoffs end.
duration world::longest_sleep() const {
  auto& group = plan_.settings.groups[0];
  auto told = plan_.model_limits.empty() ? 0ns : limits::learned_limits::kept_windows * group.limits.window;
  return std::max({told, duration{group.limits.window + group.limits.guard + 1s}, duration{group.breaker.open_for},
                   plan_.settings.retry.max_wait, duration{longest_pause}})
         + 1s;
}

void world::send(const dispatcher::dispatch& x) {
  auto i = open_.find(x.id);
  if (i == open_.end())
    return wrong("a request is sent that has its answer");
  if (++i->second.attempts != x.number || i->second.spent >= plan_.settings.retry.max_attempts)
    return wrong("attempt " + std::to_string(x.number));
  seen s;
  s.model = i->second.model;
  s.era = static_cast<uint32_t>(eras_.size() - 1);
  s.credential = eras_.back().credentials.at(x.key);
  if (x.group != eras_.back().groups[s.model])
    return wrong("a request is sent by the limits of other models");
  auto told = told_at_.find({s.credential, s.model});
  s.limits_known =
    told != told_at_.end()
    && now_ < told->second + limits::learned_limits::kept_windows * plan_.settings.groups[0].limits.window;
  s.dispatched = now_;
  s.retry = x.number > 1;
  auto waited_for_breaker = i->second.rank == priority::batch && i->second.outages != outages(x.group);
  s.exempt = i->second.told_to_wait || (s.retry && waited_for_breaker);
  i->second.told_to_wait = false;
  check_turn(i->second);
  leave_line(i->second);
  s.told = s.real = counted(plan_.accounting, i->second.input, i->second.output);
  auto write = random() < 0.01 ? random(3s) : random(plan_.slowest_write);
  auto guard = plan_.settings.groups[0].limits.guard;
  s.arrived = now_ + write + plan_.network + random(guard - 1ms);
  s.ended = s.arrived + random(plan_.slowest_answer);
  flight f{life_, x.attempt, x.id, seen_.size(), now_ + write, {}};
  auto fault = random();
  if (fault < plan_.fault_share) {
    f.end.failed.emplace();
    auto& why = *f.end.failed;
    switch (static_cast<int>(random() * 6)) {
      case 0:
        why = {.code = errc::server_error, .status = 500};
        break;
      case 1:
        why = {.code = errc::rate_limited, .status = 429, .server_wait = random(5s)};
        break;
      case 2:
        why = {.code = errc::rate_limited, .status = 429};
        break;
      case 3:
        why = {.code = errc::connection_lost};
        break;
      case 4:
        why = {.code = errc::connect_failed, .written = false};
        f.end.written = s.written = false;
        break;
      default:
        why = {.code = errc::invalid_request, .status = 400};
        break;
    }
    if (why.server_wait)
      i->second.told_to_wait = true;
  } else {
    auto error = 1 + plan_.estimate_error * (2 * random() - 1);
    auto input = static_cast<uint64_t>(error * static_cast<double>(i->second.input));
    auto output = static_cast<uint64_t>(random() * 1.2 * static_cast<double>(i->second.output));
    if (random() < plan_.absurd_share) {
      input = any_number();
      output = any_number();
    }
    auto reserved = limits::charge_for(plan_.accounting, i->second.input, i->second.output);
    f.end.real = limits::corrected(plan_.accounting, reserved, input, output);
    if (plan_.accounting.tokens != limits::token_accounting::arrival) // there the provider counts an estimate
      s.real = counted(plan_.accounting, input, output);
    f.end.output_tokens = output;
  }
  flight_of_[x.attempt] = flights_.size();
  if (s.written)
    at(now_ + write, written, flights_.size());
  at(s.ended, ended, flights_.size());
  flights_.push_back(f);
  seen_.push_back(s);
}

void world::finish(uint64_t number) {
  auto& f = flights_[number];
  if (f.life != life_ || f.attempt == 0)
    return;
  auto& s = seen_[f.seen];
  if (f.aborted) {
    f.end.failed = retry::failed_attempt{.code = errc::cancelled};
    f.end.real.reset();
    f.end.output_tokens.reset();
    s.ended = std::min(s.ended, now_);
    if (f.writes_at > now_)
      f.end.written = s.written = false;
  }
  if (f.end.real)
    s.known = now_;
  if (auto i = open_.find(f.id); i != open_.end() && f.end.failed) { // a probe that fails without having run is free
    auto& why = *f.end.failed;
    auto may_be_free = plan_.settings.groups[0].breaker.enabled && why.code == errc::connect_failed;
    auto waits = why.code == errc::rate_limited && i->second.rank == priority::batch;
    i->second.spent += !waits && !may_be_free;
    auto group = eras_.back().groups[s.model];
    auto& keys = eras_.back().credentials;
    auto key = static_cast<uint32_t>(std::find(keys.begin(), keys.end(), s.credential) - keys.begin());
    auto is_open = key == keys.size() // a reload has taken it
                   || subject_->lane_of(group, key).breaker().current(now_) != limits::circuit_breaker::state::closed;
    i->second.outages = is_open ? UINT64_MAX : outages(group);
  }
  if (!f.aborted && s.written)
    f.end.told = tell(s, f.end.real);
  auto end = subject_->end(f.attempt, f.end, now_);
  flight_of_.erase(f.attempt);
  f.attempt = 0;
  if (end.then == dispatcher::settlement::what::answer)
    answer(f.id);
}

uint64_t world::outages(uint32_t group) const {
  uint64_t result = 0;
  for (uint32_t key = 0; key < plan_.settings.keys; ++key)
    result += subject_->lane_of(group, key).breaker().openings();
  return result;
}

void world::answer(request_id id) {
  auto i = open_.find(id);
  if (i == open_.end())
    return wrong("a second answer");
  if (i->second.deadline)
    deadlines_.erase({*i->second.deadline, id});
  leave_line(i->second);
  open_.erase(i);
  ++answered_;
}

/// The process is killed, and another one starts with what the journal tells.
void world::kill() {
  ++restarts_;
  ++life_;
  for (auto& f : flights_)
    if (f.attempt != 0 && seen_[f.seen].ended > now_)
      (f.writes_at > now_ ? seen_[f.seen].written : seen_[f.seen].lived) = false;
  for (auto& x : seen_)
    if (x.known > journal_at_) // was not written down
      x.known = time_point::max();
  answered_ += open_.size();
  for (auto& x : open_)
    leave_line(x.second);
  open_.clear();
  deadlines_.clear();
  wake_ups_.clear();
  told_at_.clear();
  flight_of_.clear();
  auto down = random() < 0.5 ? random(10ms) : random(30s);
  now_ += down;
  subject_ = std::make_unique<dispatcher>(plan_.settings, random_());
  subject_->keep_journal(true);
  auto clock_step = random() < 0.1 ? -random(10min) : 0ns; // the system's clock was set back meanwhile
  subject_->restore(journal_, now_ - journal_at_ + clock_step, now_);
  std::vector<event> later;
  for (; !events_.empty(); events_.pop())
    if (auto x = events_.top(); x.what == arrival)
      later.push_back({std::max(x.at, now_), x.order, x.what, x.x});
  for (auto& x : later)
    events_.push(x);
  at(now_ + duration{static_cast<int64_t>(1e9 * std::exponential_distribution<>{plan_.restart_share}(random_))},
     kill_time);
}

/// Other settings come to force: models belong to other groups, keys come and go.
void world::reload() {
  auto& before = eras_.back();
  era after;
  after.from = now_;
  dispatcher::heritage of;
  auto groups_before = plan_.settings.groups.size();
  auto groups = 1 + random_() % 3;
  for (uint32_t model = 0; model < plan_.models; ++model)
    after.groups.push_back(random() < 0.5 ? before.groups[model] % groups : static_cast<uint32_t>(random_() % groups));
  std::vector<uint32_t> credentials = {0, 1, 2, 3};
  std::shuffle(credentials.begin(), credentials.end(), random_);
  credentials.resize(1 + random_() % 3);
  after.credentials = random() < 0.5 ? before.credentials : credentials;
  for (uint32_t group = 0; group < groups; ++group)
    of.groups.push_back(group < groups_before && random() < 0.8 ? std::optional{group} : std::nullopt);
  of.keys = after.credentials;
  of.group_of = [&](const std::string& model) { return after.groups.at(std::stoul(model.substr(6))); };
  of.same_server = random() < 0.8;
  plan_.settings.groups.resize(groups, plan_.settings.groups[0]);
  plan_.settings.keys = static_cast<uint32_t>(after.credentials.size());
  subject_->reconfigure(plan_.settings, of, now_);
  for (auto i = told_at_.begin(); i != told_at_.end();) {
    auto& was = before.credentials;
    auto& is = after.credentials;
    auto stays = of.same_server && std::count(was.begin(), was.end(), i->first.first) > 0
                 && std::count(is.begin(), is.end(), i->first.first) > 0;
    i = stays ? std::next(i) : told_at_.erase(i);
  }
  eras_.push_back(after);
  for (auto& [id, x] : open_) // breakers may have begun anew
    x.outages = UINT64_MAX;
  at(now_ + duration{static_cast<int64_t>(1e9 * std::exponential_distribution<>{plan_.reload_share}(random_))},
     reload_time);
}

// -- the oracle -----------------------------------------------------------------------

/// Whether each window stays within a limit; a model's, as far as answers have told it.
std::string world::check_windows(uint32_t credential, std::optional<uint32_t> era, const std::set<uint32_t>& models,
                                 std::size_t d, double limit) const {
  struct entry {
    time_point at;
    double amount;
    double excess; ///< What the answer brought beyond the estimate.
    const seen* of;
  };
  std::vector<entry> all;
  auto add = [&](const seen& x, time_point at, const limits::amounts& real, const limits::amounts& told) {
    auto amount = static_cast<double>(real[d]);
    if (amount > 0)
      all.push_back({at, amount, std::max(0.0, amount - static_cast<double>(told[d])), &x});
  };
  for (auto& x : seen_) {
    if (x.credential != credential || !x.written || models.count(x.model) == 0)
      continue;
    add(x, x.arrived, x.real.arriving, x.told.arriving);
    if (x.lived)
      add(x, x.ended, x.real.produced, x.told.produced);
  }
  std::sort(all.begin(), all.end(), [](auto& x, auto& y) { return x.at < y.at; });
  double sum = 0;
  std::size_t first = 0;
  auto window = plan_.settings.groups[0].limits.window;
  for (std::size_t i = 0; i < all.size(); ++i) {
    while (all[first].at <= all[i].at - window)
      ++first;
    sum = 0; // anew: absurd numbers leave rounding errors
    for (auto j = first; j <= i; ++j)
      sum += all[j].amount;
    if (sum <= limit)
      continue;
    // Only what could not be known when the last of them was sent may exceed the limit, and what was guessed to take
    // more than all of it, and went alone.
    const seen* last = nullptr;
    auto allowed = limit;
    for (auto j = first; j <= i; ++j)
      if (auto told = static_cast<double>(all[j].of->told.total()[d]); told > 0) {
        if (last == nullptr || all[j].of->dispatched > last->dispatched)
          last = all[j].of;
        if (told > limit)
          allowed = std::max(allowed, told + (all[j].of->told.produced[d] > 0 ? limit / 2 : 0));
      }
    auto is_judged = last != nullptr && (era ? last->era == *era : last->limits_known);
    if (!is_judged)
      continue;
    double unknown = 0;
    for (auto j = first; j <= i; ++j)
      if (last == nullptr || all[j].of->known > last->dispatched)
        unknown += all[j].excess;
    if (sum > allowed + unknown + 1e-6 * sum + 1e-6) {
      std::ostringstream out;
      out << "credential " << credential << ", model " << *models.begin()
          << (models.size() > 1 ? " and others"
              : era             ? ""
                                : ", by what was told")
          << ": " << sum << " " << limits::dimension_names[d] << " in a window that allows " << limit << " (and "
          << unknown << " that were not known yet), up to " << seconds(all[i].at - begin_) << " s";
      return out.str();
    }
  }
  return {};
}

/// Whether, by the settings of the moment, no model's sending lets its group exceed what it may on a credential,
/// whatever the settings were when the others of the window were sent.
std::string world::check_eras() const {
  auto& limits = plan_.settings.groups[0].limits;
  for (uint32_t number = 0; number < eras_.size(); ++number) {
    auto& era = eras_[number];
    std::map<uint32_t, std::set<uint32_t>> groups;
    for (uint32_t model = 0; model < era.groups.size(); ++model)
      groups[era.groups[model]].insert(model);
    for (auto credential : era.credentials)
      for (auto& [group, models] : groups)
        for (std::size_t d = 0; d < 4; ++d) {
          if (!limits.per_minute[d])
            continue;
          auto limit = std::floor(static_cast<double>(*limits.per_minute[d]) * seconds(limits.window) / 60);
          if (auto problem = check_windows(credential, number, models, d, std::max(1.0, limit)); !problem.empty())
            return problem + (number > 0 ? ", by settings number " + std::to_string(number) : "");
        }
  }
  return {};
}

std::string world::check() const {
  if (!wrong_.empty())
    return wrong_;
  if (answered_ != asked_)
    return std::to_string(asked_) + " asked, " + std::to_string(answered_) + " answered";
  std::ostringstream out;
  if (auto problem = check_eras(); !problem.empty())
    return problem;
  std::set<uint32_t> credentials;
  for (auto& x : eras_)
    credentials.insert(x.credentials.begin(), x.credentials.end());
  if (plan_.lie_share == 0 && restarts_ == 0)
    for (auto credential : credentials)
      for (std::size_t d = 0; d < 4; ++d)
        for (uint32_t model = 0; model < plan_.model_limits.size(); ++model)
          if (auto limit = plan_.model_limits[model][d])
            if (auto problem = check_windows(credential, {}, {model}, d, static_cast<double>(*limit)); !problem.empty())
              return problem;
  // retries
  if (restarts_ == 0) {
    std::vector<std::pair<time_point, bool>> sent;
    for (auto& x : seen_)
      if (!x.exempt)
        sent.push_back({x.dispatched, x.retry});
    std::size_t first = 0;
    double firsts = 0, retries = 0;
    for (auto& [when, retry] : sent) {
      (retry ? retries : firsts) += 1;
      while (sent[first].first <= when - 10s)
        (sent[first++].second ? retries : firsts) -= 1;
      if (retry && retries > 0.2 * firsts + 10 + 1e-6) {
        out << retries << " retries within 10 s of " << firsts << " first attempts, at " << seconds(when - begin_)
            << " s";
        return out.str();
      }
    }
  }
  return {};
}

double world::use(limits::dimension d) const {
  auto& limits = plan_.settings.groups[0].limits;
  auto i = static_cast<std::size_t>(d);
  auto limit = std::floor(static_cast<double>(*limits.per_minute[i]) * seconds(limits.window) / 60);
  auto from = begin_ + limits.window + plan_.network;
  auto until = begin_ + plan_.length;
  double sum = 0;
  for (auto& x : seen_)
    if (x.arrived >= from && x.arrived < until)
      sum += static_cast<double>(x.real.total()[i]);
  return sum / (limit * plan_.settings.keys * (seconds(until - from) / seconds(limits.window)));
}

} // namespace modelforge::test
