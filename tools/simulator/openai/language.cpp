#include "tools/simulator/openai/openai.hpp"

#include "tools/simulator/random.hpp"
#include "tools/simulator/text.hpp"

// Errors, refusals and headers in OpenAI's words; Azure's are the same but for the header with the key. Limits are
// reported by `x-ratelimit-*` and `retry-after`, whose durations are written as Go prints them.

namespace modelforge::simulator::openai {

namespace {

using std::chrono::ceil;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr std::string_view garbage = "{\"id\":\"chatcmpl-\x01\xff\xfe{{{ garbage";

/// Returns `duration` as Go prints it, rounded up to a millisecond: "0s", "12ms", "7.66s", "6m0s", "1h2m3s".
std::string go_duration(clock::duration duration) {
  auto left = static_cast<uint64_t>(ceil<milliseconds>(duration).count());
  std::string text;
  if (left > 0 && left < 1'000) {
    append_number(text, left);
    return text + "ms";
  }
  for (auto [size, unit] : {std::pair{3'600'000u, 'h'}, {60'000u, 'm'}}) {
    if (left < size && text.empty())
      continue;
    append_number(text, left / size);
    text += unit;
    left %= size;
  }
  append_number(text, left / 1'000);
  if (left % 1'000 > 0) {
    auto fraction = std::to_string(1'000 + left % 1'000);
    fraction.erase(fraction.find_last_not_of('0') + 1);
    text += fraction.replace(0, 1, ".");
  }
  return text + "s";
}

/// Appends both headers that say how long to wait: whole seconds, rounded up, and milliseconds.
void append_wait(std::string& headers, clock::duration wait) {
  append_header(headers, "retry-after", std::to_string(ceil<seconds>(wait).count()));
  append_header(headers, "retry-after-ms", std::to_string(ceil<milliseconds>(wait).count()));
}

/// "on tokens per min (TPM): Limit 100", with the length of another window in the place of "min".
std::string limit_text(const exchange& incoming, const ruling& refusal) {
  auto is_requests = refusal.exceeded == limit_kind::requests;
  auto window = incoming.settings.window == std::chrono::minutes(1) ? "min" : go_duration(incoming.settings.window);
  return std::string("on ") + (is_requests ? "requests" : "tokens") + " per " + window
         + (is_requests ? " (RPM)" : " (TPM)") + ": Limit " + std::to_string(refusal.limit);
}

/// Appends the three headers of one limit.
void append_level(std::string& headers, std::string_view metric, const limiter::level& level) {
  auto append = [&](std::string_view name, const std::string& value) {
    append_header(headers, "x-ratelimit-" + std::string(name) + "-" + std::string(metric), value);
  };
  append("limit", std::to_string(level.limit));
  append("remaining", std::to_string(level.remaining));
  append("reset", go_duration(level.reset));
}

/// How OpenAI reports errors, refusals and faults.
class openai_speech : public language {
public:
  reply new_reply(const exchange& incoming) const override {
    auto unique = unique_number(incoming);
    reply answer;
    answer.headers = "x-request-id: req_" + hex(unique) + hex(mix(~unique)) + "\r\nopenai-version: 2020-10-01\r\n";
    answer.timing_header = "openai-processing-ms";
    return answer;
  }

  std::string error_text(const exchange&, const api_error& error) const override { return openai::error_text(error); }

  std::optional<api_error> check_key(const exchange& incoming) const override {
    if (incoming.settings.api_key.empty())
      return std::nullopt;
    auto given = incoming.api_key.empty() ? bearer_key(incoming) : incoming.api_key;
    if (!given)
      return api_error{401,
                       "You didn't provide an API key. You need to provide your API key in an Authorization header "
                       "using Bearer auth (i.e. Authorization: Bearer YOUR_KEY)."};
    if (*given != incoming.settings.api_key)
      return api_error{401, "Incorrect API key provided.", "", "invalid_api_key"};
    return std::nullopt;
  }

  reply limit_reply(const exchange& incoming, std::string_view model, const ruling& refusal) const override {
    auto type = refusal.exceeded == limit_kind::requests ? "requests" : "tokens";
    auto subject = " for " + std::string(model) + " in organization org-simulator " + limit_text(incoming, refusal);
    auto requested = ", Requested " + std::to_string(refusal.requested) + ". ";
    if (refusal.is_hopeless) {
      auto answer = rate_limit_reply(incoming,
                                     "Request too large" + subject + requested
                                       + "The input or output tokens must be reduced in order to run successfully.",
                                     type);
      append_header(answer.headers, "x-should-retry", "false");
      return answer;
    }
    auto answer = rate_limit_reply(incoming,
                                   "Rate limit reached" + subject + ", Used " + std::to_string(refusal.used) + requested
                                     + "Please try again in " + go_duration(refusal.wait) + ".",
                                   type);
    append_wait(answer.headers, refusal.wait);
    return answer;
  }

  reply fault_reply(const exchange& incoming, std::string_view model, fault injected) const override {
    switch (injected) {
      case fault::rate_limit:
      case fault::rate_limit_waited:
        return faulty_limit_reply(incoming, model, injected == fault::rate_limit_waited);
      case fault::quota:
        return error_reply(*this, incoming,
                           {429, "You exceeded your current quota, please check your plan and billing details.", "",
                            "insufficient_quota", "insufficient_quota"});
      case fault::unavailable:
        return error_reply(*this, incoming,
                           {503, "The engine is currently overloaded, please try again later.", "",
                            "server_is_overloaded", "service_unavailable_error"});
      case fault::overloaded:
        return error_reply(*this, incoming, {529, "Overloaded", "", "", "overloaded_error"});
      default:
        return error_reply(*this, incoming, server_error());
    }
  }

  reply garbage_reply(const exchange& incoming, bool is_stream) const override {
    auto answer = new_reply(incoming);
    answer.body = garbage;
    if (is_stream) {
      answer.content_type = "text/event-stream; charset=utf-8";
      answer.body = "data: " + answer.body + "\n\ndata: [DONE]\n\n";
    }
    return answer;
  }

  void append_limit_headers(const exchange& incoming, reply& answer) const override {
    auto& limits = incoming.gate.limits();
    if (auto level = limits.request_level(incoming.arrived))
      append_level(answer.headers, "requests", *level);
    if (auto level = limits.token_level(incoming.arrived))
      append_level(answer.headers, "tokens", *level);
  }

private:
  /// Returns a 429 with that message; `type` is the limit's.
  reply rate_limit_reply(const exchange& incoming, std::string message, std::string type) const {
    return error_reply(*this, incoming, {429, std::move(message), "", "rate_limit_exceeded", std::move(type)});
  }

  /// Returns a 429 that no limit caused; `is_waited`: it says how long to wait.
  reply faulty_limit_reply(const exchange& incoming, std::string_view model, bool is_waited) const {
    auto answer = rate_limit_reply(
      incoming, "Rate limit reached for " + std::string(model) + ". Please try again later.", "requests");
    if (!is_waited)
      return answer;
    if (incoming.settings.retry_after % seconds(1) == seconds(0))
      append_header(answer.headers, "retry-after",
                    std::to_string(ceil<seconds>(incoming.settings.retry_after).count()));
    else
      append_wait(answer.headers, incoming.settings.retry_after);
    return answer;
  }
};

} // namespace

const language& speech() {
  static const openai_speech instance;
  return instance;
}

api_error server_error() {
  return {500, "The server had an error while processing your request. Sorry about that!", "", "", "server_error"};
}

std::string error_text(const api_error& error) {
  std::string text;
  auto field = [&](std::string_view name, const std::string& value) {
    text.append(name);
    if (value.empty())
      text += "null";
    else
      append_json(text, value);
  };
  field(R"({"error":{"message":)", error.message);
  field(R"(,"type":)", error.type.empty() ? "invalid_request_error" : error.type);
  field(R"(,"param":)", error.param);
  field(R"(,"code":)", error.code);
  return text + "}}";
}

} // namespace modelforge::simulator::openai
