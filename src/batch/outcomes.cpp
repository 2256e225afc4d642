#include "batch/outcomes.hpp"

#include "wire/openai/format.hpp"

namespace modelforge::batch {

void outcomes::load(const ledger& known, const std::string& ledger_path, bool retry_failed) {
  auto& summary = known.summary();
  for (uint64_t i = 0; i < known.known(); ++i)
    if (auto state = known.of(i); state == ledger::state::failed && retry_failed)
      states_.begin_retry(i);
    else if (state != ledger::state::missing)
      states_.set(i, item_state::done);
  figures_.load(summary, ledger_path, retry_failed ? summary.failed : 0);
  for (auto& [nonce, job] : summary.jobs)
    for (auto [first, last] : known.unanswered(job))
      for (auto i = first; i <= last; ++i) {
        // A job that tries an item again that had failed: its answer is wanted, whatever is asked for now.
        if (known.of(i) == ledger::state::failed && states_.begin_retry(i))
          figures_.retry();
        states_.set(i, item_state::held);
      }
}

std::optional<step> outcomes::next_step() {
  if (steps_.empty())
    return {};
  auto next = std::move(steps_.front());
  steps_.pop_front();
  return next;
}

void outcomes::record(uint64_t index, std::string custom_id, std::variant<completion, failure> outcome,
                      const item_origin& origin, std::string body) {
  figures_.on_result(outcome);
  states_.set(index, item_state::done);
  if (commits_.closed())
    return;
  figures_.on_recorded(commits_.give(), outcome, origin, states_.end_retry(index));
  auto sum = index < sums_.size() ? sums_[index] : 0;
  auto* answer = std::get_if<completion>(&outcome);
  if (answer != nullptr && body.empty() && states_.is_response(index))
    body = wire::openai::write_response(*answer);
  push(batch::record{index, std::move(custom_id), std::move(outcome), sum, std::move(body)});
}

void outcomes::give_back(uint64_t index, bool keep_live) {
  states_.set(index, item_state::returned);
  if (keep_live)
    states_.keep_live(index);
}

void outcomes::note(ledger_event event) {
  commits_.give();
  push(std::move(event));
}

void outcomes::on_kept(const recorder_news& news) {
  commits_.keep(news.kept);
  figures_.on_kept(news);
  if (news.problem)
    commits_.close();
}

} // namespace modelforge::batch
