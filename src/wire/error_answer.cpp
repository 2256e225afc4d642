#include "base/ascii.hpp"
#include "base/url.hpp"
#include "wire/json.hpp"
#include "wire/provider_error.hpp"
#include "wire/retry_after.hpp"

#include <algorithm>
#include <array>
#include <chrono>

namespace modelforge::wire {

namespace {

constexpr auto ask_for_v1 = "is base_url right? it usually ends in /v1";

/// What is said of a code, and what can be done about it.
struct code_words {
  errc code;
  std::string_view meaning;
  std::string_view suggestion = {}; ///< Empty: look at the field that the provider names, if it names one.
};

constexpr auto all_words = std::to_array<code_words>({
  {errc::context_length, "the conversation does not fit the model's context",
   "shorten the conversation, or choose a model with a longer context"},
  {errc::content_filtered, "the provider's content filter blocked the request",
   "change the prompt; unchanged it will be blocked again"},
  {errc::authentication, "the provider did not accept the key", "check the key that api_key_env or api_key_file names"},
  {errc::permission, "the key may not do this", "may this key use this model, from this country and network?"},
  {errc::not_found, "the provider knows no such model or path",
   "does this provider have that model, and is base_url right? it usually ends in /v1"},
  {errc::quota_exhausted, "the account's credit or quota is used up",
   "add credit or raise the spend limit at the provider; waiting does not help"},
  {errc::rate_limited, "the provider's rate limit was reached",
   "set requests_per_minute and tokens_per_minute to what the provider grants"},
  {errc::overloaded, "the provider is overloaded", "try again later, or use another model or provider"},
  {errc::too_large, "the request is too large",
   "send less in one request: fewer messages, smaller images, a lower max_tokens"},
  {errc::unsupported, "the provider has no such feature"},
  {errc::invalid_request, "the provider refused the request"},
});

/// Null for codes that need the status in their words, or that no HTTP answer stands for.
const code_words* words_of(errc code) {
  auto found = std::find_if(all_words.begin(), all_words.end(), [&](auto& x) { return x.code == code; });
  return found == all_words.end() ? nullptr : &*found;
}

/// One clause for people, without a full stop: more may be appended to it.
std::string explain(errc code, uint16_t status) {
  if (code == errc::not_found && status == 410)
    return "what was asked for is gone";
  if (auto* words = words_of(code))
    return std::string{words->meaning};
  auto number = std::to_string(status);
  if (code == errc::invalid_response)
    return "the provider answered with HTTP " + number;
  return status < 400 ? "the provider failed while it answered" : "the provider failed with HTTP " + number;
}

/// The first name in quotes or backticks: "The model `demo` does not exist".
std::string_view quoted_name(std::string_view text) {
  auto start = text.find_first_of("`'\"");
  if (start == text.npos)
    return {};
  auto end = text.find(text[start], start + 1);
  return end == text.npos ? std::string_view{} : text.substr(start + 1, end - start - 1);
}

/// A 404 may mean the model or the path. The model is the likely one where the provider's message names it.
std::string suggest_for_missing(uint16_t status, const provider_error& error) {
  if (auto name = clean_words(quoted_name(error.message), 100);
      ascii::icontains(error.message, "model") && !name.empty())
    return "does this provider have the model " + name + "?";
  return std::string{status == 410 ? "this service or model was retired: choose another one"
                                   : words_of(errc::not_found)->suggestion};
}

/// What a person can do about it; empty where nothing better is known than the provider's own words.
std::string suggest(errc code, uint16_t status, const provider_error& error) {
  if (code == errc::not_found)
    return suggest_for_missing(status, error);
  if (code == errc::quota_exhausted && error.by_day)
    return "a day's quota is used up (Google renews it at midnight Pacific time): raise it, or use another model";
  if (code == errc::rate_limited && error.code == "slow_down")
    return "raise the load more slowly";
  if (code == errc::server_error)
    return status == 504 ? "the answer may take too long: ask for a shorter one (max_tokens)" : "";
  if (auto* words = words_of(code); words != nullptr && !words->suggestion.empty())
    return std::string{words->suggestion};
  return error.param.empty() ? "" : "look at the field " + error.param;
}

} // namespace

failure error_answer(const http::response_head& head, const json::value* body, std::string_view text) {
  auto found = body != nullptr ? find_error(*body) : std::nullopt;
  auto error = found.value_or(provider_error{});
  failure result;
  result.code = classify(head.status, error);
  result.http_status = head.status;
  result.message = explain(result.code, head.status);
  // Google puts the HTTP status where others put a code: its type says more then.
  auto is_status = error.code == std::to_string(error.status);
  result.provider_code = (error.code.empty() || is_status) && !error.type.empty() ? error.type : error.code;
  result.provider_message = clean_words(error.message);
  result.provider_request_id = request_id_in(head);
  if (result.provider_request_id.empty() && body != nullptr)
    result.provider_request_id = word_in(member(*body, "request_id"));
  if (!error.by_day) // a wait beside it is for another quota
    result.retry_after = error.wait ? error.wait : retry_after(head, std::chrono::system_clock::now());
  result.suggestion = suggest(result.code, head.status, error);
  if (!found) {
    auto kind = describe_body(text);
    result.message += ", with " + kind;
    if (kind == "an HTML page" && result.code != errc::authentication && head.status < 500)
      result.suggestion = ask_for_v1;
  }
  // Redirects are not followed, since the key would go to a host that nobody configured.
  if (head.status / 100 == 3) {
    auto host = clean_words(host_of(head.get("location")), 200);
    result.message = "the provider answered with HTTP " + std::to_string(head.status) + "; redirects are not followed";
    result.suggestion =
      host.empty() ? ask_for_v1 : "the server points to " + host + ": should base_url name that host?";
  }
  return result;
}

failure invalid_answer(const http::response_head& head, std::string description) {
  failure result;
  result.code = errc::invalid_response;
  result.http_status = head.status;
  result.message = "the provider answered with " + std::move(description);
  result.provider_request_id = request_id_in(head);
  result.suggestion = ask_for_v1;
  return result;
}

} // namespace modelforge::wire
