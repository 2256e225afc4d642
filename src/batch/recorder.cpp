#include "batch/recorder.hpp"

#include <pthread.h>
#include <signal.h>

#include <utility>

namespace modelforge::batch {

namespace {

/// A result as the ledger keeps it: its line for the output, and what sums and reports are made of.
ledger_result result_of(const record& result) {
  ledger_result to;
  to.item = result.item;
  if (auto* answer = std::get_if<completion>(&result.outcome)) {
    to.ok = true;
    to.flaw = answer->flaw;
    to.attempts = answer->attempts.size();
    to.usage = answer->usage.value_or(token_usage{});
    to.cost = answer->cost;
    to.provider = answer->provider;
  } else {
    auto& why = std::get<failure>(result.outcome);
    to.attempts = why.attempts.size();
    to.usage = why.usage.value_or(token_usage{});
    to.cost = why.cost;
    to.provider = why.provider;
  }
  to.input_sum = result.input_sum;
  to.line = result_line(result.item, result.custom_id, result.outcome, result.body);
  return to;
}

} // namespace

recorder::recorder(std::unique_ptr<ledger> book, std::unique_ptr<sink> out, bool by_arrival,
                   std::function<void(const recorder_news&)> tell)
  : book_(std::move(book)), out_(std::move(out)), by_arrival_(by_arrival), tell_(std::move(tell)) {
  sigset_t all{}, before{}; // signals are the host's
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  thread_ = std::thread{[this] { run(); }};
  pthread_setname_np(thread_.native_handle(), "modelforge-file");
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

recorder::~recorder() {
  {
    std::lock_guard lock{mutex_};
    closing_ = true;
  }
  wake_.notify_one();
  thread_.join();
}

void recorder::add(record result) {
  std::lock_guard lock{mutex_};
  inbox_.emplace_back(std::move(result));
  if (inbox_.size() == 1)
    wake_.notify_one();
}

void recorder::note(ledger_event event) {
  std::lock_guard lock{mutex_};
  inbox_.emplace_back(std::move(event));
  wake_.notify_one();
}

void recorder::finish(bool complete) {
  std::lock_guard lock{mutex_};
  complete_ = complete;
  wake_.notify_one();
}

// The thread takes all that has come meanwhile as one group, which one sync makes safe: so a slow disk makes groups
// larger, and not the batch slower. The end is reported once, behind the last group; an object that closes without one
// leaves the rest.
void recorder::run() {
  std::unique_lock lock{mutex_};
  for (;;) {
    auto leaving = [this] { return closing_ || complete_; };
    wake_.wait(lock, [&] { return leaving() || !inbox_.empty(); });
    auto group = std::exchange(inbox_, {});
    auto last = complete_;
    auto closing = closing_;
    lock.unlock();
    if (keep(group) && !last && !closing)
      report(false);
    if (last && !closing) {
      if (!news_.problem && book_)
        news_.problem = book_->seal();
      if (!news_.problem) {
        news_.problem = write_output(*last);
        news_.place = out_->place();
      }
      report(true);
    }
    if (last || closing)
      return;
    lock.lock();
  }
}

/// Returns whether there is news.
bool recorder::keep(std::vector<task>& group) {
  if (group.empty() || news_.problem)
    return false;
  auto before = news_;
  for (auto& one : group)
    if (!news_.problem)
      news_.problem = take(one);
  if (!news_.problem)
    news_.problem = book_ ? book_->sync() : out_->flush();
  if (news_.problem) { // what was written may not have left this process
    news_.ok = before.ok;
    news_.failed = before.failed;
    news_.flawed = before.flawed;
    return true;
  }
  news_.kept += group.size();
  return true;
}

std::optional<failure> recorder::take(task& given) {
  if (auto* event = std::get_if<ledger_event>(&given))
    return book_ ? book_->note(*event) : std::nullopt;
  auto& result = std::get<record>(given);
  if (book_)
    return book_->add(result_of(result));
  if (by_arrival_)
    return write(result);
  waiting_.emplace(result.item, std::move(result));
  std::optional<failure> problem;
  for (auto i = waiting_.begin(); i != waiting_.end() && i->first == next_ && !problem; i = waiting_.erase(i), ++next_)
    problem = write(i->second);
  return problem;
}

std::optional<failure> recorder::write(const record& result) {
  ++(result.outcome.index() == 0 ? news_.ok : news_.failed);
  if (auto* answer = std::get_if<completion>(&result.outcome))
    news_.flawed.add(answer->flaw);
  return out_->write(result_line(result.item, result.custom_id, result.outcome, result.body));
}

std::optional<failure> recorder::write_output(bool complete) {
  std::optional<failure> problem;
  if (book_)
    problem = book_->for_each_line(by_arrival_, [this](std::string_view line) { return out_->write(line); });
  for (auto i = waiting_.begin(); i != waiting_.end() && !problem; ++i)
    problem = write(i->second);
  waiting_.clear();
  auto unfinished = out_->finish(complete && !problem);
  return problem ? problem : unfinished;
}

void recorder::report(bool finished) {
  if (book_) {
    news_.ok = book_->summary().ok;
    news_.failed = book_->summary().failed;
    news_.flawed = book_->summary().flawed;
  }
  news_.finished = finished;
  auto kept = news_;
  kept.kept -= waiting_.size() * !book_;
  tell_(kept);
}

} // namespace modelforge::batch
