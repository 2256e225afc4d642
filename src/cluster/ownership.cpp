#include "cluster/ownership.hpp"

#include "cluster/preference.hpp"

#include <algorithm>
#include <utility>

namespace modelforge::cluster {

namespace {

constexpr std::chrono::seconds least_ttl{3};
constexpr duration poll_unwatched = std::chrono::milliseconds{250};
constexpr std::string_view not_possible = "the store tells what cannot be: it has lost what it knew, or is another one";

bool is_about_lease(const question& what) {
  return std::holds_alternative<grant_lease>(what) || std::holds_alternative<renew_lease>(what);
}

/// The lease that a question was asked under; 0: none.
lease_id lease_of(const question& what) {
  if (auto* renewal = std::get_if<renew_lease>(&what))
    return renewal->lease;
  if (auto* wish = std::get_if<acquire>(&what))
    return wish->lease;
  if (auto* wish = std::get_if<claim>(&what))
    return wish->lease;
  auto* end = std::get_if<revoke_lease>(&what);
  return end != nullptr ? end->lease : 0;
}

} // namespace

ownership::ownership(ownership_settings settings, time_point now, uint64_t seed)
  : settings_(std::move(settings)), random_(seed),
    lease_(std::max(settings_.ttl, least_ttl) - std::chrono::seconds{1}, now),
    record_pace_(lease_.third() / 2, lease_.third() / 2), watch_pace_(lease_.third() / 2, lease_.third()) {
  standing_.since = now;
}

// -- what is to be done -------------------------------------------------------------

// First of all that which keeps two nodes from dispatching: a process that was stopped comes here first.
std::optional<ownership::step> ownership::next(time_point now) {
  consider_hand_back(now);
  if (auto service = judge_service(now))
    return service;
  if (!standing_.ending || tenure_.epoch != 0)
    if (auto wanted = lease_.wanted(now)) {
      lease_.asked(now);
      return ask_now(*wanted, now);
    }
  if (auto best = record_plan(); best.at <= now) {
    record_pace_.asked(now);
    if (std::holds_alternative<look>(best.what)) {
      look_soon_ = false;
      looked_ = now;
    }
    if (tenure_.is_ceded)
      given_up_ = std::max(given_up_, tenure_.epoch);
    return ask_now(std::move(best.what), now);
  }
  if (!is_watched_ && !standing_.ending && watch_pace_.due() <= now) {
    watch_pace_.asked(now);
    return watch{};
  }
  return {};
}

std::optional<time_point> ownership::may_serve(time_point now) const {
  if (tenure_.epoch == 0 || tenure_.is_doubted || tenure_.is_ceded || !lease_.is_good(now))
    return {};
  return lease_.good_until();
}

std::optional<ownership::step> ownership::judge_service(time_point now) {
  auto until = may_serve(now);
  if (told_ && (!until || told_->epoch != tenure_.epoch)) {
    auto why = told_->epoch != tenure_.epoch ? ended_
               : tenure_.is_ceded            ? reason::handed_over
               : tenure_.is_doubted          ? reason::displaced
                                             : reason::late;
    return stop{std::exchange(told_, {})->epoch, why};
  }
  if (!until || (told_ && told_->until == *until))
    return {};
  told_ = serve{tenure_.epoch, *until};
  return *told_;
}

ownership::ask ownership::ask_now(question what, time_point now) {
  return {questions_.add(what, sight_.newest(), now), what};
}

void ownership::prefer(plan& best, time_point at, question what) const {
  at = std::max(at, record_pace_.due());
  if (at < best.at)
    best = {at, std::move(what)};
}

ownership::plan ownership::record_plan() const {
  plan best;
  if (tenure_.epoch != 0 && tenure_.is_ceded) {
    if (standing_.ending)
      prefer(best, tenure_.cede_at, revoke_lease{lease_.id()});
    else
      prefer(best, tenure_.cede_at, give_up{tenure_.epoch, tenure_.placed});
  } else if (standing_.ending) {
    if (lease_.id() != 0)
      prefer(best, time_point::min(), revoke_lease{lease_.id()});
    return best;
  }
  if (tenure_.is_ceded && tenure_.epoch > given_up_)
    return best;
  auto asks_often = !is_watched_ && tenure_.epoch == 0;
  prefer(best, look_soon_ ? time_point::min() : looked_ + (asks_often ? poll_unwatched : lease_.third()), look{});
  if (auto other = standby_plan(); other.at < best.at)
    best = std::move(other);
  return best;
}

ownership::plan ownership::standby_plan() const {
  plan best;
  if (look_soon_ || !standing_.entered || tenure_.epoch != 0 || lease_.id() == 0)
    return best;
  auto& view = sight_.view();
  if (auto since = sight_.free_since())
    prefer(best, *since + wait_of(rank(settings_.node), settings_.nodes.size()), acquire{lease_.id()});
  else if (view.owner && settings_.hand_back_after && rank(settings_.node) < rank(view.owner->node)
           && !sight_.has_claim(settings_.node))
    prefer(best, standing_.since + *settings_.hand_back_after, claim{lease_.id(), view.owner->created});
  if (std::holds_alternative<claim>(best.what) && best.at >= lease_.good_until())
    return {}; // it is not well
  return best;
}

time_point ownership::wake_at() const {
  auto result = record_plan().at;
  if (!standing_.ending || tenure_.epoch != 0)
    result = std::min(result, lease_.wake_at());
  if (told_)
    result = std::min(result, told_->until);
  if (!is_watched_ && !standing_.ending)
    result = std::min(result, watch_pace_.due());
  if (tenure_.epoch != 0 && !tenure_.is_ceded && is_claimed())
    result = std::min(result, hand_back_from_);
  return result;
}

// -- what happens -------------------------------------------------------------------

void ownership::on_answer(question_id id, const answer& told, time_point now) {
  auto asked = questions_.take(id);
  if (!asked)
    return;
  std::visit([&](auto& x) { take(*asked, x, now); }, told);
}

void ownership::take(const outstanding::entry& asked, const lease_granted& told, time_point now) {
  if (!std::holds_alternative<grant_lease>(asked.what) || !sight_.note(told.at, asked.newest)
      || !lease_.granted(told, asked.sent, now))
    return fail(asked, std::string{not_possible}, true, now);
  problem_.clear();
  standing_.since = now;
}

void ownership::take(const outstanding::entry& asked, const lease_renewed& told, time_point now) {
  auto* renewal = std::get_if<renew_lease>(&asked.what);
  if (renewal == nullptr)
    return fail(asked, std::string{not_possible}, true, now);
  if (renewal->lease != lease_.id())
    return;
  if (told.ttl.count() == 0)
    return lose_lease(now);
  auto was_good = lease_.is_good(now);
  if (!lease_.renewed(told, asked.sent, now))
    return fail(asked, std::string{not_possible}, true, now);
  problem_.clear();
  if (!was_good)
    standing_.since = now;
}

void ownership::take(const outstanding::entry& asked, const acquired& told, time_point now) {
  auto* wish = std::get_if<acquire>(&asked.what);
  if (wish == nullptr)
    return fail(asked, std::string{not_possible}, true, now);
  look_soon_ = true;
  auto view = sight_.view();
  view.at = told.epoch;
  view.owner = owner_record{settings_.node, wish->lease, told.epoch};
  learn(asked, std::move(view), now);
}

void ownership::take(const outstanding::entry& asked, const changed& told, time_point now) {
  if (!sight_.note(told.at, asked.newest))
    return fail(asked, std::string{not_possible}, true, now);
  record_pace_.answered(now);
  look_soon_ = true;
  if (std::holds_alternative<revoke_lease>(asked.what)) {
    if (lease_of(asked.what) == lease_.id())
      lose_lease(now);
  } else if (auto* gone = std::get_if<give_up>(&asked.what)) {
    auto view = sight_.view();
    view.at = told.at;
    view.owner.reset();
    view.placed = gone->placed.value_or(view.placed);
    learn(asked, std::move(view), now);
  }
}

void ownership::take(const outstanding::entry& asked, const seen& told, time_point now) {
  if (is_about_lease(asked.what))
    return fail(asked, std::string{not_possible}, true, now);
  learn(asked, told.view, now);
}

void ownership::take(const outstanding::entry& asked, const no_answer& told, time_point now) {
  auto hurry = told.why != no_answer::reason::refused;
  if (told.why != no_answer::reason::lease_gone)
    return fail(asked, told.text, hurry, now);
  auto lease = lease_of(asked.what);
  if (lease != 0 && lease == lease_.id())
    lose_lease(now);
  if (!is_about_lease(asked.what))
    record_pace_.answered(now);
}

// Whatever it was, it may have been carried out, or may be yet.
void ownership::fail(const outstanding::entry& asked, std::string why, bool hurry, time_point now) {
  problem_ = why.empty() ? "the store gives no answer" : std::move(why);
  if (is_about_lease(asked.what)) {
    lease_.failed(now, random_, hurry);
  } else {
    record_pace_.failed(now, random_, hurry);
    look_soon_ = true;
  }
}

// What cannot be stops the service, too: nobody knows what else that store does.
void ownership::learn(const outstanding::entry& asked, store_view told, time_point now) {
  auto value = sight_.learn(std::move(told), asked.newest, now);
  if (value == sight::value::wrong) {
    tenure_.is_doubted = true;
    return fail(asked, std::string{not_possible}, false, now);
  }
  record_pace_.answered(now);
  problem_.clear();
  if (value == sight::value::news)
    settle();
}

/// Sees whether the owner's record is ours. What is under our lease is, whenever it was made: nobody else has that.
void ownership::settle() {
  auto& owner = sight_.view().owner;
  auto is_ours = owner && lease_.id() != 0 && owner->lease == lease_.id();
  if (tenure_.epoch != 0 && (!is_ours || owner->created != tenure_.epoch))
    end_tenure(tenure_.is_ceded ? reason::handed_over : reason::displaced);
  if (is_ours && tenure_.epoch == 0) {
    tenure_.epoch = owner->created;
    tenure_.is_ceded = owner->created <= given_up_;
  }
  tenure_.is_doubted = false;
}

void ownership::lose_lease(time_point now) {
  lease_.lost(now);
  look_soon_ = true;
  standing_.since = now;
  if (tenure_.epoch != 0)
    end_tenure(reason::lease_lost);
}

void ownership::end_tenure(reason why) {
  tenure_ = {};
  ended_ = why;
}

void ownership::on_watch(time_point now) {
  watch_pace_.answered(now);
  is_watched_ = true;
  look_soon_ = true; // what changed before
}

void ownership::on_watch_end(time_point now) {
  watch_pace_.failed(now, random_);
  is_watched_ = false;
}

// -- what is wanted -----------------------------------------------------------------

bool ownership::move(const std::string& to, time_point now) {
  if (tenure_.epoch == 0 || tenure_.is_ceded || to == settings_.node || rank(to) == settings_.nodes.size())
    return false;
  cede(to, now);
  return true;
}

void ownership::handed_over(time_point now) {
  if (tenure_.is_ceded)
    tenure_.cede_at = std::min(tenure_.cede_at, now);
}

void ownership::cede(std::optional<std::string> placed, time_point now) {
  tenure_.is_ceded = true;
  tenure_.cede_at = told_ ? now + hand_over_time : now;
  tenure_.placed = std::move(placed);
}

// One that claimed the provider and did not take it is not believed again for a while.
void ownership::consider_hand_back(time_point now) {
  if (tenure_.epoch == 0 || tenure_.is_ceded)
    return;
  if (!standing_.entered)
    return cede({}, now);
  if (now < hand_back_from_ || !is_claimed())
    return;
  hand_back_from_ = now + std::max<duration>(settings_.hand_back_after.value_or(duration{0}), settings_.ttl);
  cede({}, now);
}

/// Whether a node that is preferred to this one asks for the provider.
bool ownership::is_claimed() const {
  auto& claims = sight_.view().claims;
  return std::any_of(claims.begin(), claims.end(), [&](const claim_record& x) {
    return x.epoch == tenure_.epoch && rank(x.node) < rank(settings_.node);
  });
}

std::size_t ownership::rank(const std::string& node) const {
  return rank_of(node, settings_.nodes, sight_.view().placed);
}

} // namespace modelforge::cluster
