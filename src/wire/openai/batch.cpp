#include "wire/openai/batch.hpp"

#include "base/ascii.hpp"
#include "wire/batch_parts.hpp"
#include "wire/error_beside.hpp"
#include "wire/forms.hpp"
#include "wire/provider_error.hpp"
#include "wire/request_writer.hpp"

#include <algorithm>
#include <utility>

namespace modelforge::wire::openai {

namespace {

constexpr auto nonce_key = "modelforge_job"; ///< In the metadata.

/// A provider's word for where a job stands.
struct named_state {
  std::string_view name;
  batch_state state;
};

constexpr named_state states[] = {
  {"validating", batch_state::checking},
  {"in_progress", batch_state::running},
  {"finalizing", batch_state::ending},
  {"cancelling", batch_state::cancelling},
  {"completed", batch_state::completed},
  {"failed", batch_state::failed},
  {"expired", batch_state::expired},
  {"cancelled", batch_state::cancelled},
  // of those that speak it, too
  {"queued", batch_state::checking},
  {"pending", batch_state::checking},
  {"running", batch_state::running},
  {"success", batch_state::completed},
  {"succeeded", batch_state::completed},
  {"ended", batch_state::completed},
  {"error", batch_state::failed},
  {"canceled", batch_state::cancelled},
  {"canceling", batch_state::cancelling},
  {"timeout_exceeded", batch_state::expired},
};

/// In any case of letters. A new word is none for an end, as far as we know.
batch_state state_named(std::string_view name) {
  auto found =
    std::find_if(std::begin(states), std::end(states), [&](auto& x) { return ascii::iequals(x.name, name); });
  return found == std::end(states) ? batch_state::running : found->state;
}

/// Says why a job failed: the first of the problems, and how many more there are.
failure problem_of(const json::value& errors) {
  auto& all = member(errors, "data");
  if (!all.is_array() || all.empty())
    return make_failure(errc::invalid_request, "the provider refused the batch without a reason");
  auto& first = all.front();
  auto line = count_in(member(first, "line"));
  auto refused = make_failure(errc::invalid_request, "the provider refused the batch");
  refused.provider_code = clean_words(string_in(member(first, "code")), 100);
  refused.provider_message = clean_words(string_in(member(first, "message")));
  if (line)
    refused.message += ", at line " + std::to_string(*line) + " of its input";
  if (all.size() > 1)
    refused.message += ", for " + std::to_string(all.size()) + " reasons, of which this is the first";
  if (refused.provider_code == "token_limit_exceeded") {
    refused.code = errc::rate_limited;
    refused.suggestion = "wait until other batches have ended, or make smaller ones";
  }
  return refused;
}

/// Reads a batch object. Output files are read only once the job is over: before that they are incomplete.
batch_status status_in(const json::value& job) {
  batch_status result;
  result.id = string_in(member(job, "id"));
  result.nonce = string_in(member(member(job, "metadata"), nonce_key));
  result.raw_state = clean_words(string_in(member(job, "status")), 100);
  result.state = state_named(result.raw_state);
  result.created = told_count(member(job, "created_at"));
  auto& counts = member(job, "request_counts");
  result.total = items_in(member(counts, "total"));
  result.succeeded = items_in(member(counts, "completed"));
  result.failed = items_in(member(counts, "failed"));
  if (!is_over(result.state))
    return result;
  for (auto name : {"output_file_id", "error_file_id"})
    if (auto id = string_in(member(job, name)); !id.empty())
      result.outputs.emplace_back(id);
  if (result.state == batch_state::failed)
    result.problem = problem_of(member(job, "errors"));
  return result;
}

/// What a line of results has.
struct result_fields {
  std::string id, request_id, code, message;
  std::optional<uint64_t> status;
  json::raw body;
  bool has_error = false;
};

/// Reads the answer of an item that was run, as an HTTP exchange inside the line.
void read_response(json::raw value, result_fields& result) {
  json::raw status, request_id;
  std::string scratch;
  read_fields(value, {{"status_code", &status}, {"request_id", &request_id}, {"body", &result.body}});
  result.status = told_count(status);
  result.request_id = string_in(request_id, scratch);
}

/// Reads the error of an item that was not run, in whatever form.
void read_error(json::raw value, result_fields& result) {
  auto parsed = json::parse(R"({"error":)" + std::string{value.text} + "}");
  auto* root = std::get_if<json::value>(&parsed);
  auto found = root != nullptr ? find_error(*root) : std::nullopt;
  result.has_error = found.has_value();
  if (!found)
    return;
  result.code = found->code.empty() ? found->type : found->code;
  result.message = found->message;
}

/// An answer that is JSON inside a text is read as if it stood there itself.
std::string_view inner_body(json::raw body, std::string& scratch) {
  return body.is_string() && ascii::trim_front(string_in(body, scratch)).starts_with('{') ? std::string_view{scratch}
                                                                                          : body.text;
}

/// Returns what a line says, or what is wrong with it.
std::variant<result_fields, std::string> read_line(std::string_view line) {
  json::raw id, response, error;
  json::reader in{line};
  auto is_object = in.fields({{"custom_id", &id}, {"response", &response}, {"error", &error}});
  if (!in.finish())
    return in.problem();
  result_fields fields;
  std::string scratch;
  fields.id = string_in(id, scratch);
  if (!is_object || fields.id.empty())
    return "no custom_id";
  read_response(response, fields);
  read_error(error, fields);
  return fields;
}

/// The result of an item that never had an answer.
batch_result unanswered(result_fields fields) {
  batch_result result;
  if (fields.code == "batch_expired")
    result = unrun(std::move(fields.id), batch_end::expired);
  else if (fields.code == "batch_cancelled" || fields.code == "batch_canceled")
    result = unrun(std::move(fields.id), batch_end::cancelled);
  else
    result = {std::move(fields.id), batch_end::errored,
              make_failure(errc::server_error, "the provider could not run this item of the batch")};
  auto& why = std::get<failure>(result.answer);
  why.provider_code = clean_words(fields.code, 100);
  why.provider_message = clean_words(fields.message);
  return result;
}

/// OpenAI's Batch API, also spoken by Azure and some others: the input is uploaded as a JSON lines file, a job is
/// created of it, and results are files again, one for answers and one for errors. Stateless; the nonce goes into the
/// job's metadata, by which a lost creation is found again.
class api final : public batch_api {
public:
  api(const dialect& speaker, batch_place where) : speaker_(speaker), where_(std::move(where)) {}

  batch_limits limits() const override { return {50'000, 200'000'000}; }

  bool has_upload() const override { return true; }

  bool keeps_nonce() const override { return true; }

  std::variant<batch_line, failure> encode_item(std::string_view id, const chat_request& asked) const override {
    auto encoded = speaker_.encode(asked);
    if (auto* problem = std::get_if<failure>(&encoded))
      return std::move(*problem);
    auto& request = std::get<encoded_request>(encoded);
    batch_line line;
    line.warnings = std::move(request.warnings);
    line.text.reserve(request.body.size() + id.size() + where_.endpoint.size() + 64);
    json::writer out{line.text};
    out.open('{');
    out.key("custom_id");
    out.repaired(id);
    out.key("method");
    out.word("POST");
    out.key("url");
    out.repaired(where_.endpoint);
    out.key("body");
    out.raw(request.body);
    out.close('}');
    return line;
  }

  /// No line can hold the boundary: JSON on one line has no line feed of its own.
  batch_call upload(std::span<const std::string> lines, std::string_view nonce) const override {
    auto boundary = "modelforge-" + std::string{nonce};
    auto part = "--" + boundary + "\r\nContent-Disposition: form-data; name=\"";
    auto call = post("/files", {});
    call.headers = {{"content-type", "multipart/form-data; boundary=" + boundary}};
    std::size_t size = 4 * part.size() + 256;
    for (auto& line : lines)
      size += line.size() + 1;
    call.body.reserve(size);
    call.body.append(part).append("purpose\"\r\n\r\nbatch\r\n").append(part).append("file\"; filename=\"");
    call.body.append(boundary).append(".jsonl\"\r\nContent-Type: application/jsonl\r\n\r\n");
    for (auto& line : lines)
      call.body.append(line).append("\n");
    call.body.append("\r\n--").append(boundary).append("--\r\n");
    return call;
  }

  std::variant<std::string, failure> decode_upload(const http::response_head& head,
                                                   std::string_view body) const override {
    auto read = read_batch_answer(head, body, "id", "file");
    if (auto* problem = std::get_if<failure>(&read))
      return std::move(*problem);
    return std::string{string_in(member(std::get<json::value>(read), "id"))};
  }

  batch_call create(std::string_view input, std::span<const std::string>, std::string_view nonce) const override {
    auto call = post("/batches", {});
    json::writer out{call.body};
    out.open('{');
    out.key("input_file_id");
    out.repaired(input);
    out.key("endpoint");
    out.repaired(where_.endpoint);
    out.key("completion_window");
    out.word("24h");
    out.key("metadata");
    out.open('{');
    out.key(nonce_key);
    out.repaired(nonce);
    out.close('}');
    out.close('}');
    return call;
  }

  batch_call poll(std::string_view id) const override { return get("/batches/" + path_segment(id)); }

  batch_call cancel(std::string_view id) const override {
    return post("/batches/" + path_segment(id) + "/cancel", "{}");
  }

  batch_call list(std::string_view after) const override {
    auto query = after.empty() ? "limit=100" : "limit=100&after=" + path_segment(after);
    auto call = get("/batches");
    call.path += (where_.query.empty() ? "?" : "&") + query;
    return call;
  }

  batch_call download(std::string_view output) const override {
    return get("/files/" + path_segment(output) + "/content");
  }

  std::variant<batch_status, failure> decode_job(const http::response_head& head,
                                                 std::string_view body) const override {
    return read_batch_job(head, body, "status", status_in);
  }

  std::variant<batch_page, failure> decode_list(const http::response_head& head, std::string_view body) const override {
    return read_batch_list(head, body, status_in);
  }

  std::variant<batch_result, failure> decode_result(std::string_view line) const override {
    auto read = read_line(line);
    if (auto* problem = std::get_if<std::string>(&read)) {
      auto numbers = json::without_odd_numbers(line);
      return numbers ? decode_result(*numbers) : broken_line(*problem);
    }
    auto& fields = std::get<result_fields>(read);
    if (!fields.status || (fields.has_error && fields.body.text.empty()))
      return unanswered(std::move(fields));
    http::response_head head{static_cast<uint16_t>(std::min<uint64_t>(*fields.status, 999)), {}};
    if (!fields.request_id.empty())
      head.headers.push_back({"x-request-id", fields.request_id});
    std::string scratch;
    batch_result result{std::move(fields.id), batch_end::succeeded,
                        speaker_.decode(head, inner_body(fields.body, scratch))};
    if (auto* good = std::get_if<completion>(&result.answer); good != nullptr && fields.has_error)
      good->warnings.push_back(beside_warning(fields.message.empty() ? fields.code : fields.message));
    if (std::holds_alternative<failure>(result.answer))
      result.end = batch_end::errored;
    return result;
  }

private:
  batch_call get(std::string path) const { return {"GET", where_.prefix + std::move(path) + where_.query, {}, {}}; }

  batch_call post(std::string path, std::string body) const {
    return {
      "POST", where_.prefix + std::move(path) + where_.query, {{"content-type", "application/json"}}, std::move(body)};
  }

  const dialect& speaker_;
  batch_place where_;
};

} // namespace

std::unique_ptr<batch_api> make_batches(const dialect& speaker, batch_place where) {
  return std::make_unique<api>(speaker, std::move(where));
}

} // namespace modelforge::wire::openai
