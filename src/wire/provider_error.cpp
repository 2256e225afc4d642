#include "wire/provider_error.hpp"

#include "base/ascii.hpp"
#include "wire/json.hpp"
#include "wire/times.hpp"

#include <algorithm>
#include <array>

namespace modelforge::wire {

namespace {

constexpr auto filter_names =
  std::to_array<std::string_view>({"content_filter", "content_policy_violation", "ResponsibleAIPolicyViolation",
                                   "bio_policy", "image_content_policy_violation"});

/// Whether a code is one of those by which providers, Azure above all, say that a filter stepped in.
bool names_filter(std::string_view text) {
  return std::find(filter_names.begin(), filter_names.end(), text) != filter_names.end();
}

/// Reads what Google puts beside an error: the exact reason, how long to wait, which quota was exceeded.
void read_details(const json::value& details, provider_error& error) {
  if (!details.is_array())
    return;
  for (auto& detail : details) {
    auto type = string_in(member(detail, "@type"));
    type = type.substr(type.rfind('/') + 1); // npos + 1 is 0
    if (type == "google.rpc.RetryInfo")
      error.wait = read_duration(string_in(member(detail, "retryDelay")));
    else if (auto& reason = member(detail, "reason"); type == "google.rpc.ErrorInfo" && !string_in(reason).empty())
      error.code = word_in(reason);
    else if (auto& all = member(detail, "violations"); type == "google.rpc.QuotaFailure" && all.is_array())
      for (auto& one : all)
        error.by_day = error.by_day || ascii::icontains(string_in(member(one, "quotaId")), "PerDay");
  }
}

/// Reads an error object, or an error that is only a text. The fields are OpenAI's; where a vendor has its own, a
/// comment names it. What is missing stays empty: `classify` copes with any subset.
provider_error read_error(const json::value& error) {
  provider_error result;
  if (error.is_string()) {
    result.message = string_in(error);
    return result;
  }
  result.code = word_in(member(error, "code"));
  result.type = word_in(member(error, "type"));
  result.message = string_in(member(error, "message"));
  result.param = word_in(member(error, "param"));
  if (result.type.empty())
    result.type = clean_words(string_in(member(error, "status")), 200); // Google
  read_details(member(error, "details"), result);
  if (result.code.empty())
    result.code = word_in(member(member(error, "details"), "error_code")); // Anthropic
  if (auto number = count_in(member(error, "code")); number && *number >= 400 && *number < 600)
    result.status = static_cast<uint16_t>(*number);
  auto& inner = member(error, "innererror");
  auto& metadata = member(error, "metadata");
  result.moderated = names_filter(result.code) || names_filter(string_in(member(inner, "code")))
                     || member(metadata, "reasons").is_array() || member(metadata, "flagged_input").is_string();
  if (result.message.empty())
    result.message = string_in(member(metadata, "raw"));
  return result;
}

/// A list of validation errors, or a text: `{"detail": [{"loc": ["body", "model"], "msg": ...}]}`.
provider_error read_detail(const json::value& detail) {
  provider_error result;
  result.message = string_in(detail);
  if (!detail.is_array())
    return result;
  for (auto& entry : detail) {
    std::string place;
    if (auto& steps = member(entry, "loc"); steps.is_array())
      for (auto& step : steps)
        if (auto word = word_in(step); word != "body" && !word.empty())
          place += (place.empty() ? "" : ".") + word;
    if (result.param.empty())
      result.param = place;
    result.message += (result.message.empty() ? "" : "; ") + (place.empty() ? "" : place + ": ")
                      + std::string{string_in(member(entry, "msg"))};
    if (result.message.size() > 1000)
      break;
  }
  return result;
}

} // namespace

std::string word_in(const json::value& value) {
  if (value.is_number_integer())
    return to_text(value);
  return clean_words(string_in(value), 200);
}

// The order matters: an `error` member is certain, so it comes first. A body with `choices` is an answer even if it has
// a `message`, so it ends the search. The looser forms follow: an error object without a wrapper (vLLM, Mistral) and
// the validation errors of servers built on FastAPI (`detail`).
std::optional<provider_error> find_error(const json::value& body) {
  if (body.is_array())
    return body.empty() ? std::nullopt : find_error(body.front().is_array() ? json::value{} : body.front());
  if (auto& error = member(body, "error"); error.is_object() || !string_in(error).empty()) {
    auto result = read_error(error);
    if (result.message.empty()) // e.g. {"error": "not_found", "message": "..."}
      result.message = string_in(member(body, "message"));
    return result;
  }
  if (body.contains("choices"))
    return {};
  if (member(body, "message").is_string() || string_in(member(body, "object")) == "error")
    return read_error(body);
  if (auto& detail = member(body, "detail"); detail.is_array() || detail.is_string())
    return read_detail(detail);
  return {};
}

} // namespace modelforge::wire
