#include "tools/simulator/batch_jobs.hpp"

#include "tools/simulator/hub.hpp"
#include "tools/simulator/language.hpp"
#include "tools/simulator/random.hpp"

#include <algorithm>
#include <charconv>

namespace modelforge::simulator {

namespace {

/// The settings under which items are run: the job was let in, so nothing else stands in their way.
options without_obstacles(options x) {
  x.api_key.clear();
  x.faults.clear();
  x.requests_per_minute = x.tokens_per_minute = 0;
  return x;
}

bool draws(std::string_view custom_id, const batch_job& job, const options& settings) {
  return random_source(hash(custom_id, mix(settings.seed) + job.number)).unit() < settings.batch_errors;
}

} // namespace

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

batch_job& batch_list::add(batch_job job, const exchange& x, std::string_view id_prefix) {
  job.number = ++count_;
  job.id = std::string(id_prefix) + hex(unique_number(x)) + hex(mix(job.number), 8);
  job.created = x.created;
  job.schedule.created = x.arrived;
  job.schedule.takes = x.settings.batch_time;
  job.schedule.window = x.settings.batch_window;
  random_source source(mix(x.settings.seed) + job.number);
  for (auto i = job.items.size(); i > 1; --i)
    std::swap(job.items[i - 1], job.items[source.below(i)]);
  return *jobs_.emplace_back(std::make_unique<batch_job>(std::move(job)));
}

batch_job* batch_list::find(std::string_view id) {
  auto found = std::find_if(jobs_.begin(), jobs_.end(), [&](auto& x) { return x->id == id; });
  return found == jobs_.end() ? nullptr : found->get();
}

void batch_list::remove(const batch_job& job) {
  std::erase_if(jobs_, [&](auto& x) { return x.get() == &job; });
}

batch_list::page batch_list::list(std::string_view after, std::size_t limit) {
  page x;
  auto at = jobs_.rbegin();
  if (!after.empty()) {
    at = std::find_if(at, jobs_.rend(), [&](auto& job) { return job->id == after; });
    if (at != jobs_.rend())
      ++at;
  }
  for (; at != jobs_.rend() && x.jobs.size() < limit; ++at)
    x.jobs.push_back(at->get());
  x.has_more = at != jobs_.rend();
  return x;
}

uint64_t batch_list::queued_tokens(std::string_view model, clock::time_point now) const {
  uint64_t sum = 0;
  for (const auto& x : jobs_)
    sum += x->model == model && now < x->schedule.end() ? x->tokens : 0;
  return sum;
}

void advance(batch_job& job, const exchange& x, hub& shared, const batch_clerk& by) {
  if (job.is_closed)
    return;
  auto due = job.schedule.run_by(x.arrived, job.items.size());
  auto phase = job.schedule.phase(x.arrived);
  auto settings = without_obstacles(shared.settings);
  gatekeeper gate(settings, x.arrived);
  auto new_exchange = [&](const batch_item& item) {
    exchange y{settings, gate, shared.cache, x.arrived, ++shared.exchanges, x.created};
    y.method = "POST";
    y.body = item.body;
    return y;
  };
  for (; job.done < due; ++job.done) {
    auto& item = job.items[job.done];
    auto y = new_exchange(item);
    auto is_lost = draws(item.custom_id, job, settings);
    reply answer;
    answer.status = 500;
    if (!is_lost)
      answer = by.answer(job, y);
    by.write(job, item, y, answer, is_lost);
    job.succeeded += answer.status == 200;
    shared.book.batch_item_run();
    item.body = {};
  }
  if (!is_over(phase))
    return;
  if (phase != batch_phase::failed)
    for (auto i = job.done; i < job.items.size(); ++i)
      by.write_unrun(job, job.items[i], new_exchange(job.items[i]), phase);
  by.close(job, x, shared);
  job.is_closed = true;
}

reply after_creation(reply answer, const batch_job& job, const exchange& x, hub& shared) {
  shared.book.batch_created(job.items.size());
  auto drawn = random_source(mix(x.settings.seed) ^ mix(job.number)).unit();
  if (drawn >= x.settings.batch_cut + x.settings.batch_silence)
    return answer;
  reply none;
  none.status = 0;
  if (drawn < x.settings.batch_cut)
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

std::optional<std::size_t> limit_in(std::string_view query, std::size_t most) {
  auto text = query_value(query, "limit");
  std::size_t limit = 20;
  if (text.empty())
    return limit;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), limit);
  if (error != std::errc{} || end != text.data() + text.size() || limit < 1 || limit > most)
    return std::nullopt;
  return limit;
}

} // namespace modelforge::simulator
