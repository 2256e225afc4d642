#include "tools/simulator/gemini/gemini.hpp"

#include "tools/simulator/text.hpp"

// Errors and refusals in Google's words: a code, a status by name, and details of the types of `google.rpc`. Google
// sends no headers about limits; how long to wait stands in the details.

namespace modelforge::simulator::gemini {

namespace {

using std::chrono::ceil;
using std::chrono::milliseconds;

constexpr std::string_view type_prefix = R"({"@type":"type.googleapis.com/google.rpc.)";

/// Returns the status's name.
std::string_view status_of(int status) {
  switch (status) {
    case 401:
      return "UNAUTHENTICATED";
    case 403:
      return "PERMISSION_DENIED";
    case 404:
      return "NOT_FOUND";
    case 429:
      return "RESOURCE_EXHAUSTED";
    case 500:
      return "INTERNAL";
    case 503:
      return "UNAVAILABLE";
    default:
      return status < 500 ? "INVALID_ARGUMENT" : "INTERNAL";
  }
}

/// `details` is what stands in that list.
std::string body_of(int status, std::string_view message, std::string_view details = {}) {
  std::string text = R"({"error":{"code":)" + std::to_string(status) + R"(,"message":)";
  append_json(text, message);
  text.append(R"(,"status":")").append(status_of(status)).append("\"");
  if (!details.empty())
    text.append(R"(,"details":[)").append(details).append("]");
  return text + "}}";
}

/// The reason of an error, or the field at fault.
std::string details_of(const api_error& error) {
  std::string text(error.code.empty() && error.param.empty() ? std::string_view() : type_prefix);
  if (!error.code.empty()) {
    text += R"(ErrorInfo","reason":)";
    append_json(text, error.code);
    text += R"(,"domain":"googleapis.com","metadata":{"service":"generativelanguage.googleapis.com"}})";
  } else if (!error.param.empty()) {
    text += R"(BadRequest","fieldViolations":[{"field":)";
    append_json(text, error.param);
    text += R"(,"description":)";
    append_json(text, error.message);
    text += "}]}";
  }
  return text;
}

/// Returns `duration` as protocol buffers' JSON has it: "34.4s", rounded up to a millisecond.
std::string duration_text(clock::duration duration) {
  auto left = ceil<milliseconds>(duration).count();
  auto text = std::to_string(left / 1'000);
  if (left % 1'000 > 0) {
    auto fraction = std::to_string(1'000 + left % 1'000);
    fraction.erase(fraction.find_last_not_of('0') + 1);
    text += fraction.replace(0, 1, ".");
  }
  return text + "s";
}

/// What a 429 is about.
struct quota {
  std::string_view metric, id;
  std::string value; ///< The limit; empty: not reported.
};

constexpr std::string_view requests_metric = "generativelanguage.googleapis.com/generate_content_requests";
constexpr std::string_view tokens_metric = "generativelanguage.googleapis.com/generate_content_input_token_count";

/// Returns the details of a 429: which quota, a link, and how long to wait if that is known.
std::string quota_details(const quota& exceeded, std::string_view model, std::optional<clock::duration> wait) {
  std::string text(type_prefix);
  text.append(R"(QuotaFailure","violations":[{"quotaMetric":")").append(exceeded.metric);
  text.append(R"(","quotaId":")").append(exceeded.id).append(R"(","quotaDimensions":{"location":"global","model":)");
  append_json(text, model);
  text += '}';
  if (!exceeded.value.empty())
    text.append(R"(,"quotaValue":")").append(exceeded.value).append("\"");
  text.append("}]},").append(type_prefix);
  text +=
    R"(Help","links":[{"description":"Learn more about Gemini API quotas","url":"https://ai.google.dev/gemini-api/docs/rate-limits"}]})";
  if (wait)
    text.append(",").append(type_prefix).append(R"(RetryInfo","retryDelay":")" + duration_text(*wait) + "\"}");
  return text;
}

/// How Google reports errors, refusals and faults.
class gemini_speech : public language {
public:
  reply new_reply(const exchange&) const override {
    reply answer;
    answer.content_type = "application/json; charset=UTF-8";
    answer.headers = "vary: Origin\r\nvary: X-Origin\r\n";
    return answer;
  }

  std::string error_text(const exchange&, const api_error& error) const override {
    return body_of(error.status, error.message, details_of(error));
  }

  std::optional<api_error> check_key(const exchange& incoming) const override {
    if (incoming.settings.api_key.empty())
      return std::nullopt;
    auto given = incoming.x_goog_api_key.empty() ? key_in(incoming.query) : incoming.x_goog_api_key;
    if (given.empty())
      return api_error{403, "Method doesn't allow unregistered callers (callers without established identity). Please "
                            "use API Key or other form of API consumer identity to call this API."};
    if (given != incoming.settings.api_key)
      return api_error{400, "API key not valid. Please pass a valid API key.", "", "API_KEY_INVALID"};
    return std::nullopt;
  }

  reply limit_reply(const exchange& incoming, std::string_view model, const ruling& refusal) const override {
    auto is_requests = refusal.exceeded == limit_kind::requests;
    quota exceeded{is_requests ? requests_metric : tokens_metric,
                   is_requests ? "GenerateRequestsPerMinutePerProjectPerModel"
                               : "GenerateContentInputTokensPerModelPerMinute",
                   std::to_string(refusal.limit)};
    return exhausted(incoming, model, exceeded, refusal.is_hopeless ? std::nullopt : std::optional(refusal.wait));
  }

  reply fault_reply(const exchange& incoming, std::string_view model, fault injected) const override {
    switch (injected) {
      case fault::rate_limit:
        return exhausted(incoming, model, {requests_metric, "GenerateRequestsPerMinutePerProjectPerModel", ""},
                         std::nullopt);
      case fault::rate_limit_waited:
        return exhausted(incoming, model, {requests_metric, "GenerateRequestsPerMinutePerProjectPerModel", ""},
                         incoming.settings.retry_after);
      case fault::quota: // the delay that comes with it is useless: that day's requests are used up
        return exhausted(incoming, model, {requests_metric, "GenerateRequestsPerDayPerProjectPerModel-FreeTier", "250"},
                         std::chrono::seconds(21));
      case fault::unavailable:
        return error_reply(*this, incoming, {503, "The service is currently unavailable."});
      case fault::overloaded: // Google has no 529
        return error_reply(*this, incoming, {503, "The model is overloaded. Please try again later."});
      default:
        return error_reply(*this, incoming, {500, "An internal error has occurred. Please retry or report."});
    }
  }

  reply garbage_reply(const exchange& incoming, bool is_stream) const override {
    auto answer = new_reply(incoming);
    answer.body = "{\"candidates\":[\x01\xff\xfe{{{ garbage";
    if (is_stream) {
      answer.content_type = "text/event-stream";
      answer.body = "data: " + answer.body + "\r\n\r\n";
    }
    return answer;
  }

private:
  /// Returns the key from the query, where it may stand in place of the header.
  static std::string_view key_in(std::string_view query) {
    while (!query.empty()) {
      auto each = query.substr(0, query.find('&'));
      query.remove_prefix(std::min(each.size() + 1, query.size()));
      if (each.starts_with("key="))
        return each.substr(4);
    }
    return {};
  }

  /// Returns a 429 about that quota.
  reply exhausted(const exchange& incoming, std::string_view model, const quota& exceeded,
                  std::optional<clock::duration> wait) const {
    auto message = "You exceeded your current quota, please check your plan and billing details.\n* Quota exceeded for "
                   "metric: "
                   + std::string(exceeded.metric) + ", model: " + std::string(model);
    if (!exceeded.value.empty())
      message += ", limit: " + exceeded.value;
    if (wait)
      message += "\nPlease retry in " + duration_text(*wait) + ".";
    auto answer = new_reply(incoming);
    answer.status = 429;
    answer.body = body_of(429, message, quota_details(exceeded, model, wait));
    return answer;
  }
};

} // namespace

const language& speech() {
  static const gemini_speech instance;
  return instance;
}

std::string server_error() {
  return body_of(500, "An internal error has occurred. Please retry or report.");
}

api_error missing_model(std::string_view model, std::string_view method) {
  return {404, "models/" + std::string(model) + " is not found for API version v1beta, or is not supported for "
                 + std::string(method)
                 + ". Call ListModels to see the list of available models and their supported "
                   "methods."};
}

} // namespace modelforge::simulator::gemini
