#include "tools/simulator/batch_jobs.hpp"

#include "tools/simulator/hub.hpp"
#include "tools/simulator/language.hpp"
#include "tools/simulator/random.hpp"

#include <algorithm>
#include <charconv>

namespace modelforge::simulator {

namespace {

/// The settings under which items are run: the job was let in, so nothing else stands in their way.
options without_obstacles(options settings) {
  settings.api_key.clear();
  settings.faults.clear();
  settings.requests_per_minute = settings.tokens_per_minute = 0;
  return settings;
}

/// Returns whether the provider loses this item; `options::batch_errors` is the probability, the seed decides.
bool draws(std::string_view custom_id, const batch_job& job, const options& settings) {
  return random_source(hash(custom_id, mix(settings.seed) + job.number)).unit() < settings.batch_errors;
}

} // namespace

/// A tenth of the time validates the input, and a job that is cancelled takes another tenth to stop.
clock::time_point batch_schedule::end() const {
  if (is_invalid)
    return created + takes / 10;
  auto by_itself = created + std::min(takes, window);
  return cancelled ? std::min(by_itself, *cancelled + takes / 10) : by_itself;
}

batch_phase batch_schedule::phase(clock::time_point now) const {
  if (now >= end()) {
    if (is_invalid)
      return batch_phase::failed;
    if (cancelled)
      return batch_phase::cancelled;
    return takes > window ? batch_phase::expired : batch_phase::completed;
  }
  if (cancelled)
    return batch_phase::cancelling;
  if (now < created + takes / 10)
    return batch_phase::validating;
  return now < created + takes * 9 / 10 ? batch_phase::in_progress : batch_phase::finalizing;
}

/// Items are run at an even pace between the first and the last tenth of the job's time. Neither expiry nor
/// cancellation takes back what was run before.
std::size_t batch_schedule::run_by(clock::time_point now, std::size_t items) const {
  if (is_invalid)
    return 0;
  auto until = std::min(now, created + window);
  if (cancelled)
    until = std::min(until, *cancelled);
  std::chrono::duration<double> spent = until - (created + takes / 10), whole = takes * 8 / 10;
  if (spent >= whole)
    return items;
  return spent.count() <= 0 ? 0 : static_cast<std::size_t>(spent / whole * static_cast<double>(items));
}

// The shuffle (Fisher and Yates) keeps clients from relying on results in the order of the requests, which no provider
// promises.
batch_job& batch_list::add(batch_job job, const exchange& incoming, std::string_view id_prefix) {
  job.number = ++count_;
  job.id = std::string(id_prefix) + hex(unique_number(incoming)) + hex(mix(job.number), 8);
  job.created = incoming.created;
  job.schedule.created = incoming.arrived;
  job.schedule.takes = incoming.settings.batch_time;
  job.schedule.window = incoming.settings.batch_window;
  random_source source(mix(incoming.settings.seed) + job.number);
  for (auto i = job.items.size(); i > 1; --i)
    std::swap(job.items[i - 1], job.items[source.below(i)]);
  return *jobs_.emplace_back(std::make_unique<batch_job>(std::move(job)));
}

batch_job* batch_list::find(std::string_view id) {
  auto found = std::find_if(jobs_.begin(), jobs_.end(), [&](auto& job) { return job->id == id; });
  return found == jobs_.end() ? nullptr : found->get();
}

void batch_list::remove(const batch_job& job) {
  std::erase_if(jobs_, [&](auto& candidate) { return candidate.get() == &job; });
}

batch_list::page batch_list::list(std::string_view after, std::size_t limit) {
  page result;
  auto position = jobs_.rbegin();
  if (!after.empty()) {
    position = std::find_if(position, jobs_.rend(), [&](auto& job) { return job->id == after; });
    if (position != jobs_.rend())
      ++position;
  }
  for (; position != jobs_.rend() && result.jobs.size() < limit; ++position)
    result.jobs.push_back(position->get());
  result.has_more = position != jobs_.rend();
  return result;
}

uint64_t batch_list::queued_tokens(std::string_view model, clock::time_point now) const {
  uint64_t sum = 0;
  for (const auto& job : jobs_)
    sum += job->model == model && now < job->schedule.end() ? job->tokens : 0;
  return sum;
}

// Each item becomes an exchange of its own with a gatekeeper that admits everything; the prompt cache is that of all.
void advance(batch_job& job, const exchange& incoming, hub& shared, const batch_clerk& clerk) {
  if (job.is_closed)
    return;
  auto due = job.schedule.run_by(incoming.arrived, job.items.size());
  auto phase = job.schedule.phase(incoming.arrived);
  auto settings = without_obstacles(shared.settings);
  gatekeeper gate(settings, incoming.arrived);
  auto new_exchange = [&](const batch_item& item) {
    exchange incoming_item{settings, gate, shared.cache, incoming.arrived, ++shared.exchanges, incoming.created};
    incoming_item.method = "POST";
    incoming_item.body = item.body;
    return incoming_item;
  };
  for (; job.done < due; ++job.done) {
    auto& item = job.items[job.done];
    auto incoming_item = new_exchange(item);
    auto is_lost = draws(item.custom_id, job, settings);
    reply answer;
    answer.status = 500;
    if (!is_lost)
      answer = clerk.answer(job, incoming_item);
    clerk.write(job, item, incoming_item, answer, is_lost);
    job.succeeded += answer.status == 200;
    shared.book.batch_item_run();
    item.body = {};
  }
  if (!is_over(phase))
    return;
  if (phase != batch_phase::failed)
    for (auto i = job.done; i < job.items.size(); ++i)
      clerk.write_unrun(job, job.items[i], new_exchange(job.items[i]), phase);
  clerk.close(job, incoming, shared);
  job.is_closed = true;
}

// The client of a job that is cut or silenced cannot know whether it was created: that is the case it has to cope with.
reply after_creation(reply answer, const batch_job& job, const exchange& incoming, hub& shared) {
  shared.book.batch_created(job.items.size());
  auto drawn = random_source(mix(incoming.settings.seed) ^ mix(job.number)).unit();
  if (drawn >= incoming.settings.batch_cut + incoming.settings.batch_silence)
    return answer;
  reply none;
  none.status = 0;
  if (drawn < incoming.settings.batch_cut)
    none.decided.effect = fault::reset;
  return none;
}

named_job name_in(std::string_view path, std::string_view prefix) {
  auto rest = path.substr(std::min(prefix.size(), path.size()));
  auto slash = rest.find('/');
  return {rest.substr(0, slash), slash == rest.npos ? std::string_view() : rest.substr(slash + 1)};
}

std::string_view query_value(std::string_view query, std::string_view name) {
  while (!query.empty()) {
    auto pair = query.substr(0, query.find('&'));
    query.remove_prefix(std::min(pair.size() + 1, query.size()));
    if (pair.starts_with(name) && pair.substr(name.size()).starts_with('='))
      return pair.substr(name.size() + 1);
  }
  return {};
}

std::optional<std::size_t> limit_in(std::string_view query, std::size_t max) {
  auto text = query_value(query, "limit");
  std::size_t limit = 20;
  if (text.empty())
    return limit;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), limit);
  if (error != std::errc{} || end != text.data() + text.size() || limit < 1 || limit > max)
    return std::nullopt;
  return limit;
}

} // namespace modelforge::simulator
