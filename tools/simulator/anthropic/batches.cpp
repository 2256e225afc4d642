#include "tools/simulator/anthropic/batches.hpp"

#include "tools/simulator/anthropic/anthropic.hpp"
#include "tools/simulator/body_reader.hpp"
#include "tools/simulator/times.hpp"

#include <algorithm>
#include <unordered_set>

namespace modelforge::simulator::anthropic {

namespace {

constexpr std::string_view prefix = "/v1/messages/batches/";
constexpr uint32_t usual_most_items = 100'000;

constexpr std::string_view status_of(batch_phase x) {
  if (x == batch_phase::cancelling)
    return "canceling";
  return is_over(x) ? "ended" : "in_progress";
}

/// Appends a result line.
void append_result(batch_job& job, const batch_item& item, std::string_view type, std::string_view name = {},
                   std::string_view value = {}) {
  job.output += R"({"custom_id":)";
  append_json(job.output, item.custom_id);
  job.output.append(R"(,"result":{"type":")").append(type).append("\"");
  if (!name.empty())
    job.output.append(",\"").append(name).append("\":").append(value);
  job.output += "}}\n";
}

class clerk : public batch_clerk {
public:
  reply answer(const batch_job& job, const exchange& item) const override {
    auto x = item;
    x.anthropic_version = job.told["version"].get_ref<const std::string&>();
    auto answer = messages(x);
    return answer.stream ? error_reply(speech(), item, {400, "stream: Streaming is not supported in batches"})
                         : std::move(answer);
  }

  void write(batch_job& job, const batch_item& item, const exchange& x, const reply& answer,
             bool is_lost) const override {
    if (answer.status == 200)
      append_result(job, item, "succeeded", "message", answer.body);
    else
      append_result(job, item, "errored", "error", is_lost ? server_error(unique_number(x)) : answer.body);
  }

  void write_unrun(batch_job& job, const batch_item& item, const exchange&, batch_phase over) const override {
    append_result(job, item, over == batch_phase::expired ? "expired" : "canceled");
  }

  void close(batch_job&, const exchange&, hub&) const override {
    // nop: the results stay with the job
  }
};

json counts_of(const batch_job& job, batch_phase phase) {
  auto unrun = job.items.size() - job.done;
  auto is_told = is_over(phase); // until then all are said to be processing
  return {{"processing", is_told ? 0 : job.items.size()},
          {"succeeded", is_told ? job.succeeded : 0},
          {"errored", is_told ? job.done - job.succeeded : 0},
          {"canceled", phase == batch_phase::cancelled ? unrun : 0},
          {"expired", phase == batch_phase::expired ? unrun : 0}};
}

std::string job_text(const batch_job& job, const exchange& x) {
  const auto& when = job.schedule;
  auto phase = when.phase(x.arrived);
  auto time_of = [&](clock::time_point at) {
    return utc_time(job.created + std::chrono::duration_cast<std::chrono::seconds>(at - when.created).count());
  };
  json text = {{"id", job.id},
               {"type", "message_batch"},
               {"processing_status", status_of(phase)},
               {"request_counts", counts_of(job, phase)},
               {"created_at", utc_time(job.created)},
               {"expires_at", time_of(when.created + when.window)},
               {"ended_at", nullptr},
               {"cancel_initiated_at", nullptr},
               {"archived_at", nullptr},
               {"results_url", nullptr}};
  if (is_over(phase)) {
    text["ended_at"] = time_of(when.end());
    text["results_url"] = "http://" + std::string(x.host) + std::string(prefix) + job.id + "/results";
  }
  if (when.cancelled)
    text["cancel_initiated_at"] = time_of(*when.cancelled);
  return text.dump(-1, ' ', false, json::error_handler_t::replace);
}

bool is_allowed(std::string_view custom_id) {
  return !custom_id.empty() && custom_id.size() <= 64 && std::all_of(custom_id.begin(), custom_id.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
  });
}

/// Reads the requests of a job; their parameters are checked only when they are run.
std::variant<batch_job, api_error> read_creation(const exchange& x) {
  auto parsed = parse_object(x.body);
  if (auto* problem = std::get_if<std::string>(&parsed))
    return api_error{400, *problem};
  auto* list = member(std::get<json>(parsed), "requests");
  if (list == nullptr || !list->is_array())
    return api_error{400, "requests: Field required"};
  auto most = x.settings.batch_items > 0 ? x.settings.batch_items : usual_most_items;
  if (list->empty() || list->size() > most)
    return api_error{400, "requests: List should have from 1 to " + std::to_string(most) + " items, not "
                            + std::to_string(list->size())};
  batch_job job;
  std::unordered_set<std::string_view> ids;
  for (const auto& each : *list) {
    auto place = "requests." + std::to_string(job.items.size()) + ".";
    auto* id = member(each, "custom_id");
    auto* params = member(each, "params");
    if (id == nullptr || !id->is_string())
      return api_error{400, place + "custom_id: Field required"};
    if (!is_allowed(id->get_ref<const std::string&>()))
      return api_error{400, place + "custom_id: String should match pattern '^[a-zA-Z0-9_-]{1,64}$'"};
    if (!ids.insert(id->get_ref<const std::string&>()).second)
      return api_error{400, place + "custom_id: '" + id->get<std::string>() + "' is that of another request, too"};
    if (params == nullptr || !params->is_object())
      return api_error{400, place + "params: Field required"};
    job.items.push_back({id->get<std::string>(), params->dump()});
  }
  job.told["version"] = std::string(x.anthropic_version);
  return job;
}

/// What keeps a request about jobs from being answered.
std::optional<api_error> check(const exchange& x) {
  if (auto error = speech().check_key(x))
    return error;
  if (x.anthropic_version.empty())
    return api_error{400, "anthropic-version: header is required"};
  return std::nullopt;
}

reply job_reply(const batch_job& job, const exchange& x) {
  auto answer = speech().new_reply(x);
  answer.body = job_text(job, x);
  return answer;
}

reply no_job(const exchange& x, std::string_view id) {
  return error_reply(speech(), x, {404, "No batch '" + std::string(id) + "' was found."});
}

reply results(const batch_job& job, const exchange& x) {
  if (!job.is_closed)
    return error_reply(speech(), x, {404, "The batch '" + job.id + "' has no results before it has ended."});
  auto answer = speech().new_reply(x);
  answer.content_type = "application/x-jsonl";
  answer.body = job.output;
  return answer;
}

} // namespace

reply create_batch(const exchange& x, hub& shared) {
  if (auto error = check(x))
    return error_reply(speech(), x, *error);
  auto creation = read_creation(x);
  if (auto* error = std::get_if<api_error>(&creation))
    return error_reply(speech(), x, *error);
  auto& job = shared.anthropic_jobs.add(std::move(std::get<batch_job>(creation)), x, "msgbatch_");
  return after_creation(job_reply(job, x), job, x, shared);
}

reply list_batches(const exchange& x, hub& shared) {
  if (auto error = check(x))
    return error_reply(speech(), x, *error);
  auto limit = limit_in(x.query, 1'000);
  if (!limit)
    return error_reply(speech(), x, {400, "limit: Input should be from 1 to 1000"});
  auto found = shared.anthropic_jobs.list(query_value(x.query, "after_id"), *limit);
  auto answer = speech().new_reply(x);
  answer.body = R"({"data":[)";
  for (auto* job : found.jobs) {
    advance(*job, x, shared, clerk());
    answer.body.append(job == found.jobs.front() ? "" : ",").append(job_text(*job, x));
  }
  auto first = found.jobs.empty() ? "null" : '"' + found.jobs.front()->id + '"';
  auto last = found.jobs.empty() ? "null" : '"' + found.jobs.back()->id + '"';
  answer.body += R"(],"has_more":)" + std::string(found.has_more ? "true" : "false") + R"(,"first_id":)" + first
                 + R"(,"last_id":)" + last + "}";
  return answer;
}

reply show_batch(const exchange& x, hub& shared) {
  if (auto error = check(x))
    return error_reply(speech(), x, *error);
  auto [id, verb] = name_in(x.path, prefix);
  auto* job = verb.empty() || verb == "results" ? shared.anthropic_jobs.find(id) : nullptr;
  if (job == nullptr)
    return no_job(x, id);
  advance(*job, x, shared, clerk());
  return verb.empty() ? job_reply(*job, x) : results(*job, x);
}

reply cancel_batch(const exchange& x, hub& shared) {
  if (auto error = check(x))
    return error_reply(speech(), x, *error);
  auto [id, verb] = name_in(x.path, prefix);
  auto* job = verb == "cancel" ? shared.anthropic_jobs.find(id) : nullptr;
  if (job == nullptr)
    return no_job(x, id);
  advance(*job, x, shared, clerk());
  if (is_over(job->schedule.phase(x.arrived)))
    return error_reply(speech(), x, {400, "The batch '" + job->id + "' has ended and cannot be canceled."});
  if (!job->schedule.cancelled)
    job->schedule.cancelled = x.arrived;
  advance(*job, x, shared, clerk()); // it may be over at once
  return job_reply(*job, x);
}

reply delete_batch(const exchange& x, hub& shared) {
  if (auto error = check(x))
    return error_reply(speech(), x, *error);
  auto [id, verb] = name_in(x.path, prefix);
  auto* job = verb.empty() ? shared.anthropic_jobs.find(id) : nullptr;
  if (job == nullptr)
    return no_job(x, id);
  if (!is_over(job->schedule.phase(x.arrived)))
    return error_reply(speech(), x, {400, "The batch '" + job->id + "' has not ended: cancel it first."});
  auto answer = speech().new_reply(x);
  answer.body = json{{"id", job->id}, {"type", "message_batch_deleted"}}.dump();
  shared.anthropic_jobs.remove(*job);
  return answer;
}

} // namespace modelforge::simulator::anthropic
