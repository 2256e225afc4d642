#include "batch/figures.hpp"

#include <algorithm>
#include <utility>

namespace modelforge::batch {

void figures::load(const ledger_summary& known, const std::string& ledger_path, uint64_t retried) {
  report_.ledger = ledger_path;
  report_.answered = known.ok;
  report_.failed = known.failed - retried;
  report_.flawed = known.flawed;
  report_.resumed = known.ok + report_.failed;
  retried_ = retried;
  total_ = known.total;
}

void figures::warn(std::string text) {
  auto& all = report_.warnings;
  if (std::find(all.begin(), all.end(), text) == all.end())
    all.push_back(std::move(text));
}

void figures::on_result(const std::variant<completion, failure>& outcome) {
  if (auto* why = std::get_if<failure>(&outcome); why != nullptr && !report_.first_failure)
    report_.first_failure = *why;
  if (auto* answer = std::get_if<completion>(&outcome); answer != nullptr && answer->flaw == answer_flaw::unclear)
    note_unclear(*answer);
}

/// Names the finish reasons that nobody knows, as far as they are few.
void figures::note_unclear(const completion& answer) {
  constexpr std::size_t max_warnings = 20;
  if (report_.warnings.size() < max_warnings)
    warn(flaw_text(answer));
}

void figures::on_recorded(uint64_t number, const std::variant<completion, failure>& outcome, const item_origin& origin,
                          bool retried) {
  if (retried)
    replaced_.push_back(number);
  costs_.add(number, origin.provider, outcome, origin.estimated, origin.by_job, origin.live_factor);
}

void figures::on_kept(const recorder_news& news) {
  for (; !replaced_.empty() && replaced_.front() <= news.kept; replaced_.pop_front())
    --retried_;
  report_.answered = news.ok;
  report_.failed = news.failed - std::min(news.failed, retried_);
  report_.flawed = news.flawed;
  costs_.keep(news.kept);
  if (news.finished)
    report_.results = news.place;
}

batch_progress figures::progress(time_point now) const {
  auto sum = costs_.total();
  batch_progress result;
  result.answered = report_.answered;
  result.failed = report_.failed;
  result.resumed = report_.resumed;
  result.flawed = report_.flawed;
  result.total = total_;
  result.usage = sum.usage;
  result.cost = sum.cost;
  result.unpriced = sum.unpriced;
  result.warnings = report_.warnings;
  result.elapsed = now - begin_;
  return result;
}

batch_report figures::report(time_point now) const {
  auto result = report_;
  result.shares = costs_.shares();
  result.attempts = costs_.total().attempts;
  result.elapsed = now - begin_;
  return result;
}

} // namespace modelforge::batch
