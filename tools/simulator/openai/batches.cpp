#include "tools/simulator/openai/batches.hpp"

#include "tools/simulator/body_reader.hpp"
#include "tools/simulator/openai/batch_input.hpp"
#include "tools/simulator/openai/openai.hpp"

#include <algorithm>

namespace modelforge::simulator::openai {

namespace {

constexpr std::string_view prefix = "/v1/batches/";
constexpr uint32_t usual_most_items = 50'000;
constexpr std::size_t most_metadata = 16;

struct endpoint {
  std::string_view path;
  reply (*answer)(const exchange&);
};

constexpr endpoint endpoints[] = {
  {"/v1/chat/completions", chat_completions}, {"/v1/responses", responses}, {"/v1/embeddings", embeddings}};

const endpoint* find_endpoint(std::string_view path) {
  auto found = std::find_if(std::begin(endpoints), std::end(endpoints), [&](auto& x) { return x.path == path; });
  return found == std::end(endpoints) ? nullptr : found;
}

constexpr std::string_view name_of(batch_phase x) {
  constexpr std::string_view names[] = {"validating", "failed",  "in_progress", "finalizing",
                                        "completed",  "expired", "cancelling",  "cancelled"};
  return names[static_cast<std::size_t>(x)];
}

/// What a result line begins with, up to the value of `response`.
std::string line_opening(const batch_item& item, const exchange& x) {
  std::string line = R"({"id":"batch_req_)" + hex(unique_number(x)) + R"(","custom_id":)";
  append_json(line, item.custom_id);
  return line + R"(,"response":)";
}

void append_unanswered(batch_job& job, const batch_item& item, const exchange& x, std::string_view code,
                       std::string_view message) {
  job.errors += line_opening(item, x) + R"(null,"error":{"code":)";
  append_json(job.errors, code);
  job.errors += R"(,"message":)";
  append_json(job.errors, message);
  job.errors += "}}\n";
}

class clerk : public batch_clerk {
public:
  reply answer(const batch_job& job, const exchange& item) const override {
    auto answer = find_endpoint(job.told["endpoint"].get_ref<const std::string&>())->answer(item);
    return answer.stream ? error_reply(speech(), item, {400, "Streaming is not supported in the Batch API.", "stream"})
                         : std::move(answer);
  }

  /// Half of what is lost never had an answer, the other half one of status 500.
  void write(batch_job& job, const batch_item& item, const exchange& x, const reply& answer,
             bool is_lost) const override {
    if (is_lost && unique_number(x) % 2 == 0)
      return append_unanswered(job, item, x, "server_error", "The request could not be run.");
    auto& to = answer.status == 200 ? job.output : job.errors;
    to += line_opening(item, x) + R"({"status_code":)" + std::to_string(answer.status) + R"(,"request_id":"req_)"
          + hex(mix(unique_number(x))) + R"(","body":)";
    to += is_lost ? error_text(server_error()) : answer.body;
    to += R"(},"error":null})";
    to += '\n';
  }

  void write_unrun(batch_job& job, const batch_item& item, const exchange& x, batch_phase over) const override {
    if (over == batch_phase::expired)
      append_unanswered(job, item, x, "batch_expired",
                        "This request could not be executed before the completion window expired.");
    else
      append_unanswered(job, item, x, "batch_cancelled", "This request was not executed: the batch was cancelled.");
  }

  void close(batch_job& job, const exchange& x, hub& shared) const override {
    for (auto [name, lines] : {std::pair{"output", &job.output}, {"error", &job.errors}}) {
      if (lines->empty())
        continue;
      job.told[std::string(name) + "_file_id"] =
        shared.files.add({job.id + "_" + name + ".jsonl", "batch_output", x.created, std::move(*lines)});
      lines->clear();
    }
  }
};

int64_t seconds_of(clock::duration x) {
  return std::chrono::duration_cast<std::chrono::seconds>(x).count();
}

/// Adds the times at which the job came to its phases; null for those it has not come to.
void tell_times(json& x, const batch_job& job, batch_phase phase, clock::time_point now) {
  const auto& when = job.schedule;
  auto set = [&](const char* name, bool is_reached, clock::time_point at) {
    x[name] = nullptr;
    if (is_reached)
      x[name] = job.created + seconds_of(at - when.created);
  };
  auto checked = when.created + when.takes / 10, run = when.created + when.takes * 9 / 10;
  auto ended = [&](batch_phase y) { return phase == y; };
  set("in_progress_at", !when.is_invalid && now >= checked && (!when.cancelled || checked < *when.cancelled), checked);
  set("expires_at", true, when.created + when.window);
  set("finalizing_at", phase == batch_phase::finalizing || ended(batch_phase::completed), run);
  set("completed_at", ended(batch_phase::completed), when.end());
  set("failed_at", ended(batch_phase::failed), when.end());
  set("expired_at", ended(batch_phase::expired), when.end());
  set("cancelling_at", when.cancelled.has_value(), when.cancelled.value_or(now));
  set("cancelled_at", ended(batch_phase::cancelled), when.end());
}

std::string job_text(const batch_job& job, clock::time_point now) {
  auto phase = job.schedule.phase(now);
  const auto& told = job.told;
  json x = {{"id", job.id},
            {"object", "batch"},
            {"endpoint", told["endpoint"]},
            {"model", job.model},
            {"errors", nullptr},
            {"input_file_id", told["input_file_id"]},
            {"completion_window", told["completion_window"]},
            {"status", name_of(phase)},
            {"output_file_id", told["output_file_id"]},
            {"error_file_id", told["error_file_id"]},
            {"created_at", job.created}};
  if (phase == batch_phase::failed)
    x["errors"] = {{"object", "list"}, {"data", told["problems"]}};
  tell_times(x, job, phase, now);
  auto total = phase == batch_phase::validating || phase == batch_phase::failed ? 0 : job.items.size();
  auto failed = job.done - job.succeeded;
  if (phase == batch_phase::expired || phase == batch_phase::cancelled)
    failed = job.items.size() - job.succeeded;
  x["request_counts"] = {{"total", total}, {"completed", job.succeeded}, {"failed", failed}};
  x["metadata"] = told["metadata"];
  return x.dump(-1, ' ', false, json::error_handler_t::replace);
}

std::optional<api_error> check_metadata(const json& body) {
  auto* x = member(body, "metadata");
  if (x == nullptr)
    return std::nullopt;
  if (!x->is_object() || x->size() > most_metadata)
    return api_error{400, "Invalid 'metadata': expected an object of up to 16 pairs of strings.", "metadata"};
  for (const auto& [name, value] : x->items())
    if (!value.is_string() || name.size() > 64 || value.get_ref<const std::string&>().size() > 512)
      return api_error{400, "Invalid 'metadata." + name + "': keys are up to 64 and values up to 512 characters long.",
                       "metadata"};
  return std::nullopt;
}

/// Returns the member that must be a string, or an empty one after an error.
std::string required(const json& body, const char* name, std::optional<api_error>& error) {
  auto* x = member(body, name);
  if (x != nullptr && x->is_string())
    return x->get<std::string>();
  if (!error)
    error =
      api_error{400, "Missing required parameter: '" + std::string(name) + "'.", name, "missing_required_parameter"};
  return {};
}

/// Reads what is said of a job, its file apart.
std::variant<json, api_error> read_creation(const exchange& x) {
  auto parsed = parse_object(x.body);
  if (auto* problem = std::get_if<std::string>(&parsed))
    return api_error{400, *problem};
  const auto& body = std::get<json>(parsed);
  std::optional<api_error> error;
  json told = {{"input_file_id", required(body, "input_file_id", error)},
               {"endpoint", required(body, "endpoint", error)},
               {"completion_window", required(body, "completion_window", error)},
               {"output_file_id", nullptr},
               {"error_file_id", nullptr},
               {"metadata", nullptr}};
  if (!error && find_endpoint(told["endpoint"].get_ref<const std::string&>()) == nullptr)
    error = api_error{400, "Invalid value: '" + told["endpoint"].get<std::string>() + "' is no endpoint for batches.",
                      "endpoint", "invalid_value"};
  if (!error && told["completion_window"] != "24h")
    error = api_error{400, "Invalid value for 'completion_window': supported is '24h'.", "completion_window",
                      "invalid_value"};
  if (!error)
    error = check_metadata(body);
  if (error)
    return *error;
  if (auto* metadata = member(body, "metadata"))
    told["metadata"] = *metadata;
  return told;
}

/// Makes the job of what its file holds; what is wrong with that it tells later.
batch_job new_job(json told, const stored_file& file, const exchange& x, const hub& shared) {
  auto most = x.settings.batch_items > 0 ? x.settings.batch_items : usual_most_items;
  auto input = read_batch_input(file.content, told["endpoint"].get_ref<const std::string&>(), most);
  batch_job job;
  job.model = input.model;
  job.tokens = input.tokens;
  auto queue = x.settings.batch_queue_tokens;
  auto queued = shared.openai_jobs.queued_tokens(job.model, x.arrived);
  if (queue > 0 && queued + job.tokens > queue && input.problems.empty())
    input.problems.push_back(batch_problem(
      "token_limit_exceeded", "Enqueued token limit reached for " + job.model
                                + " in organization org-simulator. Limit: " + std::to_string(queue)
                                + " enqueued tokens. Please try again once some in_progress batches have been "
                                  "completed."));
  job.schedule.is_invalid = !input.problems.empty();
  told["problems"] = std::move(input.problems);
  job.told = std::move(told);
  if (job.schedule.is_invalid)
    job.tokens = 0;
  else
    job.items = std::move(input.items);
  return job;
}

reply job_reply(const batch_job& job, const exchange& x) {
  auto answer = speech().new_reply(x);
  answer.body = job_text(job, x.arrived);
  return answer;
}

reply no_job(const exchange& x, std::string_view id) {
  return error_reply(speech(), x, {404, "No batch found with id '" + std::string(id) + "'."});
}

} // namespace

reply create_batch(const exchange& x, hub& shared) {
  if (auto error = speech().check_key(x))
    return error_reply(speech(), x, *error);
  auto creation = read_creation(x);
  if (auto* error = std::get_if<api_error>(&creation))
    return error_reply(speech(), x, *error);
  auto& told = std::get<json>(creation);
  auto* file = shared.files.find(told["input_file_id"].get_ref<const std::string&>());
  if (file == nullptr || file->purpose != "batch")
    return error_reply(speech(), x,
                       {400, "Invalid 'input_file_id': there is no such file for batches.", "input_file_id"});
  auto& job = shared.openai_jobs.add(new_job(std::move(told), *file, x, shared), x, "batch_");
  return after_creation(job_reply(job, x), job, x, shared);
}

reply list_batches(const exchange& x, hub& shared) {
  if (auto error = speech().check_key(x))
    return error_reply(speech(), x, *error);
  auto limit = limit_in(x.query, 100);
  if (!limit)
    return error_reply(speech(), x, {400, "Invalid 'limit': expected a whole number from 1 to 100.", "limit"});
  auto found = shared.openai_jobs.list(query_value(x.query, "after"), *limit);
  auto answer = speech().new_reply(x);
  answer.body = R"({"object":"list","data":[)";
  for (auto* job : found.jobs) {
    advance(*job, x, shared, clerk());
    answer.body.append(job == found.jobs.front() ? "" : ",").append(job_text(*job, x.arrived));
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

reply show_batch(const exchange& x, hub& shared) {
  if (auto error = speech().check_key(x))
    return error_reply(speech(), x, *error);
  auto [id, verb] = name_in(x.path, prefix);
  auto* job = verb.empty() ? shared.openai_jobs.find(id) : nullptr;
  if (job == nullptr)
    return no_job(x, id);
  advance(*job, x, shared, clerk());
  return job_reply(*job, x);
}

reply cancel_batch(const exchange& x, hub& shared) {
  if (auto error = speech().check_key(x))
    return error_reply(speech(), x, *error);
  auto [id, verb] = name_in(x.path, prefix);
  auto* job = verb == "cancel" ? shared.openai_jobs.find(id) : nullptr;
  if (job == nullptr)
    return no_job(x, id);
  advance(*job, x, shared, clerk());
  auto phase = job->schedule.phase(x.arrived);
  if (is_over(phase))
    return error_reply(speech(), x, {409, "Cannot cancel a batch with status '" + std::string(name_of(phase)) + "'."});
  if (!job->schedule.cancelled)
    job->schedule.cancelled = x.arrived;
  advance(*job, x, shared, clerk()); // it may be over at once
  return job_reply(*job, x);
}

} // namespace modelforge::simulator::openai
