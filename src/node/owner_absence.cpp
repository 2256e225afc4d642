#include "node/owner_absence.hpp"

#include <utility>

namespace modelforge::node {

namespace {

std::string suggestion_for(const pending_calls::end& end) {
  if (end.attempts > 0 && end.code != errc::deadline_exceeded)
    return "the provider may have answered, and charged for it; ask again if that does no harm";
  return end.code == errc::node_lost ? "calls reach it again by themselves when the node is back" : "";
}

} // namespace

owner_absence::owner_absence(std::string owner, uint32_t max_attempts, time_point now)
  : owner_(std::move(owner)), max_attempts_(max_attempts), since_(now) {}

void owner_absence::on_found() {
  refusal_.reset();
  problem_.clear();
}

void owner_absence::on_lost(std::string why, time_point now) {
  problem_ = std::move(why);
  since_ = now;
}

void owner_absence::on_unreachable(std::string why, bool was_there, time_point now) {
  ++turn_;
  refusal_.reset();
  problem_ = std::move(why);
  if (was_there)
    since_ = now;
}

void owner_absence::on_refusal(failure why) {
  ++turn_;
  problem_ = why.message;
  refusal_ = std::move(why);
}

failure owner_absence::explain(const pending_calls::end& end, const pending_calls& calls) const {
  if (end.code == errc::node_lost && end.attempts == 0 && refusal_)
    return *refusal_;
  return make_failure(end.code, describe(end, calls), suggestion_for(end));
}

std::string owner_absence::describe(const pending_calls::end& end, const pending_calls& calls) const {
  auto which = "node " + owner_ + ", which runs the provider,";
  switch (end.code) {
    case errc::outcome_unknown:
      return which + " was lost while it had the request";
    case errc::deadline_exceeded:
      return "the deadline passed; " + which
             + (calls.is_resting()   ? " takes nothing new"
                : calls.owner() == 0 ? " cannot be reached"
                : end.owner == 0     ? " is reached by a link that has more to carry than it can"
                                     : " gave no answer");
    default:
      return which
             + (end.attempts == 0 ? " cannot be reached"
                : end.attempts >= max_attempts_
                  ? " was lost while it had the request, and no attempt is left (max_attempts)"
                  : " was lost while it had the request, and is not back")
             + reason();
  }
}

std::string owner_absence::describe(const pending_calls& calls) const {
  if (refusal_)
    return refusal_->message;
  return "node " + owner_ + ", which runs it, "
         + (calls.is_resting() ? "takes nothing new: it ends, or replaces the provider" : "cannot be reached")
         + reason();
}

} // namespace modelforge::node
