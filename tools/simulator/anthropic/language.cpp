#include "tools/simulator/anthropic/anthropic.hpp"

#include "tools/simulator/random.hpp"
#include "tools/simulator/text.hpp"
#include "tools/simulator/times.hpp"

// Errors, refusals and headers in Anthropic's words. Every answer has a request id, which is in its error, too; limits
// are reported by `anthropic-ratelimit-*` headers, whose reset is a point in time, not a duration.

namespace modelforge::simulator::anthropic {

namespace {

using std::chrono::ceil;
using std::chrono::seconds;

/// Returns the error's type, which follows from the status.
std::string_view type_of_status(int status) {
  switch (status) {
    case 401:
      return "authentication_error";
    case 403:
      return "permission_error";
    case 404:
      return "not_found_error";
    case 413:
      return "request_too_large";
    case 429:
      return "rate_limit_error";
    case 529:
      return "overloaded_error";
    default:
      return status < 500 ? "invalid_request_error" : "api_error";
  }
}

/// Returns an id as Anthropic's look.
std::string request_id(uint64_t number) {
  return "req_" + hex(number) + hex(mix(~number), 8);
}

/// An error with `error.code` as the detail `error_code`, or no details at all.
std::string body_of(const api_error& error, uint64_t request_number) {
  std::string text = R"({"type":"error","error":{"type":)";
  append_json(text, error.type.empty() ? type_of_status(error.status) : error.type);
  text += R"(,"message":)";
  append_json(text, error.message);
  if (!error.code.empty()) {
    text += R"(,"details":{"error_code":)";
    append_json(text, error.code);
    text += '}';
  }
  return text + R"(},"request_id":")" + request_id(request_number) + "\"}";
}

/// How Anthropic reports errors, refusals and faults.
class anthropic_speech : public language {
public:
  reply new_reply(const exchange& incoming) const override {
    reply answer;
    append_header(answer.headers, "request-id", request_id(unique_number(incoming)));
    append_header(answer.headers, "anthropic-organization-id", "00000000-0000-4000-8000-000000000001");
    return answer;
  }

  std::string error_text(const exchange& incoming, const api_error& error) const override {
    return body_of({error.status, error.message, {}, {}, error.type}, unique_number(incoming));
  }

  std::optional<api_error> check_key(const exchange& incoming) const override {
    if (incoming.settings.api_key.empty())
      return std::nullopt;
    auto bearer = bearer_key(incoming);
    if (incoming.x_api_key.empty() && !bearer)
      return api_error{401, "x-api-key header is required"};
    if (!incoming.x_api_key.empty() && incoming.x_api_key != incoming.settings.api_key)
      return api_error{401, "invalid x-api-key"};
    if (incoming.x_api_key.empty() && *bearer != incoming.settings.api_key)
      return api_error{401, "Invalid bearer token"};
    return std::nullopt;
  }

  reply limit_reply(const exchange& incoming, std::string_view model, const ruling& refusal) const override {
    auto kind = refusal.exceeded == limit_kind::requests                  ? "requests"
                : incoming.settings.accounting == token_accounting::input ? "input tokens"
                                                                          : "tokens";
    auto answer = limit_error(incoming, "This request would exceed your organization's rate limit of "
                                          + std::to_string(refusal.limit) + " " + kind + " per "
                                          + (incoming.settings.window == std::chrono::minutes(1) ? "minute" : "window")
                                          + " (model: " + std::string(model) + "; used: " + std::to_string(refusal.used)
                                          + ", requested: " + std::to_string(refusal.requested) + ").");
    if (refusal.is_hopeless)
      append_header(answer.headers, "x-should-retry", "false");
    else
      append_header(answer.headers, "retry-after", std::to_string(ceil<seconds>(refusal.wait).count()));
    return answer;
  }

  reply fault_reply(const exchange& incoming, std::string_view model, fault injected) const override {
    switch (injected) {
      case fault::rate_limit:
        return limit_error(incoming, "Number of requests to " + std::string(model) + " has exceeded your rate limit.");
      case fault::rate_limit_waited: {
        auto answer =
          limit_error(incoming, "Number of requests to " + std::string(model) + " has exceeded your rate limit.");
        append_header(answer.headers, "retry-after",
                      std::to_string(ceil<seconds>(incoming.settings.retry_after).count()));
        return answer;
      }
      case fault::quota:
        return spend_cap(incoming);
      case fault::unavailable:
        return error_reply(*this, incoming, {503, "Service Unavailable"});
      case fault::overloaded:
        return error_reply(*this, incoming, {529, "Overloaded"});
      default:
        return error_reply(*this, incoming, {500, "Internal server error"});
    }
  }

  reply garbage_reply(const exchange& incoming, bool is_stream) const override {
    auto answer = new_reply(incoming);
    answer.body = "{\"id\":\"msg_\x01\xff\xfe{{{ garbage";
    if (is_stream) {
      answer.content_type = "text/event-stream; charset=utf-8";
      answer.body = "event: message_start\ndata: " + answer.body + "\n\n";
    }
    return answer;
  }

  bool is_cached_free() const override { return true; }

  /// The real API rounds what remains of tokens to thousands; a limit in a test may be smaller than that.
  void append_limit_headers(const exchange& incoming, reply& answer) const override {
    auto& limits = incoming.gate.limits();
    if (auto level = limits.request_level(incoming.arrived))
      append_level(incoming, answer.headers, "requests", *level);
    auto level = limits.token_level(incoming.arrived);
    if (level)
      append_level(incoming, answer.headers, "tokens", *level);
    if (level && incoming.settings.accounting == token_accounting::input)
      append_level(incoming, answer.headers, "input-tokens", *level);
  }

private:
  /// Returns a 429 with that message.
  reply limit_error(const exchange& incoming, std::string message) const {
    return error_reply(*this, incoming, {429, std::move(message)});
  }

  /// Lasts until the month ends, so no wait is reported.
  reply spend_cap(const exchange& incoming) const {
    auto answer = new_reply(incoming);
    answer.status = 429;
    answer.body =
      body_of({429, "Your organization has reached its monthly spend limit.", "", "enforced_spend_limit_reached"},
              unique_number(incoming));
    return answer;
  }

  /// Appends the three headers of one limit.
  static void append_level(const exchange& incoming, std::string& headers, std::string_view metric,
                           const limiter::level& level) {
    auto append = [&](std::string_view name, const std::string& value) {
      append_header(headers, "anthropic-ratelimit-" + std::string(metric) + "-" + std::string(name), value);
    };
    append("limit", std::to_string(level.limit));
    append("remaining", std::to_string(level.remaining));
    append("reset", utc_time(incoming.created + ceil<seconds>(level.reset).count()));
  }
};

} // namespace

const language& speech() {
  static const anthropic_speech instance;
  return instance;
}

std::string server_error(uint64_t request_number) {
  return body_of({500, "Internal server error"}, request_number);
}

} // namespace modelforge::simulator::anthropic
