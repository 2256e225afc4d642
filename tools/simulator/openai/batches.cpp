#include "tools/simulator/openai/batches.hpp"

#include "tools/simulator/body_reader.hpp"
#include "tools/simulator/openai/batch_input.hpp"
#include "tools/simulator/openai/openai.hpp"

#include <algorithm>

// OpenAI's jobs as clients see them. A job reads an uploaded file and leaves two: results, and errors of items that got
// no answer or an error. A file with problems does not keep a job from being created; the job then fails.

namespace modelforge::simulator::openai {

namespace {

constexpr std::string_view prefix = "/v1/batches/";
constexpr uint32_t usual_max_items = 50'000;
constexpr std::size_t max_metadata = 16;

/// An endpoint that a job may be for.
struct endpoint {
  std::string_view path;
  reply (*answer)(const exchange&);
};

constexpr endpoint endpoints[] = {
  {"/v1/chat/completions", chat_completions}, {"/v1/responses", responses}, {"/v1/embeddings", embeddings}};

/// Returns nullptr where jobs cannot be for that path.
const endpoint* find_endpoint(std::string_view path) {
  auto found =
    std::find_if(std::begin(endpoints), std::end(endpoints), [&](auto& candidate) { return candidate.path == path; });
  return found == std::end(endpoints) ? nullptr : found;
}

/// Returns the phase in OpenAI's words, which are those of the enumeration.
constexpr std::string_view name_of(batch_phase phase) {
  constexpr std::string_view names[] = {"validating", "failed",  "in_progress", "finalizing",
                                        "completed",  "expired", "cancelling",  "cancelled"};
  return names[static_cast<std::size_t>(phase)];
}

/// What a result line begins with, up to the value of `response`.
std::string line_opening(const batch_item& item, const exchange& incoming) {
  std::string line = R"({"id":"batch_req_)" + hex(unique_number(incoming)) + R"(","custom_id":)";
  append_json(line, item.custom_id);
  return line + R"(,"response":)";
}

/// Writes the line of an item without an answer.
void append_unanswered(batch_job& job, const batch_item& item, const exchange& incoming, std::string_view code,
                       std::string_view message) {
  job.errors += line_opening(item, incoming) + R"(null,"error":{"code":)";
  append_json(job.errors, code);
  job.errors += R"(,"message":)";
  append_json(job.errors, message);
  job.errors += "}}\n";
}

/// Runs items as requests to the job's endpoint and writes their lines.
class clerk : public batch_clerk {
public:
  reply answer(const batch_job& job, const exchange& item) const override {
    auto answer = find_endpoint(job.record["endpoint"].get_ref<const std::string&>())->answer(item);
    return answer.stream ? error_reply(speech(), item, {400, "Streaming is not supported in the Batch API.", "stream"})
                         : std::move(answer);
  }

  /// Half of what is lost never had an answer, the other half one of status 500.
  void write(batch_job& job, const batch_item& item, const exchange& incoming, const reply& answer,
             bool is_lost) const override {
    if (is_lost && unique_number(incoming) % 2 == 0)
      return append_unanswered(job, item, incoming, "server_error", "The request could not be run.");
    auto& lines = answer.status == 200 ? job.output : job.errors;
    lines += line_opening(item, incoming) + R"({"status_code":)" + std::to_string(answer.status)
             + R"(,"request_id":"req_)" + hex(mix(unique_number(incoming))) + R"(","body":)";
    lines += is_lost ? error_text(server_error()) : answer.body;
    lines += R"(},"error":null})";
    lines += '\n';
  }

  void write_unrun(batch_job& job, const batch_item& item, const exchange& incoming,
                   batch_phase final_phase) const override {
    if (final_phase == batch_phase::expired)
      append_unanswered(job, item, incoming, "batch_expired",
                        "This request could not be executed before the completion window expired.");
    else
      append_unanswered(job, item, incoming, "batch_cancelled",
                        "This request was not executed: the batch was cancelled.");
  }

  void close(batch_job& job, const exchange& incoming, hub& shared) const override {
    for (auto [name, lines] : {std::pair{"output", &job.output}, {"error", &job.errors}}) {
      if (lines->empty())
        continue;
      job.record[std::string(name) + "_file_id"] =
        shared.files.add({job.id + "_" + name + ".jsonl", "batch_output", incoming.created, std::move(*lines)});
      lines->clear();
    }
  }
};

/// Returns whole seconds, rounded down.
int64_t seconds_of(clock::duration duration) {
  return std::chrono::duration_cast<std::chrono::seconds>(duration).count();
}

/// Adds the times at which the job came to its phases; null for those it has not come to.
void add_times(json& object, const batch_job& job, batch_phase phase, clock::time_point now) {
  const auto& schedule = job.schedule;
  auto set = [&](const char* name, bool is_reached, clock::time_point time) {
    object[name] = nullptr;
    if (is_reached)
      object[name] = job.created + seconds_of(time - schedule.created);
  };
  auto checked = schedule.created + schedule.takes / 10, run = schedule.created + schedule.takes * 9 / 10;
  auto ended = [&](batch_phase final_phase) { return phase == final_phase; };
  set("in_progress_at",
      !schedule.is_invalid && now >= checked && (!schedule.cancelled || checked < *schedule.cancelled), checked);
  set("expires_at", true, schedule.created + schedule.window);
  set("finalizing_at", phase == batch_phase::finalizing || ended(batch_phase::completed), run);
  set("completed_at", ended(batch_phase::completed), schedule.end());
  set("failed_at", ended(batch_phase::failed), schedule.end());
  set("expired_at", ended(batch_phase::expired), schedule.end());
  set("cancelling_at", schedule.cancelled.has_value(), schedule.cancelled.value_or(now));
  set("cancelled_at", ended(batch_phase::cancelled), schedule.end());
}

/// Returns the job as the API shows it.
std::string job_text(const batch_job& job, clock::time_point now) {
  auto phase = job.schedule.phase(now);
  const auto& record = job.record;
  json object = {{"id", job.id},
                 {"object", "batch"},
                 {"endpoint", record["endpoint"]},
                 {"model", job.model},
                 {"errors", nullptr},
                 {"input_file_id", record["input_file_id"]},
                 {"completion_window", record["completion_window"]},
                 {"status", name_of(phase)},
                 {"output_file_id", record["output_file_id"]},
                 {"error_file_id", record["error_file_id"]},
                 {"created_at", job.created}};
  if (phase == batch_phase::failed)
    object["errors"] = {{"object", "list"}, {"data", record["problems"]}};
  add_times(object, job, phase, now);
  auto total = phase == batch_phase::validating || phase == batch_phase::failed ? 0 : job.items.size();
  auto failed = job.done - job.succeeded;
  if (phase == batch_phase::expired || phase == batch_phase::cancelled)
    failed = job.items.size() - job.succeeded;
  object["request_counts"] = {{"total", total}, {"completed", job.succeeded}, {"failed", failed}};
  object["metadata"] = record["metadata"];
  return object.dump(-1, ' ', false, json::error_handler_t::replace);
}

/// Returns what is wrong with the member `metadata`, if it is there and anything is.
std::optional<api_error> check_metadata(const json& body) {
  auto* metadata = member(body, "metadata");
  if (metadata == nullptr)
    return std::nullopt;
  if (!metadata->is_object() || metadata->size() > max_metadata)
    return api_error{400, "Invalid 'metadata': expected an object of up to 16 pairs of strings.", "metadata"};
  for (const auto& [name, value] : metadata->items())
    if (!value.is_string() || name.size() > 64 || value.get_ref<const std::string&>().size() > 512)
      return api_error{400, "Invalid 'metadata." + name + "': keys are up to 64 and values up to 512 characters long.",
                       "metadata"};
  return std::nullopt;
}

/// Returns the member that must be a string, or an empty one after an error.
std::string required(const json& body, const char* name, std::optional<api_error>& error) {
  auto* value = member(body, name);
  if (value != nullptr && value->is_string())
    return value->get<std::string>();
  if (!error)
    error =
      api_error{400, "Missing required parameter: '" + std::string(name) + "'.", name, "missing_required_parameter"};
  return {};
}

/// Reads what is said of a job, its file apart.
std::variant<json, api_error> read_creation(const exchange& incoming) {
  auto parsed = parse_object(incoming.body);
  if (auto* problem = std::get_if<std::string>(&parsed))
    return api_error{400, *problem};
  const auto& body = std::get<json>(parsed);
  std::optional<api_error> error;
  json record = {{"input_file_id", required(body, "input_file_id", error)},
                 {"endpoint", required(body, "endpoint", error)},
                 {"completion_window", required(body, "completion_window", error)},
                 {"output_file_id", nullptr},
                 {"error_file_id", nullptr},
                 {"metadata", nullptr}};
  if (!error && find_endpoint(record["endpoint"].get_ref<const std::string&>()) == nullptr)
    error = api_error{400, "Invalid value: '" + record["endpoint"].get<std::string>() + "' is no endpoint for batches.",
                      "endpoint", "invalid_value"};
  if (!error && record["completion_window"] != "24h")
    error = api_error{400, "Invalid value for 'completion_window': supported is '24h'.", "completion_window",
                      "invalid_value"};
  if (!error)
    error = check_metadata(body);
  if (error)
    return *error;
  if (auto* metadata = member(body, "metadata"))
    record["metadata"] = *metadata;
  return record;
}

/// Makes the job of what its file holds; what is wrong with that is reported later.
batch_job new_job(json record, const stored_file& file, const exchange& incoming, const hub& shared) {
  auto max_items = incoming.settings.batch_items > 0 ? incoming.settings.batch_items : usual_max_items;
  auto input = read_batch_input(file.content, record["endpoint"].get_ref<const std::string&>(), max_items);
  batch_job job;
  job.model = input.model;
  job.tokens = input.tokens;
  auto queue = incoming.settings.batch_queue_tokens;
  auto queued = shared.openai_jobs.queued_tokens(job.model, incoming.arrived);
  if (queue > 0 && queued + job.tokens > queue && input.problems.empty())
    input.problems.push_back(batch_problem(
      "token_limit_exceeded", "Enqueued token limit reached for " + job.model
                                + " in organization org-simulator. Limit: " + std::to_string(queue)
                                + " enqueued tokens. Please try again once some in_progress batches have been "
                                  "completed."));
  job.schedule.is_invalid = !input.problems.empty();
  record["problems"] = std::move(input.problems);
  job.record = std::move(record);
  if (job.schedule.is_invalid)
    job.tokens = 0;
  else
    job.items = std::move(input.items);
  return job;
}

/// Answers with the job as it is now.
reply job_reply(const batch_job& job, const exchange& incoming) {
  auto answer = speech().new_reply(incoming);
  answer.body = job_text(job, incoming.arrived);
  return answer;
}

/// Answers that there is no job with that id.
reply no_job(const exchange& incoming, std::string_view id) {
  return error_reply(speech(), incoming, {404, "No batch found with id '" + std::string(id) + "'."});
}

} // namespace

reply create_batch(const exchange& incoming, hub& shared) {
  if (auto error = speech().check_key(incoming))
    return error_reply(speech(), incoming, *error);
  auto creation = read_creation(incoming);
  if (auto* error = std::get_if<api_error>(&creation))
    return error_reply(speech(), incoming, *error);
  auto& record = std::get<json>(creation);
  auto* file = shared.files.find(record["input_file_id"].get_ref<const std::string&>());
  if (file == nullptr || file->purpose != "batch")
    return error_reply(speech(), incoming,
                       {400, "Invalid 'input_file_id': there is no such file for batches.", "input_file_id"});
  auto& job = shared.openai_jobs.add(new_job(std::move(record), *file, incoming, shared), incoming, "batch_");
  return after_creation(job_reply(job, incoming), job, incoming, shared);
}

reply list_batches(const exchange& incoming, hub& shared) {
  if (auto error = speech().check_key(incoming))
    return error_reply(speech(), incoming, *error);
  auto limit = limit_in(incoming.query, 100);
  if (!limit)
    return error_reply(speech(), incoming, {400, "Invalid 'limit': expected a whole number from 1 to 100.", "limit"});
  auto found = shared.openai_jobs.list(query_value(incoming.query, "after"), *limit);
  auto answer = speech().new_reply(incoming);
  answer.body = R"({"object":"list","data":[)";
  for (auto* job : found.jobs) {
    advance(*job, incoming, shared, clerk());
    answer.body.append(job == found.jobs.front() ? "" : ",").append(job_text(*job, incoming.arrived));
  }
  auto id_of = [&](bool is_first) {
    if (found.jobs.empty())
      return std::string("null");
    return '"' + (is_first ? found.jobs.front() : found.jobs.back())->id + '"';
  };
  answer.body += R"(],"first_id":)" + id_of(true) + R"(,"last_id":)" + id_of(false) + R"(,"has_more":)"
                 + (found.has_more ? "true}" : "false}");
  return answer;
}

reply show_batch(const exchange& incoming, hub& shared) {
  if (auto error = speech().check_key(incoming))
    return error_reply(speech(), incoming, *error);
  auto [id, verb] = name_in(incoming.path, prefix);
  auto* job = verb.empty() ? shared.openai_jobs.find(id) : nullptr;
  if (job == nullptr)
    return no_job(incoming, id);
  advance(*job, incoming, shared, clerk());
  return job_reply(*job, incoming);
}

reply cancel_batch(const exchange& incoming, hub& shared) {
  if (auto error = speech().check_key(incoming))
    return error_reply(speech(), incoming, *error);
  auto [id, verb] = name_in(incoming.path, prefix);
  auto* job = verb == "cancel" ? shared.openai_jobs.find(id) : nullptr;
  if (job == nullptr)
    return no_job(incoming, id);
  advance(*job, incoming, shared, clerk());
  auto phase = job->schedule.phase(incoming.arrived);
  if (is_over(phase))
    return error_reply(speech(), incoming,
                       {409, "Cannot cancel a batch with status '" + std::string(name_of(phase)) + "'."});
  if (!job->schedule.cancelled)
    job->schedule.cancelled = incoming.arrived;
  advance(*job, incoming, shared, clerk()); // it may be over at once
  return job_reply(*job, incoming);
}

} // namespace modelforge::simulator::openai
