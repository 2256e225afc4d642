#include "tools/simulator/anthropic/batches.hpp"

#include "tools/simulator/anthropic/anthropic.hpp"
#include "tools/simulator/body_reader.hpp"
#include "tools/simulator/times.hpp"

#include <algorithm>
#include <unordered_set>

// Anthropic's jobs as clients see them. A job is created with all its requests in one body, has no files, and its
// results stay with it until it is deleted. While it runs all requests are reported as processing; the counts come at
// the end.

namespace modelforge::simulator::anthropic {

namespace {

constexpr std::string_view prefix = "/v1/messages/batches/";
constexpr uint32_t usual_max_items = 100'000;

/// Returns the phase in Anthropic's words, which know only three.
constexpr std::string_view status_of(batch_phase phase) {
  if (phase == batch_phase::cancelling)
    return "canceling";
  return is_over(phase) ? "ended" : "in_progress";
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

/// Runs items as `POST /v1/messages` and writes their result lines.
class clerk : public batch_clerk {
public:
  /// The version of the API is that of the request that created the job.
  reply answer(const batch_job& job, const exchange& item) const override {
    auto incoming = item;
    incoming.anthropic_version = job.record["version"].get_ref<const std::string&>();
    auto answer = messages(incoming);
    return answer.stream ? error_reply(speech(), item, {400, "stream: Streaming is not supported in batches"})
                         : std::move(answer);
  }

  void write(batch_job& job, const batch_item& item, const exchange& incoming, const reply& answer,
             bool is_lost) const override {
    if (answer.status == 200)
      append_result(job, item, "succeeded", "message", answer.body);
    else
      append_result(job, item, "errored", "error", is_lost ? server_error(unique_number(incoming)) : answer.body);
  }

  void write_unrun(batch_job& job, const batch_item& item, const exchange&, batch_phase final_phase) const override {
    append_result(job, item, final_phase == batch_phase::expired ? "expired" : "canceled");
  }

  void close(batch_job&, const exchange&, hub&) const override {
    // nop: the results stay with the job
  }
};

/// Returns how many requests came to which end.
json counts_of(const batch_job& job, batch_phase phase) {
  auto unrun = job.items.size() - job.done;
  auto is_reported = is_over(phase); // until then all are said to be processing
  return {{"processing", is_reported ? 0 : job.items.size()},
          {"succeeded", is_reported ? job.succeeded : 0},
          {"errored", is_reported ? job.done - job.succeeded : 0},
          {"canceled", phase == batch_phase::cancelled ? unrun : 0},
          {"expired", phase == batch_phase::expired ? unrun : 0}};
}

/// Returns the job as the API shows it; times are in UTC, in whole seconds.
std::string job_text(const batch_job& job, const exchange& incoming) {
  const auto& schedule = job.schedule;
  auto phase = schedule.phase(incoming.arrived);
  auto time_of = [&](clock::time_point time) {
    return utc_time(job.created + std::chrono::duration_cast<std::chrono::seconds>(time - schedule.created).count());
  };
  json text = {{"id", job.id},
               {"type", "message_batch"},
               {"processing_status", status_of(phase)},
               {"request_counts", counts_of(job, phase)},
               {"created_at", utc_time(job.created)},
               {"expires_at", time_of(schedule.created + schedule.window)},
               {"ended_at", nullptr},
               {"cancel_initiated_at", nullptr},
               {"archived_at", nullptr},
               {"results_url", nullptr}};
  if (is_over(phase)) {
    text["ended_at"] = time_of(schedule.end());
    text["results_url"] = "http://" + std::string(incoming.host) + std::string(prefix) + job.id + "/results";
  }
  if (schedule.cancelled)
    text["cancel_initiated_at"] = time_of(*schedule.cancelled);
  return text.dump(-1, ' ', false, json::error_handler_t::replace);
}

/// Returns whether it may be an item's own id.
bool is_allowed(std::string_view custom_id) {
  return !custom_id.empty() && custom_id.size() <= 64 && std::all_of(custom_id.begin(), custom_id.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
  });
}

/// Reads the requests of a job; their parameters are checked only when they are run.
std::variant<batch_job, api_error> read_creation(const exchange& incoming) {
  auto parsed = parse_object(incoming.body);
  if (auto* problem = std::get_if<std::string>(&parsed))
    return api_error{400, *problem};
  auto* list = member(std::get<json>(parsed), "requests");
  if (list == nullptr || !list->is_array())
    return api_error{400, "requests: Field required"};
  auto max_items = incoming.settings.batch_items > 0 ? incoming.settings.batch_items : usual_max_items;
  if (list->empty() || list->size() > max_items)
    return api_error{400, "requests: List should have from 1 to " + std::to_string(max_items) + " items, not "
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
  job.record["version"] = std::string(incoming.anthropic_version);
  return job;
}

/// What keeps a request about jobs from being answered.
std::optional<api_error> check(const exchange& incoming) {
  if (auto error = speech().check_key(incoming))
    return error;
  if (incoming.anthropic_version.empty())
    return api_error{400, "anthropic-version: header is required"};
  return std::nullopt;
}

/// Answers with the job as it is now.
reply job_reply(const batch_job& job, const exchange& incoming) {
  auto answer = speech().new_reply(incoming);
  answer.body = job_text(job, incoming);
  return answer;
}

/// Answers that there is no job with that id.
reply no_job(const exchange& incoming, std::string_view id) {
  return error_reply(speech(), incoming, {404, "No batch '" + std::string(id) + "' was found."});
}

/// Answers with the result lines, once the job is over.
reply results(const batch_job& job, const exchange& incoming) {
  if (!job.is_closed)
    return error_reply(speech(), incoming, {404, "The batch '" + job.id + "' has no results before it has ended."});
  auto answer = speech().new_reply(incoming);
  answer.content_type = "application/x-jsonl";
  answer.body = job.output;
  return answer;
}

} // namespace

reply create_batch(const exchange& incoming, hub& shared) {
  if (auto error = check(incoming))
    return error_reply(speech(), incoming, *error);
  auto creation = read_creation(incoming);
  if (auto* error = std::get_if<api_error>(&creation))
    return error_reply(speech(), incoming, *error);
  auto& job = shared.anthropic_jobs.add(std::move(std::get<batch_job>(creation)), incoming, "msgbatch_");
  return after_creation(job_reply(job, incoming), job, incoming, shared);
}

reply list_batches(const exchange& incoming, hub& shared) {
  if (auto error = check(incoming))
    return error_reply(speech(), incoming, *error);
  auto limit = limit_in(incoming.query, 1'000);
  if (!limit)
    return error_reply(speech(), incoming, {400, "limit: Input should be from 1 to 1000"});
  auto found = shared.anthropic_jobs.list(query_value(incoming.query, "after_id"), *limit);
  auto answer = speech().new_reply(incoming);
  answer.body = R"({"data":[)";
  for (auto* job : found.jobs) {
    advance(*job, incoming, shared, clerk());
    answer.body.append(job == found.jobs.front() ? "" : ",").append(job_text(*job, incoming));
  }
  auto first = found.jobs.empty() ? "null" : '"' + found.jobs.front()->id + '"';
  auto last = found.jobs.empty() ? "null" : '"' + found.jobs.back()->id + '"';
  answer.body += R"(],"has_more":)" + std::string(found.has_more ? "true" : "false") + R"(,"first_id":)" + first
                 + R"(,"last_id":)" + last + "}";
  return answer;
}

reply show_batch(const exchange& incoming, hub& shared) {
  if (auto error = check(incoming))
    return error_reply(speech(), incoming, *error);
  auto [id, verb] = name_in(incoming.path, prefix);
  auto* job = verb.empty() || verb == "results" ? shared.anthropic_jobs.find(id) : nullptr;
  if (job == nullptr)
    return no_job(incoming, id);
  advance(*job, incoming, shared, clerk());
  return verb.empty() ? job_reply(*job, incoming) : results(*job, incoming);
}

reply cancel_batch(const exchange& incoming, hub& shared) {
  if (auto error = check(incoming))
    return error_reply(speech(), incoming, *error);
  auto [id, verb] = name_in(incoming.path, prefix);
  auto* job = verb == "cancel" ? shared.anthropic_jobs.find(id) : nullptr;
  if (job == nullptr)
    return no_job(incoming, id);
  advance(*job, incoming, shared, clerk());
  if (is_over(job->schedule.phase(incoming.arrived)))
    return error_reply(speech(), incoming, {400, "The batch '" + job->id + "' has ended and cannot be canceled."});
  if (!job->schedule.cancelled)
    job->schedule.cancelled = incoming.arrived;
  advance(*job, incoming, shared, clerk()); // it may be over at once
  return job_reply(*job, incoming);
}

reply delete_batch(const exchange& incoming, hub& shared) {
  if (auto error = check(incoming))
    return error_reply(speech(), incoming, *error);
  auto [id, verb] = name_in(incoming.path, prefix);
  auto* job = verb.empty() ? shared.anthropic_jobs.find(id) : nullptr;
  if (job == nullptr)
    return no_job(incoming, id);
  if (!is_over(job->schedule.phase(incoming.arrived)))
    return error_reply(speech(), incoming, {400, "The batch '" + job->id + "' has not ended: cancel it first."});
  auto answer = speech().new_reply(incoming);
  answer.body = json{{"id", job->id}, {"type", "message_batch_deleted"}}.dump();
  shared.anthropic_jobs.remove(*job);
  return answer;
}

} // namespace modelforge::simulator::anthropic
