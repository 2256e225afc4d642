#include "tests/batch/oracle.hpp"

#include <algorithm>
#include <cstdlib>
#include <utility>

namespace modelforge::test {

namespace {

/// What stands behind a member's name; the ledger's own texts and numbers need no more to be read.
std::string_view behind(std::string_view line, const std::string& name) {
  auto at = line.find('"' + name + "\":");
  return at == line.npos ? std::string_view{} : line.substr(at + name.size() + 3);
}

std::string text_of(std::string_view line, const std::string& name) {
  auto rest = behind(line, name);
  return rest.empty() ? std::string{} : std::string{rest.substr(1, rest.find('"', 1) - 1)};
}

uint64_t number_of(std::string_view line, const std::string& name) {
  return std::strtoull(std::string{behind(line, name).substr(0, 20)}.c_str(), nullptr, 10);
}

std::vector<uint64_t> items_in(std::string_view line) {
  auto rest = std::string{behind(line, "items")};
  std::vector<uint64_t> ends;
  for (auto* at = rest.c_str(); *at != '\0' && !(at[0] == ']' && at[1] == ']');)
    if (*at >= '0' && *at <= '9') {
      char* end = nullptr;
      ends.push_back(std::strtoull(at, &end, 10));
      at = end;
    } else {
      ++at;
    }
  std::vector<uint64_t> items;
  for (std::size_t i = 0; i + 1 < ends.size(); i += 2)
    for (auto item = ends[i]; item <= ends[i + 1]; ++item)
      items.push_back(item);
  return items;
}

} // namespace

batch_oracle::batch_oracle(std::vector<std::optional<std::string>> models) {
  for (auto& model : models)
    lines_.emplace_back().model = std::move(model);
}

void batch_oracle::fail(const std::string& what) {
  if (wrong_.empty())
    wrong_ = what;
}

std::string batch_oracle::name(uint64_t item) const {
  return "item " + std::to_string(item);
}

batch_oracle::text batch_oracle::read(std::string_view ledger) {
  text x;
  for (std::size_t number = 0;; ++number) {
    auto end = ledger.find('\n');
    if (end == ledger.npos || !ledger.starts_with("{\"sum\":"))
      return x;
    auto line = ledger.substr(0, end);
    auto event = text_of(line, "event");
    if (event == "result")
      x.results[number_of(line, "item")] = {text_of(line, "state") == "ok" ? verdict::ok : verdict::failed, number};
    else if (event == "intent")
      x.intents[text_of(line, "nonce")] = {text_of(line, "provider"), items_in(line), number};
    else if (event == "job_end")
      x.intents.erase(text_of(line, "nonce"));
    ledger.remove_prefix(end + 1);
  }
}

void batch_oracle::begin(const run& x, std::string_view ledger) {
  run_ = x;
  withdrawn_ = false;
  given_ = 0;
  in_flight_ = 0;
  due_.clear();
  failed_.clear();
  open_.clear();
  auto left = read(ledger);
  for (uint64_t i = 0; i < lines_.size(); ++i) {
    auto& line = lines_[i];
    auto found = left.results.find(i);
    if (line.safe && x.has_ledger && found == left.results.end())
      fail(name(i) + " counted, and is gone");
    line.safe = found == left.results.end() ? std::nullopt : std::optional{found->second.first};
    line.again = false;
    line.at_start = line.safe;
    line.in_flight = false;
    line.failed_at.clear();
    line.met_outage = false;
    line.job.clear();
    line.due.reset();
    line.given.reset();
  }
  for (auto& [nonce, job] : jobs_)
    job.asked = false;
  for (auto& [nonce, intent] : left.intents) {
    auto& job = jobs_[nonce];
    job.provider = intent.provider;
    job.items = intent.items;
    for (auto item : intent.items) {
      auto result = left.results.find(item);
      auto is_done =
        result != left.results.end() && (result->second.first == verdict::ok || result->second.second > intent.line);
      if (is_done) // by this very job, if it failed
        continue;
      if (!lines_[item].job.empty())
        fail(name(item) + " is in two jobs");
      lines_[item].job = nonce;
      lines_[item].again = result != left.results.end();
    }
    open_.insert(nonce);
  }
}

void batch_oracle::end() {
  withdrawn_ = false;
}

/// Whether an item may be given to somebody now.
void batch_oracle::check_free(uint64_t item, const std::string& what) {
  if (item >= lines_.size())
    return fail("an item that the input does not have is sent");
  auto& line = lines_[item];
  auto problem = name(item) + " " + what;
  if (withdrawn_)
    fail(problem + " after the end was asked for");
  if (run_.cancel_jobs)
    fail(problem + ", though jobs are only to be cancelled");
  if (!line.model)
    fail(problem + ", though its line cannot be read");
  if (line.in_flight)
    fail(problem + " while it is in flight");
  if (!line.job.empty())
    fail(problem + " while the job " + line.job + " has it");
  if (line.given || line.due)
    fail(problem + ", though it has a result");
  if (line.safe == verdict::ok)
    fail(problem + ", though it has been answered");
  if (line.safe == verdict::failed && !run_.retry_failed && !line.again)
    fail(problem + ", though it has failed, and nobody asked for it again");
}

// -- what is asked ------------------------------------------------------------------------

void batch_oracle::on_read(uint64_t in_flight, uint64_t bound, uint64_t unsafe, uint64_t max_unsafe) {
  if (withdrawn_)
    fail("the input is read after the end was asked for");
  if (in_flight >= bound)
    fail("more is read with " + std::to_string(in_flight) + " in flight");
  if (unsafe >= max_unsafe)
    fail("more is read with " + std::to_string(unsafe) + " results that are not safe");
}

void batch_oracle::on_sent(uint64_t item, std::size_t provider) {
  check_free(item, "is sent");
  if (!wrong_.empty())
    return;
  auto& line = lines_[item];
  if (line.failed_at.contains(provider) && !line.met_outage)
    fail(name(item) + " is sent to a provider again that failed at it");
  failed_.erase(item);
  line.in_flight = true;
  ++in_flight_;
}

void batch_oracle::on_job_asked(const batch_job_request& request, const std::string& provider,
                                std::string_view synced) {
  auto& nonce = request.nonce;
  auto is_new = request.start == batch_job_start::create;
  if (is_new && jobs_.contains(nonce))
    return fail("the job " + nonce + " is asked for twice");
  auto& job = jobs_[nonce];
  if (!is_new && !open_.contains(nonce))
    fail("a job is looked for that is over, or never was");
  if (!is_new && job.asked)
    fail("the job " + nonce + " is taken up twice");
  job.asked = true;
  if (request.cancel != run_.cancel_jobs)
    fail("a job is not cancelled, or without being asked");
  if (std::find(request.others.begin(), request.others.end(), job.id) != request.others.end() && !job.id.empty())
    fail("a job is among the others");
  if (!is_new) {
    if (request.start == batch_job_start::attach && request.job != job.id)
      fail("a job has another's id");
    if (job.provider != provider)
      fail("a job is looked for at another provider");
    return;
  }
  auto at = synced.rfind("\"nonce\":\"" + nonce + '"');
  if (at == synced.npos)
    return fail("a job is asked for ahead of its intent");
  auto begin = synced.rfind('\n', at) + 1;
  auto intent = synced.substr(begin, synced.find('\n', begin) - begin);
  if (text_of(intent, "event") != "intent")
    return fail("a job is asked for that is in the ledger already");
  job.provider = provider;
  for (auto& item : request.items)
    job.items.push_back(item.number);
  if (job.items != items_in(intent) || provider != text_of(intent, "provider"))
    fail("the ledger has other items or another provider for a job");
  if (job.items.empty() || job.items.size() > run_.job_items)
    fail("a job has " + std::to_string(job.items.size()) + " items");
  open_.insert(nonce);
  if (open_.size() > run_.max_jobs)
    fail("there are too many jobs");
  for (auto item : job.items) {
    check_free(item, "goes into a job");
    if (!wrong_.empty())
      return;
    if (lines_[item].model != request.model)
      fail("a job is for another model");
    lines_[item].job = nonce;
    lines_[item].again = lines_[item].safe.has_value();
  }
}

// -- what comes of it ---------------------------------------------------------------------

void batch_oracle::on_provider_failure(uint64_t item, std::size_t provider) {
  auto& line = lines_[item];
  line.in_flight = false;
  --in_flight_;
  line.failed_at.insert(provider);
  line.came_of.clear();
  if (!line.met_outage)
    failed_.insert(item);
}

void batch_oracle::on_outage(uint64_t item, std::size_t provider) {
  on_provider_failure(item, provider);
  lines_[item].met_outage = true;
  failed_.erase(item);
}

void batch_oracle::on_live_end(uint64_t item, std::optional<verdict> result) {
  auto& line = lines_[item];
  line.in_flight = false;
  --in_flight_;
  if (!result)
    return;
  line.due = result;
  line.came_of.clear();
  due_.insert(item);
}

void batch_oracle::on_job_named(const std::string& nonce, const std::string& id) {
  jobs_.at(nonce).id = id;
}

void batch_oracle::on_job_result(const std::string& nonce, uint64_t item, std::optional<verdict> result) {
  auto& line = lines_[item];
  if (!result || line.job != nonce || line.given)
    return;
  line.due = result;
  line.came_of = nonce;
  due_.insert(item);
}

void batch_oracle::on_job_over(const std::string& nonce, const std::set<uint64_t>& lost) {
  open_.erase(nonce);
  auto& job = jobs_.at(nonce);
  for (auto item : job.items) {
    auto& line = lines_[item];
    if (line.job != nonce)
      continue;
    line.job.clear();
    if (!lost.contains(item) || line.given)
      continue;
    line.due = verdict::failed;
    line.came_of = nonce;
    due_.insert(item);
  }
}

// -- what is kept -------------------------------------------------------------------------

void batch_oracle::on_recorded(uint64_t item, const std::string& custom_id, verdict result) {
  ++given_;
  if (item >= lines_.size())
    return fail("a result of no item is recorded");
  auto& line = lines_[item];
  if (custom_id != "id-" + std::to_string(item))
    fail(name(item) + " is recorded under the id " + custom_id);
  if (line.given)
    fail(name(item) + " is recorded twice");
  if (!line.model) {
    if (result == verdict::ok || (line.safe && !run_.retry_failed))
      fail(name(item) + " is recorded, though its line cannot be read");
  } else {
    auto nobody_else =
      (failed_.contains(item) || line.met_outage) && (withdrawn_ || line.failed_at.size() == run_.providers);
    if (line.due != result && !(nobody_else && result == verdict::failed))
      fail(name(item) + " is recorded with a result that did not come");
    if (line.in_flight || (!line.job.empty() && line.job != line.came_of))
      fail(name(item) + " is recorded while somebody has it");
  }
  line.given = result;
  line.due.reset();
  due_.erase(item);
  failed_.erase(item);
  if (line.job == line.came_of)
    line.job.clear();
}

void batch_oracle::on_safe(uint64_t item) {
  auto& line = lines_[item];
  line.safe = line.given;
  line.again = false;
}

void batch_oracle::on_confirmed(const std::vector<uint64_t>& items) {
  for (auto item : items)
    if (!lines_[item].safe || (lines_[item].given && lines_[item].safe != lines_[item].given))
      fail(name(item) + " is confirmed, and not safe");
}

void batch_oracle::on_quiet(bool can_keep) {
  if (can_keep && !due_.empty())
    fail(name(*due_.begin()) + " has a result that is not recorded");
  auto may_be_left = run_.doubts > 0 && withdrawn_; // for a later run
  if (can_keep && failed_.size() > run_.doubts && !may_be_left)
    fail(name(*failed_.begin()) + " failed at a provider, and is neither tried elsewhere nor recorded");
}

void batch_oracle::on_finish(bool complete) {
  if (in_flight_ > 0)
    fail("the output is finished with items in flight");
  if (!complete)
    return;
  if (withdrawn_ || run_.cancel_jobs)
    fail("a batch that was ended early is whole");
  if (!open_.empty())
    fail("a batch is whole with a job at a provider");
  for (uint64_t i = 0; i < lines_.size(); ++i) {
    auto& line = lines_[i];
    if (!line.given && !line.safe)
      fail(name(i) + " has no result, though the batch is whole");
    if (run_.retry_failed && line.at_start == verdict::failed && !line.given)
      fail(name(i) + " was to be tried again");
  }
}

void batch_oracle::check_whole(std::string_view ledger, uint64_t answered, uint64_t failed) {
  uint64_t ok = 0;
  auto left = read(ledger);
  if (run_.has_ledger && left.results.size() != lines_.size())
    fail("the ledger has " + std::to_string(left.results.size()) + " results");
  if (run_.has_ledger && !left.intents.empty())
    fail("the ledger has jobs that are not over");
  for (auto& line : lines_)
    ok += line.safe == verdict::ok;
  if (answered != ok || failed != lines_.size() - ok)
    fail("the report has " + std::to_string(answered) + " answered and " + std::to_string(failed) + " failed, with "
         + std::to_string(ok) + " answers");
}

} // namespace modelforge::test
