#include "base/ascii.hpp"
#include "wire/anthropic/anthropic.hpp"
#include "wire/batch_parts.hpp"
#include "wire/error_beside.hpp"
#include "wire/provider_error.hpp"
#include "wire/request_writer.hpp"
#include "wire/times.hpp"

#include <algorithm>
#include <utility>

namespace modelforge::wire::anthropic {

namespace {

constexpr std::string_view root_path = "/v1/messages/batches";

/// Type of an error, and the HTTP status that it comes with in a single exchange.
struct named_status {
  std::string_view type;
  uint16_t status;
};

/// An item's error has no HTTP status of its own: the one that comes with such an error elsewhere.
constexpr named_status statuses[] = {
  {"invalid_request_error", 400}, {"authentication_error", 401}, {"billing_error", 402},    {"permission_error", 403},
  {"not_found_error", 404},       {"request_too_large", 413},    {"rate_limit_error", 429}, {"api_error", 500},
  {"timeout_error", 504},         {"overloaded_error", 529},
};

/// 500 for a type that is not known: what passes is tried again.
uint16_t status_of(const json::value& error) {
  auto& inner = member(error, "error");
  auto type = string_in(member(inner.is_object() ? inner : error, "type"));
  auto found = std::find_if(std::begin(statuses), std::end(statuses), [&](auto& x) { return x.type == type; });
  return found == std::end(statuses) ? 500 : found->status;
}

/// `ended` is the only final word: the counts say whether items were cancelled or expired.
batch_state state_of(const json::value& job, std::string_view word) {
  if (ascii::iequals(word, "canceling"))
    return batch_state::cancelling;
  if (!ascii::iequals(word, "ended"))
    return batch_state::running;
  auto& counts = member(job, "request_counts");
  if (count_in(member(counts, "canceled")).value_or(0) > 0)
    return batch_state::cancelled;
  return count_in(member(counts, "expired")).value_or(0) > 0 ? batch_state::expired : batch_state::completed;
}

/// Reads a batch object. Its only output is the job itself, and gone once it is archived.
batch_status status_in(const json::value& job) {
  batch_status result;
  result.id = string_in(member(job, "id"));
  result.raw_state = clean_words(string_in(member(job, "processing_status")), 100);
  result.state = state_of(job, result.raw_state);
  if (auto created = read_rfc3339(string_in(member(job, "created_at"))))
    result.created = static_cast<uint64_t>(
      std::max<int64_t>(0, std::chrono::floor<std::chrono::seconds>(created->time_since_epoch()).count()));
  auto& counts = member(job, "request_counts");
  auto count = [&](std::string_view name) { return items_in(member(counts, name)); };
  result.succeeded = count("succeeded");
  result.failed = count("errored") + count("canceled") + count("expired");
  result.total = count("processing") + result.succeeded + result.failed;
  if (!is_over(result.state))
    return result;
  if (!string_in(member(job, "archived_at")).empty())
    result.problem = make_failure(errc::not_found, "the provider keeps the results of this batch no longer",
                                  "they are kept for 29 days; send the items again");
  else
    result.outputs = {result.id};
  return result;
}

/// What a line of results has.
struct result_fields {
  std::string id, type;
  json::raw message, error;
};

/// Returns what a line says, or what is wrong with it.
std::variant<result_fields, std::string> read_line(std::string_view line) {
  json::raw id, result, type;
  json::reader in{line};
  auto is_object = in.fields({{"custom_id", &id}, {"result", &result}});
  if (!in.finish())
    return in.problem();
  result_fields fields;
  std::string scratch;
  fields.id = string_in(id, scratch);
  if (!is_object || fields.id.empty())
    return "no custom_id";
  read_fields(result, {{"type", &type}, {"message", &fields.message}, {"error", &fields.error}});
  fields.type = string_in(type, scratch);
  return fields;
}

/// Anthropic's Message Batches: all requests go in one body, and results come as JSON lines under the job's own path.
/// Nothing of ours is kept with a job, so a lost creation is found by the ids of its results.
class api final : public batch_api {
public:
  explicit api(const dialect& speaker) : speaker_(speaker) {}

  batch_limits limits() const override { return {100'000, 256'000'000 - 1'024}; } // all of the body counts

  bool has_upload() const override { return false; }

  bool keeps_nonce() const override { return false; }

  std::variant<batch_line, failure> encode_item(std::string_view id, const chat_request& asked) const override {
    auto encoded = speaker_.encode(asked);
    if (auto* problem = std::get_if<failure>(&encoded))
      return std::move(*problem);
    auto& request = std::get<encoded_request>(encoded);
    batch_line line;
    line.warnings = std::move(request.warnings);
    line.text.reserve(request.body.size() + id.size() + 32);
    json::writer out{line.text};
    out.open('{');
    out.key("custom_id");
    out.repaired(id);
    out.key("params");
    out.raw(request.body);
    out.close('}');
    return line;
  }

  batch_call upload(std::span<const std::string>, std::string_view) const override { return {}; }

  std::variant<std::string, failure> decode_upload(const http::response_head& head, std::string_view) const override {
    return invalid_answer(head, "an answer to what was never asked");
  }

  /// Anthropic keeps no word of ours with a job: the items' ids hold its nonce.
  batch_call create(std::string_view, std::span<const std::string> lines, std::string_view) const override {
    batch_call call{"POST", std::string{root_path}, {{"content-type", "application/json"}}, {}};
    std::size_t size = 32;
    for (auto& line : lines)
      size += line.size() + 1;
    call.body.reserve(size);
    json::writer out{call.body};
    out.open('{');
    out.key("requests");
    out.open('[');
    for (auto& line : lines)
      out.raw(line);
    out.close(']');
    out.close('}');
    return call;
  }

  batch_call poll(std::string_view id) const override { return {"GET", path_of(id), {}, {}}; }

  batch_call cancel(std::string_view id) const override {
    return {"POST", path_of(id, "/cancel"), {{"content-type", "application/json"}}, "{}"};
  }

  batch_call list(std::string_view after) const override {
    std::string path{root_path};
    path += "?limit=100";
    if (!after.empty())
      path.append("&after_id=").append(path_segment(after));
    return {"GET", std::move(path), {}, {}};
  }

  /// Not by the job's `results_url`: the key goes nowhere but to the base URL.
  batch_call download(std::string_view output) const override { return {"GET", path_of(output, "/results"), {}, {}}; }

  std::variant<batch_status, failure> decode_job(const http::response_head& head,
                                                 std::string_view body) const override {
    return read_batch_job(head, body, "processing_status", status_in);
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
    if (fields.type == "succeeded") {
      batch_result result{std::move(fields.id), batch_end::succeeded, speaker_.decode({200, {}}, fields.message.text)};
      if (auto* good = std::get_if<completion>(&result.answer); good != nullptr && tells_error(fields.error))
        good->warnings.push_back(beside_warning(error_of(fields).provider_message));
      if (std::holds_alternative<failure>(result.answer))
        result.end = batch_end::errored;
      return result;
    }
    if (fields.type == "expired" || fields.type == "canceled")
      return unrun(std::move(fields.id), fields.type == "expired" ? batch_end::expired : batch_end::cancelled);
    return batch_result{fields.id, batch_end::errored, error_of(fields)};
  }

private:
  static std::string path_of(std::string_view id, std::string_view verb = {}) {
    std::string path{root_path};
    path.append("/").append(path_segment(id)).append(verb);
    return path;
  }

  /// An item's error is a whole answer with an error in it.
  static failure error_of(const result_fields& fields) {
    auto parsed = json::parse(fields.error.text);
    auto* error = std::get_if<json::value>(&parsed);
    json::value wrapped;
    if (error != nullptr && !find_error(*error)) { // its words alone
      wrapped["error"] = *error;
      error = &wrapped;
    }
    if (error == nullptr || !find_error(*error))
      return make_failure(errc::invalid_response, "the provider tells neither a result nor an error, but \""
                                                    + clean_words(fields.type, 100) + "\"");
    return error_answer({status_of(*error), {}}, error, fields.error.text);
  }

  const dialect& speaker_;
};

} // namespace

std::unique_ptr<batch_api> make_batches(const dialect& speaker) {
  return std::make_unique<api>(speaker);
}

} // namespace modelforge::wire::anthropic
